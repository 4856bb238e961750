CREATE TABLE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (n int);
CREATE TABLE bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb (n int);
CREATE INDEX ON BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB (n);
SELECT 'cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc', $$dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd$$ AS "éééééééééééééééééééééééééééééééx", 1 AS "éééééééééééééééééééééééééééééééé";
SELECT 1 AS "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq""", 2 AS "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq""";
SELECT 1 AS U&"uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu\00e9\+01F600", 2 AS U&"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\00E9";
SELECT 1 AS U&"wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww!00e9!!" UESCAPE '!', 2 AS U&"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\D83D\DE00\\z";
-- ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
