"""The room's invariants. Each query returns (subject type, subject id, detail) of what breaks it, and must be empty."""

from __future__ import annotations

from trueup.core.checks import Check

CHECKS = (
    Check(
        "migrate.sums",
        "Rows in are applied, quarantined, merged and ignored rows, for every file of a finished run.",
        """select 'migration_run', run, format('%s: %s rows in, %s accounted for', file, rows_in,
            applied + quarantined + merged + ignored)
        from migration_file where rows_in <> applied + quarantined + merged + ignored
        union all
        select 'migration_run', id, 'finished without the sums of any file' from migration_run r
        where status = 'finished' and not exists (select from migration_file f where f.run = r.id)""",
    ),
    Check(
        "migrate.rows_listed",
        "Every quarantined, merged or ignored row that is counted is listed with its rule.",
        """select 'migration_run', f.run, format('%s: %s %s rows counted, %s listed', f.file, s.rows, s.outcome,
            coalesce(l.rows, 0))
        from migration_file f cross join lateral (values ('quarantined', f.quarantined), ('merged', f.merged),
            ('ignored', f.ignored)) s (outcome, rows)
        left join (select run, file, outcome, count(distinct row)::int as rows from migration_row
            group by run, file, outcome) l on l.run = f.run and l.file = f.file and l.outcome = s.outcome
        where s.rows <> coalesce(l.rows, 0)""",
    ),
    Check(
        "migrate.crosswalk",
        "Every crosswalk entry leads to something that exists.",
        """select 'crosswalk', c.source || '/' || c.kind || '/' || c.legacy_id, c.id || ' does not exist'
        from crosswalk c
        left join item i on c.kind = 'item' and i.id = c.id
        left join customer u on c.kind = 'customer' and u.id = c.id
        left join location l on c.kind = 'location' and l.id = c.id
        left join orders o on c.kind = 'order' and o.id = c.id
        where coalesce(i.id, u.id, l.id, o.id) is null""",
    ),
    Check(
        "migrate.load_known",
        "Every order of a load names a run of its own source, and none is left of a run that was undone.",
        """select 'order', o.id, format('its load %s is %s', o.load, coalesce(r.status, 'not a run of ' || o.source))
        from orders o left join migration_run r on r.id = o.load and r.source = o.source
        where not o.managed and o.load like 'mig\\_%' and (r.id is null or r.status = 'undone')""",
    ),
    Check(
        "migrate.history_triggers_nothing",
        "An order of the past claims no stock.",
        """select 'order', o.id, c.quantity || ' units of ' || c.item || ' claimed'
        from orders o join stock_claim c on c.holder = o.id where not o.managed and o.load is not null""",
    ),
)
