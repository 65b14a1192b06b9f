"""The overview: what is going on, what it costs, and what is proven."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.response import Redirect

from trueup.cases import read as cases
from trueup.cases.read import CaseQuery
from trueup.core import journal
from trueup.orders import read_holds
from trueup.orders.read_holds import HoldQuery
from trueup.sourcing import read_waiting
from trueup.stock import read as stock
from trueup.stock.read import StockQuery
from trueup.web.console import figures, runs
from trueup.web.console.pages.offers import ACCEPTING
from trueup.web.console.visit import enter

CASES_SHOWN = 8
COUNTED_MAX = 200


@get("/")
async def overview(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the overview; its upper half is read again every few seconds."""
    visit = await enter(request, ACCEPTING, scoped=True)
    if not visit.may("read"):
        return Redirect("/offers", status_code=303)
    if visit.scope is not None:
        # Its figures are the whole organisation's; who is confined to a part of it begins at their stock or orders.
        return Redirect("/stock" if visit.scope.sites else "/orders", status_code=303)
    async with visit.reading() as connection:
        recent = await figures.recent_orders(connection, visit.now)
        dearest = await cases.cases(connection, CaseQuery(limit=CASES_SHOWN), visit.now, visit.standing.policies)
        totals = await cases.totals(connection)
        overdue = await cases.cases(
            connection, CaseQuery(overdue=True, limit=COUNTED_MAX), visit.now, visit.standing.policies
        )
        short = await stock.balances(
            connection, visit.standing.policies, StockQuery(short=True, limit=COUNTED_MAX), visit.now
        )
        head = await journal.head(connection)
        seal = await figures.last_seal(connection)
        checks = await figures.checks(connection)
        run = await runs.newest(connection)
        queues = await read_waiting.queue_counts(connection)
        waiting = await read_waiting.waiting_count(connection)
        held = await read_holds.holds(connection, HoldQuery(limit=COUNTED_MAX), visit.now)
        due = await read_holds.holds(connection, HoldQuery(due=True, limit=COUNTED_MAX), visit.now)
    return await visit.show(
        "overview.html",
        section="/",
        title="Overview",
        today=visit.now.date(),
        recent=recent,
        cases=dearest.items,
        totals=totals,
        case_count=sum(count for count, _ in totals.values()),
        overdue_count=len(overdue.items),
        overdue_more=overdue.next is not None,
        short=short.items,
        short_more=short.next is not None,
        head=head,
        seal=seal,
        checks=checks,
        run=run,
        queues=queues,
        waiting=waiting,
        waiting_more=waiting == read_waiting.COUNTED_MAX,
        held_count=len(held.items),
        held_more=held.next is not None,
        due_count=len(due.items),
        due_more=due.next is not None,
    )


routes = [overview]
