"""Which orders wait to be sourced: in a queue for a person, or for stock; and how many, for the overview."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor

COUNTED_MAX = 1000
_UNASSIGNED = "o.managed and o.units_allocated + o.units_shipped + o.units_cancelled < o.units_ordered"


class WaitingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the orders that are not allocated in full. queue: by name. queued: whether they are in any queue.

    cursor: `next` of the page before.
    """

    queue: str | None = None
    queued: bool | None = None
    channel: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class WaitingOrder(msgspec.Struct, frozen=True):
    """An order that is not allocated in full. units: those nobody gives yet. queue, reason, since: None in no queue.

    state: of its workflow, with the reason it is there. holds: open ones, which stop it from being sourced.
    """

    order: str
    number: str
    channel: str
    placed_at: datetime
    units: Decimal
    state: str | None
    state_reason: str | None
    holds: int
    queue: str | None
    reason: str | None
    since: datetime | None


class QueueCount(msgspec.Struct, frozen=True):
    """How many orders wait in a queue, and since when the longest."""

    queue: str
    orders: int
    since: datetime


WaitingPage = Page[WaitingOrder]


async def waiting(connection: Connection, query: WaitingQuery, channels: frozenset[str] | None = None) -> WaitingPage:
    """Return one page of the orders that wait, first placed first. channels: those that may be shown; None is all."""
    conditions, parameters = [_UNASSIGNED], list[Any]()
    if query.queue is not None:
        conditions.append("q.queue = %s")
        parameters.append(query.queue)
    if query.queued is not None:
        conditions.append("(q.order_id is not null) = %s")
        parameters.append(query.queued)
    if query.channel is not None:
        conditions.append("o.channel = %s")
        parameters.append(query.channel)
    if channels is not None:
        conditions.append("o.channel = any(%s::text[])")
        parameters.append(sorted(channels))
    if query.cursor is not None:
        conditions.append("(o.placed_at, o.id) > (%s, %s)")
        parameters += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"""select o.id, o.number, o.channel, o.placed_at,
            o.units_ordered - o.units_allocated - o.units_shipped - o.units_cancelled,
            o.state, o.state_reason, o.holds, q.queue, q.reason, q.since
        from orders o left join sourcing_queue q on q.order_id = o.id
        where {" and ".join(conditions)} order by o.placed_at, o.id limit %s""",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [WaitingOrder(*row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.placed_at, row.order))


async def queue_counts(connection: Connection, channels: frozenset[str] | None = None) -> tuple[QueueCount, ...]:
    """Return each queue that has orders, the fullest first. channels: those that may be shown; None is all."""
    rows = await connection.execute(
        f"""select q.queue, count(*)::int, min(q.since) from sourcing_queue q join orders o on o.id = q.order_id
        where {_UNASSIGNED} and (%s::text[] is null or o.channel = any(%s::text[]))
        group by q.queue order by 2 desc, 1 limit 100""",
        [None if channels is None else sorted(channels)] * 2,
    )
    return tuple(QueueCount(*row) for row in await rows.fetchall())


async def waits_at(connection: Connection, order: str) -> dict[tuple[int, str], tuple[Decimal, Decimal]]:
    """Return the units an order waits for there without a date, and what everybody does, by (line, location's code)."""
    rows = await connection.execute(
        """select w.line, l.code, sum(w.quantity), min(b.waiting)
        from stock_waiting w join stock_backlog b using (item, location) join location l on l.id = w.location
        where w.holder = %s and w.supply is null group by w.line, l.code, w.item""",
        [order],
    )
    return {(line, code): (mine, every) for line, code, mine, every in await rows.fetchall()}


async def waiting_count(connection: Connection) -> int:
    """Return how many orders are not allocated in full, counted up to COUNTED_MAX."""
    rows = await connection.execute(
        f"select count(*)::int from (select from orders o where {_UNASSIGNED} limit %s) o", [COUNTED_MAX]
    )
    row = await rows.fetchone()
    return int(row[0]) if row else 0
