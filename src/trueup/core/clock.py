"""Time as an argument: the system's clock, and one that is turned by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Anything that tells the time, in UTC."""

    def now(self) -> datetime:
        """Return the current time with zone UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time with zone UTC."""
        return datetime.now(UTC)


class TurnedClock:
    """A clock that moves only when it is turned; for tests and the sandbox."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock's start needs a zone: use datetime(..., tzinfo=UTC)")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the time the clock was last turned to."""
        return self._now

    def turn(self, by: timedelta) -> None:
        """Move the clock forward. Raises ValueError when asked to go back."""
        if by < timedelta(0):
            raise ValueError("time does not run backwards")
        self._now += by
