copy t to stdout;
select 2;