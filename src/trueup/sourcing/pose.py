"""Pose a brokering run's problem: what the solver may decide about the orders of a picture, and what each choice costs.

An order is posed only where the problem says its group's first rule exactly, so that what a plan costs is what comes of
it; the rules themselves source the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from trueup.catalogue.state import Location
from trueup.core.calendars import WorkCalendar
from trueup.core.money import minor_unit
from trueup.core.policy import Policies
from trueup.sourcing import problem as problems
from trueup.sourcing.picture import Picture, Sketch
from trueup.sourcing.policy import Group, Routing, Rule
from trueup.sourcing.route import dropped, need_blocks, ships
from trueup.stock.delivery import Route
from trueup.stock.promise import ShippingMethods, Site

PLACES_MAX = 50


def pose(
    picture: Picture, orders: Sequence[Sketch], groups: Mapping[str, Group], policies: Policies
) -> problems.Problem:  # fmt: skip
    """Return the run's problem: whole units and minor units, as the solver wants them.

    Its stock has no room for rules that let different units stay: the units that most orders' rules let stay are held
    back, and orders whose rule says otherwise are not posed. Nor are those that want goods that their rule does not
    ship, and those to be served by one group of locations where more than one could.
    """
    policy = policies.get(Routing)
    unit = minor_unit(policy.costs.currency)
    stays = Counter(groups[order.id].rules[0].where.keep for order in orders)
    keep = max(stays, key=stays.__getitem__, default=Decimal(0))
    arrivals = Arrivals(policies, picture.at)
    posed = []
    for order in orders:
        rule = groups[order.id].rules[0]
        if rule.where.keep == keep and all(ships(rule.where, need) for need in order.needs):
            found = _posed(picture, order, rule, policy, arrivals)
            posed += [found] if found is not None else []
    items = {line.item for order in posed for line in order.lines}
    # A run has one limit per place: where any of its rules heeds capacity, nobody goes beyond it.
    hard = any(groups[order.id].rules[0].where.capacity for order in posed)
    return problems.Problem(
        orders=tuple(posed),
        places=tuple(
            problems.Place(id_, picture.room.get(id_), None if hard else int(policy.costs.over_capacity / unit))
            for id_ in picture.places
        ),
        stock={key: int(units - keep) for key, units in picture.free.items() if key[0] in items and units - keep >= 1},
        costs=problems.Costs(
            split=int(policy.costs.split / unit),
            late_day=int(policy.costs.late_day / unit),
            unserved=int(policy.costs.unserved / unit),
        ),
    )


def _posed(
    picture: Picture, order: Sketch, rule: Rule, policy: Routing, arrivals: Arrivals
) -> problems.BrokeredOrder | None:
    """Return one order of the problem, offered by the locations its rule allows; None where that is not all it asks."""
    unit = minor_unit(policy.costs.currency)
    offers = {
        candidate.location.id: problems.Offer(
            int(policy.costs.of_distance(candidate.distance_km) / unit), arrivals.days_late(order, candidate.location)
        )
        for candidate in picture.candidates(order, picture.free, {})
        if dropped(order.needs, candidate, rule.where) is None
    }
    if rule.complete == "group" and not _in_one_group(rule, [picture.places[id_] for id_ in offers]):
        return None
    kits = need_blocks(order.needs, together=rule.kits_together)
    return problems.BrokeredOrder(
        id=order.id,
        lines=tuple(problems.BrokeredLine(str(n.line), n.item, int(n.quantity)) for n in order.needs),
        offers=offers,
        places_max=1 if rule.complete == "order" else rule.splits_max or PLACES_MAX,
        kits=tuple(tuple(str(need.line) for need in block) for block in kits if len(block) > 1),
        # A rule that hands on what it cannot serve whole gives none of it.
        whole=rule.complete != "any" or rule.otherwise in ("next", "queue"),
        priority=1 + max(0, order.facts.priority),
    )


def _in_one_group(rule: Rule, places: Collection[Location]) -> bool:
    """Tell whether one of the rule's groups has all of the places: then it is all the same which group serves."""
    return any(all(name in place.groups for place in places) for name in rule.where.groups)


class Arrivals:
    """When goods that leave now arrive by the first way of shipping; remembers what it worked out."""

    def __init__(self, policies: Policies, now: datetime) -> None:
        self._policies = policies
        self._now = now
        self._method = policies.get(ShippingMethods).methods[0]
        self._calendar = policies.find(WorkCalendar, self._method.calendar) or WorkCalendar()
        self._days: dict[tuple[str, int], date | None] = {}

    def days_late(self, order: Sketch, place: Location) -> int:
        """Return how many days after its promise an order would arrive from a place.

        0 where nothing was promised, and where the carrier says nothing of that way.
        """
        if order.promised_at is None:
            return 0
        route = Route(self._method, self._calendar, order.to)
        lane = route.lane(place)
        if lane is None:
            return 0
        key = (place.id, lane.days)
        if key not in self._days:
            site = Site(place, self._policies.find(WorkCalendar, place.calendar) or WorkCalendar())
            leg = route.leg(site, self._now)
            self._days[key] = None if leg is None else leg.delivers_on
        day = self._days[key]
        return 0 if day is None else max(0, (day - order.promised_at.date()).days)
