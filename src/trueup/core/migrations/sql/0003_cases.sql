-- Whatever went wrong: one open case per cause, with an owner, a clock and a price.

create table cases (
    id text collate "C" primary key,
    cause text not null,
    kind text not null,
    title text not null,
    severity smallint not null check (severity between 1 and 4),
    owner_role text not null,
    opened_at timestamptz not null,
    due_at timestamptz not null,
    price_per_hour numeric not null check (price_per_hour >= 0),
    currency text not null,
    subjects integer not null default 0 check (subjects >= 0),
    acted_at timestamptz,
    closed_at timestamptz,
    root_cause text,
    source jsonb not null default '{}',
    version integer not null default 1,
    status text generated always as (
        case when closed_at is not null then 'closed' when acted_at is not null then 'acted' else 'open' end
    ) stored,
    check ((closed_at is null) = (root_cause is null))
);
create unique index cases_open_cause on cases (cause) where closed_at is null;
create index cases_price on cases (price_per_hour desc, id) where closed_at is null;
create index cases_opened on cases (opened_at desc, id desc);

create table case_subject (
    case_id text collate "C" not null references cases,
    subject_type text not null,
    subject text collate "C" not null,
    detail text not null,
    at timestamptz not null,
    primary key (case_id, subject_type, subject)
);
create index case_subject_subject on case_subject (subject);

select govern('cases');
select govern('case_subject');
