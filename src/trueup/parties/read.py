"""What everybody else may ask about customers, and the one place that opens personal words."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from trueup.core import json
from trueup.core.database import Connection
from trueup.core.fields import NO_CUSTOM_FIELDS, CustomFields, Value, contained
from trueup.core.paging import Limit, Page, bounded, page_of, prefix_range, read_cursor, write_cursor
from trueup.parties.state import Address, Contact, LineAddress


class CustomerQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which customers. search: the beginning of a number, of a name, or a whole e-mail address. source: a system.

    field: a searchable custom field and its value, `segment:gold`.
    """

    search: str | None = None
    source: str | None = None
    country: str | None = None
    field: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class CustomerDetail(msgspec.Struct, frozen=True):
    """One customer. contact: personal words, None when none were given or they were erased."""

    id: str
    source: str
    number: str
    country: str | None
    version: int
    at: datetime
    contact: Contact | None
    fields: dict[str, Value] = {}


CustomerPage = Page[CustomerDetail]
_CUSTOMER = """select c.id, c.source, c.number, c.country, c.version, c.at, p.id, p.name, p.email, p.phone, p.ship_to,
    p.bill_to, c.fields from customer c left join person p on p.id = c.person and p.erased_at is null"""


async def customers(
    connection: Connection, query: CustomerQuery, rules: CustomFields = NO_CUSTOM_FIELDS
) -> CustomerPage:
    """Return one page of customers, latest recorded first. Raises Refused for a field that is not searchable."""
    conditions: list[str] = []
    parameters: list[Any] = []
    if query.search is not None and (text := query.search.strip()):
        conditions.append(
            """c.id in (select id from customer where number >= %s and number < %s
                union all select x.id from person s join customer x on x.person = s.id where lower(s.email) = lower(%s)
                union all select x.id from person s join customer x on x.person = s.id
                    where lower(s.name) collate "C" >= %s and lower(s.name) collate "C" < %s)"""
        )
        parameters += [*prefix_range(text), text, *prefix_range(text.lower())]
    for column in ("source", "country"):
        if getattr(query, column) is not None:
            conditions.append(f"c.{column} = %s")
            parameters.append(getattr(query, column))
    if query.field is not None:
        conditions.append("c.fields @> %s::jsonb")
        parameters.append(contained(rules, query.field))
    if query.cursor is not None:
        conditions.append("c.id < %s")
        parameters += read_cursor(query.cursor, (str,))
    limit = bounded(query.limit)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    rows = await connection.execute(
        f"{_CUSTOMER} {where} order by c.id desc limit %s", [*parameters, limit + 1], prepare=False
    )
    found = [_customer_of(row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.id))


async def customer(connection: Connection, customer: str) -> CustomerDetail | None:
    """Return one customer by id, or None."""
    cursor = await connection.execute(f"{_CUSTOMER} where c.id = %s", [customer])
    row = await cursor.fetchone()
    return _customer_of(row) if row else None


async def contact(connection: Connection, person: str | None) -> Contact | None:
    """Return the personal words kept under an id; None when there are none, or they were erased."""
    if person is None:
        return None
    cursor = await connection.execute(
        "select name, email, phone, ship_to, bill_to, line_ship_to from person where id = %s and erased_at is null",
        [person],
    )
    row = await cursor.fetchone()
    return _contact_of(row) if row else None


def _customer_of(row: tuple[Any, ...]) -> CustomerDetail:
    return CustomerDetail(*[*row[:6], _contact_of(row[7:12]) if row[6] else None, row[12] or {}])


def _contact_of(row: tuple[Any, ...]) -> Contact:
    name, email, phone, ship_to, bill_to, *lines = row
    return Contact(
        name=name,
        email=email,
        phone=phone,
        ship_to=json.convert(ship_to, Address) if ship_to else None,
        bill_to=json.convert(bill_to, Address) if bill_to else None,
        line_ship_to=json.convert(lines[0], tuple[LineAddress, ...]) if lines and lines[0] else (),
    )
