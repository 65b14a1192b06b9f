"""Some orders of a draft again, together, so that they can exchange what they hold.

1. Release the orders' shares; what they can have is then what is left.
2. Choose between the ways to serve each, those now among them, as a linear programme that takes up further ways.
3. Choose whole ways only, starting from those now; keep the choice if it is cheaper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from trueup.sourcing.choice import Choice, priced
from trueup.sourcing.draft import Draft, Way
from trueup.sourcing.layout import blocks
from trueup.sourcing.pricing import Prices

ROUNDS_MAX = 12  # of taking up further ways
SECONDS_MAX = 4.0  # for one choice


def again(draft: Draft, orders: Sequence[int], prices: Prices, until: float, clock: Callable[[], float]) -> bool:
    """Serve some orders of a draft again, together; return whether it came to a choice in time. Never for more cost."""
    now = {order: draft.release(order) for order in orders}
    chosen = _chosen(draft, now, prices, until, clock)
    if chosen is not None and _cost(draft, chosen) >= _cost(draft, now):
        chosen = now
    for order, way in (chosen or now).items():
        draft.take(order, way)
    return chosen is not None


def _chosen(
    draft: Draft, now: dict[int, Way], prices: Prices, until: float, clock: Callable[[], float]
) -> dict[int, Way] | None:
    import numpy as np

    choice = Choice(draft, list(now))
    for order, way in now.items():
        choice.add(order, way)
    those = blocks(draft.layout, np.array(list(now)), draft.left)
    priced(choice, draft, those, prices, min(until, clock() + SECONDS_MAX), clock, rounds_max=ROUNDS_MAX)
    seconds = min(SECONDS_MAX, until - clock())
    return choice.choose(now, seconds) if seconds > 0 else None


def _cost(draft: Draft, ways: Mapping[int, Way]) -> float:
    """What ways cost, extra orders of places included."""
    cost = sum(draft.cost(order, way) for order, way in ways.items())
    taken = Counter(place for way in ways.values() for place in {sent.place for sent in way})
    for place, count in taken.items():
        over = count - max(0.0, float(draft.room[place]))
        if over > 0:
            cost += over * float(draft.layout.extra[place])
    return cost
