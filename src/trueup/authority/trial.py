"""What a guard on trial would have stopped, by verb and by role, and the acts themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec

from trueup.authority.governed import change_guard
from trueup.authority.refusals import GUARDS, GuardModes
from trueup.authority.standing import Standing
from trueup.core.trial import Tried, TriedCommand

SHOWN = 200
GROUP_MIN = 5
"""A role that fewer people hold is not shown by itself: its figures would be about persons."""
FEW = "roles held by fewer than five"
SERVICES = "services"


class Share(msgspec.Struct, frozen=True):
    """How many of the acts of one kind would have been stopped. name: a verb or a role."""

    name: str
    acts: int
    stopped: int


class StoppedAct(msgspec.Struct, frozen=True):
    """An act that would have been stopped. position: in the journal; None of one that was refused anyway.

    subject: what it was about, which its link opens.
    """

    at: datetime
    verb: str
    subject: str
    position: int | None
    rule: str
    what: str


class Trial(msgspec.Struct, frozen=True):
    """What a guard would have stopped. mode: how it works now. acts: that were looked at, the newest ones.

    through: of those stopped, how many had gone through. more: older acts were not looked at. by_role: an act counts
    for every role of who did it. stops: the newest, at most 200.
    """

    guard: str
    mode: str
    from_at: datetime
    to_at: datetime
    acts: int
    stopped: int
    through: int
    unreadable: int
    more: bool
    by_verb: tuple[Share, ...]
    by_role: tuple[Share, ...]
    stops: tuple[StoppedAct, ...]


def trial_of(tried: Tried, standing: Standing) -> Trial:
    """Sum a trial up; nothing in it tells persons apart. What was done before governance was declared is in order."""
    tried = _since_declared(tried, standing)
    stopped = [one for one in tried.commands if one.rule is not None]
    shown = [
        StoppedAct(one.at, one.verb, one.subject, one.position, one.rule or "", _unnamed(one))
        for one in stopped[::-1][:SHOWN]
    ]
    mode = standing.policies.get(GuardModes).modes.get(tried.guard, "enforced")
    return Trial(
        tried.guard,
        mode if tried.guard in GUARDS else "enforced",
        tried.from_at,
        tried.to_at,
        len(tried.commands),
        len(stopped),
        sum(one.position is not None for one in stopped),
        tried.unreadable,
        tried.more,
        _shares((one.verb, one) for one in tried.commands),
        _shares((role, one) for one in tried.commands for role in _roles(one, standing)),
        tuple(shown),
    )


def _since_declared(tried: Tried, standing: Standing) -> Tried:
    if tried.guard != change_guard.__name__ or standing.declared is None:
        return tried
    since = standing.declared.declared_at
    commands = tuple(
        one if one.at >= since else msgspec.structs.replace(one, rule=None, what=None) for one in tried.commands
    )
    return msgspec.structs.replace(tried, commands=commands)


def _unnamed(one: TriedCommand) -> str:
    """Return why an act would be stopped, without the name of who did it."""
    return (one.what or "").replace(one.actor.name, "Somebody")


def _shares(named: Iterable[tuple[str, TriedCommand]]) -> tuple[Share, ...]:
    acts: Counter[str] = Counter()
    stopped: Counter[str] = Counter()
    for name, one in named:
        acts[name] += 1
        stopped[name] += one.rule is not None
    order = sorted(acts, key=lambda name: (-stopped[name], -acts[name], name))
    return tuple(Share(name, acts[name], stopped[name]) for name in order)


def _roles(one: TriedCommand, standing: Standing) -> set[str]:
    if one.actor.kind == "service":
        return {SERVICES}
    people = [actor for actor in standing.actors.values() if actor.kind == "person"]
    holding = Counter(role for actor in people for role in actor.roles)
    return {role if holding[role] >= GROUP_MIN else FEW for role in one.actor.roles} or {FEW}
