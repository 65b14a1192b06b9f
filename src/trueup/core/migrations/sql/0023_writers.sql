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
