select 1 -- it's
, 2;select 3;