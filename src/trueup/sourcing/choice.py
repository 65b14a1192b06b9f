"""One way for each of some orders, at least total cost, within what a draft leaves of stock and room: by HiGHS.

A linear programme: its columns are ways to serve orders, and extra orders of places; its rows are the orders (ways add
up to one), stock and room. Solved as it is, its prices name each order's cheapest further way (`priced`); solved in
whole ways, it says what to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from trueup.sourcing.draft import Draft, Way, by_order
from trueup.sourcing.layout import Block
from trueup.sourcing.pricing import Prices, answer

if TYPE_CHECKING:
    from trueup.sourcing.layout import Floats

GAP = 0.002  # how near to the best that choice has to come, for more orders than
EXACT_ORDERS = 100
ROUGH_ORDERS = 1_000  # a programme of more orders is solved by a first-order method, to
ROUGH = 0.001
GAIN_MIN = 0.001  # of the cost: further ways that gain less are the last


class Solved(NamedTuple):
    """A programme's cost, its prices, and how much of each column is chosen."""

    cost: float
    prices: Prices
    chosen: Floats


class Choice:
    """The programme for some orders that have no shares in the draft: it shows what they can have."""

    def __init__(self, draft: Draft, orders: Sequence[int]) -> None:
        import highspy

        self.orders = tuple(orders)
        self._draft = draft
        self._infinite = float(highspy.kHighsInf)
        self._whole, self._late = highspy.HighsVarType.kInteger, highspy.HighsModelStatus.kTimeLimit
        self._solver = _solver()
        self._order_rows = {order: row for row, order in enumerate(orders)}
        for _ in orders:
            self._solver.addRow(1.0, 1.0, 0, [], [])
        self._rows = len(orders)
        self._stock_rows: dict[tuple[int, int], int] = {}
        self._room_rows: dict[int, int] = {}
        self._extra: dict[int, int] = {}
        self._ways: list[tuple[int, Way] | None] = []
        self._known: dict[tuple[int, Way], int] = {}
        for order in orders:
            self.add(order, ())

    def add(self, order: int, way: Way) -> bool:
        """Take up a way to serve an order, or as much of it as fits into what is left, if that is new."""
        if (order, way) not in self._known and not self._draft.fits(way):
            way = self._draft.cut(order, way)
        if (order, way) in self._known:
            return False
        wanted = self._draft.wants(way)
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

    def solve(self, seconds: float, rough: float = ROUGH) -> Solved | None:
        """Choose, ways in part allowed; of many orders, by a first-order method to `rough`.

        What is only nearly solved serves as well; None: out of time.
        """
        import numpy as np

        solver = self._solver
        if len(self.orders) > ROUGH_ORDERS:
            solver = _solver()
            solver.passModel(self._solver.getLp())
            for name, value in (("solver", "pdlp"), ("run_crossover", "off"), ("kkt_tolerance", rough)):
                solver.setOptionValue(name, value)
        _run(solver, seconds)
        solution = solver.getSolution()
        duals, chosen = np.array(solution.row_dual), np.array(solution.col_value)
        late = solver.getModelStatus() == self._late
        if late or len(duals) < self._rows or len(chosen) < len(self._ways):
            return None
        layout = self._draft.layout
        unit, order = np.zeros(layout.stock.shape), np.zeros(len(layout.room))
        for (item, place), row in self._stock_rows.items():
            unit[item, place] = max(0.0, -duals[row])
        for place, row in self._room_rows.items():
            order[place] = min(max(0.0, -duals[row]), float(layout.extra[place]))
        cost = float(solver.getInfo().objective_function_value)
        return Solved(cost, Prices(unit, order), chosen)

    def choose(self, now: Mapping[int, Way], seconds: float) -> dict[int, Way] | None:
        """Choose one whole way for each order, starting from those now; None when no choice was found in time."""
        import highspy
        import numpy as np

        whole = [column for column, way in enumerate(self._ways) if way is not None]
        kinds = np.array([self._whole] * len(whole))
        self._solver.changeColsIntegrality(len(whole), np.array(whole, dtype=np.int32), kinds)
        self._solver.setOptionValue("mip_rel_gap", 0.0 if len(now) <= EXACT_ORDERS else GAP)
        values = np.zeros(len(self._ways))
        values[[self._known[pair] for pair in now.items()]] = 1.0
        taken = Counter(place for way in now.values() for place in {sent.place for sent in way})
        for place, column in self._extra.items():
            values[column] = max(0.0, taken[place] - max(0.0, float(self._draft.room[place])))
        start = highspy.HighsSolution()
        start.col_value = values.tolist()
        self._solver.setSolution(start)
        _run(self._solver, seconds)
        chosen = np.array(self._solver.getSolution().col_value)
        ways = dict(way for column in np.flatnonzero(chosen > 0.5) if (way := self._ways[column]) is not None)
        return ways if len(ways) == len(now) else None

    def ways(self) -> list[tuple[int, Way]]:
        """Return all (order, way) taken up."""
        return list(self._known)

    def surest(self, chosen: Floats) -> list[tuple[float, int, Way]]:
        """Return (how much of it is chosen, order, way) of the most chosen way of each order, the surest first.

        Ways taken up since that was chosen count as not chosen.
        """
        best: dict[int, tuple[float, Way]] = {}
        for pair, part in zip(self._ways, chosen.tolist(), strict=False):
            if pair is not None and part > best.get(pair[0], (-1.0, ()))[0]:
                best[pair[0]] = part, pair[1]
        return sorted(((part, order, way) for order, (part, way) in best.items()), key=lambda each: (-each[0], each[1]))

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


def priced(
    choice: Choice, draft: Draft, those: list[Block], prices: Prices, until: float, clock: Callable[[], float], *,
    rounds_max: int, gain_min: float = GAIN_MIN, rough: float = ROUGH,
) -> Solved | None:  # fmt: skip
    """Solve the programme, taking up each order's cheapest further way under its prices, until that gains nothing more.

    Return the last one solved, or None when there was no time for the first.
    """
    solved, cost = None, float("inf")
    for _ in range(rounds_max):
        entrance = Prices(prices.unit, draft.entrance(prices.order))
        new = 0
        for block in those:
            answers = answer(draft.layout, block, entrance, draft.left)
            new += sum(choice.add(order, way) for order, way in by_order(answers))
        if solved and not new:
            break
        further = choice.solve(until - clock(), rough) if clock() < until else None
        if further is None:
            break
        gain, cost, prices, solved = cost - further.cost, further.cost, further.prices, further
        if gain < gain_min * abs(cost):
            break
    return solved


def _solver() -> Any:
    import highspy

    kind: Any = highspy.Highs
    solver = kind()
    for name, value in (("output_flag", False), ("threads", 1), ("random_seed", 1)):
        solver.setOptionValue(name, value)
    return solver


def _run(solver: Any, seconds: float) -> None:
    solver.setOptionValue("time_limit", solver.getRunTime() + max(0.01, seconds))
    solver.run()
