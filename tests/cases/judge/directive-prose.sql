-- rung is a runner, no-transaction is a directive of rung: see there
select 1