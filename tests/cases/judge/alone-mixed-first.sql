vacuum;
select 1;