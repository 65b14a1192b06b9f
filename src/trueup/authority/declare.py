"""Declare governance: from then on what is governed changes only by a change.

Before, an installation is being founded: nobody was appointed who could decide, so the first rules are written
directly, and the journal says by whom. There is no way back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

import msgspec

from trueup.authority.decision_rights import BOARD, SMALL_MAX, DecisionRights
from trueup.authority.passing import roll_of, want_people
from trueup.authority.people_policy import Separation
from trueup.authority.register import touches_authority
from trueup.authority.separation import clashes
from trueup.authority.state import Authority, Declared, GovernanceDeclared
from trueup.authority.tenure import Roll
from trueup.cases.open import case_events
from trueup.cases.state import SUBJECTS_PER_EVENT_MAX, Cases, CaseSubject
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, Event, State, Verb

_SEPARATED = "authority:separated_roles"


class DeclareGovernance(Command, frozen=True, kw_only=True):
    """Put governance in force. mode: `full`, or `small` for fewer than five people.

    window_days: how long stabilisation lasts, with its narrower rules.
    """

    mode: Literal["small", "full"]
    window_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 90


def declare_governance(state: State, command: DeclareGovernance, context: Context) -> Decision:
    """Declare it. Refuses the small mode for five people or more, the full one where a decider's role is vacant.

    Who holds roles that do not go together in that mode is a case: from then on nobody is given them.
    The same mode again is merged; the window of the first declaration stays.
    """
    authority = state.of(Authority)
    known = authority.declared
    if known is not None and known.mode == command.mode:
        return Accepted((), "governance", {"mode": known.mode}, "merged")
    roll = roll_of(state, context)
    people = [actor for actor in roll.actors.values() if actor.kind == "person"]
    if command.mode == "small" and (len(people) > SMALL_MAX or known is not None):
        return Refusal(
            "authority.not_small",
            f"The small mode is for fewer than five people; {len(people)} may act here."
            if known is None else "Governance was declared in full; it does not become smaller.",
            "Declare the full mode.", "mode", "small",
        )  # fmt: skip
    vacant = vacant_roles(roll, context.policies) if command.mode == "full" else []
    if vacant:
        return Refusal(
            "authority.vacant",
            f"Nobody holds: {', '.join(vacant)}.",
            "Give each of these roles to somebody first, or map what it decides to a role that is held.",
            "mode",
            command.mode,
        )
    declared = Declared(
        command.mode,
        known.declared_at if known else context.now,
        known.window_until if known else context.now + timedelta(days=command.window_days),
    )
    event = GovernanceDeclared(declared=declared, by=context.actor.id, at=context.now)
    told = _clashes(state, roll, command, context)
    return Accepted([event, *told], "governance", {"mode": command.mode})


def _clashes(state: State, roll: Roll, command: DeclareGovernance, context: Context) -> list[Event]:
    """Return the case about who holds roles that one person may not hold together once this is declared."""
    found = []
    for actor in sorted(roll.actors.values(), key=lambda actor: actor.id):
        pairs = clashes(context.policies.get(Separation), actor.roles, command.mode)
        if pairs:
            named = "; ".join(f"{pair.one} and {pair.other}, {pair.why}" for pair in pairs[:5])
            found.append(CaseSubject("actor", actor.id, f"{actor.name} holds {len(pairs)} pairs: {named}"))
    if not found:
        return []
    return case_events(
        state,
        context,
        cause=_SEPARATED,
        kind="separated_roles",
        title="Somebody holds roles that do not go together; one of them is to be given to somebody else",
        severity=2,
        owner_role="Administrator",
        subjects=found[:SUBJECTS_PER_EVENT_MAX],
    )


def _wants(state: State, command: DeclareGovernance, policies: Policies) -> None:
    want_people(state)
    state.of(Cases).want_cause(_SEPARATED)


def vacant_roles(roll: Roll, policies: Policies) -> list[str]:
    """Return the roles that the register needs and no person holds by now, by their own or by an appointment."""
    held = {role for actor in roll.actors.values() if actor.kind == "person" for role in actor.roles}
    register = policies.get(DecisionRights)
    needed = {decision.decider for decision in register.decisions} | {d.tie_breaker for d in register.decisions}
    return sorted((needed | {BOARD}) - held)


VERBS = (
    Verb(
        name="authority.declare_governance",
        command=DeclareGovernance,
        decide=declare_governance,
        wants=_wants,
        touches=touches_authority,
    ),
)
