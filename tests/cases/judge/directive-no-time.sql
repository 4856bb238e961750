-- rung: lock-timeout
select 1