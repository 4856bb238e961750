select $$x$$;
  do $$ ;