DROP TABLE a;
-- rung: allow drop-table nobody needs it
DROP TABLE b;
DROP TABLE c;
