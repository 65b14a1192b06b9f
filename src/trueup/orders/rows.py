"""The SQL of the orders' rows: locking reads, and writes as one statement per table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from trueup.core import json
from trueup.core.quantity import ZERO
from trueup.core.verb import Rebuilt, Statement

if TYPE_CHECKING:
    from trueup.orders.state import Line, OrderRow

# What is written once, when an order is captured: column and type; `words` are a text[] written as one string.
_CAPTURED = {
    "id": "text", "number": "text", "kind": "text", "channel": "text", "currency": "text", "placed_at": "timestamptz",
    "recorded_at": "timestamptz", "managed": "bool", "customer": "text", "person": "text", "ship_country": "text",
    "source": "text", "load": "text", "external_ids": "jsonb", "source_total": "numeric", "payment_known": "bool",
    "captured": "numeric", "refunded": "numeric", "flags": "words", "type": "text", "workflow_version": "int",
    "channel_version": "int", "delivery": "text", "tax_included": "bool", "ship_region": "text",
    "ship_postcode": "text", "latitude": "numeric", "longitude": "numeric", "priority": "int",
    "promised_at": "timestamptz", "business": "jsonb", "fields": "jsonb", "entered_by": "text", "ship_from": "text",
    "unpaid_until": "timestamptz",
}  # fmt: skip
CAPTURED = tuple(_CAPTURED)
# What later events change: version, totals and counters.
_COUNTED = {
    "version": "int", "total_goods": "numeric", "total_charges": "numeric", "total_discount": "numeric",
    "total_tax": "numeric", "total": "numeric", "units_ordered": "numeric", "units_cancelled": "numeric",
    "units_reserved": "numeric", "units_allocated": "numeric", "units_shipped": "numeric",
    "units_returned": "numeric", "unmatched": "int", "holds": "int", "last_move": "jsonb",
}  # fmt: skip
_LINE = {
    "line": "int", "sku": "text", "item": "text", "description": "text", "kind": "text", "quantity": "numeric",
    "unit_price": "numeric", "amount": "numeric", "discount": "numeric", "location": "text", "flags": "words",
    "source_row": "text", "cancelled": "numeric", "shipped": "numeric", "returned": "numeric", "parent": "int",
    "tax": "numeric", "tax_rate": "numeric", "tax_code": "text", "fields": "jsonb", "tax_parts": "jsonb",
}  # fmt: skip
_HELD = {"reserved": "numeric", "allocated": "numeric"}
# Of a line, what later events change.
_LINE_COUNTED = {
    "cancelled": "numeric", "tax": "numeric", "tax_rate": "numeric", "tax_code": "text", "tax_parts": "jsonb", **_HELD,
}  # fmt: skip
# Of what was captured, what a revision or an adoption changes.
_REVISED = {
    "person": "text", "ship_country": "text", "ship_region": "text", "ship_postcode": "text", "latitude": "numeric",
    "longitude": "numeric", "ship_from": "text", "flags": "words", "workflow_version": "int",
}  # fmt: skip
_WANTED = """select unnest(%s::text[]) as order_id
    union select k.order_id
    from unnest(%s::text[], %s::text[]) as w (key, source) join order_key k using (key, source)"""

READ_ORDERS = f"""select o.last_move::text, o.unmatched, o.holds, o.version, o.total_goods, o.total_charges,
        o.total_discount, o.total_tax, o.total, {", ".join(f"o.{name}" for name in CAPTURED)}
    from ({_WANTED}) w join orders o on o.id = w.order_id order by o.id"""
LOCK_ORDERS = READ_ORDERS + " for no key update of o"
READ_LINES = f"""select l.order_id, l.reserved, l.allocated, {", ".join(f"l.{name}" for name in _LINE)}
    from ({_WANTED}) w join order_line l using (order_id) order by l.order_id, l.line"""
READ_KEYS = """select k.key, k.source, k.order_id
    from unnest(%s::text[], %s::text[]) as w (key, source) join order_key k using (key, source)"""


def _unnest(columns: Mapping[str, str]) -> str:
    """Write the rows of arrays as a table `n` of these columns; what is no array element travels as text."""
    kinds = ", ".join(f"%s::{'text' if kind in ('jsonb', 'words') else kind}[]" for kind in columns.values())
    return f"unnest({kinds}) as n ({', '.join(columns)})"


def _values(columns: Mapping[str, str]) -> list[str]:
    """Write what each column gets from its row of `n`."""
    return [_VALUE.get(kind, "n.{0}").format(name) for name, kind in columns.items()]


_VALUE = {
    "jsonb": "n.{0}::jsonb",
    "words": "coalesce(string_to_array(nullif(n.{0}, ''), ' '), '{{}}')",
}


def _insert(table: str, columns: Mapping[str, str]) -> str:
    return f"""insert into {table} ({", ".join(columns)})
        select {", ".join(_values(columns))} from {_unnest(columns)}"""


def _update(table: str, keys: Mapping[str, str], columns: Mapping[str, str]) -> str:
    set_ = ", ".join(f"{name} = {value}" for name, value in zip(columns, _values(columns), strict=True))
    where = " and ".join(f"t.{key} = n.{key}" for key in keys)
    return f"update {table} t set {set_} from {_unnest({**keys, **columns})} where {where}"


_INSERT_ORDERS = _insert("orders", {**_CAPTURED, **_COUNTED})
_INSERT_LINES = _insert("order_line", {"order_id": "text", **_LINE, **_HELD})
_REVISE_ORDERS = _update("orders", {"id": "text"}, _REVISED)
_UPDATE_ORDERS = _update("orders", {"id": "text"}, _COUNTED)
_UPDATE_LINES = _update("order_line", {"order_id": "text", "line": "int"}, _LINE_COUNTED) + (
    f" and ({', '.join(f't.{name}' for name in _LINE_COUNTED)}) is distinct from ({', '.join(_values(_LINE_COUNTED))})"
)


def insert_orders(new: Sequence[OrderRow]) -> list[Statement]:
    """Return the inserts of new orders with their lines and keys."""
    lines = [(row, line) for row in new for line in row.lines]
    headers = Statement(_INSERT_ORDERS, [*_captured(new), *_counted(new)])
    return [headers, *_insert_lines(lines), _insert_keys(new)]


def update_orders(changed: Sequence[OrderRow]) -> list[Statement]:
    """Return the new totals and counters of known orders, of their lines, and the lines that were added."""
    added = [(row, line) for row in changed for line in row.new_lines]
    lines = [(row, line) for row in changed for line in row.lines]
    only = [line for _, line in lines]
    return [
        Statement(_UPDATE_ORDERS, [[row.captured.id for row in changed], *_counted(changed)]),
        *_insert_lines(added),
        Statement(
            _UPDATE_LINES,
            [
                [row.captured.id for row, _ in lines], [line.line for line in only],
                [line.cancelled for line in only], [line.tax for line in only], [line.tax_rate for line in only],
                [line.tax_code for line in only], [_parts(line) for line in only], *_held(lines),
            ],
        ),
    ]  # fmt: skip


def revise_orders(revised: Sequence[OrderRow]) -> Statement:
    """Return the new addresses, tax origins, flags and versions of the workflow of known orders."""
    captured = [row.captured for row in revised]
    columns = {name: [getattr(order, name) for order in captured] for name in _REVISED}
    columns["flags"] = [" ".join(flags) for flags in columns["flags"]]
    return Statement(_REVISE_ORDERS, [[order.id for order in captured], *columns.values()])


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


def _insert_lines(lines: Sequence[tuple[OrderRow, Line]]) -> list[Statement]:
    if not lines:
        return []
    only = [line for _, line in lines]
    columns: dict[str, list[Any]] = {name: [getattr(line, name) for line in only] for name in _LINE}
    columns["flags"] = [" ".join(flags) for flags in columns["flags"]]
    columns["fields"] = [_json(fields) for fields in columns["fields"]]
    columns["tax_parts"] = [_parts(line) for line in only]
    return [Statement(_INSERT_LINES, [[row.captured.id for row, _ in lines], *columns.values(), *_held(lines)])]


def _held(lines: Sequence[tuple[OrderRow, Line]]) -> tuple[list[Decimal], list[Decimal]]:
    """Return the units reserved and allocated for each line."""
    return (
        [row.reserved.get(line.line, ZERO) for row, line in lines],
        [row.allocated.get(line.line, ZERO) for row, line in lines],
    )


def _captured(orders: Sequence[OrderRow]) -> list[list[Any]]:
    captured = [row.captured for row in orders]
    columns: dict[str, list[Any]] = {name: [getattr(order, name) for order in captured] for name in CAPTURED}
    columns["external_ids"] = [_json(numbers) for numbers in columns["external_ids"]]
    columns["flags"] = [" ".join(flags) for flags in columns["flags"]]
    columns["business"] = [json.encode(terms).decode() if terms else None for terms in columns["business"]]
    columns["fields"] = [json.encode(fields).decode() if fields else None for fields in columns["fields"]]
    return list(columns.values())


def _counted(orders: Sequence[OrderRow]) -> list[list[Any]]:
    rows = [_counters(row) for row in orders]
    return [list(column) for column in zip(*rows, strict=True)]


def _counters(row: OrderRow) -> tuple[Any, ...]:
    totals = row.totals
    return (
        row.version, totals.goods, totals.charges, totals.discount, totals.tax, totals.total, *_units(row),
        row.unmatched, row.holds, json.encode(row.moved).decode() if row.moved else None,
    )  # fmt: skip


def _parts(line: Line) -> str | None:
    return json.encode(line.tax_parts).decode() if line.tax_parts else None


def _json(value: Mapping[str, Any]) -> str:
    return json.encode(value).decode() if value else "{}"


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
        captured = row.captured
        moved = json.to_plain(row.moved) if row.moved else None
        told = {name: getattr(captured, name) for name in CAPTURED[1:]}
        told |= {name: _stored(told[name]) for name in ("business", "fields")}
        headers[captured.id,] = (*told.values(), *_counters(row)[:-1], moved)
        for line in row.lines:
            held = (row.reserved.get(line.line, ZERO), row.allocated.get(line.line, ZERO))
            values = {name: getattr(line, name) for name in tuple(_LINE)[1:]}
            values["tax_parts"] = _stored(line.tax_parts)
            lines[captured.id, line.line] = (*held, *values.values())
    return [
        Rebuilt("order", f"select {', '.join({**_CAPTURED, **_COUNTED})} from orders", headers),
        Rebuilt(
            "order_line", f"select order_id, line, reserved, allocated, {', '.join(tuple(_LINE)[1:])} from order_line",
            lines,
        ),
        Rebuilt("order_key", "select key, source, order_id from order_key", {key: (o,) for key, o in keys.items()}),
    ]  # fmt: skip


def _stored(value: Any) -> Any:
    """Return what a column of JSON gives back for a value: null for what is empty."""
    return msgspec.json.decode(json.encode(value)) if value else None


def _units(row: OrderRow) -> tuple[Decimal, ...]:
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
