-- Holds, what became of them, and who looks like having ordered the same twice.

-- One row per hold, kept when it is released. What it blocks and when it is due were settled when it was placed.
create table order_hold (
    id text collate "C" primary key,
    order_id text collate "C" not null references orders,
    line integer,
    type text not null,
    reason text not null,
    rule text,
    blocks text[] not null,
    by_rule boolean not null,
    placed_at timestamptz not null,
    placed_by text not null,
    due_at timestamptz,
    noticed_at timestamptz,
    released_at timestamptz,
    released_by text,
    release_reason text,
    released_rule text,
    status text not null generated always as (case when released_at is null then 'open' else 'released' end) stored,
    check ((released_at is null) = (released_by is null)),
    check ((released_at is null) = (release_reason is null)),
    check (released_rule is null or (by_rule and released_at is not null)),
    check (not by_rule or type not in ('fraud', 'manual', 'compliance'))
) with (fillfactor = 85);
create index order_hold_order on order_hold (order_id);
create index order_hold_listed on order_hold (status, placed_at, id);
create index order_hold_typed on order_hold (type, status, placed_at, id);
create index order_hold_due on order_hold (due_at, id) where released_at is null and noticed_at is null;

-- An order that looks like an earlier one once more; it is never merged, and a person decides.
create table order_suspicion (
    order_id text collate "C" primary key references orders,
    earlier text collate "C" not null references orders,
    at timestamptz not null,
    dismissed_at timestamptz,
    dismissed_by text,
    dismiss_reason text,
    status text not null generated always as (case when dismissed_at is null then 'open' else 'dismissed' end) stored,
    check ((dismissed_at is null) = (dismissed_by is null)),
    check ((dismissed_at is null) = (dismiss_reason is null))
);

-- Operational: the last order of one person (a customer's id, or a digest of the e-mail) for the same goods, by digests of
-- SKUs and units, for as long as it can matter. It follows from orders and persons; two batches that bring the same meet
-- at its key, and the second sees the first.
create table order_fingerprint (
    person text collate "C" not null,
    goods bytea not null,
    units bytea not null,
    order_id text collate "C" not null,
    at timestamptz not null,
    primary key (person, goods, units)
) with (fillfactor = 85);
create index order_fingerprint_at on order_fingerprint (at);

select govern('order_hold', 'insert, update');
select govern('order_suspicion', 'insert, update');
grant select, insert, update, delete on order_fingerprint to trueup_app;
