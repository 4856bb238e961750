set local transaction deferrable;
select 1;