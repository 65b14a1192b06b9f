"""The rows of an export's files, and laying them out as bytes with the answer key's row numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from trueup.sandbox.answer_key import BLANK_ROW, REPEATED_HEADER, AnswerKeyRow, Planted
from trueup.sandbox.dialects import SHEETS, Dialect, Sheet


@dataclass(slots=True, eq=False, kw_only=True)
class SourceRow:
    """One row of a file; each kind of row adds its values."""

    planted: Planted | None = None
    """None for a clean row."""

    def cells(self, dialect: Dialect) -> dict[str, str]:
        """The right text of each field, whether or not the dialect writes it."""
        raise NotImplementedError


Rows = dict[Sheet, list[SourceRow]]
"""The rows of every file of an export, in their order."""


class BlankRow(SourceRow):
    """A row of delimiters only."""


class RepeatedHeader(SourceRow):
    """The header line once more, as in files that were put together from several."""


def scatter_ignorable_rows(rng: Random, rows: Rows, blank: int, headers: int) -> None:
    """Put blank rows and repeated headers between the rows of all files, never first or last."""
    for kind, row_type, count in ((BLANK_ROW, BlankRow, blank), (REPEATED_HEADER, RepeatedHeader, headers)):
        for _ in range(count):
            sheet = rows[rng.choice([sheet for sheet in SHEETS if len(rows[sheet]) > 1])]
            detail = "delimiters only" if kind == BLANK_ROW else "the header line once more"
            sheet.insert(rng.randrange(1, len(sheet)), row_type(planted=Planted(kind, detail)))


def lay_out(sheet: Sheet, rows: Sequence[SourceRow], dialect: Dialect) -> tuple[bytes, list[AnswerKeyRow]]:
    """The bytes of one file, and what is planted in it by physical row."""
    file = dialect.file_names[sheet]
    fields = [column.field for column in dialect.columns[sheet]]
    header = dialect.encode(dialect.header(sheet))
    lines = [header]
    key = []
    for row in rows:
        if row.planted is not None:
            key.append(AnswerKeyRow(file, len(lines) + 1, row.planted.kind, row.planted.detail))
        if isinstance(row, RepeatedHeader):
            lines.append(header)
        elif isinstance(row, BlankRow):
            lines.append(dialect.encode(dialect.line([""] * len(fields))))
        else:
            lines.append(_encoded(row, fields, dialect))
    ending = dialect.line_ending.encode()
    mark = b"\xef\xbb\xbf" if dialect.encoding == "utf-8-sig" else b""
    return mark + ending.join([*lines, b""]), key


def _encoded(row: SourceRow, fields: Sequence[str], dialect: Dialect) -> bytes:
    cells: Mapping[str, str] = row.cells(dialect)
    if row.planted is None:
        return dialect.encode(dialect.line([cells[field] for field in fields]))
    cells = {**cells, **row.planted.written}
    line = dialect.line([cells[field] for field in fields])
    return line.encode("cp1252") if row.planted.as_cp1252 else dialect.encode(line)
