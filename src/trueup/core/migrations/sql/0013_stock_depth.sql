-- Stock in depth: status buckets, lots and serial numbers, transfers, count sessions.

alter type stock_account add value 'damaged';
alter type stock_account add value 'quality';
alter type stock_account add value 'quarantined';
alter type stock_account add value 'assembly';

-- lot: where the item asks for one; `?` is what nobody identified. effective_at: when it was so, where that was before it
-- was posted (a count). The accounts are compared as text: what this step adds to a type, it may not use yet.
alter table stock_movement
    add column lot text collate "C" not null default '',
    add column effective_at timestamptz check (effective_at <= at),
    add constraint stock_movement_to_bucket
        check (to_account::text not in ('damaged', 'quality', 'quarantined') or to_location is not null),
    add constraint stock_movement_from_bucket
        check (from_account::text not in ('damaged', 'quality', 'quarantined') or from_location is not null);
create index stock_movement_reference on stock_movement (reference);

-- Units that are there but are not promised.
alter table stock_balance
    add column damaged numeric not null default 0 check (damaged >= 0),
    add column quality numeric not null default 0 check (quality >= 0),
    add column quarantined numeric not null default 0 check (quarantined >= 0);

-- One row per (item, location, lot). on_hand: of the balance's on hand. held: in the other buckets. A serial number is
-- one unit, at one place.
create table stock_lot (
    item text collate "C" not null references item,
    location text collate "C" not null references location,
    lot text collate "C" not null,
    serial boolean not null,
    expires_on date,
    on_hand numeric not null default 0 check (on_hand >= 0),
    damaged numeric not null default 0 check (damaged >= 0),
    quality numeric not null default 0 check (quality >= 0),
    quarantined numeric not null default 0 check (quarantined >= 0),
    held numeric not null generated always as (damaged + quality + quarantined) stored,
    allocated numeric not null default 0 check (allocated >= 0),
    primary key (item, location, lot),
    constraint serial_is_one_unit check (not serial or lot = '?' or on_hand + held in (0, 1))
) with (fillfactor = 80);
create unique index stock_lot_serial on stock_lot (item, lot) where serial and lot <> '?' and on_hand + held > 0;
create index stock_lot_expiring on stock_lot (item, location, expires_on) where on_hand > 0 and expires_on is not null;
create index stock_lot_expired on stock_lot (expires_on) where on_hand > 0;

-- One row per transfer between two locations. Its units lie on the account `in_transit` under its id.
create table stock_transfer (
    id text collate "C" primary key,
    reference text collate "C" not null,
    from_location text collate "C" not null references location,
    to_location text collate "C" not null references location,
    shipped_at timestamptz not null,
    closed_at timestamptz,
    receipts integer not null default 0,
    version integer not null default 1,
    status text not null generated always as
        (case when closed_at is not null then 'closed' when receipts > 0 then 'partially_received' else 'in_transit' end)
        stored,
    check (from_location <> to_location)
);
create index stock_transfer_open on stock_transfer (to_location, shipped_at) where closed_at is null;
create index stock_transfer_reference on stock_transfer (reference);

-- over: received beyond what was shipped, from the shortage account. missing: shipped and never received, to it.
create table stock_transfer_line (
    transfer text collate "C" not null references stock_transfer,
    line integer not null,
    item text collate "C" not null references item,
    lot text collate "C" not null default '',
    expires_on date,
    shipped numeric not null check (shipped >= 0),
    received numeric not null default 0 check (received >= 0),
    over numeric not null default 0 check (over >= 0),
    missing numeric not null default 0 check (missing >= 0),
    open numeric not null generated always as (shipped - received - missing) stored check (open >= 0),
    primary key (transfer, line)
);
create index stock_transfer_line_item on stock_transfer_line (item) where open > 0;

-- One row per count session at a location; its lines are what is to be counted, its entries what was found.
create table stock_count (
    id text collate "C" primary key,
    reference text collate "C" not null,
    location text collate "C" not null references location,
    blind boolean not null,
    opened_by text collate "C" not null,
    opened_at timestamptz not null,
    closed_at timestamptz,
    version integer not null default 1,
    status text not null generated always as (case when closed_at is null then 'open' else 'closed' end) stored
);
create index stock_count_open on stock_count (location) where closed_at is null;

create table stock_count_line (
    count text collate "C" not null references stock_count,
    item text collate "C" not null references item,
    primary key (count, item)
);

-- Append-only. number: the how-manieth word on this item and lot; the highest holds. book: what the ledger said of
-- counted_at. worth: of the variance, where the item's cost is known. approved_by: filled by the approval.
create table stock_count_entry (
    count text collate "C" not null references stock_count,
    item text collate "C" not null references item,
    lot text collate "C" not null default '',
    number integer not null,
    units numeric not null check (units >= 0),
    book numeric not null,
    worth numeric,
    currency text not null,
    beyond boolean not null,
    counted_at timestamptz not null,
    counted_by text collate "C" not null,
    approved_by text collate "C",
    primary key (count, item, lot, number),
    check (approved_by <> counted_by)
);

select govern('stock_lot');
select govern('stock_transfer');
select govern('stock_transfer_line');
select govern('stock_count');
select govern('stock_count_line', 'insert');
select govern('stock_count_entry');
