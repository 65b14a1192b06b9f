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
