"""What a breach of a data contract costs: the open orders it touches, and the money at stake in them per hour.

Formula: (margin of the open units whose cost is known + value of those whose cost is not) / hours after which an order
that waits counts as lost. The hours are the `exposure` policy's; every input is shown with the rows behind it. The
catalogue stands above orders and imports none of this: the storyline and the worker hand the price in by a command.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.catalogue.contract import EntityName
from trueup.catalogue.quarantine import PriceBreach
from trueup.core.database import Connection
from trueup.core.money import Amount
from trueup.core.paging import Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.quantity import plain
from trueup.core.verb import Command
from trueup.oversight.exposure import ExposurePolicy, exposure_in_force

_PER_HOUR = Decimal("0.000001")


class TouchedOrder(msgspec.Struct, frozen=True):
    """One open order that a breach touches. units: not shipped nor cancelled; waiting: of these, not allocated.

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


TouchedPage = Page[TouchedOrder]


class Stake(msgspec.Struct, frozen=True):
    """What is at stake. orders: touched, all currencies; per_hour: what they cost per hour, in `currency`.

    waiting, contained_per_hour: the same for the units that are not allocated, which a containment lets wait.
    others: orders in other currencies, which no price has.
    """

    currency: str
    orders: int
    units: Decimal
    value: Decimal
    margin: Decimal
    unknown: Decimal
    waiting: int
    waits: Decimal
    hours: int
    others: int

    @property
    def per_hour(self) -> Decimal:
        """Return what the open orders cost per hour."""
        return ((self.margin + self.unknown) / self.hours).quantize(_PER_HOUR)

    @property
    def contained_per_hour(self) -> Decimal:
        """Return what the containment costs per hour."""
        return (self.waits / self.hours).quantize(_PER_HOUR)

    def source(self, case: str) -> dict[str, Any]:
        """Return the formula and its inputs as a case keeps them."""
        rows = f"/breaches/{case}"
        return {
            "formula": "(margin of open units with a known cost + value of others) / hours until an order is lost",
            "link": rows,
            "inputs": [
                {"name": "open orders touched", "value": str(self.orders), "unit": "orders", "rows": rows},
                {"name": "margin at stake", "value": f"{self.margin:f}", "unit": self.currency, "rows": rows},
                {"name": "value without a known cost", "value": f"{self.unknown:f}", "unit": self.currency,
                 "rows": rows},
                {"name": "hours until an order is lost", "value": str(self.hours), "unit": "h",
                 "rows": "/policies/exposure"},
            ],
        }  # fmt: skip


_TOUCHED = """select o.id, o.number, o.currency, o.placed_at, sum(l.units) as units, sum(l.waiting) as waiting,
        sum(l.units * l.price) as value,
        coalesce(sum(l.units * (l.price - c.cost)) filter (where c.cost is not null), 0) as margin,
        coalesce(sum(l.units * l.price) filter (where c.cost is null), 0) as unknown,
        sum(l.waiting * (l.price - coalesce(c.cost, 0))) as waits
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
    "location": """l.order_id in (select f.order_id from fulfilment_order f where f.location = any(%s::text[])
        and f.withdrawn + f.rejected + f.shipped < f.units)""",
}


async def touched(
    connection: Connection, entity: EntityName, subjects: Sequence[str], now: datetime, cursor: str | None = None,
    limit: int = 50,
) -> TouchedPage:  # fmt: skip
    """Return one page of the open orders that rows of an entity (ids) touch, the most money first."""
    sql = f"select * from ({_TOUCHED.format(lines=_LINES[entity])}) t"
    parameters: list[Any] = [list(subjects), now.date()]
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
    connection: Connection, entity: EntityName, subjects: Sequence[str], policy: ExposurePolicy, now: datetime
) -> Stake:
    """Return what is at stake while these rows (ids) fail, in the currency of the `exposure` policy."""
    rows = await connection.execute(
        f"""select count(*) filter (where currency = %s), coalesce(sum(units) filter (where currency = %s), 0),
            coalesce(sum(value) filter (where currency = %s), 0), coalesce(sum(margin) filter (where currency = %s), 0),
            coalesce(sum(unknown) filter (where currency = %s), 0),
            count(*) filter (where currency = %s and waiting > 0), coalesce(sum(waits) filter (where currency = %s), 0),
            count(*) filter (where currency <> %s)
        from ({_TOUCHED.format(lines=_LINES[entity])}) t""",
        [*[policy.currency] * 8, list(subjects), now.date()],
        prepare=False,
    )
    row = await rows.fetchone()
    assert row is not None
    own, units, value, margin, unknown, waiting, waits, others = row
    return Stake(
        currency=policy.currency, orders=own + others, units=units, value=value, margin=max(Decimal(0), margin),
        unknown=unknown, waiting=waiting, waits=max(Decimal(0), waits), hours=policy.lost_after_hours, others=others,
    )  # fmt: skip


async def failing(connection: Connection, case: str) -> tuple[EntityName, list[str]]:
    """Return the entity and the rows (ids) that fail now under a case."""
    rows = await connection.execute(
        "select entity, subject from breach where case_id = %s and ended_at is null order by id", [case]
    )
    found = await rows.fetchall()
    return (found[0][0] if found else "item"), [subject for _, subject in found]


async def pricing(connection: Connection, case: str, policy: ExposurePolicy, now: datetime) -> PriceBreach:
    """Return the command that puts the present price on a case."""
    entity, subjects = await failing(connection, case)
    found = await stake(connection, entity, subjects, policy, now)
    return PriceBreach(
        case=case, price_per_hour=Amount(found.per_hour), currency=found.currency, source=found.source(case)
    )


def describe(found: Stake) -> str:
    """Return the formula with its figures, as people read it."""
    return (
        f"({plain(found.margin)} + {plain(found.unknown)}) {found.currency} / {found.hours} h = "
        f"{plain(found.per_hour)} {found.currency} per hour"
    )


async def due_to_price(connection: Connection, now: datetime) -> list[tuple[str, Command]]:
    """Return the commands that price the open cases of breaches anew, once an hour: orders come and go."""
    rows = await connection.execute("select distinct case_id from breach where ended_at is null order by case_id")
    cases = [case for (case,) in await rows.fetchall()]
    policy = await exposure_in_force(connection)
    return [(f"{case}/{now:%Y-%m-%dT%H}", await pricing(connection, case, policy, now)) for case in cases]


async def waiting_orders(connection: Connection, items: Sequence[str], limit: int = 1000) -> list[str]:
    """Return the orders with units of these items (ids) that are not allocated, the oldest first."""
    rows = await connection.execute(
        """select o.id from orders o where o.managed and o.id in (
            select l.order_id from order_line l where l.item = any(%s::text[]) and l.kind = 'good'
                and l.allocated + l.shipped + l.cancelled < l.quantity)
        order by o.placed_at, o.id limit %s""",
        [list(items), limit],
    )
    return [order for (order,) in await rows.fetchall()]
