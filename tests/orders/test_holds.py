"""Holds placed and released by people: what they stop, on which lines, who may release them, and in bulk."""

from __future__ import annotations

import msgspec
import pytest
from tests.conftest import stocked
from tests.orders.holding import axes, held, hold, place, publish, with_type
from tests.proof import prove
from tests.requests import cancel, figures, order_of, person, rows

from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.orders.hold import PlaceHold, ReleaseHold, ReleaseHolds
from trueup.orders.record import RecordedLine, RecordOrder


async def test_several_holds_stand_at_once_and_each_is_released_once(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    first, second = await hold(door, order, "payment"), await hold(door, order, "address", line=1)
    assert await axes(url, order) == ("held", 2, 3)
    assert await held(url, order) == [("address", 1), ("payment", None)]
    released = await door.submit(SYSTEM, ReleaseHold(hold=first, reason="paid"), "release")
    again = await door.submit(SYSTEM, ReleaseHold(hold=first, reason="paid"), "again")
    assert (released.status, again.status) == ("applied", "merged")
    assert released.result == {"hold": first, "order": order, "version": 4}
    assert await axes(url, order) == ("held", 1, 4)
    await door.submit(SYSTEM, ReleaseHold(hold=second, reason="checked"), "second")
    assert await axes(url, order) == ("clear", 0, 5)
    assert await held(url, order, "released") == [("address", 1), ("payment", None)]
    await prove(url)


async def test_two_releases_in_one_batch_are_one(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    placed = await hold(door, order)
    twice = [(f"release {at}", ReleaseHold(hold=placed, reason="paid")) for at in range(2)]
    assert [outcome.status for outcome in await door.submit_all(SYSTEM, twice)] == ["applied", "merged"]
    assert await axes(url, order) == ("clear", 0, 3)
    await prove(url)


async def test_the_same_hold_again_is_merged_and_another_reason_is_another_hold(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    first = await hold(door, order, reason="one")
    again = await door.submit(SYSTEM, PlaceHold(order=order, type="payment", reason="one"), "again")
    assert (again.status, again.result["hold"]) == ("merged", first)
    await hold(door, order, reason="two")
    assert (await axes(url, order))[1] == 2


async def test_a_hold_stops_what_its_type_names_and_nothing_else(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    await hold(door, order, "payment")
    assert (await door.submit(SYSTEM, cancel(order, line1=1), "payment")).status == "applied"
    stopping = await hold(door, order, "compliance", reason="sanctions list")
    before = await axes(url, order)
    outcome = await door.submit(SYSTEM, cancel(order), "compliance")
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "orders.held"
    assert "sanctions list" in outcome.refusal.what
    assert [(detail.where, detail.value) for detail in outcome.refusal.details] == [(stopping, "compliance")]
    assert await axes(url, order) == before
    assert (await figures(url))["reserved"] == 1
    await door.submit(SYSTEM, ReleaseHold(hold=stopping, reason="cleared"), "release")
    assert (await door.submit(SYSTEM, cancel(order), "now")).status == "applied"
    await prove(url)


@pytest.mark.parametrize("blocks", [("cancelled",), ("sourced",)])
async def test_what_a_type_blocks_is_a_policy_and_is_settled_when_the_hold_is_placed(
    door: Door, url: str, blocks: tuple[str, ...]
):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    await publish(door, "holds", types=with_type("address", blocks=list(blocks)))
    await hold(door, order, "address")
    await publish(door, "holds", types=with_type("address", blocks=["something_else"]))
    outcome = await door.submit(SYSTEM, cancel(order), "cancel")
    assert outcome.status == ("refused" if "cancelled" in blocks else "applied")


async def test_a_hold_on_a_line_stops_that_line_alone(door: Door, url: str):
    await stocked(door, MUG=10, CUP=10)
    order = (await place(door, "place", MUG=2, CUP=3))["order"]
    await hold(door, order, "compliance", line=2)
    assert (await door.submit(SYSTEM, cancel(order, line1=1), "other")).status == "applied"
    for key, command in (("held", cancel(order, line2=1)), ("both", cancel(order, line1=1, line2=1)),
                         ("all", cancel(order))):  # fmt: skip
        outcome = await door.submit(SYSTEM, command, key)
        assert outcome.refusal is not None, key
        assert "line 2" in outcome.refusal.what
    await prove(url)


async def test_it_refuses_what_cannot_be_held(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    line = RecordedLine(row="r1", sku="MUG", quantity=Quantity(1), unit_price=Amount("1.00"))
    old = RecordOrder(source="legacy", document="1", currency="EUR", lines=(line,), kind="sale",
                      placed_at=door.now(), load=None)  # fmt: skip
    history = (await door.submit(SYSTEM, old, "history")).result["order"]
    await door.submit(SYSTEM, cancel(order), "cancel")
    whole = (await place(door, "second", MUG=1))["order"]
    cases = {
        "orders.unknown": PlaceHold(order="ord_0", type="payment", reason="x"),
        "orders.history": PlaceHold(order=history, type="payment", reason="x"),
        "orders.nothing_to_hold": PlaceHold(order=order, type="payment", reason="x"),
        "orders.unknown_line": PlaceHold(order=whole, type="payment", reason="x", line=7),
        "orders.hold_type": PlaceHold(order=whole, type="whim", reason="x"),
        "orders.changed": PlaceHold(order=whole, type="payment", reason="x", version=4),
    }
    for rule, command in cases.items():
        outcome = await door.submit(SYSTEM, command, rule)
        assert outcome.refusal is not None, rule
        assert outcome.refusal.rule == rule
    unknown = await door.submit(SYSTEM, ReleaseHold(hold="hld_0", reason="x"), "unknown")
    assert unknown.refusal is not None
    assert unknown.refusal.rule == "orders.unknown_hold"
    assert await rows(url, "select * from order_hold") == []


async def test_roles_named_by_the_type_alone_release_it(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await place(door, "place", MUG=2))["order"]
    agent, finance = await person(door, "Ann", "Order Agent"), await person(door, "Finn", "Finance")
    auditor = await person(door, "Aud", "Auditor")
    await publish(door, "holds", types=with_type("fraud", release_roles=["Finance"]))
    fraud, address = await hold(door, order, "fraud"), await hold(door, order, "address")
    refused = await door.submit(agent, ReleaseHold(hold=fraud, reason="fine"), "agent")
    assert refused.refusal is not None
    assert refused.refusal.rule == "orders.hold_release_role"
    assert "Finance" in refused.refusal.fix
    assert (await door.submit(agent, ReleaseHold(hold=address, reason="fine"), "open to all")).status == "applied"
    no_right = await door.submit(auditor, ReleaseHold(hold=fraud, reason="fine"), "auditor")
    assert no_right.refusal is not None
    assert no_right.refusal.rule == "authority.not_allowed"
    assert await held(url, order) == [("fraud", None)]
    assert (await door.submit(finance, ReleaseHold(hold=fraud, reason="fine"), "finance")).status == "applied"
    await prove(url)


async def test_many_are_released_at_once_and_each_answers_for_itself(door: Door, url: str):
    await stocked(door, MUG=50)
    agent = await person(door, "Ann", "Order Agent")
    await publish(door, "holds", types=with_type("fraud", release_roles=["Finance"]))
    orders = [(await place(door, f"place {at}", MUG=1))["order"] for at in range(4)]
    address = [await hold(door, order, "address") for order in orders]
    fraud = await hold(door, orders[0], "fraud")
    await door.submit(SYSTEM, ReleaseHold(hold=address[3], reason="before"), "before")
    command = ReleaseHolds(reason="checked by phone", holds=(*address, fraud, "hld_0"))
    outcome = await door.submit(agent, command, "bulk")
    assert outcome.status == "applied"
    assert [entry["hold"] for entry in outcome.result["released"]] == address[:3]
    assert [entry["hold"] for entry in outcome.result["refused"]] == [address[3], fraud, "hld_0"]
    assert await axes(url, orders[0]) == ("held", 1, 4)
    assert await axes(url, orders[1]) == ("clear", 0, 3)
    await prove(url)


async def test_a_filter_means_the_open_holds_of_a_type_and_channel(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=50)
    web = (await place(door, "web", MUG=1))["order"]
    shop = (await place(door, "shop", command=msgspec.structs.replace(order_of(MUG=1), channel="shop")))["order"]
    for order in (web, shop):
        await hold(door, order, "address")
        await hold(door, order, "credit")
    none = await door.submit(SYSTEM, ReleaseHolds(reason="x", type="stock"), "none")
    assert none.refusal is not None
    assert none.refusal.rule == "orders.none_released"
    anything = await door.submit(SYSTEM, ReleaseHolds(reason="x"), "anything")
    assert anything.refusal is not None
    assert anything.refusal.rule == "orders.hold_choice"
    assert (
        await door.submit(SYSTEM, ReleaseHolds(reason="x", type="address", channel="shop"), "1")
    ).status == "applied"
    assert await held(url, web) == [("address", None), ("credit", None)]
    assert await held(url, shop) == [("credit", None)]
    assert (await door.submit(SYSTEM, ReleaseHolds(reason="x", channel="web"), "2")).result["holds_released"] == 2
    assert await held(url, web) == []
    assert await held(url, shop) == [("credit", None)]
    await prove(url)
