-- rung: statement-timeout 99999999999999999999ms
select 1