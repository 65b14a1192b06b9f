"""Channel pools and confidence buffers: what one channel may claim that another may not. Behaviour 14's selling cap."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import cancel, order_of, receipt, rows
from tests.stock.test_freeze import frozen, publish, rule_of

from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import KitPart, RegisterItem, RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.policy import Active, Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Outcome
from trueup.orders.place import PlaceOrder
from trueup.sourcing.assign import AssignOrder
from trueup.stock import pools
from trueup.stock.limits import Buffer, Buffers, PoolMode
from trueup.stock.pools import Claimable, SetPool


async def pool(door: Door, channel: str, mode: PoolMode, units: int | None, sku: str = "MUG") -> Outcome:
    """Set a pool at MAIN."""
    quantity = None if units is None else Quantity(units)
    command = SetPool(location="MAIN", sku=sku, channel=channel, mode=mode, quantity=quantity)
    return await door.submit(SYSTEM, command, f"pool {channel} {mode} {units} {sku}")


_NUMBERS = itertools.count()


async def buys(door: Door, channel: str, **units: int) -> Outcome:
    """Place an order in a channel."""
    command = PlaceOrder(currency="EUR", lines=order_of(**units).lines, channel=channel)
    return await door.submit(SYSTEM, command, f"{channel} {units} {next(_NUMBERS)}")


async def used(url: str) -> dict[tuple[str, str], int]:
    """What each pool counts."""
    return {(c, m): int(u) for c, m, u in await rows(url, "select channel, mode, used from stock_pool")}


async def may_claim(url: str, clock: TurnedClock, channel: str, *documents: Any) -> Claimable:
    """What a channel may claim, as the read says it."""
    policies = Policies([Active("default", 1, b"", document) for document in documents])
    connection = await connect(url)
    try:
        found = await pools.claimable(connection, policies, "MUG", "MAIN", channel, clock.now())
    finally:
        await connection.close()
    assert found is not None
    return found


async def test_only_its_channel_sells_what_is_kept_for_it(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    expect_all([await pool(door, "store", "reserve", 6)])
    short = await buys(door, "web", MUG=5)
    assert rule_of(short) == "stock.short"
    assert short.refusal is not None
    assert "4 available" in short.refusal.what
    said = await may_claim(url, clock, "web")
    assert said.explanation == "10 on hand - 6 kept for channel store = 4 available"
    expect_all([await buys(door, "web", MUG=4), await buys(door, "store", MUG=5)])
    assert await used(url) == {("store", "reserve"): 5}
    assert rule_of(await buys(door, "web", MUG=1)) == "stock.short"
    expect_all([await buys(door, "store", MUG=1)])
    await prove(url)


async def test_a_channel_sells_no_more_than_its_cap_and_a_cancellation_gives_back(door: Door, url: str):
    await stocked(door, MUG=100)
    expect_all([await pool(door, "marketplace", "cap", 3)])
    first = await buys(door, "marketplace", MUG=2)
    assert rule_of(await buys(door, "marketplace", MUG=2)) == "stock.short"
    expect_all([await buys(door, "web", MUG=50)])
    assert await used(url) == {("marketplace", "cap"): 2}
    expect_all([await door.submit(SYSTEM, cancel(first.result["order"], line1=1), "cancel one")])
    assert await used(url) == {("marketplace", "cap"): 1}
    expect_all([await buys(door, "marketplace", MUG=2)])
    await prove(url)


async def test_a_pool_counts_what_was_claimed_before_it_was_set(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await buys(door, "store", MUG=4)).result["order"]
    expect_all([await pool(door, "store", "cap", 5)])
    assert await used(url) == {("store", "cap"): 4}
    assert rule_of(await buys(door, "store", MUG=2)) == "stock.short"
    outcomes = await door.submit_all(
        SYSTEM,
        [
            ("cancel", cancel(order, line1=3)),
            ("another pool", SetPool(location="MAIN", sku="MUG", channel="store", mode="reserve",
                                     quantity=Quantity(2))),
        ],
    )  # fmt: skip
    expect_all(outcomes)
    assert await used(url) == {("store", "cap"): 1, ("store", "reserve"): 1}, "in one batch, too"
    await prove(url)


async def test_a_pool_is_changed_and_ended(door: Door, url: str):
    await stocked(door, MUG=10)
    expect_all([await pool(door, "store", "reserve", 6)])
    assert (await pool(door, "store", "reserve", 6)).repeated
    same = SetPool(location="MAIN", sku="MUG", channel="store", mode="reserve", quantity=Quantity(6))
    assert (await door.submit(SYSTEM, same, "the same")).status == "merged"
    expect_all([await pool(door, "store", "reserve", 1), await buys(door, "web", MUG=9)])
    expect_all([await pool(door, "store", "reserve", None), await buys(door, "web", MUG=1)])
    assert await used(url) == {}
    await prove(url)


async def test_a_phantom_kit_is_capped_but_not_fenced(door: Door, url: str):
    await stocked(door, MUG=10)
    kit = RegisterItem(
        sku="PAIR", name="Pair", kind="kit", phantom=True, components=(KitPart(sku="MUG", quantity=Quantity(2)),)
    )
    expect_all([await door.submit(SYSTEM, kit, "kit")])
    assert rule_of(await pool(door, "web", "reserve", 1, "PAIR")) == "stock.phantom"
    expect_all([await pool(door, "web", "cap", 1, "PAIR")])
    assert await rows(url, "select per, used from stock_pool") == [(2, 0)]
    assert rule_of(await buys(door, "web", PAIR=2)) == "stock.short"
    sold = await buys(door, "web", PAIR=1)
    expect_all([sold])
    assert await rows(url, "select used from stock_pool") == [(1,)]
    assert rule_of(await buys(door, "web", PAIR=1)) == "stock.short"
    expect_all([await buys(door, "store", PAIR=2), await buys(door, "web", MUG=4)])
    expect_all([await door.submit(SYSTEM, cancel(sold.result["order"]), "cancel")])
    assert await rows(url, "select used from stock_pool") == [(0,)]
    expect_all([await buys(door, "web", PAIR=1)])
    await prove(url)


async def test_an_allocation_counts_in_the_channel_its_order_came_through(door: Door, url: str):
    await stocked(door, MUG=10)
    expect_all([await pool(door, "store", "cap", 5)])
    order = (await buys(door, "store", MUG=3)).result["order"]
    expect_all([await door.submit(SYSTEM, AssignOrder(order=order), "assign")])
    assert await rows(url, "select reserved, allocated from stock_balance") == [(0, 3)]
    assert await used(url) == {("store", "cap"): 3}
    await prove(url)


@pytest.mark.parametrize(
    ("buffer", "left"),
    [
        (Buffer(units=Quantity(3)), 7),
        (Buffer(percent=Quantity(20)), 8),
        (Buffer(units=Quantity(1), percent=Quantity(50)), 5),
        (Buffer(kinds=("store",), units=Quantity(3)), 10),
        (Buffer(kinds=("warehouse",), units=Quantity(3)), 7),
        (Buffer(groups=("east",), units=Quantity(3)), 7),
        (Buffer(groups=("west",), units=Quantity(3)), 10),
        (Buffer(categories=("cups",), units=Quantity(3)), 7),
        (Buffer(categories=("plates",), units=Quantity(3)), 10),
    ],
)
async def test_a_buffer_keeps_units_back_where_it_fits(
    door: Door, url: str, clock: TurnedClock, buffer: Buffer, left: int
):
    expect_all([await door.submit(SYSTEM, RegisterLocation(code="MAIN", name="Main", groups=("east",)), "place")])
    expect_all([await door.submit(SYSTEM, RegisterItem(sku="MUG", name="Mug", category="cups"), "mug")])
    await stocked_again(door)
    document = Buffers(buffers=(buffer,))
    assert int((await may_claim(url, clock, "web", document)).available) == left
    await publish(door, "buffers", buffers=[plain_of(buffer)])
    if left < 10:
        assert rule_of(await buys(door, "web", MUG=left + 1)) == "stock.short"
    expect_all([await buys(door, "web", MUG=left)])
    await publish(door, "buffers", buffers=[])
    if left < 10:
        expect_all([await buys(door, "web", MUG=10 - left)])
    await prove(url)


async def stocked_again(door: Door) -> None:
    """Receive ten mugs at MAIN, which was registered by the test."""
    expect_all([await door.submit(SYSTEM, receipt(10), "ten")])


def plain_of(buffer: Buffer) -> dict[str, Any]:
    """A buffer as it stands in a document."""
    listed = {name: list(getattr(buffer, name)) for name in ("kinds", "groups", "categories")}
    return {**listed, "units": str(buffer.units), "percent": str(buffer.percent)}


async def test_the_larger_of_two_buffers_holds_and_limits_add_up(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=20)
    await publish(door, "buffers", buffers=[{"units": "2"}, {"percent": "25"}])
    await publish(door, "freeze", sell_percent=50)
    expect_all([await pool(door, "store", "reserve", 6)])
    short = await buys(door, "web", MUG=10)
    assert short.refusal is not None
    assert "9 available" in short.refusal.what, "20 - 6 for the store - 5 buffer"
    await frozen(door)
    expect_all([await buys(door, "web", MUG=9)])
    assert rule_of(await buys(door, "store", MUG=2)) == "stock.short", "10 may be sold under the freeze, 9 are"
    expect_all([await buys(door, "store", MUG=1)])
    await prove(url)
