"""What everybody else may ask about transfers: those on their way, those that differ, and one with its lines."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, prefix_range, read_cursor, write_cursor


class TransferQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which transfers, newest first. status: `in_transit`, `partially_received`, `closed`, or `open`: not closed.

    location: code, either end; from_location and to_location: of that end. reference: the document's number. search:
    the beginning of that number, or the transfer's id. differs: whether something of it is over or missing. cursor:
    `next` of the page before.
    """

    status: str | None = None
    location: str | None = None
    from_location: str | None = None
    to_location: str | None = None
    reference: str | None = None
    search: str | None = None
    differs: bool | None = None
    cursor: str | None = None
    limit: Limit = 50


class TransferRow(msgspec.Struct, frozen=True):
    """One transfer between two locations (codes). shipped, open, over, missing: sums of its lines' units."""

    id: str
    reference: str
    status: str
    from_location: str
    to_location: str
    shipped_at: datetime
    closed_at: datetime | None
    lines: int
    shipped: Decimal
    open: Decimal
    over: Decimal
    missing: Decimal
    version: int


class TransferLineRow(msgspec.Struct, frozen=True):
    """Units of one item, or of one lot of it. over: received beyond what was shipped. missing: given up."""

    line: int
    item: str
    sku: str
    name: str
    lot: str
    expires_on: date | None
    shipped: Decimal
    received: Decimal
    over: Decimal
    missing: Decimal
    open: Decimal


class HeldRow(msgspec.Struct, frozen=True):
    """Units that arrived and are not promised. status: `damaged`, `quality` or `quarantined`, as they arrived."""

    sku: str
    lot: str
    status: str
    units: Decimal


class TransferDetail(msgspec.Struct, frozen=True):
    """One transfer with its lines. held: what arrived and is not promised. case: the open one about what differs."""

    transfer: TransferRow
    lines: tuple[TransferLineRow, ...]
    held: tuple[HeldRow, ...]
    case: str | None


TransferPage = Page[TransferRow]
_TRANSFERS = """select t.id, t.reference, t.status, f.code, o.code, t.shipped_at, t.closed_at, n.lines, n.shipped,
        n.open, n.over, n.missing, t.version
    from stock_transfer t join location f on f.id = t.from_location join location o on o.id = t.to_location
    cross join lateral (select count(*)::int as lines, coalesce(sum(shipped), 0) as shipped,
        coalesce(sum(open), 0) as open, coalesce(sum(over), 0) as over, coalesce(sum(missing), 0) as missing
        from stock_transfer_line where transfer = t.id) n"""


async def transfers(connection: Connection, query: TransferQuery, sites: frozenset[str] | None = None) -> TransferPage:
    """Return one page of transfers, newest first. sites: codes, one of which an end must be; None is every one."""
    conditions, parameters = _filters(query)
    if sites is not None:
        conditions.append("(f.code = any(%s::text[]) or o.code = any(%s::text[]))")
        parameters += [sorted(sites)] * 2
    if query.cursor is not None:
        conditions.append("t.id < %s")
        parameters += read_cursor(query.cursor, (str,))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"{_TRANSFERS} where {' and '.join(conditions)} order by t.id desc limit %s",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [TransferRow(*row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.id))


async def transfer(connection: Connection, transfer: str, sites: frozenset[str] | None = None) -> TransferDetail | None:
    """Return one transfer by its id; None where there is none, or where neither end may be shown."""
    cursor = await connection.execute(f"{_TRANSFERS} where t.id = %s", [transfer])
    row = await cursor.fetchone()
    if row is None or (sites is not None and not {row[3], row[4]} & sites):
        return None
    lines = await connection.execute(
        """select l.line, l.item, i.sku, i.name, l.lot, l.expires_on, l.shipped, l.received, l.over, l.missing, l.open
        from stock_transfer_line l join item i on i.id = l.item where l.transfer = %s order by l.line""",
        [transfer],
    )
    held = await connection.execute(
        """select i.sku, m.lot, m.to_account::text, sum(m.quantity)
        from stock_movement m join item i on i.id = m.item
        where m.reference = %s and m.reason = 'transfer received' and
            m.to_account::text in ('damaged', 'quality', 'quarantined')
        group by i.sku, m.lot, m.to_account order by i.sku, m.lot, m.to_account""",
        [transfer],
    )
    case = await connection.execute(
        "select id from cases where cause = %s and closed_at is null", [f"stock:transfer:{transfer}"]
    )
    opened = await case.fetchone()
    return TransferDetail(
        TransferRow(*row),
        tuple(TransferLineRow(*line) for line in await lines.fetchall()),
        tuple(HeldRow(*arrived) for arrived in await held.fetchall()),
        opened[0] if opened is not None else None,
    )


def _filters(query: TransferQuery) -> tuple[list[str], list[Any]]:
    conditions: list[str] = ["true"]
    parameters: list[Any] = []
    equal = (("t.reference", query.reference), ("f.code", query.from_location), ("o.code", query.to_location))
    for column, value in equal:
        if value is not None:
            conditions.append(f"{column} = %s")
            parameters.append(value)
    if query.status == "open":
        conditions.append("t.closed_at is null")
    elif query.status is not None:
        conditions.append("t.status = %s")
        parameters.append(query.status)
    if query.location is not None:
        conditions.append("%s in (f.code, o.code)")
        parameters.append(query.location)
    if query.search is not None and query.search.strip():
        conditions.append("(t.id = %s or (t.reference >= %s and t.reference < %s))")
        parameters += [query.search.strip(), *prefix_range(query.search.strip())]
    if query.differs is not None:
        conditions.append(f"{'' if query.differs else 'not '}(n.over > 0 or n.missing > 0)")
    return conditions, parameters
