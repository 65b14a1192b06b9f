"""Pages of a long list: a cursor is where the last page ended, so nothing is skipped while rows are being added."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from trueup.core.errors import Refusal, Refused

LIMIT_MAX = 200
Limit = Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page. next: cursor of the following page, None at the end.

    capped: the search matched more than it looks through; a longer search text finds the rest.
    """

    items: tuple[T, ...]
    next: str | None = None
    capped: bool = False


def write_cursor(*position: datetime | Decimal | str | int) -> str:
    """Return an opaque cursor for a position in a sort order."""
    text = msgspec.json.encode([part.isoformat() if isinstance(part, datetime) else str(part) for part in position])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def read_cursor(cursor: str, kinds: Sequence[type[Any]]) -> list[Any]:
    """Return the position in a cursor, as these types. Raises Refused for a text that `write_cursor` did not make."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = msgspec.json.decode(base64.b64decode(padded.encode(), altchars=b"-_", validate=True), type=list[str])
        if len(parts) != len(kinds) or "\0" in "".join(parts):
            raise ValueError("another list's cursor")
        return [_read(kind, part) for kind, part in zip(kinds, parts, strict=True)]
    except (ValueError, ArithmeticError, binascii.Error, msgspec.DecodeError):
        raise Refused(
            Refusal(
                "read.cursor",
                "This cursor was not given out for this list.",
                "Send the `next` of the page before, with the same filters; or leave it out to start anew.",
                "cursor",
                cursor[:200],
            )
        ) from None


def page_of(rows: Sequence[T], limit: int, cursor_of: Callable[[T], str], *, capped: bool = False) -> Page[T]:
    """Return the page of at most `limit` rows out of `limit + 1` that were read."""
    more = len(rows) > limit
    items = tuple(rows[:limit])
    return Page(items=items, next=cursor_of(items[-1]) if more and items else None, capped=capped)


def bounded(limit: int) -> int:
    """Return the number of rows to read, between 1 and LIMIT_MAX."""
    return max(1, min(limit, LIMIT_MAX))


def prefix_range(text: str) -> tuple[str, str]:
    """Return the half-open range of all texts that begin with `text`, in the byte order of collation C."""
    return text, text + "\U0010ffff"


def _read(kind: type[Any], part: str) -> Any:
    if kind is datetime:
        moment = datetime.fromisoformat(part)
        if moment.tzinfo is None:
            raise ValueError("a time without a zone")
        return moment
    if kind is Decimal:
        number = Decimal(part)
        if not number.is_finite():
            raise ValueError("not a number")
        return number
    return kind(part)
