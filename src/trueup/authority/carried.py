"""Guards that look at what is done: also where it is done for a case, by a second person's word, or by a change."""

from __future__ import annotations

from datetime import datetime
from functools import wraps
from typing import Any

from trueup.authority.apply import ApplyChange
from trueup.authority.changes_state import Changes
from trueup.authority.confirm import ConfirmAct, waiting_act
from trueup.authority.for_case import ActForCase
from trueup.authority.propose import ProposeChange
from trueup.authority.standing import Standing
from trueup.core.batch import Guard
from trueup.core.carry import Opened, Verbs, readable
from trueup.core.errors import Refusal
from trueup.core.verb import Accepted, Actor, Command, SetAside, State, Verb

_CARRYING = frozenset({ApplyChange, ProposeChange, ActForCase, ConfirmAct})


def seeing(guard: Guard, verbs: Verbs) -> Guard:
    """Return a guard that asks about the acts that a command carries out, too; `verbs` are the house's by name."""

    @wraps(guard)
    def asked(
        standing: Standing, actor: Actor, verb: Verb[Any], command: Command, now: datetime, state: State
    ) -> Accepted | Refusal | SetAside | None:
        if type(command) not in _CARRYING:
            return guard(standing, actor, verb, command, now, state)
        for done in _done(verbs, state, Opened(verb, command)):
            stop = guard(standing, actor, done.verb, done.command, now, state)
            if stop is not None:
                return stop
        return None

    return asked


def _done(verbs: Verbs, state: State, one: Opened) -> list[Opened]:
    if isinstance(one.command, ApplyChange):
        change = state.of(Changes).changes.get(one.command.change)
        return [one, *readable(verbs(), change.edits if change is not None else ())]
    if isinstance(one.command, ProposeChange) and one.command.type == "emergency":
        return [one, *readable(verbs(), one.command.edits)]
    if isinstance(one.command, ActForCase):
        carried = readable(verbs(), (one.command.act,))
    elif isinstance(one.command, ConfirmAct):
        carried = waiting_act(verbs, state, one.command.act)
    else:
        return [one]
    return [done for part in carried for done in _done(verbs, state, part)]
