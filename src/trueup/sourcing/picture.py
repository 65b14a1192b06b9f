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
from trueup.core.quantity import ZERO
from trueup.sourcing.policy import OrderFacts, Routing
from trueup.sourcing.route import Candidate, Need, distance_km
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
    """Orders in their sequence; units free by (item, location); locations by id; orders their day already has."""

    orders: tuple[Sketch, ...]
    free: Mapping[Place, Decimal]
    places: Mapping[str, Location]
    loads: Mapping[tuple[str, date], int]
    at: datetime

    def capacity(self, place: Location) -> int | None:
        """Return how many more orders a location takes on its own day; None without a limit."""
        if place.capacity_per_day is None:
            return None
        day = self.at.astimezone(ZoneInfo(place.timezone)).date()
        return max(0, place.capacity_per_day - self.loads.get((place.id, day), 0))

    def candidates(self, order: Sketch, free: Mapping[Place, Decimal], taken: Mapping[str, int]) -> list[Candidate]:
        """Return the locations that have any of what an order needs. taken: orders given to them in this picture."""
        found = []
        items = {need.item for need in order.needs}
        for id_ in sorted({place for item, place in free if item in items and free[item, place] > 0}):
            place = self.places[id_]
            capacity = self.capacity(place)
            local = self.at.astimezone(ZoneInfo(place.timezone))
            found.append(
                Candidate(
                    place,
                    {item: free.get((item, id_), ZERO) for item in items},
                    None if capacity is None else capacity - taken.get(id_, 0),
                    local.strftime("%H:%M") > place.cutoff,
                    distance_km(order.point, (place.latitude, place.longitude)),
                )
            )
        return found


async def unassigned_picture(connection: Connection, policy: Routing, now: datetime, limit: int) -> Picture:
    """Return the orders of brokered groups that are not allocated in full, and what they compete for."""
    rows = await connection.execute(
        f"""{_ORDERS} where o.managed and o.units_allocated + o.units_shipped + o.units_cancelled < o.units_ordered
            and o.holds = 0
        order by o.priority desc, o.promised_at nulls last, o.placed_at, o.id limit %s""",
        [limit],
    )
    return await _picture(connection, await rows.fetchall(), policy, now, allocated=False)


async def recent_picture(connection: Connection, policy: Routing, now: datetime, limit: int) -> Picture:
    """Return the latest orders that were sourced, as if they were not yet, with their stock put back."""
    rows = await connection.execute(
        f"""select * from ({_ORDERS} where o.managed and o.units_allocated > 0
            order by o.placed_at desc, o.id desc limit %s) o order by placed_at, id""",
        [limit],
    )
    return await _picture(connection, await rows.fetchall(), policy, now, allocated=True)


_ORDERS = """select o.id, o.number, o.channel, o.type, o.delivery, o.ship_country, o.priority, o.total, o.latitude,
    o.longitude, o.ship_postcode, o.promised_at, o.placed_at from orders o"""


async def _picture(
    connection: Connection, rows: Sequence[tuple[Any, ...]], policy: Routing, now: datetime, *, allocated: bool
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
    items = sorted({need.item for order in sketches for need in order.needs})
    places = {place.id: place for place in await catalogue.locations(connection)}
    free = await _free(connection, items, ids)
    loads = await connection.execute(
        "select location, day, orders from sourcing_load where day >= %s::date - 1", [now.astimezone(UTC).date()]
    )
    return Picture(sketches, free, places, {(at, day): n for at, day, n in await loads.fetchall()}, now)


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


async def _free(connection: Connection, items: Sequence[str], orders: Sequence[str]) -> dict[Place, Decimal]:
    """Return what of the items may be taken at each place, together with what the orders hold there themselves."""
    rows = await connection.execute(
        """select b.item, b.location, b.on_hand - b.reserved - b.allocated - b.safety + coalesce(h.held, 0)
        from stock_balance b left join (
            select item, location, sum(quantity) as held from stock_claim where holder = any(%s) group by item, location
        ) h using (item, location)
        where b.item = any(%s) and b.on_hand > 0""",
        [list(orders), list(items)],
    )
    return {(item, location): units for item, location, units in await rows.fetchall() if units > 0}
