"""Small brokering problems drawn at random, and their cheapest plans by looking at every one."""

import random
from collections.abc import Iterator
from functools import reduce
from itertools import product

from trueup.sourcing.problem import (
    BrokeredLine,
    BrokeredOrder,
    Costs,
    Offer,
    Place,
    Plan,
    Problem,
    Share,
    cost_of,
    faults,
)

PLACES = ("north", "south", "west")


def small(seed: int) -> Problem:
    """Return a problem of two or three orders that compete for a few units; every rule comes up in some of them."""
    draw = random.Random(seed)
    places = PLACES[: draw.randint(2, 3)]
    items = ("lamp", "shade")[: draw.randint(1, 2)]
    return Problem(
        orders=tuple(_order(draw, number, places, items) for number in range(draw.randint(2, 3))),
        places=tuple(_place(draw, name) for name in places),
        stock={(item, place): draw.choice((0, 1, 1, 2, 3)) for item in items for place in places},
        costs=Costs(split=draw.choice((0, 100, 300)), late_day=150, unserved=draw.choice((300, 1_000, 2_000))),
    )


def crowd(seed: int, orders: int) -> Problem:
    """Return a problem of many orders for scarce stock at six places, two of them small, two more at a cost."""
    draw = random.Random(seed)
    places = tuple(f"place-{number}" for number in range(6))
    items = tuple(f"item-{number}" for number in range(orders // 8))
    return Problem(
        orders=tuple(_order(draw, number, places, items, lines_max=4) for number in range(orders)),
        places=tuple(
            Place(name, *((orders // 10, None), (orders // 6, 200), (None, None))[number % 3])
            for number, name in enumerate(places)
        ),
        stock={(item, place): draw.choice((0, 1, 3, 5)) for item in items for place in places},
        costs=Costs(split=300, late_day=150, unserved=2_000),
    )


def _order(
    draw: random.Random, number: int, places: tuple[str, ...], items: tuple[str, ...], lines_max: int = 2
) -> BrokeredOrder:
    count = draw.randint(1, lines_max)
    offered = draw.sample(places, draw.randint(1, len(places)))
    return BrokeredOrder(
        id=f"order-{number}",
        lines=tuple(BrokeredLine(str(line), draw.choice(items), draw.randint(1, 3)) for line in range(count)),
        offers={place: Offer(draw.choice((400, 600, 900, 1_500)), draw.choice((0, 0, 2))) for place in offered},
        places_max=draw.randint(1, 3),
        kits=(("0", "1"),) if count > 1 and draw.random() < 0.3 else (),
        whole=draw.random() < 0.2,
        priority=draw.choice((1, 1, 2)),
    )


def _place(draw: random.Random, name: str) -> Place:
    return Place(name, draw.choice((None, 0, 1, 1, 2)), draw.choice((None, 250)))


def cheapest(problem: Problem) -> int:
    """Return the cost of the cheapest plan there is: of every choice of ways for the orders, those without faults."""
    choices = [list(ways(problem, order)) for order in problem.orders]
    plans = (
        Plan(shares={order.id: way for order, way in zip(problem.orders, chosen, strict=True)})
        for chosen in _compatible(problem, choices)
    )
    return min(cost_of(problem, plan).total for plan in plans if not faults(problem, plan))


def ways(problem: Problem, order: BrokeredOrder) -> Iterator[tuple[Share, ...]]:
    """Yield every way to serve an order by itself."""
    alone = Problem((order,), problem.places, problem.stock, problem.costs)
    for parts in product(*(_line_ways(problem, order, line) for line in order.lines)):
        way = tuple(share for part in parts for share in part)
        if not faults(alone, Plan(shares={order.id: way})):
            yield way


def _line_ways(problem: Problem, order: BrokeredOrder, line: BrokeredLine) -> list[tuple[Share, ...]]:
    most = [min(line.units, problem.stock.get((line.item, place), 0)) for place in order.offers]
    return [
        tuple(Share(line.line, place, count) for place, count in zip(order.offers, units, strict=True) if count)
        for units in product(*(range(count + 1) for count in most))
        if sum(units) <= line.units
    ]


def _compatible(problem: Problem, choices: list[list[tuple[Share, ...]]]) -> list[tuple[tuple[Share, ...], ...]]:
    """Every choice of one way per order that stays within the stock, grown order by order."""

    def within(chosen: tuple[tuple[Share, ...], ...]) -> bool:
        sent: dict[tuple[str, str], int] = {}
        for order, way in zip(problem.orders, chosen, strict=False):
            items = {line.line: line.item for line in order.lines}
            for share in way:
                key = items[share.line], share.place
                sent[key] = sent.get(key, 0) + share.units
        return all(units <= problem.stock[key] for key, units in sent.items())

    return reduce(
        lambda grown, further: [(*chosen, way) for chosen in grown for way in further if within((*chosen, way))],
        choices,
        [()],
    )
