-- Breaches of data contracts: one row is one rule that one key failed, from when it fired until it passed.

create table breach (
    id text collate "C" primary key,
    contract text collate "C" not null,
    rule text collate "C" not null,
    entity text not null check (entity in ('item', 'location')),
    subject text collate "C" not null,
    key text not null,
    detail text not null,
    case_id text collate "C" not null references cases,
    containment text not null check (containment in ('none', 'quarantine_item')),
    since timestamptz not null,
    due_at timestamptz not null check (due_at > since),
    initiated_at timestamptz check (initiated_at >= since),
    told_at timestamptz check (told_at >= due_at),
    released_until timestamptz check (released_until > due_at),
    ended_at timestamptz check (ended_at >= since),
    ended_by text check (ended_by in ('passed', 'withdrawn')),
    check ((ended_at is null) = (ended_by is null))
);
create unique index breach_open on breach (contract, rule, subject) where ended_at is null;
create index breach_subject on breach (subject) where ended_at is null;
create index breach_due on breach (due_at) where ended_at is null and told_at is null and containment <> 'none';
create index breach_case on breach (case_id, id);

select govern('breach');
