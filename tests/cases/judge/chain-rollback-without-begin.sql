-- rung: no-transaction
rollback;