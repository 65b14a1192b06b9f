"""Who is scoped to a part of the organisation moves that part only, whatever their roles allow."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.conftest import expect_all
from tests.organised import TREE, adjusted, ordered, organise, rule_of, scoped
from tests.proof import prove
from tests.requests import rows

from trueup import house
from trueup.authority.organisation import RemoveNode, SetNode
from trueup.authority.publish import PublishPolicy
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.catalogue.operate import OperateSite
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.core.verb import Command
from trueup.orders.cancel import CancelOrder
from trueup.stock.reserve import ReleaseReservation, ReserveLine, ReserveStock


@pytest.fixture
async def organised(door: Door) -> Door:
    """Two shops with ten mugs each, channels web and app served by them, in one company."""
    await organise(door)
    return door


async def test_a_stores_user_moves_only_their_own_stock(organised: Door, url: str):
    ada = await scoped(organised, "Ada", "SHOP1")
    assert (await organised.submit(ada, adjusted("SHOP1"), "own")).status == "applied"
    refused = await organised.submit(ada, adjusted("SHOP2"), "other")
    assert refused.refusal is not None
    assert (refused.refusal.rule, refused.refusal.value) == ("authority.outside_scope", "SHOP2")
    assert await rows(
        url, "select l.code, on_hand from stock_balance b join location l on l.id = b.location order by 1"
    ) == [("SHOP1", 9), ("SHOP2", 10)]
    assert (await organised.submit(ada, OperateSite(location="SHOP1", open=False), "close own")).status == "applied"
    assert rule_of(await organised.submit(ada, OperateSite(location="SHOP2", open=False), "close other")) == (
        "authority.outside_scope"
    )
    await prove(url)


async def test_a_stores_user_releases_only_what_is_reserved_there(organised: Door, url: str):
    ada = await scoped(organised, "Ada", "SHOP1")
    lines = (ReserveLine("MUG", Quantity(2)),)
    until = organised.now() + timedelta(hours=1)
    for shop, answer in (("SHOP1", "applied"), ("SHOP2", "authority.outside_scope")):
        held = await organised.submit(
            SYSTEM, ReserveStock(location=shop, lines=lines, expires_at=until), f"hold {shop}"
        )
        released = await organised.submit(
            ada, ReleaseReservation(reservation=held.result["reservation"]), f"end {shop}"
        )
        assert (released.refusal.rule if released.refusal else released.status) == answer
    assert await rows(
        url, "select l.code, reserved from stock_balance b join location l on l.id = b.location order by 1"
    ) == [("SHOP1", 0), ("SHOP2", 2)]
    await prove(url)


async def test_a_refusal_names_who_may(organised: Door):
    ada = await scoped(organised, "Ada", "SHOP1")
    await scoped(organised, "Ben", "SHOP2")
    await scoped(organised, "Cleo", "SHOP2", roles=("Auditor",))
    await scoped(organised, "Dora", "ACME")
    refused = await organised.submit(ada, adjusted("SHOP2"), "other")
    assert refused.refusal is not None
    assert "Ben, Dora" in refused.refusal.fix
    assert "Cleo" not in refused.refusal.fix


async def test_a_region_holds_what_lies_under_it(organised: Door, url: str):
    ada = await scoped(organised, "Ada", "NORTH", roles=("Fulfilment Lead", "Order Agent"))
    assert (await organised.submit(ada, adjusted("SHOP1"), "own")).status == "applied"
    assert rule_of(await organised.submit(ada, adjusted("SHOP2"), "other")) == "authority.outside_scope"
    # Moved under the region, the shop is in the scope with the next batch; moved away, it is not.
    moved = SetNode(code="SHOP2", name="Shop 2", kind="site", parent="NORTH")
    back = SetNode(code="SHOP2", name="Shop 2", kind="site", parent="ACME")
    expect_all([await organised.submit(SYSTEM, moved, "move")])
    assert (await organised.submit(ada, adjusted("SHOP2"), "now")).status == "applied"
    expect_all([await organised.submit(SYSTEM, back, "move back")])
    assert rule_of(await organised.submit(ada, adjusted("SHOP2", -2), "again")) == "authority.outside_scope"
    await prove(url)


async def test_orders_of_other_channels_are_out_of_reach(organised: Door, url: str):
    agent = await scoped(organised, "Ada", "NORTH", roles=("Order Agent",))
    own = await organised.submit(agent, ordered("app"), "own")
    assert own.status == "applied"
    assert rule_of(await organised.submit(agent, ordered("web"), "other")) == "authority.outside_scope"
    assert rule_of(await organised.submit(agent, ordered("app", "SHOP2"), "site")) == "authority.outside_scope"
    foreign = await organised.submit(SYSTEM, ordered("web"), "foreign")
    cancelled = await organised.submit(agent, CancelOrder(order=foreign.result["order"]), "cancel foreign")
    assert rule_of(cancelled) == "authority.outside_scope"
    assert rule_of(await organised.submit(agent, CancelOrder(order="ord_none"), "none")) == "authority.outside_scope"
    assert (await organised.submit(agent, CancelOrder(order=own.result["order"]), "cancel own")).status == "applied"
    assert await rows(url, "select channel, units_cancelled from orders order by 1") == [("app", 1), ("web", 0)]
    await prove(url)


async def test_what_concerns_the_whole_is_refused_to_the_scoped(organised: Door, url: str):
    roles = ("Administrator", "Data Steward")
    ada = await scoped(organised, "Ada", "ACME", roles=roles)
    ben = await scoped(organised, "Ben", "SHOP1")
    wide: tuple[Command, ...] = (
        RegisterItem(sku="NEW", name="New"),
        RegisterLocation(code="SHOP1", name="Mine now"),
        RegisterActor(name="Eve", roles=("Administrator",)),
        RegisterActor(name="Ada", roles=roles, actor=ada.id, scope=()),
        RegisterActor(name="Ben", roles=("Fulfilment Lead",), actor=ben.id, scope=()),
        SetNode(code="SHOP9", name="Shop 9", kind="site", parent="ACME"),
        PublishPolicy(policy_kind="rights", policy_name="default", document={}, reason="mine"),
    )
    for number, command in enumerate(wide):
        assert rule_of(await organised.submit(ada, command, f"wide {number}")) == "authority.outside_scope", command
    assert await rows(url, "select count(*) from actor where scope = '{}'") == [(0,)]
    assert await rows(url, "select count(*) from item where sku = 'NEW'") == [(0,)]


async def test_taking_a_scope_away_holds_from_the_next_batch_in_every_process(
    organised: Door, url: str, clock: TurnedClock
):
    ada = await scoped(organised, "Ada", "SHOP1", "SHOP2")
    async with Door(url, house.build(), clock=clock) as other:
        assert (await other.submit(ada, adjusted("SHOP2"), "before")).status == "applied"
        narrowed = RegisterActor(name="Ada", roles=("Fulfilment Lead",), actor=ada.id, scope=("SHOP1",))
        expect_all([await organised.submit(SYSTEM, narrowed, "narrow")])
        assert rule_of(await other.submit(ada, adjusted("SHOP2", -2), "after")) == "authority.outside_scope"
        # Registered again without a word on scope, it stays.
        again = RegisterActor(name="Ada B.", roles=("Fulfilment Lead",), actor=ada.id)
        expect_all([await organised.submit(SYSTEM, again, "rename")])
        assert rule_of(await other.submit(ada, adjusted("SHOP2", -2), "still")) == "authority.outside_scope"
    await prove(url)


async def test_nobody_gives_a_scope_to_themselves(organised: Door):
    admin = await scoped(organised, "Ada", roles=("Administrator",))
    command = RegisterActor(name="Ada", roles=("Administrator",), actor=admin.id, scope=("SHOP1",))
    assert rule_of(await organised.submit(admin, command, "own")) == "authority.own_scope"


async def test_the_tree_refuses_what_is_no_tree(organised: Door, url: str):
    await scoped(organised, "Ada", "SHOP1")
    cases: tuple[tuple[Command, str], ...] = (
        (SetNode(code="X", name="X", kind="region", parent="NOWHERE"), "authority.unknown_node"),
        (SetNode(code="ACME", name="Acme", kind="company", parent="NORTH"), "authority.node_cycle"),
        (SetNode(code="ACME", name="Acme", kind="company", parent="ACME"), "authority.node_cycle"),
        (SetNode(code="X", name="X", kind="region", parent="SHOP1"), "authority.node_parent"),
        (SetNode(code="NORTH", name="North", kind="site"), "authority.node_not_empty"),
        (RemoveNode(code="NORTH"), "authority.node_not_empty"),
        (RemoveNode(code="SHOP1"), "authority.node_in_use"),
        (RegisterActor(name="Ben", roles=(), scope=("NOWHERE",)), "authority.unknown_node"),
    )
    for number, (command, rule) in enumerate(cases):
        assert rule_of(await organised.submit(SYSTEM, command, f"case {number}")) == rule, command
    assert await rows(url, "select count(*) from org_node") == [(6,)]
    assert (await organised.submit(SYSTEM, RemoveNode(code="SHOP2"), "free")).status == "applied"
    assert (await organised.submit(SYSTEM, TREE[0], "same")).status == "merged"
    await prove(url)
