-- rung: no-transaction
begin;
start transaction;
commit;