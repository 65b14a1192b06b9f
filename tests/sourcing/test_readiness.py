"""An item that is not shippable is allocated to no parcel, by no way; one that is not sellable is not ordered."""

from __future__ import annotations

from typing import Any

import pytest
from tests.catalogue.test_amend import amend, amendment, publish, refusal_of
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import order_of, rows

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Command
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.sourcing.allocate import AllocateUnits
from trueup.sourcing.assign import AssignOrder, PlannedShare
from trueup.sourcing.parts import MovePart
from trueup.storyline import settled

SHIPPABLE = {"weight_g": "300", "length_mm": "110", "width_mm": "80", "height_mm": "95", "lead_days": 3}
ENFORCED = {"enforce": True}


async def amended(door: Door, sku: str, fields: dict[str, Any]) -> None:
    outcome = await door.submit(SYSTEM, amend(amendment(sku, fields)), f"{sku} {fields}"[:190])
    assert outcome.status == "applied", outcome.refusal


async def placed(door: Door, command: PlaceOrder, key: str = "order") -> str:
    outcome = await door.submit(SYSTEM, command, key)
    assert outcome.status == "applied", outcome.refusal
    return str(outcome.result["order"])


async def location_id(url: str, code: str) -> str:
    ((id_,),) = await rows(url, "select id from location where code = %s", code)
    return str(id_)


async def ways(url: str, order: str) -> dict[str, Command]:
    main = await location_id(url, "MAIN")
    share = PlannedShare(line=1, location=main, quantity=Quantity(2))
    return {
        "by the rules": AssignOrder(order=order),
        "by what follows by itself": AssignOrder(order=order, mode="placement"),
        "by a receipt": AssignOrder(order=order, mode="receipt"),
        "by a plan of a run": AssignOrder(order=order, mode="broker", plan=(share,), fall_back=False),
        "by a plan that falls back": AssignOrder(order=order, mode="broker", plan=(share,)),
        "by hand": AllocateUnits(order=order, line=1, location="MAIN", quantity=Quantity(1)),
    }


async def test_what_is_not_shippable_is_allocated_to_a_parcel_by_no_way(door: Door, url: str):
    await stocked(door, MUG=10)
    await publish(door, "readiness", ENFORCED)
    order = await placed(door, order_of(MUG=2))
    for way, command in (await ways(url, order)).items():
        refusal = refusal_of(await door.submit(SYSTEM, command, way))
        assert refusal.rule == "catalogue.not_shippable", way
        assert "weight missing" in refusal.what, way
    assert await rows(url, "select sum(allocated)::int from stock_balance") == [(0,)]
    assert await rows(url, "select count(*) from fulfilment_order") == [(0,)]
    await prove(url)


async def test_a_part_does_not_move_to_another_place_once_its_item_is_not_shippable(door: Door, url: str):
    await stocked(door, MUG=10)
    await stocked(door, location="NORTH", MUG=10)
    order = await placed(door, order_of(MUG=2))
    await door.submit(SYSTEM, AssignOrder(order=order), "assign")
    ((part,),) = await rows(url, "select id from fulfilment_order")
    await publish(door, "readiness", ENFORCED)
    moved = MovePart(order=order, fulfilment_order=part, location="NORTH")
    assert refusal_of(await door.submit(SYSTEM, moved, "moved")).rule == "catalogue.not_shippable"
    assert await rows(url, "select count(distinct location) from fulfilment_order") == [(1,)]
    await prove(url)


async def test_the_other_lines_go_and_the_rest_follows_once_the_data_is_there(door: Door, url: str):
    await stocked(door, MUG=10, CUP=10)
    await amended(door, "CUP", SHIPPABLE)
    await publish(door, "readiness", ENFORCED)
    order = await placed(door, order_of(MUG=2, CUP=1))
    await settled(door, url, house.build())
    units = "select line, allocated::int from order_line where order_id = %s order by line"
    assert await rows(url, units, order) == [(1, 0), (2, 1)]
    await amended(door, "MUG", SHIPPABLE)
    await settled(door, url, house.build())
    assert await rows(url, units, order) == [(1, 2), (2, 1)]
    await prove(url)


async def test_an_order_whose_every_line_waited_is_sourced_once_the_data_is_there(door: Door, url: str):
    await stocked(door, MUG=10)
    await publish(door, "readiness", ENFORCED)
    order = await placed(door, order_of(MUG=2))
    await settled(door, url, house.build())
    units = "select allocated::int from order_line where order_id = %s"
    assert await rows(url, units, order) == [(0,)]
    await amended(door, "MUG", SHIPPABLE)
    await settled(door, url, house.build())
    assert await rows(url, units, order) == [(2,)]
    await prove(url)


async def test_what_a_customer_picks_up_needs_no_parcel(door: Door, url: str):
    await stocked(door, MUG=10)
    await publish(door, "readiness", ENFORCED)
    line = PlaceLine("MUG", Quantity(2), Amount("10"))
    order = await placed(door, PlaceOrder(currency="EUR", lines=(line,), delivery="pickup", location="MAIN"))
    outcome = await door.submit(SYSTEM, AssignOrder(order=order), "assign")
    assert outcome.result.get("outcome") == "assigned", outcome
    await prove(url)


async def test_without_enforcing_what_is_missing_stops_nothing(door: Door, url: str):
    await stocked(door, MUG=10)
    order = await placed(door, order_of(MUG=2))
    assert (await door.submit(SYSTEM, AssignOrder(order=order), "assign")).result["outcome"] == "assigned"
    await prove(url)


@pytest.mark.parametrize("enforce", [True, False])
async def test_a_draft_cannot_be_ordered_where_readiness_is_enforced(door: Door, url: str, enforce: bool):
    await stocked(door, MUG=10)
    await publish(door, "readiness", {"enforce": enforce, "sellable": ["price"]})
    outcome = await door.submit(SYSTEM, order_of(MUG=2), "order")
    assert (outcome.refusal is not None) == enforce
    if outcome.refusal is not None:
        assert (outcome.refusal.rule, outcome.refusal.where) == ("catalogue.not_sellable", "lines[0].sku")
        assert await rows(url, "select count(*) from orders") == [(0,)]
        assert await rows(url, "select sum(reserved)::int from stock_balance") == [(0,)]
    await prove(url)
