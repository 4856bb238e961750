copy t from stdin; -- the rows
1
\.
select 2;
