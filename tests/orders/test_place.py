"""Placing an order: all or nothing, and told the same again. Behaviours 3 and 13."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal

import msgspec
import pytest
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import order_of, rows

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.orders.place import PlaceLine
from trueup.stock.receive import ReceivedLine, ReceiveStock


async def test_it_places_and_tells_the_same_again(door: Door) -> None:
    await stocked(door, MUG=10)
    first = await door.submit(SYSTEM, order_of(MUG=3), "one")
    again = await door.submit(SYSTEM, order_of(MUG=3), "one")
    assert first.status == "applied"
    assert again.result == first.result
    assert again.repeated


async def test_it_refuses_once_naming_every_short_line(door: Door) -> None:
    await stocked(door, MUG=2, PLATE=1, BOWL=9)
    outcome = await door.submit(SYSTEM, order_of(MUG=3, PLATE=2, BOWL=1), "short")
    assert outcome.status == "refused"
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "stock.short"
    assert [detail.where for detail in outcome.refusal.details] == ["lines[0].quantity", "lines[1].quantity"]
    rest = await door.submit(SYSTEM, order_of(MUG=2, PLATE=1, BOWL=9), "all of it")
    assert rest.status == "applied", "nothing was reserved by the refused order"


async def test_a_number_of_another_system_is_taken_once(door: Door, url: str) -> None:
    await stocked(door, MUG=10)
    command = msgspec.structs.replace(order_of(MUG=1), external_ids={"shop": "1001"})
    first = await door.submit(SYSTEM, command, "one")
    second = await door.submit(SYSTEM, command, "two")
    assert (first.status, second.status) == ("applied", "refused")
    assert second.refusal is not None
    assert (second.refusal.rule, second.refusal.where) == ("orders.number_taken", "external_ids.shop")
    await prove(url)


async def test_a_number_sent_to_two_doors_at_once_is_taken_once(door: Door, url: str, clock: TurnedClock) -> None:
    await stocked(door, MUG=100)
    async with Door(url, house.build(), clock=clock) as other:
        for turn in range(20):
            command = msgspec.structs.replace(order_of(MUG=1), external_ids={"shop": str(turn)})
            outcomes = await asyncio.gather(
                door.submit(SYSTEM, command, f"a{turn}"), other.submit(SYSTEM, command, f"b{turn}")
            )
            assert sorted(outcome.status for outcome in outcomes) == ["applied", "refused"]
    assert await rows(url, "select count(*) from orders") == [(20,)]
    await prove(url)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"currency": "XAU"}, "orders.currency"),
        ({"location": "NOWHERE"}, "catalogue.unknown_location"),
        ({"discount": Decimal("0.001")}, "orders.amount"),
        ({"discount": Decimal(-1)}, "orders.amount"),
        ({"discount": Decimal("10.01")}, "orders.discount"),
        ({"placed_at": datetime(2026, 1, 1)}, "orders.time_without_zone"),  # noqa: DTZ001
        ({"lines": (PlaceLine("CUP", Quantity(1), Amount(1)),)}, "catalogue.unknown_item"),
        ({"lines": (PlaceLine("MUG", Quantity(0), Amount(1)),)}, "stock.quantity"),
        ({"lines": (PlaceLine("MUG", Quantity(1), Amount(-1)),)}, "orders.price"),
        ({"lines": (PlaceLine("MUG", Quantity(10**6), Amount(10**7)),)}, "orders.amount_too_large"),
    ],
)
async def test_it_refuses_and_writes_nothing(door: Door, url: str, changes: dict[str, object], rule: str) -> None:
    await stocked(door, MUG=10)
    outcome = await door.submit(SYSTEM, msgspec.structs.replace(order_of(MUG=1), **changes), "one")
    assert outcome.refusal is not None
    assert outcome.refusal.rule == rule
    assert await rows(url, "select id from orders") == []
    await prove(url)


async def test_a_kit_is_reserved_from_its_own_stock(door: Door, url: str) -> None:
    await stocked(door, MUG=10)
    expect_all([await door.submit(SYSTEM, RegisterItem(sku="SET", name="Gift set", kind="kit"), "kit")])
    receipt = ReceiveStock(location="MAIN", lines=(ReceivedLine("SET", Quantity(2)),), reference="sets")
    expect_all([await door.submit(SYSTEM, receipt, "sets")])
    assert (await door.submit(SYSTEM, order_of(SET=2), "two")).status == "applied"
    short = await door.submit(SYSTEM, order_of(SET=1), "one more")
    assert short.refusal is not None
    assert short.refusal.rule == "stock.short"
    assert await rows(url, "select on_hand, reserved from stock_balance order by on_hand") == [(2, 2), (10, 0)]
    await prove(url)
