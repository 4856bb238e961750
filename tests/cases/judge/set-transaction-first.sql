set transaction isolation level read uncommitted;
select 1;