-- Customers, and the one place where an order's personal data lives.

create table customer (
    id text collate "C" primary key,
    source text collate "C" not null,
    number text collate "C" not null,
    person text collate "C",
    country text,
    version integer not null default 1,
    at timestamptz not null,
    unique (source, number)
);
create index customer_number on customer (number);
create index customer_person on customer (person) where person is not null;

-- Personal data, referred to from orders and journal by id alone, so that erasing it breaks no seal.
create table person (
    id text collate "C" primary key,
    name text,
    email text,
    phone text,
    ship_to jsonb,
    bill_to jsonb,
    at timestamptz not null,
    erased_at timestamptz
);
create index person_email on person (lower(email)) where email is not null;
create index person_name on person (lower(name) collate "C") where name is not null;

select govern('customer');
select govern('person', 'insert, update, delete');
