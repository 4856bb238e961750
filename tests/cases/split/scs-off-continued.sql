set standard_conforming_strings = no;
select 'a'
'\';b';