"""Open a case, or let the open one of the same cause grow."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from trueup.cases.ladder import Ladder, due_at
from trueup.cases.state import SUBJECTS_PER_EVENT_MAX, Case, CaseGrew, CaseOpened, Cases, CaseSubject
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
    """Open a case for the cause, or add its subjects to the one that is open.

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
        source=command.source,
    )
    case = events[-1].subject
    return Accepted(events, case, {"case": case, "opened": isinstance(events[0], CaseOpened)})


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

    The caller's verb must have asked for the cause (`Cases.want_cause`) before loading.
    """
    known = state.of(Cases).open_for(cause)
    events: list[Event] = []
    if known is None:
        ladder = context.policies.get(Ladder)
        known = Case(
            id=context.new_id("case"),
            cause=cause,
            kind=kind,
            title=title,
            severity=severity,
            owner_role=owner_role,
            opened_at=context.now,
            due_at=due_at(context.now, severity, ladder),
            price_per_hour=price_per_hour,
            currency=currency,
            source=source or {},
        )
        events.append(CaseOpened(case=known))
        if subjects:
            events.append(CaseGrew(case=known.id, subjects=tuple(subjects), at=context.now))
    else:
        events.append(
            CaseGrew(
                case=known.id,
                subjects=tuple(subjects),
                at=context.now,
                price_per_hour=price_per_hour if source is not None else None,
                source=source,
            )
        )
    return events


VERBS = (
    Verb(
        name="cases.open",
        command=OpenCase,
        decide=open_case,
        wants=lambda state, command, policies: state.of(Cases).want_cause(command.cause),
        touches=lambda command: (f"cause:{command.cause}",),
    ),
)
