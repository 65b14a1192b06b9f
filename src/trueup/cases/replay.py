"""A case as the journal alone tells it: folded from its events up to a moment, and where it stood then."""

from __future__ import annotations

from datetime import datetime

import msgspec

from trueup.cases.case import EVENTS, Case, CaseGrew, CaseTookOver, folded
from trueup.cases.standing import CaseState, stands
from trueup.core import journal, json
from trueup.core.database import Connection
from trueup.core.policy import Policies

_KINDS = {kind.name: kind for kind in EVENTS}
_PAGE = 1000


class AsOf(msgspec.Struct, frozen=True):
    """At which moment; without it, now."""

    at: datetime | None = None


async def replayed(connection: Connection, case: str, at: datetime) -> Case | None:
    """Return a case as its events up to a moment tell it; None where none had happened."""
    found: Case | None = None
    subjects: set[tuple[str, str]] = set()
    for row in await _rows(connection, case):
        if row.at > at or row.kind != "e" or row.name not in _KINDS:
            continue
        event = json.decode(row.body, _KINDS[row.name])
        found = folded(found, event)
        if isinstance(event, CaseGrew):
            subjects |= {(subject.type, subject.id) for subject in event.subjects}
        elif isinstance(event, CaseTookOver):
            subjects |= await _grown(connection, event.merged, row.position)
    if found is None:
        return None
    return msgspec.structs.replace(found, subjects=0 if found.merged_into is not None else len(subjects))


async def standing_at(connection: Connection, case: str, at: datetime, policies: Policies) -> CaseState | None:
    """Return where a case stood at a moment, by the journal; None where it was not opened yet."""
    found = await replayed(connection, case, at)
    return stands(found, policies, at) if found is not None else None


async def _grown(connection: Connection, case: str, upto: int) -> set[tuple[str, str]]:
    """Return what a case concerned when it was merged: its own subjects, and those of cases merged into it."""
    subjects: set[tuple[str, str]] = set()
    for row in await _rows(connection, case):
        if row.position > upto:
            break
        if row.kind == "e" and row.name == CaseGrew.name:
            event = json.decode(row.body, CaseGrew)
            subjects |= {(subject.type, subject.id) for subject in event.subjects}
        elif row.kind == "e" and row.name == CaseTookOver.name:
            subjects |= await _grown(connection, json.decode(row.body, CaseTookOver).merged, row.position)
    return subjects


async def _rows(connection: Connection, case: str) -> list[journal.Recorded]:
    rows: list[journal.Recorded] = []
    while page := await journal.read(connection, rows[-1].position if rows else 0, _PAGE, subject=case):
        rows += page
        if len(page) < _PAGE:
            break
    return rows
