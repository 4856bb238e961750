-- rung: no-transaction
select 1;
commit;