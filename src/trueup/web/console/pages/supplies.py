"""What is to come and who waits for it: expect supply; move or cancel it, seeing which promises that would break."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.cases import read as cases
from trueup.cases.read import CaseQuery, CaseSummary
from trueup.catalogue import read as catalogue
from trueup.catalogue.state import Location
from trueup.core import json, timeline
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.verb import Command
from trueup.orders import read_names
from trueup.sourcing.policy import FillSort, Routing
from trueup.sourcing.read import waiting_for
from trueup.stock import supply_read
from trueup.stock.peg import Delay, delays_in
from trueup.stock.promise import PromisePolicy, notice_for
from trueup.stock.supply import CancelSupply, ExpectSupply, RescheduleSupply
from trueup.stock.supply_read import SupplyQuery, SupplyRow, WaitingPlaceQuery, WaitingRow
from trueup.stock.supply_state import DemandPegged
from trueup.web.console.visit import Visit, enter, unknown

_ACTS: dict[str, type[Command]] = {"reschedule": RescheduleSupply, "cancel": CancelSupply}
_RIGHTS = {"reschedule": "stock.reschedule_supply", "cancel": "stock.cancel_supply"}
_SHOW: dict[str, dict[str, bool]] = {
    "late": {"late": True},
    "risk": {"late": True, "pegged": True},
    "waited": {"pegged": True},
    "ended": {"ended": True},
}
_TURNS = {
    "priority": "the order's priority",
    "promise": "the date that was promised",
    "first_in": "first come first",
    "contract": "orders under a contract first",
}
_WAITING_SHOWN = 200


class Broken(msgspec.Struct, frozen=True):
    """A promise that would not be kept. due_at: the new date, None where there is none. notice: what it takes."""

    holder: str
    line: int
    promised_at: datetime
    due_at: datetime | None
    notice: str


class Preview(msgspec.Struct, frozen=True):
    """What an act on a supply would do. same: nothing changes. kept: others who wait that would be pegged anew."""

    act: str
    same: bool
    broken: tuple[Broken, ...]
    kept: int


@get("/supplies")
async def list_supplies(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of what is to come, earliest due first, and the form that expects more."""
    return await _list_page(await enter(request, scoped=True))


@post("/supplies/expect")
async def expect(request: Request[Any, Any, Any]) -> Response[Any]:
    """Expect a supply."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    names = ("location", "sku", "quantity", "reference", "source")
    body = {"due": _due(form), **{name: form.get(name, "").strip() for name in names}}
    outcome = await visit.submit(ExpectSupply, body, form)
    if outcome.refusal is not None:
        return await _list_page(visit, outcome.refusal, form)
    return visit.done(f"/supplies/{outcome.result['supply']}", form)


@get("/supplies/{supply:str}")
async def show_supply(request: Request[Any, Any, Any], supply: FromPath[str]) -> Response[Any]:
    """Show one supply and who waits for it; with an act in the address, which promises it would break."""
    return await _supply_page(await enter(request, scoped=True), supply)


@post("/supplies/{supply:str}/{act:str}")
async def do(request: Request[Any, Any, Any], supply: FromPath[str], act: FromPath[str]) -> Response[Any]:
    """Move or cancel a supply."""
    visit = await enter(request, scoped=True)
    if act not in _ACTS:
        raise unknown("A supply can be rescheduled or cancelled.")
    form = await visit.form()
    outcome = await visit.submit(_ACTS[act], _body(act, supply, form), form)
    if outcome.refusal is not None:
        return await _supply_page(visit, supply, outcome.refusal, {**form, "act": act})
    return visit.done(f"/supplies/{supply}", form)


@get("/waiting")
async def list_waiting(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show where somebody waits; of one item at one location, who does, in the order of their turn."""
    visit = await enter(request, scoped=True)
    sku, location = visit.params.get("sku"), visit.params.get("location")
    query = WaitingPlaceQuery(sku=sku, location=location, cursor=visit.params.get("cursor"))
    rows: Sequence[WaitingRow] = ()
    fill = visit.standing.policies.get(Routing).fill
    async with visit.reading() as connection:
        places = await supply_read.waiting_places(connection, query, visit.sites)
        here = places.items[0] if sku and location and places.items else None
        if here is not None:
            rows = await supply_read.waiting(connection, here.sku, here.location, _WAITING_SHOWN)
        names = await _names(connection, visit, [row.holder for row in rows])
        turns = await _turns(connection, rows, sku, fill)
        coming = SupplyQuery(sku=sku, location=location, pegged=True, limit=200)
        supplies = (await supply_read.supplies(connection, coming, visit.now, visit.sites)).items if here else ()
        known = await catalogue.locations(connection)
    return await visit.show(
        "waiting.html",
        section="/stock",
        title=f"Who waits for {here.sku} at {here.location}" if here else "Who waits",
        here=here,
        places=places.items,
        next=places.next,
        rows=turns,
        cut=len(rows) == _WAITING_SHOWN,
        names=names,
        references={supply.id: supply.reference for supply in supplies},
        turn=", then ".join(_TURNS[sort] for sort in fill),
        locations=_codes(visit, known),
    )


async def _list_page(
    visit: Visit, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    params = visit.params
    query = SupplyQuery(
        sku=params.get("sku"),
        location=params.get("location"),
        reference=params.get("reference"),
        cursor=params.get("cursor"),
        **_SHOW.get(params.get("show", ""), {}),
    )
    async with visit.reading() as connection:
        page = await supply_read.supplies(connection, query, visit.now, visit.sites)
        places = await catalogue.locations(connection)
    return await visit.show(
        "supplies.html",
        section="/stock",
        title="Supply",
        supplies=page.items,
        next=page.next,
        life=lambda row: life_of(row, visit.now),
        places=_codes(visit, places),
        filtered=any(params.get(name) for name in ("sku", "location", "reference", "show")),
        refusal=refusal,
        entered=entered or {},
    )


async def _supply_page(
    visit: Visit, id_: str, refusal: Refusal | None = None, entered: dict[str, str] | None = None
) -> Response[Any]:
    async with visit.reading() as connection:
        found = await supply_read.supply(connection, id_)
        if found is None or (visit.sites is not None and found.location not in visit.sites):
            raise unknown(f"There is no supply {id_!r}.")
        place = await catalogue.location(connection, found.location)
        pegged = await supply_read.waiting_on(connection, found.id, visit.params.get("cursor"))
        risks = await _cases_at(connection, visit, found.location) if visit.scope is None else ()
        entries = await timeline.about(connection, found.id)
    preview = await _preview(visit, found) if refusal is None else None
    if isinstance(preview, Refusal):
        preview, refusal = None, preview
    broken = preview.broken if preview else ()
    async with visit.reading() as connection:
        names = await _names(
            connection, visit, [*(row.holder for row in pegged.items), *(row.holder for row in broken)]
        )
    return await visit.show(
        "supply.html",
        section="/stock",
        title=f"Supply {found.reference}",
        supply=found,
        life=life_of(found, visit.now),
        zone=place.timezone if place else "UTC",
        pegged=pegged.items,
        next=pegged.next,
        names=names,
        risks=risks,
        entries=entries,
        preview=preview,
        rights=_RIGHTS,
        refusal=refusal,
        entered=entered or visit.params,
    )


def life_of(row: SupplyRow, now: datetime) -> str:
    """Return where a supply stands: `ended`, `to_come`, `overdue`, or `at_risk` where somebody waits for it."""
    if row.open <= 0:
        return "ended"
    if row.due_at > now:
        return "to_come"
    return "at_risk" if row.pegged else "overdue"


async def _preview(visit: Visit, supply: SupplyRow) -> Preview | Refusal | None:
    """Rehearse the act that the address asks about; nothing is written."""
    act = visit.params.get("act", "")
    if act not in _ACTS or not visit.may(_RIGHTS[act]):
        return None
    body = {name: value for name, value in _body(act, supply.id, visit.params).items() if value != ""}
    try:
        command = json.convert(body, _ACTS[act])
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        return Refusal("form.invalid", f"{what}.", "Correct the field and look again.", where.strip(".`"))
    (rehearsed,) = await visit.site.door.rehearse([(visit.actor, command)])
    if rehearsed.outcome.refusal is not None:
        return rehearsed.outcome.refusal
    delays = delays_in(rehearsed.events)
    moved = {(event.holder, peg.line) for event in rehearsed.events if isinstance(event, DemandPegged)
             for peg in event.pegs}  # fmt: skip
    late = {(delay.holder, delay.line) for delay in delays}
    policy = visit.standing.policies.get(PromisePolicy)
    broken = tuple(_broken(delay, policy) for delay in delays)
    return Preview(act, rehearsed.outcome.status == "merged", broken, len(moved - late))


def _broken(delay: Delay, policy: PromisePolicy) -> Broken:
    notice = notice_for(policy, delay.promised_at, delay.due_at)
    return Broken(delay.holder, delay.line, delay.promised_at, delay.due_at, notice)


def _body(act: str, supply: str, fields: dict[str, str]) -> dict[str, Any]:
    if act == "reschedule":
        return {"supply": supply, "due": _due(fields)}
    return {"supply": supply, "quantity": fields.get("quantity", "").strip()}


def _due(fields: dict[str, str]) -> str:
    """Return a day, which is the location's own, or with a time of day the moment in UTC."""
    day, time = fields.get("day", "").strip(), fields.get("time", "").strip()
    return f"{day}T{time}+00:00" if time else day


async def _cases_at(connection: Connection, visit: Visit, location: str) -> tuple[CaseSummary, ...]:
    """Return the open cases about promises at a location that will not be kept."""
    page = await cases.cases(
        connection, CaseQuery(kind="promise_at_risk", limit=200), visit.now, visit.standing.policies
    )
    return tuple(case for case in page.items if case.cause == f"promise:at_risk:{location}")


async def _turns(
    connection: Connection, rows: Sequence[WaitingRow], sku: str | None, fill: Sequence[FillSort]
) -> list[tuple[int, WaitingRow]]:
    """Return each row with the turn of its order when goods come in, in that order; who has none there comes behind."""
    found = await catalogue.item(connection, sku) if rows and sku else None
    if found is None:
        return []
    orders = await waiting_for(connection, [found.item.id], fill)
    waiting = {row.holder for row in rows}
    turns = {order: turn for turn, order in enumerate((order for order in orders if order in waiting), 1)}
    for row in rows:
        turns.setdefault(row.holder, len(turns) + 1)
    return sorted(((turns[row.holder], row) for row in rows), key=lambda entry: entry[0])


async def _names(connection: Connection, visit: Visit, holders: Sequence[str]) -> dict[str, str]:
    return await read_names.names(connection, holders, visit.channels)


def _codes(visit: Visit, places: Sequence[Location]) -> list[tuple[str, str]]:
    """Return the locations of the visitor's part of the organisation, as a list to choose from."""
    return [(place.code, place.code) for place in places if visit.sites is None or place.code in visit.sites]


routes = [list_supplies, expect, show_supply, do, list_waiting]
