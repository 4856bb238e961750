copy t from stdin;
copy u from stdin;
select 1;
\connect x
\.
select 2;
