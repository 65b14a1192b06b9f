"""Find the files of an export and take each in whole, as text, with the row it stands in; or refuse it in one message.

Every file becomes rows of a table `raw_<n>` in DuckDB (files with the same columns share one). A raw table has the
file's columns as VARCHAR (empty is NULL) and, beside them:

    _id        bigint   number of the row over all files, in reading order
    _file      varchar  name of the file as reports show it
    _row       bigint   1-based physical line as an editor shows it (the header is line 1); in parquet and SQL: nth row
    _fault     varchar  `wrong_field_count`, `blank_row`, `repeated_header` or NULL
    _encoding  varchar  `cp1252` where the line was no UTF-8, `mojibake` where it was decoded wrongly before, or NULL
    _text      varchar  the row as it stood, for rows with the wrong number of fields only
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from trueup.core.errors import TrueupError
from trueup.migrate.sources_dump import DumpTable, read_dump
from trueup.migrate.sources_text import LIMITS, SourceRefused, TextFile, open_text, read_chunks

if TYPE_CHECKING:
    import duckdb

    Tick = Callable[[str, int, int], None]

__all__ = ["LIMITS", "SourceFile", "SourceRefused", "ingest", "quoted"]

TEXT_ENDINGS = (".csv", ".txt", ".tsv")
SYSTEM_COLUMNS = ("_id", "_file", "_row", "_fault", "_encoding", "_text")


class NothingToRead(TrueupError):
    """No file of a known kind was found where the source was said to be."""


class SourceFile(msgspec.Struct, frozen=True):
    """One file (or one table of a dump) that was taken in.

    table: the raw table it is in. rows: data rows, blank ones included. delimiter: of a text file, else empty.
    encoding: `utf-8`, `utf-16` or `cp1252`. repaired: rows whose text had to be repaired.
    """

    name: str
    table: str
    format: str
    columns: tuple[str, ...]
    rows: int
    delimiter: str = ""
    encoding: str = "utf-8"
    repaired: int = 0


def quoted(name: str) -> str:
    """Write a column or table name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def find(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """List the files below `paths` that can be read, each with its name in reports, sorted by that name.

    A file inside a folder is named by its path below that folder. The same name twice gets `#2`, `#3`...
    Raises SourceRefused for a path that is not there or a file of another kind; NothingToRead when a folder is empty.
    """
    found: list[tuple[Path, str]] = []
    for path in paths:
        if path.is_dir():
            inside = (entry for entry in path.rglob("*") if entry.is_file() and not entry.name.startswith("."))
            readable = [entry for entry in inside if entry.suffix.lower() in (*TEXT_ENDINGS, ".parquet", ".sql")]
            found += [(entry, entry.relative_to(path).as_posix()) for entry in readable]
        elif path.is_file():
            found.append((path, path.name))
        else:
            raise SourceRefused(str(path), "it is not there", "a source is a file or a folder", "Check the path.")
    if not found:
        raise NothingToRead(f"No .csv, .txt, .tsv, .parquet or .sql file in {', '.join(map(str, paths))}.")
    seen: dict[str, int] = {}
    named = []
    for path, name in sorted(found, key=lambda entry: (entry[1], str(entry[0]))):
        seen[name] = seen.get(name, 0) + 1
        named.append((path, name if seen[name] == 1 else f"{name}#{seen[name]}"))
    return named


def ingest(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], tick: Tick | None = None
) -> tuple[SourceFile, ...]:
    """Take every file below `paths` into raw tables. Raises SourceRefused on the first file that is not what it says.

    All files are looked at before the first is read. Nothing is dropped: rows with the wrong number of fields, blank
    rows and repeated headers are kept and named in `_fault`.
    """
    named = find(paths)
    opened = [(path, name, _opened(path, name)) for path, name in named]
    reader = _Reader(connection)
    for done, (path, name, text) in enumerate(opened):
        if tick is not None:
            tick("read", done, len(opened))
        if text is not None:
            reader.take_text(text)
        elif path.suffix.lower() == ".sql":
            for table in read_dump(path, name):
                reader.take_dump(table)
        else:
            reader.take_parquet(path, name)
    reader.finish()
    if tick is not None:
        tick("read", len(opened), len(opened))
    return tuple(reader.files)


def _opened(path: Path, name: str) -> TextFile | None:
    """Check what a file is by its first and last bytes; text files are sniffed as well."""
    size = path.stat().st_size
    if size == 0:
        raise SourceRefused(name, "the file is empty", "there is no header and no row", "Export it again.")
    if size > LIMITS.file_bytes_max:
        raise SourceRefused(
            name, f"it has {size:,} bytes", f"the limit is {LIMITS.file_bytes_max:,}", "Split it into several files."
        )
    ending = path.suffix.lower()
    if ending == ".parquet":
        _check_parquet(path, name, size)
        return None
    if ending == ".sql":
        return None
    if ending not in TEXT_ENDINGS:
        raise SourceRefused(
            name, f"a file ending in {ending!r} cannot be read", "known are .csv .txt .tsv .parquet .sql",
            "Export it as CSV or parquet.",
        )  # fmt: skip
    return open_text(path, name)


def _check_parquet(path: Path, name: str, size: int) -> None:
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(max(0, size - 4))
        tail = stream.read(4)
    if head != b"PAR1":
        raise SourceRefused(
            name, "it is named .parquet and is not one", f"it begins with {head!r}, not b'PAR1'",
            "Name it by what it is, for example .csv.",
        )  # fmt: skip
    if tail != b"PAR1" or size < 12:
        raise SourceRefused(
            name, "it is cut short", "its last four bytes are not b'PAR1', so its index is missing",
            "Copy or export it again.",
        )  # fmt: skip


class _Reader:
    """Raw tables as they fill: one per distinct list of columns."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.files: list[SourceFile] = []
        self.tables: dict[tuple[str, ...], str] = {}
        self.rows = 0

    def take_text(self, text: TextFile) -> None:
        table = self._table(text.columns, text.name)
        before, repaired = self.rows, 0
        for chunk in read_chunks(text):
            repaired += sum(chunk.repaired)
            names = [*text.columns, "_row", "_fault", "_encoding", "_text"]
            encoding = ["cp1252" if bad else None for bad in chunk.repaired]
            self._insert(table, names, [*chunk.columns, chunk.lines, chunk.faults, encoding, chunk.texts], text.name)
        self.files.append(
            SourceFile(
                name=text.name, table=table, format="csv", columns=text.columns, rows=self.rows - before,
                delimiter=text.delimiter, encoding=text.encoding, repaired=repaired,
            )
        )  # fmt: skip

    def take_dump(self, dump: DumpTable) -> None:
        table = self._table(dump.columns, dump.name)
        rows = len(dump.rows)
        columns = [list(column) for column in zip(*dump.rows, strict=True)] if rows else [[] for _ in dump.columns]
        empty = [None] * rows
        names = [*dump.columns, "_row", "_fault", "_encoding", "_text"]
        self._insert(table, names, [*columns, list(range(1, rows + 1)), empty, empty, empty], dump.name)
        self.files.append(SourceFile(name=dump.name, table=table, format="sql", columns=dump.columns, rows=rows))

    def take_parquet(self, path: Path, name: str) -> None:
        import duckdb

        source = "read_parquet(?, file_row_number = true)"
        try:
            described = self.connection.execute(f"describe select * from {source}", [str(path)]).fetchall()
            columns = tuple(row[0] for row in described if row[0] != "file_row_number")
            _check_width(name, columns)
            table = self._table(columns, name)
            texts = ", ".join(f"nullif(cast({quoted(column)} as varchar), '')" for column in columns)
            counted = self.connection.execute(
                f"insert into {table} select {self.rows} + file_row_number + 1, ?, file_row_number + 1, "
                f"null, null, null, {texts} from {source}",
                [name, str(path)],
            ).fetchall()
        except duckdb.Error as error:
            raise SourceRefused(name, "it cannot be read as parquet", str(error).split("\n")[0], "Export it again.")  # noqa: B904
        rows = int(counted[0][0])
        self.rows += rows
        self.files.append(SourceFile(name=name, table=table, format="parquet", columns=columns, rows=rows))

    def finish(self) -> None:
        """Name repeated headers and blank rows, which only a look at all columns tells."""
        for columns, table in self.tables.items():
            blank = " and ".join(f"coalesce(trim({quoted(column)}), '') = ''" for column in columns)
            header = " and ".join(f"lower(trim({quoted(c)})) = {_literal(c.strip().lower())}" for c in columns)
            self.connection.execute(f"update {table} set _fault = 'blank_row' where _fault is null and {blank}")
            if len(columns) > 1:
                self.connection.execute(f"update {table} set _fault = 'repeated_header' where {header}")

    def _table(self, columns: tuple[str, ...], name: str) -> str:
        _check_width(name, columns)
        if columns not in self.tables:
            table = f"raw_{len(self.tables) + 1}"
            listed = ", ".join(f"{quoted(column)} varchar" for column in columns)
            self.connection.execute(
                f"create table {table} (_id bigint, _file varchar, _row bigint, _fault varchar, _encoding varchar, "
                f"_text varchar, {listed})"
            )
            self.tables[columns] = table
        return self.tables[columns]

    def _insert(self, table: str, names: Sequence[str], columns: Sequence[Sequence[object]], file: str) -> None:
        import pyarrow

        rows = len(columns[-1])
        types = [pyarrow.string()] * len(names)
        types[names.index("_row")] = pyarrow.int64()
        arrays = [pyarrow.array(column, kind) for column, kind in zip(columns, types, strict=True)]
        batch: pyarrow.Table = pyarrow.Table.from_arrays(arrays, [f"c{place}" for place in range(len(names))])
        width = len(names) - 4
        texts = ", ".join(f"nullif(c{place}, '')" for place in range(width))
        self.connection.register("chunk", batch)
        self.connection.execute(
            f"insert into {table} select {self.rows} + row_number() over (), ?, c{width}, c{width + 1}, c{width + 2}, "
            f"c{width + 3}, {texts} from chunk",
            [file],
        )
        self.connection.unregister("chunk")
        self.rows += rows


def _check_width(name: str, columns: tuple[str, ...]) -> None:
    if len(columns) > LIMITS.columns_max:
        raise SourceRefused(
            name, f"it has {len(columns)} columns", f"the limit is {LIMITS.columns_max}", "Export fewer columns."
        )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def rows_of(files: Sequence[SourceFile]) -> int:
    """Count the data rows of all files."""
    return sum(file.rows for file in files)


def tables_of(files: Sequence[SourceFile]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each raw table once, with its columns."""
    yield from {file.table: file.columns for file in files}.items()
