copy t1 from stdin;
1
\.

copy t2 from stdin;
2
2
\.

copy t3 from stdin;
3
3
3
\.

copy t4 from stdin;
4
4
4
4
\.

copy t5 from stdin;
5
5
5
5
5
\.

