BEGIN;
SELECT 1;
BEGIN;

SELECT pg_catalog.lo_open('4711', 131072);
SELECT pg_catalog.lowrite(0, '\x3b');
SELECT pg_catalog.lo_close(0);

COMMIT;
COMMIT;
