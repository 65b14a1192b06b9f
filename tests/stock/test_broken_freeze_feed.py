"""Broken variants of the rules about freezes, feeds and pools: each is caught by the test that guards it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from tests.catching import caught
from tests.stock import test_feed, test_freeze, test_freeze_intents, test_pools

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.stock import feed, freeze, intents
from trueup.stock.feed_state import Feeds
from trueup.stock.freeze_state import Freeze, Freezes
from trueup.stock.ledger import Ledger
from trueup.stock.limits import Frozen, Limits

Breaking = Callable[[pytest.MonkeyPatch], None]
Guarding = Callable[[Door, str, TurnedClock], Awaitable[None]]


def no_exclusive_start(patch: pytest.MonkeyPatch) -> None:
    """The start of a freeze forgets what the batch had loaded and changed before it."""
    patch.setattr(Limits, "write_snapshots", lambda self: [])


def expiry_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """A freeze ends only when somebody thaws it."""
    life = Freeze.life
    patch.setattr(Freeze, "life", lambda self, now: life(self, min(now, self.from_at)))


def scope_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """A freeze of some items stops all of them."""
    patch.setattr(
        Freeze, "stops", lambda self, movement, items, now: self.mode == "hard_stop" and self.life(now) == "frozen"
    )


def cap_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """Under a freeze, everything may be sold."""
    patch.setattr(Frozen, "left", lambda self, balance: None)


def as_of_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """A figure is taken as of now."""
    patch.setattr(Ledger, "since", lambda self, item, location, since, lot=None: Decimal(0))


def share_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """However much a feed changes, it passes."""
    patch.setattr(feed, "_too_much", lambda policy, judged: None)


def older_passes(patch: pytest.MonkeyPatch) -> None:
    """A snapshot older than the last is taken."""
    told = Feeds._take

    def forgetting(self: Feeds, answers: Any) -> None:
        told(self, answers)
        for source in self.sources.values():
            source.as_of = None

    patch.setattr(Feeds, "_take", forgetting)


def promised_units_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """What a figure leaves out is not added."""
    patch.setattr(feed, "feeding", lambda policies, source: feed.Feeding())


def one_bad_row_stops_all(patch: pytest.MonkeyPatch) -> None:
    """Rows behind a bad one are lost."""
    judge = feed.judge

    def stopping(state: Any, told: Any, rows: Any, policy: Any) -> Any:
        good = []
        for number, row in rows:
            good.append((number, row))
            if row.quantity == "?":
                break
        return judge(state, told, good, policy)

    patch.setattr(feed, "judge", stopping)


def a_gap_is_silent(patch: pytest.MonkeyPatch) -> None:
    """Lost deltas are nobody's business."""
    patch.setattr(feed, "_gap", lambda *arguments: [])


def pools_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """Every channel sells everything."""
    patch.setattr(Limits, "available", lambda self, balance, *_: balance.available())


def releases_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    """A pool never gets back what was released."""
    claimed = Limits.claimed
    patch.setattr(Limits, "claimed", lambda self, claim, units: claimed(self, claim, max(units, Decimal(0))))


def intents_are_out_of_order(patch: pytest.MonkeyPatch) -> None:
    """The last that waited is put through first."""
    waiting = intents._waiting

    async def backwards(*arguments: Any) -> Any:
        return list(reversed(await waiting(*arguments)))

    patch.setattr(intents, "_waiting", backwards)


def facts_are_refused(patch: pytest.MonkeyPatch) -> None:
    """What happened is turned away."""
    patch.setattr(freeze, "freezing", lambda policies, site: freeze.Freezing(facts="refuse"))


def the_guard_sleeps(patch: pytest.MonkeyPatch) -> None:
    """A freeze stops nothing."""
    patch.setattr(Freezes, "stopping", lambda self, movement, items, now: [])


CAUGHT: tuple[tuple[Breaking, Guarding], ...] = (
    (
        the_guard_sleeps,
        lambda door, url, clock: test_freeze.test_it_refuses_a_movement_naming_the_freeze_its_end_and_who_may_thaw(
            door, url
        ),
    ),
    (
        no_exclusive_start,
        lambda door, url, clock: (
            test_freeze.test_a_snapshot_holds_what_was_moved_before_it_in_the_same_batch_and_nothing_later(door, url)
        ),
    ),
    (expiry_is_ignored, lambda door, url, clock: test_freeze.test_it_begins_and_ends_by_itself(door, url, clock)),
    (scope_is_ignored, lambda door, url, clock: test_freeze.test_only_what_is_in_scope_is_stopped(door, url)),
    (
        cap_is_ignored,
        lambda door, url, clock: test_freeze.test_orders_are_taken_against_the_frozen_availability(door, url, clock),
    ),
    (
        facts_are_refused,
        lambda door, url, clock: (
            test_freeze.test_reports_wait_by_default_and_are_refused_where_the_policy_says_so(door, url)
        ),
    ),
    (
        intents_are_out_of_order,
        lambda door, url, clock: test_freeze_intents.test_what_waited_is_put_through_in_order_requests_first(
            door, url, clock
        ),
    ),
    (
        as_of_is_ignored,
        lambda door, url, clock: test_feed.test_behaviour_36_movements_after_the_source_s_time_stay_on_top(
            door, url, clock
        ),
    ),
    (older_passes, lambda door, url, clock: test_feed.test_behaviour_36_a_snapshot_older_than_the_last_is_refused(
        door, url
    )),
    (
        share_is_ignored,
        lambda door, url, clock: (
            test_feed.test_behaviour_34_a_feed_that_changes_too_much_is_held_whole_and_released_by_a_person(
                door, url, clock
            )
        ),
    ),
    (
        one_bad_row_stops_all,
        lambda door, url, clock: test_feed.test_behaviour_33_of_a_thousand_rows_999_are_applied(door, url),
    ),
    (
        promised_units_are_forgotten,
        lambda door, url, clock: test_feed.test_a_figure_without_what_is_promised_is_read_so(door, url, clock),
    ),
    (
        a_gap_is_silent,
        lambda door, url, clock: test_feed.test_deltas_are_added_once_each_and_a_gap_is_a_case(door, url),
    ),
    (
        pools_are_ignored,
        lambda door, url, clock: test_pools.test_only_its_channel_sells_what_is_kept_for_it(door, url, clock),
    ),
    (
        releases_are_not_counted,
        lambda door, url, clock: test_pools.test_a_channel_sells_no_more_than_its_cap_and_a_cancellation_gives_back(
            door, url
        ),
    ),
)  # fmt: skip


@pytest.mark.parametrize(("breaking", "guarding"), CAUGHT, ids=[breaking.__name__ for breaking, _ in CAUGHT])
async def test_a_broken_rule_is_caught(
    door: Door, url: str, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch, breaking: Breaking, guarding: Guarding
):
    breaking(monkeypatch)
    async with caught(url):
        await guarding(door, url, clock)
