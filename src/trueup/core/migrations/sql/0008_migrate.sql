-- Migration runs and their books: operational. Business state comes only from the commands a run submits.

create table migration_run (
    id text collate "C" primary key,
    source text collate "C" not null,
    mapping_name text not null,
    mapping text not null,
    mapping_digest text not null,
    files_digest text not null,
    paths text[] not null,
    workspace text not null,
    files jsonb not null default '[]',
    attempt integer not null default 1 check (attempt > 0),
    status text not null check (status in ('loading', 'finished', 'undoing', 'undone', 'incomplete')),
    started_at timestamptz not null,
    finished_at timestamptz,
    counts jsonb not null default '{}',
    not_new text[] not null default '{}',
    report jsonb,
    unique (source, mapping_digest, files_digest),
    check ((status = 'finished') <= (finished_at is not null))
);
create index migration_run_started on migration_run (started_at desc, id desc);

-- Every row of every file, counted once: what came in is applied, quarantined, merged or ignored.
create table migration_file (
    run text collate "C" not null references migration_run on delete cascade,
    file text collate "C" not null,
    rows_in integer not null,
    applied integer not null check (applied >= 0),
    quarantined integer not null check (quarantined >= 0),
    merged integer not null check (merged >= 0),
    ignored integer not null check (ignored >= 0),
    primary key (run, file),
    constraint every_row_ends_once check (rows_in = applied + quarantined + merged + ignored)
);

-- Only the rows that were not plainly applied, or that something was found in; `number` counts the findings of a row.
create table migration_row (
    run text collate "C" not null references migration_run on delete cascade,
    file text collate "C" not null,
    row bigint not null,
    number smallint not null,
    entity text not null,
    outcome text not null check (outcome in ('applied', 'quarantined', 'merged', 'ignored')),
    kind text,
    rule text not null,
    column_name text,
    value text,
    detail text,
    fix text,
    identity text collate "C",
    written json,
    corrected_at timestamptz,
    primary key (run, file, row, number)
);
create index migration_row_outcome on migration_row (run, outcome, file, row);
create index migration_row_kind on migration_row (run, kind, file, row) where kind is not null;

-- Documents that hold rows of a run although another run brought them: undoing one takes the other's rows with it.
create table migration_shared (
    run text collate "C" not null references migration_run on delete cascade,
    order_id text collate "C" not null,
    primary key (run, order_id)
);

-- Legacy identifier to ours, and the run that first brought it. An item has one row for each of its spellings.
create table crosswalk (
    source text collate "C" not null,
    kind text not null check (kind in ('item', 'customer', 'order', 'location')),
    legacy_id text collate "C" not null,
    id text collate "C" not null,
    run text collate "C" not null,
    primary key (source, kind, legacy_id)
);
create index crosswalk_id on crosswalk (id);

grant select, insert, update, delete on migration_run, migration_file, migration_row, migration_shared, crosswalk
    to trueup_app;

-- Withdrawing an order takes its keys along, and the crosswalk is filled from them.
create index order_key_order on order_key (order_id);
