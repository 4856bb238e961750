copy t from stdin; select 2;select ';' ; -- x
1
\.
select 3;
