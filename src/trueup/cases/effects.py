"""What happened since a case opened that may have been done about it: what to name when acting on the case."""

from __future__ import annotations

from trueup.core.database import Connection
from trueup.core.journal import Recorded
from trueup.core.timeline import Entry, entry_of

SUBJECTS_MAX = 500
BACK_MAX = 5_000
"""How many of the journal's last entries are looked through for somebody's own acts."""


async def effects_seen(connection: Connection, case: str, actor: str, limit: int = 25) -> tuple[Entry, ...]:
    """Return the last event of each thing that changed since the case opened, the newest first.

    Things are what the case concerns (its first 500), whoever changed them, and whatever this actor changed lately.
    Each would be accepted as the effect of an act: `cases.act` asks for an event about it since the opening.
    """
    cursor = await connection.execute(
        """select coalesce(max(position), 0), (select coalesce(max(position), 0) from journal) from journal
        where subject = %s and kind = 'e' and name in ('cases.opened', 'cases.reopened')""",
        [case],
    )
    row = await cursor.fetchone()
    assert row is not None
    opened, head = row
    rows = await connection.execute(
        """with seen as (
            (select position from (select subject from case_subject where case_id = %s order by subject limit %s) s
                cross join lateral (select position from journal j where j.subject = s.subject and j.kind = 'e'
                    and j.position > %s order by j.position desc limit 1) last)
            union
            (select max(position) from journal where position > %s and actor = %s and kind = 'e'
                and subject not like 'case\\_%%' group by subject)
        ) select position, batch, at, kind::text, name, subject, actor, body from journal join seen using (position)
        order by position desc limit %s""",
        [case, SUBJECTS_MAX, opened, max(opened, head - BACK_MAX), actor, limit],
    )
    return tuple(entry_of(Recorded(*found)) for found in await rows.fetchall())
