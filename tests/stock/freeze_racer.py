"""A process that moves goods, or freezes sites, at the sites it is told; the other half of the race is another process.

    python -m tests.stock.freeze_racer URL mover|starter lock|flag

One site's code comes per line on standard input. The mover receives new items there, several at once, each batch
napping between what it read and what it writes, until it is stopped; the starter waits a moment, announces a freeze and
starts it. Each answers with one line. `flag` takes the lock away: a movement only looks whether there is a freeze.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core import batch as batches
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.stock import freeze_state
from trueup.stock.freeze import AnnounceFreeze, StartFreeze
from trueup.stock.receive import ReceivedLine, ReceiveStock

ITEMS = 400
_AT_ONCE = 3


async def _move(door: Door, site: str) -> int:
    """Receive one new item after the other until a freeze stops it; return how many."""
    numbers = itertools.count()

    async def one_line(numbers: Iterator[int]) -> int:
        done = 0
        for number in numbers:
            receipt = ReceiveStock(
                location=site, lines=(ReceivedLine(f"S{number}", Quantity(1)),), reference=f"{site} {number}"
            )
            outcome = await door.submit(SYSTEM, receipt, f"{site} {number}")
            if outcome.status in ("refused", "queued"):
                return done
            assert outcome.status == "applied", outcome
            done += 1
        return done

    return sum(await asyncio.gather(*(one_line(numbers) for _ in range(_AT_ONCE))))


async def _freeze(door: Door, site: str) -> int:
    await asyncio.sleep(random.uniform(0, 0.02))
    announce = AnnounceFreeze(location=site, to_at=datetime.now(UTC) + timedelta(days=1), reason="race")
    announced = await door.submit(SYSTEM, announce, f"announce {site}")
    started = await door.submit(SYSTEM, StartFreeze(freeze=announced.result["freeze"]), f"start {site}")
    assert started.status == "applied", started
    return 1


def _nap() -> None:
    decide: Any = batches._decide_all

    def napping(*arguments: Any) -> Any:
        time.sleep(random.uniform(0, 0.03))
        return decide(*arguments)

    vars(batches)["_decide_all"] = napping


async def main(url: str, role: str, protection: str) -> None:
    """Answer every site on standard input."""
    if protection == "flag":
        freeze_state.LOCK_SITES = "select %s::int[], %s::text[]"
    if role == "mover":
        _nap()
    act = _move if role == "mover" else _freeze
    async with Door(url, house.build(), writers=2) as door:
        print("ready", flush=True)
        while site := (await asyncio.to_thread(sys.stdin.readline)).strip():
            print(await act(door, site), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
