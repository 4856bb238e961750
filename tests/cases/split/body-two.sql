create function f() returns int begin atomic select 1; end;
create procedure p() begin atomic select 1; end;select 3;