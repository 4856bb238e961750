select 1 -- ;
, 2;
-- x
select 3;