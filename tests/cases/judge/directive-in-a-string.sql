select '
-- rung: no-transaction
'