"""What the API answers about migration runs: their sums, what was found, and the rows behind."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from trueup.core.database import Connection
from trueup.core.paging import LIMIT_MAX, Page, page_of, read_cursor, write_cursor
from trueup.migrate import read as migrate
from trueup.migrate.state import FileCount, Run, RunRefused

RowOutcome = Literal["applied", "quarantined", "merged", "ignored"]


class RunQuery(msgspec.Struct, frozen=True):
    """Which runs: those of one source, or all."""

    source: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None


class RowQuery(msgspec.Struct, frozen=True):
    """Which rows of a run: those that ended so, or in which such a thing was found."""

    kind: str | None = None
    outcome: RowOutcome | None = None
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)] = 100


class RunSummary(msgspec.Struct, frozen=True):
    """One run of a mapping over a source's files. attempt: rises when it is loaded again after an undo."""

    id: str
    source: str
    mapping: str
    status: str
    attempt: int
    started_at: datetime
    finished_at: datetime | None


class RuleCount(msgspec.Struct, frozen=True):
    """How many rows ended by one rule."""

    outcome: str
    rule: str
    rows: int


class RunDetail(msgspec.Struct, frozen=True):
    """One run with its sums: rows in = applied + quarantined + merged + ignored. found: rows by kind of finding."""

    run: RunSummary
    rows: dict[str, int]
    files: tuple[FileCount, ...]
    rules: tuple[RuleCount, ...]
    found: dict[str, int]


class RunRow(msgspec.Struct, frozen=True):
    """One row that was not plainly applied, or one finding in it: where it stood, what was wrong, what to do."""

    file: str
    row: int
    number: int
    entity: str
    outcome: str
    kind: str | None
    rule: str
    column: str | None
    value: str | None
    detail: str | None
    fix: str | None
    corrected_at: datetime | None


class RunList(msgspec.Struct, frozen=True):
    """The newest runs."""

    items: tuple[RunSummary, ...]


async def runs(connection: Connection, query: RunQuery) -> RunList:
    """Answer with the newest runs, at most LIMIT_MAX."""
    found = await migrate.list_runs(connection, query.source)
    return RunList(tuple(_summary(run) for run in found[:LIMIT_MAX]))


async def run(connection: Connection, run: str) -> RunDetail | None:
    """Answer with one run; None when there is none."""
    try:
        found = await migrate.find_run(connection, run)
    except RunRefused:
        return None
    return RunDetail(
        run=_summary(found),
        rows=(await migrate.sums(connection, run)).plain(),
        files=tuple(await migrate.files(connection, run)),
        rules=tuple(RuleCount(*entry) for entry in await migrate.rules(connection, run)),
        found=await migrate.found(connection, run),
    )


async def rows(connection: Connection, run: str, query: RowQuery) -> Page[RunRow]:
    """Answer with one page of a run's rows in the order of its files."""
    after = ("", 0, 0)
    if query.cursor is not None:
        file, row, number = read_cursor(query.cursor, (str, int, int))
        after = (file, row, number)
    found = await migrate.rows_of(
        connection, run, kind=query.kind, outcome=query.outcome, after=after, limit=query.limit + 1
    )
    shown = [
        RunRow(r.file, r.row, r.number, r.entity, r.outcome, r.kind, r.rule, r.column_name, r.value, r.detail, r.fix,
               r.corrected_at)
        for r in found
    ]  # fmt: skip
    return page_of(shown, query.limit, lambda row: write_cursor(row.file, row.row, row.number))


def _summary(run: Run) -> RunSummary:
    return RunSummary(run.id, run.source, run.mapping_name, run.status, run.attempt, run.started_at, run.finished_at)
