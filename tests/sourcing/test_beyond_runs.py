"""What a brokering run cannot plan is sourced by the rules, and what a rule does not allow no run carries out."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.test_broker import BROKERED, NEAR_FIRST, going, run, solved_here, two_cities
from tests.sourcing.words import act, publish, stands, wanted

from trueup import worker
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.house import build
from trueup.sourcing.policy import Group, LocationFilter, Routing, Rule, When
from trueup.sourcing.reject import RejectPart
from trueup.stock.receive import ReceivedLine, ReceiveStock
from trueup.storyline import settled

__all__ = ["solved_here"]
SOURCE = next(notice for notice in worker.NOTICES if notice.name == "source")


def brokered(rule: Rule, *, on_placement: bool = True) -> Routing:
    """The policy of the brokering tests by another rule."""
    when = When(on_placement=on_placement, every_minutes=1)
    return msgspec.structs.replace(BROKERED, groups=(Group("all", (rule,), brokered=True),), when=when)


@pytest.mark.parametrize("on_placement", [True, False])
async def test_a_pickup_of_a_brokered_group_does_not_wait_for_a_run(
    door: Door, url: str, clock: TurnedClock, on_placement: bool
):
    """Behaviour 2: with a schedule alone it is sourced by that."""
    await two_cities(door, east=10, west=1)
    await publish(door, "default", brokered(NEAR_FIRST, on_placement=on_placement))
    pickup = msgspec.structs.replace(wanted(MUG=1), delivery="pickup", location="WEST")
    order = str((await act(door, pickup)).result["order"])
    shipped = await going(door, "ship", "13.40")
    await settled(door, url, build())
    allocated = "select id, units_allocated::int from orders"
    assert dict(await rows(url, allocated)) == {order: int(on_placement), shipped: 0}
    clock.turn(timedelta(minutes=1))
    await worker.notice_now(url, door, SOURCE)
    assert dict(await rows(url, allocated)) == {order: 1, shipped: 0}, "the other one waits for its run"
    assert (await stands(url, "MUG", "WEST"))["allocated"] == 1
    await prove(url)


async def test_what_a_location_rejected_does_not_wait_for_a_run(door: Door, url: str, clock: TurnedClock):
    """Behaviour 21."""
    await two_cities(door, east=10, west=1)
    order = await going(door, "ship", "13.40")
    await run(url, door)
    part = (await rows(url, "select id from fulfilment_order where order_id = %s", order))[0][0]
    assert (await act(door, RejectPart(order=order, fulfilment_order=part, reason="no_capacity"))).refusal is None
    await settled(door, url, build())
    assert ((await stands(url, "MUG", "EAST"))["allocated"], (await stands(url, "MUG", "WEST"))["allocated"]) == (0, 1)
    await prove(url)


@pytest.mark.parametrize(("rule", "lines"), [
    ({}, [1, 1]),
    ({"where": LocationFilter(keep=Decimal(4))}, [1, 1]),  # EAST has 10 mugs and 5 pens, and gives one pen
    ({"where": LocationFilter(keep=Decimal(5))}, [1, 0]),
    ({"where": LocationFilter(not_categories=("pens",))}, [1, 0]),
    ({"where": LocationFilter(categories=("pens",))}, [0, 1]),
    ({"where": LocationFilter(groups=("south",)), "complete": "group"}, [0, 0]),
    ({"where": LocationFilter(groups=("north",)), "complete": "group"}, [1, 1]),
])  # fmt: skip
async def test_a_run_carries_out_only_what_the_rule_allows(
    door: Door, url: str, clock: TurnedClock, rule: dict[str, Any], lines: list[int]
):
    """A mug and a pen; only EAST, of the north, has pens. Allocated by line, as the rule alone would have it."""
    await two_cities(door, east=10, west=0)
    east = {"latitude": Quantity("52.00"), "longitude": Quantity("13.40"), "groups": ("north",)}
    assert (await act(door, RegisterLocation(code="EAST", name="East", **east))).refusal is None  # type: ignore[arg-type]
    await stocked_pens(door)
    await publish(door, "default", brokered(msgspec.structs.replace(NEAR_FIRST, **rule)))
    assert (await act(door, wanted(MUG=1, PEN=1))).refusal is None
    await run(url, door)
    assert await rows(url, "select allocated::int from order_line order by line") == [(units,) for units in lines]
    await prove(url)


@pytest.mark.parametrize(("complete", "lines"), [("any", [1, 1]), ("group", [0, 0])])
async def test_a_run_serves_an_order_by_one_group_of_locations_where_the_rule_says_so(
    door: Door, url: str, clock: TurnedClock, complete: Any, lines: list[int]
):
    """Mugs are in the south alone, pens in the north."""
    await two_cities(door, east=0, west=10)
    await stocked_pens(door)
    for code, longitude, group in (("EAST", "13.40", "north"), ("WEST", "6.96", "south")):
        place = RegisterLocation(code=code, name=code, latitude=Quantity("52.00"), longitude=Quantity(longitude),
                                 groups=(group,))  # fmt: skip
        assert (await act(door, place)).refusal is None
    where = LocationFilter(groups=("north", "south"))
    rule = msgspec.structs.replace(NEAR_FIRST, where=where, complete=complete)
    await publish(door, "default", brokered(rule))
    assert (await act(door, wanted(MUG=1, PEN=1))).refusal is None
    await run(url, door)
    assert await rows(url, "select allocated::int from order_line order by line") == [(units,) for units in lines]
    await prove(url)


async def stocked_pens(door: Door) -> None:
    """Five pens at EAST; they and the mugs have their categories."""
    for sku, category in (("MUG", "cups"), ("PEN", "pens")):
        assert (await act(door, RegisterItem(sku=sku, name=sku, category=category))).refusal is None
    pens = ReceiveStock(location="EAST", lines=(ReceivedLine("PEN", Quantity(5)),), reference="pens")
    assert (await act(door, pens)).refusal is None
