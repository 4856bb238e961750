COPY t FROM stdin;
-- rung: allow nothing this is data
\.
-- rung: allow rename-or-drop it is behind the data
DROP TABLE t;
