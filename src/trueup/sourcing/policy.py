"""The routing policy: when orders are sourced, which in what sequence, and from which location. One versioned document.

It is read when the decision is made, never pinned (behaviour 39). The first group whose filter an order passes holds
for it; its rules are asked in turn until one serves the order, and what the last one leaves over goes where it says.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

import msgspec

from trueup.core.policy import Fault, Known, Policy
from trueup.core.quantity import ZERO

OrderSort = Literal["priority", "promise", "first_in"]
FillSort = Literal["priority", "promise", "first_in", "contract"]
LocationSort = Literal["most_stock", "priority", "distance", "cost", "remaining_capacity"]
Complete = Literal["any", "order", "group"]


class OrderFacts(msgspec.Struct, frozen=True):
    """What a filter asks of an order. country: where it goes."""

    channel: str
    type: str
    delivery: str
    country: str | None
    priority: int
    total: Decimal


class OrderFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which orders; every condition that is given must hold. channels, types, countries: any of these."""

    channels: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    deliveries: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    priority_min: int | None = None
    total_min: Decimal | None = None

    def passes(self, order: OrderFacts) -> bool:
        """Tell whether an order is one of those that are meant."""
        return (
            (not self.channels or order.channel in self.channels)
            and (not self.types or order.type in self.types)
            and (not self.deliveries or order.delivery in self.deliveries)
            and (not self.countries or order.country in self.countries)
            and (self.priority_min is None or order.priority >= self.priority_min)
            and (self.total_min is None or order.total >= self.total_min)
        )


class LocationFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which locations; every condition that is given must hold.

    groups, kinds, codes: any of these. distance_km_max: from where the order goes, as the crow flies.
    capacity: it still takes orders today. cutoff: its cut-off of today has not passed. keep: units that must stay.
    categories: it ships only items of these; not_categories: none of those. drop_ship: suppliers are asked, too.
    """

    groups: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    distance_km_max: Annotated[int, msgspec.Meta(gt=0)] | None = None
    capacity: bool = True
    cutoff: bool = False
    keep: Decimal = ZERO
    categories: tuple[str, ...] = ()
    not_categories: tuple[str, ...] = ()
    drop_ship: bool = False


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to choose locations.

    sort: the first decides, the next break ties; then the code. ranking: codes, best first, for the sort `priority`; a
    sort `field:<name>` takes a number from the location's custom field, lowest first.
    one_first: one location that has everything goes before any split. splits_max: fulfilment orders of one order.
    kits_together: the parts of one kit leave from one place. complete: all from one location (`order`), or from
    locations of one of the filter's groups (`group`), or not by this rule at all.
    otherwise: what becomes of what the rule cannot serve: the `next` rule; `partial`: serve what there is, and the rest
    waits; `queue`: serve nothing, wait in `queue` for a person; `backorder`: serve what there is, the rest is owed by
    the first of `backorder_at` (codes) that is open.
    """

    name: str
    where: LocationFilter = LocationFilter()
    sort: tuple[str, ...] = ("most_stock",)
    ranking: tuple[str, ...] = ()
    one_first: bool = True
    splits_max: Annotated[int, msgspec.Meta(ge=1)] | None = None
    kits_together: bool = True
    complete: Complete = "any"
    otherwise: Literal["next", "partial", "queue", "backorder"] = "next"
    queue: str = "unsourced"
    backorder_at: tuple[str, ...] = ()


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Orders that are sourced alike. sort: their sequence when many are sourced at once; brokered: as one optimum."""

    name: str
    rules: tuple[Rule, ...]
    orders: OrderFilter = OrderFilter()
    sort: tuple[OrderSort, ...] = ("priority", "promise", "first_in")
    brokered: bool = False


class CostBand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a parcel costs up to a distance."""

    distance_km_max: Annotated[int, msgspec.Meta(gt=0)]
    cost: Decimal


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What sourcing costs, in `currency`, for comparing and optimising; none of it is booked.

    bands: a parcel by distance; beyond, and where a distance is not known, `parcel`. split: each parcel but the first.
    late_day: each day after the promise. over_capacity: each order beyond a location's capacity. unserved: each unit.
    """

    currency: str = "EUR"
    parcel: Decimal = Decimal("6.00")
    bands: tuple[CostBand, ...] = ()
    split: Decimal = Decimal("3.00")
    late_day: Decimal = Decimal("2.00")
    over_capacity: Decimal = Decimal("5.00")
    unserved: Decimal = Decimal("50.00")

    def of_distance(self, distance_km: float | None) -> Decimal:
        """Return what a parcel costs over a distance."""
        if distance_km is None:
            return self.parcel
        return next((band.cost for band in self.bands if distance_km <= band.distance_km_max), self.parcel)


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When orders are sourced: as soon as they are placed, every so many minutes, and always when somebody asks."""

    on_placement: bool = True
    every_minutes: Annotated[int, msgspec.Meta(ge=1)] | None = None


ANYWHERE = Rule("most stock", otherwise="partial")


class Routing(Policy, frozen=True, kw_only=True):
    """How orders find their locations; see the module's text. fill: whose turn it is when goods come in."""

    kind: ClassVar[str] = "sourcing"
    names: ClassVar[tuple[str, ...]] = ("default",)
    when: When = When()
    groups: tuple[Group, ...] = (Group("all", (ANYWHERE,)),)
    costs: Costs = Costs()
    fill: tuple[FillSort, ...] = ("first_in",)

    def group_of(self, order: OrderFacts) -> Group:
        """Return the first group whose filter the order passes; without one it waits in the queue `unsourced`."""
        return next((group for group in self.groups if group.orders.passes(order)), Group("none", ()))

    def faults(self, known: Known) -> list[Fault]:
        """Return names that stand twice, sorts that are none, and rules that could never be reached."""
        found = _twice([group.name for group in self.groups], "groups")
        for at, group in enumerate(self.groups):
            where = f"groups[{at}]"
            if not group.rules:
                found.append(Fault(f"{where}.rules", group.name, "a group needs at least one rule"))
            found += _twice([rule.name for rule in group.rules], f"{where}.rules")
            for number, rule in enumerate(group.rules):
                found += _rule_faults(rule, f"{where}.rules[{number}]", last=number == len(group.rules) - 1)
        bands = [band.distance_km_max for band in self.costs.bands]
        if bands != sorted(set(bands)):
            found.append(Fault("costs.bands", "", "distances rise from band to band"))
        return found


def _twice(names: list[str], where: str) -> list[Fault]:
    return [Fault(where, name, f"{name!r} stands twice") for name in sorted({n for n in names if names.count(n) > 1})]


def _rule_faults(rule: Rule, where: str, *, last: bool) -> list[Fault]:
    sorts = ("most_stock", "priority", "distance", "cost", "remaining_capacity")
    found = [
        Fault(f"{where}.sort[{at}]", sort, f"sort by one of: {', '.join(sorts)}, or field:<name>")
        for at, sort in enumerate(rule.sort)
        if sort not in sorts and not sort.startswith("field:")
    ]
    if "priority" in rule.sort and not rule.ranking:
        found.append(Fault(f"{where}.ranking", "", "the sort `priority` needs a ranking of location codes"))
    if rule.complete == "group" and not rule.where.groups:
        found.append(Fault(f"{where}.where.groups", "", "complete `group` needs the groups to choose from"))
    if rule.otherwise == "backorder" and not rule.backorder_at:
        found.append(Fault(f"{where}.backorder_at", "", "name the locations that owe what is not there"))
    if last and rule.otherwise == "next":
        found.append(Fault(f"{where}.otherwise", "next", "there is no next rule: choose partial, queue or backorder"))
    if not last and rule.otherwise != "next":
        found.append(Fault(f"{where}.otherwise", rule.otherwise, "no rule behind this one would ever be asked"))
    return found
