-- rung: allow rename-or-drop gone

SET x.y = 1;
DROP TABLE a;
DROP TABLE b;
