"""Broken variants of the rules of promise and sourcing: each must be caught by the example of its rule."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from inspect import signature
from typing import Any

import msgspec
import pytest
from tests.catching import caught, is_catch
from tests.conftest import START
from tests.orders import test_channels as channels
from tests.sourcing import test_assign as through
from tests.sourcing import test_route as choosing
from tests.trade import test_found as found

from trueup import house
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import ZERO
from trueup.orders import cancel, place, workflow
from trueup.orders.workflow import Workflow
from trueup.sourcing import allocate, assign, reject
from trueup.sourcing import parts as moving
from trueup.sourcing import read as sourcing
from trueup.sourcing import route as routing
from trueup.sourcing.policy import Costs, Rule
from trueup.sourcing.route import Candidate, Need
from trueup.sourcing.state import Sourcing
from trueup.stock.reserve import spread
from trueup.stock.state import Claim, Stock

Breaking = Callable[[pytest.MonkeyPatch], None]


def the_fullest_location_comes_last(patch: pytest.MonkeyPatch) -> None:
    gives = routing._gives

    def sort_key(candidate: Candidate, needs: Sequence[Need], rule: Rule, costs: Costs) -> tuple[object, ...]:
        return (sum((gives(candidate, one, rule.where) for one in needs), ZERO), candidate.location.code)

    patch.setattr(routing, "_sort_key", sort_key)


def the_ranking_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(routing, "_sort_key", lambda candidate, needs, rule, costs: (candidate.location.code,))


def a_split_goes_before_one_location(patch: pytest.MonkeyPatch) -> None:
    serve = routing._serve
    patch.setattr(
        routing,
        "_serve",
        lambda needs, kept, rule: serve(needs, kept, msgspec.structs.replace(rule, one_first=False)),
    )


def any_number_of_splits(patch: pytest.MonkeyPatch) -> None:
    serve = routing._serve
    patch.setattr(
        routing,
        "_serve",
        lambda needs, kept, rule: serve(needs, kept, msgspec.structs.replace(rule, splits_max=None)),
    )


def nothing_has_to_stay(patch: pytest.MonkeyPatch) -> None:
    gives = routing._gives
    patch.setattr(
        routing,
        "_gives",
        lambda candidate, one, where: gives(candidate, one, msgspec.structs.replace(where, keep=ZERO)),
    )


def capacity_is_ignored(patch: pytest.MonkeyPatch) -> None:
    dropped = routing.dropped
    patch.setattr(
        routing,
        "dropped",
        lambda needs, candidate, where: dropped(needs, candidate, msgspec.structs.replace(where, capacity=False)),
    )


def kits_are_torn_apart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(routing, "need_blocks", lambda needs, *, together: [[one] for one in needs])


def lines_of_one_item_are_served_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        routing,
        "_takes",
        lambda candidate, one, rule, left, taken: min(left[one.line], routing._gives(candidate, one, rule.where)),
    )


def any_location_serves_a_bound_line(patch: pytest.MonkeyPatch) -> None:
    gives, dropped = routing._gives, routing.dropped
    free = msgspec.structs.replace
    patch.setattr(routing, "_gives", lambda candidate, one, where: gives(candidate, free(one, only=None), where))
    patch.setattr(
        routing,
        "dropped",
        lambda needs, candidate, where: dropped([free(one, only=None) for one in needs], candidate, where),
    )


def a_rejection_is_forgotten_by_the_rules(patch: pytest.MonkeyPatch) -> None:
    gives = routing._gives
    patch.setattr(
        routing,
        "_gives",
        lambda candidate, one, where: gives(candidate, msgspec.structs.replace(one, rejected=frozenset()), where),
    )


def every_location_is_asked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(routing, "dropped", lambda needs, candidate, where: None)


def groups_are_mixed(patch: pytest.MonkeyPatch) -> None:
    serve = routing._serve
    patch.setattr(
        routing,
        "_serve",
        lambda needs, kept, rule: serve(needs, kept, msgspec.structs.replace(rule, complete="any")),
    )


CHOOSING: tuple[tuple[Breaking, Callable[[], None]], ...] = (
    (the_fullest_location_comes_last, choosing.test_most_stock_goes_first),
    (the_ranking_is_ignored, choosing.test_a_ranking_goes_before_stock),
    (a_split_goes_before_one_location, choosing.test_one_location_that_has_all_goes_before_a_split),
    (any_number_of_splits, choosing.test_no_more_parts_than_the_rule_allows),
    (nothing_has_to_stay, choosing.test_what_must_stay_stays),
    (capacity_is_ignored, choosing.test_a_location_that_took_its_orders_for_today_takes_no_more),
    (kits_are_torn_apart, choosing.test_the_parts_of_a_kit_leave_from_one_place),
    (lines_of_one_item_are_served_twice, choosing.test_two_lines_of_one_item_share_what_a_location_has),
    (any_location_serves_a_bound_line, choosing.test_a_line_bound_to_a_location_comes_from_nowhere_else),
    (a_rejection_is_forgotten_by_the_rules, choosing.test_a_location_that_rejected_a_line_is_not_asked_for_it_again),
    (every_location_is_asked, choosing.test_a_closed_location_a_supplier_and_one_past_its_cutoff_are_not_asked),
    (groups_are_mixed, choosing.test_a_group_serves_an_order_whole_or_not_at_all),
)


@pytest.mark.parametrize(("breaking", "example"), CHOOSING, ids=[breaking.__name__ for breaking, _ in CHOOSING])
def test_a_broken_choice_is_noticed(monkeypatch: pytest.MonkeyPatch, breaking: Breaking, example: Callable[[], None]):
    example()
    breaking(monkeypatch)
    with pytest.raises(AssertionError) as noticed:
        example()
    assert is_catch(noticed.value)


def a_rejection_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sourcing, "rejected_by", lambda self, order, line: frozenset())


def rejected_goods_stay_on_the_shelf(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reject, "_goods", lambda *_: [])


def an_own_reservation_counts_twice(patch: pytest.MonkeyPatch) -> None:
    once = Stock.available_to

    def twice(self: Stock, holder: str, item: str, location: str, *more: Any) -> Decimal:
        own = [c.quantity for c in self.open_claims(holder) if (c.item, c.location) == (item, location)]
        return once(self, holder, item, location, *more) + sum(own, ZERO)

    patch.setattr(Stock, "available_to", twice)


def an_own_reservation_counts_not_at_all(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stock, "available_to", lambda self, holder, item, location, *more: self.available(item, location))


def a_reservation_stays_beside_the_allocation(patch: pytest.MonkeyPatch) -> None:
    allocation = assign.allocation

    def beside(*arguments: Any) -> Any:
        return msgspec.structs.replace(allocation(*arguments), replaces=())

    patch.setattr(assign, "allocation", beside)
    patch.setattr(allocate, "allocation", beside)


def reservations_elsewhere_stay(patch: pytest.MonkeyPatch) -> None:
    allocation = assign.allocation

    def only_here(*arguments: Any) -> Any:
        event = allocation(*arguments)
        here = {claim.location for claim in event.claims}
        return msgspec.structs.replace(event, replaces=tuple(c for c in event.replaces if c.location in here))

    patch.setattr(assign, "allocation", only_here)


def any_line_takes_what_another_reserved(patch: pytest.MonkeyPatch) -> None:
    of_lines = Stock.available_to
    patch.setattr(Stock, "available_to", lambda self, *asked: of_lines(self, *asked[:4]))


def owed_rises_by_a_request(patch: pytest.MonkeyPatch) -> None:
    allocated = Stock._allocated

    def and_owe(self: Stock, event: Any) -> None:
        allocated(self, event)
        for claim in event.claims:
            self.balance(claim.item, claim.location).cover()

    patch.setattr(Stock, "_allocated", and_owe)
    patch.setattr(Stock, "available_to", lambda self, *_: Decimal(10**6))


def a_backorder_pegs_what_it_reserved_too(patch: pytest.MonkeyPatch) -> None:
    def whole(*arguments: Any, **options: Any) -> Any:
        claims, missing = spread(*arguments, **options)
        return claims, tuple(msgspec.structs.replace(m, quantity=m.demand.quantity) for m in missing)

    patch.setattr(place, "spread", whole)


def a_backorder_reserves_what_is_not_there(patch: pytest.MonkeyPatch) -> None:
    def all_of_it(*arguments: Any, **options: Any) -> Any:
        claims, missing = spread(*arguments, **options)
        more = [Claim(m.demand.line, m.demand.item.id, arguments[2][0], m.quantity) for m in missing]
        return (*claims, *more), missing

    patch.setattr(place, "spread", all_of_it)


def a_backorder_is_not_pegged(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(place, "_pegs", lambda *_: [])


def what_is_short_is_taken_in_silence(patch: pytest.MonkeyPatch) -> None:
    def silent(*arguments: Any, **options: Any) -> Any:
        return spread(*arguments, **{**options, "partly": True})[0], ()

    patch.setattr(place, "spread", silent)


def holds_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assign, "blocking", lambda *_: ())


def hands_ignore_holds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(allocate, "blocking", lambda *_: ())


def parts_stay_when_units_are_cancelled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cancel, "withdrawn", lambda *_: [])


def the_workflow_in_force_leads_every_order(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(workflow, "workflow_of", lambda row, policies: policies.get(Workflow, row.captured.type))


def loads_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assign, "loads_of", lambda *_: ())


def the_earliest_promise_gives_way(patch: pytest.MonkeyPatch) -> None:
    short_at = sourcing.short_at

    async def reversed_(*arguments: Any) -> Any:
        return (await short_at(*arguments))[::-1]

    patch.setattr(sourcing, "short_at", reversed_)


def the_last_who_waits_is_filled_first(patch: pytest.MonkeyPatch) -> None:
    waiting_for = sourcing.waiting_for

    async def reversed_(*arguments: Any) -> Any:
        return (await waiting_for(*arguments))[::-1]

    patch.setattr(sourcing, "waiting_for", reversed_)


def a_part_is_moved_to_where_there_is_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(moving, "_short_there", lambda *_: ())


def what_waits_is_cancelled_and_the_order_waits_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cancel, "_waits", lambda *_: False)


def stock_that_is_gone_is_not_sourced_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sourcing, "short_at", _nobody)


async def _nobody(*_: Any) -> tuple[()]:
    return ()


BROKEN: tuple[tuple[Breaking, Callable[..., Awaitable[None]]], ...] = (
    (a_rejection_is_forgotten, choosing.test_a_rejecting_location_is_not_asked_again_though_it_has_most),
    (rejected_goods_stay_on_the_shelf,
     through.test_a_rejecting_location_is_remembered_and_its_damaged_goods_are_booked),
    (an_own_reservation_counts_twice,
     through.test_raising_an_allocation_beyond_what_is_there_is_refused_and_the_rest_stays),
    (an_own_reservation_counts_not_at_all, through.test_what_waits_is_filled_when_goods_come_first_come_first),
    (a_reservation_stays_beside_the_allocation,
     through.test_releasing_an_allocation_gives_units_back_and_on_hand_stays),
    (reservations_elsewhere_stay, choosing.test_a_reservation_gives_way_to_the_allocation_wherever_that_is),
    (any_line_takes_what_another_reserved,
     found.test_a_line_does_not_take_what_another_one_reserved_that_a_hold_stops),
    (owed_rises_by_a_request,
     through.test_raising_an_allocation_beyond_what_is_there_is_refused_and_the_rest_stays),
    (a_backorder_reserves_what_is_not_there, through.test_what_waits_is_filled_when_goods_come_first_come_first),
    (a_backorder_pegs_what_it_reserved_too,
     channels.test_behaviour_13_backorder_reserves_what_is_there_and_pegs_the_rest),
    (a_backorder_is_not_pegged, channels.test_behaviour_13_backorder_reserves_what_is_there_and_pegs_the_rest),
    (what_is_short_is_taken_in_silence,
     channels.test_behaviour_3_refuse_reserves_nothing_and_names_every_short_line),
    (holds_are_ignored, choosing.test_a_hold_stops_sourcing_until_it_is_released),
    (hands_ignore_holds, found.test_a_hold_stops_allocating_by_hand_too),
    (parts_stay_when_units_are_cancelled, through.test_cancelling_reaches_the_locations_part),
    (the_workflow_in_force_leads_every_order, choosing.test_an_order_walks_by_the_workflow_it_was_captured_under),
    (loads_are_not_counted, choosing.test_a_location_is_given_no_more_orders_than_it_takes_in_a_day),
    (capacity_is_ignored, choosing.test_a_location_is_given_no_more_orders_than_it_takes_in_a_day),
    (the_earliest_promise_gives_way, choosing.test_the_earliest_promise_keeps_what_is_left),
    (stock_that_is_gone_is_not_sourced_again,
     through.test_a_count_that_takes_stock_away_leaves_it_to_the_earliest_and_sources_the_rest_again),
    (the_last_who_waits_is_filled_first, through.test_what_waits_is_filled_when_goods_come_first_come_first),
    (a_part_is_moved_to_where_there_is_nothing, through.test_a_part_is_not_moved_where_it_is_not_to_be_had),
    (what_waits_is_cancelled_and_the_order_waits_on,
     found.test_an_order_is_sourced_when_what_waited_is_cancelled),
)  # fmt: skip


@pytest.mark.parametrize(("breaking", "example"), BROKEN, ids=[breaking.__name__ for breaking, _ in BROKEN])
async def test_a_broken_rule_is_noticed(
    url: str, monkeypatch: pytest.MonkeyPatch, breaking: Breaking, example: Callable[..., Awaitable[None]]
):
    breaking(monkeypatch)
    clock = TurnedClock(START)
    async with Door(url, house.build(), clock=clock) as door:
        known = {"door": door, "url": url, "clock": clock}
        async with caught(url):
            await example(**{name: known[name] for name in signature(example).parameters})
