copy t from stdin;select 1;copy u from stdin;copy v from stdin; select 2; --
1
\.
2
3
\.
4
\.
select 3;
