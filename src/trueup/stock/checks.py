"""What stock promises, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise

# Places that movements of later batches, or claims of later holders, touched.
_TOUCHED = """(b.item, b.location) in (
        select m.item, unnest(array[m.from_location, m.to_location]) from stock_movement m
        where m.batch in (select batch from journal j where j.position > s.since)
        union select c.item, c.location from stock_claim c
        where c.holder in (select subject from journal j where j.position > s.since))"""
_SINCE = f"exists (select from (select %s::bigint as since) s where {_TOUCHED})"
_HOLDERS = f"c.holder {CHANGED}"

CHECKS: tuple[Check, ...] = (
    promise(
        "stock.on_hand_is_the_ledger",
        "On hand is the sum of the movements into and out of it.",
        """select 'balance', b.item || ' ' || b.location, 'on hand ' || b.on_hand || ', movements ' || m.net
        from stock_balance b cross join lateral (
            select coalesce(sum(case when to_account = 'on_hand' and to_location = b.location then quantity else 0 end
                - case when from_account = 'on_hand' and from_location = b.location then quantity else 0 end), 0) as net
            from stock_movement where item = b.item
        ) m where m.net <> b.on_hand and {changed}""",
        _SINCE,
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
              union select item, to_location from stock_movement where to_account = 'on_hand'
              union select item, from_location from stock_movement where from_account = 'on_hand') p
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
        """select 'claim', coalesce(o.holder, e.holder) || ' ' || coalesce(o.line, e.line),
            'listed ' || coalesce(e.quantity || ' until ' || e.expires_at, 'nowhere')
            || ', open ' || coalesce(o.quantity || ' until ' || o.expires_at, 'nowhere')
        from (select c.holder, c.line, c.item, c.location, sum(c.quantity) as quantity, max(c.expires_at) as expires_at
              from stock_claim c where c.kind = 'reservation' group by c.holder, c.line, c.item, c.location
              having sum(c.quantity) > 0 and max(c.expires_at) is not null) o
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
