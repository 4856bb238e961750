\restrict a
-- rung: irreversible
select 1