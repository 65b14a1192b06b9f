"""Appointments, delegations and contracts of one person; and acts that a second person confirms."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.authority import people_read
from trueup.authority.appoint import AcceptAppointment, Appoint, EndAppointment
from trueup.authority.confirm import ConfirmAct, DeclineAct
from trueup.authority.delegate import Delegate, EndDelegation
from trueup.authority.employ import SetEmployment
from trueup.authority.people_read import PeopleQuery
from trueup.authority.resign import ResignDeputy
from trueup.core.errors import Refusal
from trueup.core.verb import Command
from trueup.web.console.pages.actors import actor_page
from trueup.web.console.visit import Visit, enter, unknown

# What each form of a person's page sends: the command, the field that is the person, and the fields of the form.
_ACTS: dict[str, tuple[type[Command], str | None, tuple[str, ...]]] = {
    "appoint": (Appoint, "actor", ("role", "over", "deputy", "until_on")),
    "accept": (AcceptAppointment, None, ("appointment",)),
    "end": (EndAppointment, None, ("appointment", "reason")),
    "resign": (ResignDeputy, None, ("appointment", "reason")),
    "delegate": (Delegate, "to", ("role", "until_on")),
    "take-back": (EndDelegation, None, ("delegation",)),
    "employment": (SetEmployment, "actor", ("employer", "company", "contract_end")),
}
_SETTLES: dict[str, tuple[type[Command], tuple[str, ...]]] = {
    "confirm": (ConfirmAct, ()),
    "decline": (DeclineAct, ("reason",)),
}
_SHOWN = 100


@post("/actors/{actor:str}/people/{act:str}")
async def do(request: Request[Any, Any, Any], actor: FromPath[str], act: FromPath[str]) -> Response[Any]:
    """Appoint, accept, end, resign, lend, take back, or record the employer."""
    visit = await enter(request)
    if act not in _ACTS:
        raise unknown("A person is appointed, lent a role, or given an employer.")
    form = await visit.form()
    command, person, fields = _ACTS[act]
    body = {name: form.get(name, "").strip() for name in fields}
    outcome = await visit.submit(command, {**body, **({person: actor} if person else {})}, form)
    if outcome.refusal is not None:
        return await actor_page(visit, actor, outcome.refusal, form, opened=act)
    return visit.done(f"/actors/{actor}", form)


@get("/confirmations")
async def list_pending(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show what waits for a second person."""
    return await _pending_page(await enter(request))


@post("/confirmations/{act:str}/{how:str}")
async def settle(request: Request[Any, Any, Any], act: FromPath[str], how: FromPath[str]) -> Response[Any]:
    """Confirm or decline an act."""
    visit = await enter(request)
    if how not in _SETTLES:
        raise unknown("An act is confirmed or declined.")
    form = await visit.form()
    command, fields = _SETTLES[how]
    body = {"act": act, **{name: form.get(name, "").strip() for name in fields}}
    outcome = await visit.submit(command, body, form)
    if outcome.refusal is not None:
        return await _pending_page(visit, outcome.refusal)
    return visit.done("/confirmations", form)


async def _pending_page(visit: Visit, refusal: Refusal | None = None) -> Response[Any]:
    query = PeopleQuery(after=visit.params.get("cursor", ""), limit=_SHOWN)
    async with visit.reading() as connection:
        acts = await people_read.pending_acts(connection, query)
    return await visit.show(
        "confirmations.html",
        section="/actors",
        title="Confirmations",
        acts=acts,
        told={act.id: _told(act.body) for act in acts},
        next=acts[-1].id if len(acts) == _SHOWN else None,
        names={actor.id: actor.name for actor in visit.standing.own.values()},
        refusal=refusal,
    )


def _told(body: str) -> list[tuple[str, str]]:
    """Return what a command says, field by field, without what is left at nothing."""
    fields = msgspec.json.decode(body)
    return [(name, str(value)) for name, value in fields.items() if value not in (None, "", [], {})]


routes = [do, list_pending, settle]
