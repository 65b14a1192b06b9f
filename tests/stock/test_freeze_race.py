"""A movement in flight when a freeze starts is in its snapshot, or stopped: two processes, and a control that fails."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from tests.conftest import expect_all
from tests.proof import problems_of, prove
from tests.requests import rows
from tests.stock.freeze_racer import ITEMS

from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core.door import Door
from trueup.core.verb import Command

ROOT = Path(__file__).resolve().parents[2]


async def racer(url: str, role: str, protection: str) -> asyncio.subprocess.Process:
    """Start one of the two processes and wait until its door is open."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.stock.freeze_racer", url, role, protection,
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def answer(process: asyncio.subprocess.Process, site: str) -> int:
    """Tell a process a site, and wait for what it says."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{site}\n".encode())
    await process.stdin.drain()
    return int(await process.stdout.readline())


async def race(door: Door, url: str, tries: int, protection: str = "lock", first: int = 0) -> int:
    """Let goods move at one site after the other, each of which is frozen meanwhile; return at how many they moved
    between announcement and start. first: the number of the first site.
    """
    setup: list[tuple[str, Command]] = [(f"i{n}", RegisterItem(sku=f"S{n}", name=f"S{n}")) for n in range(ITEMS)]
    sites = [f"F{n}" for n in range(first, first + tries)]
    setup += [(site, RegisterLocation(code=site, name=site)) for site in sites]
    expect_all(await door.submit_all(SYSTEM, setup))
    mover, starter = await asyncio.gather(racer(url, "mover", protection), racer(url, "starter", protection))
    for site in sites:
        await asyncio.gather(answer(mover, site), answer(starter, site))
    for process in (mover, starter):
        await process.communicate(b"\n")
        assert process.returncode == 0
    at_stake = await rows(
        url,
        """select count(distinct a.subject)::int from journal a
        join journal s on s.subject = a.subject and s.name = 'stock.freeze_started'
        join journal m on m.name = 'stock.moved' and m.position between a.position and s.position
        where a.name = 'stock.freeze_announced'""",
    )
    moved: int = at_stake[0][0]
    return moved


async def frozen(url: str) -> int:
    """Return how many freezes began."""
    found = await rows(url, "select count(*)::int from stock_freeze where started_at is not null")
    began: int = found[0][0]
    return began


@pytest.mark.parametrize("tries", [60, pytest.param(1000, marks=pytest.mark.crash)])
async def test_a_movement_in_flight_is_in_the_snapshot_or_stopped(door: Door, url: str, tries: int):
    at_stake = await race(door, url, tries)
    assert at_stake > tries // 10, "movements were in flight"
    assert await frozen(url) == tries
    await prove(url)


async def test_control_a_plain_flag_lets_movements_slip_through(door: Door, url: str):
    """It is a race: where none slipped through in forty tries, forty more are run, and at last as many again."""
    found: list[str] = []
    for first in (0, 40, 80, 120):
        await race(door, url, 40, "flag", first)
        found = [problem for problem in await problems_of(url) if "stock.nothing_moves_under_freeze" in problem]
        if found:
            break
    assert found
