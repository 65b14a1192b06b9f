"""Who was appointed to what, who stands in for whom until when, and whose contract ends: the rows of one batch."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

import msgspec

from trueup.core.verb import Batch, Event, Loading, Rebuilt, Slice, Statement, Takes

Employer = Literal["own", "consultant"]


class Appointment(msgspec.Struct, frozen=True, kw_only=True):
    """A role given to a person, which counts once they accepted it.

    over: what it is for (`category:tea`, `brand:acme`, `integration:erp`), None for everything. deputy: who holds the
    role too, after them, once they accepted it as well. It holds from `from_at` until just before `until_at`.
    """

    id: str
    actor: str
    role: str
    from_at: datetime
    by: str
    at: datetime
    over: str | None = None
    deputy: str | None = None
    until_at: datetime | None = None
    accepted_at: datetime | None = None
    deputy_accepted_at: datetime | None = None
    ended_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Tell whether it is accepted and runs at this moment."""
        return self.accepted_at is not None and self.from_at <= now and self.open(now)

    def open(self, now: datetime) -> bool:
        """Tell whether it has not ended at this moment, begun or not, accepted or not."""
        return self.ended_at is None and (self.until_at is None or now < self.until_at)


class Delegation(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody lets somebody else do for a time: a role of theirs, or single rights. It cannot be passed on."""

    id: str
    giver: str
    taker: str
    from_at: datetime
    until_at: datetime
    role: str | None = None
    over: str | None = None
    rights: tuple[str, ...] = ()
    ended_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Tell whether it runs at this moment."""
        return self.from_at <= now < self.until_at and self.ended_at is None


class Employment(msgspec.Struct, frozen=True, kw_only=True):
    """Who employs a person. company: a consultant's. contract_end: the last day; access_until: when access ends."""

    actor: str
    employer: Employer = "own"
    company: str | None = None
    contract_end: date | None = None
    access_until: datetime | None = None

    def over(self, now: datetime) -> bool:
        """Tell whether the contract has ended by this moment."""
        return self.access_until is not None and self.access_until <= now


class Appointed(Event, frozen=True, kw_only=True):
    """Somebody is to hold a role; it counts once they accept."""

    name = "authority.appointed"
    about = "appointment.actor"
    appointment: Appointment


class AppointmentAccepted(Event, frozen=True, kw_only=True):
    """The appointee (or with `as_deputy`, the deputy) took the role on."""

    name = "authority.appointment_accepted"
    about = "actor"
    appointment: str
    actor: str
    at: datetime
    as_deputy: bool = False


class AppointmentEnded(Event, frozen=True, kw_only=True):
    """A role was given back or taken away."""

    name = "authority.appointment_ended"
    about = "actor"
    appointment: str
    actor: str
    reason: str
    at: datetime


class DeputyResigned(Event, frozen=True, kw_only=True):
    """Somebody gave back being the deputy of an appointment, which goes on without one."""

    name = "authority.deputy_resigned"
    about = "actor"
    appointment: str
    actor: str
    reason: str
    at: datetime


class RolePassed(Event, frozen=True, kw_only=True):
    """A role went on to the deputy, or to the Sponsor, because its holder's access ended. appointment: the new one.

    ended: the appointment that it follows; None where the role was held without one. why: in words.
    """

    name = "authority.role_passed"
    about = "appointment.actor"
    appointment: Appointment
    holder: str
    why: str
    ended: str | None = None


class Delegated(Event, frozen=True, kw_only=True):
    """Somebody lets somebody else do what is theirs, until a date."""

    name = "authority.delegated"
    about = "delegation.taker"
    delegation: Delegation


class DelegationEnded(Event, frozen=True, kw_only=True):
    """A delegation was taken back before its date."""

    name = "authority.delegation_ended"
    about = "taker"
    delegation: str
    taker: str
    at: datetime


class EmploymentSet(Event, frozen=True, kw_only=True):
    """Who employs a person, and until when, is now this."""

    name = "authority.employment_set"
    about = "employment.actor"
    employment: Employment
    at: datetime


EVENTS: tuple[type[Event], ...] = (
    Appointed,
    AppointmentAccepted,
    AppointmentEnded,
    DeputyResigned,
    RolePassed,
    Delegated,
    DelegationEnded,
    EmploymentSet,
)
_APPOINTMENT = Appointment.__struct_fields__
_DELEGATION = Delegation.__struct_fields__
_EMPLOYMENT = Employment.__struct_fields__
APPOINTMENTS = f"select {', '.join(_APPOINTMENT)} from appointment"
DELEGATIONS = f"select {', '.join(_DELEGATION)} from delegation"
EMPLOYMENTS = f"select {', '.join(_EMPLOYMENT)} from employment"


def appointment_of(row: tuple[Any, ...]) -> Appointment:
    """Return an appointment from its columns."""
    return Appointment(**dict(zip(_APPOINTMENT, row, strict=True)))


def delegation_of(row: tuple[Any, ...]) -> Delegation:
    """Return a delegation from its columns."""
    columns = dict(zip(_DELEGATION, row, strict=True))
    return Delegation(**{**columns, "rights": tuple(columns["rights"])})


def employment_of(row: tuple[Any, ...]) -> Employment:
    """Return an employment from its columns."""
    return Employment(**dict(zip(_EMPLOYMENT, row, strict=True)))


class People(Slice):
    """Everything about appointments, delegations and contracts; like rights, it is small, rare and changes one by one.

    What ended is not loaded: no rule asks about it. The epoch's lock is the authority's, which is asked for with it.
    """

    def __init__(self) -> None:
        self._wanted = False
        self.appointments: dict[str, Appointment] = {}
        self.delegations: dict[str, Delegation] = {}
        self.employments: dict[str, Employment] = {}
        self._events: list[Event] = []

    def want(self) -> None:
        """Ask for all of it."""
        self._wanted = True

    def load(self, *, lock: bool, now: datetime) -> Loading:
        """Read what has not ended, after the statement that locks the epoch for all of it."""
        if not self._wanted:
            return
        self._wanted = False
        answers = yield [
            Statement(f"{APPOINTMENTS} where ended_at is null"),
            Statement(f"{DELEGATIONS} where ended_at is null"),
            Statement(EMPLOYMENTS),
        ]
        self.appointments = {row[0]: appointment_of(row) for row in answers[0]}
        self.delegations = {row[0]: delegation_of(row) for row in answers[1]}
        self.employments = {row[0]: employment_of(row) for row in answers[2]}

    def takes(self) -> Takes:
        """Take an appointment, a delegation or a contract in."""
        return {
            Appointed: self._appointed,
            AppointmentAccepted: self._accepted,
            AppointmentEnded: self._ended,
            DeputyResigned: self._resigned,
            RolePassed: self._passed,
            Delegated: self._delegated,
            DelegationEnded: self._taken_back,
            EmploymentSet: self._employed,
        }

    def _appointed(self, event: Appointed) -> None:
        self.appointments[event.appointment.id] = event.appointment
        self._events.append(event)

    def _accepted(self, event: AppointmentAccepted) -> None:
        field = "deputy_accepted_at" if event.as_deputy else "accepted_at"
        known = self.appointments[event.appointment]
        self.appointments[known.id] = msgspec.structs.replace(known, **{field: event.at})
        self._events.append(event)

    def _ended(self, event: AppointmentEnded) -> None:
        known = self.appointments[event.appointment]
        self.appointments[known.id] = msgspec.structs.replace(known, ended_at=event.at)
        self._events.append(event)

    def _resigned(self, event: DeputyResigned) -> None:
        known = self.appointments[event.appointment]
        self.appointments[known.id] = msgspec.structs.replace(known, deputy=None, deputy_accepted_at=None)
        self._events.append(event)

    def _passed(self, event: RolePassed) -> None:
        if event.ended is not None:
            known = self.appointments[event.ended]
            self.appointments[known.id] = msgspec.structs.replace(known, ended_at=event.appointment.at)
        self.appointments[event.appointment.id] = event.appointment
        self._events.append(event)

    def _delegated(self, event: Delegated) -> None:
        self.delegations[event.delegation.id] = event.delegation
        self._events.append(event)

    def _taken_back(self, event: DelegationEnded) -> None:
        known = self.delegations[event.delegation]
        self.delegations[known.id] = msgspec.structs.replace(known, ended_at=event.at)
        self._events.append(event)

    def _employed(self, event: EmploymentSet) -> None:
        self.employments[event.employment.actor] = event.employment
        self._events.append(event)

    def rebuilt(self) -> list[Rebuilt]:
        """Return every appointment, delegation and contract there ever was."""
        return [
            Rebuilt("appointment", APPOINTMENTS, {(a.id,): _values(a)[1:] for a in self.appointments.values()}),
            Rebuilt("delegation", DELEGATIONS, {(d.id,): _values(d)[1:] for d in self.delegations.values()}),
            Rebuilt("employment", EMPLOYMENTS, {(e.actor,): _values(e)[1:] for e in self.employments.values()}),
        ]

    def write(self, batch: Batch) -> list[Statement]:
        """Return the writes, one per event since these are rare, and the rise of the epoch."""
        if not self._events:
            return []
        statements = [statement for event in self._events for statement in _writes(event)]
        return [*statements, Statement("update epoch set value = value + 1")]


def _values(row: msgspec.Struct) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in row.__struct_fields__)


def _writes(event: Event) -> list[Statement]:
    """Return what an event writes."""
    match event:
        case Appointed():
            return [_insert_appointment(event.appointment)]
        case AppointmentAccepted():
            field = "deputy_accepted_at" if event.as_deputy else "accepted_at"
            return [Statement(f"update appointment set {field} = %s where id = %s", [event.at, event.appointment])]
        case AppointmentEnded():
            return [_end_appointment(event.appointment, event.at)]
        case DeputyResigned():
            sql = "update appointment set deputy = null, deputy_accepted_at = null where id = %s"
            return [Statement(sql, [event.appointment])]
        case RolePassed():
            ended = [_end_appointment(event.ended, event.appointment.at)] if event.ended is not None else []
            return [*ended, _insert_appointment(event.appointment)]
        case Delegated():
            given = event.delegation
            values = [list(value) if type(value) is tuple else value for value in _values(given)]
            marks = ", ".join("%s::text[]" if name == "rights" else "%s" for name in _DELEGATION)
            return [Statement(f"insert into delegation ({', '.join(_DELEGATION)}) values ({marks})", values)]
        case DelegationEnded():
            return [Statement("update delegation set ended_at = %s where id = %s", [event.at, event.delegation])]
        case EmploymentSet():
            return [_set_employment(event.employment)]
    raise AssertionError(f"{event.name} is none of the people's")


def _insert_appointment(appointment: Appointment) -> Statement:
    marks = ", ".join("%s" for _ in _APPOINTMENT)
    return Statement(f"insert into appointment ({', '.join(_APPOINTMENT)}) values ({marks})", _values(appointment))


def _end_appointment(id_: str, at: datetime) -> Statement:
    return Statement("update appointment set ended_at = %s where id = %s", [at, id_])


def _set_employment(employment: Employment) -> Statement:
    return Statement(
        """insert into employment (actor, employer, company, contract_end, access_until) values (%s, %s, %s, %s, %s)
        on conflict (actor) do update set employer = excluded.employer, company = excluded.company,
            contract_end = excluded.contract_end, access_until = excluded.access_until""",
        _values(employment),
    )
