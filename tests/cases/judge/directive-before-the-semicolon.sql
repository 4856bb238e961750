select 1
-- rung: no-transaction
;