"""Control totals: what the source says was given, what the target holds, side by side, to the cent.

The source's side is computed in DuckDB from the staged rows that were applied, without the target's help; the target's
in PostgreSQL from the tables. What a run took out on the way (quarantined, merged, ignored) its row sums show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from trueup.core.database import Connection
from trueup.core.money import exponent
from trueup.core.quantity import ZERO, plain

if TYPE_CHECKING:
    import duckdb

Figures = dict[str, Decimal]


class Control(msgspec.Struct, frozen=True):
    """One total on both sides, as exact text; amounts are in the currency its name ends with."""

    name: str
    source: str
    target: str
    equal: bool


# Header figures by kind and currency; the rounding difference is what booking each document's total leaves over.
_HEADER_NAMES = ("charges", "discount", "tax", "total", "booked total", "rounding difference", "stated total", "paid",
                 "refunded", "documents with another stated total")  # fmt: skip
# Wide before multiplying: DuckDB gives the product of two decimals no more digits than their types have together.
_AMOUNT = "cast(l.quantity as decimal(38, 6)) * cast(l.unit_price as decimal(38, 6))"
_NET = f"({_AMOUNT} - cast(l.discount as decimal(38, 12)))"
_SOURCE_LINES = f"""
    select c.kind, c.currency, count(*), sum(l.quantity), sum({_AMOUNT}), sum(l.discount)
    from c_line l join ended e using (file, row) join c_order c using (document)
    where e.outcome = 'applied' group by all order by all
"""
# What a run adds to a document that another run brought counts by what the document's total was before and after.
_SOURCE_HEADERS = """
    with amounts as (
        select document, sum({net}) filter (e.outcome = 'applied') as goods,
            sum(l.discount) filter (e.outcome = 'applied') as off,
            coalesce(sum({net}) filter (e.rule = 'already_loaded'), 0) as known
        from c_line l join ended e using (file, row) group by document
    ),
    whole as (
        select c.*, a.off, n.document is null as is_new,
            cast(c.charges - c.discount + c.tax as decimal(38, 12)) as header,
            cast(a.goods + header + if(is_new, 0, a.known) as decimal(38, 12)) as after,
            if(is_new, 0, cast(a.known + header as decimal(38, 12))) as before
        from c_order c join amounts a using (document) left join not_new n using (document) where a.goods is not null
    )
    select kind, currency, count(*) filter (is_new), sum(charges) filter (is_new),
        coalesce(sum(discount) filter (is_new), 0) + sum(off), sum(tax) filter (is_new),
        sum(after - before), sum({after} - {before}),
        sum(after - before) - sum({after} - {before}), sum(source_total) filter (is_new), sum(paid) filter (is_new),
        sum(refunded) filter (is_new),
        count(*) filter (source_total <> after) - count(*) filter (not is_new and source_total <> before)
    from whole group by all order by all
"""
_TARGET_LINES = """
    select o.kind, o.currency, count(*), sum(l.quantity), sum(l.amount), sum(l.discount)
    from orders o join order_line l on l.order_id = o.id where o.source = %s and not o.managed
    group by 1, 2 order by 1, 2
"""
_TARGET_HEADERS = """
    with whole as (
        select kind, currency, total, {booked} as booked, total_discount, total_tax, source_total, captured,
            refunded, total_differs,
            total - total_goods + total_discount - total_tax - coalesce((select sum(l.amount) from order_line l
                where l.order_id = o.id and l.kind = 'charge'), 0) as charges
        from orders o where source = %s and not managed
    )
    select kind, currency, count(*), sum(charges), sum(total_discount), sum(total_tax), sum(total), sum(booked),
        sum(total - booked), sum(source_total), sum(captured), sum(refunded), count(*) filter (where total_differs)
    from whole group by 1, 2 order by 1, 2
"""
_OPENING_STOCK = """
    select coalesce(sum(case when m.to_location = c.id then m.quantity else 0 end)
                  - sum(case when m.from_location = c.id then m.quantity else 0 end), 0)
    from crosswalk c join stock_movement m on c.id in (m.to_location, m.from_location)
    where c.source = %s and c.kind = 'location' and m.at <= %s
"""


def source_figures(ledger: duckdb.DuckDBPyConnection, not_new: Iterable[str]) -> Figures:
    """Compute what a run gave, from its staging area with the table `ended` (see bookkeeping).

    not_new: documents that another run brought; their headers count there, their new lines here.
    """
    ledger.execute("drop table if exists not_new")
    ledger.execute("create temp table not_new (document varchar)")
    documents = [[document] for document in not_new]
    if documents:
        ledger.execute("insert into not_new select unnest(?)", [[document for (document,) in documents]])
    used = [code for (code,) in ledger.execute("select distinct currency from c_order order by 1").fetchall()]
    booked = {"after": _booked("after", used), "before": _booked("before", used)}
    headers = ledger.execute(_SOURCE_HEADERS.format(net=_NET, **booked)).fetchall()
    figures = name_figures(headers, ledger.execute(_SOURCE_LINES).fetchall())
    counted = ledger.execute(
        "select count(*), sum(counted) from c_count join ended e using (file, row) where e.outcome = 'applied'"
    ).fetchone()
    if counted and counted[0]:
        figures["stock units"] = counted[1]
    return figures


async def target_figures(connection: Connection, source: str, stock_as_of: Any) -> Figures:
    """Compute what the target holds of a source: history orders, crosswalk entries that still lead somewhere, stock.

    stock_as_of: when the opening stock was loaded; None where there was none.
    """
    found = await connection.execute("select distinct currency from orders where source = %s order by 1", [source])
    booked = _booked("total", [code for (code,) in await found.fetchall()])
    headers = await connection.execute(_TARGET_HEADERS.format(booked=booked), [source])
    lines = await connection.execute(_TARGET_LINES, [source])
    figures = name_figures(await headers.fetchall(), await lines.fetchall())
    crossed = await connection.execute(
        """select count(*) filter (where c.kind = 'item'), count(*) filter (where c.kind = 'customer')
        from crosswalk c left join item_key k on c.kind = 'item' and k.key = c.legacy_id and k.item = c.id
        left join customer u on c.kind = 'customer' and u.id = c.id and u.number = c.legacy_id and u.source = c.source
        where c.source = %s and coalesce(k.item, u.id) is not null""",
        [source],
    )
    for items, customers in await crossed.fetchall():
        figures["item keys"], figures["customers"] = Decimal(items), Decimal(customers)
    if stock_as_of is not None:
        moved = await (await connection.execute(_OPENING_STOCK, [source, stock_as_of])).fetchone()
        figures["stock units"] = moved[0] if moved else ZERO
    return figures


async def controls(connection: Connection, source: str) -> list[Control]:
    """Compare everything that the runs of a source gave with what the target holds of it now.

    Runs that were undone count no more, but for items and customers, which stay.
    """
    rows = await connection.execute(
        """select status, finished_at, counts from migration_run where source = %s and finished_at is not null
        order by finished_at, id""",
        [source],
    )
    given: defaultdict[str, Decimal] = defaultdict(Decimal)
    stock_as_of = None
    for status, finished_at, counts in await rows.fetchall():
        for name, text in counts.items():
            if name == "stock units" and status in ("finished", "incomplete"):
                given[name], stock_as_of = Decimal(text), finished_at
            elif name in ("item keys", "customers") or status in ("finished", "incomplete"):
                given[name] += Decimal(text)
    return side_by_side(given, await target_figures(connection, source, stock_as_of))


def side_by_side(source: Figures, target: Figures) -> list[Control]:
    """Compare figure by figure; one that a side does not have is zero there."""
    names = sorted({*source, *target}, key=_place)
    return [
        Control(name, written(name, source.get(name, ZERO)), written(name, target.get(name, ZERO)),
                source.get(name, ZERO) == target.get(name, ZERO))
        for name in names
    ]  # fmt: skip


def name_figures(headers: Sequence[tuple[Any, ...]], lines: Sequence[tuple[Any, ...]]) -> Figures:
    """Sum rows by (kind, currency) into named figures; both sides' queries have the same columns."""
    figures: defaultdict[str, Decimal] = defaultdict(Decimal)
    for kind, currency, documents, *sums in headers:
        figures["documents"] += documents
        figures[f"documents, {kind}"] += documents
        for name, value in zip(_HEADER_NAMES[:-1], sums, strict=False):
            figures[f"{name} {currency}"] += value or ZERO
        figures[_HEADER_NAMES[-1]] += sums[-1]
    for kind, currency, count, units, amount, discount in lines:
        figures["lines"] += count
        figures[f"lines, {kind}"] += count
        figures["units"] += units
        figures[f"units, {kind}"] += units
        figures[f"amount {currency}"] += amount
        figures[f"amount, {kind} {currency}"] += amount
        figures[f"discount of lines {currency}"] += discount
    return {name: value for name, value in figures.items() if value or not _may_be_left_out(name)}


def written(name: str, value: Decimal) -> str:
    """Write a figure: counts and units plainly, amounts with at least their currency's decimals."""
    text = plain(value)
    currency = name.rpartition(" ")[2]
    digits = exponent(currency) if currency.isupper() and len(currency) == 3 else 0
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(digits, '0')}" if digits else text


_ORDER = ("documents", "lines", "units", "amount", "charges", "discount", "tax", "total", "booked total",
          "rounding difference", "stated total", "documents with another stated total", "paid", "refunded", "item keys",
          "customers", "stock units")  # fmt: skip


def _place(name: str) -> tuple[int, str]:
    heads = [head for head in _ORDER if name.startswith(head)]
    return (_ORDER.index(max(heads, key=len)) if heads else len(_ORDER), name)


def _may_be_left_out(name: str) -> bool:
    return name.startswith(("charges", "discount", "tax", "stated total", "paid", "refunded", _HEADER_NAMES[-1]))


def _booked(total: str, currencies: Iterable[str]) -> str:
    """Return SQL that rounds a total half up to what its row's currency can be paid in."""
    odd = [code for code in currencies if exponent(code) != 2 and code.isalpha() and len(code) == 3]
    cases = "".join(f"when '{code}' then cast(round({total}, {exponent(code)}) as decimal(38, 12)) " for code in odd)
    cents = f"cast(round({total}, 2) as decimal(38, 12))"
    return f"(case currency {cases}else {cents} end)" if cases else cents
