set transaction read only;
select 1;