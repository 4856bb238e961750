select 1; \echo hi
