"""Ask for dates: what a basket can have where and when, by which method, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from trueup.core.calendars import WorkCalendar
from trueup.core.database import Connection
from trueup.core.errors import Refusal, Refused
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Body
from trueup.stock.delivery import promise_by, promise_pickup
from trueup.stock.kept_shelves import Shelved, Shelves
from trueup.stock.promise import (
    Destination,
    PromisedMethod,
    PromisedPickup,
    PromisePolicy,
    ShippingMethods,
    Site,
    Step,
    Terms,
    Wanted,
    date_of,
    kits_of,
    steps_of,
)
from trueup.stock.reserve import bad_line
from trueup.stock.shelves import Places, Stocked

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class BasketLine(Body, frozen=True, forbid_unknown_fields=True):
    """What is wanted: any key of the item, and units above zero."""

    sku: Code
    quantity: Quantity


class Basket(Body, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What somebody would like to have. locations: codes that may serve; none named is all that are open.

    channel: whose pools count, as its orders' do; empty is none in particular. country, postcode: where to. methods: by
    name, of the policy `shipping`; none named is all of its methods.
    """

    lines: Annotated[tuple[BasketLine, ...], msgspec.Meta(min_length=1, max_length=200)]
    country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")] | None = None
    postcode: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    channel: Annotated[str, msgspec.Meta(max_length=120)] = ""
    locations: Annotated[tuple[Code, ...], msgspec.Meta(max_length=1000)] = ()
    methods: Annotated[tuple[Code, ...], msgspec.Meta(max_length=50)] = ()


class AvailableItem(msgspec.Struct, frozen=True):
    """One line at every location, in the order of the answer's `locations`.

    available: units that are free now, below zero where others wait. dates: the local day from which the line's
    quantity is free there, by stock and dated supply; None where it never is. limited_by: of a kit, its scarcest parts.
    """

    sku: str
    quantity: Decimal
    available: tuple[Decimal, ...]
    dates: tuple[date | None, ...]
    limited_by: str | None = None


class Available(msgspec.Struct, frozen=True):
    """What a basket can have at each location, now and later. dates: of the whole basket there; None is never."""

    locations: tuple[str, ...]
    dates: tuple[date | None, ...]
    items: tuple[AvailableItem, ...]


class Promised(msgspec.Struct, frozen=True):
    """A basket's delivery dates by shipping method, and its pickup days by store."""

    at: datetime
    methods: tuple[PromisedMethod, ...]
    pickup: tuple[PromisedPickup, ...]


async def available(
    connection: Connection, basket: Basket, policies: Policies, now: datetime, shelves: Shelves | None = None
) -> Available:
    """Return what a basket can have at each location, now and from when on: what a request of its channel would get,
    and supply that is to come less what is pegged to it. Closed locations have figures, but no dates.

    Lines of one item count together. Lead times are no supply. shelves: those that the process keeps; None reads the
    tables alone. Raises Refused for a name that nobody registered.
    """
    shelved = await _shelved(connection, basket, policies, now, shelves)
    found, parts = shelved.found, shelved.parts
    places = shelved.places.all
    days = {zone: now.astimezone(ZoneInfo(zone)).date() for zone in {place.timezone for place in places}}
    today = [days[place.timezone] if place.open else None for place in places]
    zones = [place.timezone for place in places]
    needed: dict[str, tuple[Stocked, Decimal]] = {}
    for line in basket.lines:
        stock = found[line.sku]
        needed[stock.part.item] = (stock, needed.get(stock.part.item, (stock, ZERO))[1] + line.quantity)
    items = tuple(_item(stock, parts, units, today, zones, now) for stock, units in needed.values())
    whole = _dates_with_kits(basket, found, parts, today, zones, now) if parts else _all_of(items)
    return Available(tuple([place.code for place in places]), whole, items)


async def promise(
    connection: Connection, basket: Basket, policies: Policies, now: datetime, shelves: Shelves | None = None
) -> Promised:
    """Return a basket's delivery dates by each shipping method, and its pickup days at each store that hands over.

    shelves: those that the process keeps. Raises Refused for an item, location or method that nobody registered.
    """
    shelved = await _shelved(connection, basket, policies, now, shelves)
    places, found, parts = shelved.places.all, shelved.found, shelved.parts
    sites = [Site(place, policies.get(WorkCalendar, place.calendar)) for place in places]
    shelves_of = {
        (stock.part.item, place.id): stock.shelf(at)
        for stock in (*found.values(), *parts.values())
        for at, place in enumerate(places)
    }
    lines = [_wanted(number, line, found[line.sku], parts) for number, line in enumerate(basket.lines, 1)]
    terms = _terms(basket, policies, now)
    to = Destination(basket.country, basket.postcode)
    stores = [site for site in sites if site.location.pickup and site.location.open]
    return Promised(
        now,
        tuple(promise_by(lines, sites, shelves_of, to, terms, method) for method in terms.methods),
        tuple(promise_pickup(lines, store, shelves_of, terms) for store in stores),
    )


async def _shelved(
    connection: Connection, basket: Basket, policies: Policies, now: datetime, shelves: Shelves | None
) -> Shelved:
    """Read what is asked, at the locations that may serve. Raises Refused for a name that nobody registered."""
    keys = _keys(basket)
    shelved = await (shelves or Shelves()).read(connection, policies, keys, basket.channel, now)
    if basket.locations:
        shelved = _narrowed(shelved, basket)
    for at, line in enumerate(basket.lines):
        if line.sku not in shelved.found:
            raise Refused(bad_line(f"lines[{at}]", line.sku, line.quantity, None))
    return shelved


def _narrowed(shelved: Shelved, basket: Basket) -> Shelved:
    """Return the shelves of the basket's locations alone."""
    known = {place.code: at for at, place in enumerate(shelved.places.all)}
    for number, code in enumerate(basket.locations):
        if code not in known:
            raise Refused(Refusal("catalogue.unknown_location", f"There is no location {code!r}.",
                                  "Register it first, or correct the code.", f"locations[{number}]", code))  # fmt: skip
    chosen = sorted({known[code] for code in basket.locations})

    def narrow(stock: Stocked) -> Stocked:
        return msgspec.structs.replace(
            stock,
            available=tuple(stock.available[at] for at in chosen),
            incoming={new: stock.incoming[at] for new, at in enumerate(chosen) if at in stock.incoming},
        )

    places = tuple(shelved.places.all[at] for at in chosen)
    return Shelved(
        Places(places, {place.id: at for at, place in enumerate(places)}),
        {key: narrow(stock) for key, stock in shelved.found.items()},
        {item: narrow(stock) for item, stock in shelved.parts.items()},
    )


def _keys(basket: Basket) -> list[str]:
    for at, line in enumerate(basket.lines):
        if line.quantity <= 0:
            refusal = Refusal("stock.quantity", f"The quantity of {line.sku!r} is not above zero.",
                              "Ask for at least one unit.", f"lines[{at}].quantity", plain(line.quantity))  # fmt: skip
            raise Refused(refusal)
    return sorted({line.sku for line in basket.lines})


def _terms(basket: Basket, policies: Policies, now: datetime) -> Terms:
    methods = policies.get(ShippingMethods).methods
    names = [method.name for method in methods]
    for at, name in enumerate(basket.methods):
        if name not in names:
            raise Refused(Refusal("stock.unknown_method", f"There is no shipping method {name!r}.",
                                  f"Use one of: {', '.join(names)}.", f"methods[{at}]", name))  # fmt: skip
    chosen = tuple(method for method in methods if not basket.methods or method.name in basket.methods)
    calendars = {method.calendar: policies.get(WorkCalendar, method.calendar) for method in chosen}
    return Terms(now, chosen, calendars, policies.get(PromisePolicy))


def _item(
    stock: Stocked,
    parts: dict[str, Stocked],
    quantity: Decimal,
    today: Sequence[date | None],
    zones: Sequence[str],
    now: datetime,
) -> AvailableItem:
    if stock.components:
        return _kit(stock, parts, quantity, today, zones, now)
    dates = [day if units >= quantity else None for units, day in zip(stock.available, today, strict=True)]
    for at in stock.incoming:
        if dates[at] is None and today[at] is not None:
            step = date_of(steps_of(stock.shelf(at), stock.part, zones[at], now, lead=False), quantity)
            dates[at] = _local(step, zones[at])
    return AvailableItem(stock.part.sku, quantity, stock.available, tuple(dates))


def _kit(
    stock: Stocked,
    parts: dict[str, Stocked],
    quantity: Decimal,
    today: Sequence[date | None],
    zones: Sequence[str],
    now: datetime,
) -> AvailableItem:
    """Return a kit that has no stock of its own: at each location as many as its scarcest part is enough for."""
    made = _made_of(stock, parts)
    figures: list[Decimal] = []
    dates: list[date | None] = []
    scarce: set[str] = set()
    for at, day in enumerate(today):
        enough = [(_whole(part.available[at], units), part.part.sku) for part, units in made]
        figures.append(min(enough)[0])
        scarce |= {sku for units, sku in enough if units == figures[-1]}
        steps = kits_of(
            [msgspec.structs.replace(part.part, units=units) for part, units in made],
            [steps_of(part.shelf(at), part.part, zones[at], now, lead=False) for part, _ in made],
        )
        dates.append(_local(date_of(steps, quantity), zones[at]) if day is not None else None)
    limits = ", ".join(sorted(scarce)) or None
    return AvailableItem(stock.part.sku, quantity, tuple(figures), tuple(dates), limits)


def _dates_with_kits(
    basket: Basket,
    found: dict[str, Stocked],
    parts: dict[str, Stocked],
    today: Sequence[date | None],
    zones: Sequence[str],
    now: datetime,
) -> tuple[date | None, ...]:
    """Return from when on each location has all of a basket whose kits and lines may want the same parts."""
    needed: dict[str, Decimal] = {}
    stocks: dict[str, Stocked] = {}
    for line in basket.lines:
        stock = found[line.sku]
        for part, units in _made_of(stock, parts):
            stocks[part.part.item] = part
            needed[part.part.item] = needed.get(part.part.item, ZERO) + units * line.quantity
    items = [_item(stocks[item], {}, units, today, zones, now) for item, units in needed.items()]
    return _all_of(items)


def _wanted(number: int, line: BasketLine, stock: Stocked, parts: dict[str, Stocked]) -> Wanted:
    if not stock.components:
        return Wanted(number, stock.part.sku, line.quantity, (stock.part,))
    made = tuple(msgspec.structs.replace(part.part, units=units) for part, units in _made_of(stock, parts))
    return Wanted(number, stock.part.sku, line.quantity, made, is_kit=True)


def _made_of(stock: Stocked, parts: dict[str, Stocked]) -> list[tuple[Stocked, Decimal]]:
    """Return what one unit takes: itself; or a kit's parts, and where a channel's cap limits it, the kit's own."""
    if not stock.components:
        return [(stock, Decimal(1))]
    made = [(parts[item], units) for item, units in stock.components]
    return [*made, (stock.cap(), Decimal(1))] if stock.limited else made


def _all_of(items: Sequence[AvailableItem]) -> tuple[date | None, ...]:
    """Return, of each location, the day from which all items are there; None where one never is."""
    whole = list(items[0].dates)
    for item in items[1:]:
        whole = [
            None if one is None or other is None else one if one is other or one >= other else other
            for one, other in zip(whole, item.dates, strict=True)
        ]
    return tuple(whole)


def _whole(available: Decimal, units: Decimal) -> Decimal:
    return (available / units).to_integral_value(ROUND_FLOOR)


def _local(step: Step | None, zone: str) -> date | None:
    return step.at.astimezone(ZoneInfo(zone)).date() if step is not None else None
