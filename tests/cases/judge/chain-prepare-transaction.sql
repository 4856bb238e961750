-- rung: no-transaction
begin;
prepare transaction 'x';