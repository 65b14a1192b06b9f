"""What everybody else may ask about cases: the dearest first, overdue computed on read."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from trueup.cases.ladder import is_overdue
from trueup.cases.state import CaseSubject
from trueup.core import timeline
from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor

CaseStatus = Literal["open", "acted", "closed"]


class CaseQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which cases. status: `open`, `acted`, `closed`; without it, all that are not closed. subject: id it concerns."""

    status: CaseStatus | None = None
    owner_role: str | None = None
    severity: Annotated[int, msgspec.Meta(ge=1, le=4)] | None = None
    kind: str | None = None
    subject: str | None = None
    overdue: bool | None = None
    cursor: str | None = None
    limit: Limit = 50


class CaseSummary(msgspec.Struct, frozen=True):
    """One case. price_per_hour: what it costs while nobody acts, in `currency`; overdue: as of the time of reading."""

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


class CaseDetail(msgspec.Struct, frozen=True):
    """One case with where its numbers come from, its first subjects, and what was done and said, oldest first.

    subjects_next: cursor for more subjects (`subjects`); price_per_day: 24 times the price per hour.
    """

    id: str
    version: int
    summary: CaseSummary
    price_per_day: Decimal
    source: dict[str, Any]
    subjects: tuple[CaseSubject, ...]
    subjects_next: str | None
    entries: tuple[timeline.Entry, ...]


CasePage = Page[CaseSummary]
SubjectPage = Page[CaseSubject]
_CASE = """c.id, c.cause, c.kind, c.title, c.severity, c.owner_role, c.opened_at, c.due_at, c.price_per_hour,
    c.currency, c.subjects, c.acted_at, c.closed_at, c.root_cause, c.status, c.version"""
# `ladder.is_overdue` as SQL, for the filter; the figure shown is computed by the function.
_OVERDUE = "(c.closed_at is null and (c.acted_at is null or c.acted_at > c.due_at) and %s > c.due_at)"


async def cases(connection: Connection, query: CaseQuery, now: datetime) -> CasePage:
    """Return one page, the highest price per hour first."""
    conditions = ["c.closed_at is null"] if query.status is None else ["c.status = %s"]
    if query.status in ("open", "acted"):
        conditions.append("c.closed_at is null")
    parameters: list[Any] = [] if query.status is None else [query.status]
    for column in ("owner_role", "severity", "kind"):
        if getattr(query, column) is not None:
            conditions.append(f"c.{column} = %s")
            parameters.append(getattr(query, column))
    if query.subject is not None:
        conditions.append("c.id in (select case_id from case_subject where subject = %s)")
        parameters.append(query.subject)
    if query.overdue is not None:
        conditions.append(_OVERDUE if query.overdue else f"not {_OVERDUE}")
        parameters.append(now)
    if query.cursor is not None:
        price, case_id = read_cursor(query.cursor, (Decimal, str))
        conditions.append("(c.price_per_hour < %s or (c.price_per_hour = %s and c.id > %s))")
        parameters += [price, price, case_id]
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"select {_CASE} from cases c where {' and '.join(conditions)} order by c.price_per_hour desc, c.id limit %s",
        [*parameters, limit + 1],
        prepare=False,
    )
    found = [_summary_of(row, now) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.price_per_hour, row.id))


async def case(connection: Connection, case: str, now: datetime, entries: int = 200) -> CaseDetail | None:
    """Return one case with its first 100 subjects and first entries, or None."""
    cursor = await connection.execute(f"select {_CASE}, c.source from cases c where c.id = %s", [case])
    row = await cursor.fetchone()
    if row is None:
        return None
    summary = _summary_of(row[:-1], now)
    first = await subjects(connection, case, None, 100)
    return CaseDetail(
        id=summary.id,
        version=summary.version,
        summary=summary,
        price_per_day=summary.price_per_hour * 24,
        source=row[-1],
        subjects=first.items,
        subjects_next=first.next,
        entries=await timeline.about(connection, case, 0, entries),
    )


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


def _summary_of(row: tuple[Any, ...], now: datetime) -> CaseSummary:
    return CaseSummary(*[*row, is_overdue(row[7], row[11], row[12], now)])
