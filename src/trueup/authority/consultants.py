"""A consultant may not be the only holder of a governance role: who leaves with a contract takes no decision along."""

from __future__ import annotations

from collections.abc import Iterable

from trueup.authority.passing import governs, mode_in, titled
from trueup.authority.people_state import People
from trueup.authority.tenure import Roll
from trueup.core.errors import Refusal
from trueup.core.verb import Context, State


def consultants_alone(
    state: State, context: Context, roll: Roll, role: str, over: str | None, coming: Iterable[str | None]
) -> Refusal | None:
    """Return why consultants may not be the only ones to hold a governance role once these hold it too."""
    if not governs(context.policies, role) or mode_in(state) == "founding":
        return None
    holding = [id_ for id_ in (*coming, *roll.firm_holders(role, over)) if id_ is not None]
    return _all_consultants(state, roll, holding, role, over)


def left_to_consultants(
    state: State, context: Context, roll: Roll, leaver: str, role: str, over: str | None
) -> Refusal | None:
    """Return why somebody may not leave a governance role to consultants alone."""
    if not governs(context.policies, role) or mode_in(state) == "founding":
        return None
    left = [id_ for id_ in roll.firm_holders(role, over) if id_ != leaver]
    return _all_consultants(state, roll, left, role, over)


def _all_consultants(state: State, roll: Roll, holding: list[str], role: str, over: str | None) -> Refusal | None:
    employments = state.of(People).employments
    outside = [id_ for id_ in holding if id_ in employments and employments[id_].employer == "consultant"]
    if not holding or len(outside) < len(holding):
        return None
    return Refusal(
        "authority.consultant_alone",
        f"{roll.names(dict.fromkeys(outside))} would be the only {titled(role, over)}, and is a consultant.",
        "Have one of your own people appointed to it, as holder or as deputy, and let them accept first.",
        "actor",
        outside[0],
    )
