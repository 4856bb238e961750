begin;
select 1;
commit;
begin;
select 2;
commit;