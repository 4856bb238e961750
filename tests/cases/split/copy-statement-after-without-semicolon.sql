copy t from stdin; select 2
1
\.
select 3;
