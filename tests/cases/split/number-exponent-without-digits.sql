select 1e--;
5;select 1e+;