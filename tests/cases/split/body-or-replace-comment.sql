create /* x */ or -- y
 replace function f() returns int begin atomic select 1; end;select 2;