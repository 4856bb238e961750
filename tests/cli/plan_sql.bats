#!/usr/bin/env bats
# `rung plan --sql`: psql runs the script to the same end as `rung up`.

load ../lib/helpers

setup() {
    rung_setup
    up=$PGDATABASE by_psql=${PGDATABASE}_psql
    create_database "$by_psql"
}

# run_script [PSQL OPTION...]: psql -X -f, as the script's first lines say.
run_script() {
    status=0
    "$PG_BINDIR/psql" -X -f "$T/script.sql" "$@" >"$T/out" 2>"$T/err" 3>&- 4>&- || status=$?
    out=$(cat "$T/out")
    err=$(cat "$T/err")
}

# make_script ARGS: the script that rung plan --sql ARGS prints.
make_script() {
    run_rung plan --sql "$@"
    cp "$T/out" "$T/script.sql"
    assert_status 0
    assert_err ''
}

# everything NAME: schema, rows and ledger, but for what changes from run to run.
everything() {
    "$PG_BINDIR/pg_dump" --exclude-table-data='*.schema_migrations' "$1" 3>&- 4>&- |
        sed -e '/^\\\(un\)\?restrict/d'
    sql_in "$1" 'SELECT version, filename, checksum, applied_at IS NOT NULL, applied_by,
                 statements, undone, note FROM public.schema_migrations ORDER BY version'
}

# The same files by rung up in one database and by the script in the other.
same_end() {
    run_rung up
    assert_status 0
    use_database "$by_psql"
    make_script "$@"
    run_script
    assert_status 0
    assert_equal "$(everything "$by_psql")" "$(everything "$up")"
    run_rung verify
    assert_status 0
}

# Whatever psql might take for its own.
awkward_files() {
    migration 001_a <<'SQL'
-- comments go
CREATE TABLE t (a int[], "DBNAME" int, s text DEFAULT ':DBNAME');
INSERT INTO t VALUES ('{1,2,3}', 2, $$:USER; :'HOST'$$);
UPDATE t SET a = a[1:"DBNAME"] WHERE a[:2] IS NOT NULL AND 1::int = 1;
CREATE FUNCTION f(x int, y int) RETURNS int LANGUAGE sql
BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN x ELSE y END; END;
CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'select 1';
SELECT f(x := 1, y => 2), begin(); SELECT 1
;
CREATE RULE r AS ON UPDATE TO t WHERE old."DBNAME" = 99
    DO ALSO (INSERT INTO t VALUES (NULL); DELETE FROM t WHERE a IS NULL);
COPY t ("DBNAME", s) FROM stdin WHERE "DBNAME" > 1; SELECT 2;
1	one
2	two :ENCODING;
\N	\\.
3	:'x'
\.
COPY t (s) FROM stdin;
\.
CREATE VIEW v AS SELECT a[1:"DBNAME"] AS z, 'it''s' AS "we;ird" FROM t -- the end;
SQL
    migration '002_wrapped é-x' <<'SQL'
BEGIN ISOLATION LEVEL SERIALIZABLE;
CREATE TABLE public.w (n int PRIMARY KEY REFERENCES public.w DEFERRABLE INITIALLY DEFERRED);
INSERT INTO public.w VALUES (1);
SELECT set_config('search_path', '', false);
SET standard_conforming_strings = off;
SET escape_string_warning = off;
INSERT INTO public.t (s) VALUES ('it\'s; :USER'), ('\\');
SET ROLE pg_read_all_data;
COMMIT;
SQL
    migration 003_no_transaction <<'SQL'
-- rung: no-transaction
SET statement_timeout = '1h';
CREATE INDEX CONCURRENTLY i ON t (s);
BEGIN; INSERT INTO t (s) VALUES ('group'); COPY t (s) FROM stdin;
in a group
\.
COMMIT;
DO $$ BEGIN INSERT INTO t (s) VALUES ('one'); COMMIT; INSERT INTO t (s) VALUES ('two'); END $$;
VACUUM t;
BEGIN; INSERT INTO t (s) VALUES ('never'); ROLLBACK;
INSERT INTO t (s) VALUES ('last')
SQL
    migration 004_index <<<'CREATE INDEX CONCURRENTLY j ON t (s);'
    migration 005_nothing <<<'-- on purpose'
    printf "\xef\xbb\xbfSELECT 1;\r\nCREATE TABLE crlf (a text DEFAULT 'a\r\nb');\r\n" |
        migration 006_crlf
    migration 007_draft </dev/null
}

@test "psql runs the script to the same end as rung up" {
    awkward_files
    same_end
    assert_out_lacks 007_draft
}

@test "without a connection, too" {
    awkward_files
    same_end --from 1
}

@test "the script says which file it is at" {
    migration 001_a <<<'CREATE TABLE a ();'
    migration 002_b <<<'CREATE TABLE b ();'
    make_script
    run_script
    assert_status 0
    assert_lines "$out" 001_a.sql 002_b.sql
    assert_err ''
}

@test "variables that psql was given do not reach the files" {
    migration 001_a <<'SQL'
CREATE TABLE t AS SELECT (ARRAY[1, 2, 3])[lo:hi] AS a FROM (SELECT 1 AS lo, 2 AS hi) AS x;
SQL
    make_script
    run_script -v hi=99 -v AUTOCOMMIT=off -v ON_ERROR_ROLLBACK=on -v FETCH_COUNT=1 -S
    assert_status 0
    assert_sql 'SELECT a FROM t' '{1,2}'
    assert_applied 1
}

@test "the real products' migrations: by psql as by rung" {
    need_corpus docs-rs
    rmdir migrations
    cp -r "$corpus" migrations
    same_end
}

@test "with everything applied the script does nothing" {
    migration 001_a <<<'CREATE TABLE a ();'
    run_rung up
    make_script
    assert_out_has '-- Nothing is pending.'
    run_script
    assert_status 0
    assert_out ''
}

@test "--from takes what is in front of it for applied, and asks the ledger" {
    migration 001_a <<<'CREATE TABLE a ();'
    migration 002_b <<<'CREATE TABLE b ();'
    DATABASE_URL=postgresql://nosuch.invalid/x make_script --from 2
    run_script
    assert_status 3
    assert_err_has "the newest applied migration is not the one in front of this script's first"
    assert_sql "SELECT to_regclass('b')" ''

    run_rung up 1
    run_script
    assert_status 0
    assert_applied 1 2

    run_rung plan --sql --from 9
    assert_status 2
    assert_out ''
    assert_err_has 'there is no migration 9 in migrations'
}

@test "a script that is run twice, or too late, changes nothing" {
    migration 001_a <<<'CREATE TABLE a ();'
    make_script
    run_script
    assert_status 0
    run_script
    assert_status 3
    assert_err_has 'the ledger has changed since this script was made: make it anew'
    assert_applied 1
}

@test "while another runner holds the lock, the script does nothing" {
    migration 001_a <<<'SELECT pg_sleep(600);'
    start_rung other up
    wait_until "SELECT EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'
                AND pid <> pg_backend_pid())"
    migration 001_a <<<'CREATE TABLE a ();'
    make_script --from 1
    run_script
    assert_status 3
    assert_err_has 'another runner holds the lock: try again later'
    assert_sql "SELECT to_regclass('a')" ''
}

@test "psql --single-transaction is refused" {
    migration 001_a <<<'CREATE TABLE a ();'
    make_script
    run_script -1
    assert_status 3
    assert_err_has 'run it without --single-transaction'
    assert_untouched
}

@test "a statement that fails stops the script; rung up goes on from there" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<<'CREATE TABLE b (); SELECT nosuch;'
    migration 003_c <<<'CREATE TABLE c ();'
    make_script
    run_script
    assert_status 3
    assert_err_has 'column "nosuch" does not exist'
    assert_applied 1
    assert_sql "SELECT to_regclass('b'), to_regclass('c')" '|'

    migration 002_b <<<'CREATE TABLE b ();'
    run_rung up
    assert_status 0
    assert_applied 1 2 3
}

@test "a no-transaction file that stops in psql is resumed by rung up" {
    migration 001_a <<<'CREATE TABLE a (n int); INSERT INTO a VALUES (1), (1);'
    migration 002_b <<'SQL'
-- rung: no-transaction
INSERT INTO a VALUES (2);
CREATE UNIQUE INDEX CONCURRENTLY u ON a (n);
INSERT INTO a VALUES (3);
SQL
    make_script
    run_script
    assert_status 3
    assert_sql 'SELECT statements, note FROM schema_migrations WHERE version = 2' \
        '1|statement 2 running'

    run_rung plan --sql
    assert_status 1
    assert_out ''
    assert_err_has '002_b.sql is unfinished: a script cannot go on with it'

    sql 'DELETE FROM a WHERE ctid = (SELECT min(ctid) FROM a WHERE n = 1)'
    run_rung up
    assert_status 0
    assert_applied 1 2
    assert_sql 'SELECT n FROM a ORDER BY n' 1 2 3
    assert_sql "SELECT indisvalid FROM pg_index WHERE indexrelid = 'u'::regclass" t
}

@test "a file that empties the ledger is rolled back" {
    migration 001_a <<<'CREATE TABLE a ();'
    migration 002_b <<<'CREATE TABLE b (); DELETE FROM schema_migrations;'
    make_script
    run_script
    assert_status 3
    assert_err_has 'division by zero'
    assert_applied 1
    assert_sql "SELECT to_regclass('b')" ''
}

@test "a ledger with a trigger, or one in another schema, is not written to" {
    migration 001_a <<<'CREATE TABLE a ();'
    make_script --from 1
    sql 'CREATE SCHEMA s; CREATE TABLE s.schema_migrations
         (version bigint PRIMARY KEY, filename text, checksum text, applied_at timestamptz)'
    run_script
    assert_status 3
    assert_err_has 'there is no such ledger in the search_path, but there is one in another'

    sql "ALTER TABLE s.schema_migrations SET SCHEMA public;
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER t AFTER INSERT ON schema_migrations EXECUTE FUNCTION f()"
    run_script
    assert_status 3
    assert_err_has 'the ledger is no plain table of ours'

    sql 'DROP TRIGGER t ON schema_migrations'
    run_script
    assert_status 0
    assert_sql 'SELECT version, statements FROM schema_migrations' '1|1'
}

@test "a directory with a refused file makes no script" {
    migration 001_a <<<'CREATE TABLE a ();'
    migration 002_b <<<'\connect other'
    run_rung plan --sql
    assert_status 1
    assert_out ''
    assert_err_has 'migrations/002_b.sql:1:1: error: psql command "\connect" is not supported'
    assert_untouched
}
