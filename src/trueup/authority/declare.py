"""Declare governance: from then on what is governed changes only by a change.

Before, an installation is being founded: nobody was appointed who could decide, so the first rules are written
directly, and the journal says by whom. There is no way back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

import msgspec

from trueup.authority.decision_rights import BOARD, SMALL_MAX, DecisionRights
from trueup.authority.register import touches_authority, wants_authority
from trueup.authority.state import Authority, Declared, GovernanceDeclared
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb


class DeclareGovernance(Command, frozen=True, kw_only=True):
    """Put governance in force. mode: `full`, or `small` for fewer than five people.

    window_days: how long stabilisation lasts, with its narrower rules.
    """

    mode: Literal["small", "full"]
    window_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 90


def declare_governance(state: State, command: DeclareGovernance, context: Context) -> Decision:
    """Declare it. Refuses the small mode for five people or more, the full one where a decider's role is vacant.

    The same mode again is merged; the window of the first declaration stays.
    """
    authority = state.of(Authority)
    known = authority.declared
    if known is not None and known.mode == command.mode:
        return Accepted((), "governance", {"mode": known.mode}, "merged")
    people = [actor for actor in authority.actors.values() if actor.active and actor.kind == "person"]
    if command.mode == "small" and (len(people) > SMALL_MAX or known is not None):
        return Refusal(
            "authority.not_small",
            f"The small mode is for fewer than five people; {len(people)} may act here."
            if known is None else "Governance was declared in full; it does not become smaller.",
            "Declare the full mode.", "mode", "small",
        )  # fmt: skip
    vacant = vacant_roles(authority, context.policies) if command.mode == "full" else []
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
    return Accepted([event], "governance", {"mode": command.mode})


def vacant_roles(authority: Authority, policies: Policies) -> list[str]:
    """Return the roles that the register needs and no active person holds."""
    held = {role for actor in authority.actors.values() if actor.active and actor.kind == "person"
            for role in actor.roles}  # fmt: skip
    register = policies.get(DecisionRights)
    needed = {decision.decider for decision in register.decisions} | {d.tie_breaker for d in register.decisions}
    return sorted((needed | {BOARD}) - held)


VERBS = (
    Verb(
        name="authority.declare_governance",
        command=DeclareGovernance,
        decide=declare_governance,
        wants=wants_authority,
        touches=touches_authority,
    ),
)
