"""Stock: balances with shortfalls first, and why so much of an item is available where; receipts and adjustments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from trueup.catalogue import read as catalogue
from trueup.catalogue.state import Location
from trueup.core.database import Connection
from trueup.core.errors import Refusal, Refused
from trueup.stock import read as stock
from trueup.stock.as_of import balances_as_of
from trueup.stock.read import StockPage, StockQuery
from trueup.stock.receive import AdjustStock, ReceiveStock
from trueup.web.console.visit import Visit, enter, unknown

SHORTFALLS_FIRST = 10
CLAIMS_SHOWN = 25


@get("/stock")
async def list_stock(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show balances by SKU; unless filtered, what is short or owed stands on top."""
    visit = await enter(request, scoped=True)
    params = visit.params
    query = StockQuery(
        search=params.get("q"),
        location=params.get("location"),
        short=visit.flag("short"),
        cursor=params.get("cursor"),
    )
    as_of = _as_of(visit)
    on_top = query.short is None and query.cursor is None and as_of is None
    async with visit.reading() as connection:
        page = await _balances(connection, visit, query, as_of)
        shortfalls = StockQuery(search=query.search, location=query.location, short=True, limit=SHORTFALLS_FIRST)
        short = await _balances(connection, visit, shortfalls, None) if on_top else None
        places = _shown(visit, await catalogue.locations(connection))
    return await visit.show(
        "stock.html",
        section="/stock",
        title="Stock",
        balances=page.items,
        next=page.next,
        short=short.items if short else (),
        short_more=bool(short and short.next),
        places_there=[(place.code, place.code) for place in places],
        filtered=any(params.get(name) for name in ("q", "location", "short")),
        as_of=as_of,
    )


@get("/stock/{sku:path}")
async def show_stock(request: Request[Any, Any, Any], sku: FromPath[str]) -> Response[Any]:
    """Show one item's stock at each location, and how each figure comes about; a SKU may have slashes in it."""
    return await _stock_page(await enter(request, scoped=True), sku[1:])


@post("/stock/{sku:path}")
async def post_fact(request: Request[Any, Any, Any], sku: FromPath[str]) -> Response[Any]:
    """Post a receipt or an adjustment of one item, as the field `fact` says."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    return await (_receive if form.get("fact") == "receive" else _adjust)(visit, sku[1:], form)


def _shown(visit: Visit, places: tuple[Location, ...]) -> tuple[Location, ...]:
    """Return the locations of the visitor's part of the organisation."""
    return tuple(place for place in places if visit.sites is None or place.code in visit.sites)


async def _receive(visit: Visit, sku: str, form: dict[str, str]) -> Response[Any]:
    body = {"location": form.get("location", ""), "reference": form.get("reference", ""),
            "lines": [{"sku": sku, "quantity": form.get("quantity", "").strip()}]}  # fmt: skip
    outcome = await visit.submit(ReceiveStock, body, form)
    if outcome.refusal is not None:
        return await _stock_page(visit, sku, outcome.refusal, form, "receive")
    return visit.done(visit.path_of("stock", sku), form)


async def _adjust(visit: Visit, sku: str, form: dict[str, str]) -> Response[Any]:
    # A typographic minus is a minus.
    change = form.get("change", "").strip().replace("\u2212", "-")
    body = {"sku": sku, "change": change, **{name: form.get(name, "") for name in ("location", "reason", "reference")}}
    outcome = await visit.submit(AdjustStock, body, form)
    if outcome.refusal is not None:
        return await _stock_page(visit, sku, outcome.refusal, form, "adjust")
    return visit.done(visit.path_of("stock", sku), form)


async def _stock_page(
    visit: Visit, sku: str, refusal: Refusal | None = None, entered: dict[str, str] | None = None, opened: str = ""
) -> Response[Any]:
    async with visit.reading() as connection:
        found = await catalogue.item(connection, sku)
        if found is None:
            raise unknown(f"No item answers to {sku!r}.")
        item = found.item
        as_of = _as_of(visit)
        places = await stock.everywhere(connection, visit.standing.policies, item.sku, visit.now, visit.sites)
        if as_of is not None:
            places = (await _balances(connection, visit, StockQuery(item=item.id, limit=100), as_of)).items
        claims = {
            place.location: await stock.claims(connection, item.id, place.location, visit.now, CLAIMS_SHOWN)
            for place in places[:20]
        }
        moves = await stock.movements(connection, item.id, visit.params.get("cursor"), sites=visit.sites)
        locations = _shown(visit, await catalogue.locations(connection))
    return await visit.show(
        "stock_item.html",
        section="/stock",
        title=f"Stock of {item.sku}",
        item=item,
        places=places,
        as_of=as_of,
        claims={place.location: claims.get(place.location, ()) for place in places},
        movements=moves.items,
        next=moves.next,
        locations=locations,
        refusal=refusal,
        entered=entered or {},
        opened=opened,
    )


def _as_of(visit: Visit) -> datetime | None:
    """Return the time the visitor asks about; without a zone it is in UTC, as every time that the console shows."""
    said = visit.params.get("as_of")
    if said is None:
        return None
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        raise Refused(
            Refusal("stock.as_of", f"{said[:40]!r} is not a time.", "Write it as 2026-03-01T10:00.", "as_of", said[:40])
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


async def _balances(connection: Connection, visit: Visit, query: StockQuery, as_of: datetime | None) -> StockPage:
    if as_of is None:
        return await stock.balances(connection, visit.standing.policies, query, visit.now, visit.sites)
    return await balances_as_of(connection, msgspec.structs.replace(query, as_of=as_of), visit.now, visit.sites)


routes = [list_stock, show_stock, post_fact]
