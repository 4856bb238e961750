select 1;
set transaction isolation level serializable;