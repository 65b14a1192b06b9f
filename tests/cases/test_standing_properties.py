"""Where a case stands, for random histories: against a clock that ticks minute by minute, and in one step or many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.cases.case import Case, CaseAcknowledged, CaseActed, CaseClosed, CasePaused, CaseReopened, folded
from trueup.cases.ladder import Ladder, Rung, Steps
from trueup.cases.standing import rung_times, standing_of
from trueup.core.calendars import NAMES, Break, Hours, WorkCalendar, hours_on, is_past
from trueup.core.verb import Event
from trueup.core.worktime import WorkClock

MINUTE = timedelta(minutes=1)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kolkata", "UTC")
# The days around which the clocks of these zones change, and New Year.
STARTS = tuple(datetime(*day, tzinfo=UTC) for day in (
    (2026, 3, 28), (2026, 10, 24), (2026, 3, 7), (2026, 10, 31), (2026, 4, 4), (2026, 10, 3), (2025, 12, 30),
    (2026, 6, 10),
))  # fmt: skip


@st.composite
def hours(draw: st.DrawFn) -> Hours:
    """Hours of a day with up to two breaks, some of them in the hours in which clocks change."""
    marks = sorted(draw(st.sets(st.integers(0, 95), min_size=6, max_size=6)))
    opens, *inner, closes = [f"{mark // 4:02}:{mark % 4 * 15:02}" for mark in marks]
    breaks = draw(st.sampled_from([(), (Break(inner[0], inner[1]),),
                                   (Break(inner[0], inner[1]), Break(inner[2], inner[3]))]))  # fmt: skip
    return Hours(opens, closes, breaks)


@st.composite
def calendars(draw: st.DrawFn) -> WorkCalendar:
    """A week with some days off, holidays and days worked in spite of that."""
    days = draw(st.sets(st.sampled_from(NAMES), min_size=1))
    week: Any = {day: draw(hours()) for day in sorted(days)}
    near = st.integers(0, 6)
    first = draw(st.sampled_from(STARTS)).date()
    off = {first + timedelta(days=ahead): "off" for ahead in draw(st.sets(near, max_size=2))}
    worked = {first + timedelta(days=ahead): draw(hours()) for ahead in draw(st.sets(near, max_size=1))}
    return WorkCalendar(week=week, holidays={d: w for d, w in off.items() if d not in worked}, worked=worked,
                        country=draw(st.sampled_from([None, "DE"])))  # fmt: skip


def at_work(moment: datetime, calendar: WorkCalendar, zone: str) -> bool:
    """Tell whether a minute is worked, by the clock on the wall: opened and not closed yet, and not at a break."""
    found = hours_on(moment.astimezone(ZoneInfo(zone)).date(), calendar)
    if found is None or not is_past(moment, zone, found.opens) or is_past(moment, zone, found.closes):
        return False
    return not any(is_past(moment, zone, rest.starts) and not is_past(moment, zone, rest.ends) for rest in found.breaks)


@settings(max_examples=150, deadline=None)
@given(calendars(), st.sampled_from(ZONES), st.sampled_from(STARTS), st.integers(0, 2880), st.integers(0, 2880))
def test_working_time_is_what_a_clock_that_ticks_every_minute_counts(
    calendar: WorkCalendar, zone: str, start: datetime, skip: int, length: int
):
    begin, end = start + skip * MINUTE, start + (skip + length) * MINUTE
    ticked = sum(at_work(begin + number * MINUTE, calendar, zone) for number in range(length))
    assert WorkClock(calendar, zone).elapsed(begin, end) == ticked * MINUTE


@settings(max_examples=150, deadline=None)
@given(calendars(), st.sampled_from(ZONES), st.sampled_from(STARTS),
       st.lists(st.timedeltas(timedelta(0), timedelta(days=4)), min_size=3, max_size=3))  # fmt: skip
def test_working_time_is_the_same_in_one_step_and_in_many(
    calendar: WorkCalendar, zone: str, start: datetime, parts: list[timedelta]
):
    clock = WorkClock(calendar, zone)
    a, b, c = start + parts[0], start + parts[0] + parts[1], start + sum(parts, timedelta(0))
    assert clock.elapsed(a, c) == clock.elapsed(a, b) + clock.elapsed(b, c)
    amount = parts[2]
    reached = clock.after(a, amount)
    assert clock.elapsed(a, reached) == amount
    assert amount == timedelta(0) or clock.elapsed(a, reached - MINUTE / 60) < amount, "the first moment, and no later"
    assert clock.after(clock.after(a, parts[1]), amount) == clock.after(a, parts[1] + amount) or not amount


@st.composite
def histories(draw: st.DrawFn) -> tuple[datetime, list[tuple[int, str, int]]]:
    """When a case is opened, and what happens so many minutes later."""
    start = draw(st.sampled_from(STARTS)) + draw(st.integers(0, 1440)) * MINUTE
    kinds = st.sampled_from(["pause", "pause", "acknowledge", "act", "close", "reopen"])
    happened = draw(st.lists(st.tuples(st.integers(1, 2800), kinds, st.integers(1, 900)), max_size=6))
    return start, sorted(happened)


def folded_history(start: datetime, happened: list[tuple[int, str, int]], upto: datetime, severity: int) -> Case:
    """The case as its events up to a moment leave it; what the rules would refuse is left out."""
    case = Case(id="case_x", cause="x", kind="x", title="x", severity=severity, owner_role="Finance", opened_at=start,
                due_at=start, price_per_hour=Decimal("3.60"), currency="EUR")  # fmt: skip
    for after, kind, length in happened:
        at = start + after * MINUTE
        if at > upto:
            break
        event = event_of(case, kind, at, length)
        if event is not None:
            changed = folded(case, event)
            assert changed is not None
            case = changed
    return case


def event_of(case: Case, kind: str, at: datetime, length: int) -> Event | None:
    """The event, unless a rule would refuse it."""
    stopped = case.acted_at is not None or case.closed_at is not None
    if kind == "pause" and not stopped and not any(rest.at <= at < rest.until for rest in case.pauses):
        return CasePaused(case=case.id, until=at + length * MINUTE, reason="r", by="b", due_at=case.due_at, at=at)
    if kind == "acknowledge" and case.closed_at is None:
        return CaseAcknowledged(case=case.id, by="b", at=at)
    if kind == "act" and case.closed_at is None:
        return CaseActed(case=case.id, effect="e", note="n", at=at)
    if kind == "close" and case.acted_at is not None and case.closed_at is None:
        return CaseClosed(case=case.id, root_cause="role", note="n", at=at)
    if kind == "reopen" and case.closed_at is not None:
        return CaseReopened(case=case.id, due_at=at, ladder="default", ladder_version=0, calendar_version=0, at=at)
    return None


class Ticking(msgspec.Struct):
    """The plain model: it knows nothing of intervals, and looks at one minute after the other."""

    start: datetime
    minutes: int = 0
    acted: bool = False
    closed: bool = False
    paused_until: datetime | None = None
    reached: dict[int, datetime] = msgspec.field(default_factory=dict)

    def happens(self, kind: str, at: datetime, length: int) -> None:
        stopped = self.acted or self.closed
        if kind == "pause" and not stopped and (self.paused_until is None or at >= self.paused_until):
            self.paused_until = at + length * MINUTE
        elif kind == "act" and not self.closed:
            self.acted = True
        elif kind == "close" and self.acted:
            self.closed = True
        elif kind == "reopen" and self.closed:
            self.start, self.minutes, self.acted, self.closed, self.paused_until = at, 0, False, False, None
            self.reached = {}

    def tick(self, at: datetime, working: bool, after: tuple[int, ...]) -> None:
        """Let the minute that begins at `at` pass."""
        if self.acted or self.closed or (self.paused_until is not None and at < self.paused_until) or not working:
            return
        self.minutes += 1
        for number, needed in enumerate(after, 1):
            if self.minutes >= needed:
                self.reached.setdefault(number, at + MINUTE)


AFTER = (60, 240, 600)


@settings(max_examples=120, deadline=None)
@given(histories(), calendars(), st.sampled_from(ZONES), st.sampled_from([2, 3]),
       st.lists(st.integers(0, 2880), min_size=1, max_size=6))  # fmt: skip
def test_the_state_is_that_of_a_case_lived_through_minute_by_minute(
    history: tuple[datetime, list[tuple[int, str, int]]], calendar: WorkCalendar, zone: str, severity: int,
    looks: list[int],
):  # fmt: skip
    start, happened = history
    rungs = tuple(Rung(after_minutes=after, role="Sponsor") for after in AFTER)
    plain = Steps(rungs=rungs)
    business = Steps(rungs=rungs, clock="business", timezone=zone)
    ladder = Ladder(severities={1: plain, 2: plain, 3: business, 4: business})
    model = Ticking(start)
    by_minute: dict[int, list[tuple[str, int]]] = {}
    for after, kind, length in happened:
        by_minute.setdefault(after, []).append((kind, length))
    for minute in range(max(looks) + 1):
        now = start + minute * MINUTE
        for kind, length in by_minute.get(minute, ()):
            model.happens(kind, now, length)
        if minute in looks:
            case = folded_history(start, happened, now, severity)
            state = standing_of(case, ladder, calendar, {}, now)
            assert state.elapsed_minutes == model.minutes
            assert {found.rung: found.at for found in state.rungs if found.reached} == model.reached
            assert state.rung == len(model.reached) == sum(at <= now for at in rung_times(case, ladder, calendar))
            assert (state.clock == "stopped") == (model.acted or model.closed)
        model.tick(now, severity == 2 or at_work(now, calendar, zone), AFTER)


@settings(max_examples=100, deadline=None)
@given(histories(), st.integers(0, 2880))
def test_money_is_price_times_minutes_open(history: tuple[datetime, list[tuple[int, str, int]]], look: int):
    start, happened = history
    now = start + look * MINUTE
    opened, minutes = True, 0
    acted = False
    times: dict[int, list[str]] = {}
    for after, kind, _ in happened:
        times.setdefault(after, []).append(kind)
    for minute in range(look + 1):
        for kind in times.get(minute, ()):
            acted = (acted or (kind == "act" and opened)) and not (kind == "reopen" and not opened)
            if kind == "close" and acted and opened:
                opened = False
            elif kind == "reopen" and not opened:
                opened = True
        minutes += opened if minute < look else 0
    ladder = Ladder()
    state = standing_of(folded_history(start, happened, now, 2), ladder, WorkCalendar(), {}, now)
    assert state.spent == Decimal("3.60") * minutes / 60
