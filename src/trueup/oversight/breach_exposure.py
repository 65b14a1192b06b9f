"""What a breach of a data contract costs: the open orders it touches, and the money at stake in them per hour.

    price per hour = (margin of open units whose cost is known + value of the others x margin)
                     x share of orders lost per day of delay / 24, and at least the floor per order

Margin, share and floor are those of the policy `case_pricing`; every input is shown with the rows behind it. The
catalogue stands above orders and imports none of this: the storyline and the worker hand the price in by a command.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.authority.read import version_in_force
from trueup.cases.pricing import CasePricing
from trueup.catalogue.contract import EntityName
from trueup.catalogue.quarantine import PriceBreach
from trueup.core.database import Connection
from trueup.core.money import Amount
from trueup.core.paging import Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.verb import Command
from trueup.sourcing.lent import LENT

_PER_HOUR = Decimal("0.000001")


class TouchedOrder(msgspec.Struct, frozen=True):
    """One open order that a breach touches. units: not shipped nor cancelled; waiting: of these, not allocated.
    sent: it goes by parcel.

    value: of the open units; margin: of those whose cost is known; unknown: value of those whose cost is not. waits:
    what of margin and unknown the units have that are not allocated, which a containment lets wait. All in `currency`.
    """

    order: str
    number: str
    currency: str
    placed_at: datetime
    units: Decimal
    waiting: Decimal
    value: Decimal
    margin: Decimal
    unknown: Decimal
    waits: Decimal
    sent: bool


TouchedPage = Page[TouchedOrder]


class Stake(msgspec.Struct, frozen=True):
    """What is at stake in the orders of one currency, that most of them are in. orders: touched; others: in others.

    waiting, waits: orders with units that are not allocated and the money in those, which a containment lets wait.
    pricing: the rates; measured: whether somebody confirmed them.
    """

    currency: str
    orders: int
    units: Decimal
    value: Decimal
    margin: Decimal
    unknown: Decimal
    waiting: int
    waits: Decimal
    others: int
    pricing: CasePricing
    measured: bool

    @property
    def per_hour(self) -> Decimal:
        """Return what the open orders cost per hour while the rule fails."""
        return self._rate(self.margin + self.unknown * self.pricing.margin, self.orders)

    @property
    def contained_per_hour(self) -> Decimal:
        """Return what the containment costs per hour: the orders that it lets wait."""
        return self._rate(self.waits, self.waiting)

    def _rate(self, money: Decimal, orders: int) -> Decimal:
        per_day = max(money * self.pricing.lost_per_day, self.pricing.floor_per_order_day * orders)
        return (per_day / 24).quantize(_PER_HOUR)

    def source(self, case: str) -> dict[str, Any]:
        """Return the formula and its inputs as a case keeps them."""
        rows, rates = f"/breaches/{case}", "/policies/case_pricing"
        basis = "entered" if self.measured else "default"
        figures = [
            ("open orders touched", str(self.orders), "orders", "measured", rows),
            ("margin of units with a known cost", f"{self.margin:f}", self.currency, "measured", rows),
            ("value of the others", f"{self.unknown:f}", self.currency, "measured", rows),
            ("margin", f"{self.pricing.margin:f}", "of value", basis, rates),
            ("lost per day of delay", f"{self.pricing.lost_per_day:f}", "of orders", basis, rates),
            ("at least per order and day", f"{self.pricing.floor_per_order_day:f}", self.currency, basis, rates),
        ]
        return {
            "formula": FORMULA,
            "link": rows,
            "currency": self.currency,
            "orders_in_other_currencies": self.others,
            "inputs": [dict(zip(("name", "value", "unit", "basis", "rows"), row, strict=True)) for row in figures],
        }


FORMULA = "(margin of open units with a known cost + value of the others x margin) x share lost per day of delay / 24"
_TOUCHED = """select o.id, o.number, o.currency, o.placed_at, sum(l.units) as units, sum(l.waiting) as waiting,
        sum(l.units * l.price) as value,
        coalesce(sum(l.units * (l.price - c.cost)) filter (where c.cost is not null), 0) as margin,
        coalesce(sum(l.units * l.price) filter (where c.cost is null), 0) as unknown,
        greatest(0, sum(l.waiting * case when c.cost is null then l.price * %s else l.price - c.cost end)) as waits,
        o.delivery = 'ship' as sent
    from (
        select l.order_id, l.item, l.quantity - l.cancelled - l.shipped as units,
               greatest(0, l.quantity - l.cancelled - l.shipped - l.allocated) as waiting,
               case when l.quantity > 0 then (l.amount - l.discount) / l.quantity else 0 end as price
        from order_line l where {lines} and l.kind = 'good' and l.quantity > l.cancelled + l.shipped
    ) l join orders o on o.id = l.order_id and o.managed
    left join lateral (
        select c.cost from item_cost c
        where c.item = l.item and c.currency = o.currency and c.effective_from <= %s::date
        order by c.effective_from desc, c.number desc limit 1
    ) c on true
    group by o.id"""
_LINES: dict[EntityName, str] = {
    "item": "l.item = any(%s::text[])",
    "partner": """l.item in (
        select i.id from partner r join item i on i.supplier = r.code where r.id = any(%s::text[]))""",
    "location": """l.order_id in (
        select t.order_id from (select %s::text[] as ids) p cross join lateral (
            select f.order_id from fulfilment_order f
            where f.location = any(p.ids) and f.withdrawn + f.rejected + f.shipped < f.units
            union all
            select c.holder from stock_balance b
            join stock_claim c on c.item = b.item and c.location = b.location and c.kind = 'reservation'
            where b.location = any(p.ids) and b.reserved > 0 group by c.holder, c.line having sum(c.quantity) > 0
        ) t)""",
}


async def touched(
    connection: Connection, entity: EntityName, subjects: Sequence[str], now: datetime, cursor: str | None = None,
    limit: int = 50,
) -> TouchedPage:  # fmt: skip
    """Return one page of the open orders that rows of an entity (ids) touch, the most money first."""
    pricing, _ = await version_in_force(connection, CasePricing)
    sql = f"select * from ({_TOUCHED.format(lines=_LINES[entity])}) t"
    parameters: list[Any] = [pricing.margin, list(subjects), now.date()]
    if cursor is not None:
        value, order = read_cursor(cursor, (Decimal, str))
        sql += " where (value, id) < (%s, %s)"
        parameters += [value, order]
    rows = await connection.execute(
        f"{sql} order by value desc, id desc limit %s", [*parameters, bounded(limit) + 1], prepare=False
    )
    found = [TouchedOrder(*row) for row in await rows.fetchall()]
    return page_of(found, bounded(limit), lambda row: write_cursor(row.value, row.order))


async def stake(
    connection: Connection, entity: EntityName, subjects: Sequence[str], now: datetime, *, parcels: bool = False
) -> Stake:
    """Return what is at stake while these rows (ids) fail. parcels: the containment lets only those wait."""
    pricing, version = await version_in_force(connection, CasePricing)
    rows = await connection.execute(
        f"""select currency, count(*), sum(units), sum(value), greatest(0, sum(margin)), sum(unknown),
            count(*) filter (where waiting > 0 and (sent or not %s)),
            coalesce(sum(waits) filter (where sent or not %s), 0)
        from ({_TOUCHED.format(lines=_LINES[entity])}) t group by currency order by count(*) desc, currency""",
        [parcels, parcels, pricing.margin, list(subjects), now.date()],
        prepare=False,
    )
    found = await rows.fetchall()
    currency, orders, units, value, margin, unknown, waiting, waits = found[0] if found else _NOTHING
    others = sum(row[1] for row in found[1:])
    return Stake(currency, orders, units, value, margin, unknown, waiting, waits, others, pricing, version > 0)


_ZERO = Decimal(0)
_NOTHING = ("EUR", 0, _ZERO, _ZERO, _ZERO, _ZERO, 0, _ZERO)


async def failing(connection: Connection, case: str) -> tuple[EntityName, list[str]]:
    """Return the entity and the rows (ids) that fail now under a case."""
    rows = await connection.execute(
        "select entity, subject from breach where case_id = %s and ended_at is null order by id", [case]
    )
    found = await rows.fetchall()
    return (found[0][0] if found else "item"), [subject for _, subject in found]


async def pricing(connection: Connection, case: str, now: datetime) -> PriceBreach:
    """Return the command that puts the present price on a case."""
    found = await stake(connection, *await failing(connection, case), now)
    return PriceBreach(
        case=case, price_per_hour=Amount(found.per_hour), currency=found.currency, source=found.source(case)
    )


async def due_to_price(connection: Connection, now: datetime) -> list[tuple[str, Command]]:
    """Return the commands that price the open cases of breaches anew where the figures differ: orders come and go."""
    return await _differing(connection, now, unpriced=False)


async def due_to_price_first(connection: Connection, now: datetime) -> list[tuple[str, Command]]:
    """Return those of `due_to_price` whose case costs nothing yet: it opened before any order that it touches."""
    return await _differing(connection, now, unpriced=True)


async def _differing(connection: Connection, now: datetime, *, unpriced: bool) -> list[tuple[str, Command]]:
    rows = await connection.execute(
        """select c.id, c.price_per_hour, c.currency, c.source, c.price_microseconds <> 0
        from cases c where c.closed_at is null and c.id in (select case_id from breach where ended_at is null)
            and (c.price_per_hour = 0 or not %s)
        order by c.id""",
        [unpriced],
    )
    commands: list[tuple[str, Command]] = []
    for case, price, currency, source, has_cost in await rows.fetchall():
        command = await pricing(connection, case, now)
        other_money = has_cost and command.currency != currency
        if not other_money and (Decimal(command.price_per_hour), command.source) != (price, source):
            commands.append((f"{case}/{now:%Y-%m-%dT%H:%M}", command))
    return commands


async def waiting_for_loan(connection: Connection, override: str) -> list[str]:
    """Return the orders that wait for what an override lets sourcing give: those it names, and those of its items."""
    rows = await connection.execute(
        """select o.objects, array(select i.id from item i where i.sku = any(n.keys)
            union all select l.id from location l where l.code = any(n.keys))
        from override_loan o cross join lateral (
            select array_agg(regexp_replace(name, '#case_[^#]*$', '')) as keys from unnest(o.objects) name) n
        where o.id = %s and o.rule = any(%s::text[])""",
        [override, list(LENT)],
    )
    found = await rows.fetchone()
    if found is None:
        return []
    named = [name.partition("#")[0] for name in found[0] if name.startswith("ord_")]
    return list(dict.fromkeys([*named, *(await waiting_orders(connection, found[1]) if found[1] else ())]))


async def waiting_orders(connection: Connection, subjects: Sequence[str], limit: int = 1000) -> list[str]:
    """Return the orders with units that are not allocated of these items, or at these locations (ids), oldest first."""
    rows = await connection.execute(
        """select o.id from orders o where o.managed and o.id in (
            select l.order_id from order_line l where l.kind = 'good'
                and l.item = any(%s::text[] || array(
                    select b.item from stock_balance b where b.location = any(%s::text[]) and b.on_hand > 0))
                and l.allocated + l.shipped + l.cancelled < l.quantity)
        order by o.placed_at, o.id limit %s""",
        [list(subjects), list(subjects), limit],
    )
    return [order for (order,) in await rows.fetchall()]
