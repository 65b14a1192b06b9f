"""Whoever gives a role that decides is seen: once governance is declared, the Sponsor gets a case of it.

An administrator lets people in and decides nothing; people who were invented to vote would be the way around that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trueup.authority.decision_rights import deciding_roles
from trueup.authority.standing import SYSTEM
from trueup.authority.state import Authority
from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.core.verb import Context, Event, State


def want_given(state: State, roles: Iterable[str]) -> None:
    """Ask for the cases of these roles."""
    for role in roles:
        state.of(Cases).want_cause(_cause(role))


def given_events(state: State, context: Context, gifts: Mapping[str, Mapping[str, str]]) -> list[Event]:
    """Return the Sponsor's cases of deciding roles that are given; the operator's own gifts need none.

    gifts: role -> the people who did not hold it before, by id with their names. One case per role, which grows.
    """
    if state.of(Authority).declared is None or context.actor.id == SYSTEM.id:
        return []
    deciding = deciding_roles(context.policies)
    return [
        event
        for role in sorted(deciding.intersection(role for role, people in gifts.items() if people))
        for event in case_events(
            state,
            context,
            cause=_cause(role),
            kind="deciding_role_given",
            title=f"Who decides changed: {role} was given to somebody",
            severity=3,
            owner_role="Sponsor",
            subjects=[
                CaseSubject("actor", id_, f"{name}, by {context.actor.name}") for id_, name in gifts[role].items()
            ],
        )
    ]


def _cause(role: str) -> str:
    return f"role_given:{role}"
