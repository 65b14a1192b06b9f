"""Bring the plan of a staging area and what the load made of it together: how every row ended, counted and listed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core import json
from trueup.migrate.commands import open_staging
from trueup.migrate.load import Deviation
from trueup.migrate.sources import SYSTEM_COLUMNS, SourceFile, quoted
from trueup.migrate.state import BookedRow, FileCount

if TYPE_CHECKING:
    import duckdb

FETCHED_ROWS = 10_000
_DEVIATION = ("file", "row", "entity", "outcome", "rule", "column_name", "value", "detail", "fix", "identity")

_ENDED = """
    create table ended as
    select o.file, o.row, o.entity, o.identity,
        coalesce(d.outcome, case o.outcome when 'apply' then 'applied' when 'quarantine' then 'quarantined'
            when 'merge' then 'merged' else 'ignored' end) as outcome,
        coalesce(d.rule, o.rule) as rule, coalesce(d.column_name, o.column_name) as column_name,
        coalesce(d.value, o.value) as value, d.detail as detail, coalesce(d.fix, o.fix) as fix,
        d.file is not null as late
    from row_outcome o left join deviation d using (file, row)
"""
_FILES = """
    select file, count(*)::int, count(*) filter (outcome = 'applied')::int,
        count(*) filter (outcome = 'quarantined')::int, count(*) filter (outcome = 'merged')::int,
        count(*) filter (outcome = 'ignored')::int
    from ended group by file order by file
"""
_ROWS = """
    with told as (
        select e.file, e.row, e.entity, e.outcome, f.kind, coalesce(f.kind, e.rule) as rule, f.column_name, f.value,
            f.detail, f.fix, e.identity
        from ended e join finding f using (file, row)
        union all
        select file, row, entity, outcome, null, rule, column_name, value, detail, fix, identity from ended e
        where outcome <> 'applied' and (late or not exists (from finding f where f.file = e.file and f.row = e.row))
    )
    select file, row, row_number() over (partition by file, row order by kind nulls last, rule)::int, entity, outcome,
        kind, rule, column_name, value, detail, fix, identity
    from told order by file, row
"""


class Ledger:
    """A staging area with its load's deviations, open for counting; use it as a context manager.

    Tables beside those staged: `ended` (one row per source row, with its final outcome) and `deviation`.
    """

    def __init__(self, staging: Path, deviations: Sequence[Deviation]) -> None:
        self.connection = open_staging(staging)
        _take_deviations(self.connection, deviations)
        self.connection.execute(_ENDED)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def files(self) -> list[FileCount]:
        """Count how the rows of each file ended."""
        return [FileCount(*row) for row in self.connection.execute(_FILES).fetchall()]

    def rows(self, files: Sequence[SourceFile]) -> Iterator[BookedRow]:
        """Yield every row that was not plainly applied and every finding; quarantined rows with what they said."""
        written = self.written(files, "select file, row from ended where outcome = 'quarantined'")
        cursor = self.connection.cursor()
        cursor.execute(_ROWS)
        while page := cursor.fetchmany(FETCHED_ROWS):
            for columns in page:
                said = written.get((columns[0], columns[1])) if columns[4] == "quarantined" else None
                yield BookedRow(*(*columns, said))

    def written(self, files: Sequence[SourceFile], which: str) -> dict[tuple[str, int], dict[str, str | None]]:
        """Return the source's columns, as text, of the rows that a query `which` names by file and row."""
        found: dict[tuple[str, int], dict[str, str | None]] = {}
        for table in sorted({file.table for file in files}):
            cursor = self.connection.execute(
                f"select r.* from {quoted(table)} r join ({which}) w on w.file = r._file and w.row = r._row"
            )
            names = [column[0] for column in cursor.description]
            for values in cursor.fetchall():
                row = dict(zip(names, values, strict=True))
                found[row["_file"], row["_row"]] = _said(row)
        return found


def files_of(text: str) -> tuple[SourceFile, ...]:
    """Return the files a run has read, from their JSON."""
    return json.decode(text, tuple[SourceFile, ...])


def _said(row: dict[str, Any]) -> dict[str, str | None]:
    said = {name: value for name, value in row.items() if name not in SYSTEM_COLUMNS}
    if row.get("_text"):
        said["_text"] = row["_text"]
    return said


def _take_deviations(connection: duckdb.DuckDBPyConnection, deviations: Sequence[Deviation]) -> None:
    import pyarrow

    columns = [pyarrow.string() if name != "row" else pyarrow.int64() for name in _DEVIATION]
    names = ("file", "row", "entity", "outcome", "rule", "column", "value", "detail", "fix", "identity")
    arrays = [
        pyarrow.array([getattr(entry, name) for entry in deviations], type=kind)
        for name, kind in zip(names, columns, strict=True)
    ]
    connection.register("deviations", pyarrow.table(arrays, names=list(_DEVIATION)))
    connection.execute("create table deviation as select distinct on (file, row) * from deviations")
    connection.unregister("deviations")
