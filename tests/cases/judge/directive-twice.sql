-- rung: lock-timeout 1s
-- rung: lock-timeout 2s
select 1