"""What becomes due about changes: those scheduled are applied, and emergencies nobody reviewed are settled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trueup.authority.apply import ApplyChange
from trueup.authority.change_read import change
from trueup.authority.changes_state import Change
from trueup.core.database import Connection
from trueup.core.verb import Command


async def due_to_apply(connection: Connection, now: datetime) -> Sequence[tuple[str, Command]]:
    """Return the approved changes whose time has come, oldest first. One that is refused is tried again each hour."""
    rows = await connection.execute(
        """select id from change where effective_at <= %s
            and (status = 'approved' or (status = 'proposed' and type = 'standard'))
        order by effective_at, id limit 100""",
        [now],
    )
    return [(f"{id_}/{now:%Y-%m-%dT%H}", ApplyChange(change=id_)) for (id_,) in await rows.fetchall()]


async def unreviewed(connection: Connection, now: datetime, review_hours: int) -> list[tuple[Change, int]]:
    """Return the emergencies whose review is overdue and that nothing has settled, each with where it was applied."""
    rows = await connection.execute(
        """select c.id, (select max(position) from journal where subject = c.id and name = 'authority.change_applied')
        from change c where c.type = 'emergency' and c.status = 'applied' and c.reviewed_at is null
            and c.escalated_at is null and c.applied_at + make_interval(hours => %s) < %s
        order by c.applied_at limit 100""",
        [review_hours, now],
    )
    found = []
    for id_, position in await rows.fetchall():
        known = await change(connection, id_)
        if known is not None and position is not None:
            found.append((known[0], int(position)))
    return found
