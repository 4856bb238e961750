copy /* ; */ t -- from file
 from stdin;
1
\.
select 2;
