"""Orders find their locations: behaviours 1, 2, 10, 11, 21 and 39 through the door."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import rows

from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.core import json
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.policy import Policy
from trueup.core.quantity import Quantity
from trueup.orders.channel import Channel
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.policy import Group, LocationFilter, Routing, Rule


async def publish(door: Door, name: str, document: Policy) -> None:
    """Put a policy in force."""
    command = PublishPolicy(
        policy_kind=document.kind, policy_name=name, document=json.to_plain(document), reason="the test says so"
    )
    expect_all([await door.submit(SYSTEM, command, f"{document.kind}/{name}/{json.encode(document).hex()[:200]}")])


def by(*rules: Rule) -> Routing:
    """A routing policy of one group."""
    return Routing(groups=(Group("all", rules),))


async def placed(door: Door, key: str = "order", **units: int) -> str:
    """Place an order of so many units of each item; return its id."""
    lines = tuple(PlaceLine(sku, Quantity(count), Amount("10.00")) for sku, count in units.items())
    outcome = await door.submit(SYSTEM, PlaceOrder(currency="EUR", lines=lines), key)
    assert outcome.status == "applied", outcome.refusal
    return str(outcome.result["order"])


async def assigned(door: Door, order: str, key: str = "assign") -> dict[str, Any]:
    """Source an order; return the result."""
    outcome = await door.submit(SYSTEM, AssignOrder(order=order), f"{key} {order}")
    assert outcome.refusal is None, outcome.refusal
    return outcome.result


def parts(result: dict[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """The fulfilment orders of a result as (location, units by line)."""
    return [(part["location"], part["lines"]) for part in result["fulfilment_orders"]]


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
