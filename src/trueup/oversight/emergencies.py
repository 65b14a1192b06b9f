"""Emergencies that nobody reviewed in time: rolled back where that harms no order, else left in force at a price."""

from __future__ import annotations

from datetime import datetime

from trueup.authority.apply import EscalateChange, RevertChange
from trueup.authority.change_control import ChangeControl
from trueup.authority.change_due import unreviewed
from trueup.authority.changes_state import Change
from trueup.authority.read import in_force
from trueup.authority.standing import SYSTEM
from trueup.core.batch import House
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.verb import Command
from trueup.oversight.change_impact import replacing
from trueup.oversight.impact import harmed_by

_NAMED_MAX = 20


async def settle_emergencies(url: str, house: House, door: Door, now: datetime) -> int:
    """Submit what becomes of each emergency whose review is overdue; return how many there were."""
    connection = await connect(url, default_transaction_read_only="on")
    try:
        control = await in_force(connection, ChangeControl)
        overdue = await unreviewed(connection, now, control.review_hours)
    finally:
        await connection.close()
    commands: list[tuple[str, Command]] = []
    for found, position in overdue:
        why = await _why_not_back(url, house, control, found, position, now)
        command: Command = (
            EscalateChange(change=found.id, reason=why)
            if why
            else RevertChange(change=found.id, reason=f"not reviewed within {control.review_hours} hours")
        )
        commands.append((f"due/emergency/{found.id}", command))
    await door.submit_all(SYSTEM, commands)
    return len(commands)


async def _why_not_back(
    url: str, house: House, control: ChangeControl, found: Change, position: int, now: datetime
) -> str:
    """Return why it is not rolled back by itself: a blackout, an effect nobody can replay, or orders it would harm."""
    blackout = control.blackout(found.objects, now)
    if blackout is not None:
        return f"the blackout {blackout.name} lasts until {blackout.until.isoformat()}"
    replacements = replacing(house, found.inverse or ())
    if isinstance(replacements, str):
        return f"what rolling it back does cannot be replayed: {replacements}"
    harmed = await harmed_by(url, house, replacements.documents, position, replacements.adopting)
    if not harmed:
        return ""
    return f"rolling it back would make {len(harmed)} orders worse: {', '.join(harmed[:_NAMED_MAX])}"
