-- Governance declared, and changes: proposals that replace policies or governed records, their approvals and their fate.

create table governance (
    one boolean primary key default true check (one),
    mode text not null check (mode in ('small', 'full')),
    declared_at timestamptz not null,
    window_until timestamptz not null check (window_until >= declared_at),
    by text collate "C" not null
);
select govern('governance');

-- content: what is proposed, as JSON; digest: of content and of the bases it was planned on, which approvals are bound to.
-- inverse: what puts back what stood before it was applied.
create table change (
    id text collate "C" primary key,
    title text not null,
    reason text not null,
    type text not null check (type in ('standard', 'normal', 'emergency')),
    template text,
    template_version integer,
    content bytea not null,
    digest text not null,
    asker text collate "C" not null,
    asked_at timestamptz not null,
    planned_at timestamptz not null,
    due_at timestamptz not null,
    effective_at timestamptz,
    indicators text[] not null,
    approved_at timestamptz,
    applied_at timestamptz,
    applied_by text collate "C",
    inverse bytea,
    reviewed_at timestamptz,
    escalated_at timestamptz,
    failed_at timestamptz,
    rejected_at timestamptz,
    withdrawn_at timestamptz,
    reverted_at timestamptz,
    ended_by text collate "C",
    ended_why text,
    status text not null generated always as (case
        when reverted_at is not null then 'reverted'
        when applied_at is not null then 'applied'
        when rejected_at is not null then 'rejected'
        when withdrawn_at is not null then 'withdrawn'
        when failed_at is not null then 'failed'
        when approved_at is not null then 'approved'
        else 'proposed' end) stored,
    version integer not null default 1,
    check ((type = 'standard') = (template is not null)),
    check (num_nonnulls(rejected_at, withdrawn_at, failed_at) <= 1),
    check (applied_at is null or num_nonnulls(rejected_at, withdrawn_at, failed_at) = 0),
    check ((applied_at is null) = (inverse is null)),
    check (reverted_at is null or applied_at is not null),
    check (applied_at is null or type <> 'normal' or approved_at is not null)
);
create index change_status on change (status, asked_at desc, id desc);
create index change_asked on change (asked_at desc, id desc);
create index change_applied on change (applied_at) where applied_at is not null;
create index change_spent on change (template) where template is not null and (failed_at is not null or reverted_at is not null);
select govern('change');

create table change_object (
    change text collate "C" not null references change,
    object text collate "C" not null,
    key text collate "C" not null,
    base text not null,
    over text[] not null,
    primary key (change, object)
);
create index change_object_object on change_object (object, change);
create index change_object_key on change_object (key, change);
select govern('change_object', 'insert, update, delete');

-- An approval counts for the digest it names; the rows of earlier contents stay as what was said then.
create table change_approval (
    change text collate "C" not null references change,
    digest text not null,
    actor text collate "C" not null,
    roles text[] not null,
    note text not null,
    at timestamptz not null,
    primary key (change, digest, actor)
);
select govern('change_approval', 'insert');

-- Operational: the last impact replay of a content; losing it costs running it again.
create table change_impact (
    change text collate "C" not null references change,
    digest text not null,
    at timestamptz not null,
    days integer not null,
    document bytea not null,
    primary key (change, digest)
);
grant select, insert, update, delete on change_impact to trueup_app;
