"""What becomes of roles when somebody leaves: access ends at once, the role goes on, and by hand-over it never ends.

While the stabilisation window lasts, nobody gives a governance role back to nobody. Access itself can always be
revoked; the role then goes to the deputy who accepted it, or to the Sponsor with a case.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from trueup.authority.people_policy import PeoplePolicy
from trueup.authority.people_state import Appointment, AppointmentEnded, DelegationEnded, People, RolePassed
from trueup.authority.separation import Mode, mode_of
from trueup.authority.standing import Rights, roles_that_may
from trueup.authority.state import Authority
from trueup.authority.tenure import SPONSOR, Roll, Tenure
from trueup.cases.open import case_events
from trueup.cases.state import Cases, CaseSubject
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Actor, Context, Event, State


def roll_of(state: State, context: Context) -> Roll:
    """Return everybody who may act now, for a rule; its verb asked for `Authority` and `People`."""
    own = {
        row.id: Actor(row.id, row.kind, row.name, frozenset(row.roles), row.scope)
        for row in state.of(Authority).actors.values()
        if row.active
    }
    people = state.of(People)
    rights = context.policies.get(Rights)

    def allows(roles: frozenset[str], right: str) -> bool:
        return not roles.isdisjoint(roles_that_may(rights, right))

    tenure = Tenure(tuple(people.appointments.values()), tuple(people.delegations.values()), people.employments)
    return Roll(own, tenure, context.now, allows)


def mode_in(state: State) -> Mode:
    """Return how the installation is governed, for a rule."""
    return mode_of(state.of(Authority).declared)


def lent_by_asker(name: str, asker: str, where: str, value: str) -> Refusal:
    """Return why nobody decides something by a role that they have from who asked for it."""
    return Refusal("authority.lent_vote", f"{name} decides this only by a role from {asker}, who asked for it.",
                   "Somebody who holds the role without them has to.", where, value)  # fmt: skip


def leaving_cause(actor: str) -> str:
    """Return the cause of the case about what somebody left behind."""
    return f"authority:access_ended:{actor}"


def want_people(state: State, actor: str | None = None) -> None:
    """Ask for everything about rights and people, and for the case about an actor."""
    state.of(Authority).want()
    state.of(People).want()
    if actor is not None:
        state.of(Cases).want_cause(leaving_cause(actor))


def in_window(state: State, now: datetime) -> bool:
    """Tell whether the stabilisation window lasts."""
    declared = state.of(Authority).declared
    return declared is not None and now < declared.window_until


def governs(policies: Policies, role: str) -> bool:
    """Tell whether a role is one that does not fall vacant unseen."""
    return role in policies.get(PeoplePolicy).governance_roles


def vacated(state: State, context: Context, actor: str, role: str, over: str | None, where: str) -> Refusal | None:
    """Return why somebody may not hand this role over now: in the window nobody else holds it."""
    if not in_window(state, context.now) or not governs(context.policies, role):
        return None
    roll = roll_of(state, context)
    if any(id_ != actor for id_ in roll.firm_holders(role, over)):
        return None
    declared = state.of(Authority).declared
    assert declared is not None
    may = ", ".join(roles_that_may(context.policies.get(Rights), "authority.appoint"))
    return Refusal(
        "authority.vacant_in_window",
        f"{roll.name(actor)} is the only {titled(role, over)}, and until {declared.window_until.date()} a governance "
        "role does not fall vacant by hand-over.",
        f"Have a successor or a deputy appointed (authority.appoint, by {may}) and let them accept, which they can at "
        "once. Access itself can be revoked at once, and the role then goes to the Sponsor.",
        where,
        role,
    )


def titled(role: str, over: str | None) -> str:
    """Return a role with what it is for, in words."""
    return f"{role} for {over}" if over is not None else role


def leaving(state: State, context: Context, actor: str, why: str) -> list[Event]:
    """Return what follows when somebody's access ends: each role passes on, what they lent ends, a case tells.

    why: in words. The actor may still be among those who can act; they are passed over.
    """
    events: list[Event] = []
    subjects: list[CaseSubject] = []
    people = state.of(People)
    roll = roll_of(state, context)
    for appointment in list(people.appointments.values()):
        if not appointment.open(context.now):
            continue
        if appointment.deputy == actor:
            what = f"{titled(appointment.role, appointment.over)} has no deputy any more"
            subjects.append(CaseSubject("appointment", appointment.id, what))
        if appointment.actor == actor:
            events.append(_passed(context, roll, appointment, why, subjects))
    held = {(a.role, a.over) for a in people.appointments.values() if a.actor == actor}
    for role in sorted(state.of(Authority).actors[actor].roles):
        governed = governs(context.policies, role) and mode_in(state) != "founding" and (role, None) not in held
        if governed and not _others(roll, actor, role, None):
            passed = _to_sponsor(context, roll, actor, role, why, subjects)
            events += [passed] if passed is not None else []
    events += [
        DelegationEnded(delegation=d.id, taker=d.taker, at=context.now)
        for d in people.delegations.values()
        if actor in (d.giver, d.taker) and d.ended_at is None and context.now < d.until_at
    ]
    return [*events, *_case(state, context, roll, actor, why, subjects)]


def _passed(context: Context, roll: Roll, appointment: Appointment, why: str, subjects: list[CaseSubject]) -> Event:
    """Return how one appointment goes on: to the deputy, to nobody where others hold the role, or to the Sponsor."""
    ended = AppointmentEnded(appointment=appointment.id, actor=appointment.actor, reason=why, at=context.now)
    if appointment.accepted_at is None:
        return ended
    deputy = appointment.deputy
    if deputy is not None and appointment.deputy_accepted_at is not None and deputy in roll.present:
        return RolePassed(
            appointment=_next(context, appointment, deputy), holder=appointment.actor, why=why, ended=appointment.id
        )
    others = _others(roll, appointment.actor, appointment.role, appointment.over)
    if others or not governs(context.policies, appointment.role):
        return ended
    passed = _to_sponsor(context, roll, appointment.actor, appointment.role, why, subjects, appointment)
    return passed if passed is not None else ended


def _others(roll: Roll, actor: str, role: str, over: str | None) -> list[str]:
    """Return who of one's own people holds a role besides somebody; a consultant does not hold one alone."""
    employed = roll.tenure.employments
    return [
        id_
        for id_ in roll.firm_holders(role, over)
        if id_ != actor and (id_ not in employed or employed[id_].employer == "own")
    ]


def _to_sponsor(
    context: Context,
    roll: Roll,
    actor: str,
    role: str,
    why: str,
    subjects: list[CaseSubject],
    appointment: Appointment | None = None,
) -> RolePassed | None:
    """Return the role's passing to a sponsor, and note it for the case; None where there is no sponsor either."""
    over = appointment.over if appointment is not None else None
    sponsor = next((id_ for id_ in roll.holders(SPONSOR) if id_ != actor), None)
    subject = appointment.id if appointment is not None else actor
    if sponsor is None:
        subjects.append(CaseSubject("role", subject, f"nobody is {titled(role, over)} any more"))
        return None
    subjects.append(CaseSubject("role", subject, f"{titled(role, over)} fell to {roll.name(sponsor)}, Sponsor"))
    model = appointment or Appointment(
        id="", actor=actor, role=role, from_at=context.now, by=context.actor.id, at=context.now
    )
    ended = appointment.id if appointment is not None else None
    return RolePassed(appointment=_next(context, model, sponsor), holder=actor, why=why, ended=ended)


def _next(context: Context, appointment: Appointment, holder: str) -> Appointment:
    return msgspec.structs.replace(
        appointment,
        id=context.new_id("apt"),
        actor=holder,
        deputy=None,
        deputy_accepted_at=None,
        from_at=context.now,
        by=context.actor.id,
        at=context.now,
        accepted_at=context.now,
    )


def _case(state: State, context: Context, roll: Roll, actor: str, why: str, subjects: list[CaseSubject]) -> list[Event]:
    """Return the case about roles that need a new holder or deputy, where there are any."""
    if not subjects:
        return []
    sponsored = any(id_ != actor for id_ in roll.holders(SPONSOR))
    return case_events(
        state,
        context,
        cause=leaving_cause(actor),
        kind="role_passed",
        title=f"{state.of(Authority).actors[actor].name} left ({why}), and roles need a new holder",
        severity=2,
        owner_role=SPONSOR if sponsored else "Administrator",
        subjects=subjects,
    )
