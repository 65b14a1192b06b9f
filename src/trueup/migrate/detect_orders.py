"""What can be odd about headers, customers' numbers and GTINs, and what an order and its lines do to each other."""

from __future__ import annotations

from collections.abc import Callable

from trueup.catalogue import gtin
from trueup.core.money import exponent, is_currency
from trueup.migrate.detect import QUARANTINE, Ground, hold, mark
from trueup.migrate.typed import literal


def build_orders(ground: Ground) -> None:
    """Create `order_of`: one row per document with its kind, from headers, or from the lines where there are none."""
    kind = _document_kind(ground)
    settled = "settled is null and fault is null"
    if ground.has("order"):
        source = """select *, row_number() over (partition by document order by settled is not null, id) as place
            from t_order where document is not null and ignored is null"""
        ground.connection.execute(
            f"create temp table order_of as select * exclude (place), {kind} as document_kind, false as derived "
            f"from ({source}) where place = 1"
        )
        return
    columns = "placed_at customer currency country".split()
    first = ", ".join(f"arg_min({column}, id) filter ({column} is not null) as {column}" for column in columns)
    empty = "charges discount tax source_total paid refunded".split()
    nothing = ", ".join(f"cast(null as decimal(18, 6)) as {column}" for column in empty)
    ground.connection.execute(
        f"""
        create temp table order_of as select *, {kind} as document_kind, true as derived from (
            select min(id) as id, arg_min(file, id) as file, arg_min(row, id) as row, cast(null as varchar) as settled,
                document, {first}, {nothing}, arg_min(said_kind, id) as said_kind, cast(null as varchar) as kind,
                false as cancelled, false as shipped, cast(null as varchar) as status,
                cast(null as timestamptz) as shipped_at
            from t_line where {settled} and document is not null group by document)
        """
    )


def _document_kind(ground: Ground) -> str:
    rules = "".join(
        f"when regexp_matches(document, {literal('^(?:' + rule.pattern + ')')}) then {literal(rule.kind)} "
        for rule in ground.mapping.credits_from
    )
    return f"case when said_kind in ('sale', 'credit', 'adjustment') then said_kind {rules}else 'sale' end"


def judge_gtins(ground: Ground) -> None:
    """Mark items whose GTIN does not check; they are applied without it."""
    found = ground.connection.execute(
        "select distinct gtin from t_item where settled is null and fault is null and gtin is not null"
    ).fetchall()
    faults = [[text, fault] for (text,) in found if (fault := gtin.fault(text)) is not None]
    ground.connection.execute("create temp table bad_gtin (gtin varchar, fault varchar)")
    if faults:
        ground.connection.executemany(f"insert into {'bad_gtin'} values (?, ?)", faults)
    mark(
        ground, "bad_gtin", "from t_item join bad_gtin using (gtin) where settled is null and t_item.fault is null",
        column=ground.column("item", "gtin"), value="gtin", detail="bad_gtin.fault",
        fix="'registered without a GTIN; correct it in the catalogue'",
    )  # fmt: skip


def judge_customers(ground: Ground) -> None:
    """Mark orders of a customer who is not in the customers' file; they are applied without customer."""
    if not ground.has("customer"):
        return
    mark(
        ground, "orphan_customer",
        "from order_of where settled is null and fault is null and customer is not null and customer not in "
        "(select number from t_customer where number is not null and ignored is null)"
        if ground.has("order") else
        "from order_of where customer is not null and customer not in "
        "(select number from t_customer where number is not null and ignored is null)",
        column=ground.column("order" if ground.has("order") else "line", "customer"), value="customer",
        detail="'the customers'' file has no such number'", fix="'add the customer, or correct the number'",
    )  # fmt: skip


def judge_relations(ground: Ground) -> None:
    """Hold lines whose order cannot be applied, and orders without a line that can.

    A quarantined line does not hold back the other lines of its order.
    """
    if not ground.has("order"):
        return
    open_lines = "from line l where l.settled is null and l.fault is null and l.id not in (from held)"
    document = ground.column("line", "document")
    mark(
        ground, "orphan_line", f"{open_lines} and l.order_id is null", effect=QUARANTINE, column=document,
        value="document", detail="'no order header has this number'", fix="'add the header, or correct the number'",
    )  # fmt: skip
    mark(
        ground, None, f"{open_lines} and l.order_id in (from held)", effect=QUARANTINE, rule="header_quarantined",
        column=document, value="document",
    )  # fmt: skip
    # A header none of whose lines was written is a finding; one whose lines were all set aside is their consequence.
    open_headers = (
        "from t_order where settled is null and fault is null and document is not null and id not in (from held)"
    )
    kept = f"select l.document {open_lines} and l.document is not null"
    written = "select l.document from line l where l.document is not null"
    for kind, absent_from in (("header_without_lines", written), (None, kept)):
        mark(
            ground, kind, f"{open_headers} and document not in ({absent_from})", effect=QUARANTINE, rule="no_lines",
            column=ground.column("order", "document"), value="document",
            detail="'no line of this order could be applied'", fix="'correct its lines, or add them'",
        )  # fmt: skip
    hold(ground)


def judge_totals(ground: Ground) -> None:
    """Mark orders whose total is not lines + charges - discount + tax in their currency.

    Copies of lines do not count; an order with a quarantined line is not judged. A line counts with the amount the
    source states or with quantity times price, rounded half up per line or in sum: an order is odd when none fits.
    """
    if not ground.is_mapped("order", "source_total"):
        return
    booked = _booking(ground)
    net = "amount_of(quantity, unit_price) - coalesce(discount, 0)"
    ground.connection.execute(
        f"""
        create or replace temp table line_total as
        select document, sum({booked(net)}) as per_line, {booked(f"sum({net})")} as in_sum,
            sum(coalesce(amount, {booked(net)})) as stated
        from line where settled is null and document is not null
        group by document, currency having bool_and(fault is null and id not in (from held))
        """
    )
    due = "source_total - coalesce(charges, 0) + coalesce(discount, 0) - coalesce(tax, 0)"
    mark(
        ground, "total_mismatch",
        f"from order_of o join line_total t using (document) where o.settled is null and o.source_total is not null "
        f"and o.id not in (from held) and {due} not in (t.per_line, t.in_sum, t.stated)",
        column=ground.column("order", "source_total"), value="cast(source_total as decimal(18, 2))",
        detail="'lines, charges, discount and tax make ' || cast(t.stated + coalesce(charges, 0) "
        "- coalesce(discount, 0) + coalesce(tax, 0) as decimal(18, 2))",
        fix="'kept as the source has it; ask which of the two is right'",
    )  # fmt: skip


def _booking(ground: Ground) -> Callable[[str], str]:
    """Return what writes SQL that rounds an expression half up to its row's currency."""
    used = ground.connection.execute("select distinct currency from line where currency is not null").fetchall()
    odd = [(code, exponent(code)) for (code,) in used if is_currency(code) and exponent(code) != 2]

    def booked(expression: str) -> str:
        # Branches of different scales would be brought to one that rounds again.
        rounded = "cast(round({}, {}) as decimal(28, 6))"
        cases = " ".join(f"when {literal(code)} then {rounded.format(expression, digits)}" for code, digits in odd)
        usual = rounded.format(expression, 2)
        return f"case currency {cases} else {usual} end" if odd else usual

    return booked
