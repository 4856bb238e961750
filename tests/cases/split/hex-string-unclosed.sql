select X'10;
