-- rung: no-transaction
begin;
set standard_conforming_strings = off;
rollback;