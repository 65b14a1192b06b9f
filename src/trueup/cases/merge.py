"""Make one case part of another: its subjects, its price and what it has cost go there."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trueup.cases.act import find_open
from trueup.cases.case import Case, CaseMerged, CaseTookOver, spent_microseconds
from trueup.cases.state import Cases
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb


class MergeCase(Command, frozen=True, kw_only=True):
    """End a case as part of another. into: the id of the one that goes on. reason: why they are one."""

    case: str
    into: str
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


def merge_case(state: State, command: MergeCase, context: Context) -> Decision:
    """Move subjects and price into another open case; this one ends as merged, and its cause then belongs to the other.

    Refuses a case into itself, one that is closed, two currencies, and a merge by which it would gain time: into a less
    severe one, one that is due later, or one whose clock an act has stopped while its own runs.
    """
    case = find_open(state, command.case)
    if isinstance(case, Refusal):
        return case
    into = find_open(state, command.into)
    if isinstance(into, Refusal):
        return msgspec.structs.replace(into, where="into")
    refusal = _no_match(case, into)
    if refusal is not None:
        return refusal
    events = (
        CaseMerged(case=case.id, into=into.id, reason=command.reason, by=context.actor.id, at=context.now),
        CaseTookOver(
            case=into.id,
            merged=case.id,
            price_per_hour=case.price_per_hour,
            price_microseconds=spent_microseconds(case, context.now),
            at=context.now,
        ),
    )
    return Accepted(events, case.id, {"case": case.id, "into": into.id})


def _no_match(case: Case, into: Case) -> Refusal | None:
    if case.id == into.id:
        return Refusal(
            "cases.merge_itself", "A case is not merged into itself.", "Name the other one.", "into", into.id
        )
    if case.currency != into.currency and (case.price_per_hour or case.price_microseconds):
        return Refusal("cases.merge_currency", f"One is priced in {case.currency}, the other in {into.currency}.",
                       "Close each by itself.", "into", into.id)  # fmt: skip
    if into.severity > case.severity:
        return Refusal("cases.merge_severity", f"The other is less severe ({into.severity} and not {case.severity}).",
                       "Merge it the other way round.", "into", into.id)  # fmt: skip
    if (into.due_at > case.due_at and into.severity == case.severity) or (into.acted_at and not case.acted_at):
        return Refusal("cases.merge_gains_time", "Merged into that one, it would be due later or not at all.",
                       "Merge it the other way round.", "into", into.id)  # fmt: skip
    return None


def _wants(state: State, command: MergeCase, policies: Policies) -> None:
    state.of(Cases).want(command.case)
    state.of(Cases).want(command.into)


VERBS = (
    Verb(
        name="cases.merge",
        command=MergeCase,
        decide=merge_case,
        wants=_wants,
        touches=lambda command: (command.case, command.into),
    ),
)
