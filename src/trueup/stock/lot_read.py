"""Which lots and serial numbers there are of an item, where, until when they are good, and who is to get them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor

CLAIM_ROWS_READ_MAX = 1000
LotPlace = tuple[str, str, str]


class LotQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which lots. sku: any key of an item. location: a code. lot: the whole name, or a serial number.

    expires_before: a day; lots without a date are left out. expired: past their date, or not. cursor: `next` of the
    page before.
    """

    sku: str | None = None
    location: str | None = None
    lot: str | None = None
    expires_before: date | None = None
    expired: bool | None = None
    cursor: str | None = None
    limit: Limit = 100


class LotRow(msgspec.Struct, frozen=True):
    """Units of one lot (`?`: unidentified) at one location. held: damaged, in quality control or quarantined."""

    item: str
    sku: str
    location: str
    lot: str
    serial: bool
    expires_on: date | None
    expired: bool
    on_hand: Decimal
    held: Decimal
    allocated: Decimal
    damaged: Decimal
    quality: Decimal
    quarantined: Decimal

    def place(self) -> LotPlace:
        """Return what it is found by: the item's id, the location's code, the lot."""
        return self.item, self.location, self.lot


class LotHolder(msgspec.Struct, frozen=True):
    """Units of a lot that are allocated to a holder (`ord_...`)."""

    holder: str
    quantity: Decimal


LotPage = Page[LotRow]
_NO_DATE = date.max


async def lots(connection: Connection, query: LotQuery, now: datetime, sites: frozenset[str] | None = None) -> LotPage:
    """Return one page of lots that have units, first expired first. sites: codes that may be shown; None is all."""
    conditions = ["s.on_hand + s.held > 0"]
    parameters: list[Any] = [now.date()]
    named: tuple[tuple[str, Any], ...] = (
        ("s.item = (select item from item_key where key = %s)", query.sku),
        ("l.code = %s", query.location),
        ("s.lot = %s", query.lot),
        ("s.expires_on < %s", query.expires_before),
        ("coalesce(s.expires_on < %s, false)", now.date() if query.expired else None),
        ("coalesce(s.expires_on >= %s, true)", now.date() if query.expired is False else None),
        ("l.code = any(%s::text[])", None if sites is None else sorted(sites)),
    )
    for condition, value in named:
        if value is not None:
            conditions.append(condition)
            parameters.append(value)
    if query.cursor is not None:
        day, *rest = read_cursor(query.cursor, (datetime, str, str, str))
        conditions.append("(coalesce(s.expires_on, %s), i.sku, l.code, s.lot) > (%s, %s, %s, %s)")
        parameters += [_NO_DATE, day.date(), *rest]
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"""select i.id, i.sku, l.code, s.lot, s.serial, s.expires_on, coalesce(s.expires_on < %s, false), s.on_hand,
            s.held, s.allocated, s.damaged, s.quality, s.quarantined
        from stock_lot s join item i on i.id = s.item join location l on l.id = s.location
        where {" and ".join(conditions)}
        order by coalesce(s.expires_on, %s), i.sku, l.code, s.lot limit %s""",
        [*parameters, _NO_DATE, limit + 1],
        prepare=False,
    )
    found = [LotRow(*row) for row in await rows.fetchall()]
    return page_of(found, limit, _cursor_of)


async def holders(connection: Connection, rows: Sequence[LotRow]) -> dict[LotPlace, tuple[LotHolder, ...]]:
    """Return who the units of these lots are allocated to, by `LotRow.place()`; lots of which none is are left out.

    Looks through the newest CLAIM_ROWS_READ_MAX claim rows of each place: older ones stand on their order's page.
    """
    asked = [row.place() for row in rows if row.allocated]
    if not asked:
        return {}
    found = await connection.execute(
        """select w.item, w.code, w.lot, c.holder, sum(c.quantity)
        from unnest(%s::text[], %s::text[], %s::text[]) as w (item, code, lot) join location l using (code)
        cross join lateral (
            select distinct r.holder, r.line from (
                select c.holder, c.line, c.lot, c.kind from stock_claim c
                where c.item = w.item and c.location = l.id order by c.at desc limit %s
            ) r where r.lot = w.lot and r.kind = 'allocation'
        ) n
        join stock_claim c on c.holder = n.holder and c.line = n.line and c.item = w.item and c.location = l.id
            and c.lot = w.lot and c.kind = 'allocation'
        group by w.item, w.code, w.lot, c.holder having sum(c.quantity) > 0
        order by w.item, w.code, w.lot, min(c.at), c.holder""",
        [*([place[at] for place in asked] for at in range(3)), CLAIM_ROWS_READ_MAX],
    )
    held: dict[LotPlace, tuple[LotHolder, ...]] = {}
    for item, code, lot, holder, units in await found.fetchall():
        held[item, code, lot] = (*held.get((item, code, lot), ()), LotHolder(holder, units))
    return held


def _cursor_of(row: LotRow) -> str:
    day = datetime.combine(row.expires_on or _NO_DATE, time(), UTC)
    return write_cursor(day, row.sku, row.location, row.lot)
