select B'10;
