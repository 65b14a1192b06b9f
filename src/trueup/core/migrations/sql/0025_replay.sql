-- A replay folds the events that are few and all needed from the beginning: who and what there is, and what is to come.
create index journal_few on journal (position)
    where kind = 'e' and name !~ '^(orders|sourcing|cases|parties|stock[.](reserved|allocated|claims_released|moved|feed|count|transfer))';
