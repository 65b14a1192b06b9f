-- Partners and the terms agreed with them: master data like items and locations. An item may name its supplier.

create table partner (
    id text collate "C" primary key,
    code text collate "C" not null unique,
    name text not null,
    kind text not null check (kind in ('supplier', 'carrier', 'marketplace', 'warehouse', 'payment')),
    version integer not null default 1,
    gln text,
    country text,
    timezone text not null default 'UTC',
    currency text,
    in_force_from date,
    in_force_until date,
    lead_days integer check (lead_days >= 0),
    minimum_order numeric check (minimum_order >= 0),
    payment_days integer check (payment_days >= 0),
    incoterm text,
    claim_days integer check (claim_days >= 0),
    returns_days integer check (returns_days >= 0),
    answer_within_minutes integer check (answer_within_minutes > 0),
    order_cutoff text,
    fields jsonb,
    at timestamptz not null,
    check (in_force_until >= in_force_from),
    check (minimum_order is null or currency is not null)
);
create index partner_gln on partner (gln) where gln is not null;
create index partner_name on partner using gin (to_tsvector('simple', name));
create index partner_fields on partner using gin (fields jsonb_path_ops) where fields is not null;
select govern('partner');

alter table item add column supplier text collate "C";
create index item_supplier on item (supplier) where supplier is not null;

-- Data contracts hold for partners, too.
alter table breach drop constraint breach_entity_check;
alter table breach add constraint breach_entity_check check (entity in ('item', 'location', 'partner'));
