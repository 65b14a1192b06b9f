"""A plan in the making: each order's shares, by number, and what they leave of stock and room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from trueup.sourcing.layout import Layout
from trueup.sourcing.pricing import Answers
from trueup.sourcing.problem import Plan, Share

if TYPE_CHECKING:
    from trueup.sourcing.layout import Floats, Ints


class Sent(NamedTuple):
    """Units of a line that a place is to send, by number."""

    line: int
    place: int
    units: int


Way = tuple[Sent, ...]  # one order's shares, sorted


class Draft:
    """Shares by order number; left[item, place]: units; room[place]: orders it still takes, below zero for extra."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.left: Ints = layout.stock.copy()
        self.room: Floats = layout.room.copy()
        self.shares: dict[int, Way] = {}
        self._items: list[int] = layout.line_item.tolist()
        self._wait: list[float] = layout.wait.tolist()
        self._none: list[float] = _sums(layout.wait * layout.line_units, layout).tolist()

    def take(self, order: int, shares: Way) -> None:
        """Give an order without shares these."""
        self.shares[order] = tuple(sorted(shares))
        self._move(shares, -1)

    def release(self, order: int) -> Way:
        """Take an order's shares away, and return them."""
        shares = self.shares.pop(order, ())
        self._move(shares, 1)
        return shares

    def wants(self, shares: Way) -> dict[tuple[int, int], int]:
        """Return the units of each (item, place) that shares take."""
        wanted: dict[tuple[int, int], int] = {}
        for line, place, units in shares:
            key = self._items[line], place
            wanted[key] = wanted.get(key, 0) + units
        return wanted

    def fits(self, shares: Way) -> bool:
        """Whether what is left suffices for shares."""
        wanted = self.wants(shares)
        return all(self.left[key] >= units for key, units in wanted.items()) and all(
            self.open(place) for _, place in wanted
        )

    def cut(self, order: int, shares: Way) -> Way:
        """Return what of shares fits, where lines of one order want the same units: kits first, then line by line."""
        if self.layout.whole[order]:
            return ()
        kits = tuple(sent for sent in shares if not self.layout.lone[sent.line])
        found = list(kits) if self.fits(kits) else []
        wanted = self.wants(tuple(found))
        for sent in (sent for sent in shares if self.layout.lone[sent.line] and self.open(sent.place)):
            key = self._items[sent.line], sent.place
            units = min(sent.units, int(self.left[key]) - wanted.get(key, 0))
            if units > 0:
                found.append(sent._replace(units=units))
                wanted[key] = wanted.get(key, 0) + units
        return tuple(sorted(found))

    def open(self, place: int) -> bool:
        """Whether a place takes another order, for an extra cost or not."""
        return bool(self.room[place] >= 1 or self.layout.extra[place] < float("inf"))

    def entrance(self, prices: Floats) -> Floats:
        """Return prices of an order at each place, no less than its real cost now: infinite where none is taken."""
        import numpy as np

        return np.where(self.room >= 1, prices, np.maximum(prices, self.layout.extra))

    def cost(self, order: int, shares: Way) -> float:
        """Return what an order costs with shares, but for extra orders of places."""
        used = {place for _, place, _ in shares}
        cost = self._none[order] - sum(units * self._wait[line] for line, _, units in shares)
        cost += sum(self.layout.fixed[order, place] for place in used)
        return float(cost) + max(0, len(used) - 1) * self.layout.split

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

    def _move(self, shares: Way, sign: int) -> None:
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


def by_order(answers: Answers) -> Iterator[tuple[int, Way]]:
    """Yield each order that is served, with its shares."""
    import numpy as np

    if not len(answers.order):
        return
    sequence = np.lexsort((answers.place, answers.line, answers.order))
    order, line, place, units = (column[sequence] for column in answers[1:])
    same = (np.diff(line) == 0) & (np.diff(place) == 0)
    firsts = np.flatnonzero(np.concatenate(([True], ~same)))
    sums = np.add.reduceat(units, firsts)
    rows = list(map(Sent._make, zip(line[firsts].tolist(), place[firsts].tolist(), sums.tolist(), strict=True)))
    orders = order[firsts]
    starts = np.flatnonzero(np.diff(orders, prepend=-1))
    ends = np.append(starts[1:], len(orders))
    for number, start, end in zip(orders[starts].tolist(), starts.tolist(), ends.tolist(), strict=True):
        yield number, tuple(rows[start:end])


def _sums(figures: Floats, layout: Layout) -> Floats:
    """A figure per line, as sums per order."""
    import numpy as np

    return np.bincount(layout.line_order, figures, len(layout.problem.orders)).astype(np.float64)
