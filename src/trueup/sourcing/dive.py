"""A draft for all orders of a problem, the surest first.

1. Choose between the ways known for each order, as one linear programme that takes up further ways.
2. Give the orders of which it chose one way most surely that way.
3. Again with the other orders and what is left, until each is served or waits.

An order served in step 2 takes with it what the programme found for all; the others adjust to that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from trueup.sourcing.choice import Choice, Solved, priced
from trueup.sourcing.draft import Draft, Way
from trueup.sourcing.layout import Layout, blocks
from trueup.sourcing.pricing import Prices

ROUNDS_FIRST, ROUNDS_MAX = 4, 2  # of taking up further ways: with all orders, and after
SURE = 0.98  # of a way chosen: its order takes it in any case
SHARE_MIN = 0.12  # of the orders not sure that take their way in one turn; more when time runs short


class Dived(NamedTuple):
    """The draft; the orders that there was no time for; and the prices of the programme of all orders."""

    draft: Draft
    left_over: list[int]
    prices: Prices


def dive(
    layout: Layout, known: Iterable[tuple[int, Way]], prices: Prices, until: float, clock: Callable[[], float]
) -> Dived:
    """Return a draft for all orders, from ways and prices known already."""
    import numpy as np

    ways: dict[int, dict[Way, None]] = defaultdict(dict)
    for order, way in known:
        ways[order][way] = None
    draft, left = Draft(layout), list(range(len(layout.problem.orders)))
    first: Prices | None = None
    while left:
        start = clock()
        choice = Choice(draft, left)
        for order in left:
            for way in ways[order] if clock() < until else ():
                choice.add(order, way)
        those = blocks(layout, np.array(left), draft.left)
        rounds = ROUNDS_MAX if first else ROUNDS_FIRST
        solved = priced(choice, draft, those, prices, until, clock, rounds_max=rounds)
        if solved is None:
            break
        for order, way in choice.ways():
            ways[order][way] = None
        per_order = (clock() - start) / len(left) * ROUNDS_MAX / rounds
        left = _take_surest(draft, choice, solved, per_order / max(until - clock(), 0.001))
        first, prices = first or solved.prices, solved.prices
    return Dived(draft, left, first or prices)


def _take_surest(draft: Draft, choice: Choice, solved: Solved, hurry: float) -> list[int]:
    """Give the orders that are sure their ways, and of the others a share; return those left.

    hurry: what a turn takes per order, as a part of the time left. Turns get shorter with the orders left, so a share
    of hurry times these about comes to the end in time.
    """
    surest = choice.surest(solved.chosen)
    unsure = sum(part < SURE for part, _, _ in surest)
    share = max(SHARE_MIN, hurry * unsure)
    most = len(surest) - unsure + max(1, round(share * unsure))
    taken = 0
    for _, order, way in surest:
        if taken < most and draft.fits(way):
            draft.take(order, way)
            taken += 1
    return [order for order in choice.orders if order not in draft.shares]
