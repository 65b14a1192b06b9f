-- Freezes of movements, stock feeds, channel pools, and stock that a supplier reports.

-- What a supplier says that it has: units on hand at its own place, which are not ours.
alter type stock_account add value 'supplier_reported';

-- channel: through which it was claimed, so that its release counts there. kit: of a part of a phantom kit.
alter table stock_claim
    add column channel text not null default '',
    add column kit text collate "C" not null default '';
alter table stock_expiring
    add column channel text not null default '',
    add column kit text collate "C" not null default '';
create index stock_balance_location on stock_balance (location, item);

-- Units of an item at a place for one channel: only it may sell them (reserve), or it sells no more (cap). The balance's
-- lock guards it. used: by the channel's open claims. part, per: what counts a phantom kit, and units of it in one.
create table stock_pool (
    item text collate "C" not null references item,
    location text collate "C" not null references location,
    channel text collate "C" not null,
    mode text collate "C" not null check (mode in ('reserve', 'cap')),
    quantity numeric not null check (quantity >= 0),
    used numeric not null default 0 check (used >= 0),
    part text collate "C" references item,
    per numeric check (per > 0),
    primary key (item, location, channel, mode),
    check ((part is null) = (per is null))
) with (fillfactor = 80);

-- A scoped stop of movements. items: empty is all. What stage it is in follows from these times and the clock.
create table stock_freeze (
    id text collate "C" primary key,
    site text collate "C" not null,
    site_number integer not null,
    location text collate "C" not null references location,
    mode text not null check (mode in ('hard_stop', 'frozen_book')),
    from_at timestamptz not null,
    to_at timestamptz not null,
    reason text not null,
    by text collate "C" not null,
    announced_at timestamptz not null,
    items text[] not null default '{}',
    kinds text[] not null check (cardinality(kinds) > 0),
    sell_factor numeric check (sell_factor between 0 and 1),
    sell_units numeric check (sell_units >= 0),
    started_at timestamptz check (started_at < to_at),
    thawed_at timestamptz check (thawed_at >= started_at),
    cancelled_at timestamptz check (cancelled_at is null or started_at is null),
    intents integer not null default 0,
    settled integer not null default 0 check (settled <= intents),
    version integer not null default 1,
    check (from_at < to_at)
) with (fillfactor = 80);
create index stock_freeze_live on stock_freeze (site, to_at) where thawed_at is null and cancelled_at is null;
create index stock_freeze_ending on stock_freeze (to_at) where thawed_at is null and cancelled_at is null;
create index stock_freeze_waiting on stock_freeze (id) where settled < intents;
create index stock_freeze_announced on stock_freeze (announced_at desc, id desc);

-- The balances as they were when a freeze started.
create table stock_freeze_balance (
    freeze_id text collate "C" not null references stock_freeze,
    item text collate "C" not null references item,
    location text collate "C" not null references location,
    on_hand numeric not null,
    reserved numeric not null,
    allocated numeric not null,
    safety numeric not null,
    damaged numeric not null,
    quality numeric not null,
    quarantined numeric not null,
    primary key (freeze_id, item, location)
);
create index stock_freeze_balance_place on stock_freeze_balance (item, location);

-- Movements that wait for a thaw, in order. body: the command. ending, detail: how it ended when it was put through.
create table stock_intent (
    freeze_id text collate "C" not null references stock_freeze,
    number integer not null check (number > 0),
    actor text collate "C" not null,
    verb text not null,
    fact boolean not null,
    body text not null,
    at timestamptz not null,
    settled_at timestamptz,
    ending text,
    detail text,
    primary key (freeze_id, number),
    check ((settled_at is null) = (ending is null))
) with (fillfactor = 80);
create index stock_intent_waiting on stock_intent (freeze_id, fact, number) where settled_at is null;

-- What a source last told; the lock of its feeds.
create table stock_feed_source (
    source text collate "C" primary key,
    as_of timestamptz,
    sequence bigint,
    version integer not null default 1
);

-- One feed. Each of its rows ended in exactly one way; all rows of a feed that is held are in quarantine.
create table stock_feed (
    id text collate "C" primary key,
    source text collate "C" not null references stock_feed_source,
    kind text not null check (kind in ('snapshot', 'delta')),
    as_of timestamptz not null,
    sequence bigint,
    location text collate "C",
    received_at timestamptz not null,
    by text collate "C" not null,
    rows integer not null,
    applied integer not null,
    merged integer not null,
    quarantined integer not null,
    ignored integer not null,
    held_why text,
    released_at timestamptz,
    rejected_at timestamptz,
    settled_why text,
    version integer not null default 1,
    status text not null generated always as (
        case when rejected_at is not null then 'rejected' when released_at is not null then 'released'
             when held_why is not null then 'held' else 'applied' end) stored,
    check (rows = applied + merged + quarantined + ignored),
    check ((released_at is null and rejected_at is null) = (settled_why is null)),
    check (held_why is not null or settled_why is null)
) with (fillfactor = 80);
create unique index stock_feed_sequence on stock_feed (source, sequence) where kind = 'delta';
create index stock_feed_received on stock_feed (received_at desc, id desc);

-- The rows of a feed that is or was held whole, as JSON, as they came.
create table stock_feed_held (
    feed text collate "C" primary key references stock_feed,
    body text not null
);

-- Rows that could not be understood, until somebody corrects or discards them.
create table stock_feed_row_quarantined (
    feed text collate "C" not null references stock_feed,
    row integer not null check (row > 0),
    field text not null,
    value text not null,
    rule text not null,
    raw text not null,
    settled_at timestamptz,
    settled text check (settled in ('corrected', 'discarded')),
    primary key (feed, row),
    check ((settled_at is null) = (settled is null))
);
create index stock_feed_row_open on stock_feed_row_quarantined (feed, row) where settled_at is null;

select govern('stock_pool', 'insert, update, delete');
select govern('stock_freeze');
select govern('stock_freeze_balance', 'insert');
select govern('stock_intent');
select govern('stock_feed_source');
select govern('stock_feed');
select govern('stock_feed_held', 'insert');
select govern('stock_feed_row_quarantined');
