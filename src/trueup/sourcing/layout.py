"""A brokering problem as arrays: orders, parts, lines, items and places by number, and orders of one shape in blocks.

A *part* of an order is what it asks of a place at once: a kit, or a line outside kits. Its *steps* are the pieces it
may come in: one when it comes whole, its units when places may share it. All figures are whole numbers in float64, so
that sums of them are exact.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from trueup.sourcing.problem import BrokeredLine, BrokeredOrder, Problem

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ints = np.ndarray[Any, np.dtype[np.int64]]
    Flags = np.ndarray[Any, np.dtype[np.bool_]]

STATES_MAX = 256  # ways to choose steps of an order's parts that are looked at one by one
CELLS_MAX = 1_000_000  # figures in one array of a block, so that it stays small


class Layout(msgspec.Struct, frozen=True):
    """A problem in arrays.

    lines: the lines' names, those of one part and of one order being neighbours. fixed[order, place]: cost of the
    order's parcel from there, infinite without an offer. first_part[order], first_line[part]: where they begin, and one
    more. lone[line]: outside kits, so it may be split, or served in part. wait[line]: cost of each unit that waits.
    stock[item, place]: units. room[place]: orders it takes, infinite for any number. extra[place]: cost of each
    beyond, infinite when there is none.
    """

    problem: Problem
    lines: list[str]
    fixed: Floats
    places_max: Ints
    whole: Flags
    first_part: Ints
    first_line: Ints
    line_order: Ints
    line_item: Ints
    line_units: Ints
    lone: Flags
    wait: Floats
    stock: Ints
    room: Floats
    extra: Floats

    @property
    def split(self) -> float:
        """The cost of each place of an order after its first."""
        return float(self.problem.costs.split)


class Shape(NamedTuple):
    """What orders of one block have in common: the steps of each part, the most places that can help, all or nothing.

    coarse: a part is taken to come whole that places could share, as there would be too many sets of steps.
    """

    steps: tuple[int, ...]
    places: int
    whole: bool
    coarse: bool

    @property
    def states(self) -> int:
        """How many sets of steps there are."""
        return math.prod(size + 1 for size in self.steps)


class Block(NamedTuple):
    """Orders of one shape, with all lines of their parts [order, part], and where each part's lines begin among these.

    fine[order, part]: whether its steps are its units; else it is taken to come whole from one place.
    """

    shape: Shape
    orders: Ints
    lines: Ints
    starts: Ints
    fine: Flags


def lay_out(problem: Problem) -> Layout:
    """Return a problem as arrays."""
    import numpy as np

    place_of = {place.id: number for number, place in enumerate(problem.places)}
    parts = [_parts(order) for order in problem.orders]
    lines = [line for order in parts for part in order for line in part]
    item_of: dict[str, int] = {}
    for line in lines:
        item_of.setdefault(line.item, len(item_of))
    kit_lines = [set(chain.from_iterable(order.kits)) for order in problem.orders]
    order_of = [number for number, order in enumerate(problem.orders) for _ in order.lines]
    wait = [problem.costs.unserved * problem.orders[order].priority for order in order_of]
    lone = [line.line not in kit_lines[order] for line, order in zip(lines, order_of, strict=True)]
    return Layout(
        problem=problem,
        lines=[line.line for line in lines],
        fixed=_fixed(problem, place_of),
        places_max=np.array([order.places_max for order in problem.orders], dtype=np.int64),
        whole=np.array([order.whole for order in problem.orders], dtype=np.bool_),
        first_part=_firsts([len(order) for order in parts]),
        first_line=_firsts([len(part) for order in parts for part in order]),
        line_order=np.array(order_of, dtype=np.int64),
        line_item=np.array([item_of[line.item] for line in lines], dtype=np.int64),
        line_units=np.array([line.units for line in lines], dtype=np.int64),
        lone=np.array(lone, dtype=np.bool_),
        wait=np.array(wait, dtype=np.float64),
        stock=_stock(problem, item_of, place_of),
        room=np.array([_or_infinite(place.orders_left) for place in problem.places]),
        extra=np.array([_or_infinite(place.extra_order_cost) for place in problem.places]),
    )


def blocks(layout: Layout, orders: Ints, stock: Ints) -> list[Block]:
    """Return orders in blocks of one shape, as far as a line of several units could gain by a second place's stock.

    A line gains nothing where each place has none or all of it: then the cheapest of the places used has all of it.
    """
    import numpy as np

    first, last = layout.first_part[orders], layout.first_part[orders + 1]
    lines = ranges(layout.first_line[first], layout.first_line[last])
    there = stock[layout.line_item[lines]]
    units = layout.line_units[lines]
    offered = np.isfinite(layout.fixed[layout.line_order[lines]])
    short = ((there > 0) & (there < units[:, None]) & offered).any(axis=1)
    steps = np.ones(len(layout.lines), dtype=np.int64)
    steps[lines] = np.where(layout.lone[lines] & short & (layout.places_max[layout.line_order[lines]] > 1), units, 1)
    shaped: dict[Shape, list[tuple[int, list[int]]]] = {}
    for order, start, end in zip(orders.tolist(), first.tolist(), last.tolist(), strict=True):
        shape, parts = _shape(layout, order, range(start, end), steps)
        shaped.setdefault(shape, []).append((order, parts))
    return [block for shape, members in shaped.items() for block in _blocks_of(layout, shape, members, steps)]


def ranges(starts: Ints, ends: Ints) -> Ints:
    """Return the numbers from each start up to its end, one range after the other."""
    import numpy as np

    counts = ends - starts
    return np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())


def _shape(layout: Layout, order: int, parts: range, steps: Ints) -> tuple[Shape, list[int]]:
    """An order's shape, and its parts with the most steps first; too many states: the longest part comes whole."""
    of_part = {part: int(steps[layout.first_line[part]]) for part in parts}
    wanted = sum(of_part.values())
    while math.prod(count + 1 for count in of_part.values()) > STATES_MAX and max(of_part.values()) > 1:
        of_part[max(of_part, key=of_part.__getitem__)] = 1
    sequence = sorted(parts, key=lambda part: (-of_part[part], part))
    counts = tuple(of_part[part] for part in sequence)
    places = min(int(layout.places_max[order]), wanted)
    return Shape(counts, places, bool(layout.whole[order]), sum(counts) < wanted), sequence


def _blocks_of(layout: Layout, shape: Shape, members: list[tuple[int, list[int]]], steps: Ints) -> list[Block]:
    import numpy as np

    most = max(1, CELLS_MAX // (min(STATES_MAX, shape.states) * layout.fixed.shape[1]))
    found = []
    for start in range(0, len(members), most):
        some = members[start : start + most]
        parts = np.array([parts for _, parts in some], dtype=np.int64).ravel()
        begins, ends = layout.first_line[parts], layout.first_line[parts + 1]
        fine = (np.tile(shape.steps, len(some)) > 1).reshape(len(some), -1)
        starts = np.cumsum(ends - begins) - (ends - begins)
        orders = np.array([order for order, _ in some], dtype=np.int64)
        found.append(Block(shape, orders, ranges(begins, ends), starts, fine))
    return found


def _parts(order: BrokeredOrder) -> list[tuple[BrokeredLine, ...]]:
    in_kits = set(chain.from_iterable(order.kits))
    return [*order.groups, *((line,) for line in order.lines if line.line not in in_kits)]


def _fixed(problem: Problem, place_of: dict[str, int]) -> Floats:
    import numpy as np

    fixed = np.full((len(problem.orders), len(problem.places)), np.inf)
    for number, order in enumerate(problem.orders):
        late_day = problem.costs.late_day * order.priority
        where = [place_of[place] for place in order.offers]
        fixed[number, where] = [offer.ship_cost + offer.days_late * late_day for offer in order.offers.values()]
    return fixed


def _stock(problem: Problem, item_of: dict[str, int], place_of: dict[str, int]) -> Ints:
    import numpy as np

    stock = np.zeros((len(item_of), len(place_of)), dtype=np.int64)
    for (item, place), units in problem.stock.items():
        if item in item_of and place in place_of:
            stock[item_of[item], place_of[place]] = units
    return stock


def _firsts(counts: list[int]) -> Ints:
    import numpy as np

    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64)


def _or_infinite(figure: int | None) -> float:
    return math.inf if figure is None else float(figure)
