"""Broken variants of the stock's rules: each is put in the rule's place, and the example of its rule must notice."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.catching import caught
from tests.conftest import START
from tests.stock import test_as_of, test_buckets, test_counting, test_kits, test_lots, test_transfer
from tests.stock.depth import DAY

from trueup import house
from trueup.catalogue.cost import Costs
from trueup.catalogue.state import Catalogue
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.quantity import ZERO
from trueup.stock import as_of, buckets, count, counting, facts, kits, lots, receive, transfer
from trueup.stock.count_state import Count
from trueup.stock.ledger import Ledger
from trueup.stock.lot_state import Lots
from trueup.stock.reasons import Reason
from trueup.stock.state import Balance, Stock, StockMoved

Example = Callable[[Door, str, TurnedClock], Awaitable[None]]
Breaking = Callable[[pytest.MonkeyPatch], None]


def plainly(example: Callable[[Door, str], Awaitable[None]]) -> Example:
    """An example that needs no clock."""
    return lambda door, url, clock: example(door, url)


def netting_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "since", lambda self, item, location, since, lot=None: ZERO)


def movements_of_the_batch_not_netted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "_take", lambda self, event: None)


def a_count_is_a_movement_of_its_posting(patch: pytest.MonkeyPatch) -> None:
    posted = StockMoved
    patch.setattr(count, "StockMoved", lambda **fields: posted(**{**fields, "effective_at": None}))


def the_same_person_recounts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(counting, "_needs_recount", lambda entries: False)


def a_counter_approves(patch: pytest.MonkeyPatch) -> None:
    record = counting._entry
    unknown = (f"act_{number}" for number in itertools.count())

    def anonymous(*arguments: Any) -> Any:
        entry = record(*arguments)
        return msgspec.structs.replace(entry, counted_by=next(unknown)) if hasattr(entry, "counted_by") else entry

    patch.setattr(counting, "_entry", anonymous)


def a_variance_needs_no_approval(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(counting, "_needs_approval", lambda entries: False)


def money_is_no_matter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Costs, "on", lambda self, item, currency, day: None)


def the_counter_is_told(patch: pytest.MonkeyPatch) -> None:
    opening = Count
    patch.setattr(counting, "Count", lambda **fields: opening(**{**fields, "blind": False}))


def a_discrepancy_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transfer._Arrival, "_differs", lambda self, item, what: None)


def what_is_over_is_dropped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transfer._Arrival, "_over", lambda self, item, units, said: None)


def what_never_arrived_stays_in_transit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transfer._Arrival, "close", lambda self: None)


def a_transfer_takes_what_is_promised(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transfer, "_short", lambda state, wanted, source: None)


def an_expired_lot_is_chosen(patch: pytest.MonkeyPatch) -> None:
    choose = lots.choose_lots

    def anyhow(there: Any, quantity: Any, day: Any, *rest: Any, **named: Any) -> Any:
        return choose(there, quantity, DAY.replace(year=2000), *rest, **named)

    patch.setattr(transfer, "choose_lots", anyhow)


def expired_units_are_promised(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Balance, "available", lambda self: self.on_hand - self.reserved - self.allocated - self.safety)


def a_serial_number_is_believed_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lots, "place_of_serial", lambda self, item, number: None)


def the_later_date_of_a_lot_holds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("trueup.stock.lot_state.min", max, raising=False)


def a_request_takes_what_is_promised(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(buckets, "_refusal", lambda *arguments: None)


def a_report_breaks_promises_in_silence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(buckets, "short_case", lambda *arguments: [])


def what_the_book_lacks_is_not_posted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(buckets, "by_lot", lambda state, item, moves: [m for m in moves if m.from_account != "shortage"])


def any_reason_will_do(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(receive, "reason_for", lambda *arguments: Reason())


def unidentified_units_have_no_lot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(receive, "UNIDENTIFIED", "")


def components_stay_when_a_kit_is_made(patch: pytest.MonkeyPatch) -> None:
    spread = facts.by_lot
    patch.setattr(
        kits, "by_lot",
        lambda state, item, moves: [m for m in spread(state, item, moves) if m.to_account != "assembly"],
    )  # fmt: skip


def a_phantom_has_stock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(receive, "stocked_item", lambda state, sku, where: state.of(Catalogue).item(sku))


def the_past_forgets_expiries(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(as_of, "_EXPIRED", "0")


def owed_is_not_raised_by_a_fact(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stock, "_post", _posting_without_cover)


def _posting_without_cover(self: Stock, move: Any, bucket: str, location: str, quantity: Any, at: Any) -> None:
    balance = self._touch(move.item, location)
    setattr(balance, bucket, getattr(balance, bucket) + quantity)


BROKEN: tuple[tuple[Breaking, Example], ...] = (
    (netting_ignored, test_counting.test_what_moves_during_the_count_is_netted),
    (netting_ignored, test_counting.test_a_single_count_honours_when_it_was_made),
    (movements_of_the_batch_not_netted, test_counting.test_a_single_count_honours_when_it_was_made),
    (a_count_is_a_movement_of_its_posting, test_counting.test_a_single_count_honours_when_it_was_made),
    (the_same_person_recounts, plainly(test_counting.test_beyond_the_tolerance_another_recounts_and_a_third_approves)),
    (a_counter_approves, plainly(test_counting.test_beyond_the_tolerance_another_recounts_and_a_third_approves)),
    (a_variance_needs_no_approval, plainly(test_counting.test_a_later_count_voids_the_approval)),
    (money_is_no_matter, plainly(test_counting.test_money_decides_where_units_do_not)),
    (the_counter_is_told, plainly(test_counting.test_a_count_within_the_tolerance_is_posted_when_it_closes)),
    (a_discrepancy_is_lost, plainly(test_transfer.test_what_is_short_at_the_close_is_the_shortage_accounts_and_a_case)),
    (what_is_over_is_dropped, plainly(test_transfer.test_what_is_over_comes_from_the_shortage_account_and_is_a_case)),
    (what_never_arrived_stays_in_transit,
     plainly(test_transfer.test_what_is_short_at_the_close_is_the_shortage_accounts_and_a_case)),
    (a_transfer_takes_what_is_promised,
     plainly(test_transfer.test_it_refuses_more_than_is_available_naming_every_line_and_moves_nothing)),
    (an_expired_lot_is_chosen, plainly(test_transfer.test_lots_go_first_expired_first_and_arrive_with_their_date)),
    (expired_units_are_promised, test_lots.test_expired_units_are_not_promised_before_anybody_swept_them),
    (a_serial_number_is_believed_twice, plainly(test_lots.test_a_serial_number_is_one_unit_at_one_place)),
    (the_later_date_of_a_lot_holds,
     plainly(test_lots.test_a_lot_without_its_date_or_with_two_is_a_case_and_the_earlier_date_holds)),
    (unidentified_units_have_no_lot, plainly(test_lots.test_a_receipt_posts_to_its_lots_and_what_has_none_is_a_case)),
    (a_request_takes_what_is_promised, plainly(test_buckets.test_a_request_may_not_take_what_is_promised_and_names_it)),
    (a_report_breaks_promises_in_silence,
     plainly(test_buckets.test_behaviour_5_what_is_found_damaged_is_a_fact_and_what_it_breaks_is_owed)),
    (what_the_book_lacks_is_not_posted,
     plainly(test_buckets.test_behaviour_5_what_is_found_damaged_is_a_fact_and_what_it_breaks_is_owed)),
    (owed_is_not_raised_by_a_fact,
     plainly(test_buckets.test_behaviour_5_a_count_correction_below_what_is_promised_is_owed)),
    (any_reason_will_do,
     plainly(test_buckets.test_it_refuses_a_reason_that_the_policy_does_not_know_and_posts_nothing)),
    (components_stay_when_a_kit_is_made,
     plainly(test_kits.test_behaviour_14_components_leave_when_a_kit_is_assembled)),
    (a_phantom_has_stock,
     plainly(test_kits.test_behaviour_14_a_phantom_kit_is_not_received_adjusted_counted_moved_or_assembled)),
    (the_past_forgets_expiries, test_as_of.test_every_past_figure_is_what_was_told_then),
)  # fmt: skip


@asynccontextmanager
async def door_on(url: str, clock: TurnedClock) -> AsyncIterator[Door]:
    """A door of a house built after the rule was broken."""
    async with Door(url, house.build(), clock=clock) as opened:
        yield opened


@pytest.mark.parametrize(("breaking", "example"), BROKEN, ids=[breaking.__name__ for breaking, _ in BROKEN])
async def test_a_broken_rule_is_noticed(
    url: str, monkeypatch: pytest.MonkeyPatch, breaking: Breaking, example: Example
):
    clock = TurnedClock(START)
    breaking(monkeypatch)
    async with door_on(url, clock) as door, caught(url):
        await example(door, url, clock)
