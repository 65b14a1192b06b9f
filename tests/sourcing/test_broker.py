"""A brokering run on the database: planned as one, carried out through the door, reported beside the rules."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.words import act, publish, stands, wanted

from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.house import build
from trueup.orders.channel import Channel
from trueup.orders.hold import PlaceHold
from trueup.sourcing import broker as brokering
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.broker import broker, broker_when_due
from trueup.sourcing.finish_run import FinishRun
from trueup.sourcing.optimise import Result, optimise
from trueup.sourcing.policy import CostBand, Costs, Group, Routing, Rule, When
from trueup.sourcing.problem import Plan, Problem, Share
from trueup.stock.promise import Lane, Method, ShippingMethods
from trueup.stock.receive import AdjustStock
from trueup.storyline import settled

NEAR_FIRST = Rule("near", sort=("distance",), otherwise="partial")
BROKERED = Routing(
    groups=(Group("all", (NEAR_FIRST,), brokered=True),),
    costs=Costs(
        bands=(CostBand(100, Decimal("2.00")), CostBand(400, Decimal("4.00")), CostBand(1000, Decimal("9.00")))
    ),
    when=When(every_minutes=1),
)


@pytest.fixture(autouse=True)
def solved_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solve in this process: starting one for each test costs a second."""

    async def solve(posed: Problem, seconds_max: float) -> Result:
        return optimise(posed, seconds_max=seconds_max)

    monkeypatch.setattr(brokering, "_solved", solve)


async def two_cities(door: Door, east: int, west: int) -> None:
    """Mugs in two cities 500 km apart, both serving the web; brokered."""
    await stocked(door, location="EAST", MUG=east)
    await stocked(door, location="WEST", MUG=west)
    for code, longitude in (("EAST", "13.40"), ("WEST", "6.96")):
        place = RegisterLocation(code=code, name=code, latitude=Quantity("52.00"), longitude=Quantity(longitude))
        expect_all([await act(door, place)])
    await publish(door, "web", Channel(locations=("EAST", "WEST")))
    await publish(door, "default", BROKERED)


async def run(url: str, door: Door) -> FinishRun:
    """Run once; there must be something to run."""
    connection = await connect(url)
    try:
        report = await broker(connection, door, SYSTEM, (await build().load_standing(connection)).policies)
    finally:
        await connection.close()
    assert report is not None
    return report


async def going(door: Door, key: str, longitude: str, promised_at: datetime | None = None) -> str:
    """Place an order of one mug that goes to this longitude."""
    command = msgspec.structs.replace(
        wanted(MUG=1), latitude=Quantity("52.00"), longitude=Quantity(longitude), promised_at=promised_at,
        ship_country="DE",
    )  # fmt: skip
    outcome = await door.submit(SYSTEM, command, key)
    assert outcome.refusal is None, outcome.refusal
    return str(outcome.result["order"])


async def two_orders(door: Door, clock: TurnedClock) -> tuple[str, str]:
    """The first is near the east and could come from the west for a little more; the second is in the east."""
    first = await going(door, "first", "12.00")
    clock.turn(timedelta(minutes=1))
    return first, await going(door, "second", "13.40")


async def test_a_run_costs_less_than_the_rules_and_goes_through_the_door(door: Door, url: str, clock: TurnedClock):
    await two_cities(door, east=1, west=10)
    first, second = await two_orders(door, clock)
    report = await run(url, door)
    assert (report.orders, report.assigned, report.fallen_back, report.decided_by) == (2, 2, 0, "optimised")
    assert report.cost == 6
    assert report.sequential_cost == 11
    went = await rows(url, "select f.order_id, l.code from fulfilment_order f join location l on l.id = f.location")
    assert dict(went) == {first: "WEST", second: "EAST"}
    assert await rows(url, "select id, cost, sequential_cost from brokering_run") == [(report.run, 6, 11)]
    assert await rows(url, "select distinct run, mode, rule from sourcing_decision") == [(report.run, "broker", "plan")]
    await prove(url)


async def test_where_stock_moved_meanwhile_the_rules_take_over(
    door: Door, url: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
):
    await two_cities(door, east=1, west=10)
    _, second = await two_orders(door, clock)

    async def while_it_solves(posed: Problem, seconds_max: float) -> Result:
        lost = AdjustStock(location="EAST", sku="MUG", change=Quantity(-1), reason="lost", reference="count")
        assert (await act(door, lost)).refusal is None
        return optimise(posed, seconds_max=seconds_max)

    monkeypatch.setattr(brokering, "_solved", while_it_solves)
    report = await run(url, door)
    assert (report.assigned, report.fallen_back) == (2, 1)
    went = await rows(
        url, "select l.code from fulfilment_order f join location l on l.id = f.location where f.order_id = %s", second
    )
    assert went == [("WEST",)]
    assert (await stands(url, "MUG", "EAST"))["allocated"] == 0
    await prove(url)


async def test_a_plan_may_count_on_what_another_order_of_the_run_has_reserved(door: Door, url: str, clock: TurnedClock):
    """The second goes first in the run, and its plan is what the first has reserved until its own turn."""
    await two_cities(door, east=1, west=10)
    first = await going(door, "first", "12.00")
    clock.turn(timedelta(minutes=1))
    second = await going(door, "second", "13.40", promised_at=clock.now() + timedelta(days=60))
    assert (await stands(url, "MUG", "EAST"))["reserved"] == 1
    report = await run(url, door)
    assert (report.assigned, report.fallen_back) == (2, 0)
    assert report.cost == 6
    went = await rows(url, "select f.order_id, l.code from fulfilment_order f join location l on l.id = f.location")
    assert dict(went) == {first: "WEST", second: "EAST"}
    keys = {key for (key,) in await rows(url, "select key from door_key where key like %s", f"{report.run}/_/%")}
    assert keys == {f"{report.run}/1/{second}", f"{report.run}/1/{first}", f"{report.run}/2/{second}"}
    assert await rows(url, "select count(*) from sourcing_decision") == [(2,)], "that changed nothing"
    await prove(url)


async def test_plans_that_wait_for_each_other_fall_back_on_the_rules(
    door: Door, url: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
):
    await two_cities(door, east=1, west=1)
    first, second = await two_orders(door, clock)
    at = dict(await rows(url, "select holder, location from stock_claim"))

    async def swapped(posed: Problem, seconds_max: float) -> Result:
        found = optimise(posed, seconds_max=seconds_max)
        shares = {first: (Share("1", at[second], 1),), second: (Share("1", at[first], 1),)}
        return msgspec.structs.replace(found, plan=Plan(shares))

    monkeypatch.setattr(brokering, "_solved", swapped)
    report = await run(url, door)
    assert (report.assigned, report.fallen_back) == (2, 2)
    went = await rows(url, "select order_id, location from fulfilment_order")
    assert dict(went) == at, "each from where it had reserved"
    await prove(url)


async def test_brokered_orders_wait_for_their_run_and_it_comes_on_schedule(door: Door, url: str, clock: TurnedClock):
    await two_cities(door, east=1, west=10)
    first, _ = await two_orders(door, clock)
    await settled(door, url, build())
    assert await rows(url, "select count(*) from fulfilment_order") == [(0,)]
    assert (await act(door, AssignOrder(order=first, mode="schedule"))).status == "ignored"
    hourly = msgspec.structs.replace(BROKERED, when=When(every_minutes=60))
    await publish(door, "default", hourly)
    connection = await connect(url)
    try:
        policies = (await build().load_standing(connection)).policies
        assert await broker_when_due(connection, door, SYSTEM, policies) is None, "not this minute"
        clock.turn(timedelta(minutes=60 - int(clock.now().timestamp()) // 60 % 60))
        report = await broker_when_due(connection, door, SYSTEM, policies)
        assert report is not None
        assert report.assigned == 2
        clock.turn(timedelta(hours=1))
        assert await broker_when_due(connection, door, SYSTEM, policies) is None, "nothing is left to source"
    finally:
        await connection.close()
    await prove(url)


async def test_orders_on_hold_and_other_groups_are_left_out(door: Door, url: str, clock: TurnedClock):
    await two_cities(door, east=1, west=10)
    first, second = await two_orders(door, clock)
    hold = PlaceHold(order=first, type="manual", reason="ask the customer")
    assert (await act(door, hold)).refusal is None
    report = await run(url, door)
    assert (report.orders, report.assigned) == (1, 1)
    assert await rows(url, "select order_id from fulfilment_order") == [(second,)]
    await prove(url)


async def test_a_run_gives_no_location_more_orders_than_it_takes_where_the_rule_heeds_that(
    door: Door, url: str, clock: TurnedClock
):
    await two_cities(door, east=10, west=10)
    east = RegisterLocation(
        code="EAST", name="EAST", latitude=Quantity("52.00"), longitude=Quantity("13.40"), capacity_per_day=1
    )
    expect_all([await act(door, east)])
    await two_orders(door, clock)
    assert (await run(url, door)).fallen_back == 0
    went = await rows(url, "select l.code from fulfilment_order f join location l on l.id = f.location order by 1")
    assert went == [("EAST",), ("WEST",)]
    await prove(url)


async def test_a_promise_that_would_be_broken_costs_and_so_goes_from_where_it_is_kept(
    door: Door, url: str, clock: TurnedClock
):
    """EAST would be cheaper for both; from there it takes five days, and the second was promised within two."""
    await two_cities(door, east=10, west=10)
    for code, country in (("EAST", "PL"), ("WEST", "DE")):
        longitude = "13.40" if code == "EAST" else "6.96"
        place = RegisterLocation(
            code=code, name=code, country=country, latitude=Quantity("52.00"), longitude=Quantity(longitude)
        )
        expect_all([await act(door, place)])
    lanes = (Lane(days=5, from_country="PL"), Lane(days=1, from_country="DE"))
    await publish(door, "default", ShippingMethods(methods=(Method(name="road", carrier="any", lanes=lanes),)))
    calm = await going(door, "calm", "13.40")
    clock.turn(timedelta(minutes=1))
    hurried = await going(door, "hurried", "13.40", promised_at=clock.now() + timedelta(days=2))
    report = await run(url, door)
    went = await rows(url, "select f.order_id, l.code from fulfilment_order f join location l on l.id = f.location")
    assert dict(went) == {calm: "EAST", hurried: "WEST"}
    assert report.report["lateness"] == "0.00"
    await prove(url)
