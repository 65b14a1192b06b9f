-- What a rule has just read under its lock needs no second look per row: a foreign key's trigger took two thirds of what
-- an insert of claims cost (decision 0008). Nothing deletes items, locations or our orders; the rooms' checks prove the rest.
alter table stock_claim drop constraint stock_claim_item_fkey, drop constraint stock_claim_location_fkey;
alter table stock_movement
    drop constraint stock_movement_item_fkey, drop constraint stock_movement_from_location_fkey,
    drop constraint stock_movement_to_location_fkey;
alter table order_line drop constraint order_line_order_id_fkey, set (fillfactor = 70);

-- Sourcing: fulfilment orders (an order's parts by location), decisions with their reasons, rejections, queues, runs.

create table fulfilment_order (
    id text collate "C" primary key,
    order_id text collate "C" not null,
    number integer not null,
    location text collate "C" not null,
    decision text collate "C" not null,
    at timestamptz not null,
    units numeric not null,
    withdrawn numeric not null default 0,
    rejected numeric not null default 0,
    shipped numeric not null default 0,
    status text not null generated always as (
        case
            when withdrawn + rejected >= units then case when rejected > 0 then 'rejected' else 'cancelled' end
            when shipped >= units - withdrawn - rejected then 'shipped'
            when shipped > 0 then 'partially_shipped'
            else 'open'
        end
    ) stored,
    unique (order_id, number),
    check (units > 0 and withdrawn >= 0 and rejected >= 0 and shipped >= 0 and withdrawn + rejected <= units)
) with (fillfactor = 85);
create index fulfilment_order_open on fulfilment_order (location, at desc, id desc) where withdrawn + rejected + shipped < units;
create index fulfilment_order_place on fulfilment_order (location, at desc, id desc);

create table fulfilment_line (
    fulfilment_order text collate "C" not null,
    line integer not null,
    item text collate "C" not null,
    quantity numeric not null check (quantity > 0),
    withdrawn numeric not null default 0 check (withdrawn >= 0),
    rejected numeric not null default 0 check (rejected >= 0),
    shipped numeric not null default 0 check (shipped >= 0),
    primary key (fulfilment_order, line),
    check (withdrawn + rejected <= quantity)
) with (fillfactor = 85);

-- Why an order went where it went: append-only, every candidate with the reason it was taken or not.
create table sourcing_decision (
    id text collate "C" primary key,
    order_id text collate "C" not null,
    mode text not null,
    policy_name text not null,
    policy_version integer not null,
    order_group text,
    rule text,
    outcome text not null,
    run text collate "C",
    body jsonb not null,
    at timestamptz not null
);
create index sourcing_decision_order on sourcing_decision (order_id, at);
create index sourcing_decision_run on sourcing_decision (run, order_id) where run is not null;

-- A location that rejected a line is not asked again for it.
create table sourcing_rejection (
    order_id text collate "C" not null references orders,
    line integer not null,
    location text collate "C" not null references location,
    reason text not null,
    at timestamptz not null,
    primary key (order_id, line, location)
);

-- Orders that no rule could serve whole, in the queue their rule names, until they are sourced or leave.
create table sourcing_queue (
    order_id text collate "C" primary key references orders,
    queue text collate "C" not null,
    reason text not null,
    since timestamptz not null
);
create index sourcing_queue_name on sourcing_queue (queue, since, order_id);

-- How many fulfilment orders a location was given on its own day, for those whose capacity is limited.
create table sourcing_load (
    location text collate "C" not null references location,
    day date not null,
    orders integer not null check (orders >= 0),
    primary key (location, day)
) with (fillfactor = 60);

create table brokering_run (
    id text collate "C" primary key,
    at timestamptz not null,
    orders integer not null,
    assigned integer not null,
    fallen_back integer not null,
    cost numeric not null,
    sequential_cost numeric not null,
    currency text not null,
    seconds numeric not null,
    decided_by text not null,
    report jsonb not null
);

create index orders_unassigned on orders (priority desc, promised_at, placed_at, id)
    where managed and units_allocated + units_shipped + units_cancelled < units_ordered;
create index item_phantom on item (id) where phantom;

-- Where the storyline has read to. Operational: losing it costs repeated keys, which change nothing.
create table storyline_cursor (
    name text primary key,
    position bigint not null
);

select govern('fulfilment_order');
select govern('fulfilment_line');
select govern('sourcing_decision', 'insert');
select govern('sourcing_rejection', 'insert, update');
select govern('sourcing_queue', 'insert, update, delete');
select govern('sourcing_load');
select govern('brokering_run', 'insert');
grant select, insert, update, delete on storyline_cursor to trueup_app;
