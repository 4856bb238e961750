set standard_conforming_strings = off;
select 'a\';b';
set standard_conforming_strings = on;
select 'a\';
select ';';