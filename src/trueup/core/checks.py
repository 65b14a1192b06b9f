"""Checks: queries that must return no rows. Each says what it promises, and returns who breaks it.

Every room's `checks.py` lists its own as `CHECKS`; they run in tests, after every crash test, nightly, and by
`trueup verify`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from trueup.core import json
from trueup.core.database import Connection

SAMPLE_MAX = 20


class Check(msgspec.Struct, frozen=True):
    """One invariant. sql: rows (subject_type, subject_id, detail) that break it.

    changed_sql: the same for what the journal changed after a position, its one parameter; None where the whole is
    quick or cannot be narrowed.
    """

    name: str
    promise: str
    sql: str
    changed_sql: str | None = None


class Broken(msgspec.Struct, frozen=True):
    """One subject that breaks a check."""

    subject_type: str
    subject: str
    detail: str


class Result(msgspec.Struct, frozen=True):
    """What one check found: how many break it, the first twenty of them, and how long it took."""

    name: str
    promise: str
    failing: int
    milliseconds: int
    sample: tuple[Broken, ...]


async def run_checks(connection: Connection, checks: Sequence[Check], since: int | None = None) -> list[Result]:
    """Run every check, one after another; with `since`, only on what changed after that journal position."""
    results = []
    for check in checks:
        began = time.perf_counter()
        if since is not None and check.changed_sql is not None:
            cursor = await connection.execute(check.changed_sql, [since])
        else:
            cursor = await connection.execute(check.sql)
        rows = await cursor.fetchall()
        sample = tuple(Broken(str(a), str(b), str(c)) for a, b, c in rows[:SAMPLE_MAX])
        elapsed = round((time.perf_counter() - began) * 1000)
        results.append(Result(check.name, check.promise, len(rows), elapsed, sample))
    return results


async def record_checks(connection: Connection, checks: Sequence[Check]) -> int:
    """Run every check and keep its result for everybody to see; return how many found something."""
    results = await run_checks(connection, checks)
    for result in results:
        await connection.execute(
            """insert into check_result (name, promise, at, milliseconds, failing, sample)
            values (%s, %s, now(), %s, %s, %s)
            on conflict (name) do update set promise = excluded.promise, at = excluded.at,
                milliseconds = excluded.milliseconds, failing = excluded.failing, sample = excluded.sample""",
            [result.name, result.promise, result.milliseconds, result.failing, json.encode(result.sample).decode()],
        )
    return sum(result.failing > 0 for result in results)
