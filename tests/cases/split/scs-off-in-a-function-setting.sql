create function f() returns int language sql set standard_conforming_strings = off as 'select 1';
select 'a\';
select ';';