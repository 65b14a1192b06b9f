"""Stock: balances with shortfalls first, as they are or as they stood."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Request, Response, get

from trueup.catalogue import read as catalogue
from trueup.catalogue.state import Location
from trueup.core.database import Connection
from trueup.core.errors import Refusal, Refused
from trueup.stock import read as stock
from trueup.stock.as_of import balances_as_of
from trueup.stock.read import StockPage, StockQuery
from trueup.web.console.visit import Visit, enter

SHORTFALLS_FIRST = 10


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
    as_of = as_of_said(visit)
    on_top = query.short is None and query.cursor is None and as_of is None
    async with visit.reading() as connection:
        page = await balances_at(connection, visit, query, as_of)
        shortfalls = StockQuery(search=query.search, location=query.location, short=True, limit=SHORTFALLS_FIRST)
        short = await balances_at(connection, visit, shortfalls, None) if on_top else None
        places = shown_places(visit, await catalogue.locations(connection))
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


def shown_places(visit: Visit, places: tuple[Location, ...]) -> tuple[Location, ...]:
    """Return the locations of the visitor's part of the organisation."""
    return tuple(place for place in places if visit.sites is None or place.code in visit.sites)


def as_of_said(visit: Visit) -> datetime | None:
    """Return the time the visitor asks about; without a zone it is in UTC, as every time that the console shows."""
    said = visit.params.get("as_of")
    if said is None:
        return None
    at = utc(said)
    if at is None:
        raise Refused(
            Refusal("stock.as_of", f"{said[:40]!r} is not a time.", "Write it as 2026-03-01T10:00.", "as_of", said[:40])
        )
    return at


def utc(said: str) -> datetime | None:
    """Read a time that somebody wrote, in UTC where it names no zone; None for what is no time."""
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


async def balances_at(connection: Connection, visit: Visit, query: StockQuery, as_of: datetime | None) -> StockPage:
    """Return balances as they are, or as they stood."""
    if as_of is None:
        return await stock.balances(connection, visit.standing.policies, query, visit.now, visit.sites)
    return await balances_as_of(connection, msgspec.structs.replace(query, as_of=as_of), visit.now, visit.sites)


routes = [list_stock]
