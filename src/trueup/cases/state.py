"""The cases' rows in one batch: open ones by cause, any one by id, and when to look at them next."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from trueup.cases import case as case_
from trueup.cases.case import SUBJECTS_PER_EVENT_MAX as SUBJECTS_PER_EVENT_MAX
from trueup.cases.case import (
    Case,
    CaseGrew,
    CaseMerged,
    CaseOpened,
    Pause,
    folded,
)
from trueup.cases.case import CaseSubject as CaseSubject
from trueup.cases.ladder import Ladder
from trueup.cases.standing import documents_of, rung_times, stands
from trueup.core import json
from trueup.core.arrays import literal
from trueup.core.policy import Policies
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Rows, Slice, Statement, Takes

EVENTS = case_.EVENTS
# Column by column in the order of the struct, with the array type each is sent as.
TYPES = {
    "id": "text", "cause": "text", "kind": "text", "title": "text", "severity": "smallint", "owner_role": "text",
    "opened_at": "timestamptz", "due_at": "timestamptz", "price_per_hour": "numeric", "currency": "text",
    "subjects": "int", "acted_at": "timestamptz", "closed_at": "timestamptz", "root_cause": "text", "source": "text",
    "version": "int", "clock_from": "timestamptz", "ladder": "text", "ladder_version": "int",
    "calendar_version": "int", "acknowledged_at": "timestamptz", "assignee": "text", "pauses": "text",
    "snoozed_at": "timestamptz", "snoozed_until": "timestamptz", "wakes_at_subjects": "int",
    "wakes_at_price": "numeric", "merged_into": "text", "root_cause_version": "int", "reopened": "int",
    "priced_since": "timestamptz", "price_microseconds": "numeric",
}  # fmt: skip
assert tuple(TYPES) == Case.__struct_fields__
_JSON = ("source", "pauses")
_FIXED = ("id", "cause", "kind", "title", "severity", "owner_role", "opened_at")
COLUMNS = ", ".join(TYPES)
_LAST_OF = f"""with recursive last as (
    select c.id, c.merged_into from unnest(%s::text[]) w (cause) cross join lateral (
        select id, merged_into from cases where cause = w.cause order by closed_at desc nulls first limit 1) c
    union select c.id, c.merged_into from last join cases c on c.id = last.merged_into
)
select {COLUMNS} from cases where id = any(%s::text[]) or id in (select id from last) order by id"""


def case_of(row: tuple[Any, ...]) -> Case:
    """Return the case in a row of `COLUMNS`."""
    values = dict(zip(TYPES, row, strict=True))
    values["pauses"] = tuple(
        Pause(datetime.fromisoformat(rest["at"]), datetime.fromisoformat(rest["until"]), rest["reason"], rest["by"])
        for rest in values["pauses"]
    )
    return Case(**values)


class Cases(Slice):
    """Cases a batch needs, locked, since several batches may find more of one cause at once."""

    late = True

    def __init__(self) -> None:
        self._causes: set[str] = set()
        self._ids: set[str] = set()
        self.cases: dict[str, Case] = {}
        self._last: dict[str, str] = {}
        self._changed: set[str] = set()
        self._subjects: dict[tuple[str, str, str], tuple[str, datetime]] = {}
        self._moved: list[tuple[str, str]] = []
        self._effects: set[str] = set()
        self.effects: dict[str, int] = {}
        self.started: dict[str, int] = {}
        self._policies: Policies | None = None

    def want_cause(self, cause: str) -> None:
        """Ask for the last case of this cause."""
        self._causes.add(cause)

    def want(self, case: str) -> None:
        """Ask for one case."""
        self._ids.add(case)

    def want_effect(self, subject: str) -> None:
        """Ask whether, and how late in the journal, something happened to this id."""
        self._effects.add(subject)

    def open_for(self, cause: str) -> Case | None:
        """Return the open case of this cause; where it was merged into another, that one."""
        found = self._newest(cause)
        return found if found is not None and found.closed_at is None else None

    def recent_for(self, cause: str, now: datetime, policies: Policies) -> Case | None:
        """Return the case of this cause that was closed so lately that the same cause opens it again."""
        found = self._newest(cause)
        if found is None or found.closed_at is None or found.merged_into is not None:
            return None
        days = policies.at(Ladder, found.ladder, found.ladder_version).recurrence_days
        return found if now <= found.closed_at + timedelta(days=days) else None

    def _newest(self, cause: str) -> Case | None:
        id_ = self._last.get(cause)
        seen: set[str] = set()
        while id_ is not None and id_ not in seen:
            seen.add(id_)
            found = self.cases.get(id_)
            if found is None or found.merged_into is None:
                return found
            id_ = found.merged_into
        return None

    def under(self, policies: Policies) -> None:
        """Take the ladders and calendars that say when to look at a case next."""
        self._policies = policies

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read and lock the cases in the order of their ids."""
        if not self._causes and not self._ids:
            return
        causes, self._causes = sorted(self._causes), set()
        wanted, self._ids = sorted(self._ids), set()
        effects, self._effects = sorted(self._effects), set()
        statements = [Statement(_LAST_OF + (" for no key update" if lock else ""), [causes, wanted])]
        if effects:
            statements.append(
                Statement(
                    """select subject, max(position) from journal where subject = any(%s::text[]) and kind = 'e'
                    group by subject""",
                    [effects],
                )
            )
            statements.append(
                Statement(
                    """select subject, max(position) from journal where subject = any(%s::text[]) and kind = 'e'
                    and name in ('cases.opened', 'cases.reopened') group by subject""",
                    [wanted],
                )
            )
        answers = yield statements
        self._take(answers[0])
        if effects:
            self.effects.update(answers[1])
            self.started.update(answers[2])

    def _take(self, rows: Rows) -> None:
        for row in rows:
            case = case_of(row)
            if case.id in self.cases and case.id in self._changed:
                continue
            self.cases[case.id] = case
            known = self.cases.get(self._last.get(case.cause, ""))
            if known is None or _later(case, known):
                self._last[case.cause] = case.id

    def takes(self) -> Takes:
        """Take a case's event in."""
        takes: Takes = {
            kind: self._happened
            for kind in EVENTS
            if kind not in (CaseOpened, CaseGrew, CaseMerged, case_.CaseCommented)
        }
        return {**takes, CaseOpened: self._opened, CaseGrew: self._grew, CaseMerged: self._merged}

    def _opened(self, event: CaseOpened) -> None:
        opened = folded(None, event)
        assert opened is not None
        self.cases[opened.id] = opened
        self._last[opened.cause] = opened.id
        self._changed.add(opened.id)

    def _happened(self, event: Event) -> None:
        changed = folded(self.cases[event.subject], event)
        assert changed is not None
        self.cases[event.subject] = changed
        self._changed.add(event.subject)

    def _grew(self, event: CaseGrew) -> None:
        self._happened(event)
        added = 0
        for subject in event.subjects:
            key = (event.case, subject.type, subject.id)
            if key not in self._subjects:
                added += 1
                self._subjects[key] = (subject.detail, event.at)
        case = self.cases[event.case]
        self.cases[event.case] = msgspec.structs.replace(case, subjects=case.subjects + added)

    def _merged(self, event: CaseMerged) -> None:
        """Move the subjects; those that both have, the one that goes on has already."""
        self._happened(event)
        self._moved.append((event.case, event.into))
        moved = 0
        for key in [key for key in self._subjects if key[0] == event.case]:
            told = self._subjects.pop(key)
            there = (event.into, *key[1:])
            if there not in self._subjects:
                moved += 1
                self._subjects[there] = told
        ended, into = self.cases[event.case], self.cases[event.into]
        self.cases[event.case] = msgspec.structs.replace(ended, subjects=0)
        self.cases[event.into] = msgspec.structs.replace(into, subjects=into.subjects + moved)
        self._changed.add(event.into)

    def rebuilt(self) -> list[Rebuilt]:
        """Return the cases and their subjects."""
        names = [name for name in TYPES if name != "id"]
        return [
            Rebuilt(
                "case",
                f"select id, {', '.join(names)} from cases",
                {
                    (case.id,): tuple(
                        tuple(json.to_plain(case.pauses)) if name == "pauses" else getattr(case, name) for name in names
                    )
                    for case in self.cases.values()
                },
            ),
            Rebuilt(
                "case_subject",
                "select case_id, subject_type, subject, detail, at from case_subject",
                dict(self._subjects.items()),
            ),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the upserts of cases, the inserts of their new subjects, and when to look at them next."""
        if not self._changed:
            return []
        rows = [self.cases[id_] for id_ in sorted(self._changed)]
        statements = [_upsert(rows)]
        if self._subjects:
            keys = sorted(self._subjects)
            statements.append(
                Statement(
                    """insert into case_subject (case_id, subject_type, subject, detail, at)
                    select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
                    on conflict do nothing""",
                    [
                        [k[0] for k in keys], [k[1] for k in keys], [k[2] for k in keys],
                        [self._subjects[k][0] for k in keys], [self._subjects[k][1] for k in keys],
                    ],
                )
            )  # fmt: skip
        for merged, into in self._moved:
            statements += _move_subjects(merged, into)
        if self._subjects or self._moved:
            grown = {key[0] for key in self._subjects} | {case for pair in self._moved for case in pair}
            statements.append(
                Statement(
                    """update cases c set subjects = n.subjects
                    from (select w.id, count(s.case_id)::int as subjects from unnest(%s::text[]) w (id)
                          left join case_subject s on s.case_id = w.id group by w.id) n
                    where c.id = n.id and c.subjects <> n.subjects""",
                    [sorted(grown)],
                )
            )
        return [*statements, self._watch(rows, batch)]

    def _watch(self, rows: list[Case], batch: Batch) -> Statement:
        """Return the statement that says when to look next; a look that is due already stays due."""
        policies = self._policies or Policies(())
        looks = [_look_at(case, policies, batch.at) for case in rows]
        times = [literal(list(rung_times(case, *documents_of(case, policies)))) for case in rows]
        roles = [literal([case.owner_role, *(rung.role for rung in _rungs(case, policies))]) for case in rows]
        return Statement(
            """insert into case_watch (case_id, look_at, rungs, roles, price_per_hour, currency, closed, rung)
            select id, look_at, rungs::timestamptz[], roles::text[], price, currency, closed,
                   width_bucket(%s, rungs::timestamptz[])
            from unnest(%s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::numeric[], %s::text[], %s::bool[])
                 as n (id, look_at, rungs, roles, price, currency, closed)
            on conflict (case_id) do update set look_at = least(case_watch.look_at, excluded.look_at),
                rungs = excluded.rungs, roles = excluded.roles, price_per_hour = excluded.price_per_hour,
                currency = excluded.currency, closed = excluded.closed, rung = excluded.rung""",
            [
                batch.at, [case.id for case in rows], looks, times, roles, [case.price_per_hour for case in rows],
                [case.currency for case in rows], [case.closed_at is not None for case in rows],
            ],
        )  # fmt: skip


def _look_at(case: Case, policies: Policies, at: datetime) -> datetime:
    """Return when to look next: at once where somebody is to be told that it is theirs, and where the clock stopped."""
    state = stands(case, policies, at)
    if state.look_at is None or (state.response_due_at is not None and case.started_at == at):
        return at
    return state.look_at


def _rungs(case: Case, policies: Policies) -> tuple[Any, ...]:
    return documents_of(case, policies)[0].severities[case.severity].rungs


def _later(case: Case, than: Case) -> bool:
    """Tell whether one is the newer case of a cause: the open one, else the one that ended last."""
    if case.closed_at is None or than.closed_at is None:
        return case.closed_at is None
    return case.closed_at > than.closed_at


def _move_subjects(merged: str, into: str) -> list[Statement]:
    return [
        Statement(
            """insert into case_subject (case_id, subject_type, subject, detail, at)
            select %s, subject_type, subject, detail, at from case_subject where case_id = %s on conflict do nothing""",
            [into, merged],
        ),
        Statement("delete from case_subject where case_id = %s", [merged]),
    ]


def _upsert(rows: list[Case]) -> Statement:
    columns: list[list[Any]] = [[getattr(row, name) for row in rows] for name in TYPES]
    for name in _JSON:
        at = list(TYPES).index(name)
        columns[at] = [json.encode(value).decode() for value in columns[at]]
    sent = ", ".join(f"%s::{kind}[]" for kind in TYPES.values())
    taken = ", ".join(f"{name}::jsonb" if name in _JSON else name for name in TYPES)
    kept = ", ".join(f"{name} = excluded.{name}" for name in TYPES if name not in _FIXED)
    return Statement(
        f"""insert into cases ({COLUMNS}) select {taken} from unnest({sent}) as n ({COLUMNS})
        on conflict (id) do update set {kept}""",
        columns,
    )
