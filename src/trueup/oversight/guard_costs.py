"""What the guards and rules cost: how many acts each stopped, how long they waited, and the orders' money meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from trueup.authority.refusals import GUARDS
from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.trial import first_position

Days = Annotated[int, msgspec.Meta(ge=1, le=30)]


class CostQuery(msgspec.Struct, frozen=True):
    """Over how many days; commands that were stopped are kept for 30."""

    days: Days = 7


class StopQuery(msgspec.Struct, frozen=True):
    """Which stops. guard: its name, or `rule`. rule: the code. waiting: only what has not gone through since."""

    days: Days = 7
    guard: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    rule: Annotated[str, msgspec.Meta(max_length=120)] | None = None
    waiting: bool = False
    cursor: str | None = None
    limit: Limit = 50


class Sum(msgspec.Struct, frozen=True):
    """An amount in one currency."""

    currency: str
    amount: Decimal


class VerbCount(msgspec.Struct, frozen=True):
    """How many acts of one kind."""

    verb: str
    acts: int


class GuardCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one guard cost by one of its rules.

    acts: stopped, of which queued (delayed by the guard itself) and quarantined. would_refuse: went through, since the
    guard is only simulated. overridden: went through on a loan. through: of those stopped, how many the same actor got
    through since, for the same subject; waiting: the rest. delay_median, delay_longest: seconds of those that got
    through. orders: that stopped acts were about and that wait; amounts: their totals. verbs: the acts, most first.
    """

    guard: str
    title: str
    rule: str
    acts: int
    queued: int
    quarantined: int
    would_refuse: int
    overridden: int
    through: int
    waiting: int
    delay_median: int | None
    delay_longest: int | None
    orders: int
    amounts: tuple[Sum, ...]
    verbs: tuple[VerbCount, ...]


class StopRow(msgspec.Struct, frozen=True):
    """One stopped act. through_at: when the same got through. order_total: of the order it was about."""

    id: str
    at: datetime
    verb: str
    subject: str
    guard: str
    rule: str
    ended: str
    through_at: datetime | None
    order_total: Decimal | None
    currency: str | None


# What got through later is the same act: the same verb by anybody on the same subject; where a command names none, the
# same actor's same words, but for the id under which personal words would have been kept.
_STOPPED = """
    with recent as materialized (
        select at, name, actor, batch, regexp_replace(convert_from(body, 'UTF8'), '"per_[0-9a-f]+"', '') as words
        from journal where position >= %(first)s and kind = 'c' and (name, actor) in (
            select verb, actor from refused_command where subject = '' and at >= %(from)s)
    ), stopped as (
        select r.id, r.at, r.verb, r.subject, r.guard, r.rule, r.ended, case
            when r.ended not in ('refused', 'queued', 'quarantined') then null
            when r.subject <> '' then (
                select min(j.at) from journal j where j.subject = r.subject and j.kind = 'c' and j.name = r.verb
                    and j.at >= r.at and j.batch <> r.batch and j.position >= %(first)s)
            else (
                select min(s.at) from recent s where s.name = r.verb and s.actor = r.actor and s.at >= r.at
                    and s.batch <> r.batch
                    and s.words = regexp_replace(convert_from(r.body, 'UTF8'), '"per_[0-9a-f]+"', ''))
            end as through_at
        from refused_command r where r.at >= %(from)s
    )"""


async def guard_costs(connection: Connection, days: int, now: datetime) -> tuple[GuardCost, ...]:
    """Return what each guard and rule cost in the last days, the most acts first. Nothing in it tells persons apart."""
    known = await _moments(connection, days, now)
    rows = await connection.execute(
        f"""{_STOPPED}, priced as (
            select distinct on (s.guard, s.rule, o.id) s.guard, s.rule, o.currency, o.total from stopped s
            join orders o on o.id = s.subject
            where s.through_at is null and s.ended in ('refused', 'queued', 'quarantined')
        )
        select guard, rule, count(*) filter (where ended in ('refused', 'queued', 'quarantined')),
            count(*) filter (where ended = 'queued'), count(*) filter (where ended = 'quarantined'),
            count(*) filter (where ended = 'would_refuse'), count(*) filter (where ended = 'overridden'),
            count(through_at),
            percentile_disc(0.5) within group (order by extract(epoch from through_at - at)),
            max(extract(epoch from through_at - at)),
            (select coalesce(json_agg(json_build_array(currency, amount::text) order by currency), '[]') from (
                select currency, sum(total) as amount from priced p
                where p.guard = s.guard and p.rule = s.rule group by currency) sums),
            (select count(*) from priced p where p.guard = s.guard and p.rule = s.rule),
            (select json_agg(json_build_array(verb, acts) order by acts desc, verb) from (
                select verb, count(*) as acts from stopped v where v.guard = s.guard and v.rule = s.rule
                group by verb) verbs)
        from stopped s group by guard, rule order by 3 desc, count(*) desc, guard, rule limit 200""",
        known,
    )
    return tuple(_cost_of(row) for row in await rows.fetchall())


async def stops(connection: Connection, query: StopQuery, now: datetime) -> Page[StopRow]:
    """Return one page of stopped acts, the newest first."""
    known: dict[str, Any] = await _moments(connection, query.days, now)
    conditions = ["true"]
    for name in ("guard", "rule"):
        if getattr(query, name) is not None:
            conditions.append(f"s.{name} = %({name})s")
            known[name] = getattr(query, name)
    if query.waiting:
        conditions.append("s.through_at is null and s.ended in ('refused', 'queued', 'quarantined')")
    if query.cursor is not None:
        known["at"], known["id"] = read_cursor(query.cursor, (datetime, str))
        conditions.append("(s.at, s.id) < (%(at)s, %(id)s::uuid)")
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"""{_STOPPED}
        select s.id::text, s.at, s.verb, s.subject, s.guard, s.rule, s.ended, s.through_at, o.total, o.currency
        from stopped s left join orders o on o.id = s.subject
        where {" and ".join(conditions)} order by s.at desc, s.id desc limit %(limit)s""",
        {**known, "limit": limit + 1},
    )
    found: Sequence[StopRow] = [StopRow(*row) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.at, row.id))


async def _moments(connection: Connection, days: int, now: datetime) -> dict[str, Any]:
    from_at = now - timedelta(days=days)
    return {"from": from_at, "first": await first_position(connection, from_at)}


def _cost_of(row: tuple[Any, ...]) -> GuardCost:
    guard, rule, acts, queued, quarantined, would, overridden, through, median, longest, amounts, orders, verbs = row
    return GuardCost(
        guard=guard,
        title=GUARDS[guard].title if guard in GUARDS else "The act's own rule",
        rule=rule,
        acts=acts,
        queued=queued,
        quarantined=quarantined,
        would_refuse=would,
        overridden=overridden,
        through=through,
        waiting=acts - through,
        delay_median=None if median is None else int(median),
        delay_longest=None if longest is None else int(longest),
        orders=orders,
        amounts=tuple(Sum(currency, Decimal(amount)) for currency, amount in amounts),
        verbs=tuple(VerbCount(verb, count) for verb, count in verbs),
    )
