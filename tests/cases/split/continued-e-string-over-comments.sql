select E'a' -- it's;
  -- more '
	'\';b';select 2;