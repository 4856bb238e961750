select 1;
create table t (a int;
select 2;
select (3);
