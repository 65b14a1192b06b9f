"""A command that breaks concerns itself alone: it is set aside, its neighbours go through, the door stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import get_args

import pytest
from structlog.testing import capture_logs
from tests.broken import Break, How, broken_house
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import figures, order_of, rows, statuses

from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.verb import Command
from trueup.orders.place import PlaceOrder
from trueup.parties.state import Address, Contact


@pytest.fixture
async def breakable(url: str, clock: TurnedClock) -> AsyncIterator[Door]:
    async with Door(url, broken_house(), clock=clock) as opened:
        await stocked(opened, MUG=1000)
        yield opened


@pytest.mark.parametrize("how", get_args(How))
async def test_one_of_two_hundred_is_set_aside(breakable: Door, url: str, how: How):
    commands: list[tuple[str, Command]] = [(f"order {number}", order_of(MUG=1)) for number in range(199)]
    commands.insert(117, ("poison", Break(how=how)))
    outcomes = await breakable.submit_all(SYSTEM, commands)
    assert statuses(outcomes) == {"applied": 199, "quarantined": 1}
    assert outcomes[117].refusal is not None
    assert outcomes[117].refusal.rule == "door.quarantined"
    assert await rows(url, "select key, name from quarantined_command") == [("poison", "stock.break")]
    assert (await figures(url))["reserved"] == 199
    again = await breakable.submit(SYSTEM, Break(how=how), "poison")
    assert (again.status, again.repeated) == ("quarantined", True)
    assert len(await rows(url, "select id from quarantined_command")) == 1
    await prove(url)


async def test_many_poisons_at_once(breakable: Door, url: str):
    commands: list[tuple[str, Command]] = [
        (f"{n}", Break(how="constraint") if n % 4 == 0 else order_of(MUG=1)) for n in range(400)
    ]
    assert statuses(await breakable.submit_all(SYSTEM, commands)) == {"applied": 300, "quarantined": 100}
    assert (await figures(url))["reserved"] == 300
    await prove(url)


async def test_a_poison_with_personal_words_leaks_none(breakable: Door, url: str):
    lines = order_of(MUG=1).lines
    commands: list[tuple[str, Command]] = [
        (street, PlaceOrder(currency="EUR", lines=lines, contact=Contact(name=name, ship_to=Address(street=street))))
        for name, street in (("Quux", "Hidden\0Lane"), ("Qu\0ux", "Lane 2"), ("Quux", "Lane 3"))
    ]
    keyed = [(f"key {number}", command) for number, (_, command) in enumerate(commands)]
    with capture_logs() as logged:
        outcomes = await breakable.submit_all(SYSTEM, keyed)
    assert [outcome.status for outcome in outcomes] == ["quarantined", "quarantined", "applied"]
    kept = await rows(url, "select error || convert_from(body, 'utf8') from quarantined_command")
    assert len(kept) == 2
    for words in ("Hidden", "Lane", "Quux", "Qu\\u0000ux"):
        assert words not in str(kept)
        assert words not in str(logged)
    assert await rows(url, "select name from person") == [("Quux",)]
    await prove(url)


async def test_a_fault_after_the_commit_does_not_stop_the_door(url: str, clock: TurnedClock):
    def fail() -> None:
        raise RuntimeError("whoever should have been woken is gone")

    async with asyncio.timeout(20), Door(url, broken_house(), clock=clock, on_commit=fail) as door:
        await stocked(door, MUG=10)
        assert (await door.submit(SYSTEM, order_of(MUG=1), "one")).status == "applied"
    await prove(url)
