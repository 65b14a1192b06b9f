"""What the trading machine found, each as its shortest example."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.words import act, assigned, parts, publish, stands, state_of

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.house import build
from trueup.orders.cancel import CancelLine, CancelOrder
from trueup.orders.channel import Channel
from trueup.orders.hold import PlaceHold
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.sourcing.allocate import AllocateUnits, ReleaseAllocation
from trueup.sourcing.reject import RejectPart
from trueup.stock.receive import AdjustStock, ReceivedLine, ReceiveStock
from trueup.storyline import settled


async def mugs(door: Door, *lines: int, short: str = "refuse") -> str:
    """Place an order with a line for each number of mugs; return its id."""
    await publish(door, "web", Channel(locations=("MAIN",), short=short))  # type: ignore[arg-type]
    wanted = tuple(PlaceLine("MUG", Quantity(units), Amount("10.00")) for units in lines)
    return str((await act(door, PlaceOrder(currency="EUR", lines=wanted))).result["order"])


async def first_line_freed(door: Door, order: str, units: int) -> None:
    """Allocate the first line and give it back: it waits, and the second one still holds what it reserved."""
    for command in (
        AllocateUnits(order=order, line=1, location="MAIN", quantity=Quantity(units)),
        ReleaseAllocation(order=order, line=1, location="MAIN", quantity=Quantity(units)),
    ):
        assert (await act(door, command)).refusal is None


async def gone(door: Door, units: int) -> None:
    """Let so many mugs be missing."""
    missing = AdjustStock(location="MAIN", sku="MUG", change=Quantity(-units), reason="found", reference="gone")
    assert (await act(door, missing)).status == "applied"


async def test_a_line_that_takes_what_another_one_reserved_leaves_it_waiting(door: Door, url: str):
    await stocked(door, MUG=4)
    order = await mugs(door, 3, 1)
    await first_line_freed(door, order, 3)
    await gone(door, 1)
    result = await assigned(door, order)
    assert (parts(result), result["short"]) == ([("MAIN", {"1": "3"})], {"2": "1"})
    main = await stands(url, "MUG", "MAIN")
    assert (main["on_hand"], main["reserved"], main["allocated"], main["owed"]) == (3, 0, 3, 0)
    await prove(url)


async def test_a_line_does_not_take_what_another_one_reserved_that_a_hold_stops(door: Door, url: str):
    await stocked(door, MUG=4)
    order = await mugs(door, 3, 1)
    await first_line_freed(door, order, 3)
    await gone(door, 1)
    assert (await act(door, PlaceHold(order=order, type="manual", reason="look", line=2))).refusal is None
    result = await assigned(door, order)
    assert (parts(result), result["short"]) == ([("MAIN", {"1": "2"})], {"1": "1"})
    main = await stands(url, "MUG", "MAIN")
    assert (main["on_hand"], main["reserved"], main["allocated"], main["owed"]) == (3, 1, 2, 0)
    await prove(url)


async def test_an_order_of_which_a_hold_keeps_a_line_back_is_not_sourced_yet(door: Door, url: str):
    await stocked(door, MUG=4)
    order = await mugs(door, 1, 2)
    assert (await act(door, PlaceHold(order=order, type="manual", reason="look", line=2))).refusal is None
    assert parts(await assigned(door, order)) == [("MAIN", {"1": "1"})]
    assert await state_of(url, order) == "waiting"
    await prove(url)


async def test_a_hold_stops_allocating_by_hand_too(door: Door, url: str):
    await stocked(door, MUG=4)
    order = await mugs(door, 1, 2)
    assert (await act(door, PlaceHold(order=order, type="fraud", reason="look", line=2))).refusal is None
    refused = await act(door, AllocateUnits(order=order, line=2, location="MAIN", quantity=Quantity(1)))
    assert refused.refusal is not None
    assert refused.refusal.rule == "orders.held"
    assert (await stands(url, "MUG", "MAIN"))["allocated"] == 0
    other = await act(door, AllocateUnits(order=order, line=1, location="MAIN", quantity=Quantity(1)))
    assert other.refusal is None, "the other line is not held"
    await prove(url)


async def test_an_order_is_sourced_when_what_waited_is_cancelled(door: Door, url: str):
    await stocked(door, MUG=2)
    order = await mugs(door, 3, short="backorder")
    assert (await assigned(door, order))["outcome"] == "partly"
    assert await state_of(url, order) == "waiting"
    assert (await act(door, CancelOrder(order=order, lines=(CancelLine(1, Quantity(1)),)))).refusal is None
    assert await state_of(url, order) == "sourced"
    assert (await stands(url, "MUG", "MAIN"))["allocated"] == 2
    await prove(url)


async def test_a_part_with_two_lines_of_one_item_is_rejected_when_the_shelf_is_empty(door: Door, url: str):
    """Behaviour 37: what a location reports is posted, whatever the book says."""
    await stocked(door, MUG=2)
    order = await mugs(door, 1, 1)
    part = (await assigned(door, order))["fulfilment_orders"][0]["fulfilment_order"]
    await gone(door, 1)
    rejected = await act(door, RejectPart(order=order, fulfilment_order=part, reason="damaged"))
    assert rejected.status == "applied", rejected
    main = await stands(url, "MUG", "MAIN")
    assert (main["on_hand"], main["damaged"], main["allocated"]) == (0, 2, 0)
    assert await rows(url, "select sum(quantity) from stock_movement where from_account = 'shortage'") == [(1,)]
    await prove(url)


async def test_what_is_allocated_by_hand_waits_no_more(door: Door, url: str):
    await stocked(door, MUG=1)
    order = await mugs(door, 3, short="backorder")
    more = ReceiveStock(location="MAIN", lines=(ReceivedLine("MUG", Quantity(2)),), reference="more")
    assert (await act(door, more)).refusal is None
    by_hand = AllocateUnits(order=order, line=1, location="MAIN", quantity=Quantity(2))
    assert (await act(door, by_hand)).refusal is None
    assert await rows(url, "select line, quantity from stock_waiting") == [(1, 1)]
    assert (await act(door, msgspec.structs.replace(by_hand, quantity=Quantity(1)))).refusal is None
    assert await rows(url, "select line, quantity from stock_waiting") == []
    await prove(url)


async def test_a_line_that_a_hold_keeps_back_keeps_its_turn(door: Door, url: str):
    await stocked(door, MUG=1)
    order = await mugs(door, 2, 2, short="backorder")
    assert (await act(door, PlaceHold(order=order, type="manual", reason="look", line=2))).refusal is None
    await assigned(door, order)
    waiting = await rows(url, "select line, quantity from stock_waiting order by line")
    assert waiting == [(1, 1), (2, 2)]
    await prove(url)


async def test_stock_that_a_cancellation_frees_goes_to_who_waits_for_it(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=2)
    first = await mugs(door, 2, short="backorder")
    clock.turn(timedelta(minutes=1))
    second = await mugs(door, 2, short="backorder")
    await settled(door, url, build())
    assert await state_of(url, second) == "waiting"
    assert (await act(door, CancelOrder(order=first))).refusal is None
    await settled(door, url, build())
    assert await state_of(url, second) == "sourced"
    assert (await stands(url, "MUG", "MAIN"))["allocated"] == 2
    await prove(url)


async def test_what_somebody_released_by_hand_stays_free_until_somebody_sources_it(door: Door, url: str):
    await stocked(door, MUG=2)
    order = await mugs(door, 2)
    await settled(door, url, build())
    release = ReleaseAllocation(order=order, line=1, location="MAIN", quantity=Quantity(2))
    assert (await act(door, release)).refusal is None
    await settled(door, url, build())
    assert (await stands(url, "MUG", "MAIN"))["allocated"] == 0
    await prove(url)


async def test_a_rejection_while_the_order_waits_is_no_event_without_a_match(door: Door, url: str):
    await stocked(door, MUG=1)
    order = await mugs(door, 2, short="backorder")
    part = (await assigned(door, order))["fulfilment_orders"][0]["fulfilment_order"]
    assert await state_of(url, order) == "waiting"
    assert (await act(door, RejectPart(order=order, fulfilment_order=part, reason="no_capacity"))).refusal is None
    assert await rows(url, "select state, unmatched from orders") == [("waiting", 0)]
    await prove(url)
