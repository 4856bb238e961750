copy t from stdin;
1
abc√
\.
