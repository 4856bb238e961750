set lock_timeout = 0;
create index concurrently i on t (a);
reset lock_timeout;