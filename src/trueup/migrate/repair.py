"""Text that was decoded wrongly before it was exported (`MÃ¼ller`, `donâ€™t`), found and put right."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from trueup.migrate.sources import quoted

if TYPE_CHECKING:
    import duckdb

# What the bytes 0x80-0xBF of a UTF-8 character look like when read as Windows-1252 (or Latin-1).
_CONTINUATION = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_MOJIBAKE = re.compile(
    f"[\u00c2-\u00df][{_CONTINUATION}]|[\u00e0-\u00ef][{_CONTINUATION}]{{2}}|\u00f0[{_CONTINUATION}]{{3}}"
)
_LOST = "\ufffd"


def repair_text(text: str) -> str | None:
    """Return the text as it was before it was read as Windows-1252, or None when it was not.

    A text that was misread twice is put right twice. Only runs that are UTF-8 when written back are touched.
    """
    repaired = text
    for _ in range(2):
        once = _MOJIBAKE.sub(_decoded, repaired)
        if once == repaired:
            break
        repaired = once
    return repaired if repaired != text else None


def _decoded(found: re.Match[str]) -> str:
    raw = bytearray()
    for character in found.group():
        try:
            raw += character.encode("cp1252")
        except UnicodeEncodeError:
            raw += character.encode("latin-1", "ignore")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return found.group()


def repair_tables(connection: duckdb.DuckDBPyConnection, tables: Iterable[tuple[str, tuple[str, ...]]]) -> None:
    """Put the texts of raw tables right; such rows get `_encoding` = `mojibake`, or `lost` where they cannot be."""
    for table, columns in tables:
        suspect = " or ".join(_suspicious(column) for column in columns)
        found = connection.execute(f"select count(*) from {table} where {suspect}").fetchall()
        for column in columns if found[0][0] else ():
            _repair_column(connection, table, column)


def _suspicious(column: str) -> str:
    name = quoted(column)
    signs = "ÃÂâÅÄÐÑ\u00f0" + _LOST
    return f"regexp_matches({name}, '[{signs}]')"


def _repair_column(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> None:
    name = quoted(column)
    texts = connection.execute(f"select distinct {name} from {table} where {_suspicious(column)}").fetchall()
    pairs = [(text, repaired) for (text,) in texts if (repaired := repair_text(text)) is not None]
    if pairs:
        connection.execute("create or replace temp table repaired (text varchar, better varchar)")
        connection.executemany(f"insert into {'repaired'} values (?, ?)", [list(pair) for pair in pairs])
        connection.execute(
            f"update {table} set {name} = better, _encoding = coalesce(_encoding, 'mojibake') from repaired "
            f"where {name} = text"
        )
    connection.execute(f"update {table} set _encoding = coalesce(_encoding, 'lost') where contains({name}, '{_LOST}')")
