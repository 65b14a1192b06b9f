"""What stock feeds promise, as queries that return who breaks it."""

from __future__ import annotations

from trueup.core.checks import CHANGED, Check, promise

CHECKS: tuple[Check, ...] = (
    promise(
        "stock.feed_rows_end_once",
        "Every row of a feed was applied, merged, ignored or is in quarantine, and the rows in quarantine are there.",
        """select 'feed', f.id, f.quarantined || ' in quarantine, ' || q.open || ' kept'
        from stock_feed f cross join lateral (
            select count(*) filter (where settled_at is null) as open from stock_feed_row_quarantined q
            where q.feed = f.id
        ) q where f.quarantined <> case when f.status = 'held' then f.rows else q.open end and {changed}""",
        f"f.id {CHANGED}",
    ),
    promise(
        "stock.held_feeds_are_kept",
        "A feed that waits for a person is kept with its rows.",
        """select 'feed', f.id, 'its rows are not kept' from stock_feed f
        where f.status = 'held' and not exists (select from stock_feed_held h where h.feed = f.id) and {changed}""",
        f"f.id {CHANGED}",
    ),
    promise(
        "stock.sources_know_their_newest",
        "What a source last told is the newest of its snapshots that were taken, and its highest delta.",
        """select 'feed_source', s.source, s.as_of || ' ' || s.sequence
        from stock_feed_source s cross join lateral (
            select max(as_of) filter (where kind = 'snapshot' and status in ('applied', 'released')) as as_of,
                max(sequence) filter (where kind = 'delta') as sequence
            from stock_feed f where f.source = s.source
        ) f where (f.as_of, f.sequence) is distinct from (s.as_of, s.sequence)""",
    ),
    promise(
        "stock.supplier_stock_is_reported",
        "What a supplier's report put on hand lies at the supplier's own place.",
        """select 'movement', m.batch || ' ' || m.number, 'reported by a supplier at ' || l.code
        from stock_movement m join location l on l.id in (m.to_location, m.from_location)
        where m.from_account = 'supplier_reported' and l.kind <> 'supplier'""",
    ),
)
