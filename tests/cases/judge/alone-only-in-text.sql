-- create index concurrently
select 'vacuum'; do $$ begin /* vacuum */ end $$