-- rung: no-transaction
begin;
select 1;
commit;
vacuum;
begin isolation level serializable;
savepoint a;
end;