"""Two routing policies on the same recent orders: what would differ, and nothing is written."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.conftest import stocked
from tests.requests import rows
from tests.sourcing.words import assigned, by, placed, publish

from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.house import build
from trueup.orders.channel import Channel
from trueup.sourcing import simulate as simulation
from trueup.sourcing.picture import Picture
from trueup.sourcing.policy import Routing, Rule
from trueup.sourcing.route import Route
from trueup.sourcing.simulate import simulate, walk


async def test_it_tells_which_orders_come_out_differently_and_writes_nothing(door: Door, url: str, clock: TurnedClock):
    await stocked(door, location="A", MUG=5, CUP=5)
    await stocked(door, location="B", MUG=5)
    await publish(door, "web", Channel(locations=("A", "B")))
    first = by(Rule("A first", sort=("priority",), ranking=("A", "B"), otherwise="partial"))
    then = by(Rule("B first", sort=("priority",), ranking=("B", "A"), otherwise="partial"))
    await publish(door, "default", first)
    orders = []
    for number, units in enumerate(({"MUG": 2}, {"CUP": 1}, {"MUG": 7})):
        clock.turn(timedelta(minutes=1))
        orders.append(await placed(door, f"order {number}", **units))
        await assigned(door, orders[-1])
    before = await rows(url, "select count(*), max(position) from journal")
    connection = await connect(url, default_transaction_read_only="on")
    try:
        policies = (await build().load_standing(connection)).policies
        found = await simulate(connection, policies, then, clock.now())
        same = await simulate(connection, policies, first, clock.now())
    finally:
        await connection.close()
    assert (same.differing, same.current) == (0, same.proposed)
    assert {(d.order, d.current, d.proposed) for d in found.orders} == {
        (orders[0], ("A: 1 x 2",), ("B: 1 x 2",)),
        (orders[2], ("A: 1 x 3", "B: 1 x 4"), ("A: 1 x 4", "B: 1 x 3")),
    }
    assert (found.current.orders, found.current.whole, found.current.split) == (3, 2, 1)
    assert found.current.parts == 4
    assert found.current.cost == Decimal("27.00"), "four parcels of 6.00, one of them a split of 3.00"
    assert found.current.units_short == 0
    assert await rows(url, "select count(*), max(position) from journal") == before


async def test_the_server_goes_on_answering_while_it_compares(
    door: Door, url: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
):
    """The walk waits until another coroutine has had its turn, which it could never do on the loop's own thread."""
    await stocked(door, MUG=5)
    order = await placed(door, MUG=2)
    await assigned(door, order)
    walking, answered, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()
    waited: list[bool] = []

    def slow(picture: Picture, policy: Routing) -> dict[str, Route]:
        loop.call_soon_threadsafe(walking.set)
        waited.append(answered.wait(10))
        return walk(picture, policy)

    async def another() -> None:
        await walking.wait()
        answered.set()

    monkeypatch.setattr(simulation, "walk", slow)
    connection = await connect(url)
    try:
        policies = (await build().load_standing(connection)).policies
        comparing = asyncio.ensure_future(simulate(connection, policies, Routing(), clock.now()))
        await another()
        found = await comparing
    finally:
        await connection.close()
    assert waited == [True, True]
    assert found.current.whole == 1
