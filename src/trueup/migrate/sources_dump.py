"""SQL dumps: their CREATE TABLE and INSERT statements are read as text; nothing of a dump is ever executed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from trueup.migrate.sources_text import SourceRefused

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
      | (?P<text>[eE]?'(?:[^'\\]|''|\\.)*')
      | (?P<plain>'(?:[^']|'')*')
      | (?P<name>"(?:[^"]|"")*"|`[^`]*`|\[[^\]\s]+\])
      | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<word>[^\W\d][\w$]*)
      | (?P<sign>::|.)""",
    re.VERBOSE | re.DOTALL,
)
_NOT_COLUMNS = {"primary", "constraint", "unique", "key", "foreign", "check", "index", "exclude", "fulltext"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


class DumpTable(msgspec.Struct):
    """A table of a dump. name: `<file>/<table>`. rows: values as text, None for NULL, in the order of `columns`."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[str | None, ...]]


class _Token(msgspec.Struct):
    kind: str
    text: str
    line: int


def read_dump(path: Path, name: str) -> list[DumpTable]:
    """Read every table of a dump. Raises SourceRefused for rows given by COPY, or values that are no literals.

    Statements other than CREATE TABLE and INSERT are passed over.
    """
    try:
        source = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceRefused(name, "it is not UTF-8", str(error), "Dump it as UTF-8.") from error
    if "\0" in source:
        raise SourceRefused(name, "it holds NUL bytes", "that is not text", "Dump it as plain SQL.")
    # A backslash is an escape in MySQL only; elsewhere it is a character like any other.
    escapes = "`" in source or "ENGINE=" in source
    tables: dict[str, DumpTable] = {}
    for statement in _statements(source, escapes):
        words = [token.text.lower() for token in statement[:3] if token.kind == "word"]
        if words[:2] == ["create", "table"]:
            _create(name, statement, tables)
        elif words[:2] == ["insert", "into"]:
            _insert(name, statement, tables, escapes)
        elif words[:1] == ["copy"]:
            raise SourceRefused(
                name, f"line {statement[0].line} gives rows by COPY", "only INSERT statements are read",
                "Dump it again with --inserts.",
            )  # fmt: skip
    filled = [table for table in tables.values() if table.rows]
    if not filled:
        raise SourceRefused(
            name, "it holds no rows", "nothing is inserted into the tables it creates", "Dump the data, too."
        )
    return filled


def _statements(source: str, escapes: bool) -> Iterator[list[_Token]]:
    tokens: list[_Token] = []
    line, at = 1, 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            break
        kind, text = match.lastgroup or "sign", match.group()
        if kind == "text" and not escapes and text[0] not in "eE":
            plain = re.compile(r"'(?:[^']|'')*'").match(source, at)
            text = plain.group() if plain else text
        if kind == "sign" and text == ";":
            if tokens:
                yield tokens
            tokens = []
        elif kind != "space":
            tokens.append(_Token("text" if kind == "plain" else kind, text, line))
        line += text.count("\n")
        at += len(text)
    if tokens:
        yield tokens


def _identifier(token: _Token) -> str:
    return token.text[1:-1].replace('""', '"') if token.kind == "name" else token.text


def _table_name(statement: list[_Token], at: int) -> tuple[str, int]:
    """Return the table's name without its schema, and the place after it."""
    while statement[at].text.lower() in {"if", "not", "exists", "only"}:
        at += 1
    while at + 2 < len(statement) and statement[at + 1].text == ".":
        at += 2
    return _identifier(statement[at]), at + 1


def _create(name: str, statement: list[_Token], tables: dict[str, DumpTable]) -> None:
    table, at = _table_name(statement, 2)
    columns: list[str] = []
    depth, first = 0, True
    for token in statement[at:]:
        if token.text == "(":
            depth += 1
            first = depth == 1
            continue
        if token.text == ")":
            depth -= 1
        elif token.text == "," and depth == 1:
            first = True
            continue
        elif first and depth == 1:
            if token.kind == "name" or token.text.lower() not in _NOT_COLUMNS:
                columns.append(_identifier(token))
            first = False
    tables[table.lower()] = DumpTable(f"{name}/{table}", tuple(columns), [])


def _insert(name: str, statement: list[_Token], tables: dict[str, DumpTable], escapes: bool) -> None:
    table, at = _table_name(statement, 2)
    target = tables.get(table.lower())
    if target is None:
        raise SourceRefused(name, f"line {statement[0].line} inserts into {table!r}", "the dump does not create it",
                            "Dump the structure, too.")  # fmt: skip
    columns = target.columns
    if statement[at].text == "(":
        end = next(place for place in range(at, len(statement)) if statement[place].text == ")")
        columns = tuple(_identifier(token) for token in statement[at + 1 : end] if token.text != ",")
        at = end + 1
    if statement[at].text.lower() != "values":
        raise _no_literal(name, statement[at])
    for row in _rows(name, statement[at + 1 :], escapes):
        if len(row) != len(columns):
            raise SourceRefused(
                name, f"line {statement[0].line} gives {len(row)} values", f"{table!r} takes {len(columns)}",
                "Dump it again.",
            )  # fmt: skip
        given = dict(zip(columns, row, strict=True))
        target.rows.append(row if columns == target.columns else tuple(map(given.get, target.columns)))


def _rows(name: str, tokens: list[_Token], escapes: bool) -> Iterator[tuple[str | None, ...]]:
    row: list[str | None] | None = None
    cast = False
    for token in tokens:
        if row is None:
            if token.text == "(":
                row = []
            elif token.text != ",":
                raise _no_literal(name, token)
        elif token.text == ")":
            yield tuple(row)
            row = None
        elif token.text == "::":
            cast = True
        elif cast:
            cast = False
        elif token.text != ",":
            row.append(_value(name, token, escapes))


def _value(name: str, token: _Token, escapes: bool) -> str | None:
    if token.kind == "number":
        return token.text
    if token.kind == "text":
        prefixed = token.text[0] in "eE"
        text = token.text[2 if prefixed else 1 : -1].replace("''", "'")
        if prefixed or escapes:
            text = re.sub(r"\\(.)", lambda found: _ESCAPES.get(found.group(1), found.group(1)), text, flags=re.S)
        return text
    if token.kind == "word" and token.text.lower() in {"null", "true", "false"}:
        return None if token.text.lower() == "null" else token.text.lower()
    raise _no_literal(name, token)


def _no_literal(name: str, token: _Token) -> SourceRefused:
    return SourceRefused(
        name, f"line {token.line}: {token.text!r} stands where a value should", "only literal values are read",
        "Dump it again with plain INSERT statements.",
    )  # fmt: skip
