begin;
select 1;