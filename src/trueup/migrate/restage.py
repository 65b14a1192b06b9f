"""Judge a staging area again after rows were corrected in it: all of it, since rows are judged by each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Lookup
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.migrate.mapping import Mapping
from trueup.migrate.sources import SYSTEM_COLUMNS, SourceFile, quoted
from trueup.migrate.stage import lock, open_staging
from trueup.migrate.typed import create_macros
from trueup.migrate.validate import validate

if TYPE_CHECKING:
    import duckdb

Tick = Callable[[str, int, int], None]
Written = Lookup[tuple[str, int], Lookup[str, str | None]]


def restage(
    staging: Path, files: Sequence[SourceFile], mapping: Mapping, corrected: Written, tick: Tick | None = None
) -> None:
    """Put corrected values into the raw rows of a staging file, by file and row, and validate it anew.

    Values are text as the source would have written them; a row that was cut wrongly counts as whole afterwards.
    """
    connection = open_staging(staging)
    try:
        raw = {file.table for file in files}
        tables = connection.execute(
            "select table_name from duckdb_tables() where not temporary and database_name = current_database()"
        ).fetchall()
        for (table,) in tables:
            if table not in raw and _is_judgement(table):
                connection.execute(f"drop table {quoted(table)}")
        by_file = {file.name: file.table for file in files}
        for (file, row), values in corrected.items():
            if file in by_file:
                _correct(connection, by_file[file], file, row, values)
        create_macros(connection)
        lock(connection)
        validate(connection, files, mapping, tick)
    finally:
        connection.close()


def _is_judgement(table: str) -> bool:
    return table.startswith("c_") or table in ("row_outcome", "finding")


def _correct(
    connection: duckdb.DuckDBPyConnection, table: str, file: str, row: int, values: Lookup[str, str | None]
) -> None:
    columns = [name for name in values if name not in SYSTEM_COLUMNS]
    assignments = [f"{quoted(name)} = ?" for name in columns]
    connection.execute(
        f"update {quoted(table)} set {', '.join([*assignments, '_fault = null'])} where _file = ? and _row = ?",
        [*((values[name] or None) for name in columns), file, row],
    )
