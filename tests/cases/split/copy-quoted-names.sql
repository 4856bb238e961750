copy "S;"."T from stdin" from stdin;
1
\.
select 2;
