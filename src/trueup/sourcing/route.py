"""Choose locations for one order, by one group's rules; pure.

    1. keep the candidates that pass the rule's filter; each that is dropped keeps its reason
    2. sort them by the rule's sorts, the location's code last
    3. where one location has everything, and the rule puts that first, take it
    4. else let each location give what it can, in the sorted order; kits' parts leave together where the rule says so
    5. where that makes more parts than allowed, let the location that covers most go first
    6. what is left over goes to the next rule, waits, is queued, or is owed by a location, as the rule says

The trace of every step is part of the answer: each automatic decision keeps its candidates and reasons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from trueup.catalogue.state import Location
from trueup.core.quantity import ZERO, plain
from trueup.sourcing.policy import Costs, Group, LocationFilter, Rule

EARTH_KM = 6371.0
UNSOURCED = "unsourced"


class Need(msgspec.Struct, frozen=True):
    """Units one order line needs. kit: the line of the kit it is a part of. only: the one location it may come from.

    rejected: locations that rejected this line before.
    """

    line: int
    item: str
    sku: str
    quantity: Decimal
    category: str | None = None
    kit: int | None = None
    only: str | None = None
    rejected: frozenset[str] = frozenset()


class Candidate(msgspec.Struct, frozen=True):
    """A location as this order sees it. capacity: orders it still takes today; None without a limit.

    free: units of each item the order may take there. distance_km: None where either end is not known. full: a
    containment lets nothing more be allocated there.
    """

    location: Location
    free: Mapping[str, Decimal]
    capacity: int | None = None
    past_cutoff: bool = False
    distance_km: float | None = None
    full: bool = False


class Seen(msgspec.Struct, array_like=True, frozen=True, omit_defaults=True):
    """One candidate under one rule: its place in the order of choice, or why it was left out; what it could give."""

    location: str
    code: str
    rank: int | None
    why: str
    distance_km: float | None = None
    units: dict[str, str] = {}


class Tried(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule that was asked: its candidates, and how it ended."""

    rule: str
    seen: tuple[Seen, ...]
    outcome: str


class Share(msgspec.Struct, array_like=True, frozen=True):
    """Units of one line from one location."""

    line: int
    item: str
    location: str
    quantity: Decimal


class Route(msgspec.Struct, frozen=True):
    """Where an order goes. short: units per line that nobody gives. owed_by: who owes them, under `backorder`.

    queue: the named queue it waits in, where a person has to decide.
    """

    shares: tuple[Share, ...]
    short: tuple[tuple[int, Decimal], ...]
    rule: str | None
    tried: tuple[Tried, ...]
    queue: str | None = None
    owed_by: str | None = None


def route(
    needs: Sequence[Need],
    candidates: Sequence[Candidate],
    group: Group,
    costs: Costs,
    owing: Mapping[str, Location] | None = None,
) -> Route:
    """Return where the needs go by the group's rules. owing: locations by code, which a rule may let owe.

    Source: behaviours 1, 2, 10, 11, 21.
    """
    owing = owing or {}
    tried: list[Tried] = []
    for rule in group.rules:
        kept, seen = _filtered(needs, candidates, rule, costs)
        shares, problem = _serve(needs, kept, rule)
        short = _short(needs, shares)
        if not short and problem is None:
            tried.append(Tried(rule.name, seen, _served(shares)))
            return Route(tuple(shares), (), rule.name, tuple(tried))
        outcome = problem or "short of " + ", ".join(
            f"{plain(units)} {need.sku}" for need in needs for line, units in short if line == need.line
        )
        tried.append(Tried(rule.name, seen, f"{outcome}: {rule.otherwise}"))
        if rule.otherwise == "next":
            continue
        if rule.otherwise == "queue":
            return Route((), _short(needs, ()), rule.name, tuple(tried), queue=rule.queue)
        if turned_down(needs, short):
            return Route(tuple(shares), short, rule.name, tuple(tried), queue=UNSOURCED)
        return Route(tuple(shares), short, rule.name, tuple(tried), owed_by=owes(rule, owing, needs, short))
    return Route((), _short(needs, ()), None, tuple(tried), queue=UNSOURCED)


def _filtered(
    needs: Sequence[Need], candidates: Sequence[Candidate], rule: Rule, costs: Costs
) -> tuple[list[Candidate], tuple[Seen, ...]]:
    """Return the candidates that pass, best first, and how each of all fared."""
    kept: list[Candidate] = []
    left_out: list[Seen] = []
    for candidate in candidates:
        why = dropped(needs, candidate, rule.where)
        if why is None:
            kept.append(candidate)
        else:
            left_out.append(Seen(candidate.location.id, candidate.location.code, None, why, candidate.distance_km))
    kept.sort(key=lambda candidate: _sort_key(candidate, needs, rule, costs))
    seen = [
        Seen(c.location.id, c.location.code, rank, ", ".join(rule.sort), c.distance_km,
             {need.sku: plain(_gives(c, need, rule.where)) for need in needs})
        for rank, c in enumerate(kept, 1)
    ]  # fmt: skip
    return kept, (*seen, *sorted(left_out, key=lambda one: one.code))


def dropped(needs: Sequence[Need], candidate: Candidate, where: LocationFilter) -> str | None:
    """Return why a location is not asked, or None. A customer who picks up chose the place: nothing else matters."""
    location = candidate.location
    if not location.open:
        return "closed"
    if candidate.full:
        return "contained: it takes nothing more"
    bound = [need for need in needs if need.only == location.id]
    if bound:
        return "rejected before" if all(location.id in need.rejected for need in bound) else None
    if all(need.only is not None for need in needs):
        return "the order is bound to another location"
    if location.kind == "supplier" and not where.drop_ship:
        return "drop ship is not allowed"
    if where.groups and not {*where.groups} & {*location.groups}:
        return f"not in {' or '.join(where.groups)}"
    if where.kinds and location.kind not in where.kinds:
        return f"a {location.kind}"
    if where.codes and location.code not in where.codes:
        return "not one of the rule's locations"
    if where.capacity and candidate.capacity is not None and candidate.capacity <= 0:
        return "no capacity left today"
    if where.cutoff and candidate.past_cutoff:
        return f"past its cut-off of {location.cutoff}"
    if where.distance_km_max is not None:
        if candidate.distance_km is None:
            return "its distance is not known"
        if candidate.distance_km > where.distance_km_max:
            return f"{candidate.distance_km:.0f} km away, beyond {where.distance_km_max}"
    if not any(_gives(candidate, need, where) > 0 for need in needs):
        return "nothing of it available, or rejected before"
    return None


def _gives(candidate: Candidate, need: Need, where: LocationFilter) -> Decimal:
    """Return the units a location could give a line, whatever other lines take; all it has to one bound to it."""
    location = candidate.location.id
    if need.only is not None and need.only != location:
        return ZERO
    if location in need.rejected:
        return ZERO
    if need.only is not None:
        return max(ZERO, candidate.free.get(need.item, ZERO))
    if not ships(where, need):
        return ZERO
    return max(ZERO, candidate.free.get(need.item, ZERO) - where.keep)


def ships(where: LocationFilter, need: Need) -> bool:
    """Tell whether a filter's locations ship an item at all."""
    return (not where.categories or need.category in where.categories) and need.category not in where.not_categories


def for_a_run(needs: Sequence[Need]) -> bool:
    """Tell whether a brokering run can plan them: whole units, no line bound to a place or rejected somewhere."""
    return all(
        need.quantity == need.quantity.to_integral_value() and need.only is None and not need.rejected for need in needs
    )


def allows_plan(needs: Sequence[Need], candidates: Sequence[Candidate], rule: Rule, shares: Sequence[Share]) -> bool:
    """Tell whether a plan keeps to what a rule says of goods, of units that stay, and of groups of locations."""
    by_line, places = {need.line: need for need in needs}, {one.location.id: one for one in candidates}
    taken: dict[tuple[str, str], Decimal] = {}
    for share in shares:
        place = (share.item, share.location)
        taken[place] = taken.get(place, ZERO) + share.quantity
        candidate = places.get(share.location)
        if candidate is None or _gives(candidate, by_line[share.line], rule.where) < taken[place]:
            return False
    if rule.complete != "group":
        return True
    used = [set(places[share.location].location.groups) for share in shares]
    return any(all(name in groups for groups in used) for name in rule.where.groups)


def _sort_key(candidate: Candidate, needs: Sequence[Need], rule: Rule, costs: Costs) -> tuple[object, ...]:
    keys: list[object] = []
    for sort in rule.sort:
        if sort == "most_stock":
            keys.append(-sum((_gives(candidate, need, rule.where) for need in needs), ZERO))
        elif sort == "priority":
            ranking = rule.ranking
            keys.append(ranking.index(candidate.location.code) if candidate.location.code in ranking else len(ranking))
        elif sort == "distance":
            keys.append(math.inf if candidate.distance_km is None else candidate.distance_km)
        elif sort == "cost":
            keys.append(costs.of_distance(candidate.distance_km))
        elif sort == "remaining_capacity":
            keys.append(-math.inf if candidate.capacity is None else -candidate.capacity)
        else:
            keys.append(_field(candidate.location, sort.removeprefix("field:")))
    return (*keys, candidate.location.code)


def _field(location: Location, name: str) -> float:
    """Return a location's own number to sort by; without one it comes last."""
    try:
        return float(str(location.fields.get(name)))
    except ValueError:
        return math.inf


def _serve(needs: Sequence[Need], kept: Sequence[Candidate], rule: Rule) -> tuple[list[Share], str | None]:
    """Return what the rule's locations give, and what stands against it."""
    if rule.complete == "order" or rule.one_first:
        for candidate in kept:
            shares = _from([candidate], needs, rule)
            if not _short(needs, shares):
                return shares, None
        if rule.complete == "order":
            return [], "no location has all of it"
    if rule.complete == "group":
        for name in rule.where.groups:
            shares = _split([one for one in kept if name in one.location.groups], needs, rule)
            if not _short(needs, shares):
                return shares, None
        return [], "no group of locations has all of it"
    shares = _split(kept, needs, rule)
    if _short(needs, shares) and not _short(needs, _from(kept, needs, rule)):
        return shares, f"all of it would take more than {rule.splits_max} locations"
    return shares, None


def _split(kept: Sequence[Candidate], needs: Sequence[Need], rule: Rule) -> list[Share]:
    """Split in the sorted order; where that takes too many parts, as many as may be, the one that covers most first."""
    shares = _from(kept, needs, rule)
    if rule.splits_max is None or len({share.location for share in shares}) <= rule.splits_max:
        return shares
    chosen: list[Candidate] = []
    rest = list(kept)
    while rest and len(chosen) < rule.splits_max:
        covered = [(sum((s.quantity for s in _from([*chosen, one], needs, rule)), ZERO), one) for one in rest]
        best = max(covered, key=lambda entry: entry[0])[1]
        chosen.append(best)
        rest.remove(best)
    return _from(chosen, needs, rule)


def _from(kept: Sequence[Candidate], needs: Sequence[Need], rule: Rule) -> list[Share]:
    """Let each location in turn give what it can of what is still needed."""
    left = {need.line: need.quantity for need in needs}
    shares: list[Share] = []
    for candidate in kept:
        taken: dict[str, Decimal] = {}
        for block in need_blocks(needs, together=rule.kits_together):
            given = [(need, _takes(candidate, need, rule, left, taken)) for need in block]
            if len(block) > 1 and any(units < left[need.line] for need, units in given):
                continue
            for need, _ in given:
                units = _takes(candidate, need, rule, left, taken)
                if units > 0:
                    shares.append(Share(need.line, need.item, candidate.location.id, units))
                    left[need.line] -= units
                    taken[need.item] = taken.get(need.item, ZERO) + units
    return shares


def _takes(
    candidate: Candidate, need: Need, rule: Rule, left: dict[int, Decimal], taken: dict[str, Decimal]
) -> Decimal:
    return min(left[need.line], max(ZERO, _gives(candidate, need, rule.where) - taken.get(need.item, ZERO)))


def need_blocks(needs: Sequence[Need], *, together: bool) -> list[list[Need]]:
    """Return the lines that must leave together: the parts of one kit, every other line alone."""
    if not together:
        return [[need] for need in needs]
    blocks: dict[tuple[str, int], list[Need]] = {}
    for need in needs:
        key = ("kit", need.kit) if need.kit is not None else ("line", need.line)
        blocks.setdefault(key, []).append(need)
    return list(blocks.values())


def _short(needs: Sequence[Need], shares: Sequence[Share]) -> tuple[tuple[int, Decimal], ...]:
    given: dict[int, Decimal] = {}
    for share in shares:
        given[share.line] = given.get(share.line, ZERO) + share.quantity
    short = [(need.line, need.quantity - given.get(need.line, ZERO)) for need in needs]
    return tuple((line, units) for line, units in short if units > 0)


def _served(shares: Sequence[Share]) -> str:
    places = len({share.location for share in shares})
    return "served by one location" if places == 1 else f"served by {places} locations"


def owes(
    rule: Rule, owing: Mapping[str, Location], needs: Sequence[Need], short: Sequence[tuple[int, Decimal]]
) -> str | None:
    """Return the location that owes what is short, where a rule says so: the first it names that is open.

    What is bound to a location is owed there, whoever the rule names; who rejected a line owes nothing of it.
    Source: behaviours 2 and 21.
    """
    if rule.otherwise != "backorder" or not short:
        return None
    wanting = _wanting(needs, short)
    rejected = frozenset().union(*(need.rejected for need in wanting))
    bound = {need.only for need in wanting}
    if len(bound) == 1 and None not in bound:
        only = bound.pop()
        return None if only in rejected else only
    named = [owing[code] for code in rule.backorder_at if code in owing]
    return next((location.id for location in named if location.open and location.id not in rejected), None)


def turned_down(needs: Sequence[Need], short: Sequence[tuple[int, Decimal]]) -> bool:
    """Tell whether a short line was rejected by the only location it may come from: a person has to decide.

    Source: behaviours 2 and 21.
    """
    return any(need.only in need.rejected for need in _wanting(needs, short))


def _wanting(needs: Sequence[Need], short: Sequence[tuple[int, Decimal]]) -> list[Need]:
    lines = {line for line, _ in short}
    return [need for need in needs if need.line in lines]


def distance_km(
    a: tuple[Decimal | None, Decimal | None], b: tuple[Decimal | None, Decimal | None]
) -> float | None:  # fmt: skip
    """Return the great-circle distance between two (latitude, longitude), or None where one is not known."""
    if None in a or None in b:
        return None
    lat_a, lon_a, lat_b, lon_b = (math.radians(float(value)) for value in (*a, *b) if value is not None)
    half = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(half))
