COPY t FROM STDIN;
1	one
2	two
\.
select 2;
