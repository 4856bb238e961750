-- rung: no-transaction
create index concurrently i on t (a);
insert into u values (1);
