-- rung: allow rename-or-drop tables of the module that was taken out
-- rung: no-transaction

-- rung: allow update-or-delete-without-where only here
DELETE FROM a;
DELETE FROM b;
DROP TABLE a;
DROP TABLE b;
