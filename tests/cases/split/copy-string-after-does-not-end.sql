copy t from stdin; select 'a
1
\.
';
