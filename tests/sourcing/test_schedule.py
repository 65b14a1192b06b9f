"""When the routing policy says `every_minutes`, the worker sources what waits, in the policy's sequence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import receipt, rows
from tests.sourcing.words import act, by, placed, publish, state_of, wanted

from trueup import worker
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.house import build
from trueup.orders.channel import Channel
from trueup.orders.hold import PlaceHold
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.policy import Group, OrderFilter, Routing, Rule, When
from trueup.sourcing.schedule import due_to_source, to_source
from trueup.storyline import settled

SOURCE = next(notice for notice in worker.NOTICES if notice.name == "source")
TAKES = Rule("most stock", otherwise="partial")


def scheduled(minutes: int | None, *groups: Group) -> Routing:
    """A policy that sources every so many minutes, and not on placement."""
    return Routing(when=When(on_placement=False, every_minutes=minutes), groups=groups or (Group("all", (TAKES,)),))


async def ask(url: str, clock: TurnedClock) -> list[str]:
    connection = await connect(url)
    try:
        return [command.order for _, command in await due_to_source(connection, clock.now())]
    finally:
        await connection.close()


async def ordered(door: Door, clock: TurnedClock, key: str, **more: Any) -> str:
    """Place an order of one mug, a second after the one before."""
    clock.turn(timedelta(seconds=1))
    outcome = await door.submit(SYSTEM, msgspec.structs.replace(wanted(MUG=1), **more), key)
    assert outcome.status == "applied", outcome.refusal
    return str(outcome.result["order"])


async def test_it_sources_only_in_minutes_the_policy_divides(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5)
    await publish(door, "default", scheduled(15))
    await settled(door, url, build())
    order = await placed(door, MUG=1)
    await settled(door, url, build())
    assert await state_of(url, order) == "placed", "not on placement"
    clock.turn(timedelta(minutes=1))
    assert await worker.notice_now(url, door, SOURCE) == 0
    assert await rows(url, "select count(*) from sourcing_decision") == [(0,)]
    clock.turn(timedelta(minutes=14))
    assert await worker.notice_now(url, door, SOURCE) == 1
    assert await rows(url, "select mode, outcome from sourcing_decision") == [("schedule", "assigned")]
    assert await worker.notice_now(url, door, SOURCE) == 0, "nothing waits any more"
    await prove(url)


async def test_without_a_schedule_nothing_is_due(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5)
    await publish(door, "default", scheduled(None))
    await placed(door, MUG=1)
    assert await ask(url, clock) == []


async def test_groups_go_in_their_order_and_each_sorts_its_own(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=9)
    await publish(door, "app", Channel())
    app = Group("app first", (TAKES,), OrderFilter(channels=("app",)), sort=("first_in",))
    rest = Group("rest", (TAKES,), sort=("priority",))
    await publish(door, "default", scheduled(1, app, rest))
    web = [await ordered(door, clock, f"web {p}", priority=p) for p in (0, 9, 5)]
    apps = [await ordered(door, clock, f"app {p}", priority=p, channel="app") for p in (1, 7)]
    assert await ask(url, clock) == [*apps, web[1], web[2], web[0]]
    connection = await connect(url)
    try:
        assert [order for _, order in await to_source(connection, scheduled(1, app, rest), 2)] == apps
    finally:
        await connection.close()


async def test_orders_on_hold_and_of_brokered_groups_are_left_out(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=9)
    await publish(door, "app", Channel())
    brokered = Group("app", (TAKES,), OrderFilter(channels=("app",)), brokered=True)
    await publish(door, "default", scheduled(1, brokered, Group("rest", (TAKES,))))
    held, free = await ordered(door, clock, "held"), await ordered(door, clock, "free")
    await ordered(door, clock, "app", channel="app")
    assert (await act(door, PlaceHold(order=held, type="manual", reason="ask first"))).status == "applied"
    assert await ask(url, clock) == [free]


async def test_an_order_that_waits_on_is_not_told_so_again(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    await publish(door, "web", Channel(short="backorder"))
    await publish(door, "default", by(TAKES))
    first, order = await placed(door, "first", MUG=1), await placed(door, "second", MUG=2)
    for one in (first, order):
        assert (await act(door, AssignOrder(order=one))).refusal is None
    assert await state_of(url, order) == "waiting"
    before = await rows(url, "select count(*) from sourcing_decision")
    again = await act(door, AssignOrder(order=order, mode="schedule"))
    assert (again.status, again.result["outcome"]) == ("merged", "unserved")
    assert await rows(url, "select count(*) from sourcing_decision") == before
    asked = await act(door, AssignOrder(order=order))
    assert asked.status == "applied", "who asks is answered, and the answer is kept"
    assert await rows(url, "select unmatched from orders where id = %s", order) == [(0,)]
    await act(door, receipt(1))
    await settled(door, url, build())
    assert await rows(url, "select units_allocated from orders where id = %s", order) == [(1,)]
    await prove(url)
