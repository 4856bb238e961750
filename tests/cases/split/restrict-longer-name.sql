\restricted abc
select 1;