set standard_conforming_strings = 0;
select N'a\';b';