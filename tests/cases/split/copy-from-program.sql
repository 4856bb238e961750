copy t from program 'cat stdin';
select 2;