"""Goods that come belong first to those who wait: nobody else claims them, and whose turn it is takes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.words import act, assigned, placed, publish, stands, state_of, wanted

from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.house import build
from trueup.orders.business import Terms
from trueup.orders.cancel import CancelOrder
from trueup.orders.channel import Channel
from trueup.sourcing.policy import Routing
from trueup.stock.receive import ReceivedLine, ReceiveStock
from trueup.stock.supply import ExpectSupply
from trueup.storyline import settled


async def comes(door: Door, units: int, reference: str = "more") -> None:
    """Receive mugs."""
    receipt = ReceiveStock(location="MAIN", lines=(ReceivedLine("MUG", Quantity(units)),), reference=reference)
    assert (await act(door, receipt)).refusal is None


async def test_a_new_order_does_not_get_what_came_in_for_one_that_waits(door: Door, url: str):
    await stocked(door, MUG=0)
    await publish(door, "web", Channel(short="backorder"))
    waits = await placed(door, "waits", MUG=2)
    await publish(door, "web", Channel(short="refuse"))
    await comes(door, 3)
    late = await act(door, wanted(MUG=2))
    assert late.refusal is not None
    assert "MUG: 2 asked, 1 available" in late.refusal.what, "the one unit more than is waited for is free"
    assert (await stands(url, "MUG", "MAIN"))["reserved"] == 0
    assert (await act(door, wanted(MUG=1))).refusal is None
    await settled(door, url, build())
    assert await rows(url, "select units_allocated from orders where id = %s", waits) == [(2,)]
    assert await rows(url, "select waiting from stock_backlog") == [(0,)]
    await prove(url)


async def test_a_new_order_that_may_wait_gets_in_line_behind_those_who_wait(door: Door, url: str):
    await stocked(door, MUG=0)
    await publish(door, "web", Channel(short="backorder"))
    first = await placed(door, "first", MUG=2)
    await comes(door, 3)
    second = await act(door, wanted(MUG=2))
    assert second.result["short"] == [{"line": 1, "quantity": "1"}]
    await settled(door, url, build())
    allocated = dict(await rows(url, "select id, units_allocated from orders"))
    assert allocated == {first: 2, second.result["order"]: 1}
    await prove(url)


async def test_in_one_batch_an_order_behind_a_receipt_does_not_get_what_came_for_others(door: Door, url: str):
    await stocked(door, MUG=0)
    await publish(door, "web", Channel(short="backorder"))
    waits = await placed(door, "waits", MUG=2)
    expected = ExpectSupply(location="MAIN", sku="MUG", quantity=Quantity(2), due="2026-03-09", reference="PO",
                            source="purchasing")  # fmt: skip
    assert (await act(door, expected)).refusal is None
    assert await rows(url, "select waiting from stock_backlog") == [(0,)]
    receipt = ReceiveStock(location="MAIN", lines=(ReceivedLine("MUG", Quantity(2)),), reference="PO")
    _, late = await door.submit_all(SYSTEM, [("comes", receipt), ("late", wanted(MUG=2))])
    assert late.result["short"] == [{"line": 1, "quantity": "2"}]
    await settled(door, url, build())
    assert await rows(url, "select units_allocated from orders where id = %s", waits) == [(2,)]
    await prove(url)


async def test_what_nobody_waits_for_any_more_is_free_again(door: Door, url: str):
    await stocked(door, MUG=0)
    await publish(door, "web", Channel(short="backorder"))
    waits = await placed(door, "waits", MUG=2)
    await comes(door, 2)
    assert (await act(door, CancelOrder(order=waits))).refusal is None
    assert "short" not in (await act(door, wanted(MUG=2))).result
    await prove(url)


async def test_who_waits_gets_its_units_though_more_wait_than_came(door: Door, url: str):
    await stocked(door, MUG=1)
    await publish(door, "web", Channel(short="backorder"))
    first, second = await placed(door, "first", MUG=3), await placed(door, "second", MUG=2)
    await comes(door, 2)
    assert (await assigned(door, first))["outcome"] == "assigned"
    assert (await stands(url, "MUG", "MAIN"))["allocated"] == 3
    assert (await assigned(door, second))["outcome"] == "unserved"
    await prove(url)


TURNS: dict[str, dict[str, Any]] = {
    "first": {}, "late": {"promised_at": START + timedelta(days=9)}, "urgent": {"priority": 5},
    "agreed": {"business": Terms(contract="frame 2026")}, "early": {"promised_at": START + timedelta(days=2)},
}  # fmt: skip


@pytest.mark.parametrize(
    ("fill", "served", "then"),
    [
        (None, "first", "late"),  # as shipped: first in
        (("first_in",), "first", "late"),
        (("priority",), "urgent", "first"),
        (("promise",), "early", "late"),
        (("contract",), "agreed", "first"),
        (("promise", "contract"), "early", "late"),  # who has no promise comes after all who have
        (("contract", "promise"), "agreed", "early"),
        (("priority", "contract"), "urgent", "agreed"),
    ],
)
async def test_whose_turn_it_is_the_policy_says(
    door: Door, url: str, clock: TurnedClock, fill: Any, served: str, then: str
):
    """Five wait for two mugs each; two come, then two more. A new order gets in line behind them all. Behaviour 13."""
    await stocked(door, MUG=0)
    await publish(door, "web", Channel(short="backorder"))
    if fill is not None:
        await publish(door, "default", Routing(fill=fill))
    orders = {}
    for name, wish in TURNS.items():
        clock.turn(timedelta(minutes=1))
        outcome = await act(door, msgspec.structs.replace(wanted(MUG=2), **wish))
        orders[name] = str(outcome.result["order"])
    await settled(door, url, build())
    await comes(door, 2)
    new = await act(door, wanted(MUG=2))
    assert new.result["short"] == [{"line": 1, "quantity": "2"}]
    nothing = dict.fromkeys([*orders.values(), str(new.result["order"])], 0)
    filled = "select id, units_allocated::int from orders"
    await settled(door, url, build())
    assert dict(await rows(url, filled)) == {**nothing, orders[served]: 2}
    assert await state_of(url, orders[served]) == "sourced"
    await comes(door, 2, "two more")
    await settled(door, url, build())
    assert dict(await rows(url, filled)) == {**nothing, orders[served]: 2, orders[then]: 2}
    await prove(url)
