-- Items and locations. An item answers to any number of keys: its SKU and its aliases.

create table item (
    id text collate "C" primary key,
    sku text collate "C" not null unique,
    name text not null,
    kind text not null check (kind in ('good', 'charge', 'kit')),
    gtin text,
    weight_g numeric check (weight_g >= 0),
    category text,
    unit_price numeric,
    currency text,
    findings text[] not null default '{}',
    version integer not null default 1,
    at timestamptz not null
);
create index item_gtin on item (gtin) where gtin is not null;
create index item_name on item using gin (to_tsvector('simple', name));

create table item_key (
    key text collate "C" primary key,
    item text collate "C" not null references item
);
create index item_key_item on item_key (item);

create table location (
    id text collate "C" primary key,
    code text collate "C" not null unique,
    name text not null,
    kind text not null check (kind in ('warehouse', 'store', 'supplier')),
    country text,
    version integer not null default 1,
    at timestamptz not null
);

select govern('item');
select govern('item_key', 'insert, update, delete');
select govern('location');
