"""The books of migration runs: operational tables, written beside the door, from which nothing is decided."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import Json, Jsonb

from trueup.core import ids
from trueup.core.database import Connection
from trueup.core.errors import TrueupError

_LOCK_SPACE = 7_205_759
_RUN = """id, source, mapping_name, mapping, mapping_digest, files_digest, paths, workspace, files::text, attempt,
    status, started_at, finished_at, counts, not_new"""


class RunRefused(TrueupError):
    """A run that is not there, or cannot be begun, corrected or undone now; the message says why and what to do."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One migration run: a source's files read by one mapping.

    id: `mig_...`. mapping: the document as JSON; files: what was read, as JSON of `SourceFile`s. attempt: rises when it
    is loaded again after an undo. status: loading, finished, undoing, undone, or incomplete (rows of it went with the
    undo of another run). counts: the source's control figures by name, as text. not_new: documents another run brought.
    """

    id: str
    source: str
    mapping_name: str
    mapping: str
    mapping_digest: str
    files_digest: str
    paths: list[str]
    workspace: str
    files: str
    attempt: int
    status: str
    started_at: datetime
    finished_at: datetime | None
    counts: dict[str, str]
    not_new: list[str]

    @property
    def staging(self) -> Path:
        """The run's staging file."""
        return Path(self.workspace) / "staging.duckdb"


class FileCount(msgspec.Struct, frozen=True):
    """How the rows of one file ended; they sum to `rows_in`."""

    file: str
    rows_in: int
    applied: int
    quarantined: int
    merged: int
    ignored: int


class BookedRow(msgspec.Struct, frozen=True):
    """One row that was not plainly applied, or one finding in it. written: what the source said, if quarantined."""

    file: str
    row: int
    number: int
    entity: str
    outcome: str
    kind: str | None
    rule: str
    column_name: str | None
    value: str | None
    detail: str | None
    fix: str | None
    identity: str | None
    written: dict[str, str | None] | None = None
    corrected_at: datetime | None = None


def digest_of_files(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of the files' contents, whatever their names, folders and order."""
    digests = []
    for path in paths:
        with path.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").digest())
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


async def lock_source(connection: Connection, source: str) -> None:
    """Hold a source for this session; it ends with the session, so a killed load leaves no lock. Raises RunRefused."""
    found = await _row(connection, "select pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK_SPACE, source])
    if not found or not found[0]:
        raise RunRefused(f"Another run of {source!r} is at work. Wait until it is finished, then start this one again.")


async def end_session(connection: Connection) -> None:
    """Let go of what the session holds, then close it: a server may notice a closed session a moment too late."""
    if not connection.closed and not connection.broken:
        with suppress(psycopg.Error):
            await connection.rollback()
            await connection.execute("select pg_advisory_unlock_all()")
    await connection.close()


async def find_run(connection: Connection, run: str) -> Run:
    """Return a run by its id. Raises RunRefused naming the id."""
    found = await _row(connection, f"select {_RUN} from migration_run where id = %s", [run])
    if found is None:
        raise RunRefused(f"There is no migration run {run!r}. `trueup migrate report` lists those there are.")
    return _run_of(found)


async def list_runs(connection: Connection, source: str | None = None) -> list[Run]:
    """Return the runs, newest first; with `source`, only those of one source."""
    condition = "where source = %s" if source is not None else ""
    rows = await connection.execute(
        f"select {_RUN} from migration_run {condition} order by started_at desc, id desc", [source] if source else []
    )
    return [_run_of(row) for row in await rows.fetchall()]


async def same_run(connection: Connection, source: str, mapping_digest: str, files_digest: str) -> Run | None:
    """Return the run of these files by this mapping, if they were loaded before."""
    found = await _row(
        connection,
        f"select {_RUN} from migration_run where source = %s and mapping_digest = %s and files_digest = %s",
        [source, mapping_digest, files_digest],
    )
    return _run_of(found) if found else None


async def begin(
    connection: Connection,
    now: datetime,
    *,
    source: str,
    mapping_name: str,
    mapping: str,
    mapping_digest: str,
    files_digest: str,
    paths: Sequence[str],
    workspace: Path,
    files: str,
) -> Run:
    """Begin a run, or go on with the one of the same files and mapping; after an undo it is the next attempt."""
    await connection.execute(
        """insert into migration_run (id, source, mapping_name, mapping, mapping_digest, files_digest, paths, workspace,
            files, status, started_at)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, 'loading', %s)
        on conflict (source, mapping_digest, files_digest) do update set status = 'loading', finished_at = null,
            attempt = migration_run.attempt + (migration_run.status in ('undone', 'undoing', 'incomplete'))::int,
            workspace = excluded.workspace, files = excluded.files, paths = excluded.paths""",
        [ids.new_id("mig"), source, mapping_name, mapping, mapping_digest, files_digest, list(paths), str(workspace),
         files, now],
    )  # fmt: skip
    run = await same_run(connection, source, mapping_digest, files_digest)
    assert run is not None
    return run


async def keep_books(
    connection: Connection,
    run: str,
    files: Sequence[FileCount],
    rows: Iterable[BookedRow],
    shared: Iterable[str],
    counts: dict[str, str],
    not_new: Iterable[str],
    now: datetime,
) -> None:
    """Write how every row of a finished load ended; rows that were corrected before keep that mark."""
    async with connection.transaction():
        await connection.execute("delete from migration_file where run = %s", [run])
        await connection.execute("delete from migration_row where run = %s and corrected_at is null", [run])
        await connection.execute("delete from migration_shared where run = %s", [run])
        await _insert_files(connection, run, files)
        await copy_rows(connection, run, rows)
        await connection.execute(
            "insert into migration_shared (run, order_id) select %s, unnest(%s::text[])", [run, sorted(shared)]
        )
        await connection.execute(
            """update migration_run set status = 'finished', finished_at = %s, counts = %s, not_new = %s
            where id = %s""",
            [now, Jsonb(counts), sorted(not_new), run],
        )


async def copy_rows(connection: Connection, run: str, rows: Iterable[BookedRow]) -> None:
    """Append rows to the books; those that stand there as corrected are left as they are."""
    await connection.execute(
        "create temp table if not exists booked (like migration_row including defaults) on commit drop"
    )
    columns = ("file, row, number, entity, outcome, kind, rule, column_name, value, detail, fix, identity, written, "
               "corrected_at")  # fmt: skip
    cursor = connection.cursor()
    async with cursor.copy(f"copy booked (run, {columns}) from stdin") as copy:
        for row in rows:
            values = list(msgspec.structs.astuple(row))
            values[12] = Json(values[12]) if values[12] is not None else None
            await copy.write_row((run, *values))
    await connection.execute("insert into migration_row select * from booked on conflict do nothing")


async def set_status(connection: Connection, runs: Sequence[str], status: str) -> None:
    """Note where runs stand."""
    await connection.execute("update migration_run set status = %s where id = any(%s)", [status, list(runs)])


async def keep_report(connection: Connection, run: str, report: bytes) -> None:
    """Keep the report as it was given when the run finished."""
    await connection.execute("update migration_run set report = %s::jsonb where id = %s", [report.decode(), run])


async def correct_rows(
    connection: Connection,
    run: str,
    applied: Sequence[tuple[str, int]],
    written: dict[tuple[str, int], dict[str, str | None]],
    now: datetime,
) -> None:
    """Turn quarantined rows into applied ones, in the rows and in the sums of their files."""
    files = [file for file, _ in applied]
    places = [files, [row for _, row in applied]]
    async with connection.transaction():
        await connection.execute(
            """update migration_row r set outcome = 'applied', corrected_at = %s
            from unnest(%s::text[], %s::bigint[]) as c (file, row)
            where r.run = %s and r.file = c.file and r.row = c.row""",
            [now, *places, run],
        )
        for (file, row), values in written.items():
            await connection.execute(
                "update migration_row set written = %s where run = %s and file = %s and row = %s",
                [Json(values), run, file, row],
            )
        await connection.execute(
            """update migration_file f set applied = f.applied + c.rows, quarantined = f.quarantined - c.rows
            from (select file, count(*)::int as rows from unnest(%s::text[]) as x (file) group by file) c
            where f.run = %s and f.file = c.file""",
            [files, run],
        )


async def keep_counts(
    connection: Connection, run: str, counts: dict[str, str], not_new: Iterable[str], shared: Iterable[str]
) -> None:
    """Replace the source's control figures of a run, after rows of it were corrected."""
    async with connection.transaction():
        await connection.execute(
            "update migration_run set counts = %s, not_new = %s where id = %s", [Jsonb(counts), sorted(not_new), run]
        )
        await connection.execute(
            "insert into migration_shared (run, order_id) select %s, unnest(%s::text[]) on conflict do nothing",
            [run, sorted(shared)],
        )


async def _insert_files(connection: Connection, run: str, files: Sequence[FileCount]) -> None:
    columns = [list(column) for column in zip(*(msgspec.structs.astuple(file) for file in files), strict=True)]
    await connection.execute(
        """insert into migration_file (run, file, rows_in, applied, quarantined, merged, ignored)
        select %s, * from unnest(%s::text[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[])""",
        [run, *(columns or [[]] * 6)],
    )


async def _row(connection: Connection, sql: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
    return await (await connection.execute(sql, list(parameters))).fetchone()


def _run_of(row: tuple[Any, ...]) -> Run:
    return Run(**dict(zip(Run.__struct_fields__, row, strict=True)))
