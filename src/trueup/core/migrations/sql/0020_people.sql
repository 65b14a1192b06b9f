-- Who was appointed to what, what was delegated to whom until when, who employs them, and acts that a second person confirms.

create table appointment (
    id text collate "C" primary key,
    actor text collate "C" not null references actor,
    role text not null,
    from_at timestamptz not null,
    by text not null,
    at timestamptz not null,
    over text,
    deputy text collate "C" references actor check (deputy <> actor),
    until_at timestamptz check (until_at > from_at),
    accepted_at timestamptz,
    deputy_accepted_at timestamptz,
    ended_at timestamptz,
    check (deputy_accepted_at is null or deputy is not null)
);
create index appointment_open on appointment (actor) where ended_at is null;

create table delegation (
    id text collate "C" primary key,
    giver text collate "C" not null references actor,
    taker text collate "C" not null references actor check (taker <> giver),
    from_at timestamptz not null,
    until_at timestamptz not null check (until_at > from_at),
    role text,
    over text,
    rights text[] not null,
    ended_at timestamptz,
    check ((role is null) = (cardinality(rights) > 0))
);
create index delegation_open on delegation (giver) where ended_at is null;

create table employment (
    actor text collate "C" primary key references actor,
    employer text not null check (employer in ('own', 'consultant')),
    company text,
    contract_end date,
    access_until timestamptz,
    check ((employer = 'consultant') = (company is not null)),
    check ((contract_end is null) = (access_until is null))
);

select govern('appointment', 'insert, update');
select govern('delegation', 'insert, update');
select govern('employment', 'insert, update');

-- Acts beyond their asker's limit, which a second person confirms or somebody declines.
create table pending_act (
    id text collate "C" primary key,
    verb text not null,
    body text not null,
    asker text not null,
    amount numeric not null,
    unit text not null,
    limit_amount numeric not null check (amount > limit_amount),
    roles text[] not null check (cardinality(roles) > 0),
    at timestamptz not null,
    settled_at timestamptz,
    settled_by text,
    confirmed boolean,
    check ((settled_at is null) = (settled_by is null)),
    check ((settled_at is null) = (confirmed is null))
);
create index pending_act_waits on pending_act (id) where settled_at is null;
select govern('pending_act', 'insert, update');
