"""Declare governance: from then on what is governed changes only by a change.

Before, an installation is being founded: nobody was appointed who could decide, so the first rules are written
directly, and the journal says by whom. There is no way back, but from full to small for a company that shrank: the
Sponsor declares it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

import msgspec

from trueup.authority.decision_rights import SMALL_MAX
from trueup.authority.outgrown import clash_events, vacant_roles, want_outgrown
from trueup.authority.passing import roll_of, want_people
from trueup.authority.register import touches_authority
from trueup.authority.state import Authority, Declared, GovernanceDeclared
from trueup.authority.tenure import SPONSOR
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

    Back from full to small it is the Sponsor's to declare.

    Who holds roles that do not go together in that mode is a case: from then on nobody is given them.
    The same mode again is merged; the window of the first declaration stays.
    """
    authority = state.of(Authority)
    known = authority.declared
    if known is not None and known.mode == command.mode:
        return Accepted((), "governance", {"mode": known.mode}, "merged")
    roll = roll_of(state, context)
    people = [actor for actor in roll.actors.values() if actor.kind == "person"]
    refusal = _not_small(len(people), known, context) if command.mode == "small" else None
    if refusal is not None:
        return refusal
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
    told = clash_events(state, roll, command.mode, context)
    return Accepted([event, *told], "governance", {"mode": command.mode})


def _not_small(people: int, known: Declared | None, context: Context) -> Refusal | None:
    """Refuse the small mode to five people or more, and the way back to it to everybody but the Sponsor."""
    if people > SMALL_MAX:
        return Refusal("authority.not_small", f"The small mode is for fewer than five people; {people} may act here.",
                       "Declare the full mode.", "mode", "small")  # fmt: skip
    if known is not None and SPONSOR not in context.actor.everywhere():
        return Refusal("authority.not_small", "Governance holds in full; it does not become smaller by itself.",
                       "The Sponsor may declare the small mode again.", "mode", "small")  # fmt: skip
    return None


def _wants(state: State, command: DeclareGovernance, policies: Policies) -> None:
    want_people(state)
    want_outgrown(state)


VERBS = (
    Verb(
        name="authority.declare_governance",
        command=DeclareGovernance,
        decide=declare_governance,
        wants=_wants,
        touches=touches_authority,
    ),
)
