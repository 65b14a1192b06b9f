"""What the guards cost, what each would have stopped, and the acts themselves."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from trueup.authority.refusals import GUARDS, GuardModes
from trueup.authority.trial import Trial, trial_of
from trueup.oversight.guard_costs import StopQuery, guard_costs, stops
from trueup.web.console.links import of_subject
from trueup.web.console.pending import pending_on
from trueup.web.console.visit import Visit, enter

DAYS = ("1", "7", "14", "30")


@get("/guards")
async def show_guards(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show what each guard and rule cost, how each works, and, where one was chosen, its trial."""
    visit = await enter(request)
    days = _days(visit)
    async with visit.reading() as connection:
        pending = await pending_on(visit, connection, "policy/guards/")
        costs = await guard_costs(connection, days, visit.now)
    return await visit.show(
        "guards.html",
        section="/guards",
        pending=pending,
        title="What the guards cost",
        days=days,
        choices=[(one, f"the last {one} days" if one != "1" else "the last day") for one in DAYS],
        costs=costs,
        guards=GUARDS,
        modes=visit.standing.policies.get(GuardModes).modes,
        trial=await _trial(visit, days),
        of_subject=of_subject,
    )


@get("/guards/stops")
async def show_stops(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the acts that a guard or rule stopped, the newest first."""
    visit = await enter(request)
    query = StopQuery(
        days=_days(visit),
        guard=visit.params.get("guard"),
        rule=visit.params.get("rule"),
        waiting=bool(visit.flag("waiting")),
        cursor=visit.params.get("cursor"),
    )
    async with visit.reading() as connection:
        page = await stops(connection, query, visit.now)
    return await visit.show(
        "guard_stops.html",
        section="/guards",
        title="Stopped acts",
        stops=page.items,
        next=page.next,
        days=query.days,
        guards=GUARDS,
        of_subject=of_subject,
    )


async def _trial(visit: Visit, days: int) -> Trial | None:
    guard = visit.params.get("try", "")
    if guard not in GUARDS:
        return None
    return trial_of(await visit.site.door.try_guard(guard, days), visit.standing)


def _days(visit: Visit) -> int:
    given = visit.params.get("days", "")
    return int(given) if given in DAYS else 7


routes = [show_guards, show_stops]
