copy t from stdin;
it's; $$ " /* -- (
\N	\\.
\.x
 \.
\. 
x\.
\..
\.
select 2;
