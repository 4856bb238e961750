select 1;
set client_encoding = 'LATIN1';