"""What a replay shows of orders in flight that a change lets walk by another version, held against what happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
import pytest
from tests.board import declared
from tests.conftest import START, Databases, stocked
from tests.orders.test_adopt import FOLLOW, NEW, OLD, UNSOURCED, proofing, replacing, shop
from tests.replayed import Shop, head_of, shop_at
from tests.requests import rows
from tests.sourcing.words import publish

from trueup import house
from trueup.authority.change_read import change as change_of
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Actor
from trueup.orders.adopt import AdoptWorkflow
from trueup.orders.adoption import Adoption
from trueup.orders.advance import AdvanceOrder, ReportEvent
from trueup.orders.draft import ConfirmDraft, SaveDraft
from trueup.orders.place import PlaceLine
from trueup.orders.workflow import Binding, Workflow
from trueup.oversight.change_impact import KeptImpact, replay_change
from trueup.oversight.impact import Impact, impact
from trueup.worker import notice_now

HELD = msgspec.structs.replace(
    NEW,
    transitions=tuple(
        msgspec.structs.replace(edge, submit=Binding("orders.place_hold", {"type": "data", "reason": "engraving"}))
        if edge.on == "approved"
        else edge
        for edge in NEW.transitions
    ),
)


async def replayed(url: str, change: str, now: object) -> Impact:
    """Replay a change's last seven days."""
    connection = await connect(url)
    found = await change_of(connection, change)
    await connection.close()
    assert found is not None
    kept = await replay_change(url, house.build(), found[0], now)  # type: ignore[arg-type]
    assert isinstance(kept, KeptImpact), kept
    return kept.impact


async def test_the_replay_shows_the_orders_in_flight_that_a_change_migrates(door: Door, url: str, clock: TurnedClock):
    """An order of eight days ago was approved yesterday: under the proposed version that leads elsewhere."""
    await shop(door)
    company = await declared(door)
    order = await proofing(door, "order")
    clock.turn(timedelta(days=8))
    await company.done(company.Ingo, ReportEvent(order=order, event="approved", source="studio"))
    clock.turn(timedelta(days=1))
    adopting = AdoptWorkflow(order_type="sale", version=2, states={"checked": "engraving"})
    migrating = await company.propose(company.Lea, replacing(HELD), adopting)
    found = await replayed(url, migrating[0], door.now())
    assert [(one.order, one.what, one.before, one.after) for one in found.shown] == [
        (order, "hold", "none", "data"), (order, "state", "checked", "engraving")
    ]  # fmt: skip
    await company.reject(company.Olga, migrating)
    pinned = await company.propose(company.Lea, replacing(HELD))
    assert (await replayed(url, pinned[0], door.now())).shown == (), "it stays pinned"
    other = await company.propose(company.Lea, replacing(NEW), adopting)
    assert [one.what for one in (await replayed(url, other[0], door.now())).shown] == ["state"]
    assert await rows(url, "select workflow_version, state from orders") == [(1, "checked")]


async def test_a_change_that_migrates_needs_no_higher_quorum(door: Door, url: str):
    await shop(door)
    company = await declared(door)
    change = await company.propose(company.Lea, replacing(NEW), AdoptWorkflow(order_type="sale", version=2))
    plain = await company.propose(company.Lea, replacing(HELD))
    for one in (change, plain):
        await company.approve(one, company.Olga, company.Ivan)
    statuses = await rows(url, "select status from change order by asked_at")
    assert len(set(statuses)) == 1, statuses


LINE = PlaceLine("MUG", Quantity(1), Amount("20.00"))


async def begun(past: Shop) -> dict[str, str]:
    """The shop before the window: orders in flight in several states, and a draft."""
    await stocked(past.door, MUG=90)
    await publish(past.door, "default", UNSOURCED)
    await publish(past.door, "sale", OLD)
    for number in ("proofed", "placed", "moved"):
        await past.order(number, MUG=1)
    await past.do(ReportEvent(order=past.orders["proofed"], event="proof_sent", source="studio"))
    draft = await past.do(SaveDraft(currency="EUR", lines=(LINE,), external_ids={"shop": "drafted"}))
    return {**past.orders, "draft": draft.result["draft"]}


async def lived(past: Shop, orders: dict[str, str]) -> None:
    """What was reported in the window."""
    version = (await rows(past.url, "select version from orders where id = %s", orders["placed"]))[0][0]
    if version == 1:
        await past.do(AdvanceOrder(order=orders["placed"], event="proof_sent", version=1))
    else:
        await past.do(AdvanceOrder(order=orders["placed"], event="proof_sent"))
    await past.do(ReportEvent(order=orders["proofed"], event="approved", source="studio"))
    await past.do(ReportEvent(order=orders["placed"], event="approved", source="studio"))
    await past.do(ConfirmDraft(draft=orders["draft"]))
    confirmed = (await rows(past.url, "select order_id from order_key where key = 'drafted'"))[0][0]
    await settle(past)
    await past.do(ReportEvent(order=confirmed, event="proof_sent", source="studio"))
    await past.do(ReportEvent(order=confirmed, event="approved", source="studio"))
    await past.order("young", MUG=1)
    await past.cancel("moved")


async def settle(past: Shop) -> None:
    """Let who can follow an adoption follow it, as the worker does every minute."""
    await notice_now(past.url, past.door, FOLLOW)


async def states(url: str) -> dict[str, tuple[str | None, ...]]:
    found = await rows(
        url,
        """select k.key, o.state, (select string_agg(h.type, ' ') from order_hold h where h.order_id = o.id)
        from order_key k join orders o on o.id = k.order_id where k.source = 'shop'""",
    )
    return {key: tuple(rest) for key, *rest in found}


@asynccontextmanager
async def two_lives(
    databases: Databases, url: str, proposed: Workflow, apart: bool
) -> AsyncIterator[tuple[Impact, dict[str, tuple[str | None, ...]], dict[str, tuple[str | None, ...]]]]:
    """One past, lived on under the old workflow and under a proposed one that was adopted; and the replay of it."""
    agent: Actor | None
    async with shop_at(url, START) as past:
        orders, agent, moment = await begun(past), past.agent, past.clock.now()
    changed, plain = databases.copied(url), databases.copied(url)
    after, _ = await head_of(url)
    try:
        async with shop_at(plain, moment, agent) as past:
            past.orders = dict(orders)
            await lived(past, orders)
        async with shop_at(changed, moment, agent) as past:
            past.orders = dict(orders)
            await past.publish({("workflow", "sale"): proposed})
            await past.do(AdoptWorkflow(order_type="sale", version=2))
            await settle(past)
            await lived(past, orders)
        told = Adoption(order_type="sale", number=0, version=2, states={}, orders=(), at=START, by="")
        seen = await impact(plain, house.build(), {("workflow", "sale"): proposed}, since_position=after,
                            adopting=(told,), apart=apart)  # fmt: skip
        yield seen, await states(plain), await states(changed)
    finally:
        databases.drop(changed)
        databases.drop(plain)


@pytest.mark.parametrize("apart", [False, True])
async def test_what_it_says_of_each_order_in_flight_is_what_then_happens(databases: Databases, url: str, apart: bool):
    async with two_lives(databases, url, HELD, apart) as (seen, before, after):
        assert seen.proposed.broken == 0, seen.proposed.why
        numbers = dict(await rows(url, "select order_id, key from order_key where source = 'shop'"))
        differing = {key for key in before if before[key][0] != after[key][0]}
        assert differing == {"proofed", "placed", "drafted"}
        told = [one for one in seen.shown if one.what == "state"]
        named = {numbers.get(one.order, "drafted"): (one.before, one.after) for one in told}
        assert named == {key: (before[key][0], after[key][0]) for key in differing}
        held = {numbers.get(one.order, "drafted") for one in seen.shown if one.what == "hold"}
        assert held == {key for key in before if before[key][1] != after[key][1]}
