"""Promise dates: from what is free now or later, through cut-off, handling and calendars, to the customer's door.

    1. what a line can have, when: stock that is free now, dated supply that is free, then the item's lead time
    2. when a site has it ready: the site's cut-off in its own zone, its calendar, its handling days
    3. when it is handed over: the next day that site and carrier both work; then the transit days of its lane
    4. the site that has a line first; where one alone is later, several; lines never draw on the same units twice
    5. the basket's date is that of its last line; its parcels have their own

Pure: everything is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from trueup.catalogue.state import Location
from trueup.core.calendars import (
    WorkCalendar,
    add_working_days,
    closed_between,
    first_day,
    hours_on,
    is_past,
    is_working,
    next_working_day,
    ready_by,
)
from trueup.core.quantity import ZERO, plain
from trueup.stock.promise import (
    PICKUP_DAYS,
    Destination,
    Drawn,
    Lane,
    Method,
    Parcel,
    PickupDay,
    Pools,
    PromisedLine,
    PromisedMethod,
    PromisedPickup,
    Shelf,
    Shelves,
    Site,
    Step,
    Terms,
    Together,
    Wanted,
    kits_of,
    steps_of,
)

_HANDOVERS_TRIED_MAX = 60
Sites = dict[str, Site]


class Leg(msgspec.Struct, frozen=True):
    """One site's days for what is there at a moment: ready, handed over, delivered."""

    ready_on: date
    ships_on: date
    delivers_on: date


class Route:
    """How one method reaches the destination from each site; remembers what it worked out."""

    def __init__(self, method: Method, calendar: WorkCalendar, to: Destination) -> None:
        self.method = method
        self.calendar = calendar
        self._to = to
        self._legs: dict[tuple[str, datetime], Leg | None] = {}

    def leg(self, site: Site, moment: datetime) -> Leg | None:
        """Return the days of what is at a site from a moment on; None where the carrier does not go there."""
        key = (site.location.id, moment)
        if key not in self._legs:
            self._legs[key] = self._leg(site, moment)
        return self._legs[key]

    def lane(self, site: Location) -> Lane | None:
        """Return the narrowest lane from a site to the destination."""
        return lane_of(self.method, site, self._to)

    def _leg(self, site: Site, moment: datetime) -> Leg | None:
        lane = self.lane(site.location)
        if lane is None:
            return None
        ready = ready_on(site, moment)
        ships = handover_on(ready, site.calendar, self.calendar)
        if ships is None:
            return None
        return Leg(ready, ships, add_working_days(ships, lane.days, self.calendar))


def promise_by(lines: Sequence[Wanted], sites: Sequence[Site], shelves: Shelves, to: Destination, terms: Terms,
               method: Method) -> PromisedMethod:  # fmt: skip
    """Promise a basket by one shipping method; see the module's text. Sites that are closed serve nobody."""
    route = Route(method, terms.calendars.get(method.calendar, WorkCalendar()), to)
    serving = {site.location.id: site for site in sites if site.location.open}
    pools = pools_of(lines, list(serving.values()), shelves, terms)
    promised: list[PromisedLine] = []
    used: set[str] = set()
    for line in lines:
        drawn = _draw(line, serving, pools, route, terms, used)
        used |= {part.location for part in drawn}
        promised.append(_line_of(line, drawn))
    dates = [line.delivers_on for line in promised if line.delivers_on is not None]
    return PromisedMethod(
        method=method.name,
        carrier=method.carrier,
        delivers_on=max(dates) if len(dates) == len(promised) else None,
        parcels=_parcels(promised),
        together=_together(lines, serving, shelves, route, terms),
        lines=tuple(promised),
        explain=tuple(_explain(promised, serving, route, terms)),
    )


def promise_pickup(lines: Sequence[Wanted], store: Site, shelves: Shelves, terms: Terms) -> PromisedPickup:
    """Promise a basket at one store, from what it has and gets itself. Source: behaviour 2."""
    code = store.location.code
    moment, short = _all_at(lines, store, shelves, terms)
    if moment is None:
        return PromisedPickup(code, None, (), (f"{code} has too little of {short}, now and to come.",))
    ready = ready_on(store, moment)
    days = []
    day = ready
    for _ in range(PICKUP_DAYS):
        day = next_working_day(day, store.calendar)
        hours = hours_on(day, store.calendar)
        assert hours is not None
        days.append(PickupDay(day, hours.opens, hours.closes))
        day += timedelta(days=1)
    words = [
        f"All of it is at {code} from {_local(moment, store)} on." if moment > terms.now else f"{code} has all of it."
    ]
    return PromisedPickup(code, ready, tuple(days), (*words, *_words_of_site(store, moment, ready)))


def lane_of(method: Method, site: Location, to: Destination) -> Lane | None:
    """Return the narrowest lane that fits: longer postcodes first, then more named ends, then the fewest days."""
    fitting = [lane for lane in method.lanes if _fits(lane, site, to)]
    return min(fitting, key=_width, default=None)


def ready_on(site: Site, moment: datetime) -> date:
    """Return the local day on which a site has ready what is there at a moment."""
    place = site.location
    return ready_by(moment, place.timezone, place.cutoff, place.handling_days, site.calendar)


def handover_on(ready: date, site: WorkCalendar, carrier: WorkCalendar) -> date | None:
    """Return the first day from `ready` on that site and carrier both work; None where they hardly ever do."""
    day = ready
    for _ in range(_HANDOVERS_TRIED_MAX):
        day = next_working_day(next_working_day(day, site), carrier)
        if is_working(day, site):
            return day
    return None


def pools_of(lines: Sequence[Wanted], sites: Sequence[Site], shelves: Shelves, terms: Terms) -> Pools:
    """Return what lines may draw on, by (item, location): each a list of its own, since drawing takes from it."""
    return {
        (part.item, site.location.id): steps_of(
            shelves.get((part.item, site.location.id), Shelf()), part, site.location.timezone, terms.now
        )
        for line in lines
        for part in line.parts
        for site in sites
    }


def offers_of(line: Wanted, site: str, pools: Pools) -> list[Step]:
    """Return when units of a line become free at a site, after what other lines drew."""
    found = [pools[part.item, site] for part in line.parts]
    return kits_of(line.parts, found) if line.is_kit else found[0]


def _draw(line: Wanted, sites: Sites, pools: Pools, route: Route, terms: Terms, used: set[str]) -> list[Drawn]:
    """Take a line's units where they are delivered first; from one site unless several are sooner."""
    horizon = terms.now.date() + timedelta(days=terms.policy.horizon_days)
    offers: list[tuple[date, bool, str, datetime, Step, Leg]] = []
    for site in sites.values():
        for step in offers_of(line, site.location.id, pools):
            leg = route.leg(site, step.at)
            if leg is not None and leg.delivers_on <= horizon:
                first = site.location.code not in used
                offers.append((leg.delivers_on, first, site.location.code, step.at, step, leg))
    offers.sort(key=lambda offer: offer[:4])
    single = _from_one_site(offers, line.quantity)
    several = _from_any(offers, line.quantity)
    chosen = several
    if single and (_units(several) < line.quantity or single[-1][0][0] <= several[-1][0][0]):
        chosen = single
    ids = {site.location.code: id_ for id_, site in sites.items()}
    drawn = []
    for (delivers, _, code, at, step, leg), units in chosen:
        _take(line, ids[code], units, at, pools)
        drawn.append(
            Drawn(code, units, step.origin, at, leg.ready_on, leg.ships_on, delivers, f"{step.words} at {code}")
        )
    return drawn


_Offer = tuple[date, bool, str, datetime, Step, Leg]
_Chosen = list[tuple[_Offer, Decimal]]


def _from_one_site(offers: Sequence[_Offer], quantity: Decimal) -> _Chosen:
    """Return the offers of the first site that alone has enough; nothing where none has."""
    by_site: dict[str, _Chosen] = {}
    for offer in offers:
        mine = by_site.setdefault(offer[2], [])
        left = quantity - _units(mine)
        mine.append((offer, min(left, offer[4].units)))
        if offer[4].units >= left:
            return mine
    return []


def _from_any(offers: Sequence[_Offer], quantity: Decimal) -> _Chosen:
    chosen: _Chosen = []
    left = quantity
    for offer in offers:
        units = min(left, offer[4].units)
        chosen.append((offer, units))
        left -= units
        if left <= 0:
            break
    return chosen


def _units(chosen: _Chosen) -> Decimal:
    return sum((units for _, units in chosen), ZERO)


def _take(line: Wanted, site: str, units: Decimal, at: datetime, pools: Pools) -> None:
    """Take the parts of so many units out of what is there by then, the earliest first."""
    for part in line.parts:
        left = units * part.units
        for step in pools[part.item, site]:
            if step.at <= at and left > 0:
                taken = min(left, step.units)
                step.units -= taken
                left -= taken
        pools[part.item, site][:] = [step for step in pools[part.item, site] if step.units > 0]


def _line_of(line: Wanted, drawn: list[Drawn]) -> PromisedLine:
    missing = line.quantity - sum((part.quantity for part in drawn), ZERO)
    last = max((part.delivers_on for part in drawn), default=None)
    return PromisedLine(line.line, line.sku, line.quantity, None if missing else last, missing, tuple(drawn))


def _parcels(lines: Sequence[PromisedLine]) -> tuple[Parcel, ...]:
    """Put what leaves a site on one day into one parcel."""
    found: dict[tuple[date, str], tuple[date, list[int]]] = {}
    for line in lines:
        for part in line.sources:
            _, numbers = found.setdefault((part.ships_on, part.location), (part.delivers_on, []))
            if line.line not in numbers:
                numbers.append(line.line)
    return tuple(
        Parcel(code, ships, delivers, tuple(numbers)) for (ships, code), (delivers, numbers) in sorted(found.items())
    )


def _together(lines: Sequence[Wanted], sites: Sites, shelves: Shelves, route: Route, terms: Terms) -> Together | None:
    horizon = terms.now.date() + timedelta(days=terms.policy.horizon_days)
    found = []
    for site in sites.values():
        moment, _ = _all_at(lines, site, shelves, terms)
        leg = route.leg(site, moment) if moment is not None else None
        if leg is not None and leg.delivers_on <= horizon:
            found.append((leg.delivers_on, site.location.code, leg))
    if not found:
        return None
    _, code, leg = min(found, key=lambda entry: entry[:2])
    return Together(code, leg.ready_on, leg.ships_on, leg.delivers_on)


def _all_at(lines: Sequence[Wanted], site: Site, shelves: Shelves, terms: Terms) -> tuple[datetime | None, str]:
    """Return from when on one site has every line; or None, and the SKU it has too little of."""
    pools = pools_of(lines, [site], shelves, terms)
    last = terms.now
    for line in lines:
        left = line.quantity
        for step in list(offers_of(line, site.location.id, pools)):
            units = min(left, step.units)
            _take(line, site.location.id, units, step.at, pools)
            left -= units
            last = max(last, step.at)
            if left <= 0:
                break
        if left > 0:
            return None, line.sku
    return last, ""


def _explain(lines: Sequence[PromisedLine], sites: Sites, route: Route, terms: Terms) -> list[str]:
    """Say which line is the last, and step by step why it comes when it does."""
    short = [line for line in lines if line.missing]
    if short:
        reached = [site for site in sites.values() if route.lane(site.location) is not None]
        if not reached:
            return [f"{route.method.carrier} goes from none of the sites to this destination."]
        return [
            f"Line {line.line}: {plain(line.missing)} of {plain(line.quantity)} {line.sku} are neither on hand nor to "
            f"come within {terms.policy.horizon_days} days, and there is no lead time to order them."
            for line in short
        ]
    line = max(lines, key=lambda found: (found.delivers_on, found.line))
    last = max(line.sources, key=lambda part: part.delivers_on)
    site = next(site for site in sites.values() if site.location.code == last.location)
    words = [f"Line {line.line} is the last: {plain(last.quantity)} of {plain(line.quantity)} {line.sku} {last.words}."]
    words += _words_of_site(site, last.available_at, last.ready_on)
    held = {**dict(closed_between(last.ready_on, last.ships_on, route.calendar)),
            **dict(closed_between(last.ready_on, last.ships_on, site.calendar))}  # fmt: skip
    words += [f"Not handed over on {day}: {why}." for day, why in sorted(held.items())]
    lane = route.lane(site.location)
    days = lane.days if lane is not None else 0
    carrier = route.method.carrier
    words.append(f"{carrier} collects on {last.ships_on} and takes {_working(days)}: delivered {last.delivers_on}.")
    closed = closed_between(last.ships_on, last.delivers_on, route.calendar)
    words += [f"{carrier} does not work on {day}: {why}." for day, why in closed]
    return words


def _working(days: int) -> str:
    return "1 working day" if days == 1 else f"{days} working days"


def _words_of_site(site: Site, moment: datetime, ready: date) -> list[str]:
    place = site.location
    today = moment.astimezone(ZoneInfo(place.timezone)).date()
    words = []
    if is_working(today, site.calendar) and is_past(moment, place.timezone, place.cutoff):
        limit = f"{place.cutoff} {place.timezone}"
        words.append(
            f"{_local(moment, site)} is past {place.code}'s cut-off of {limit}: work begins the next working day."
        )
    begun = first_day(moment, place.timezone, place.cutoff, site.calendar)
    words += [
        f"{place.code} does not work on {day}: {why}." for day, why in closed_between(today, ready, site.calendar)
    ]
    handling = f" and {_working(place.handling_days)} of handling" if place.handling_days else ""
    words.append(f"{place.code} begins on {begun}{handling}: ready on {ready}.")
    return words


def _local(moment: datetime, site: Site) -> str:
    return moment.astimezone(ZoneInfo(site.location.timezone)).strftime("%Y-%m-%d %H:%M")


def _fits(lane: Lane, site: Location, to: Destination) -> bool:
    return (
        (lane.from_country is None or lane.from_country == site.country)
        and (lane.from_group is None or lane.from_group in site.groups)
        and (lane.from_postcode is None or (site.postcode or "").startswith(lane.from_postcode))
        and (lane.to_country is None or lane.to_country == to.country)
        and (lane.to_postcode is None or (to.postcode or "").startswith(lane.to_postcode))
    )


def _width(lane: Lane) -> tuple[int, int, int]:
    postcodes = len(lane.from_postcode or "") + len(lane.to_postcode or "")
    ends = sum(end is not None for end in (lane.from_country, lane.from_group, lane.to_country))
    return (-postcodes, -ends, lane.days)
