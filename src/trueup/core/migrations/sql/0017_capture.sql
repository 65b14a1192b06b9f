-- Capture: business terms, custom fields, who entered an order, until when it may stay unpaid, tax parts and committed
-- tax, drafts and quotes, and addresses of single lines.

alter table orders
    add column business jsonb,
    add column fields jsonb,
    add column entered_by text collate "C",
    add column ship_from text,
    add column unpaid_until timestamptz;
create index orders_customer_order on orders ((business ->> 'customer_order') collate "C") where business is not null;
create index orders_fields on orders using gin (fields jsonb_path_ops) where fields is not null;
create index orders_unpaid on orders (unpaid_until, id)
    where unpaid_until is not null and payment_status = 'unpaid' and fulfilment_status = 'unfulfilled';

-- Of a charge that is taxed at several rates, what is taxed at each.
alter table order_line add column tax_parts jsonb;

-- Tax as it was invoiced: rate, base and tax are frozen; a reversal names the row it takes units out of.
create table order_tax (
    order_id text collate "C" not null references orders,
    number integer not null,
    invoice text collate "C" not null,
    line integer not null,
    units numeric not null check (units > 0),
    rate numeric not null check (rate between 0 and 100),
    category text not null,
    code text not null,
    reason text not null,
    base numeric not null,
    tax numeric not null,
    reverses integer check (reverses < number),
    at timestamptz not null,
    primary key (order_id, number)
);
create index order_tax_invoice on order_tax (invoice, order_id);
select govern('order_tax', 'insert');

-- Orders that are not placed yet. Its number and id become the order's.
create table order_draft (
    id text collate "C" primary key,
    number text collate "C" not null unique,
    basket jsonb not null,
    channel text not null,
    currency text,
    customer text collate "C",
    person text collate "C",
    total numeric,
    missing text[] not null,
    valid_until timestamptz,
    entered_by text collate "C",
    type text collate "C" not null,
    workflow_version integer not null,
    channel_version integer not null,
    created_at timestamptz not null,
    changed_at timestamptz not null,
    confirmed_at timestamptz,
    ended_at timestamptz check (ended_at is null or confirmed_at is null),
    version integer not null,
    last_move jsonb not null,
    state text generated always as (last_move ->> 'state') stored
);
create index order_draft_listed on order_draft (changed_at desc, id desc);
create index order_draft_open on order_draft (changed_at desc, id desc) where confirmed_at is null and ended_at is null;
create index order_draft_valid on order_draft (valid_until, id)
    where confirmed_at is null and ended_at is null and valid_until is not null;
create index order_draft_person on order_draft (person) where person is not null;
select govern('order_draft', 'insert, update');

-- Addresses of single lines: personal words, kept in the order's one row.
alter table person add column line_ship_to jsonb;
