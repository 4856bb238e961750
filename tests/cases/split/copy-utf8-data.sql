copy t from stdin;
größe	名前
😀😀😀😀😀😀😀
\.
select 2;
