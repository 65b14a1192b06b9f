"""A process that places orders through its own door until it is killed or done, telling each answer as it comes.

    python -m tests.crash.placer URL PREFIX FIRST COUNT CONCURRENCY

Places orders under the keys PREFIX-FIRST, PREFIX-(FIRST+1), ... and cancels a unit of every fifth. One line per answer
on standard output: key, order, `first` or `repeated`. What nobody can tell is asked again with the same key. It says
`ready` when its door is open, and begins when a line comes on standard input.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from collections.abc import Iterator

import structlog

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.core.errors import DatabaseUnreachable, Unknown
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Command, Outcome
from trueup.orders.cancel import CancelLine, CancelOrder
from trueup.orders.place import PlaceLine, PlaceOrder

SKUS = ("MUG", "PLATE", "BOWL")


def order_for(number: int) -> PlaceOrder:
    """The order that belongs to a key's number: the same whenever and wherever it is asked for."""
    count = 1 + number % 3
    lines = tuple(
        PlaceLine(SKUS[(number + at) % 3], Quantity(1 + at), Amount(f"{1 + number % 50}.99")) for at in range(count)
    )
    return PlaceOrder(currency="EUR", lines=lines)


async def insist(door: Door, key: str, command: Command) -> Outcome:
    """Submit until there is an answer."""
    while True:
        try:
            return await door.submit(SYSTEM, command, key)
        except (Unknown, DatabaseUnreachable):
            await asyncio.sleep(0.05)


async def place(door: Door, prefix: str, number: int) -> None:
    """Place one order, and cancel a unit of every fifth; say what was answered."""
    key = f"{prefix}-{number}"
    outcome = await insist(door, key, order_for(number))
    assert outcome.status == "applied", outcome
    order = outcome.result["order"]
    print(key, order, "repeated" if outcome.repeated else "first", flush=True)
    if number % 5 == 0:
        cancel = CancelOrder(order=order, lines=(CancelLine(1, Quantity(1)),))
        outcome = await insist(door, f"{key}-cancel", cancel)
        assert outcome.status == "applied", outcome
        print(f"{key}-cancel", order, "repeated" if outcome.repeated else "first", flush=True)


async def run(url: str, prefix: str, first: int, count: int, concurrency: int) -> None:
    """Place `count` orders, `concurrency` at a time."""

    async def buy(door: Door, numbers: Iterator[int]) -> None:
        for number in numbers:
            await place(door, prefix, number)

    # Each process in an order of its own, so that two with the same keys both have work to do.
    numbers = iter(random.Random(os.getpid()).sample(range(first, first + count), count))
    async with Door(url, house.build()) as door:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(buy(door, numbers) for _ in range(concurrency)))


def main() -> None:
    """Read the arguments and run."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.disable(logging.WARNING)
    url, prefix, first, count, concurrency = sys.argv[1:6]
    asyncio.run(run(url, prefix, int(first), int(count), int(concurrency)))


if __name__ == "__main__":
    main()
