select 1;
\unrestrict abc