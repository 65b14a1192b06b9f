"""Who is told of a case and its rungs: once per case, step and person, by e-mail.

`look` finds what is due by `case_watch` and writes the notices down, with the true times; `send_due` sends them. The
send key `case/round/step/recipient` is the row's own, so that two workers, or one that was dead for days, tell once.
What became of a message whose answer was lost is *unknown*: it is shown, and not sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from trueup.cases.case import Case
from trueup.cases.mail import BLOCKED, Mail, Sent, send
from trueup.cases.standing import CaseState, stands
from trueup.cases.state import TYPES, case_of
from trueup.core.database import Connection
from trueup.core.mail import MailSettings
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.policy import Policies

LOOKED_AT_MAX = 1000
SENT_AT_ONCE = 50
TRIES_MAX = 8
CLAIM_MINUTES = 10
BLOCKED_MINUTES_MAX = 30
STAND_IN = ("Sponsor", "Administrator")
_CASE = ", ".join(f"c.{name}" for name in TYPES)
NoticeStatus = Literal["queued", "sending", "sent", "unknown", "failed"]
STATUSES: tuple[NoticeStatus, ...] = ("queued", "sending", "sent", "unknown", "failed")


class Person(msgspec.Struct, frozen=True):
    """Somebody who can be told: id, name and e-mail address."""

    id: str
    name: str
    email: str


People = Mapping[str, Sequence[Person]]
"""Who can be told, by role; and each person by id, alone."""


class NoticeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which notices. case: about this one. status: how they ended."""

    case: str | None = None
    status: NoticeStatus | None = None
    cursor: str | None = None
    limit: Limit = 50


class NoticeRow(msgspec.Struct, frozen=True):
    """One notice. step: `owner`, `response`, or `rung/<n>`. reached_at: when that was; the rest, when it was sent."""

    id: str
    case: str
    step: str
    recipient: str
    reached_at: datetime
    queued_at: datetime
    sent_at: datetime | None
    tries: int
    error: str | None
    status: str


NoticePage = Page[NoticeRow]


class _Due(msgspec.Struct, frozen=True):
    step: str
    role: str
    person: str | None
    at: datetime
    words: str


async def look(connection: Connection, now: datetime, policies: Policies, people: People) -> int:
    """Write down the notices of cases whose time to look has come, and when to look next; return how many cases.

    Rows that another worker looks at are left to it. At most LOOKED_AT_MAX at once; with as many, there may be more.
    """
    async with connection.transaction():
        rows = await connection.execute(
            f"""select w.look_at, {_CASE} from case_watch w join cases c on c.id = w.case_id
            where w.look_at <= %s order by w.look_at limit %s for no key update of w skip locked""",
            [now, LOOKED_AT_MAX],
        )
        found = [(row[0], case_of(row[1:])) for row in await rows.fetchall()]
        if not found:
            return 0
        queued: list[tuple[Any, ...]] = []
        ended: list[str] = []
        looks: list[tuple[str, datetime]] = []
        for _, case in found:
            state = stands(case, policies, now)
            queued += _notices_of(case, state, now, people)
            if case.closed_at is not None:
                ended.append(case.id)
            else:
                looks.append((case.id, state.look_at or datetime.max.replace(tzinfo=now.tzinfo)))
        await _queue(connection, queued)
        await connection.execute("delete from case_watch where case_id = any(%s)", [ended])
        await connection.execute(
            """update case_watch w set look_at = n.look_at, rung = width_bucket(%s, w.rungs)
            from unnest(%s::text[], %s::timestamptz[]) n (id, look_at) where w.case_id = n.id""",
            [now, [case for case, _ in looks], [at for _, at in looks]],
        )
    return len(found)


def _notices_of(case: Case, state: CaseState, now: datetime, people: People) -> list[tuple[Any, ...]]:
    queued = []
    for due in _due(case, state, now):
        # Somebody is told: where a role is vacant, who stands in for it.
        told = next((found for name in (due.person or "", due.role, *STAND_IN) if (found := people.get(name))), ())
        for person in told:
            key = f"{case.id}/{case.reopened}/{due.step}/{person.id}"
            id_ = "not_" + hashlib.sha256(key.encode()).hexdigest()[:32]
            subject = f"{due.words}: {case.title}"
            queued.append((id_, case.id, case.reopened, due.step, person.id, person.email, due.at, subject,
                           _body(case, state, due, now), now))  # fmt: skip
    return queued


def _due(case: Case, state: CaseState, now: datetime) -> list[_Due]:
    """Return what somebody is told of by now: that it is theirs, that nobody said so, and each rung reached."""
    found = []
    if state.response_due_at is not None:
        found.append(_Due("owner", case.owner_role, case.assignee, case.started_at, "Severity 1, yours"))
        if state.response_late:
            found.append(_Due("response", state.rungs[0].role, state.rungs[0].on_call, state.response_due_at,
                              "Nobody took it"))  # fmt: skip
    for rung in state.rungs:
        if rung.reached and rung.at is not None:
            words = f"Rung {rung.rung} of {len(state.rungs)}"
            found.append(_Due(f"rung/{rung.rung}", rung.role, rung.on_call, rung.at, words))
    return found


def _body(case: Case, state: CaseState, due: _Due, now: datetime) -> str:
    rung = next((rung for rung in state.rungs if f"rung/{rung.rung}" == due.step), None)
    rights = f"You may now, for this case: {', '.join(rung.rights)}.\n" if rung is not None and rung.rights else ""
    late = now - due.at
    told = f"This was written {late // timedelta(minutes=1)} minutes later.\n" if late >= timedelta(minutes=5) else ""
    price = f"{case.price_per_hour} {case.currency} per hour" if case.price_per_hour else "not priced"
    return (
        f"{case.title}\n\nCase {case.id}, severity {case.severity}, {case.subjects} concerned, {price}.\n"
        f"Opened {case.opened_at:%Y-%m-%d %H:%M} UTC; this step was reached {due.at:%Y-%m-%d %H:%M} UTC.\n{told}"
        f"{rights}The clock stops only for an act whose effect can be seen. See /cases/{case.id}.\n"
    )


async def _queue(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(10)]
    await connection.execute(
        """insert into notice (id, case_id, round, step, recipient, address, reached_at, subject, body, queued_at,
            try_at)
        select *, n.queued_at from unnest(%s::text[], %s::text[], %s::int[], %s::text[], %s::text[], %s::text[],
            %s::timestamptz[], %s::text[], %s::text[], %s::timestamptz[]) as n (id, case_id, round, step, recipient,
            address, reached_at, subject, body, queued_at) on conflict do nothing""",
        columns,
    )


async def send_due(connection: Connection, now: Callable[[], datetime], settings: MailSettings) -> int:
    """Send what is queued; return how many were tried. Each is claimed first; what a dead worker claimed is unknown.

    A message that was certainly not taken is tried again later, at most TRIES_MAX times in all. While the server cannot
    be used at all, the messages wait however long that takes: no notice is lost to a wrong password.
    """
    await connection.execute(
        """update notice set unknown_at = %s, error = 'the worker ended while it was being sent'
        where claimed_at < %s and sent_at is null and failed_at is null and unknown_at is null""",
        [now(), now() - timedelta(minutes=CLAIM_MINUTES)],
    )
    rows = await connection.execute(
        """update notice set claimed_at = %s, tries = tries + 1 where id in (
            select id from notice where claimed_at is null and failed_at is null and try_at <= %s
            order by try_at, id limit %s for update skip locked)
        returning id, address, subject, body, tries""",
        [now(), now(), SENT_AT_ONCE],
    )
    claimed = [(Mail(*row[:4]), row[4]) for row in await rows.fetchall()]
    if not claimed:
        return 0
    sent = Sent("later")
    for mail, tries in claimed:
        if sent.outcome != "blocked":
            sent = await asyncio.to_thread(send, settings, mail)
        await _settle(connection, mail, tries, sent, now())
    return len(claimed)


async def blocked(connection: Connection) -> str | None:
    """Return why queued notices cannot be sent at all, where that is so."""
    rows = await connection.execute(
        "select error from notice where status = 'queued' and starts_with(error, %s) order by try_at desc limit 1",
        [BLOCKED],
    )
    row = await rows.fetchone()
    return str(row[0]) if row is not None else None


async def _settle(connection: Connection, mail: Mail, tries: int, sent: Sent, now: datetime) -> None:
    if sent.outcome == "sent":
        await connection.execute("update notice set sent_at = %s, error = null where id = %s", [now, mail.id])
    elif sent.outcome == "unknown":
        await connection.execute(
            "update notice set unknown_at = %s, error = %s where id = %s", [now, sent.error, mail.id]
        )
    elif sent.outcome == "refused" or (sent.outcome == "later" and tries >= TRIES_MAX):
        await connection.execute(
            "update notice set failed_at = %s, error = %s where id = %s", [now, sent.error, mail.id]
        )
    else:
        again = now + timedelta(
            minutes=min(2 ** min(tries, 10), BLOCKED_MINUTES_MAX if sent.outcome == "blocked" else 2**10)
        )
        await connection.execute(
            "update notice set claimed_at = null, try_at = %s, error = %s where id = %s", [again, sent.error, mail.id]
        )


async def notices(connection: Connection, query: NoticeQuery) -> NoticePage:
    """Return one page of notices, the newest first."""
    conditions, parameters = ["true"], list[Any]()
    if query.case is not None:
        conditions.append("case_id = %s")
        parameters.append(query.case)
    if query.status is not None:
        conditions.append("status = %s")
        parameters.append(query.status)
    if query.cursor is not None:
        conditions.append("(queued_at, id) < (%s, %s)")
        parameters += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"""select id, case_id, step, recipient, reached_at, queued_at, sent_at, tries, error, status from notice
        where {" and ".join(conditions)} order by queued_at desc, id desc limit %s""",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [NoticeRow(*row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.queued_at, row.id))
