"""Rehearsing shows what would happen, carries the state from command to command, and writes nothing."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import adjust, cancel, cart_of, order_of, rows

from trueup.authority.standing import SYSTEM
from trueup.core import journal
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.policy import Active, Policies, digest
from trueup.core.verb import Actor
from trueup.orders.channel import Channel
from trueup.parties.state import Contact

EVERYTHING = """select (select count(*) from journal), (select count(*) from door_key), (select count(*) from batch),
    (select count(*) from person), (select sum(reserved) from stock_balance), (select count(*) from orders)"""


async def test_it_writes_nothing_and_carries_the_state(door: Door, url: str):
    await stocked(door, MUG=10)
    before = await rows(url, EVERYTHING)
    order = msgspec.structs.replace(order_of(MUG=6), contact=Contact(name="Quux"))
    shown = await door.rehearse([(SYSTEM, order), (SYSTEM, order_of(MUG=5)), (SYSTEM, order_of(MUG=4))])
    assert [seen.outcome.status for seen in shown] == ["applied", "refused", "applied"]
    assert [event.name for event in shown[0].events] == ["orders.placed", "stock.reserved"]
    assert await rows(url, EVERYTHING) == before
    cancelled = cancel(shown[0].outcome.result["order"])
    assert (await door.rehearse([(SYSTEM, cancelled)]))[0].outcome.status == "refused", "it never was"
    await prove(url)


async def test_it_sees_what_the_door_would_see(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    await door.submit(SYSTEM, cart_of(START + timedelta(minutes=10), MUG=8), "cart")
    assert (await door.rehearse([(SYSTEM, order_of(MUG=3))]))[0].outcome.status == "refused"
    clock.turn(timedelta(minutes=10))
    assert (await door.rehearse([(SYSTEM, order_of(MUG=10))]))[0].outcome.status == "applied"
    nobody = Actor("act_nobody", "person", "Nobody")
    assert (await door.rehearse([(nobody, order_of(MUG=1))]))[0].outcome.status == "refused"
    await prove(url)


async def test_it_starts_from_an_earlier_position(door: Door, url: str):
    await stocked(door, MUG=10)
    connection = await connect(url)
    then = await journal.head(connection)
    await connection.close()
    await door.submit(SYSTEM, order_of(MUG=8), "one")
    await door.submit(SYSTEM, adjust(-1), "two")
    now = await door.rehearse([(SYSTEM, order_of(MUG=5))])
    earlier = await door.rehearse([(SYSTEM, order_of(MUG=5)), (SYSTEM, order_of(MUG=6))], as_of=then)
    before_all = await door.rehearse([(SYSTEM, order_of(MUG=1))], as_of=0)
    assert [seen.outcome.status for seen in (*now, *earlier)] == ["refused", "applied", "refused"]
    assert before_all[0].outcome.refusal is not None
    assert before_all[0].outcome.refusal.rule == "catalogue.unknown_location"


async def test_it_decides_under_other_policies(door: Door, url: str):
    await stocked(door, MUG=10)
    await stocked(door, location="WEST", MUG=0)
    west = Channel(location="WEST")
    proposed = Policies([Active("web", 1, digest(b"west"), west)])
    shown = await door.rehearse([(SYSTEM, order_of(MUG=1))], policies=proposed)
    assert shown[0].outcome.status == "refused"
    assert (await door.submit(SYSTEM, order_of(MUG=1), "real")).status == "applied"
