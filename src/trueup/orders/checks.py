"""What orders promise, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise

_ORDER = f"o.id {CHANGED}"
_LINE = f"l.order_id {CHANGED}"

CHECKS: tuple[Check, ...] = (
    promise(
        "orders.counters_are_lines",
        "An order's units are the sums of its lines of goods.",
        """select 'order', o.id, 'counted ' || (o.units_ordered, o.units_cancelled, o.units_shipped, o.units_returned)
            || ', lines ' || (s.ordered, s.cancelled, s.shipped, s.returned)
        from orders o cross join lateral (
            select coalesce(sum(quantity), 0) as ordered, coalesce(sum(cancelled), 0) as cancelled,
                   coalesce(sum(shipped), 0) as shipped, coalesce(sum(returned), 0) as returned
            from order_line l where l.order_id = o.id and l.kind = 'good' and l.quantity > 0
        ) s where (o.units_ordered, o.units_cancelled, o.units_shipped, o.units_returned)
            is distinct from (s.ordered, s.cancelled, s.shipped, s.returned) and {changed}""",
        _ORDER,
    ),
    promise(
        "orders.reserved_are_lines",
        "An order's reserved and allocated units are the sums of its lines'.",
        """select 'order', o.id, 'counted ' || (o.units_reserved, o.units_allocated)
            || ', lines ' || (s.reserved, s.allocated)
        from orders o cross join lateral (
            select coalesce(sum(reserved), 0) as reserved, coalesce(sum(allocated), 0) as allocated
            from order_line l where l.order_id = o.id
        ) s where (o.units_reserved, o.units_allocated) <> (s.reserved, s.allocated) and {changed}""",
        _ORDER,
    ),
    promise(
        "orders.reserved_are_claims",
        "What a line says is reserved and allocated for it is what it claims of stock.",
        """select 'order_line', l.order_id || ' ' || l.line,
            'reserved, allocated ' || (l.reserved, l.allocated) || ', claims ' || (c.reserved, c.allocated)
        from order_line l cross join lateral (
            select coalesce(sum(quantity) filter (where kind = 'reservation'), 0) as reserved,
                   coalesce(sum(quantity) filter (where kind = 'allocation'), 0) as allocated
            from stock_claim c where c.holder = l.order_id and c.line = l.line
        ) c where (l.reserved, l.allocated) <> (c.reserved, c.allocated) and {changed}""",
        _LINE,
    ),
    promise(
        "orders.claims_are_of_lines",
        "Every claim of an order is one of its lines, for its item.",
        """select 'claim', c.holder || ' ' || c.line, 'no such line of that item' from stock_claim c
        where c.holder >= 'ord_' and c.holder < 'ord`' and {changed} and not exists (
            select from order_line l where l.order_id = c.holder and l.line = c.line and l.item = c.item)""",
        f"c.holder {CHANGED}",
    ),
    promise(
        "orders.reserved_is_wanted",
        "Nothing is claimed for units that were cancelled or shipped.",
        """select 'order_line', l.order_id || ' ' || l.line,
            l.reserved + l.allocated || ' claimed, ' || (l.quantity - l.cancelled - l.shipped) || ' wanted'
        from order_line l
        where l.reserved + l.allocated > greatest(0, l.quantity - l.cancelled - l.shipped) and {changed}""",
        _LINE,
    ),
    promise(
        "orders.totals_add_up",
        "Goods + charges - discount + tax is the total.",
        """select 'order', o.id, o.total || ' is not ' || (total_goods + total_charges - total_discount + total_tax)
        from orders o where o.total <> total_goods + total_charges - total_discount + total_tax and {changed}""",
        _ORDER,
    ),
    promise(
        "orders.totals_are_lines",
        "Goods, charges and discount of our orders are what their lines keep after cancellation.",
        """select 'order', o.id, 'totals ' || (o.total_goods, o.total_charges, o.total_discount)
            || ', lines ' || (s.goods, s.charges, s.discount)
        from orders o cross join lateral (
            select coalesce(sum(k.amount) filter (where k.kind <> 'charge'), 0) as goods,
                   coalesce(sum(k.amount) filter (where k.kind = 'charge'), 0) as charges,
                   coalesce(sum(k.discount), 0) as discount
            from (select kind, round(amount * (quantity - cancelled) / quantity, scale(amount)) as amount,
                         round(discount * (quantity - cancelled) / quantity, scale(discount)) as discount
                  from order_line l where l.order_id = o.id and quantity <> 0) k
        ) s where o.managed and (o.total_goods, o.total_charges, o.total_discount)
            is distinct from (s.goods, s.charges, s.discount) and {changed}""",
        _ORDER,
    ),
    promise(
        "orders.keys_stand",
        "Every order is found by its own number and by every external one.",
        """select 'order', o.id, 'not found by ' || w.key || ' of ' || w.source
        from orders o cross join lateral (
            select '' as source, o.number as key union all select key, value from jsonb_each_text(o.external_ids)
        ) w where {changed} and not exists (
            select from order_key k where k.key = w.key and k.source = w.source and k.order_id = o.id)""",
        _ORDER,
    ),
    promise(
        "orders.keys_lead_to_orders",
        "Every number leads to an order that has it.",
        """select 'order_key', k.key || ' of ' || k.source, 'leads to ' || k.order_id from order_key k
        where {changed} and not exists (
            select from orders o where o.id = k.order_id
                and k.key = case when k.source = '' then o.number else o.external_ids ->> k.source end)""",
        f"k.order_id {CHANGED}",
    ),
    promise(
        "orders.people_exist",
        "The customer and the personal data that an order refers to are there.",
        """select 'order', o.id, 'refers to ' || coalesce(o.customer, '') || ' ' || coalesce(o.person, '')
        from orders o where {changed} and (
            (o.customer is not null and not exists (select from customer c where c.id = o.customer))
            or (o.person is not null and not exists (select from person p where p.id = o.person)))""",
        _ORDER,
    ),
    promise(
        "orders.lines_stand",
        "Every order has lines, numbered from 1 without a gap.",
        """select 'order', o.id, s.lines || ' lines up to number ' || s.last
        from orders o cross join lateral (
            select count(*) as lines, coalesce(max(line), 0) as last from order_line l where l.order_id = o.id
        ) s where (s.lines = 0 or s.lines <> s.last) and {changed}""",
        _ORDER,
    ),
    promise(
        "orders.came_through_the_door",
        "The journal tells how every order came to be.",
        """select 'order', o.id, 'the journal does not know it' from orders o
        where {changed} and not exists (select from journal j where j.subject = o.id and j.kind = 'e')""",
        _ORDER,
    ),
)
