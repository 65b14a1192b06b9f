"""Give somebody a role, over everything or a part, with a deputy; it counts once they accept, until it ends."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import msgspec

from trueup.authority.consultants import consultants_alone, left_to_consultants
from trueup.authority.given import given_events, want_given
from trueup.authority.passing import mode_in, roll_of, titled, vacated, want_people
from trueup.authority.people_policy import PeoplePolicy
from trueup.authority.people_state import (
    Appointed,
    Appointment,
    AppointmentAccepted,
    AppointmentEnded,
    People,
    RolePassed,
)
from trueup.authority.register import touches_authority
from trueup.authority.separation import may_hold
from trueup.authority.standing import ROLES, Rights, roles_that_may
from trueup.authority.state import Authority
from trueup.authority.tenure import Roll
from trueup.core.errors import Refusal
from trueup.core.verb import Accepted, Command, Context, Decision, State, Verb

Role = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Over = Annotated[str, msgspec.Meta(pattern=r"^(category|brand|integration|location|partner):\S(.{0,118}\S)?$")]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Appoint(Command, frozen=True, kw_only=True):
    """Give a person a role, which they must accept. actor, deputy: ids of people.

    over: what the role is for, as `category:tea`, `brand:acme` or `integration:erp`; None for everything.
    from_on: the first day, None for at once; until_on: the last day, None for no end; in the business's zone.
    """

    actor: str
    role: Role
    over: Over | None = None
    deputy: str | None = None
    from_on: date | None = None
    until_on: date | None = None


class AcceptAppointment(Command, frozen=True, kw_only=True):
    """Take on an appointment (`apt_...`) as its appointee or its deputy."""

    appointment: str


class EndAppointment(Command, frozen=True, kw_only=True):
    """Give an appointment back, or take it away; a deputy who accepted it holds the role from then on."""

    appointment: str
    reason: Reason


def appoint(state: State, command: Appoint, context: Context) -> Decision:
    """Appoint somebody; the role counts once they accept.

    Refuses roles there are not, who is no active person, oneself, a deputy who is the holder or makes a circle, dates
    that end before they begin, roles that do not go together, and a consultant as the only holder of a governance role.
    """
    roll = roll_of(state, context)
    refusal = (
        _unknown_role(command.role)
        or _no_person(state, roll, command.actor, "actor")
        or (_no_person(state, roll, command.deputy, "deputy") if command.deputy is not None else None)
        or _own(command, context)
        or _circle(state, roll, command, context)
    )
    if refusal is not None:
        return refusal
    dated = _dated(command, context)
    if isinstance(dated, Refusal):
        return dated
    refusal = _twice(state, roll, dated) or _separated(state, context, roll, dated)
    refusal = refusal or consultants_alone(state, context, roll, dated.role, dated.over, [dated.actor, dated.deputy])
    refusal = refusal or _ends_in_window(state, context, dated)
    if refusal is not None:
        return refusal
    gained = {id_: roll.name(id_) for id_ in (dated.actor, dated.deputy) if id_ and dated.role not in roll.roles(id_)}
    told = given_events(state, context, {dated.role: gained})
    return Accepted([Appointed(appointment=dated), *told], dated.actor, {"appointment": dated.id})


def accept_appointment(state: State, command: AcceptAppointment, context: Context) -> Decision:
    """Accept an appointment that is one's own; accepted twice is merged.

    Refuses what has ended, whoever is neither appointee nor deputy, and roles that do not go together by now.
    """
    found = _open(state, command.appointment, context)
    if isinstance(found, Refusal):
        return found
    roll = roll_of(state, context)
    me = context.actor.id
    if me not in (found.actor, found.deputy):
        theirs = roll.names(filter(None, [found.actor, found.deputy]))
        return Refusal("authority.not_appointee", f"{found.id} is for {theirs}.",
                       "Nobody accepts for somebody else; they can do it now, on their page or by the API.",
                       "appointment", found.id)  # fmt: skip
    as_deputy = me == found.deputy
    if (found.deputy_accepted_at if as_deputy else found.accepted_at) is not None:
        return Accepted((), me, {"appointment": found.id}, "merged")
    refusal = may_hold(
        context.policies, roll.name(me), {*roll.roles(me), found.role}, mode_in(state), "appointment"
    ) or consultants_alone(state, context, roll, found.role, found.over, [me])
    if refusal is not None:
        return refusal
    event = AppointmentAccepted(appointment=found.id, actor=me, at=context.now, as_deputy=as_deputy)
    return Accepted([event], me, {"appointment": found.id})


def end_appointment(state: State, command: EndAppointment, context: Context) -> Decision:
    """End an appointment; the deputy who accepted it holds the role from then on, and it is a new appointment.

    Refuses who is neither its holder nor may appoint, and in the stabilisation window a governance role that nobody
    else holds by then.
    """
    found = _open(state, command.appointment, context)
    if isinstance(found, Refusal):
        return found
    roll = roll_of(state, context)
    may = roles_that_may(context.policies.get(Rights), "authority.appoint")
    allowed = {"System", *may}
    if context.actor.id != found.actor and allowed.isdisjoint({*context.actor.everywhere(), *_operator(context)}):
        return Refusal("authority.not_allowed", f"{found.id} is {roll.name(found.actor)}'s.",
                       f"They can give it back themselves; else ask {', '.join(may)}.",
                       "appointment", found.id)  # fmt: skip
    ended = AppointmentEnded(appointment=found.id, actor=found.actor, reason=command.reason, at=context.now)
    if found.accepted_at is None:
        return Accepted([ended], found.actor, {"appointment": found.id})
    deputy = found.deputy if found.deputy_accepted_at is not None and found.deputy in roll.present else None
    if deputy is not None:
        heir = msgspec.structs.replace(
            found, id=context.new_id("apt"), actor=deputy, deputy=None, deputy_accepted_at=None,
            from_at=max(found.from_at, context.now), by=context.actor.id, at=context.now, accepted_at=context.now,
        )  # fmt: skip
        passed = RolePassed(appointment=heir, holder=found.actor, why=command.reason, ended=found.id)
        return Accepted([passed], found.actor, {"appointment": heir.id, "holder": deputy})
    refusal = vacated(state, context, found.actor, found.role, found.over, "appointment")
    refusal = refusal or left_to_consultants(state, context, roll, found.actor, found.role, found.over)
    if refusal is not None:
        return refusal
    return Accepted([ended], found.actor, {"appointment": found.id})


def _operator(context: Context) -> frozenset[str]:
    return context.actor.roles & {"System"}


def _unknown_role(role: str) -> Refusal | None:
    if role in ROLES:
        return None
    return Refusal("authority.unknown_role", f"There is no role {role!r}.", f"Use: {', '.join(ROLES)}.", "role", role)


def _no_person(state: State, roll: Roll, actor: str, where: str) -> Refusal | None:
    found = roll.present.get(actor)
    if found is not None and found.kind == "person":
        return None
    known = state.of(Authority).actors.get(actor)
    what = f"There is nobody {actor!r}." if known is None else f"{known.name} is no person who may act now."
    return Refusal("authority.unknown_actor", what, "Name an active person; an administrator registers one at once.",
                   where, actor)  # fmt: skip


def _own(command: Appoint, context: Context) -> Refusal | None:
    if context.actor.id not in (command.actor, command.deputy):
        return None
    return Refusal("authority.own_roles", "Nobody gives roles to themselves.",
                   "Ask another administrator; it holds as soon as you accept it.",
                   "actor", context.actor.id)  # fmt: skip


def _circle(state: State, roll: Roll, command: Appoint, context: Context) -> Refusal | None:
    """Return the circle of deputies that this would close: somebody who stands in for who stands in for them."""
    if command.deputy is None:
        return None
    known = [a for a in state.of(People).appointments.values() if a.role == command.role and a.open(context.now)]
    edges = [(a.actor, a.deputy, a.over) for a in known if a.deputy is not None]
    for part in {command.over, *(over for _, _, over in edges if command.over is None)}:
        stands_in = {actor: deputy for actor, deputy, over in edges if over in (None, part)}
        path = [command.actor, command.deputy]
        while path[-1] not in path[:-1] and path[-1] in stands_in:
            path.append(stands_in[path[-1]])
        if path[-1] in path[:-1]:
            return Refusal("authority.deputy_cycle",
                           f"The deputies of {titled(command.role, part)} would go in a circle: "
                           f"{' -> '.join(roll.name(id_) for id_ in path)}.",
                           "Name a deputy outside of it; whoever appoints can do so now.",
                           "deputy", command.deputy)  # fmt: skip
    return None


def _dated(command: Appoint, context: Context) -> Appointment | Refusal:
    rules = context.policies.get(PeoplePolicy)
    today = rules.day_of(context.now)
    begins = command.from_on or today
    if command.until_on is not None and command.until_on < max(begins, today):
        return Refusal("authority.dates", f"The last day {command.until_on} lies before {max(begins, today)}.",
                       "Name a last day on or after the first one and today.",
                       "until_on", str(command.until_on))  # fmt: skip
    return Appointment(
        id=context.new_id("apt"),
        actor=command.actor,
        role=command.role,
        over=command.over,
        deputy=command.deputy,
        from_at=max(context.now, rules.begin_of(begins)),
        until_at=rules.end_of(command.until_on) if command.until_on is not None else None,
        by=context.actor.id,
        at=context.now,
    )


def _twice(state: State, roll: Roll, wanted: Appointment) -> Refusal | None:
    for known in state.of(People).appointments.values():
        same = (known.actor, known.role, known.over) == (wanted.actor, wanted.role, wanted.over)
        if same and known.open(wanted.from_at) and (wanted.until_at is None or known.from_at < wanted.until_at):
            return Refusal("authority.already_appointed",
                           f"{roll.name(wanted.actor)} is {titled(wanted.role, wanted.over)} by {known.id} already.",
                           "End that one first (authority.end_appointment), or leave it as it is.",
                           "actor", wanted.actor)  # fmt: skip
    return None


def _separated(state: State, context: Context, roll: Roll, wanted: Appointment) -> Refusal | None:
    """Look at the roles held and those waiting to be accepted, of the appointee and of the deputy."""
    for id_, where in ((wanted.actor, "role"), (wanted.deputy, "deputy")):
        if id_ is None:
            continue
        waiting = {
            a.role for a in state.of(People).appointments.values() if id_ in (a.actor, a.deputy) and a.open(context.now)
        }
        held = {*roll.roles(id_), *waiting, wanted.role}
        refusal = may_hold(context.policies, roll.name(id_), held, mode_in(state), where)
        if refusal is not None:
            return refusal
    return None


def _ends_in_window(state: State, context: Context, wanted: Appointment) -> Refusal | None:
    """An appointment that ends by itself within the window would leave the role to nobody, by hand-over in advance."""
    declared = state.of(Authority).declared
    if wanted.until_at is None or declared is None or wanted.until_at >= declared.window_until:
        return None
    return vacated(state, context, wanted.actor, wanted.role, wanted.over, "until_on")


def _open(state: State, id_: str, context: Context) -> Appointment | Refusal:
    found = state.of(People).appointments.get(id_)
    if found is not None and found.open(context.now):
        return found
    return Refusal("authority.unknown_appointment", f"There is no open appointment {id_!r}.",
                   "`trueup show appointments` lists them; one that ended is given anew.",
                   "appointment", id_)  # fmt: skip


def _wants(state: State, command: Any, policies: Any) -> None:
    want_people(state)
    if isinstance(command, Appoint):
        want_given(state, (command.role,))


VERBS: tuple[Verb[Any], ...] = tuple(
    Verb(name=name, command=kind, decide=decide, wants=_wants, touches=touches_authority)
    for name, kind, decide in (
        ("authority.appoint", Appoint, appoint),
        ("authority.accept_appointment", AcceptAppointment, accept_appointment),
        ("authority.end_appointment", EndAppointment, end_appointment),
    )
)
