"""Say that a case is yours, or whose it is: that stops the response clock, and not the case's."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trueup.cases.act import find_open
from trueup.cases.case import CaseAcknowledged, CaseAssigned
from trueup.cases.state import Cases
from trueup.core.errors import Refusal
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb


class AcknowledgeCase(Command, frozen=True, kw_only=True):
    """Say that you have seen it and look after it."""

    case: str


class AssignCase(Command, frozen=True, kw_only=True):
    """Say whose it is. person: their id; without it, the one who says so takes it."""

    case: str
    person: Annotated[str, msgspec.Meta(min_length=1, max_length=80)] | None = None


def acknowledge_case(state: State, command: AcknowledgeCase, context: Context) -> Decision:
    """Stop the response clock, and no other. Once that is done it ends as merged. Refuses a closed case."""
    case = find_open(state, command.case)
    if isinstance(case, Refusal):
        return case
    if case.acknowledged_at is not None:
        return Accepted((), case.id, {"case": case.id}, "merged")
    event = CaseAcknowledged(case=case.id, by=context.actor.id, at=context.now)
    return Accepted([event], case.id, {"case": case.id})


def assign_case(state: State, command: AssignCase, context: Context) -> Decision:
    """Give the case to a person, or take it; taking it acknowledges it. Whose it is already ends as merged.

    Refuses a closed case. Who is no active person is refused by a guard, which knows who there is.
    """
    case = find_open(state, command.case)
    if isinstance(case, Refusal):
        return case
    person = command.person or context.actor.id
    result = {"case": case.id, "assignee": person}
    if case.assignee == person:
        return Accepted((), case.id, result, "merged")
    event = CaseAssigned(case=case.id, person=person, by=context.actor.id, at=context.now)
    return Accepted([event], case.id, result)


VERBS = (
    Verb(
        name="cases.acknowledge",
        command=AcknowledgeCase,
        decide=acknowledge_case,
        wants=lambda state, command, policies: state.of(Cases).want(command.case),
        touches=lambda command: (command.case,),
    ),
    Verb(
        name="cases.assign",
        command=AssignCase,
        decide=assign_case,
        wants=lambda state, command, policies: state.of(Cases).want(command.case),
        touches=lambda command: (command.case,),
    ),
)
