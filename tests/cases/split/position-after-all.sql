select 'a

;'; /* 

 é */ select $$
$$;select 2;