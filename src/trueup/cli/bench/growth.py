"""`bench growth`: what an order costs when a million are stored, beside what it costs when ten thousand are."""

from __future__ import annotations

import asyncio
import random
import time
import uuid

import psycopg

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.cli.bench.measure import Figure, cpu_seconds, median
from trueup.cli.bench.rig import SKUS, Rig, rig
from trueup.core.door import Door
from trueup.core.memory import collect_seldom
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import Command
from trueup.orders.place import PlaceLine, PlaceOrder

FEW = 10_000
MANY = 1_000_000
PARTS, PART = 7, 2_000
CHUNK = 2_000
RATIO_MAX = 1.15


def growth() -> list[Figure]:
    """Store few orders in one shop and a million in another, through the door; compare what a further order costs."""
    collect_seldom()
    with rig() as small, rig() as large:
        few, many, seconds = asyncio.run(_measure(small, large))
    return [
        Figure(
            name="growth",
            figure=many,
            unit="CPU \u00b5s/order",
            limit=few,
            ratio=many / few,
            target=f"CPU per order at {MANY:,} stored at most {RATIO_MAX} times that at {FEW:,}",
            met=many / few <= RATIO_MAX,
            beside={"orders stored": float(MANY), "seconds to store them": seconds},
        )
    ]


async def _measure(small: Rig, large: Rig) -> tuple[float, float, float]:
    """Return the median CPU microseconds of an order in the small and the large shop, which take turns."""
    chance = random.Random(7)
    async with Door(small.url, house.build()) as few_door, Door(large.url, house.build()) as many_door:
        await _place(few_door, FEW, chance)
        began = time.monotonic()
        await _place(many_door, MANY, chance)
        took = time.monotonic() - began
        for on in (small, large):
            with psycopg.connect(on.url, autocommit=True) as connection:
                # What storing left to tidy belongs to storing, not to the orders that are measured.
                connection.execute("vacuum analyze")
        costs: list[tuple[float, float]] = []
        for _ in range(PARTS):
            few = await _cost(small, few_door, chance)
            costs.append((few, await _cost(large, many_door, chance)))
    return median([few for few, _ in costs]), median([many for _, many in costs]), took


async def _cost(on: Rig, door: Door, chance: random.Random) -> float:
    """Place a part of the sample; return the CPU microseconds of an order, ours and the database's."""
    ours, database = time.process_time(), cpu_seconds(on.postmaster)
    await _place(door, PART, chance)
    used = time.process_time() - ours + cpu_seconds(on.postmaster) - database
    return used / PART * 1e6


async def _place(door: Door, count: int, chance: random.Random) -> None:
    run = uuid.uuid4().hex[:12]
    for first in range(0, count, CHUNK):
        keyed: list[tuple[str, Command]] = [
            (f"{run}/{number}", _order(f"{run}-{number}", chance)) for number in range(first, min(first + CHUNK, count))
        ]
        for outcome in await door.submit_all(SYSTEM, keyed):
            assert outcome.status == "applied", outcome.refusal


def _order(number: str, chance: random.Random) -> PlaceOrder:
    lines = [PlaceLine(f"SKU-{at}", Quantity(1), Amount("12.50")) for at in sorted(chance.sample(range(SKUS), 3))]
    return PlaceOrder(currency="EUR", external_ids={"shop": number}, lines=tuple(lines))
