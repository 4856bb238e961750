select 1; copy t from stdin;
1
\.
select 2;