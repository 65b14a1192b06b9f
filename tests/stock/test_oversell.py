"""Behaviour 16: fifty buyers, stock for ten, eight connections; and the same without the lock, which must oversell."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

import psycopg
import pytest
from tests.conftest import START, stocked
from tests.proof import problems_of, prove
from tests.requests import cart_of, figures, order_of, rows, statuses

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.verb import Command, Outcome
from trueup.stock import rows as stock_rows

CONNECTIONS = 8
BUYERS = 50


async def rush(url: str, clock: TurnedClock, commands: Sequence[Command], turn: str = "") -> list[Outcome]:
    """Submit every command at once, spread over eight doors with one connection each."""
    async with AsyncExitStack() as stack:
        doors = [
            await stack.enter_async_context(Door(url, house.build(), clock=clock, writers=1))
            for _ in range(CONNECTIONS)
        ]
        return await asyncio.gather(
            *(
                doors[buyer % CONNECTIONS].submit(SYSTEM, command, f"{turn} buyer {buyer}")
                for buyer, command in enumerate(commands)
            )
        )


async def test_behaviour_16_exactly_ten_are_served(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    outcomes = await rush(url, clock, [order_of(MUG=1)] * BUYERS)
    assert statuses(outcomes) == {"applied": 10, "refused": 40}
    assert {o.refusal.rule for o in outcomes if o.refusal} == {"stock.short"}
    assert await rows(url, "select count(*) from orders") == [(10,)]
    assert await figures(url) == {"on_hand": 10, "reserved": 10, "owed": 0}
    await prove(url)


async def test_behaviour_16_with_reservations_on(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    soon = START + timedelta(minutes=5)
    carts = [cart_of(soon, MUG=1) if buyer % 2 else order_of(MUG=1) for buyer in range(BUYERS)]
    assert statuses(await rush(url, clock, carts)) == {"applied": 10, "refused": 40}
    assert (await figures(url))["reserved"] == 10
    await prove(url)
    clock.turn(timedelta(minutes=5))
    reserved = await rows(url, "select count(*) from stock_expiring")
    outcomes = await rush(url, clock, [order_of(MUG=1)] * BUYERS, "later")
    assert statuses(outcomes).get("applied", 0) == reserved[0][0], "what the carts held is served once, and only once"
    assert (await figures(url))["reserved"] == 10
    await prove(url)


async def test_behaviour_16_without_the_lock_it_oversells(
    door: Door, url: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
):
    await stocked(door, MUG=10)
    monkeypatch.setattr(stock_rows, "LOCK_BALANCES", stock_rows.READ_BALANCES)
    with psycopg.connect(url, autocommit=True) as superuser:
        superuser.execute("alter table stock_balance drop constraint promised_is_covered")
    for turn in range(20):
        await rush(url, clock, [order_of(MUG=1)] * BUYERS, str(turn))
        if (await rows(url, "select count(*) from orders"))[0][0] > 10:
            break
    assert (await rows(url, "select count(*) from orders"))[0][0] > 10, "the control must oversell"
    assert [problem for problem in await problems_of(url) if problem.startswith("stock.claims_are_open")]


async def test_without_a_rule_the_database_itself_refuses(door: Door, url: str):
    await stocked(door, MUG=10)
    with psycopg.connect(url, autocommit=True) as superuser, pytest.raises(psycopg.errors.CheckViolation):
        superuser.execute("update stock_balance set reserved = 11")
