-- RUNG: No-Transaction
select 1