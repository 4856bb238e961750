-- rung:
select 1