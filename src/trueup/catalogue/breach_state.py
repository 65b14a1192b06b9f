"""The breaches' rows in one batch, and the one function that says whether a containment holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from trueup.cases.case import CaseActed
from trueup.catalogue.contract import UNIQUE_FIELDS, Containment, EntityName
from trueup.core.verb import Batch, Event, Loading, Rebuilt, Rows, Slice, Statement, Takes

Ended = Literal["passed", "withdrawn"]


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """One key that fails one rule, from when it fired. subject: id of the row; key: what people call it.

    detail: what failed, with the value. due_at: by when corrective measures must be initiated, as the contract had it.
    initiated_at: the first act with an effect on its case since. told_at: when a worker noticed that the containment
    applies. released_until: a person lifted it until then. ended_at: the rule passed, or was withdrawn.
    """

    id: str
    contract: str
    rule: str
    entity: EntityName
    subject: str
    key: str
    detail: str
    case_id: str
    containment: Containment
    since: datetime
    due_at: datetime
    initiated_at: datetime | None = None
    told_at: datetime | None = None
    released_until: datetime | None = None
    ended_at: datetime | None = None
    ended_by: Ended | None = None


def bites(breach: Breach, now: datetime) -> bool:
    """Tell whether the containment agreed beforehand holds at a time: due, nothing initiated by then, not lifted.

    A pure function of events and time: whether a worker was there to say so changes nothing.
    """
    in_time = breach.initiated_at is not None and breach.initiated_at <= breach.due_at
    lifted = breach.released_until is not None and now < breach.released_until
    return breach.containment != "none" and breach.ended_at is None and now >= breach.due_at and not (in_time or lifted)


class RuleFired(Event, frozen=True, kw_only=True):
    """A contract's rule failed on keys it had not failed on before; all of one case."""

    name = "catalogue.rule_fired"
    about = "case"
    case: str
    version: int
    breaches: tuple[Breach, ...]


class RulePassed(Event, frozen=True, kw_only=True):
    """A rule that had fired passes on the same keys, or was withdrawn from its contract; containment ends with it."""

    name = "catalogue.rule_passed"
    about = "case"
    case: str
    breaches: tuple[str, ...]
    subjects: tuple[str, ...]
    how: Ended
    at: datetime


class Contained(Event, frozen=True, kw_only=True):
    """It was noticed that a containment holds, since `since`."""

    name = "catalogue.contained"
    about = "case"
    case: str
    breaches: tuple[str, ...]
    subjects: tuple[str, ...]
    since: datetime
    at: datetime


class ContainmentReleased(Event, frozen=True, kw_only=True):
    """A person lifted a containment until a time. Since it is lifted by overrides, it only stands in older journals."""

    name = "catalogue.containment_released"
    about = "case"
    case: str
    breaches: tuple[str, ...]
    subjects: tuple[str, ...]
    until: datetime
    reason: str
    at: datetime


EVENTS = (RuleFired, RulePassed, Contained, ContainmentReleased)
COLUMNS = ", ".join(Breach.__struct_fields__)
_OF_KEYS = f"""select {COLUMNS} from breach
    where ended_at is null and contract = any(%s::text[]) and subject = any(%s::text[]) order by id"""
_OF_CASES = f"select {COLUMNS} from breach where ended_at is null and case_id = any(%s::text[]) order by id limit %s"
_BARS = f"""select {COLUMNS} from breach
    where ended_at is null and containment in ('quarantine_item', 'not_for_parcel') and subject = any(%s::text[])
    union all
    select {COLUMNS} from breach where ended_at is null and containment = 'quarantine_location' order by id"""
_OPEN = """select c.id, count(b.id) from cases c
    left join breach b on b.case_id = c.id and b.ended_at is null
    where (c.closed_at is null and c.cause = any(%s::text[])) or c.id = any(%s::text[]) group by c.id"""
_WRITTEN = """(select max(j.at) from journal j
    where j.subject = {id} and j.kind = 'e' and j.name like 'catalogue.%%')"""
_TWINS = f"""select i.id, {_WRITTEN.format(id="i.id")}, array_remove(array[
        case when i.gtin is not null and exists (select from item o where o.gtin = i.gtin and o.id <> i.id)
             then 'gtin' end,
        case when exists (select from item o where o.name = i.name and o.id <> i.id
             and to_tsvector('simple', o.name) @@ plainto_tsquery('simple', i.name)) then 'name' end], null)
    from item i where i.id = any(%s::text[])
    union all
    select l.id, {_WRITTEN.format(id="l.id")}, array_remove(array[
        case when exists (select from location o where o.name = l.name and o.id <> l.id) then 'name' end], null)
    from location l where l.id = any(%s::text[])
    union all
    select r.id, {_WRITTEN.format(id="r.id")}, array_remove(array[
        case when r.gln is not null and exists (select from partner o where o.gln = r.gln and o.id <> r.id)
             then 'gln' end,
        case when exists (select from partner o where o.name = r.name and o.id <> r.id) then 'name' end], null)
    from partner r where r.id = any(%s::text[])"""
OF_CASE_MAX = 5000
assert UNIQUE_FIELDS == {
    "item": ("gtin", "name"), "location": ("name",), "partner": ("gln", "name")
}, "the query above looks for these"  # fmt: skip


class Breaches(Slice):
    """Breaches a batch needs: of keys under a contract, of a case, or those that keep items from allocation."""

    late = True

    def __init__(self) -> None:
        self._contracts: set[str] = set()
        self._subjects: set[str] = set()
        self._causes: set[str] = set()
        self._cases: set[str] = set()
        self._items: set[str] = set()
        self._bars = False
        self.breaches: dict[str, Breach] = {}
        self._by_subject: dict[str, set[str]] = {}
        self._by_case: dict[str, set[str]] = {}
        self._open: dict[str, int] = {}
        self.written: dict[str, tuple[datetime | None, frozenset[str]]] = {}
        self._new: set[str] = set()
        self._changed: set[str] = set()
        self._acts: dict[str, datetime] = {}

    def want_keys(self, contract: str, causes: Iterable[str], subjects: Iterable[str]) -> None:
        """Ask for the open breaches of a contract on these rows, when they were written, and what they share."""
        self._contracts.add(contract)
        self._causes.update(causes)
        self._subjects.update(subjects)

    def want_case(self, case: str) -> None:
        """Ask for a case's open breaches, and how many there are."""
        self._cases.add(case)

    def want_bars(self, *items: str) -> None:
        """Ask what keeps items (ids) from being allocated, and which locations take nothing more."""
        self._items.update(items)
        self._bars = True

    def open_on(self, contract: str, subject: str) -> dict[str, Breach]:
        """Return a row's open breaches of a contract, by rule."""
        found = (self.breaches[id_] for id_ in self._by_subject.get(subject, ()))
        return {b.rule: b for b in found if b.contract == contract and b.ended_at is None}

    def of_case(self, case: str) -> list[Breach]:
        """Return the open breaches of a case that were loaded, by id."""
        found = (self.breaches[id_] for id_ in sorted(self._by_case.get(case, ())))
        return [b for b in found if b.ended_at is None]

    def open_count(self, case: str) -> int:
        """Return how many breaches of a case are open."""
        return self._open.get(case, 0)

    def bars(self, subject: str, now: datetime, kinds: Collection[Containment]) -> Iterator[Breach]:
        """Yield the breaches whose containment, of these kinds, holds an item or location (id) back now, by id."""
        found = (self.breaches[id_] for id_ in sorted(self._by_subject.get(subject, ())))
        return (b for b in found if b.containment in kinds and bites(b, now))

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read what was wanted; a rule's case is locked before, so that one batch at a time changes its breaches."""
        subjects, contracts = sorted(self._subjects), sorted(self._contracts)
        causes, cases, items, bars = sorted(self._causes), sorted(self._cases), sorted(self._items), self._bars
        self._bars = False
        for wanted in (self._subjects, self._contracts, self._causes, self._cases, self._items):
            wanted.clear()
        statements = []
        if contracts:
            statements += [Statement(_OF_KEYS, [contracts, subjects]), Statement(_TWINS, [subjects] * 3)]
        if causes or cases:
            statements.append(Statement(_OPEN, [causes, cases]))
        if cases:
            statements.append(Statement(_OF_CASES, [cases, OF_CASE_MAX]))
        if bars:
            statements.append(Statement(_BARS, [items]))
        if not statements:
            return
        answers = iter((yield statements))
        if contracts:
            self._take(next(answers))
            self.written.update({id_: (at, frozenset(twins)) for id_, at, twins in next(answers)})
        if causes or cases:
            self._open.update(dict(next(answers)))
        for rows in answers:
            self._take(rows)

    def _take(self, rows: Rows) -> None:
        for row in rows:
            self._keep(Breach(**dict(zip(Breach.__struct_fields__, row, strict=True))))

    def _keep(self, breach: Breach) -> None:
        self.breaches[breach.id] = breach
        self._by_subject.setdefault(breach.subject, set()).add(breach.id)
        self._by_case.setdefault(breach.case_id, set()).add(breach.id)

    def takes(self) -> Takes:
        """Take a breach's event in, and an act on its case."""
        return {
            RuleFired: self._fired,
            RulePassed: self._passed,
            Contained: lambda e: self._change(e.breaches, told_at=e.at),
            ContainmentReleased: lambda e: self._change(e.breaches, released_until=e.until),
            CaseActed: self._acted,
        }

    def _fired(self, event: RuleFired) -> None:
        for breach in event.breaches:
            self._keep(breach)
            self._new.add(breach.id)
        self._open[event.case] = self._open.get(event.case, 0) + len(event.breaches)

    def _passed(self, event: RulePassed) -> None:
        self._change(event.breaches, ended_at=event.at, ended_by=event.how)
        self._open[event.case] = self._open.get(event.case, 0) - len(event.breaches)

    def _acted(self, event: CaseActed) -> None:
        """Note the act on every open breach of the case; those that were not loaded are found when it is written."""
        self._acts.setdefault(event.case, event.at)
        for breach in self.of_case(event.case):
            if breach.initiated_at is None:
                self._change((breach.id,), initiated_at=event.at)

    def _change(self, ids: Iterable[str], **values: Any) -> None:
        for id_ in ids:
            self.breaches[id_] = msgspec.structs.replace(self.breaches[id_], **values)
            self._changed.add(id_)

    def rebuilt(self) -> list[Rebuilt]:
        """Return the breaches."""
        names = Breach.__struct_fields__[1:]
        rows = {(b.id,): tuple(getattr(b, name) for name in names) for b in self.breaches.values()}
        return [Rebuilt("breach", f"select id, {', '.join(names)} from breach", rows)]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the upsert of what changed, and the acts on breaches that were not loaded."""
        statements = []
        rows = [self.breaches[id_] for id_ in sorted(self._new | self._changed)]
        if rows:
            statements.append(_upsert(rows))
        if self._acts:
            cases = sorted(self._acts)
            statements.append(
                Statement(
                    """update breach b set initiated_at = a.at
                    from unnest(%s::text[], %s::timestamptz[]) as a (case_id, at)
                    where b.case_id = a.case_id and b.ended_at is null and b.initiated_at is null and b.since <= a.at
                        and b.id <> all(%s::text[])""",
                    [cases, [self._acts[case] for case in cases], [row.id for row in rows]],
                )
            )
        return statements


def _upsert(rows: list[Breach]) -> Statement:
    columns: list[list[Any]] = [[getattr(row, name) for row in rows] for name in Breach.__struct_fields__]
    return Statement(
        f"""insert into breach ({COLUMNS})
        select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
            %s::timestamptz[], %s::timestamptz[], %s::text[])
        on conflict (id) do update set initiated_at = coalesce(excluded.initiated_at, breach.initiated_at),
            told_at = excluded.told_at,
            released_until = excluded.released_until, ended_at = excluded.ended_at, ended_by = excluded.ended_by""",
        columns,
    )
