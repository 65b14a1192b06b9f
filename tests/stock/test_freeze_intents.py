"""What waited for a thaw: put through in order, requests before reports, and what is no longer valid is a case."""

from __future__ import annotations

from datetime import timedelta

from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import adjust, figures, person, receipt, rows
from tests.stock.test_freeze import frozen, publish, rule_of

from trueup import house
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.stock.buckets import RestateStock
from trueup.stock.freeze import AnnounceFreeze, ThawFreeze
from trueup.stock.intents import SettleIntent, follow_freezes


async def followed(door: Door, url: str, clock: TurnedClock) -> int:
    """Let the worker do what it does."""
    connection = await connect(url)
    try:
        return await follow_freezes(door, connection, house.build(), clock.now())
    finally:
        await connection.close()


def set_aside(units: int) -> RestateStock:
    """A request to put units into quarantine."""
    return RestateStock(
        location="MAIN",
        sku="MUG",
        quantity=Quantity(units),
        from_status="available",
        to_status="quarantined",
        reason="look at them",
        reference=f"set aside {units}",
    )


async def test_what_waited_is_put_through_in_order_requests_first(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await publish(door, "freeze", requests="queue")
    freeze = await frozen(door)
    for number, command in enumerate((receipt(1), set_aside(10), set_aside(4), receipt(2))):
        assert (await door.submit(SYSTEM, command, f"command {number}")).status == "queued"
    assert await followed(door, url, clock) == 0, "nothing before the thaw"
    thawed = await door.submit(SYSTEM, ThawFreeze(freeze=freeze, reason="done"), "thaw")
    assert (thawed.result["life"], thawed.result["waiting"]) == ("thawing", 4)
    assert await followed(door, url, clock) == 4
    assert await followed(door, url, clock) == 0
    moved = await rows(
        url,
        """select m.reference from stock_movement m join journal j on j.batch = m.batch and j.subject = m.reference
        and j.name = 'stock.moved' order by j.position""",
    )
    assert [reference for (reference,) in moved] == ["opening MAIN", "set aside 10", "note", "note"]
    kept = await rows(url, "select number, ending, detail is null from stock_intent order by number")
    assert kept == [(1, "applied", True), (2, "applied", True), (3, "refused", False), (4, "applied", True)]
    assert (await figures(url))["on_hand"] == 3
    assert await rows(url, "select kind, subjects from cases") == [("stock_intent", 1)]
    assert await rows(url, "select subject from case_subject") == [(f"{freeze}/3",)]
    await prove(url)


async def test_a_freeze_that_ends_by_itself_lets_what_waited_through(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await frozen(door)
    assert (await door.submit(SYSTEM, receipt(5), "receipt")).status == "queued"
    clock.turn(timedelta(hours=80))
    expect_all([await door.submit(SYSTEM, adjust(-1), "nobody has to wait for the worker")])
    assert await followed(door, url, clock) == 1
    assert (await figures(url))["on_hand"] == 14
    await prove(url)


async def test_who_asked_is_asked_again_whether_they_may(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    freeze = await frozen(door)
    lead = await person(door, "Lead", "Fulfilment Lead")
    assert (await door.submit(lead, receipt(5), "receipt")).status == "queued"
    demoted = RegisterActor(actor=lead.id, name="Lead", roles=("Auditor",))
    expect_all([await door.submit(SYSTEM, demoted, "demoted")])
    expect_all([await door.submit(SYSTEM, ThawFreeze(freeze=freeze, reason="done"), "thaw")])
    assert await followed(door, url, clock) == 1
    assert (await figures(url))["on_hand"] == 10
    endings = await rows(url, "select ending, left(detail, 21) from stock_intent")
    assert endings == [("refused", "authority.not_allowed")]
    await prove(url)


async def test_what_meets_another_freeze_waits_there(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    first = await frozen(door)
    assert (await door.submit(SYSTEM, receipt(5), "receipt")).status == "queued"
    second = await frozen(door, reason="another one")
    expect_all([await door.submit(SYSTEM, ThawFreeze(freeze=first, reason="done"), "thaw")])
    assert await followed(door, url, clock) == 1
    assert (await figures(url))["on_hand"] == 10
    expect_all([await door.submit(SYSTEM, ThawFreeze(freeze=second, reason="done"), "thaw the other")])
    assert await followed(door, url, clock) == 1
    assert (await figures(url))["on_hand"] == 15
    await prove(url)


async def test_it_starts_by_itself_when_its_time_comes(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    command = AnnounceFreeze(
        location="MAIN",
        from_at=clock.now() + timedelta(hours=1),
        to_at=clock.now() + timedelta(hours=2),
        reason="stocktake",
    )
    expect_all([await door.submit(SYSTEM, command, "announce")])
    await followed(door, url, clock)
    assert await rows(url, "select started_at is null from stock_freeze") == [(True,)]
    clock.turn(timedelta(hours=1))
    await followed(door, url, clock)
    assert await rows(url, "select started_at is null from stock_freeze") == [(False,)]
    assert await rows(url, "select on_hand from stock_freeze_balance") == [(10,)]
    await prove(url)


async def test_nobody_settles_what_waits_by_hand(door: Door, url: str):
    await stocked(door, MUG=10)
    freeze = await frozen(door)
    await door.submit(SYSTEM, receipt(5), "receipt")
    lead = await person(door, "Lead", "Fulfilment Lead")
    outcome = await door.submit(lead, SettleIntent(freeze=freeze, number=1, ending="applied"), "settle")
    assert rule_of(outcome) == "stock.intents_settle_themselves"
    assert await rows(url, "select settled_at from stock_intent") == [(None,)]
    await prove(url)
