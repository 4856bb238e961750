\restrict
select 1;