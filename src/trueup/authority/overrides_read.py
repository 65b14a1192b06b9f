"""What others may ask about overrides: the loans themselves, and what each department owes a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from trueup.authority.overridable import OVERRIDABLE, Overriding, Scope
from trueup.authority.overrides import decider
from trueup.authority.overrides_state import READ, Life, Override, override_of
from trueup.core import json
from trueup.core.database import Connection
from trueup.core.paging import Limit, Page, bounded, page_of, read_cursor, write_cursor
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO

_USES_MAX = 200
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class OverrideQuery(msgspec.Struct, frozen=True):
    """Which overrides. open: those that are asked for or hold now."""

    department: Word | None = None
    rule: Word | None = None
    open: bool = False
    cursor: str | None = None
    limit: Limit = 50


class OverrideRow(msgspec.Struct, frozen=True):
    """One override. life: where it is now. owed: what it has cost until now."""

    id: str
    life: Life
    owed: Decimal
    override: Override


class OverrideUse(msgspec.Struct, frozen=True):
    """Once that it let something pass. position: in the journal. value: what the refusal would have been about."""

    position: int
    at: datetime
    verb: str
    value: str
    by: str


class OverrideDetail(msgspec.Struct, frozen=True):
    """One override with its uses, the newest first, and the role that decides it."""

    row: OverrideRow
    decides: str
    uses: tuple[OverrideUse, ...]


class LentRule(msgspec.Struct, frozen=True):
    """A rule of the product that can be overridden. title: what an override of it lets happen. takes: what it may name.

    lent: whether the policy lends it now; then departments: which may bear it, the default first, each with who decides
    and within how many hours. days_max, price_min: for how long at most, and from how much a day.
    """

    rule: str
    title: str
    takes: tuple[Scope, ...]
    lent: bool
    departments: tuple[LendingDepartment, ...]
    days_max: int
    price_min: Decimal
    currency: str


class LendingDepartment(msgspec.Struct, frozen=True):
    """A department that may bear a rule's risk. role: who decides below its limit; hours: within which."""

    department: str
    role: str
    hours: int


def lent_rules(policies: Policies) -> tuple[LentRule, ...]:
    """Return every rule that can be overridden, whether it is lent now, and who decides."""
    policy = policies.get(Overriding)
    found = []
    for rule, known in OVERRIDABLE.items():
        terms = policy.rules.get(rule)
        bearing = policy.bearing(rule) if terms is not None else ()
        found.append(
            LentRule(
                rule,
                known.title,
                known.takes,
                terms is not None and bool(bearing),
                tuple(LendingDepartment(name, policy.bearers[name].role, policy.bearers[name].hours)
                      for name in bearing),
                terms.days_max if terms is not None else known.days_max,
                Decimal(terms.price_min if terms is not None else known.price_min),
                policy.currency,
            )
        )  # fmt: skip
    return tuple(found)


class DebtQuery(msgspec.Struct, frozen=True):
    """Over how many days."""

    days: Annotated[int, msgspec.Meta(ge=1, le=90)] = 14


class DayOfDebt(msgspec.Struct, frozen=True):
    """What a department's overrides cost on one day (UTC), and how many held on it."""

    department: str
    day: str
    overrides: int
    cost: Decimal


class Debt(msgspec.Struct, frozen=True):
    """What a department bears. active: how many hold now; per_day: what they cost a day. committed: until they expire.

    limit: of `committed`, above which the Sponsor decides; None of a department the policy knows no more.
    """

    department: str
    role: str
    active: int
    per_day: Decimal
    committed: Decimal
    limit: Decimal | None
    currency: str
    days: tuple[DayOfDebt, ...]


async def overrides(connection: Connection, query: OverrideQuery, now: datetime) -> Page[OverrideRow]:
    """Return one page of overrides, the last asked for first."""
    conditions, parameters = ["true"], list[Any]()
    for name in ("department", "rule"):
        if getattr(query, name) is not None:
            conditions.append(f"{name} = %s")
            parameters.append(getattr(query, name))
    if query.open:
        conditions.append("declined_at is null and ended_at is null and expires_at > %s")
        parameters.append(now)
    if query.cursor is not None:
        conditions.append("(asked_at, id) < (%s, %s)")
        parameters += read_cursor(query.cursor, (datetime, str))
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"{READ} where {' and '.join(conditions)} order by asked_at desc, id desc limit %s", [*parameters, limit + 1]
    )
    found = [_row(override_of(row), now) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.override.asked_at, row.id))


async def override(connection: Connection, policies: Policies, id_: str, now: datetime) -> OverrideDetail | None:
    """Return one override with what it let pass; None where there is none."""
    row = await (await connection.execute(f"{READ} where id = %s", [id_])).fetchone()
    if row is None:
        return None
    found = override_of(row)
    rows = await connection.execute(
        """select position, at, actor, body from journal
        where subject = %s and kind = 'e' and name = 'authority.override_used' order by position desc limit %s""",
        [id_, _USES_MAX],
    )
    uses = []
    for position, at, actor, body in await rows.fetchall():
        plain = json.decode(bytes(body), dict[str, Any])
        uses.append(OverrideUse(position, at, plain["verb"], plain["value"], actor))
    decides = await decider_of(connection, found, policies.get(Overriding), now)
    return OverrideDetail(_row(found, now), decides, tuple(uses))


async def decider_of(connection: Connection, override: Override, policy: Overriding, now: datetime) -> str:
    """Return the role that decides an override, with what is open now beside it."""
    open_ = [override_of(row) for row in await (await connection.execute(_OPEN, [now])).fetchall()]
    return decider(override, open_, policy, now)


_OPEN = f"{READ} where declined_at is null and ended_at is null and granted_at is not null and expires_at > %s"


async def debts(connection: Connection, policies: Policies, query: DebtQuery, now: datetime) -> tuple[Debt, ...]:
    """Return what each department bears now, and what it cost on each of the last days, the debtors first."""
    from_at = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=query.days - 1)
    rows = await connection.execute(
        f"""{READ} where granted_at is not null and granted_at <= %s and expires_at > %s
            and (ended_at is null or ended_at > %s) order by id""",
        [now, from_at, from_at],
    )
    found = [override_of(row) for row in await rows.fetchall()]
    policy = policies.get(Overriding)
    departments = sorted({*policy.bearers, *(one.department for one in found)})
    debts = [_debt(name, [o for o in found if o.department == name], policy, from_at, now) for name in departments]
    return tuple(sorted(debts, key=lambda debt: (-debt.per_day, -debt.committed, debt.department)))


def _debt(department: str, found: list[Override], policy: Overriding, from_at: datetime, now: datetime) -> Debt:
    bearer = policy.bearers.get(department)
    active = [one for one in found if one.life(now) == "active"]
    days = []
    day = from_at
    while day <= now:
        until = min(day + timedelta(days=1), now)
        parts = [cost for one in found if (cost := one.owed(until) - one.owed(day)) > 0]
        if parts:
            days.append(DayOfDebt(department, f"{day:%Y-%m-%d}", len(parts), sum(parts, ZERO)))
        day += timedelta(days=1)
    return Debt(
        department,
        bearer.role if bearer is not None else "Sponsor",
        len(active),
        sum((one.price_per_day for one in active), ZERO),
        sum((one.committed(now) for one in active), ZERO),
        Decimal(bearer.debt_max) if bearer is not None else None,
        policy.currency,
        tuple(days[::-1]),
    )


def _row(found: Override, now: datetime) -> OverrideRow:
    return OverrideRow(found.id, found.life(now), found.owed(now), found)
