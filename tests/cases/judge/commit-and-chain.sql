begin;
select 1;
commit and chain;
commit;