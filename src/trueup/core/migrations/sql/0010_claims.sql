-- Claims: one line of a holder may claim at several places, reserve and allocate, and name a lot.

alter table stock_claim add column lot text collate "C" not null default '';

alter table stock_expiring drop constraint stock_expiring_pkey;
alter table stock_expiring add primary key (holder, line, item, location);
alter table stock_expiring drop column number;

alter table order_line add column allocated numeric not null default 0 check (allocated >= 0);
alter table orders add column units_allocated numeric not null default 0;
