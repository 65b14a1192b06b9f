-- Stock: a double-entry movement ledger, balances that are its sums, and append-only claims on them.

create type stock_account as enum
    ('supplier', 'on_hand', 'in_transit', 'shipped', 'returned', 'scrapped', 'shortage', 'adjustment');

create table stock_movement (
    batch uuid not null,
    number integer not null,
    item text collate "C" not null references item,
    quantity numeric not null check (quantity > 0),
    from_account stock_account not null,
    from_location text collate "C" references location,
    to_account stock_account not null,
    to_location text collate "C" references location,
    reason text not null,
    reference text collate "C" not null,
    at timestamptz not null,
    primary key (batch, number),
    check ((from_account = 'on_hand') <= (from_location is not null)),
    check ((to_account = 'on_hand') <= (to_location is not null)),
    check ((from_account, from_location) is distinct from (to_account, to_location))
);
create index stock_movement_item on stock_movement (item, at);

-- One row per (item, location). `owed` rises only by a fact that took away what was promised (rule 6).
create table stock_balance (
    item text collate "C" not null references item,
    location text collate "C" not null references location,
    on_hand numeric not null default 0 check (on_hand >= 0),
    reserved numeric not null default 0 check (reserved >= 0),
    allocated numeric not null default 0 check (allocated >= 0),
    owed numeric not null default 0 check (owed >= 0),
    safety numeric not null default 0 check (safety >= 0),
    version bigint not null default 1,
    primary key (item, location),
    constraint promised_is_covered check (reserved + allocated <= on_hand + owed)
) with (fillfactor = 60);

-- Append-only: a release is a row with a negative quantity. What is open is the sum per (holder, line, item, location).
create table stock_claim (
    holder text collate "C" not null,
    line integer not null,
    number smallint not null,
    item text collate "C" not null references item,
    location text collate "C" not null references location,
    kind text not null check (kind in ('reservation', 'allocation')),
    quantity numeric not null check (quantity <> 0),
    reason text not null,
    expires_at timestamptz,
    at timestamptz not null,
    primary key (holder, line, number)
);
create index stock_claim_place on stock_claim (item, location, at desc);

-- The open claims that expire, so that no read has to look at those that ended long ago.
create table stock_expiring (
    holder text collate "C" not null,
    line integer not null,
    item text collate "C" not null,
    location text collate "C" not null,
    number smallint not null,
    quantity numeric not null check (quantity > 0),
    expires_at timestamptz not null,
    primary key (holder, line)
);
create index stock_expiring_balance on stock_expiring (item, location, expires_at);

select govern('stock_movement', 'insert');
select govern('stock_balance');
select govern('stock_claim', 'insert');
select govern('stock_expiring', 'insert, update, delete');
