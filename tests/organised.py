"""A small organisation that tests of scope share, and the people and keys scoped to parts of it."""

from __future__ import annotations

import hashlib

from tests.conftest import expect_all, stocked

from trueup.authority.organisation import SetNode
from trueup.authority.publish import PublishPolicy
from trueup.authority.register import IssueKey, RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Actor, Outcome
from trueup.orders.place import PlaceLine, PlaceOrder
from trueup.stock.receive import AdjustStock

TREE = (
    SetNode(code="ACME", name="Acme", kind="company"),
    SetNode(code="NORTH", name="North", kind="region", parent="ACME"),
    SetNode(code="SHOP1", name="Shop 1", kind="site", parent="NORTH"),
    SetNode(code="SHOP2", name="Shop 2", kind="site", parent="ACME"),
    SetNode(code="app", name="App", kind="channel", parent="NORTH"),
    SetNode(code="web", name="Web", kind="channel", parent="ACME"),
)


async def organise(door: Door) -> None:
    """Two shops with ten mugs each, channels web and app served by them, in one company."""
    for shop in ("SHOP1", "SHOP2"):
        await stocked(door, location=shop, MUG=10)
    for node in TREE:
        expect_all([await door.submit(SYSTEM, node, f"node {node.code}")])
    for channel, location in (("web", "SHOP2"), ("app", "SHOP1")):
        policy = PublishPolicy(
            policy_kind="channel", policy_name=channel, document={"location": location}, reason="served"
        )
        expect_all([await door.submit(SYSTEM, policy, f"channel {channel}")])


async def scoped(door: Door, name: str, *scope: str, roles: tuple[str, ...] = ("Fulfilment Lead",)) -> Actor:
    """Register somebody with a scope."""
    outcome = await door.submit(SYSTEM, RegisterActor(name=name, roles=roles, scope=scope), f"register {name}")
    expect_all([outcome])
    return Actor(outcome.result["actor"], "person", name, frozenset(roles))


async def key_of(door: Door, actor: Actor, secret: str, *scope: str) -> str:
    """Issue a key, perhaps narrower than its actor."""
    digest = hashlib.sha256(secret.encode()).hexdigest()
    command = IssueKey(actor=actor.id, digest=digest, label="till", scope=scope)
    expect_all([await door.submit(SYSTEM, command, f"key {secret}")])
    return secret


def adjusted(shop: str, change: int = -1) -> AdjustStock:
    return AdjustStock(location=shop, sku="MUG", change=Quantity(change), reason="found", reference=f"{shop} {change}")


def ordered(channel: str, location: str | None = None) -> PlaceOrder:
    return PlaceOrder(
        currency="EUR", channel=channel, location=location, lines=(PlaceLine("MUG", Quantity(1), Amount("5.00")),)
    )


def rule_of(outcome: Outcome) -> str | None:
    return outcome.refusal.rule if outcome.refusal else None
