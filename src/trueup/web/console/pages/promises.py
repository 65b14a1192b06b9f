"""Ask for a promise: what a basket can have where, when it is delivered by which method, where collected, and why.

The question is the address, so that it can be shared; nothing is written.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, get

from trueup.authority.standing import outside
from trueup.core import json
from trueup.core.errors import Refusal, Refused
from trueup.orders import read as orders
from trueup.stock import promising
from trueup.stock.promise import PromisedPickup
from trueup.stock.promising import Available, Basket, Promised
from trueup.web.console.visit import Visit, enter

ROWS, ROWS_MAX = 4, 40
PLACES_SHOWN = 100


class Standing(msgspec.Struct, frozen=True):
    """A location's part of the answer: of each item the units free now and the day they are; date: of the basket."""

    location: str
    items: tuple[tuple[Decimal, date | None], ...]
    date: date | None


@get("/promises")
async def ask(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the question, and its answer where the address asks one."""
    visit = await enter(request, scoped=True)
    rows = _rows(visit.params)
    refusal: Refusal | None = None
    available: Available | None = None
    promised: Promised | None = None
    async with visit.reading() as connection:
        if any(row["sku"] for row in rows):
            try:
                basket = _basket(visit, rows)
                policies, shelves = visit.standing.policies, visit.site.shelves
                available = await promising.available(connection, basket, policies, visit.now, shelves)
                promised = await promising.promise(connection, basket, policies, visit.now, shelves)
            except Refused as error:
                refusal = error.refusal
        channels = (await orders.choices(connection))["channel"]
    return await visit.show(
        "promises.html",
        section="/stock",
        title="Ask for a promise",
        rows=rows,
        channels=[name for name in channels if visit.channels is None or name in visit.channels],
        available=available,
        places=_standing(available) if available else (),
        promised=promised,
        stores=_stores(promised) if promised else (),
        shown=PLACES_SHOWN,
        unscoped=visit.scope is None,
        refusal=refusal,
    )


def _rows(params: dict[str, str]) -> list[dict[str, str]]:
    """Return the lines of the question, and empty ones to fill in: always two at least, four at first."""
    asked = [
        {"sku": params.get(f"sku-{at}", "").strip(), "quantity": params.get(f"quantity-{at}", "").strip()}
        for at in range(ROWS_MAX)
    ]
    filled = [row for row in asked if row["sku"] or row["quantity"]]
    empty = max(ROWS - len(filled), 2)
    return (filled + [{"sku": "", "quantity": ""} for _ in range(empty)])[:ROWS_MAX]


def _basket(visit: Visit, rows: list[dict[str, str]]) -> Basket:
    """Read the question; units left empty are one. Raises Refused for what is no basket."""
    body: dict[str, Any] = {
        "lines": [{"sku": row["sku"], "quantity": row["quantity"] or "1"} for row in rows if row["sku"]],
        "country": visit.params.get("country", "").strip().upper(),
        "postcode": visit.params.get("postcode", "").strip(),
        "channel": visit.params.get("channel", "").strip(),
    }
    if visit.sites is not None:
        if not visit.sites:
            raise Refused(outside(visit.actor))
        body["locations"] = sorted(visit.sites)
    try:
        return json.convert({name: value for name, value in body.items() if value}, Basket)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        fix = "Correct the field and ask again."
        raise Refused(Refusal("form.invalid", f"{what}.", fix, where.strip(".`"))) from None


def _standing(found: Available) -> tuple[Standing, ...]:
    """Turn the answer to one row per location: those that have all of it first, the soonest on top."""
    rows = [
        Standing(code, tuple((item.available[at], item.dates[at]) for item in found.items), found.dates[at])
        for at, code in enumerate(found.locations)
    ]
    return tuple(sorted(rows, key=lambda row: (row.date is None, row.date or date.max, row.location)))


def _stores(found: Promised) -> tuple[PromisedPickup, ...]:
    """Return the stores that hand over, the soonest first; those that never have all of it come last."""
    soonest = sorted(found.pickup, key=lambda store: (store.ready_on or date.max, store.location))
    return tuple(soonest)


routes = [ask]
