"""Suspected duplicates: same person, same goods, within minutes; flagged or held, never merged, never refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.conftest import expect_all, stocked
from tests.orders.holding import axes, held, place, publish
from tests.proof import prove
from tests.requests import cancel, order_of, person, rows

from trueup import house, worker
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.orders.hold import ReleaseHold
from trueup.orders.suspect import DismissDuplicate
from trueup.parties.record import RecordCustomer
from trueup.parties.state import Contact

FLAG = "suspected_duplicate"


async def suspicions(url: str) -> list[tuple[Any, ...]]:
    return await rows(url, "select order_id, earlier, status from order_suspicion order by at, order_id")


async def test_the_later_of_two_is_flagged_and_nothing_is_merged_or_refused(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=20, CUP=20)
    first = await place(door, "first", "Ada@Example.com ", MUG=2, CUP=1)
    clock.turn(timedelta(minutes=10))
    second = await place(door, "second", "ada@example.com", CUP=1, MUG=2)
    assert (first["flags"], second["flags"]) == ([], [FLAG])
    assert await suspicions(url) == [(second["order"], first["order"], "open")]
    assert await axes(url, second["order"]) == ("clear", 0, 1)
    assert await rows(url, "select sum(units_reserved)::int from orders") == [(6,)]
    await prove(url)


@pytest.mark.parametrize(
    ("minutes", "later", "suspected"), [(10, 10, True), (10, 11, False), (0, 0, False), (60, 59, True)]
)
async def test_how_long_an_earlier_order_counts_is_a_policy(
    door: Door, url: str, clock: TurnedClock, minutes: int, later: int, suspected: bool
):
    await stocked(door, MUG=20)
    await publish(door, "channel", "web", duplicate_minutes=minutes)
    await place(door, "first", "ada@example.com", MUG=2)
    clock.turn(timedelta(minutes=later))
    second = await place(door, "second", "ada@example.com", MUG=2)
    assert (FLAG in second["flags"]) is suspected
    assert bool(await rows(url, "select from order_fingerprint")) is bool(minutes)


async def test_other_people_other_goods_and_other_units_are_not_suspected(door: Door, url: str):
    await stocked(door, MUG=50, CUP=50)
    await place(door, "first", "ada@example.com", MUG=2)
    others = [
        await place(door, "person", "bob@example.com", MUG=2),
        await place(door, "goods", "ada@example.com", CUP=2),
        await place(door, "units", "ada@example.com", MUG=3),
        await place(door, "more", "ada@example.com", MUG=2, CUP=1),
        await place(door, "nobody", MUG=2),
        await place(door, "nobody again", MUG=2),
    ]
    assert [result["flags"] for result in others] == [[]] * 6
    assert (await place(door, "again", "ada@example.com", MUG=2))["flags"] == [FLAG]
    assert len(await suspicions(url)) == 1
    await prove(url)


async def test_a_customers_number_tells_who_it_is(door: Door, url: str):
    await stocked(door, MUG=50)
    for number in ("C1", "C2"):
        customer = RecordCustomer(source="shop", number=number, contact=Contact(name="Ada"))
        expect_all([await door.submit(SYSTEM, customer, number)])

    def wanted(number: str) -> Any:
        return msgspec.structs.replace(order_of(MUG=1), customer=number, customer_source="shop")

    await place(door, "first", command=wanted("C1"))
    assert (await place(door, "other", command=wanted("C2")))["flags"] == []
    assert (await place(door, "same", command=wanted("C1")))["flags"] == [FLAG]
    unknown = [await place(door, f"unknown {at}", command=wanted("C9")) for at in range(2)]
    assert [result["flags"] for result in unknown] == [["unknown_customer"]] * 2
    await prove(url)


async def test_two_in_one_batch_and_two_at_once_in_two_doors_are_noticed(door: Door, url: str, clock: TurnedClock):
    """Two batches that bring the same meet at its key, and the second decides again (decision 0003)."""
    await stocked(door, MUG=200)
    async with Door(url, house.build(), clock=clock) as other:
        for at in range(8):
            wanted = msgspec.structs.replace(order_of(MUG=1), contact=Contact(email=f"p{at}@example.com"))
            outcomes = await asyncio.gather(
                *(way.submit(SYSTEM, wanted, f"order {at} {number}") for number, way in enumerate((door, other, door)))
            )
            flagged = [FLAG in outcome.result["flags"] for outcome in outcomes]
            assert sorted(flagged) == [False, True, True], outcomes
    await prove(url)


async def test_an_earlier_order_that_was_cancelled_does_not_count(door: Door, url: str):
    await stocked(door, MUG=20)
    first = await place(door, "first", "ada@example.com", MUG=2)
    await door.submit(SYSTEM, cancel(first["order"]), "cancel")
    assert (await place(door, "second", "ada@example.com", MUG=2))["flags"] == []


@pytest.mark.parametrize("choice", ["flag", "hold"])
async def test_a_suspected_one_is_flagged_or_held_as_the_channel_says(door: Door, url: str, choice: str):
    await stocked(door, MUG=20)
    await publish(door, "channel", "web", duplicates=choice)
    first = await place(door, "first", "ada@example.com", MUG=2)
    second = (await place(door, "second", "ada@example.com", MUG=2))["order"]
    assert await held(url, second) == ([("manual", None)] if choice == "hold" else [])
    assert (await axes(url, first["order"]))[0] == "clear"
    agent = await person(door, "Ann", "Order Agent")
    done = await door.submit(agent, DismissDuplicate(order=second, reason="wants two"), "dismiss")
    again = await door.submit(agent, DismissDuplicate(order=second, reason="wants two"), "again")
    assert (done.status, again.status) == ("applied", "merged")
    assert done.result["version"] == (await axes(url, second))[2]
    assert (await axes(url, second))[0] == "clear"
    assert [status for _, _, status in await suspicions(url)] == ["dismissed"]
    other = await door.submit(agent, DismissDuplicate(order=first["order"], reason="x"), "other")
    assert other.refusal is not None
    assert other.refusal.rule == "orders.not_suspected"
    await prove(url)


async def test_a_person_may_release_the_hold_itself(door: Door, url: str):
    await stocked(door, MUG=20)
    await publish(door, "channel", "web", duplicates="hold")
    await place(door, "first", "ada@example.com", MUG=2)
    second = (await place(door, "second", "ada@example.com", MUG=2))["order"]
    ((hold,),) = await rows(url, "select id from order_hold where order_id = %s", second)
    assert (await door.submit(SYSTEM, ReleaseHold(hold=hold, reason="fine"), "release")).status == "applied"
    assert (await door.submit(SYSTEM, DismissDuplicate(order=second, reason="fine"), "dismiss")).status == "applied"
    await prove(url)


async def test_the_address_is_in_no_journal_and_its_digest_is_forgotten(door: Door, url: str):
    await stocked(door, MUG=20)
    for key in ("first", "second"):
        await place(door, key, "ada@example.com", MUG=2)
    ((digest,),) = await rows(url, "select person from order_fingerprint")
    assert "ada" not in digest
    bodies = await rows(url, "select convert_from(body, 'UTF8') from journal")
    assert not [body for (body,) in bodies if "ada@example.com" in body or digest in body]
    connection = await connect(url)
    await connection.execute("update order_fingerprint set at = now() - interval '3 days'")
    await connection.close()
    await worker.tidy_now(url)
    assert await rows(url, "select from order_fingerprint") == []
