"""Assembled kits have stock of their own, phantom kits have none. Behaviour 14."""

from __future__ import annotations

from datetime import timedelta

from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import adjust, cancel, cart_of, order_of, receipt
from tests.stock.depth import balance, cases, done, item, lots, lots_of, places, refused, restate, ship, tell

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.stock.count import CountedLine, CountStock
from trueup.stock.kits import AssembleKits, DisassembleKits


def make(units: int, sku: str = "BOX") -> AssembleKits:
    return AssembleKits(location="MAIN", sku=sku, quantity=Quantity(units), reference="W-1")


def take_apart(units: int) -> DisassembleKits:
    return DisassembleKits(location="MAIN", sku="BOX", quantity=Quantity(units), reference="W-2")


async def test_behaviour_14_components_leave_when_a_kit_is_assembled(door: Door, url: str):
    await stocked(door, MUG=20, CARD=30)
    await item(door, "BOX", kind="kit", parts={"MUG": 2, "CARD": 1})
    await done(door, make(10))
    assert await balance(url, "BOX") == {"on_hand": 10}
    assert (await balance(url), await balance(url, "CARD")) == ({}, {"on_hand": 20})
    await done(door, order_of(BOX=1))
    assert await balance(url, "BOX") == {"on_hand": 10, "reserved": 1}
    assert await balance(url) == {}, "selling an assembled kit touches no mug"
    await done(door, take_apart(9))
    assert (await balance(url, "BOX"), await balance(url)) == ({"on_hand": 1, "reserved": 1}, {"on_hand": 18})
    assert await refused(door, take_apart(1)) == "stock.short"
    await prove(url)


async def test_it_refuses_when_components_are_short_naming_each_and_leaves_promises_alone(door: Door, url: str):
    await stocked(door, MUG=20, CARD=3)
    await item(door, "BOX", kind="kit", parts={"MUG": 2, "CARD": 1})
    await done(door, order_of(MUG=13))
    outcome = await tell(door, make(4))
    assert outcome.refusal is not None
    assert [detail.what for detail in outcome.refusal.details] == [
        "MUG: 8 asked, 7 available", "CARD: 4 asked, 3 available"
    ]  # fmt: skip
    assert await balance(url) == {"on_hand": 20, "reserved": 13}
    assert await refused(door, make(1, "MUG")) == "stock.not_a_kit"
    assert await refused(door, make(0)) == "stock.quantity"
    await done(door, make(3))
    await prove(url)


async def test_behaviour_14_a_phantom_kit_is_not_received_adjusted_counted_moved_or_assembled(door: Door, url: str):
    await stocked(door, MUG=300)
    await places(door, "SHOP")
    await item(door, "PAIR", kind="kit", phantom=True, parts={"MUG": 2})
    count = CountStock(location="MAIN", lines=(CountedLine("PAIR", Quantity(1)),), reference="C", counted_at=START)
    commands = (
        receipt(1, "PAIR"), adjust(1, "PAIR"), count, restate(1, "available", "damaged", "PAIR"), ship(PAIR=1),
        make(1, "PAIR"),
    )  # fmt: skip
    for command in commands:
        outcome = await tell(door, command)
        assert outcome.refusal is not None, command
        assert (outcome.refusal.rule, "MUG" in outcome.refusal.fix) == ("stock.phantom", True)
    assert await balance(url, "PAIR") == {}
    await prove(url)


async def test_tracked_components_go_first_expired_first_and_come_back_unidentified(door: Door, url: str):
    await places(door, "MAIN")
    await item(door, "MILK", tracking="lot")
    await item(door, "BOX", kind="kit", parts={"MILK": 2})
    await done(door, lots(("L1", 5, START.date()), ("L2", 5, None)))
    await done(door, make(3))
    assert await lots_of(url) == {"L2": 4}
    await done(door, take_apart(1))
    assert await lots_of(url) == {"?": 2, "L2": 4}
    assert await cases(url) == ["stock_lot"]
    await prove(url)


async def test_behaviour_14_a_phantom_kit_whole_300_mugs_are_150_kits(door: Door, url: str, clock: TurnedClock):
    """Selling one leaves 298 mugs, cancelling restores 300; a cart holds a kit by its parts."""
    await stocked(door, MUG=300)
    await item(door, "PAIR", kind="kit", phantom=True, parts={"MUG": 2})
    assert await refused(door, order_of(PAIR=151)) == "stock.short"
    assert await balance(url) == {"on_hand": 300}
    sold = await done(door, order_of(PAIR=1))
    assert await balance(url) == {"on_hand": 300, "reserved": 2}, "298 are left to sell"
    assert await refused(door, order_of(MUG=299)) == "stock.short"
    await done(door, cancel(sold.result["order"]))
    assert await balance(url) == {"on_hand": 300}
    await done(door, cart_of(clock.now() + timedelta(minutes=5), PAIR=150))
    assert await balance(url) == {"on_hand": 300, "reserved": 300}
    assert await refused(door, cart_of(clock.now() + timedelta(minutes=5), PAIR=1)) == "stock.short"
    clock.turn(timedelta(minutes=6))
    await done(door, order_of(PAIR=150))
    await prove(url)


async def test_a_charge_is_not_reserved(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=3)
    await item(door, "WRAP", kind="charge")
    assert await refused(door, cart_of(clock.now() + timedelta(minutes=5), MUG=1, WRAP=1)) == "stock.charge"
    assert await balance(url) == {"on_hand": 3}
    await prove(url)
