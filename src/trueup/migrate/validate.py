"""Validate staged rows: run the detectors in order, give every row one outcome, and write what the loader reads.

The tables written are those of the room's contract: c_item, c_customer, c_order, c_line, c_count, row_outcome, finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueup.core.errors import TrueupError
from trueup.migrate import detect, detect_lines, detect_orders, returns
from trueup.migrate.detect import Ground
from trueup.migrate.mapping import FIELDS, REQUIRED, Entity, Mapping
from trueup.migrate.sources import SourceFile, tables_of
from trueup.migrate.typed import literal, parts_of, type_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

    Tick = Callable[[str, int, int], None]

_STEPS = 6


class RowsLost(TrueupError):
    """The outcomes do not add up to the source's rows; a fault of ours, and nothing may be loaded."""


def validate(
    connection: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], mapping: Mapping, tick: Tick | None = None
) -> None:
    """Run a mapping over raw tables and write the staging tables. Raises MappingRefused; RowsLost on our own fault."""

    def step(done: int) -> None:
        if tick is not None:
            tick("validate", done, _STEPS)

    parts = parts_of(files, mapping)
    ground = Ground(connection, mapping, parts, type_rows(connection, parts, mapping))
    step(1)
    detect.create_marks(ground)
    for entity in FIELDS:
        _judge_rows(ground, entity)
    step(2)
    detect.hold(ground)
    detect_orders.judge_gtins(ground)
    detect_lines.resolve_skus(ground)
    detect_orders.build_orders(ground)
    detect_lines.build_lines(ground)
    step(3)
    detect_lines.judge_skus(ground)
    detect_lines.judge_signs(ground)
    detect_lines.judge_counted_lines(ground)
    detect_orders.judge_customers(ground)
    detect_lines.judge_fractions(ground)
    detect_orders.judge_relations(ground)
    step(4)
    detect_orders.judge_totals(ground)
    returns.judge_returns(ground)
    step(5)
    _write_outcomes(ground, files)
    _write_records(ground)
    step(6)
    check_sums(connection, files)


def _judge_rows(ground: Ground, entity: Entity) -> None:
    """Mark what any kind of record can bear."""
    if not ground.has(entity):
        return
    needed = {*REQUIRED[entity], *({"counted_at"} if entity == "count" else ())}
    if entity == "line" and not ground.has("order"):
        needed.add("placed_at")
    detect.settle_rows(ground, entity)
    detect.mark_encoding(ground, entity)
    detect.mark_missing_keys(ground, entity)
    detect.mark_numbers(ground, entity, needed)
    detect.mark_times(ground, entity, needed)
    if entity not in ("line", "refund"):
        detect.mark_second_keys(ground, entity)


def _write_outcomes(ground: Ground, files: Sequence[SourceFile]) -> None:
    """Create row_outcome with one row per source row, and finding."""
    mapped = [name for part in ground.parts for name in part.files]
    unmapped = "".join(
        f" union all select _id, _file, _row, 'file', cast(null as varchar), 'file_not_mapped' from {table} "
        f"where _file not in ({', '.join(map(literal, mapped)) or literal('')})"
        for table, _ in tables_of([file for file in files if file.name not in mapped])
    )
    rows = " union all ".join(
        f"select id, file, row, '{entity}' as entity, identity, cast(null as varchar) as unmapped from t_{entity}"
        for entity in FIELDS
    )
    ground.connection.execute(
        f"""
        create temp table source_row as {rows}{unmapped};
        create temp table verdict as
        select id, arg_min(struct_pack(effect, rule, column_name, value, fix), weight) as v from (
            select *, case effect when 'ignore' then 1 when 'merge' then 2 when 'quarantine' then 3 else 4 end as weight
            from mark) group by id;
        create table row_outcome as
        select s.file, s.row, s.entity,
            case when s.unmapped is not null then 'ignore' else coalesce(d.v.effect, 'apply') end as outcome,
            case when s.unmapped is not null then s.unmapped when d.v.effect <> 'apply' then d.v.rule else '' end
                as rule,
            case when d.v.effect <> 'apply' then d.v.column_name else '' end as column_name,
            case when d.v.effect <> 'apply' then d.v.value else '' end as value,
            case when d.v.effect <> 'apply' then d.v.fix else '' end as fix,
            s.identity, s.id
        from source_row s left join verdict d on d.id = s.id;
        create table finding as
        select s.file, s.row, m.kind, m.column_name, m.value, m.detail, m.fix
        from mark m join source_row s on s.id = m.id
        where m.kind is not null order by s.id, m.kind;
        create temp table taken as select id from row_outcome where outcome = 'apply';
        create temp table flag as select id, list(distinct kind order by kind) as kinds from mark where kind is not null
            group by id;
        """
    )


def _write_records(ground: Ground) -> None:
    """Create the canonical tables of what is to be applied, in source order."""
    bad = "(select id from mark where kind = 'bad_gtin')"
    currency = literal(ground.mapping.currency)
    priced = f"case when unit_price is not null then coalesce(currency, {currency}) end"
    charge = "case when k.charge then 'charge' else 'good' end" if ground.has("item") else "'good'"
    known = "join known k using (sku)" if ground.has("item") else ""
    ground.connection.execute(
        f"""
        create table c_item as select file, row, sku, coalesce(name, sku) as name, {charge} as kind,
            case when id in {bad} then null else gtin end as gtin, weight_g, category, unit_price, {priced} as currency,
            identity from t_item {known} where id in (from taken) order by id;
        create table c_customer as select file, row, number, name, email, phone, street, postcode, city, region,
            country, identity from t_customer where id in (from taken) order by id;
        create table c_count as select file, row, sku_written, r.sku, coalesce(location, 'main') as location, counted,
            counted_at, identity
            from t_count c join resolved r using (sku_written) where c.id in (from taken) order by c.id;
        create table c_refund as select file, row, document, reference, amount, refunded_at, identity
            from t_refund where id in (from taken) order by id;
        """
    )
    _write_orders(ground)


def _write_orders(ground: Ground) -> None:
    orphan = "(select id from mark where kind = 'orphan_customer')"
    taken = "l.id in (from taken)"
    kept = (
        f"o.document in (select document from line l where {taken})"
        if not ground.has("order")
        else "o.id in (from taken)"
    )
    mapped_shipping = ground.is_mapped("order", "shipped_at") or ground.is_mapped("order", "shipped")
    gone = "(o.shipped_at is not null or o.shipped) and l.quantity > 0"
    shipped = f"case when {gone} then l.quantity else 0 end" if mapped_shipping else "null"
    refunds = "(select reference, sum(amount) as amount from c_refund where reference is not null group by reference)"
    returned = "case when f.amount >= amount_of(l.quantity, l.unit_price) then l.quantity end"
    ground.connection.execute(
        f"""
        create table c_order as
        with back as (select document, sum(amount) as amount from c_refund group by document)
        select o.file, o.row, o.document, o.placed_at,
            case when o.id in {orphan} then null else o.customer end as customer,
            coalesce(o.currency, {literal(ground.mapping.currency)}) as currency, o.country,
            coalesce(o.charges, 0) as charges, coalesce(o.discount, 0) as discount, coalesce(o.tax, 0) as tax,
            o.source_total, o.document_kind as kind, o.paid,
            cast(coalesce(o.refunded, back.amount, case when {str(ground.has("refund")).lower()} then 0 end)
                as decimal(18, 6)) as refunded,
            coalesce(o.cancelled, false) as cancelled, o.status, coalesce(g.kinds, []) as flags
        from order_of o left join back using (document)
        left join flag g on g.id = o.id and not o.derived
        where {kept} order by o.id;
        create table c_line as
        select l.file, l.row, l.document, l.identity, l.sku_written, l.sku, l.description, l.quantity, l.unit_price,
            l.kind, coalesce(l.discount, 0) as discount, l.placed_at,
            case when l.order_id in {orphan} then null else l.customer end as customer, l.country, l.currency,
            cast(coalesce(l.shipped, {shipped}) as decimal(18, 6)) as shipped,
            cast(coalesce(l.returned, {returned}) as decimal(18, 6)) as returned, coalesce(g.kinds, []) as flags
        from line l left join flag g on g.id = l.id left join order_of o on o.document = l.document
        left join {refunds} f on f.reference = l.reference
        where {taken} order by l.id
        """
    )


def check_sums(connection: duckdb.DuckDBPyConnection, files: Sequence[SourceFile]) -> None:
    """Check that every source row has exactly one outcome. Raises RowsLost."""
    rows = sum(file.rows for file in files)
    found = connection.execute("select count(*), count(distinct id) from row_outcome").fetchall()[0]
    if found != (rows, rows):
        raise RowsLost(f"{rows} rows were read, {found[0]} outcomes were given for {found[1]} of them. Report this.")
