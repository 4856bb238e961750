-- rung: irreversible
select 1