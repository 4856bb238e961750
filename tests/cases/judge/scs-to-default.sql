select 1;
 set standard_conforming_strings to default;