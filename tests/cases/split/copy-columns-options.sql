copy public.t (a, "b;c") from stdin with (format csv, delimiter ';', null '');
1;2
\.
select 2;
