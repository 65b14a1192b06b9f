"""What everybody may ask about changes: the list, one with its differences, votes and conflicts, and who decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from trueup.authority.change_control import ChangeControl
from trueup.authority.changes import unreplayed
from trueup.authority.changes_state import Approval, Change, changes_of, columns
from trueup.authority.decision_rights import (
    Decision,
    DecisionRights,
    Need,
    deciders_named,
    needs,
    quorum_of,
    small_holds,
)
from trueup.authority.people_read import people_now, roll_now
from trueup.authority.standing import Rights, roles_that_may
from trueup.authority.tenure import RIGHT, Tenure, actors_at
from trueup.authority.votes import Voted, counting, may_say, voted
from trueup.core import json
from trueup.core.carry import Carried
from trueup.core.database import Connection
from trueup.core.differences import Difference, differences
from trueup.core.errors import Refusal
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.policy import Policies, keys_of
from trueup.core.verb import Actor

ChangeStatus = Literal["proposed", "approved", "applied", "rejected", "withdrawn", "reverted", "failed"]


class ChangeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which changes. key: a governed key they touch. object: the beginning of what they touch, as `policy/sourcing`."""

    status: ChangeStatus | None = None
    open: bool | None = None
    asker: str | None = None
    key: str | None = None
    object: str | None = None
    cursor: str | None = None
    limit: Limit = 50


class ChangeSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One change. touches: how many governed things; overdue: it should have been decided by now."""

    id: str
    title: str
    type: str
    status: str
    asker: str
    asked_at: datetime
    due_at: datetime
    effective_at: datetime | None
    applied_at: datetime | None
    touches: int
    first: str
    overdue: bool


class Edited(msgspec.Struct, frozen=True, kw_only=True):
    """One of a change's commands. differences: between what stands now and what it proposes; of policies, by path."""

    verb: str
    what: str
    command: dict[str, Any]
    differences: tuple[Difference, ...]


class Vote(msgspec.Struct, frozen=True):
    """One need of a change, and how many of it have said yes to the content as it is. over: parts; see `Need`."""

    roles: tuple[str, ...]
    count: int
    why: str
    said: int
    over: tuple[str, ...] = ()

    @property
    def who(self) -> str:
        """Whose yes counts, in words."""
        return deciders_named(self.roles, self.over)


class Asked(Vote, frozen=True, kw_only=True):
    """A need of one change, and who can meet it. can: people whose yes would count now, but for who gave it already.

    then: the roles that decide as well once the change is overdue. then_can: the people who could by these.
    """

    can: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    then_can: tuple[str, ...] = ()


class VoidVote(msgspec.Struct, frozen=True):
    """An approval that no longer counts, and why. roles: it counts no more in these alone; () where not at all."""

    actor: str
    at: datetime
    why: str
    roles: tuple[str, ...] = ()


class Conflict(msgspec.Struct, frozen=True):
    """What stands in the way: another open change of the same thing, a blackout, a freeze, or a base that moved.

    until: when it ends by itself.
    """

    kind: Literal["change", "blackout", "stale", "freeze"]
    what: str
    link: str = ""
    until: datetime | None = None


class ChangeDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One change whole. void: approvals that no longer count, while it is open or waits for its review.

    next_free: the first moment that no blackout stops. review_due, watched_until: by policy.
    """

    id: str
    version: int
    status: str
    change: Change
    edits: tuple[Edited, ...]
    votes: tuple[Asked, ...]
    conflicts: tuple[Conflict, ...]
    unreplayed: tuple[str, ...]
    void: tuple[VoidVote, ...]
    next_free: datetime
    review_due: datetime | None
    watched_until: datetime | None


class DecidedBy(msgspec.Struct, frozen=True, kw_only=True):
    """Who decides a key, who holds that role now, and what is proposed about it.

    quorum: who has to say yes besides, and how many; None in the small mode, where one other person's yes is enough.
    """

    key: str
    domain: str
    decider: str
    consulted: tuple[str, ...]
    hours: int
    tie_breaker: str
    holders: tuple[str, ...]
    pending: tuple[str, ...]
    quorum: Need | None


ChangePage = Page[ChangeSummary]


async def find_changes(connection: Connection, query: ChangeQuery, now: datetime) -> ChangePage:
    """Return one page, the latest asked first."""
    conditions: list[str] = ["true"]
    parameters: list[Any] = []
    if query.status is not None:
        conditions.append("c.status = %s")
        parameters.append(query.status)
    if query.open is not None:
        conditions.append("c.status in ('proposed', 'approved')" if query.open
                          else "c.status not in ('proposed', 'approved')")  # fmt: skip
    if query.asker is not None:
        conditions.append("c.asker = %s")
        parameters.append(query.asker)
    if query.key is not None:
        conditions.append("c.id in (select change from change_object where key = %s or starts_with(key, %s))")
        parameters += [query.key, f"{query.key}:"]
    if query.object is not None:
        conditions.append("c.id in (select change from change_object where starts_with(object, %s))")
        parameters.append(query.object)
    if query.cursor is not None:
        asked_at, id_ = read_cursor(query.cursor, (datetime, str))
        conditions.append("(c.asked_at, c.id) < (%s, %s)")
        parameters += [asked_at, id_]
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"""select c.id, c.title, c.type, c.status, c.asker, c.asked_at, c.due_at, c.effective_at, c.applied_at,
            o.touches, o.first from change c cross join lateral (
                select count(*)::int as touches, coalesce(min(object), '') as first from change_object
                where change = c.id
            ) o where {" and ".join(conditions)} order by c.asked_at desc, c.id desc limit %s""",
        [*parameters, limit + 1],
        prepare=False,
    )
    names = [name for name in ChangeSummary.__struct_fields__ if name != "overdue"]
    found = [
        ChangeSummary(**dict(zip(names, row, strict=True)), overdue=row[3] == "proposed" and row[6] < now)
        for row in await rows.fetchall()
    ]
    return page_of(found, limit, lambda row: write_cursor(row.asked_at, row.id))


async def change(connection: Connection, change: str) -> tuple[Change, str] | None:
    """Return one change with its status, or None."""
    cursor = await connection.execute(f"select {columns()}, c.status from change c where c.id = %s", [change])
    row = await cursor.fetchone()
    if row is None:
        return None
    objects = await connection.execute(
        "select change, key, object, base, over from change_object where change = %s order by object", [change]
    )
    approvals = await connection.execute(
        """select change, digest, actor, roles, note, at from change_approval where change = %s order by at, actor""",
        [change],
    )
    found = changes_of([row[:-1]], await objects.fetchall(), await approvals.fetchall())[0]
    return found, row[-1]


async def change_detail(
    connection: Connection, change_id: str, policies: Policies, now: datetime
) -> ChangeDetail | None:
    """Return one change with what differs, whose yes is missing, and what stands in its way; None if there is none."""
    known = await change(connection, change_id)
    if known is None:
        return None
    found, status = known
    reasons = unreplayed(policies.kinds, found.edits)
    control = policies.get(ChangeControl)
    small = await is_small(connection)
    asked = needs(
        policies.get(DecisionRights),
        found.objects,
        unreplayed=bool(reasons),
        small=small,
        overdue=now > found.due_at,
    )
    own, tenure = await roll_now(connection)
    votes = voted(found, own, tenure, now)
    open_still = status in ("proposed", "approved")
    applied = found.applied_at
    waits = found.type == "emergency" and status == "applied" and found.reviewed_at is None
    said = counting(votes) if open_still or waits else list(found.counted())
    wanted = () if isinstance(asked, Refusal) or found.template else asked
    later = tuple(msgspec.structs.replace(need, roles=(*need.roles, *need.then)) for need in wanted)
    able, then_able = (
        can_say(found, needed, policies, own, tenure, now) if open_still or waits else {} for needed in (wanted, later)
    )
    return ChangeDetail(
        id=found.id,
        version=found.version,
        status=status,
        change=found,
        edits=tuple([await _edited(connection, edit, found, policies) for edit in found.edits]),
        votes=tuple(_asked(need, vote_of(need, said), able, then_able) for need in wanted),
        conflicts=tuple(await _conflicts(connection, found, control, now)) if open_still else (),
        unreplayed=reasons,
        void=_void(votes, wanted) if open_still or waits else (),
        next_free=control.next_free(found.objects, found.effective_at or now),
        review_due=applied + timedelta(hours=control.review_hours) if applied and found.type == "emergency" else None,
        watched_until=applied + timedelta(hours=control.watch_hours) if applied and found.indicators else None,
    )


async def awaited(connection: Connection, change_id: str, policies: Policies, now: datetime) -> str:
    """Return who decides a change that is proposed, as a sentence; nothing for one that is decided."""
    known = await change(connection, change_id)
    if known is None or known[1] != "proposed":
        return ""
    found = known[0]
    small = await is_small(connection)
    replayed = not unreplayed(policies.kinds, found.edits)
    asked = needs(policies.get(DecisionRights), found.objects, unreplayed=not replayed, small=small)
    if isinstance(asked, Refusal) or found.template:
        return ""
    who = "; ".join(f"{need.count} of {need.who} ({need.why})" for need in asked)
    return f"It is decided by {who}, until {found.due_at:%Y-%m-%d %H:%M} UTC."


async def who_decides(
    connection: Connection, policies: Policies, now: datetime, key: str | None = None
) -> tuple[DecidedBy, ...]:
    """Return who decides every governed key, or one; refined entries stand beside what they refine.

    holders: by their own role, an appointment over all or a part, as a deputy, or by a delegation, at the moment.

    A key that the register does not map is listed with no decider: nobody may change it.
    """
    register = policies.get(DecisionRights)
    mapped = {entry for decision in register.decisions for entry in decision.keys}
    keys = [key] if key is not None else sorted(keys_of(policies.kinds) | mapped)
    holders: dict[str, list[str]] = {}
    for actor in await people_now(connection, now):
        for role in actor.roles:
            holders.setdefault(role, []).append(actor.id)
    rows = await connection.execute(
        """select o.key, c.id from change_object o join change c on c.id = o.change
        where c.status in ('proposed', 'approved') order by c.asked_at limit 1000"""
    )
    pending: dict[str, list[str]] = {}
    for touched, id_ in await rows.fetchall():
        for name in {touched, touched.partition(":")[0]}:
            pending.setdefault(name, []).append(id_)
    nobody = Decision(keys=(), domain="joint", decider="")
    small = await is_small(connection)
    return tuple(
        DecidedBy(
            key=one,
            domain=decision.domain if decision.decider else "",
            decider=decision.decider,
            consulted=decision.consulted,
            hours=decision.hours,
            tie_breaker=decision.tie_breaker,
            holders=tuple(holders.get(decision.decider, ())),
            pending=tuple(dict.fromkeys(pending.get(one, ()))),
            quorum=None if small else quorum_of(policies, one),
        )
        for one in keys
        for decision in (register.of(one) or nobody,)
    )


async def pending_on(connection: Connection, beginning: str, now: datetime) -> tuple[ChangeSummary, ...]:
    """Return the open changes of an object, for its page."""
    page = await find_changes(connection, ChangeQuery(object=beginning, open=True), now)
    return page.items


async def edits_of(connection: Connection, changes: Sequence[str]) -> dict[str, tuple[Carried, ...]]:
    """Return the commands that changes (ids) carry, by change."""
    rows = await connection.execute("select id, content from change where id = any(%s::text[])", [list(changes)])
    return {id_: json.decode(bytes(content), tuple[Carried, ...]) for id_, content in await rows.fetchall()}


async def is_small(connection: Connection) -> bool:
    """Tell whether the small mode holds now."""
    cursor = await connection.execute(
        "select mode, (select count(*) from actor where active and kind = 'person') from governance"
    )
    row = await cursor.fetchone()
    return row is not None and small_holds(row[0], row[1])


def can_say(
    change: Change,
    asked: Sequence[Need],
    policies: Policies,
    own: Mapping[str, Actor],
    tenure: Tenure,
    now: datetime,
    only: str | None = None,
) -> dict[str, tuple[str, ...]]:
    """Return whose yes would count now for one of these needs: by id, the roles they decide by.

    only: asks of one person alone.
    """
    rights = {*roles_that_may(policies.get(Rights), "authority.approve_change"), f"{RIGHT}authority.approve_change"}
    found = {}
    for actor in actors_at(own, tenure, now, lambda roles, right: not rights.isdisjoint(roles)).values():
        # Who decides none of it by anything they hold does not by what is their own.
        if only not in (None, actor.id) or rights.isdisjoint(actor.roles):
            continue
        if any(need.met_by(actor.deciding()) for need in asked):
            found[actor.id] = may_say(change, actor.id, asked, own, tenure, now)
    return {id_: roles for id_, roles in found.items() if roles}


def _asked(
    need: Need, vote: Vote, able: Mapping[str, tuple[str, ...]], then_able: Mapping[str, tuple[str, ...]]
) -> Asked:
    """Return a need with who can meet it. able: who decides by which roles now; then_able: once it is overdue."""
    later = Need(need.then, 1, need.why, need.over)
    can = tuple(id_ for id_, roles in able.items() if need.met_by(roles))
    then_can = tuple(id_ for id_, roles in then_able.items() if later.met_by(roles))
    known = {name: getattr(vote, name) for name in Vote.__struct_fields__}
    return Asked(**known, can=can, then=need.then, then_can=then_can)


def _void(votes: Iterable[Voted], asked: Sequence[Need]) -> tuple[VoidVote, ...]:
    """Return the approvals that count no more: whole, or in roles that one of the needs asks for."""
    found = []
    for one in votes:
        if one.why:
            found.append(VoidVote(one.approval.actor, one.approval.at, one.why))
        lapsed = [(role, why) for role, why in one.lapsed if any(need.met_by([role]) for need in asked)]
        if lapsed:
            whys = "; ".join(dict.fromkeys(why for _, why in lapsed))
            found.append(VoidVote(one.approval.actor, one.approval.at, whys, tuple(role for role, _ in lapsed)))
    return tuple(found)


def vote_of(need: Need, said: list[Approval]) -> Vote:
    """Return a need with how many of these approvals meet it."""
    people = {approval.actor for approval in said if need.met_by(approval.roles)}
    return Vote(need.roles, need.count, need.why, len(people), need.over)


async def _edited(connection: Connection, edit: Carried, change: Change, policies: Policies) -> Edited:
    """Return an edit with what differs; of an applied change, from what stood before it."""
    if edit.verb not in _DOCUMENTS:
        return Edited(verb=edit.verb, what=edit.verb, command=edit.command, differences=())
    kind, name = str(edit.command["policy_kind"]), str(edit.command["policy_name"])
    known = policies.kinds.get(kind)
    without = json.to_plain(policies.read_as(known, name)) if known is not None else {}
    before: Any = None
    if change.inverse is not None:
        back = [undo.command for undo in change.inverse if undo.command.get("policy_kind") == kind]
        before = next((undo.get("document") for undo in back if undo.get("policy_name") == name), None)
    else:
        cursor = await connection.execute(
            """select document from policy join policy_active using (kind, name, version)
            where kind = %s and name = %s""",
            [kind, name],
        )
        row = await cursor.fetchone()
        before = msgspec.json.decode(bytes(row[0])) if row else None
    # Where there was no document, or will be none, what is read is what others fall back to.
    before = without if before is None else before
    after = edit.command.get("document", without)
    if known is not None:
        # What is left out of a document stands as shipped: both sides are read by the struct before they are compared.
        after = msgspec.json.decode(json.encode(json.from_plain(after, known)))
        before = msgspec.json.decode(json.encode(json.from_plain(before, known)))
    return Edited(
        verb=edit.verb, what=f"{kind}/{name}", command=edit.command, differences=tuple(differences(before, after))
    )


_DOCUMENTS = ("authority.publish_policy", "authority.withdraw_policy")


async def _conflicts(connection: Connection, change: Change, control: ChangeControl, now: datetime) -> list[Conflict]:
    rows = await connection.execute(
        """with mine as (
            select distinct case when object like 'policy/%%' then split_part(object, '#', 1) else object end as name
            from change_object where change = %s
        ) select distinct c.id, c.title, m.name from change c join change_object o on o.change = c.id
        join mine m on o.object = m.name or starts_with(o.object, m.name || '#')
        where c.status in ('proposed', 'approved') and c.id <> %s order by c.id limit 20""",
        [change.id, change.id],
    )
    found = [
        Conflict("change", f"{title} ({id_}) changes {object_} too: whichever is applied first makes the other stale.",
                 f"/changes/{id_}")
        for id_, title, object_ in await rows.fetchall()
    ]  # fmt: skip
    at = change.effective_at or now
    blackout = control.blackout(change.objects, at)
    if blackout is not None:
        found.append(Conflict("blackout", f"The blackout {blackout.name} stops it.", "", blackout.until))
    rows = await connection.execute(
        """select o.object from change_object o left join policy_active a
            on o.object like 'policy/%%' and a.kind = split_part(split_part(o.object, '#', 1), '/', 2)
            and a.name = split_part(split_part(o.object, '#', 1), '/', 3)
        left join policy p on p.kind = a.kind and p.name = a.name and p.version = a.version
        left join policy_active da on da.kind = split_part(split_part(o.object, '#', 1), '/', 2) and da.name = 'default'
        left join policy d on d.kind = da.kind and d.name = da.name and d.version = da.version
        where o.change = %s and o.object like 'policy/%%'
            and (coalesce(encode(p.digest, 'hex'), '') <> split_part(o.base, '+', 1)
                or o.base like '%%+%%' and coalesce(encode(d.digest, 'hex'), '') <> split_part(o.base, '+', 2))
        limit 1""",
        [change.id],
    )
    moved = await rows.fetchone()
    if moved is not None:
        found.append(Conflict("stale", f"{moved[0]} was changed since this was planned: plan it anew, or withdraw it."))
    return found
