"""Marks: what is odd about a row and what becomes of it. This file holds those that any kind of record can bear.

A detector is a function that adds marks by set-based SQL. A mark is (id, kind, rule, column_name, value, detail, fix,
effect): `kind` NULL means that the row's outcome has a rule but is no finding. The strongest effect of a row decides:
ignore, merge, quarantine, apply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from trueup.migrate import dates
from trueup.migrate.mapping import FIELDS, REQUIRED, Entity, Mapping
from trueup.migrate.typed import Part, literal

if TYPE_CHECKING:
    import duckdb

APPLY, QUARANTINE, MERGE, IGNORE = "apply", "quarantine", "merge", "ignore"
_DIGITS_FOR_LETTERS = str.maketrans({"O": "0", "o": "0", "l": "1", "I": "1", "S": "5", "B": "8", "Z": "2"})


class Ground(msgspec.Struct, frozen=True):
    """What detectors stand on: the staging connection, the mapping, and which kinds of record have files."""

    connection: duckdb.DuckDBPyConnection
    mapping: Mapping
    parts: tuple[Part, ...]
    present: frozenset[Entity]

    @property
    def counts_repeats(self) -> bool:
        """Whether a repeated line is a sale of its own (a source without catalogue), not a copy."""
        return self.mapping.identical_rows == "count"

    def has(self, entity: Entity) -> bool:
        """Whether the source has a file of this kind of record."""
        return entity in self.present

    def column(self, entity: Entity, field: str) -> str:
        """Return the SQL text naming the source's column behind a field, for people to find it."""
        for part in self.parts:
            if part.mapping.entity == entity and field in part.mapping.columns:
                expression = part.mapping.columns[field]
                quoted = re.findall(r'"((?:[^"]|"")+)"', expression)
                if quoted:
                    return literal(quoted[0].replace('""', '"'))
                return literal(expression if expression in part.columns else field)
        return literal(field)

    def is_mapped(self, entity: Entity, field: str) -> bool:
        """Whether some file gives this field."""
        return any(p.mapping.entity == entity and field in p.mapping.columns for p in self.parts)


def create_marks(ground: Ground) -> None:
    """Create the empty table of marks."""
    ground.connection.execute(
        "create temp table mark (id bigint, kind varchar, rule varchar, column_name varchar, value varchar, "
        "detail varchar, fix varchar, effect varchar)"
    )


def mark(
    ground: Ground,
    kind: str | None,
    source: str,
    *,
    effect: str = APPLY,
    rule: str | None = None,
    column: str = "''",
    value: str = "''",
    detail: str = "''",
    fix: str = "''",
) -> None:
    """Add a mark for every row of `source` (SQL from `from` on, with a column `id`).

    column, value, detail and fix are SQL expressions. rule: what the outcome is filed under; the kind where not given.
    """
    named, ruled = ("null" if kind is None else literal(kind)), literal(rule or kind or "")
    ground.connection.execute(
        f"insert into mark select id, {named}, {ruled}, {column}, coalesce(cast({value} as varchar), ''), "
        f"{detail}, {fix}, '{effect}' {source}"
    )


def settle_rows(ground: Ground, entity: Entity) -> None:
    """Mark rows that are ignored, repeated or cut wrongly; what is left has `settled` NULL."""
    table = f"t_{entity}"
    ground.connection.execute(
        f"insert into mark select id, null, ignored, '', '', '', '', 'ignore' from {table} where settled = 'ignored'"
    )
    mark(
        ground, "wrong_field_count", f"from {table} where settled is null and fault = 'wrong_field_count'",
        effect=QUARANTINE, detail="'the row has more or fewer fields than the header'",
        fix="'look for a delimiter inside a value, or a line break'",
    )  # fmt: skip
    again = f"id in (from again_{entity})"
    mark(ground, None, f"from {table} where settled = 'merged' and {again}", effect=MERGE, rule="same_row_again")
    mark(
        ground, "duplicate_row", f"from {table} where settled = 'merged' and not {again}", effect=MERGE,
        column=ground.column(entity, _key_field(entity)), value=_key_field(entity),
        detail="'the same row stands above in this file, ' || (nth - 1) || ' time(s)'",
        fix="'nothing: the first one counts'",
    )  # fmt: skip


def mark_encoding(ground: Ground, entity: Entity) -> None:
    """Mark rows whose text was not UTF-8, or decoded wrongly before it was exported; the text is repaired."""
    texts = [field for field, kind in FIELDS[entity].items() if kind in ("text", "sku", "key")]
    odd = "[^\\x00-\\x7F]"
    column = " ".join(f"when regexp_matches({f}, '{odd}') then {ground.column(entity, f)}" for f in texts)
    value = " ".join(f"when regexp_matches({f}, '{odd}') then {f}" for f in texts)
    mark(
        ground, "encoding", f"from t_{entity} where settled is null and encoding is not null",
        column=f"case {column} else '' end", value=f"case {value} else '' end",
        detail="case encoding when 'cp1252' then 'the line is Windows-1252 in a UTF-8 file' "
        "when 'lost' then 'characters were lost before this file was written' "
        "else 'UTF-8 was read as Windows-1252 before this file was written' end",
        fix="case encoding when 'lost' then 'correct it in the source' else 'repaired: check the text' end",
    )  # fmt: skip


def mark_missing_keys(ground: Ground, entity: Entity) -> None:
    """Quarantine rows without the key that says what they belong to."""
    for field in REQUIRED[entity]:
        if FIELDS[entity][field] not in ("number", "time"):
            mark(
                ground, "missing_key",
                f"from t_{entity} where settled is null and fault is null and coalesce(trim({field}), '') = ''",
                effect=QUARANTINE, column=ground.column(entity, field),
                detail=f"'a row needs its {field}'", fix="'fill it in'",
            )  # fmt: skip


def mark_numbers(ground: Ground, entity: Entity, required: Iterable[str]) -> None:
    """Quarantine rows with a number that cannot be read, suggesting what was probably meant."""
    needed = set(required)
    for field, kind in FIELDS[entity].items():
        if kind != "number" or not ground.is_mapped(entity, field):
            continue
        written = f"trim(coalesce(w_{field}, ''))"
        which = "true" if field in needed else f"{written} <> ''"
        rows = f"from t_{entity} where settled is null and fault is null and {field} is null and {which}"
        _fill_fixes(ground, f"select distinct {written} {rows}")
        mark(
            ground, "unreadable_value", f"from (select *, {written} as was {rows}) left join number_fix on was = text",
            effect=QUARANTINE, column=ground.column(entity, field), value="was",
            detail=f"case was when '' then '{field} is empty' else '{field} is no number' end", fix="coalesce(fix, '')",
        )  # fmt: skip


def _fill_fixes(ground: Ground, distinct: str) -> None:
    texts = [row[0] for row in ground.connection.execute(distinct).fetchall()]
    ground.connection.execute("create or replace temp table number_fix (text varchar, fix varchar)")
    _fill(ground, "number_fix", [(text, number_fix(text)) for text in texts])


def number_fix(text: str) -> str:
    """Return the number that was probably meant (`12 pcs`, `1O`, `12,50`), or '' when there is none to guess."""
    plain = text.strip()
    if not re.search(r"\d", plain) or plain.startswith("#"):
        return ""
    swapped = plain.translate(_DIGITS_FOR_LETTERS)
    if re.fullmatch(r"[+-]?\d+([.,]\d+)?", swapped):
        return swapped.replace(",", ".")
    found = re.search(r"[+-]?\d+(?:[.,]\d+)*", plain)
    if found is None:
        return ""
    number = found.group()
    last = max(number.rfind("."), number.rfind(","))
    if last < 0:
        return number
    return re.sub(r"[.,]", "", number[:last]) + "." + number[last + 1 :]


def mark_times(ground: Ground, entity: Entity, required: Iterable[str]) -> None:
    """Read times that are not in their column's format; those that could be two days are quarantined.

    Empty times are unreadable where the record needs one.
    """
    needed = set(required)
    for field, kind in FIELDS[entity].items():
        if kind != "time" or not ground.is_mapped(entity, field):
            continue
        written = f"trim(coalesce(w_{field}, ''))"
        odd = f"from t_{entity} where settled is null and fault is null and {field} is null"
        _fill_odd_times(ground, f"select distinct {written} {odd} and {written} <> ''")
        column = ground.column(entity, field)
        read = f"from (select *, {written} as was {odd}) join odd_time on was = text"
        mark(
            ground, "mixed_date_format", f"{read} where read_at is not null and not ambiguous", column=column,
            value="was", detail="'read as ' || read_at || ', unlike the rest of the column'",
            fix="'check the day and the month'",
        )  # fmt: skip
        mark(
            ground, "mixed_date_format", f"{read} where read_at is not null and ambiguous", effect=QUARANTINE,
            column=column, value="was", detail="'day and month could be either'", fix="'write it as year-month-day'",
        )  # fmt: skip
        mark(
            ground, "unreadable_value", f"{read} where read_at is null", effect=QUARANTINE, column=column, value="was",
            detail=f"'{field} is no date'", fix="'write it as year-month-day'",
        )  # fmt: skip
        if field in needed:
            mark(
                ground, "unreadable_value", f"{odd} and {written} = ''", effect=QUARANTINE, column=column,
                detail=f"'{field} is empty'", fix="'fill it in as year-month-day'",
            )  # fmt: skip
        ground.connection.execute(
            f"update t_{entity} set {field} = timezone({literal(ground.mapping.timezone)}, odd_time.read_at) "
            f"from odd_time where {field} is null and {written} = text and odd_time.read_at is not null"
        )


def _fill_odd_times(ground: Ground, distinct: str) -> None:
    texts = [row[0] for row in ground.connection.execute(distinct).fetchall()]
    ground.connection.execute(
        "create or replace temp table odd_time (text varchar, read_at timestamp, ambiguous boolean)"
    )
    readings = [dates.read_odd(text) for text in texts]
    _fill(
        ground,
        "odd_time",
        [(r.text, r.at.replace(tzinfo=None).isoformat() if r.at else None, r.ambiguous) for r in readings],
    )


def _fill(ground: Ground, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        places = ", ".join("?" * len(rows[0]))
        ground.connection.executemany(f"insert into {table} values ({places})", [list(row) for row in rows])


def mark_second_keys(ground: Ground, entity: Entity) -> None:
    """Quarantine a row whose key an earlier row with other content already has."""
    keys = {"count": "sku_written, location, counted_at"}.get(entity, _key_field(entity))
    mark(
        ground, "duplicate_key",
        f"from (select *, row_number() over (partition by {keys} order by id) as place from t_{entity} "
        f"where settled is null and fault is null and {_key_field(entity)} is not null) where place > 1",
        effect=QUARANTINE, column=ground.column(entity, _key_field(entity)), value=_key_field(entity),
        detail="'an earlier row has the same key and says something else'", fix="'keep one of the two'",
    )  # fmt: skip


def _key_field(entity: Entity) -> str:
    return {"item": "sku", "customer": "number", "count": "sku_written"}.get(entity, "document")


def hold(ground: Ground) -> None:
    """Bring the table `held` (ids that are quarantined so far) up to date."""
    ground.connection.execute(
        "create or replace temp table held as select distinct id from mark where effect = 'quarantine'"
    )
