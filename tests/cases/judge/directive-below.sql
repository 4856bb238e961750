select 1;
-- rung: no-transaction
select 2;