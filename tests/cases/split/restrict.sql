\restrict abcDEF123
select 1;
\unrestrict abcDEF123
