"""Reserving: refused whole, and what has expired does not count. Behaviours 3, 7, 13 and 15."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import adjust, cart_of, figures, order_of, receipt, rows

from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.stock import read
from trueup.stock.receive import SetSafetyStock
from trueup.stock.reserve import ReleaseReservation

SOON = START + timedelta(minutes=15)


async def available(url: str, clock: TurnedClock, sku: str = "MUG") -> int:
    connection = await connect(url)
    try:
        found = await read.availability(connection, Policies([]), sku, "MAIN", clock.now())
    finally:
        await connection.close()
    assert found is not None
    return int(found.available)


async def test_behaviour_13_reserving_more_than_there_is_is_refused_and_reserves_nothing(door: Door, url: str):
    await stocked(door, MUG=2)
    outcome = await door.submit(SYSTEM, cart_of(SOON, MUG=3), "cart")
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "stock.short"
    assert "2 available" in outcome.refusal.what
    assert await figures(url) == {"on_hand": 2, "reserved": 0, "owed": 0}
    await prove(url)


async def test_behaviour_3_a_cart_with_two_short_lines_is_refused_once_naming_both(door: Door, url: str):
    await stocked(door, MUG=2, PLATE=1, BOWL=9)
    outcome = await door.submit(SYSTEM, cart_of(SOON, MUG=3, PLATE=2, BOWL=1), "cart")
    assert outcome.refusal is not None
    assert [detail.where for detail in outcome.refusal.details] == ["lines[0].quantity", "lines[1].quantity"]
    assert await rows(url, "select * from stock_claim") == []
    await prove(url)


async def test_lines_of_one_item_draw_on_the_same_stock(door: Door, url: str):
    await stocked(door, MUG=5)
    lines = order_of(MUG=3).lines * 2
    outcome = await door.submit(SYSTEM, type(order_of(MUG=1))(currency="EUR", lines=lines), "twice")
    assert outcome.refusal is not None
    assert [detail.where for detail in outcome.refusal.details] == ["lines[1].quantity"]
    await prove(url)


async def test_behaviour_7_safety_stock_is_not_promised(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=3)
    await door.submit(SYSTEM, SetSafetyStock(location="MAIN", sku="MUG", quantity=Quantity(2)), "safety")
    assert await available(url, clock) == 1
    outcome = await door.submit(SYSTEM, order_of(MUG=2), "two")
    assert outcome.refusal is not None
    assert "1 available" in outcome.refusal.what
    assert (await door.submit(SYSTEM, order_of(MUG=1), "one")).status == "applied"
    await prove(url)


async def test_behaviour_15_an_expired_reservation_does_not_count(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await door.submit(SYSTEM, cart_of(SOON, MUG=8), "cart")
    assert await available(url, clock) == 2
    assert (await door.submit(SYSTEM, order_of(MUG=3), "too early")).status == "refused"
    clock.turn(timedelta(minutes=14, seconds=59))
    assert await available(url, clock) == 2
    clock.turn(timedelta(seconds=1))
    assert await available(url, clock) == 10, "nobody swept it"
    assert (await figures(url))["reserved"] == 8, "it is written off by the next batch that loads the balance"
    assert (await door.submit(SYSTEM, order_of(MUG=10), "in time")).status == "applied"
    assert (await figures(url))["reserved"] == 10
    assert await rows(url, "select * from stock_expiring") == []
    await prove(url)


async def test_behaviour_15_an_order_does_not_expire(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await door.submit(SYSTEM, order_of(MUG=8), "order")
    clock.turn(timedelta(days=3650))
    assert await available(url, clock) == 2
    assert (await door.submit(SYSTEM, order_of(MUG=3), "more")).status == "refused"
    await prove(url)


async def test_a_reservation_is_released_once(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10, PLATE=10)
    cart = (await door.submit(SYSTEM, cart_of(SOON, MUG=4, PLATE=1), "cart")).result["reservation"]
    assert (await door.submit(SYSTEM, ReleaseReservation(reservation=cart), "release")).status == "applied"
    assert (await door.submit(SYSTEM, ReleaseReservation(reservation=cart), "again")).status == "merged"
    clock.turn(timedelta(hours=1))
    assert (await door.submit(SYSTEM, order_of(MUG=10, PLATE=10), "all")).status == "applied"
    await prove(url)


async def test_a_reservation_released_after_its_expiry_is_merged(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    cart = (await door.submit(SYSTEM, cart_of(SOON, MUG=4), "cart")).result["reservation"]
    clock.turn(timedelta(hours=1))
    assert (await door.submit(SYSTEM, ReleaseReservation(reservation=cart), "late")).status == "merged"
    assert await figures(url) == {"on_hand": 10, "reserved": 0, "owed": 0}
    await prove(url)


async def test_an_order_is_not_released_like_a_cart(door: Door):
    await stocked(door, MUG=10)
    order = (await door.submit(SYSTEM, order_of(MUG=4), "order")).result["order"]
    outcome = await door.submit(SYSTEM, ReleaseReservation(reservation=order), "release")
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "stock.not_a_reservation"


@pytest.mark.parametrize("expires_at", [START, START - timedelta(days=1), SOON.replace(tzinfo=None)])
async def test_a_cart_expires_in_the_future_in_a_zone(door: Door, expires_at):
    await stocked(door, MUG=10)
    outcome = await door.submit(SYSTEM, cart_of(expires_at, MUG=1), "cart")
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "stock.expiry_past"


async def test_a_lost_unit_that_was_promised_is_owed_until_stock_covers_it(door: Door, url: str):
    await stocked(door, MUG=10)
    await door.submit(SYSTEM, order_of(MUG=8), "order")
    await door.submit(SYSTEM, adjust(-5), "lost")
    assert await figures(url) == {"on_hand": 5, "reserved": 8, "owed": 3}
    assert (await door.submit(SYSTEM, order_of(MUG=1), "more")).status == "refused"
    await door.submit(SYSTEM, receipt(2), "some")
    assert await figures(url) == {"on_hand": 7, "reserved": 8, "owed": 1}
    await door.submit(SYSTEM, receipt(4), "rest")
    assert await figures(url) == {"on_hand": 11, "reserved": 8, "owed": 0}
    await prove(url)
