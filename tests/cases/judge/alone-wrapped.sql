begin;
create index concurrently i on t (a);
commit;