-- Kits and their parts, units of measure, how sites work, unit costs, custom fields, and the organisation's tree.

alter table item
    add column phantom boolean not null default false,
    add column components jsonb,
    add column tax_class text not null default 'standard',
    add column tracking text not null default 'none' check (tracking in ('none', 'lot', 'serial')),
    add column expires boolean not null default false,
    add column lead_days integer check (lead_days >= 0),
    add column units jsonb,
    add column fields jsonb,
    add constraint item_kit_has_parts check (not phantom or (kind = 'kit' and components is not null)),
    add constraint item_parts_of_kit check (components is null or kind = 'kit'),
    add constraint item_expiry_by_lot check (not expires or tracking <> 'none');
create index item_components on item using gin (components jsonb_path_ops) where components is not null;
create index item_fields on item using gin (fields jsonb_path_ops) where fields is not null;

alter table location
    add column groups text[] not null default '{}',
    add column timezone text not null default 'UTC',
    add column latitude numeric check (latitude between -90 and 90),
    add column longitude numeric check (longitude between -180 and 180),
    add column postcode text,
    add column calendar text not null default 'default',
    add column cutoff text not null default '15:00' check (cutoff ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'),
    add column handling_days integer not null default 0 check (handling_days >= 0),
    add column capacity_per_day integer check (capacity_per_day >= 0),
    add column open boolean not null default true,
    add column pickup boolean not null default false,
    add column fields jsonb,
    add constraint location_has_both check ((latitude is null) = (longitude is null));
create index location_fields on location using gin (fields jsonb_path_ops) where fields is not null;

alter table customer add column fields jsonb;
create index customer_fields on customer using gin (fields jsonb_path_ops) where fields is not null;

-- What one base unit costs from a day on; a correction of the same day is the next number, and the highest holds.
create table item_cost (
    item text collate "C" not null references item,
    currency text collate "C" not null,
    effective_from date not null,
    number integer not null,
    cost numeric not null check (cost >= 0),
    source text not null,
    at timestamptz not null,
    primary key (item, currency, effective_from, number)
);
select govern('item_cost', 'insert');

-- The organisation as a tree. A site's code is its location's, a channel's code is the channel's name.
create table org_node (
    code text collate "C" primary key,
    name text not null,
    kind text not null check (kind in ('brand', 'company', 'region', 'site', 'channel')),
    parent text collate "C" references org_node check (parent <> code),
    at timestamptz not null
);
create index org_node_parent on org_node (parent);
select govern('org_node', 'insert, update, delete');

-- Which parts of the tree somebody, or a key, may see and move; none named is all of it.
alter table actor add column scope text[] not null default '{}';
alter table api_key add column scope text[] not null default '{}';
