-- rung: no-transaction
begin; set transaction read only; select 1; commit;