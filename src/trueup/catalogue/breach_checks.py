"""What contracts promise, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise

CHECKS: tuple[Check, ...] = (
    promise(
        "catalogue.breach_has_an_open_case",
        "While a rule fails on a key, its case is not closed.",
        """select b.entity, b.subject, b.rule || ' fails, and ' || c.id || ' is closed'
        from breach b join cases c on c.id = b.case_id
        where b.ended_at is null and c.closed_at is not null and {changed}""",
        f"c.id {CHANGED}",
    ),
    promise(
        "catalogue.breach_is_a_subject",
        "Every key that failed is a subject of its rule's case.",
        """select b.entity, b.subject, 'is no subject of ' || b.case_id from breach b
        where {changed} and not exists (select from case_subject s where s.case_id = b.case_id
            and s.subject_type = b.entity and s.subject = b.subject)""",
        f"b.case_id {CHANGED}",
    ),
    promise(
        "catalogue.told_is_contained",
        "Nobody was told of a containment that an act in time had stopped.",
        """select b.entity, b.subject, 'told at ' || b.told_at || ', though initiated in time' from breach b
        where {changed} and b.told_at is not null and b.initiated_at <= b.due_at""",
        f"b.case_id {CHANGED}",
    ),
    promise(
        "catalogue.nothing_allocated_in_quarantine",
        "No unit was allocated while a containment kept its item or location from that, but on a loan that was used.",
        """select b.entity, b.subject, c.holder || ' was allocated ' || c.quantity || ' at ' || c.at
        from breach b cross join lateral (
            select c.* from stock_claim c where b.entity = 'item' and c.item = b.subject
            union all
            select c.* from stock_balance s join stock_claim c on c.item = s.item and c.location = s.location
            where b.entity = 'location' and s.location = b.subject
        ) c
        where {changed} and b.containment <> 'none' and c.kind = 'allocation' and c.quantity > 0
            and (b.initiated_at is null or b.initiated_at > b.due_at)
            and c.at >= greatest(b.due_at, b.released_until) and (b.ended_at is null or c.at < b.ended_at)
            and (b.containment <> 'not_for_parcel'
                or exists (select from orders o where o.id = c.holder and o.delivery = 'ship'))
            and not exists (select from override_loan l
                join journal j on j.subject = l.id and j.name = 'authority.override_used' and j.at = c.at
                where l.rule = 'catalogue.quarantined' and l.granted_at <= c.at)""",
        f"b.case_id {CHANGED}",
    ),
)
