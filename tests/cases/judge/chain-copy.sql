-- rung: no-transaction
copy t from stdin;
1
\.
vacuum t;