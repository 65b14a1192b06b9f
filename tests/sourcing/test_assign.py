"""Orders find their locations: behaviours 1, 2, 10, 11, 21 and 39 through the door."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.words import act, assigned, by, parts, placed, publish, stands, state_of, wanted

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.house import build
from trueup.orders.cancel import CancelOrder
from trueup.orders.channel import Channel
from trueup.sourcing.allocate import AllocateUnits, ReleaseAllocation
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.parts import MergeParts, MovePart, PartUnits, SplitPart
from trueup.sourcing.policy import Group, LocationFilter, OrderFilter, Routing, Rule
from trueup.sourcing.reject import RejectPart
from trueup.stock.receive import AdjustStock, ReceivedLine, ReceiveStock
from trueup.storyline import settled


async def test_most_stock_first_splits_four_and_one_and_priority_three_and_two(door: Door, url: str):
    """Behaviour 1."""
    await stocked(door, location="A", MUG=4)
    await stocked(door, location="B", MUG=3)
    await publish(door, "web", Channel(locations=("A", "B"), short="refuse"))
    await publish(door, "default", by(Rule("most stock", otherwise="partial")))
    order = await placed(door, MUG=5)
    assert parts(await assigned(door, order)) == [("A", {"1": "4"}), ("B", {"1": "1"})]
    assert await rows(url, "select sum(on_hand), sum(allocated), sum(reserved) from stock_balance") == [(7, 5, 0)]
    await prove(url)


async def test_priority_sends_three_and_two(door: Door, url: str):
    """Behaviour 1, the other policy."""
    await stocked(door, location="A", MUG=4)
    await stocked(door, location="B", MUG=3)
    await publish(door, "web", Channel(locations=("A", "B")))
    rule = Rule("priority", sort=("priority",), ranking=("B", "A"), otherwise="partial")
    await publish(door, "default", by(rule))
    order = await placed(door, MUG=5)
    assert parts(await assigned(door, order)) == [("B", {"1": "3"}), ("A", {"1": "2"})]
    await prove(url)


async def two_shops(door: Door, a: int, b: int, short: str = "refuse") -> None:
    """A has so many mugs, B so many; both serve the web."""
    await stocked(door, location="A", MUG=a)
    await stocked(door, location="B", MUG=b)
    await publish(door, "web", Channel(locations=("A", "B"), short=short))  # type: ignore[arg-type]
    await publish(door, "default", by(Rule("most stock", otherwise="partial")))


async def test_three_threes_make_two_parts_three_twos_make_three_and_two_ones_are_refused(door: Door, url: str):
    """Behaviour 10."""
    await stocked(door, location="A", MUG=3, CUP=2, PEN=1)
    await stocked(door, location="B", MUG=3, CUP=2, PEN=1)
    await stocked(door, location="C", MUG=3, CUP=2)
    await publish(door, "web", Channel(locations=("A", "B", "C")))
    mugs = parts(await assigned(door, await placed(door, "mugs", MUG=5)))
    assert [units for _, units in mugs] == [{"1": "3"}, {"1": "2"}]
    cups = parts(await assigned(door, await placed(door, "cups", CUP=5)))
    assert [units for _, units in cups] == [{"1": "2"}, {"1": "2"}, {"1": "1"}]
    refused = await act(door, wanted(PEN=5))
    assert refused.refusal is not None
    assert refused.refusal.rule == "stock.short"
    assert "PEN: 5 asked, 2 available" in refused.refusal.what
    assert (await stands(url, "PEN", "A"))["reserved"] == 0
    await prove(url)


async def test_raising_an_allocation_beyond_what_is_there_is_refused_and_the_rest_stays(door: Door, url: str):
    """Behaviour 4: on hand 100, allocated 80; 21 more are refused, 20 more accepted."""
    await stocked(door, MUG=80)
    await publish(door, "web", Channel(short="backorder"))
    order = await placed(door, MUG=101)
    assert (await assigned(door, order))["outcome"] == "partly"
    await act(door, ReceiveStock(location="MAIN", lines=(ReceivedLine("MUG", Quantity(20)),), reference="more"))
    refused = await act(door, AllocateUnits(order=order, line=1, location="MAIN", quantity=Quantity(21)))
    assert refused.refusal is not None
    assert refused.refusal.rule == "sourcing.too_many"
    assert (await stands(url, "MUG", "MAIN"))["allocated"] == 80
    accepted = await act(door, AllocateUnits(order=order, line=1, location="MAIN", quantity=Quantity(20)))
    assert accepted.refusal is None
    assert (await stands(url, "MUG", "MAIN"))["allocated"] == 100
    await prove(url)


async def test_releasing_an_allocation_gives_units_back_and_on_hand_stays(door: Door, url: str):
    """Behaviour 6: allocated 80, release 50: 30 remain; on hand 100 unchanged."""
    await stocked(door, MUG=100)
    order = await placed(door, MUG=80)
    await assigned(door, order)
    release = ReleaseAllocation(order=order, line=1, location="MAIN", quantity=Quantity(50))
    assert (await act(door, release)).result["allocated"] == "30"
    stands_now = await stands(url, "MUG", "MAIN")
    assert (stands_now["on_hand"], stands_now["allocated"], stands_now["reserved"]) == (100, 30, 0)
    refused = await act(door, release)
    assert refused.refusal is not None
    assert refused.refusal.rule == "sourcing.not_allocated"
    await prove(url)


async def test_a_count_that_takes_stock_away_leaves_it_to_the_earliest_and_sources_the_rest_again(door: Door, url: str):
    """Behaviour 5, without its shipment report: 20 left of 80 allocated."""
    await stocked(door, location="A", MUG=80)
    await stocked(door, location="B", MUG=30)
    await publish(door, "web", Channel(locations=("A", "B")))
    rule = Rule("priority", sort=("priority",), ranking=("A", "B"), otherwise="partial")
    await publish(door, "default", by(rule))
    early, late = await placed(door, "early", MUG=20), await placed(door, "late", MUG=60)
    await assigned(door, early)
    await assigned(door, late)
    gone = AdjustStock(location="A", sku="MUG", change=Quantity(-60), reason="found", reference="count")
    assert (await act(door, gone)).refusal is None
    assert await rows(url, "select count(*) from cases where kind = 'stock_short'") == [(1,)]
    await settled(door, url, build())
    a, b = await stands(url, "MUG", "A"), await stands(url, "MUG", "B")
    assert (a["on_hand"], a["allocated"], a["owed"]) == (20, 20, 0)
    assert (b["allocated"], b["owed"]) == (30, 0)
    assert await rows(url, "select units_allocated from orders where id = %s", early) == [(20,)]
    assert await rows(url, "select units_allocated from orders where id = %s", late) == [(30,)]
    refused = await act(door, ReleaseAllocation(order=early, line=1, location="A", quantity=Quantity(50)))
    assert refused.refusal is not None
    await prove(url)


async def test_stock_on_hand_anywhere_goes_before_a_backorder_at_the_supplier(door: Door, url: str):
    """Behaviour 11: 15 + 5; main has 10 + 10, the supplier 2 and takes backorders."""
    await stocked(door, location="MAIN", X=10, Y=10)
    await stocked(door, location="SUP", X=2)
    await publish(door, "web", Channel(locations=("MAIN", "SUP"), short="backorder"))
    rule = Rule(
        "main, then supplier",
        where=LocationFilter(drop_ship=True),
        sort=("priority",),
        ranking=("MAIN", "SUP"),
        otherwise="backorder",
        backorder_at=("SUP",),
    )
    await publish(door, "default", by(rule))
    order = await placed(door, X=15, Y=5)
    result = await assigned(door, order)
    assert parts(result) == [("MAIN", {"1": "10", "2": "5"}), ("SUP", {"1": "2"})]
    assert (result["outcome"], result["short"]) == ("backordered", {"1": "3"})
    pegged = await rows(
        url,
        """select l.code, sum(p.quantity) from stock_peg p join location l on l.id = p.location
        where p.holder = %s group by l.code having sum(p.quantity) <> 0""",
        order,
    )
    assert pegged == [("SUP", 3)]
    assert await state_of(url, order) == "waiting"
    await prove(url)


async def test_a_rejecting_location_is_remembered_and_its_damaged_goods_are_booked(door: Door, url: str):
    """Behaviour 21."""
    await two_shops(door, 4, 3)
    order = await placed(door, MUG=2)
    part = (await assigned(door, order))["fulfilment_orders"][0]
    assert part["location"] == "A"
    rejected = await act(door, RejectPart(order=order, fulfilment_order=part["fulfilment_order"], reason="damaged"))
    assert rejected.refusal is None
    a = await stands(url, "MUG", "A")
    assert (a["on_hand"], a["damaged"], a["allocated"]) == (2, 2, 0)
    await settled(door, url, build())
    assert (await stands(url, "MUG", "B"))["allocated"] == 2
    assert (await stands(url, "MUG", "A"))["allocated"] == 0, "it has two more, and is not asked again"
    assert await state_of(url, order) == "sourced"
    await prove(url)


async def test_a_rejection_without_fault_of_the_goods_leaves_them(door: Door, url: str):
    await two_shops(door, 4, 3)
    order = await placed(door, MUG=2)
    part = (await assigned(door, order))["fulfilment_orders"][0]["fulfilment_order"]
    reject = RejectPart(order=order, fulfilment_order=part, reason="no_capacity", lines=(PartUnits(1, Quantity(1)),))
    assert (await act(door, reject)).refusal is None
    a = await stands(url, "MUG", "A")
    assert (a["on_hand"], a["damaged"], a["allocated"]) == (4, 0, 1)
    await settled(door, url, build())
    assert (await stands(url, "MUG", "B"))["allocated"] == 1
    await prove(url)


async def test_the_story_sources_an_order_when_it_is_placed_and_not_when_the_policy_says_later(door: Door, url: str):
    await two_shops(door, 4, 3)
    order = await placed(door, MUG=5)
    await settled(door, url, build())
    assert await state_of(url, order) == "sourced"
    later = by(Rule("most stock", otherwise="partial"))
    await publish(door, "default", Routing(groups=later.groups, when=type(later.when)(on_placement=False)))
    second = await placed(door, "second", MUG=1)
    await settled(door, url, build())
    assert await state_of(url, second) == "placed"
    await settled(door, url, build())
    assert await rows(url, "select count(*) from sourcing_decision") == [(1,)], "a row is followed once"
    await prove(url)


async def test_what_waits_is_filled_when_goods_come_first_come_first(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    await publish(door, "web", Channel(short="backorder"))
    first = await placed(door, "first", MUG=3)
    clock.turn(timedelta(minutes=1))
    second = await placed(door, "second", MUG=2)
    await settled(door, url, build())
    assert await state_of(url, first) == await state_of(url, second) == "waiting"
    await act(door, ReceiveStock(location="MAIN", lines=(ReceivedLine("MUG", Quantity(2)),), reference="more"))
    await settled(door, url, build())
    assert await rows(url, "select units_allocated from orders order by placed_at") == [(3,), (0,)]
    assert (await state_of(url, first), await state_of(url, second)) == ("sourced", "waiting")
    await prove(url)


async def test_cancelling_reaches_the_locations_part(door: Door, url: str):
    await two_shops(door, 4, 3)
    order = await placed(door, MUG=5)
    await assigned(door, order)
    assert (await act(door, CancelOrder(order=order))).refusal is None
    assert await rows(url, "select distinct status from fulfilment_order") == [("cancelled",)]
    assert await state_of(url, order) == "cancelled"
    await prove(url)


async def test_a_part_is_moved_split_and_merged_by_hand(door: Door, url: str):
    await two_shops(door, 4, 3)
    order = await placed(door, MUG=3)
    part = (await assigned(door, order))["fulfilment_orders"][0]["fulfilment_order"]
    too_far = await act(door, MovePart(order=order, fulfilment_order=part, location="NOWHERE"))
    assert too_far.refusal is not None
    split = await act(door, SplitPart(order=order, fulfilment_order=part, lines=(PartUnits(1, Quantity(1)),)))
    assert split.refusal is None, split.refusal
    moved = await act(door, MovePart(order=order, fulfilment_order=part, location="B"))
    assert moved.refusal is None, moved.refusal
    assert (await stands(url, "MUG", "A"))["allocated"] == 1
    assert (await stands(url, "MUG", "B"))["allocated"] == 2
    back = await act(door, MovePart(order=order, fulfilment_order=moved.result["fulfilment_order"], location="A"))
    merged = await act(
        door,
        MergeParts(
            order=order,
            fulfilment_order=split.result["fulfilment_order"],
            into=back.result["fulfilment_order"],
        ),
    )
    assert merged.refusal is None, merged.refusal
    open_ = await rows(url, "select units - withdrawn - rejected from fulfilment_order where status = 'open'")
    assert open_ == [(3,)]
    await prove(url)


async def test_a_part_is_not_moved_where_it_is_not_to_be_had(door: Door, url: str):
    await two_shops(door, 4, 3)
    order = await placed(door, MUG=4)
    part = (await assigned(door, order))["fulfilment_orders"][0]["fulfilment_order"]
    refused = await act(door, MovePart(order=order, fulfilment_order=part, location="B"))
    assert refused.refusal is not None
    assert refused.refusal.rule == "sourcing.short"
    assert (await stands(url, "MUG", "A"))["allocated"] == 4
    await prove(url)


async def test_sourcing_reads_its_policy_when_it_decides_and_the_workflow_when_it_was_captured(door: Door, url: str):
    """Behaviour 39: routing is read when the decision is made."""
    await two_shops(door, 4, 3)
    order = await placed(door, MUG=2)
    rule = Rule("priority", sort=("priority",), ranking=("B", "A"), otherwise="partial")
    await publish(door, "default", by(rule))
    assert parts(await assigned(door, order)) == [("B", {"1": "2"})]


async def test_each_group_has_rules_of_its_own_and_a_failing_rule_leads_to_the_next_or_a_queue(door: Door, url: str):
    await two_shops(door, 1, 1)
    await publish(
        door,
        "default",
        Routing(
            groups=(
                Group("express", (Rule("whole", complete="order", otherwise="queue", queue="by hand"),),
                      OrderFilter(priority_min=5)),
                Group("rest", (Rule("whole", complete="order"), Rule("split", otherwise="partial"))),
            )
        ),
    )  # fmt: skip
    rest = await assigned(door, await placed(door, MUG=2))
    assert rest["outcome"] == "assigned"
    assert len(rest["fulfilment_orders"]) == 2
    await act(door, ReceiveStock(location="A", lines=(ReceivedLine("MUG", Quantity(1)),), reference="a"))
    await act(door, ReceiveStock(location="B", lines=(ReceivedLine("MUG", Quantity(1)),), reference="b"))
    outcome = await act(door, msgspec.structs.replace(wanted(MUG=2), priority=9))
    express = await assigned(door, str(outcome.result["order"]))
    assert (express["outcome"], express["fulfilment_orders"]) == ("queued", [])
    assert await rows(url, "select queue from sourcing_queue") == [("by hand",)]
    await prove(url)


async def test_an_order_that_should_have_ended_unpaid_is_not_sourced_any_more(door: Door, url: str, clock: TurnedClock):
    """Behaviour 15: the order's own unpaid expiry ends its claims, swept or not."""
    await stocked(door, MUG=5)
    await publish(door, "web", Channel(unpaid_minutes=30))
    order = await placed(door, MUG=2)
    clock.turn(timedelta(minutes=31))
    late = await act(door, AssignOrder(order=order))
    assert late.refusal is not None
    assert late.refusal.rule == "orders.overdue"
    assert (await stands(url, "MUG", "MAIN"))["allocated"] == 0
    await prove(url)
