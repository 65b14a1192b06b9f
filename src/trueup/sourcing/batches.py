"""Some orders of a draft again, together: of the ways to serve each, the choice of least total cost, by HiGHS.

1. Release the orders' shares; what they can have is then what is left.
2. The ways: each order's shares so far, and to wait. Choose between them as a linear programme: one way per order,
   stock and room kept to.
3. Its prices name each order's cheapest further way; take those up and choose again, until there is nothing new.
4. Choose whole ways only, starting from the shares so far; keep the choice if it is cheaper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from trueup.sourcing.draft import Draft, Sent, by_order
from trueup.sourcing.layout import blocks
from trueup.sourcing.pricing import Prices, answer

if TYPE_CHECKING:
    from trueup.sourcing.layout import Floats

ROUNDS_MAX = 12  # of taking up further ways
GAIN_MIN = 0.001  # of the cost: a round that gains less is the last
SECONDS_MAX = 4.0  # for one choice
GAP = 0.002  # how near to the best that choice has to come, for more orders than
EXACT_ORDERS = 100

Way = tuple[Sent, ...]


class Choice:
    """The programme: columns are ways of orders and places' extra orders; rows are orders, stock and room."""

    def __init__(self, draft: Draft, orders: Sequence[int]) -> None:
        import highspy

        self._draft = draft
        solver: Any = highspy.Highs
        self._solver = solver()
        self._infinite = float(highspy.kHighsInf)
        self._whole, self._best = highspy.HighsVarType.kInteger, highspy.HighsModelStatus.kOptimal
        for name, value in (("output_flag", False), ("threads", 1), ("random_seed", 1)):
            self._solver.setOptionValue(name, value)
        self._order_rows = {order: row for row, order in enumerate(orders)}
        for _ in orders:
            self._solver.addRow(1.0, 1.0, 0, [], [])
        self._rows = len(orders)
        self._stock_rows: dict[tuple[int, int], int] = {}
        self._room_rows: dict[int, int] = {}
        self._extra: dict[int, int] = {}
        self._ways: list[tuple[int, Way] | None] = []
        self._known: dict[tuple[int, Way], int] = {}

    def __len__(self) -> int:
        return len(self._ways)

    def add(self, order: int, way: Way) -> bool:
        """Take up a way to serve an order, if it is new and fits into what is left."""
        if (order, way) in self._known or not self._draft.fits(way):
            return False
        wanted: Counter[tuple[int, int]] = Counter()
        for sent in way:
            wanted[int(self._draft.layout.line_item[sent.line]), sent.place] += sent.units
        rows, values = [self._order_rows[order]], [1.0]
        for key, units in wanted.items():
            rows.append(self._stock_row(key))
            values.append(float(units))
        for place in {place for _, place in wanted}:
            if self._draft.layout.room[place] < float("inf"):
                rows.append(self._room_row(place))
                values.append(1.0)
        self._known[order, way] = len(self._ways)
        self._column((order, way), self._draft.cost(order, way), 1.0, rows, values)
        return True

    def solve(self, seconds: float) -> tuple[float, Prices] | None:
        """Choose, ways in part allowed; return the cost and the prices of units and orders, or None, out of time."""
        import numpy as np

        self._run(seconds)
        if self._solver.getModelStatus() != self._best:
            return None
        duals = np.array(self._solver.getSolution().row_dual)
        layout = self._draft.layout
        unit, order = np.zeros(layout.stock.shape), np.zeros(len(layout.room))
        for (item, place), row in self._stock_rows.items():
            unit[item, place] = max(0.0, -duals[row])
        for place, row in self._room_rows.items():
            order[place] = max(0.0, -duals[row])
        return float(self._solver.getInfo().objective_function_value), Prices(unit, order)

    def choose(self, now: dict[int, Way], seconds: float) -> dict[int, Way] | None:
        """Choose one whole way for each order, starting from those now; None when no choice was found in time."""
        import highspy
        import numpy as np

        count = len(self._ways)
        whole = [column for column, way in enumerate(self._ways) if way is not None]
        kinds = np.array([self._whole] * len(whole))
        self._solver.changeColsIntegrality(len(whole), np.array(whole, dtype=np.int32), kinds)
        self._solver.setOptionValue("mip_rel_gap", 0.0 if len(now) <= EXACT_ORDERS else GAP)
        values = np.zeros(count)
        values[[self._known[order, way] for order, way in now.items()]] = 1.0
        taken = Counter(place for way in now.values() for place in {sent.place for sent in way})
        for place, column in self._extra.items():
            values[column] = max(0.0, taken[place] - max(0.0, float(self._draft.room[place])))
        start = highspy.HighsSolution()
        start.col_value = values.tolist()
        self._solver.setSolution(start)
        self._run(seconds)
        chosen = np.array(self._solver.getSolution().col_value)
        ways = dict(way for column in np.flatnonzero(chosen > 0.5) if (way := self._ways[column]) is not None)
        return ways if len(ways) == len(now) else None

    def _run(self, seconds: float) -> None:
        self._solver.setOptionValue("time_limit", self._solver.getRunTime() + max(0.01, seconds))
        self._solver.run()

    def _stock_row(self, key: tuple[int, int]) -> int:
        if key not in self._stock_rows:
            self._stock_rows[key] = self._row(float(self._draft.left[key]))
        return self._stock_rows[key]

    def _room_row(self, place: int) -> int:
        if place not in self._room_rows:
            self._room_rows[place] = row = self._row(max(0.0, float(self._draft.room[place])))
            cost = float(self._draft.layout.extra[place])
            if cost < float("inf"):
                self._extra[place] = len(self._ways)
                self._column(None, cost, self._infinite, [row], [-1.0])
        return self._room_rows[place]

    def _row(self, most: float) -> int:
        self._solver.addRow(-self._infinite, most, 0, [], [])
        self._rows += 1
        return self._rows - 1

    def _column(
        self, way: tuple[int, Way] | None, cost: float, most: float, rows: list[int], values: list[float]
    ) -> None:
        import numpy as np

        self._solver.addCol(cost, 0.0, most, len(rows), np.array(rows, dtype=np.int32), np.array(values))
        self._ways.append(way)


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
        choice.add(order, ())
    those = blocks(draft.layout, np.array(list(now)), draft.left)
    cost = float("inf")
    for _ in range(ROUNDS_MAX):
        entrance: Floats = np.where([draft.open(place) for place in range(len(draft.room))], prices.order, np.inf)
        new = 0
        for block in those:
            answers = answer(draft.layout, block, Prices(prices.unit, entrance), draft.left)
            new += sum(choice.add(order, way) for order, way in by_order(answers))
        if clock() >= until:
            return None
        before, solved = cost, choice.solve(min(SECONDS_MAX, until - clock()))
        if solved is None:
            break
        cost, prices = solved
        if not new or before - cost < GAIN_MIN * abs(cost):
            break
    if clock() >= until:
        return None
    return choice.choose(now, min(SECONDS_MAX, until - clock()))


def _cost(draft: Draft, ways: dict[int, Way]) -> float:
    """What ways cost, extra orders of places included."""
    layout = draft.layout
    cost = sum(draft.cost(order, way) for order, way in ways.items())
    taken = Counter(place for way in ways.values() for place in {sent.place for sent in way})
    for place, count in taken.items():
        over = count - max(0.0, float(draft.room[place]))
        if over > 0:
            cost += over * float(layout.extra[place])
    return cost
