select 1;

  í €