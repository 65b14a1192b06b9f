-- That orders in flight are to walk by another version of their workflow; of a type, each decision has the next number.
create table workflow_adoption (
    id text collate "C" primary key,
    order_type text collate "C" not null,
    number integer not null check (number > 0),
    version integer not null check (version > 0),
    states jsonb not null,
    orders text[] not null,
    at timestamptz not null,
    by text not null,
    returned_at timestamptz,
    unique (order_type, number)
);
select govern('workflow_adoption', 'insert, update');

-- Which orders did, from where, so that they can be put back exactly.
create table order_adoption (
    order_id text collate "C" not null references orders,
    adoption text collate "C" not null references workflow_adoption,
    from_version integer not null,
    to_version integer not null,
    stood text not null,
    stands text not null,
    at timestamptz not null,
    returned_at timestamptz,
    primary key (order_id, adoption)
);
create index order_adoption_open on order_adoption (adoption) where returned_at is null;
select govern('order_adoption', 'insert, update');

-- Which orders walk by which version, and where they stand: counted before anybody votes on moving them.
create index orders_walking on orders (type, workflow_version, state) where managed;
