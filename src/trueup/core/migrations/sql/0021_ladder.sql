-- The ladder: what a case's clock knows beyond its opening, when to look at it next, and who was told.

alter table cases
    add column clock_from timestamptz,
    add column ladder text not null default 'default',
    add column ladder_version integer not null default 0,
    add column calendar_version integer not null default 0,
    add column acknowledged_at timestamptz,
    add column assignee text,
    add column pauses jsonb not null default '[]',
    add column snoozed_at timestamptz,
    add column snoozed_until timestamptz,
    add column wakes_at_subjects integer,
    add column wakes_at_price numeric,
    add column merged_into text collate "C" references cases,
    add column root_cause_version integer,
    add column reopened integer not null default 0,
    add column priced_since timestamptz,
    add column price_microseconds numeric not null default 0;
alter table cases
    drop constraint cases_check,
    drop column status;
alter table cases
    add column status text not null generated always as (
        case when merged_into is not null then 'merged' when closed_at is not null then 'closed'
             when acted_at is not null then 'acted' else 'open' end
    ) stored,
    add check ((closed_at is null) = (root_cause is null and merged_into is null)),
    add check (root_cause is null or merged_into is null),
    add check (merged_into <> id),
    add check (acknowledged_at >= coalesce(clock_from, opened_at)),
    add check (acted_at >= coalesce(clock_from, opened_at));
create index cases_last_of_cause on cases (cause, closed_at desc);
create index cases_root_cause on cases (root_cause, closed_at) where root_cause is not null;
create index cases_merged_into on cases (merged_into) where merged_into is not null;
create index cases_assignee on cases (assignee, price_per_hour desc, id) where closed_at is null;
-- Cases that the formula has not priced yet, or not with what they concern now.
create index cases_to_price on cases (id) where closed_at is null and subjects > 0
    and (price_per_hour = 0 or source ? 'priced_subjects')
    and (source ->> 'priced_subjects')::integer is distinct from subjects;

-- Operational: when to look at a case next, when its rungs are reached by what is known, and whose it is before the first
-- and after each; all of it follows from the case's events by `standing.rung_times`. It says where to look, and the
-- function decides; a case that is closed leaves it when it was looked at once more. The price stands here, too, so that a board reads one table.
create table case_watch (
    case_id text collate "C" primary key references cases,
    look_at timestamptz not null,
    rungs timestamptz[] not null,
    roles text[] not null,
    price_per_hour numeric not null,
    currency text collate "C" not null,
    rung smallint not null default 0,
    closed boolean not null default false
) with (fillfactor = 80);
create index case_watch_look on case_watch (look_at);
-- The rung is the one reached when the row was written or last looked at: it holds until `look_at`.
create index case_watch_board on case_watch (rung, currency, price_per_hour) where not closed;
create index case_watch_dearest on case_watch (rung, price_per_hour desc, case_id) where not closed;
create index case_watch_price on case_watch (price_per_hour desc, case_id);
insert into case_watch (case_id, look_at, rungs, roles, price_per_hour, currency)
select id, opened_at, array[]::timestamptz[], array[owner_role], price_per_hour, currency
from cases where closed_at is null;

-- Operational: one row per case, step of its ladder and person told. What became of it says its times; a notice whose
-- outcome is unknown is shown and not sent again.
create table notice (
    id text collate "C" primary key,
    case_id text collate "C" not null references cases,
    round integer not null,
    step text not null,
    recipient text collate "C" not null,
    address text not null,
    reached_at timestamptz not null,
    subject text not null,
    body text not null,
    queued_at timestamptz not null,
    try_at timestamptz not null,
    tries integer not null default 0,
    claimed_at timestamptz,
    sent_at timestamptz,
    failed_at timestamptz,
    unknown_at timestamptz,
    error text,
    status text not null generated always as (
        case when sent_at is not null then 'sent' when failed_at is not null then 'failed'
             when unknown_at is not null then 'unknown' when claimed_at is not null then 'sending' else 'queued' end
    ) stored,
    unique (case_id, round, step, recipient),
    check (num_nonnulls(sent_at, failed_at, unknown_at) <= 1)
) with (fillfactor = 80);
create index notice_due on notice (try_at) where claimed_at is null and failed_at is null;
create index notice_claimed on notice (claimed_at) where sent_at is null and failed_at is null and unknown_at is null;
create index notice_open on notice (status, queued_at desc) where sent_at is null;

select govern('case_subject', 'insert, update, delete');
grant select, insert, update, delete on case_watch to trueup_app;
grant select, insert, update on notice to trueup_app;
