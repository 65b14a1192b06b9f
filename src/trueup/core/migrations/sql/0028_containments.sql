-- Containment of more than one kind: of an item, of its parcels, or of a location.

alter table breach drop constraint breach_containment_check;
alter table breach add constraint breach_containment_check
    check (containment in ('none', 'quarantine_item', 'not_for_parcel', 'quarantine_location'));
create index breach_location on breach (id) where ended_at is null and containment = 'quarantine_location';
