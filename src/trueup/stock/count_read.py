"""What everybody else may ask about count sessions; of a blind one that is open, nobody who counts learns the book."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor


class CountQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions, newest first. status: `open` or `closed`. location: a code. cursor: `next` of the page before."""

    status: str | None = None
    location: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class CountRow(msgspec.Struct, frozen=True):
    """One session. items: how many are to be counted; counted: of how many somebody said what is there."""

    id: str
    reference: str
    status: str
    location: str
    blind: bool
    opened_at: datetime
    closed_at: datetime | None
    items: int
    counted: int
    version: int


class CountLineRow(msgspec.Struct, frozen=True):
    """What was last said of an item, or of a lot of it. lot: None where nothing was. state: `not_counted`, `counted`,
    `recount` (by another person), `approve` (by one who did not count), `approved`.

    book, variance, worth: what the ledger said then, the difference, and its cost in `currency` where that is known;
    None while the session is blind and open.
    """

    item: str
    sku: str
    name: str
    lot: str | None
    state: str
    units: Decimal | None
    counted_at: datetime | None
    book: Decimal | None
    variance: Decimal | None
    worth: Decimal | None
    currency: str | None


class CountDetail(msgspec.Struct, frozen=True):
    """One session with its lines by SKU."""

    count: CountRow
    lines: tuple[CountLineRow, ...]


CountPage = Page[CountRow]
_COUNTS = """select c.id, c.reference, c.status, l.code, c.blind, c.opened_at, c.closed_at,
        (select count(*)::int from stock_count_line where count = c.id),
        (select count(distinct item)::int from stock_count_entry where count = c.id), c.version
    from stock_count c join location l on l.id = c.location"""
_LINES = """select i.id, i.sku, i.name, e.lot,
        case when e.number is null then 'not_counted' when not e.beyond then 'counted'
             when e.approved_by is not null then 'approved' when e.people = 1 then 'recount' else 'approve' end,
        e.units, e.counted_at, e.book, e.units - e.book, e.worth, e.currency
    from stock_count_line n join item i on i.id = n.item left join lateral (
        select distinct on (s.lot) s.*, (select count(distinct o.counted_by) from stock_count_entry o
            where (o.count, o.item, o.lot) = (s.count, s.item, s.lot)) as people
        from stock_count_entry s where s.count = n.count and s.item = n.item order by s.lot, s.number desc
    ) e on true where n.count = %s order by i.sku, e.lot"""


async def counts(connection: Connection, query: CountQuery, sites: frozenset[str] | None = None) -> CountPage:
    """Return one page of sessions, newest first. sites: codes of the locations that may be shown; None is every one."""
    conditions: list[str] = ["true"]
    parameters: list[Any] = []
    if query.status is not None:
        conditions.append("c.status = %s")
        parameters.append(query.status)
    if query.location is not None:
        conditions.append("l.code = %s")
        parameters.append(query.location)
    if sites is not None:
        conditions.append("l.code = any(%s::text[])")
        parameters.append(sorted(sites))
    if query.cursor is not None:
        conditions.append("c.id < %s")
        parameters += read_cursor(query.cursor, (str,))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"{_COUNTS} where {' and '.join(conditions)} order by c.id desc limit %s",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [CountRow(*row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.id))


async def count(
    connection: Connection, count: str, sites: frozenset[str] | None = None, *, tell: bool = False
) -> CountDetail | None:
    """Return one session by its id. tell: show the book of a blind one, to whoever may approve its variances."""
    cursor = await connection.execute(f"{_COUNTS} where c.id = %s", [count])
    row = await cursor.fetchone()
    if row is None or (sites is not None and row[3] not in sites):
        return None
    session = CountRow(*row)
    hidden = session.blind and session.status == "open" and not tell
    rows = await connection.execute(_LINES, [count])
    lines = [CountLineRow(*line) for line in await rows.fetchall()]
    if hidden:
        lines = [msgspec.structs.replace(line, book=None, variance=None, worth=None, currency=None) for line in lines]
    return CountDetail(session, tuple(lines))
