-- Dated supply that is still to come, and the demand that waits for it.

-- One row per (item, location) that ever had supply or waiting demand; it is the lock of everything below at that place.
-- waiting: units of demand that no supply to come covers: undated, or arrived and not filled yet.
create table stock_backlog (
    item text collate "C" not null references item,
    location text collate "C" not null references location,
    waiting numeric not null default 0 check (waiting >= 0),
    version bigint not null default 1,
    primary key (item, location)
) with (fillfactor = 80);

-- What a supplier, a factory or another site is to bring. What is open is what is still to come; of that, units may be
-- promised to demand (pegged), and never more than is open.
create table stock_supply (
    id text collate "C" primary key,
    item text collate "C" not null,
    location text collate "C" not null,
    quantity numeric not null check (quantity > 0),
    received numeric not null default 0 check (received >= 0),
    cancelled numeric not null default 0 check (cancelled >= 0),
    pegged numeric not null default 0 check (pegged >= 0),
    open numeric not null generated always as (quantity - received - cancelled) stored check (open >= 0),
    due_at timestamptz not null,
    reference text collate "C" not null,
    source text not null,
    noticed_due_at timestamptz,
    version integer not null default 1,
    foreign key (item, location) references stock_backlog,
    constraint pegged_is_open check (pegged <= quantity - received - cancelled)
) with (fillfactor = 80);
create index stock_supply_place on stock_supply (item, location, due_at) where open > 0;
create index stock_supply_due on stock_supply (due_at, id) where open > 0;
create index stock_supply_reference on stock_supply (item, location, reference);

-- Append-only: a release is a row that names the peg it releases, with a negative quantity. A peg is demand that waits,
-- never a claim on stock. due_at: when its units are to come; promised_at: the first such time that was given; since:
-- when the demand began to wait, which is its place in the row.
create table stock_peg (
    holder text collate "C" not null,
    line integer not null,
    number integer not null,
    releases integer,
    item text collate "C" not null,
    location text collate "C" not null,
    supply text collate "C" references stock_supply,
    quantity numeric not null check (quantity <> 0 and (quantity < 0) = (releases is not null)),
    due_at timestamptz,
    promised_at timestamptz,
    since timestamptz not null,
    reason text not null,
    at timestamptz not null,
    primary key (holder, line, number),
    foreign key (item, location) references stock_backlog
);

-- The pegs that are open, so that no read has to look at those that ended long ago.
create table stock_waiting (
    holder text collate "C" not null,
    line integer not null,
    number integer not null,
    item text collate "C" not null,
    location text collate "C" not null,
    supply text collate "C",
    quantity numeric not null check (quantity > 0),
    due_at timestamptz,
    promised_at timestamptz,
    since timestamptz not null,
    primary key (holder, line, number)
) with (fillfactor = 80);
create index stock_backlog_waiting on stock_backlog (item, location) where waiting > 0;
create index stock_waiting_place on stock_waiting (item, location, since);
create index stock_waiting_supply on stock_waiting (supply) where supply is not null;

select govern('stock_backlog');
select govern('stock_supply');
select govern('stock_peg', 'insert');
select govern('stock_waiting', 'insert, update, delete');
