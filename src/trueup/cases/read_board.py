"""Cases seen together: by the rung they stand on, by kind, and their money by root cause."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from trueup.cases.case import EXACT
from trueup.cases.read import CASE, HIDDEN, CaseSummary, label_of, summary_of
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
    dearest = await _dearest(connection, sorted(found), now, policies)
    return tuple(BoardColumn(rung, tuple(sums), tuple(dearest.get(rung, ()))) for rung, sums in sorted(found.items()))


async def _dearest(
    connection: Connection, rungs: list[int], now: datetime, policies: Policies
) -> dict[int, list[CaseSummary]]:
    """Return the SHOWN dearest cases of each rung that nobody put to sleep, as `cases` lists them."""
    rows = await connection.execute(
        f"""with due as (select case_id, width_bucket(%s, rungs) as reached, price_per_hour from case_watch
            where look_at <= %s and not closed),
        near as (
            select r.rung, n.case_id, n.price_per_hour from unnest(%s::int[]) as r (rung) cross join lateral (
                select w.case_id, w.price_per_hour from case_watch w join cases c on c.id = w.case_id
                where w.rung = r.rung and not w.closed and w.look_at > %s and c.closed_at is null and not {HIDDEN}
                order by w.price_per_hour desc, w.case_id limit %s
            ) n
            union all select reached, case_id, price_per_hour from due
        ), placed as (
            select n.rung, n.case_id, row_number() over (
                partition by n.rung order by n.price_per_hour desc, n.case_id) as place
            from near n join cases c on c.id = n.case_id where c.closed_at is null and not {HIDDEN}
        )
        select p.rung, {CASE} from placed p join cases c on c.id = p.case_id where p.place <= %s
        order by p.rung, p.place""",
        [now, now, rungs, now, now, SHOWN, now, SHOWN],
    )
    found: dict[int, list[CaseSummary]] = {}
    for rung, *row in await rows.fetchall():
        found.setdefault(rung, []).append(summary_of(tuple(row), now, policies))
    return found


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
