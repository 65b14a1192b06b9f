"""The SQL of the orders' rows: locking reads, and writes as one statement per table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trueup.core import json
from trueup.core.quantity import ZERO
from trueup.core.verb import Rebuilt, Statement

if TYPE_CHECKING:
    from trueup.orders.state import Line, OrderRow

CAPTURED = (
    "id", "number", "kind", "channel", "currency", "placed_at", "recorded_at", "managed", "customer", "person",
    "ship_country", "source", "load", "external_ids", "source_total", "payment_known", "captured", "refunded", "flags",
)  # fmt: skip
_LINE = (
    "line", "sku", "item", "description", "kind", "quantity", "unit_price", "amount", "discount", "location", "flags",
    "source_row", "cancelled", "shipped", "returned",
)  # fmt: skip
_WANTED = """select unnest(%s::text[]) as order_id
    union select k.order_id
    from unnest(%s::text[], %s::text[]) as w (key, source) join order_key k using (key, source)"""

READ_ORDERS = f"""select o.version, o.total_goods, o.total_charges, o.total_discount, o.total_tax, o.total,
        {", ".join(f"o.{name}" for name in CAPTURED)}
    from ({_WANTED}) w join orders o on o.id = w.order_id order by o.id"""
LOCK_ORDERS = READ_ORDERS + " for no key update of o"
READ_LINES = f"""select l.order_id, l.reserved, l.allocated, {", ".join(f"l.{name}" for name in _LINE)}
    from ({_WANTED}) w join order_line l using (order_id) order by l.order_id, l.line"""
READ_KEYS = """select k.key, k.source, k.order_id
    from unnest(%s::text[], %s::text[]) as w (key, source) join order_key k using (key, source)"""


def insert_orders(new: Sequence[OrderRow]) -> list[Statement]:
    """Return the inserts of new orders with their lines and keys."""
    lines = [(row, line) for row in new for line in row.lines]
    return [_insert_headers(new), *insert_lines(lines), _insert_keys(new)]


def update_orders(changed: Sequence[OrderRow]) -> list[Statement]:
    """Return the new totals and counters of known orders, of their lines, and the lines that were added."""
    units = [_units(row) for row in changed]
    added = [(row, line) for row in changed for line in row.new_lines]
    lines = [(row, line) for row in changed for line in row.lines]
    return [
        Statement(
            """update orders o set version = n.version, total_goods = n.goods, total_charges = n.charges,
                total_discount = n.discount, total_tax = n.tax, total = n.total, units_ordered = n.ordered,
                units_cancelled = n.cancelled, units_reserved = n.reserved, units_allocated = n.allocated,
                units_shipped = n.shipped, units_returned = n.returned
            from unnest(%s::text[], %s::int[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
                        %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
                        %s::numeric[])
                as n (id, version, goods, charges, discount, tax, total,
                      ordered, cancelled, reserved, allocated, shipped, returned)
            where o.id = n.id""",
            [
                [row.captured.id for row in changed], [row.version for row in changed],
                [row.totals.goods for row in changed], [row.totals.charges for row in changed],
                [row.totals.discount for row in changed], [row.totals.tax for row in changed],
                [row.totals.total for row in changed], *(list(column) for column in zip(*units, strict=True)),
            ],
        ),
        *insert_lines(added),
        Statement(
            """update order_line l set cancelled = n.cancelled, reserved = n.reserved, allocated = n.allocated
            from unnest(%s::text[], %s::int[], %s::numeric[], %s::numeric[], %s::numeric[])
                as n (order_id, line, cancelled, reserved, allocated)
            where l.order_id = n.order_id and l.line = n.line
              and (l.cancelled, l.reserved, l.allocated) is distinct from (n.cancelled, n.reserved, n.allocated)""",
            [
                [row.captured.id for row, _ in lines], [line.line for _, line in lines],
                [line.cancelled for _, line in lines], *_held(lines),
            ],
        ),
    ]  # fmt: skip


def delete_orders(gone: Sequence[OrderRow]) -> list[Statement]:
    """Return the removal of withdrawn orders with their keys and lines.

    A cascade would run as the tables' owner, and so be recorded as a bypass.
    """
    keys = _keys_of(gone)
    wanted = [[row.captured.id for row in gone]]
    return [
        Statement(
            """delete from order_key k using unnest(%s::text[], %s::text[]) as n (source, key)
            where k.key = n.key and k.source = n.source""",
            [[source for source, _, _ in keys], [key for _, key, _ in keys]],
        ),
        Statement("delete from order_line where order_id = any(%s::text[])", wanted),
        Statement("delete from orders where id = any(%s::text[]) and not managed", wanted),
    ]


def _held(lines: Sequence[tuple[OrderRow, Line]]) -> tuple[list[Decimal], list[Decimal]]:
    """Return the units reserved and allocated for each line."""
    return (
        [row.reserved.get(line.line, ZERO) for row, line in lines],
        [row.allocated.get(line.line, ZERO) for row, line in lines],
    )


def insert_lines(lines: Sequence[tuple[OrderRow, Line]]) -> list[Statement]:
    """Return the insert of lines, each with its order, and the units claimed for it."""
    if not lines:
        return []
    only = [line for _, line in lines]
    return [
        Statement(
            """insert into order_line (order_id, line, sku, item, description, kind, quantity, cancelled, reserved,
                allocated, shipped, returned, unit_price, amount, discount, location, flags, source_row)
            select order_id, line, sku, item, description, kind, quantity, cancelled, reserved, allocated, shipped,
                returned, unit_price, amount, discount, location,
                coalesce(string_to_array(nullif(flags, ''), ' '), '{}'), source_row
            from unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[],
                        %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
                        %s::numeric[], %s::numeric[], %s::text[], %s::text[], %s::text[])
                as n (order_id, line, sku, item, description, kind, quantity, cancelled, reserved, allocated, shipped,
                      returned, unit_price, amount, discount, location, flags, source_row)""",
            [
                [row.captured.id for row, _ in lines], [x.line for x in only], [x.sku for x in only],
                [x.item for x in only], [x.description for x in only], [x.kind for x in only],
                [x.quantity for x in only], [x.cancelled for x in only], *_held(lines),
                [x.shipped for x in only], [x.returned for x in only], [x.unit_price for x in only],
                [x.amount for x in only], [x.discount for x in only], [x.location for x in only],
                [" ".join(x.flags) for x in only], [x.source_row for x in only],
            ],
        )
    ]  # fmt: skip


def _insert_headers(new: Sequence[OrderRow]) -> Statement:
    captured = [row.captured for row in new]
    columns: list[list[Any]] = [[getattr(order, name) for order in captured] for name in CAPTURED]
    columns[CAPTURED.index("external_ids")] = [json.encode(order.external_ids).decode() for order in captured]
    columns[CAPTURED.index("flags")] = [" ".join(order.flags) for order in captured]
    units = [_units(row) for row in new]
    return Statement(
        f"""insert into orders ({", ".join(CAPTURED)}, total_goods, total_charges, total_discount, total_tax, total,
            units_ordered, units_cancelled, units_reserved, units_allocated, units_shipped, units_returned, version)
        select id, number, kind, channel, currency, placed_at, recorded_at, managed, customer, person, ship_country,
            source, load, external_ids::jsonb, source_total, payment_known, captured, refunded,
            coalesce(string_to_array(nullif(flags, ''), ' '), '{{}}'), goods, charges, discount, tax, total,
            ordered, cancelled, reserved, allocated, shipped, returned, version
        from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],
                    %s::bool[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[],
                    %s::bool[], %s::numeric[], %s::numeric[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[],
                    %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
                    %s::numeric[], %s::numeric[], %s::int[])
            as n ({", ".join(CAPTURED)}, goods, charges, discount, tax, total,
                  ordered, cancelled, reserved, allocated, shipped, returned, version)""",
        [
            *columns, [row.totals.goods for row in new], [row.totals.charges for row in new],
            [row.totals.discount for row in new], [row.totals.tax for row in new], [row.totals.total for row in new],
            *(list(column) for column in zip(*units, strict=True)), [row.version for row in new],
        ],
    )  # fmt: skip


def _keys_of(orders: Sequence[OrderRow]) -> list[tuple[str, str, str]]:
    """Return (source, key, order) of every number the orders are known by, in the order of the keys."""
    keys = [("", row.captured.number, row.captured.id) for row in orders]
    keys += [(source, key, row.captured.id) for row in orders for source, key in row.captured.external_ids.items()]
    return sorted(keys, key=lambda entry: (entry[1], entry[0]))


def _insert_keys(new: Sequence[OrderRow]) -> Statement:
    keys = _keys_of(new)
    return Statement(
        "insert into order_key (source, key, order_id) select * from unnest(%s::text[], %s::text[], %s::text[])",
        [[entry[0] for entry in keys], [entry[1] for entry in keys], [entry[2] for entry in keys]],
    )


def rebuilt(orders: Iterable[OrderRow], keys: Mapping[tuple[str, str], str]) -> list[Rebuilt]:
    """Return what the orders' tables must hold when these are all orders there are."""
    headers: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    lines: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in orders:
        captured, totals = row.captured, row.totals
        headers[captured.id,] = (
            *(getattr(captured, name) for name in CAPTURED[1:]),
            totals.goods, totals.charges, totals.discount, totals.tax, totals.total, row.version, *_units(row),
        )  # fmt: skip
        for line in row.lines:
            held = (row.reserved.get(line.line, ZERO), row.allocated.get(line.line, ZERO))
            lines[captured.id, line.line] = (*held, *(getattr(line, name) for name in _LINE[1:]))
    return [
        Rebuilt(
            "order",
            f"""select {", ".join(CAPTURED)}, total_goods, total_charges, total_discount, total_tax, total, version,
                units_ordered, units_cancelled, units_reserved, units_allocated, units_shipped, units_returned
            from orders""",
            headers,
        ),
        Rebuilt(
            "order_line", f"select order_id, line, reserved, allocated, {', '.join(_LINE[1:])} from order_line", lines
        ),
        Rebuilt(
            "order_key",
            "select key, source, order_id from order_key",
            {key: (order,) for key, order in keys.items()},
        ),
    ]


def _units(row: OrderRow) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal, Decimal]:
    """Return the units of goods ordered, cancelled, reserved, allocated, shipped and returned."""
    ordered = cancelled = shipped = returned = ZERO
    for line in row.lines:
        if line.kind == "good" and line.quantity > 0:
            ordered += line.quantity
            cancelled += line.cancelled
            shipped += line.shipped
            returned += line.returned
    held = (sum(row.reserved.values(), ZERO), sum(row.allocated.values(), ZERO))
    return ordered, cancelled, *held, shipped, returned
