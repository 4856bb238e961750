-- a head
-- rung: lock-timeout 10s
--rung:statement-timeout 1h
/* x */ -- rung: irreversible  
select 1;