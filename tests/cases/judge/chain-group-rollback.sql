-- rung: no-transaction
begin;
select 1;
rollback;