"""Two routing policies on the same recent orders: what would differ, and nothing is written."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from tests.conftest import stocked
from tests.requests import rows
from tests.sourcing.words import assigned, by, placed, publish

from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.orders.channel import Channel
from trueup.sourcing.policy import Rule
from trueup.sourcing.simulate import simulate


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
        found = await simulate(connection, first, then, clock.now())
        same = await simulate(connection, first, first, clock.now())
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
