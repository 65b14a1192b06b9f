"""Cases seen together: by the rung they stand on, by kind, and their money by root cause."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from trueup.cases.case import EXACT
from trueup.cases.read import CaseQuery, CaseSummary, cases, label_of
from trueup.core.database import Connection
from trueup.core.money import booked
from trueup.core.policy import Policies

SHOWN = 8
KINDS_MAX = 100
_HOUR = Decimal(3_600_000_000)


class Sum(msgspec.Struct, frozen=True):
    """How many cases, and what they cost together per hour in one currency."""

    currency: str
    cases: int
    price_per_hour: Decimal


class BoardColumn(msgspec.Struct, frozen=True):
    """The cases that stand on one rung, 0 is none reached: their sums, and the dearest of them."""

    rung: int
    sums: tuple[Sum, ...]
    dearest: tuple[CaseSummary, ...]


class KindRow(msgspec.Struct, frozen=True):
    """The cases of one kind that are not closed, in one currency. severity: of the worst of them."""

    kind: str
    currency: str
    cases: int
    subjects: int
    severity: int
    price_per_hour: Decimal


class ParetoQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Cases that were closed from `since` up to `until`; without them, all."""

    since: datetime | None = None
    until: datetime | None = None


class ParetoRow(msgspec.Struct, frozen=True):
    """What one root cause cost in one currency: price per hour times hours open, of its cases.

    root_cause: None are the cases not closed yet. running: of the currency's closed cases, this and dearer ones.
    """

    root_cause: str | None
    label: str
    currency: str
    cases: int
    money: Decimal
    running: Decimal


async def board(connection: Connection, now: datetime, policies: Policies) -> tuple[BoardColumn, ...]:
    """Return a column for each rung on which a case that is not closed stands, and for none reached.

    A row of the watch keeps the rung of its last look, which holds until the next is due; those due are counted anew.
    """
    rows = await connection.execute(
        """with due as (select rung, width_bucket(%s, rungs) as reached, currency, price_per_hour from case_watch
            where look_at <= %s and not closed)
        select rung, currency, sum(cases)::int as cases, sum(price) from (
            select rung, currency, count(*) as cases, sum(price_per_hour) as price from case_watch where not closed
            group by rung, currency
            union all select rung, currency, -count(*), -sum(price_per_hour) from due group by 1, 2
            union all select reached, currency, count(*), sum(price_per_hour) from due group by 1, 2
        ) s group by 1, 2 having sum(cases) > 0 order by 1, 2""",
        [now, now],
    )
    found: dict[int, list[Sum]] = {0: []}
    for rung, currency, count, price in await rows.fetchall():
        found.setdefault(rung, []).append(Sum(currency, count, price))
    columns = []
    for rung, sums in sorted(found.items()):
        page = await cases(connection, CaseQuery(rung=rung, limit=SHOWN), now, policies) if sums else None
        columns.append(BoardColumn(rung, tuple(sums), page.items if page is not None else ()))
    return tuple(columns)


async def kinds(connection: Connection) -> tuple[KindRow, ...]:
    """Return the kinds of cases that are not closed, the dearest first."""
    rows = await connection.execute(
        """select kind, currency, count(*), sum(subjects), min(severity), sum(price_per_hour) from cases
        where closed_at is null group by kind, currency order by 6 desc, kind limit %s""",
        [KINDS_MAX],
    )
    return tuple(KindRow(*row) for row in await rows.fetchall())


async def pareto(
    connection: Connection, query: ParetoQuery, now: datetime, policies: Policies
) -> tuple[ParetoRow, ...]:
    """Return money by root cause, the dearest first within a currency; the cases not closed yet come last.

    A merged case's money is in the case that it became part of. Exact until it is rounded once per row.
    """
    rows = await connection.execute(
        """select root_cause, max(root_cause_version), currency, count(*), sum(
            price_microseconds + case when closed_at is null
                then price_per_hour * 1000000
                    * extract(epoch from greatest(%s - coalesce(priced_since, opened_at), interval '0'))
                else 0 end)
        from cases where merged_into is null
            and (closed_at is null or (closed_at >= coalesce(%s::timestamptz, closed_at)
                                       and closed_at < coalesce(%s::timestamptz, 'infinity')))
        group by root_cause, currency order by currency, (root_cause is null), 5 desc, root_cause""",
        [now, query.since, query.until],
    )
    found, running = [], dict[str, Decimal]()
    for cause, version, currency, count, microseconds in await rows.fetchall():
        money = booked(EXACT.divide(microseconds, _HOUR), currency)
        if cause is not None:
            running[currency] = running.get(currency, Decimal(0)) + money
        label = label_of(cause, version, policies) or "not closed yet"
        found.append(ParetoRow(cause, label, currency, count, money, running.get(currency, Decimal(0))))
    return tuple(found)
