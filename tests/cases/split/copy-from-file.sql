copy t from '/tmp/stdin';
select 2;