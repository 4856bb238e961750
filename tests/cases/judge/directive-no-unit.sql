-- rung: lock-timeout 10
select 1