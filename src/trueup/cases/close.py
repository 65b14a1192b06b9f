"""Close a case: with its root cause, and only after something was done about it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trueup.cases.act import find_open
from trueup.cases.case import CaseClosed
from trueup.cases.ladder import RootCauses
from trueup.cases.state import Cases
from trueup.core.errors import Refusal
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb


class CloseCase(Command, frozen=True, kw_only=True):
    """End a case. root_cause: one of the policy `root_causes`, by which money is counted. note: how it was settled."""

    case: str
    root_cause: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    note: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


def close_case(state: State, command: CloseCase, context: Context) -> Decision:
    """Close the case under a category of the list in force, which stays on it with the list's version.

    Refuses one that nobody acted on, since closing is not a way to stop a clock, and a category that is not listed.
    """
    case = find_open(state, command.case)
    if isinstance(case, Refusal):
        return case
    if case.acted_at is None:
        return Refusal(
            "cases.not_acted",
            f"Nothing was done about case {case.id} yet.",
            "Act on it first, naming the effect; then close it with its root cause.",
            "case",
            case.id,
        )
    listed = [cause.name for cause in context.policies.get(RootCauses).causes]
    if command.root_cause not in listed:
        return Refusal(
            "cases.root_cause",
            f"{command.root_cause!r} is not a root cause of the list in force.",
            f"Use one of: {', '.join(listed)}.",
            "root_cause",
            command.root_cause,
        )
    version = context.policies.version(RootCauses)
    event = CaseClosed(
        case=case.id, root_cause=command.root_cause, root_cause_version=version, note=command.note, at=context.now
    )
    return Accepted([event], case.id, {"case": case.id})


VERBS = (
    Verb(
        name="cases.close",
        command=CloseCase,
        decide=close_case,
        wants=lambda state, command, policies: state.of(Cases).want(command.case),
        touches=lambda command: (command.case,),
    ),
)
