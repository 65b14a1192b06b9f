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
        "What a line says is reserved and allocated for it is what it claims of stock, but for what lapsed unpaid.",
        """select 'order_line', l.order_id || ' ' || l.line,
            'reserved, allocated ' || (l.reserved, l.allocated) || ', claims ' || (c.reserved, c.allocated)
        from order_line l cross join lateral (
            select coalesce(sum(quantity) filter (where kind = 'reservation'), 0) as reserved,
                   coalesce(sum(quantity) filter (where kind = 'allocation'), 0) as allocated,
                   coalesce(-sum(quantity) filter (where reason = 'expired'), 0) as expired
            from stock_claim c where c.holder = l.order_id and c.line = l.line
        ) c where (l.reserved, l.allocated) not in (
            (c.reserved, c.allocated), (c.reserved + c.expired, c.allocated)) and {changed}""",
        _LINE,
    ),
    promise(
        "orders.claims_are_of_lines",
        "Every claim of an order is one of its lines, for its item.",
        """select 'claim', c.holder || ' ' || c.line, 'no such line of that item' from stock_claim c
        where c.holder >= 'ord_' and c.holder < 'ord`' and {changed} and not exists (
            select from order_line l where l.order_id = c.holder and l.line = c.line and l.item = c.item)
            and not exists (select from order_draft d where d.id = c.holder)""",
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
        "Goods + charges - discount + tax is the total, or without tax where prices include it.",
        """select 'order', o.id, o.total || ' is not ' || s.sum
        from orders o cross join lateral (select
            total_goods + total_charges - total_discount + case when tax_included then 0 else total_tax end as sum) s
        where o.total <> s.sum and {changed}""",
        _ORDER,
    ),
    promise(
        "orders.totals_are_lines",
        "Goods, charges, discount and tax of our orders are what their lines keep after cancellation.",
        """select 'order', o.id, 'totals ' || (o.total_goods, o.total_charges, o.total_discount, o.total_tax)
            || ', lines ' || (s.goods, s.charges, s.discount, s.tax)
        from orders o cross join lateral (
            select coalesce(sum(k.amount) filter (where k.kind <> 'charge'), 0) as goods,
                   coalesce(sum(k.amount) filter (where k.kind = 'charge'), 0) as charges,
                   coalesce(sum(k.discount), 0) as discount, coalesce(sum(k.tax), 0) as tax
            from (select kind, amount - round(amount * cancelled / quantity, scale(amount)) as amount,
                         discount - round(discount * cancelled / quantity, scale(discount)) as discount,
                         tax - round(tax * cancelled / quantity, scale(tax)) as tax
                  from order_line l where l.order_id = o.id and quantity <> 0) k
        ) s where o.managed and (o.total_goods, o.total_charges, o.total_discount, o.total_tax)
            is distinct from (s.goods, s.charges, s.discount, s.tax) and {changed}""",
        _ORDER,
    ),
    promise(
        "orders.tax_parts_add_up",
        "What a charge is taxed at several rates adds up to the charge and its tax.",
        """select 'order_line', l.order_id || ' ' || l.line,
            'parts ' || (s.base, s.tax) || ', line ' || (l.amount, l.tax)
        from order_line l join orders o on o.id = l.order_id cross join lateral (
            select sum((part ->> 3)::numeric) as base, sum((part ->> 4)::numeric) as tax
            from jsonb_array_elements(l.tax_parts) part
        ) s where l.tax_parts is not null and {changed}
            and (s.base + case when o.tax_included then s.tax else 0 end, s.tax) <> (l.amount - l.discount, l.tax)""",
        _LINE,
    ),
    promise(
        "orders.invoiced_tax_is_of_units",
        "Of no line more units are invoiced, or reversed, than there are; what is reversed is what was invoiced.",
        """select 'order_tax', t.order_id || ' line ' || t.line || ' invoice ' || t.invoice,
            'invoiced ' || s.invoiced || ', reversed ' || s.reversed || ' of ' || l.quantity
        from (select distinct order_id, line, invoice from order_tax) t
        join order_line l on l.order_id = t.order_id and l.line = t.line
        cross join lateral (
            select coalesce(max(x.units) filter (where x.reverses is null), 0) as invoiced,
                   coalesce(sum(x.units) filter (where x.reverses is not null)
                       / nullif(count(distinct x.number) filter (where x.reverses is null), 0), 0) as reversed
            from order_tax x where x.order_id = t.order_id and x.line = t.line and x.invoice = t.invoice
        ) s where (s.invoiced > l.quantity or s.reversed > s.invoiced) and {changed}""",
        f"t.order_id {CHANGED}",
    ),
    promise(
        "orders.tax_reversed_at_its_rate",
        "A reversal has the rate of what it reverses, and all reversals of a row at most its base and tax.",
        """select 'order_tax', t.order_id || ' ' || t.number,
            'reversed ' || (s.base, s.tax) || ' of ' || (t.base, t.tax)
        from order_tax t cross join lateral (
            select sum(base) as base, sum(tax) as tax, sum(units) as units,
                   bool_or((rate, category, code) <> (t.rate, t.category, t.code)) as other
            from order_tax r where r.order_id = t.order_id and r.reverses = t.number
        ) s where t.reverses is null and s.units is not null and {changed}
            and (s.other or s.units > t.units or abs(s.base) > abs(t.base) or abs(s.tax) > abs(t.tax)
                 or (s.units = t.units and (s.base, s.tax) <> (t.base, t.tax)))""",
        f"t.order_id {CHANGED}",
    ),
    promise(
        "orders.drafts_become_orders",
        "A draft is an order of the same id exactly when it was confirmed, and holds stock only until then.",
        """select 'draft', d.id, case when o.id is null then 'confirmed, but there is no order' else 'not confirmed' end
        from order_draft d left join orders o on o.id = d.id
        where {changed} and (d.confirmed_at is not null) <> (o.id is not null)""",
        f"d.id {CHANGED}",
    ),
    promise(
        "orders.draft_people_exist",
        "The personal data that a draft refers to are there.",
        """select 'draft', d.id, 'refers to ' || d.person from order_draft d
        where {changed} and d.person is not null and not exists (select from person p where p.id = d.person)""",
        f"d.id {CHANGED}",
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
        "orders.lines_are_of_orders",
        "Every line is of an order that is there.",
        """select 'order_line', l.order_id || ' ' || l.line, 'no such order' from order_line l
        where {changed} and not exists (select from orders o where o.id = l.order_id)""",
        f"l.order_id {CHANGED}",
    ),
    promise(
        "orders.came_through_the_door",
        "The journal tells how every order came to be.",
        """select 'order', o.id, 'the journal does not know it' from orders o
        where {changed} and not exists (select from journal j where j.subject = o.id and j.kind = 'e')""",
        _ORDER,
    ),
)
