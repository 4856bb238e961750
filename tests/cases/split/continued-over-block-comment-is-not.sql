select E'a' /* no */
'\';select ';';