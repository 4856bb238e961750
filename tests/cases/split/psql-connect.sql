select 1;
\connect postgres
select 2;
