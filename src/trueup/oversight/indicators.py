"""Indicators that a change names to be watched: how often something unwanted happened per hundred orders placed.

Which there are says `authority.change_control.INDICATORS`; here is how each is counted.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from trueup.core.database import Connection

_EVENTS = {
    "holds": "orders.hold_placed",
    "cancellations": "orders.cancelled",
    "rejections": "sourcing.rejected",
    "splits": "orders.fulfilment_ordered",
    "cases": "cases.opened",
}
# Chance alone moves small counts: it has turned when it rose by a half, and by more than three times its square root.
_RISE = Decimal("1.5")
_DEVIATIONS = 3


class Reading(msgspec.Struct, frozen=True):
    """An indicator over a time: how many, out of how many orders placed."""

    indicator: str
    count: int
    orders: int

    @property
    def per_hundred(self) -> Decimal | None:
        """The rate; None where no order was placed."""
        return Decimal(self.count) * 100 / self.orders if self.orders else None

    def __str__(self) -> str:
        """Say it in words, with both counts."""
        return f"{self.count} {self.indicator} in {self.orders} orders"


async def read_indicators(
    connection: Connection, names: tuple[str, ...], since: datetime, until: datetime
) -> tuple[Reading, ...]:
    """Return what was counted from `since` up to but not including `until`, for each indicator that there is."""
    rows = await connection.execute(
        """with bounds as (
            select coalesce((select max(position) from journal where at < %s), 0) as low,
                coalesce((select max(position) from journal where at < %s), 0) as high
        ), counted as (
            select name, count(*) as n, count(*) filter (where name = 'orders.moved'
                and convert_from(body, 'UTF8')::jsonb ->> 'event' = 'backordered') as backordered
            from journal, bounds where position > low and position <= high and kind = 'e'
                and name = any(%s::text[]) group by name
        ) select name, n, backordered from counted""",
        [since, until, ["orders.placed", "orders.moved", *_EVENTS.values()]],
    )
    counted = {name: (int(n), int(backordered)) for name, n, backordered in await rows.fetchall()}
    refused = 0
    if "refusals" in names:
        row = await (
            await connection.execute("select count(*) from refused_command where at >= %s and at < %s", [since, until])
        ).fetchone()
        refused = int(row[0]) if row else 0
    placed = counted.get("orders.placed", (0, 0))[0]
    found = {name: counted.get(event, (0, 0))[0] for name, event in _EVENTS.items()}
    found |= {"backorders": counted.get("orders.moved", (0, 0))[1], "refusals": refused}
    return tuple(Reading(name, found[name], placed) for name in names if name in found)


def has_turned(before: Reading, after: Reading) -> bool:
    """Tell whether an indicator is worse than before by more than chance: a rate up by a half, and by 3 deviations.

    The count expected from the rate before is compared with the count after; a rate of nothing before expects nothing.
    """
    if not after.orders or not before.orders:
        return False
    expected = Decimal(before.count) * after.orders / before.orders
    return after.count > expected * _RISE and after.count - expected > _DEVIATIONS * max(expected, Decimal(1)).sqrt()
