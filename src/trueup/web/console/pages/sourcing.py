"""Where orders come from: what waits, the locations' fulfilment orders and changing them; and why, on the order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, get_args

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.catalogue import read as catalogue
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.timeline import Entry
from trueup.core.verb import Command
from trueup.orders import read as orders
from trueup.orders.read import OrderDetail, OrderLine
from trueup.sourcing import read, read_decisions, read_waiting
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.parts import MergeParts, MovePart, SplitPart
from trueup.sourcing.policy import Routing
from trueup.sourcing.read import PartDetail, PartLineDetail, PartQuery, Rejection, RunQuery
from trueup.sourcing.read_decisions import DecisionRow
from trueup.sourcing.read_waiting import WaitingQuery
from trueup.sourcing.reject import Reason, RejectPart
from trueup.sourcing.state import OrderSourced
from trueup.stock import promising
from trueup.web.console import words
from trueup.web.console.pending import pending_on
from trueup.web.console.visit import Visit, enter, unknown

_FORMS: dict[str, tuple[type[Command], tuple[str, ...]]] = {
    "reject": (RejectPart, ("reason", "note")),
    "move": (MovePart, ("location", "reason", "version")),
    "split": (SplitPart, ("version",)),
    "merge": (MergeParts, ("into", "version")),
}
LINES_SHOWN = 50
Place = tuple[str, str]
REASONS = tuple((reason, words.readable(reason)) for reason in get_args(Reason))


class Explained(msgspec.Struct, frozen=True):
    """One decision for reading. who: the name of who decided."""

    row: DecisionRow
    who: str

    def taken(self, location: str) -> str:
        """Return what a location (code) gave, in words."""
        given = [share for share in self.row.decision.shares if share.location == location]
        return ", ".join(f"{plain(share.quantity)} × {share.sku}" for share in given)


class OpenLine(msgspec.Struct, frozen=True):
    """A line with units that nobody fulfils yet. places: (code, units free to it there), most first."""

    line: int
    sku: str
    units: Decimal
    places: tuple[tuple[str, Decimal], ...]

    @property
    def entered(self) -> str:
        """All its units, as a form is filled in."""
        return plain(self.units)


class AllocatedLine(msgspec.Struct, frozen=True):
    """Units of a line that are allocated at a location (code), and were not shipped."""

    line: int
    sku: str
    location: str
    units: Decimal

    @property
    def entered(self) -> str:
        """All its units, as a form is filled in."""
        return plain(self.units)


class ByHand(msgspec.Struct, frozen=True):
    """What can be allocated and released by hand now. more: open lines that are not shown."""

    open: tuple[OpenLine, ...]
    allocated: tuple[AllocatedLine, ...]
    more: int


@get("/sourcing")
async def show_sourcing(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show what waits to be sourced, by queue, and the latest brokering runs."""
    return await _sourcing_page(await enter(request, scoped=True))


@post("/sourcing/assign")
async def assign(request: Request[Any, Any, Any]) -> Response[Any]:
    """Source one order now, by the policy; from the list of what waits, or from the order's own page."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    outcome = await visit.submit(AssignOrder, {"order": form.get("order", ""), "mode": "demand"}, form)
    if outcome.refusal is not None:
        return await _sourcing_page(visit, outcome.refusal)
    return visit.done(visit.path_of("orders", form["order"]) if form.get("back") else "/sourcing", form)


@get("/fulfilment-orders")
async def list_parts(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of fulfilment orders by location and status, newest first."""
    visit = await enter(request, scoped=True)
    params = visit.params
    status = params.get("status")
    query = PartQuery(
        location=params.get("location"),
        status=status if status in words.PART else None,
        cursor=params.get("cursor"),
    )
    async with visit.reading() as connection:
        page = await read.parts(connection, query, visit.sites)
        places = await _places(connection, visit)
    return await visit.show(
        "fulfilment_orders.html",
        section="/sourcing",
        title="Fulfilment orders",
        parts=page.items,
        next=page.next,
        locations=[(code, code) for code in places],
        statuses=[(value, word.text) for value, word in words.PART.items()],
        filters=[
            (n, params[n], visit.link(**{n: None, "cursor": None})) for n in ("location", "status") if n in params
        ],
    )


@get("/fulfilment-orders/{part:str}")
async def show_part(request: Request[Any, Any, Any], part: FromPath[str]) -> Response[Any]:
    """Show one fulfilment order with what can be done about it."""
    return await _part_page(await enter(request, scoped=True), part)


@post("/fulfilment-orders/{part:str}/{act:str}")
async def change(request: Request[Any, Any, Any], part: FromPath[str], act: FromPath[str]) -> Response[Any]:
    """Reject, move, split or merge a fulfilment order; lines that are left empty mean all it owes, or none to split."""
    visit = await enter(request, scoped=True)
    if act not in _FORMS:
        raise unknown("A fulfilment order can be rejected, moved, split or merged.")
    form = await visit.form()
    command, fields = _FORMS[act]
    body: dict[str, Any] = {name: form.get(name, "").strip() for name in fields}
    body |= {"order": form.get("order", ""), "fulfilment_order": part}
    if act != "merge":
        body["lines"] = _units_of(form)
    outcome = await visit.submit(command, body, form)
    if outcome.refusal is not None:
        return await _part_page(visit, part, outcome.refusal, form, act)
    shown = outcome.result.get("fulfilment_order", part) if act in ("move", "merge") else part
    return visit.done(visit.path_of("fulfilment-orders", str(shown)), form)


async def explained(
    connection: Connection, visit: Visit, detail: OrderDetail, entries: Sequence[Entry]
) -> dict[str, Any]:
    """Return what the order's page says about where it comes from: its fulfilment orders, and each decision."""
    parts = await read.parts_of_order(connection, detail.id)
    deciders = {
        entry.body["decision"]["id"]: visit.standing.actors[entry.actor].name
        for entry in entries
        if entry.name == OrderSourced.name and entry.actor in visit.standing.actors
    }
    return {
        "parts": parts,
        "rejections": _together(await read.rejections(connection, detail.id)),
        "decisions": [
            Explained(row, deciders.get(row.id, "Trueup"))
            for row in await read_decisions.decisions(connection, detail.id)
        ],
        "waits": detail.summary.managed and _open(detail) > sum(owed(line) for part in parts for line in part.lines),
        "by_hand": await _by_hand(connection, visit, detail) if detail.summary.managed else ByHand((), (), 0),
    }


async def _by_hand(connection: Connection, visit: Visit, detail: OrderDetail) -> ByHand:
    """Return the order's open lines with what is free to each where, and what is allocated and not shipped."""
    left = [line for line in detail.lines if line.kind == "good" and line.item is not None and _unallocated(line) > 0]
    shown = left[:LINES_SHOWN]
    asked = bool(shown) and visit.may("sourcing.allocate")
    free = await _free(connection, visit, detail, sorted({line.sku for line in shown})) if asked else {}
    waits = await read_waiting.waits_at(connection, detail.id) if asked else {}
    reserved, allocated = _claimed(detail, "reservation", visit), _claimed(detail, "allocation", visit)
    skus = {line.line: line.sku for line in detail.lines}
    found = []
    for line in shown:
        units = {
            code: _mine(units, *waits.get((line.line, code), (ZERO, ZERO))) + reserved.get((line.line, code), ZERO)
            for (sku, code), units in free.items()
            if sku == line.sku
        }
        places = sorted(((code, left) for code, left in units.items() if left > 0), key=lambda one: (-one[1], one[0]))
        found.append(OpenLine(line.line, line.sku, _unallocated(line), tuple(places)))
    given = tuple(AllocatedLine(at, skus[at], code, units) for (at, code), units in sorted(allocated.items()))
    return ByHand(tuple(found), given, len(left) - len(shown))


def _mine(free: Decimal, mine: Decimal, waiting: Decimal) -> Decimal:
    """Return what may be claimed by who waits for `mine` units: whose turn it is takes what came in, as stock says it.

    free: to who does not wait there. waiting: units that anybody waits for there.
    """
    return max(free + mine, min(mine, free + waiting)) if mine else free


async def _free(connection: Connection, visit: Visit, detail: OrderDetail, skus: list[str]) -> dict[Place, Decimal]:
    """Return the units of each SKU that the order's channel may claim, below zero where others wait, by (SKU, code)."""
    mine = tuple(await _places(connection, visit)) if visit.sites is not None else ()
    if visit.sites is not None and not mine:
        return {}
    basket = promising.Basket(
        lines=tuple(promising.BasketLine(sku, Quantity(1)) for sku in skus),
        channel=detail.summary.channel,
        locations=mine,
    )
    shelves = visit.site.shelves
    found = await promising.available(connection, basket, visit.standing.policies, visit.now, shelves)
    return {
        (item.sku, code): units
        for item in found.items
        for code, units in zip(found.locations, item.available, strict=True)
    }


def _claimed(detail: OrderDetail, kind: str, visit: Visit) -> dict[tuple[int, str], Decimal]:
    """Return the units that the order's claims of a kind hold, by (line, location's code), as far as one may see."""
    found: dict[tuple[int, str], Decimal] = {}
    for claim in detail.claims:
        if claim.kind == kind and (visit.sites is None or claim.location in visit.sites):
            found[claim.line, claim.location] = found.get((claim.line, claim.location), ZERO) + claim.quantity
    return found


def _unallocated(line: OrderLine) -> Decimal:
    return line.quantity - line.cancelled - line.shipped - line.allocated


def _together(rejections: Sequence[Rejection]) -> list[tuple[Rejection, str]]:
    """Return the rejections of one occasion as one, with their lines in words."""
    found: dict[tuple[str, str, datetime], list[Rejection]] = {}
    for rejection in rejections:
        found.setdefault((rejection.location, rejection.reason, rejection.at), []).append(rejection)
    return [
        (some[0], f"line{'s' if len(some) > 1 else ''} {', '.join(str(one.line) for one in some)}")
        for some in found.values()
    ]


def _open(detail: OrderDetail) -> Decimal:
    """Return the units of goods that are neither cancelled nor shipped."""
    return sum((x.quantity - x.cancelled - x.shipped for x in detail.lines if x.kind == "good"), ZERO)


async def _sourcing_page(visit: Visit, refusal: Refusal | None = None) -> Response[Any]:
    params = visit.params
    query = WaitingQuery(
        queue=params.get("queue"),
        queued=visit.flag("queued"),
        channel=params.get("channel"),
        cursor=params.get("cursor"),
    )
    async with visit.reading() as connection:
        pending = await pending_on(visit, connection, "policy/sourcing/")
        page = await read_waiting.waiting(connection, query, visit.channels)
        queues = await read_waiting.queue_counts(connection, visit.channels)
        there = await orders.choices(connection)
        runs = (await read.runs(connection, RunQuery(limit=5))).items if visit.scope is None else ()
    names = ("queue", "queued", "channel")
    return await visit.show(
        "sourcing.html",
        section="/sourcing",
        pending=pending,
        title="Sourcing",
        waiting=page.items,
        next=page.next,
        queues=queues,
        queue_choices=[(row.queue, row.queue) for row in queues],
        runs=runs,
        whole=visit.scope is None,
        policy_version=visit.standing.policies.version(Routing),
        channels=[(value, value) for value in there["channel"] if visit.channels is None or value in visit.channels],
        filters=[(n, params[n], visit.link(**{n: None, "cursor": None})) for n in names if n in params],
        refusal=refusal,
    )


async def _part_page(
    visit: Visit, id_: str, refusal: Refusal | None = None, entered: dict[str, str] | None = None, opened: str = ""
) -> Response[Any]:
    async with visit.reading() as connection:
        part = await read.part(connection, id_, visit.sites)
        if part is None:
            raise unknown(f"There is no fulfilment order {id_!r}.")
        siblings = await read.parts_of_order(connection, part.order)
        rejections = await read.rejections(connection, part.order)
        places = await _places(connection, visit)
    lines = {line.line for line in part.lines}
    return await visit.show(
        "fulfilment_order.html",
        section="/sourcing",
        title=f"Fulfilment order {part.order_number}/{part.number}",
        part=part,
        owes=[line for line in part.lines if owed(line) > 0],
        owed=owed,
        order_open=visit.channels is None or part.channel in visit.channels,
        places=[code for code in places if code != part.location],
        mergeable=[other for other in siblings if _may_merge(part, other)],
        rejections=_together([r for r in rejections if r.location == part.location and r.line in lines]),
        reasons=REASONS,
        refusal=refusal,
        entered=entered or {},
        opened=opened,
    )


def owed(line: PartLineDetail) -> Decimal:
    """Return the units of a line that the location still owes."""
    return line.quantity - line.withdrawn - line.rejected - line.shipped


def _may_merge(part: PartDetail, other: PartDetail) -> bool:
    """Tell whether another fulfilment order of the same order is open at the same location."""
    return other.id != part.id and other.location == part.location and any(owed(line) > 0 for line in other.lines)


def _units_of(form: dict[str, str]) -> list[dict[str, Any]]:
    """Return the lines of the form that have a quantity."""
    sent = {name.removeprefix("quantity-"): text.strip() for name, text in form.items() if name.startswith("quantity-")}
    return [{"line": int(line), "quantity": text} for line, text in sent.items() if line.isdecimal() and text]


async def _places(connection: Connection, visit: Visit) -> list[str]:
    """Return the codes of the locations a visitor may choose."""
    every = await catalogue.locations(connection, catalogue.EVERYWHERE)
    return [place.code for place in every if visit.sites is None or place.code in visit.sites]


routes = [show_sourcing, assign, list_parts, show_part, change]
