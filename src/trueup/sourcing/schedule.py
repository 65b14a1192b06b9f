"""Which orders are sourced when it is time, in the sequence that the routing policy asks for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.authority.read import in_force
from trueup.core.database import Connection
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.policy import Group, OrderFacts, OrderSort, Routing

ORDERS_MAX = 1000
READ_MAX = 10_000


class Waits(msgspec.Struct, frozen=True):
    """An order that is not allocated in full, as its sequence needs it."""

    id: str
    facts: OrderFacts
    promised_at: datetime | None
    placed_at: datetime


async def due_to_source(connection: Connection, now: datetime) -> list[tuple[str, AssignOrder]]:
    """Return a key and a command for each order to be sourced in this minute, where the policy has a schedule.

    A minute is due when the policy's `every_minutes` divides the minutes since 1970. Orders on hold are left out, and
    those of brokered groups, which wait for their run, except what a run cannot plan.
    """
    policy = await in_force(connection, Routing)
    if not is_due(policy, now):
        return []
    minute = int(now.timestamp()) // 60
    orders = await to_source(connection, policy, ORDERS_MAX)
    by_rules = await _beyond_runs(connection, [order for group, order in orders if group.brokered])
    due = [order for group, order in orders if not group.brokered or order in by_rules]
    return [(f"{minute}/{order}", AssignOrder(order=order, mode="schedule")) for order in due]


async def _beyond_runs(connection: Connection, orders: Sequence[str]) -> set[str]:
    """Return which of these orders no run can plan; see `route.for_a_run`."""
    rows = await connection.execute(
        """select distinct l.order_id from order_line l,
            lateral (select l.quantity - l.cancelled - l.shipped - l.allocated as open) o
        where l.order_id = any(%s::text[]) and l.kind = 'good' and l.item is not null and o.open > 0
            and (l.location is not null or o.open <> trunc(o.open)
                or exists (select from sourcing_rejection r where r.order_id = l.order_id and r.line = l.line))""",
        [list(orders)],
    )
    return {order for (order,) in await rows.fetchall()}


def is_due(policy: Routing, now: datetime) -> bool:
    """Tell whether this is a minute in which the policy's schedule sources orders."""
    every = policy.when.every_minutes
    return every is not None and int(now.timestamp()) // 60 % every == 0


async def to_source(connection: Connection, policy: Routing, limit: int) -> list[tuple[Group, str]]:
    """Return the orders that wait and are not on hold, each with its group: group by group, sorted as each says.

    At most `limit` of the first READ_MAX there are by priority, promise and age.
    """
    rows = await connection.execute(
        """select id, channel, type, delivery, ship_country, priority, total, promised_at, placed_at from orders
        where managed and units_allocated + units_shipped + units_cancelled < units_ordered and holds = 0
        order by priority desc, promised_at, placed_at, id limit %s""",
        [READ_MAX],
    )
    found: dict[str, tuple[Group, list[Waits]]] = {}
    for row in await rows.fetchall():
        order = _waits_of(row)
        group = policy.group_of(order.facts)
        found.setdefault(group.name, (group, []))[1].append(order)
    places = {group.name: at for at, group in enumerate(policy.groups)}
    groups = sorted(found.values(), key=lambda entry: places.get(entry[0].name, len(places)))
    ordered = [(group, order.id) for group, orders in groups for order in sequence(orders, group.sort)]
    return ordered[:limit]


def sequence(orders: Sequence[Waits], sort: Sequence[OrderSort]) -> list[Waits]:
    """Return orders as the sorts say, the first sort first; then by age and id. What has no promise comes last."""
    return sorted(orders, key=lambda order: (*(_key(order, one) for one in sort), order.placed_at, order.id))


def _key(order: Waits, sort: OrderSort) -> tuple[Any, ...]:
    if sort == "priority":
        return (-order.facts.priority,)
    if sort == "promise":
        return (order.promised_at is None, order.promised_at or order.placed_at)
    return (order.placed_at,)


def _waits_of(row: tuple[Any, ...]) -> Waits:
    id_, channel, type_, delivery, country, priority, total, promised_at, placed_at = row
    return Waits(id_, OrderFacts(channel, type_, delivery, country, priority, Decimal(total)), promised_at, placed_at)
