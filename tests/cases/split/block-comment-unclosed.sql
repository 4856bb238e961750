select 1;
  /* oh
; select 2;