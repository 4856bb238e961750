savepoint a;
set standard_conforming_strings = off;
rollback to a;