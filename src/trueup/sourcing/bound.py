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
from collections.abc import Callable

import msgspec

from trueup.sourcing.layout import blocks, lay_out
from trueup.sourcing.problem import Problem
from trueup.sourcing.search import search

ROUNDS_MAX = 400


class Bound(msgspec.Struct, frozen=True):
    """No plan costs less than `total` (minor units). rounds: prices tried; seconds: what that took."""

    total: int
    rounds: int
    seconds: float


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
    those = blocks(layout, np.arange(len(problem.orders)), layout.stock)
    found = search(layout, those, rounds_max, start + seconds_max, clock, bound=True)
    return Bound(math.ceil(found.bound), found.rounds, clock() - start)
