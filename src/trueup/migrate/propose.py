"""Propose a first mapping from names and values: which file is which record, which column is which field.

Names are compared with the vocabulary; values say what names do not: a column that hardly repeats is a key, one whose
values stand in another file's key refers to it, and the files' roles follow from who refers to whom. Each choice keeps
its confidence (0 to 1) and its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations
from typing import TYPE_CHECKING

import msgspec

from trueup.migrate.columns import Column, Unit, look_at, spelled
from trueup.migrate.mapping import REQUIRED, Entity, FileMapping, Mapping
from trueup.migrate.propose_amounts import credit_rules, line_roles, order_roles
from trueup.migrate.propose_fields import Choice, assign, expression, extra_columns, kind_expression
from trueup.migrate.sources import SourceFile
from trueup.migrate.vocabulary import file_score, name_score

if TYPE_CHECKING:
    import duckdb
    from rich.table import Table

ROLES: tuple[Entity, ...] = ("line", "order", "item", "customer", "count")
_UNLIKELY = -5.0


class Reference(msgspec.Struct, frozen=True):
    """A column of one unit (`of`, `column`) whose values are keys (`key`) of another (`to`)."""

    of: int
    column: str
    to: int
    key: str
    share: float


class Proposal(msgspec.Struct, frozen=True):
    """A first mapping, and why. left_out: (file, column) of columns that mean nothing to us."""

    mapping: Mapping
    choices: tuple[Choice, ...]
    left_out: tuple[tuple[str, str], ...]


def propose(connection: duckdb.DuckDBPyConnection, files: Sequence[SourceFile]) -> Proposal:
    """Propose a mapping for files whose meaning nobody has written down.

    A file of which no record can be made is left unmapped: its rows are ignored under the rule `file_not_mapped`.
    """
    units = _units(connection, files)
    references = list(_references(units))
    roles = _roles(units, references)
    choices: list[Choice] = []
    fields: dict[int, dict[str, str]] = {}
    for place, entity in roles.items():
        hints = _hints(place, roles, references, units)
        fields[place] = assign(units[place], entity, hints, choices)
    header = next((place for place, role in roles.items() if role == "order"), None)
    for place, entity in roles.items():
        if entity == "line":
            line_roles(connection, units[place], fields[place], choices, has_header=header is not None)
    signs: dict[str, str] = {}
    if header is not None:
        lines = [(units[place], fields[place]) for place, role in roles.items() if role == "line"]
        signs = order_roles(connection, units[header], fields[header], lines, choices)
    usable = {place: role for place, role in roles.items() if all(need in fields[place] for need in REQUIRED[role])}
    entries = [_entry(connection, units[place], role, fields[place], signs) for place, role in usable.items()]
    credits_from = credit_rules(connection, [(units[p], fields[p]) for p, role in usable.items() if role == "line"])
    decimal = "," if sum(unit.decimal == "," for unit in units) * 2 > len(units) else "."
    mapping = Mapping(
        files=tuple(entries), credits_from=credits_from, decimal="," if decimal == "," else ".",
        identical_rows="merge" if "item" in usable.values() else "count",
    )  # fmt: skip
    used = {(unit.files[0], column) for place, unit in enumerate(units) for column in fields.get(place, {}).values()}
    left = tuple((u.files[0], c) for u in units for c in u.columns if (u.files[0], c) not in used)
    return Proposal(mapping, tuple(choices), left)


def explain(proposal: Proposal) -> Table:
    """Show a proposal as a table for the terminal: file, record, field, column, confidence, reason."""
    from rich.table import Table

    table = Table(title="Proposed mapping")
    for heading in ("file", "record", "field", "column", "sure", "because"):
        table.add_column(heading)
    for choice in proposal.choices:
        sure = f"{choice.confidence:.0%}"
        table.add_row(choice.file, choice.entity, choice.field, choice.column, sure, choice.reason)
    for file, column in proposal.left_out:
        table.add_row(file, "", "", column, "", "not used")
    return table


def _units(connection: duckdb.DuckDBPyConnection, files: Sequence[SourceFile]) -> list[Unit]:
    grouped: dict[str, list[SourceFile]] = {}
    for file in files:
        grouped.setdefault(file.table, []).append(file)
    return [
        look_at(connection, table, tuple(file.name for file in members), members[0].columns)
        for table, members in grouped.items()
    ]


def _references(units: Sequence[Unit]) -> Iterable[Reference]:
    """Find columns whose values are keys of another unit; spellings are forgiven."""
    for of, unit in enumerate(units):
        for column in unit.columns.values():
            if column.fraction > 0.2 or column.date > 0.5 or column.filled < 0.3 or not column.values:
                continue
            written = {value: spelled(value) for value in column.values}
            for to, other in enumerate(units):
                for key, keys in other.keys.items() if to != of else ():
                    share = _contained(column, written, keys, name_score_of_pair(column.name, key))
                    if share >= 0.7:
                        yield Reference(of, column.name, to, key, share)


def name_score_of_pair(one: str, other: str) -> float:
    """Tell whether two columns seem to be named for the same thing, 0 to 1."""
    best = 0.0
    for entity, field in (("order", "document"), ("order", "customer"), ("item", "sku")):
        best = max(best, min(name_score(entity, field, one), name_score(entity, field, other)))
    return best


def _contained(column: Column, written: dict[str, str], keys: set[str], named_alike: float) -> float:
    rows = sum(column.values.values())
    share = sum(n for value, n in column.values.items() if written[value] in keys) / max(1, rows)
    if named_alike >= 0.9:
        return share
    # Small whole numbers stand in any numbered key by chance; then enough of the key must be used, too.
    if column.letters < 0.5 and column.length < 4:
        return share * 0.5 if column.distinct < 0.3 * len(keys) else share * 0.9
    return share


def _roles(units: Sequence[Unit], references: Sequence[Reference]) -> dict[int, Entity]:
    """Choose the role of every unit: the assignment whose scores sum highest, one unit per role at least.

    Units beyond the best of their role share it only when they are of the same kind (files split by year).
    """
    scores = [
        {role: _role_score(place, unit, role, units, references) for role in ROLES} for place, unit in enumerate(units)
    ]
    best: tuple[float, dict[int, Entity]] = (float("-inf"), {})
    count = len(units)
    chosen = sorted(range(count), key=lambda place: -max(scores[place].values()))[:7]
    for roles in permutations((*ROLES, *(None for _ in chosen)), len(chosen)) if len(chosen) <= 5 else _many(chosen):
        picked = {place: role for place, role in zip(chosen, roles, strict=True) if role is not None}
        total = sum(scores[place][role] for place, role in picked.items())
        if total > best[0]:
            best = (total, picked)
    found = best[1]
    for place in range(count):
        role = max(scores[place], key=lambda name: scores[place][name])
        if place not in found and scores[place][role] > 3:
            found[place] = role
    order = {role: rank for rank, role in enumerate(("item", "customer", "order", "line", "count"))}
    return {place: found[place] for place in sorted(found, key=lambda place: (order[found[place]], place))}


def _many(chosen: Sequence[int]) -> Iterable[tuple[Entity | None, ...]]:
    """Yield the ways of giving each role to one of more than five units."""
    for places in permutations(range(len(chosen)), len(ROLES)):
        roles: list[Entity | None] = [None] * len(chosen)
        for role, place in zip(ROLES, places, strict=True):
            roles[place] = role
        yield tuple(roles)
    for skipped in ROLES:
        rest = [role for role in ROLES if role != skipped]
        for places in permutations(range(len(chosen)), len(rest)):
            some: list[Entity | None] = [None] * len(chosen)
            for role, place in zip(rest, places, strict=True):
                some[place] = role
            yield tuple(some)


def _role_score(place: int, unit: Unit, role: Entity, units: Sequence[Unit], references: Sequence[Reference]) -> float:
    """Score how much a unit looks like a role by its file's name, its columns' names, its values and its references."""
    columns = unit.columns.values()
    named = [max((name_score(role, f, c.name) for c in columns), default=0.0) for f in _TELLING[role]]
    score = 1.5 * file_score(role, unit.files[0]) + sum(named)
    out = {r.to for r in references if r.of == place and not units[place].columns[r.column].unique}
    into = {r.of for r in references if r.to == place and not units[r.of].columns[r.column].unique}
    refers = len({r.to for r in references if r.of == place})
    keyed_in = {of for of in into if any(r.to == of for r in references)}
    numbers = [c for c in columns if c.number > 0.8 and not c.counter]
    has = {
        "date": any(c.date > 0.6 for c in columns), "number": bool(numbers),
        "fraction": any(c.fraction > 0.1 for c in numbers),
        "email": any(c.email > 0.5 for c in columns), "gtin": any(c.gtin > 0.4 and c.distinct > 3 for c in columns),
        "currency": any(c.currency > 0.8 for c in columns), "key": bool(unit.keys),
        "text": any(c.letters > 0.8 and c.spaces > 0.5 and c.distinct > 0.4 * c.rows for c in columns),
    }  # fmt: skip
    return score + _structure(role, len(out), len(into), len(keyed_in), has, refers)


_TELLING = {
    "item": ("sku", "name", "gtin", "weight_g", "category"),
    "customer": ("number", "name", "email", "city", "postcode"),
    "order": ("document", "placed_at", "customer", "source_total", "charges"),
    "line": ("document", "sku_written", "quantity", "unit_price"),
    "count": ("sku_written", "location", "counted", "counted_at"),
}


def _structure(role: Entity, out: int, into: int, keyed_in: int, has: dict[str, bool], refers: int) -> float:
    if role == "line":
        if not has["number"] or not has["fraction"] or into:
            return _UNLIKELY
        return min(out, 2) * 1.5 + (0 if has["email"] or has["gtin"] else 0.5) - (0 if out or not has["key"] else 2)
    if role == "order":
        if not has["date"] or not has["key"]:
            return _UNLIKELY
        return 2.0 * (into > 0) + 1.0 * (out > 0) + 0.5 * has["currency"] - has["gtin"] - 2.0 * has["email"]
    if role == "item":
        return (_UNLIKELY if not has["key"] else 0) + 2.5 * has["gtin"] + 1.5 * (into > 0) - 2.0 * (out > 0) \
            - 3 * has["email"] + 0.5 * has["text"] + 0.5 * has["fraction"] - 1.0 * (keyed_in > 0)  # fmt: skip
    if role == "customer":
        return (_UNLIKELY if not has["key"] else 0) + 3.0 * has["email"] + 2.0 * (keyed_in > 0) - 2.0 * (out > 0) \
            - 2.0 * has["gtin"] - 1.0 * has["fraction"]  # fmt: skip
    if not has["number"]:
        return _UNLIKELY
    # A count names each item once at most per place, so that its reference may be a key as well.
    against = 2.0 * has["fraction"] + 2.0 * has["email"] + has["currency"] + 2.0 * has["gtin"] + 1.5 * has["text"]
    return 1.5 * (refers > 0) - against


def _hints(
    place: int, roles: dict[int, Entity], references: Sequence[Reference], units: Sequence[Unit]
) -> dict[str, tuple[str, str]]:
    """Return what references say of a unit's fields: field -> (column, reason)."""
    role = roles[place]
    wanted = {
        "line": {"document": "order", "sku_written": "item"}, "order": {"customer": "customer"},
        "count": {"sku_written": "item"},
    }.get(role, {})  # fmt: skip
    hints: dict[str, tuple[str, str]] = {}
    for field, target in wanted.items():
        found = [r for r in references if r.of == place and roles.get(r.to) == target]
        if found:
            # Of several, the one named for the field, then the best covered.
            best = max(
                found,
                key=lambda r: (name_score(role, field, r.column) >= 0.9, r.share - _wordy(units[r.to], r.key)),
            )
            hints[field] = (best.column, f"{best.share:.0%} of its values are keys of the {target} file")
    key_field = {"order": "document", "item": "sku", "customer": "number"}.get(role)
    if key_field:
        inward = [r for r in references if r.to == place and roles.get(r.of) in ("line", "order", "count")]
        weights: dict[str, float] = {}
        for reference in inward:
            weights[reference.key] = weights.get(reference.key, 0) + reference.share
        if weights:
            column = max(
                weights, key=lambda key: weights[key] + name_score(role, key_field, key) - 2 * _wordy(units[place], key)
            )
            hints[key_field] = (column, "other files refer to it")
    return hints


def _wordy(unit: Unit, column: str) -> float:
    """Tell how much a column looks like names rather than numbers or codes: the share of values with a space."""
    return unit.columns[column].spaces


def _entry(
    connection: duckdb.DuckDBPyConnection, unit: Unit, role: Entity, fields: dict[str, str], signs: dict[str, str]
) -> FileMapping:
    """Write the mapping of one unit's files."""
    columns = {field: expression(column, signs.get(field, "") if role == "order" else "", unit, field)
               for field, column in fields.items()}  # fmt: skip
    columns, kind = kind_expression(unit, role, columns, fields)
    content = extra_columns(connection, unit, fields) if role == "line" else ()
    forms = {f: form for f, c in fields.items() if (form := unit.columns[c].form) and f in _TIMES.get(role, ())}
    return FileMapping(
        entity=role, match=tuple(_escaped(name) for name in unit.files), columns=columns, dates=forms, content=content,
        decimal="," if unit.decimal == "," else ".", document_kind=kind,
    )  # fmt: skip


_TIMES = {"order": ("placed_at",), "line": ("placed_at",), "count": ("counted_at",)}


def _escaped(name: str) -> str:
    return name.replace("[", "[[]")
