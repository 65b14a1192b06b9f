"""`bench broker`: a brokering run of 10,000 orders, beside the sequential rule and beside what no plan can be below."""

from __future__ import annotations

import math
import os
import random
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import accumulate
from multiprocessing import get_context

from trueup.cli.bench.measure import Figure, peak_mb
from trueup.sourcing.bound import lower_bound
from trueup.sourcing.optimise import Result, optimise
from trueup.sourcing.problem import BrokeredLine, BrokeredOrder, Costs, Offer, Place, Problem, faults

ORDERS, PLACES, ITEMS = 10_000, 50, 2_000
SEED = 1
SECONDS_MAX = 28.0  # given to the run, of the 30 promised
SECONDS_TARGET, MB_TARGET, RATIO_TARGET = 30.0, 2_048.0, 0.95
SIDE_KM, CITIES, SPREAD_KM = 1_000.0, 12, 60.0
# A parcel up to so far (km): minor units, and days late for the orders that were promised fast delivery.
BANDS = ((60.0, 450, 0), (200.0, 590, 0), (450.0, 790, 1), (800.0, 1090, 2), (math.inf, 1450, 3))
COSTS = Costs(split=300, late_day=150, unserved=2_000)
EXTRA_ORDER_COST = 200

Spot = tuple[float, float]


def broker() -> list[Figure]:
    """Measure a run in a process of its own; then, outside the measured time, the bound and whether the plan holds."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        result, seconds, cpu_seconds, megabytes = apart.submit(measured, SEED).result()
    problem = instance(SEED)
    bound = lower_bound(problem)
    broken = faults(problem, result.plan)
    ratio = bound.total / result.total
    kept = seconds < SECONDS_TARGET and (megabytes or 0.0) < MB_TARGET and ratio >= RATIO_TARGET
    return [
        Figure(
            name="broker",
            figure=len(problem.orders) / seconds,
            unit="orders/s",
            ratio=ratio,
            peak_mb=megabytes,
            cpu_us_per_unit={"run": cpu_seconds / len(problem.orders) * 1e6},
            target="10,000 orders < 30 s, < 2 GB; never above sequential; bound / cost at least 0.95",
            met=kept and result.total <= result.sequential_total and not broken,
            beside={
                "seconds": seconds,
                "cost": float(result.total),
                "sequential cost": float(result.sequential_total),
                "lower bound": float(bound.total),
                "bound / cost": ratio,
                "seconds of the bound": bound.seconds,
                "batches": float(result.batches),
                "orders by the sequential rule": float(len(result.fell_back)),
                "broken constraints": float(len(broken)),
            },
        )
    ]


def measured(seed: int) -> tuple[Result, float, float, float | None]:
    """Return a run's result, its seconds, its CPU seconds, and the most memory its process held, in MB."""
    problem = instance(seed)
    wall, cpu = time.monotonic(), time.process_time()
    result = optimise(problem, seconds_max=SECONDS_MAX)
    return result, time.monotonic() - wall, time.process_time() - cpu, peak_mb(os.getpid())


def instance(seed: int, orders: int = ORDERS, places: int = PLACES, items: int = ITEMS) -> Problem:
    """Return a day's orders: around cities, of popular items mostly; three items in ten are scarce, held unevenly.

    A scarce item's stock is 85 to 95 % of what is wanted of it, another's 1.5 to 4 times. Places differ in size by far;
    three in ten take only so many orders, three in ten more of them at a cost. 15 % of the orders may not be split, 5 %
    wait rather than go in part, one in seven of several lines holds a kit, three in ten were promised fast delivery.
    """
    draw = random.Random(seed)
    cities = [(draw.uniform(0, SIDE_KM), draw.uniform(0, SIDE_KM)) for _ in range(CITIES)]
    sites = {f"place-{number}": _near(draw, draw.choice(cities)) for number in range(places)}
    popular = list(accumulate(1 / (rank + 10) ** 0.8 for rank in range(items)))
    placed = tuple(_order(draw, number, cities, sites, popular) for number in range(orders))
    sizes = {name: draw.paretovariate(0.9) for name in sites}
    stock = _stock(draw, placed, sizes)
    share = 1.7 * orders / sum(sizes.values())
    return Problem(placed, tuple(_place(draw, name, share * size) for name, size in sizes.items()), stock, COSTS)


def _order(
    draw: random.Random, number: int, cities: list[Spot], sites: dict[str, Spot], popular: list[float]
) -> BrokeredOrder:
    here, fast, count = _near(draw, draw.choice(cities)), draw.random() < 0.3, draw.randint(1, 5)
    items = draw.choices(range(len(popular)), cum_weights=popular, k=count)
    lines = tuple(
        BrokeredLine(str(line), f"item-{item}", draw.choice((1, 1, 1, 1, 2, 2, 3)))
        for line, item in enumerate(items, 1)
    )
    return BrokeredOrder(
        id=f"order-{number}",
        lines=lines,
        offers={name: _offer(math.dist(here, spot), fast) for name, spot in sites.items()},
        places_max=1 if draw.random() < 0.15 else 3,
        kits=(("1", "2"),) if count > 1 and draw.random() < 0.15 else (),
        whole=draw.random() < 0.05,
        priority=2 if draw.random() < 0.05 else 1,
    )


def _offer(distance_km: float, fast: bool) -> Offer:
    cost, late = next((cost, late) for far, cost, late in BANDS if distance_km <= far)
    return Offer(cost, late if fast else 0)


def _stock(
    draw: random.Random, orders: tuple[BrokeredOrder, ...], sizes: dict[str, float]
) -> dict[tuple[str, str], int]:
    wanted: dict[str, int] = {}
    for line in (line for order in orders for line in order.lines):
        wanted[line.item] = wanted.get(line.item, 0) + line.units
    stock: dict[tuple[str, str], int] = {}
    for item, units in wanted.items():
        cover = draw.uniform(0.85, 0.95) if draw.random() < 0.3 else draw.uniform(1.5, 4.0)
        holders = draw.sample(list(sizes), draw.randint(min(10, len(sizes)), min(40, len(sizes))))
        weights = [sizes[name] * draw.uniform(0.3, 1.7) for name in holders]
        for place in draw.choices(holders, weights, k=round(units * cover)):
            stock[item, place] = stock.get((item, place), 0) + 1
    return stock


def _place(draw: random.Random, name: str, orders: float) -> Place:
    kind = draw.random()
    if kind < 0.4:
        return Place(name)
    return Place(name, round(orders * draw.uniform(0.6, 1.4)), EXTRA_ORDER_COST if kind < 0.7 else None)


def _near(draw: random.Random, city: Spot) -> Spot:
    return city[0] + draw.gauss(0, SPREAD_KM), city[1] + draw.gauss(0, SPREAD_KM)
