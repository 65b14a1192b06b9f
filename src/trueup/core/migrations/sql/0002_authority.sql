-- People and services that may act, their roles, and the keys they sign in with.

create table actor (
    id text collate "C" primary key,
    kind text not null check (kind in ('person', 'service')),
    name text not null,
    email text unique,
    roles text[] not null,
    active boolean not null default true,
    at timestamptz not null
);

create table api_key (
    id text collate "C" primary key,
    actor text not null references actor,
    digest bytea not null unique,
    label text not null,
    at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz
);
create index api_key_actor on api_key (actor);

-- Operational: how a person proves who they are. Losing these costs a new link, never an order.
create table password (
    actor text collate "C" primary key references actor,
    argon2 text not null,
    at timestamptz not null default now()
);
create table sign_in_link (
    digest bytea primary key,
    actor text collate "C" not null references actor,
    expires_at timestamptz not null,
    used_at timestamptz
);
create table web_session (
    digest bytea primary key,
    actor text collate "C" not null references actor,
    csrf text not null,
    at timestamptz not null default now(),
    expires_at timestamptz not null
);
create table sign_in_failure (
    who text not null,
    at timestamptz not null default now()
);
create index sign_in_failure_who on sign_in_failure (who, at);

select govern('actor');
select govern('api_key');
grant select, insert, update, delete on password, sign_in_link, web_session, sign_in_failure to trueup_app;
