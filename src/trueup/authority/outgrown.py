"""The small mode ends once: with the fifth person, by an event, and not because somebody left does it come back."""

from __future__ import annotations

import msgspec

from trueup.authority.decision_rights import BOARD, SMALL_MAX, DecisionRights
from trueup.authority.people_policy import Separation
from trueup.authority.separation import Mode, clashes
from trueup.authority.state import ActorRow, Authority, GovernanceDeclared
from trueup.authority.tenure import Roll
from trueup.cases.open import case_events
from trueup.cases.state import SUBJECTS_PER_EVENT_MAX, Cases, CaseSubject
from trueup.core.policy import Policies
from trueup.core.verb import Context, Event, State

_SEPARATED = "authority:separated_roles"
_OUTGROWN = "authority:small_mode_ended"


def want_outgrown(state: State) -> None:
    """Ask for the cases that the end of the small mode may open."""
    state.of(Cases).want_cause(_SEPARATED)
    state.of(Cases).want_cause(_OUTGROWN)


def outgrows(state: State, actor: ActorRow) -> bool:
    """Tell whether the small mode ends when this is registered: five people act then, or did before."""
    authority = state.of(Authority)
    if authority.declared is None or authority.declared.mode != "small":
        return False
    before = {row.id for row in authority.actors.values() if row.active and row.kind == "person"}
    after = before | {actor.id} if actor.active and actor.kind == "person" else before - {actor.id}
    return max(len(before), len(after)) > SMALL_MAX


def outgrown_events(state: State, roll: Roll, context: Context) -> list[Event]:
    """Return the end of the small mode, with the cases about roles that nobody holds, and that do not go together."""
    declared = state.of(Authority).declared
    assert declared is not None
    ended = msgspec.structs.replace(declared, mode="full")
    vacant = vacant_roles(roll, context.policies)
    case = case_events(
        state,
        context,
        cause=_OUTGROWN,
        kind="small_mode_ended",
        title="Five people act here, so that the small mode has ended; it does not come back by itself",
        severity=2 if vacant else 4,
        owner_role="Sponsor",
        subjects=[CaseSubject("role", role, f"nobody is {role}") for role in vacant]
        or [CaseSubject("governance", "governance", "every role that decides is held")],
    )
    return [
        GovernanceDeclared(declared=ended, by=context.actor.id, at=context.now),
        *case,
        *clash_events(state, roll, "full", context),
    ]


def clash_events(state: State, roll: Roll, mode: Mode, context: Context) -> list[Event]:
    """Return the case about who holds roles that one person may not hold together in a mode."""
    found = []
    for actor in sorted(roll.actors.values(), key=lambda actor: actor.id):
        pairs = clashes(context.policies.get(Separation), actor.roles, mode)
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


def vacant_roles(roll: Roll, policies: Policies) -> list[str]:
    """Return the roles that the register needs and that no person holds over everything by now."""
    held = {role for actor in roll.actors.values() if actor.kind == "person" for role in actor.everywhere()}
    register = policies.get(DecisionRights)
    needed = {decision.decider for decision in register.decisions} | {d.tie_breaker for d in register.decisions}
    return sorted((needed | {BOARD}) - held)
