"""The open changes of what a page shows: they stand beside it, which stays as it is until they are applied."""

from __future__ import annotations

from trueup.authority import change_read
from trueup.authority.change_read import ChangeSummary
from trueup.core.database import Connection
from trueup.web.console.visit import Visit


async def pending_on(visit: Visit, connection: Connection, *beginnings: str) -> tuple[ChangeSummary, ...]:
    """Return the open changes of objects whose names begin so, as `policy/holds/`; none for who is confined."""
    if visit.scope is not None:
        return ()
    found: dict[str, ChangeSummary] = {}
    for beginning in beginnings:
        found.update({one.id: one for one in await change_read.pending_on(connection, beginning, visit.now)})
    return tuple(found.values())
