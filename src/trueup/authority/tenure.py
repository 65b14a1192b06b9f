"""Who holds which role at a moment: own roles, accepted appointments, deputies and delegations. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

import msgspec

from trueup.authority.people_state import Appointment, Delegation, Employment
from trueup.core.verb import Actor

SPONSOR = "Sponsor"
RIGHT = "right to "
"""How a delegated right stands among somebody's roles: `right to orders.cancel`."""
EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))

Allows = Callable[[frozenset[str], str], bool]


class Tenure(msgspec.Struct, frozen=True):
    """The appointments, delegations and contracts of one epoch."""

    appointments: tuple[Appointment, ...] = ()
    delegations: tuple[Delegation, ...] = ()
    employments: Mapping[str, Employment] = {}

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Return the time around `now`, from inclusive to exclusive, in which nothing starts or ends by itself."""
        moments = {*EVER}
        for appointment in self.appointments:
            moments |= {appointment.from_at, appointment.until_at or EVER[1]}
        for delegation in self.delegations:
            moments |= {delegation.from_at, delegation.until_at}
        moments |= {one.access_until for one in self.employments.values() if one.access_until is not None}
        return next(span for span in pairwise(sorted(moments)) if span[0] <= now < span[1])

    def without(self, asker: str, voter: str, said: Collection[str] = ()) -> Tenure:
        """Return it without what a voter has from who asked: a role they lend, an appointment they made, standing in
        as their deputy; and without what others lend who said yes."""
        return Tenure(
            tuple(
                msgspec.structs.replace(one, deputy=None) if (one.actor, one.deputy) == (asker, voter) else one
                for one in self.appointments
                if one.by != asker
            ),
            tuple(one for one in self.delegations if one.giver != asker and one.giver not in said),
            self.employments,
        )

    def gone(self, actor: str, now: datetime) -> bool:
        """Tell whether somebody's contract has ended."""
        employment = self.employments.get(actor)
        return employment is not None and employment.over(now)


NOBODY = Tenure()


def actors_at(own: Mapping[str, Actor], tenure: Tenure, now: datetime, allows: Allows) -> dict[str, Actor]:
    """Return who may act at a moment, each with all roles held then.

    own: everybody active, with the roles they have for everything. allows: whether roles give a right. A delegation
    gives what its giver still holds without delegations. Whose contract ended is not among them.
    """
    present = {id_: actor for id_, actor in own.items() if not tenure.gone(id_, now)}
    held = {id_: set(actor.roles) for id_, actor in present.items()}
    whole = {id_: set(actor.roles) for id_, actor in present.items()}
    parts: dict[str, dict[str, list[str]]] = {}

    def hold(id_: str, role: str, over: str | None) -> None:
        held[id_].add(role)
        if over is None:
            whole[id_].add(role)
        else:
            parts.setdefault(id_, {}).setdefault(role, []).append(over)

    for appointment in tenure.appointments:
        for id_ in people_of(appointment, present, tenure, now):
            hold(id_, appointment.role, appointment.over)
    given = [
        (d.taker, entry, over)
        for d in tenure.delegations
        for entry in _given(d, held, now, allows)
        for over in _reach(d, entry, frozenset(whole[d.giver]), parts.get(d.giver, {}), allows)
    ]
    for taker, entry, over in given:
        if taker in held:
            hold(taker, entry, over)
    return {
        id_: msgspec.structs.replace(
            actor,
            roles=frozenset(held[id_]),
            over={role: tuple(dict.fromkeys(over)) for role, over in parts.get(id_, {}).items()
                  if role not in whole[id_]},
        ) if held[id_] != actor.roles else actor
        for id_, actor in present.items()
    }  # fmt: skip


def _given(delegation: Delegation, held: Mapping[str, set[str]], now: datetime, allows: Allows) -> list[str]:
    if not delegation.holds(now) or delegation.giver not in held:
        return []
    roles = held[delegation.giver]
    if delegation.role is not None:
        return [delegation.role] if delegation.role in roles else []
    return [RIGHT + right for right in delegation.rights if allows(frozenset(roles), right)]


def _reach(
    delegation: Delegation, entry: str, whole: frozenset[str], parts: Mapping[str, Sequence[str]], allows: Allows
) -> list[str | None]:
    """Return over what a delegation gives a role or right: no wider than its giver holds it without delegations."""
    right = entry.removeprefix(RIGHT) if delegation.role is None else None
    if entry in whole or (right is not None and allows(whole, right)):
        return [delegation.over]
    giving = [role for role in parts if role == entry or (right is not None and allows(frozenset({role}), right))]
    return [over for role in giving for over in parts[role] if delegation.over in (None, over)]


def people_of(appointment: Appointment, present: Mapping[str, Actor], tenure: Tenure, now: datetime) -> tuple[str, ...]:
    """Return who fills an appointment at a moment: holder, then deputy; where both are gone, the sponsors."""
    if not appointment.holds(now):
        return ()
    filling = [appointment.actor] if appointment.actor in present else []
    if appointment.deputy is not None and appointment.deputy_accepted_at is not None and appointment.deputy in present:
        filling.append(appointment.deputy)
    return tuple(filling) or sponsors(present, tenure, now)


def sponsors(present: Mapping[str, Actor], tenure: Tenure, now: datetime) -> tuple[str, ...]:
    """Return the people who are Sponsor at a moment, to whom falls what nobody else holds."""
    appointed = [a for a in tenure.appointments if a.role == SPONSOR and a.holds(now)]
    named = [id_ for a in appointed for id_ in (a.actor, a.deputy if a.deputy_accepted_at else None) if id_]
    own = sorted(id_ for id_, actor in present.items() if SPONSOR in actor.roles)
    return _once(id_ for id_ in [*named, *own] if id_ in present)


def holders_at(
    present: Mapping[str, Actor], tenure: Tenure, role: str, over: str | None, now: datetime
) -> tuple[str, ...]:
    """Return who holds a role over something: those appointed to it, each with deputy, and then those for everything.

    present: who may act at the moment with their own roles. Last come those it was delegated to.
    """
    order = [a for a in tenure.appointments if a.role == role and a.over == over and over is not None]
    order += [a for a in tenure.appointments if a.role == role and a.over is None]
    appointed = [id_ for a in order for id_ in people_of(a, present, tenure, now)]
    own = sorted(id_ for id_, actor in present.items() if role in actor.roles)
    holding = {*appointed, *own}
    lent = [
        d.taker
        for d in tenure.delegations
        if d.role == role and d.holds(now) and d.giver in holding and d.taker in present and d.over in (None, over)
    ]
    return _once([*appointed, *own, *lent])


def _once(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))


class Roll:
    """Everybody who may act, for a rule that looks at several of them at one moment."""

    def __init__(self, own: Mapping[str, Actor], tenure: Tenure, now: datetime, allows: Allows) -> None:
        self.own = own
        self.present = {id_: actor for id_, actor in own.items() if not tenure.gone(id_, now)}
        self.tenure = tenure
        self.now = now
        self.actors = actors_at(own, tenure, now, allows)

    def roles(self, actor: str) -> frozenset[str]:
        """Return the roles somebody holds at the moment; none for who may not act."""
        found = self.actors.get(actor)
        return found.roles if found is not None else frozenset()

    def holders(self, role: str, over: str | None = None) -> tuple[str, ...]:
        """Return who holds a role over something, deputies after holders."""
        return holders_at(self.present, self.tenure, role, over, self.now)

    def firm_holders(self, role: str, over: str | None = None) -> tuple[str, ...]:
        """Return who holds a role by themselves or by an accepted appointment: neither lent nor fallen to a sponsor."""
        filled = [
            id_
            for a in self.tenure.appointments
            if a.role == role and a.over in (None, over) and a.holds(self.now)
            for id_ in (a.actor, a.deputy if a.deputy_accepted_at is not None else None)
            if id_ is not None and id_ in self.present
        ]
        return _once([*filled, *sorted(id_ for id_, actor in self.present.items() if role in actor.roles)])

    def without(self, asker: str, voter: str) -> Roll:
        """Return who holds which role but for what a voter has from who asked; see `Tenure.without`."""
        return Roll(self.own, self.tenure.without(asker, voter), self.now, lambda roles, right: False)

    def name(self, actor: str) -> str:
        """Return somebody's name, or the id of who may not act."""
        found = self.present.get(actor)
        return found.name if found is not None else actor

    def names(self, actors: Iterable[str]) -> str:
        """Return names for a sentence."""
        return ", ".join(self.name(actor) for actor in actors)
