"""What misaligned data costs: orders x error correction cost x data inaccuracy rate, per visible period.

Source of the formula: the cost-of-poor-data estimate used in roll-out plans; each order that touches a wrong record is
corrected once. Counts stay counts and the rate stays a pair of counts, so that nothing is rounded before the end.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from trueup.core.database import Connection
from trueup.core.money import booked
from trueup.core.policy import Policy

Basis = Literal["measured", "entered", "default"]


class ExposurePolicy(Policy, frozen=True, kw_only=True):
    """What wrong data costs per order it touches. correction_cost: of putting one error right, in `currency`.

    orders_per_day: entered where the own orders are no measure yet. days: over which orders per day are measured.
    """

    kind: ClassVar[str] = "exposure"
    unreplayed: ClassVar[str] = "it prices what misalignment costs, and changes no order"
    correction_cost: Decimal = Decimal("10.00")
    currency: str = "EUR"
    orders_per_day: Decimal | None = None
    days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 28


class Input(msgspec.Struct, frozen=True):
    """One input of the formula: value in `unit`, where it comes from, and the link that opens its rows."""

    name: str
    value: Decimal
    unit: str
    basis: Basis
    rows: str


class Exposure(msgspec.Struct, frozen=True):
    """What it costs per day, in `currency`, with the inputs that make it so."""

    per_day: Decimal
    currency: str
    inputs: tuple[Input, ...]

    def per_hour(self) -> Decimal:
        """Return a 24th of the day's cost to six decimals: a rate, which rounded to cents would vanish."""
        return (self.per_day / 24).quantize(Decimal("0.000001"))

    def source(self) -> dict[str, Any]:
        """Return the formula and its inputs as a case keeps them."""
        return {
            "formula": "orders per day x correction cost x wrong rows / rows",
            "per_day": str(self.per_day),
            "currency": self.currency,
            "inputs": [msgspec.to_builtins(entry) for entry in self.inputs],
        }


def misalignment(orders: Input, correction_cost: Input, wrong: Input, rows: Input, currency: str) -> Exposure:
    """Return the cost per day of `wrong` out of `rows` records being misaligned; no rows cost nothing.

    >>> # 1,000 orders a day, 10.00 per correction, 5 of 100 rows wrong: 500.00 a day
    """
    per_day = orders.value * correction_cost.value * wrong.value / rows.value if rows.value else Decimal(0)
    return Exposure(booked(per_day, currency), currency, (orders, correction_cost, wrong, rows))


async def orders_per_day(connection: Connection, policy: ExposurePolicy, now: datetime) -> Input:
    """Return the measured orders per day before `now`, or what was entered.

    Where no order fell into the last `days`, the same number of days before the newest order is measured: a migrated
    shop's history ends when its export was made.
    """
    if policy.orders_per_day is not None:
        return Input("orders per day", policy.orders_per_day, "orders/day", "entered", "/policies/exposure")
    row = await (
        await connection.execute("select max(placed_at) from orders where kind = 'sale' and placed_at <= %s", [now])
    ).fetchone()
    newest: datetime | None = row[0] if row else None
    if newest is None:
        return Input("orders per day", Decimal(0), "orders/day", "measured", "/orders")
    until = now if newest > now - timedelta(days=policy.days) else newest
    since = until - timedelta(days=policy.days)
    counted = await (
        await connection.execute(
            "select count(*) from orders where kind = 'sale' and placed_at > %s and placed_at <= %s", [since, until]
        )
    ).fetchone()
    count = Decimal(counted[0] if counted else 0)
    link = f"/orders?placed_from={since.date()}&placed_to={until.date()}"
    return Input("orders per day", booked(count / policy.days, "EUR"), "orders/day", "measured", link)


def correction_cost(policy: ExposurePolicy) -> Input:
    """Return what putting one error right costs, marked as entered once somebody has published another figure."""
    basis: Basis = "default" if policy.correction_cost == ExposurePolicy().correction_cost else "entered"
    return Input("correction cost", policy.correction_cost, policy.currency, basis, "/policies/exposure")
