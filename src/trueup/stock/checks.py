"""What stock promises, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise
from trueup.stock.rows import EXPIRY

# Places that movements of later batches, or claims of later holders, touched.
_TOUCHED = """(b.item, b.location) in (
        select m.item, unnest(array[m.from_location, m.to_location]) from stock_movement m
        where m.batch in (select batch from journal j where j.position > s.since)
        union select c.item, c.location from stock_claim c
        where c.holder in (select subject from journal j where j.position > s.since))"""
_SINCE = f"exists (select from (select %s::bigint as since) s where {_TOUCHED})"
_HOLDERS = f"c.holder {CHANGED}"
# Net units that a movement brought to a bucket of `b`.
_NET = """case when to_account::text = {bucket} and to_location = b.location then quantity else 0 end
                - case when from_account::text = {bucket} and from_location = b.location then quantity else 0 end"""

CHECKS: tuple[Check, ...] = (
    promise(
        "stock.balances_are_the_ledger",
        "On hand and every other bucket is the sum of the movements into and out of it.",
        f"""select 'balance', b.item || ' ' || b.location, p.bucket || ' ' || p.units || ', movements ' || m.net
        from stock_balance b cross join lateral (values ('on_hand', b.on_hand), ('damaged', b.damaged),
            ('quality', b.quality), ('quarantined', b.quarantined)) as p (bucket, units)
        cross join lateral (
            select coalesce(sum({_NET.format(bucket="p.bucket")}), 0) as net
            from stock_movement where item = b.item and b.location in (to_location, from_location)
        ) m where m.net <> p.units and {{changed}}""",
        _SINCE,
    ),
    promise(
        "stock.lots_are_the_ledger",
        "A lot has the units that the movements say.",
        f"""select 'lot', b.item || ' ' || b.location || ' ' || b.lot, p.bucket || ' ' || p.units || ', moved ' || m.net
        from stock_lot b cross join lateral (values ('on_hand', b.on_hand), ('damaged', b.damaged),
            ('quality', b.quality), ('quarantined', b.quarantined)) as p (bucket, units)
        cross join lateral (
            select coalesce(sum({_NET.format(bucket="p.bucket")}), 0) as net
            from stock_movement where item = b.item and lot = b.lot and b.location in (to_location, from_location)
        ) m where m.net <> p.units and {{changed}}""",
        _SINCE,
    ),
    promise(
        "stock.lots_sum_to_on_hand",
        "What a tracked item has on hand lies in its lots; only what came before it was tracked lies in none.",
        f"""select 'balance', b.item || ' ' || b.location, b.on_hand || ' on hand, ' || l.units || ' in lots, '
            || m.loose || ' in none'
        from stock_balance b join item i on i.id = b.item and i.tracking <> 'none' cross join lateral (
            select coalesce(sum(on_hand), 0) as units from stock_lot where item = b.item and location = b.location
        ) l cross join lateral (
            select coalesce(sum({_NET.format(bucket="'on_hand'")}), 0) as loose
            from stock_movement where item = b.item and lot = '' and b.location in (to_location, from_location)
        ) m where (l.units + m.loose <> b.on_hand or m.loose < 0) and {{changed}}""",
        _SINCE,
    ),
    promise(
        "stock.lots_allocated_are_claims",
        "What is allocated of a lot is the sum of the open allocations that name it.",
        """select 'lot', b.item || ' ' || b.location || ' ' || b.lot, b.allocated || ' allocated, claims ' || c.units
        from stock_lot b cross join lateral (
            select coalesce(sum(quantity), 0) as units from stock_claim
            where item = b.item and location = b.location and lot = b.lot and kind = 'allocation'
        ) c where c.units <> b.allocated and {changed}""",
        _SINCE,
    ),
    promise(
        "stock.in_transit_is_open",
        "What is in transit under a transfer is what of it neither arrived nor was given up.",
        """select 'transfer', t.id, l.item || ': ' || l.open || ' open, ' || m.net || ' in transit'
        from stock_transfer t cross join lateral (
            select item, sum(open) as open from stock_transfer_line where transfer = t.id group by item
        ) l cross join lateral (
            select coalesce(sum(case when to_account = 'in_transit' then quantity else 0 end
                - case when from_account = 'in_transit' then quantity else 0 end), 0) as net
            from stock_movement where reference = t.id and item = l.item
        ) m where l.open <> m.net or (t.closed_at is not null and l.open <> 0)""",
    ),
    promise(
        "stock.counts_have_four_eyes",
        "Nobody approved a variance of a session in which they counted; what was posted above tolerance was approved.",
        """select 'count', e.count, e.item || ' ' || e.lot || ' entry ' || e.number
        from stock_count_entry e join stock_count c on c.id = e.count
        where exists (select from stock_count_entry o where o.count = e.count and o.counted_by = e.approved_by)
           or (e.beyond and e.approved_by is null and c.closed_at is not null
               and not exists (select from stock_count_entry o where (o.count, o.item, o.lot) = (e.count, e.item, e.lot)
                               and o.number > e.number)
               and exists (select from stock_movement m where m.reference = c.id and m.item = e.item))""",
    ),
    promise(
        "stock.claims_are_open",
        "Reserved and allocated are the sums of the open claims.",
        """select 'balance', b.item || ' ' || b.location,
            'reserved ' || b.reserved || ', claims ' || c.reserved
            || '; allocated ' || b.allocated || ', claims ' || c.allocated
        from stock_balance b cross join lateral (
            select coalesce(sum(quantity) filter (where kind = 'reservation'), 0) as reserved,
                   coalesce(sum(quantity) filter (where kind = 'allocation'), 0) as allocated
            from stock_claim where item = b.item and location = b.location
        ) c where (c.reserved, c.allocated) is distinct from (b.reserved, b.allocated) and {changed}""",
        _SINCE,
    ),
    promise(
        "stock.every_claim_has_a_balance",
        "What is claimed or moved at a place is in its balance.",
        """select 'balance', p.item || ' ' || p.location, 'claimed or moved, but there is no balance'
        from (select item, location from stock_claim
              union select item, to_location from stock_movement
              where to_account::text in ('on_hand', 'damaged', 'quality', 'quarantined')
              union select item, from_location from stock_movement
              where from_account::text in ('on_hand', 'damaged', 'quality', 'quarantined')) p
        where not exists (select from stock_balance b where b.item = p.item and b.location = p.location)""",
    ),
    promise(
        "stock.promised_is_covered",
        "No more is promised than is on hand or owed.",
        """select 'balance', b.item || ' ' || b.location,
            b.reserved + b.allocated || ' promised, ' || b.on_hand || ' on hand, ' || b.owed || ' owed'
        from stock_balance b where b.reserved + b.allocated > b.on_hand + b.owed and {changed}""",
        _SINCE,
    ),
    promise(
        "stock.owed_is_exact",
        "Owed is what is promised beyond what is on hand, and no more.",
        """select 'balance', b.item || ' ' || b.location,
            b.owed || ' owed, ' || greatest(0, b.reserved + b.allocated - b.on_hand) || ' missing'
        from stock_balance b where b.owed <> greatest(0, b.reserved + b.allocated - b.on_hand) and {changed}""",
        _SINCE,
    ),
    promise(
        "stock.claims_end_once",
        "No claim is released beyond what it claimed.",
        """select 'claim', c.holder || ' ' || c.line, sum(c.quantity) || ' open at ' || c.location
        from stock_claim c where {changed} group by c.holder, c.line, c.item, c.location, c.kind, c.lot
        having sum(c.quantity) < 0""",
        _HOLDERS,
    ),
    promise(
        "stock.claims_are_numbered",
        "The rows of a holder's line are numbered without a gap.",
        """select 'claim', c.holder || ' ' || c.line, count(*) || ' rows up to number ' || max(c.number)
        from stock_claim c where {changed} group by c.holder, c.line having count(*) <> max(c.number)""",
        _HOLDERS,
    ),
    promise(
        "stock.expiring_are_open",
        "The list of claims that expire is that of the open claims with an expiry.",
        f"""select 'claim', coalesce(o.holder, e.holder) || ' ' || coalesce(o.line, e.line),
            'listed ' || coalesce(e.quantity || ' until ' || e.expires_at, 'nowhere')
            || ', open ' || coalesce(o.quantity || ' until ' || o.expires_at, 'nowhere')
        from (select c.holder, c.line, c.item, c.location, sum(c.quantity) as quantity, {EXPIRY} as expires_at
              from stock_claim c where c.kind = 'reservation' group by c.holder, c.line, c.item, c.location
              having sum(c.quantity) > 0 and {EXPIRY} is not null) o
        full join stock_expiring e using (holder, line, item, location)
        where (o.quantity, o.expires_at) is distinct from (e.quantity, e.expires_at)""",
    ),
    promise(
        "stock.movements_are_of_batches",
        "Every movement came through the door.",
        """select 'movement', m.batch || ' ' || m.number, 'no such batch in the journal' from stock_movement m
        where not exists (select from batch b where b.id = m.batch)""",
    ),
)
