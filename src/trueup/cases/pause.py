"""Let a case's clock rest for a reason and a time, or put the case out of the usual list until it is worse."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from trueup.cases.act import find_open
from trueup.cases.case import CasePaused, CaseSnoozed, Pause
from trueup.cases.standing import documents_of, first_rung_at, stands
from trueup.cases.state import Cases
from trueup.core.errors import Refusal
from trueup.core.money import Amount
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb

SNOOZED_DAYS_MAX = 90
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class PauseCase(Command, frozen=True, kw_only=True):
    """Let its clock rest. minutes: how long, from now, at most what is left of the case's budget. reason: why."""

    case: str
    minutes: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    reason: Reason


class SnoozeCase(Command, frozen=True, kw_only=True):
    """Put it out of the usual list until it is worse; its clock runs on.

    until: shown again from then on. more_subjects: shown once it concerns so many more. more_per_hour: shown once it
    costs so much more per hour. Whichever comes first; at least one is named.
    """

    case: str
    reason: Reason
    until: datetime | None = None
    more_subjects: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    more_per_hour: Amount | None = None


def pause_case(state: State, command: PauseCase, context: Context) -> Decision:
    """Let the clock rest for a time; it goes on by itself.

    Refuses a case that is nobody's, a pause by the one whose it is, one on top of another, one after an act has stopped
    the clock, and more than the ladder's budget for one case leaves.
    """
    case = find_open(state, command.case)
    if isinstance(case, Refusal):
        return case
    now = context.now
    standing = stands(case, context.policies, now)
    if standing.clock != "runs":
        return Refusal("cases.clock_rests", "The case's clock does not run.",
                       "A pause is for a clock that runs.", "case", case.id)  # fmt: skip
    if case.assignee is None:
        return Refusal("cases.nobodys", "A case that is nobody's is not paused.",
                       "Assign it to somebody; then somebody else can pause it.", "case", case.id)  # fmt: skip
    if case.assignee == context.actor.id:
        return Refusal("cases.own_pause", "Who owns a case does not pause it.",
                       "Ask somebody else who may pause cases, with your reason.", "actor",
                       context.actor.id)  # fmt: skip
    if command.minutes > standing.pause_left_minutes:
        return Refusal("cases.pause_budget",
                       f"{standing.pause_left_minutes} minutes of this case's budget for pauses are left.",
                       "Pause it for no longer than that; the ladder's `pause_hours` set the budget.",
                       "minutes", str(command.minutes))  # fmt: skip
    until = now + timedelta(minutes=command.minutes)
    rested = msgspec.structs.replace(case, pauses=(*case.pauses, Pause(now, until, command.reason, context.actor.id)))
    due = max(case.due_at, first_rung_at(rested, *documents_of(case, context.policies)))
    event = CasePaused(case=case.id, until=until, reason=command.reason, by=context.actor.id, due_at=due, at=now)
    return Accepted([event], case.id, {"case": case.id, "until": until.isoformat(), "due_at": due.isoformat()})


def snooze_case(state: State, command: SnoozeCase, context: Context) -> Decision:
    """Put the case out of the usual list until a date, or until it concerns or costs so much more.

    Refuses a closed case, one that would never show again, a date that has passed or is further than SNOOZED_DAYS_MAX
    days, and a price that grows by nothing.
    """
    case = find_open(state, command.case)
    if isinstance(case, Refusal):
        return case
    now = context.now
    if command.until is None and command.more_subjects is None and command.more_per_hour is None:
        return Refusal("cases.snooze_for_ever", "It would never show again.",
                       "Say until when, or by how much it must get worse.", "until")  # fmt: skip
    if command.until is not None and not now < command.until <= now + timedelta(days=SNOOZED_DAYS_MAX):
        return Refusal("cases.snooze_until", f"A snooze ends within {SNOOZED_DAYS_MAX} days.",
                       "Choose a date that is to come.", "until", command.until.isoformat())  # fmt: skip
    if command.more_per_hour is not None and command.more_per_hour <= 0:
        return Refusal("cases.snooze_price", "A price grows by more than nothing.", "State an amount above zero.",
                       "more_per_hour", str(command.more_per_hour))  # fmt: skip
    event = CaseSnoozed(
        case=case.id,
        reason=command.reason,
        by=context.actor.id,
        at=now,
        until=command.until,
        wakes_at_subjects=None if command.more_subjects is None else case.subjects + command.more_subjects,
        wakes_at_price=None if command.more_per_hour is None else case.price_per_hour + command.more_per_hour,
    )
    return Accepted([event], case.id, {"case": case.id})


VERBS = (
    Verb(
        name="cases.pause",
        command=PauseCase,
        decide=pause_case,
        wants=lambda state, command, policies: state.of(Cases).want(command.case),
        touches=lambda command: (command.case,),
    ),
    Verb(
        name="cases.snooze",
        command=SnoozeCase,
        decide=snooze_case,
        wants=lambda state, command, policies: state.of(Cases).want(command.case),
        touches=lambda command: (command.case,),
    ),
)
