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
SAMPLE = 10_000
CHUNK = 2_000
RATIO_MAX = 1.15


def growth() -> list[Figure]:
    """Place orders through the door until a million are stored; compare the CPU of the sample before and after."""
    collect_seldom()
    with rig() as on:
        few, many, seconds = asyncio.run(_measure(on))
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


async def _measure(on: Rig) -> tuple[float, float, float]:
    chance = random.Random(7)
    async with Door(on.url, house.build()) as door:
        await _place(door, FEW, chance)
        few = await _sampled(on, door, chance)
        began = time.monotonic()
        await _place(door, MANY - FEW - SAMPLE, chance)
        took = time.monotonic() - began
        with psycopg.connect(on.url, autocommit=True) as connection:
            connection.execute("analyze")
        many = await _sampled(on, door, chance)
    return few, many, took


async def _sampled(on: Rig, door: Door, chance: random.Random) -> float:
    """Return the median CPU microseconds of an order, ours and the database's, over five parts of the sample."""
    costs = []
    for _ in range(5):
        ours, database = time.process_time(), cpu_seconds(on.postmaster)
        await _place(door, SAMPLE // 5, chance)
        used = time.process_time() - ours + cpu_seconds(on.postmaster) - database
        costs.append(used / (SAMPLE // 5) * 1e6)
    return median(costs)


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
