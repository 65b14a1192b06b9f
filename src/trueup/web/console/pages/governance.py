"""What waits for who is signed in: votes, overrides, acts, appointments and cases; and how governance stands."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from trueup.authority.awaiting import CHANGES_MAX, awaiting
from trueup.authority.change_read import who_decides
from trueup.authority.drift import drifts
from trueup.authority.overrides_read import DebtQuery, debts
from trueup.cases import read as cases
from trueup.cases.read import CaseQuery, CaseSummary
from trueup.core.database import Connection
from trueup.web.console.visit import Visit, enter

CASES_SHOWN = 10


@get("/governance")
async def show_governance(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show what waits for the visitor, then what waits for others, then what is owed, vacant or adrift."""
    visit = await enter(request)
    mine = visit.standing.present(visit.actor, visit.now)
    policies = visit.standing.policies
    async with visit.reading() as connection:
        waits = await awaiting(connection, policies, mine, visit.now)
        turn = await _cases(connection, visit, mine.roles)
        owed = await debts(connection, policies, DebtQuery(days=1), visit.now)
        keys = await who_decides(connection, policies, visit.now)
        adrift = await drifts(connection)
    return await visit.show(
        "governance.html",
        section="/governance",
        title="Governance",
        waits=waits,
        cut=CHANGES_MAX if len(waits.votes) + len(waits.to_apply) + len(waits.others) == CHANGES_MAX else 0,
        cases=turn,
        roles=sorted(mine.roles),
        owed=[debt for debt in owed if debt.active],
        vacant=sorted({key.decider for key in keys if key.decider and not key.holders}),
        unmapped=sum(not key.decider for key in keys),
        drifted=adrift,
        declared=visit.standing.declared,
    )


async def _cases(connection: Connection, visit: Visit, roles: frozenset[str]) -> list[CaseSummary]:
    """Return the cases whose turn one of these roles is, and those that are the visitor's own, the dearest first."""
    found: dict[str, CaseSummary] = {}
    queries = [CaseQuery(assignee=visit.actor.id, limit=CASES_SHOWN)]
    queries += [CaseQuery(must_act=role, limit=CASES_SHOWN) for role in sorted(roles)]
    for query in queries:
        page = await cases.cases(connection, query, visit.now, visit.standing.policies)
        found.update({case.id: case for case in page.items})
    dearest = sorted(found.values(), key=lambda case: (-case.price_per_hour, case.due_at, case.id))
    return dearest[:CASES_SHOWN]


routes = [show_governance]
