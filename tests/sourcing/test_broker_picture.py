"""What a picture of many orders calls free is what the stock's own rule would give them; it reads no balance raw."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.conftest import START, expect_all, stocked
from tests.requests import cancel
from tests.sourcing.words import act, assigned, placed, publish
from tests.stock.depth import lots
from tests.stock.test_freeze import frozen
from tests.stock.test_freeze import publish as publish_plain

from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.house import build
from trueup.orders.channel import Channel
from trueup.orders.hold import PlaceHold
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.sourcing.picture import Picture, recent_picture, unassigned_picture
from trueup.stock.limits import Buffer, Buffers
from trueup.stock.pools import SetPool
from trueup.stock.receive import ReceivedLine, ReceiveStock


async def pictured(url: str, clock: TurnedClock, *, sourced: bool = False) -> Picture:
    """The picture of the orders that wait, or of those that were sourced."""
    connection = await connect(url)
    try:
        policies = (await build().load_standing(connection)).policies
        read = recent_picture if sourced else unassigned_picture
        return await read(connection, policies, clock.now(), 100)
    finally:
        await connection.close()


async def free(url: str, clock: TurnedClock, *, sourced: bool = False) -> list[Decimal]:
    """The units that are free at each place of the picture."""
    return list((await pictured(url, clock, sourced=sourced)).free.values())


async def test_a_freeze_s_cap_is_not_planned_beyond(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await placed(door, MUG=2)
    await publish_plain(door, "freeze", sell_units="1")
    await frozen(door)
    assert await free(url, clock) == [3], "the one unit that may still be sold, and the two it has reserved"
    clock.turn(timedelta(hours=9))
    assert await free(url, clock) == [10], "the freeze has ended by itself"


async def test_what_is_kept_for_another_channel_is_not_planned_with(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await placed(door, MUG=2)
    kept = SetPool(location="MAIN", sku="MUG", channel="store", mode="reserve", quantity=Quantity(6))
    expect_all([await act(door, kept)])
    assert await free(url, clock) == [4]
    line = PlaceLine("MUG", Quantity(1), Amount("10.00"))
    expect_all([await act(door, PlaceOrder(currency="EUR", lines=(line,), channel="store"))])
    assert await free(url, clock) == [10], "the channel of the orders that may take most"


async def test_a_confidence_buffer_is_not_planned_with(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await placed(door, MUG=2)
    await publish(door, "default", Buffers(buffers=(Buffer(units=Quantity(3)),)))
    assert await free(url, clock) == [7]


async def test_an_expired_lot_is_not_planned_with(door: Door, url: str, clock: TurnedClock):
    place, milk = (
        RegisterLocation(code="MAIN", name="Main"),
        RegisterItem(sku="MILK", name="Milk", tracking="lot", expires=True),
    )
    expect_all([await act(door, place), await act(door, milk)])
    today = START.date()
    expect_all([await act(door, lots(("L1", 5, today), ("L2", 3, today + timedelta(days=30))))])
    await placed(door, MILK=2)
    assert await free(url, clock) == [8]
    clock.turn(timedelta(days=1))
    assert await free(url, clock) == [3]


async def test_what_came_in_is_planned_for_those_who_wait_for_it_and_for_nobody_else(
    door: Door, url: str, clock: TurnedClock
):
    await stocked(door, MUG=0)
    await publish(door, "web", Channel(short="backorder"))
    waits = await placed(door, "waits", MUG=2)
    comes = ReceiveStock(location="MAIN", lines=(ReceivedLine("MUG", Quantity(3)),), reference="more")
    expect_all([await act(door, comes)])
    await placed(door, "late", MUG=1)
    assert await free(url, clock) == [3], "both wait: two units are the first one's, one is free"
    expect_all([await act(door, PlaceHold(order=waits, type="manual", reason="ask the customer"))])
    assert await free(url, clock) == [1], "what another one waits for is not planned with"
    expect_all([await act(door, cancel(waits))])
    assert await free(url, clock) == [3]


@pytest.mark.parametrize(("sourced", "units"), [(False, [3]), (True, [5])])
async def test_what_is_allocated_is_given_back_only_where_the_orders_are_sourced_anew(
    door: Door, url: str, clock: TurnedClock, sourced: bool, units: list[int]
):
    await stocked(door, MUG=2)
    await publish(door, "web", Channel(short="backorder"))
    order = await placed(door, MUG=9)
    await assigned(door, order)
    comes = ReceiveStock(location="MAIN", lines=(ReceivedLine("MUG", Quantity(3)),), reference="more")
    expect_all([await act(door, comes)])
    assert await free(url, clock, sourced=sourced) == units
