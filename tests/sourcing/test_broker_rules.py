"""A run plans nothing that an order's rule does not allow; what no plan can say, the rules source, counted."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.test_broker import BROKERED, NEAR_FIRST, going, run, solved_here, two_cities
from tests.sourcing.words import act, publish, state_of, wanted

from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.orders.channel import Channel
from trueup.sourcing.finish_run import FinishRun
from trueup.sourcing.policy import Group, LocationFilter, OrderFilter, Rule
from trueup.stock.receive import ReceivedLine, ReceiveStock

__all__ = ["solved_here"]


async def ruled(door: Door, *groups: Group) -> None:
    """Put brokered groups in force."""
    await publish(door, "default", msgspec.structs.replace(BROKERED, groups=groups))


async def by_rule(door: Door, *rules: Rule) -> None:
    """Put one brokered group of these rules in force."""
    await ruled(door, Group("all", rules, brokered=True))


def near(name: str = "near", **more: Any) -> Rule:
    """The nearest first, with another filter or end."""
    where = {key: more.pop(key) for key in list(more) if key in LocationFilter.__struct_fields__}
    return msgspec.structs.replace(NEAR_FIRST, name=name, where=LocationFilter(**where), **more)


def counted(report: FinishRun) -> tuple[int, int, int, int]:
    """Orders of the run; those planned, fallen back, and left to the rules from the start."""
    return report.orders, report.assigned, report.fallen_back, report.report["by_rules"]


async def went(url: str) -> dict[str, str]:
    """Where each order went."""
    found = await rows(url, "select f.order_id, l.code from fulfilment_order f join location l on l.id = f.location")
    return dict(found)


async def buying(door: Door, key: str, **units: int) -> str:
    """Place an order that goes to the east."""
    order = msgspec.structs.replace(wanted(**units), latitude=Quantity("52.00"), longitude=Quantity("13.40"))
    outcome = await door.submit(SYSTEM, order, key)
    assert outcome.refusal is None, outcome.refusal
    return str(outcome.result["order"])


async def test_units_that_are_to_stay_are_not_planned_with(door: Door, url: str):
    await two_cities(door, east=2, west=10)
    await by_rule(door, near(keep=Decimal(1)))
    await going(door, "first", "13.40")
    await going(door, "second", "13.40")
    report = await run(url, door)
    assert counted(report) == (2, 2, 0, 0)
    assert report.cost == 11
    assert sorted((await went(url)).values()) == ["EAST", "WEST"]
    await prove(url)


async def test_an_order_whose_rule_lets_other_units_stay_is_left_to_the_rules(door: Door, url: str):
    await two_cities(door, east=3, west=10)
    await ruled(
        door,
        Group("web", (near(),), OrderFilter(countries=("DE",)), brokered=True),
        Group("rest", (near("careful", keep=Decimal(1)),), brokered=True),
    )
    planned = [await going(door, "first", "13.40"), await going(door, "second", "13.40")]
    careful = await buying(door, "careful", MUG=1)
    report = await run(url, door)
    assert counted(report) == (3, 2, 0, 1)
    assert report.cost == report.sequential_cost == 4, "of the two that were planned"
    assert await went(url) == {**dict.fromkeys(planned, "EAST"), careful: "WEST"}
    assert await rows(url, "select rule from sourcing_decision where order_id = %s", careful) == [("careful",)]
    await prove(url)


async def test_goods_that_the_first_rule_does_not_ship_are_left_to_the_rules(door: Door, url: str):
    await two_cities(door, east=2, west=10)
    expect_all([await act(door, RegisterItem(sku="VASE", name="Vase", category="fragile"))])
    comes = ReceiveStock(location="WEST", lines=(ReceivedLine("VASE", Quantity(5)),), reference="vases")
    expect_all([await act(door, comes)])
    await by_rule(door, near("solid", not_categories=("fragile",), otherwise="next"), near("by hand"))
    vase = await buying(door, "vase", VASE=1)
    mug = await buying(door, "mug", MUG=1)
    report = await run(url, door)
    assert counted(report) == (2, 1, 0, 1)
    assert report.cost == 2
    assert await went(url) == {vase: "WEST", mug: "EAST"}
    assert await rows(url, "select rule from sourcing_decision where order_id = %s", vase) == [("by hand",)]
    await prove(url)


async def test_a_supplier_is_planned_with_only_where_the_rule_says_drop_ship(door: Door, url: str):
    await two_cities(door, east=5, west=10)
    place = RegisterLocation(code="EAST", name="East", kind="supplier", latitude=Quantity("52.00"),
                             longitude=Quantity("13.40"))  # fmt: skip
    expect_all([await act(door, place)])
    await by_rule(door, near())
    first = await buying(door, "first", MUG=1)
    assert counted(await run(url, door)) == (1, 1, 0, 0)
    assert await went(url) == {first: "WEST"}
    await by_rule(door, near(drop_ship=True))
    second = await buying(door, "second", MUG=1)
    assert counted(await run(url, door)) == (1, 1, 0, 0)
    assert await went(url) == {first: "WEST", second: "EAST"}
    await prove(url)


async def grouped(door: Door) -> None:
    """Two stores of the south, one of the north; mugs and cups lie apart."""
    await stocked(door, location="A", MUG=5)
    await stocked(door, location="B", CUP=5)
    await stocked(door, location="C", CUP=5)
    for code, group in (("A", "south"), ("B", "south"), ("C", "north")):
        place = RegisterLocation(code=code, name=code, groups=(group,), latitude=Quantity("52.00"),
                                 longitude=Quantity("13.40" if code == "C" else "12.00"))  # fmt: skip
        expect_all([await act(door, place)])
    await publish(door, "web", Channel(locations=("A", "B", "C")))


async def test_what_one_group_of_locations_is_to_serve_is_planned_whole_from_that_group(door: Door, url: str):
    await grouped(door)
    await by_rule(door, near(groups=("south",), complete="group"))
    whole = await buying(door, "whole", MUG=1, CUP=1)
    short = await buying(door, "short", MUG=1, CUP=6)
    report = await run(url, door)
    assert counted(report) == (2, 1, 0, 0)
    places = await rows(url, "select l.code from fulfilment_order f join location l on l.id = f.location order by 1")
    assert [code for (code,) in places] == ["A", "B"]
    assert await rows(url, "select distinct order_id from fulfilment_order") == [(whole,)]
    assert await rows(url, "select allocated from order_line where order_id = %s", short) == [(0,), (0,)]
    await prove(url)


async def test_where_several_groups_of_locations_could_serve_it_is_left_to_the_rules(door: Door, url: str):
    await grouped(door)
    await by_rule(door, near(groups=("north", "south"), complete="group"))
    await buying(door, "order", MUG=1, CUP=1)
    report = await run(url, door)
    assert counted(report) == (1, 0, 0, 1)
    places = await rows(url, "select l.code from fulfilment_order f join location l on l.id = f.location order by 1")
    assert [code for (code,) in places] == ["A", "B"], "both of the south, though C is nearer for the cup"
    await prove(url)


async def test_a_rule_that_hands_on_what_it_cannot_serve_is_not_planned_in_part(door: Door, url: str):
    await two_cities(door, east=1, west=1)
    await publish(door, "web", Channel(locations=("EAST", "WEST"), short="backorder"))
    await by_rule(door, near(otherwise="queue", queue="look"))
    order = await buying(door, "order", MUG=3)
    report = await run(url, door)
    assert counted(report) == (1, 0, 0, 0)
    assert await rows(url, "select count(*) from fulfilment_order") == [(0,)]
    assert await state_of(url, order) == "waiting"
    assert await rows(url, "select queue from sourcing_queue where order_id = %s", order) == [("look",)]
    await prove(url)


async def test_what_a_plan_leaves_short_is_owed_by_the_location_that_the_rule_names(door: Door, url: str):
    await two_cities(door, east=1, west=0)
    await publish(door, "web", Channel(locations=("EAST", "WEST"), short="backorder"))
    await by_rule(door, near(otherwise="backorder", backorder_at=("WEST",)))
    order = await buying(door, "order", MUG=3)
    assert counted(await run(url, door)) == (1, 1, 0, 0)
    assert await went(url) == {order: "EAST"}
    assert await rows(url, "select rule, outcome from sourcing_decision") == [("plan", "backordered")]
    waits = "select l.code, sum(w.quantity) from stock_waiting w join location l on l.id = w.location group by l.code"
    assert await rows(url, waits) == [("WEST", 2)]
    await prove(url)
