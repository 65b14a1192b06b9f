"""What everybody else may ask about count sessions; of a blind one that is open, nobody who counts learns the book."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, prefix_range, read_cursor, write_cursor


class CountQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions, newest first. status: `open` or `closed`. location: a code. cursor: `next` of the page before.

    search: the beginning of the document's number, or the session's id.
    """

    status: str | None = None
    location: str | None = None
    search: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class CountRow(msgspec.Struct, frozen=True):
    """One session. items: how many are to be counted; counted: of how many somebody said what is there."""

    id: str
    reference: str
    status: str
    location: str
    blind: bool
    opened_by: str
    opened_at: datetime
    closed_at: datetime | None
    items: int
    counted: int
    version: int


class CountLineRow(msgspec.Struct, frozen=True):
    """What was last said of an item, or of a lot of it. lot: None where nothing was. state: `not_counted`, `counted`,
    `recount` (by another person), `approve` (by one who did not count), `approved`.

    counted_by: who said so last (id). times: how often somebody said something. approved_by: who stands for it.

    book, variance, worth: what the ledger said then, the difference, and its cost in `currency` where that is known.
    moved: net units that came on hand since then, until the session closed; they are no part of the difference. All of
    these are None while the session is blind and open.
    """

    item: str
    sku: str
    name: str
    tracking: str
    lot: str | None
    state: str
    units: Decimal | None
    counted_at: datetime | None
    counted_by: str | None
    times: int
    approved_by: str | None
    book: Decimal | None
    variance: Decimal | None
    worth: Decimal | None
    currency: str | None
    moved: Decimal | None


class LineQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of a session, by SKU. state: as in `CountLineRow`. search: the beginning of any key of the item."""

    state: str | None = None
    search: str | None = None
    cursor: str | None = None
    limit: Limit = 100


class CountStanding(msgspec.Struct, frozen=True):
    """How far a session is. states: how many lines are in each state. counters: who counted in it (ids).

    variances: by currency. lots: (SKU, lot) that the book has of items that were counted, and that nobody counted yet,
    at most `LOTS_MAX`. Both are empty while the book is not to be told, and lots once the session is closed.
    """

    states: dict[str, int]
    counters: frozenset[str]
    variances: tuple[VarianceRow, ...]
    lots: tuple[tuple[str, str], ...]


class VarianceRow(msgspec.Struct, frozen=True):
    """The lines of a session that differ from the book. more, less: units found over and under it.

    worth: of these variances, in `currency`, without the lines whose items have no known cost (`unknown_cost`).
    """

    currency: str
    lines: int
    more: Decimal
    less: Decimal
    worth: Decimal
    unknown_cost: int


class CountDetail(msgspec.Struct, frozen=True):
    """One session with its lines by SKU."""

    count: CountRow
    lines: tuple[CountLineRow, ...]


CountPage = Page[CountRow]
LinePage = Page[CountLineRow]
LOTS_MAX = 100
_COUNTS = """select c.id, c.reference, c.status, l.code, c.blind, c.opened_by, c.opened_at, c.closed_at,
        (select count(*)::int from stock_count_line where count = c.id),
        (select count(distinct item)::int from stock_count_entry where count = c.id), c.version
    from stock_count c join location l on l.id = c.location"""
_SAID = """(select i.id as item, i.sku, i.name, i.tracking, c.location, c.closed_at, e.*,
        case when e.number is null then 'not_counted' when not e.beyond then 'counted'
            when e.approved_by is not null then 'approved' when e.people = 1 then 'recount' else 'approve' end as state
    from stock_count_line n join stock_count c on c.id = n.count join item i on i.id = n.item left join lateral (
        select distinct on (s.lot) s.lot, s.number, s.units, s.book, s.worth, s.currency, s.beyond, s.counted_at,
            s.counted_by, s.approved_by, (select count(distinct o.counted_by) from stock_count_entry o
                where (o.count, o.item, o.lot) = (s.count, s.item, s.lot)) as people
        from stock_count_entry s where s.count = n.count and s.item = n.item order by s.lot, s.number desc
    ) e on true where n.count = %s) x"""
_MOVED = """(select coalesce(sum(
        case when m.to_account = 'on_hand' and m.to_location = x.location then m.quantity else 0 end
        - case when m.from_account = 'on_hand' and m.from_location = x.location then m.quantity else 0 end), 0)
    from stock_movement m where m.item = x.item and m.at > x.counted_at and m.at <= coalesce(x.closed_at, m.at)
        and coalesce(m.effective_at, m.at) > x.counted_at and (x.tracking = 'none' or m.lot = x.lot))"""
# What a close would name: an item of which nothing was said is a line that is not counted.
_LOTS = """select i.sku, s.lot from stock_count_line n join stock_count c on c.id = n.count join item i on i.id = n.item
    join stock_lot s on s.item = n.item and s.location = c.location and s.on_hand > 0
    where n.count = %s and i.tracking <> 'none'
        and exists (select from stock_count_entry e where e.count = n.count and e.item = n.item)
        and not exists (select from stock_count_entry e where (e.count, e.item, e.lot) = (n.count, n.item, s.lot))
    order by i.sku, s.lot limit %s"""
_LINES = f"""select x.item, x.sku, x.name, x.tracking, x.lot, x.state, x.units, x.counted_at, x.counted_by,
        coalesce(x.number, 0), x.approved_by, x.book, x.units - x.book, x.worth, x.currency,
        case when x.number is not null then {_MOVED} end from {_SAID}"""


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
    if query.search is not None and query.search.strip():
        conditions.append("(c.id = %s or (c.reference >= %s and c.reference < %s))")
        parameters += [query.search.strip(), *prefix_range(query.search.strip())]
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
    session = await count_row(connection, count, sites)
    if session is None:
        return None
    rows = await connection.execute(f"{_LINES} order by x.sku, x.lot", [count])
    return CountDetail(session, _told([CountLineRow(*line) for line in await rows.fetchall()], session, tell))


async def count_row(connection: Connection, count: str, sites: frozenset[str] | None = None) -> CountRow | None:
    """Return one session by its id, without its lines; None where there is none that may be shown."""
    cursor = await connection.execute(f"{_COUNTS} where c.id = %s", [count])
    row = await cursor.fetchone()
    return None if row is None or (sites is not None and row[3] not in sites) else CountRow(*row)


async def count_lines(connection: Connection, session: CountRow, query: LineQuery, *, tell: bool = False) -> LinePage:
    """Return one page of a session's lines by SKU. tell: as for `count`."""
    conditions: list[str] = ["true"]
    parameters: list[Any] = [session.id]
    if query.state is not None:
        conditions.append("x.state = %s")
        parameters.append(query.state)
    if query.search is not None and query.search.strip():
        conditions.append("x.item in (select item from item_key where key >= %s and key < %s)")
        parameters += prefix_range(query.search.strip())
    if query.cursor is not None:
        conditions.append("(x.sku, coalesce(x.lot, '')) > (%s, %s)")
        parameters += read_cursor(query.cursor, (str, str))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"{_LINES} where {' and '.join(conditions)} order by x.sku, coalesce(x.lot, '') limit %s",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = _told([CountLineRow(*row) for row in await rows.fetchall()], session, tell)
    return page_of(found, limit, lambda row: write_cursor(row.sku, row.lot or ""))


async def count_standing(connection: Connection, session: CountRow, *, tell: bool = False) -> CountStanding:
    """Return how far a session is. tell: as for `count`."""
    states = await connection.execute(f"select x.state, count(*)::int from {_SAID} group by x.state", [session.id])
    counters = await connection.execute(
        "select distinct counted_by from stock_count_entry where count = %s", [session.id]
    )
    variances: tuple[VarianceRow, ...] = ()
    if not _hidden(session, tell):
        rows = await connection.execute(
            f"""select x.currency, count(*)::int, sum(greatest(x.units - x.book, 0)),
                sum(greatest(x.book - x.units, 0)), coalesce(sum(x.worth), 0),
                count(*) filter (where x.worth is null)::int
            from {_SAID} where x.units <> x.book group by x.currency order by x.currency""",
            [session.id],
        )
        variances = tuple(VarianceRow(*row) for row in await rows.fetchall())
    lots: tuple[tuple[str, str], ...] = ()
    if session.status == "open" and not _hidden(session, tell):
        rows = await connection.execute(_LOTS, [session.id, LOTS_MAX])
        lots = tuple((sku, lot) for sku, lot in await rows.fetchall())
    said: dict[str, int] = dict(await states.fetchall())
    return CountStanding(said, frozenset(who for (who,) in await counters.fetchall()), variances, lots)


def _hidden(session: CountRow, tell: bool) -> bool:
    return session.blind and session.status == "open" and not tell


def _told(lines: list[CountLineRow], session: CountRow, tell: bool) -> tuple[CountLineRow, ...]:
    """Return lines as they may be shown: without the book while they are counted blind."""
    if not _hidden(session, tell):
        return tuple(lines)
    nothing: dict[str, Any] = dict.fromkeys(("book", "variance", "worth", "currency", "moved"))
    return tuple(msgspec.structs.replace(line, **nothing) for line in lines)
