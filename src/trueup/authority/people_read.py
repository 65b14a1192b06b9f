"""What others may ask about people: who was appointed to what, what is lent to whom, and whose contract ends."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec

from trueup.authority.pending_state import PENDING, PendingAct, pending_of
from trueup.authority.people_policy import Separation
from trueup.authority.people_state import (
    APPOINTMENTS,
    DELEGATIONS,
    EMPLOYMENTS,
    Appointment,
    Delegation,
    appointment_of,
    delegation_of,
    employment_of,
)
from trueup.authority.separation import clashes
from trueup.authority.tenure import Tenure, actors_at
from trueup.core.database import Connection
from trueup.core.paging import Limit
from trueup.core.policy import Policies
from trueup.core.verb import Actor

Stands = Literal["to accept", "to come", "holds"]
Accepts = Literal["none", "to accept", "accepted"]


class PeopleQuery(msgspec.Struct, frozen=True):
    """Which ones. actor: of whom, as holder, deputy, giver or taker. role: of which. Past an id; open ones only."""

    actor: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    role: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    after: str = ""
    limit: Limit = 100


class AppointmentDetail(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment as it stands at the moment it is read; times as in the appointment itself."""

    id: str
    actor: str
    role: str
    over: str | None
    deputy: str | None
    status: Stands
    deputy_status: Accepts
    from_at: datetime
    until_at: datetime | None
    by: str
    at: datetime


class DelegationDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A delegation as it stands at the moment it is read."""

    id: str
    giver: str
    taker: str
    role: str | None
    over: str | None
    rights: tuple[str, ...]
    status: Stands
    from_at: datetime
    until_at: datetime


class EmploymentDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Who employs somebody. over: the contract has ended, and access with it."""

    actor: str
    employer: str
    company: str | None
    contract_end: date | None
    access_until: datetime | None
    over: bool


class NotTogether(msgspec.Struct, frozen=True, kw_only=True):
    """A role that somebody may not gain, because of one they hold. held_already: they hold both."""

    role: str
    because_of: str
    why: str
    held_already: bool


async def people_now(connection: Connection, now: datetime) -> tuple[Actor, ...]:
    """Return the people who may act at a moment with all roles they hold then, by name."""
    own, tenure = await roll_now(connection)
    return tuple(actors_at(own, tenure, now, lambda roles, right: False).values())


async def roll_now(connection: Connection) -> tuple[dict[str, Actor], Tenure]:
    """Return the active people by id, by name, with the roles they have by themselves; and what was given and lent."""
    rows = await connection.execute(
        "select id, name, roles from actor where active and kind = 'person' order by name, id"
    )
    own = {id_: Actor(id_, "person", name, frozenset(roles)) for id_, name, roles in await rows.fetchall()}
    appointed = await (await connection.execute(f"{APPOINTMENTS} where ended_at is null")).fetchall()
    lent = await (await connection.execute(f"{DELEGATIONS} where ended_at is null")).fetchall()
    employed = await (await connection.execute(EMPLOYMENTS)).fetchall()
    tenure = Tenure(
        tuple(appointment_of(row) for row in appointed),
        tuple(delegation_of(row) for row in lent),
        {row[0]: employment_of(row) for row in employed},
    )
    return own, tenure


async def appointments(connection: Connection, query: PeopleQuery, now: datetime) -> tuple[AppointmentDetail, ...]:
    """Return open appointments past an id, in the order in which they were made."""
    cursor = await connection.execute(
        f"""{APPOINTMENTS} where ended_at is null and (until_at is null or until_at > %s) and id > %s
        and (%s::text is null or actor = %s or deputy = %s) and (%s::text is null or role = %s) order by id limit %s""",
        [now, query.after, query.actor, query.actor, query.actor, query.role, query.role, query.limit],
    )
    return tuple(_appointment(appointment_of(row), now) for row in await cursor.fetchall())


async def delegations(connection: Connection, query: PeopleQuery, now: datetime) -> tuple[DelegationDetail, ...]:
    """Return open delegations past an id, in the order in which they were made."""
    cursor = await connection.execute(
        f"""{DELEGATIONS} where ended_at is null and until_at > %s and id > %s
        and (%s::text is null or giver = %s or taker = %s) and (%s::text is null or role = %s) order by id limit %s""",
        [now, query.after, query.actor, query.actor, query.actor, query.role, query.role, query.limit],
    )
    return tuple(_delegation(delegation_of(row), now) for row in await cursor.fetchall())


async def employment(connection: Connection, actor: str, now: datetime) -> EmploymentDetail | None:
    """Return who employs somebody, or None where nobody said."""
    cursor = await connection.execute(f"{EMPLOYMENTS} where actor = %s", [actor])
    row = await cursor.fetchone()
    if row is None:
        return None
    found = employment_of(row)
    return EmploymentDetail(
        actor=found.actor,
        employer=found.employer,
        company=found.company,
        contract_end=found.contract_end,
        access_until=found.access_until,
        over=found.over(now),
    )


async def pending_acts(connection: Connection, query: PeopleQuery) -> tuple[PendingAct, ...]:
    """Return acts that wait for a second person past an id, the oldest first; of an actor, those they asked for."""
    cursor = await connection.execute(
        f"""{PENDING} where settled_at is null and id > %s and (%s::text is null or asker = %s)
        and (%s::text is null or %s = any(roles)) order by id limit %s""",
        [query.after, query.actor, query.actor, query.role, query.role, query.limit],
    )
    return tuple(pending_of(row) for row in await cursor.fetchall())


def not_together(policies: Policies, roles: frozenset[str]) -> tuple[NotTogether, ...]:
    """Return what roles keep their holder from, by the policy; those that clash already come first."""
    policy = policies.get(Separation)
    already = {(pair.one, pair.other) for pair in clashes(policy, roles, "full")}
    found = [
        NotTogether(
            role=pair.other if pair.one in roles else pair.one,
            because_of=pair.one if pair.one in roles else pair.other,
            why=pair.why,
            held_already=(pair.one, pair.other) in already,
        )
        for pair in policy.roles
        if pair.one in roles or pair.other in roles
    ]
    return tuple(sorted(found, key=lambda one: (not one.held_already, one.because_of, one.role)))


def _appointment(found: Appointment, now: datetime) -> AppointmentDetail:
    offered = found.accepted_at is None
    deputy: Accepts = "none"
    if found.deputy is not None:
        deputy = "to accept" if found.deputy_accepted_at is None else "accepted"
    return AppointmentDetail(
        id=found.id,
        actor=found.actor,
        role=found.role,
        over=found.over,
        deputy=found.deputy,
        status="to accept" if offered else "holds" if found.holds(now) else "to come",
        deputy_status=deputy,
        from_at=found.from_at,
        until_at=found.until_at,
        by=found.by,
        at=found.at,
    )


def _delegation(found: Delegation, now: datetime) -> DelegationDetail:
    return DelegationDetail(
        id=found.id,
        giver=found.giver,
        taker=found.taker,
        role=found.role,
        over=found.over,
        rights=found.rights,
        status="holds" if found.holds(now) else "to come",
        from_at=found.from_at,
        until_at=found.until_at,
    )
