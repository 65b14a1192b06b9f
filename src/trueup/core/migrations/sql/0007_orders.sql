-- Orders: quantities and money as counters, every status computed from them, three axes that never mix.

create table orders (
    id text collate "C" primary key,
    number text collate "C" not null,
    kind text not null check (kind in ('sale', 'credit', 'adjustment')),
    channel text not null,
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    placed_at timestamptz not null,
    recorded_at timestamptz not null,
    customer text collate "C",
    person text collate "C",
    ship_country text,
    managed boolean not null,
    source text collate "C",
    load text collate "C",
    external_ids jsonb not null default '{}',
    units_ordered numeric not null default 0,
    units_cancelled numeric not null default 0,
    units_reserved numeric not null default 0,
    units_shipped numeric not null default 0,
    units_returned numeric not null default 0,
    total_goods numeric not null,
    total_charges numeric not null,
    total_discount numeric not null default 0,
    total_tax numeric not null default 0,
    total numeric not null,
    source_total numeric,
    payment_known boolean not null default true,
    authorised numeric not null default 0,
    captured numeric not null default 0,
    refunded numeric not null default 0,
    holds integer not null default 0 check (holds >= 0),
    flags text[] not null default '{}',
    version integer not null default 1,
    fulfilment_status text not null generated always as (
        case
            when units_ordered <= 0 then 'none'
            when units_cancelled >= units_ordered then 'cancelled'
            when units_shipped > 0 and units_returned >= units_shipped
                 and units_shipped >= units_ordered - units_cancelled then 'returned'
            when units_returned > 0 then 'partially_returned'
            when units_shipped >= units_ordered - units_cancelled then 'fulfilled'
            when units_shipped > 0 then 'partially_fulfilled'
            else 'unfulfilled'
        end
    ) stored,
    payment_status text not null generated always as (
        case
            when not payment_known then 'unknown'
            when captured = 0 and refunded = 0 and authorised > 0 then 'authorised'
            when captured = 0 and refunded = 0 then case when total <= 0 then 'none' else 'unpaid' end
            when refunded >= captured then 'refunded'
            when refunded > 0 then 'partially_refunded'
            when captured < total then 'partially_paid'
            when captured > total then 'overpaid'
            else 'paid'
        end
    ) stored,
    hold_status text not null generated always as (case when holds > 0 then 'held' else 'clear' end) stored,
    total_differs boolean not null generated always as (source_total is not null and source_total <> total) stored,
    check (not managed or (units_cancelled >= 0 and units_cancelled <= units_ordered)),
    check (refunded <= captured or not managed)
) with (fillfactor = 85);
create index orders_placed on orders (placed_at desc, id desc);
create index orders_status on orders (fulfilment_status, placed_at desc, id desc);
create index orders_payment on orders (payment_status, placed_at desc, id desc);
create index orders_channel on orders (channel, placed_at desc, id desc);
create index orders_source on orders (source, placed_at desc, id desc) where source is not null;
create index orders_customer on orders (customer, placed_at desc, id desc) where customer is not null;
create index orders_person on orders (person) where person is not null;
create index orders_load on orders (load) where load is not null;
create index orders_flagged on orders (placed_at desc, id desc) where flags <> '{}' or total_differs;
create index orders_held on orders (placed_at desc, id desc) where hold_status <> 'clear';

create table order_line (
    order_id text collate "C" not null references orders,
    line integer not null,
    sku text not null,
    item text collate "C",
    description text,
    kind text not null check (kind in ('good', 'charge')),
    quantity numeric not null,
    cancelled numeric not null default 0,
    reserved numeric not null default 0,
    shipped numeric not null default 0,
    returned numeric not null default 0,
    unit_price numeric not null,
    amount numeric not null,
    discount numeric not null default 0,
    location text collate "C",
    flags text[] not null default '{}',
    source_row text collate "C",
    primary key (order_id, line),
    check (quantity <= 0 or (cancelled >= 0 and cancelled <= quantity))
) with (fillfactor = 85);
create index order_line_item on order_line (item) where item is not null;

-- Every number an order is known by: ours and other systems', searchable exactly and by prefix, unique for ever.
-- No foreign key: undoing a load would search this table once per order. The check orders.keys_lead_to_orders does, nightly.
create table order_key (
    key text collate "C" not null,
    source text collate "C" not null,
    order_id text collate "C" not null,
    primary key (key, source)
);

select govern('orders', 'insert, update, delete');
select govern('order_line', 'insert, update, delete');
select govern('order_key', 'insert, delete');
