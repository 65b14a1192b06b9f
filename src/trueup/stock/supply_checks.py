"""What supply and pegs promise, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise

CHECKS: tuple[Check, ...] = (
    promise(
        "stock.pegged_is_open",
        "No more is promised of a supply than is still to come, and it is the sum of its open pegs.",
        """select 'supply', s.id, 'open ' || s.open || ', pegged ' || s.pegged || ', pegs ' || p.units
        from stock_supply s cross join lateral (
            select coalesce(sum(quantity), 0) as units from stock_waiting w where w.supply = s.id
        ) p where (s.pegged > s.open or s.pegged <> p.units) and {changed}""",
        f"s.id {CHANGED}",
    ),
    promise(
        "stock.waiting_is_the_backlog",
        "What waits at a place for nothing that is to come is the sum of its open pegs without supply.",
        """select 'backlog', b.item || ' ' || b.location, 'waiting ' || b.waiting || ', pegs ' || p.units
        from stock_backlog b cross join lateral (
            select coalesce(sum(quantity), 0) as units from stock_waiting w
            where w.item = b.item and w.location = b.location and w.supply is null
        ) p where b.waiting <> p.units""",
    ),
    promise(
        "stock.pegs_are_listed",
        "The list of open pegs is the sum of pegs and releases, and those are numbered without a gap.",
        """select 'peg', coalesce(o.holder, w.holder) || ' ' || coalesce(o.line, w.line),
            'listed ' || coalesce(w.quantity::text, 'nowhere') || ', open ' || coalesce(o.quantity::text, 'nowhere')
        from (select holder, line, coalesce(releases, number) as number, max(item) as item, max(location) as location,
                     max(supply) as supply, sum(quantity) as quantity, max(due_at) as due_at
              from stock_peg group by holder, line, coalesce(releases, number) having sum(quantity) <> 0) o
        full join stock_waiting w using (holder, line, number)
        where (o.item, o.location, o.supply, o.quantity, o.due_at)
            is distinct from (w.item, w.location, w.supply, w.quantity, w.due_at)
        union all
        select 'peg', holder || ' ' || line, count(*) || ' rows up to number ' || max(number)
        from stock_peg group by holder, line having count(*) <> max(number)""",
    ),
    promise(
        "stock.pegs_are_dated_by_supply",
        "Whoever waits for a supply is promised its due time, and one place's supply serves that place's demand.",
        """select 'peg', w.holder || ' ' || w.line,
            'due ' || coalesce(w.due_at::text, 'never') || ', supply ' || s.due_at
        from stock_waiting w join stock_supply s on s.id = w.supply
        where (w.due_at, w.item, w.location) is distinct from (s.due_at, s.item, s.location) and {changed}""",
        f"w.holder {CHANGED}",
    ),
)
