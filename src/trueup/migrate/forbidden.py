"""Columns that must not be taken in at all: card numbers, passwords, keys. They are found by name and by value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trueup.migrate.sources import SourceFile, quoted, tables_of
from trueup.migrate.sources_text import SourceRefused
from trueup.migrate.vocabulary import is_secret

if TYPE_CHECKING:
    import duckdb

SAMPLE_ROWS = 20_000
SHARE_MAX = 0.01
_DIGITS = re.compile(r"(?<![\d.,])\d(?:[ -]?\d){12,18}(?![\d.,]\d|\d)")
# Issuers' number ranges (ISO/IEC 7812): Visa, Mastercard, American Express, Discover, JCB, Diners, Maestro, UnionPay.
_ISSUER = re.compile(r"4|5[0-9]|2[2-7]|3[0-9]|6")


def refuse_secrets(connection: duckdb.DuckDBPyConnection, files: Sequence[SourceFile]) -> None:
    """Raise SourceRefused naming the first column that holds card numbers or secrets.

    A column holds card numbers when more than 1 % of a sample of its values contain 13 to 19 digits that pass the
    Luhn check, and most of its numbers of that length do: of long numbers of any kind a tenth pass by chance.
    """
    for table, columns in tables_of(files):
        name = next(file.name for file in files if file.table == table)
        for column in columns:
            if is_secret(column):
                raise _refused(name, column, "it is named like card numbers, passwords or keys")
        for column in columns:
            _check_values(connection, table, column, name)


def luhn(digits: str) -> bool:
    """Tell whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _check_values(connection: duckdb.DuckDBPyConnection, table: str, column: str, name: str) -> None:
    text = quoted(column)
    sample = f"select {text} as v from {table} where {text} is not null order by hash(_id) limit {SAMPLE_ROWS}"
    found = connection.execute(
        f"select v, n, sum(n) over () from (select v, count(*) as n from ({sample}) group by v) "
        r"qualify regexp_matches(v, '\d([ -]?\d){12}')"
    ).fetchall()
    if not found:
        return
    long = cards = 0
    for text, rows, _ in found:
        for digits in (re.sub(r"\D", "", match) for match in _DIGITS.findall(text)):
            long += rows
            cards += rows * (luhn(digits) and _ISSUER.match(digits) is not None and len(set(digits)) > 1)
    if cards > SHARE_MAX * found[0][2] and cards > 0.5 * long and (cards > 2 or found[0][2] <= 20):
        raise _refused(name, column, f"{cards} of {found[0][2]} values looked at are card numbers by the Luhn check")


def _refused(name: str, column: str, why: str) -> SourceRefused:
    return SourceRefused(
        name, f"the column {column!r} must not be taken in", why, "Export the file without this column."
    )  # fmt: skip
