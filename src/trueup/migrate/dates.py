"""How dates are written: the formats we know, which of them a column has, and what an odd one out can mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as Dictionary
from datetime import datetime
from functools import cache
from itertools import product

import msgspec

# The order is the preference where a whole column fits several: day before month, as most of the world writes.
_DAYS = (
    "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%Y%m%d",
    "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%d. %B %Y", "%b %d, %Y", "%B %d, %Y",
)  # fmt: skip
_TIMES = (
    "", " %H:%M:%S", " %H:%M", "T%H:%M:%S", "T%H:%M", " %H:%M:%S.%f", "T%H:%M:%S.%f", "T%H:%M:%SZ", "T%H:%M:%S.%fZ",
    "T%H:%M:%S%z", " %H:%M:%S%z", "T%H:%M:%S.%f%z", " %I:%M %p", " %I:%M:%S %p", " %H.%M", ", %H:%M", ", %H:%M:%S",
    " %H%M%S",
)  # fmt: skip
_PARTS = {
    "%Y": r"(?:19|20)\d\d", "%y": r"\d\d", "%m": r"\d{1,2}", "%d": r"\d{1,2}", "%b": "[A-Za-z]{3}",
    "%B": "[A-Za-z]{3,9}",
    "%H": r"\d{1,2}", "%I": r"\d{1,2}", "%M": r"\d\d", "%S": r"\d\d", "%f": r"\d{1,6}", "%p": "[AaPp][Mm]",
    "%z": r"(?:[+-]\d\d:?\d\d|Z)",
}  # fmt: skip
FORMATS = tuple(day + time for day, time in product(_DAYS, _TIMES))
ISO = "%Y-%m-%d %H:%M:%S"


class Reading(msgspec.Struct, frozen=True):
    """What a text can mean as a time. at: None when it is none. ambiguous: day and month could be either."""

    text: str
    at: datetime | None
    ambiguous: bool
    format: str


@cache
def pattern(form: str) -> str:
    """Return the regular expression of what a format writes, for RE2 and Python alike."""
    if form == "%Y%m%d":
        return r"(?:19|20)\d\d[01]\d[0-3]\d"
    text = _written(form)
    return text + r"(?:\.\d{1,6})?" if form.startswith("%Y-%m-%d") and form.endswith("%S") else text


def _written(form: str) -> str:
    return "".join(_PARTS.get(part, re.escape(part)) for part in re.split(r"(%[A-Za-z])", form) if part)


_DAY_FIRST = tuple((day, re.compile(_written(day))) for day in _DAYS)
_ANY_DAY_FIRST = re.compile("|".join(map(_written, _DAYS)))


@cache
def _compiled(form: str) -> re.Pattern[str]:
    return re.compile(pattern(form))


def read_as(text: str, form: str) -> datetime | None:
    """Return the time a text says in one format, or None."""
    if not _compiled(form).fullmatch(text):
        return None
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - the zone is the mapping's
    except ValueError:
        return None


def _readings(text: str) -> Iterator[tuple[str, datetime]]:
    """Return the times a text says, each with its format, in the order of FORMATS.

    Most texts are no times at all: one look tells that they begin with no day, and 324 formats need not be tried.
    """
    text = text.strip()
    if not _ANY_DAY_FIRST.match(text):
        return
    for day, begins in _DAY_FIRST:
        if begins.match(text):
            for time in _TIMES:
                at = read_as(text, day + time)
                if at is not None:
                    yield day + time, at


def majority(values: Dictionary[str, int], zone_is_american: bool = False) -> tuple[str | None, float]:
    """Return the format that reads most of `values` (text -> rows), and the share of rows that it reads.

    None when no format reads a single one. Where day and month fit either way, day comes first unless the zone is
    American.
    """
    weights: dict[str, int] = {}
    for text, rows in values.items():
        for form, _ in _readings(text):
            weights[form] = weights.get(form, 0) + rows
    if not weights:
        return None, 0.0
    order = {form: place for place, form in enumerate(FORMATS)}

    def rank(form: str) -> tuple[int, int]:
        american = zone_is_american and form.startswith(("%m/%d", "%m-%d"))
        return weights[form], 1_000 if american else -order[form]

    best = max(weights, key=rank)
    return best, weights[best] / max(1, sum(values.values()))


def read_odd(text: str) -> Reading:
    """Read a text that is not in its column's format: by every known one, and say whether they agree."""
    found: dict[datetime, str] = {}
    for form, at in _readings(text):
        found.setdefault(at.replace(tzinfo=None) - (at.utcoffset() or at - at), form)
    if not found:
        return Reading(text, None, False, "")
    at, form = next(iter(found.items()))
    return Reading(text, at, len(found) > 1, form)


def in_sql(value: str, form: str, zone: str) -> str:
    """Return SQL that reads `value` (an expression of text) in one format as a timestamptz, else NULL.

    A time without an offset is of `zone`.
    """
    text = f"trim({value})"
    matches = f"regexp_full_match({text}, '{pattern(form)}')"
    if form.endswith("%z"):
        return f"case when {matches} then try_cast({text} as timestamptz) end"
    if form.startswith("%Y-%m-%d") and "%I" not in form and "." not in form.replace(".%f", "") and "," not in form:
        read = f"try_cast(rtrim({text}, 'Z') as timestamp)"
    else:
        read = f"try_strptime({text}, '{form}')"
    where = "UTC" if form.endswith("Z") else zone
    return f"case when {matches} then timezone('{where}', {read}) end"
