-- Workflow: the last event of an order's own workflow, and what it was captured under.

alter table orders
    add column type text collate "C" not null default 'sale',
    add column workflow_version integer not null default 0,
    add column channel_version integer not null default 0,
    add column delivery text not null default 'ship' check (delivery in ('ship', 'pickup')),
    add column tax_included boolean not null default false,
    add column ship_region text,
    add column ship_postcode text,
    add column latitude numeric check (latitude between -90 and 90),
    add column longitude numeric check (longitude between -180 and 180),
    add column priority integer not null default 0,
    add column promised_at timestamptz,
    add column last_move jsonb,
    add column unmatched integer not null default 0 check (unmatched >= 0),
    add column state text generated always as (last_move ->> 'state') stored,
    add column state_reason text generated always as (last_move ->> 'reason') stored;
create index orders_state on orders (state, placed_at desc, id desc) where state is not null;
create index orders_unmatched on orders (placed_at desc, id desc) where unmatched > 0;

alter table order_line drop constraint order_line_kind_check;
alter table order_line
    add constraint order_line_kind_check check (kind in ('good', 'charge', 'kit')),
    add column parent integer,
    add column tax numeric not null default 0,
    add column tax_rate numeric,
    add column tax_code text,
    add column fields jsonb not null default '{}';
