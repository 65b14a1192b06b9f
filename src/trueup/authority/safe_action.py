"""What is to happen by itself: the safe actions of cases whose last rung was reached while nobody acted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trueup.authority.for_case import SAFE_MAX, TakeSafeAction
from trueup.cases.ladder import Ladder, SafeAction
from trueup.core import json
from trueup.core.carry import Carried
from trueup.core.database import Connection
from trueup.core.verb import Command

AT_ONCE = 100


async def due_safe_actions(connection: Connection, now: datetime) -> Sequence[tuple[str, Command]]:
    """Return a command for each open case that stands on its last rung without an act, where the ladder agreed one.

    Its key names case, round and rung, so that it is carried out once. The command's rule asks the ladder again.
    """
    rows = await connection.execute(
        "select name, version, document from policy where kind = %s order by name, version", [Ladder.kind]
    )
    commands: list[tuple[str, Command]] = []
    for name, version, document in await rows.fetchall():
        for severity, steps in json.decode(bytes(document), Ladder).severities.items():
            last = steps.rungs[-1].safe_action
            if last is not None:
                commands += await _cases_under(connection, now, (name, version, severity), len(steps.rungs), last)
    return commands


async def _cases_under(
    connection: Connection, now: datetime, under: tuple[str, int, int], rung: int, action: SafeAction
) -> list[tuple[str, Command]]:
    rows = await connection.execute(
        """select c.id, c.reopened, array(
            select s.subject from case_subject s where s.case_id = c.id and s.subject_type = %s order by 1 limit %s)
        from cases c join case_watch w on w.case_id = c.id
        where c.ladder = %s and c.ladder_version = %s and c.severity = %s and c.closed_at is null
            and c.acted_at is null and w.rungs[%s] <= %s order by c.id limit %s""",
        [action.subjects, SAFE_MAX, *under, rung, now, AT_ONCE],
    )
    return [
        (
            f"{case}/{round_}/rung/{rung}/{len(subjects)}",
            TakeSafeAction(
                case=case, rung=rung, acts=tuple(Carried(action.verb, action.filled(subject)) for subject in subjects)
            ),
        )
        for case, round_, subjects in await rows.fetchall()
        if subjects
    ]
