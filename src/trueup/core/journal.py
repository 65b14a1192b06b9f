"""The journal: one append-only, gapless, ordered record of every command and event, sealed by a chain of digests.

Positions are taken last in a batch, under one advisory lock, in the statement after the lock: so they are in commit
order, `position > cursor` misses nothing, and a gap is tampering.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from trueup.core.database import Connection
from trueup.core.verb import Statement

LOCK = 7_205_759_404
_SEAL_ROWS_MAX = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DIGEST = hashlib.sha256(b"trueup journal").digest()


class Entry(NamedTuple):
    """One row to append: kind `c` (command) or `e` (event), its name, what it concerns, who, and its exact bytes."""

    kind: str
    name: str
    subject: str
    actor: str
    body: bytes


class Recorded(NamedTuple):
    """One row as it stands."""

    position: int
    batch: Any
    at: datetime
    kind: str
    name: str
    subject: str
    actor: str
    body: bytes


_COLUMNS = "position, batch, at, kind::text, name, subject, actor, body"


def append(batch: str, at: datetime, entries: list[Entry]) -> list[Statement]:
    """Return the statements that give entries their positions; they must be the last before COMMIT."""
    if not entries:
        return []
    kinds, names, subjects, actors, bodies = (list(column) for column in zip(*entries, strict=True))
    return [
        Statement("select pg_advisory_xact_lock(%s)", [LOCK]),
        Statement(
            """insert into journal (position, batch, at, kind, name, subject, actor, body)
            select (select coalesce(max(position), 0) from journal) + entry.number, %s::uuid, %s,
                   entry.kind::"char", entry.name, entry.subject, entry.actor, entry.body
            from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[])
                 with ordinality as entry (kind, name, subject, actor, body, number)""",
            [batch, at, kinds, names, subjects, actors, bodies],
        ),
    ]


async def read(
    connection: Connection,
    after: int = 0,
    limit: int = 1000,
    subject: str | None = None,
    upto: int | None = None,
    names: tuple[str, ...] = (),
) -> list[Recorded]:
    """Return up to `limit` rows past a cursor, oldest first; with `subject`, only those about it.

    names: of events; with them, only those.
    """
    conditions = ["position > %s"]
    parameters: list[Any] = [after]
    if subject is not None:
        conditions.append("subject = %s")
        parameters.append(subject)
    if names:
        conditions.append("kind = 'e' and name = any(%s)")
        parameters.append(list(names))
    if upto is not None:
        conditions.append("position <= %s")
        parameters.append(upto)
    rows = await connection.execute(
        f"select {_COLUMNS} from journal where {' and '.join(conditions)} order by position limit %s",
        [*parameters, limit],
    )
    return [Recorded(*row) for row in await rows.fetchall()]


async def read_all(connection: Connection, upto: int | None = None) -> AsyncIterator[Recorded]:
    """Yield every row in order, a thousand at a time."""
    cursor = 0
    while page := await read(connection, cursor, 1000, upto=upto):
        for row in page:
            yield row
        cursor = page[-1].position


async def head(connection: Connection) -> int:
    """Return the highest position, 0 for an empty journal."""
    row = await (await connection.execute("select coalesce(max(position), 0) from journal")).fetchone()
    assert row is not None
    return int(row[0])


class Break(msgspec.Struct, frozen=True):
    """Where the journal does not verify: position, and what is wrong there."""

    position: int
    what: str


class Verified(msgspec.Struct, frozen=True):
    """What `verify` saw: rows read, ranges whose digest was right, the position up to which rows are sealed, breaks.

    head: the last digest in hex; publish it, and nobody can rewrite what came before it unseen.
    """

    rows: int
    seals: int
    sealed_to: int
    head: str
    breaks: tuple[Break, ...]


async def seal(connection: Connection) -> int:
    """Seal closed ranges of at most 10,000 rows each up to the head; return how many ranges were sealed."""
    made = 0
    while True:
        last, previous = await _last_seal(connection)
        rows = await read(connection, last, _SEAL_ROWS_MAX)
        if not rows:
            return made
        # Another sealer may have been quicker; then its seal of the same rows stands.
        await connection.execute(
            "insert into seal (first, last, previous, digest) values (%s, %s, %s, %s) on conflict do nothing",
            [rows[0].position, rows[-1].position, previous, chain(previous, rows)],
        )
        made += 1


async def verify(connection: Connection, breaks_max: int = 20) -> Verified:
    """Walk the whole journal: positions without a gap, every sealed range with its digest, the chain unbroken."""
    seals = await (await connection.execute("select first, last, previous, digest from seal order by last")).fetchall()
    breaks: list[Break] = []
    previous, expected, count = _FIRST_DIGEST, 1, 0
    for first, last, claimed_previous, digest in seals:
        rows: list[Recorded] = []
        while (cursor := rows[-1].position if rows else first - 1) < last:
            page = await read(connection, cursor, _SEAL_ROWS_MAX, upto=last)
            if not page:
                break
            rows += page
        breaks += _gaps(rows, expected, last)
        if claimed_previous != previous:
            breaks.append(Break(first, "the chain of seals is broken here"))
        if chain(claimed_previous, rows) != digest:
            breaks.append(Break(first, f"rows {first} to {last} are not what was sealed"))
        previous, expected, count = digest, last + 1, count + len(rows)
    sealed_to = expected - 1
    while page := await read(connection, expected - 1, _SEAL_ROWS_MAX):
        breaks += _gaps(page, expected, page[-1].position)
        expected, count = page[-1].position + 1, count + len(page)
    return Verified(count, len(seals), sealed_to, previous.hex(), tuple(breaks[:breaks_max]))


def chain(previous: bytes, rows: Iterable[Recorded]) -> bytes:
    """Return the digest of a range: SHA-256 over the previous digest and every row's fields, lengths first."""
    hasher = hashlib.sha256(previous)
    for row in rows:
        micros = (row.at - _EPOCH) // timedelta(microseconds=1)
        hasher.update(struct.pack(">qq", row.position, micros))
        for field in (str(row.batch).encode(), row.kind.encode(), row.name.encode(), row.subject.encode(),
                      row.actor.encode(), row.body):  # fmt: skip
            hasher.update(struct.pack(">I", len(field)))
            hasher.update(field)
    return hasher.digest()


def _gaps(rows: list[Recorded], expected: int, last: int) -> list[Break]:
    if rows and rows[0].position == expected and rows[-1].position == last and len(rows) == last - expected + 1:
        return []
    missing = sorted(set(range(expected, last + 1)) - {row.position for row in rows})
    return [Break(position, "this position is missing") for position in missing[:5]]


async def _last_seal(connection: Connection) -> tuple[int, bytes]:
    row = await (await connection.execute("select last, digest from seal order by last desc limit 1")).fetchone()
    return (int(row[0]), bytes(row[1])) if row else (0, _FIRST_DIGEST)
