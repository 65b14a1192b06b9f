"""Keys: one effect and one answer, whoever asks, however often, from wherever."""

from __future__ import annotations

import asyncio

import pytest
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import figures, order_of, person, receipt, rows, statuses

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.errors import Overloaded, Refused
from trueup.orders.place import PlaceOrder
from trueup.parties.state import Contact


async def test_the_same_key_has_one_effect_and_one_answer(door: Door, url: str):
    await stocked(door, MUG=10)
    first = await door.submit(SYSTEM, order_of(MUG=3), "one")
    again = await door.submit(SYSTEM, order_of(MUG=3), "one")
    assert (again.status, again.result) == ("applied", first.result)
    assert (first.repeated, again.repeated) == (False, True)
    assert await figures(url) == {"on_hand": 10, "reserved": 3, "owed": 0}
    await prove(url)


async def test_another_body_under_a_used_key_is_refused_and_changes_nothing(door: Door, url: str):
    await stocked(door, MUG=10)
    first = await door.submit(SYSTEM, order_of(MUG=3), "one")
    other = await door.submit(SYSTEM, order_of(MUG=4), "one")
    assert other.refusal is not None
    assert other.refusal.rule == "door.key_reused"
    assert (await door.submit(SYSTEM, order_of(MUG=3), "one")).result == first.result
    assert (await figures(url))["reserved"] == 3
    await prove(url)


async def test_a_refusal_is_remembered_although_it_would_pass_now(door: Door, url: str):
    await stocked(door, MUG=2)
    first = await door.submit(SYSTEM, order_of(MUG=3), "one")
    assert (await door.submit(SYSTEM, receipt(5), "more")).status == "applied"
    again = await door.submit(SYSTEM, order_of(MUG=3), "one")
    assert (first.status, again.status) == ("refused", "refused")
    assert again.refusal == first.refusal
    assert again.repeated
    assert (await door.submit(SYSTEM, order_of(MUG=3), "two")).status == "applied"
    await prove(url)


async def test_a_key_belongs_to_its_actor(door: Door, url: str):
    await stocked(door, MUG=10)
    agent, colleague = [await person(door, name, "Order Agent") for name in ("Ada", "Ben")]
    first = await door.submit(agent, order_of(MUG=1), "same")
    second = await door.submit(colleague, order_of(MUG=2), "same")
    assert first.result["order"] != second.result["order"]
    assert (await figures(url))["reserved"] == 3
    await prove(url)


async def test_a_key_that_cannot_be_kept_is_refused_before_anything_happens(door: Door, url: str):
    await stocked(door, MUG=10)
    before = await rows(url, "select count(*) from door_key")
    for key in ("", "x" * 301, "nul\0"):
        with pytest.raises(Refused):
            await door.submit(SYSTEM, order_of(MUG=1), key)
    assert (await door.submit(SYSTEM, order_of(MUG=1), "x" * 300)).status == "applied"
    assert await rows(url, "select count(*) - 1 from door_key") == before


async def test_personal_words_are_not_given_by_id(door: Door):
    await stocked(door, MUG=10)
    lines = order_of(MUG=1).lines
    with pytest.raises(Refused, match="words_by_id"):
        await door.submit(SYSTEM, PlaceOrder(currency="EUR", lines=lines, contact="per_of_somebody"), "one")
    assert (
        await door.submit(SYSTEM, PlaceOrder(currency="EUR", lines=lines, contact=Contact(name="A")), "one")
    ).status == "applied"


async def test_a_key_sent_many_times_at_once_to_one_door(door: Door, url: str):
    await stocked(door, MUG=100)
    outcomes = await asyncio.gather(*(door.submit(SYSTEM, order_of(MUG=1), f"key {n % 10}") for n in range(200)))
    assert len({outcome.result["order"] for outcome in outcomes}) == 10
    assert sum(not outcome.repeated for outcome in outcomes) == 10
    assert (await figures(url))["reserved"] == 10
    await prove(url)


async def test_a_key_sent_to_two_doors_at_once(url: str, door: Door, clock: TurnedClock):
    await stocked(door, MUG=1000)
    async with Door(url, house.build(), clock=clock) as other:
        for turn in range(5):
            keys = [f"{turn} {number}" for number in range(60)]
            mine, theirs = await asyncio.gather(
                door.submit_all(SYSTEM, [(key, order_of(MUG=1)) for key in keys]),
                other.submit_all(SYSTEM, [(key, order_of(MUG=1)) for key in reversed(keys)]),
            )
            assert [o.result for o in mine] == [o.result for o in reversed(theirs)]
            repeated = [a.repeated + b.repeated for a, b in zip(mine, reversed(theirs), strict=True)]
            assert repeated == [1] * 60
    assert (await figures(url))["reserved"] == 300
    await prove(url)


async def test_the_queue_is_bounded(url: str, clock: TurnedClock):
    async with Door(url, house.build(), clock=clock, queue_max=50, writers=1) as small:
        await stocked(small, MUG=1000)
        tries = [small.submit(SYSTEM, order_of(MUG=1), f"key {number}") for number in range(400)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Overloaded)]
        served = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert len(refused) + len(served) == 400
        assert len(refused) >= 300
        assert (await figures(url))["reserved"] == len(served)
        assert statuses(
            await small.submit_all(SYSTEM, [(f"key {number}", order_of(MUG=1)) for number in range(400)])
        ) == {"applied": 400}, "who came too early comes again with the same key"
    assert (await figures(url))["reserved"] == 400
