"""What is told is what is granted: every read of availability, against what a request gets, in random shops."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import cart_of
from tests.stock.depth import done, item, lots, tell
from tests.stock.test_freeze import frozen, publish

from trueup.core.batch import House
from trueup.core.clock import TurnedClock
from trueup.core.database import Connection, connect
from trueup.core.door import Door
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity, plain
from trueup.core.verb import Outcome
from trueup.house import build
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.stock import pools, promising, read
from trueup.stock.kept_shelves import Shelves
from trueup.stock.pools import SetPool
from trueup.stock.promising import Basket, BasketLine
from trueup.stock.receive import ReceivedLine, ReceiveStock, SetSafetyStock
from trueup.stock.reserve import ReserveLine, ReserveStock

SKUS = ("MUG", "CUP", "PEN", "JAR", "MILK", "BOX")
UNPOOLED = ("PEN", "MILK")
CHANNELS = ("web", "store", "market")


async def policies_of(connection: Connection) -> Policies:
    """The policies in force."""
    house: House = build()
    standing = await house.load_standing(connection)
    policies: Policies = standing.policies
    return policies


def order(channel: str, sku: str, units: Decimal | int) -> PlaceOrder:
    """An order of one line."""
    return PlaceOrder(currency="EUR", channel=channel, lines=(PlaceLine(sku, Quantity(units), Decimal(1)),))  # type: ignore[arg-type]


async def shop(door: Door, chance: random.Random, clock: TurnedClock, *, buffered: bool, stopped: bool) -> None:
    """Fill a shop at random: claims, carts that end, safety stock, pools, a buffer, lots, who waits, a freeze."""
    units: dict[str, Any] = {sku: chance.randint(0, 30) + 20 * (sku == "PEN") for sku in SKUS if sku != "MILK"}
    await stocked(door, **units)
    await item(door, "MILK", tracking="lot", expires=True)
    day = clock.now().date()
    await done(door, lots(("L1", chance.randint(1, 9), day - timedelta(days=1)), ("L2", 9, day + timedelta(days=9))))
    await publish(door, "channel", "market", short="backorder")
    for sku in SKUS:
        ends = clock.now() + timedelta(minutes=chance.choice((5, 60)))
        await tell(door, cart_of(ends, **{sku: chance.randint(1, 3)}))
        await tell(door, order(chance.choice(CHANNELS), sku, chance.randint(1, 9)))
        if sku != "PEN" and chance.random() < 0.5:
            await tell(door, order("market", sku, 25))
            await done(door, ReceiveStock(location="MAIN", lines=(ReceivedLine(sku, Quantity(20)),), reference="more"))
        if chance.random() < 0.5:
            await tell(door, SetSafetyStock(location="MAIN", sku=sku, quantity=Quantity(chance.randint(1, 4))))
        for channel in CHANNELS[:2] if sku not in UNPOOLED else ():
            mode: Any = chance.choice(("reserve", "cap", None, None))
            if mode is not None:
                size = Quantity(chance.randint(1, 8))
                await tell(door, SetPool(location="MAIN", sku=sku, channel=channel, mode=mode, quantity=size))
    if buffered:
        await publish(door, "buffers", buffers=[{"units": "1", "percent": str(chance.choice((0, 20)))}])
    clock.turn(timedelta(minutes=10))
    if stopped:
        await publish(door, "freeze", sell_percent=30)
        await frozen(door)


# Four shops have every pair of buffer and freeze; `make test-crash` asks in sixteen.
SHOPS = [*range(4), *(pytest.param(seed, marks=pytest.mark.crash) for seed in range(4, 16))]


@pytest.mark.parametrize("seed", SHOPS)
async def test_one_unit_more_than_is_told_is_refused_and_what_is_told_is_granted(
    door: Door, url: str, clock: TurnedClock, seed: int
):
    chance = random.Random(seed)
    await shop(door, chance, clock, buffered=seed % 4 in (1, 3), stopped=seed % 4 in (2, 3))
    await publish(door, "channel", "market", short="refuse")
    connection = await connect(url)
    shelves = Shelves()
    try:
        policies = await policies_of(connection)
        for sku in SKUS:
            channel = chance.choice(("", *CHANNELS))
            told = await every_answer(connection, policies, sku, channel, clock, shelves)
            assert len(set(told.values())) == 1, (sku, channel, told)
            units = max(next(iter(told.values())), Decimal(0))
            over = await ask_for(door, sku, channel, units + 1, clock)
            assert over.refusal is not None, (sku, channel, told)
            assert f"{sku}: {plain(units + 1)} asked, {plain(units)} available" in over.refusal.what
            if units:
                granted = await ask_for(door, sku, channel, units, clock)
                assert granted.refusal is None, (sku, channel, told, granted.refusal)
    finally:
        await connection.close()
    await prove(url)


async def every_answer(
    connection: Connection, policies: Policies, sku: str, channel: str, clock: TurnedClock, shelves: Shelves
) -> dict[str, Decimal]:
    """What each read says of a channel's availability; those that know no channel are asked for none."""
    now = clock.now()
    basket = Basket(lines=(BasketLine(sku, Quantity(1)),), channel=channel)
    claimable = await pools.claimable(connection, policies, sku, "MAIN", channel, now)
    assert claimable is not None
    told = {
        "claimable": claimable.available,
        "tables": (await promising.available(connection, basket, policies, now)).items[0].available[0],
        "kept": (await promising.available(connection, basket, policies, now, shelves)).items[0].available[0],
    }
    if not channel:
        at_main = await read.availability(connection, policies, sku, "MAIN", now)
        everywhere = await read.everywhere(connection, policies, sku, now)
        listed = await read.balances(connection, policies, read.StockQuery(search=sku), now)
        assert at_main is not None
        assert everywhere == listed.items == (at_main,)
        assert f"= {plain(at_main.available)} available" in at_main.explanation
        told["read"] = at_main.available
        sums = at_main.on_hand - at_main.expired_lots - at_main.reserved - at_main.allocated - at_main.safety
        assert at_main.available <= sums - at_main.waiting - at_main.kept
    return told


async def ask_for(door: Door, sku: str, channel: str, units: Decimal, clock: TurnedClock) -> Outcome:
    """Order units in a channel, or reserve them for nobody in particular."""
    if channel:
        return await tell(door, order(channel, sku, units))
    lines = (ReserveLine(sku, Quantity(units)),)
    return await tell(door, ReserveStock(location="MAIN", lines=lines, expires_at=clock.now() + timedelta(hours=1)))


async def test_the_explanation_names_all_that_is_kept_back(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=0)
    await publish(door, "channel", "market", short="backorder")
    await publish(door, "buffers", buffers=[{"units": "2"}])
    expect = await tell(door, order("market", "MUG", 3))
    assert expect.result["short"]
    await done(door, ReceiveStock(location="MAIN", lines=(ReceivedLine("MUG", Quantity(20)),), reference="more"))
    await done(door, SetPool(location="MAIN", sku="MUG", channel="store", mode="reserve", quantity=Quantity(4)))
    connection = await connect(url)
    try:
        policies = await policies_of(connection)
        told = await read.availability(connection, policies, "MUG", "MAIN", clock.now())
    finally:
        await connection.close()
    assert told is not None
    assert told.explanation == (
        "20 on hand - 4 kept for channel store - 2 confidence buffer - 3 for those who wait already = 11 available"
    )
    assert (int(told.waiting), int(told.kept)) == (3, 6)
