"""Reads that only the console asks for: the overview's figures, the journal newest first, seals, policies."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from trueup.core import journal, json
from trueup.core.database import Connection
from trueup.core.journal import Recorded
from trueup.core.timeline import Entry, entry_of
from trueup.core.verb import Outcome

RECENT = timedelta(days=28)
FEED_ROWS = 50
FEED_SCAN_MAX = 20_000
_ROW = "position, batch, at, kind::text, name, subject, actor, body"


class Recent(msgspec.Struct, frozen=True):
    """Orders placed in the days up to `until`: counts per day and per status of each axis.

    current: the days end now; False where no order is that young, and they end with the newest order instead.
    """

    since: date
    until: date
    current: bool
    total: int
    last_day: int
    days: dict[date, int]
    fulfilment: dict[str, int]
    payment: dict[str, int]
    hold: dict[str, int]
    flagged: int


class Seal(msgspec.Struct, frozen=True):
    """One sealed range of the journal; digests in hex."""

    first: int
    last: int
    previous: str
    digest: str
    at: datetime


class Feed(msgspec.Struct, frozen=True):
    """Journal rows, newest first. older: position to read on from. scanned: positions looked through for a name."""

    entries: tuple[Entry, ...]
    older: int | None
    scanned: tuple[int, int] | None


class CheckResult(msgspec.Struct, frozen=True):
    """What one invariant's query found when it was run last; failing: how many break it."""

    name: str
    promise: str
    at: datetime
    failing: int


async def recent_orders(connection: Connection, now: datetime) -> Recent | None:
    """Count the orders of the last 28 days, or of the 28 days before the newest order; None when there is no order."""
    newest = await _one(connection, "select max(placed_at) from orders where placed_at <= %s", [now])
    if newest is None:
        return None
    current = newest > now - RECENT
    until = now if current else newest
    since = (until - RECENT + timedelta(days=1)).date()
    rows = await connection.execute(
        """select (placed_at at time zone 'UTC')::date, fulfilment_status, payment_status, hold_status,
            flags <> '{}' or total_differs, count(*)::int
        from orders where placed_at >= %s and placed_at < %s group by 1, 2, 3, 4, 5""",
        [since, until.date() + timedelta(days=1)],
        prepare=False,
    )
    return _tally(await rows.fetchall(), since, until.date(), current)


def _tally(rows: list[tuple[Any, ...]], since: date, until: date, current: bool) -> Recent:
    days = {since + timedelta(days=day): 0 for day in range((until - since).days + 1)}
    axes: tuple[dict[str, int], ...] = ({}, {}, {})
    flagged = 0
    for day, *statuses, odd, count in rows:
        days[day] += count
        flagged += count if odd else 0
        for axis, status in zip(axes, statuses, strict=True):
            axis[status] = axis.get(status, 0) + count
    ordered = [dict(sorted(axis.items(), key=lambda entry: -entry[1])) for axis in axes]
    return Recent(
        since=since, until=until, current=current, total=sum(days.values()), last_day=days[until], days=days,
        fulfilment=ordered[0], payment=ordered[1], hold=ordered[2], flagged=flagged,
    )  # fmt: skip


async def feed(connection: Connection, before: int | None, subject: str | None, name: str | None) -> Feed:
    """Return the rows before a position, newest first; a name alone is looked for in the next 20,000 positions only."""
    top = before if before is not None else await journal.head(connection) + 1
    conditions, parameters = ["position < %s"], list[Any]([top])
    scanned = None
    if subject is not None:
        conditions.append("subject = %s")
        parameters.append(subject)
    elif name is not None:
        scanned = (max(1, top - FEED_SCAN_MAX), top - 1)
        conditions.append("position >= %s")
        parameters.append(scanned[0])
    if name is not None:
        conditions.append("name = %s")
        parameters.append(name)
    rows = await connection.execute(
        f"select {_ROW} from journal where {' and '.join(conditions)} order by position desc limit %s",
        [*parameters, FEED_ROWS + 1],
        prepare=False,
    )
    found = [Recorded(*row) for row in await rows.fetchall()]
    if len(found) > FEED_ROWS:
        return Feed(tuple(entry_of(row) for row in found[:FEED_ROWS]), found[FEED_ROWS - 1].position, scanned)
    older = scanned[0] if scanned is not None and scanned[0] > 1 else None
    return Feed(tuple(entry_of(row) for row in found), older, scanned)


async def last_seal(connection: Connection) -> Seal | None:
    """Return the newest seal."""
    return _seal_of(
        await _row(connection, "select first, last, previous, digest, at from seal order by last desc limit 1")
    )


async def seal_of(connection: Connection, position: int) -> Seal | None:
    """Return the seal whose range holds a position; None for one that is not sealed yet."""
    row = await _row(
        connection,
        "select first, last, previous, digest, at from seal where last >= %s order by last limit 1",
        [position],
    )
    found = _seal_of(row)
    return found if found is not None and found.first <= position else None


async def seal_holds(connection: Connection, seal: Seal) -> bool:
    """Compute the digest of a sealed range from its rows now, and compare it with what was sealed."""
    rows = await journal.read(connection, seal.first - 1, seal.last - seal.first + 2, upto=seal.last)
    return journal.chain(bytes.fromhex(seal.previous), rows).hex() == seal.digest


async def outcome_of(connection: Connection, actor: str, key: str) -> Outcome | None:
    """Return how the command that an actor submitted under a key ended; None when the key is not known."""
    body = await _one(connection, "select outcome from door_key where actor = %s and key = %s", [actor, key])
    return json.decode(bytes(body), Outcome) if body is not None else None


async def checks(connection: Connection) -> tuple[CheckResult, ...]:
    """Return the last result of every check, those that found something first."""
    rows = await connection.execute(
        "select name, promise, at, failing from check_result order by failing > 0 desc, at, name limit 200"
    )
    return tuple(CheckResult(*row) for row in await rows.fetchall())


def _seal_of(row: tuple[Any, ...] | None) -> Seal | None:
    return Seal(row[0], row[1], bytes(row[2]).hex(), bytes(row[3]).hex(), row[4]) if row else None


async def _row(connection: Connection, sql: str, parameters: list[Any] | None = None) -> tuple[Any, ...] | None:
    return await (await connection.execute(sql, parameters or [])).fetchone()


async def _one(connection: Connection, sql: str, parameters: list[Any]) -> Any:
    row = await _row(connection, sql, parameters)
    return row[0] if row else None
