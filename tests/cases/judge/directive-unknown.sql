
  -- rung: no-transactions
select 1