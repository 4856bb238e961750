set local standard_conforming_strings = false;
select 'a\';b';