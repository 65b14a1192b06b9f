"""`bench availability`: baskets of 20 items over 50 locations: what is free at each, and from which day."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import psycopg

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.cli.bench.measure import Figure, cpu_seconds, median
from trueup.cli.bench.rig import SKUS, Rig, rig
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Command
from trueup.stock import promising
from trueup.stock.kept_shelves import Shelves
from trueup.stock.promising import Available, Basket, BasketLine
from trueup.stock.receive import AdjustStock

LOCATIONS, ITEMS = 50, 20
ROUNDS = 5
WARM_UP = 50
CHANGES = 200
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
    """What one process did in one round: answers, seconds, its own CPU seconds, and each answer's milliseconds."""

    answers: int
    seconds: float
    cpu_seconds: float
    milliseconds: list[float]


class Way(msgspec.Struct, frozen=True):
    """How a round is asked. kept: whether a process keeps shelves. answers: of each process. changes: per second."""

    name: str
    answers: int
    kept: bool = True
    changes: int = 0


WAYS = (
    Way("availability", 3000),
    Way(f"availability, while {CHANGES} balances change a second", 1000, changes=CHANGES),
    Way("availability, nothing kept", 300, kept=False),
)


def availability() -> list[Figure]:
    """Measure answers per second with as many processes as cores, each asking one after another on one connection.

    Balances lie as receipts left them, location by location, so that each of an answer's thousand rows is on a page of
    its own. A process keeps shelves, as a server does, and has been asked about every item before it is measured; then
    the same while the door changes balances, whose cost counts in `database`; then from the tables alone.
    """
    with rig() as on:
        _fill(on)
        _check(on)
        figures = [_measure(on, way) for way in WAYS]
        _check(on)
    return figures


def _measure(on: Rig, way: Way) -> Figure:
    rates, ours, theirs, latencies = [], [], [], []
    with _asking(on, way) as processes:
        for _ in range(ROUNDS):
            before = cpu_seconds(on.postmaster)
            runs, seconds = _round(on, way, processes)
            done = sum(run.answers for run in runs)
            rates.append(done / seconds)
            theirs.append((cpu_seconds(on.postmaster) - before) / done * 1e6)
            ours.append(sum(run.cpu_seconds for run in runs) / done * 1e6)
            latencies += [taken for run in runs for taken in run.milliseconds]
    latencies.sort()
    return Figure(
        name=way.name,
        figure=median(rates),
        unit=f"answers/s ({ITEMS} items, {LOCATIONS} locations)",
        p50_ms=latencies[len(latencies) // 2],
        p99_ms=latencies[len(latencies) * 99 // 100],
        cpu_us_per_unit={"asking process": median(ours), "database": median(theirs)},
        target=f"{TARGET:,} answers/s" if way is WAYS[0] else "",
        met=median(rates) >= TARGET if way is WAYS[0] else None,
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


@contextmanager
def _asking(on: Rig, way: Way) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start the processes that ask; they have warmed up when this begins, and end with it."""
    # The package has the module imported already; that it is run as a program as well is meant.
    program = [sys.executable, "-W", "ignore::RuntimeWarning:runpy", "-m", "trueup.cli.bench.availability",
               on.url, str(way.answers), str(int(way.kept))]  # fmt: skip
    running = [
        subprocess.Popen([*program, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for number in range(PROCESSES)
    ]
    try:
        for process in running:
            _line_of(process)
        yield running
    finally:
        for process in running:
            process.communicate()


def _line_of(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def _round(on: Rig, way: Way, processes: Sequence[subprocess.Popen[bytes]]) -> tuple[list[Run], float]:
    """Let all processes ask at once; return what each did, and the seconds from the first start to the last end."""
    over = threading.Event()
    changing = threading.Thread(target=lambda: asyncio.run(_change(on.url, way.changes, over)))
    changing.start()
    began = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    runs = [msgspec.json.decode(_line_of(process), type=Run) for process in processes]
    seconds = max(time.perf_counter() - began, *(run.seconds for run in runs))
    over.set()
    changing.join()
    return runs, seconds


async def _change(url: str, changes: int, over: threading.Event) -> None:
    """Adjust so many balances a second through the door until it is over."""
    if not changes:
        return
    chance = random.Random(0)
    async with Door(url, house.build()) as door:
        while not over.is_set():
            began = time.monotonic()
            batch: list[tuple[str, Command]] = [
                (
                    uuid.uuid4().hex,
                    AdjustStock(
                        location=f"SITE-{chance.randint(2, LOCATIONS)}", sku=f"SKU-{chance.randrange(SKUS)}",
                        change=Quantity(1), reason="found", reference="bench",
                    ),
                )
                for _ in range(max(1, changes // 10))
            ]  # fmt: skip
            await door.submit_all(SYSTEM, batch)
            await asyncio.sleep(max(0.0, 0.1 - (time.monotonic() - began)))


def _basket(chance: random.Random) -> Basket:
    chosen = chance.sample(range(SKUS), ITEMS)
    return Basket(lines=tuple(BasketLine(f"SKU-{at}", Quantity(chance.randint(1, 4))) for at in chosen))


async def _one(url: str, wanted: Basket) -> Available:
    connection = await connect(url, default_transaction_read_only="on")
    try:
        return await promising.available(connection, wanted, Policies(()), datetime.now(UTC))
    finally:
        await connection.close()


async def _ask(url: str, answers: int, seed: int, *, kept: bool) -> None:
    """Warm up, say so; then at each line that comes ask, and say what it took."""
    chance, policies = random.Random(seed), Policies(())
    shelves = Shelves() if kept else None
    connection = await connect(url, default_transaction_read_only="on")

    async def ask(basket: Basket) -> None:
        await promising.available(connection, basket, policies, datetime.now(UTC), shelves)

    try:
        for first in range(0, SKUS if kept else ITEMS * WARM_UP, ITEMS):
            await ask(Basket(lines=tuple(BasketLine(f"SKU-{first + at}", Quantity(1)) for at in range(ITEMS))))
        print("ready", flush=True)
        for _ in sys.stdin:
            baskets = [_basket(chance) for _ in range(answers)]
            taken: list[float] = []
            began, cpu = time.perf_counter(), time.process_time()
            for basket in baskets:
                asked = time.perf_counter()
                await ask(basket)
                taken.append((time.perf_counter() - asked) * 1000)
            run = Run(answers, time.perf_counter() - began, time.process_time() - cpu, taken)
            print(msgspec.json.encode(run).decode(), flush=True)
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(_ask(sys.argv[1], int(sys.argv[2]), int(sys.argv[4]), kept=sys.argv[3] == "1"))
