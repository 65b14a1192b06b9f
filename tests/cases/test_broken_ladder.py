"""Broken variants of the rules of cases and ladders: each must make the test that guards it fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest
from tests.cases import test_for_case as rights
from tests.cases import test_ladder as rules
from tests.cases import test_notices as told
from tests.cases.conftest import Mailbox
from tests.catching import noticed

from trueup.authority import for_case
from trueup.cases import act, case, ladder, merge, notices, pause, standing
from trueup.cases import mail as sending
from trueup.cases.case import CaseAcknowledged, CaseCommented
from trueup.cases.state import Cases
from trueup.core import worktime
from trueup.core.calendars import hours_on
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.mail import MailSettings
from trueup.core.verb import Takes

Proof = Callable[..., Awaitable[None]]


def acknowledging_stops_the_clock(patch: pytest.MonkeyPatch) -> None:
    whole = case._changes

    def changes(found: Any, event: Any) -> Any:
        return {"acted_at": event.at} if isinstance(event, CaseAcknowledged) else whole(found, event)

    patch.setattr(case, "_changes", changes)


def a_comment_stops_the_clock(patch: pytest.MonkeyPatch) -> None:
    whole = Cases.takes

    def commented(self: Cases, event: Any) -> None:
        self.cases[event.case] = msgspec.structs.replace(self.cases[event.case], acted_at=event.at)
        self._changed.add(event.case)

    def takes(self: Cases) -> Takes:
        found: Takes = {CaseCommented: lambda event: commented(self, event)}
        return {**whole(self), **found}

    patch.setattr(Cases, "takes", takes)


class Never(dict[str, int]):
    """Says that every case was opened before everything."""

    def get(self, key: str, default: Any = None) -> Any:
        return 0


def what_happened_before_is_an_act(patch: pytest.MonkeyPatch) -> None:
    whole = Cases.__init__

    def made(self: Cases) -> None:
        whole(self)
        self.started = Never()

    patch.setattr(Cases, "__init__", made)


def another_case_is_an_act(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(act, "is_id", lambda *_: False)


def the_owner_pauses(patch: pytest.MonkeyPatch) -> None:
    def somebodys(state: Any, id_: str) -> Any:
        found = act.find_open(state, id_)
        return msgspec.structs.replace(found, assignee="act_somebody") if isinstance(found, case.Case) else found

    patch.setattr(pause, "find_open", somebodys)


def pauses_have_no_budget(patch: pytest.MonkeyPatch) -> None:
    whole = standing.stands
    patch.setattr(pause, "stands", lambda *asked: msgspec.structs.replace(whole(*asked), pause_left_minutes=10**6))


def a_pause_stops_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(standing, "running", lambda found, time, upto: time.elapsed(found.started_at, upto))


def a_pause_moves_no_rung(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(standing, "reaching", lambda found, time, amount: time.after(found.started_at, amount))


def business_time_is_wall_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(standing._Time, "after", lambda self, start, amount: start + amount)


def breaks_are_worked(patch: pytest.MonkeyPatch) -> None:
    whole = hours_on

    def unbroken(day: Any, calendar: Any) -> Any:
        found = whole(day, calendar)
        return found and msgspec.structs.replace(found, breaks=())

    patch.setattr(worktime, "hours_on", unbroken)


def a_ladder_is_read_when_it_is_asked(patch: pytest.MonkeyPatch) -> None:
    whole = standing.documents_of

    def current(found: Any, policies: Any) -> Any:
        return policies.get(ladder.Ladder, found.ladder), whole(found, policies)[1]

    patch.setattr(standing, "documents_of", current)


def a_merge_is_never_refused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(merge, "_no_match", lambda *_: None)


def a_cause_never_comes_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Cases, "recent_for", lambda *_: None)


def a_cause_always_comes_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Cases, "recent_for", lambda self, cause, *_: self._newest(cause))


def a_rung_gives_its_rights_at_once(patch: pytest.MonkeyPatch) -> None:
    def early(state: Any, actor: Any, verb: str) -> Any:
        return next((rung for rung in state.rungs if verb in rung.rights and rung.role in actor.roles), None)

    patch.setattr(for_case, "right_by_rung", early)


def a_rung_gives_its_rights_to_all(patch: pytest.MonkeyPatch) -> None:
    def anybody(state: Any, actor: Any, verb: str) -> Any:
        return next((rung for rung in state.rungs if rung.reached and verb in rung.rights), None)

    patch.setattr(for_case, "right_by_rung", anybody)


def rights_outlive_the_case(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(for_case, "find_open", lambda state, id_: state.of(Cases).cases[id_])


def the_safe_action_comes_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(for_case, "_not_agreed", lambda *_: None)


def notices_say_when_they_were_written(patch: pytest.MonkeyPatch) -> None:
    whole = notices._due

    def late(found: Any, state: Any, now: datetime) -> Any:
        return [msgspec.structs.replace(due, at=now) for due in whole(found, state, now)]

    patch.setattr(notices, "_due", late)


def only_the_last_rung_is_told(patch: pytest.MonkeyPatch) -> None:
    whole = notices._due
    patch.setattr(notices, "_due", lambda *asked: whole(*asked)[-1:])


def what_is_unknown_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    def again(settings: Any, message: Any) -> Any:
        found = sending.send(settings, message)
        return msgspec.structs.replace(found, outcome="later") if found.outcome == "unknown" else found

    patch.setattr(notices, "send", again)


def what_was_not_taken_is_given_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(notices, "TRIES_MAX", 1)


VARIANTS: list[tuple[Callable[[pytest.MonkeyPatch], None], Proof, dict[str, Any]]] = [
    (acknowledging_stops_the_clock,
     rules.test_acknowledging_stops_only_the_response_clock_and_a_comment_stops_none, {}),
    (a_comment_stops_the_clock, rules.test_acknowledging_stops_only_the_response_clock_and_a_comment_stops_none, {}),
    (what_happened_before_is_an_act, rules.test_only_what_happened_after_the_case_was_opened_is_an_act, {}),
    (another_case_is_an_act, rules.test_only_what_happened_after_the_case_was_opened_is_an_act, {}),
    (the_owner_pauses, rules.test_a_pause_is_reasoned_by_somebody_else_within_the_budget_and_ends_by_itself, {}),
    (pauses_have_no_budget, rules.test_a_pause_is_reasoned_by_somebody_else_within_the_budget_and_ends_by_itself, {}),
    (a_pause_stops_nothing, rules.test_a_pause_is_reasoned_by_somebody_else_within_the_budget_and_ends_by_itself, {}),
    (a_pause_moves_no_rung, rules.test_a_pause_is_reasoned_by_somebody_else_within_the_budget_and_ends_by_itself, {}),
    (business_time_is_wall_time,
     rules.test_severity_3_counts_business_hours_with_a_break_a_holiday_and_a_change_of_the_clocks, {}),
    (breaks_are_worked,
     rules.test_severity_3_counts_business_hours_with_a_break_a_holiday_and_a_change_of_the_clocks, {}),
    (a_ladder_is_read_when_it_is_asked, rules.test_a_case_keeps_the_ladder_and_calendar_it_was_opened_under, {}),
    (a_merge_is_never_refused, rules.test_a_merge_gains_no_time, {}),
    (a_cause_never_comes_back,
     rules.test_the_same_cause_within_30_days_opens_the_same_case_again_with_its_history, {}),
    (a_cause_always_comes_back,
     rules.test_the_same_cause_within_30_days_opens_the_same_case_again_with_its_history, {}),
    (a_rung_gives_its_rights_at_once,
     rights.test_a_rung_lets_its_role_do_what_its_own_rights_do_not_from_then_on_and_until_the_case_ends, {}),
    (a_rung_gives_its_rights_to_all,
     rights.test_a_rung_lets_its_role_do_what_its_own_rights_do_not_from_then_on_and_until_the_case_ends, {}),
    (rights_outlive_the_case,
     rights.test_a_rung_lets_its_role_do_what_its_own_rights_do_not_from_then_on_and_until_the_case_ends, {}),
    (the_safe_action_comes_early, rights.test_the_safe_action_executes_itself_at_the_last_rung_once, {}),
    (notices_say_when_they_were_written,
     told.test_a_worker_stopped_for_80_h_sends_exactly_one_notice_per_rung_with_the_true_times, {}),
    (only_the_last_rung_is_told,
     told.test_a_worker_stopped_for_80_h_sends_exactly_one_notice_per_rung_with_the_true_times, {}),
    (what_is_unknown_is_sent_again,
     told.test_an_answer_lost_after_the_message_is_unknown_shown_and_never_sent_again, {}),
    (what_was_not_taken_is_given_up,
     told.test_what_was_certainly_not_taken_is_tried_again_and_what_never_will_be_is_not, {}),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "proof", "more"), VARIANTS, ids=[variant[0].__name__ for variant in VARIANTS])
async def test_a_broken_variant_is_caught(
    broken: Callable[[pytest.MonkeyPatch], None],
    proof: Proof,
    more: dict[str, Any],
    door: Door,
    url: str,
    clock: TurnedClock,
    mail: MailSettings,
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
):
    broken(monkeypatch)
    await noticed(proof, door=door, url=url, clock=clock, mail=mail, mailbox=mailbox, **more)
