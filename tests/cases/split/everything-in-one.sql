-- head; /* not open
create table "a;""b" (x text default $d$;$d$, y text default E'\';', z text /* ; /* ; */ */ default 'a' -- ;
 ';');
create or replace function f(begin int, "end" text) returns int begin atomic select case when begin > 1 then 2 end; /* end; */ select $q$end;$q$::text; end; copy "a;""b" from stdin (format csv);
$d$,E'\';,/*
\.
do $a$ begin perform $b$;$b$; raise notice '%', $$;$$; end $a$
;-- end