"""Broken variants of the rules of changes: each must make the test that guards it fail, or that proves nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.authority import test_change_types as types
from tests.authority import test_changes as changes
from tests.authority import test_separated as separated
from tests.authority import test_stalemate as stalemate
from tests.board import declared
from tests.catching import noticed
from tests.oversight import test_after_changes as after

from trueup.authority import apply, approve, change_due, changes_state, propose, publish
from trueup.authority import changes as rules
from trueup.authority import decision_rights as register
from trueup.authority import register as register_
from trueup.authority.changes_state import Change
from trueup.core import json
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.oversight import emergencies

Proof = Callable[..., Awaitable[None]]
Break = Callable[[pytest.MonkeyPatch], None]


def approvals_bind_to_the_edits_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(propose, "content_digest", lambda change: hashlib.sha256(json.encode(change.edits)).hexdigest())


def approvals_of_former_contents_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Change, "counted", lambda self: self.approvals)


def the_digest_one_read_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(changes_state.Change, "counted", lambda self: self.approvals)
    patch.setattr(propose, "content_digest", lambda change: "0" * 64)


def everybody_approves_their_own(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(approve, "_own", lambda *_: None)


def everybody_decides(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(approve, "_may_not", lambda *_: None)


def a_moved_base_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(approve, "stale", lambda *_: None)
    patch.setattr(apply, "stale", lambda *_: None)


def documents_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(publish, "differing", lambda *_: [])


def the_quorum_is_one(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(register.Quorum, "of", lambda self, domain: 1)


def votes_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply, "missing", lambda *_: [])


def nothing_stops_an_approved_change(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply, "stopped", lambda *_: None)


def the_window_is_over_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "in_window", lambda *_: False)
    patch.setattr(propose, "in_window", lambda *_: False)


def templates_cover_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(propose, "uncovered", lambda *_: None)


def everybody_declares_emergencies(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(propose, "_no_emergency", lambda *_: None)


def who_is_alone_need_not_sleep_on_it(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(approve, "timedelta", lambda hours: timedelta(0))


def a_self_approval_is_silent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(approve, "_told", lambda *_: [])


def the_small_mode_never_ends(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "small_holds", lambda mode, people: mode == "small")
    patch.setattr(register_, "outgrows", lambda *_: False)


def the_tie_breaker_decides_from_the_start(patch: pytest.MonkeyPatch) -> None:
    honest = register.needs
    patch.setattr(rules, "needs", lambda *asked, **more: honest(*asked, **{**more, "overdue": True}))


def reviews_are_due_at_once(patch: pytest.MonkeyPatch) -> None:
    honest = change_due.unreviewed
    patch.setattr(
        emergencies, "unreviewed", lambda connection, now, hours: honest(connection, now + timedelta(hours=1), hours)
    )


def nobody_is_ever_harmed(patch: pytest.MonkeyPatch) -> None:
    async def harmed_by(*_: Any) -> tuple[str, ...]:
        return ()

    patch.setattr(emergencies, "harmed_by", harmed_by)


def the_inverse_is_what_was_proposed(patch: pytest.MonkeyPatch) -> None:
    honest = rules.plan

    def plan(state: Any, policies: Any, verbs: Any, edits: Any) -> Any:
        found = honest(state, policies, verbs, edits)
        return rules.Plan(found.opened, found.objects, tuple(edits)) if isinstance(found, rules.Plan) else found

    patch.setattr(apply, "plan", plan)


VARIANTS: list[tuple[Break, Proof, dict[str, Any]]] = [
    (approvals_bind_to_the_edits_alone, changes.test_editing_after_approval_voids_it, {}),
    (approvals_of_former_contents_count, changes.test_editing_after_approval_voids_it, {}),
    (approvals_of_former_contents_count, separated.test_unapproved_content_is_never_live, {"seed": 3}),
    (the_digest_one_read_is_not_asked, changes.test_editing_after_approval_voids_it, {}),
    (everybody_approves_their_own, changes.test_nobody_approves_their_own_administrators_included, {}),
    (everybody_approves_their_own, separated.test_an_emergency_by_who_holds_every_role_is_not_approved_by_them, {}),
    (everybody_decides, changes.test_a_rejection_is_a_record_never_a_deletion, {}),
    (a_moved_base_is_not_noticed,
     changes.test_a_moved_base_makes_it_stale_and_planning_anew_starts_approvals_again, {}),
    (documents_are_not_compared, changes.test_nobody_publishes_directly_any_more, {}),
    (the_quorum_is_one, changes.test_a_joint_change_needs_the_quorum_of_both, {}),
    (votes_are_not_counted, changes.test_a_change_is_proposed_approved_by_others_applied_and_rolled_back, {}),
    (nothing_stops_an_approved_change, changes.test_it_takes_effect_when_it_was_scheduled, {}),
    (nothing_stops_an_approved_change,
     types.test_a_blackout_stops_what_it_names_and_tells_the_next_free_moment, {}),
    (the_window_is_over_at_once,
     types.test_in_the_window_templates_narrow_and_changes_have_a_weekly_budget, {}),
    (templates_cover_everything,
     types.test_a_template_loses_its_approval_after_one_use_that_was_rolled_back, {}),
    (everybody_declares_emergencies, types.test_an_emergency_acts_now_and_is_reviewed_by_others, {}),
    (who_is_alone_need_not_sleep_on_it,
     types.test_who_is_alone_approves_their_own_a_day_later_and_never_silently, {}),
    (a_self_approval_is_silent, types.test_who_is_alone_approves_their_own_a_day_later_and_never_silently, {}),
    (the_small_mode_never_ends, types.test_the_small_mode_ends_with_the_fifth_person, {}),
    (the_tie_breaker_decides_from_the_start, stalemate.test_nobody_decides_in_time_and_the_tie_breaker_does, {}),
    (reviews_are_due_at_once, after.test_an_unreviewed_emergency_is_reverted_at_24_hours_and_a_minute, {}),
    (nobody_is_ever_harmed, after.test_it_is_escalated_when_reverting_would_harm_an_order, {}),
    (the_inverse_is_what_was_proposed,
     changes.test_a_change_is_proposed_approved_by_others_applied_and_rolled_back, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "proof", "more"), VARIANTS, ids=[f"{one[0].__name__}-{at}" for at, one in enumerate(VARIANTS)]
)
async def test_a_broken_variant_is_caught(
    broken: Break,
    proof: Proof,
    more: dict[str, Any],
    door: Door,
    url: str,
    clock: TurnedClock,
    monkeypatch: pytest.MonkeyPatch,
):
    broken(monkeypatch)
    if "company" in proof.__code__.co_varnames[: proof.__code__.co_argcount]:
        more = {**more, "company": await declared(door)}
    await noticed(proof, door=door, url=url, clock=clock, **more)
