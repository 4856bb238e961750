copy t from stdin csv;
1,"a
\.
select 2;
