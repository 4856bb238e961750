select $$a$$
'b\';select ';';