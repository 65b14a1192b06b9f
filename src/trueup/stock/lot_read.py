"""Which lots and serial numbers there are of an item, where, and until when they are good."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import Limit, bounded


class LotQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The lots of an item (any key), or all that expire before a day, first expired first. location: a code."""

    sku: str | None = None
    location: str | None = None
    expires_before: date | None = None
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


async def lots(
    connection: Connection, query: LotQuery, now: datetime, sites: frozenset[str] | None = None
) -> tuple[LotRow, ...]:
    """Return lots that have units, first expired first. sites: codes that may be shown; None is every one."""
    rows = await connection.execute(
        """select i.id, i.sku, l.code, s.lot, s.serial, s.expires_on, coalesce(s.expires_on < %s, false), s.on_hand,
            s.held, s.allocated
        from stock_lot s join item i on i.id = s.item join location l on l.id = s.location
        where s.on_hand + s.held > 0 and (%s::text is null or s.item = (select item from item_key where key = %s))
            and (%s::text is null or l.code = %s) and (%s::date is null or s.expires_on < %s)
            and (%s::text[] is null or l.code = any(%s::text[]))
        order by s.expires_on nulls last, i.sku, l.code, s.lot limit %s""",
        [
            now.date(), query.sku, query.sku, query.location, query.location, query.expires_before,
            query.expires_before, *[None if sites is None else sorted(sites)] * 2, bounded(query.limit),
        ],
    )  # fmt: skip
    return tuple(LotRow(*row) for row in await rows.fetchall())
