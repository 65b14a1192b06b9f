"""Working calendars: which days are worked, from when to when, and when something that starts now is ready.

A day is a local date; a moment carries a zone and is turned into the site's. Pure: the same arguments, the same answer.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo

import msgspec

from trueup.core.policy import Policy

DAYS_LOOKED_AHEAD_MAX = 4000
"""More than the longest row of closed days a calendar can hold: all exceptions, and public holidays, on one weekday."""
EXCEPTIONS_MAX = 500
BREAKS_MAX = 12
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
NAMES: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ClockTime = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class Break(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the day that is not worked, HH:MM: from `starts` up to `ends`."""

    starts: ClockTime
    ends: ClockTime

    def __post_init__(self) -> None:
        """Raise ValueError for a break that ends before it began."""
        if self.ends <= self.starts:
            raise ValueError(f"a break that starts at {self.starts} cannot end at {self.ends}")


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a place is open on a day, HH:MM in its own zone. breaks: what of it is not worked, earliest first."""

    opens: ClockTime = "09:00"
    closes: ClockTime = "17:00"
    breaks: Annotated[tuple[Break, ...], msgspec.Meta(max_length=BREAKS_MAX)] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a day that ends before it began, and for breaks that overlap or lie outside of it."""
        if self.closes <= self.opens:
            raise ValueError(f"a day that opens at {self.opens} cannot close at {self.closes}")
        free = self.opens
        for number, rest in enumerate(self.breaks):
            where = f"breaks[{number}], {rest.starts} to {rest.ends}"
            if rest.starts < self.opens or rest.ends > self.closes:
                raise ValueError(f"{where}, lies outside of the hours {self.opens} to {self.closes}")
            if rest.starts < free:
                raise ValueError(f"{where}, overlaps the break before it, or comes before it")
            free = rest.ends
        if sum(_minutes(rest.ends) - _minutes(rest.starts) for rest in self.breaks) >= _minutes(self.closes) - _minutes(
            self.opens
        ):
            raise ValueError("the breaks leave nothing of the day")


def _minutes(time_of_day: str) -> int:
    return int(time_of_day[:2]) * 60 + int(time_of_day[3:])


def _five_days() -> dict[Weekday, Hours]:
    week: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday")
    return {day: Hours() for day in week}


class WorkCalendar(Policy, frozen=True, kw_only=True):
    """Which days are worked. week: the weekdays worked, with their hours.

    holidays: dates that are not worked -> what they are called. country, subdivision: ISO codes (`DE`, `BY`) whose
    public holidays are not worked either. worked: dates that are worked whatever else is said, with their hours.
    """

    kind: ClassVar[str] = "calendar"
    unreplayed: ClassVar[str] = "working days move promises and clocks, which no command of the past asked about"
    pinned: ClassVar[bool] = True
    week: dict[Weekday, Hours] = msgspec.field(default_factory=_five_days)
    holidays: Annotated[dict[date, Label], msgspec.Meta(max_length=EXCEPTIONS_MAX)] = msgspec.field(
        default_factory=dict
    )
    country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")] | None = None
    subdivision: Annotated[str, msgspec.Meta(min_length=1, max_length=10)] | None = None
    worked: Annotated[dict[date, Hours], msgspec.Meta(max_length=EXCEPTIONS_MAX)] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for a calendar that never works, contradicts itself, or names a country nobody knows."""
        if not self.week:
            raise ValueError("no weekday is worked; name at least one in `week`")
        both = sorted(self.holidays.keys() & self.worked.keys())
        if both:
            raise ValueError(f"{both[0]} is both a holiday and worked; name it once")
        if self.subdivision is not None and self.country is None:
            raise ValueError(f"the subdivision {self.subdivision!r} needs a country")
        if self.country is not None:
            public_holidays(self.country, self.subdivision, 2000)


def hours_on(day: date, calendar: WorkCalendar) -> Hours | None:
    """Return when a day is worked; None when it is not."""
    if day in calendar.worked:
        return calendar.worked[day]
    if _holiday(day, calendar) is not None:
        return None
    return calendar.week.get(NAMES[day.weekday()])


def is_working(day: date, calendar: WorkCalendar) -> bool:
    """Tell whether a day is worked."""
    return hours_on(day, calendar) is not None


def why_closed(day: date, calendar: WorkCalendar) -> str | None:
    """Return why a day is not worked, in words: the holiday's name, or the weekday; None when it is worked."""
    if is_working(day, calendar):
        return None
    return _holiday(day, calendar) or f"{NAMES[day.weekday()].title()}s are not worked"


def next_working_day(day: date, calendar: WorkCalendar) -> date:
    """Return the first working day on or after `day`. Raises ValueError when there is none: no valid calendar is so."""
    for ahead in range(DAYS_LOOKED_AHEAD_MAX):
        found = day + timedelta(days=ahead)
        if is_working(found, calendar):
            return found
    raise ValueError(f"no working day within {DAYS_LOOKED_AHEAD_MAX} days of {day}")


def add_working_days(day: date, count: int, calendar: WorkCalendar) -> date:
    """Return the working day that lies `count` working days after `day`; of none, the first on or after it.

    A day that is not worked counts as its next working day: Saturday and one day is Tuesday where weekends are free.
    """
    found = next_working_day(day, calendar)
    for _ in range(count):
        found = next_working_day(found + timedelta(days=1), calendar)
    return found


def is_past(moment: datetime, timezone: str, cutoff: str) -> bool:
    """Tell whether the site's clock has reached its cut-off on the moment's local day; at the minute itself it has.

    Where the clocks jump over the cut-off, the jump reaches it; where they show it twice, the first time does, and an
    hour that comes again is not before it.
    """
    zone = ZoneInfo(timezone)
    local = moment.astimezone(zone)
    limit = time.fromisoformat(cutoff)
    first = datetime.combine(local.date(), limit, zone).astimezone(UTC)
    return local.time() >= limit or moment >= first


def first_day(moment: datetime, timezone: str, cutoff: str, calendar: WorkCalendar) -> date:
    """Return the day on which work that arrives at `moment` begins: today, if it is worked and before the cut-off."""
    today = moment.astimezone(ZoneInfo(timezone)).date()
    if is_working(today, calendar) and is_past(moment, timezone, cutoff):
        today += timedelta(days=1)
    return next_working_day(today, calendar)


def ready_by(moment: datetime, timezone: str, cutoff: str, handling_days: int, calendar: WorkCalendar) -> date:
    """Return the local day on which what arrives at `moment` is ready: its first day, and the handling days after it.

    moment: with a zone. timezone: IANA name of the site's. cutoff: HH:MM there. handling_days: working days beyond the
    first. Source: behaviour of a cut-off as shops state it, "ordered before 15:00, ready the same day".
    """
    return add_working_days(first_day(moment, timezone, cutoff, calendar), handling_days, calendar)


def closed_between(first: date, last: date, calendar: WorkCalendar) -> list[tuple[date, str]]:
    """Return the days from `first` up to but not including `last` that are not worked, each with its reason."""
    days = (first + timedelta(days=ahead) for ahead in range((last - first).days))
    return [(day, reason) for day in days if (reason := why_closed(day, calendar)) is not None]


def end_of_day(day: date, timezone: str) -> datetime:
    """Return the last second of a local day: what is due on a day may come until it ends."""
    midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(timezone))
    return midnight.astimezone(UTC) - timedelta(seconds=1)


@lru_cache(maxsize=4096)
def public_holidays(country: str, subdivision: str | None, year: int) -> dict[date, str]:
    """Return a country's public holidays of one year by date. Raises ValueError for a code that is not known."""
    import holidays

    try:
        found = holidays.country_holidays(country, subdiv=subdivision, years=year, expand=False, language="en_US")
    except NotImplementedError:
        where = f"{country}/{subdivision}" if subdivision else country
        raise ValueError(f"no holidays are known of {where}; list the dates in `holidays`") from None
    return {day: str(name) for day, name in found.items()}


def _holiday(day: date, calendar: WorkCalendar) -> str | None:
    name = calendar.holidays.get(day)
    if name is None and calendar.country is not None:
        name = public_holidays(calendar.country, calendar.subdivision, day.year).get(day)
    return name
