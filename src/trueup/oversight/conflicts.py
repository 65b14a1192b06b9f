"""What stands in a change's way beyond the room of authority: freezes of stock that what it touches would move."""

from __future__ import annotations

from datetime import datetime

import msgspec

from trueup.authority.change_read import ChangeDetail, Conflict, change_detail
from trueup.authority.changes_state import Change
from trueup.core.database import Connection
from trueup.core.policy import Policies
from trueup.stock import freeze_read
from trueup.stock.freeze_read import FreezeQuery

STOCK_KINDS = frozenset({"adjustment_reasons", "buffers", "count", "feed", "freeze", "readiness", "sourcing"})
"""The policies that say how stock moves: changing one while a site is frozen makes snapshot and ledger differ."""


async def change_seen(connection: Connection, change: str, policies: Policies, now: datetime) -> ChangeDetail | None:
    """Return one change with everything that stands in its way; None where there is no such change."""
    detail = await change_detail(connection, change, policies, now)
    if detail is None or detail.status not in ("proposed", "approved"):
        return detail
    found = await freezes_in_the_way(connection, detail.change, now)
    return msgspec.structs.replace(detail, conflicts=(*detail.conflicts, *found)) if found else detail


async def freezes_in_the_way(connection: Connection, change: Change, now: datetime) -> tuple[Conflict, ...]:
    """Return the freezes that are announced or hold when the change would take effect, where it touches stock."""
    if not any(one.key.partition(".")[0] in STOCK_KINDS for one in change.objects):
        return ()
    at = change.effective_at or now
    live = (await freeze_read.freezes(connection, FreezeQuery(live=True), now)).items
    return tuple(
        Conflict(
            "freeze",
            f"{one.freeze.site} is {'frozen' if one.freeze.from_at <= at else 'to be frozen'} ({one.freeze.reason}): "
            "a change of how stock moves there makes the snapshot and the ledger differ.",
            f"/freezes/{one.id}",
            one.freeze.to_at,
        )
        for one in live
        if one.freeze.to_at > at
    )
