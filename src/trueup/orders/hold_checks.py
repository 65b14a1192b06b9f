"""What holds promise, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise
from trueup.orders.state import VERSIONED

CHECKS: tuple[Check, ...] = (
    promise(
        "orders.holds_are_counted",
        "An order counts its open holds.",
        """select 'order', o.id, 'counted ' || o.holds || ', open ' || h.open from orders o cross join lateral (
            select count(*) as open from order_hold h where h.order_id = o.id and h.released_at is null
        ) h where o.holds <> h.open and {changed}""",
        f"o.id {CHANGED}",
    ),
    promise(
        "orders.holds_are_on_lines",
        "A hold on a line is on one that its order has.",
        """select 'hold', h.id, h.order_id || ' has no line ' || h.line from order_hold h
        where h.line is not null and {changed} and not exists (
            select from order_line l where l.order_id = h.order_id and l.line = h.line)""",
        f"h.order_id {CHANGED}",
    ),
    promise(
        "orders.people_release_theirs",
        "No rule released a hold for fraud or compliance, one placed by hand, or one that no rule may release.",
        """select 'hold', h.id, h.type || ' released by the rule ' || h.released_rule from order_hold h
        where h.released_rule is not null and (not h.by_rule or h.type in ('fraud', 'manual', 'compliance'))
            and {changed}""",
        f"h.order_id {CHANGED}",
    ),
    promise(
        "orders.holds_end_once",
        "The journal tells of one end of a released hold, and of none of an open one.",
        """select 'hold', h.id, h.status || ', but released ' || j.ends || ' times' from order_hold h
        cross join lateral (
            select count(*) as ends from journal j where j.subject = h.order_id and j.kind = 'e'
                and j.name = 'orders.hold_released' and convert_from(j.body, 'UTF8')::jsonb ->> 'hold' = h.id
        ) j where j.ends <> (h.released_at is not null)::int and {changed}""",
        f"h.order_id {CHANGED}",
    ),
    promise(
        "orders.versions_are_changes",
        "An order's version is one, and one more for each change that the journal tells of.",
        f"""select 'order', o.id, 'version ' || o.version || ', changes ' || j.changes from orders o
        cross join lateral (
            select count(*) as changes from journal j where j.subject = o.id and j.kind = 'e'
                and j.name in ({", ".join(f"'{name}'" for name in VERSIONED)})
        ) j where o.version <> 1 + j.changes and {{changed}}""",
        f"o.id {CHANGED}",
    ),
    promise(
        "orders.suspicions_stand",
        "A suspected duplicate was placed after the order it looks like.",
        """select 'order', s.order_id, 'suspected to be ' || s.earlier || ' once more' from order_suspicion s
        join orders o on o.id = s.order_id join orders e on e.id = s.earlier
        where (e.recorded_at > o.recorded_at or e.id = o.id) and {changed}""",
        f"s.order_id {CHANGED}",
    ),
)
