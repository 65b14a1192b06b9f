"""A plan in the making: each order's shares, and what they leave of stock and room; at first built by prices.

Built by prices: the hardest orders first, some at a time, each takes its cheapest way out of what is left; after each
such turn the prices move with what the orders still to come would take too much, or leave.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from trueup.sourcing.bound import moved, usage
from trueup.sourcing.layout import Block, Layout, blocks, kept
from trueup.sourcing.pricing import Answers, Prices, answer
from trueup.sourcing.problem import Plan, Share

if TYPE_CHECKING:
    from trueup.sourcing.layout import Floats, Ints

TURNS = 60  # turns in which all orders are served
TURN_MIN = 20  # orders in a turn, at least
TRIES = 4  # an order's shares were taken by others of its turn so often: it then gets what is left of them
STEP = 0.05  # of a unit's waiting cost: how far a price moves for an excess as large as the stock


class Sent(NamedTuple):
    """Units of a line that a place is to send, by number."""

    line: int
    place: int
    units: int


class Draft:
    """Shares by order number; left[item, place]: units; room[place]: orders it still takes, below zero for extra."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.left: Ints = layout.stock.copy()
        self.room: Floats = layout.room.copy()
        self.shares: dict[int, tuple[Sent, ...]] = {}

    def take(self, order: int, shares: tuple[Sent, ...]) -> None:
        """Give an order without shares these."""
        self.shares[order] = tuple(sorted(shares))
        self._move(shares, -1)

    def release(self, order: int) -> tuple[Sent, ...]:
        """Take an order's shares away, and return them."""
        shares = self.shares.pop(order, ())
        self._move(shares, 1)
        return shares

    def fits(self, shares: Iterable[Sent]) -> bool:
        """Whether what is left suffices for shares."""
        wanted: Counter[tuple[int, int]] = Counter()
        for sent in shares:
            wanted[int(self.layout.line_item[sent.line]), sent.place] += sent.units
        return all(self.left[key] >= units for key, units in wanted.items()) and all(
            self.open(place) for place in {place for _, place in wanted}
        )

    def open(self, place: int) -> bool:
        """Whether a place takes another order, for an extra cost or not."""
        return bool(self.room[place] >= 1 or self.layout.extra[place] < float("inf"))

    def entrance(self, prices: Floats) -> Floats:
        """Return prices of an order at each place, no less than its real cost now: infinite where none is taken."""
        import numpy as np

        return np.where(self.room >= 1, prices, np.maximum(prices, self.layout.extra))

    def cost(self, order: int, shares: tuple[Sent, ...]) -> float:
        """Return what an order costs with shares, but for extra orders of places."""
        layout = self.layout
        used = {sent.place for sent in shares}
        lines = range(layout.first_line[layout.first_part[order]], layout.first_line[layout.first_part[order + 1]])
        cost = sum(float(layout.line_units[line] * layout.wait[line]) for line in lines)
        cost -= sum(sent.units * float(layout.wait[sent.line]) for sent in shares)
        cost += sum(float(layout.fixed[order, place]) for place in used)
        return cost + max(0, len(used) - 1) * layout.split

    def total(self) -> float:
        """Return what all of it costs."""
        beyond = ((-float(room), float(extra)) for room, extra in zip(self.room, self.layout.extra, strict=True))
        over = sum(count * extra for count, extra in beyond if count > 0)
        return over + sum(self.cost(order, shares) for order, shares in self.shares.items())

    def plan(self) -> Plan:
        """Return it as a plan."""
        layout, places = self.layout, self.layout.problem.places
        return Plan(
            shares={
                order.id: tuple(
                    Share(layout.lines[sent.line], places[sent.place].id, sent.units)
                    for sent in self.shares.get(number, ())
                )
                for number, order in enumerate(layout.problem.orders)
            }
        )

    def _move(self, shares: tuple[Sent, ...], sign: int) -> None:
        for sent in shares:
            self.left[self.layout.line_item[sent.line], sent.place] += sign * sent.units
        for place in {sent.place for sent in shares}:
            self.room[place] += sign


def read(layout: Layout, plan: Plan) -> Draft:
    """Return a plan as a draft."""
    draft = Draft(layout)
    places = {place.id: number for number, place in enumerate(layout.problem.places)}
    for number, order in enumerate(layout.problem.orders):
        first, last = (layout.first_line[layout.first_part[number + more]] for more in (0, 1))
        lines = {layout.lines[line]: int(line) for line in range(first, last)}
        shares = plan.shares.get(order.id, ())
        draft.take(number, tuple(Sent(lines[share.line], places[share.place], share.units) for share in shares))
    return draft


def build(
    layout: Layout, those: list[Block], prices: Prices, until: float, clock: Callable[[], float]
) -> tuple[Draft, list[int]]:
    """Return a draft built by prices, and the orders that it did not come to in time."""
    import numpy as np

    draft = Draft(layout)
    orders = range(len(layout.problem.orders))
    sizes = np.diff(layout.first_part)
    hard = (layout.places_max == 1) | layout.whole
    waiting = deque(sorted(orders, key=lambda order: (not hard[order], -sizes[order], order)))
    size = max(TURN_MIN, len(waiting) // TURNS)
    tries: Counter[int] = Counter()
    while waiting and clock() < until:
        prices, those = _reprice(draft, those, prices)
        turn = [waiting.popleft() for _ in range(min(size, len(waiting)))]
        entrance = Prices(prices.unit, draft.entrance(prices.order))
        found: dict[int, tuple[Sent, ...]] = {}
        for block in blocks(layout, np.array(turn), draft.left):
            found.update(by_order(answer(layout, block, entrance, draft.left)))
        again = []
        for order in turn:
            shares = found.get(order, ())
            tries[order] += 1
            if draft.fits(shares):
                draft.take(order, shares)
            elif tries[order] < TRIES:
                again.append(order)
            else:
                draft.take(order, ())
        waiting.extendleft(reversed(again))
    return draft, list(waiting)


def by_order(answers: Answers) -> Iterator[tuple[int, tuple[Sent, ...]]]:
    """Yield each order that is served, with its shares, sorted."""
    columns = (answers.order, answers.line, answers.place, answers.units)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for order, own in groupby(rows, key=itemgetter(0)):
        units: dict[tuple[int, int], int] = {}
        for _, line, place, count in own:
            units[line, place] = units.get((line, place), 0) + count
        yield order, tuple(Sent(line, place, count) for (line, place), count in sorted(units.items()))


def _reprice(draft: Draft, those: list[Block], prices: Prices) -> tuple[Prices, list[Block]]:
    """One step of the prices along what the orders to come would take too much of, or leave; and those orders."""
    import numpy as np

    layout = draft.layout
    to_come = [block for block in (kept(block, draft.shares.keys()) for block in those) if len(block.orders)]
    if not to_come:
        return prices, to_come
    entrance = Prices(prices.unit, draft.entrance(prices.order))
    units, orders = usage(layout, [answer(layout, block, entrance, draft.left) for block in to_come])
    step = STEP * layout.problem.costs.unserved
    limited = np.isfinite(layout.room)
    room = np.where(limited, layout.room, 0.0)
    over = np.where(limited, orders - np.where(limited, draft.room, 0.0), 0.0)
    by = step * (units - draft.left) / (1.0 + layout.stock), step * over / (1.0 + room)
    return moved(layout, prices, *by), to_come
