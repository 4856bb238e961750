set standard_conforming_strings = off;
select "a\";
select B'\';
select 2;