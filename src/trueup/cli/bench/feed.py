"""`bench stock-feed`: stock updates through the door, each a movement and a balance, in feeds of thousands of rows."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import psycopg

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.cli.bench.measure import Figure, cpu_seconds, median
from trueup.cli.bench.rig import Rig, rig
from trueup.core import json
from trueup.core.door import Door
from trueup.core.memory import collect_seldom
from trueup.stock.feed import ReportStockFeed

SKUS = 10_000
SOURCES = 2
ROWS = SKUS // SOURCES
ROUNDS = 3
SECONDS = 5.0
TARGET = 20_000


class Run(msgspec.Struct):
    """One round: rows that were posted, seconds, CPU seconds of ours and of the database, milliseconds per feed."""

    rows: int
    seconds: float
    ours: float
    database: float
    milliseconds: list[float]


def stock_feed() -> list[Figure]:
    """Measure two sources that send feeds of 5,000 rows, one after the other each; every row is another figure."""
    collect_seldom()
    with rig(SKUS) as on:
        runs = asyncio.run(_rounds(on))
        unexplained = _unexplained(on.url)
    rate = median([run.rows / run.seconds for run in runs])
    rows = sum(run.rows for run in runs)
    times = sorted(itertools.chain.from_iterable(run.milliseconds for run in runs))
    return [
        Figure(
            name="stock-feed",
            figure=rate,
            unit="updates/s",
            p50_ms=median(times),
            p99_ms=times[len(times) * 99 // 100] if times else None,
            cpu_us_per_unit={
                "door": sum(run.ours for run in runs) / rows * 1e6,
                "database": sum(run.database for run in runs) / rows * 1e6,
            },
            target=f"{TARGET:,} updates/s, every figure explained by its movements",
            met=rate >= TARGET and not unexplained,
            beside={"rows per feed": float(ROWS), "unexplained": float(unexplained)},
        )
    ]


async def _rounds(on: Rig) -> list[Run]:
    async with Door(on.url, house.build(), writers=SOURCES) as door:
        numbers = itertools.count(1)
        await _round(on, door, numbers, 1.5)
        return [await _round(on, door, numbers, SECONDS) for _ in range(ROUNDS)]


async def _round(on: Rig, door: Door, numbers: Iterator[int], seconds: float) -> Run:
    prepared = [[_rows(source, next(numbers)) for _ in range(8)] for source in range(SOURCES)]
    began, ours, base = time.perf_counter(), time.process_time(), cpu_seconds(on.postmaster)
    sent = await asyncio.gather(
        *(_send(door, source, bodies, began + seconds) for source, bodies in enumerate(prepared))
    )
    elapsed = time.perf_counter() - began
    times = [took for part in sent for took in part]
    return Run(
        rows=len(times) * ROWS,
        seconds=elapsed,
        ours=time.process_time() - ours,
        database=cpu_seconds(on.postmaster) - base,
        milliseconds=times,
    )


async def _send(door: Door, source: int, bodies: list[bytes], until: float) -> list[float]:
    """Send one feed after the other until it is time; return how long each took. The body is read as the API does."""
    times = []
    for body in itertools.cycle(bodies):
        began = time.perf_counter()
        if began >= until:
            break
        now = datetime.now(UTC).isoformat()
        command = json.decode(body.replace(b"NOW", now.encode(), 1), ReportStockFeed)
        outcome = await door.submit(SYSTEM, command, f"feed {source} {now}")
        assert outcome.result.get("applied") == ROWS, outcome
        times.append((time.perf_counter() - began) * 1000)
    return times


def _rows(source: int, number: int) -> bytes:
    """Return a feed in which every figure differs from that of the feed before."""
    chance = random.Random(number)
    rows = [
        {"sku": f"SKU-{source * ROWS + at}", "quantity": str(90_000_000 + number * 1000 + chance.randrange(1000))}
        for at in range(ROWS)
    ]
    return msgspec.json.encode({"source": f"source {source}", "as_of": "NOW", "location": "MAIN", "rows": rows})


def _unexplained(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            """select count(*) from stock_balance b left join (
                select item, sum(case when to_account = 'on_hand' then quantity else -quantity end) as net
                from stock_movement where 'on_hand' in (to_account, from_account) group by item) m using (item)
            where b.on_hand is distinct from m.net"""
        ).fetchone()
    return int(row[0]) if row else 0
