"""Lots and serial numbers over all items, first expired first: who is to get their units, and what is past its date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from litestar import Request, Response, get, post

from trueup.catalogue import read as catalogue
from trueup.core.errors import Refusal, Refused
from trueup.orders import read_names
from trueup.stock import lot_read
from trueup.stock.lot_read import LotQuery
from trueup.stock.lots import ExpireLots, due_to_expire
from trueup.web.console.pages.stock import shown_places
from trueup.web.console.visit import Visit, enter

LOTS_SHOWN = 50
DAYS_MAX = 3650
_FILTERS = ("sku", "lot", "location", "expired", "days")


class Sweep(msgspec.Struct, frozen=True):
    """What lies on hand past its date at a location (a code): the SKUs, as one command would take them."""

    location: str
    skus: Sequence[str]


@get("/lots")
async def list_lots(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show one page of lots that have units, first expired first."""
    return await _page(await enter(request, scoped=True))


@post("/lots/expire")
async def expire(request: Request[Any, Any, Any]) -> Response[Any]:
    """Move what is past its date at a location into quarantine, of the SKUs that the page named."""
    visit = await enter(request, scoped=True)
    form = await visit.form()
    skus = [value for name, value in form.items() if name.startswith("sku-")]
    outcome = await visit.submit(ExpireLots, {"location": form.get("location", ""), "skus": skus}, form)
    if outcome.refusal is not None:
        return await _page(visit, outcome.refusal)
    return visit.done("/lots", form)


async def _page(visit: Visit, refusal: Refusal | None = None) -> Response[Any]:
    params = visit.params
    days = _days(visit)
    query = LotQuery(
        sku=params.get("sku"),
        location=params.get("location"),
        lot=params.get("lot"),
        expired=visit.flag("expired"),
        # Within no days is today, the last good day of what expires on it.
        expires_before=None if days is None else visit.now.date() + timedelta(days=days + 1),
        cursor=params.get("cursor"),
        limit=LOTS_SHOWN,
    )
    async with visit.reading() as connection:
        page = await lot_read.lots(connection, query, visit.now, visit.sites)
        holders = await lot_read.holders(connection, page.items)
        orders = [held.holder for lot in holders.values() for held in lot]
        names = await read_names.names(connection, orders, visit.channels)
        swept = [command for _, command in await due_to_expire(connection, visit.now)]
        places = shown_places(visit, await catalogue.locations(connection))
    return await visit.show(
        "lots.html",
        section="/stock",
        title="Lots",
        lots=page.items,
        next=page.next,
        holders=holders,
        names=names,
        sweeps=[Sweep(c.location, c.skus) for c in swept if visit.sites is None or c.location in visit.sites],
        places_there=[(place.code, place.code) for place in places],
        filtered=any(params.get(name) for name in _FILTERS),
        refusal=refusal,
    )


def _days(visit: Visit) -> int | None:
    said = visit.params.get("days", "").strip()
    if not said:
        return None
    if not (said.isascii() and said.isdecimal() and int(said[:5]) <= DAYS_MAX):
        raise Refused(
            Refusal("stock.days", f"{said[:40]!r} is no number of days.", f"Write a whole number up to {DAYS_MAX}.",
                    "days", said[:40])
        )  # fmt: skip
    return int(said)


routes = [list_lots, expire]
