select $$ ;
select 1;
