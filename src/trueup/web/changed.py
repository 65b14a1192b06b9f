"""Tell whoever was too late what changed meanwhile: the refusal of an old version, with the journal's answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from trueup.core.database import Connection
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.verb import Actor, Command, Outcome
from trueup.orders.read_holds import read_changes
from trueup.orders.version import RULE

if TYPE_CHECKING:
    from trueup.web.site import Site


async def explained(site: Site, command: Command, outcome: Outcome) -> Outcome:
    """Return the outcome; where an order changed since the caller read it, with each change, who made it, and when.

    Rules know no journal, so that what happened since is added here, on the way out.
    """
    if not _is_late(command, outcome):
        return outcome
    actors = (await site.access.standing()).actors
    async with site.reading() as connection:
        return await explained_by(connection, actors, command, outcome)


async def explained_by(
    connection: Connection, actors: Mapping[str, Actor], command: Command, outcome: Outcome
) -> Outcome:
    """Return the outcome as `explained` does, read in this session."""
    refusal = outcome.refusal
    if refusal is None or not _is_late(command, outcome):
        return outcome
    changes = await read_changes(connection, getattr(command, "order", ""), int(refusal.value))
    details = []
    for change in changes:
        entry = change.entry
        who = actors[entry.actor].name if entry.actor in actors else entry.actor
        reason = entry.body.get("reason")
        what = f"{entry.name} by {who} at {entry.at:%Y-%m-%d %H:%M:%S} UTC" + (f": {reason}" if reason else "")
        details.append(RefusalDetail(f"version {change.version}", entry.name, what))
    told = "; ".join(detail.what for detail in details[:3])
    more = f" Since then: {told}." if told else " No order of ours ever had that version."
    explained_refusal = Refusal(
        refusal.rule, refusal.what + more, refusal.fix, refusal.where, refusal.value, tuple(details)
    )
    return msgspec.structs.replace(outcome, refusal=explained_refusal)


def _is_late(command: Command, outcome: Outcome) -> bool:
    refusal = outcome.refusal
    named = isinstance(getattr(command, "order", None), str)
    return refusal is not None and refusal.rule == RULE and named and refusal.value.isdecimal()
