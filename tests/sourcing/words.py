"""Words in which sourcing tests speak: policies put in force, orders placed and sourced, what became of them."""

from __future__ import annotations

from itertools import count
from typing import Any

from tests.conftest import expect_all
from tests.requests import rows

from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.core import json
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.policy import Policy, digest
from trueup.core.quantity import Quantity
from trueup.core.verb import Command, Outcome
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.policy import Group, Routing, Rule


async def publish(door: Door, name: str, document: Policy) -> None:
    """Put a policy in force."""
    command = PublishPolicy(
        policy_kind=document.kind, policy_name=name, document=json.to_plain(document), reason="the test says so"
    )
    expect_all([await door.submit(SYSTEM, command, f"{document.kind}/{name}/{digest(json.encode(document)).hex()}")])


def by(*rules: Rule) -> Routing:
    """A routing policy of one group."""
    return Routing(groups=(Group("all", rules),))


def wanted(**units: int) -> PlaceOrder:
    """An order of so many units of each item."""
    lines = tuple(PlaceLine(sku, Quantity(count), Amount("10.00")) for sku, count in units.items())
    return PlaceOrder(currency="EUR", lines=lines)


async def placed(door: Door, key: str = "order", **units: int) -> str:
    """Place an order of so many units of each item; return its id."""
    outcome = await door.submit(SYSTEM, wanted(**units), key)
    assert outcome.status == "applied", outcome.refusal
    return str(outcome.result["order"])


async def act(door: Door, command: Command) -> Outcome:
    """Submit a command under a key of its own."""
    return await door.submit(SYSTEM, command, f"act {next(_NUMBERS)}")


_NUMBERS = count(1)


async def stands(url: str, sku: str, code: str) -> dict[str, int]:
    """Return an item's balance at a location, in whole units."""
    found = await rows(
        url,
        """select on_hand, reserved, allocated, owed, safety, damaged from stock_balance b
        join item i on i.id = b.item join location l on l.id = b.location where i.sku = %s and l.code = %s""",
        sku,
        code,
    )
    return dict(zip(("on_hand", "reserved", "allocated", "owed", "safety", "damaged"), map(int, found[0]), strict=True))


async def state_of(url: str, order: str) -> str:
    """Return the order's own workflow state."""
    found = await rows(url, "select state from orders where id = %s", order)
    return str(found[0][0])


async def assigned(door: Door, order: str, key: str = "assign") -> dict[str, Any]:
    """Source an order; return the result."""
    outcome = await door.submit(SYSTEM, AssignOrder(order=order), f"{key} {order}")
    assert outcome.refusal is None, outcome.refusal
    return outcome.result


def parts(result: dict[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """The fulfilment orders of a result as (location, units by line)."""
    return [(part["location"], part["lines"]) for part in result["fulfilment_orders"]]
