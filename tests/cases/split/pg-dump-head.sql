--
-- PostgreSQL database dump
--

\restrict Wq1

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

COPY public.t (a) FROM stdin;
1
\.


--
-- done
--

\unrestrict Wq1

