BEGIN;
create table t (a int);
COMMIT;
