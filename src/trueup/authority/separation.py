"""Segregation of duties: what one person may not hold together, and not do to one object, the administrators included.

Roles are looked at when they are given; acts when they are done, by what the journal says of the object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import msgspec

from trueup.authority.decision_rights import who_decides
from trueup.authority.people_policy import ActPair, RolePair, Separation
from trueup.authority.standing import SYSTEM, Standing
from trueup.authority.state import Declared
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Actor, Command, Loading, Slice, State, Statement, Verb

Mode = Literal["founding", "small", "full"]
OBJECTS_MAX = 200
_ID = re.compile(r"^[a-z]{2,5}_[0-9a-f]{32}$")


class Holding(Protocol):
    """Who holds a role, as a standing knows it."""

    @property
    def policies(self) -> Policies:
        """The documents in force."""
        ...

    def holders(self, role: str, over: str | None, now: datetime) -> tuple[str, ...]:
        """Return the ids of who holds it at a moment."""
        ...


def mode_of(declared: Declared | None) -> Mode:
    """Return how an installation is governed: `founding` until governance is declared."""
    return declared.mode if declared is not None else "founding"


def clashes(policy: Separation, roles: Iterable[str], mode: Mode) -> list[RolePair]:
    """Return the pairs among roles that one person may not hold together. While founding, none binds yet."""
    held = {*roles}
    if mode == "founding":
        return []
    return [pair for pair in policy.roles if {pair.one, pair.other} <= held and (mode == "full" or pair.small)]


def may_hold(policies: Policies, name: str, roles: Iterable[str], mode: Mode, where: str) -> Refusal | None:
    """Return why somebody may not hold these roles together, or None. where: the field that gives the last of them."""
    found = clashes(policies.get(Separation), roles, mode)
    if not found:
        return None
    pair = found[0]
    return Refusal(
        "authority.separated_roles",
        f"{name} would hold {pair.one} and {pair.other}: {pair.why}.",
        f"Give one of them to somebody else, or take {pair.one} from {name} first. "
        f"{who_decides(policies, 'separation.roles')}",
        where,
        f"{pair.one} and {pair.other}",
    )


def may_approve(
    standing: Holding,
    approver: str,
    asker: str,
    object_roles: Iterable[str],
    mode: Mode,
    now: datetime,
    *,
    over: str | None = None,
    asked_at: datetime | None = None,
) -> Refusal | None:
    """Return why this person may not approve what that one asked for, or None.

    object_roles: the roles of which one has to be held. over: what it is about, for roles held over a part. Nobody
    approves their own. In the small mode they may, when nobody else could, `self_approval_hours` after they asked
    (asked_at): what is so approved is recorded as a self-approval, with a case that costs until somebody looked.
    """
    roles = tuple(object_roles)
    deciding = list(dict.fromkeys(id_ for role in roles for id_ in standing.holders(role, over, now)))
    if approver not in deciding:
        return Refusal(
            "authority.not_decider",
            f"This is decided by {' or '.join(roles)}, which you are not.",
            f"{len(deciding)} may decide it now; the register of decision rights names them." if deciding
            else "Nobody holds the role; have it given to somebody, or ask the Sponsor.",
            "actor", approver,
        )  # fmt: skip
    if approver != asker:
        return None
    others = [id_ for id_ in deciding if id_ != approver]
    if mode != "small" or others:
        return Refusal(
            "authority.own_approval",
            "Nobody approves what they asked for, whatever roles they hold.",
            f"Let another {' or '.join(roles)} approve it; {len(others)} could now." if others
            else f"Have {' or '.join(roles)} given to a second person, who then approves it.",
            "actor", approver,
        )  # fmt: skip
    hours = standing.policies.get(Separation).self_approval_hours
    ripe = asked_at + timedelta(hours=hours) if asked_at is not None else None
    if ripe is None or now < ripe:
        return Refusal(
            "authority.own_approval_waits",
            "In the small mode one's own proposal is approved only after a waiting time, as a recorded self-approval.",
            f"Wait until {ripe:%Y-%m-%d %H:%M} UTC, or let somebody else approve it." if ripe is not None
            else f"Wait {hours} hours after proposing it, or let somebody else approve it.",
            "actor", approver,
        )  # fmt: skip
    return None


def is_self_approval(approver: str, asker: str) -> bool:
    """Tell whether an approval that was let through is one's own, and thus owes a case."""
    return approver == asker


class Acts(Slice):
    """What was done before, and by whom, to the objects of acts that the policy pairs; the journal tells it.

    It holds nothing of its own: nothing is written, and folding the journal needs it not.
    """

    def __init__(self) -> None:
        self._here: set[tuple[str, str, str]] = set()
        self._pairs: dict[str, list[ActPair]] = {}
        self._wanted: set[str] = set()
        self._done: set[tuple[str, str, str]] = set()

    def meet(self, state: State) -> None:
        """Keep what this batch did so far; but not the state, which would not go before Python looks for cycles."""
        self._here = state.acts

    def under(self, policies: Policies) -> None:
        """Learn which acts come in pairs."""
        for pair in policies.get(Separation).acts:
            self._pairs.setdefault(pair.then, []).append(pair)

    def pairs(self, act: str) -> list[ActPair]:
        """Return the pairs of which this act is the second."""
        return self._pairs.get(act, [])

    def want(self, objects: Iterable[str]) -> None:
        """Ask what was done to these objects."""
        self._wanted.update(objects)

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read the journal's commands about the objects."""
        if not self._wanted:
            return
        objects, self._wanted = sorted(self._wanted)[:OBJECTS_MAX], set()
        first = sorted({pair.first for pairs in self._pairs.values() for pair in pairs})
        answers = yield [
            Statement(
                """select name, subject, actor from journal
                where subject = any(%s::text[]) and kind = 'c' and name = any(%s::text[])""",
                [objects, first],
            )
        ]
        self._done.update(answers[0])

    def did(self, actor: str, act: str, objects: Iterable[str]) -> str | None:
        """Return which of the objects somebody did this to, before or earlier in this batch."""
        for one in objects:
            if (act, one, actor) in self._done or (act, one, actor) in self._here:
                return one
        return None


def objects_of(verb: Verb[Any], command: Command) -> tuple[str, ...]:
    """Return the ids of what a command is about: what it touches, and the ids that stand in it."""
    named = [getattr(command, field) for field in command.__struct_fields__]
    return (*verb.touches(command), *(value for value in named if isinstance(value, str) and _ID.match(value)))


def apart(verb: Verb[Any]) -> Verb[Any]:
    """Return a verb that, where the policy pairs it with another, asks what was done to its objects before."""
    wants = verb.wants

    def wanting(state: State, command: Any, policies: Policies) -> None:
        wants(state, command, policies)
        acts = state.of(Acts)
        if acts.pairs(verb.name):
            acts.want(objects_of(verb, command))

    return msgspec.structs.replace(verb, wants=wanting)


def separation_guard(
    standing: Standing, actor: Actor, verb: Verb[Any], command: Command, now: datetime, state: State
) -> Refusal | None:
    """Refuse an act to whoever did its counterpart to the same object, people and services alike.

    Trueup's own follow-ups are not a person.
    """
    acts = state.of(Acts)
    pairs = acts.pairs(verb.name)
    if not pairs or actor.id == SYSTEM.id:
        return None
    objects = objects_of(verb, command)
    for pair in pairs:
        done = acts.did(actor.id, pair.first, objects)
        if done is not None:
            return _separated(standing.at(now), actor, pair, done)
    return None


def _separated(standing: Standing, actor: Actor, pair: ActPair, done: str) -> Refusal:
    others = sorted(
        other.name
        for other in standing.actors.values()
        if other.id not in (actor.id, SYSTEM.id) and other.kind == "person" and standing.allows(other.roles, pair.then)
    )
    return Refusal(
        "authority.separated_acts",
        f"{actor.name} did {pair.first} on {done}: {pair.why}.",
        f"Ask one of those who may do it now: {', '.join(others[:3])}." if others
        else f"Nobody else may {pair.then} now; have {' or '.join(standing.who_may(pair.then))} given to somebody.",
        "actor", actor.id,
    )  # fmt: skip
