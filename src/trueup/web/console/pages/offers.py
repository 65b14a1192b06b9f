"""Roles offered to who is signed in: the one page for somebody who holds none yet."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post

from trueup.authority import people_read
from trueup.authority.appoint import AcceptAppointment
from trueup.authority.awaiting import is_to_accept
from trueup.authority.people_read import PeopleQuery
from trueup.core.errors import Refusal
from trueup.web.console.visit import Visit, enter

ACCEPTING = "authority.accept_appointment"
"""The right to come in at all: every person has it, whatever role they hold."""
_SHOWN = 100


@get("/offers")
async def list_offers(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show what the visitor may accept."""
    return await _page(await enter(request, ACCEPTING, scoped=True))


@post("/offers")
async def accept(request: Request[Any, Any, Any]) -> Response[Any]:
    """Accept a role, as its holder or as the deputy."""
    visit = await enter(request, ACCEPTING, scoped=True)
    form = await visit.form()
    outcome = await visit.submit(AcceptAppointment, {"appointment": form.get("appointment", "").strip()}, form)
    if outcome.refusal is not None:
        return await _page(visit, outcome.refusal)
    await visit.site.access.standing(fresh=True)  # what the role lets them do begins with the next page
    return visit.done("/offers", form)


async def _page(visit: Visit, refusal: Refusal | None = None) -> Response[Any]:
    query = PeopleQuery(actor=visit.actor.id, limit=_SHOWN)
    async with visit.reading() as connection:
        found = await people_read.appointments(connection, query, visit.now)
    return await visit.show(
        "offers.html",
        section="/governance",
        title="Roles offered to you",
        offers=[one for one in found if is_to_accept(one, visit.actor)],
        reads=visit.may("read"),
        names={actor.id: actor.name for actor in visit.standing.own.values()},
        refusal=refusal,
    )


routes = [list_offers, accept]
