"""What a brokering run decides: orders, places, stock and costs; what a plan is, costs, and may not break.

Everything is whole numbers: units of an item, and money in the minor units of one currency, so that a cost is exact.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec


class BrokeredLine(msgspec.Struct, frozen=True):
    """What an order wants of one item: the order's own name of the line, the item, units (above zero)."""

    line: str
    item: str
    units: int


class Offer(msgspec.Struct, frozen=True, gc=False):
    """What it costs to ship an order's parcel from a place, and how many days after the promise it would arrive."""

    ship_cost: int
    days_late: int = 0


class BrokeredOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order of the run; the run's sequence is that of `Problem.orders`.

    offers: the places that may serve it at all. places_max: the most of them at once; 1 forbids a split. kits: groups
    of line names of which each leaves whole from one place, or waits whole. whole: all units now, or none. priority:
    how many times each of its late days and unserved units counts.
    """

    id: str
    lines: tuple[BrokeredLine, ...]
    offers: Mapping[str, Offer]
    places_max: int = 1
    kits: tuple[tuple[str, ...], ...] = ()
    whole: bool = False
    priority: int = 1

    @property
    def groups(self) -> list[tuple[BrokeredLine, ...]]:
        """The kits, each as its lines."""
        named = {line.line: line for line in self.lines}
        return [tuple(named[name] for name in kit) for kit in self.kits]


class Place(msgspec.Struct, frozen=True):
    """One location. orders_left: how many more orders it can take today; None: any number.

    extra_order_cost: what each order beyond that costs; None: it takes none beyond.
    """

    id: str
    orders_left: int | None = None
    extra_order_cost: int | None = None


class Costs(msgspec.Struct, frozen=True):
    """The run's prices: each location of an order after its first, each day a parcel is late, each unit left to wait.

    `unserved` is finite, so that a plan always exists: what is not served goes on to the queue or backorder.
    """

    split: int
    late_day: int
    unserved: int


class Problem(msgspec.Struct, frozen=True):
    """A brokering run: orders in their sequence, places, units available by (item, place), and costs.

    Refuses with ValueError what the rules cannot be applied to, naming the order, line or place.
    """

    orders: tuple[BrokeredOrder, ...]
    places: tuple[Place, ...]
    stock: Mapping[tuple[str, str], int]
    costs: Costs

    def __post_init__(self) -> None:
        for what, names in (("order", [o.id for o in self.orders]), ("place", [place.id for place in self.places])):
            if twice := [name for name, times in Counter(names).items() if times > 1]:
                raise ValueError(f"{what} {twice[0]} stands in the problem twice")
        if min(self.costs.split, self.costs.late_day, self.costs.unserved) < 0:
            raise ValueError("a cost is negative")
        if short := next((key for key, units in self.stock.items() if units < 0), None):
            raise ValueError(f"stock of {short} is negative")
        places = {place.id for place in self.places}
        for order in self.orders:
            if mistake := _mistake(order, places):
                raise ValueError(f"order {order.id}: {mistake}")


class Share(msgspec.Struct, frozen=True, order=True):
    """Units of an order's line that a place is to send."""

    line: str
    place: str
    units: int


class Plan(msgspec.Struct, frozen=True):
    """Who sends what: shares by order id; what no share covers waits."""

    shares: Mapping[str, tuple[Share, ...]]


class Cost(msgspec.Struct, frozen=True):
    """What a plan costs, by kind, in minor units."""

    shipping: int = 0
    split: int = 0
    lateness: int = 0
    capacity: int = 0
    unserved: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.shipping + self.split + self.lateness + self.capacity + self.unserved


def cost_of(problem: Problem, plan: Plan) -> Cost:
    """Return what a plan costs, from its shares alone.

    Each place that an order uses ships one parcel (its offer's cost and late days); each after the first costs a split;
    each order that a place takes beyond `orders_left` costs extra; each unit wanted and not sent costs `unserved`.
    """
    shipping = split = lateness = unserved = 0
    taken: Counter[str] = Counter()
    for order in problem.orders:
        shares = plan.shares.get(order.id, ())
        used = {share.place for share in shares}
        taken.update(used)
        shipping += sum(order.offers[place].ship_cost for place in used)
        days_late = sum(order.offers[place].days_late for place in used)
        lateness += days_late * problem.costs.late_day * order.priority
        split += problem.costs.split * max(0, len(used) - 1)
        waiting = sum(line.units for line in order.lines) - sum(share.units for share in shares)
        unserved += waiting * problem.costs.unserved * order.priority
    capacity = sum(
        max(0, taken[place.id] - place.orders_left) * (place.extra_order_cost or 0)
        for place in problem.places
        if place.orders_left is not None
    )
    return Cost(shipping=shipping, split=split, lateness=lateness, capacity=capacity, unserved=unserved)


def faults(problem: Problem, plan: Plan) -> list[str]:
    """Return every constraint that a plan breaks, in words; none for a plan that can be carried out."""
    orders = {order.id: order for order in problem.orders}
    found = [f"order {id}: not in the problem" for id in plan.shares if id not in orders]
    sent: Counter[tuple[str, str]] = Counter()
    taken: Counter[str] = Counter()
    for order in problem.orders:
        shares = plan.shares.get(order.id, ())
        found += [f"order {order.id}: {fault}" for fault in _order_faults(order, shares)]
        items = {line.line: line.item for line in order.lines}
        sent.update(_units_by((items.get(share.line, ""), share.place, share.units) for share in shares))
        taken.update({share.place for share in shares})
    for key, units in sent.items():
        if units > problem.stock.get(key, 0):
            found.append(f"item {key[0]} at {key[1]}: {units} sent of {problem.stock.get(key, 0)}")
    for place in problem.places:
        if place.orders_left is not None and place.extra_order_cost is None and taken[place.id] > place.orders_left:
            found.append(f"place {place.id}: {taken[place.id]} orders for room for {place.orders_left}")
    return found


def _units_by(rows: Iterable[tuple[str, str, int]]) -> Mapping[tuple[str, str], int]:
    units: dict[tuple[str, str], int] = defaultdict(int)
    for item, place, count in rows:
        units[item, place] += count
    return units


def _order_faults(order: BrokeredOrder, shares: Sequence[Share]) -> list[str]:
    wanted = {line.line: line.units for line in order.lines}
    sent: Counter[str] = Counter()
    places: dict[str, set[str]] = defaultdict(set)
    found = []
    for share in shares:
        sent[share.line] += share.units
        places[share.line].add(share.place)
        if share.line not in wanted:
            found.append(f"has no line {share.line}")
        if share.place not in order.offers:
            found.append(f"may not be served from {share.place}")
        if share.units <= 0:
            found.append(f"line {share.line} gets {share.units} units from {share.place}")
    found += [f"line {line}: {sent[line]} units for {units}" for line, units in wanted.items() if sent[line] > units]
    used = {share.place for share in shares}
    if len(used) > order.places_max:
        found.append(f"from {len(used)} places, at most {order.places_max}")
    if order.whole and shares and any(sent[line] < units for line, units in wanted.items()):
        found.append("sent in part, and is to be sent whole")
    for kit in order.kits:
        if any(sent[line] for line in kit):
            if len(set[str]().union(*(places[line] for line in kit))) > 1:
                found.append(f"kit {', '.join(kit)} comes from several places")
            if any(sent[line] < wanted[line] for line in kit):
                found.append(f"kit {', '.join(kit)} is not whole")
    return found


def _mistake(order: BrokeredOrder, places: set[str]) -> str | None:
    """What is wrong with an order before any plan."""
    lines = [line.line for line in order.lines]
    in_kits = [line for kit in order.kits for line in kit]
    if not lines or len(set(lines)) < len(lines):
        return "has no lines, or one twice"
    if any(line.units <= 0 for line in order.lines):
        return "wants a line of no units"
    if len(set(in_kits)) < len(in_kits) or not set(in_kits) <= set(lines) or () in order.kits:
        return "has a kit of no lines, of lines that it does not have, or a line in two kits"
    if order.places_max < 1 or order.priority < 0:
        return "places_max is at least 1, priority at least 0"
    if not order.offers.keys() <= places:
        return "has an offer of a place that is not in the problem"
    if any(offer.ship_cost < 0 or offer.days_late < 0 for offer in order.offers.values()):
        return "has an offer with a negative cost or lateness"
    return None
