"""Stock as it stood at a past time, from the ledgers: the balances now, less what moved and was claimed since."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trueup.core.database import Connection
from trueup.core.errors import Refusal, Refused
from trueup.core.paging import bounded, page_of, write_cursor
from trueup.core.quantity import ZERO
from trueup.stock.read import StockPage, StockQuery, availability_of, filters

_NET = """coalesce(sum(case when to_account::text = '{bucket}' and to_location = p.location then quantity else 0 end
            - case when from_account::text = '{bucket}' and from_location = p.location then quantity else 0 end), 0)"""
_NETS = ", ".join(f"{_NET.format(bucket=name)} as {name}" for name in ("on_hand", "damaged", "quality", "quarantined"))
# What had expired then: claims that still were open, whether they were released since or not.
_EXPIRED = """(select coalesce(sum(e.quantity), 0) from stock_expiring e
        where e.item = p.item and e.location = p.location and e.expires_at <= p.moment)
    - (select coalesce(sum(r.quantity), 0) from stock_claim r
        where r.item = p.item and r.location = p.location and r.at > p.moment and r.quantity < 0
            and (select o.expires_at from stock_claim o where (o.holder, o.line, o.item, o.location, o.kind, o.lot)
                    = (r.holder, r.line, r.item, r.location, r.kind, r.lot) and o.at <= p.moment and o.quantity > 0
                order by o.number desc limit 1) <= p.moment)"""
_EXPIRED_LOTS = f"""(select coalesce(sum(s.on_hand - (select {_NET.format(bucket="on_hand")} from stock_movement
            where item = p.item and lot = s.lot and at > p.moment and p.location in (to_location, from_location))), 0)
        from stock_lot s where s.item = p.item and s.location = p.location
            and s.expires_on < (p.moment at time zone 'UTC')::date)"""
_SENT = """(select coalesce(sum(case when to_account = 'in_transit' then quantity else -quantity end), 0)
        from stock_movement where item = p.item and at <= p.moment
            and ((to_account = 'in_transit' and to_location = p.location)
                or (from_account = 'in_transit' and from_location = p.location)))"""
_SAFETY = """coalesce((select (convert_from(j.body, 'UTF8')::jsonb ->> 'quantity')::numeric from journal j
        where j.subject = p.item and j.name = 'stock.safety_set' and j.kind = 'e' and j.at <= p.moment
            and convert_from(j.body, 'UTF8')::jsonb ->> 'location' = p.location
        order by j.position desc limit 1), 0)"""


async def balances_as_of(
    connection: Connection, query: StockQuery, now: datetime, sites: frozenset[str] | None = None
) -> StockPage:
    """Return one page of balances by SKU and location as the book stood at `query.as_of`.

    Buckets, reserved and allocated are the ledgers'; what had expired by then did not count. A movement belongs to the
    time it was posted. Refuses (Refused) a time that is to come or has no zone, and the filter `short`.
    """
    then = query.as_of or now
    if then.tzinfo is None or then > now or query.short is not None:
        raise Refused(
            Refusal("stock.as_of", f"Stock is not known as of {then} so." if query.short is None else
                    "What was short at a past time is not listed.",
                    "Name a time that has passed, with its offset, and leave `short` out.", "as_of", str(then))
        )  # fmt: skip
    conditions, parameters = filters(query, sites)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    limit = bounded(query.limit)
    rows = await connection.execute(
        f"""with p as materialized (
            select b.*, i.sku, i.name as item_name, l.code, l.name as location_name, %s::timestamptz as moment
            from stock_balance b join item i on i.id = b.item join location l on l.id = b.location
            {where} order by i.sku, l.code limit %s
        )
        select p.item, p.sku, p.item_name, p.code, p.location_name, p.on_hand - m.on_hand, p.reserved - c.reserved,
            {_EXPIRED}, p.allocated - c.allocated, {_SAFETY}, p.damaged - m.damaged, p.quality - m.quality,
            p.quarantined - m.quarantined, {_EXPIRED_LOTS}, {_SENT}
        from p cross join lateral (
            select {_NETS} from stock_movement
            where item = p.item and at > p.moment and p.location in (to_location, from_location)
        ) m cross join lateral (
            select coalesce(sum(quantity) filter (where kind = 'reservation'), 0) as reserved,
                coalesce(sum(quantity) filter (where kind = 'allocation'), 0) as allocated
            from stock_claim where item = p.item and location = p.location and at > p.moment
        ) c order by p.sku, p.code""",
        [then, *parameters, limit + 1],
        prepare=False,
    )
    found = [availability_of(_with_owed(row)) for row in await rows.fetchall()]
    return page_of(found, limit, lambda row: write_cursor(row.sku, row.location))


def _with_owed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Owed is exactly what was promised beyond what was on hand; a past balance has no version."""
    on_hand, reserved, _, allocated, _ = row[5:10]
    return (*row[:10], max(ZERO, reserved + allocated - on_hand), 0, *row[10:])
