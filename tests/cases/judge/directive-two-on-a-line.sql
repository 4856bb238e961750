-- rung: no-transaction lock-timeout 5s
select 1