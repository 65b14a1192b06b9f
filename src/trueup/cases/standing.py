"""Where a case stands: one pure function of its events, its ladder, calendar and rota, and the time.

Page, list, worker and replay all ask it, so that they agree at every minute; nothing stores its answer to decide by.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import msgspec

from trueup.cases.case import EXACT, Case, spent_microseconds
from trueup.cases.ladder import Ladder, Rota, Rung, Steps, is_overdue, minutes
from trueup.core.calendars import WorkCalendar
from trueup.core.money import booked
from trueup.core.policy import Policies
from trueup.core.worktime import NONE, work_clock

_HOUR = Decimal(3_600_000_000)
ClockState = Literal["runs", "paused", "stopped"]


class RungState(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of a case's ladder. at: when it is or was reached by what is known; None where the clock stopped before.

    on_call: the person whose turn it is at `now`, where its rota names one. safe_action: the act it does by itself.
    """

    rung: int
    role: str
    after_minutes: int
    at: datetime | None
    reached: bool
    rights: tuple[str, ...]
    on_call: str | None = None
    safe_action: str | None = None


class CaseState(msgspec.Struct, frozen=True, kw_only=True):
    """How a case stands at one moment.

    response_due_at: by when somebody must say that it is theirs; None has no such clock. rung: the highest one reached,
    0 is the owner alone. in_authority: the role that must act now, until `next_rung_at` (None: for good).
    elapsed_minutes: of the case's own clock. pause_left_minutes: of its budget. spent: what it has cost.
    look_at: when it next changes by time alone; None is never.
    """

    clock: ClockState
    elapsed_minutes: int
    response_due_at: datetime | None
    owned_at: datetime | None
    response_late: bool
    rung: int
    rungs: tuple[RungState, ...]
    in_authority: str
    on_call: str | None
    next_rung_at: datetime | None
    paused_until: datetime | None
    pause_left_minutes: int
    hidden: bool
    due_at: datetime
    overdue: bool
    spent: Decimal
    look_at: datetime | None


class _Time(msgspec.Struct, frozen=True):
    """The clock of one severity: how long between two moments, and when so much has passed."""

    steps: Steps
    calendar: WorkCalendar

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        if self.steps.clock == "wall":
            return max(NONE, end - start)
        return work_clock(self.calendar, self.steps.timezone).elapsed(start, end)

    def after(self, start: datetime, amount: timedelta) -> datetime:
        if self.steps.clock == "wall":
            return start + amount
        return work_clock(self.calendar, self.steps.timezone).after(start, amount)


def standing_of(
    case: Case, ladder: Ladder, calendar: WorkCalendar, rotas: Mapping[str, Rota], now: datetime
) -> CaseState:
    """Return where a case stands at `now`, of what is known by then.

    Its clock counts from its opening or re-opening, rests in pauses, and stops at the first act with an effect or at
    the end. A rung that falls on the very moment of the act is reached. Source: DESIGN section 3.
    """
    steps = ladder.severities[case.severity]
    time = _Time(steps, calendar)
    stop = _earliest(case.acted_at, case.closed_at)
    upto = now if stop is None else min(stop, now)
    rungs = tuple(_rung(number, rung, case, time, stop, now, rotas) for number, rung in enumerate(steps.rungs, 1))
    reached = [rung for rung in rungs if rung.reached]
    coming = next((rung.at for rung in rungs if not rung.reached and rung.at is not None), None)
    response = (case.started_at + _until(time, case, steps.respond_minutes)) if steps.respond_minutes else None
    owned = _earliest(case.acknowledged_at, case.acted_at)
    paused = next((rest.until for rest in case.pauses if rest.at <= now < rest.until), None) if stop is None else None
    used = sum(((rest.until - rest.at) for rest in case.pauses), NONE)
    answered = _earliest(owned, case.closed_at)
    waking = case.snoozed_until if case.snoozed_until is not None and case.snoozed_until > now else None
    late = response is not None and now >= response and (answered is None or answered > response)
    watch_response = response if response is not None and answered is None and response > now else None
    return CaseState(
        clock="stopped" if stop is not None else "paused" if paused is not None else "runs",
        elapsed_minutes=running(case, time, upto) // minutes(1),
        response_due_at=response,
        owned_at=owned,
        response_late=late,
        rung=len(reached),
        rungs=rungs,
        in_authority=reached[-1].role if reached else case.owner_role,
        on_call=reached[-1].on_call if reached else None,
        next_rung_at=coming,
        paused_until=paused,
        pause_left_minutes=max(0, (timedelta(hours=ladder.pause_hours) - used) // minutes(1)),
        hidden=is_hidden(case, now),
        due_at=case.due_at,
        overdue=is_overdue(case.due_at, case.acted_at, case.closed_at, now),
        spent=spent(case, now),
        look_at=None if case.closed_at is not None else _earliest(coming, watch_response, paused, waking),
    )


def stands(case: Case, policies: Policies, now: datetime) -> CaseState:
    """Return where a case stands under the documents it was opened under, and the rota of now."""
    ladder, calendar = documents_of(case, policies)
    return standing_of(case, ladder, calendar, rotas_of(ladder.severities[case.severity], policies), now)


def documents_of(case: Case, policies: Policies) -> tuple[Ladder, WorkCalendar]:
    """Return the ladder and the calendar a case was opened under."""
    ladder = policies.at(Ladder, case.ladder, case.ladder_version)
    name = ladder.severities[case.severity].calendar
    return ladder, policies.at(WorkCalendar, name, case.calendar_version)


def rotas_of(steps: Steps, policies: Policies) -> dict[str, Rota]:
    """Return the rotas that the rungs name; one that nobody published is the shipped one."""
    return {rung.rota: policies.get(Rota, rung.rota) for rung in steps.rungs if rung.rota is not None}


def rung_times(case: Case, ladder: Ladder, calendar: WorkCalendar) -> list[datetime]:
    """Return when each rung is or was reached by what is known, in order; none of those that an act came before."""
    steps = ladder.severities[case.severity]
    time = _Time(steps, calendar)
    stop = _earliest(case.acted_at, case.closed_at)
    found = (reaching(case, time, minutes(rung.after_minutes)) for rung in steps.rungs)
    return [at for at in found if stop is None or at <= stop]


def first_rung_at(case: Case, ladder: Ladder, calendar: WorkCalendar) -> datetime:
    """Return when an act is due: when the first rung is reached if nobody acts."""
    steps = ladder.severities[case.severity]
    return reaching(case, _Time(steps, calendar), minutes(steps.rungs[0].after_minutes))


def running(case: Case, time: _Time, upto: datetime) -> timedelta:
    """Return what the case's clock shows at a moment: time since it started, less the pauses."""
    whole = time.elapsed(case.started_at, upto)
    return whole - sum((time.elapsed(rest.at, min(rest.until, upto)) for rest in case.pauses if rest.at < upto), NONE)


def reaching(case: Case, time: _Time, amount: timedelta) -> datetime:
    """Return the moment at which the case's clock shows so much, when nothing but the pauses stops it."""
    start, left = case.started_at, amount
    for rest in sorted(case.pauses, key=lambda rest: rest.at):
        before = time.elapsed(start, rest.at)
        if before >= left:
            break
        left -= before
        start = rest.until
    return time.after(start, left)


def is_hidden(case: Case, now: datetime) -> bool:
    """Tell whether it is snoozed and has not become worse."""
    if case.snoozed_at is None or case.closed_at is not None:
        return False
    if case.snoozed_until is not None and now >= case.snoozed_until:
        return False
    if case.wakes_at_subjects is not None and case.subjects >= case.wakes_at_subjects:
        return False
    return case.wakes_at_price is None or case.price_per_hour < case.wakes_at_price


def spent(case: Case, now: datetime) -> Decimal:
    """Return what it has cost: price per hour times hours open, rounded once, to what its currency can be paid in."""
    return booked(EXACT.divide(spent_microseconds(case, now), _HOUR), case.currency)


def _rung(
    number: int, rung: Rung, case: Case, time: _Time, stop: datetime | None, now: datetime, rotas: Mapping[str, Rota]
) -> RungState:
    at = reaching(case, time, minutes(rung.after_minutes))
    possible = stop is None or at <= stop
    slot = rotas[rung.rota].on_call(now) if rung.rota is not None else None
    return RungState(
        rung=number,
        role=rung.role,
        after_minutes=rung.after_minutes,
        at=at if possible else None,
        reached=possible and at <= now,
        rights=rung.rights,
        on_call=slot.person if slot is not None else None,
        safe_action=rung.safe_action.verb if rung.safe_action is not None else None,
    )


def _until(time: _Time, case: Case, amount: int) -> timedelta:
    return time.after(case.started_at, minutes(amount)) - case.started_at


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
