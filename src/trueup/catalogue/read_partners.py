"""What everybody else may ask about partners and their terms."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from trueup.catalogue.partner_state import PARTNER, InForce, Partner, PartnerKind, in_force, partner_of
from trueup.catalogue.state import Item, item_of
from trueup.core.database import Connection
from trueup.core.fields import NO_CUSTOM_FIELDS, CustomFields, contained
from trueup.core.paging import Limit, Page, bounded, page_of, prefix_range, read_cursor, write_cursor


class PartnerQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which partners. search: the beginning of a code, a GLN, or words of the name. kind: what they do for us.

    field: a searchable custom field and its value, `buyer:Ada`.
    """

    search: str | None = None
    kind: PartnerKind | None = None
    field: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class PartnerDetail(msgspec.Struct, frozen=True):
    """One partner, whether the agreement with it is in force, and how many items name it as their supplier."""

    partner: Partner
    agreement: InForce
    items: int


class EndedSupplier(msgspec.Struct, frozen=True):
    """A finding: items are bought from a partner whose agreement is not in force."""

    code: str
    name: str
    agreement: InForce
    items: int


PartnerPage = Page[PartnerDetail]
_ROW = f"select {PARTNER}, (select count(*) from item i where i.supplier = p.code) from partner p"


async def partners(
    connection: Connection, query: PartnerQuery, now: datetime, rules: CustomFields = NO_CUSTOM_FIELDS
) -> PartnerPage:
    """Return one page of partners by code. Raises Refused for a field that `rules` do not let search."""
    conditions: list[str] = []
    parameters: list[Any] = []
    if query.search is not None and (text := query.search.strip()):
        conditions.append(
            """p.id in (select id from partner where code >= %s and code < %s
                union all select id from partner where gln = %s
                union all select id from partner where to_tsvector('simple', name) @@ plainto_tsquery('simple', %s))"""
        )
        parameters += [*prefix_range(text), text, text]
    if query.kind is not None:
        conditions.append("p.kind = %s")
        parameters.append(query.kind)
    if query.field is not None:
        conditions.append("p.fields @> %s::jsonb")
        parameters.append(contained(rules, query.field))
    if query.cursor is not None:
        conditions.append("p.code > %s")
        parameters += read_cursor(query.cursor, (str,))
    limit = bounded(query.limit)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    rows = await connection.execute(f"{_ROW} {where} order by p.code limit %s", [*parameters, limit + 1], prepare=False)
    found = [_detail(row, now) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.partner.code))


async def partner(connection: Connection, reference: str, now: datetime) -> PartnerDetail | None:
    """Return one partner by its code or id, or None."""
    rows = await connection.execute(f"{_ROW} where p.code = %s or p.id = %s", [reference, reference])
    row = await rows.fetchone()
    return _detail(row, now) if row is not None else None


async def record(connection: Connection, code: str) -> Partner | None:
    """Return the bare record of a partner by its code, or None."""
    rows = await connection.execute(f"select {PARTNER} from partner where code = %s", [code])
    row = await rows.fetchone()
    return partner_of(row) if row is not None else None


async def suppliers_not_in_force(connection: Connection, now: datetime) -> tuple[EndedSupplier, ...]:
    """Return the partners that items are bought from though no agreement with them is in force, by code."""
    rows = await connection.execute(
        f"{_ROW} where (p.in_force_until is not null or p.in_force_from is not null) order by p.code", prepare=False
    )
    found = [_detail(row, now) for row in await rows.fetchall()]
    return tuple(
        EndedSupplier(one.partner.code, one.partner.name, one.agreement, one.items)
        for one in found
        if one.items and one.agreement != "in_force"
    )


async def leading_items(connection: Connection, code: str) -> tuple[Item, ...]:
    """Return the items whose lead time is that of this supplier: they have none of their own; by SKU."""
    names = ", ".join(Item.__struct_fields__)
    rows = await connection.execute(
        f"select {names} from item where supplier = %s and lead_days is null order by sku", [code]
    )
    return tuple(item_of(row) for row in await rows.fetchall())


def _detail(row: tuple[Any, ...], now: datetime) -> PartnerDetail:
    partner = partner_of(row[:-1])
    return PartnerDetail(partner, in_force(partner, now), row[-1])
