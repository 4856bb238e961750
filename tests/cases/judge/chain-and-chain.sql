-- rung: no-transaction
begin;
commit and chain;