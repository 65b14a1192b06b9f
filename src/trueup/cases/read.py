"""What everybody else may ask about cases: the dearest first, overdue computed on read."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from trueup.cases.case import Case, CaseSubject, Pause
from trueup.cases.ladder import RootCauses
from trueup.cases.standing import CaseState, stands
from trueup.cases.state import TYPES, case_of
from trueup.core import timeline
from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.policy import Policies

CaseStatus = Literal["open", "acted", "closed", "merged"]


class CaseQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which cases. status: `open`, `acted`, `closed` or `merged`; without it, all that are not closed.

    subject: id it concerns. rung: the highest one reached by now, 0 is none yet. must_act: the role whose turn it is.
    assignee: whose it is. snoozed: only those; else the usual list leaves them out.
    """

    status: CaseStatus | None = None
    owner_role: str | None = None
    severity: Annotated[int, msgspec.Meta(ge=1, le=4)] | None = None
    kind: str | None = None
    subject: str | None = None
    overdue: bool | None = None
    rung: Annotated[int, msgspec.Meta(ge=0, le=10)] | None = None
    must_act: str | None = None
    assignee: str | None = None
    snoozed: bool = False
    cursor: str | None = None
    limit: Limit = 50


class CaseSummary(msgspec.Struct, frozen=True):
    """One case. price_per_hour: what it costs while nobody acts, in `currency`.

    overdue, and all from `rung` on: where it stands at the time of reading; see `CaseState`. spent: since it opened.
    """

    id: str
    cause: str
    kind: str
    title: str
    severity: int
    owner_role: str
    opened_at: datetime
    due_at: datetime
    price_per_hour: Decimal
    currency: str
    subjects: int
    acted_at: datetime | None
    closed_at: datetime | None
    root_cause: str | None
    status: str
    version: int
    overdue: bool
    assignee: str | None
    merged_into: str | None
    reopened: int
    rung: int
    must_act: str
    next_rung_at: datetime | None
    paused_until: datetime | None
    response_due_at: datetime | None
    owned_at: datetime | None
    snoozed: bool
    spent: Decimal


class CaseDetail(msgspec.Struct, frozen=True):
    """One case with where its numbers come from, its first subjects, and what was done and said, oldest first.

    subjects_next: cursor for more subjects (`subjects`); price_per_day: 24 times the price per hour. standing: its
    ladder, and who may what now. root_cause_label: of the version of the list it was closed under. merged: cases that
    became part of it. priced_at: when its price was taken that it has now.
    """

    id: str
    version: int
    summary: CaseSummary
    price_per_day: Decimal
    priced_at: datetime
    source: dict[str, Any]
    subjects: tuple[CaseSubject, ...]
    subjects_next: str | None
    entries: tuple[timeline.Entry, ...]
    standing: CaseState
    pauses: tuple[Pause, ...]
    root_cause_label: str | None
    merged: tuple[str, ...]


CasePage = Page[CaseSummary]
SubjectPage = Page[CaseSubject]
CASE = ", ".join(f"c.{name}" for name in TYPES) + ", c.status"
# `ladder.is_overdue` and `standing.is_hidden` as SQL, for filters; the figures shown are computed by the functions.
_OVERDUE = "(c.closed_at is null and (c.acted_at is null or c.acted_at > c.due_at) and %s > c.due_at)"
HIDDEN = """(c.snoozed_at is not null and c.closed_at is null and coalesce(c.snoozed_until > %s, true)
    and coalesce(c.subjects < c.wakes_at_subjects, true)
    and coalesce(c.price_per_hour < c.wakes_at_price, true))"""


async def cases(connection: Connection, query: CaseQuery, now: datetime, policies: Policies) -> CasePage:
    """Return one page, the highest price per hour first."""
    conditions, parameters = _conditions(query, now)
    by_watch = query.rung is not None or query.must_act is not None
    price, id_ = ("w.price_per_hour", "w.case_id") if by_watch else ("c.price_per_hour", "c.id")
    if query.cursor is not None:
        last_price, last_id = read_cursor(query.cursor, (Decimal, str))
        conditions.append(f"({price} < %s or ({price} = %s and {id_} > %s))")
        parameters += [last_price, last_price, last_id]
    source = "case_watch w join cases c on c.id = w.case_id" if by_watch else "cases c"
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"select {CASE} from {source} where {' and '.join(conditions)} order by {price} desc, {id_} limit %s",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [summary_of(row, now, policies) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.price_per_hour, row.id))


def _conditions(query: CaseQuery, now: datetime) -> tuple[list[str], list[Any]]:
    conditions = ["c.closed_at is null"] if query.status is None else ["c.status = %s"]
    parameters: list[Any] = [] if query.status is None else [query.status]
    if query.status in ("open", "acted"):
        conditions.append("c.closed_at is null")
    for column in ("owner_role", "severity", "kind", "assignee"):
        if getattr(query, column) is not None:
            conditions.append(f"c.{column} = %s")
            parameters.append(getattr(query, column))
    if query.subject is not None:
        conditions.append("c.id in (select case_id from case_subject where subject = %s)")
        parameters.append(query.subject)
    elif query.status is None or query.snoozed:
        conditions.append(HIDDEN if query.snoozed else f"not {HIDDEN}")
        parameters.append(now)
    if query.overdue is not None:
        conditions.append(_OVERDUE if query.overdue else f"not {_OVERDUE}")
        parameters.append(now)
    if query.rung is not None or query.must_act is not None:
        conditions.append("not w.closed")
    if query.rung is not None:
        conditions.append("width_bucket(%s, w.rungs) = %s")
        parameters += [now, query.rung]
    if query.must_act is not None:
        conditions.append("w.roles[1 + width_bucket(%s, w.rungs)] = %s")
        parameters += [now, query.must_act]
    return conditions, parameters


async def case(
    connection: Connection, case: str, now: datetime, policies: Policies, entries: int = 200
) -> CaseDetail | None:
    """Return one case with its first 100 subjects and first entries, or None."""
    cursor = await connection.execute(f"select {CASE} from cases c where c.id = %s", [case])
    row = await cursor.fetchone()
    if row is None:
        return None
    held = case_of(row[:-1])
    summary = summary_of(row, now, policies)
    first = await subjects(connection, case, None, 100)
    merged = await connection.execute("select id from cases where merged_into = %s order by id", [case])
    return CaseDetail(
        id=summary.id,
        version=summary.version,
        summary=summary,
        price_per_day=summary.price_per_hour * 24,
        priced_at=held.priced_since or held.opened_at,
        source=held.source,
        subjects=first.items,
        subjects_next=first.next,
        entries=await timeline.about(connection, case, 0, entries),
        standing=stands(held, policies, now),
        pauses=held.pauses,
        root_cause_label=label_of(held.root_cause, held.root_cause_version, policies),
        merged=tuple(id_ for (id_,) in await merged.fetchall()),
    )


def label_of(root_cause: str | None, version: int | None, policies: Policies) -> str | None:
    """Return what a root cause was called in its version of the list."""
    if root_cause is None:
        return None
    listed = policies.at(RootCauses, "default", version or 0).causes
    return next((cause.label for cause in listed if cause.name == root_cause), root_cause)


async def subjects(connection: Connection, case: str, cursor: str | None = None, limit: int = 100) -> SubjectPage:
    """Return one page of what a case concerns, by type and id: the rows behind its number."""
    condition, parameters = "", [case]
    if cursor is not None:
        condition = "and (subject_type, subject) > (%s, %s)"
        parameters += read_cursor(cursor, (str, str))
    rows = await connection.execute(
        f"""select subject_type, subject, detail from case_subject where case_id = %s {condition}
        order by subject_type, subject limit %s""",
        [*parameters, bounded(limit) + 1],
    )
    found = [CaseSubject(*row) for row in await rows.fetchall()]
    return page_of(found, bounded(limit), lambda row: write_cursor(row.type, row.id))


async def totals(connection: Connection) -> dict[str, tuple[int, Decimal]]:
    """Return, per currency, how many cases are not closed and what they cost together per hour."""
    rows = await connection.execute(
        "select currency, count(*), sum(price_per_hour) from cases where closed_at is null group by currency"
    )
    return {currency: (count, price) for currency, count, price in await rows.fetchall()}


def summary_of(row: tuple[Any, ...], now: datetime, policies: Policies) -> CaseSummary:
    """Return a case and where it stands, of a row of its columns and its status."""
    case = case_of(row[:-1])
    standing = stands(case, policies, now)
    return CaseSummary(
        **{name: getattr(case, name) for name in _SHOWN},
        status=row[-1],
        overdue=standing.overdue,
        rung=standing.rung,
        must_act=standing.in_authority,
        next_rung_at=standing.next_rung_at,
        paused_until=standing.paused_until,
        response_due_at=standing.response_due_at,
        owned_at=standing.owned_at,
        snoozed=standing.hidden,
        spent=standing.spent,
    )


_SHOWN = tuple(name for name in CaseSummary.__struct_fields__ if name in Case.__struct_fields__)
