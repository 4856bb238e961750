set a.b = 1;
set transaction isolation level serializable;
select 1;