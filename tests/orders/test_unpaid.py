"""Orders that may stay unpaid for a time only: what they reserve stops counting then, swept or not. Behaviour 15."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.conftest import START, expect_all, stocked
from tests.orders.capturing import channel, lines, placed, publish
from tests.proof import prove
from tests.requests import cancel, figures, order_of, rows

from trueup.authority.standing import SYSTEM
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.policy import Policies
from trueup.orders.advance import ReportEvent
from trueup.orders.expire import ExpireUnpaid, due_unpaid
from trueup.orders.workflow import TRANSITIONS
from trueup.stock import read
from trueup.worker import NOTICES, notice_now


async def available(url: str, clock: TurnedClock) -> int:
    connection = await connect(url)
    try:
        found = await read.availability(connection, Policies([]), "MUG", "MAIN", clock.now())
    finally:
        await connection.close()
    assert found is not None
    return int(found.available)


async def now_due(url: str, clock: TurnedClock) -> list[str]:
    connection = await connect(url)
    try:
        return [command.order for _, command in await due_unpaid(connection, clock.now())]
    finally:
        await connection.close()


async def test_behaviour_15_what_an_unpaid_order_reserves_ends_with_its_deadline(
    door: Door, url: str, clock: TurnedClock
):
    await stocked(door, MUG=5)
    await channel(door, unpaid_minutes=60)
    order = await placed(door, order_of(MUG=4))
    assert await rows(url, "select unpaid_until from orders") == [(START + timedelta(hours=1),)]
    clock.turn(timedelta(minutes=59, seconds=59))
    assert await available(url, clock) == 1
    assert (await door.submit(SYSTEM, order_of(MUG=2), "held")).status == "refused"
    early = await door.submit(SYSTEM, ExpireUnpaid(order=order), "early")
    assert early.refusal is not None
    assert early.refusal.rule == "orders.not_overdue"
    assert await now_due(url, clock) == []
    clock.turn(timedelta(seconds=1))
    assert await available(url, clock) == 5, "no worker has swept it"
    assert await now_due(url, clock) == [order]
    second = await placed(door, order_of(MUG=3), "another buyer")
    assert await lines(url, order, "cancelled::int", "reserved::int") == [(0, 4)], "its own counters follow it"
    await prove(url)
    expect_all([await door.submit(SYSTEM, ExpireUnpaid(order=order), "expire")])
    assert await lines(url, order, "cancelled::int", "reserved::int") == [(4, 0)]
    ended = await rows(
        url, "select state, state_reason, fulfilment_status, total::int from orders where id = %s", order
    )
    assert ended == [("cancelled", "unpaid", "cancelled", 0)]
    assert (await figures(url))["reserved"] == 3
    assert await now_due(url, clock) == []
    again = await door.submit(SYSTEM, ExpireUnpaid(order=order), "again")
    assert again.refusal is not None
    assert again.refusal.rule == "orders.nothing_left"
    assert await lines(url, second, "reserved::int") == [(3,)]
    await prove(url)


async def test_without_a_deadline_an_order_stays(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5)
    await channel(door, unpaid_minutes=None)
    order = await placed(door, order_of(MUG=4))
    clock.turn(timedelta(days=3650))
    assert await available(url, clock) == 1
    refused = await door.submit(SYSTEM, ExpireUnpaid(order=order), "expire")
    assert refused.refusal is not None
    assert refused.refusal.rule == "orders.not_overdue"
    assert (await figures(url))["reserved"] == 4
    await prove(url)


async def test_behaviour_39_the_deadline_is_that_of_the_terms_it_was_captured_under(
    door: Door, url: str, clock: TurnedClock
):
    await stocked(door, MUG=5)
    await channel(door, unpaid_minutes=60)
    order = await placed(door, order_of(MUG=4))
    await channel(door, unpaid_minutes=None)
    clock.turn(timedelta(hours=1))
    assert await available(url, clock) == 5
    expect_all([await door.submit(SYSTEM, ExpireUnpaid(order=order), "expire")])
    await prove(url)


async def test_it_is_ended_by_a_worker_that_was_late_and_sweeps_everything_at_once(
    door: Door, url: str, clock: TurnedClock
):
    await stocked(door, MUG=5)
    await channel(door, unpaid_minutes=60)
    order = await placed(door, order_of(MUG=4))
    clock.turn(timedelta(hours=80))
    expect_all([await door.submit(SYSTEM, ExpireUnpaid(order=order), "expire")])
    assert (await figures(url))["reserved"] == 0
    assert await lines(url, order, "cancelled::int", "reserved::int") == [(4, 0)]
    await prove(url)


async def test_an_overdue_order_can_be_cancelled_by_hand(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=5)
    await channel(door, unpaid_minutes=60)
    order = await placed(door, order_of(MUG=4))
    clock.turn(timedelta(hours=2))
    expect_all([await door.submit(SYSTEM, cancel(order, line1=1), "one")])
    assert await lines(url, order, "cancelled::int", "reserved::int") == [(1, 0)]
    await prove(url)
    expect_all([await door.submit(SYSTEM, ExpireUnpaid(order=order), "rest")])
    assert await lines(url, order, "cancelled::int", "reserved::int") == [(4, 0)]
    await prove(url)


async def test_a_workflow_without_a_way_out_keeps_the_order_and_records_no_match(
    door: Door, url: str, clock: TurnedClock
):
    await stocked(door, MUG=5)
    edges: list[Any] = [json.to_plain(edge) for edge in TRANSITIONS if edge.on != "unpaid"]
    await publish(door, "workflow", "sale", transitions=edges)
    await channel(door, unpaid_minutes=60)
    order = await placed(door, order_of(MUG=4))
    clock.turn(timedelta(hours=2))
    outcome = await door.submit(SYSTEM, ExpireUnpaid(order=order), "expire")
    assert outcome.result["matched"] is False
    assert await rows(url, "select state, unmatched, units_reserved::int, units_cancelled::int from orders") == [
        ("placed", 1, 0, 0)]  # fmt: skip
    await prove(url)


async def test_what_waits_for_stock_waits_no_more(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1)
    await channel(door, unpaid_minutes=60, short="backorder")
    order = await placed(door, order_of(MUG=4))
    assert await rows(url, "select sum(quantity)::int from stock_waiting") == [(3,)]
    clock.turn(timedelta(hours=1))
    expect_all([await door.submit(SYSTEM, ExpireUnpaid(order=order), "expire")])
    assert await rows(url, "select * from stock_waiting") == []
    assert (await figures(url))["reserved"] == 0
    await prove(url)


async def test_the_worker_notices_each_order_once_and_again_when_it_changed(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=9)
    edges: list[Any] = [json.to_plain(edge) for edge in TRANSITIONS if (edge.from_, edge.on) != ("waiting", "unpaid")]
    edges.append({"from": "placed", "on": "looked_at", "to": "waiting"})
    await publish(door, "workflow", "sale", transitions=edges)
    await channel(door, unpaid_minutes=60)
    ends, stays = await placed(door, order_of(MUG=4), "ends"), await placed(door, order_of(MUG=3), "stays")
    expect_all([await door.submit(SYSTEM, ReportEvent(order=stays, event="looked_at", source="desk"), "look")])
    (notice,) = [notice for notice in NOTICES if notice.name == "expire_unpaid"]
    assert await notice_now(url, door, notice) == 0
    clock.turn(timedelta(hours=1))
    assert await notice_now(url, door, notice) == 2
    state = "select id, state, unmatched from orders order by id"
    ended = sorted([(ends, "cancelled", 0), (stays, "waiting", 1)])
    assert await rows(url, state) == ended
    assert await notice_now(url, door, notice) == 1, "the one that its workflow keeps"
    assert await notice_now(url, door, notice) == 1
    assert await rows(url, state) == ended, "it is told its first answer, and nothing is recorded twice"
    await prove(url)
