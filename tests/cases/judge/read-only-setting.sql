select 1;
set transaction_read_only = on;