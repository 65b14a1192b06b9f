"""What a basket can have, read from the tables: figures, dates, methods and pickup; nothing is promised twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.conftest import START, expect_all, stocked
from tests.proof import prove
from tests.requests import cart_of
from tests.stock.pegging import Arrive, Yard, pegging_house

from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import KitPart, RegisterItem, RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.errors import Refused
from trueup.core.policy import Active, Policies, digest
from trueup.core.quantity import Quantity
from trueup.stock import promising
from trueup.stock.promise import ShippingMethods
from trueup.stock.promising import Available, Basket, BasketLine, Promised
from trueup.stock.receive import SetSafetyStock


@pytest.fixture
async def yard(url: str, clock: TurnedClock) -> AsyncIterator[Yard]:
    async with Door(url, pegging_house(), clock=clock) as door:
        await stocked(door, MUG=10, PLATE=4)
        await stocked(door, location="STORE", BOWL=1)
        yield Yard(door)


def basket(*locations: str, methods: tuple[str, ...] = (), **units: int) -> Basket:
    lines = tuple(BasketLine(sku, Quantity(count)) for sku, count in units.items())
    return Basket(lines=lines, locations=locations, methods=methods)


async def ask(url: str, wanted: Basket, clock: TurnedClock) -> Available:
    connection = await connect(url, default_transaction_read_only="on")
    try:
        return await promising.available(connection, wanted, Policies([]), clock.now())
    finally:
        await connection.close()


async def promise(url: str, wanted: Basket, clock: TurnedClock, policies: Policies | None = None) -> Promised:
    connection = await connect(url, default_transaction_read_only="on")
    try:
        return await promising.promise(connection, wanted, policies or Policies([]), clock.now())
    finally:
        await connection.close()


def at(found: Available, code: str, sku: str = "MUG") -> tuple[int, str | None]:
    place = found.locations.index(code)
    item = next(item for item in found.items if item.sku == sku)
    day = item.dates[place]
    return int(item.available[place]), day.isoformat() if day is not None else None


async def test_claims_safety_stock_and_those_who_wait_come_off_what_is_free(yard: Yard, url: str, clock: TurnedClock):
    await yard.act(cart_of(START + timedelta(hours=1), MUG=3))
    await yard.act(SetSafetyStock(location="MAIN", sku="MUG", quantity=Quantity(2)))
    assert at(await ask(url, basket(MUG=5), clock), "MAIN") == (5, "2026-03-02")
    assert at(await ask(url, basket(MUG=6), clock), "MAIN") == (5, None)
    await yard.backorder(4)
    assert at(await ask(url, basket(MUG=2), clock), "MAIN") == (1, None), "who waits undated goes first"
    clock.turn(timedelta(hours=1))
    assert at(await ask(url, basket(MUG=4), clock), "MAIN") == (4, "2026-03-02"), "an expired cart holds nothing"
    assert at(await ask(url, basket(MUG=1), clock), "STORE") == (0, None), "a place that never had the item"
    await prove(url)


async def test_dated_supply_less_its_pegs_gives_later_dates(yard: Yard, url: str, clock: TurnedClock):
    await yard.expect(6, "2026-03-10")
    await yard.expect(5, "2026-03-20", "PO-2")
    await yard.backorder(4)
    found = [at(await ask(url, basket(MUG=units), clock), "MAIN") for units in (10, 12, 13, 17, 18)]
    assert [day for _, day in found] == ["2026-03-02", "2026-03-10", "2026-03-20", "2026-03-20", None]
    clock.turn(timedelta(days=10))
    assert at(await ask(url, basket(MUG=12), clock), "MAIN") == (10, "2026-03-20"), "overdue supply promises nothing"
    await prove(url)


async def test_units_that_came_in_are_of_those_who_wait_for_them(yard: Yard, url: str, clock: TurnedClock):
    await yard.expect(6, "2026-03-10")
    await yard.backorder(4)
    await yard.act(Arrive(sku="MUG", quantity=Quantity(6), reference="PO-1"))
    assert at(await ask(url, basket(MUG=12), clock), "MAIN") == (12, "2026-03-02"), "16 on hand, 4 of them awaited"
    assert at(await ask(url, basket(MUG=13), clock), "MAIN") == (12, None)
    await prove(url)


async def test_the_basket_is_there_with_its_last_item_and_nowhere_where_one_is_missing(
    yard: Yard, url: str, clock: TurnedClock
):
    await yard.expect(5, "2026-03-10", sku="PLATE")
    found = await ask(url, basket(MUG=1, PLATE=6), clock)
    assert {code: day and day.day for code, day in zip(found.locations, found.dates, strict=True)} == {
        "MAIN": 10,
        "STORE": None,
    }
    named = await ask(url, basket("STORE", MUG=1), clock)
    assert named.locations == ("STORE",)
    twice = Basket(lines=(BasketLine("MUG", Quantity(6)), BasketLine("MUG", Quantity(6))))
    assert (await ask(url, twice, clock)).dates == (None, None), "lines of one item count together"


async def test_a_closed_location_has_figures_but_no_date(yard: Yard, url: str, clock: TurnedClock):
    await yard.act(RegisterLocation(code="SHUT", name="Shut", open=False))
    await yard.act(Arrive(sku="MUG", quantity=Quantity(6), reference="PO", location="SHUT"))
    assert at(await ask(url, basket(MUG=1), clock), "SHUT") == (6, None)
    found = await promise(url, basket("SHUT", MUG=1), clock)
    assert found.methods[0].delivers_on is None


async def test_a_phantom_kit_is_as_good_as_its_scarcest_part(yard: Yard, url: str, clock: TurnedClock):
    parts = (KitPart(sku="MUG", quantity=Quantity(2)), KitPart(sku="PLATE", quantity=Quantity(1)))
    await yard.act(RegisterItem(sku="SET", name="Set", kind="kit", phantom=True, components=parts))
    found = await ask(url, basket(SET=4), clock)
    assert at(found, "MAIN", "SET") == (4, "2026-03-02")
    assert found.items[0].limited_by is not None
    assert "PLATE" in found.items[0].limited_by
    assert at(await ask(url, basket(SET=5), clock), "MAIN", "SET") == (4, None)
    shared = await ask(url, basket(SET=4, PLATE=1), clock)
    assert shared.dates == (None, None), "the last plate is in the last set"
    made = await promise(url, basket(SET=4), clock)
    assert made.methods[0].delivers_on is not None
    assert (await promise(url, basket(SET=4, MUG=3), clock)).methods[0].lines[1].missing == 1


async def test_a_promise_is_by_method_and_by_store(yard: Yard, url: str, clock: TurnedClock):
    await yard.act(RegisterLocation(code="STORE", name="Store", kind="store", pickup=True))
    document = {
        "methods": [
            {"name": "standard", "carrier": "Post", "lanes": [{"days": 3}]},
            {"name": "express", "carrier": "Courier", "lanes": [{"days": 1}]},
        ]
    }
    await yard.act(PublishPolicy(policy_kind="shipping", policy_name="default", document=document, reason="a test"))
    body = msgspec.json.encode(document)
    active = Active("default", 1, digest(body), msgspec.json.decode(body, type=ShippingMethods))
    found = await promise(url, basket(BOWL=1), clock, Policies([active]))
    assert [(m.method, m.delivers_on and m.delivers_on.day) for m in found.methods] == [("standard", 5), ("express", 3)]
    assert [(pickup.location, pickup.ready_on and pickup.ready_on.day) for pickup in found.pickup] == [("STORE", 2)]
    one = await promise(url, basket(BOWL=1, methods=("express",)), clock, Policies([active]))
    assert [method.method for method in one.methods] == ["express"]
    with pytest.raises(Refused, match="no shipping method"):
        await promise(url, basket(BOWL=1, methods=("balloon",)), clock, Policies([active]))


async def test_it_refuses_names_that_nobody_registered(yard: Yard, url: str, clock: TurnedClock):
    wrong: list[tuple[Any, str]] = [
        (basket(GHOST=1), "No item answers"),
        (basket("NOWHERE", MUG=1), "no location"),
        (basket(MUG=0), "not above zero"),
    ]
    for asked, words in wrong:
        for question in (ask, promise):
            with pytest.raises(Refused, match=words):
                await question(url, asked, clock)


async def test_reading_is_not_thrown_by_many_places_and_aliases(yard: Yard, url: str, clock: TurnedClock):
    places = [(f"L{n}", RegisterLocation(code=f"L{n}", name="x", timezone="Pacific/Auckland")) for n in range(7)]
    expect_all(await yard.door.submit_all(SYSTEM, places))
    await yard.act(RegisterItem(sku="MUG", name="Mug", aliases=("mug, blue",)))
    await yard.act(Arrive(sku="MUG", quantity=Quantity(6), reference="PO", location="L3"))
    wanted = Basket(lines=(BasketLine("mug, blue", Quantity(6)), BasketLine("MUG", Quantity(1))))
    found = await ask(url, wanted, clock)
    assert len(found.locations) == 9
    assert at(found, "MAIN") == (10, "2026-03-02")
    assert at(found, "L3") == (6, None), "7 together"
    assert at(found, "L2") == (0, None)
