"""What everybody else may ask about stock: balances, what can be promised and why, claims and movements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, prefix_range, read_cursor, write_cursor
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, plain
from trueup.stock.asking import in_words, stock_at, words_of
from trueup.stock.rows import EXPIRY
from trueup.stock.state import Balance, Place, Stock

CLAIM_ROWS_READ_MAX = 1000


class StockQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which balances. search: the beginning of a SKU or alias. location: a code. item: id.

    short: only where claims and safety stock are more than is on hand, or something is owed. as_of: as the ledgers
    stood then, with a zone; None is now. cursor: `next` of the page before.
    """

    search: str | None = None
    location: str | None = None
    item: str | None = None
    short: bool | None = None
    as_of: datetime | None = None
    cursor: str | None = None
    limit: Limit = 50


class Availability(msgspec.Struct, frozen=True):
    """What may still be promised of one item at one location, in units, and how it comes about.

    available = on_hand - expired_lots - reserved - allocated - safety - waiting - kept, or what a freeze lets be sold
    where that is less: what a request of no channel in particular gets. reserved: claims that count. expired: claims
    that ended and are not written off yet; they do not count. owed: promised and no longer covered, since a fact took
    stock away. waiting: for those who wait for stock without a date. kept: for channels, and as confidence buffer.
    damaged, quality, quarantined: there, and not promised. in_transit: shipped here from other locations.
    A phantom kit has only `available`: as many as its components make. A past time's knows neither waiting nor kept.
    """

    item: str
    sku: str
    name: str
    location: str
    location_name: str
    on_hand: Decimal
    reserved: Decimal
    expired: Decimal
    allocated: Decimal
    safety: Decimal
    owed: Decimal
    available: Decimal
    version: int
    explanation: str
    damaged: Decimal = ZERO
    quality: Decimal = ZERO
    quarantined: Decimal = ZERO
    expired_lots: Decimal = ZERO
    in_transit: Decimal = ZERO
    waiting: Decimal = ZERO
    kept: Decimal = ZERO


class OpenClaimRow(msgspec.Struct, frozen=True):
    """Units that a holder's line (`ord_...`, `rsv_...`) still claims. expires_at: None for an order's claim."""

    holder: str
    line: int
    kind: str
    quantity: Decimal
    since: datetime
    expires_at: datetime | None
    expired: bool
    lot: str = ""


class Movement(msgspec.Struct, frozen=True):
    """Units that went from one account to another; locations are codes, named where the account is `on_hand`."""

    at: datetime
    batch: str
    number: int
    quantity: Decimal
    from_account: str
    from_location: str | None
    to_account: str
    to_location: str | None
    reason: str
    reference: str


StockPage = Page[Availability]
MovementPage = Page[Movement]
# Lots that no request may have any more, and what other locations sent: of item `i` and location `l`.
_EXPIRED_LOTS = """coalesce((select sum(x.on_hand) from stock_lot x
        where x.item = i.id and x.location = l.id and x.on_hand > 0 and x.expires_on < %s), 0)"""
_IN_TRANSIT = """coalesce((select sum(x.open) from stock_transfer_line x join stock_transfer t on t.id = x.transfer
        where x.item = i.id and t.to_location = l.id and x.open > 0), 0)"""
_HELD = f"""coalesce(b.damaged, 0), coalesce(b.quality, 0), coalesce(b.quarantined, 0),
        {_EXPIRED_LOTS}, {_IN_TRANSIT}"""
_BALANCES = f"""select i.id, i.sku, i.name, l.code, l.name, b.on_hand, b.reserved, coalesce(e.expired, 0), b.allocated,
        b.safety, b.owed, b.version, {_HELD}, b.location
    from stock_balance b join item i on i.id = b.item join location l on l.id = b.location
    left join lateral (
        select sum(quantity) as expired from stock_expiring x
        where x.item = b.item and x.location = b.location and x.expires_at <= %s
    ) e on true"""


async def balances(
    connection: Connection, policies: Policies, query: StockQuery, now: datetime, sites: frozenset[str] | None = None
) -> StockPage:
    """Return one page of balances by SKU and location. Claims that expired before `now` do not count.

    sites: codes of the locations that may be shown; None is every one, here and below.
    """
    conditions, parameters = filters(query, sites)
    if query.short is not None:
        free = f"b.on_hand - b.reserved + coalesce(e.expired, 0) - b.allocated - b.safety - {_EXPIRED_LOTS}"
        conditions.append(f"{'' if query.short else 'not '}(b.owed > 0 or {free} < 0)")
        parameters.append(now.date())
    limit = bounded(query.limit)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    rows = await connection.execute(
        f"{_BALANCES} {where} order by i.sku, l.code limit %s",
        [now.date(), now, *parameters, limit + 1],
        prepare=False,
    )
    found = await _told(connection, policies, await rows.fetchall(), now)
    return page_of(found, limit, lambda row: write_cursor(row.sku, row.location))


def filters(query: StockQuery, sites: frozenset[str] | None) -> tuple[list[str], list[Any]]:
    """Return the conditions on item `i` and location `l` that a query asks for, and their parameters."""
    conditions: list[str] = []
    parameters: list[Any] = []
    if query.search is not None and query.search.strip():
        conditions.append("i.id in (select item from item_key where key >= %s and key < %s)")
        parameters += prefix_range(query.search.strip())
    if query.location is not None:
        conditions.append("l.code = %s")
        parameters.append(query.location)
    if sites is not None:
        conditions.append("l.code = any(%s::text[])")
        parameters.append(sorted(sites))
    if query.item is not None:
        conditions.append("i.id = %s")
        parameters.append(query.item)
    if query.cursor is not None:
        conditions.append("(i.sku, l.code) > (%s, %s)")
        parameters += read_cursor(query.cursor, (str, str))
    return conditions, parameters


async def availability(
    connection: Connection, policies: Policies, sku: str, location: str, now: datetime
) -> Availability | None:
    """Return what may be promised of an item (any of its keys) at a location (its code); None if either is unknown."""
    cursor = await connection.execute(
        f"""select i.id, i.sku, i.name, l.code, l.name, coalesce(b.on_hand, 0), coalesce(b.reserved, 0),
            coalesce((select sum(quantity) from stock_expiring x
                      where x.item = i.id and x.location = l.id and x.expires_at <= %s), 0),
            coalesce(b.allocated, 0), coalesce(b.safety, 0), coalesce(b.owed, 0), coalesce(b.version, 0), {_HELD},
            l.id, i.phantom
        from item_key k join item i on i.id = k.item cross join location l
        left join stock_balance b on b.item = i.id and b.location = l.id
        where k.key = %s and l.code = %s""",
        [now, now.date(), sku, location],
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    made = await _phantom(connection, policies, row[0], now, frozenset({location})) if row[-1] else ()
    return made[0] if made else (await _told(connection, policies, [row[:-1]], now))[0]


async def everywhere(
    connection: Connection, policies: Policies, sku: str, now: datetime, sites: frozenset[str] | None = None
) -> tuple[Availability, ...]:
    """Return what may be promised of an item at each location that ever had it, by location code."""
    rows = await connection.execute(
        f"""{_BALANCES} where b.item = (select item from item_key where key = %s)
            and (%s::text[] is null or l.code = any(%s::text[])) order by l.code limit 1000""",
        [now.date(), now, sku, *_both(sites)],
    )
    found = await rows.fetchall()
    if not found:
        cursor = await connection.execute(
            "select i.id from item_key k join item i on i.id = k.item where k.key = %s and i.phantom", [sku]
        )
        kit = await cursor.fetchone()
        return await _phantom(connection, policies, kit[0], now, sites) if kit else ()
    return tuple(await _told(connection, policies, found, now))


async def _phantom(
    connection: Connection, policies: Policies, kit: str, now: datetime, sites: frozenset[str] | None
) -> tuple[Availability, ...]:
    """Return how many of a phantom kit the components at each location make. Source: behaviour 14."""
    cursor = await connection.execute("select sku, name, components from item where id = %s", [kit])
    row = await cursor.fetchone()
    assert row is not None, "the caller found it"
    per_kit = {item: Decimal(quantity) for item, quantity in row[2]}
    rows = await connection.execute(
        f"""{_BALANCES} where b.item = any(%s::text[]) and (%s::text[] is null or l.code = any(%s::text[]))
        order by l.code, i.sku""",
        [now.date(), now, list(per_kit), *_both(sites)],
    )
    places: dict[str, list[Availability]] = {}
    for part in await _told(connection, policies, await rows.fetchall(), now):
        places.setdefault(part.location, []).append(part)
    return tuple(
        _made_of(kit, row[0], row[1], parts, per_kit) for parts in places.values() if len(parts) == len(per_kit)
    )


def _made_of(kit: str, sku: str, name: str, parts: list[Availability], per_kit: dict[str, Decimal]) -> Availability:
    made = min(max(part.available, ZERO) // per_kit[part.item] for part in parts)
    words = ", ".join(f"{plain(part.available)} {part.sku} at {plain(per_kit[part.item])} each" for part in parts)
    figures = (ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, made)
    place = (parts[0].location, parts[0].location_name)
    return Availability(kit, sku, name, *place, *figures, 0, f"{words} make {plain(made)} available")


async def claims(
    connection: Connection, item: str, location: str, now: datetime, limit: int = 100
) -> tuple[OpenClaimRow, ...]:
    """Return the open claims on an item (id) at a location (code), newest first.

    Looks through the newest CLAIM_ROWS_READ_MAX rows of the place: what is older stands on its holder's own page.
    """
    rows = await connection.execute(
        f"""with newest as materialized (
            select distinct holder, line from (
                select c.holder, c.line from stock_claim c
                where c.item = %s and c.location = (select id from location where code = %s)
                order by c.at desc limit %s
            ) n
        )
        select n.holder, n.line, s.kind, s.quantity, s.since, s.expires_at, s.lot
        from newest n cross join lateral (
            select kind, lot, sum(quantity) as quantity, min(at) as since, {EXPIRY} as expires_at
            from stock_claim c where c.holder = n.holder and c.line = n.line and c.item = %s
                and c.location = (select id from location where code = %s) group by kind, lot
        ) s where s.quantity > 0 order by s.since desc, n.holder desc, n.line, s.kind, s.lot limit %s""",
        [item, location, CLAIM_ROWS_READ_MAX, item, location, bounded(limit)],
    )
    found = await rows.fetchall()
    return tuple(OpenClaimRow(*[*row[:6], row[5] is not None and row[5] <= now, row[6]]) for row in found)


async def movements(
    connection: Connection, item: str, cursor: str | None = None, limit: int = 50, sites: frozenset[str] | None = None
) -> MovementPage:
    """Return one page of an item's movements, newest first; of `sites`, those from or to one of them."""
    condition = ""
    parameters: list[Any] = [item]
    if sites is not None:
        condition = "and (f.code = any(%s::text[]) or t.code = any(%s::text[]))"
        parameters += _both(sites)
    if cursor is not None:
        condition += " and (m.at, m.batch, m.number) < (%s, %s::uuid, %s)"
        parameters += read_cursor(cursor, (datetime, str, int))
    rows = await connection.execute(
        f"""select m.at, m.batch::text, m.number, m.quantity, m.from_account::text, f.code, m.to_account::text, t.code,
            m.reason, m.reference
        from stock_movement m
        left join location f on f.id = m.from_location left join location t on t.id = m.to_location
        where m.item = %s {condition} order by m.at desc, m.batch desc, m.number desc limit %s""",
        [*parameters, bounded(limit) + 1],
    )
    found = [Movement(*row) for row in await rows.fetchall()]
    return page_of(found, bounded(limit), lambda row: write_cursor(row.at, row.batch, row.number))


def _both(sites: frozenset[str] | None) -> list[Any]:
    """Return the codes as a parameter that stands twice."""
    return [None if sites is None else sorted(sites)] * 2


async def _told(
    connection: Connection, policies: Policies, rows: Sequence[tuple[Any, ...]], now: datetime
) -> list[Availability]:
    """Make answers of rows, with what the rule itself says is available; the last column is the location's id."""
    stock = await stock_at(connection, policies, now, [(row[0], row[-1]) for row in rows])
    return [_as_granted(availability_of(row[:-1]), stock, (row[0], row[-1])) for row in rows]


def _as_granted(told: Availability, stock: Stock, place: Place) -> Availability:
    balance = stock.balance(*place)
    kept, _ = stock.limits.reasons(balance, place, "")
    waiting = stock.limits.waiting_at(place)
    return msgspec.structs.replace(
        told,
        on_hand=balance.on_hand,
        reserved=balance.reserved,
        allocated=balance.allocated,
        safety=balance.safety,
        expired_lots=balance.expired,
        available=stock.available(*place),
        explanation=in_words(stock, place, "", lapsed=told.expired, owed=told.owed),
        waiting=waiting,
        kept=sum((units for units, _ in kept), ZERO) - waiting,
    )


def availability_of(row: tuple[Any, ...]) -> Availability:
    """Make an answer of a row: names, on hand, reserved, expired claims, allocated, safety, owed, version, the rest."""
    on_hand, reserved, expired, allocated, safety, owed, version = row[5:12]
    lots = row[15]
    balance = Balance(on_hand, reserved - expired, allocated, safety=safety)
    balance.expired = lots
    figures = (on_hand, balance.reserved, expired, allocated, safety, owed, balance.available())
    words = words_of(balance, (), (), balance.available(), lapsed=expired, owed=owed)
    return Availability(*[*row[:5], *figures, version, words, *row[12:17]])
