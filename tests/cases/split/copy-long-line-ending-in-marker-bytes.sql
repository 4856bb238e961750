copy t from stdin;
xxxxxxxxxxxxx\.
xxxxxxxxxxxxxx\.
xxxxxxxxxxxx\.
\.
select 2;
