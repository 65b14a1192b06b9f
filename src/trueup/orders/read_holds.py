"""What everybody else may ask about holds, unmatched events and suspicions, and what changed since a version."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from trueup.core import journal
from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.timeline import Entry, entry_of
from trueup.orders.state import VERSIONED, EventUnmatched

CHANGES_MAX = 20
HoldStatus = Literal["open", "released"]


class HoldQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which holds; without a status, the open ones. type, channel: by name. due: past the time they should stand.

    order: its id. by_rule: those that a rule may release. cursor: `next` of the page before.
    """

    status: HoldStatus = "open"
    type: str | None = None
    channel: str | None = None
    order: str | None = None
    due: bool | None = None
    by_rule: bool | None = None
    cursor: str | None = None
    limit: Limit = 50


class HoldDetail(msgspec.Struct, frozen=True):
    """One hold with its order. line: None is the order. rule: `table/rule` that placed it, None for people and rooms.

    blocks: events of the workflow it stops. by_rule: a rule may release it. due_at: None is never. noticed_at: since
    when a case says that it is due.
    """

    id: str
    order: str
    order_number: str
    channel: str
    fulfilment_status: str
    line: int | None
    type: str
    reason: str
    rule: str | None
    blocks: tuple[str, ...]
    by_rule: bool
    placed_at: datetime
    placed_by: str
    due_at: datetime | None
    noticed_at: datetime | None
    status: str
    released_at: datetime | None
    released_by: str | None
    release_reason: str | None
    released_rule: str | None


class Unmatched(msgspec.Struct, frozen=True):
    """An event that no edge of the order's workflow wanted in its state. source: who reported it; None is Trueup."""

    event: str
    state: str
    at: datetime
    source: str | None = None


class Suspected(msgspec.Struct, frozen=True):
    """That an order looks like an earlier one; dismissed_at: when somebody decided that it is none."""

    earlier: str
    earlier_number: str
    at: datetime
    status: str
    dismissed_at: datetime | None
    dismissed_by: str | None
    dismiss_reason: str | None


HoldPage = Page[HoldDetail]
_HOLD = """h.id, h.order_id, o.number, o.channel, o.fulfilment_status, h.line, h.type, h.reason, h.rule, h.blocks,
    h.by_rule, h.placed_at, h.placed_by, h.due_at, h.noticed_at, h.status, h.released_at, h.released_by,
    h.release_reason, h.released_rule"""


async def holds(
    connection: Connection, query: HoldQuery, now: datetime, channels: frozenset[str] | None = None
) -> HoldPage:
    """Return one page of holds, the oldest first. channels: those whose orders may be shown; None is every one.

    Of an order that is cancelled in full no hold is listed as open: there is nothing left to hold.
    """
    conditions = ["h.status = %s", "(h.status <> 'open' or o.fulfilment_status <> 'cancelled')"]
    parameters: list[Any] = [query.status]
    for column, value in (("h.type", query.type), ("o.channel", query.channel), ("h.order_id", query.order),
                          ("h.by_rule", query.by_rule)):  # fmt: skip
        if value is not None:
            conditions.append(f"{column} = %s")
            parameters.append(value)
    if query.due is not None:
        conditions.append("coalesce(h.due_at <= %s, false) = %s")
        parameters += [now, query.due]
    if channels is not None:
        conditions.append("o.channel = any(%s::text[])")
        parameters.append(sorted(channels))
    if query.cursor is not None:
        conditions.append("(h.placed_at, h.id) > (%s, %s)")
        parameters += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"""select {_HOLD} from order_hold h join orders o on o.id = h.order_id where {" and ".join(conditions)}
        order by h.placed_at, h.id limit %s""",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [_hold_of(row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.placed_at, row.id))


async def holds_of(connection: Connection, order: str) -> tuple[HoldDetail, ...]:
    """Return every hold of an order, the oldest first."""
    rows = await connection.execute(
        f"""select {_HOLD} from order_hold h join orders o on o.id = h.order_id where h.order_id = %s
        order by h.placed_at, h.id limit 500""",
        [order],
    )
    return tuple(_hold_of(row) for row in await rows.fetchall())


def _hold_of(row: tuple[Any, ...]) -> HoldDetail:
    return HoldDetail(*[*row[:9], tuple(row[9]), *row[10:]])


async def unmatched_of(connection: Connection, order: str, limit: int = 20) -> tuple[Unmatched, ...]:
    """Return the latest events of an order that its workflow did not want, the latest first."""
    rows = await connection.execute(
        "select body from journal where subject = %s and kind = 'e' and name = %s order by position desc limit %s",
        [order, EventUnmatched.name, limit],
    )
    found = [msgspec.json.decode(bytes(body), type=EventUnmatched) for (body,) in await rows.fetchall()]
    return tuple(Unmatched(event.event, event.state, event.at, event.source) for event in found)


async def suspected(connection: Connection, order: str) -> Suspected | None:
    """Return the suspicion that an order is a duplicate, dismissed or not; None where there never was one."""
    cursor = await connection.execute(
        """select s.earlier, o.number, s.at, s.status, s.dismissed_at, s.dismissed_by, s.dismiss_reason
        from order_suspicion s join orders o on o.id = s.earlier where s.order_id = %s""",
        [order],
    )
    row = await cursor.fetchone()
    return Suspected(*row) if row else None


class Change(msgspec.Struct, frozen=True):
    """One change of an order, and the version it made."""

    version: int
    entry: Entry


async def read_changes(connection: Connection, order: str, version: int) -> tuple[Change, ...]:
    """Return what changed an order since it had this version, oldest first, at most CHANGES_MAX.

    Each event of a kind that raises the version raised it by one, so that their count is the version's.
    """
    known = max(1, version)
    made = await journal.read(connection, 0, known - 1 + CHANGES_MAX, subject=order, names=VERSIONED)
    return tuple(Change(at, entry_of(row)) for at, row in enumerate(made, 2) if at > known)
