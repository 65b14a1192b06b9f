"""What everybody else may ask about supply: what is to come, who waits for it, what is overdue, and why."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, plain
from trueup.stock import read
from trueup.stock.promise import PromisePolicy
from trueup.stock.supply import NoticeLateSupply


class SupplyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which supply that is still to come. sku: any key. location: a code. late: due before now. ended: others too.

    pegged: whether somebody waits for it.
    """

    sku: str | None = None
    location: str | None = None
    reference: str | None = None
    late: bool | None = None
    pegged: bool | None = None
    ended: bool = False
    cursor: str | None = None
    limit: Limit = 50


class SupplyRow(msgspec.Struct, frozen=True):
    """Units that are to come to one location. open: still to come; pegged: of those, promised to somebody who waits."""

    id: str
    sku: str
    location: str
    quantity: Decimal
    received: Decimal
    cancelled: Decimal
    open: Decimal
    pegged: Decimal
    due_at: datetime
    reference: str
    source: str
    version: int


class WaitingRow(msgspec.Struct, frozen=True):
    """Units that wait, in the order of their turn. supply: None where nothing to come covers them.

    due_at: when they are to come, or came; None is not known. promised_at: the first such time that was given.
    """

    holder: str
    line: int
    number: int
    quantity: Decimal
    supply: str | None
    due_at: datetime | None
    promised_at: datetime | None
    since: datetime


class WaitingPlaceQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody waits: for an item by any of its keys, at a location by its code."""

    sku: str | None = None
    location: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class WaitingPlace(msgspec.Struct, frozen=True):
    """An item at a location that somebody waits for. quantity: units that wait; pegged: of those, to supply to come.

    holders: how many wait; since: when the first of them began to.
    """

    sku: str
    location: str
    quantity: Decimal
    pegged: Decimal
    holders: int
    since: datetime


class Explained(msgspec.Struct, frozen=True):
    """What is available of an item at a location now, what is free of that to come, and the words for it."""

    sku: str
    location: str
    available: Decimal
    waiting: Decimal
    to_come: Decimal
    words: tuple[str, ...]


SupplyPage = Page[SupplyRow]
WaitingPage = Page[WaitingRow]
WaitingPlaces = Page[WaitingPlace]
_WAITING = "w.holder, w.line, w.number, w.quantity, w.supply, w.due_at, w.promised_at, w.since"
_SUPPLY = """s.id, i.sku, l.code, s.quantity, s.received, s.cancelled, s.open, s.pegged, s.due_at, s.reference,
    s.source, s.version"""


async def supplies(
    connection: Connection, query: SupplyQuery, now: datetime, sites: Collection[str] | None = None
) -> SupplyPage:
    """Return one page of what is to come, earliest due first. sites: codes of locations it may show; None is all."""
    conditions = ["true"] if query.ended else ["s.open > 0"]
    parameters: list[Any] = []
    named = (
        ("s.item = (select item from item_key where key = %s)", query.sku),
        ("l.code = %s", query.location),
        ("s.reference = %s", query.reference),
    )
    for condition, value in named:
        if value is not None:
            conditions.append(condition)
            parameters.append(value)
    if sites is not None:
        conditions.append("l.code = any(%s)")
        parameters.append(sorted(sites))
    if query.late is not None:
        conditions.append("s.due_at < %s" if query.late else "s.due_at >= %s")
        parameters.append(now)
    if query.pegged is not None:
        conditions.append("s.pegged > 0" if query.pegged else "s.pegged = 0")
    if query.cursor is not None:
        conditions.append("(s.due_at, s.id) > (%s, %s)")
        parameters += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"""select {_SUPPLY} from stock_supply s join item i on i.id = s.item join location l on l.id = s.location
        where {" and ".join(conditions)} order by s.due_at, s.id limit %s""",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [SupplyRow(*row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.due_at, row.id))


async def supply(connection: Connection, id_: str) -> SupplyRow | None:
    """Return one supply, ended or not."""
    cursor = await connection.execute(
        f"""select {_SUPPLY} from stock_supply s join item i on i.id = s.item join location l on l.id = s.location
        where s.id = %s""",
        [id_],
    )
    row = await cursor.fetchone()
    return SupplyRow(*row) if row is not None else None


async def waiting(connection: Connection, sku: str, location: str, limit: int = 200) -> tuple[WaitingRow, ...]:
    """Return who waits for an item (any of its keys) at a location (its code), first come first."""
    rows = await connection.execute(
        f"""select {_WAITING}
        from item_key k cross join location l join stock_waiting w on w.item = k.item and w.location = l.id
        where k.key = %s and l.code = %s order by w.since, w.holder, w.line, w.number limit %s""",
        [sku, location, bounded(limit)],
    )
    return tuple(WaitingRow(*row) for row in await rows.fetchall())


async def waiting_on(connection: Connection, supply: str, cursor: str | None = None, limit: int = 50) -> WaitingPage:
    """Return one page of who is pegged to a supply (its id), first come first; the last lose their units first."""
    position = read_cursor(cursor, (datetime, str, int, int)) if cursor is not None else None
    limit = bounded(limit)
    after = "and (w.since, w.holder, w.line, w.number) > (%s, %s, %s, %s)" if position else ""
    rows = await connection.execute(
        f"""select {_WAITING} from stock_waiting w where w.supply = %s {after}
        order by w.since, w.holder, w.line, w.number limit %s""",
        [supply, *(position or ()), limit + 1],
        prepare=False,
    )
    found = [WaitingRow(*row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.since, row.holder, row.line, row.number))


async def waiting_places(
    connection: Connection, query: WaitingPlaceQuery, sites: Collection[str] | None = None
) -> WaitingPlaces:
    """Return one page of the places where somebody waits, the longest wait first. sites: codes it may show, or all."""
    conditions, parameters = ["true"], list[Any]()
    if query.sku is not None:
        conditions.append("w.item = (select item from item_key where key = %s)")
        parameters.append(query.sku)
    if query.location is not None:
        conditions.append("l.code = %s")
        parameters.append(query.location)
    if sites is not None:
        conditions.append("l.code = any(%s)")
        parameters.append(sorted(sites))
    having = ""
    if query.cursor is not None:
        having = "having (min(w.since), i.sku, l.code) > (%s, %s, %s)"
        parameters += read_cursor(query.cursor, (datetime, str, str))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"""select i.sku, l.code, sum(w.quantity), coalesce(sum(w.quantity) filter (where w.supply is not null), 0),
            count(distinct w.holder)::int, min(w.since)
        from stock_waiting w join item i on i.id = w.item join location l on l.id = w.location
        where {" and ".join(conditions)} group by i.sku, l.code {having}
        order by min(w.since), i.sku, l.code limit %s""",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [WaitingPlace(*row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.since, row.sku, row.location))


async def at_risk(connection: Connection, policy: PromisePolicy, now: datetime) -> tuple[str, ...]:
    """Return the ids of supply that is overdue while somebody waits for it, and that no case was opened about yet.

    Each is to be given to `stock.notice_late_supply`, which looks again.
    """
    rows = await connection.execute(
        """select id from stock_supply where open > 0 and due_at < %s and pegged > 0
            and noticed_due_at is distinct from due_at order by due_at, id limit 1000""",
        [now - timedelta(hours=policy.overdue_after_hours)],
    )
    return tuple(row[0] for row in await rows.fetchall())


async def due_to_notice(connection: Connection, now: datetime) -> list[tuple[str, NoticeLateSupply]]:
    """Return a command for each overdue supply that somebody waits for, for the worker; the rule looks at the grace.

    Its key names the hour, so that what was not late enough yet is asked about again.
    """
    late = await at_risk(connection, PromisePolicy(), now)
    return [(f"stock/late/{id_}/{now:%Y-%m-%dT%H}", NoticeLateSupply(supply=id_)) for id_ in late]


async def explain(
    connection: Connection, policies: Policies, sku: str, location: str, now: datetime
) -> Explained | None:
    """Say why so much of an item is available at a location, now and later; None for a name nobody registered."""
    found = await read.availability(connection, policies, sku, location, now)
    if found is None:
        return None
    page = await supplies(connection, SupplyQuery(sku=sku, location=location, limit=200), now)
    words = [found.explanation]
    for entry in page.items:
        pegged = f", {plain(entry.pegged)} of them promised to those who wait" if entry.pegged else ""
        late = ": overdue, so it promises nothing" if entry.due_at <= now else ""
        words.append(f"{plain(entry.open)} to come with {entry.reference}, due {entry.due_at:%Y-%m-%d %H:%M} UTC"
                     f"{pegged}{late}")  # fmt: skip
    to_come = sum((entry.open - entry.pegged for entry in page.items if entry.due_at > now), ZERO)
    return Explained(found.sku, location, found.available, found.waiting, to_come, tuple(words))
