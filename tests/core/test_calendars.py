"""Working calendars: cut-offs to the minute, clocks that jump, chains of holidays, and documents that make no sense."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.core import json
from trueup.core.calendars import (
    EXCEPTIONS_MAX,
    NAMES,
    Hours,
    WorkCalendar,
    add_working_days,
    closed_between,
    end_of_day,
    hours_on,
    is_past,
    is_working,
    next_working_day,
    ready_by,
    why_closed,
)

WEEK = WorkCalendar()
EVERY_DAY = WorkCalendar(week={name: Hours() for name in NAMES})
BERLIN = "Europe/Berlin"


def at(text: str, zone: str = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def day(text: str) -> date:
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("moment", "ready"),
    [
        ("2026-03-03 14:59:59", "2026-03-03"),
        ("2026-03-03 15:00:00", "2026-03-04"),
        ("2026-03-03 15:00:01", "2026-03-04"),
        ("2026-03-03 00:00:00", "2026-03-03"),
        ("2026-03-03 23:59:59", "2026-03-04"),
        ("2026-03-06 15:00:00", "2026-03-09"),  # Friday to Monday
        ("2026-03-07 23:00:00", "2026-03-09"),  # on a day that is not worked, no cut-off is missed
        ("2026-03-08 23:59:00", "2026-03-09"),
    ],
)
def test_what_comes_before_the_cut_off_is_ready_the_same_day(moment: str, ready: str):
    assert ready_by(at(moment), BERLIN, "15:00", 0, WEEK) == day(ready)


def test_the_cut_off_is_the_sites_own():
    moment = datetime(2026, 3, 3, 14, 30, tzinfo=UTC)
    assert ready_by(moment, "UTC", "15:00", 0, WEEK) == day("2026-03-03")
    assert ready_by(moment, BERLIN, "15:00", 0, WEEK) == day("2026-03-04")
    assert ready_by(moment, "America/New_York", "15:00", 0, WEEK) == day("2026-03-03")
    assert ready_by(moment, "Pacific/Auckland", "15:00", 0, WEEK) == day("2026-03-04"), "it is the 4th there already"


def test_clocks_that_jump_over_the_cut_off_reach_it():
    # On 29 March 2026 Berlin's clocks go from 02:00 to 03:00.
    before, after = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert not is_past(before, BERLIN, "02:30")
    assert is_past(after, BERLIN, "02:30")
    assert ready_by(before, BERLIN, "02:30", 0, EVERY_DAY) == day("2026-03-29")
    assert ready_by(after, BERLIN, "02:30", 0, EVERY_DAY) == day("2026-03-30")


def test_an_hour_that_comes_again_is_not_before_the_cut_off():
    # On 25 October 2026 Berlin's clocks show 02:00 to 03:00 twice, from 00:00 and from 01:00 UTC.
    assert not is_past(datetime(2026, 10, 25, 0, 29, 59, tzinfo=UTC), BERLIN, "02:30")
    assert is_past(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), BERLIN, "02:30")
    assert is_past(datetime(2026, 10, 25, 1, 15, tzinfo=UTC), BERLIN, "02:30"), "02:15 for the second time"


@given(st.integers(0, 60 * 24 * 3), st.sampled_from(["2026-03-28", "2026-10-24", "2026-06-01"]), st.integers(0, 23))
def test_coming_later_never_makes_ready_sooner(minutes: int, start: str, hour: int):
    first = at(f"{start} 00:00")
    cutoff = f"{hour:02}:30"
    moment = first + timedelta(minutes=minutes)
    now, later = (ready_by(m, BERLIN, cutoff, 1, WEEK) for m in (moment, moment + timedelta(minutes=1)))
    assert now <= later


def test_working_days_are_counted_past_weekends_and_holidays():
    easter = WorkCalendar(holidays={day("2026-04-03"): "Good Friday", day("2026-04-06"): "Easter Monday"})
    assert next_working_day(day("2026-04-03"), easter) == day("2026-04-07")
    assert add_working_days(day("2026-04-02"), 1, easter) == day("2026-04-07")
    assert add_working_days(day("2026-04-02"), 0, easter) == day("2026-04-02")
    assert add_working_days(day("2026-04-04"), 0, easter) == day("2026-04-07")
    assert add_working_days(day("2026-04-04"), 1, easter) == day("2026-04-08")
    assert ready_by(at("2026-04-02 16:00"), BERLIN, "15:00", 2, easter) == day("2026-04-09")
    assert closed_between(day("2026-04-02"), day("2026-04-07"), easter) == [
        (day("2026-04-03"), "Good Friday"),
        (day("2026-04-04"), "Saturdays are not worked"),
        (day("2026-04-05"), "Sundays are not worked"),
        (day("2026-04-06"), "Easter Monday"),
    ]


def test_public_holidays_of_a_country_and_its_part_are_not_worked():
    germany, bavaria = WorkCalendar(country="DE"), WorkCalendar(country="DE", subdivision="BY")
    assert why_closed(day("2026-12-25"), germany) == "Christmas Day"
    assert is_working(day("2026-01-06"), germany)
    assert why_closed(day("2026-01-06"), bavaria) == "Epiphany"
    assert next_working_day(day("2026-12-25"), germany) == day("2026-12-28")
    assert not is_working(day("2027-01-01"), germany), "next year's, too"


def test_a_day_that_is_named_as_worked_is_worked_whatever_else_is_said():
    calendar = WorkCalendar(
        country="DE", worked={day("2026-12-25"): Hours("08:00", "12:00"), day("2026-12-26"): Hours()}
    )
    assert hours_on(day("2026-12-25"), calendar) == Hours("08:00", "12:00")
    assert next_working_day(day("2026-12-26"), calendar) == day("2026-12-26"), "a Saturday, and a holiday"
    assert hours_on(day("2026-12-27"), calendar) is None


def test_the_end_of_a_day_is_the_zones_own_across_a_change_of_clocks():
    assert end_of_day(day("2026-03-28"), BERLIN) == datetime(2026, 3, 28, 22, 59, 59, tzinfo=UTC)
    assert end_of_day(day("2026-03-29"), BERLIN) == datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC)


def test_the_emptiest_calendar_still_has_a_working_day():
    mondays = {day("2026-03-02") + timedelta(weeks=week): "closed" for week in range(EXCEPTIONS_MAX)}
    calendar = WorkCalendar(week={"monday": Hours()}, holidays=mondays, country="DE")
    found = next_working_day(day("2026-03-01"), calendar)
    assert found > max(mondays)
    assert is_working(found, calendar)


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ({"week": {}}, "no weekday is worked"),
        ({"week": {"someday": {}}}, "someday"),
        ({"week": {"monday": {"opens": "17:00", "closes": "09:00"}}}, "cannot close"),
        ({"week": {"monday": {"opens": "9 o'clock"}}}, "opens"),
        ({"holidays": {"2026-13-01": "?"}}, "holidays"),
        ({"holidays": {"2026-05-01": "May Day"}, "worked": {"2026-05-01": {}}}, "both a holiday and worked"),
        ({"country": "XX"}, "no holidays are known of XX"),
        ({"country": "DE", "subdivision": "ZZ"}, "DE/ZZ"),
        ({"subdivision": "BY"}, "needs a country"),
    ],
)
def test_it_refuses_a_calendar_that_makes_no_sense(document: dict[str, Any], what: str):
    with pytest.raises(msgspec.ValidationError, match=what):
        json.convert(document, WorkCalendar)


def test_a_calendar_survives_being_written_and_read():
    calendar = WorkCalendar(
        country="DE", holidays={day("2026-05-04"): "Stocktaking"}, worked={day("2026-05-09"): Hours()}
    )
    assert json.decode(json.encode(calendar), WorkCalendar) == calendar
