create table t (
  -- rung: no-transaction
  a int);