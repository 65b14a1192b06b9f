"""Working time between two moments, and when so much of it will have passed: exact, and the same in one step or many.

A day is worked from the moment the place's clock first shows its opening time until it first shows its closing time,
less the breaks, each counted the same way. Where the clocks jump over a time, the jump reaches it; an hour that comes
again is not worked again unless the day's hours span it. Source: `calendars.is_past`, which says so of a cut-off.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from trueup.core.calendars import WorkCalendar, hours_on

NONE = timedelta(0)
YEARS_MAX = 60
_KEPT_MAX = 64


class WorkClock:
    """One calendar in one zone. The spans of each year are made once, when they are first asked for."""

    def __init__(self, calendar: WorkCalendar, timezone: str) -> None:
        self._calendar = calendar
        self._timezone = timezone
        self._zone = ZoneInfo(timezone)
        self._years: dict[int, _Year] = {}

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        """Return the working time from `start` up to `end`; none when `end` is not later."""
        if end <= start:
            return NONE
        first, last = start.astimezone(self._zone).year, end.astimezone(self._zone).year
        return sum(
            (self._year(year).before(end) - self._year(year).before(start) for year in range(first, last + 1)), NONE
        )

    def after(self, start: datetime, amount: timedelta) -> datetime:
        """Return the first moment by which `amount` of working time has passed since `start`.

        Raises ValueError where that takes more than YEARS_MAX years.
        """
        if amount <= NONE:
            return start
        first = start.astimezone(self._zone).year
        left = amount + self._year(first).before(start)
        for year in range(first, first + YEARS_MAX):
            found = self._year(year)
            if left <= found.whole:
                return found.reaching(left)
            left -= found.whole
        raise ValueError(f"{amount} of working time do not pass within {YEARS_MAX} years of {start}")

    def _year(self, year: int) -> _Year:
        found = self._years.get(year)
        if found is None:
            spans: list[tuple[datetime, datetime]] = []
            day = date(year, 1, 1)
            while day.year == year:
                spans += spans_of(day, self._timezone, self._calendar)
                day += timedelta(days=1)
            found = self._years[year] = _Year(spans)
        return found


class _Year:
    """The spans worked in one year of the place, in order, each with what was worked before it."""

    def __init__(self, spans: list[tuple[datetime, datetime]]) -> None:
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]
        self._sums = [NONE]
        for start, end in spans:
            self._sums.append(self._sums[-1] + (end - start))

    @property
    def whole(self) -> timedelta:
        return self._sums[-1]

    def before(self, moment: datetime) -> timedelta:
        """Return what of the year was worked up to a moment."""
        at = bisect_right(self._starts, moment)
        if at == 0:
            return NONE
        return self._sums[at - 1] + (min(moment, self._ends[at - 1]) - self._starts[at - 1])

    def reaching(self, amount: timedelta) -> datetime:
        """Return the first moment by which so much of the year was worked; `amount` is more than nothing."""
        low, high = 0, len(self._starts)
        while low < high:
            middle = (low + high) // 2
            if self._sums[middle + 1] < amount:
                low = middle + 1
            else:
                high = middle
        return self._starts[low] + (amount - self._sums[low])


def spans_of(day: date, timezone: str, calendar: WorkCalendar) -> list[tuple[datetime, datetime]]:
    """Return when a local day is worked, in UTC, earliest first: its hours less its breaks; none when it is not."""
    hours = hours_on(day, calendar)
    if hours is None:
        return []
    marks = [hours.opens, *(mark for rest in hours.breaks for mark in (rest.starts, rest.ends)), hours.closes]
    moments = [first_shown(day, mark, timezone) for mark in marks]
    pairs = zip(moments[::2], moments[1::2], strict=True)
    return [(start, end) for start, end in pairs if start < end]


@lru_cache(maxsize=65536)
def first_shown(day: date, time_of_day: str, timezone: str) -> datetime:
    """Return the moment in UTC at which the clocks of a zone first show HH:MM on a day, or jump over it."""
    zone = ZoneInfo(timezone)
    local = datetime.combine(day, time.fromisoformat(time_of_day), zone)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    before, after = local.replace(fold=1).astimezone(UTC), moment
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


_clocks: OrderedDict[tuple[int, str], tuple[WorkCalendar, WorkClock]] = OrderedDict()


def work_clock(calendar: WorkCalendar, timezone: str) -> WorkClock:
    """Return the clock of a calendar in a zone, made once for each document that is held in memory."""
    key = (id(calendar), timezone)
    found = _clocks.get(key)
    if found is None:
        found = _clocks[key] = (calendar, WorkClock(calendar, timezone))
        while len(_clocks) > _KEPT_MAX:
            _clocks.popitem(last=False)
    return found[1]
