copy t from stdin; /* a
1
\.
*/ select 3;
