"""Processes are killed at random moments under load: no acknowledged order is lost, none is doubled, all checks hold.

This proves recovery from killed processes, not from power loss. The control shows that the test would notice.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import stocked
from tests.crash.harness import Load, Server
from tests.crash.placer import order_for
from tests.proof import problems_of
from tests.requests import rows

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Command
from trueup.orders.cancel import CancelLine, CancelOrder

pytestmark = pytest.mark.crash

ENDLESS = 1_000_000
CONCURRENCY = 40
KILLS = {"child": 8, "backends": 8, "immediate": 6, "postmaster": 5, "all": 6}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(Path(tempfile.gettempdir()) / f"trueup-crash-{os.getpid()}")
    try:
        yield server
    finally:
        server.remove()


async def prepare(url: str) -> None:
    async with Door(url, house.build()) as door:
        await stocked(door, MUG=10**9, PLATE=10**9, BOWL=10**9)


def placing(url: str, prefix: str, folder: Path) -> Load:
    arguments = ["-m", "tests.crash.placer", url, prefix, "0", str(ENDLESS), str(CONCURRENCY)]
    load = Load(arguments, folder / f"{prefix}.acknowledged")
    load.wait_for(1)
    load.begin()
    return load


def acknowledged(lines: list[str]) -> dict[str, str]:
    """Return key -> order of everything that was answered."""
    return {key: order for key, order, _ in (line.split() for line in lines if line != "ready")}


def command_for(key: str, order: str) -> Command:
    if key.endswith("-cancel"):
        return CancelOrder(order=order, lines=(CancelLine(1, Quantity(1)),))
    return order_for(int(key.rpartition("-")[2]))


async def assert_nothing_lost_or_doubled(url: str, told: dict[str, str]) -> None:
    """Every acknowledged key stands with its order; sent again, it is told the same and has no second effect."""
    counted = "select (select count(*) from orders), (select count(*) from journal where name = 'orders.cancelled')"
    stood = await rows(url, "select key from door_key where outcome is not null and key = any(%s)", list(told))
    assert len(stood) == len(told), f"{len(told) - len(stood)} of {len(told)} acknowledged keys are lost"
    before = await rows(url, counted)
    async with Door(url, house.build()) as door:
        again = await door.submit_all(SYSTEM, [(key, command_for(key, order)) for key, order in told.items()])
    for (key, order), outcome in zip(told.items(), again, strict=True):
        assert (outcome.status, outcome.repeated, outcome.result["order"]) == ("applied", True, order), key
    assert await rows(url, counted) == before
    doubled = await rows(
        url,
        """select (select count(*) from orders),
            (select count(*) from door_key where key like '%%-%%' and key not like '%%-cancel'
             and convert_from(outcome, 'utf8') like '%%"status":"applied"%%')""",
    )
    assert doubled[0][0] == doubled[0][1], "as many orders as keys that placed one"


def strike(server: Server, load: Load, how: str) -> None:
    """Kill at a random moment, and bring back what the load needs to go on."""
    load.wait_for(len(load.lines) + random.randrange(20, 120))
    time.sleep(random.uniform(0, 0.05))
    if how == "child":
        load.process.kill()
    elif how == "backends":
        server.terminate_backends()
    else:
        end = {"immediate": server.stop_immediately, "postmaster": server.kill_postmaster, "all": server.kill_all}
        end[how]()
        time.sleep(random.uniform(0, 0.5))
        server.start()


@pytest.mark.parametrize("how", KILLS)
def test_a_kill_loses_no_acknowledged_order_and_doubles_none(server: Server, tmp_path: Path, how: str):
    url = server.database(f"kill_{how}")
    asyncio.run(prepare(url))
    told: dict[str, str] = {}
    for turn in range(KILLS[how]):
        load = placing(url, f"{how}{turn}", tmp_path)
        strike(server, load, how)
        if how != "child":
            load.wait_for(len(load.lines) + 40)
        mine = acknowledged(load.kill())
        assert len(mine) >= 20
        told |= mine
        asyncio.run(assert_nothing_lost_or_doubled(url, mine))
        assert asyncio.run(problems_of(url)) == []
    asyncio.run(assert_nothing_lost_or_doubled(url, told))
    print(f"{how}: {KILLS[how]} kills, {len(told)} acknowledged, none lost, none doubled")


def test_control_without_synchronous_commit_some_are_lost(tmp_path: Path):
    settings = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"}
    home = Path(tempfile.gettempdir()) / f"trueup-crash-control-{os.getpid()}"
    server = Server(home, unsafe=True, settings=settings)
    try:
        url = server.database("control")
        asyncio.run(prepare(url))
        for turn in range(5):
            server.checkpoint()
            load = placing(url, f"control{turn}", tmp_path)
            load.wait_for(200)
            server.kill_all()
            told = acknowledged(load.kill())
            server.start()
            stood = asyncio.run(rows(url, "select key from door_key where key = any(%s)", list(told)))
            lost = len(told) - len(stood)
            print(f"control: {lost} of {len(told)} acknowledged keys lost")
            if lost:
                with pytest.raises(AssertionError, match="are lost"):
                    asyncio.run(assert_nothing_lost_or_doubled(url, told))
                return
        pytest.fail("the control must lose something")
    finally:
        server.remove()


def test_what_the_placer_asks_for_is_the_same_every_time():
    assert order_for(7) == order_for(7)
    assert order_for(7).lines[0].unit_price == Amount("8.99")
