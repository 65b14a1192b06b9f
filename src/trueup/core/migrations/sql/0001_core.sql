-- What every room stands on: batches, keys, the journal and its seals, policy documents, the record of bypasses.

-- One row per committed batch. It is written first; its transaction id is what opens the governed tables below.
create table batch (
    id uuid primary key,
    txid xid8 not null default pg_current_xact_id(),
    at timestamptz not null default transaction_timestamp(),
    process text not null,
    commands integer not null
);
create index batch_txid on batch (txid);

-- A key belongs to an actor; the outcome of its first use is the outcome of every later use.
create table door_key (
    actor text collate "C" not null,
    key text collate "C" not null,
    digest bytea not null,
    batch uuid not null,
    at timestamptz not null default transaction_timestamp(),
    outcome bytea,
    primary key (actor, key)
) with (fillfactor = 80);
create index door_key_at on door_key (at);

-- Commands that broke the database's rules after bisection, kept as they came.
create table quarantined_command (
    id uuid primary key,
    at timestamptz not null default transaction_timestamp(),
    actor text not null,
    key text not null,
    name text not null,
    error text not null,
    body bytea not null
);

-- The journal is the outbox: gapless positions in commit order, the exact bytes that are sealed.
create table journal (
    position bigint not null,
    batch uuid not null,
    at timestamptz not null,
    kind "char" not null check (kind in ('c', 'e')),
    name text not null,
    subject text collate "C" not null,
    actor text not null,
    body bytea not null,
    primary key (position)
) partition by range (position);
create index journal_subject on journal (subject, position);

-- Partitions of ten million positions, always at least one whole one ahead.
create function journal_extend() returns void language plpgsql security definer set search_path = public as $$
declare
    size constant bigint := 10000000;
    part bigint;
begin
    for part in 0 .. coalesce((select max(position) from journal), 0) / size + 1 loop
        if to_regclass('journal_' || part) is null then
            execute format('create table if not exists journal_%s partition of journal for values from (%s) to (%s)',
                           part, part * size, (part + 1) * size);
            -- A statement trigger of the parent does not see who writes to a partition by its own name.
            perform watch(('journal_' || part)::regclass);
        end if;
    end loop;
end $$;

-- Digests chained over closed ranges of the journal.
create table seal (
    last bigint primary key,
    first bigint not null unique,
    previous bytea not null unique,
    digest bytea not null,
    at timestamptz not null default transaction_timestamp(),
    check (first <= last)
);

-- Policy documents: what steers behaviour, versioned; one version of each is active.
create table policy (
    kind text not null,
    name text not null,
    version integer not null check (version > 0),
    digest bytea not null,
    document bytea not null,
    reason text not null,
    by_actor text not null,
    at timestamptz not null,
    primary key (kind, name, version)
);
create table policy_active (
    kind text not null,
    name text not null,
    version integer not null,
    primary key (kind, name),
    foreign key (kind, name, version) references policy
);

-- Rises with every change of rights or policies, so that each batch knows whether what it remembers still holds.
create table epoch (
    one boolean primary key default true check (one),
    value bigint not null
);
insert into epoch values (true, 1);

-- Writes that did not come through the door, by whom and when.
create table bypass (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    login text not null,
    role text not null,
    operation text not null,
    relation text not null,
    statement text
);

create function record_bypass(login text, role text, operation text, relation text) returns void
language sql security definer set search_path = public as $$
    insert into bypass (login, role, operation, relation, statement)
    values (login, role, operation, relation, left(current_query(), 2000));
$$;

-- The side door: closed to the application unless this transaction is a batch; recorded for everybody else.
create function door_only() returns trigger language plpgsql as $$
begin
    if current_user <> 'trueup_app' then
        perform record_bypass(session_user::text, current_user::text, tg_op, tg_table_name::text);
    elsif not exists (
        select from batch where txid = pg_current_xact_id() and at = transaction_timestamp()
    ) then
        raise exception 'writes to % go through the door: submit a command', tg_table_name using errcode = '42501';
    end if;
    return null;
end $$;

create function watch(relation regclass) returns void language plpgsql as $$
begin
    execute format('create or replace trigger door_only after insert or update or delete on %s for each statement execute function door_only()', relation);
    execute format('create or replace trigger door_only_truncate after truncate on %s for each statement execute function door_only()', relation);
end $$;

-- Put a table under the door. Rows may be deleted only where a verb of its room says so.
create function govern(relation regclass, operations text default 'insert, update') returns void
language plpgsql as $$
begin
    perform watch(relation);
    execute format('grant select, %s on %s to trueup_app', operations, relation);
end $$;

grant usage on schema public to trueup_app;
grant select, insert on batch, quarantined_command to trueup_app;
grant select, insert, update, delete on door_key to trueup_app;
grant select on epoch to trueup_app;
grant select, insert on seal to trueup_app;
grant select on bypass to trueup_app;
grant execute on function journal_extend() to trueup_app;
select govern('journal', 'insert');
select govern('policy', 'insert');
select govern('policy_active');
select govern('epoch');
