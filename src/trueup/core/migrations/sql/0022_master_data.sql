-- Master data: what an item must have to be sold, shipped and taken back; changes of fields that hold from a later day;
-- and what was written over a field's owner.

alter table item
    add column length_mm numeric check (length_mm > 0),
    add column width_mm numeric check (width_mm > 0),
    add column height_mm numeric check (height_mm > 0),
    add column packs jsonb,
    add column return_days integer check (return_days >= 0),
    add column brand text,
    add column net_content numeric check (net_content > 0),
    add column net_content_unit text,
    add column formulation text,
    add column certifications text[],
    add column price_on_pack numeric check (price_on_pack >= 0),
    add constraint item_content_has_unit check ((net_content is null) = (net_content_unit is null));

-- Fields of an item or a location that change on a day to come. It ends once: applied, withdrawn, or failed and why.
create table planned_amendment (
    id text collate "C" primary key,
    entity text collate "C" not null,
    object text collate "C" not null,
    fields jsonb not null,
    effective_from date not null,
    effective_at timestamptz not null,
    planned_by text not null,
    reason text not null,
    gtin_kept_because text,
    planned_at timestamptz not null,
    ending text,
    why text,
    ended_at timestamptz,
    check ((ending is null) = (ended_at is null))
);
create index planned_amendment_open on planned_amendment (object, effective_at) where ended_at is null;
create index planned_amendment_due on planned_amendment (effective_at) where ended_at is null;
select govern('planned_amendment');

-- What somebody else than its owner wrote into a field that says so: accepted, and listed.
create table field_overwritten (
    id text collate "C" primary key,
    entity text collate "C" not null,
    object text collate "C" not null,
    key text not null,
    field text collate "C" not null,
    owner text not null,
    written_by text not null,
    before jsonb,
    after jsonb,
    at timestamptz not null
);
create index field_overwritten_at on field_overwritten (at desc, id desc);
create index field_overwritten_object on field_overwritten (object, at desc);
select govern('field_overwritten', 'insert');
