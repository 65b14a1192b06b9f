"""`bench availability`: baskets of 20 items over 50 locations: what is free at each, and from which day."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from trueup.cli.bench.measure import Figure, cpu_seconds, median
from trueup.cli.bench.rig import SKUS, Rig, rig
from trueup.core.database import connect
from trueup.core.quantity import Quantity
from trueup.stock import promising
from trueup.stock.promising import Available, Basket, BasketLine

LOCATIONS, ITEMS = 50, 20
ROUNDS = 5
ANSWERS = 800
WARM_UP = 50
PROCESSES = max(1, min(4, os.cpu_count() or 1))
TARGET = 1000

# Stock as the door writes it, made in bulk, location by location as receipts would; every tenth place expects supply.
_FILL = (
    """insert into location (id, code, name, kind, at, version)
    select 'loc_' || lpad(to_hex(n), 12, '0') || '7' || substr(md5(n::text), 1, 19), 'SITE-' || n, 'Site ' || n,
        'warehouse', now(), 1 from generate_series(2, {last}) n""",
    """insert into stock_balance (item, location, on_hand, safety)
    select i.id, l.id, abs(hashtext(i.id || l.id)) % 16, 1 from location l cross join item i
    where l.code <> 'MAIN' order by l.id, hashtext(i.id)""",
    """update stock_balance set on_hand = abs(hashtext(item || location)) % 16, version = version + 1
    where location = (select id from location where code = 'MAIN')""",
    """insert into stock_backlog (item, location, waiting)
    select item, location, 0 from stock_balance where hashtext(location || item) % 10 = 0""",
    """insert into stock_supply (id, item, location, quantity, pegged, due_at, reference, source)
    select 'sup_' || md5(item || location), item, location, 20, 0, now() + interval '5 days', 'PO', 'bench'
    from stock_backlog""",
)


class Run(msgspec.Struct):
    """What one process did: answers, seconds, its own CPU seconds, and each answer's milliseconds."""

    answers: int
    seconds: float
    cpu_seconds: float
    milliseconds: list[float]


def availability() -> list[Figure]:
    """Measure answers per second with as many processes as cores, each asking one after another on one connection.

    First with balances as receipts left them, location by location, so that each of an answer's thousand rows lies on a
    page of its own; then after `cluster`, with an item's rows together, as they stay while they are updated in place.
    """
    with rig() as on:
        _fill(on)
        _check(on)
        scattered = _measure(on, "availability, rows as received")
        _run(on, ("cluster stock_balance using stock_balance_pkey", "analyze stock_balance"))
        _check(on)
        together = _measure(on, "availability, an item's rows together")
    return [scattered, together]


def _measure(on: Rig, name: str) -> Figure:
    _round(on, 4 * WARM_UP, seed=0)
    rates, ours, theirs, latencies = [], [], [], []
    for number in range(ROUNDS):
        before = cpu_seconds(on.postmaster)
        runs, seconds = _round(on, ANSWERS, seed=number + 1)
        done = sum(run.answers for run in runs)
        rates.append(done / seconds)
        theirs.append((cpu_seconds(on.postmaster) - before) / (done + PROCESSES * WARM_UP) * 1e6)
        ours.append(sum(run.cpu_seconds for run in runs) / done * 1e6)
        latencies += [taken for run in runs for taken in run.milliseconds]
    latencies.sort()
    return Figure(
        name=name,
        figure=median(rates),
        unit=f"answers/s ({ITEMS} items, {LOCATIONS} locations)",
        p50_ms=latencies[len(latencies) // 2],
        p99_ms=latencies[len(latencies) * 99 // 100],
        cpu_us_per_unit={"asking process": median(ours), "database": median(theirs)},
        target=f"{TARGET:,} answers/s",
        met=median(rates) >= TARGET,
        beside={
            "processes": float(PROCESSES),
            "lowest round": min(rates),
            "highest round": max(rates),
            "answers per CPU second": 1e6 / (median(ours) + median(theirs)),
        },
    )


def _fill(on: Rig) -> None:
    _run(on, (*(statement.format(last=LOCATIONS) for statement in _FILL), "vacuum analyze", "checkpoint"))


def _run(on: Rig, statements: Sequence[str]) -> None:
    with psycopg.connect(on.url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _check(on: Rig) -> None:
    """Fail unless an answer has every item at every location, with the figures that the tables give."""
    wanted = _basket(random.Random(0))
    answer = asyncio.run(_one(on.url, wanted))
    assert len(answer.locations) == LOCATIONS
    assert len(answer.items) == ITEMS
    with psycopg.connect(on.url) as connection:
        rows = connection.execute(
            """select i.sku, l.code, b.on_hand - b.reserved - b.allocated - b.safety from stock_balance b
            join item i on i.id = b.item join location l on l.id = b.location where i.sku = any(%s)""",
            [[line.sku for line in wanted.lines]],
        ).fetchall()
    expected: dict[tuple[str, str], Decimal] = {(sku, code): free for sku, code, free in rows}
    found = {
        (item.sku, code): free
        for item in answer.items
        for code, free in zip(answer.locations, item.available, strict=True)
    }
    assert found == expected


def _round(on: Rig, answers: int, seed: int) -> tuple[list[Run], float]:
    """Let all processes ask at once; return what each did, and the seconds from the first start to the last end."""
    program = [sys.executable, "-m", "trueup.cli.bench.availability", on.url, str(answers)]
    running = [
        subprocess.Popen([*program, str(seed * 100 + number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for number in range(PROCESSES)
    ]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    began = time.perf_counter()
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    runs = [msgspec.json.decode(process.communicate()[0], type=Run) for process in running]
    return runs, max(time.perf_counter() - began, *(run.seconds for run in runs))


def _basket(chance: random.Random) -> Basket:
    chosen = chance.sample(range(SKUS), ITEMS)
    return Basket(lines=tuple(BasketLine(f"SKU-{at}", Quantity(chance.randint(1, 4))) for at in chosen))


async def _one(url: str, wanted: Basket) -> Available:
    connection = await connect(url, default_transaction_read_only="on")
    try:
        return await promising.available(connection, wanted, datetime.now(UTC))
    finally:
        await connection.close()


async def _ask(url: str, answers: int, seed: int) -> Run:
    """Warm up, say so, wait for the start, and ask."""
    chance = random.Random(seed)
    baskets = [_basket(chance) for _ in range(answers)]
    taken: list[float] = []
    connection: Any = await connect(url, default_transaction_read_only="on")
    try:
        for basket in baskets[:WARM_UP]:
            await promising.available(connection, basket, datetime.now(UTC))
        print("ready", flush=True)
        sys.stdin.readline()
        began, cpu = time.perf_counter(), time.process_time()
        for basket in baskets:
            asked = time.perf_counter()
            await promising.available(connection, basket, datetime.now(UTC))
            taken.append((time.perf_counter() - asked) * 1000)
        return Run(answers, time.perf_counter() - began, time.process_time() - cpu, taken)
    finally:
        await connection.close()


if __name__ == "__main__":
    run = asyncio.run(_ask(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    sys.stdout.write(msgspec.json.encode(run).decode())
