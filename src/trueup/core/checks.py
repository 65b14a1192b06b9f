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


def promise(name: str, words: str, sql: str, changed: str | None = None) -> Check:
    """Make a check of a query with one `{changed}` in its conditions.

    changed: the condition that narrows it to what the journal changed after `%s`; None where it cannot be narrowed.
    """
    whole = sql.replace("{changed}", "true")
    return Check(name, words, whole, None if changed is None else sql.replace("{changed}", changed))


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


async def record_checks(connection: Connection, checks: Sequence[Check]) -> list[Result]:
    """Run every check and keep its result for everybody to see."""
    results = await run_checks(connection, checks)
    for result in results:
        await connection.execute(
            """insert into check_result (name, promise, at, milliseconds, failing, sample)
            values (%s, %s, now(), %s, %s, %s)
            on conflict (name) do update set promise = excluded.promise, at = excluded.at,
                milliseconds = excluded.milliseconds, failing = excluded.failing, sample = excluded.sample""",
            [result.name, result.promise, result.milliseconds, result.failing, json.encode(result.sample).decode()],
        )
    return results


CHANGED = "in (select subject from journal where position > %s)"
"""To be written after a column that holds the subjects of events."""

CHECKS: tuple[Check, ...] = (
    promise(
        "journal.gapless",
        "Positions run from 1 without a gap.",
        """select 'journal', coalesce(last, 0), found || ' rows end at position ' || coalesce(last, 0)
        from (select count(*) as found, max(position) as last from journal) j where found <> coalesce(last, 0)""",
    ),
    promise(
        "journal.batches_whole",
        "What one batch wrote stands together.",
        """select 'batch', batch, count(*) || ' rows between ' || min(position) || ' and ' || max(position)
        from journal where {changed} group by batch having max(position) - min(position) + 1 <> count(*)""",
        "position > %s",
    ),
    promise(
        "journal.batch_known",
        "Every row of the journal belongs to a batch that was recorded.",
        """select 'batch', j.batch, 'no such batch' from (select distinct batch from journal where {changed}) j
        where not exists (select from batch b where b.id = j.batch)""",
        "position > %s",
    ),
    promise(
        "door.key_answered",
        "No key is without an outcome.",
        "select 'key', actor || ' ' || key, 'used, but never answered' from door_key where outcome is null",
    ),
    promise(
        "door.command_keyed",
        "Every command in the journal has a key with an outcome, for as long as keys live.",
        """select 'batch', c.batch, c.commands || ' commands of ' || c.actor || ', ' || count(k.outcome) || ' keys'
        from (select j.batch, j.actor, count(*) as commands from journal j join batch b on b.id = j.batch
              where j.kind = 'c' and b.at > now() - interval '29 days' and {changed} group by j.batch, j.actor) c
        left join door_key k on k.batch = c.batch and k.actor = c.actor
        group by c.batch, c.actor, c.commands having c.commands > count(k.outcome)""",
        "j.position > %s",
    ),
    promise(
        "seal.chained",
        "Each sealed range begins where the one before it ended.",
        """select 'seal', last, 'begins at ' || first || ', expected ' || expected
        from (select first, last, coalesce(lag(last) over (order by last), 0) + 1 as expected from seal) s
        where first <> expected""",
    ),
    promise(
        "policy.digest",
        "A policy document is the one whose digest was recorded.",
        "select 'policy', kind || '/' || name, 'version ' || version from policy where digest <> sha256(document)",
    ),
)
