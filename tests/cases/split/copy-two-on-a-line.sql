copy t from stdin;copy u from stdin;
1
\.
2
3
\.
select 3;
