copy t from stdin;
1	one
2	;
\.
select 2;
