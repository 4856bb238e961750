-- rung: no-transaction
set local standard_conforming_strings = off;