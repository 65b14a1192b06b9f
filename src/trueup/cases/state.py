"""The cases' rows in one batch: open ones by cause, any one by id."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from trueup.core import json
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Rows, Slice, Statement, Takes

SUBJECTS_PER_EVENT_MAX = 5000


class CaseSubject(msgspec.Struct, frozen=True):
    """What a case concerns: type (`order`, `item`, `row`...), id, and what is wrong with it."""

    type: str
    id: str
    detail: str


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One exception. price_per_hour: what it costs while nobody acts, in `currency`; subjects: how many it concerns."""

    id: str
    cause: str
    kind: str
    title: str
    severity: int
    owner_role: str
    opened_at: datetime
    due_at: datetime
    price_per_hour: Decimal
    currency: str
    subjects: int = 0
    acted_at: datetime | None = None
    closed_at: datetime | None = None
    root_cause: str | None = None
    source: dict[str, Any] = {}
    version: int = 1


class CaseOpened(Event, frozen=True, kw_only=True):
    """A cause that nobody was working on turned up."""

    name = "cases.opened"
    about = "case.id"
    case: Case


class CaseGrew(Event, frozen=True, kw_only=True):
    """More of the same cause; price and source are as of now."""

    name = "cases.grew"
    about = "case"
    case: str
    subjects: tuple[CaseSubject, ...]
    at: datetime
    price_per_hour: Decimal | None = None
    source: dict[str, Any] | None = None


class CaseActed(Event, frozen=True, kw_only=True):
    """Somebody did something whose effect the system can see: `effect` is its id."""

    name = "cases.acted"
    about = "case"
    case: str
    effect: str
    note: str
    at: datetime


class CaseCommented(Event, frozen=True, kw_only=True):
    """Somebody wrote something; no clock stops for that."""

    name = "cases.commented"
    about = "case"
    case: str
    text: str
    at: datetime


class CaseClosed(Event, frozen=True, kw_only=True):
    """The case ended, with its root cause."""

    name = "cases.closed"
    about = "case"
    case: str
    root_cause: str
    note: str
    at: datetime


EVENTS = (CaseOpened, CaseGrew, CaseActed, CaseCommented, CaseClosed)
_COLUMNS = """id, cause, kind, title, severity, owner_role, opened_at, due_at, price_per_hour, currency, subjects,
    acted_at, closed_at, root_cause, source, version"""


class Cases(Slice):
    """Cases a batch needs, locked, since several batches may find more of one cause at once."""

    late = True

    def __init__(self) -> None:
        self._causes: set[str] = set()
        self._ids: set[str] = set()
        self.cases: dict[str, Case] = {}
        self.events_of: dict[str, str] = {}
        self._open: dict[str, str] = {}
        self._changed: set[str] = set()
        self._subjects: dict[tuple[str, str, str], tuple[str, datetime]] = {}
        self._present: set[tuple[str, str, str]] = set()
        self._effects: set[str] = set()
        self.known_effects: set[str] = set()

    def want_cause(self, cause: str) -> None:
        """Ask for the open case of this cause."""
        self._causes.add(cause)

    def want(self, case: str) -> None:
        """Ask for one case."""
        self._ids.add(case)

    def want_effect(self, subject: str) -> None:
        """Ask whether the journal knows this id."""
        self._effects.add(subject)

    def open_for(self, cause: str) -> Case | None:
        """Return the open case of this cause."""
        found = self._open.get(cause)
        return self.cases[found] if found else None

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read and lock the cases in the order of their ids."""
        if not self._causes and not self._ids:
            return
        causes, self._causes = sorted(self._causes), set()
        wanted, self._ids = sorted(self._ids), set()
        effects, self._effects = sorted(self._effects), set()
        locking = " for no key update" if lock else ""
        answers = yield [
            Statement(
                f"""select {_COLUMNS} from cases
                where id = any(%s::text[]) or (closed_at is null and cause = any(%s::text[])) order by id{locking}""",
                [wanted, causes],
            ),
            Statement(
                """select distinct subject from journal where subject = any(%s::text[]) and kind = 'e'""",
                [effects],
            ),
        ]
        self._take(answers[0])
        self.known_effects = {row[0] for row in answers[1]}

    def _take(self, rows: Rows) -> None:
        for row in rows:
            case = Case(**dict(zip(Case.__struct_fields__, row, strict=True)))
            self.cases[case.id] = case
            if case.closed_at is None:
                self._open[case.cause] = case.id

    def takes(self) -> Takes:
        """Take a case's event in."""
        return {
            CaseOpened: self._opened,
            CaseGrew: self._grew,
            CaseActed: lambda e: self._change(e.case, acted_at=self.cases[e.case].acted_at or e.at),
            CaseClosed: self._closed,
        }

    def _opened(self, event: CaseOpened) -> None:
        self.cases[event.case.id] = event.case
        self._open[event.case.cause] = event.case.id
        self._changed.add(event.case.id)

    def _grew(self, event: CaseGrew) -> None:
        case = self.cases[event.case]
        added = 0
        for subject in event.subjects:
            key = (event.case, subject.type, subject.id)
            if key not in self._subjects and key not in self._present:
                added += 1
                self._subjects[key] = (subject.detail, event.at)
        self._change(
            event.case,
            subjects=case.subjects + added,
            price_per_hour=case.price_per_hour if event.price_per_hour is None else event.price_per_hour,
            source=case.source if event.source is None else event.source,
        )

    def _closed(self, event: CaseClosed) -> None:
        self._open.pop(self.cases[event.case].cause, None)
        self._change(event.case, closed_at=event.at, root_cause=event.root_cause)

    def _change(self, case: str, **values: Any) -> None:
        before = self.cases[case]
        self.cases[case] = msgspec.structs.replace(before, version=before.version + 1, **values)
        self._changed.add(case)

    def rebuilt(self) -> list[Rebuilt]:
        """Return the cases and their subjects."""
        names = [name for name in Case.__struct_fields__ if name != "id"]
        return [
            Rebuilt(
                "case",
                f"select id, {', '.join(names)} from cases",
                {(case.id,): tuple(getattr(case, name) for name in names) for case in self.cases.values()},
            ),
            Rebuilt(
                "case_subject",
                "select case_id, subject_type, subject, detail, at from case_subject",
                dict(self._subjects.items()),
            ),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the upserts of cases and the inserts of their new subjects."""
        statements = []
        if self._changed:
            rows = [self.cases[id_] for id_ in sorted(self._changed)]
            statements.append(_upsert(rows))
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
            statements.append(
                Statement(
                    """update cases c set subjects = n.subjects
                    from (select case_id, count(*)::int as subjects from case_subject
                          where case_id = any(%s::text[]) group by case_id) n
                    where c.id = n.case_id and c.subjects <> n.subjects""",
                    [sorted({k[0] for k in keys})],
                )
            )
        return statements


def _upsert(rows: list[Case]) -> Statement:
    columns: list[list[Any]] = [[getattr(row, name) for row in rows] for name in Case.__struct_fields__]
    columns[Case.__struct_fields__.index("source")] = [json.encode(row.source).decode() for row in rows]
    return Statement(
        f"""insert into cases ({_COLUMNS})
        select id, cause, kind, title, severity, owner_role, opened_at, due_at, price_per_hour, currency, subjects,
               acted_at, closed_at, root_cause, source::jsonb, version
        from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::smallint[], %s::text[], %s::timestamptz[],
                    %s::timestamptz[], %s::numeric[], %s::text[], %s::int[], %s::timestamptz[], %s::timestamptz[],
                    %s::text[], %s::text[], %s::int[])
             as n ({_COLUMNS})
        on conflict (id) do update set subjects = excluded.subjects, acted_at = excluded.acted_at,
            closed_at = excluded.closed_at, root_cause = excluded.root_cause, source = excluded.source,
            price_per_hour = excluded.price_per_hour, version = excluded.version""",
        columns,
    )
