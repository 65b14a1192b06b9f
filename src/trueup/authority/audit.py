"""Who did what, who approved it, and who could have and did not: read from the journal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import msgspec

from trueup.authority.change_read import change as change_of
from trueup.authority.changes_state import Change
from trueup.authority.decision_rights import DecisionRights, needs
from trueup.authority.overridable import Overriding
from trueup.authority.overrides_read import decider_of
from trueup.authority.overrides_state import READ, Override, override_of
from trueup.authority.people_state import (
    APPOINTMENTS,
    DELEGATIONS,
    EMPLOYMENTS,
    appointment_of,
    delegation_of,
    employment_of,
)
from trueup.authority.read import version_in_force
from trueup.authority.standing import SYSTEM
from trueup.authority.state import ActorRegistered
from trueup.authority.tenure import Tenure, holders_at
from trueup.core import json
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.paging import Limit, Moment, Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.trial import first_position
from trueup.core.verb import Actor

EXPORT_MAX = 100_000
_CHUNK = 2000
_SPONSOR = "Sponsor"
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class AuditQuery(msgspec.Struct, frozen=True):
    """Which acts. actor: id. verb: `room.verb`, or a room. subject: what it was about. from_at, until_at: when."""

    actor: Word | None = None
    verb: Word | None = None
    subject: Word | None = None
    from_at: Moment | None = None
    until_at: Moment | None = None
    cursor: str | None = None
    limit: Limit = 50


class Act(msgspec.Struct, frozen=True):
    """One command that went through. events: what happened by it. position: in the journal."""

    position: int
    at: datetime
    actor: str
    name: str
    kind: str
    verb: str
    subject: str
    events: tuple[str, ...]


class Person(msgspec.Struct, frozen=True):
    """Somebody with a part in a decision. at: when they acted; None for who did not."""

    actor: str
    name: str
    at: datetime | None = None


class Decided(msgspec.Struct, frozen=True):
    """Who decided one part of a change or override. why: the objects, the quorum, or the department.

    roles: any of which could decide it. by: who did. could_have: who held one of the roles at that time and did not.
    """

    why: str
    roles: tuple[str, ...]
    by: tuple[Person, ...]
    could_have: tuple[Person, ...]


class Accountable(msgspec.Struct, frozen=True):
    """Who stands behind a change or an override. at: the time of which the holders of the roles are told.

    ended: how it ended, None while nobody decided. did: what else was done about it, the first first.
    """

    subject: str
    title: str
    asked: Person
    at: datetime
    ended: str | None
    decided: tuple[Decided, ...]
    did: tuple[Act, ...]


_ACTS = """select j.position, j.at, j.actor,
        coalesce(a.name, case j.actor when 'act_system' then 'Trueup' else j.actor end),
        coalesce(a.kind, 'service'), j.name, j.subject,
        array(select e.name from journal e where e.position > j.position and e.position < coalesce((
                select c.position from journal c where c.position > j.position and (c.kind = 'c' or c.batch <> j.batch)
                order by c.position limit 1), 9223372036854775807)
            order by e.position limit 50)
    from journal j left join actor a on a.id = j.actor"""


async def acts(connection: Connection, query: AuditQuery) -> Page[Act]:
    """Return one page of acts, the newest first."""
    conditions, parameters = await _conditions(connection, query)
    if query.cursor is not None:
        conditions.append("j.position < %s")
        parameters += read_cursor(query.cursor, (int,))
    limit = bounded(query.limit)
    found = await _acts(connection, conditions, [*parameters, limit + 1])
    return page_of(found, limit, lambda act: write_cursor(act.position))


async def exported(connection: Connection, query: AuditQuery) -> AsyncIterator[Act]:
    """Yield every act of a query, the newest first, at most 100,000."""
    conditions, parameters = await _conditions(connection, query)
    last, count = 2**62, 0
    while count < EXPORT_MAX:
        found = await _acts(connection, [*conditions, "j.position < %s"], [*parameters, last, _CHUNK])
        for act in found[: EXPORT_MAX - count]:
            yield act
        if len(found) < _CHUNK:
            return
        count += len(found)
        last = found[-1].position


async def accountable(connection: Connection, subject: str, now: datetime) -> Accountable | None:
    """Return who stands behind a change (`chg_...`) or an override (`ovr_...`); None where there is no such thing."""
    if subject.startswith("ovr_"):
        return await _of_override(connection, subject, now)
    found = await change_of(connection, subject)
    return await _of_change(connection, found[0], now) if found is not None else None


async def _conditions(connection: Connection, query: AuditQuery) -> tuple[list[str], list[Any]]:
    conditions, parameters = ["j.kind = 'c'"], list[Any]()
    for name in ("actor", "subject"):
        if getattr(query, name) is not None:
            conditions.append(f"j.{name} = %s")
            parameters.append(getattr(query, name))
    if query.verb is not None:
        conditions.append("(j.name = %s or starts_with(j.name, %s))")
        parameters += [query.verb, query.verb + "."]
    if query.from_at is not None:
        conditions.append("j.position >= %s and j.at >= %s")
        parameters += [await first_position(connection, query.from_at), query.from_at]
    if query.until_at is not None:
        conditions.append("j.at < %s")
        parameters.append(query.until_at)
    return conditions, parameters


async def _acts(connection: Connection, conditions: list[str], parameters: list[Any]) -> list[Act]:
    rows = await connection.execute(
        f"{_ACTS} where {' and '.join(conditions)} order by j.position desc limit %s", parameters, prepare=False
    )
    return [Act(*[*row[:-1], tuple(row[-1])]) for row in await rows.fetchall()]


async def _of_override(connection: Connection, id_: str, now: datetime) -> Accountable | None:
    row = await (await connection.execute(f"{READ} where id = %s", [id_])).fetchone()
    if row is None:
        return None
    override = override_of(row)
    at = override.granted_at or override.declined_at or min(now, override.expires_at)
    who = await _who(connection, at)
    role = await _role_of(connection, override, at)
    decider = override.granted_by or override.declined_by
    by = (who.person(decider, at),) if decider is not None and decider != override.asked_by else ()
    roles = (role, _SPONSOR) if role != _SPONSOR else (_SPONSOR,)
    life = override.life(now)
    return Accountable(
        id_,
        f"Override of {override.rule}: {override.reason}",
        who.person(override.asked_by, override.asked_at),
        at,
        None if life == "asked" else life,
        (Decided(f"risk of {override.department}", roles, by, who.others(roles, by, override.asked_by)),),
        await _about(connection, id_),
    )


async def _role_of(connection: Connection, override: Override, at: datetime) -> str:
    """Return whose decision an override was, as its record says; while nobody decided, whose it is by the policy."""
    rows = await connection.execute(
        """select body from journal where subject = %s and kind = 'e'
        and name in ('authority.override_granted', 'authority.override_declined') limit 1""",
        [override.id],
    )
    row = await rows.fetchone()
    if row is not None:
        return str(json.decode(bytes(row[0]), dict[str, Any]).get("role", _SPONSOR))
    return await decider_of(connection, override, (await version_in_force(connection, Overriding))[0], at)


async def _of_change(connection: Connection, change: Change, now: datetime) -> Accountable:
    at = change.approved_at or change.rejected_at or change.applied_at or change.withdrawn_at or now
    who = await _who(connection, at)
    row = await (await connection.execute("select mode from governance")).fetchone()
    small = row is not None and row[0] == "small"
    needed = needs(await _register(connection, at), change.objects, unreplayed=False, small=small)
    decided = []
    for need in () if isinstance(needed, Refusal) else needed:
        said = [one for one in change.counted() if set(one.roles) & set(need.roles)]
        by = tuple(who.person(one.actor, one.at) for one in said)
        if change.rejected_at is not None and change.ended_by is not None:
            by = (*by, who.person(change.ended_by, change.rejected_at))
        decided.append(Decided(need.why, need.roles, by, who.others(need.roles, by, change.asker)))
    ends = ("reverted", "applied", "rejected", "withdrawn", "failed", "approved")
    return Accountable(
        change.id,
        change.title,
        who.person(change.asker, change.asked_at),
        at,
        next((end for end in ends if getattr(change, f"{end}_at") is not None), None),
        tuple(decided),
        await _about(connection, change.id),
    )


async def _about(connection: Connection, subject: str) -> tuple[Act, ...]:
    return tuple((await _acts(connection, ["j.kind = 'c'", "j.subject = %s"], [subject, 200]))[::-1])


async def _register(connection: Connection, at: datetime) -> DecisionRights:
    """Return the decision rights that were in force at a moment."""
    rows = await connection.execute(
        """select document from policy where kind = 'decision_rights' and name = 'default' and at <= %s
        order by version desc limit 1""",
        [at],
    )
    row = await rows.fetchone()
    return json.decode(bytes(row[0]), DecisionRights) if row is not None else DecisionRights()


class _Who(msgspec.Struct, frozen=True):
    """Who could act at a moment, with which roles; names: of everybody there ever was."""

    at: datetime
    present: dict[str, Actor]
    tenure: Tenure
    names: dict[str, str]

    def person(self, actor: str, at: datetime | None = None) -> Person:
        return Person(actor, self.names.get(actor, actor), at)

    def others(self, roles: tuple[str, ...], by: tuple[Person, ...], asker: str) -> tuple[Person, ...]:
        """Return who held one of the roles over anything and did not act; who asked could not have."""
        taken = {asker, *(person.actor for person in by)}
        found: dict[str, None] = {}
        for role in roles:
            overs = {None, *(one.over for one in self.tenure.appointments if one.role == role)}
            for over in sorted(overs, key=lambda over: over or ""):
                found.update(dict.fromkeys(holders_at(self.present, self.tenure, role, over, self.at)))
        return tuple(self.person(actor) for actor in found if actor not in taken)


async def _who(connection: Connection, at: datetime) -> _Who:
    """Return who could act at a moment: as the journal has their roles, and appointments and delegations ran."""
    rows = await connection.execute(
        """select r.body, a.id, a.name from actor a left join lateral (
            select body from journal j where j.subject = a.id and j.name = 'authority.actor_registered'
                and j.at <= %s order by position desc limit 1) r on true""",
        [at],
    )
    found = await rows.fetchall()
    known = [json.decode(bytes(body), ActorRegistered).actor for body, _, _ in found if body is not None]
    own = {one.id: Actor(one.id, one.kind, one.name, frozenset(one.roles)) for one in known if one.active}
    appointments = [appointment_of(row) for row in await (await connection.execute(APPOINTMENTS)).fetchall()]
    delegations = [delegation_of(row) for row in await (await connection.execute(DELEGATIONS)).fetchall()]
    employments = {row[0]: employment_of(row) for row in await (await connection.execute(EMPLOYMENTS)).fetchall()}
    tenure = Tenure(
        tuple(msgspec.structs.replace(one, **_as_of(one, at)) for one in appointments if one.at <= at),
        tuple(msgspec.structs.replace(one, **_as_of(one, at)) for one in delegations),
        employments,
    )
    present = {id_: actor for id_, actor in own.items() if not tenure.gone(id_, at)}
    return _Who(at, present, tenure, {SYSTEM.id: SYSTEM.name, **{id_: name for _, id_, name in found}})


def _as_of(one: msgspec.Struct, at: datetime) -> dict[str, None]:
    """Return what had not happened to an appointment or delegation by a moment."""
    names = ("accepted_at", "deputy_accepted_at", "ended_at")
    moments = {name: getattr(one, name, None) for name in names}
    return {name: None for name, moment in moments.items() if moment is not None and moment > at}
