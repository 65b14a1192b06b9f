"""A case, what can happen to it, and how it stands after each event: one pure fold, for tables and replays alike."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any, TypeVar

import msgspec

from trueup.core.quantity import ZERO
from trueup.core.verb import Event

SUBJECTS_PER_EVENT_MAX = 5000
EXACT = Context(prec=60)
"""Prices times microseconds have more digits than the usual 28."""
S = TypeVar("S", bound=msgspec.Struct)


class CaseSubject(msgspec.Struct, frozen=True):
    """What a case concerns: type (`order`, `item`, `row`...), id, and what is wrong with it."""

    type: str
    id: str
    detail: str


class Pause(msgspec.Struct, frozen=True):
    """A reasoned rest of the case's clock. It ends by itself."""

    at: datetime
    until: datetime
    reason: str
    by: str


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One exception. price_per_hour: what it costs while nobody acts, in `currency`; subjects: how many it concerns.

    clock_from: since when its clock counts; None is since it was opened, as it is for `priced_since`. ladder,
    ladder_version, calendar_version: the documents it was opened under. due_at: when its first rung is reached.
    price_microseconds: price times time up to `priced_since`, per hour and in microseconds, so that nothing is rounded
    before it is read. reopened: how often.
    """

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
    clock_from: datetime | None = None
    ladder: str = "default"
    ladder_version: int = 0
    calendar_version: int = 0
    acknowledged_at: datetime | None = None
    assignee: str | None = None
    pauses: tuple[Pause, ...] = ()
    snoozed_at: datetime | None = None
    snoozed_until: datetime | None = None
    wakes_at_subjects: int | None = None
    wakes_at_price: Decimal | None = None
    merged_into: str | None = None
    root_cause_version: int | None = None
    reopened: int = 0
    priced_since: datetime | None = None
    price_microseconds: Decimal = ZERO

    @property
    def started_at(self) -> datetime:
        """Since when its clock counts."""
        return self.clock_from or self.opened_at


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


class CasePriced(Event, frozen=True, kw_only=True):
    """What it costs per hour was computed; source: the formula and what went into it."""

    name = "cases.priced"
    about = "case"
    case: str
    price_per_hour: Decimal
    currency: str
    source: dict[str, Any]
    at: datetime


class CaseReopened(Event, frozen=True, kw_only=True):
    """The cause came back soon after the case was closed: its clock starts anew, under the documents of now."""

    name = "cases.reopened"
    about = "case"
    case: str
    due_at: datetime
    ladder: str
    ladder_version: int
    calendar_version: int
    at: datetime


class CaseAcknowledged(Event, frozen=True, kw_only=True):
    """Somebody said that it is theirs: the response clock stopped, the case's clock did not."""

    name = "cases.acknowledged"
    about = "case"
    case: str
    by: str
    at: datetime


class CaseAssigned(Event, frozen=True, kw_only=True):
    """Somebody owns it now; who took it themselves has responded, too."""

    name = "cases.assigned"
    about = "case"
    case: str
    person: str
    by: str
    at: datetime


class CasePaused(Event, frozen=True, kw_only=True):
    """Its clock rests until a time. due_at: when the first rung is reached by that."""

    name = "cases.paused"
    about = "case"
    case: str
    until: datetime
    reason: str
    by: str
    due_at: datetime
    at: datetime


class CaseSnoozed(Event, frozen=True, kw_only=True):
    """It is out of the usual list until it is worse, or until a date; its clock runs on."""

    name = "cases.snoozed"
    about = "case"
    case: str
    reason: str
    by: str
    at: datetime
    until: datetime | None = None
    wakes_at_subjects: int | None = None
    wakes_at_price: Decimal | None = None


class CaseMerged(Event, frozen=True, kw_only=True):
    """It ended as a part of another case, which has its subjects and its price from now on."""

    name = "cases.merged"
    about = "case"
    case: str
    into: str
    reason: str
    by: str
    at: datetime


class CaseTookOver(Event, frozen=True, kw_only=True):
    """Another case became part of this one: subjects, price per hour and the money it had cost so far moved here."""

    name = "cases.took_over"
    about = "case"
    case: str
    merged: str
    price_per_hour: Decimal
    price_microseconds: Decimal
    at: datetime


class CaseActed(Event, frozen=True, kw_only=True):
    """Somebody did something whose effect the system can see: `effect` is its id.

    verb, rung: of an act carried out by a rung's authority, which the person's own rights did not give.
    """

    name = "cases.acted"
    about = "case"
    case: str
    effect: str
    note: str
    at: datetime
    verb: str | None = None
    rung: int | None = None


class CaseCommented(Event, frozen=True, kw_only=True):
    """Somebody wrote something; no clock stops for that."""

    name = "cases.commented"
    about = "case"
    case: str
    text: str
    at: datetime


class CaseClosed(Event, frozen=True, kw_only=True):
    """The case ended, with its root cause out of one version of the list."""

    name = "cases.closed"
    about = "case"
    case: str
    root_cause: str
    note: str
    at: datetime
    root_cause_version: int = 0


EVENTS = (
    CaseOpened, CaseGrew, CasePriced, CaseReopened, CaseAcknowledged, CaseAssigned, CasePaused, CaseSnoozed, CaseMerged,
    CaseTookOver, CaseActed, CaseCommented, CaseClosed,
)  # fmt: skip


def folded(case: Case | None, event: Event) -> Case | None:
    """Return how a case stands after one of its events; subjects are counted by who knows which are new."""
    if isinstance(event, CaseOpened):
        return event.case
    if case is None or isinstance(event, CaseCommented):
        return case
    values = _changes(case, event)
    return msgspec.structs.replace(case, version=case.version + 1, **values)


def _changes(case: Case, event: Event) -> dict[str, Any]:
    if isinstance(event, CaseGrew):
        price = case.price_per_hour if event.price_per_hour is None else event.price_per_hour
        return {**_priced(case, event.at, price), "source": case.source if event.source is None else event.source}
    if isinstance(event, CasePriced):
        return {**_priced(case, event.at, event.price_per_hour), "source": event.source, "currency": event.currency}
    if isinstance(event, CaseReopened):
        return _reopened(case, event)
    if isinstance(event, CaseAcknowledged):
        return {"acknowledged_at": case.acknowledged_at or event.at}
    if isinstance(event, CaseAssigned):
        own = event.at if event.by == event.person else None
        return {"assignee": event.person, "acknowledged_at": case.acknowledged_at or own}
    if isinstance(event, CasePaused):
        rest = Pause(event.at, event.until, event.reason, event.by)
        return {"pauses": (*case.pauses, rest), "due_at": event.due_at}
    if isinstance(event, CaseSnoozed):
        return {"snoozed_at": event.at, "snoozed_until": event.until, "wakes_at_subjects": event.wakes_at_subjects,
                "wakes_at_price": event.wakes_at_price}  # fmt: skip
    return _endings(case, event)


def _endings(case: Case, event: Event) -> dict[str, Any]:
    if isinstance(event, CaseActed):
        return {"acted_at": case.acted_at or event.at}
    if isinstance(event, CaseClosed):
        return {**_priced(case, event.at, case.price_per_hour), "closed_at": event.at, "root_cause": event.root_cause,
                "root_cause_version": event.root_cause_version}  # fmt: skip
    if isinstance(event, CaseMerged):
        return {"price_per_hour": ZERO, "price_microseconds": ZERO, "priced_since": event.at, "closed_at": event.at,
                "merged_into": event.into}  # fmt: skip
    if isinstance(event, CaseTookOver):
        found = _priced(case, event.at, EXACT.add(case.price_per_hour, event.price_per_hour))
        return {**found, "price_microseconds": EXACT.add(found["price_microseconds"], event.price_microseconds)}
    return {}


def _reopened(case: Case, event: CaseReopened) -> dict[str, Any]:
    return {
        "clock_from": event.at, "due_at": event.due_at, "ladder": event.ladder, "ladder_version": event.ladder_version,
        "calendar_version": event.calendar_version, "acted_at": None, "closed_at": None, "root_cause": None,
        "root_cause_version": None, "acknowledged_at": None, "assignee": None, "pauses": (), "snoozed_at": None,
        "snoozed_until": None, "wakes_at_subjects": None, "wakes_at_price": None, "reopened": case.reopened + 1,
        "priced_since": event.at,
    }  # fmt: skip


def _priced(case: Case, at: datetime, price: Decimal) -> dict[str, Any]:
    return {"price_per_hour": price, "price_microseconds": spent_microseconds(case, at), "priced_since": at}


def spent_microseconds(case: Case, at: datetime) -> Decimal:
    """Return price per hour times microseconds open, exact, up to a moment; a closed case's stands still."""
    end = case.closed_at or at
    since = case.priced_since or case.opened_at
    passed = max(0, (end - since) // timedelta(microseconds=1))
    return EXACT.add(case.price_microseconds, EXACT.multiply(case.price_per_hour, Decimal(passed)))
