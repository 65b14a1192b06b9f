"""Broken variants of the rules of breaches: each must make the test that guards it fail, else that proves nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.catalogue import test_breach as breaches
from tests.catalogue import test_containment_kinds as kinds
from tests.catching import noticed

from trueup import storyline
from trueup.authority.overrides_state import Override, OverrideGranted
from trueup.cases.case import CaseActed, CaseCommented
from trueup.catalogue import breach, breach_state, contract, quarantine
from trueup.catalogue.breach_state import Breach, Breaches, RuleFired
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.verb import Takes
from trueup.sourcing import allocate, assign, lent, parts, ready
from trueup.stock import reserve

Proof = Callable[..., Awaitable[None]]
_bites, _takes = breach_state.bites, Breaches.takes


def _bites_as(patch: pytest.MonkeyPatch, rule: Callable[[Breach, datetime], bool]) -> None:
    for module in (breach_state, quarantine):
        patch.setattr(module, "bites", rule)


def it_bites_only_once_a_worker_told(patch: pytest.MonkeyPatch) -> None:
    _bites_as(patch, lambda found, now: found.told_at is not None and _bites(found, now))


def it_bites_a_minute_early(patch: pytest.MonkeyPatch) -> None:
    _bites_as(patch, lambda found, now: _bites(found, now + timedelta(minutes=1)))


def a_comment_counts_as_an_act(patch: pytest.MonkeyPatch) -> None:
    def acted(self: Breaches, event: CaseCommented) -> None:
        self._acted(CaseActed(case=event.case, effect="", note=event.text, at=event.at))

    def takes(self: Breaches) -> Takes:
        found: Takes = {**_takes(self)}
        found[CaseCommented] = lambda event: acted(self, event)
        return found

    patch.setattr(Breaches, "takes", takes)


def an_act_does_not_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Breaches, "_acted", lambda self, event: None)


def a_late_act_counts(patch: pytest.MonkeyPatch) -> None:
    _bites_as(patch, lambda found, now: found.initiated_at is None and _bites(found, now))


def a_case_closes_while_the_rule_fails(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Breaches, "want_case", lambda self, case: None)


def what_passes_stays_contained(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(breach, "_end", lambda *_: [])


def a_containment_is_lifted_for_ever(patch: pytest.MonkeyPatch) -> None:
    life = Override.life
    patch.setattr(Override, "life", lambda self, now: "active" if (is_ := life(self, now)) == "expired" else is_)


def what_is_lent_is_given_unsaid(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lent, "_given", lambda decision: ())


def what_is_lent_is_not_sourced_by_itself(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(storyline.STORY, OverrideGranted.name, ())


def by_hand_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(allocate, "kept_back", lambda *_: {})


def moving_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parts, "kept_back", lambda *_: {})


def the_whole_order_waits(patch: pytest.MonkeyPatch) -> None:
    def whole(state: Any, row: Any, lines: Any, context: Any) -> Any:
        found = ready.kept_back(state, row, lines, context)
        return dict.fromkeys(lines, next(iter(found.values()))) if found else found

    patch.setattr(assign, "kept_back", whole)


def the_clock_runs_from_the_first_breach(patch: pytest.MonkeyPatch) -> None:
    fire = breach._fire

    def backdated(*given: Any) -> Any:
        *events, fired = fire(*given)
        assert isinstance(fired, RuleFired)
        old = tuple(msgspec.structs.replace(b, due_at=b.since + timedelta(hours=1)) for b in fired.breaches)
        return [*events, msgspec.structs.replace(fired, breaches=old)]

    patch.setattr(breach, "_fire", backdated)


def who_picks_up_waits_too(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(quarantine, "_ANYWHERE", quarantine._SENT)


def parcels_go_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(quarantine, "_SENT", quarantine._ANYWHERE)


def the_rules_choose_a_full_location(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assign, "closed", lambda *_: {})


def a_cart_is_reserved_at_a_full_location(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reserve, "closed", lambda *_: {})


def goods_are_moved_to_a_full_location(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parts, "closed", lambda *_: {})


def any_containment_fits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(contract, "_fits", lambda *_: True)


VARIANTS: list[tuple[Callable[[pytest.MonkeyPatch], None], Proof]] = [
    (it_bites_only_once_a_worker_told, breaches.test_containment_at_24_h),
    (it_bites_a_minute_early, breaches.test_containment_at_24_h),
    (a_comment_counts_as_an_act, breaches.test_a_comment_does_not_stop_the_breach_clock),
    (an_act_does_not_count, breaches.test_an_act_with_an_effect_stops_it),
    (a_late_act_counts, breaches.test_an_act_after_24_h_is_too_late_for_the_containment),
    (a_case_closes_while_the_rule_fails,
     breaches.test_it_is_lifted_by_itself_when_the_same_rule_passes_on_the_same_key),
    (what_passes_stays_contained, breaches.test_it_is_lifted_by_itself_when_the_same_rule_passes_on_the_same_key),
    (a_containment_is_lifted_for_ever, breaches.test_a_containment_can_be_lifted_for_a_while_and_holds_again),
    (by_hand_is_not_asked, breaches.test_a_contained_item_is_allocated_by_no_way),
    (moving_is_not_asked, breaches.test_a_contained_item_is_allocated_by_no_way),
    (the_whole_order_waits, breaches.test_other_lines_of_the_order_do_not_wait),
    (what_is_lent_is_given_unsaid, kinds.test_what_is_not_for_parcels_is_sent_by_no_way_and_still_picked_up),
    (what_is_lent_is_not_sourced_by_itself, breaches.test_a_containment_can_be_lifted_for_a_while_and_holds_again),
    (who_picks_up_waits_too, kinds.test_what_is_not_for_parcels_is_sent_by_no_way_and_still_picked_up),
    (parcels_go_on, kinds.test_what_is_not_for_parcels_is_sent_by_no_way_and_still_picked_up),
    (the_rules_choose_a_full_location,
     kinds.test_a_location_in_quarantine_gets_nothing_more_by_any_way_and_keeps_what_it_has),
    (a_cart_is_reserved_at_a_full_location,
     kinds.test_a_location_in_quarantine_gets_nothing_more_by_any_way_and_keeps_what_it_has),
    (goods_are_moved_to_a_full_location,
     kinds.test_a_location_in_quarantine_gets_nothing_more_by_any_way_and_keeps_what_it_has),
    (any_containment_fits, breaches.test_a_containment_is_for_the_entity_it_is_about),
    (the_clock_runs_from_the_first_breach, breaches.test_a_breach_recurs_as_a_breach_of_its_own),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "proof"), VARIANTS, ids=[variant[0].__name__ for variant in VARIANTS])
async def test_a_broken_variant_is_caught(
    broken: Callable[[pytest.MonkeyPatch], None],
    proof: Proof,
    door: Door,
    url: str,
    clock: TurnedClock,
    monkeypatch: pytest.MonkeyPatch,
):
    broken(monkeypatch)
    await noticed(proof, door=door, url=url, clock=clock)
