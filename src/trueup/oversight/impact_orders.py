"""What an order came to, read from its rows; and how two sides of a replay differ in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from trueup.catalogue.cost import Costs
from trueup.catalogue.state import Catalogue
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, plain
from trueup.core.replay import Row
from trueup.core.verb import Accepted, Decision, Event, SetAside, State
from trueup.orders.adopt import adopting
from trueup.orders.adoption import Adoption
from trueup.orders.hold_state import Holds
from trueup.orders.state import OrderMoved, OrderPlaced, OrderRow, Orders
from trueup.sourcing.policy import Costs as ShippingCosts
from trueup.sourcing.policy import Routing
from trueup.sourcing.route import distance_km
from trueup.stock.state import Stock
from trueup.stock.supply_state import Supply

What = Literal["outcome", "location", "split", "hold", "promise", "total", "state"]
WHATS: tuple[What, ...] = ("outcome", "location", "split", "hold", "promise", "total", "state")
_PLACE = "orders.place"


class CameTo(msgspec.Struct, array_like=True, frozen=True):
    """What became of one order. outcome: `placed`, `cancelled`, or `refused: <rule>`.

    places: units by the code of the location that ships them, else that they are reserved at. parcels: how many
    locations ship. holds: types of its open holds. promised_at: the latest of what the customer was told and of what
    its units wait for. short: units nobody gives. shipping: by the routing policy's costs; margin: None where a cost
    is not known. state: where its workflow led it.
    """

    number: str
    channel: str
    currency: str
    outcome: str
    total: Decimal = ZERO
    places: tuple[tuple[str, Decimal], ...] = ()
    parcels: int = 0
    holds: tuple[str, ...] = ()
    promised_at: datetime | None = None
    short: Decimal = ZERO
    shipping: Decimal = ZERO
    margin: Decimal | None = None
    state: str = ""


class Difference(msgspec.Struct, frozen=True):
    """One way in which one order comes out differently; before and after in words. worse: for who ordered it.

    order: its id; of one that was refused at the time, the id of that refusal (`ref_...`).
    """

    order: str
    number: str
    channel: str
    what: What
    before: str
    after: str
    worse: bool


class Money(msgspec.Struct, frozen=True):
    """What the proposal adds, summed over the orders that differ in one currency.

    totals: of the orders. shipping: parcels and splits, by the costs of the routing policy in force. margin: goods
    without tax, less what they cost and what shipping costs, of the orders whose goods' costs are known.
    """

    currency: str
    totals: Decimal
    shipping: Decimal
    margin: Decimal


class Compared(msgspec.Struct, frozen=True):
    """How two sides differ. orders: that do; differences: each way in which one does, and the money of it."""

    orders: int
    differences: tuple[Difference, ...]
    money: tuple[Money, ...]


class Adopting:
    """Lets orders in flight of one side walk by the versions that a proposal moves them to.

    Those that stand where the version has no state, and drafts, follow when they have come where they can, as they
    will: see `orders.adopt`.
    """

    def __init__(self, adoptions: tuple[Adoption, ...], policies: Policies) -> None:
        self._adoptions, self._policies = adoptions, policies

    def begin(self, state: State, now: datetime) -> None:
        """Move the orders that the window finds in flight."""
        if self._adoptions:
            for order in sorted(state.of(Orders).orders):
                self._follow(state, order, now)

    def happened(self, state: State, events: Sequence[Event], now: datetime) -> None:
        """Move an order that these events brought where it can follow."""
        if self._adoptions:
            for order in {e.subject for e in events if isinstance(e, OrderPlaced | OrderMoved)}:
                self._follow(state, order, now)

    def _follow(self, state: State, order: str, now: datetime) -> None:
        row = state.of(Orders).order(order)
        for adoption in self._adoptions:
            moved = adopting(row, adoption, self._policies, now) if row is not None else None
            if row is not None and moved is not None:
                state.evolve(moved)
                row.version -= 1  # what was asked of the order as it was then is asked of the same here


class Outcomes:
    """Watches one side of a replay, and keeps what each order came to.

    in_force: by whose costs shipping is counted. adopting: which orders in flight walk by another version.
    """

    def __init__(self, in_force: Policies, adopting: Adopting | None = None) -> None:
        self._costs = in_force.get(Routing).costs
        self._adopting = adopting
        self._named: dict[str, str] = {}
        self.orders: dict[str, CameTo] = {}

    def decided(self, row: Row, state: State, decision: Decision | SetAside) -> None:
        """Note an order that is not taken, and one that was not taken at the time but is taken here."""
        if self._adopting is not None and isinstance(decision, Accepted):
            self._adopting.happened(state, decision.events, row.at)
        if row.name != _PLACE:
            return
        if not isinstance(decision, Accepted):
            self.orders[row.subject] = CameTo("", "", "", f"refused: {decision.rule}")
        elif row.kind == "r":
            placed = next((event for event in decision.events if isinstance(event, OrderPlaced)), None)
            if placed is not None:
                self._named[placed.order.id] = row.subject

    def done(self, state: State, subjects: Iterable[str]) -> None:
        """Keep what orders came to."""
        for subject in subjects:
            row = state.of(Orders).order(subject)
            if row is not None and row.captured.managed:
                self.orders[self._named.get(subject, subject)] = came_to(state, row, self._costs)


def came_to(state: State, row: OrderRow, costs: ShippingCosts) -> CameTo:
    """Return what an order came to, of a state that holds its rows. costs: by which its parcels are counted."""
    order = row.captured
    allocated, reserved, claimed = dict[str, Decimal](), dict[str, Decimal](), ZERO
    for claim in state.of(Stock).claims.get(order.id, {}).values():
        if claim.quantity > 0:
            into = allocated if claim.kind == "allocation" else reserved
            into[claim.location] = into.get(claim.location, ZERO) + claim.quantity
            claimed += claim.quantity
    left, goods = ZERO, False
    for line in row.lines:
        if line.kind == "good":
            goods = True
            left += line.quantity - line.cancelled - line.shipped
    shipping = _shipping(state, row, allocated, costs)
    promised = order.promised_at
    for peg in state.of(Supply).pegs_of(order.id):
        if peg.due_at is not None and (promised is None or peg.due_at > promised):
            promised = peg.due_at
    return CameTo(
        number=order.number,
        channel=order.channel,
        currency=order.currency,
        outcome="placed" if left > 0 or not goods else "cancelled",
        total=row.totals.total,
        places=_places(state, allocated or reserved),
        parcels=len(allocated),
        holds=tuple(sorted(hold.type for hold in state.of(Holds).open_on(order.id))),
        promised_at=promised,
        short=max(ZERO, left - claimed),
        shipping=shipping,
        margin=_margin(state, row, shipping),
        state=row.state or "",
    )


def _places(state: State, units: Mapping[str, Decimal]) -> tuple[tuple[str, Decimal], ...]:
    """Return units by the codes of their locations, in the codes' order."""
    place_of = state.of(Catalogue).place_of
    return tuple(sorted([(place.code if (place := place_of(id_)) else id_, held) for id_, held in units.items()]))


def _shipping(state: State, row: OrderRow, allocated: Mapping[str, Decimal], costs: ShippingCosts) -> Decimal:
    """Return what its parcels cost, each by its distance and each after the first a split."""
    order, total, parcels = row.captured, ZERO, 0
    if not allocated or order.delivery == "pickup":
        return ZERO
    for id_ in allocated:
        place = state.of(Catalogue).place_of(id_)
        there = (place.latitude, place.longitude) if place is not None else (None, None)
        total += costs.of_distance(distance_km((order.latitude, order.longitude), there))
        parcels += 1
    return total + costs.split * max(0, parcels - 1)


def _margin(state: State, row: OrderRow, shipping: Decimal) -> Decimal | None:
    """Return goods without tax less what they cost and shipping, or None where a cost is not known."""
    day, cost, costs = row.captured.placed_at.date(), ZERO, state.of(Costs)
    for line in row.lines:
        units = line.quantity - line.cancelled
        if line.kind != "good" or line.item is None or not units:
            continue
        known = costs.on(line.item, row.captured.currency, day)
        if known is None:
            return None
        cost += known.cost * units
    return row.totals.total - row.totals.tax - cost - shipping


_NOWHERE = CameTo("", "", "", "absent")


def compared(before: Mapping[str, CameTo], after: Mapping[str, CameTo]) -> Compared:
    """Return how the orders of two sides differ, by their ids, and what that adds in money."""
    found: list[Difference] = []
    money: dict[str, list[Decimal]] = {}
    differing = 0
    for order in sorted(before.keys() | after.keys()):
        one, other = before.get(order, _NOWHERE), after.get(order, _NOWHERE)
        if one == other:
            continue
        known = other if other.currency else one
        ways = differences(one, other)
        found += [
            Difference(order, known.number, known.channel, what, was, is_, what in worse_in(one, other))
            for what, was, is_ in ways
        ]
        differing += bool(ways)
        if known.currency:
            sums = money.setdefault(known.currency, [ZERO, ZERO, ZERO])
            sums[0] += other.total - one.total
            sums[1] += other.shipping - one.shipping
            sums[2] += _margins(one, other)
    sums_of = tuple(Money(currency, *sums) for currency, sums in sorted(money.items()))
    return Compared(differing, tuple(found), sums_of)


def _margins(one: CameTo, other: CameTo) -> Decimal:
    if (one.currency and one.margin is None) or (other.currency and other.margin is None):
        return ZERO
    return (other.margin or ZERO) - (one.margin or ZERO)


def differences(one: CameTo, other: CameTo) -> list[tuple[What, str, str]]:
    """Return each way in which an order differs, in words; one that is not taken differs in its outcome only."""
    if one.outcome != other.outcome and "placed" not in (one.outcome, other.outcome):
        return [("outcome", one.outcome, other.outcome)]
    words: dict[What, Callable[[CameTo], str]] = {
        "outcome": lambda came: came.outcome,
        "location": lambda came: ", ".join(f"{plain(units)} from {code}" for code, units in came.places) or "nowhere",
        "split": lambda came: str(came.parcels),
        "hold": lambda came: ", ".join(came.holds) or "none",
        "promise": lambda came: came.promised_at.isoformat() if came.promised_at else "none",
        "total": lambda came: f"{came.total:f} {came.currency}",
        "state": lambda came: came.state or "none",
    }
    told = [(what, words[what](one), words[what](other)) for what in WHATS]
    differ = [(what, was, is_) for what, was, is_ in told if was != is_]
    if differ and differ[0][0] == "outcome":
        return differ[:1]
    if any(entry[0] in ("location", "split") for entry in differ):
        # Where it ships from leads it along its workflow, too.
        differ = [entry for entry in differ if entry[0] != "state"]
    if max(one.parcels, other.parcels) > 1:
        return differ
    # One parcel or none is no split: it is said only where nothing else tells why, such as a hold.
    rest = [entry for entry in differ if entry[0] != "split"]
    return rest or [("location", _assigned(one), _assigned(other)) for _ in differ]


def _assigned(came: CameTo) -> str:
    where = ", ".join(f"{plain(units)} from {code}" for code, units in came.places) or "nowhere"
    return where if came.parcels else f"{where}, not assigned"


def worse_in(one: CameTo, other: CameTo) -> frozenset[What]:
    """Return in what an order comes out worse for who ordered it."""
    if other.outcome != "placed":
        return frozenset({"outcome"} if one.outcome == "placed" else ())
    if one.outcome != "placed":
        return frozenset()
    worse: set[What] = set()
    if other.short > one.short:
        worse.add("location")
    if other.parcels > max(one.parcels, 1):
        worse.add("split")
    if _more(one.holds, other.holds):
        worse.add("hold")
    if other.promised_at is not None and (one.promised_at is None or other.promised_at > one.promised_at):
        worse.add("promise")
    if other.total > one.total:
        worse.add("total")
    return frozenset(worse)


def _more(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    return any(after.count(kind) > before.count(kind) for kind in after)


def harmed(before: Mapping[str, CameTo], after: Mapping[str, CameTo]) -> tuple[str, ...]:
    """Return the ids of the orders that come out worse, each once."""
    return tuple(order for order in sorted(before) if worse_in(before[order], after.get(order, _NOWHERE)))
