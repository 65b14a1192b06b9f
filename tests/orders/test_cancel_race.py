"""Several processes cancel units of one order at once: no unit is cancelled twice; without the lock, some are."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from tests.conftest import stocked
from tests.proof import problems_of, prove
from tests.requests import cancel, figures, order_of, rows, statuses

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.verb import Outcome
from trueup.orders import rows as order_rows
from trueup.stock import rows as stock_rows


async def race(door: Door, url: str, clock: TurnedClock, turn: int) -> list[Outcome]:
    """Place an order of five, and cancel one unit forty times from four doors; return the answers that were given."""
    order = (await door.submit(SYSTEM, order_of(MUG=5), f"order {turn}")).result["order"]
    async with AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(Door(url, house.build(), clock=clock, writers=1)) for _ in range(4)]
        answers = await asyncio.gather(
            *(doors[n % 4].submit(SYSTEM, cancel(order, line1=1), f"{turn} {n}") for n in range(40)),
            return_exceptions=True,
        )
    return [answer for answer in answers if isinstance(answer, Outcome)]


async def test_no_unit_is_cancelled_twice(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=100)
    for turn in range(3):
        assert statuses(await race(door, url, clock, turn)) == {"applied": 5, "refused": 35}
    assert await figures(url) == {"on_hand": 100, "reserved": 0, "owed": 0}
    assert await rows(url, "select distinct units_cancelled::int, version from orders") == [(5, 7)]
    await prove(url)


async def test_control_without_the_lock_some_are(
    door: Door, url: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
):
    await stocked(door, MUG=1000)
    monkeypatch.setattr(order_rows, "LOCK_ORDERS", order_rows.READ_ORDERS)
    # Between reading the order and reading its claims others commit; naps of any length make sure that they do.
    nap = "with nap as materialized (select pg_sleep(0.1 * random()))"
    nap += f" select b.* from ({stock_rows.READ_BALANCES}) b, nap"
    monkeypatch.setattr(stock_rows, "LOCK_BALANCES", nap)
    applied = 5
    for turn in range(20):
        if applied == 5:
            applied = statuses(await race(door, url, clock, turn)).get("applied", 0)
    assert applied != 5, "the control must cancel too much"
    assert await problems_of(url)
