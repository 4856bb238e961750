vacuum t;
reindex schema s;
drop index concurrently i;