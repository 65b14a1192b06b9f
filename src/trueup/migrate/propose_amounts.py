"""What names cannot tell of numbers, sums can: quantity times price is the amount, and lines make the order's total."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import permutations, product
from typing import TYPE_CHECKING

from trueup.migrate.columns import Column, Unit
from trueup.migrate.mapping import KindRule
from trueup.migrate.propose_fields import Choice
from trueup.migrate.sources import quoted
from trueup.migrate.typed import number_in_sql

if TYPE_CHECKING:
    import duckdb

_Lines = Sequence[tuple[Unit, dict[str, str]]]
_CREDIT_SHARE = 0.6


def line_roles(
    connection: duckdb.DuckDBPyConnection,
    unit: Unit,
    fields: dict[str, str],
    choices: list[Choice],
    *,
    has_header: bool,
) -> None:
    """Complete and correct quantity, unit price and amount of a line by quantity x price = amount."""
    if has_header:
        # What belongs to the order is taken from its header.
        for field in ("placed_at", "customer", "country"):
            fields.pop(field, None)
    _forget_totals(unit, fields)
    if "document" not in fields:
        _choose_document(unit, fields, choices)
    named: dict[str, str] = {field: fields[field] for field in ("quantity", "unit_price", "amount") if field in fields}
    used = {column for field, column in fields.items() if field not in named}
    numbers = [
        c for c in unit.columns.values() if c.number > 0.6 and c.name not in used and c.date < 0.5 and not c.counter
    ]
    names = [column.name for column in sorted(numbers, key=lambda c: -c.fraction)[:7]]
    triple, share = _best_triple(connection, unit, names, named)
    if triple is not None and share > 0.8:
        for field, column in zip(("quantity", "unit_price", "amount"), triple, strict=True):
            fields[field] = column
            choices.append(
                Choice(
                    unit.files[0], "line", field, column, share, f"quantity x price = amount in {share:.0%} of the rows"
                )
            )
        return
    rest = [column for column in numbers if column.name not in fields.values()]
    for field, fit in (("unit_price", _price_like), ("quantity", _quantity_like)):
        if field not in fields and rest:
            best = max(rest, key=fit)
            if fit(best) > 0:
                rest.remove(best)
                fields[field] = best.name
                choices.append(Choice(unit.files[0], "line", field, best.name, 0.5, "the likeliest number left"))


def _price_like(column: Column) -> float:
    return column.fraction


def _quantity_like(column: Column) -> float:
    return column.whole / (1 + column.magnitude / 100) if column.whole > 0.6 and not column.unique else 0.0


def _forget_totals(unit: Unit, fields: dict[str, str]) -> None:
    """A quantity is mostly whole; a price mostly has decimals: what is not, was named for something else."""
    if "quantity" in fields and unit.columns[fields["quantity"]].whole < 0.3:
        fields.pop("quantity")


def _choose_document(unit: Unit, fields: dict[str, str], choices: list[Choice]) -> None:
    rest = [c for c in unit.columns.values() if c.name not in fields.values() and c.fraction < 0.1 and c.date < 0.5]
    likely = [c for c in rest if 0.01 * c.rows < c.distinct < 0.95 * c.rows and c.filled > 0.95 and c.spaces < 0.2]
    if likely:
        best = max(likely, key=lambda column: column.distinct)
        fields["document"] = best.name
        choices.append(Choice(unit.files[0], "line", "document", best.name, 0.5, "it groups the lines"))


def _best_triple(
    connection: duckdb.DuckDBPyConnection, unit: Unit, names: Sequence[str], named: dict[str, str]
) -> tuple[tuple[str, str, str] | None, float]:
    """Find the columns (quantity, price, amount) that multiply in most rows; what names say decides between equals."""
    if len(names) < 3:
        return None, 0.0
    numbers = ", ".join(f"{number_in_sql(quoted(n), unit.decimal)} as n{place}" for place, n in enumerate(names))
    tests = [(a, b, c) for a, b, c in permutations(range(len(names)), 3) if a < b]
    shares = ", ".join(f"avg((abs(n{a}::double * n{b}::double - n{c}::double) < 0.0051)::int)" for a, b, c in tests)
    sample = f"select * from {unit.table} where _fault is null order by hash(_id) limit 4000"
    found = connection.execute(
        f"select {shares} from (select {numbers} from ({sample})) where {_nontrivial(len(names))}"
    ).fetchall()[0]
    options: list[tuple[float, tuple[str, str, str]]] = []
    for (a, b, c), share in zip(tests, found, strict=True):
        for quantity, price in ((a, b), (b, a)):
            triple = (names[quantity], names[price], names[c])
            options.append((float(share or 0) + 0.02 * _agreement(unit, triple, named), triple))
    best = max(options)
    return best[1], min(1.0, best[0])


def _nontrivial(count: int) -> str:
    return " or ".join(f"abs(n{place}) > 1" for place in range(count))


def _agreement(unit: Unit, triple: tuple[str, str, str], named: dict[str, str]) -> float:
    quantity, price, amount = triple
    said = sum(
        named.get(field) == column for field, column in zip(("quantity", "unit_price", "amount"), triple, strict=True)
    )
    whole = unit.columns[quantity].whole - unit.columns[price].whole
    larger = unit.columns[amount].magnitude >= unit.columns[price].magnitude
    return 2 * said + 2 * whole + larger


def order_roles(
    connection: duckdb.DuckDBPyConnection, unit: Unit, fields: dict[str, str], lines: _Lines, choices: list[Choice]
) -> dict[str, str]:
    """Check and complete total, charges, discount and tax of headers against the sum of their lines.

    Fields that do not belong to the sum (a tax that prices include) are taken out of `fields`. Returns the sign (`-`)
    of fields whose values are stored with the other sign.
    """
    usable = [(u, f) for u, f in lines if {"document", "quantity", "unit_price"} <= f.keys()]
    if "document" not in fields or not usable:
        return {}
    _join_sums(connection, unit, fields["document"], usable)
    used = {c for f, c in fields.items() if f not in ("source_total", "charges", "discount", "tax", "paid")}
    numbers = [
        c for c in unit.columns.values() if c.number > 0.6 and c.name not in used and c.date < 0.5 and c.gtin < 0.9
    ]
    named: dict[str, str] = {
        field: fields[field] for field in ("source_total", "charges", "discount", "tax") if field in fields
    }
    best = _best_formula(connection, unit, [c.name for c in numbers][:7], named)
    if best is None:
        return {}
    share, formula = best
    for field in ("charges", "discount", "tax"):
        fields.pop(field, None)
    signs: dict[str, str] = {}
    for field, (column, sign) in formula.items():
        fields[field] = column
        if sign < 0:
            signs[field] = "-"
        reason = f"lines, charges, discount and tax make the total in {share:.0%} of the orders"
        choices.append(Choice(unit.files[0], "order", field, column, share, reason))
    return signs


def _join_sums(connection: duckdb.DuckDBPyConnection, unit: Unit, document: str, lines: _Lines) -> None:
    """Create `order_sum`: the headers' numbers as text beside the sum of their lines (copies left out)."""
    sums = []
    for lined, fields in lines:
        numbers = [number_in_sql(quoted(fields[f]), lined.decimal) for f in ("quantity", "unit_price")]
        whole = ", ".join(quoted(name) for name, column in lined.columns.items() if not column.counter)
        sums.append(
            f"select trim({quoted(fields['document'])}) as document, "
            f"sum(round(amount_of({numbers[0]}, {numbers[1]}), 2)) as due "
            f"from (select distinct {whole} from {lined.table} where _fault is null) group by 1"
        )
    connection.execute(
        f"create or replace temp table order_sum as select h.*, s.due from {unit.table} h "
        f"join ({' union all '.join(sums)}) s on s.document = trim(h.{quoted(document)}) where h._fault is null "
        f"order by hash(_id) limit 4000"
    )


def _best_formula(
    connection: duckdb.DuckDBPyConnection, unit: Unit, names: Sequence[str], named: dict[str, str]
) -> tuple[float, dict[str, tuple[str, int]]] | None:
    """Find the sum that most orders' totals are: field -> (column, sign as stored)."""
    candidates: list[dict[str, tuple[str, int]]] = []
    totals = [named["source_total"]] if "source_total" in named else []
    for total in dict.fromkeys([*totals, *names]):
        rest = [name for name in names if name != total]
        own = {field: column for field, column in named.items() if field != "source_total" and column != total}
        candidates += _formulas(total, own)
        if not own:
            candidates += [_add({"source_total": (total, 1)}, "charges", a) for a in rest]
        unnamed = [name for name in rest if name not in own.values()]
        for field in ("charges", "discount", "tax"):
            if field not in own:
                for formula in _formulas(total, own):
                    candidates += [{**formula, field: (name, sign)} for name in unnamed for sign in (1, -1)]
        if not own:
            candidates += [
                {"source_total": (total, 1), "charges": (a, 1), "discount": (b, sign)}
                for a, b in permutations(rest, 2) for sign in (1, -1)
            ]  # fmt: skip
    if not candidates:
        return None
    numbers = {n: f"coalesce({number_in_sql(quoted(n), unit.decimal)}, 0)" for n in unit.columns}
    tests = [f"avg((abs({_difference(formula, numbers)}) < 0.0051)::int)" for formula in candidates]
    shares: list[float] = []
    for start in range(0, len(tests), 100):
        found = connection.execute(f"select {', '.join(tests[start : start + 100])} from order_sum").fetchall()[0]
        shares += [float(share or 0) for share in found]
    place = max(range(len(shares)), key=lambda at: (round(shares[at], 3), -_oddity(candidates[at], named, unit)))
    return (shares[place], candidates[place]) if shares[place] >= 0.5 else None


def _formulas(total: str, own: dict[str, str]) -> list[dict[str, tuple[str, int]]]:
    """Every way of using the named parts: added as they are meant, with the other sign, or not at all."""
    found = []
    for signs in product((1, -1, 0), repeat=len(own)):
        parts = {field: (own[field], sign) for field, sign in zip(own, signs, strict=True) if sign}
        found.append({"source_total": (total, 1), **parts})
    return found


def _add(formula: dict[str, tuple[str, int]], field: str, column: str) -> dict[str, tuple[str, int]]:
    return {**formula, field: (column, 1)}


def _difference(formula: dict[str, tuple[str, int]], numbers: dict[str, str]) -> str:
    terms = [f"{numbers[formula['source_total'][0]]} - due"]
    for field, (column, sign) in formula.items():
        if field != "source_total":
            adds = (field != "discount") == (sign > 0)
            terms.append(f"{'-' if adds else '+'} {numbers[column]}")
    return " ".join(terms)


def _oddity(formula: dict[str, tuple[str, int]], named: dict[str, str], unit: Unit) -> int:
    """Count what speaks against a formula that fits as well as others: names that say otherwise, turned signs, a part
    that is larger than the total (which the sum alone cannot tell from it)."""
    turned = sum(sign < 0 for _, sign in formula.values())
    renamed = sum(named.get(field) != column for field, (column, _) in formula.items())
    dropped = sum(field not in formula for field in named)
    sizes = {field: unit.columns[column].magnitude for field, (column, _) in formula.items()}
    larger = any(size > sizes["source_total"] for size in sizes.values())
    return 3 * renamed + 2 * turned + dropped + 5 * larger


def credit_rules(connection: duckdb.DuckDBPyConnection, lines: _Lines) -> tuple[KindRule, ...]:
    """Find how numbers of credits look: another shape than most, and mostly negative lines."""
    rules: list[KindRule] = []
    for unit, fields in lines:
        if not {"document", "quantity"} <= fields.keys():
            continue
        quantity = number_in_sql(quoted(fields["quantity"]), unit.decimal)
        found = connection.execute(
            f"""
            select regexp_replace(document, '[0-9]+', '9', 'g') as shape, count(*) as documents,
                avg((negative > 0.5)::int) as credits
            from (select trim({quoted(fields["document"])}) as document, avg(({quantity} < 0)::int) as negative
                from {unit.table} where _fault is null and trim({quoted(fields["document"])}) <> '' group by 1)
            group by shape order by documents desc
            """
        ).fetchall()
        usual = found[0][0] if found else ""
        rules += [
            KindRule(re.escape(shape).replace("\\-", "-").replace("9", r"\d+") + "$", "credit")
            for shape, _, credits in found
            if shape != usual and credits is not None and credits >= _CREDIT_SHARE
        ]
    return tuple(dict.fromkeys(rules))
