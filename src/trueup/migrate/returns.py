"""Returns against purchases: which credit lines had something to give back.

Each customer's lines of one SKU are walked in time, document and file order. Sales add to what could be returned,
credits take from it, and never below zero: what a credit finds missing is unmatched. In sets this is a walk with a
floor (Lindley): with S the running sum of the signed units, the missing units up to a line are max(0, -min S).
"""

from __future__ import annotations

from trueup.migrate.detect import Ground, mark


def walk_returns(ground: Ground) -> None:
    """Create `return_line` (id, returned, missing; units): every credit line of a known customer, walked.

    Lines that are merged or quarantined are no part of the walk. doubt: a sale of this item to this customer is
    quarantined or has a negative quantity, so that the walk cannot tell.
    """
    doubt = "false" if ground.counts_repeats else "bool_or(doubtful) over (partition by customer, sku)"
    ground.connection.execute(
        f"""
        create or replace temp table return_line as
        with walked as (
            select l.id, l.document_kind, l.quantity, l.customer, l.sku, l.placed_at, l.document,
                l.document_kind = 'sale' and (h.id is not null or ho.id is not null or l.quantity is null
                    or l.quantity < 0) as doubtful,
                case when l.fault is not null or h.id is not null or ho.id is not null then 0
                    when l.document_kind = 'credit' and l.quantity < 0 then l.quantity
                    when l.quantity > 0 and l.document_kind <> 'credit' then l.quantity else 0 end as units
            from line l left join held h on h.id = l.id left join held ho on ho.id = l.order_id
            where l.settled is null and l.kind = 'good' and l.customer is not null
        ), summed as (
            select *, sum(units) over walk as so_far, {doubt} as doubt from walked
            window walk as (partition by customer, sku order by placed_at, {_document_order(ground)}id
                rows unbounded preceding)
        ), floored as (
            select *, greatest(0, max(-so_far) over (partition by customer, sku order by placed_at,
                {_document_order(ground)}id rows unbounded preceding)) as missing_so_far from summed
        ), stepped as (
            select *, missing_so_far - coalesce(lag(missing_so_far) over (partition by customer, sku
                order by placed_at, {_document_order(ground)}id), 0) as missing from floored
        )
        select id, -quantity as returned, missing, coalesce(doubt, false) as doubt from stepped
        where document_kind = 'credit' and units < 0
        """
    )


def _document_order(ground: Ground) -> str:
    return "" if ground.counts_repeats else "document, "


def judge_returns(ground: Ground) -> None:
    """Mark credit lines for more than the customer had bought before; they are applied all the same."""
    walk_returns(ground)
    column = ground.column("line", "quantity")
    source = "from return_line where missing > 0 and not doubt"
    detail = "'of ' || returned::double || ' units returned, ' || missing::double || ' were never bought'"
    fix = "'ask for the original order'"
    if ground.counts_repeats:
        whole, partly = f"{source} and missing = returned", f"{source} and missing < returned"
        mark(ground, "unmatched_return", whole, column=column, value="returned::double", detail=detail, fix=fix)
        mark(ground, "partly_matched_return", partly, column=column, value="returned::double", detail=detail, fix=fix)
    else:
        mark(ground, "return_without_purchase", source, column=column, value="returned::double", detail=detail, fix=fix)
