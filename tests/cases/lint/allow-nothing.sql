DROP TABLE a; -- rung: allow
