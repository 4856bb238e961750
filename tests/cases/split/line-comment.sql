select 1 -- ; not yet
, 2; -- ; done
select 3;