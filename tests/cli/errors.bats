#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# What an error looks like: place, excerpt, caret, the server's own fields, the outcome.

load ../lib/helpers

# error TEXT...: 001_x.sql holds the lines of stdin; up fails with exactly these lines.
error() {
    cat >migrations/001_x.sql
    run_rung up
    assert_status 1
    assert_out ''
    assert_lines "$err" "$@"
    assert_applied
}

@test "the error of DESIGN.md, line by line" {
    migration 001_orders <<<'CREATE TABLE orders (total int);'
    migration 006_performance <<'SQL'
CREATE TABLE a (n int);
CREATE TABLE b (n int);

-- the sums
SELECT totl FROM orders;
SELECT 4;
SELECT 5;
SQL
    run_rung up
    assert_status 1
    assert_done 'applied 001_orders.sql (1 statement)'
    assert_err "$(
        cat <<'TEXT'
migrations/006_performance.sql:5:8: error: column "totl" does not exist
    5 | SELECT totl FROM orders;
      |        ^~~~
hint: Perhaps you meant to reference the column "orders.total".  [42703]
006_performance.sql was rolled back at statement 3 of 5; 001 is applied. Fix the file and run `rung up`.
TEXT
    )"
    assert_applied 1
    assert_sql "SELECT to_regclass('a'), to_regclass('b')" '|'
}

@test "several applied versions are named as a range" {
    migration 001_a <<<'SELECT 1;'
    migration 02_b <<<'SELECT 1;'
    migration 005_c <<<'SELECT 1;'
    migration 006_d <<<'SELECT nosuch;'
    run_rung up
    assert_status 1
    assert_err_has '006_d.sql was rolled back at statement 1 of 1; 001-005 are applied. Fix the file and run `rung up`.'
}

@test "a gap in what is applied is not passed over" {
    migration 001_a <<<'SELECT 1;'
    migration 003_c <<<'SELECT 1;'
    migration 004_d <<<'SELECT 1;'
    migration 006_f <<<'SELECT 1;'
    run_rung up -q
    migration 002_b <<<'SELECT 1;'
    migration 005_e <<<'SELECT nosuch;'
    run_rung up --allow-out-of-order
    assert_status 1
    assert_done 'applied 002_b.sql (1 statement)'
    assert_err_has '005_e.sql was rolled back at statement 1 of 1; 001-004, 006 are applied. Fix the file and run `rung up`.'
    assert_applied 1 2 3 4 6
}

@test "a syntax error points at the token" {
    error 'migrations/001_x.sql:2:8: error: syntax error at or near "TABEL"  [42601]' \
        '    2 | CREATE TABEL t (n int);' \
        '      |        ^~~~~' \
        '001_x.sql was rolled back at statement 2 of 3; nothing is applied. Fix the file and run `rung up`.' <<'SQL'
SELECT 1;
CREATE TABEL t (n int);
SELECT 2;
SQL
}

@test "a statement that ends too early is placed at its end" {
    error 'migrations/001_x.sql:2:14: error: syntax error at or near ";"  [42601]' \
        '    2 |     WHERE 1 =;' \
        '      |              ^' \
        '001_x.sql was rolled back at statement 1 of 1; nothing is applied. Fix the file and run `rung up`.' <<'SQL'
SELECT 1
    WHERE 1 =;
SQL
}

@test "the column counts characters, and the caret stands below them" {
    error 'migrations/001_x.sql:1:13: error: column "größe" does not exist  [42703]' \
        "    1 | SELECT 'ü', größe;" \
        '      |             ^~~~~' \
        '001_x.sql was rolled back at statement 1 of 1; nothing is applied. Fix the file and run `rung up`.' <<'SQL'
SELECT 'ü', größe;
SQL
}

@test "wide characters take two columns of the caret's line" {
    error 'migrations/001_x.sql:1:14: error: column "nosuch" does not exist  [42703]' \
        "    1 | SELECT '表示', nosuch;" \
        '      |                ^~~~~~' \
        '001_x.sql was rolled back at statement 1 of 1; nothing is applied. Fix the file and run `rung up`.' <<'SQL'
SELECT '表示', nosuch;
SQL
}

@test "tabs in front of the place stay tabs" {
    error 'migrations/001_x.sql:2:3: error: column "nosuch" does not exist  [42703]' \
        $'    2 | \t\tnosuch;' \
        $'      | \t\t^~~~~~' \
        '001_x.sql was rolled back at statement 1 of 1; nothing is applied. Fix the file and run `rung up`.' \
        <<<$'SELECT\n\t\tnosuch;'
}

@test "a carriage return at the line's end is not shown" {
    error 'migrations/001_x.sql:2:8: error: column "nosuch" does not exist  [42703]' \
        '    2 | SELECT nosuch;' \
        '      |        ^~~~~~' \
        '001_x.sql was rolled back at statement 2 of 2; nothing is applied. Fix the file and run `rung up`.' \
        < <(printf 'SELECT 1;\r\nSELECT nosuch;\r\n')
}

@test "of a long line the part around the place is shown" {
    printf 'SELECT %s, nosuch, %s;\n' "$(printf '1, %.0s' {1..400})2" "$(printf '3, %.0s' {1..400})4" >migrations/001_x.sql
    run_rung up
    assert_status 1
    assert_err_has 'migrations/001_x.sql:1:1211: error: column "nosuch" does not exist'
    local excerpt caret
    excerpt=$(sed -n 2p "$T/err")
    caret=$(sed -n 3p "$T/err")
    [ "${#excerpt}" -le 220 ] || fail_with 'the excerpt is long'
    caret=${caret%%^*}
    assert_equal "${excerpt:${#caret}:6}" nosuch
}

@test "DDL whose error has no position is placed at the name that the message quotes" {
    error 'migrations/001_x.sql:4:5: error: column "m" of relation "t" already exists  [42701]' \
        '    4 |     m int;' \
        '      |     ^' \
        '001_x.sql was rolled back at statement 2 of 2; nothing is applied. Fix the file and run `rung up`.' <<'SQL'
CREATE TABLE t (n int, m int);

ALTER TABLE t ADD COLUMN
    m int;
SQL
}

@test "or at the statement's first character" {
    error 'migrations/001_x.sql:3:3: error: relation "t" already exists  [42P07]' \
        '    3 |   CREATE TABLE t (t int);' \
        '      |   ^~~~~~' \
        '001_x.sql was rolled back at statement 2 of 2; nothing is applied. Fix the file and run `rung up`.' <<'SQL'
CREATE TABLE t (n int);

  CREATE TABLE t (t int);
SQL
}

@test "an error in a DO block is placed in it" {
    error 'migrations/001_x.sql:5:21: error: column "nosuch" does not exist  [42703]' \
        '    5 |     PERFORM 1 WHERE nosuch;' \
        '      |                     ^~~~~~' \
        'context: PL/pgSQL function inline_code_block line 4 at PERFORM' \
        '001_x.sql was rolled back at statement 2 of 2; nothing is applied. Fix the file and run `rung up`.' <<'SQL'
SELECT 1;
DO $body$
DECLARE n int;
BEGIN
    PERFORM 1 WHERE nosuch;
END
$body$;
SQL
    error 'migrations/001_x.sql:3:5: error: on purpose' \
        "    3 |     RAISE EXCEPTION 'on purpose' USING DETAIL = 'why', HINT = 'What now.';" \
        '      |     ^~~~~' \
        'detail: why' \
        'hint: What now.  [P0001]' \
        'context: PL/pgSQL function inline_code_block line 3 at RAISE' \
        '001_x.sql was rolled back at statement 1 of 1; nothing is applied. Fix the file and run `rung up`.' <<'SQL'
DO $$
BEGIN
    RAISE EXCEPTION 'on purpose' USING DETAIL = 'why', HINT = 'What now.';
END $$;
SQL
}

@test "an error in a function's body, where the file defines it" {
    cat >migrations/001_x.sql <<'SQL'
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$
    SELECT nosuch
$$;
SQL
    run_rung up
    assert_status 1
    assert_err_has 'migrations/001_x.sql:2:12: error: column "nosuch" does not exist'
}

@test "an error in a function that is called stands at the call" {
    migration 000_f <<'SQL'
CREATE FUNCTION f(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1 / n; END $$;
SQL
    migration 001_call <<<$'SELECT 1;\n\nSELECT f(0);'
    run_rung up
    assert_status 1
    assert_lines "$err" 'migrations/001_call.sql:3:1: error: division by zero  [22012]' \
        '    3 | SELECT f(0);' \
        '      | ^~~~~~' \
        'context: PL/pgSQL function f(integer) line 1 at RETURN' \
        '001_call.sql was rolled back at statement 2 of 2; 000 is applied. Fix the file and run `rung up`.'
}

@test "the right statement is found among many, far into the file" {
    {
        for i in $(seq 5000); do printf "SELECT %d, '%050d';\n" "$i" "$i"; done
        echo 'SELECT nosuch;'
        echo 'SELECT 1;'
    } >migrations/001_x.sql
    run_rung up
    assert_status 1
    assert_lines "$err" 'migrations/001_x.sql:5001:8: error: column "nosuch" does not exist  [42703]' \
        ' 5001 | SELECT nosuch;' \
        '      |        ^~~~~~' \
        '001_x.sql was rolled back at statement 5001 of 5002; nothing is applied. Fix the file and run `rung up`.'
}

@test "a file of which a constraint keeps the details shows them" {
    error 'migrations/001_x.sql:3:1: error: duplicate key value violates unique constraint "t_pkey"  [23505]' \
        '    3 | INSERT INTO t VALUES (1);' \
        '      | ^~~~~~' \
        'detail: Key (n)=(1) already exists.' \
        '001_x.sql was rolled back at statement 3 of 3; nothing is applied. Fix the file and run `rung up`.' <<'SQL'
CREATE TABLE t (n int PRIMARY KEY);
INSERT INTO t VALUES (1);
INSERT INTO t VALUES (1);
SQL
}

@test "control characters of a file or of the server do not reach the terminal" {
    printf "SELECT '\e[31m', nosuch;\n" >migrations/001_x.sql
    run_rung up
    assert_status 1
    assert_err_lacks $'\e'
    assert_err_has 'migrations/001_x.sql:1:17: error: column "nosuch" does not exist'
    migration 001_x <<<"DO \$\$ BEGIN RAISE EXCEPTION '%', E'a\\x1b[31mb\\nc'; END \$\$;"
    run_rung up
    assert_status 1
    assert_err_lacks $'\e'
    assert_err_has 'error: a\x1b[31mb' $'\n    c'
}

@test "--color paints, NO_COLOR and a pipe do not" {
    migration 001_x <<<'SELECT nosuch;'
    run_rung up --color always
    assert_status 1
    assert_err_has $'\e[1;31merror: \e[m'
    NO_COLOR=1 run_rung up
    assert_err_lacks $'\e'
    run_rung up --color=never
    assert_err_lacks $'\e'
}

@test "the path is shown as the directory was given" {
    migration 001_x <<<'SELECT nosuch;'
    run_rung up -m ./migrations/
    assert_status 1
    assert_err_has './migrations/001_x.sql:1:8: error: '
    cd migrations
    run_rung up -m .
    assert_status 1
    assert_err_has './001_x.sql:1:8: error: '
}

@test "a character that the database's encoding lacks is pointed at" {
    local top
    sql_in postgres "CREATE DATABASE \"${PGDATABASE}_latin\" ENCODING LATIN1 LOCALE 'C' TEMPLATE template0"
    databases+=("${PGDATABASE}_latin")
    use_database "${PGDATABASE}_latin"
    for top in '--' '-- rung: no-transaction'; do
        migration 001_t <<SQL
$top
CREATE TABLE t (s text); -- é
INSERT INTO t VALUES ('é 5 €');
SQL
        run_rung up
        assert_status 1
        assert_out ''
        assert_err_has 'migrations/001_t.sql:3:28: error: character with byte sequence 0xe2 0x82 0xac in encoding "UTF8" has no equivalent in encoding "LATIN1"  [22P05]' \
            "    3 | INSERT INTO t VALUES ('é 5 €');"$'\n''      |                            ^' \
            ' at statement 2 of 2; '
    done
    sed -i 's/€/è/' migrations/001_t.sql
    run_rung up
    assert_status 0
    assert_sql "SELECT convert_to(s, 'UTF8') FROM t" '\xc3a9203520c3a8'
}
