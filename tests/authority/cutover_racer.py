"""A process that places orders in the channels it is told, until each is another system's; the registry's other half.

    python -m tests.authority.cutover_racer URL lock|flag

One channel comes per line on standard input. It places orders there, several at once, each batch napping between what
it decided and what it writes, until one is refused; then it answers with a line. `flag` takes the lock away: a batch
only looks at the registry.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
from tests.requests import order_of

from trueup import house
from trueup.authority import writers_state
from trueup.authority.standing import SYSTEM
from trueup.core import batch as batches
from trueup.core.door import Door

_AT_ONCE = 3


async def _place(door: Door, channel: str) -> None:
    numbers = itertools.count()

    async def one_by_one(numbers: Iterator[int]) -> None:
        for number in numbers:
            order = msgspec.structs.replace(order_of(MUG=1), channel=channel)
            outcome = await door.submit(SYSTEM, order, f"{channel} {number}")
            if outcome.refusal is not None:
                assert outcome.refusal.rule == "writer.other_system", outcome
                return

    await asyncio.gather(*(one_by_one(numbers) for _ in range(_AT_ONCE)))


def _napping() -> None:
    apply: Any = batches._apply

    async def late(*arguments: Any) -> None:
        await asyncio.sleep(random.uniform(0, 0.01))
        await apply(*arguments)

    batches._apply = late  # type: ignore[assignment]


def _without_lock() -> None:
    load: Any = writers_state.Writers.load
    writers_state.Writers.load = lambda self, *, lock, now: load(self, lock=False, now=now)  # type: ignore[method-assign]


async def run(url: str) -> None:
    """Answer one line for each channel."""
    async with Door(url, house.build()) as door:
        print("ready", flush=True)
        while channel := (await asyncio.to_thread(sys.stdin.readline)).strip():
            await _place(door, channel)
            print("done", flush=True)


if __name__ == "__main__":
    _napping()
    if sys.argv[2] == "flag":
        _without_lock()
    asyncio.run(run(sys.argv[1]))
