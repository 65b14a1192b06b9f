"""What sourcing promises, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise

CHECKS: tuple[Check, ...] = (
    promise(
        "sourcing.parts_are_lines",
        "A fulfilment order's units are the sums of its lines.",
        """select 'fulfilment_order', f.id, (f.units, f.withdrawn, f.rejected, f.shipped)::text || ', lines '
            || (s.quantity, s.withdrawn, s.rejected, s.shipped)::text
        from fulfilment_order f cross join lateral (
            select coalesce(sum(quantity), 0) as quantity, coalesce(sum(withdrawn), 0) as withdrawn,
                   coalesce(sum(rejected), 0) as rejected, coalesce(sum(shipped), 0) as shipped
            from fulfilment_line l where l.fulfilment_order = f.id
        ) s where (f.units, f.withdrawn, f.rejected, f.shipped)
            is distinct from (s.quantity, s.withdrawn, s.rejected, s.shipped) and {changed}""",
        f"f.order_id {CHANGED}",
    ),
    promise(
        "sourcing.parts_are_allocations",
        "What locations still owe of an order's line is what it has allocated there.",
        """select 'order_line', o.id || ' ' || w.line, 'parts owe ' || w.owed || ' at ' || w.location
            || ', allocated ' || w.allocated
        from orders o cross join lateral (
            select line, location, coalesce(sum(owed), 0) as owed, coalesce(sum(allocated), 0) as allocated from (
                select l.line, f.location, l.quantity - l.withdrawn - l.rejected - l.shipped as owed, 0 as allocated
                from fulfilment_order f join fulfilment_line l on l.fulfilment_order = f.id where f.order_id = o.id
                union all
                select c.line, c.location, 0, c.quantity from stock_claim c
                where c.holder = o.id and c.kind = 'allocation'
            ) x group by line, location
        ) w where w.owed <> w.allocated and {changed}""",
        f"o.id {CHANGED}",
    ),
    promise(
        "sourcing.parts_are_of_orders",
        "Every fulfilment order is of an order of ours, at a location there is; its lines are lines of that order.",
        """select 'fulfilment_order', f.id, 'of ' || f.order_id || ' at ' || f.location
        from fulfilment_order f where {changed} and (
            not exists (select from orders o where o.id = f.order_id and o.managed)
            or not exists (select from location l where l.id = f.location)
            or not exists (select from fulfilment_line l where l.fulfilment_order = f.id)
            or exists (select from fulfilment_line l where l.fulfilment_order = f.id and not exists (
                select from order_line x where (x.order_id, x.line, x.item) = (f.order_id, l.line, l.item))))""",
        f"f.order_id {CHANGED}",
    ),
    promise(
        "sourcing.parts_have_reasons",
        "Every fulfilment order comes of a decision that is kept.",
        """select 'fulfilment_order', f.id, 'no decision ' || f.decision from fulfilment_order f
        where {changed} and not exists (select from sourcing_decision d where d.id = f.decision)""",
        f"f.order_id {CHANGED}",
    ),
    promise(
        "sourcing.kits_are_whole",
        "The parts of a phantom kit are allocated in the proportion the kit has them.",
        """select 'order_line', p.order_id || ' ' || p.line, p.allocated || ' allocated of a kit whose parts differ'
        from order_line p join order_line k on k.order_id = p.order_id and k.line = p.parent
        where {changed} and p.cancelled * k.quantity <> k.cancelled * p.quantity""",
        f"p.order_id {CHANGED}",
    ),
)
