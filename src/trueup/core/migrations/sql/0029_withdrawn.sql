-- A policy may be withdrawn: its versions stay, and none of them is in force.
alter table policy_active alter column version drop not null;
