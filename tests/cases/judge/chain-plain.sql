-- rung: no-transaction
select 1;