"""A picture of many orders and the stock they compete for, read without locks: for brokering runs and simulations.

It shows each order's needs, and what of each item lies free at each place once the orders in the picture let go of what
they hold. It decides nothing: what is decided from it is checked again under locks, or only compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from trueup.catalogue import read as catalogue
from trueup.catalogue.state import Location
from trueup.core.database import Connection
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO
from trueup.sourcing.policy import OrderFacts
from trueup.sourcing.route import Candidate, Need, distance_km
from trueup.stock.asking import stock_at
from trueup.stock.promise import Destination

Place = tuple[str, str]


class Sketch(msgspec.Struct, frozen=True):
    """One order as sourcing sees it. point, to: where it goes. parts: (location, line, units) it is allocated now."""

    id: str
    number: str
    facts: OrderFacts
    needs: tuple[Need, ...]
    point: tuple[Decimal | None, Decimal | None]
    to: Destination
    promised_at: datetime | None
    placed_at: datetime
    parts: tuple[tuple[str, int, Decimal], ...] = ()


class Picture(msgspec.Struct, frozen=True):
    """Orders in their sequence; units free by (item, location); locations by id.

    room: how many more orders a location takes on its own day, where that is limited. past_cutoff: locations whose
    cut-off of today has passed.
    """

    orders: tuple[Sketch, ...]
    free: Mapping[Place, Decimal]
    places: Mapping[str, Location]
    room: Mapping[str, int]
    past_cutoff: frozenset[str]
    at: datetime

    def candidates(self, order: Sketch, free: Mapping[Place, Decimal], taken: Mapping[str, int]) -> list[Candidate]:
        """Return the locations that have any of what an order needs. taken: orders given to them in this picture."""
        items = {need.item for need in order.needs}
        return [
            Candidate(
                place,
                {item: free.get((item, id_), ZERO) for item in items},
                self.room[id_] - taken.get(id_, 0) if id_ in self.room else None,
                id_ in self.past_cutoff,
                distance_km(order.point, (place.latitude, place.longitude)),
            )
            for id_, place in self.places.items()
            if any(free.get((item, id_), ZERO) > 0 for item in items)
        ]


async def unassigned_picture(connection: Connection, policies: Policies, now: datetime, limit: int) -> Picture:
    """Return the orders of brokered groups that are not allocated in full, and what they compete for."""
    rows = await connection.execute(
        f"""{_ORDERS} where o.managed and o.units_allocated + o.units_shipped + o.units_cancelled < o.units_ordered
            and o.holds = 0
        order by o.priority desc, o.promised_at nulls last, o.placed_at, o.id limit %s""",
        [limit],
    )
    return await _picture(connection, await rows.fetchall(), policies, now, allocated=False)


async def recent_picture(connection: Connection, policies: Policies, now: datetime, limit: int) -> Picture:
    """Return the latest orders that were sourced, as if they were not yet, with their stock put back."""
    rows = await connection.execute(
        f"""select * from ({_ORDERS} where o.managed and o.units_allocated > 0
            order by o.placed_at desc, o.id desc limit %s) o order by placed_at, id""",
        [limit],
    )
    return await _picture(connection, await rows.fetchall(), policies, now, allocated=True)


_ORDERS = """select o.id, o.number, o.channel, o.type, o.delivery, o.ship_country, o.priority, o.total, o.latitude,
    o.longitude, o.ship_postcode, o.promised_at, o.placed_at from orders o"""


async def _picture(
    connection: Connection, rows: Sequence[tuple[Any, ...]], policies: Policies, now: datetime, *, allocated: bool
) -> Picture:
    ids = [row[0] for row in rows]
    needs = await _needs(connection, ids, allocated=allocated)
    parts = await _parts(connection, ids)
    sketches = tuple(
        Sketch(id_, number, OrderFacts(*facts), tuple(needs.get(id_, ())), (latitude, longitude),
               Destination(facts[3], postcode), promised, placed,
               tuple(parts.get(id_, ())))
        for id_, number, *facts, latitude, longitude, postcode, promised, placed in rows
        if id_ in needs
    )  # fmt: skip
    places = {place.id: place for place in sorted(await catalogue.locations(connection), key=lambda place: place.id)}
    free = await _free(connection, policies, sketches, now, allocated=allocated)
    room, past_cutoff = await _days(connection, places, now)
    return Picture(sketches, free, places, room, past_cutoff, now)


async def _days(
    connection: Connection, places: Mapping[str, Location], now: datetime
) -> tuple[dict[str, int], frozenset[str]]:
    """Return how many more orders the locations take today, where that is limited, and whose cut-off has passed."""
    rows = await connection.execute(
        "select location, day, orders from sourcing_load where day >= %s::date - 1", [now.astimezone(UTC).date()]
    )
    loads: dict[tuple[str, date], int] = {(location, day): orders for location, day, orders in await rows.fetchall()}
    room, past_cutoff = {}, set()
    for id_, place in places.items():
        local = now.astimezone(ZoneInfo(place.timezone))
        if place.capacity_per_day is not None:
            room[id_] = max(0, place.capacity_per_day - loads.get((id_, local.date()), 0))
        if local.strftime("%H:%M") > place.cutoff:
            past_cutoff.add(id_)
    return room, frozenset(past_cutoff)


async def _needs(connection: Connection, ids: Sequence[str], *, allocated: bool) -> dict[str, list[Need]]:
    """Return what the orders' lines need: what is not allocated yet, or with `allocated` all that is not shipped."""
    kept = "l.quantity - l.cancelled - l.shipped" + ("" if allocated else " - l.allocated")
    rows = await connection.execute(
        f"""select l.order_id, l.line, l.item, l.sku, {kept}, i.category, l.parent, l.location, (
                select coalesce(array_agg(r.location), '{{}}') from sourcing_rejection r
                where r.order_id = l.order_id and r.line = l.line)
        from order_line l join item i on i.id = l.item
        where l.order_id = any(%s) and l.kind = 'good' and {kept} > 0 order by l.order_id, l.line""",
        [list(ids)],
    )
    needs: dict[str, list[Need]] = {}
    for order, *columns, rejected in await rows.fetchall():
        needs.setdefault(order, []).append(Need(*[*columns, frozenset(rejected)]))
    return needs


async def _parts(connection: Connection, ids: Sequence[str]) -> dict[str, list[tuple[str, int, Decimal]]]:
    rows = await connection.execute(
        """select f.order_id, f.location, l.line, sum(l.quantity - l.withdrawn - l.rejected)
        from fulfilment_order f join fulfilment_line l on l.fulfilment_order = f.id
        where f.order_id = any(%s) group by f.order_id, f.location, l.line
        having sum(l.quantity - l.withdrawn - l.rejected) > 0 order by 1, 2, 3""",
        [list(ids)],
    )
    parts: dict[str, list[tuple[str, int, Decimal]]] = {}
    for order, *columns in await rows.fetchall():
        location, line, units = columns
        parts.setdefault(order, []).append((location, line, units))
    return parts


async def _free(
    connection: Connection, policies: Policies, orders: Sequence[Sketch], now: datetime, *, allocated: bool
) -> dict[Place, Decimal]:
    """Return what of the items the orders may take at each place, once they let go of what they reserved there.

    That is what the rule of the stock itself says: pools, freezes, buffers, expired lots and those who wait count. With
    `allocated` the orders let go of their allocations, too. What they themselves wait for is theirs. Where channels may
    take more or less of an item, the channel of these orders that may take most: the door checks each order anew.
    """
    channels: dict[str, dict[str, None]] = {}
    for order in orders:
        for need in order.needs:
            channels.setdefault(need.item, {})[order.facts.channel] = None
    ids = [order.id for order in orders]
    stock = await stock_at(connection, policies, now, [(item, "*") for item in sorted(channels)])
    held = await _units(connection, _HELD if allocated else _RESERVED, ids)
    waits = await _units(connection, _WAITS, ids)
    free = {}
    for (item, location), balance in stock.balances.items():
        own, mine = held.get((item, location), ZERO), waits.get((item, location), ZERO)
        # Only pools make a difference between channels.
        asking = channels[item] if (item, location) in stock.limits.pools else [next(iter(channels[item]))]
        most = max(stock.available(item, location, channel, mine) for channel in asking)
        units = max(most + own, min(own, own - balance.owed))
        if units > 0:
            free[item, location] = units
    return free


_HELD = "select item, location, sum(quantity) from stock_claim where holder = any(%s::text[]) group by item, location"
_RESERVED = _HELD.replace(" group by", " and kind = 'reservation' group by")
_WAITS = _HELD.replace("stock_claim", "stock_waiting").replace(" group by", " and supply is null group by")


async def _units(connection: Connection, sql: str, orders: Sequence[str]) -> dict[Place, Decimal]:
    rows = await connection.execute(sql, [list(orders)])
    return {(item, location): units for item, location, units in await rows.fetchall()}
