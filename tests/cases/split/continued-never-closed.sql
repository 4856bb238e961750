select 'a'
'b;
