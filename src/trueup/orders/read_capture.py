"""What an order says of itself beyond its sums: how it was captured, where it is claimed, its tax, and its margin."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.catalogue.cost import cost_at
from trueup.core import json
from trueup.core.database import Connection
from trueup.core.fields import Value
from trueup.core.quantity import ZERO
from trueup.orders.business import Business
from trueup.orders.totals import kept
from trueup.stock.rows import EXPIRY


class OrderCapture(msgspec.Struct, frozen=True):
    """How an order was captured. ship_from: where its tax took it to leave from. unpaid_until: its deadline, if any.

    entered_by: the person who took it in. business: what was agreed. fields: custom ones.
    """

    delivery: str
    priority: int
    promised_at: datetime | None
    ship_region: str | None
    ship_postcode: str | None
    ship_from: str | None
    tax_included: bool
    entered_by: str | None
    unpaid_until: datetime | None
    business: Business | None
    fields: dict[str, Value]


class LineClaim(msgspec.Struct, frozen=True):
    """Units of a line claimed at a location (code). expires_at: when they stop counting; None is never."""

    line: int
    location: str
    kind: str
    lot: str
    quantity: Decimal
    expires_at: datetime | None


class InvoicedTax(msgspec.Struct, frozen=True):
    """Tax as it was invoiced, or given back; see `tax_state.TaxRow`."""

    number: int
    invoice: str
    line: int
    units: Decimal
    rate: Decimal
    category: str
    code: str
    reason: str
    base: Decimal
    tax: Decimal
    reverses: int | None
    at: datetime


class Sold(msgspec.Struct, frozen=True):
    """A line as its margin needs it: what it is, its units, and its money before anything was cancelled."""

    item: str | None
    kind: str
    quantity: Decimal
    cancelled: Decimal
    amount: Decimal
    discount: Decimal
    tax: Decimal


CAPTURE = ", ".join(f"o.{name}" for name in OrderCapture.__struct_fields__)


def capture_of(columns: tuple[Any, ...]) -> OrderCapture:
    """Make the struct of the columns `CAPTURE`."""
    business, fields = columns[-2:]
    return OrderCapture(*[*columns[:-2], json.convert(business, Business) if business else None, fields or {}])


async def claims_of(connection: Connection, order: str, now: datetime | None = None) -> tuple[LineClaim, ...]:
    """Return what an order claims by line and location; what has ended by `now` counts no more."""
    rows = await connection.execute(
        f"""select c.line, l.code, c.kind, c.lot, sum(c.quantity), {EXPIRY} as expires_at
        from stock_claim c join location l on l.id = c.location where c.holder = %s
        group by c.line, l.code, c.kind, c.lot, c.item having sum(c.quantity) > 0
        order by c.line, l.code, c.kind, c.lot""",
        [order],
    )
    found = [LineClaim(*row) for row in await rows.fetchall()]
    return tuple(claim for claim in found if now is None or claim.expires_at is None or claim.expires_at > now)


async def taxes_of(connection: Connection, order: str) -> tuple[InvoicedTax, ...]:
    """Return what was invoiced and reversed of an order's tax, in order."""
    rows = await connection.execute(
        f"select {', '.join(InvoicedTax.__struct_fields__)} from order_tax where order_id = %s order by number", [order]
    )
    return tuple(InvoicedTax(*row) for row in await rows.fetchall())


async def margin_of(
    connection: Connection, lines: Iterable[Sold], currency: str, day: date, *, tax_included: bool
) -> Decimal | None:
    """Return what an order's goods bring before tax, less what they cost on a day; None where a cost is not known.

    Charges and what they pay for are left out. A phantom kit costs what its parts cost.
    """
    goods = [line for line in lines if line.kind != "charge" and line.quantity > 0]
    units: dict[str, Decimal] = {}
    net = ZERO
    for line in goods:
        left = line.quantity - line.cancelled
        stated = [line.amount, -line.discount, *([-line.tax] if tax_included else [])]
        net += sum((kept(value, line.quantity, line.cancelled, currency) for value in stated), ZERO)
        if line.kind != "good" or not left:
            continue
        if line.item is None:
            return None
        units[line.item] = units.get(line.item, ZERO) + left
    costs = await cost_at(connection, list(units), currency, day)
    if len(costs) < len(units):
        return None
    return net - sum((costs[item] * count for item, count in units.items()), ZERO)
