reset client_encoding; set names default;
set client_encoding to default;select 1