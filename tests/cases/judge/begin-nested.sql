begin;
begin;
commit;