"""At the moment of a cut-over no write slips through: two processes, and a control without the lock that fails."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import pytest
from tests.authority.test_writers import assign, systems
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows

from trueup.authority import writers_state
from trueup.core.door import Door

ROOT = Path(__file__).resolve().parents[2]
# Orders that were placed after the moment from which another system writes their channel, by the journal's order.
SLIPPED = """select count(*)::int from orders o
    join writer_rule w on w.channel = o.channel
    join journal a on a.subject = w.id and a.name = 'authority.writer_assigned'
    join journal p on p.subject = o.id and p.name = 'orders.placed' and p.position > a.position"""


async def racer(url: str, protection: str) -> asyncio.subprocess.Process:
    """Start the process that places orders, and wait until its door is open."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.authority.cutover_racer", url, protection,
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def cut_over(door: Door, url: str, channels: list[str], protection: str) -> int:
    """Give one channel after the other away while orders are placed in it; return how many orders slipped through."""
    process = await racer(url, protection)
    assert process.stdin is not None
    assert process.stdout is not None
    for channel in channels:
        process.stdin.write(f"{channel}\n".encode())
        await process.stdin.drain()
        await asyncio.sleep(random.uniform(0.01, 0.05))
        assert (await assign(door, "legacy", channel=channel)).status == "applied"
        assert await process.stdout.readline() == b"done\n"
    await process.communicate(b"\n")
    assert process.returncode == 0
    found = await rows(url, SLIPPED)
    slipped: int = found[0][0]
    return slipped


async def ready(door: Door) -> None:
    await stocked(door, MUG=100_000)
    await systems(door, legacy=())


@pytest.mark.parametrize("tries", [30, pytest.param(500, marks=pytest.mark.crash)])
async def test_no_order_is_placed_after_its_cohort_was_given_away(door: Door, url: str, tries: int):
    await ready(door)
    channels = [f"c{number}" for number in range(tries)]
    assert await cut_over(door, url, channels, "lock") == 0
    placed = await rows(url, "select count(distinct channel)::int from orders")
    assert placed[0][0] > tries // 2, "orders were being placed"
    await prove(url)


async def test_control_without_the_lock_orders_slip_through(door: Door, url: str, monkeypatch: pytest.MonkeyPatch):
    """It is a race: where none slipped through in thirty cut-overs, thirty more are tried, up to four times."""
    load = writers_state.Writers.load
    monkeypatch.setattr(writers_state.Writers, "load", lambda self, *, lock, now: load(self, lock=False, now=now))
    await ready(door)
    slipped = 0
    for first in (0, 30, 60, 90):
        slipped = await cut_over(door, url, [f"c{number}" for number in range(first, first + 30)], "flag")
        if slipped:
            break
    assert slipped
