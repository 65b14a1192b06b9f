"""What orders are called, for whoever holds their ids alone."""

from __future__ import annotations

from collections.abc import Iterable

from trueup.core.database import Connection


async def names(
    connection: Connection, orders: Iterable[str], channels: frozenset[str] | None = None
) -> dict[str, str]:
    """Return id -> our number of these orders. channels: those that may be shown; None is all. Others are left out."""
    wanted = sorted(set(orders))
    if not wanted:
        return {}
    rows = await connection.execute(
        """select id, number from orders
        where id = any(%s::text[]) and (%s::text[] is null or channel = any(%s::text[]))""",
        [wanted, *[None if channels is None else sorted(channels)] * 2],
    )
    return dict(await rows.fetchall())
