"""What the values of a column look like: the features a first mapping is proposed from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from trueup.core.money import is_currency
from trueup.migrate import dates
from trueup.migrate.sources import quoted
from trueup.migrate.typed import values_of

if TYPE_CHECKING:
    import duckdb

KEY_VALUES_MAX = 300_000
_POINT = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?")
_WHOLE = re.compile(r"[+-]?\d+([.,]0+)?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
_COUNTRY = re.compile(r"[A-Z]{2,3}")


class Column(msgspec.Struct):
    """A column's features. Shares are of its non-blank values, 0 to 1.

    filled: share of rows with a value. distinct: values. unique: hardly a value twice.
    form: date format of most values. values: a sample, value -> rows.
    """

    name: str
    rows: int
    filled: float
    distinct: int
    unique: bool
    number: float
    comma_only: float
    point_only: float
    whole: float
    negative: float
    date: float
    form: str | None
    email: float
    currency: float
    country: float
    gtin: float
    letters: float
    spaces: float
    length: float
    magnitude: float
    counter: bool
    values: dict[str, int]

    @property
    def fraction(self) -> float:
        """Share of values that are numbers with decimals."""
        return max(0.0, self.number - self.whole)


class Unit(msgspec.Struct):
    """Files with the same columns. keys: unique column -> every value it has, spelled."""

    table: str
    files: tuple[str, ...]
    columns: dict[str, Column]
    rows: int
    keys: dict[str, set[str]]
    decimal: str = "."


def spelled(value: str) -> str:
    """Return a key without signs and in upper case; `17850.0` is `17850`."""
    return re.sub(r"[^\w]|_", "", re.sub(r"^(\d+)\.0+$", r"\1", value.strip())).upper()


def look_at(connection: duckdb.DuckDBPyConnection, table: str, files: tuple[str, ...], names: tuple[str, ...]) -> Unit:
    """Compute the features of every column of a raw table, from all rows for counts and a sample for the rest."""
    live = "_fault is null"
    counts = ", ".join(f"count(trim({quoted(n)})), count(distinct trim({quoted(n)}))" for n in names)
    found = connection.execute(f"select count(*), {counts} from {table} where {live}").fetchall()[0]
    rows, columns = int(found[0]), {}
    for place, name in enumerate(names):
        filled, distinct = int(found[1 + 2 * place]), int(found[2 + 2 * place])
        values = values_of(connection, table, quoted(name), "true")
        columns[name] = _features(name, rows, filled, distinct, values)
    unit = Unit(table, files, columns, rows, {})
    commas = sum(column.comma_only for column in columns.values())
    points = sum(column.point_only for column in columns.values())
    unit.decimal = "," if commas > points else "."
    for column in columns.values():
        column.counter = _is_counter(connection, table, column)
        if column.unique and column.fraction < 0.1 and column.date < 0.5 and column.distinct <= KEY_VALUES_MAX:
            whole = connection.execute(
                f"select distinct trim({quoted(column.name)}) from {table} where {live}"
            ).fetchall()
            unit.keys[column.name] = {spelled(value) for (value,) in whole if value}
    return unit


def _features(name: str, rows: int, filled: int, distinct: int, values: dict[str, int]) -> Column:
    total = max(1, sum(values.values()))

    def share(test: re.Pattern[str]) -> float:
        return sum(n for v, n in values.items() if test.fullmatch(v)) / total

    point, comma = share(_POINT), share(_COMMA)
    number = max(point, comma)
    form, dated = dates.majority(values) if number < 0.5 or _could_be_date(values) else (None, 0.0)
    numbers = [_number(v) for v in values if _WHOLE.fullmatch(v) or _POINT.fullmatch(v) or _COMMA.fullmatch(v)]
    return Column(
        name=name, rows=rows, filled=filled / max(1, rows), distinct=distinct,
        unique=distinct >= 3 and filled >= 0.95 * rows and distinct >= 0.95 * filled,
        number=number,
        comma_only=share(re.compile(r"[+-]?[\d.]*\d,\d+")) if comma > 0.5 else 0.0,
        point_only=share(re.compile(r"[+-]?[\d,]*\d\.\d+")) if point > 0.5 else 0.0,
        whole=share(_WHOLE),
        negative=sum(n for v, n in values.items() if v.startswith("-")) / total,
        date=dated, form=form, email=share(_EMAIL),
        currency=sum(n for v, n in values.items() if len(v) == 3 and is_currency(v.upper())) / total,
        country=share(_COUNTRY),
        gtin=sum(n for v, n in values.items() if v.isdecimal() and len(v) in (8, 12, 13, 14)) / total,
        letters=sum(n for v, n in values.items() if re.search(r"[^\W\d_]", v)) / total,
        spaces=sum(n for v, n in values.items() if " " in v) / total,
        length=sum(len(v) * n for v, n in values.items()) / total,
        magnitude=sum(map(abs, numbers)) / len(numbers) if numbers else 0.0,
        counter=False, values=values,
    )  # fmt: skip


def _could_be_date(values: dict[str, int]) -> bool:
    return all(len(value) == 8 and value.startswith(("19", "20")) for value in list(values)[:20])


def _number(text: str) -> float:
    if "," in text and ("." not in text or text.rfind(",") > text.rfind(".")):
        text = text.replace(".", "").replace(",", ".")
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return 0.0


def _is_counter(connection: duckdb.DuckDBPyConnection, table: str, column: Column) -> bool:
    """Tell whether a column only numbers the rows of its file, one up each time."""
    if column.distinct < column.rows or column.whole < 1 or column.rows < 3:
        return False
    steps = connection.execute(
        f"select count(distinct try_cast({quoted(column.name)} as bigint) - rank) from (select *, row_number() over "
        f"(partition by _file order by _id) as rank from {table} where _fault is null)"
    ).fetchall()
    return bool(steps[0][0] == 1)
