"""The crosswalk: which of our ids a legacy identifier became."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from trueup.core.database import Connection

Kind = Literal["item", "customer", "order", "location"]

# What a legacy identifier of each kind is looked up by.
_FOUND: dict[str, str] = {
    "item": "select w.legacy_id, k.item as id from w join item_key k on k.key = w.legacy_id",
    "customer": "select w.legacy_id, c.id from w join customer c on c.number = w.legacy_id and c.source = %(source)s",
    "location": "select w.legacy_id, l.id from w join location l on l.code = w.legacy_id",
    "order": "select w.legacy_id, k.order_id as id from w join order_key k on k.key = w.legacy_id "
    "and k.source = %(source)s",
}


class Crossing(msgspec.Struct, frozen=True):
    """One line of the crosswalk. run: the migration run that first brought it."""

    source: str
    kind: str
    legacy_id: str
    id: str
    run: str


async def fill(connection: Connection, source: str, run: str, kind: Kind, legacy_ids: Sequence[str]) -> int:
    """Enter legacy identifiers with our ids; return how many of them are this run's own.

    One that nobody of ours answers to counts as the run's own too, so that the controls show what is missing.
    """
    parameters = {"source": source, "run": run, "kind": kind, "ids": list(legacy_ids)}
    await connection.execute(
        f"""with w as (select unnest(%(ids)s::text[]) collate "C" as legacy_id)
        insert into crosswalk (source, kind, legacy_id, id, run)
        select %(source)s, %(kind)s, legacy_id, id, %(run)s from ({_FOUND[kind]}) found
        on conflict (source, kind, legacy_id) do update set id = excluded.id where crosswalk.id <> excluded.id""",
        parameters,
    )
    found = await connection.execute(
        """select count(*) from unnest(%(ids)s::text[]) as w (legacy_id)
        left join crosswalk c on c.source = %(source)s and c.kind = %(kind)s and c.legacy_id = w.legacy_id
        where c.run is null or c.run = %(run)s""",
        parameters,
    )
    row = await found.fetchone()
    return int(row[0]) if row else 0


async def fill_orders(connection: Connection, source: str, run: str) -> None:
    """Enter the documents that a run brought."""
    await connection.execute(
        """insert into crosswalk (source, kind, legacy_id, id, run)
        select k.source, 'order', k.key, k.order_id, o.load from orders o
        join order_key k on k.order_id = o.id and k.source = o.source where o.load = %s and o.source = %s
        on conflict (source, kind, legacy_id) do update set id = excluded.id, run = excluded.run""",
        [run, source],
    )


async def forget_orders(connection: Connection, source: str) -> None:
    """Take the documents out whose order is no longer there."""
    await connection.execute(
        """delete from crosswalk c where c.source = %s and c.kind = 'order'
        and not exists (select from orders o where o.id = c.id)""",
        [source],
    )


async def look_up(
    connection: Connection, legacy_id: str, source: str | None = None, kind: str | None = None
) -> list[Crossing]:
    """Return what a legacy identifier became, in every source and kind or in those given."""
    rows = await connection.execute(
        """select source, kind, legacy_id, id, run from crosswalk
        where legacy_id = %s and (%s::text is null or source = %s) and (%s::text is null or kind = %s)
        order by source, kind""",
        [legacy_id, source, source, kind, kind],
    )
    return [Crossing(*row) for row in await rows.fetchall()]


async def came_from(connection: Connection, id_: str) -> list[Crossing]:
    """Return the legacy identifiers that became this id."""
    rows = await connection.execute(
        "select source, kind, legacy_id, id, run from crosswalk where id = %s order by source, kind, legacy_id", [id_]
    )
    return [Crossing(*row) for row in await rows.fetchall()]
