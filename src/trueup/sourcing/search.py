"""Prices at which the orders, each served by itself, want about the stock and room there is: found by steps.

At some prices each order has its cheapest way out of all the stock. What all orders want is here more, there less than
there is. A step moves each price along that, weighed by the size of the stock or room, so that it is the relative
excess that counts; directions of earlier steps still count in part. What prices are worth is their bound (`bound`):
steps aim a share above the best so far; when that brings nothing better for a while, they start again from there and
aim lower.
Source: Held, Wolfe and Crowder, Validation of subgradient optimization (1974).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from trueup.sourcing.draft import Way, by_order
from trueup.sourcing.layout import Block, Layout
from trueup.sourcing.pricing import Answers, Prices, answer

if TYPE_CHECKING:
    from trueup.sourcing.layout import Floats

GRAIN = 64.0  # prices are multiples of 1/64
PATIENCE = 10  # rounds without a better bound before the aim comes nearer
WORTH = 0.02  # of the aim: a better bound by less than that does not count against patience
AIM, AIM_MIN = 0.1, 0.00005  # how far above the best bound a step aims, as a share of it: at first, and at last
MEMORY = 0.6  # of its direction each step keeps for the next


class Relaxed(NamedTuple):
    """What prices give: the bound; each order's cheapest way; by how much these exceed stock and room."""

    bound: float
    answers: list[Answers]
    units: Floats
    orders: Floats


class Found(NamedTuple):
    """The best prices found, their bound, and how many were tried."""

    prices: Prices
    bound: float
    rounds: int


def search(
    layout: Layout, those: list[Block], rounds_max: int, until: float, clock: Callable[[], float], *, bound: bool,
    start: Prices | None = None, aim: float = AIM, seen: Callable[[list[tuple[int, Way]]], None] | None = None,
) -> Found:  # fmt: skip
    """Look for the prices with the highest bound, from zero or from `start`; `seen` is shown each round's ways.

    With `bound` off the prices are good ones all the same, and what is returned as their bound may not be one.
    """
    import numpy as np

    weight, weight_orders = 1 / (1.0 + layout.stock), 1 / (1.0 + np.where(np.isfinite(layout.room), layout.room, 0.0))
    still = Prices(np.zeros(layout.stock.shape), np.zeros(len(layout.room)))
    here = start or still
    best, highest, along, since, rounds = here, -math.inf, still, 0, 0
    while rounds < rounds_max and aim >= AIM_MIN and (rounds == 0 or clock() < until):
        rounds, since, relaxed = rounds + 1, since + 1, relax(layout, those, here, bound=bound)
        if seen:
            seen([pair for answers in relaxed.answers for pair in by_order(answers)])
        if relaxed.bound > highest:
            since = since if relaxed.bound < highest + aim * abs(highest) * WORTH else 0
            best, highest = here, relaxed.bound
        if since >= PATIENCE:
            here, along, aim, since = best, still, aim / 2, 0
            continue
        units = np.where((relaxed.units < 0) & (here.unit <= 0), 0.0, relaxed.units)
        orders = np.where((relaxed.orders < 0) & (here.order <= 0), 0.0, relaxed.orders)
        along = Prices(units + MEMORY * along.unit, orders + MEMORY * along.order)
        square = float((along.unit**2 * weight).sum() + (along.order**2 * weight_orders).sum())
        if square == 0:
            break
        step = (highest - relaxed.bound + aim * max(1.0, abs(highest))) / square
        here = _moved(layout, here, along.unit * weight * step, along.order * weight_orders * step)
    return Found(best, highest, rounds)


def relax(layout: Layout, those: list[Block], prices: Prices, *, bound: bool) -> Relaxed:
    """Return what prices give when every order is served by itself out of all the stock."""
    import numpy as np

    answers = [answer(layout, block, prices, layout.stock, bound=bound) for block in those]
    cost = sum(float(found.cost.sum()) for found in answers)
    units, orders = _usage(layout, answers)
    limited = np.isfinite(layout.room)
    room = np.where(limited, layout.room, 0.0)
    cost -= float((prices.unit * layout.stock).sum() + (prices.order * room).sum())
    return Relaxed(cost, answers, units - layout.stock, np.where(limited, orders - room, 0.0))


def _usage(layout: Layout, answers: Sequence[Answers]) -> tuple[Floats, Floats]:
    """The units that answers take of each item at each place, and the orders that they give each place."""
    import numpy as np

    items, places = layout.stock.shape
    order, line, place, sent = (np.concatenate([found[column] for found in answers]) for column in range(1, 5))
    units: Floats = np.bincount(layout.line_item[line] * places + place, sent, items * places).astype(np.float64)
    parcels = np.unique(order * places + place)
    return units.reshape(items, places), np.bincount(parcels % places, minlength=places).astype(np.float64)


def _moved(layout: Layout, prices: Prices, units: Floats, orders: Floats) -> Prices:
    return proper(layout, Prices(prices.unit + units, prices.order + orders))


def proper(layout: Layout, prices: Prices) -> Prices:
    """Return prices that give a bound: none below zero, none of an order above an extra order's cost, all in grains."""
    import numpy as np

    unit = np.where(layout.stock > 0, np.maximum(0.0, prices.unit), 0.0)
    order = np.clip(prices.order, 0.0, layout.extra)
    return Prices(np.round(unit * GRAIN) / GRAIN, np.floor(order * GRAIN) / GRAIN)
