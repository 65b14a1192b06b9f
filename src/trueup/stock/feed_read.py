"""What everybody else may ask about stock feeds: the list, what a source last told, and the rows in quarantine."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor

FeedStatus = Literal["applied", "held", "released", "rejected"]


class FeedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which feeds. open: only those that wait for a person, whole or with rows."""

    source: str | None = None
    status: FeedStatus | None = None
    open: bool = False
    cursor: str | None = None
    limit: Limit = 50


class FeedSummary(msgspec.Struct, frozen=True):
    """One feed, and how its rows ended: applied + merged + quarantined + ignored = rows."""

    id: str
    source: str
    kind: str
    as_of: datetime
    sequence: int | None
    location: str | None
    received_at: datetime
    by: str
    rows: int
    applied: int
    merged: int
    quarantined: int
    ignored: int
    status: str
    held_why: str | None
    settled_why: str | None
    version: int


class RowQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows in quarantine. all: also those that were corrected or discarded."""

    source: str | None = None
    feed: str | None = None
    all: bool = False
    cursor: str | None = None
    limit: Limit = 50


class QuarantinedRow(msgspec.Struct, frozen=True):
    """A row that could not be understood: its number, the field, the value there, the rule, and the row as it came."""

    feed: str
    source: str
    row: int
    field: str
    value: str
    rule: str
    raw: str
    received_at: datetime
    settled: str | None


FeedPage = Page[FeedSummary]
RowPage = Page[QuarantinedRow]
_SELECT = f"select {', '.join(FeedSummary.__struct_fields__)} from stock_feed"


async def feeds(connection: Connection, query: FeedQuery) -> FeedPage:
    """Return one page of feeds, last received first."""
    conditions, parameters = ["true"], list[Any]()
    for column, value in (("source", query.source), ("status", query.status)):
        if value is not None:
            conditions.append(f"{column} = %s")
            parameters.append(value)
    if query.open:
        conditions.append("quarantined > 0")
    if query.cursor is not None:
        conditions.append("(received_at, id) < (%s, %s)")
        parameters += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    cursor = await connection.execute(
        f"{_SELECT} where {' and '.join(conditions)} order by received_at desc, id desc limit %s",
        [*parameters, limit + 1],
        prepare=False,
    )
    rows = [FeedSummary(*row) for row in await cursor.fetchall()]
    return page_of(rows, limit, lambda row: write_cursor(row.received_at, row.id))


async def feed(connection: Connection, id_: str) -> FeedSummary | None:
    """Return one feed."""
    row = await (await connection.execute(f"{_SELECT} where id = %s", [id_])).fetchone()
    return FeedSummary(*row) if row else None


async def quarantined_rows(connection: Connection, query: RowQuery) -> RowPage:
    """Return one page of rows in quarantine, by feed and number."""
    conditions, parameters = ["true"], list[Any]()
    for column, value in (("f.source", query.source), ("q.feed", query.feed)):
        if value is not None:
            conditions.append(f"{column} = %s")
            parameters.append(value)
    if not query.all:
        conditions.append("q.settled_at is null")
    if query.cursor is not None:
        conditions.append("(q.feed, q.row) > (%s, %s)")
        parameters += read_cursor(query.cursor, (str, int))
    limit = bounded(query.limit)
    cursor = await connection.execute(
        f"""select q.feed, f.source, q.row, q.field, q.value, q.rule, q.raw, f.received_at, q.settled
        from stock_feed_row_quarantined q join stock_feed f on f.id = q.feed
        where {" and ".join(conditions)} order by q.feed, q.row limit %s""",
        [*parameters, limit + 1],
        prepare=False,
    )
    rows = [QuarantinedRow(*row) for row in await cursor.fetchall()]
    return page_of(rows, limit, lambda row: write_cursor(row.feed, row.row))
