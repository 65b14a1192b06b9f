"""What everybody else may ask about freezes: the list, one with what waits for its thaw, and its snapshot."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.stock.freeze_state import COLUMNS, Freeze, Life, freeze_of

INTENTS_MAX = 200


class FreezeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which freezes. location: a site's code. live: only those that are neither over nor called off."""

    location: str | None = None
    live: bool = False
    cursor: str | None = None
    limit: Limit = 50


class FreezeRow(msgspec.Struct, frozen=True):
    """One freeze, and the stage it is in at the time of reading."""

    id: str
    life: Life
    freeze: Freeze


class IntentRow(msgspec.Struct, frozen=True):
    """A movement that waits, or waited. verb, body: its command. ending, detail: how it ended; None while it waits."""

    number: int
    actor: str
    verb: str
    fact: bool
    body: str
    at: datetime
    settled_at: datetime | None
    ending: str | None
    detail: str | None


class FreezeDetail(msgspec.Struct, frozen=True):
    """One freeze with the SKUs it is about (none is all), and the first INTENTS_MAX movements that waited, in order."""

    id: str
    life: Life
    freeze: Freeze
    skus: tuple[str, ...]
    intents: tuple[IntentRow, ...]
    version: int


class KeptBalance(msgspec.Struct, frozen=True):
    """A balance as it was when the freeze started, and as it is now, in units."""

    sku: str
    on_hand: Decimal
    reserved: Decimal
    allocated: Decimal
    safety: Decimal
    damaged: Decimal
    quality: Decimal
    quarantined: Decimal
    on_hand_now: Decimal


FreezePage = Page[FreezeRow]
SnapshotPage = Page[KeptBalance]
_SELECT = f"select {', '.join(COLUMNS)} from stock_freeze"


async def freezes(
    connection: Connection, query: FreezeQuery, now: datetime, sites: frozenset[str] | None = None
) -> FreezePage:
    """Return one page of freezes, last announced first. sites: codes that may be shown; None is every one."""
    conditions, parameters = ["true"], list[Any]()
    if query.location is not None:
        conditions.append("site = %s")
        parameters.append(query.location)
    if sites is not None:
        conditions.append("site = any(%s)")
        parameters.append(sorted(sites))
    if query.live:
        conditions.append("cancelled_at is null and ((thawed_at is null and to_at > %s) or settled < intents)")
        parameters.append(now)
    if query.cursor is not None:
        conditions.append("(announced_at, id) < (%s, %s)")
        parameters += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    cursor = await connection.execute(
        f"{_SELECT} where {' and '.join(conditions)} order by announced_at desc, id desc limit %s",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [freeze_of(row) for row in await cursor.fetchall()]
    rows = [FreezeRow(freeze.id, freeze.life(now), freeze) for freeze in found]
    return page_of(rows, limit, lambda row: write_cursor(row.freeze.announced_at, row.id))


async def freeze(
    connection: Connection, id_: str, now: datetime, sites: frozenset[str] | None = None
) -> FreezeDetail | None:
    """Return one freeze with what waits; None where there is none, or it is of a site that may not be shown."""
    row = await (await connection.execute(f"{_SELECT} where id = %s", [id_])).fetchone()
    if row is None:
        return None
    found = freeze_of(row)
    if sites is not None and found.site not in sites:
        return None
    skus = await connection.execute("select sku from item where id = any(%s) order by sku", [list(found.items)])
    intents = await connection.execute(
        """select number, actor, verb, fact, body, at, settled_at, ending, detail from stock_intent
        where freeze_id = %s order by settled_at is not null, fact, number limit %s""",
        [id_, INTENTS_MAX],
    )
    return FreezeDetail(
        found.id,
        found.life(now),
        found,
        tuple(sku for (sku,) in await skus.fetchall()),
        tuple(IntentRow(*columns) for columns in await intents.fetchall()),
        found.version,
    )


async def snapshot(
    connection: Connection, id_: str, cursor: str | None = None, limit: int = 50, sites: frozenset[str] | None = None
) -> SnapshotPage:
    """Return one page of a freeze's snapshot by SKU, beside what is on hand now."""
    after = read_cursor(cursor, (str,)) if cursor is not None else [""]
    found = await connection.execute(
        """select i.sku, s.on_hand, s.reserved, s.allocated, s.safety, s.damaged, s.quality, s.quarantined,
            coalesce(b.on_hand, 0)
        from stock_freeze_balance s join stock_freeze f on f.id = s.freeze_id join item i on i.id = s.item
        left join stock_balance b on b.item = s.item and b.location = s.location
        where s.freeze_id = %s and i.sku > %s and (%s::text[] is null or f.site = any(%s::text[]))
        order by i.sku limit %s""",
        [id_, *after, *([sorted(sites) if sites is not None else None] * 2), bounded(limit) + 1],
        prepare=False,
    )
    rows = [KeptBalance(*row) for row in await found.fetchall()]
    return page_of(rows, bounded(limit), lambda row: write_cursor(row.sku))
