"""Open a case, or let the open one of the same cause grow."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from trueup.cases.case import (
    SUBJECTS_PER_EVENT_MAX,
    Case,
    CaseGrew,
    CaseOpened,
    CaseReopened,
    CaseSubject,
)
from trueup.cases.ladder import Ladder, ladder_for
from trueup.cases.standing import documents_of, first_rung_at
from trueup.cases.state import Cases
from trueup.core.calendars import WorkCalendar
from trueup.core.errors import Refusal
from trueup.core.money import Amount, is_currency
from trueup.core.quantity import ZERO
from trueup.core.verb import Accepted, Command, Context, Decision, Event, State, Verb


class OpenCase(Command, frozen=True, kw_only=True):
    """Report what went wrong.

    cause: what is wrong with what, e.g. `migration:legacy:duplicate_row`; one open case per cause.
    severity: 1 (worst) to 4. owner_role: who must act. price_per_hour: what it costs while nobody does, in `currency`.
    source: where its numbers come from, as plain data.
    """

    cause: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    severity: Annotated[int, msgspec.Meta(ge=1, le=4)]
    owner_role: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    price_per_hour: Amount = Amount(0)
    currency: str = "EUR"
    subjects: Annotated[tuple[CaseSubject, ...], msgspec.Meta(max_length=SUBJECTS_PER_EVENT_MAX)] = ()
    source: dict[str, Any] = msgspec.field(default_factory=dict)


def open_case(state: State, command: OpenCase, context: Context) -> Decision:
    """Open a case for the cause, or add its subjects to the one that is open; one closed lately opens again.

    Refuses an unknown currency and a price below zero.
    """
    if command.price_per_hour < 0:
        return Refusal("cases.price", "A price per hour is zero or more.", "Leave it out where it is not known.",
                       "price_per_hour", str(command.price_per_hour))  # fmt: skip
    if not is_currency(command.currency):
        return Refusal("cases.currency", f"{command.currency!r} is not a currency.", "Use an ISO 4217 code.",
                       "currency", command.currency)  # fmt: skip
    events = case_events(
        state,
        context,
        cause=command.cause,
        kind=command.kind,
        title=command.title,
        severity=command.severity,
        owner_role=command.owner_role,
        subjects=command.subjects,
        price_per_hour=command.price_per_hour,
        currency=command.currency,
        source=command.source or None,
    )
    case = events[-1].subject
    return Accepted(events, case, {"case": case, "opened": isinstance(events[0], CaseOpened),
                                   "reopened": isinstance(events[0], CaseReopened)})  # fmt: skip


def case_events(
    state: State,
    context: Context,
    *,
    cause: str,
    kind: str,
    title: str,
    severity: int,
    owner_role: str,
    subjects: Sequence[CaseSubject],
    price_per_hour: Decimal = ZERO,
    currency: str = "EUR",
    source: dict[str, Any] | None = None,
) -> list[Event]:
    """Return the events that open a case or let it grow: the one function through which any room reports trouble.

    A case of the same cause that was closed within the ladder's days of recurrence opens again, with its history; the
    one that it was merged into grows instead of it. The caller's verb must have asked for the cause
    (`Cases.want_cause`) before loading.
    """
    cases = state.of(Cases)
    known = cases.open_for(cause)
    events: list[Event] = []
    if known is None:
        known = cases.recent_for(cause, context.now, context.policies)
        if known is None:
            opened = _opening(context, cause, kind, title, severity, owner_role, price_per_hour, currency, source)
            events.append(opened)
            if subjects:
                events.append(CaseGrew(case=opened.case.id, subjects=tuple(subjects), at=context.now))
            return events
        events.append(_reopening(known, context))
    priced = price_per_hour if source is not None or price_per_hour else None
    events.append(CaseGrew(case=known.id, subjects=tuple(subjects), at=context.now, price_per_hour=priced,
                           source=source))  # fmt: skip
    return events


def _opening(
    context: Context, cause: str, kind: str, title: str, severity: int, owner_role: str, price: Decimal, currency: str,
    source: dict[str, Any] | None,
) -> CaseOpened:  # fmt: skip
    case = Case(
        id=context.new_id("case"),
        cause=cause,
        kind=kind,
        title=title,
        severity=severity,
        owner_role=owner_role,
        opened_at=context.now,
        due_at=context.now,
        price_per_hour=price,
        currency=currency,
        source=source or {},
    )
    return CaseOpened(case=_under_documents(case, context))


def _reopening(case: Case, context: Context) -> CaseReopened:
    """Return the event that starts its clock anew, under the documents of now."""
    fresh = msgspec.structs.replace(case, clock_from=context.now, acted_at=None, closed_at=None, pauses=())
    pinned = _under_documents(fresh, context)
    return CaseReopened(
        case=case.id,
        due_at=pinned.due_at,
        ladder=pinned.ladder,
        ladder_version=pinned.ladder_version,
        calendar_version=pinned.calendar_version,
        at=context.now,
    )


def _under_documents(case: Case, context: Context) -> Case:
    """Return the case with the versions of ladder and calendar in force, and when its first rung is reached by them."""
    policies = context.policies
    name = ladder_for(policies, case.kind)
    steps = policies.get(Ladder, name).severities[case.severity]
    pinned = msgspec.structs.replace(
        case,
        ladder=name,
        ladder_version=policies.version(Ladder, name),
        calendar_version=policies.version(WorkCalendar, steps.calendar) if steps.clock == "business" else 0,
    )
    return msgspec.structs.replace(pinned, due_at=first_rung_at(pinned, *documents_of(pinned, policies)))


VERBS = (
    Verb(
        name="cases.open",
        command=OpenCase,
        decide=open_case,
        wants=lambda state, command, policies: state.of(Cases).want_cause(command.cause),
        touches=lambda command: (f"cause:{command.cause}",),
    ),
)
