"""Ask for dates: what a basket can have where and when, by which method, and why. Everything is read in few statements.

Figures come back as arrays, one row per item: of a basket of 20 items at 50 locations, a row for each figure cost more
than ten times as much to send and read as it did to find.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from trueup.catalogue.state import Location, location_of
from trueup.core.arrays import literal
from trueup.core.batch import roundtrip
from trueup.core.calendars import WorkCalendar
from trueup.core.database import Connection
from trueup.core.errors import Refusal, Refused
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Body, Statement
from trueup.stock.delivery import promise_by, promise_pickup
from trueup.stock.promise import (
    Destination,
    Incoming,
    Part,
    PromisedMethod,
    PromisedPickup,
    PromisePolicy,
    Shelf,
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

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class BasketLine(Body, frozen=True, forbid_unknown_fields=True):
    """What is wanted: any key of the item, and units above zero."""

    sku: Code
    quantity: Quantity


class Basket(Body, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What somebody would like to have. locations: codes that may serve; none named is all that are open.

    country, postcode: where to. methods: by name, of the policy `shipping`; none named is all of its methods.
    """

    lines: Annotated[tuple[BasketLine, ...], msgspec.Meta(min_length=1, max_length=200)]
    country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")] | None = None
    postcode: Annotated[str, msgspec.Meta(max_length=20)] | None = None
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


class Stocked(msgspec.Struct, frozen=True):
    """What was read of one item: units free by location, in the order of the locations; and what is to come where."""

    part: Part
    components: tuple[tuple[str, Decimal], ...]
    available: list[Decimal]
    incoming: dict[int, list[Incoming]]

    def shelf(self, at: int) -> Shelf:
        """Return what is free at the location of this place in their order."""
        return Shelf(self.available[at], tuple(self.incoming.get(at, ())))


_LOCATIONS = f"""select {", ".join(Location.__struct_fields__)} from location
    where %s::text[] is null or code = any(%s::text[]) order by id"""
# The locations as one row of the same shape as an item's, so that one statement answers.
_PLACES = """select null as key, null as id, null as sku, null::int as lead_days, null::jsonb as components, null,
        array_agg(id order by id), array_agg(code order by id), array_agg(open order by id)::text,
        array_agg(timezone order by id), null, null::text[], null::timestamptz[], null, null::text[]
    from location where %s::text[] is null or code = any(%s::text[])"""
# On hand less what is claimed and kept back, in the order of the locations; `at` only where some of them have no row.
_FREE = """select n.key, n.id, n.sku, n.lead_days, n.components, b.free,
        case when b.places < (select count(*) from location where %s::text[] is null or code = any(%s::text[]))
            then b.at end,
        x.at, x.units, w.at, w.units, s.at, s.due, s.units, s.reference
    from ({named}) n
    cross join lateral (
        select count(*) as places, array_agg(b.location order by b.location) as at,
            array_agg(b.on_hand - b.reserved - b.allocated - b.safety order by b.location)::text as free
        from stock_balance b where b.item = n.id
            and (%s::text[] is null or b.location = any(array(select id from location where code = any(%s::text[]))))
    ) b
    cross join lateral (
        select array_agg(x.location) as at, array_agg(x.quantity)::text as units
        from stock_expiring x where x.item = n.id and x.expires_at <= %s
    ) x
    cross join lateral (
        select array_agg(w.location) as at, array_agg(w.waiting)::text as units
        from stock_backlog w where w.item = n.id and w.waiting > 0
    ) w
    cross join lateral (
        select array_agg(s.location) as at, array_agg(s.due_at) as due, array_agg(s.reference) as reference,
            array_agg(s.open - s.pegged)::text as units
        from stock_supply s where s.item = n.id and s.open > 0 and s.open > s.pegged and s.due_at > %s
    ) s"""
_NAMED = "i.id, i.sku, i.lead_days, case when i.phantom then i.components end as components"
_FREE_BY_KEY = _FREE.format(
    named=f"""select k.key, {_NAMED} from unnest(%s::text[]) as w (key) join item_key k using (key)
        join item i on i.id = k.item"""
)
_PLACES_AND_FREE = f"{_PLACES} union all ({_FREE_BY_KEY})"
_FREE_BY_ID = _FREE.format(
    named=f"select i.id as key, {_NAMED} from unnest(%s::text[]) as w (id) join item i using (id)"
)


async def available(connection: Connection, basket: Basket, now: datetime) -> Available:
    """Return what a basket can have at each location, now and from when on: on hand less claims, safety stock and those
    who wait, and supply that is to come less what is pegged to it. Closed locations have figures, but no dates.

    Lines of one item count together. Lead times are no supply. Raises Refused for a name that nobody registered.
    """
    codes = list(basket.locations) or None
    free = _free(_PLACES_AND_FREE, codes, _keys(basket), now)
    rows = await _read(connection, Statement(free.sql, [codes, codes, *free.parameters]))
    ids, names, opened, zones = rows[0][6:10] if rows[0][6] else ([], [], "{}", [])
    _demand_places(basket, names)
    position = {id_: at for at, id_ in enumerate(ids)}
    found = _demand_items(basket, {row[0]: _stocked_of(row, position) for row in rows[1:]})
    parts = await _parts(connection, found, codes, position, now)
    days = {zone: now.astimezone(ZoneInfo(zone)).date() for zone in set(zones)}
    flags = opened[1:-1].split(",") if zones else []
    today = [days[zone] if flag == "t" else None for zone, flag in zip(zones, flags, strict=True)]
    needed: dict[str, tuple[Stocked, Decimal]] = {}
    for line in basket.lines:
        stock = found[line.sku]
        needed[stock.part.item] = (stock, needed.get(stock.part.item, (stock, ZERO))[1] + line.quantity)
    items = tuple(_item(stock, parts, units, today, zones, now) for stock, units in needed.values())
    whole = _dates_with_kits(basket, found, parts, today, zones, now) if parts else _all_of(items)
    return Available(tuple(names), whole, items)


async def promise(connection: Connection, basket: Basket, policies: Policies, now: datetime) -> Promised:
    """Return a basket's delivery dates by each shipping method, and its pickup days at each store that hands over.

    Raises Refused for an item, location or method that nobody registered.
    """
    codes = list(basket.locations) or None
    answers = await roundtrip(
        connection, [Statement(_LOCATIONS, [codes, codes]), _free(_FREE_BY_KEY, codes, _keys(basket), now)]
    )
    places = [location_of(row) for row in answers[0]]
    _demand_places(basket, [place.code for place in places])
    position = {place.id: at for at, place in enumerate(places)}
    found = _demand_items(basket, {row[0]: _stocked_of(row, position) for row in answers[1]})
    parts = await _parts(connection, found, codes, position, now)
    sites = [Site(place, policies.get(WorkCalendar, place.calendar)) for place in places]
    shelves = {
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
        tuple(promise_by(lines, sites, shelves, to, terms, method) for method in terms.methods),
        tuple(promise_pickup(lines, store, shelves, terms) for store in stores),
    )


def _free(sql: str, codes: list[str] | None, names: list[str], now: datetime) -> Statement:
    return Statement(sql, [codes, codes, names, codes, codes, now, now])


def _keys(basket: Basket) -> list[str]:
    for at, line in enumerate(basket.lines):
        if line.quantity <= 0:
            refusal = Refusal("stock.quantity", f"The quantity of {line.sku!r} is not above zero.",
                              "Ask for at least one unit.", f"lines[{at}].quantity", plain(line.quantity))  # fmt: skip
            raise Refused(refusal)
    return sorted({line.sku for line in basket.lines})


def _demand_places(basket: Basket, known: Sequence[str]) -> None:
    for at, code in enumerate(basket.locations):
        if code not in known:
            raise Refused(Refusal("catalogue.unknown_location", f"There is no location {code!r}.",
                                  "Register it first, or correct the code.", f"locations[{at}]", code))  # fmt: skip


def _demand_items(basket: Basket, found: dict[str, Stocked]) -> dict[str, Stocked]:
    for at, line in enumerate(basket.lines):
        if line.sku not in found:
            raise Refused(bad_line(f"lines[{at}]", line.sku, line.quantity, None))
    return found


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


async def _read(connection: Connection, statement: Statement) -> list[tuple[Any, ...]]:
    """Run one statement; a pipeline of one costs the asking process twice as much."""
    parameters = [literal(value) if type(value) is list else value for value in statement.parameters]
    cursor = await connection.execute(statement.sql, parameters, prepare=True, binary=True)
    return await cursor.fetchall()


async def _parts(
    connection: Connection, found: dict[str, Stocked], codes: list[str] | None, position: dict[str, int], now: datetime
) -> dict[str, Stocked]:
    """Read what kits without stock of their own are made of, by item."""
    ids = sorted({item for stock in found.values() for item, _ in stock.components})
    if not ids:
        return {}
    rows = await _read(connection, _free(_FREE_BY_ID, codes, ids, now))
    return {row[0]: _stocked_of(row, position) for row in rows}


def _stocked_of(row: tuple[Any, ...], position: dict[str, int]) -> Stocked:
    item, sku, lead_days, components, free, at, *others = row[1:]
    figures = list(map(_decimal, free[1:-1].split(","))) if free else []
    if at is not None or not figures:
        known = dict(zip(at or (), figures, strict=True))
        figures = [known.get(id_, ZERO) for id_ in position]
    expired_at, expired, waiting_at, waiting, supply_at, due, units, references = others
    for id_, quantity in _units_by(expired_at, expired):
        if id_ in position:
            figures[position[id_]] += quantity
    for id_, quantity in _units_by(waiting_at, waiting):
        if id_ in position:
            figures[position[id_]] -= quantity
    incoming: dict[int, list[Incoming]] = {}
    for (id_, quantity), moment, reference in zip(
        _units_by(supply_at, units), due or (), references or (), strict=True
    ):
        if id_ in position:
            incoming.setdefault(position[id_], []).append(Incoming(moment, quantity, reference))
    for expected in incoming.values():
        expected.sort(key=lambda entry: (entry.due_at, entry.reference))
    parts = tuple((part, Decimal(number)) for part, number in components or ())
    return Stocked(Part(item, sku, Decimal(1), lead_days), parts, figures, incoming)


_decimal = lru_cache(maxsize=10_000)(Decimal)
"""Stock figures are few and small: looking one up takes a third of the time that reading its digits does."""


def _units_by(ids: list[str] | None, units: str | None) -> Iterable[tuple[str, Decimal]]:
    return zip(ids, map(_decimal, units[1:-1].split(",")), strict=True) if ids and units else ()


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
    return AvailableItem(stock.part.sku, quantity, tuple(stock.available), tuple(dates))


def _kit(
    stock: Stocked,
    parts: dict[str, Stocked],
    quantity: Decimal,
    today: Sequence[date | None],
    zones: Sequence[str],
    now: datetime,
) -> AvailableItem:
    """Return a kit that has no stock of its own: at each location as many as its scarcest part is enough for."""
    made = [(parts[item], units) for item, units in stock.components]
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
    stocks = {stock.part.item: stock for stock in (*found.values(), *parts.values())}
    for line in basket.lines:
        stock = found[line.sku]
        for item, units in stock.components or ((stock.part.item, Decimal(1)),):
            needed[item] = needed.get(item, ZERO) + units * line.quantity
    items = [_item(stocks[item], {}, units, today, zones, now) for item, units in needed.items()]
    return _all_of(items)


def _wanted(number: int, line: BasketLine, stock: Stocked, parts: dict[str, Stocked]) -> Wanted:
    if not stock.components:
        return Wanted(number, stock.part.sku, line.quantity, (stock.part,))
    made = tuple(msgspec.structs.replace(parts[item].part, units=units) for item, units in stock.components)
    return Wanted(number, stock.part.sku, line.quantity, made, is_kit=True)


def _all_of(items: Sequence[AvailableItem]) -> tuple[date | None, ...]:
    """Return, of each location, the day from which all items are there; None where one never is."""
    columns: Iterable[tuple[date | None, ...]] = zip(*(item.dates for item in items), strict=True)
    return tuple(None if None in column else max(column) for column in columns)  # type: ignore[type-var]


def _whole(available: Decimal, units: Decimal) -> Decimal:
    return (available / units).to_integral_value(ROUND_FLOOR)


def _local(step: Step | None, zone: str) -> date | None:
    return step.at.astimezone(ZoneInfo(zone)).date() if step is not None else None
