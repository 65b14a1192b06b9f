"""What routing rules choose, by plain examples; and what the door makes of holds, capacity and workflows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.words import act, assigned, parts, placed, publish, stands, state_of

from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterLocation
from trueup.catalogue.state import Location
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.house import build
from trueup.orders.channel import Channel
from trueup.orders.hold import PlaceHold, ReleaseHold
from trueup.orders.workflow import Transition, Workflow, WorkflowState
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.policy import Costs, Group, LocationFilter, Rule
from trueup.sourcing.reject import RejectPart
from trueup.sourcing.route import Candidate, Need, Route, route
from trueup.stock.receive import AdjustStock
from trueup.storyline import settled

# --- what a rule chooses: no database ------------------------------------------------------------------------------


def site(
    code: str, capacity: int | None = None, /, *, cutoff_passed: bool = False, more: Any = None, **units: int
) -> Candidate:
    """A location with so many units of each item, as an order sees it."""
    location = Location(**{"id": code, "code": code, "name": code, "kind": "warehouse", **(more or {})})
    return Candidate(
        location, {item: Decimal(units.get(item, 0)) for item in ("MUG", "CUP", "PEN")}, capacity, cutoff_passed
    )


def need(line: int, sku: str, units: int, **more: Any) -> Need:
    """So many units of an item for a line."""
    return Need(line, sku, sku, Decimal(units), **more)


def shares(found: Route) -> list[tuple[str, int, int]]:
    """Where the units come from: (location, line, units)."""
    return [(share.location, share.line, int(share.quantity)) for share in found.shares]


def chosen(rule: Rule, needs: Sequence[Need], *sites: Candidate) -> list[tuple[str, int, int]]:
    """Where the needs go by one rule."""
    return shares(route(needs, sites, Group("all", (rule,)), Costs()))


ANY = Rule("any", otherwise="partial")


def test_most_stock_goes_first():
    assert chosen(ANY, [need(1, "MUG", 5)], site("A", MUG=2), site("B", MUG=4)) == [("B", 1, 4), ("A", 1, 1)]


def test_a_ranking_goes_before_stock():
    rule = Rule("ranked", sort=("priority",), ranking=("B", "A"), otherwise="partial")
    assert chosen(rule, [need(1, "MUG", 5)], site("A", MUG=4), site("B", MUG=3)) == [("B", 1, 3), ("A", 1, 2)]


def test_one_location_that_has_all_goes_before_a_split():
    sites = site("A", MUG=6), site("B", MUG=2, CUP=2)
    needs = [need(1, "MUG", 2), need(2, "CUP", 2)]
    assert chosen(ANY, needs, *sites) == [("B", 1, 2), ("B", 2, 2)]
    split = msgspec.structs.replace(ANY, one_first=False)
    assert chosen(split, needs, *sites) == [("A", 1, 2), ("B", 2, 2)]


def test_no_more_parts_than_the_rule_allows():
    rule = Rule("two", sort=("priority",), ranking=("A", "B", "C"), splits_max=2, otherwise="partial")
    sites = site("A", MUG=1), site("B", MUG=2), site("C", MUG=3)
    assert chosen(rule, [need(1, "MUG", 4)], *sites) == [("C", 1, 3), ("A", 1, 1)]
    assert chosen(rule, [need(1, "MUG", 6)], *sites) == [("C", 1, 3), ("B", 1, 2)], "what two can give; the rest waits"
    queued = msgspec.structs.replace(rule, otherwise="queue")
    assert chosen(queued, [need(1, "MUG", 6)], *sites) == []


def test_what_must_stay_stays():
    rule = Rule("keep", where=LocationFilter(keep=Decimal(2)), otherwise="partial")
    assert chosen(rule, [need(1, "MUG", 3)], site("A", MUG=4), site("B", MUG=2)) == [("A", 1, 2)]


def test_a_location_that_took_its_orders_for_today_takes_no_more():
    assert chosen(ANY, [need(1, "MUG", 2)], site("A", 0, MUG=9), site("B", 1, MUG=2)) == [("B", 1, 2)]


def test_the_parts_of_a_kit_leave_from_one_place():
    kit = [need(2, "MUG", 2, kit=1), need(3, "CUP", 1, kit=1)]
    assert chosen(ANY, kit, site("A", MUG=9), site("B", CUP=1)) == []
    assert chosen(ANY, kit, site("A", MUG=9), site("B", MUG=2, CUP=1)) == [("B", 2, 2), ("B", 3, 1)]
    apart = msgspec.structs.replace(ANY, kits_together=False)
    assert chosen(apart, kit, site("A", MUG=9), site("B", CUP=1)) == [("A", 2, 2), ("B", 3, 1)]


def test_two_lines_of_one_item_share_what_a_location_has():
    assert chosen(ANY, [need(1, "MUG", 2), need(2, "MUG", 2)], site("A", MUG=3)) == [("A", 1, 2), ("A", 2, 1)]


def test_a_line_bound_to_a_location_comes_from_nowhere_else():
    assert chosen(ANY, [need(1, "MUG", 3, only="A")], site("A", MUG=1), site("B", MUG=9)) == [("A", 1, 1)]


def test_a_location_that_rejected_a_line_is_not_asked_for_it_again():
    needs = [need(1, "MUG", 1, rejected=frozenset({"A"})), need(2, "CUP", 1)]
    assert chosen(ANY, needs, site("A", MUG=9, CUP=9), site("B", MUG=1)) == [("A", 2, 1), ("B", 1, 1)]


def test_a_closed_location_a_supplier_and_one_past_its_cutoff_are_not_asked():
    rule = Rule("in time", where=LocationFilter(cutoff=True), otherwise="partial")
    sites = (
        site("A", MUG=9, more={"open": False}),
        site("B", MUG=9, more={"kind": "supplier"}),
        site("C", MUG=9, cutoff_passed=True),
        site("D", MUG=1),
    )
    assert chosen(rule, [need(1, "MUG", 2)], *sites) == [("D", 1, 1)]


def test_a_group_serves_an_order_whole_or_not_at_all():
    rule = Rule(
        "group", where=LocationFilter(groups=("north", "south")), complete="group", otherwise="queue", queue="q"
    )
    north, south = ({"groups": (name,)} for name in ("north", "south"))
    sites = site("A", MUG=2, more=north), site("B", MUG=2, more=south), site("C", MUG=1, more=south)
    assert chosen(rule, [need(1, "MUG", 3)], *sites) == [("B", 1, 2), ("C", 1, 1)]
    assert chosen(rule, [need(1, "MUG", 4)], *sites) == []


# --- what the door makes of it -------------------------------------------------------------------------------------


async def test_a_hold_stops_sourcing_until_it_is_released(door: Door, url: str):
    await stocked(door, MUG=3)
    order = await placed(door, MUG=2)
    held = await act(door, PlaceHold(order=order, type="fraud", reason="look"))
    refused = await act(door, AssignOrder(order=order))
    assert refused.refusal is not None
    assert refused.refusal.rule == "orders.held"
    await settled(door, url, build())
    assert (await stands(url, "MUG", "MAIN"))["allocated"] == 0
    assert await rows(url, "select count(*) from sourcing_decision") == [(0,)]
    await act(door, ReleaseHold(hold=held.result["hold"], reason="looked"))
    await settled(door, url, build())
    assert (await stands(url, "MUG", "MAIN"))["allocated"] == 2
    await prove(url)


async def test_a_location_is_given_no_more_orders_than_it_takes_in_a_day(door: Door, url: str, clock: TurnedClock):
    await stocked(door, location="A", MUG=9)
    await stocked(door, location="B", MUG=3)
    await act(door, RegisterLocation(code="A", name="A", capacity_per_day=1))
    await publish(door, "web", Channel(locations=("A", "B")))
    orders = [await placed(door, f"order {number}", MUG=1) for number in range(2)]
    outcomes = await door.submit_all(SYSTEM, [(f"assign {order}", AssignOrder(order=order)) for order in orders])
    assert [parts(outcome.result) for outcome in outcomes] == [[("A", {"1": "1"})], [("B", {"1": "1"})]]
    clock.turn(timedelta(days=1))
    third = await placed(door, "third", MUG=1)
    assert parts(await assigned(door, third)) == [("A", {"1": "1"})], "another day"
    await prove(url)


async def test_an_order_walks_by_the_workflow_it_was_captured_under(door: Door, url: str):
    """Behaviour 39."""
    await stocked(door, MUG=3)
    before = await placed(door, "before", MUG=1)
    states = (*Workflow().states, WorkflowState("picking"))
    edges = {(edge.from_, edge.on): edge for edge in Workflow().transitions}
    edges["placed", "sourced"] = Transition("placed", "sourced", "picking")
    edges["picking", "cancelled"] = Transition("picking", "cancelled", "cancelled")
    await publish(door, "sale", Workflow(states=states, transitions=tuple(edges.values())))
    after = await placed(door, "after", MUG=1)
    await assigned(door, before)
    await assigned(door, after)
    assert (await state_of(url, before), await state_of(url, after)) == ("sourced", "picking")
    await prove(url)


async def test_a_reservation_gives_way_to_the_allocation_wherever_that_is(door: Door, url: str):
    await stocked(door, location="A", MUG=4)
    await stocked(door, location="B", MUG=5)
    await publish(door, "web", Channel(locations=("A", "B")))
    order = await placed(door, MUG=3)
    assert (await stands(url, "MUG", "A"))["reserved"] == 3
    assert parts(await assigned(door, order)) == [("B", {"1": "3"})]
    found = [(await stands(url, "MUG", place)) for place in ("A", "B")]
    assert [(one["reserved"], one["allocated"], one["owed"]) for one in found] == [(0, 0, 0), (0, 3, 0)]
    await prove(url)


async def test_a_rejecting_location_is_not_asked_again_though_it_has_most(door: Door, url: str):
    """Behaviour 21."""
    await stocked(door, location="A", MUG=9)
    await stocked(door, location="B", MUG=3)
    await publish(door, "web", Channel(locations=("A", "B")))
    order = await placed(door, MUG=2)
    part = (await assigned(door, order))["fulfilment_orders"][0]
    assert part["location"] == "A"
    await act(door, RejectPart(order=order, fulfilment_order=part["fulfilment_order"], reason="no_capacity"))
    await settled(door, url, build())
    found = [await stands(url, "MUG", place) for place in ("A", "B")]
    assert [(one["on_hand"], one["allocated"]) for one in found] == [(9, 0), (3, 2)]
    other = await placed(door, "other", MUG=1)
    assert parts(await assigned(door, other)) == [("A", {"1": "1"})], "other orders may ask it"
    await prove(url)


async def test_the_earliest_promise_keeps_what_is_left(door: Door, url: str, clock: TurnedClock):
    """Behaviour 5."""
    await stocked(door, MUG=5)
    for name, units in (("early", 2), ("late", 3)):
        await assigned(door, await placed(door, name, MUG=units))
        clock.turn(timedelta(minutes=1))
    gone = AdjustStock(location="MAIN", sku="MUG", change=Quantity(-3), reason="found", reference="count")
    assert (await act(door, gone)).refusal is None
    await settled(door, url, build())
    assert await rows(url, "select units_allocated from orders order by placed_at") == [(2,), (0,)]
    await prove(url)
