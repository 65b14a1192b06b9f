"""What waits for one person: changes and overrides they decide, acts to confirm, appointments to accept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from trueup.authority.change_read import Vote, can_say, is_small, vote_of
from trueup.authority.changes import unreplayed
from trueup.authority.changes_state import Approval, Change, changes_of, columns
from trueup.authority.decision_rights import DecisionRights, Need, needs
from trueup.authority.overridable import Overriding
from trueup.authority.overrides import decider
from trueup.authority.overrides_state import READ, Override, override_of
from trueup.authority.pending_state import PendingAct
from trueup.authority.people_read import AppointmentDetail, PeopleQuery, appointments, pending_acts, roll_now
from trueup.authority.votes import counting, voted
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Actor

CHANGES_MAX = 100
_ACTS_MAX = 200


class OpenChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is not at its end. missing: the needs that are not met yet. yours: your yes would meet one of them.

    review: it acted as an emergency and nobody has looked at it since.
    """

    change: Change
    status: str
    review: bool
    overdue: bool
    missing: tuple[Vote, ...]
    yours: bool


class AskedOverride(msgspec.Struct, frozen=True):
    """An override that somebody asked for, and the role that decides it."""

    override: Override
    decides: str


class Awaiting(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that waits for somebody, the most urgent first. others: open changes that wait for somebody else.

    to_apply: approved ones that take effect when somebody applies them.
    """

    votes: tuple[OpenChange, ...]
    to_apply: tuple[OpenChange, ...]
    others: tuple[OpenChange, ...]
    overrides: tuple[AskedOverride, ...]
    confirmations: tuple[PendingAct, ...]
    appointments: tuple[AppointmentDetail, ...]


async def awaiting(connection: Connection, policies: Policies, who: Actor, now: datetime) -> Awaiting:
    """Return what waits for somebody, by the roles they hold at the moment (`Standing.present`)."""
    changes = await open_changes(connection, policies, who, now)
    applying = [one for one in changes if one.status == "approved" and not one.missing and _is_ripe(one.change, now)]
    acts = await pending_acts(connection, PeopleQuery(limit=_ACTS_MAX))
    offered = await appointments(connection, PeopleQuery(actor=who.id, limit=_ACTS_MAX), now)
    return Awaiting(
        votes=tuple(one for one in changes if one.yours),
        to_apply=tuple(applying),
        others=tuple(one for one in changes if not one.yours and one not in applying),
        overrides=await _overrides(connection, policies, who, now),
        confirmations=tuple(act for act in acts if act.asker != who.id and not who.roles.isdisjoint(act.roles)),
        appointments=tuple(one for one in offered if is_to_accept(one, who)),
    )


async def open_changes(connection: Connection, policies: Policies, who: Actor, now: datetime) -> tuple[OpenChange, ...]:
    """Return the changes that are not decided, not applied or not reviewed, the first due first; at most 100."""
    cursor = await connection.execute(
        f"""select {columns()}, c.status from change c where c.status in ('proposed', 'approved')
        or (c.status = 'applied' and c.type = 'emergency' and c.reviewed_at is null)
        order by c.due_at, c.id limit %s""",
        [CHANGES_MAX],
        prepare=False,
    )
    rows = await cursor.fetchall()
    ids = [row[0] for row in rows]
    objects = await connection.execute(
        "select change, key, object, base, over from change_object where change = any(%s::text[]) order by object",
        [ids],
    )
    said = await connection.execute(
        """select p.change, p.digest, p.actor, p.roles, p.note, p.at from change_approval p
        join actor a on a.id = p.actor and a.active where p.change = any(%s::text[]) order by p.at, p.actor""",
        [ids],
    )
    found = changes_of([row[:-1] for row in rows], await objects.fetchall(), await said.fetchall())
    small = await is_small(connection)
    own, tenure = await roll_now(connection)
    opened = []
    for change, row in zip(found, rows, strict=True):
        asked = _asked(change, policies, now, small=small)
        able = can_say(change, asked, policies, own, tenure, now, who.id).get(who.id, ())
        counted = counting(voted(change, own, tenure, now))
        opened.append(_open(change, row[-1], asked, counted, able, overdue=now > change.due_at))
    return tuple(opened)


def _asked(change: Change, policies: Policies, now: datetime, *, small: bool) -> tuple[Need, ...]:
    """Return whose yes a change needs; nobody's where nobody decides, or its template was approved."""
    asked = needs(
        policies.get(DecisionRights),
        change.objects,
        unreplayed=bool(unreplayed(policies.kinds, change.edits)),
        small=small,
        overdue=now > change.due_at,
    )
    return () if isinstance(asked, Refusal) or change.template else asked


def _open(
    change: Change,
    status: str,
    asked: Sequence[Need],
    said: list[Approval],
    able: tuple[str, ...],
    *,
    overdue: bool,
) -> OpenChange:
    """Return a change with what is missing. said: approvals that count by now; able: the roles you could decide by."""
    unmet = [(need, vote) for need in asked if (vote := vote_of(need, said)).said < vote.count]
    return OpenChange(
        change=change,
        status=status,
        review=status == "applied",
        overdue=overdue and status == "proposed",
        missing=tuple(vote for _, vote in unmet),
        yours=any(need.met_by(able) for need, _ in unmet),
    )


def _is_ripe(change: Change, now: datetime) -> bool:
    return change.effective_at is None or change.effective_at <= now


async def _overrides(
    connection: Connection, policies: Policies, who: Actor, now: datetime
) -> tuple[AskedOverride, ...]:
    rows = await connection.execute(
        f"{READ} where declined_at is null and ended_at is null and expires_at > %s order by asked_at, id", [now]
    )
    found = [override_of(row) for row in await rows.fetchall()]
    held = [one for one in found if one.granted_at is not None]
    asked = [
        AskedOverride(one, decider(one, held, policies.get(Overriding), now)) for one in found if one.granted_at is None
    ]
    return tuple(one for one in asked if one.decides in who.roles and one.override.asked_by != who.id)


def is_to_accept(found: AppointmentDetail, who: Actor) -> bool:
    """Tell whether an appointment waits for this person, as its holder or as the deputy."""
    return (found.actor == who.id and found.status == "to accept") or (
        found.deputy == who.id and found.deputy_status == "to accept"
    )
