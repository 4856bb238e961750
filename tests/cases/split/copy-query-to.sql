copy (select 1; select 2) to stdout;
select 2;