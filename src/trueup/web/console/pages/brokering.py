"""Brokering runs, each with its cost beside that of the rules; and trying another routing policy on recent orders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.authority.read import in_force
from trueup.core import json as plain_json
from trueup.core.errors import Refusal
from trueup.core.policy import Known, read_document
from trueup.core.quantity import ZERO
from trueup.sourcing import read, read_decisions
from trueup.sourcing.policy import Routing
from trueup.sourcing.read import Run, RunQuery
from trueup.sourcing.read_decisions import RunOrderQuery
from trueup.sourcing.simulate import ORDERS_MAX, Simulation, simulate
from trueup.web.console import words
from trueup.web.console.pages.policies import Line, marked, parsed
from trueup.web.console.render import exact
from trueup.web.console.visit import Visit, enter, unknown

ORDERS = 500
COSTS = (
    ("shipping", "Parcels, by distance", "bands"),
    ("split", "Parcels of one order beyond its first", "split"),
    ("lateness", "Days after what was promised", "late_day"),
    ("capacity", "Orders beyond what a location takes a day", "over_capacity"),
    ("unserved", "Units nobody gives", "unserved"),
)


class Told(msgspec.Struct, frozen=True):
    """A run in figures that follow from it. left: orders the plan gave nothing to. per_cent: of the rules' cost.

    costs: what for, the policy's field, the plan's, the rules'. unreached: orders there was no time for. batches:
    solved together. by_rules: orders whose rule no plan can say. What an old report does not say is None.
    """

    left: int
    saving: Decimal
    per_cent: Decimal | None
    why: str
    costs: tuple[tuple[str, str, Decimal, Decimal | None], ...] = ()
    batches: int | None = None
    unreached: int | None = None
    by_rules: int | None = None


@get("/sourcing/runs")
async def list_runs(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of brokering runs, the latest first."""
    visit = await enter(request)
    async with visit.reading() as connection:
        page = await read.runs(connection, RunQuery(cursor=visit.params.get("cursor")))
        policy = await in_force(connection, Routing)
    return await visit.show(
        "sourcing_runs.html",
        section="/sourcing",
        title="Brokering runs",
        runs=[(run, told(run)) for run in page.items],
        next=page.next,
        policy=policy,
    )


@get("/sourcing/runs/{run:str}")
async def show_run(request: Request[Any, Any, Any], run: FromPath[str]) -> Response[Any]:
    """Show one run: what its plan costs beside the rules', who decided, and the orders it decided."""
    visit = await enter(request)
    planned = visit.flag("planned")
    async with visit.reading() as connection:
        found = await read.run(connection, run)
        if found is None:
            raise unknown(f"There is no brokering run {run!r}.")
        query = RunOrderQuery(planned=planned, cursor=visit.params.get("cursor"))
        page = await read_decisions.run_orders(connection, run, query)
    return await visit.show(
        "sourcing_run.html",
        section="/sourcing",
        title=f"Brokering run {found.id}",
        run=found,
        told=told(found),
        decided=page.items,
        next=page.next,
        filtered=planned is not None,
    )


def told(run: Run) -> Told:
    """Return what follows from a run's figures, in words where it has a reason."""
    saving = run.sequential_cost - run.cost
    per_cent = round(saving * 100 / run.sequential_cost, 1) if run.sequential_cost else None
    why = words.DECIDED_WHY.get(run.decided_by, "")
    if run.decided_by == "optimised" and not saving:
        why = words.DECIDED_WHY["no_better"]
    rules = run.report.get("sequential", {})
    costs = tuple(
        (text, field, exact(run.report[kind]), exact(rules[kind]) if kind in rules else None)
        for kind, text, field in COSTS
        if kind in run.report
    )
    batches, unreached, by_rules = (run.report.get(name) for name in ("batches", "unreached", "by_rules"))
    left = run.orders - run.assigned - (by_rules or 0)
    return Told(left, saving, per_cent, why, costs, batches, unreached, by_rules)


@get("/sourcing/simulate")
async def show_simulation(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the routing policy in force, to be changed and tried."""
    return await _page(await enter(request))


@post("/sourcing/simulate")
async def try_policy(request: Request[Any, Any, Any]) -> Response[Any]:
    """Source recent orders anew under another routing policy and compare; writes nothing."""
    visit = await enter(request)
    form = await visit.form()
    document = parsed(form.get("document", ""))
    if isinstance(document, Refusal):
        return await _page(visit, form, refusal=document)
    count = form.get("orders", "").strip()
    if not count.isdecimal() or not 1 <= int(count[:9]) <= ORDERS_MAX:
        fix = f"Enter a whole number from 1 to {ORDERS_MAX}."
        refusal = Refusal("form.invalid", f"{count!r} is no number of orders to compare on.", fix, "orders", count)
        return await _page(visit, form, refusal=refusal)
    proposed = read_document({Routing.kind: Routing}, Routing.kind, document, Known(commands={}))
    if isinstance(proposed, Refusal):
        return await _page(visit, form, refusal=proposed, lines=marked(document, proposed.details))
    assert isinstance(proposed, Routing)
    policies = (await visit.site.access.standing(fresh=True)).policies
    async with visit.reading() as connection:
        found = await simulate(connection, policies, proposed, visit.now, int(count))
    return await _page(visit, form, found=found, same=proposed == policies.get(Routing))


async def _page(
    visit: Visit,
    entered: dict[str, str] | None = None,
    *,
    refusal: Refusal | None = None,
    lines: Sequence[Line] = (),
    found: Simulation | None = None,
    same: bool = False,
) -> Response[Any]:
    async with visit.reading() as connection:
        current = await in_force(connection, Routing)
    return await visit.show(
        "sourcing_simulate.html",
        section="/sourcing",
        title="Try a routing policy",
        text=json.dumps(plain_json.to_plain(current), indent=2, ensure_ascii=False),
        orders=ORDERS,
        orders_max=ORDERS_MAX,
        lines=lines,
        found=found,
        compared=_compared(found) if found is not None else (),
        same=same,
        refusal=refusal,
        entered=entered or {},
    )


def _compared(found: Simulation) -> list[tuple[str, Decimal, Decimal, Decimal]]:
    """Return each count under both policies: its text, now, proposed, and the change."""
    rows = []
    for name, text in words.SIMULATED.items():
        now, then = Decimal(getattr(found.current, name)), Decimal(getattr(found.proposed, name))
        rows.append((text, now, then, then - now if then != now else ZERO))
    return rows


routes = [list_runs, show_run, show_simulation, try_policy]
