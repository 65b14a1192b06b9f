"""Migration runs as the overview and the report show them: their sums, booked rows by any filter, the kept report."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from trueup.core import json
from trueup.core.database import Connection
from trueup.core.paging import Page, page_of, read_cursor, write_cursor
from trueup.migrate.read import BookedRow, RunSums
from trueup.migrate.report import Report

RUNS_PER_PAGE = 50
ROWS_PER_PAGE = 100
_BOOKED = (
    "file, row, number, entity, outcome, kind, rule, column_name, value, detail, fix, identity, written, corrected_at"
)


class RunSummary(msgspec.Struct, frozen=True):
    """One run with the sums of its files."""

    id: str
    source: str
    mapping_name: str
    status: str
    attempt: int
    started_at: datetime
    finished_at: datetime | None
    rows: RunSums


class RowQuery(msgspec.Struct, frozen=True):
    """Which booked rows of a run. file and row: one row of a file; identity: the line an order was made of."""

    outcome: str | None = None
    kind: str | None = None
    rule: str | None = None
    file: str | None = None
    row: int | None = None
    identity: str | None = None
    cursor: str | None = None


class CaseNow(msgspec.Struct, frozen=True):
    """Where a case stands now: status, due time, and when somebody acted on it."""

    status: str
    due_at: datetime
    acted_at: datetime | None
    closed_at: datetime | None


async def listed(connection: Connection, cursor: str | None = None, limit: int = RUNS_PER_PAGE) -> Page[RunSummary]:
    """Return one page of runs with their sums, newest first."""
    condition, parameters = "", []
    if cursor is not None:
        condition, parameters = "where (started_at, id) < (%s, %s)", read_cursor(cursor, (datetime, str))
    rows = await connection.execute(
        f"""select r.id, r.source, r.mapping_name, r.status, r.attempt, r.started_at, r.finished_at, s.*
        from (select * from migration_run {condition} order by started_at desc, id desc limit %s) r
        cross join lateral (
            select coalesce(sum(rows_in), 0)::int, coalesce(sum(applied), 0)::int, coalesce(sum(quarantined), 0)::int,
                coalesce(sum(merged), 0)::int, coalesce(sum(ignored), 0)::int
            from migration_file where run = r.id
        ) s order by r.started_at desc, r.id desc""",
        [*parameters, limit + 1],
    )
    found = [_summary_of(row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda run: write_cursor(run.started_at, run.id))


async def newest(connection: Connection) -> RunSummary | None:
    """Return the run that was started last."""
    found = (await listed(connection, limit=1)).items
    return found[0] if found else None


async def kept_report(connection: Connection, run: str) -> Report | None:
    """Return the report as it was when the run finished, or rows of it were corrected last."""
    cursor = await connection.execute("select report::text from migration_run where id = %s", [run])
    row = await cursor.fetchone()
    return json.decode(row[0], Report) if row and row[0] else None


async def booked_rows(connection: Connection, run: str, query: RowQuery) -> Page[BookedRow]:
    """Return one page of booked rows in file order."""
    conditions, parameters = ["run = %s"], [run]
    for name in ("outcome", "kind", "rule", "file", "row", "identity"):
        value = getattr(query, name)
        if value is not None:
            conditions.append(f"{name} = %s")
            parameters.append(value)
    if query.cursor is not None:
        conditions.append("(file, row, number) > (%s, %s, %s)")
        parameters += read_cursor(query.cursor, (str, int, int))
    rows = await connection.execute(
        f"select {_BOOKED} from migration_row where {' and '.join(conditions)} order by file, row, number limit %s",
        [*parameters, ROWS_PER_PAGE + 1],
        prepare=False,
    )
    found = [BookedRow(*row) for row in await rows.fetchall()]
    return page_of(found, ROWS_PER_PAGE, lambda row: write_cursor(row.file, row.row, row.number))


async def cases_now(connection: Connection, cases: list[str]) -> dict[str, CaseNow]:
    """Return where these cases stand."""
    rows = await connection.execute(
        "select id, status, due_at, acted_at, closed_at from cases where id = any(%s)", [cases]
    )
    found: list[tuple[Any, ...]] = await rows.fetchall()
    return {row[0]: CaseNow(*row[1:]) for row in found}


def _summary_of(row: tuple[Any, ...]) -> RunSummary:
    run, source, mapping_name, status, attempt, started_at, finished_at, *sums = row
    return RunSummary(run, source, mapping_name, status, attempt, started_at, finished_at, RunSums(*sums))
