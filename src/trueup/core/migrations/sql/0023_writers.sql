-- What the guards stopped, which system writes what, and overrides.

-- Commands that a guard or a rule stopped, personal words replaced; kept 30 days. Nothing is decided from them.
create table refused_command (
    id uuid primary key,
    at timestamptz not null,
    batch uuid not null,
    actor text collate "C" not null,
    verb text collate "C" not null,
    key text collate "C" not null,
    subject text collate "C" not null,
    guard text collate "C" not null,
    rule text collate "C" not null,
    ended text not null check (ended in ('refused', 'queued', 'quarantined', 'would_refuse', 'overridden')),
    body bytea not null
);
create index refused_command_at on refused_command (at, id);
grant select, insert, delete on refused_command to trueup_app;

-- Which system writes which entity for which cohort, when. What a cohort does not name is any. Where two rules of one
-- entity meet, the one that names more holds, and of those that name as many the one whose names come first: location,
-- customer group, channel, share. `rank` is that order; rules of one rank name the same things, and may never meet.
create type text_range as range (subtype = text, collation = "C");
create table writer_rule (
    id text collate "C" primary key,
    entity text collate "C" not null check (entity in ('order', 'item', 'customer', 'stock')),
    channel text collate "C",
    location text collate "C",
    customer_group text collate "C",
    share_from integer not null default 0 check (share_from >= 0),
    share_to integer not null default 100 check (share_to <= 100),
    rank integer not null generated always as (
        16 * (num_nonnulls(location, customer_group, channel) + (share_from > 0 or share_to < 100)::integer)
        + 8 * (location is not null)::integer + 4 * (customer_group is not null)::integer
        + 2 * (channel is not null)::integer + (share_from > 0 or share_to < 100)::integer
    ) stored,
    system text collate "C" not null,
    from_at timestamptz not null,
    until_at timestamptz,
    reason text not null,
    by text collate "C" not null,
    at timestamptz not null,
    ended_by text collate "C",
    check (share_from < share_to),
    check (from_at <= until_at),
    exclude using gist (
        text_range(entity, entity, '[]') with &&, int4range(rank, rank, '[]') with &&,
        text_range(location, location, '[]') with &&, text_range(customer_group, customer_group, '[]') with &&,
        text_range(channel, channel, '[]') with &&, int4range(share_from, share_to) with &&,
        tstzrange(from_at, until_at) with &&
    )
);
create index writer_rule_at on writer_rule (at desc, id desc);
select govern('writer_rule');

-- Overrides as loans: what rule is passed, for what, until when, and what that costs whom. When it holds follows from
-- these times and the clock. noticed: `expiring` and `expired`, once a case was opened or needed none.
create table override_loan (
    id text collate "C" primary key,
    rule text collate "C" not null,
    verb text collate "C" not null,
    objects text[] not null,
    sites text[] not null,
    channels text[] not null,
    reason text not null,
    department text collate "C" not null,
    price_per_day numeric not null check (price_per_day > 0),
    currency text collate "C" not null,
    expires_at timestamptz not null,
    asked_by text collate "C" not null,
    asked_at timestamptz not null,
    granted_by text collate "C",
    granted_at timestamptz,
    declined_by text collate "C",
    declined_at timestamptz,
    ended_by text collate "C",
    ended_at timestamptz,
    words text,
    uses integer not null default 0,
    last_used_at timestamptz,
    noticed text[] not null default '{}',
    check (asked_at < expires_at),
    check (granted_by <> asked_by),
    check (granted_at is null or declined_at is null),
    check (ended_at is null or granted_at is not null),
    check (cardinality(objects) + cardinality(sites) + cardinality(channels) > 0)
) with (fillfactor = 80);
create index override_loan_at on override_loan (asked_at desc, id desc);
create index override_loan_live on override_loan (expires_at) where declined_at is null and ended_at is null;
select govern('override_loan');
