"""Every order's cheapest way to be served when a unit of stock, and an order's place in the queue, have their price.

Under prices the orders no longer compete: each has its own small question, which places and which steps of its parts
from each, and those of one shape are answered together in arrays:

1. what each set of steps costs from each place: the parcel, the units at their price or, if that is more, waiting;
2. the cheapest place of each set;
3. the cheapest way to put the whole order together from 1, 2, 3... such sets, each further place costing a split.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate, product
from typing import TYPE_CHECKING, NamedTuple

from trueup.sourcing.layout import STATES_MAX, Block, Layout, Shape

if TYPE_CHECKING:
    from trueup.sourcing.layout import Flags, Floats, Ints


NEVER = 2.0**44  # a cost above any, and still exact in sums


class Prices(NamedTuple):
    """unit[item, place]: of a unit there. order[place]: of an order there."""

    unit: Floats
    order: Floats


class Answers(NamedTuple):
    """A block's answers: cost[order] under the prices; and each (order, line, place) with its units, in order."""

    cost: Floats
    order: Ints
    line: Ints
    place: Ints
    units: Ints


class _States(NamedTuple):
    """All ways to choose steps of the parts of a shape, by number; the last one is all of them.

    digits[state, part]: steps, the first part's counting fastest. whole, left, right: each way to cut a state in two,
    by whole; starts: where the cuts of each state in `cut` begin.
    """

    digits: Ints
    whole: Ints
    left: Ints
    right: Ints
    cut: Ints
    starts: Ints


def answer(layout: Layout, block: Block, prices: Prices, stock: Ints, *, bound: bool = False) -> Answers:
    """Return each order's cheapest way to be served by itself out of a stock.

    The cost is exact where lines come in units as far as that matters. A line that comes whole (an order with more sets
    of steps than `STATES_MAX`) waits for what its place lacks; with `bound` it gets that at the cheapest price of any
    place, without that place's parcel, and a cost is then never above any way that the rules allow.
    """
    import numpy as np

    steps, serves, wait = _steps(layout, block, prices, stock, bound)
    fixed = layout.fixed[block.orders] + prices.order
    if block.shape.states > STATES_MAX:
        cost, picks = _large(layout.split, block.shape, np.stack([own for (own,) in steps], axis=1), fixed, bound)
    else:
        cost, picks = _exact(layout.split, block.shape, steps, fixed)
    served = cost < wait
    shares = _shares(layout, block, stock, serves & served[:, None, None], picks)
    return Answers(np.where(served, cost, wait), *shares)


def _steps(
    layout: Layout, block: Block, prices: Prices, stock: Ints, bound: bool
) -> tuple[list[list[Floats]], Flags, Floats]:
    """What each step of each part costs from each place [order, place]; whether [order, part, place] sends anything, as
    it costs less than waiting; and what waiting costs each order.
    """
    import numpy as np

    count, parts = block.fine.shape
    items, units = layout.line_item[block.lines], layout.line_units[block.lines][:, None]
    price, there, wait = prices.unit[items], stock[items], layout.wait[block.lines][:, None]
    each = np.full_like(wait, np.inf) if block.shape.whole else wait
    lacking = each
    if bound and block.shape.coarse:
        lacking = np.minimum(each, np.maximum(price, _elsewhere(prices, stock)[items]))
    some = np.minimum(units, there)
    with np.errstate(invalid="ignore"):
        partly = some * price + (units - some) * lacking
    lone = layout.lone[block.lines][:, None]
    cost = np.where(there >= units, units * price, np.where(lone & (there > 0), partly, np.inf))
    cost = np.add.reduceat(cost, block.starts, axis=0).reshape(count, parts, -1)
    none = np.add.reduceat((units * wait)[:, 0], block.starts).reshape(count, parts)
    serves = np.isfinite(cost) if block.shape.whole else cost < none[:, :, None]
    cost = np.where(serves, cost, np.inf if block.shape.whole else none[:, :, None])
    found = []
    for part, size in enumerate(block.shape.steps):
        if size == 1:
            found.append([cost[:, part]])
            continue
        rows = block.starts.reshape(count, parts)[:, part]
        own = np.minimum(price[rows], each[rows])
        found.append([np.where(there[rows] >= step, own, each[rows]) for step in range(1, size + 1)])
        serves[:, part] = price[rows] < each[rows]
    return found, serves, none.sum(axis=1)


def _shares(
    layout: Layout, block: Block, stock: Ints, serves: Flags, picks: list[tuple[Ints, Ints]]
) -> tuple[Ints, Ints, Ints, Ints]:
    """Picks as (order, line, place, units), by order."""
    import numpy as np

    count, parts = block.fine.shape
    part = np.repeat(np.arange(count * parts), np.diff(block.starts, append=len(block.lines)))
    item, units = layout.line_item[block.lines], layout.line_units[block.lines]
    fine = block.fine.ravel()[part]
    found = []
    for places, taken in picks:
        place, steps = places[part // parts], taken.ravel()[part]
        sent = np.minimum(np.where(fine, steps, steps * units), stock[item, place])
        some = np.flatnonzero((sent > 0) & serves.reshape(count * parts, -1)[part, place])
        found.append((block.orders[part[some] // parts], block.lines[some], place[some], sent[some]))
    order, line, place, units = (np.concatenate(column) for column in zip(*found, strict=True))
    sequence = np.argsort(order, kind="stable")
    return order[sequence], line[sequence], place[sequence], units[sequence]


def _elsewhere(prices: Prices, stock: Ints) -> Floats:
    """For each item and place the cheapest unit at any other place."""
    import numpy as np

    price = np.where(stock > 0, prices.unit, np.inf)
    if price.shape[1] < 2:
        return np.full_like(price, np.inf)
    rows = np.arange(len(price))
    at = price.argmin(axis=1)
    least = price[rows, at]
    price[rows, at] = np.inf
    found = np.repeat(least[:, None], price.shape[1], axis=1)
    found[rows, at] = price.min(axis=1)
    return found


def _exact(
    split: float, shape: Shape, steps: list[list[Floats]], fixed: Floats
) -> tuple[Floats, list[tuple[Ints, Ints]]]:
    """The least cost of each order served, and its picks: place after place, its number and the steps from it."""
    import numpy as np

    states = _states(shape.steps)
    rows = np.arange(len(fixed))
    sums = fixed[None]
    for part in steps:
        sums = np.concatenate([sums, *(sums + further for further in accumulate(part))])
    at = sums.argmin(axis=2)
    best = np.take_along_axis(sums, at[:, :, None], axis=2)[:, :, 0]
    best[0] = np.inf
    level, chosen = best, []
    for _ in range(1, shape.places):
        if not len(states.whole):
            break
        values = best[states.left] + level[states.right]
        least = np.minimum.reduceat(values, states.starts, axis=0) + split
        better = least < level[states.cut]
        if not better.any():
            break
        pick = _first(values + split == least[np.searchsorted(states.cut, states.whole)], states.starts)
        choice = np.zeros(best.shape, dtype=np.int64)
        choice[states.cut] = np.where(better, states.left[pick], 0)
        level = level.copy()
        level[states.cut] = np.where(better, least, level[states.cut])
        chosen.append(choice)
    left = np.full(len(fixed), len(sums) - 1)
    picks = []
    for choice in reversed(chosen):
        sub = choice[left, rows]
        picks.append((at[sub, rows], states.digits[sub]))
        left = left - sub
    picks.append((at[left, rows], states.digits[left]))
    return level[-1], picks


def _first(flags: Flags, starts: Ints) -> Ints:
    """The row of the first flag of each column in each run of rows."""
    import numpy as np

    rows = np.where(flags, np.arange(len(flags))[:, None], len(flags))
    return np.minimum.reduceat(rows, starts, axis=0)


@lru_cache(maxsize=512)
def _states(steps: tuple[int, ...]) -> _States:
    import numpy as np

    counting = product(*(range(size + 1) for size in reversed(steps)))
    digits = np.array([state[::-1] for state in counting], dtype=np.int64)
    whole, left = [], []
    for state in range(1, len(digits)):
        lowest = int(np.flatnonzero(digits[state])[0])
        subs = np.flatnonzero((digits <= digits[state]).all(axis=1) & (digits[:, lowest] > 0))
        subs = subs[subs != state]
        whole += [state] * len(subs)
        left += subs.tolist()
    wholes, lefts = np.array(whole, dtype=np.int64), np.array(left, dtype=np.int64)
    cut, starts = np.unique(wholes, return_index=True)
    return _States(digits, wholes, lefts, wholes - lefts, cut, starts)


def _large(
    split: float, shape: Shape, costs: Floats, fixed: Floats, bound: bool
) -> tuple[Floats, list[tuple[Ints, Ints]]]:
    """The same for orders with too many sets of parts: place by place, each time the one that helps most.

    With `bound` the cost is what no way is below: one place, or else a split, the two cheapest parcels and each part
    from where it costs least.
    """
    import numpy as np

    costs = np.minimum(costs, NEVER)
    rows, parts = np.arange(len(fixed)), costs.shape[1]
    single = costs.sum(axis=1) + fixed
    first = single.argmin(axis=1)
    cost, now = single[rows, first], costs[rows, :, first]
    owner = np.repeat(first[:, None], parts, axis=1)
    least = cost
    if shape.places > 1 and fixed.shape[1] > 1:
        two = np.partition(fixed, 1, axis=1)[:, :2].sum(axis=1)
        least = np.minimum(cost, two + split + costs.min(axis=2).sum(axis=1))
    for _ in range(1, shape.places):
        total = np.minimum(costs, now[:, :, None]).sum(axis=1) + fixed
        further = total.argmin(axis=1)
        gain = now.sum(axis=1) - total[rows, further] - split
        own = costs[rows, :, further]
        moves = (gain > 0)[:, None] & (own < now)
        if not moves.any():
            break
        cost = cost - np.maximum(gain, 0)
        owner, now = np.where(moves, further[:, None], owner), np.where(moves, own, now)
    cost = least if bound else cost
    each = np.eye(parts, dtype=np.int64)
    picks = [(owner[:, part], np.repeat(each[part][None], len(rows), axis=0)) for part in range(parts)]
    return np.where(cost < NEVER, cost, np.inf), picks
