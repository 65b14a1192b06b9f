"""The sequential rule: order by order in the run's sequence, each the best it finds in what the ones before left.

For each order:

1. the cheapest place that has all of it;
2. else place by place, each time the one with the most of what is still missing (of equals the cheaper one, then the
   earlier in the problem), to the most places allowed; a line may be split, a kit only leaves whole;
3. what is still missing waits; an order to be sent whole then waits whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from trueup.sourcing.problem import BrokeredLine, BrokeredOrder, Plan, Problem, Share


class Room:
    """What is left while orders are served: units by (item, place), and orders that a place can still take."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._units = dict(problem.stock)
        self._taken: Counter[str] = Counter()
        self._rank = {place.id: number for number, place in enumerate(problem.places)}
        self._places = {place.id: place for place in problem.places}

    def units(self, item: str, place: str) -> int:
        """Return the units of an item that are left at a place."""
        return self._units.get((item, place), 0)

    def price(self, order: BrokeredOrder, place: str) -> tuple[int, int] | None:
        """Return (cost of the order's parcel from a place, the place's rank), or None when it takes no more orders."""
        there, offer = self._places[place], order.offers[place]
        cost = offer.ship_cost + offer.days_late * self._problem.costs.late_day * order.priority
        if there.orders_left is not None and self._taken[place] >= there.orders_left:
            if there.extra_order_cost is None:
                return None
            cost += there.extra_order_cost
        return cost, self._rank[place]

    def take(self, order: BrokeredOrder, shares: Iterable[Share]) -> None:
        """Take an order's shares out of what is left."""
        items = {line.line: line.item for line in order.lines}
        places = set()
        for share in shares:
            self._units[items[share.line], share.place] -= share.units
            places.add(share.place)
        self._taken.update(places)


def sequential(problem: Problem, orders: Iterable[BrokeredOrder] | None = None, room: Room | None = None) -> Plan:
    """Return the plan of the sequential rule, for some orders out of what others left, or for all.

    The same problem always gives the same plan.
    """
    room = room or Room(problem)
    shares = {}
    for order in problem.orders if orders is None else orders:
        prices = {place: price for place in order.offers if (price := room.price(order, place)) is not None}
        found = _from_one_place(order, room, prices) or _split(order, room, prices)
        room.take(order, found)
        shares[order.id] = found
    return Plan(shares=shares)


def _from_one_place(order: BrokeredOrder, room: Room, prices: Mapping[str, tuple[int, int]]) -> tuple[Share, ...]:
    wanted = _units_of(order.lines)
    for place in sorted(prices, key=prices.__getitem__):
        if all(room.units(item, place) >= units for item, units in wanted.items()):
            return tuple(Share(line.line, place, line.units) for line in order.lines)
    return ()


def _split(order: BrokeredOrder, room: Room, prices: Mapping[str, tuple[int, int]]) -> tuple[Share, ...]:
    kits = order.groups
    in_kits = {line.line for kit in kits for line in kit}
    loose = [line for line in order.lines if line.line not in in_kits]
    missing = {line.line: line.units for line in order.lines}
    shares: list[Share] = []
    left = {place for place in prices if any(room.units(line.item, place) for line in order.lines)}
    for _ in range(order.places_max):
        parcels = {place: _parcel(kits, loose, room, place, missing) for place in left}
        best = min(left, key=lambda place: (-sum(share.units for share in parcels[place]), prices[place]), default=None)
        if best is None or not parcels[best]:
            break
        for share in parcels[best]:
            missing[share.line] -= share.units
        shares += parcels[best]
        left.remove(best)
    return () if order.whole and any(missing.values()) else tuple(shares)


def _parcel(
    kits: list[tuple[BrokeredLine, ...]], loose: list[BrokeredLine], room: Room, place: str, missing: Mapping[str, int]
) -> list[Share]:
    """What a place has of what is missing: each kit whole or not at all, then the other lines as far as it goes."""
    taken: dict[str, int] = {}
    parcel = []
    for kit in kits:
        wanted = _units_of(kit) if missing[kit[0].line] else {}
        if wanted and all(room.units(item, place) - taken.get(item, 0) >= units for item, units in wanted.items()):
            parcel += [Share(line.line, place, line.units) for line in kit]
            for item, units in wanted.items():
                taken[item] = taken.get(item, 0) + units
    for line in loose:
        if missing[line.line]:
            units = min(missing[line.line], room.units(line.item, place) - taken.get(line.item, 0))
            if units > 0:
                parcel.append(Share(line.line, place, units))
                taken[line.item] = taken.get(line.item, 0) + units
    return parcel


def _units_of(lines: Iterable[BrokeredLine]) -> dict[str, int]:
    units: dict[str, int] = {}
    for line in lines:
        units[line.item] = units.get(line.item, 0) + line.units
    return units
