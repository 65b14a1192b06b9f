"""What the fields of a form say: numbered rows of lines, what a refusal says about each row, and times."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

from trueup.core.errors import Refusal

ROWS, ROWS_MAX = 4, 100
_PLACE = re.compile(r"lines\[(\d+)\]")
Row = dict[str, str]
T = TypeVar("T")


def chosen(text: str | None, choices: Sequence[T]) -> T | None:
    """Return the choice that a text names; None where it names none."""
    return next((choice for choice in choices if choice == text), None)


def rows_of(form: dict[str, str], names: Sequence[str], least: int = ROWS) -> list[Row]:
    """Return the form's rows (`sku-0`, `quantity-0`, ...), and empty ones to fill in; `more` asks for more of them."""
    numbers = [name.rpartition("-")[2] for name in form if name.rpartition("-")[0] in names]
    count = min(ROWS_MAX, max([least, *(int(number) + 1 for number in numbers if number.isdecimal())]))
    count = min(ROWS_MAX, count + (ROWS if form.get("more") else 0))
    return [{name: form.get(f"{name}-{at}", "").strip() for name in names} for at in range(count)]


def is_filled(row: Row) -> bool:
    """Tell whether a row says anything; its choices, which always say something, do not count."""
    return any(row.get(name) for name in ("sku", "quantity", "lot"))


def lines_of(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that are filled in, as lines of a command."""
    return [{name: value for name, value in row.items() if value} for row in rows if is_filled(row)]


def said_by_row(refusal: Refusal | None, sent: Sequence[int]) -> dict[int, list[str]]:
    """Return by row of the form what a refusal says about it. sent: which row each line of the command came from."""
    said: dict[int, list[str]] = {}
    if refusal is None:
        return said
    for where, what in [(d.where, d.what) for d in refusal.details] or [(refusal.where, refusal.what)]:
        place = _PLACE.search(where)
        if place is not None and int(place[1]) < len(sent):
            said.setdefault(sent[int(place[1])], []).append(what)
    return said


def utc(moment: str) -> datetime | str:
    """A browser's date and time field has no zone; the console's times are UTC. What is no time is refused later."""
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return at if at.tzinfo else at.replace(tzinfo=UTC)
