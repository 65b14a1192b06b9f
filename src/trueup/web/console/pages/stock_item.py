"""One item's stock: why so much is available where, its lots and who claims it; and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.catalogue import read as catalogue
from trueup.catalogue.state import Item
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.quantity import ZERO
from trueup.core.verb import Command
from trueup.orders import read_names
from trueup.stock import lot_read, supply_read
from trueup.stock import read as stock
from trueup.stock.buckets import RestateStock
from trueup.stock.kits import AssembleKits, DisassembleKits
from trueup.stock.lot_read import LotHolder, LotPage, LotPlace, LotQuery, LotRow
from trueup.stock.lots import ExpireLots
from trueup.stock.read import Availability, OpenClaimRow, StockQuery
from trueup.stock.reasons import AdjustmentReasons
from trueup.stock.receive import AdjustStock, ReceiveStock, SetSafetyStock
from trueup.stock.reserve import ReleaseReservation, ReserveStock
from trueup.stock.supply_read import Explained
from trueup.web.console import words
from trueup.web.console.pages.stock import as_of_said, balances_at, shown_places, utc
from trueup.web.console.visit import Visit, enter, unknown

PLACES_EXPLAINED = 6
CLAIMS_SHOWN = 25
LOTS_SHOWN = 25
LOTS_PER_FORM = 4

Form = dict[str, str]
Body = dict[str, Any]


class PlaceShown(msgspec.Struct, frozen=True):
    """One location's part of the page. explained: None for a time that is past, and so are there no lots."""

    balance: Availability
    explained: Explained | None
    lots: LotPage
    claims: tuple[OpenClaimRow, ...]

    @property
    def expired(self) -> tuple[LotRow, ...]:
        """The lots past their date that still lie on hand."""
        return tuple(lot for lot in self.lots.items if lot.expired and lot.on_hand)


class KitPlace(msgspec.Struct, frozen=True):
    """How many kits could be made at a location (a code), and of what."""

    location: str
    could_make: Decimal
    parts: tuple[Decimal, ...]


class KitShown(msgspec.Struct, frozen=True):
    """What one kit takes: (SKU, name, units) of each component; and what of that is available where."""

    parts: tuple[tuple[str, str, Decimal], ...]
    places: tuple[KitPlace, ...]


@get("/stock/{sku:path}")
async def show_stock(request: Request[Any, Any, Any], sku: FromPath[str]) -> Response[Any]:
    """Show one item's stock at each location, and how each figure comes about; a SKU may have slashes in it."""
    return await _page(await enter(request, scoped=True), sku[1:])


@post("/stock/{sku:path}")
async def act(request: Request[Any, Any, Any], sku: FromPath[str]) -> Response[Any]:
    """Do what the field `fact` of a form says about one item."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    fact = form.get("fact", "")
    if fact not in _FORMS:
        raise unknown("There is no such form for an item's stock.")
    command, body = _FORMS[fact](sku[1:], form)
    outcome = await visit.submit(command, body, form)
    if outcome.refusal is not None:
        return await _page(visit, sku[1:], outcome.refusal, form, fact)
    return visit.done(visit.path_of("stock", sku[1:]), form, location=visit.params.get("location", ""))


def _receive(sku: str, form: Form) -> tuple[type[Command], Body]:
    line = _said(form, "quantity", "unit", "status")
    serials = [line.strip() for line in form.get("serials", "").splitlines() if line.strip()]
    lots = [_without_empty({"lot": number, "expires_on": form.get("serials_expire", "")}) for number in serials]
    if serials and not line["quantity"]:
        line["quantity"] = str(len(serials))
    written = [_said(form, *(f"{name}-{at}" for name in ("lot", "units", "expires"))) for at in range(LOTS_PER_FORM)]
    rows = [tuple(row.values()) for row in written if any(row.values())]
    for lot, units, expires in rows:
        # The only lot of a receipt is all of it; of several each says how much, or is refused.
        units = units or (line["quantity"] if len(rows) == 1 else "")
        lots.append({"lot": lot, "quantity": units, **_without_empty({"expires_on": expires})})
    body = _said(form, "location", "reference")
    return ReceiveStock, {**body, "lines": [{"sku": sku, **_without_empty(line), "lots": lots}]}


def _adjust(sku: str, form: Form) -> tuple[type[Command], Body]:
    # A typographic minus is a minus.
    change = form.get("change", "").strip().replace("\u2212", "-")
    body = _said(form, "location", "reason", "reference", "status", "lot")
    return AdjustStock, {"sku": sku, "change": change, **body}


def _restate(sku: str, form: Form) -> tuple[type[Command], Body]:
    names = ("location", "quantity", "unit", "from_status", "to_status", "reason", "reference", "lot")
    return RestateStock, {"sku": sku, **_said(form, *names), "reported": form.get("reported") == "1"}


def _reserve(sku: str, form: Form) -> tuple[type[Command], Body]:
    until = form.get("expires_at", "")
    line = {"sku": sku, **_said(form, "quantity")}
    return ReserveStock, {**_said(form, "location"), "lines": [line], "expires_at": utc(until) or until}


_FORMS: dict[str, Callable[[str, Form], tuple[type[Command], Body]]] = {
    "receive": _receive,
    "adjust": _adjust,
    "restate": _restate,
    "expire": lambda sku, form: (ExpireLots, {**_said(form, "location"), "skus": [sku]}),
    "assemble": lambda sku, form: (AssembleKits, {"sku": sku, **_said(form, "location", "quantity", "reference")}),
    "disassemble": lambda sku, form: (
        DisassembleKits,
        {"sku": sku, **_said(form, "location", "quantity", "reference")},
    ),
    "reserve": _reserve,
    "release": lambda sku, form: (ReleaseReservation, _said(form, "reservation")),
    "safety": lambda sku, form: (SetSafetyStock, {"sku": sku, **_said(form, "location", "quantity")}),
}


def _said(form: Form, *names: str) -> dict[str, str]:
    return {name: form.get(name, "").strip() for name in names}


def _without_empty(fields: dict[str, str]) -> Body:
    return {name: value for name, value in fields.items() if value}


async def _page(
    visit: Visit, sku: str, refusal: Refusal | None = None, entered: Form | None = None, opened: str = ""
) -> Response[Any]:
    as_of, only = as_of_said(visit), visit.params.get("location")
    async with visit.reading() as connection:
        found = await catalogue.item(connection, sku)
        if found is None:
            raise unknown(f"No item answers to {sku!r}.")
        item = found.item
        places = await _places(connection, visit, item, as_of)
        explained = _explained_here(places, only)
        shown = [await _shown(connection, visit, item, place, as_of) for place in explained]
        lots = [lot for place in shown for lot in place.lots.items]
        moves = await stock.movements(connection, item.id, visit.params.get("cursor"), sites=visit.sites)
        locations = shown_places(visit, await catalogue.locations(connection))
        kit = await _kit(connection, visit, item) if item.components and as_of is None else None
        holders = await lot_read.holders(connection, lots)
        names = await read_names.names(connection, _who(shown, holders), visit.channels)
    return await visit.show(
        "stock_item.html",
        section="/stock",
        title=f"Stock of {item.sku}",
        item=item,
        here=visit.link(as_of=None, cursor=None) if only else visit.path_of("stock", item.sku),
        places=places,
        only=only,
        as_of=as_of,
        shown=shown,
        holders=_by_lot(holders),
        names=names,
        kit=kit,
        movements=moves.items,
        next=moves.next,
        **_choices(visit, locations, lots),
        refusal=refusal,
        entered=entered or {},
        opened=opened,
    )


def _choices(visit: Visit, locations: Sequence[Any], lots: Sequence[LotRow]) -> dict[str, Any]:
    """Return what the forms offer to choose from."""
    reasons = visit.standing.policies.get(AdjustmentReasons).reasons
    return {
        "locations": [place.code for place in locations],
        "statuses": [(status, word.text) for status, word in words.BUCKET.items()],
        "reason_names": [("", "choose one"), *((code, words.readable(code)) for code in sorted(reasons))],
        "lot_names": sorted({lot.lot for lot in lots if lot.lot != "?"}),
        "lots_per_form": LOTS_PER_FORM,
    }


async def _places(connection: Connection, visit: Visit, item: Item, as_of: datetime | None) -> Sequence[Availability]:
    if as_of is not None:
        return (await balances_at(connection, visit, StockQuery(item=item.id, limit=100), as_of)).items
    return await stock.everywhere(connection, visit.standing.policies, item.sku, visit.now, visit.sites)


def _explained_here(places: Sequence[Availability], only: str | None) -> list[Availability]:
    """Return the locations that the page explains: the one asked for, or as many as stay readable, empty ones last."""
    if only is not None:
        return [place for place in places if place.location == only]
    if len(places) <= PLACES_EXPLAINED:
        return list(places)
    return sorted(places, key=_is_empty)[:PLACES_EXPLAINED]


def _is_empty(place: Availability) -> bool:
    held = (place.on_hand, place.owed, place.damaged, place.quality, place.quarantined, place.in_transit)
    return not any(held) and not place.available


async def _shown(
    connection: Connection, visit: Visit, item: Item, place: Availability, as_of: datetime | None
) -> PlaceShown:
    claims = await stock.claims(connection, item.id, place.location, visit.now, CLAIMS_SHOWN)
    if as_of is not None:
        return PlaceShown(place, None, LotPage(items=()), claims)
    policies = visit.standing.policies
    explained = await supply_read.explain(connection, policies, item.sku, place.location, visit.now)
    lots = LotPage(items=())
    if item.tracking != "none":
        query = LotQuery(sku=item.sku, location=place.location, limit=LOTS_SHOWN)
        lots = await lot_read.lots(connection, query, visit.now, visit.sites)
    return PlaceShown(place, explained, lots, claims)


async def _kit(connection: Connection, visit: Visit, item: Item) -> KitShown:
    """Return what a kit needs and how many could be made; only what is available goes into kits."""
    parts: list[tuple[str, str, Decimal]] = []
    available: list[dict[str, Decimal]] = []
    for component in item.components:
        part = await catalogue.item(connection, component.item)
        assert part is not None, "a kit is registered with items that are there"
        parts.append((part.item.sku, part.item.name, component.quantity))
        found = await stock.everywhere(connection, visit.standing.policies, part.item.sku, visit.now, visit.sites)
        available.append({place.location: max(place.available, ZERO) for place in found})
    places = []
    for code in sorted({code for there in available for code in there}):
        there = tuple(units.get(code, ZERO) for units in available)
        makes = min(units // per_kit for units, (_, _, per_kit) in zip(there, parts, strict=True))
        places.append(KitPlace(code, makes, there))
    return KitShown(tuple(parts), tuple(places))


def _who(shown: Sequence[PlaceShown], holders: dict[LotPlace, tuple[LotHolder, ...]]) -> list[str]:
    claims = [claim.holder for place in shown for claim in place.claims]
    return claims + [held.holder for lot in holders.values() for held in lot]


def _by_lot(holders: dict[LotPlace, tuple[LotHolder, ...]]) -> dict[tuple[str, str], tuple[LotHolder, ...]]:
    return {(location, lot): held for (_, location, lot), held in holders.items()}


routes = [show_stock, act]
