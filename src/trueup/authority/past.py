"""Who could act at a past time: the standing as a replayed state has it."""

from __future__ import annotations

from trueup.authority import people_state
from trueup.authority.overrides_state import OverrideEnded, OverrideGranted, Overrides
from trueup.authority.people_state import People
from trueup.authority.standing import Standing
from trueup.authority.state import ActorRegistered, Authority, NodeRemoved, NodeSet
from trueup.authority.tenure import Tenure
from trueup.core.policy import Policies
from trueup.core.verb import Actor, Event, State

STANDING_EVENTS: frozenset[type[Event]] = frozenset(
    {ActorRegistered, NodeSet, NodeRemoved, OverrideGranted, OverrideEnded, *people_state.EVENTS}
)


def standing_then(standing: Standing, state: State, policies: Policies) -> Standing:
    """Return the standing with people, organisation and overrides of a replayed state, under these policies.

    The writer registry is that of `standing`. With which key somebody came is not in the journal: one
    that was narrower than its holder is not told from others.
    """
    rows, people = state.of(Authority), state.of(People)
    actors = {
        row.id: Actor(row.id, row.kind, row.name, frozenset(row.roles), row.scope)
        for row in rows.actors.values()
        if row.active
    }
    tenure = Tenure(
        tuple(one for one in people.appointments.values() if one.ended_at is None),
        tuple(one for one in people.delegations.values() if one.ended_at is None),
        dict(people.employments),
    )
    then = Standing(
        standing.epoch, actors, standing.keys, policies, list(rows.nodes.values()), standing.declared, tenure
    )
    then.registry = standing.registry
    lent = {one.id: one for one in standing.overrides} | state.of(Overrides).overrides
    then.overrides = tuple(one for one in lent.values() if one.granted_at is not None)
    return then
