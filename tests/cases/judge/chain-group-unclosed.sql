-- rung: no-transaction
select 1;
begin;
select 2;