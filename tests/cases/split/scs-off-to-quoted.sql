SET SESSION standard_conforming_strings TO 'off';
select 'a\';b';