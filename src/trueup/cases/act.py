"""Act on a case, or comment on it: only an act with an effect stops its clock."""

from __future__ import annotations

from typing import Annotated

import msgspec

from trueup.cases.case import Case, CaseActed, CaseCommented
from trueup.cases.state import Cases
from trueup.core.errors import Refusal
from trueup.core.ids import is_id
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb

Words = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


class ActOnCase(Command, frozen=True, kw_only=True):
    """Say what was done. effect: the id of what it changed: an order held, a change, a message, an item corrected."""

    case: str
    effect: str
    note: Words


class CommentOnCase(Command, frozen=True, kw_only=True):
    """Write something to a case; its clock runs on."""

    case: str
    text: Words


def act_on_case(state: State, command: ActOnCase, context: Context) -> Decision:
    """Stop the case's clock by an act.

    Refuses a closed case, and an effect of which the journal tells nothing since the case was opened: a case itself is
    none, nor what somebody wrote about one.
    """
    case = find_open(state, command.case)
    if isinstance(case, Refusal):
        return case
    cases = state.of(Cases)
    happened, opened = cases.effects.get(command.effect), cases.started.get(case.id, 0)
    if is_id(command.effect, "case") or happened is None or happened <= opened:
        since = "" if happened is None else " since this case was opened"
        return Refusal(
            "cases.no_effect",
            f"Nothing that happened is recorded about {command.effect!r}{since}.",
            "Name the id of what the act changed, as its page or answer shows it; a comment stops no clock.",
            "effect",
            command.effect,
        )
    event = CaseActed(case=case.id, effect=command.effect, note=command.note, at=context.now)
    return Accepted([event], case.id, {"case": case.id})


def comment_on_case(state: State, command: CommentOnCase, context: Context) -> Decision:
    """Add a comment. Refuses a closed case."""
    case = find_open(state, command.case)
    if isinstance(case, Refusal):
        return case
    return Accepted([CaseCommented(case=case.id, text=command.text, at=context.now)], case.id, {"case": case.id})


def find_open(state: State, case: str) -> Case | Refusal:
    """Return the open case of this id, or why there is none."""
    found = state.of(Cases).cases.get(case)
    if found is None:
        return Refusal("cases.unknown", f"There is no case {case!r}.", "Look it up in the list of cases.", "case", case)
    if found.merged_into is not None:
        return Refusal("cases.merged", f"Case {case} became part of {found.merged_into}.",
                       "Go on there: it has the subjects and the price.", "case", case)  # fmt: skip
    if found.closed_at is not None:
        return Refusal(
            "cases.closed", f"Case {case} is closed.", "Open a new one, or look at its timeline.", "case", case
        )
    return found


def _wants_effect(state: State, command: ActOnCase, policies: Policies) -> None:
    state.of(Cases).want(command.case)
    state.of(Cases).want_effect(command.effect)


VERBS = (
    Verb(
        name="cases.act",
        command=ActOnCase,
        decide=act_on_case,
        wants=_wants_effect,
        touches=lambda command: (command.case,),
    ),
    Verb(
        name="cases.comment",
        command=CommentOnCase,
        decide=comment_on_case,
        wants=lambda state, command, policies: state.of(Cases).want(command.case),
        touches=lambda command: (command.case,),
    ),
)
