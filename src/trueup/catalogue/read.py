"""What everybody else may ask about items and locations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trueup.catalogue.readiness import ReadinessPolicy, Step, condition_of
from trueup.catalogue.state import Item, Location, item_of, location_of
from trueup.core.database import Connection
from trueup.core.fields import NO_CUSTOM_FIELDS, CustomFields, contained
from trueup.core.paging import Limit, Page, bounded, page_of, prefix_range, read_cursor, write_cursor


class ItemQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which items. search: the beginning of a SKU or alias, a GTIN, or words of the name. finding: a rule's name.

    field: a searchable custom field and its value, `colour:red`. readiness: exactly this far. supplier: its code.
    """

    search: str | None = None
    readiness: Step | None = None
    kind: str | None = None
    category: str | None = None
    supplier: str | None = None
    finding: str | None = None
    field: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class LocationQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which locations. group: one of theirs. field: a searchable custom field and its value, `manager:Ada`."""

    group: str | None = None
    field: str | None = None


EVERYWHERE = LocationQuery()
"""All locations."""


class ItemDetail(msgspec.Struct, frozen=True):
    """One item with every key it answers to, its SKU among them."""

    item: Item
    keys: tuple[str, ...]
    version: int


ItemPage = Page[Item]
_SHIPPED = ReadinessPolicy()
_ITEM = ", ".join(f"i.{name}" for name in Item.__struct_fields__)
_LOCATION = ", ".join(Location.__struct_fields__)


async def items(
    connection: Connection,
    query: ItemQuery,
    rules: CustomFields = NO_CUSTOM_FIELDS,
    readiness: ReadinessPolicy = _SHIPPED,
) -> ItemPage:
    """Return one page of items by SKU. Raises Refused for a field that `rules` do not let search.

    readiness: the policy that says how far each item is.
    """
    conditions: list[str] = []
    parameters: list[Any] = []
    if query.search is not None and (text := query.search.strip()):
        conditions.append(
            """i.id in (select item from item_key where key >= %s and key < %s
                union all select id from item where gtin = %s
                union all select id from item where to_tsvector('simple', name) @@ plainto_tsquery('simple', %s))"""
        )
        parameters += [*prefix_range(text), text, text]
    for column in ("kind", "category", "supplier"):
        if getattr(query, column) is not None:
            conditions.append(f"i.{column} = %s")
            parameters.append(getattr(query, column))
    if query.finding is not None:
        conditions.append("i.findings @> array[%s]")
        parameters.append(query.finding)
    if query.field is not None:
        conditions.append("i.fields @> %s::jsonb")
        parameters.append(contained(rules, query.field))
    if query.readiness is not None:
        sql, values = condition_of(query.readiness, readiness)
        conditions.append(f"({sql})")
        parameters += values
    if query.cursor is not None:
        conditions.append("i.sku > %s")
        parameters += read_cursor(query.cursor, (str,))
    limit = bounded(query.limit)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    rows = await connection.execute(
        f"select {_ITEM} from item i {where} order by i.sku limit %s", [*parameters, limit + 1], prepare=False
    )
    found = [item_of(row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.sku))


async def item(connection: Connection, reference: str) -> ItemDetail | None:
    """Return one item by its id or by any key it answers to, or None."""
    cursor = await connection.execute(
        f"""select {_ITEM} from item i where i.id = coalesce((select item from item_key where key = %s), %s)""",
        [reference, reference],
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    found = item_of(row)
    keys = await connection.execute("select key from item_key where item = %s order by key", [found.id])
    return ItemDetail(found, tuple(key for (key,) in await keys.fetchall()), found.version)


async def items_by_id(connection: Connection, ids: Sequence[str]) -> tuple[Item, ...]:
    """Return the items of these ids, by SKU."""
    rows = await connection.execute(
        f"select {_ITEM} from item i where i.id = any(%s::text[]) order by i.sku", [list(ids)]
    )
    return tuple(item_of(row) for row in await rows.fetchall())


async def locations(
    connection: Connection, query: LocationQuery = EVERYWHERE, rules: CustomFields = NO_CUSTOM_FIELDS
) -> tuple[Location, ...]:
    """Return locations by code, at most 10,000. Raises Refused for a field that `rules` do not let search."""
    wanted = contained(rules, query.field) if query.field is not None else None
    rows = await connection.execute(
        f"""select {_LOCATION} from location
        where (%s::text is null or %s = any(groups)) and (%s::jsonb is null or fields @> %s::jsonb)
        order by code limit 10000""",
        [query.group, query.group, wanted, wanted],
        prepare=False,
    )
    return tuple(location_of(row) for row in await rows.fetchall())


async def location(connection: Connection, reference: str) -> Location | None:
    """Return one location by its code or id, or None."""
    cursor = await connection.execute(
        f"select {_LOCATION} from location where code = %s or id = %s", [reference, reference]
    )
    row = await cursor.fetchone()
    return location_of(row) if row else None
