"""What everybody else may ask about sourcing: parts, queues, who waits, runs; decisions: `read_decisions`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.sourcing.policy import FillSort

WAITING_MAX = 500
_UNASSIGNED = "o.managed and o.units_allocated + o.units_shipped + o.units_cancelled < o.units_ordered"


class Short(msgspec.Struct, frozen=True):
    """An order that claims units of an item at a location (ids) which stock there no longer covers."""

    order: str
    item: str
    location: str


class PartLineDetail(msgspec.Struct, frozen=True):
    """Units of one order line that a location fulfils."""

    line: int
    sku: str
    quantity: Decimal
    withdrawn: Decimal
    rejected: Decimal
    shipped: Decimal


class PartDetail(msgspec.Struct, frozen=True):
    """One fulfilment order: what one location fulfils of an order. version: the order's, for If-Match."""

    id: str
    order: str
    order_number: str
    channel: str
    version: int
    number: int
    location: str
    location_name: str
    status: str
    units: Decimal
    withdrawn: Decimal
    rejected: Decimal
    shipped: Decimal
    decision: str
    at: datetime
    lines: tuple[PartLineDetail, ...]


class Rejection(msgspec.Struct, frozen=True):
    """A line that a location (its code) rejected, and is not asked for again."""

    line: int
    location: str
    reason: str
    at: datetime


class PartQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which fulfilment orders. location: a code. status: open, partially_shipped, shipped, cancelled, rejected."""

    location: str | None = None
    status: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class QueueQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which queue; without a name, all."""

    queue: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class Queued(msgspec.Struct, frozen=True):
    """An order that waits for a person, in which queue, why, and since when."""

    order: str
    number: str
    queue: str
    reason: str
    since: datetime
    units: Decimal


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of brokering runs."""

    cursor: str | None = None
    limit: Limit = 50


class Run(msgspec.Struct, frozen=True):
    """One brokering run; costs in `currency`, the sequential rules' on the same orders beside it.

    orders: that waited for it. assigned: of them, planned; fallen_back: of those, sourced by the rules, since stock had
    moved. decided_by: optimised, sequential (the rules' plan was not beaten), or mixed (both; time ended). report: the
    cost by kind (shipping, split, lateness, capacity, unserved), `sequential` the same of the rules; batches solved,
    how many orders were unreached when time ended, and those left to the rules from the start (by_rules).
    """

    id: str
    at: datetime
    orders: int
    assigned: int
    fallen_back: int
    cost: Decimal
    sequential_cost: Decimal
    currency: str
    seconds: Decimal
    decided_by: str
    report: dict[str, Any]


RunPage = Page[Run]
PartPage = Page[PartDetail]
QueuePage = Page[Queued]


async def waiting_for(
    connection: Connection, items: Sequence[str], fill: Sequence[FillSort], limit: int = WAITING_MAX
) -> tuple[str, ...]:
    """Return the orders that were sourced in part and wait for any of the items, in the order of their turn.

    Looks through the orders that are not allocated in full, which are few beside those that are.
    """
    sorts = ", ".join([*(_SORTS[sort] for sort in fill), "o.placed_at", "o.id"])
    rows = await connection.execute(
        f"""select o.id from orders o where {_UNASSIGNED} and exists (
            select from order_line l where l.order_id = o.id and l.item = any(%s)
                and l.allocated + l.shipped + l.cancelled < l.quantity)
            and exists (select from sourcing_decision d where d.order_id = o.id)
        order by {sorts} limit %s""",
        [list(items), limit],
    )
    return tuple(row[0] for row in await rows.fetchall())


_SORTS: dict[str, str] = {
    "priority": "o.priority desc",
    "promise": "o.promised_at nulls last",
    "first_in": "o.placed_at",
    "contract": "(o.business ->> 'contract') is null",
}


async def short_at(
    connection: Connection, places: Sequence[tuple[str, str]], limit: int = WAITING_MAX
) -> tuple[Short, ...]:
    """Return who claims what stock at these (item, location) no longer covers: the latest promise first."""
    rows = await connection.execute(
        """select c.holder, b.item, b.location
        from unnest(%s::text[], %s::text[]) p (item, location)
        join stock_balance b using (item, location)
        join lateral (
            select holder, min(at) as since from stock_claim c
            where c.item = b.item and c.location = b.location and c.holder >= 'ord_' and c.holder < 'ord`'
            group by holder having sum(quantity) > 0
        ) c on true
        join orders o on o.id = c.holder
        where b.owed > 0
        order by b.item, b.location, o.promised_at desc nulls first, o.placed_at desc, o.id desc limit %s""",
        [[item for item, _ in places], [location for _, location in places], limit],
    )
    return tuple(Short(*row) for row in await rows.fetchall())


_PART = """f.id, f.order_id, o.number, o.channel, o.version, f.number, l.code, l.name, f.status, f.units, f.withdrawn,
    f.rejected, f.shipped, f.decision, f.at"""
_FROM = "fulfilment_order f join location l on l.id = f.location join orders o on o.id = f.order_id"


async def parts_of_order(connection: Connection, order: str) -> tuple[PartDetail, ...]:
    """Return an order's fulfilment orders, oldest first."""
    rows = await connection.execute(
        f"""select {_PART} from {_FROM}
        where f.order_id = %s order by f.number""",
        [order],
    )
    return await _with_lines(connection, await rows.fetchall())


async def parts(connection: Connection, query: PartQuery, scope: frozenset[str] | None = None) -> PartPage:
    """Return one page of fulfilment orders, newest first. scope: codes of the only locations that may be seen."""
    conditions, parameters = ["true"], list[Any]()
    if query.location is not None:
        conditions.append("f.location = (select id from location where code = %s)")
        parameters.append(query.location)
    if query.status is not None:
        conditions.append("f.status = %s")
        parameters.append(query.status)
    if scope is not None:
        conditions.append("f.location in (select id from location where code = any(%s))")
        parameters.append(sorted(scope))
    if query.cursor is not None:
        conditions.append("(f.at, f.id) < (%s, %s)")
        parameters += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"""select {_PART} from {_FROM}
        where {" and ".join(conditions)} order by f.at desc, f.id desc limit %s""",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = await _with_lines(connection, await rows.fetchall())
    return page_of(list(found), limit, lambda part: write_cursor(part.at, part.id))


async def _with_lines(connection: Connection, parts: Sequence[tuple[Any, ...]]) -> tuple[PartDetail, ...]:
    rows = await connection.execute(
        """select f.fulfilment_order, f.line, i.sku, f.quantity, f.withdrawn, f.rejected, f.shipped
        from fulfilment_line f join item i on i.id = f.item where f.fulfilment_order = any(%s)
        order by f.fulfilment_order, f.line""",
        [[row[0] for row in parts]],
    )
    lines: dict[str, list[PartLineDetail]] = {}
    for part, *columns in await rows.fetchall():
        lines.setdefault(part, []).append(PartLineDetail(*columns))
    return tuple(PartDetail(*[*row, tuple(lines.get(row[0], ()))]) for row in parts)


async def part(connection: Connection, id_: str, scope: frozenset[str] | None = None) -> PartDetail | None:
    """Return one fulfilment order by its id, or None; None, too, where its location may not be shown."""
    rows = await connection.execute(f"select {_PART} from {_FROM} where f.id = %s", [id_])
    found = await _with_lines(connection, await rows.fetchall())
    return found[0] if found and (scope is None or found[0].location in scope) else None


async def rejections(connection: Connection, order: str) -> tuple[Rejection, ...]:
    """Return what locations rejected of an order, oldest first."""
    rows = await connection.execute(
        """select r.line, l.code, r.reason, r.at from sourcing_rejection r join location l on l.id = r.location
        where r.order_id = %s order by r.at, r.line, l.code""",
        [order],
    )
    return tuple(Rejection(*row) for row in await rows.fetchall())


async def queued(connection: Connection, query: QueueQuery, channels: frozenset[str] | None = None) -> QueuePage:
    """Return one page of the orders that wait in a queue, longest waiting first.

    channels: those whose orders may be shown; None is every one.
    """
    conditions, parameters = [_UNASSIGNED], list[Any]()
    if channels is not None:
        conditions.append("o.channel = any(%s::text[])")
        parameters.append(sorted(channels))
    if query.queue is not None:
        conditions.append("q.queue = %s")
        parameters.append(query.queue)
    if query.cursor is not None:
        conditions.append("(q.since, q.order_id) > (%s, %s)")
        parameters += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"""select o.id, o.number, q.queue, q.reason, q.since,
            o.units_ordered - o.units_allocated - o.units_shipped - o.units_cancelled
        from sourcing_queue q join orders o on o.id = q.order_id
        where {" and ".join(conditions)} order by q.since, q.order_id limit %s""",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [Queued(*row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.since, row.order))


async def runs(connection: Connection, query: RunQuery) -> RunPage:
    """Return one page of brokering runs, the latest first."""
    conditions, parameters = "true", list[Any]()
    if query.cursor is not None:
        conditions = "(at, id) < (%s, %s)"
        parameters += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"select {_RUN} from brokering_run where {conditions} order by at desc, id desc limit %s",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [Run(*row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda run: write_cursor(run.at, run.id))


async def run(connection: Connection, id_: str) -> Run | None:
    """Return one brokering run by its id, or None."""
    rows = await connection.execute(f"select {_RUN} from brokering_run where id = %s", [id_])
    row = await rows.fetchone()
    return Run(*row) if row is not None else None


_RUN = ", ".join(Run.__struct_fields__)
