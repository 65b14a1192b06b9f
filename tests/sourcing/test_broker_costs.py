"""What a run weighs, each cost of the policy both ways: the plan it makes of the same orders and the same stock."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.test_broker import BROKERED, going, run, solved_here, two_cities
from tests.sourcing.test_broker_rules import buying, counted, near
from tests.sourcing.words import act, publish

from trueup.catalogue.register import RegisterLocation
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.orders.channel import Channel
from trueup.sourcing.policy import Group
from trueup.stock.receive import ReceivedLine, ReceiveStock

__all__ = ["solved_here"]


async def costing(door: Door, **costs: Any) -> None:
    """Put these costs in force: 2 a parcel up to 100 km, 9 up to 1,000 km; every location may be overrun."""
    policy = msgspec.structs.replace(
        BROKERED,
        costs=msgspec.structs.replace(BROKERED.costs, **costs),
        groups=(Group("all", (near(capacity=False),), brokered=True),),
    )
    await publish(door, "default", policy)


async def placed_at(door: Door, code: str, longitude: str, capacity: int | None = None) -> None:
    place = RegisterLocation(code=code, name=code, latitude=Quantity("52.00"), longitude=Quantity(longitude),
                             capacity_per_day=capacity)  # fmt: skip
    expect_all([await act(door, place)])


async def sent_from(url: str) -> list[str]:
    """The locations of all parts."""
    found = await rows(
        url, "select l.code from fulfilment_order f join location l on l.id = f.location order by l.code"
    )
    return [code for (code,) in found]


@pytest.mark.parametrize(("split", "places", "cost"), [(3, ["EAST", "NORTH"], 7), (6, ["WEST"], 9)])
async def test_a_second_parcel_is_worth_its_price_or_is_not(
    door: Door, url: str, split: int, places: list[str], cost: int
):
    """Mug and cup lie 2 away each, apart; together they lie 9 away."""
    await two_cities(door, east=5, west=5)
    await stocked(door, location="NORTH", CUP=5)
    await placed_at(door, "NORTH", "13.40")
    cups = ReceiveStock(location="WEST", lines=(ReceivedLine("CUP", Quantity(5)),), reference="cups")
    expect_all([await act(door, cups)])
    await publish(door, "web", Channel(locations=("EAST", "NORTH", "WEST")))
    await costing(door, split=Decimal(split))
    await buying(door, "both", MUG=1, CUP=1)
    report = await run(url, door)
    assert await sent_from(url) == places
    assert report.cost == cost
    await prove(url)


@pytest.mark.parametrize(("over", "places", "cost"), [(5, ["EAST", "EAST"], 9), (10, ["EAST", "WEST"], 11)])
async def test_an_order_beyond_a_locations_capacity_costs_what_the_policy_says(
    door: Door, url: str, over: int, places: list[str], cost: int
):
    """The east takes one order a day; the second one costs 2 and what going beyond costs there, or 9 in the west."""
    await two_cities(door, east=5, west=5)
    await placed_at(door, "EAST", "13.40", capacity=1)
    await costing(door, over_capacity=Decimal(over))
    await going(door, "first", "13.40")
    await going(door, "second", "13.40")
    report = await run(url, door)
    assert await sent_from(url) == places
    assert report.cost == cost
    await prove(url)


@pytest.mark.parametrize(("unserved", "planned"), [(50, 1), (1, 0)])
async def test_a_unit_that_costs_more_to_serve_than_not_is_left_to_the_rules(
    door: Door, url: str, unserved: int, planned: int
):
    """Nine for the parcel, against what an unserved unit costs. What no plan serves, the rules do."""
    await two_cities(door, east=0, west=5)
    await costing(door, unserved=Decimal(unserved))
    await going(door, "far", "13.40")
    assert counted(await run(url, door)) == (1, planned, 0, 0)
    assert await rows(url, "select rule from sourcing_decision") == [("plan" if planned else "near",)]
    assert await sent_from(url) == ["WEST"]
    await prove(url)


@pytest.mark.parametrize("currency", ["EUR", "JPY"])
async def test_the_report_is_in_the_policys_currency_whatever_its_smallest_coin(door: Door, url: str, currency: str):
    await two_cities(door, east=5, west=5)
    await costing(door, currency=currency)
    await going(door, "one", "13.40")
    report = await run(url, door)
    assert report.cost == report.sequential_cost == 2
    assert report.currency == currency
    await prove(url)
