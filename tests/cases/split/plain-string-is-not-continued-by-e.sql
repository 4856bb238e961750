select 'a'
E'\';';select 2;