copy binary t from stdin;
x
\.
