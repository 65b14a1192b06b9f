"""What everybody else may ask about drafts and quotes: the list, and one whole."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core import json
from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, prefix_range, read_cursor, write_cursor
from trueup.orders.draft_state import DraftBasket
from trueup.orders.read_capture import LineClaim, claims_of
from trueup.parties import read as parties
from trueup.parties.state import Contact


class DraftQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which drafts. search: the beginning of a number. open: those that can still become orders, or the others."""

    search: str | None = None
    open: bool | None = None
    channel: str | None = None
    customer: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class DraftSummary(msgspec.Struct, frozen=True):
    """One row of the list. total: None while something is missing. expired: no longer valid, swept or not.

    confirmed_at: it is an order of the same id since then. ended_at: it was discarded, or expired and swept.
    """

    id: str
    number: str
    channel: str
    currency: str | None
    customer: str | None
    total: Decimal | None
    missing: tuple[str, ...]
    valid_until: datetime | None
    entered_by: str | None
    type: str
    state: str
    created_at: datetime
    changed_at: datetime
    confirmed_at: datetime | None
    ended_at: datetime | None
    version: int
    expired: bool


class DraftDetail(msgspec.Struct, frozen=True):
    """One draft whole. basket: as it was saved, with the id of its personal words. claims: what it holds now."""

    id: str
    number: str
    version: int
    summary: DraftSummary
    basket: DraftBasket
    contact: Contact | None
    claims: tuple[LineClaim, ...]
    workflow_version: int
    channel_version: int


DraftPage = Page[DraftSummary]
_COLUMNS = ", ".join(f"d.{name}" for name in DraftSummary.__struct_fields__[:-1])


async def find(
    connection: Connection, query: DraftQuery, now: datetime, channels: frozenset[str] | None = None
) -> DraftPage:
    """Return one page, latest changed first. channels: those that may be shown; None is every one."""
    conditions: list[str] = []
    parameters: list[Any] = []
    for name in ("channel", "customer"):
        if getattr(query, name) is not None:
            conditions.append(f"d.{name} = %s")
            parameters.append(getattr(query, name))
    if channels is not None:
        conditions.append("d.channel = any(%s::text[])")
        parameters.append(sorted(channels))
    if query.search is not None and query.search.strip():
        conditions.append("d.number >= %s and d.number < %s")
        parameters += prefix_range(query.search.strip().upper())
    if query.open is not None:
        is_open = "d.confirmed_at is null and d.ended_at is null"
        conditions.append(is_open if query.open else f"not ({is_open})")
    if query.cursor is not None:
        conditions.append("(d.changed_at, d.id) < (%s, %s)")
        parameters += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    rows = await connection.execute(
        f"select {_COLUMNS} from order_draft d {where} order by d.changed_at desc, d.id desc limit %s",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [_summary_of(row, now) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.changed_at, row.id))


async def draft(
    connection: Connection, reference: str, now: datetime, channels: frozenset[str] | None = None
) -> DraftDetail | None:
    """Return one draft by its id or number; None, too, where its channel may not be shown."""
    cursor = await connection.execute(
        f"""select {_COLUMNS}, d.basket::text, d.person, d.workflow_version, d.channel_version
        from order_draft d where d.id = %s or d.number = %s""",
        [reference, reference.upper()],
    )
    row = await cursor.fetchone()
    if row is None or (channels is not None and row[2] not in channels):
        return None
    basket, person, workflow_version, channel_version = row[-4:]
    summary = _summary_of(row[:-4], now)
    return DraftDetail(
        id=summary.id,
        number=summary.number,
        version=summary.version,
        summary=summary,
        basket=json.decode(basket, DraftBasket),
        contact=await parties.contact(connection, person),
        claims=await claims_of(connection, summary.id, now),
        workflow_version=workflow_version,
        channel_version=channel_version,
    )


def _summary_of(row: tuple[Any, ...], now: datetime) -> DraftSummary:
    values = dict(zip(DraftSummary.__struct_fields__, row, strict=False))
    values["missing"] = tuple(values["missing"])
    until, ended = values["valid_until"], values["confirmed_at"] or values["ended_at"]
    return DraftSummary(**values, expired=until is not None and until <= now and ended is None)
