-- rung: no-transaction
begin;
vacuum;
commit;