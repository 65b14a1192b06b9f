"""Close a case: with its root cause, and only after something was done about it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from trueup.cases.act import find_open
from trueup.cases.state import CaseClosed, Cases
from trueup.core.errors import Refusal
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb

RootCause = Literal[
    "data_definition",
    "role",
    "training",
    "change_resistance",
    "integration",
    "software",
    "partner",
    "physical",
    "unknown_accepted",
]


class CloseCase(Command, frozen=True, kw_only=True):
    """End a case. root_cause: one of the list that money is counted by. note: how it was settled."""

    case: str
    root_cause: RootCause
    note: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


def close_case(state: State, command: CloseCase, context: Context) -> Decision:
    """Close the case. Refuses one that nobody acted on: closing is not a way to stop a clock."""
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
    event = CaseClosed(case=case.id, root_cause=command.root_cause, note=command.note, at=context.now)
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
