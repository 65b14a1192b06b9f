"""Facts about a shop's history, recomputed from the target after a load and from the staged source beside it.

A hash is SHA-256 over rows `key|amount`, keys in code point order, each ended by a line feed: whoever has the source
can compute it without us. The questions are asked in SQL that PostgreSQL and DuckDB both understand, over:


    fact_order   document, kind, customer, country, placed_at, total, paid, refunded, shipped (units)
    fact_line    document, kind, customer, country, placed_at, place, sku, description, quantity, unit_price, amount,
                 discount, returned, line_kind

A line's discount is what the source took off that line; an order's total has those and the document's own off it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from operator import itemgetter
from typing import Any

import msgspec

from trueup.core.database import Connection
from trueup.core.quantity import ZERO, plain
from trueup.migrate.bookkeeping import Ledger
from trueup.migrate.state import Run

Ask = Callable[[str], Awaitable[Sequence[tuple[Any, ...]]]]


class Fact(msgspec.Struct, frozen=True):
    """One fact on both sides, as text."""

    name: str
    source: str
    target: str
    equal: bool


_TARGET = """with fact_order as (
        select k.key as document, o.kind, o.customer, o.ship_country as country, o.placed_at, o.total,
            o.captured as paid, o.refunded, o.units_shipped as shipped, o.total_charges as charges,
            o.total_discount as discount, o.id
        from orders o join order_key k on k.order_id = o.id and k.source = o.source where o.source = '{source}'
    ), fact_line as (
        select o.document, o.kind, o.customer, o.country, o.placed_at, o.document || to_char(l.line, '00000') as place,
            l.sku, l.description, l.quantity, l.unit_price, l.amount, l.discount,
            l.returned, l.kind as line_kind
        from fact_order o join order_line l on l.order_id = o.id
    ) """
_SOURCE = """with taken as (
        select l.*, cast(l.quantity as decimal(38, 6)) * cast(l.unit_price as decimal(38, 6)) as amount
        from c_line l join ended e using (file, row) where e.outcome = 'applied'
    ), amounts as (
        select document, sum(amount) as goods, sum(discount) as off, sum(coalesce(shipped, 0)) as shipped,
            sum(case when kind = 'charge' then amount else 0 end) as charges
        from taken group by document
    ), fact_order as (
        select o.document, o.kind, o.customer, o.country, o.placed_at,
            a.goods - a.off + o.charges - o.discount + o.tax as total, coalesce(o.paid, 0) as paid,
            coalesce(o.refunded, 0) as refunded, a.shipped, a.charges + o.charges as charges,
            o.discount + a.off as discount
        from c_order o join amounts a using (document)
    ), fact_line as (
        select l.document, o.kind, o.customer, o.country, o.placed_at,
            l.document || lpad(cast(l.row as varchar), 9, '0') as place, trim(l.sku_written) as sku, l.description,
            l.quantity, l.unit_price, l.amount, l.discount, coalesce(l.returned, 0) as returned,
            l.kind as line_kind
        from taken l join fact_order o using (document)
    ) """

_TOTALS = """select count(*), count(distinct document), sum(quantity), sum(amount),
    count(distinct case when kind = 'credit' then document end), sum(case when kind = 'credit' then 1 else 0 end),
    sum(case when kind = 'credit' then amount else 0 end), sum(case when customer is null then 1 else 0 end),
    count(distinct customer), count(distinct sku),
    sum(case when quantity < 0 and kind <> 'credit' then 1 else 0 end), sum(case when unit_price = 0 then 1 else 0 end),
    sum(case when unit_price < 0 then 1 else 0 end), sum(case when description is null then 1 else 0 end)
    from fact_line"""
_TOTAL_NAMES = (
    "rows", "invoices", "quantity", "amount", "cancelling invoices", "lines of cancelling invoices",
    "amount of cancelling invoices", "rows without a customer", "customers", "SKUs as written",
    "negative rows that are no cancellation", "zero prices", "negative prices", "descriptions missing",
)  # fmt: skip
_REPEATED = """select coalesce(sum(n - 1), 0) from (select count(*) as n from fact_line
    group by document, sku, description, quantity, unit_price, placed_at, customer, country) repeated"""
_RETURNABLE = """select customer, upper(sku), quantity, kind from fact_line
    where customer is not null and line_kind = 'good' order by placed_at, document, place"""
_GOODS_SKU = re.compile(r"\d{5}[A-Z]{0,2}")


async def facts(connection: Connection, run: Run) -> list[Fact]:
    """Recompute the facts of a run's source, from the target as it is now and from the run's staging area."""
    if "'" in run.source:
        return []

    async def ask_target(sql: str) -> Sequence[tuple[Any, ...]]:
        return await (await connection.execute((_TARGET.format(source=run.source) + sql).encode())).fetchall()

    with Ledger(run.staging, ()) as ledger:

        async def ask_source(sql: str) -> Sequence[tuple[Any, ...]]:
            return ledger.connection.execute(_SOURCE + sql).fetchall()

        compute = _FACTS.get(run.source, _of_any)
        target, source = await compute(ask_target), await compute(ask_source)
    return [Fact(name, source[name], target[name], source[name] == target[name]) for name in target]


async def _of_online_retail(ask: Ask) -> dict[str, str]:
    found = dict(zip(_TOTAL_NAMES, (await ask(_TOTALS))[0], strict=True))
    values = {name: plain(Decimal(value or 0)) for name, value in found.items()}
    for name in ("amount", "amount of cancelling invoices"):
        values[name] = _decimals(found[name], 3)
    values["excess exact duplicates"] = str((await ask(_REPEATED))[0][0])
    values["invoice-total hash"] = hash_of(await ask("select document, total from fact_order"), 3)
    units = "select sku, sum(quantity) from fact_line group by sku"
    values["net units per SKU hash"] = hash_of(await ask(units), 0)
    return values | match_returns(await ask(_RETURNABLE))


async def _of_toy_store(ask: Ask) -> dict[str, str]:
    row = (
        await ask("""select count(*), sum(total), sum(refunded), sum(case when refunded > 0 and refunded >= total then 1
        else 0 end), sum(case when refunded > 0 and refunded < total then 1 else 0 end) from fact_order""")
    )[0]
    lines = (await ask("select count(*), sum(case when returned > 0 then 1 else 0 end) from fact_line"))[0]
    return {
        "orders": str(row[0]),
        "amount": _decimals(row[1], 2),
        "items": str(lines[0]),
        "refunded items": str(lines[1]),
        "refunds": _decimals(row[2], 2),
        "orders wholly refunded": str(row[3]),
        "orders partly refunded": str(row[4]),
        "net per order hash": hash_of(await ask("select document, total - refunded from fact_order"), 2),
    }


async def _of_northwind(ask: Ask) -> dict[str, str]:
    row = (
        await ask("""select count(*), sum(total - charges), sum(charges), sum(case when shipped = 0 then 1 else 0 end)
        from fact_order""")
    )[0]
    lines = (await ask("select count(*) from fact_line"))[0]
    return {
        "orders": str(row[0]),
        "lines": str(lines[0]),
        "net": _decimals(row[1], 2),
        "freight": _decimals(row[2], 2),
        "unshipped": str(row[3]),
        "order-net hash": hash_of(await ask("select document, total - charges from fact_order"), 2),
    }


async def _of_any(ask: Ask) -> dict[str, str]:
    sums = "select count(*), count(distinct document), sum(quantity), sum(amount), sum(discount) from fact_line"
    row = (await ask(sums))[0]
    return {
        "lines": str(row[0]),
        "documents": str(row[1]),
        "units": plain(Decimal(row[2] or 0)),
        "amount": plain(Decimal(row[3] or 0)),
        "discount of lines": plain(Decimal(row[4] or 0)),
        "document-total hash": hash_of(await ask("select document, total from fact_order"), 2),
        "net units per SKU hash": hash_of(await ask("select sku, sum(quantity) from fact_line group by sku"), 0),
    }


_FACTS = {"online-retail": _of_online_retail, "toy-store": _of_toy_store, "northwind": _of_northwind}


def hash_of(rows: Iterable[tuple[str, Decimal]], decimals: int) -> str:
    """Return the SHA-256 of `key|amount` rows, amounts with so many decimals, keys in code point order."""
    lines = (f"{key}|{_decimals(amount, decimals)}\n" for key, amount in sorted(rows, key=itemgetter(0)))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def match_returns(rows: Iterable[tuple[str, str, Decimal, str]]) -> dict[str, str]:
    """Match return lines with what the same customer had bought of the same SKU before, oldest first.

    rows: (customer, SKU in capitals, quantity, kind of document) in time order. Returns the lines covered wholly,
    partly and not at all, and their units; nothing is assumed about what the legacy system did not check.
    """
    bought: dict[tuple[str, str], Decimal] = {}
    covered = partly = never = 0
    units = missing = ZERO
    for customer, sku, quantity, kind in rows:
        if _GOODS_SKU.fullmatch(sku) is None:
            continue
        there = bought.get((customer, sku), ZERO)
        if quantity > 0 and kind != "credit":
            bought[customer, sku] = there + quantity
        elif quantity < 0 and kind == "credit":
            taken = min(there, -quantity)
            bought[customer, sku] = there - taken
            units, missing = units - quantity, missing - quantity - taken
            covered, partly, never = (
                covered + (taken == -quantity), partly + (0 < taken < -quantity), never + (taken == 0),
            )  # fmt: skip
    return {
        "return lines": str(covered + partly + never),
        "return lines covered by earlier purchases": str(covered),
        "return lines covered partly": str(partly),
        "return lines not covered": str(never),
        "units returned": plain(units),
        "units returned with no earlier sale": plain(missing),
    }


def _decimals(value: Any, decimals: int) -> str:
    rounded = Decimal(value or 0).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return format(rounded if rounded else abs(rounded), "f")
