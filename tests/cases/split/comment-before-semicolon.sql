select 1 /* c */ -- d
;select 2;