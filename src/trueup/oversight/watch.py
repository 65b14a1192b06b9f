"""After a change: its indicators are watched, and where they turn for the worse its rollback is proposed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from trueup.authority.change_control import ChangeControl
from trueup.authority.change_read import change
from trueup.authority.changes_state import Change
from trueup.authority.propose import ProposeChange
from trueup.authority.read import in_force
from trueup.core.database import Connection
from trueup.core.verb import Command
from trueup.oversight.indicators import Reading, has_turned, read_indicators


class Watched(msgspec.Struct, frozen=True):
    """One indicator of a change: over as long before it was applied, and since."""

    indicator: str
    before: Reading
    after: Reading
    turned: bool


async def watched(connection: Connection, found: Change, now: datetime, hours: int) -> tuple[Watched, ...]:
    """Return how the indicators that a change named stand, for at most so many hours after it was applied."""
    if found.applied_at is None or not found.indicators:
        return ()
    until = min(now, found.reverted_at or now, found.applied_at + timedelta(hours=hours))
    span = max(until - found.applied_at, timedelta(hours=1))
    before = await read_indicators(connection, found.indicators, found.applied_at - span, found.applied_at)
    after = await read_indicators(connection, found.indicators, found.applied_at, until)
    return tuple(Watched(b.indicator, b, a, has_turned(b, a)) for b, a in zip(before, after, strict=True))


async def due_rollbacks(connection: Connection, now: datetime) -> Sequence[tuple[str, Command]]:
    """Return the proposals to roll back changes whose indicators turned, one per change."""
    control = await in_force(connection, ChangeControl)
    rows = await connection.execute(
        """select id from change where status = 'applied' and cardinality(indicators) > 0
            and applied_at > %s order by applied_at limit 100""",
        [now - timedelta(hours=control.watch_hours)],
    )
    due: list[tuple[str, Command]] = []
    for (id_,) in await rows.fetchall():
        known = await change(connection, id_)
        if known is None or known[0].inverse is None:
            continue
        found = known[0]
        turned = [one for one in await watched(connection, found, now, control.watch_hours) if one.turned]
        if turned:
            due.append((id_, _rollback(found, turned)))
    return due


def _rollback(found: Change, turned: Sequence[Watched]) -> ProposeChange:
    said = "; ".join(f"{one.after}, before it {one.before}" for one in turned)
    return ProposeChange(
        title=f"Roll back: {found.title}"[:120],
        reason=f"Since {found.id} was applied: {said}.",
        edits=found.inverse or (),
    )
