-- rung: no-transaction
-- rung: lock-timeout 5min
select 1;
