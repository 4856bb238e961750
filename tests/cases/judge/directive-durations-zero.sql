-- rung: lock-timeout 0
-- rung: statement-timeout 500ms
select 1