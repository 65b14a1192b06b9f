"""Which column is which field of a record whose role is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from trueup.migrate.columns import Column, Unit
from trueup.migrate.mapping import FIELDS, Entity
from trueup.migrate.sources import quoted
from trueup.migrate.typed import literal
from trueup.migrate.vocabulary import CANCELLED_WORDS, COLUMN_WORDS, CREDIT_WORDS, SHIPPED_WORDS, name_score, words_of

if TYPE_CHECKING:
    import duckdb


class Choice(msgspec.Struct, frozen=True):
    """One choice of a proposal. confidence: 0 to 1."""

    file: str
    entity: Entity
    field: str
    column: str
    confidence: float
    reason: str


def assign(unit: Unit, entity: Entity, hints: dict[str, tuple[str, str]], choices: list[Choice]) -> dict[str, str]:
    """Choose a column for every field it can be found for; append the choices made. Returns field -> column."""
    taken: dict[str, str] = {}
    for field, (column, reason) in hints.items():
        if column not in taken.values():
            taken[field] = column
            choices.append(Choice(unit.files[0], entity, field, column, 0.95, reason))
    offers = sorted(
        (
            (score, field, column.name, reason)
            for field in COLUMN_WORDS[entity]
            for column in unit.columns.values()
            for score, reason in (_offer(entity, field, column, unit),)
            if score >= 0.5
        ),
        key=lambda offer: -offer[0],
    )
    for score, field, name, reason in offers:
        if field not in taken and name not in taken.values():
            taken[field] = name
            choices.append(Choice(unit.files[0], entity, field, name, min(0.99, score / 1.6), reason))
    return taken


def _offer(entity: Entity, field: str, column: Column, unit: Unit) -> tuple[float, str]:
    """Score one column for one field: its name, if its values can be that; or its values alone, if they tell."""
    if column.filled == 0 or not _fits(entity, field, column):
        return 0.0, ""
    named = name_score(entity, field, column.name)
    valued = _by_value(entity, field, column, unit)
    if named and valued:
        return named + 0.6 * valued, "its name and its values say so"
    if named:
        return named, "its name says so"
    return 0.75 * valued, "its values look like it"


def _fits(entity: Entity, field: str, column: Column) -> bool:
    """Whether a column's values can be this field at all; a few faults among them are forgiven."""
    kind = FIELDS[entity][field]
    if kind == "number":
        return column.number > 0.6 and column.date < 0.5 and column.gtin < 0.9
    if kind == "time":
        return column.date > 0.5
    if field == "currency":
        return column.currency > 0.7
    if field == "email":
        return column.email > 0.5
    if field == "gtin":
        return column.gtin > 0.3 or column.number > 0.5
    if field in ("name", "description", "city", "street"):
        return column.letters > 0.5 and column.date < 0.3 and column.email < 0.5
    if field in ("document", "number", "sku") and entity in ("order", "item", "customer"):
        return column.distinct >= 0.9 * column.rows * column.filled and column.fraction < 0.2 and column.date < 0.5
    return column.fraction < 0.3 and column.date < 0.5


def _place_like(column: Column) -> float:
    if column.distinct > 0.2 * column.rows or column.letters < 0.5 or column.filled < 0.9:
        return 0.0
    return 0.75 + 0.02 * min(column.length, 6)


_Look = Callable[[Column], float]
_LOOKS: dict[tuple[str, str], _Look] = {
    ("item", "gtin"): lambda c: c.gtin if c.gtin > 0.5 and c.distinct > 3 and c.length > 7 else 0.0,
    ("item", "name"): lambda c: 0.8 if c.spaces > 0.6 and c.letters > 0.9 and c.distinct > 0.5 * c.rows else 0.0,
    ("item", "currency"): lambda c: c.currency,
    ("item", "unit_price"): lambda c: 0.7 if c.fraction > 0.5 else 0.0,
    ("customer", "email"): lambda c: c.email,
    ("customer", "country"): lambda c: 0.75 if c.country > 0.9 and c.distinct < 60 and c.length <= 2.5 else 0.0,
    ("customer", "name"): lambda c: 0.7 if c.spaces > 0.6 and c.letters > 0.9 and c.distinct > 0.5 * c.rows else 0.0,
    ("order", "placed_at"): lambda c: c.date,
    ("order", "currency"): lambda c: c.currency,
    ("order", "country"): lambda c: 0.75 if c.country > 0.9 and c.distinct < 60 and 1.5 < c.length <= 2.5 else 0.0,
    ("line", "placed_at"): lambda c: c.date,
    ("line", "currency"): lambda c: c.currency,
    ("line", "description"): lambda c: 0.75 if c.spaces > 0.5 and c.letters > 0.9 else 0.0,
    ("count", "counted_at"): lambda c: c.date,
    ("count", "counted"): lambda c: 0.75 if c.whole > 0.8 and not c.counter else 0.0,
    ("count", "location"): _place_like,
}


def _by_value(entity: Entity, field: str, column: Column, unit: Unit) -> float:
    look = _LOOKS.get((entity, field))
    if look is not None:
        return look(column)
    if field in ("document", "number", "sku") and entity in ("order", "item", "customer"):
        return 0.7 if column.name in unit.keys and column.email < 0.5 and column.spaces < 0.3 else 0.0
    return 0.0


def expression(column: str, sign: str, unit: Unit, field: str) -> str:
    """Write the SQL for a column; sign `-` turns a discount that is stored as a negative number."""
    name = quoted(column)
    if sign == "-":
        return f"case when starts_with(trim({name}), '-') then substr(trim({name}), 2) else '-' || trim({name}) end"
    return name


def kind_expression(
    unit: Unit, role: Entity, columns: dict[str, str], fields: dict[str, str]
) -> tuple[dict[str, str], str | None]:
    """Turn columns that say what a document is, or that it was cancelled or shipped, into expressions."""
    if role != "order":
        return columns, None
    columns, kind = dict(columns), None
    if "kind" in fields:
        said = [value for value in unit.columns[fields["kind"]].values if value.strip().lower() in CREDIT_WORDS]
        columns.pop("kind")
        if said:
            words = ", ".join(literal(value.strip().lower()) for value in said)
            kind = f"case when lower(trim({quoted(fields['kind'])})) in ({words}) then 'credit' end"
    if "status" in fields:
        for field, known in (("cancelled", CANCELLED_WORDS), ("shipped", SHIPPED_WORDS)):
            said = [value for value in unit.columns[fields["status"]].values if value.strip().lower() in known]
            if said:
                words = ", ".join(literal(value.strip().lower()) for value in said)
                columns[field] = f"lower(trim({quoted(fields['status'])})) in ({words})"
    return columns, kind


def extra_columns(connection: duckdb.DuckDBPyConnection, unit: Unit, fields: dict[str, str]) -> tuple[str, ...]:
    """Return the columns that number the lines of an order: two lines that differ there are two, not a copy.

    They are known by name, or by starting over in each order. A column that only numbers the rows of the file is none.
    """
    used = set(fields.values())
    rest = [column for column in unit.columns.values() if column.name not in used and not column.counter]
    return tuple(
        quoted(column.name)
        for column in rest
        if _LINE_WORDS & set(words_of(column.name)) or _starts_over(connection, unit, column, fields["document"])
    )


_LINE_WORDS = frozenset(
    "pos position positions line lineno lineid zeile zeilennr lfd lfdnr seq posnr rowid linenr regel".split()
)


def _starts_over(connection: duckdb.DuckDBPyConnection, unit: Unit, column: Column, document: str) -> bool:
    if column.whole < 0.9 or column.distinct < 2:
        return False
    found = connection.execute(
        f"""
        select avg((differing = lines)::int), avg((first = usual)::int) from (
            select *, mode(first) over () as usual from (
                select count(*) as lines, count(distinct {quoted(column.name)}) as differing,
                    min(try_cast({quoted(column.name)} as double)) as first
                from {unit.table} where _fault is null group by trim({quoted(document)}) having lines > 1))
        """
    ).fetchall()[0]
    return all(share is not None and share > 0.9 for share in found)
