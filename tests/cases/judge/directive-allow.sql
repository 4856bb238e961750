-- rung: allow table-rewrite it is small
select 1