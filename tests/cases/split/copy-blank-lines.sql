copy t from stdin;


 
\.
select 2;
