SET standard_conforming_strings = off;
UPDATE t SET a = '\' WHERE ';
DELETE FROM t;
