begin read only;
select 1;
commit;