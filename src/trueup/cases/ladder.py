"""When a case is due, as a pure function of its events and the ladder policy."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from trueup.core.policy import Policy


class Ladder(Policy, frozen=True, kw_only=True):
    """Hours until somebody must have acted, by severity 1 (worst) to 4. Source: DESIGN section 3, 24/48/72 hours."""

    kind: ClassVar[str] = "ladder"
    hours: dict[int, int] = msgspec.field(default_factory=lambda: {1: 1, 2: 24, 3: 48, 4: 72})

    def __post_init__(self) -> None:
        """Raise ValueError for a severity without hours, one there is not, and hours that are none."""
        if sorted(self.hours) != [1, 2, 3, 4] or min(self.hours.values()) < 1:
            raise ValueError("hours names each severity from 1 to 4, and at least one hour for each")


def due_at(opened_at: datetime, severity: int, ladder: Ladder) -> datetime:
    """Return when an action with an effect is due; acknowledging or commenting does not move it."""
    return opened_at + timedelta(hours=ladder.hours[severity])


def is_overdue(due: datetime, acted_at: datetime | None, closed_at: datetime | None, now: datetime) -> bool:
    """Tell whether nobody acted in time: not acted, or acted after the due time; only closing ends it."""
    return closed_at is None and (acted_at is None or acted_at > due) and now > due
