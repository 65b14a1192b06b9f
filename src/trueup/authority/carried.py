"""Guards that look at what is done: also where it is done for a case, or by the word of a second person."""

from __future__ import annotations

from datetime import datetime
from functools import wraps
from typing import Any

from trueup.authority.confirm import ConfirmAct, waiting_act
from trueup.authority.for_case import ActForCase
from trueup.authority.standing import Standing
from trueup.core.batch import Guard
from trueup.core.carry import Opened, Verbs, readable
from trueup.core.errors import Refusal
from trueup.core.verb import Accepted, Actor, Command, SetAside, State, Verb


def seeing(guard: Guard, verbs: Verbs) -> Guard:
    """Return a guard that asks about the act that a command carries in its place; `verbs` are the house's by name."""

    @wraps(guard)
    def asked(
        standing: Standing, actor: Actor, verb: Verb[Any], command: Command, now: datetime, state: State
    ) -> Accepted | Refusal | SetAside | None:
        for done in _done(verbs, state, Opened(verb, command)):
            stop = guard(standing, actor, done.verb, done.command, now, state)
            if stop is not None:
                return stop
        return None

    return asked


def _done(verbs: Verbs, state: State, one: Opened) -> list[Opened]:
    if isinstance(one.command, ActForCase):
        carried = readable(verbs(), (one.command.act,))
    elif isinstance(one.command, ConfirmAct):
        carried = waiting_act(verbs, state, one.command.act)
    else:
        return [one]
    return [done for part in carried for done in _done(verbs, state, part)]
