"""Profile files: what stands in every column of every file, before anybody decides what it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from trueup.migrate.sources import SourceFile, quoted, tables_of

if TYPE_CHECKING:
    import duckdb
    from rich.table import Table

Tick = Callable[[str, int, int], None]
PATTERNS_KEPT = 5
SAMPLES_KEPT = 5
_NUMBER_SHARE = 0.9


class ColumnProfile(msgspec.Struct, frozen=True):
    """What stands in one column of one file. Counts are rows unless said otherwise.

    type: `whole`, `number`, `date`, `email`, `text` or `empty`: what at least nine in ten values are.
    nulls: empty or blank. distinct: values. duplicates: rows beyond the first of each value.
    patterns: (pattern, rows), most frequent first; a run of digits is 9, of letters A. smallest, largest: by number
    for numbers, else as text. outliers: rows whose number lies beyond Tukey's fences, 1.5 interquartile ranges
    of the distinct values. samples: the most frequent values.
    """

    name: str
    type: str
    nulls: int
    distinct: int
    duplicates: int
    patterns: tuple[tuple[str, int], ...]
    smallest: str | None
    largest: str | None
    outliers: int
    samples: tuple[str, ...]


class FileProfile(msgspec.Struct, frozen=True):
    """One file. rows: data rows. duplicates: rows that repeat an earlier one exactly. wrong_rows: with wrong fields."""

    name: str
    rows: int
    duplicates: int
    wrong_rows: int
    columns: tuple[ColumnProfile, ...]


def profile(
    connection: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], tick: Tick | None = None
) -> tuple[FileProfile, ...]:
    """Profile every column of every file, from all rows; text that repeats is looked at once."""
    profiles: dict[str, FileProfile] = {}
    tables = list(tables_of(files))
    for done, (table, columns) in enumerate(tables):
        if tick is not None:
            tick("profile", done, len(tables))
        found = {column: _profile_column(connection, table, column) for column in columns}
        for name, rows, duplicates, wrong in _rows(connection, table, columns):
            own = tuple(found[column][name] for column in columns if name in found[column])
            profiles[name] = FileProfile(name, rows, duplicates, wrong, own)
    return tuple(profiles.get(file.name, FileProfile(file.name, 0, 0, 0, ())) for file in files)


def as_table(file: FileProfile) -> Table:
    """Show a file's profile as a table for the terminal."""
    from rich.table import Table

    title = f"{file.name}: {file.rows:,} rows, {file.duplicates:,} repeated, {file.wrong_rows:,} with wrong fields"
    table = Table(title=title)
    for heading in ("column", "type", "empty", "distinct", "patterns", "smallest", "largest", "outliers", "samples"):
        table.add_column(heading)
    for column in file.columns:
        table.add_row(
            column.name, column.type, f"{column.nulls:,}", f"{column.distinct:,}",
            ", ".join(f"{pattern} ({rows:,})" for pattern, rows in column.patterns[:3]),
            column.smallest or "", column.largest or "", f"{column.outliers:,}", ", ".join(column.samples),
        )  # fmt: skip
    return table


def _rows(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str]) -> list[tuple[str, int, int, int]]:
    whole = ", ".join(map(quoted, columns))
    return connection.execute(
        f"select _file, count(*), "
        f"count(*) filter (_fault is null) - count(distinct hash({whole})) filter (_fault is null), "
        f"count(*) filter (_fault = 'wrong_field_count') from {table} group by _file"
    ).fetchall()


def _profile_column(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> dict[str, ColumnProfile]:
    """Profile one column in every file of a raw table: file -> profile."""
    connection.execute(
        f"""
        create or replace temp table value_of as
        select f, v, n, coalesce(number_point(v), number_comma(v)) as number,
            regexp_replace(regexp_replace(v, '[0-9]+', '9', 'g'), '\\p{{L}}+', 'A', 'g') as pattern
        from (select _file as f, nullif(trim({quoted(column)}), '') as v, count(*) as n from {table}
            where _fault is null group by all)
        """
    )
    patterns: dict[str, list[tuple[str, int]]] = {}
    for file, pattern, rows in connection.execute(
        f"""
        select f, left(pattern, 40) as shape, sum(n) as rows from value_of where v is not null group by f, shape
        qualify row_number() over (partition by f order by rows desc, shape) <= {PATTERNS_KEPT}
        order by f, rows desc, shape
        """
    ).fetchall():
        patterns.setdefault(file, []).append((pattern, int(rows)))
    found = connection.execute(_SUMMARY).fetchall()
    return {row[0]: _column(column, row[1:], tuple(patterns.get(row[0], ()))) for row in found}


_SUMMARY = f"""
    with fences as (
        select f, quantile_cont(number, 0.25) as low, quantile_cont(number, 0.75) as high from value_of
        where number is not null group by f)
    select f, coalesce(sum(n) filter (v is null), 0), count(v), coalesce(sum(n) filter (v is not null), 0),
        coalesce(sum(n) filter (number is not null), 0),
        coalesce(sum(n) filter (number is not null and number = trunc(number)), 0),
        coalesce(sum(n) filter (regexp_full_match(v, '\\d{{1,4}}[-./]\\d{{1,2}}[-./]\\d{{1,4}}([ T,].*)?')), 0),
        coalesce(sum(n) filter (regexp_full_match(v, '[^@\\s]+@[^@\\s]+')), 0),
        min(v), max(v), arg_min(v, number), arg_max(v, number),
        coalesce(sum(n) filter (number < low - 1.5 * (high - low) or number > high + 1.5 * (high - low)), 0),
        (list(v order by n desc, v) filter (v is not null))[1:{SAMPLES_KEPT}]
    from value_of left join fences using (f) group by f
"""


def _column(name: str, row: tuple[object, ...], patterns: tuple[tuple[str, int], ...]) -> ColumnProfile:
    nulls, distinct, filled, numbers, whole, dates, mails = (int(str(value)) for value in row[:7])
    smallest, largest, low, high, outliers, samples = row[7:13]
    kind = _kind(filled, numbers, whole, dates, mails)
    numeric = kind in ("whole", "number")
    assert isinstance(samples, list | None)
    return ColumnProfile(
        name=name, type=kind, nulls=nulls, distinct=distinct, duplicates=filled - distinct, patterns=patterns,
        smallest=_text(low if numeric else smallest), largest=_text(high if numeric else largest),
        outliers=int(str(outliers)) if numeric else 0,
        samples=tuple(str(sample)[:60] for sample in samples or () if sample is not None),
    )  # fmt: skip


def _kind(filled: int, numbers: int, whole: int, dates: int, mails: int) -> str:
    if filled == 0:
        return "empty"
    for kind, rows in (("date", dates), ("email", mails), ("whole", whole), ("number", numbers)):
        if rows >= _NUMBER_SHARE * filled:
            return kind
    return "text"


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:60]
