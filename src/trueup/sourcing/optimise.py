"""A brokering run's plan: of all ways to serve many orders out of one stock, the cheapest found in the time given.

1. The sequential rule's plan, which is what is returned if nothing better is found.
2. Prices of stock and room at which the orders, each by itself, want about what there is, and the ways to serve them
   that came up meanwhile (`search.search`).
3. A draft from those by linear programmes of HiGHS, the surest orders first (`dive.dive`); orders that there is no time
   for are served by the sequential rule.
4. In rolling batches, orders again, together, in whole ways, by HiGHS (`batches.again`); never for more cost.

Steps 2 to 4 end when their share of the time is used. Source: issue "brokering run"; prices and ways taken up by them
after Dantzig and Wolfe, Decomposition principle for linear programs (1960).
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from trueup.sourcing.batches import again
from trueup.sourcing.dive import Dived, dive
from trueup.sourcing.draft import Draft, Way, by_order, read
from trueup.sourcing.layout import Layout, blocks, lay_out
from trueup.sourcing.pricing import Prices, answer
from trueup.sourcing.problem import Cost, Plan, Problem, cost_of
from trueup.sourcing.search import search
from trueup.sourcing.sequential import Room, sequential

SECONDS_MAX = 30.0
SEARCH_UNTIL, DIVE_UNTIL = (
    0.2,
    0.7,
)  # of the time after the rule and before the close: when each step ends at the latest
CLOSE = 0.05  # of the time: kept for the close, or as much as the rule took, as both grow with the orders
ROUNDS_MAX = 25  # of looking for prices
BATCH = 800  # orders again together
BATCHES = 6  # of a pass
SEEDS_MIN = 20  # of a batch: for fewer no batch of its own
HOLDERS = 6  # of the same stock, to one order that would take of it
PASS_GAIN_MIN = 0.0005  # of the cost: a pass that gains less is the last


class Result(msgspec.Struct, frozen=True):
    """A brokering run's plan, and how it came about.

    total, sequential_total: costs of the plan and of the sequential rule's, in minor units; the first is never more.
    by: optimised; sequential, when nothing better was found in time; mixed, when there was no time for some orders:
    fell_back, which the sequential rule served. batches: how many were solved. seconds: the whole took.
    sequential: the rule's cost by kind.
    """

    plan: Plan
    total: int
    sequential_total: int
    by: Literal["optimised", "sequential", "mixed"]
    seconds: float
    batches: int
    fell_back: tuple[str, ...]
    sequential: Cost = Cost()


def optimise(
    problem: Problem, *, seconds_max: float = SECONDS_MAX, clock: Callable[[], float] = time.monotonic
) -> Result:
    """Return the plan of least cost found in `seconds_max`, never dearer than the sequential rule's.

    The sequential rule itself always runs to its end, some 0.3 ms per order, however little time is given.
    """
    start = clock()
    rule = sequential(problem)
    rule_cost = cost_of(problem, rule)
    rule_total = rule_cost.total
    everyone = tuple(order.id for order in problem.orders)
    best, best_total, batches, fell_back = rule, rule_total, 0, everyone
    took = clock() - start
    end = start + seconds_max - max(CLOSE * seconds_max, took)
    if problem.orders and problem.places and clock() + took < end:
        layout = lay_out(problem)
        draft, left_over, prices = _drafted(layout, rule, rule_total, end, clock)
        batches, reached, done = _roll(draft, prices, end, clock)
        plan = draft.plan()
        total = cost_of(problem, plan).total
        if total < rule_total:
            best, best_total = plan, total
            fell_back = tuple(everyone[order] for order in left_over if not done and order not in reached)
        elif done:
            fell_back = ()
    by: Literal["optimised", "sequential", "mixed"] = "optimised" if not fell_back else "mixed"
    if best is rule and fell_back:
        by = "sequential"
    return Result(best, best_total, rule_total, by, clock() - start, batches, fell_back, rule_cost)


def _drafted(layout: Layout, rule: Plan, rule_total: int, end: float, clock: Callable[[], float]) -> Dived:
    """The draft to start from; its left over orders are served by the sequential rule."""
    import numpy as np

    problem, start = layout.problem, clock()
    those = blocks(layout, np.arange(len(problem.orders)), layout.stock)
    ways: list[tuple[int, Way]] = []
    until, dive_until = (start + part * (end - start) for part in (SEARCH_UNTIL, DIVE_UNTIL))
    found = search(layout, those, ROUNDS_MAX, until, clock, bound=False, seen=ways.extend)
    dived = dive(layout, ways, found.prices, dive_until, clock)
    draft = dived.draft
    if dived.left_over:
        room, plan = Room(problem), draft.plan()
        for order in problem.orders:
            room.take(order, plan.shares[order.id])
        rest = sequential(problem, [problem.orders[order] for order in sorted(dived.left_over)], room)
        draft = read(layout, Plan(shares={**plan.shares, **rest.shares}))
    if draft.total() >= rule_total:
        return Dived(read(layout, rule), list(range(len(problem.orders))), dived.prices)
    return dived._replace(draft=draft)


def _roll(draft: Draft, prices: Prices, until: float, clock: Callable[[], float]) -> tuple[int, set[int], bool]:
    """Solve batches of orders, pass by pass; return how many, the orders reached, and whether time sufficed."""
    mix = random.Random(1)
    batches, reached, cost = 0, set[int](), draft.total()
    while True:
        for batch in _batches(draft, prices, mix):
            if clock() >= until:
                return batches, reached, False
            if again(draft, batch, prices, until, clock):
                batches += 1
                reached.update(batch)
        before, cost = cost, draft.total()
        if before - cost <= PASS_GAIN_MIN * before:
            return batches, reached, clock() < until


def _batches(draft: Draft, prices: Prices, mix: random.Random) -> Iterator[list[int]]:
    """Yield a pass's batches: orders that pay most above their cheapest way, with some that hold what that would take.

    What all orders together pay above their cheapest ways under the prices is most of what the plan costs above the
    prices' bound; the rest is priced stock that lies idle.
    """
    everyone = range(len(draft.layout.problem.orders))
    if len(everyone) <= BATCH:
        yield list(everyone)
        return
    regrets, ways = _regrets(draft, prices)
    seeds = [order for order, regret in regrets.items() if regret > 0]
    seeds.sort(key=lambda order: -regrets[order] * mix.random())
    holders = _holders(draft)
    items = draft.layout.line_item
    upcoming = iter(seeds)
    for _ in range(min(BATCHES, -(-len(seeds) // SEEDS_MIN))):
        batch: set[int] = set()
        for order in upcoming:
            batch.add(order)
            for sent in ways.get(order, ()):
                those = holders.get((int(items[sent.line]), sent.place), [])
                batch.update(mix.sample(those, min(len(those), HOLDERS)))
            if len(batch) >= BATCH:
                break
        batch.update(mix.sample(everyone, max(0, BATCH - len(batch))))
        yield sorted(batch)


def _regrets(draft: Draft, prices: Prices) -> tuple[dict[int, float], dict[int, Way]]:
    """What each order pays under the prices above its cheapest way out of all the stock, and that way."""
    import numpy as np

    layout = draft.layout
    regrets: dict[int, float] = {}
    ways: dict[int, Way] = {}
    for block in blocks(layout, np.arange(len(layout.problem.orders)), layout.stock):
        answers = answer(layout, block, prices, layout.stock)
        ways.update(by_order(answers))
        for order, least in zip(block.orders.tolist(), answers.cost.tolist(), strict=True):
            way = draft.shares[order]
            paid = sum(sent.units * float(prices.unit[layout.line_item[sent.line], sent.place]) for sent in way)
            paid += sum(float(prices.order[place]) for place in {sent.place for sent in way})
            regrets[order] = draft.cost(order, way) + paid - least
    return regrets, ways


def _holders(draft: Draft) -> dict[tuple[int, int], list[int]]:
    """The orders that have units of each (item, place)."""
    holders: dict[tuple[int, int], list[int]] = defaultdict(list)
    for order, way in draft.shares.items():
        for sent in way:
            holders[int(draft.layout.line_item[sent.line]), sent.place].append(order)
    return holders
