"""Text files: what delimits their fields, how their bytes are read, and which line each record stands on."""

from __future__ import annotations

import codecs
import csv
import io
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import msgspec

from trueup.core.errors import TrueupError

DELIMITERS = (",", ";", "\t", "|")
CHUNK_ROWS = 50_000
BLOCK_BYTES = 4 << 20
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip (or a spreadsheet)",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "7z",
    b"%PDF": "PDF",
    b"PAR1": "parquet",
    b"\xd0\xcf\x11\xe0": "old Excel",
    b"SQLite": "SQLite",
}
_VALUE = re.compile(
    r"[+-]?[\d.,]*\d[\d.,]*|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}([ T].*)?|[^@\s]+@[^@\s]+\.\w+|null|true|false", re.I
)


class Limits(msgspec.Struct, frozen=True):
    """The sizes a source may have: bytes of a file and of a line, columns of a file, characters of a field."""

    file_bytes_max: int = 2 << 30
    line_bytes_max: int = 1 << 20
    columns_max: int = 500
    field_characters_max: int = 1 << 20


LIMITS = Limits()


class SourceRefused(TrueupError):
    """A file that is not what it says. The message is one sentence each for what, why and what to do."""

    def __init__(self, where: str, what: str, why: str, fix: str) -> None:
        super().__init__(f"{where}: {what}; {why}. {fix} Nothing was loaded.")
        self.where, self.what, self.why, self.fix = where, what, why, fix


class TextFile(msgspec.Struct, frozen=True):
    """A text file whose head was understood. encoding: `utf-8`, `utf-16` or `cp1252`."""

    path: Path
    name: str
    delimiter: str
    columns: tuple[str, ...]
    encoding: str


class Chunk(msgspec.Struct):
    """Some rows of a text file, by column. lines: where each record begins. repaired: whether it was no UTF-8."""

    columns: list[list[str | None]]
    lines: list[int]
    faults: list[str | None]
    repaired: list[bool]
    texts: list[str | None]


def open_text(path: Path, name: str) -> TextFile:
    """Look at the head of a text file. Raises SourceRefused when it is compressed, binary or has no header."""
    with path.open("rb") as stream:
        head = stream.read(BLOCK_BYTES // 16)
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise SourceRefused(
                name, f"it is named {path.suffix} and is a {what} file", f"it begins with {magic!r}",
                "Unpack it, or export it as plain text.",
            )  # fmt: skip
    encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    if encoding == "utf-8":
        _check_not_binary(name, head)
        encoding = _encoding_of(path)
    lines = list(islice(chain.from_iterable(io.StringIO(t, newline="") for t, _ in _blocks(path, name, encoding)), 200))
    delimiter = _delimiter(name, lines, path.suffix.lower())
    header = next(iter(csv.reader(lines, delimiter=delimiter)), [])
    return TextFile(path, name, delimiter, _column_names(name, header), encoding)


def read_chunks(text: TextFile) -> Iterator[Chunk]:
    """Read the records of a text file, header excluded. Raises SourceRefused on NUL bytes and endless lines."""
    bad: list[int] = []

    def lines() -> Iterator[io.StringIO]:
        for block, lines_of_bad in _blocks(text.path, text.name, text.encoding):
            bad.extend(lines_of_bad)
            yield io.StringIO(block, newline="")

    limit = csv.field_size_limit(LIMITS.field_characters_max)
    reader = csv.reader(chain.from_iterable(lines()), delimiter=text.delimiter)
    try:
        next(reader)
        while True:
            start, rows, ends = reader.line_num, [], []
            for row in islice(reader, CHUNK_ROWS):
                rows.append(row)
                ends.append(reader.line_num)
            last = len(rows) < CHUNK_ROWS
            while last and rows and not rows[-1]:
                rows.pop()  # empty lines after the last row are an editor's habit, not rows
            if rows:
                yield _chunk(text, rows, start, ends[: len(rows)], bad)
            if last:
                return
    except csv.Error as error:
        raise SourceRefused(
            text.name, f"line {reader.line_num} cannot be read", str(error), "Look for a quote that is never closed."
        ) from error
    finally:
        csv.field_size_limit(limit)


def _chunk(text: TextFile, rows: list[list[str]], start: int, ends: list[int], bad: list[int]) -> Chunk:
    width = len(text.columns)
    faults: list[str | None] = [None] * len(rows)
    texts: list[str | None] = [None] * len(rows)
    for place, row in enumerate(rows):
        if len(row) != width:
            blank = not any(cell.strip() for cell in row)
            faults[place] = "blank_row" if blank else "wrong_field_count"
            texts[place] = None if blank else text.delimiter.join(row)
            rows[place] = (row + [""] * width)[:width]
    repaired = [False] * len(rows)
    for line in bad:
        if start < line <= ends[-1]:
            repaired[bisect_left(ends, line)] = True
    columns: list[list[str | None]] = [list(column) for column in zip(*rows, strict=True)]
    return Chunk(columns, [start + 1, *(end + 1 for end in ends[:-1])], faults, repaired, texts)


def _blocks(path: Path, name: str, encoding: str) -> Iterator[tuple[str, list[int]]]:
    """Yield (whole lines as text, numbers of those that were no UTF-8) without a byte order mark."""
    line = 0
    for data in _line_blocks(path, name, encoding):
        lines = data.splitlines(keepends=True)
        longest = max(map(len, lines), default=0)
        if longest > LIMITS.line_bytes_max:
            raise _endless(name, line + 1 + max(range(len(lines)), key=lambda place: len(lines[place])), longest)
        if b"\0" in data:
            where = next(number for number, text in enumerate(lines, line + 1) if b"\0" in text)
            raise SourceRefused(name, f"line {where} holds NUL bytes", "that is not text", "Export it as plain text.")
        yield _decoded(data, lines, line, encoding)
        line += len(lines)


def _decoded(data: bytes, lines: list[bytes], line: int, encoding: str) -> tuple[str, list[int]]:
    if encoding == "cp1252":
        return _from_windows(data), []
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        texts, bad = [], []
        for number, raw in enumerate(lines, line + 1):
            try:
                texts.append(raw.decode("utf-8"))
            except UnicodeDecodeError:
                texts.append(_from_windows(raw))
                bad.append(number)
        return "".join(texts), bad


def _from_windows(raw: bytes) -> str:
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in raw)


def _line_blocks(path: Path, name: str, encoding: str) -> Iterator[bytes]:
    rest = b""
    for data in _utf8(path, encoding):
        data = rest + data
        cut = data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, len(data) - 1) + 1
        if cut == 0 and len(data) > LIMITS.line_bytes_max:
            raise _endless(name, 1, len(data))
        rest = data[cut:]
        if cut:
            yield data[:cut]
    if rest:
        yield rest


def _utf8(path: Path, encoding: str) -> Iterator[bytes]:
    """Yield the file's bytes without byte order mark; UTF-16 is transcoded."""
    with path.open("rb") as stream:
        if encoding == "utf-16":
            decoder = codecs.getincrementaldecoder("utf-16")("replace")
            while block := stream.read(BLOCK_BYTES):
                yield decoder.decode(block).encode("utf-8", "replace")
            return
        first = stream.read(len(codecs.BOM_UTF8))
        if first != codecs.BOM_UTF8:
            yield first
        while block := stream.read(BLOCK_BYTES):
            yield block


def _endless(name: str, line: int, length: int) -> SourceRefused:
    return SourceRefused(
        name, f"line {line} has {length:,} bytes or more", f"the limit is {LIMITS.line_bytes_max:,}",
        "Check the line ends, or whether it is text at all.",
    )  # fmt: skip


def _check_not_binary(name: str, head: bytes) -> None:
    if b"\0" in head:
        where = head[: head.index(b"\0")].count(b"\n") + 1
        raise SourceRefused(name, f"line {where} holds NUL bytes", "that is not text", "Export it as plain text.")
    control = sum(head.count(bytes([byte])) for byte in (*range(1, 9), *range(14, 27), *range(28, 32)))
    if control * 20 > len(head):
        raise SourceRefused(name, "it is not text", f"{control} of its first {len(head)} bytes are control codes",
                            "Export it as plain text.")  # fmt: skip


def _encoding_of(path: Path) -> str:
    """Tell a file that is cp1252 throughout from a UTF-8 file with a few bad lines.

    It is cp1252 when it has no mark, more than one line in twelve is no UTF-8, and those are most of the lines beyond
    ASCII: a few that are valid UTF-8 were decoded wrongly before the export, which `repair` sees.
    """
    lines = bad = good = 0
    with path.open("rb") as stream:
        if stream.read(3) == codecs.BOM_UTF8:
            return "utf-8"
        stream.seek(0)
        for raw in stream.readlines(BLOCK_BYTES):
            lines += 1
            if raw.isascii():
                continue
            try:
                raw.decode("utf-8")
                good += 1
            except UnicodeDecodeError:
                bad += 1
    return "cp1252" if bad * 12 > lines and bad > max(3, good * 2) else "utf-8"


def _delimiter(name: str, lines: list[str], ending: str) -> str:
    """Return the delimiter that splits most of the first records into the same number, above one, of fields."""
    best, best_score = "", 0.0
    for delimiter in ("\t", *DELIMITERS) if ending == ".tsv" else DELIMITERS:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        if not widths or widths[0] < 2:
            continue
        same = sum(width == widths[0] for width in widths) / len(widths)
        most = Counter(widths).most_common(1)[0][0]
        score = same * 10 + min(widths[0], 9) / 10 + (1 if most == widths[0] else 0)
        if score > best_score:
            best, best_score = delimiter, score
    if not best:
        raise SourceRefused(
            name, "no delimiter was found", "its first line is not divided by a comma, semicolon, tab or bar",
            "Export it with one of those, and with a header.",
        )  # fmt: skip
    return best


def _column_names(name: str, header: list[str]) -> tuple[str, ...]:
    cells = [cell.strip() for cell in header]
    values = [cell for cell in cells if cell and _VALUE.fullmatch(cell)]
    if values or not any(cells):
        raise SourceRefused(
            name, "the first line is no header", f"it holds the value {values[0]!r}" if values else "it is blank",
            "Add a first line that names the columns.",
        )  # fmt: skip
    if len(cells) > LIMITS.columns_max:
        raise SourceRefused(name, f"it has {len(cells)} columns", f"the limit is {LIMITS.columns_max}",
                            "Export fewer columns.")  # fmt: skip
    names: list[str] = []
    taken = {"_id", "_file", "_row", "_fault", "_encoding", "_text"}
    for place, cell in enumerate(cells, 1):
        base = cell or f"column_{place}"
        candidate, again = base, 2
        while candidate.lower() in taken:
            candidate, again = f"{base}_{again}", again + 1
        taken.add(candidate.lower())
        names.append(candidate)
    return tuple(names)
