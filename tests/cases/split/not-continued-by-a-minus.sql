select E'1'
- '\';select ';';