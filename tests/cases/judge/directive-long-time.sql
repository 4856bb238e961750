-- rung: statement-timeout 25d
select 1