"""What happened to one thing, oldest first: the journal's rows about it, with their bodies opened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from trueup.core import journal
from trueup.core.database import Connection
from trueup.core.paging import bounded


class Entry(msgspec.Struct, frozen=True):
    """One row of the journal for people. kind: `command` or `event`. body: its fields; personal ones are references."""

    position: int
    at: datetime
    kind: str
    name: str
    subject: str
    actor: str
    body: dict[str, Any]


async def about(connection: Connection, subject: str, after: int = 0, limit: int = 100) -> tuple[Entry, ...]:
    """Return up to `limit` rows about a subject past a position, oldest first."""
    rows = await journal.read(connection, after, bounded(limit), subject=subject)
    return tuple(entry_of(row) for row in rows)


def entry_of(row: journal.Recorded) -> Entry:
    """Open one row of the journal."""
    kind = "command" if row.kind == "c" else "event"
    return Entry(row.position, row.at, kind, row.name, row.subject, row.actor, msgspec.json.decode(bytes(row.body)))
