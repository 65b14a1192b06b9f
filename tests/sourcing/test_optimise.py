"""The optimiser of brokering runs: plans that can be carried out, never dearer than the rule, above a valid bound."""

import math
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from tests.sourcing.instances import cheapest, crowd, small

from trueup.sourcing.batches import again
from trueup.sourcing.bound import lower_bound
from trueup.sourcing.draft import Draft, Sent, read
from trueup.sourcing.layout import STATES_MAX, blocks, lay_out
from trueup.sourcing.optimise import Result, optimise
from trueup.sourcing.pricing import Prices
from trueup.sourcing.problem import (
    BrokeredLine,
    BrokeredOrder,
    Cost,
    Costs,
    Offer,
    Place,
    Plan,
    Problem,
    Share,
    cost_of,
    faults,
)
from trueup.sourcing.sequential import sequential

SMALL = 200
NORTH, SOUTH = Place("north"), Place("south")
COSTS = Costs(split=300, late_day=150, unserved=2_000)
NEAR_NORTH = {"north": Offer(400), "south": Offer(900)}


def order(*lines: tuple[str, int], id: str = "a", **rules: object) -> BrokeredOrder:
    wanted = tuple(BrokeredLine(str(number), item, units) for number, (item, units) in enumerate(lines))
    return msgspec.convert(
        {"id": id, "lines": wanted, "offers": NEAR_NORTH, "places_max": 2, **rules}, BrokeredOrder, from_attributes=True
    )


def problem(*orders: BrokeredOrder, stock: dict[tuple[str, str], int], places: tuple[Place, ...] = ()) -> Problem:
    return Problem(orders, places or (NORTH, SOUTH), stock, COSTS)


def clock_until(look: int) -> Callable[[], float]:
    """A clock that stands still, and at a certain look says that all the time is over."""
    looks = 0

    def read() -> float:
        nonlocal looks
        looks += 1
        return 0.0 if looks < look else 1_000.0

    return read


def holds(posed: Problem, result: Result) -> None:
    """What is true of every result, however little time there was."""
    assert faults(posed, result.plan) == []
    assert result.total == cost_of(posed, result.plan).total <= result.sequential_total
    assert result.sequential_total == cost_of(posed, sequential(posed)).total
    if result.by == "sequential":
        assert result.plan == sequential(posed)
        assert result.fell_back == tuple(order.id for order in posed.orders)
    else:
        assert bool(result.fell_back) == (result.by == "mixed")


# --- plans and their cost ----------------------------------------------------------------------------------------


def test_a_cost_counts_parcels_splits_late_days_extra_orders_and_what_waits():
    late = {"north": Offer(400, 2), "south": Offer(900)}
    posed = problem(
        order(("lamp", 2), ("shade", 1), offers=late, priority=3),
        order(("lamp", 1), id="b"),
        stock={("lamp", "north"): 2, ("shade", "south"): 1},
        places=(Place("north", 1, 250), SOUTH),
    )
    plan = Plan({"a": (Share("0", "north", 1), Share("1", "south", 1)), "b": (Share("0", "north", 1),)})

    assert faults(posed, plan) == []
    assert cost_of(posed, plan) == Cost(
        shipping=400 + 900 + 400, split=300, lateness=2 * 150 * 3, capacity=250, unserved=2_000 * 3
    )


@pytest.mark.parametrize(
    ("shares", "fault"),
    [
        ([Share("0", "north", 3)], "item lamp at north: 3 sent of 2"),
        ([Share("0", "south", 4)], "order a: line 0: 4 units for 3"),
        ([Share("0", "west", 1)], "order a: may not be served from west"),
        ([Share("0", "north", 0)], "order a: line 0 gets 0 units from north"),
        ([Share("9", "north", 1)], "order a: has no line 9"),
        ([Share("0", "north", 1), Share("0", "south", 1)], "order a: from 2 places, at most 1"),
        ([Share("1", "south", 1)], "order a: kit 1, 2 is not whole"),
        ([Share("1", "north", 1), Share("2", "south", 1)], "order a: kit 1, 2 comes from several places"),
    ],
)
def test_a_fault_is_named(shares: list[Share], fault: str):
    posed = problem(
        order(("lamp", 3), ("shade", 1), ("bulb", 1), places_max=1, kits=(("1", "2"),)),
        stock={(item, place): 2 for item in ("lamp", "shade", "bulb") for place in ("north", "south")}
        | {("lamp", "south"): 9},
    )

    assert fault in faults(posed, Plan({"a": tuple(shares)}))


def test_an_order_in_part_that_goes_whole_a_full_place_and_an_unknown_order_are_faults():
    posed = problem(
        order(("lamp", 2), whole=True), stock={("lamp", "north"): 2}, places=(Place("north", 0, None), SOUTH)
    )

    found = faults(posed, Plan({"a": (Share("0", "north", 1),), "b": ()}))

    assert found == [
        "order b: not in the problem",
        "order a: sent in part, and is to be sent whole",
        "place north: 1 orders for room for 0",
    ]


@pytest.mark.parametrize(
    ("orders", "stock", "mistake"),
    [
        ([order(("lamp", 1)), order(("lamp", 1))], {}, "order a stands in the problem twice"),
        ([order(("lamp", 0))], {}, "order a: wants a line of no units"),
        ([order(("lamp", 1), kits=(("7",),))], {}, "order a: has a kit"),
        ([order(("lamp", 1), places_max=0)], {}, "order a: places_max is at least 1"),
        ([order(("lamp", 1), offers={"moon": Offer(1)})], {}, "order a: has an offer of a place that is not"),
        ([order(("lamp", 1), offers={"north": Offer(-1)})], {}, "order a: has an offer with a negative cost"),
        ([order()], {}, "order a: has no lines"),
        ([], {("lamp", "north"): -1}, "is negative"),
    ],
)
def test_a_problem_with_a_mistake_is_refused(
    orders: list[BrokeredOrder], stock: dict[tuple[str, str], int], mistake: str
):
    with pytest.raises(ValueError, match=mistake):
        problem(*orders, stock=stock)


# --- the sequential rule -----------------------------------------------------------------------------------------


def test_the_rule_takes_the_cheapest_place_that_has_all():
    posed = problem(order(("lamp", 2)), stock={("lamp", "north"): 1, ("lamp", "south"): 2})

    assert sequential(posed).shares["a"] == (Share("0", "south", 2),)


def test_the_rule_splits_from_the_place_with_most_first_and_leaves_what_no_place_has():
    posed = problem(order(("lamp", 6)), stock={("lamp", "north"): 2, ("lamp", "south"): 3})

    assert sequential(posed).shares["a"] == (Share("0", "south", 3), Share("0", "north", 2))


def test_the_rule_keeps_to_the_most_places_and_leaves_an_order_that_goes_whole():
    stock = {("lamp", "north"): 2, ("lamp", "south"): 3}

    assert sequential(problem(order(("lamp", 5), places_max=1), stock=stock)).shares["a"] == (Share("0", "south", 3),)
    assert sequential(problem(order(("lamp", 6), whole=True), stock=stock)).shares["a"] == ()


def test_the_rule_keeps_a_kit_together():
    posed = problem(
        order(("lamp", 1), ("shade", 1), kits=(("0", "1"),)), stock={("lamp", "north"): 1, ("shade", "south"): 1}
    )

    assert sequential(posed).shares["a"] == ()


def test_the_rule_goes_elsewhere_when_a_place_is_full_and_pays_for_an_extra_order_where_it_may():
    first, second = order(("lamp", 1)), order(("lamp", 1), id="b")
    stock = {("lamp", "north"): 2, ("lamp", "south"): 2}

    full = sequential(problem(first, second, stock=stock, places=(Place("north", 1), SOUTH)))
    extra = sequential(problem(first, second, stock=stock, places=(Place("north", 1, 100), SOUTH)))

    assert full.shares["b"] == (Share("0", "south", 1),)
    assert extra.shares["b"] == (Share("0", "north", 1),)


# --- optimising --------------------------------------------------------------------------------------------------


def test_orders_exchange_what_the_rule_gave_to_the_first_come():
    only_north = {"north": Offer(400)}
    posed = problem(
        order(("lamp", 1)),
        order(("lamp", 1), id="b", offers=only_north),
        stock={("lamp", "north"): 1, ("lamp", "south"): 1},
    )

    result = optimise(posed)

    assert result.plan.shares == {"a": (Share("0", "south", 1),), "b": (Share("0", "north", 1),)}
    assert (result.total, result.sequential_total, result.by, result.fell_back) == (1_300, 2_400, "optimised", ())


def test_of_every_small_problem_bound_cheapest_plan_and_result_stand_in_this_sequence():
    equal = 0
    for seed in range(SMALL):
        posed = small(seed)
        least, result = cheapest(posed), optimise(posed)
        holds(posed, result)
        assert lower_bound(posed, rounds_max=60).total <= least <= result.total, f"seed {seed}"
        equal += result.total == least
    assert equal >= 0.97 * SMALL


def test_many_orders_come_near_the_bound_and_are_the_same_again():
    posed = crowd(1, 100)

    result = optimise(posed)

    holds(posed, result)
    assert result.by == "optimised"
    assert result.total < 0.95 * result.sequential_total
    assert lower_bound(posed, rounds_max=200).total >= 0.95 * result.total
    assert optimise(posed).plan == result.plan


def test_whenever_the_time_is_over_a_plan_holds_and_says_who_decided_it():
    posed = crowd(2, 40)
    decided = set()

    for look in range(2, 150, 4):
        result = optimise(posed, clock=clock_until(look))
        holds(posed, result)
        decided.add(result.by)

    assert decided == {"optimised", "mixed", "sequential"}


def test_a_draft_takes_no_more_units_and_no_more_orders_than_are_left():
    places = (Place("north", 1), Place("south", 1, 200))
    posed = problem(
        order(("lamp", 2)),
        order(("lamp", 2), id="b"),
        stock={("lamp", "north"): 3, ("lamp", "south"): 3},
        places=places,
    )
    draft = Draft(lay_out(posed))
    north, south = (Sent(0, 0, 2),), (Sent(0, 1, 2),)

    assert draft.fits(north)
    assert not draft.fits((Sent(0, 0, 4),))
    draft.take(0, (Sent(0, 0, 1), Sent(0, 1, 1)))
    assert draft.fits(south)
    assert not draft.fits(north)
    draft.release(0)
    assert draft.fits(north)


def test_orders_of_a_batch_served_again_exchange_what_they_hold_and_never_for_more():
    posed = crowd(4, 60)
    layout = lay_out(posed)
    draft = read(layout, sequential(posed))
    before = draft.total()
    none = Prices(np.zeros(layout.stock.shape), np.zeros(len(layout.room)))

    assert before == cost_of(posed, sequential(posed)).total
    assert again(draft, range(60), none, math.inf, lambda: 0.0)

    best = draft.total()
    assert best < 0.98 * before
    assert faults(posed, draft.plan()) == []
    assert cost_of(posed, draft.plan()).total == best
    assert again(draft, range(0, 60, 2), none, math.inf, lambda: 0.0)
    assert draft.total() <= best


def test_without_time_the_rule_decides_all():
    posed = crowd(3, 30)

    result = optimise(posed, seconds_max=0.0)

    holds(posed, result)
    assert (result.by, result.batches, len(result.fell_back)) == ("sequential", 0, 30)


def test_a_run_of_no_orders_or_of_no_places_has_its_plan():
    none = Problem((), (NORTH,), {}, COSTS)
    nowhere = Problem((order(("lamp", 2), offers={}),), (), {}, COSTS)

    assert (optimise(none).total, lower_bound(none).total) == (0, 0)
    assert (optimise(nowhere).total, lower_bound(nowhere).total) == (4_000, 4_000)


# --- the bound where not every way is looked at ------------------------------------------------------------------


def test_the_bound_holds_for_an_order_with_more_sets_of_parts_than_are_looked_at():
    lines = [(f"item-{number}", 1) for number in range(9)]
    stock = {(item, ("north", "south")[number % 2]): 1 for number, (item, _) in enumerate(lines)}
    posed = problem(order(*lines), stock=stock)
    shape = blocks(lay_out(posed), lay_out(posed).line_order[:1], lay_out(posed).stock)[0].shape
    assert shape.states > STATES_MAX

    result = optimise(posed)

    assert result.total == 400 + 900 + 300
    assert 1_000 <= lower_bound(posed).total <= result.total


def test_the_bound_holds_for_a_line_of_more_units_than_are_looked_at_one_by_one():
    posed = problem(order(("lamp", 400)), stock={("lamp", "north"): 250, ("lamp", "south"): 150})
    shape = blocks(lay_out(posed), lay_out(posed).line_order[:1], lay_out(posed).stock)[0].shape
    assert shape.coarse

    assert optimise(posed).total == 400 + 900 + 300
    assert 0 < lower_bound(posed).total <= 400 + 900 + 300
