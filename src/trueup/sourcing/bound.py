"""A lower bound on the cost of every plan of a problem, and the prices that give it (Lagrangian relaxation).

Why it is valid. Take any prices of zero or more on units and on orders of a place, the latter at most what an extra
order costs there. Let each order be served by itself as if it were alone with all the stock, paying the prices; sum up;
subtract what the prices make of all the stock and of all the room. No plan that keeps the rules costs less than that:

- its units stay within the stock, so that what it would pay for units is at most what the prices make of all the stock;
- its orders at a place are at most the room and the extra ones, and it pays for each extra one no less than the price;
- each of its orders, under the prices, pays no less than its own cheapest way. That way is sought among all that the
  rules allow (`pricing.answer` with `bound`), not only among those that some search came by; where not each of them is
  looked at (an order with many lines or units), rules are left out, never added.

So the figure is a bound for any choice of prices; better prices only bring it nearer. Prices are multiples of 1/64 of a
minor unit, so that every sum in float64 is exact, and the bound is rounded up to the whole minor unit, which a cost is.
Source: Geoffrion, Lagrangean relaxation for integer programming (1974); Held, Wolfe and Crowder, Validation of
subgradient optimization (1974).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trueup.sourcing.layout import Block, Layout, blocks, lay_out
from trueup.sourcing.pricing import Answers, Prices, answer
from trueup.sourcing.problem import Problem

if TYPE_CHECKING:
    from trueup.sourcing.layout import Floats

ROUNDS_MAX = 400
GRAIN = 64.0  # prices are multiples of 1/64
PATIENCE = 10  # rounds without a better bound before the aim comes nearer
WORTH = 0.02  # of the aim: a better bound by less than that does not count against patience
AIM, AIM_MIN = 0.1, 0.00005  # how far above the best bound a step aims, as a share of it: at first, and at last


class Bound(msgspec.Struct, frozen=True):
    """No plan costs less than `total` (minor units). rounds: prices tried; seconds: what that took."""

    total: int
    rounds: int
    seconds: float


class Relaxed(NamedTuple):
    """What prices give: the bound; and by how much the orders' own wishes exceed each stock, and each place's room."""

    bound: float
    units: Floats
    orders: Floats


class Found(NamedTuple):
    """The best prices found, their bound, and how many were tried."""

    prices: Prices
    bound: float
    rounds: int


def lower_bound(
    problem: Problem, *, rounds_max: int = ROUNDS_MAX, seconds_max: float = 120.0,
    clock: Callable[[], float] = time.monotonic,
) -> Bound:  # fmt: skip
    """Return a lower bound on the cost of every plan of the problem, the nearest one found in the time."""
    import numpy as np

    start = clock()
    if not problem.orders or not problem.places:
        waiting = sum(line.units * order.priority for order in problem.orders for line in order.lines)
        return Bound(waiting * problem.costs.unserved, 0, clock() - start)
    layout = lay_out(problem)
    all_orders = blocks(layout, np.arange(len(problem.orders)), layout.stock)
    found = search(layout, all_orders, rounds_max, start + seconds_max, clock, bound=True)
    return Bound(math.ceil(found.bound), found.rounds, clock() - start)


def search(
    layout: Layout, those: list[Block], rounds_max: int, until: float, clock: Callable[[], float], *, bound: bool
) -> Found:
    """Look for the prices with the highest bound, by steps along the excess, each to reach an aim above the best yet.

    A step weighs each excess by the size of its stock or room, so that a price moves by the relative excess. With
    `bound` off the prices are good ones all the same, and what is returned as their bound may not be one.
    """
    import numpy as np

    weight, weight_orders = 1 / (1.0 + layout.stock), 1 / (1.0 + np.where(np.isfinite(layout.room), layout.room, 0.0))
    here = Prices(np.zeros(layout.stock.shape), np.zeros(len(layout.room)))
    best, highest, aim, since, rounds = here, -math.inf, AIM, 0, 0
    along = Prices(np.zeros_like(here.unit), np.zeros_like(here.order))
    while rounds < rounds_max and aim >= AIM_MIN and (rounds == 0 or clock() < until):
        rounds, relaxed = rounds + 1, relax(layout, those, here, bound=bound)
        since += 1
        if relaxed.bound > highest:
            since = since if relaxed.bound < highest + aim * abs(highest) * WORTH else 0
            best, highest = here, relaxed.bound
        if since >= PATIENCE:
            here, aim, since = best, aim / 2, 0
            along = Prices(np.zeros_like(here.unit), np.zeros_like(here.order))
            continue
        units = np.where((relaxed.units < 0) & (here.unit <= 0), 0.0, relaxed.units)
        orders = np.where((relaxed.orders < 0) & (here.order <= 0), 0.0, relaxed.orders)
        along = Prices(units + 0.6 * along.unit, orders + 0.6 * along.order)
        square = float((along.unit**2 * weight).sum() + (along.order**2 * weight_orders).sum())
        if square == 0:
            break
        step = (highest - relaxed.bound + aim * max(1.0, abs(highest))) / square
        here = moved(layout, here, along.unit * weight * step, along.order * weight_orders * step)
    return Found(best, highest, rounds)


def relax(layout: Layout, those: list[Block], prices: Prices, *, bound: bool) -> Relaxed:
    """Return what prices give when every order is served by itself out of all the stock."""
    import numpy as np

    answers = [answer(layout, block, prices, layout.stock, bound=bound) for block in those]
    cost = sum(float(found.cost.sum()) for found in answers)
    units, orders = usage(layout, answers)
    limited = np.isfinite(layout.room)
    room = np.where(limited, layout.room, 0.0)
    cost -= float((prices.unit * layout.stock).sum() + (prices.order * room).sum())
    return Relaxed(cost, units - layout.stock, np.where(limited, orders - room, 0.0))


def usage(layout: Layout, answers: Sequence[Answers]) -> tuple[Floats, Floats]:
    """Return the units that answers take of each item at each place, and the orders that they give each place."""
    import numpy as np

    items, places = layout.stock.shape
    order, line, place, sent = (np.concatenate([found[column] for found in answers]) for column in range(1, 5))
    units: Floats = np.bincount(layout.line_item[line] * places + place, sent, items * places).astype(np.float64)
    parcels = np.unique(order * places + place)
    return units.reshape(items, places), np.bincount(parcels % places, minlength=places).astype(np.float64)


def moved(layout: Layout, prices: Prices, units: Floats, orders: Floats) -> Prices:
    """Return prices after a step: none below zero, none of an order above an extra order's cost, all in grains."""
    import numpy as np

    unit = np.where(layout.stock > 0, np.maximum(0.0, prices.unit + units), 0.0)
    order = np.clip(prices.order + orders, 0.0, layout.extra)
    return Prices(np.round(unit * GRAIN) / GRAIN, np.floor(order * GRAIN) / GRAIN)
