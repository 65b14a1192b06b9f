"""What can be odd about order lines and counts: spellings, charges, signs, fractions of an undivided currency."""

from __future__ import annotations

from trueup.core.money import exponent, is_currency
from trueup.migrate.detect import APPLY, QUARANTINE, Ground, hold, mark
from trueup.migrate.typed import literal
from trueup.migrate.vocabulary import CHARGE_PATTERN


def resolve_skus(ground: Ground) -> None:
    """Create `resolved`: sku_written -> sku, and how: exact, spelling, ambiguous, unknown, none (no catalogue)."""
    own = "union".join(f" select sku_written from t_{entity} where settled is null " for entity in ("line", "count"))
    if not ground.has("item"):
        ground.connection.execute(
            f"create temp table resolved as select distinct sku_written, trim(sku_written) as sku, 'none' as how, "
            f"false as charge from ({own}) where sku_written is not null"
        )
        return
    ground.connection.execute(
        f"""
        create temp table known as
        select sku, bool_or(regexp_matches(coalesce(kind, ''), '{CHARGE_PATTERN}', 'i')) as charge,
            spelling(sku) as spelled from t_item where sku is not null and ignored is null group by sku;
        create temp table spelled as select spelled, min(sku) as sku, count(*) as skus, bool_or(charge) as charge
            from known where spelled <> '' group by spelled;
        create temp table resolved as
        select w.sku_written, coalesce(k.sku, case when s.skus = 1 then s.sku end, trim(w.sku_written)) as sku,
            case when k.sku is not null then 'exact' when s.skus = 1 then 'spelling' when s.skus > 1 then 'ambiguous'
                else 'unknown' end as how,
            coalesce(k.charge, s.charge, false) as charge
        from (select distinct sku_written from ({own}) where sku_written is not null) w
        left join known k on k.sku = w.sku_written left join spelled s on s.spelled = spelling(w.sku_written);
        """
    )


def judge_skus(ground: Ground) -> None:
    """Mark spellings of lines and counts, and lines whose SKU is no item: freight and fees, or simply unknown."""
    if not ground.has("item"):
        return
    for table, entity in (("line", "line"), ("t_count", "count")):
        rows = f"from {table} l join resolved r using (sku_written) where settled is null and fault is null"
        column = ground.column("line" if entity == "line" else "count", "sku_written")
        mark(
            ground, "sku_spelling", f"{rows} and r.how = 'spelling'", column=column, value="sku_written",
            detail="'the catalogue has it as ' || r.sku", fix="r.sku",
        )  # fmt: skip
        mark(
            ground, "ambiguous_sku", f"{rows} and r.how = 'ambiguous'", column=column, value="sku_written",
            effect=QUARANTINE if entity == "count" else APPLY,
            detail="'several items are spelled like this'", fix="'write the SKU as the catalogue has it'",
        )  # fmt: skip
        mark(
            ground, "unknown_sku",
            f"{rows} and r.how = 'unknown'" + (" and not charge_like" if entity == "line" else ""),
            column=column, value="sku_written", effect=QUARANTINE if entity == "count" else APPLY,
            detail="'no item of the catalogue is called this'", fix="'add the item, or correct the SKU'",
        )  # fmt: skip
    mark(
        ground, "charge_as_item",
        "from line l join resolved r using (sku_written) where settled is null and fault is null "
        "and r.how = 'unknown' and charge_like",
        column=ground.column("line", "sku_written"), value="sku_written",
        detail="'it is no item of the catalogue and reads like a charge: ' || coalesce(description, sku_written)",
        fix="'booked as a charge'",
    )  # fmt: skip


def build_lines(ground: Ground) -> None:
    """Create `line`: the typed lines with their order, canonical SKU, kind, customer, currency and time."""
    shapes = "select distinct regexp_replace(regexp_replace(sku, '[0-9]+', '9', 'g'), '[A-Za-z]+', 'A', 'g') from known"
    shape = "regexp_replace(regexp_replace(trim(l.sku_written), '[0-9]+', '9', 'g'), '[A-Za-z]+', 'A', 'g')"
    alien = f"{shape} not in ({shapes})" if ground.has("item") else "false"
    words = " or ".join(f"regexp_matches(l.{text}, '{CHARGE_PATTERN}', 'i')" for text in ("sku_written", "description"))
    like = f"not regexp_matches(l.sku_written, '[0-9]') or {words} or {alien}" if ground.has("item") else "false"
    ground.connection.execute(
        f"""
        create temp table line as
        select l.id, l.file, l.row, l.fault, l.settled, l.identity, l.nth, l.document, l.sku_written,
            case when r.how in ('none', 'unknown') then coalesce(l.sku, r.sku) else r.sku end as sku,
            l.description, l.quantity, l.unit_price, l.amount, l.discount, l.shipped, l.returned, l.reference,
            coalesce(o.placed_at, l.placed_at) as placed_at, coalesce(o.customer, l.customer) as customer,
            coalesce(o.country, l.country) as country,
            coalesce(l.currency, o.currency, {literal(ground.mapping.currency)}) as currency,
            o.id as order_id, coalesce(o.document_kind, 'sale') as document_kind,
            r.how = 'unknown' and coalesce({like}, false) as charge_like,
            case when l.charge or r.charge or (r.how = 'unknown' and coalesce({like}, false)) then 'charge'
                else 'good' end as kind
        from t_line l left join resolved r using (sku_written) left join order_of o on o.document = l.document
        """
    )


def judge_signs(ground: Ground) -> None:
    """Mark negative quantities of documents that are no credits."""
    if ground.counts_repeats:
        return
    mark(
        ground, "negative_quantity",
        "from line where settled is null and quantity < 0 and document_kind = 'sale'",
        column=ground.column("line", "quantity"), value="quantity::double",
        detail="'order ' || document || ' is no credit'", fix="'make it a credit, or correct the sign'",
    )  # fmt: skip


def zero_decimal_currencies(ground: Ground, table: str) -> str:
    """Return SQL text listing the currencies in use that have no decimals; `''` when there are none."""
    used = ground.connection.execute(f"select distinct currency from {table} where currency is not null").fetchall()
    return ", ".join(literal(code) for (code,) in used if is_currency(code) and exponent(code) == 0) or "''"


def judge_fractions(ground: Ground) -> None:
    """Quarantine lines and orders with a fraction of a currency that has no decimals. Source: ISO 4217 minor units."""
    for table, entity, fields in (
        ("line", "line", ("unit_price", "amount")),
        ("order_of", "order", ("source_total", "charges", "discount", "tax")),
    ):
        undivided = f"settled is null and currency in ({zero_decimal_currencies(ground, table)})"
        wrong = [f"{field} <> trunc({field})" for field in fields]
        pick = " ".join(f"when {w} then {ground.column(entity, f)}" for w, f in zip(wrong, fields, strict=True))  # type: ignore[arg-type]
        value = " ".join(f"when {w} then {f}::double" for w, f in zip(wrong, fields, strict=True))
        mark(
            ground, "currency_decimals", f"from {table} where {undivided} and ({' or '.join(wrong)})",
            effect=QUARANTINE, column=f"case {pick} end", value=f"case {value} end",
            detail="currency || ' has no decimals'", fix="'check the currency and the decimal point'",
        )  # fmt: skip
    hold(ground)


def judge_counted_lines(ground: Ground) -> None:
    """Mark what is odd but real in a source that counts repeated lines and has no catalogue."""
    if not ground.counts_repeats:
        return
    live = "from line where settled is null and fault is null"
    description, price = ground.column("line", "description"), ground.column("line", "unit_price")
    quantity, sku = ground.column("line", "quantity"), ground.column("line", "sku_written")
    mark(ground, "repeated_line", f"{live} and nth > 1", column=sku, value="sku_written",
         detail="'the same line stands ' || (nth - 1) || ' time(s) above in this document'")  # fmt: skip
    mark(ground, "credit_line", f"{live} and document_kind = 'credit'", column=quantity, value="quantity::double")
    mark(ground, "write_off", f"{live} and document_kind <> 'credit' and quantity < 0", column=quantity,
         value="quantity::double", detail="'stock written off; no credit to anybody'")  # fmt: skip
    mark(ground, "zero_price", f"{live} and unit_price = 0", column=price, value="'0'")
    mark(ground, "negative_price", f"{live} and unit_price < 0", column=price, value="unit_price::double")
    if ground.is_mapped("line", "description"):
        mark(ground, "missing_description", f"{live} and description is null", column=description)
    if ground.is_mapped("line", "customer"):
        mark(ground, "no_customer", f"{live} and customer is null", column=ground.column("line", "customer"))
    mark(
        ground, "sku_case",
        "from line join (select sku from line group by sku having count(distinct trim(sku_written)) > 1) using (sku) "
        "where settled is null and fault is null and trim(sku_written) <> sku",
        column=sku, value="sku_written", detail="'also written ' || sku", fix="sku",
    )  # fmt: skip
