select 1;
-- café
select 2;