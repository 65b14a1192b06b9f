"""A role that is held over a part gives its rights there, and nowhere else.

What an act is about is told by what it would do: the sites it concerns, whose message it is, the records and
documents that its events write. An act that names none of these is done by who holds the right over everything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import msgspec

from trueup.authority.standing import FREE_OF_ROLE, Rights, roles_that_may
from trueup.authority.state import PolicyPublished, PolicyWithdrawn
from trueup.authority.tenure import RIGHT
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Actor, Context, Decision, Event, State, Verb

Places = Sequence[tuple[str, ...]]
"""Of each thing an act is about, the parts it lies in, as `category:tea`, `integration:erp` or `location:MAIN`."""
Written = Callable[[State, Event], Places | None]
"""What an event writes, before and after it; None for one that is about no part."""

FREE_OF_PART = FREE_OF_ROLE | {
    "authority.propose_change",
    "authority.edit_change",
    "authority.withdraw_change",
    "authority.approve_change",
    "authority.reject_change",
    "authority.revert_change",
    "authority.ask_override",
    "authority.end_override",
    "authority.act_for_case",
}
"""Acts that only ask, or whose own rules ask what somebody decides; what is done for a case is asked by itself.

So are all acts on cases: a case is a role's, whoever holds any of it.
"""


def under_parts(verb: Verb[Any], written: Written) -> Verb[Any]:
    """Return a verb that whoever holds its right over parts only may use for what lies in them."""
    if verb.name in FREE_OF_PART or verb.name.startswith("cases."):
        return verb
    decide = verb.decide

    def deciding(state: State, command: Any, context: Context) -> Decision:
        decision = decide(state, command, context)
        if not context.actor.over or isinstance(decision, Refusal) or not decision.events:
            return decision
        held = parts_of_right(context.policies, context.actor, verb.name)
        if held is None:
            return decision
        return outside(verb, held, places_of(verb, state, command, decision, written), context) or decision

    deciding.__doc__ = decide.__doc__
    return msgspec.structs.replace(verb, decide=deciding)


def parts_of_right(policies: Policies, actor: Actor, right: str) -> frozenset[str] | None:
    """Return the parts over which somebody has a right; None where a role over everything gives it, or no role does."""
    giving = {*roles_that_may(policies.get(Rights), right), RIGHT + right, "System"}
    if not giving.isdisjoint(actor.everywhere()) or giving.isdisjoint(actor.roles):
        return None
    return frozenset(part for role in giving & actor.over.keys() for part in actor.over[role])


def lies_in(places: Places | None, held: Collection[str]) -> bool:
    """Tell whether each thing lies in one of these parts; nothing named lies in none."""
    return bool(places) and all(not set(one).isdisjoint(held) for one in places or ())


def places_of(verb: Verb[Any], state: State, command: Any, decision: Accepted, written: Written) -> Places | None:
    """Return where the things lie that an act is about; None where it is about something that lies in no part."""
    concerned = verb.concerns(state, command)
    if concerned.channels:
        return None
    named = [
        (event.name, _documents(event) or written(state, event))
        for event in decision.events
        if not event.name.startswith(("cases.", "authority.change_"))
    ]
    # A message is its integration's, whatever it moves.
    sent = tuple({part for name, places in named if name.startswith(_MESSAGES) for one in places or () for part in one})
    if concerned.sites or sent:
        return [(f"location:{site}", *sent) for site in concerned.sites] or [sent]
    if any(places is None for _, places in named):
        return None
    return [one for _, places in named for one in places or ()]


_MESSAGES = "stock.feed_"


def roles_here(verb: Verb[Any], state: State, command: Any, decision: Accepted, context: Context,
               written: Written) -> frozenset[str]:  # fmt: skip
    """Return the roles of the actor that hold where the act is."""
    actor = context.actor
    if not actor.over:
        return actor.roles
    places = places_of(verb, state, command, decision, written)
    return actor.everywhere() | {role for role, parts in actor.over.items() if lies_in(places, parts)}


def outside(verb: Verb[Any], held: Iterable[str], places: Places | None, context: Context) -> Refusal | None:
    """Return why who has a right over these parts may not use it for what lies there."""
    if lies_in(places, {*held}):
        return None
    theirs = ", ".join(sorted(held))
    roles = " or ".join(roles_that_may(context.policies.get(Rights), verb.name))
    strange = next((one for one in places or () if set(one).isdisjoint(held)), ())
    where = f" for {' or '.join(strange)}" if strange else ""
    return Refusal(
        "authority.outside_part",
        f"{context.actor.name} may {verb.name} for {theirs} only, and this is "
        + (f"about {' and '.join(strange)}." if strange else "about more."),
        f"Ask {roles}{where}, or one who holds that role for everything.",
        "actor",
        context.actor.id,
    )


def _documents(event: Event) -> Places | None:
    """Return the integration whose document an event publishes or withdraws."""
    if isinstance(event, PolicyPublished | PolicyWithdrawn):
        return [(f"integration:{event.policy_name}",)]
    return None
