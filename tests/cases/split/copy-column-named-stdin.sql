select copy from stdin;
select 2;