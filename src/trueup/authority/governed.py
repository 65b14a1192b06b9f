"""The guard of what is governed: once governance is declared, it changes only as an approved change carries it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trueup.authority.decision_rights import who_decides
from trueup.authority.standing import Standing
from trueup.core.errors import Refusal
from trueup.core.verb import Actor, Command, State, Verb


def change_guard(
    standing: Standing, actor: Actor, verb: Verb[Any], command: Command, now: datetime, state: State
) -> Refusal | None:
    """Refuse a command that would change something governed directly, whoever sends it."""
    if verb.governance is None or standing.declared is None:
        return None
    objects = verb.governance.objects(state, command, standing.policies)
    if not objects:
        return None
    first = objects[0]
    return Refusal(
        "authority.needs_change",
        f"{first.object} changes only by a change. {who_decides(standing.policies, first.key)}",
        f"Propose a change that carries this {verb.name} (authority.propose_change); others than you approve it.",
        first.key,
        first.object,
    )
