-- rung: no-transaction
savepoint a;