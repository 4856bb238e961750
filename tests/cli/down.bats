#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# `rung down`: what is undone, what stands in the way, and where it stops.

load ../lib/helpers

# Three tables, each with its down file.
three_tables() {
    local name
    for name in 1_a 2_b 3_c; do
        migration "00$name" <<<"CREATE TABLE ${name#*_} (n int);"
        migration "00$name.down" <<<"DROP TABLE ${name#*_};"
    done
}

applied() {
    "$1"
    run_rung up
    assert_status 0
}

# The names of the user's tables.
assert_tables() {
    assert_sql "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace =
                'public'::regnamespace AND relname !~ '^schema_migrations' ORDER BY 1" "$@"
}

# refused STATUS MESSAGE [HINT] -- ARGS: rung ARGS fails in exactly these words, and
# nothing changes.
refused() {
    local wanted=$1 lines=("rung: error: $2") before
    if [ "$3" != -- ]; then
        lines+=("hint: $3")
        shift
    fi
    shift 3
    before=$(sql 'SELECT * FROM schema_migrations ORDER BY 1')
    run_rung "$@"
    assert_status "$wanted"
    assert_out ''
    assert_lines "$err" "${lines[@]}"
    assert_equal "$(sql 'SELECT * FROM schema_migrations ORDER BY 1')" "$before"
}

# ---- how many ------------------------------------------------------------------------

@test "down undoes the newest one, its table and its row together" {
    applied three_tables
    run_rung down
    assert_status 0
    assert_done 'undid 003_c.sql (1 statement)'
    assert_err ''
    assert_tables a b
    assert_applied 1 2
}

@test "down N undoes the newest N, newest first" {
    applied three_tables
    run_rung down 2
    assert_status 0
    assert_done 'undid 003_c.sql (1 statement)' 'undid 002_b.sql (1 statement)'
    assert_err ''
    assert_tables a
    assert_applied 1
}

@test "down --to VERSION keeps that version" {
    applied three_tables
    run_rung down --to 001
    assert_status 0
    assert_done 'undid 003_c.sql (1 statement)' 'undid 002_b.sql (1 statement)'
    assert_applied 1
    run_rung down --to 1 -v
    assert_status 0
    assert_out 'nothing to do: 1 is the newest applied version'
    assert_err ''
    assert_tables a
}

@test "down --all --yes leaves an empty ledger, and up builds the same again" {
    applied three_tables
    before=$(schema_dump)
    run_rung down --all --yes
    assert_status 0
    assert_done 'undid 003_c.sql (1 statement)' 'undid 002_b.sql (1 statement)' \
        'undid 001_a.sql (1 statement)'
    assert_err ''
    assert_tables
    assert_sql 'SELECT * FROM schema_migrations'
    run_rung up
    assert_status 0
    assert_equal "$(schema_dump)" "$before"
}

@test "--all without --yes and without a terminal does nothing" {
    applied three_tables
    refused 2 '`rung down --all` undoes everything: nothing was done' \
        'Without a terminal to ask on, it needs --yes.' -- down --all
    assert_tables a b c
}

@test "on a terminal --all asks, and only a yes is one" {
    applied three_tables
    for answer in n '' 'yes please' 'N'; do
        run_rung_on_terminal "$answer" down --all
        assert_status 1
        assert_out_has "Undo 3 migrations of database $PGDATABASE? [y/N] " \
            'rung: error: nothing was undone'
        assert_tables a b c
    done
    run_rung_on_terminal y down --all
    assert_status 0
    assert_out_has "Undo 3 migrations of database $PGDATABASE? [y/N] " 'undid 001_a.sql'
    assert_tables
}

@test "--all does not ask about nothing" {
    migration 001_a <<<'SELECT 1;'
    run_rung_on_terminal '' down --all
    assert_status 0
    assert_out_lacks 'y/N'
    assert_untouched
}

# Type ^C as soon as the question stands there.
interrupt() {
    for ((i = 0; i < 600; i++)); do
        ! grep -q 'y/N' screen || break
        sleep 0.1
    done
    printf '\003'
}

@test "^C at the question ends it with 130, and nothing was undone" {
    applied three_tables
    touch screen
    status=0
    interrupt | SHELL=$BASH TERM=dumb script -qefc "$RUNG down --all" /dev/null 3>&- 4>&- \
        >screen || status=$?
    assert_status 130
    assert_has 'the screen' "$(cat screen)" 'rung: error: nothing was undone'
    assert_tables a b c
}

@test "more than there is, none, and what looks like a version are refused" {
    applied three_tables
    refused 2 '4 migrations cannot be undone: 3 are applied' -- down 4
    refused 2 'N is how many, from 1 on, not "0"' -- down 0
    refused 2 'N is how many, from 1 on, not "two"' -- down two
    refused 2 'N is how many; 002 looks like a version' \
        'Without zeros in front it is a count. `rung down --to VERSION` undoes what is newer than a version.' \
        -- down 002
    refused 2 'N, --to and --all exclude each other' -- down 1 --to 1
    refused 2 'N, --to and --all exclude each other' -- down --all --to 1 --yes
    refused 2 'version 7 is not applied' \
        '`rung status` says what is; --all undoes everything.' -- down --to 7
    refused 2 'version 0 is not applied' \
        '`rung status` says what is; --all undoes everything.' -- down --to 0
    assert_tables a b c
}

@test "a version whose file is there but not applied is no place to go back to" {
    applied three_tables
    migration 004_d <<<'CREATE TABLE d ();'
    refused 2 'version 4 is not applied' \
        '`rung status` says what is; --all undoes everything.' -- down --to 4
}

@test "with nothing applied there is nothing to undo" {
    three_tables
    run_rung down
    assert_status 2
    assert_out ''
    assert_err 'rung: error: there is nothing to undo: nothing is applied'
    assert_untouched
    run_rung down --all --yes -v
    assert_status 0
    assert_out 'nothing to do: nothing is applied'
    assert_untouched
}

# ---- what runs -----------------------------------------------------------------------

@test "a down file is one transaction with the removal of its row" {
    migration 001_a <<<'CREATE TABLE a (n int); CREATE TABLE log (x xid8, row_there bool);'
    migration 002_b <<<'CREATE TABLE b (n int);'
    migration 002_b.down <<'SQL'
INSERT INTO log SELECT pg_current_xact_id(),
    EXISTS (SELECT FROM schema_migrations WHERE version = 2);
DROP TABLE b;
INSERT INTO log SELECT pg_current_xact_id(), false;
SQL
    run_rung up
    run_rung down
    assert_status 0
    assert_done 'undid 002_b.sql (3 statements)'
    assert_err ''
    assert_sql 'SELECT count(*), count(DISTINCT x::text), bool_or(row_there) FROM log' '2|1|f'
}

@test "a file given as NNN_name.up.sql is undone by NNN_name.down.sql" {
    migration 001_a.up <<<'CREATE TABLE a ();'
    migration 001_a.down <<<'DROP TABLE a;'
    run_rung up
    run_rung down
    assert_status 0
    assert_done 'undid 001_a.up.sql (1 statement)'
    assert_tables
}

@test "an empty down file is an undo that does nothing" {
    migration 001_a <<<'CREATE TABLE a ();'
    migration 001_a.down </dev/null
    run_rung up
    run_rung down
    assert_status 0
    assert_done 'undid 001_a.sql (no statements)'
    assert_err_has '.down.sql holds no statement: only the row is taken away'
    assert_tables a
    assert_sql 'SELECT * FROM schema_migrations'
}

@test "down runs as --role, and takes its row away as who connected" {
    migration 001_a <<<'CREATE TABLE who (name text);'
    migration 002_b <<<'CREATE TABLE b ();'
    migration 002_b.down <<<'INSERT INTO who VALUES (current_user); DROP TABLE b;'
    role=${PGDATABASE}_owner
    sql "CREATE ROLE \"$role\"; GRANT ALL ON SCHEMA public TO \"$role\""
    run_rung up --role "$role"
    assert_status 0
    run_rung down --role "$role"
    assert_status 0
    assert_sql 'SELECT name FROM who' "$role"
    assert_applied 1
    sql "DROP OWNED BY \"$role\"; DROP ROLE \"$role\""
}

# ---- what stands in the way ----------------------------------------------------------

@test "a missing down file refuses the whole, before anything" {
    applied three_tables
    rm migrations/002_b.down.sql
    refused 1 '002_b.sql has no down file' \
        'Nothing was undone. Write 002_b.down.sql beside it.' -- down 3
    assert_tables a b c
    run_rung down
    assert_status 0
    assert_tables a b
}

@test "an irreversible one refuses the whole, before anything" {
    three_tables
    migration 002_b <<<$'-- rung: irreversible\nCREATE TABLE b (n int);'
    run_rung up
    refused 1 '002_b.sql says that it is irreversible' \
        'Restore a backup, or write a new migration that goes on from here.' -- down 2
    assert_tables a b c
    assert_applied 1 2 3
}

@test "a down file that cannot be split refuses the whole, with its place" {
    applied three_tables
    migration 001_a.down <<<$'DROP TABLE a;\nSELECT \'open;'
    run_rung down --all --yes
    assert_status 1
    assert_out ''
    assert_err_has 'migrations/001_a.down.sql:2:8: error: '
    assert_tables a b c
    assert_applied 1 2 3
}

@test "edited up files do not hinder the undo" {
    applied three_tables
    migration 001_a <<<'CREATE TABLE a (n int, m int);'
    migration 003_c <<<$'SELECT \'cannot even be split;'
    run_rung down 2
    assert_status 0
    assert_done 'undid 003_c.sql (1 statement)' 'undid 002_b.sql (1 statement)'
    assert_err ''
    assert_tables a
}

@test "a missing up file does not hinder the undo, its down file suffices" {
    applied three_tables
    rm migrations/003_c.sql
    run_rung down
    assert_status 0
    assert_done 'undid 003_c.sql (1 statement)'
    assert_tables a b
}

@test "a down file without its up file and without a row is left alone" {
    applied three_tables
    migration 004_d.down <<<'DROP TABLE a;'
    run_rung down
    assert_status 0
    assert_done 'undid 003_c.sql (1 statement)'
    assert_tables a b
}

@test "a wrong down file stops it: what was undone stays undone" {
    applied three_tables
    migration 002_b.down <<<$'DROP TABLE b;\nDROP TABLE nosuch;'
    run_rung down 3
    assert_status 1
    assert_done 'undid 003_c.sql (1 statement)'
    assert_lines "$err" \
        'migrations/002_b.down.sql:2:12: error: table "nosuch" does not exist  [42P01]' \
        '    2 | DROP TABLE nosuch;' \
        '      |            ^~~~~~' \
        '002_b.down.sql was rolled back at statement 2 of 2; 001-002 are applied. Fix the down file and run `rung down`.'
    assert_tables a b
    assert_applied 1 2
    migration 002_b.down <<<'DROP TABLE b;'
    run_rung down 2
    assert_status 0
    assert_tables
}

@test "a down file that empties the ledger itself is rolled back" {
    applied three_tables
    migration 003_c.down <<<'DROP TABLE c; DROP TABLE schema_migrations;'
    run_rung down
    assert_status 1
    assert_out ''
    assert_err_has 'the file drops, replaces or empties the ledger public.schema_migrations'
    assert_tables a b c
    assert_applied 1 2 3
}

@test "an unfinished up is finished or settled first" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<<$'-- rung: no-transaction\nVACUUM a;\nVACUUM nosuch;'
    migration 002_b.down </dev/null
    run_rung up
    assert_status 1
    refused 3 '002_b.sql has not finished: 1 of its statements is applied' \
        'Finish it with `rung up`, or settle it with `rung repair 2 --reason TEXT`.' -- down
}

# ---- without a transaction -----------------------------------------------------------

# An index that is built and dropped CONCURRENTLY; the undo's second statement fails.
interrupted_undo() {
    migration 001_a <<<'CREATE TABLE a (n int); CREATE TABLE b (n int);'
    migration 002_i <<<'CREATE INDEX CONCURRENTLY i ON a (n);'
    migration 002_i.down <<'SQL'
-- rung: no-transaction
INSERT INTO b VALUES (1);
DROP INDEX CONCURRENTLY nosuch;
DROP INDEX CONCURRENTLY i;
SQL
    migration 003_c <<<'CREATE TABLE c ();'
    migration 003_c.down <<<'DROP TABLE c;'
    run_rung up
    assert_status 0
    run_rung down 2
}

@test "an undo that refuses a transaction counts what it has undone, and says so" {
    interrupted_undo
    assert_status 1
    assert_done 'undid 003_c.sql (1 statement)'
    assert_err_has 'migrations/002_i.down.sql:3:25: error: index "nosuch" does not exist' \
        '002_i.down.sql stopped at statement 2 of 3; the 1 before is done and recorded; 001 is applied. Fix the down file and run `rung down`.'
    assert_sql 'SELECT version, undone, applied_at IS NOT NULL, statements
                FROM schema_migrations ORDER BY 1' '1||t|2' '2|1|t|1'
    assert_sql 'SELECT n FROM b' 1
    assert_sql "SELECT to_regclass('i'), to_regclass('c')" 'i|'
}

@test "while an undo is unfinished up refuses, and says so" {
    interrupted_undo
    run_rung up
    assert_status 3
    assert_out ''
    assert_lines "$err" \
        'migrations/002_i.sql: error: its undo stopped behind statement 1' \
        'hint: Finish that with `rung down`.'
    assert_applied 1 2
    run_rung status
    assert_status 0
    assert_out_has 'unfinished  002' 'its undo stopped behind statement 1'
    assert_sql "SELECT to_regclass('c')" ''
}

@test "down goes on with an unfinished undo behind what is done" {
    interrupted_undo
    sed -i 's/nosuch/IF EXISTS nosuch/' migrations/002_i.down.sql
    run_rung down
    assert_status 0
    assert_done 'undid 002_i.sql (3 statements)'
    assert_sql 'SELECT n FROM b' 1
    assert_sql "SELECT to_regclass('i')" ''
    assert_applied 1
    run_rung up
    assert_status 0
    assert_applied 1 2 3
}

@test "down killed in the middle of an undo without a transaction is resumed" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<<'CREATE TABLE b (n int);'
    migration 002_b.down <<'SQL'
-- rung: no-transaction
INSERT INTO a VALUES (1);
SELECT pg_sleep(60) WHERE EXISTS (SELECT FROM a WHERE n = 1);
DROP TABLE b;
SQL
    run_rung up
    start_rung down down
    wait_until "SELECT count(*) = 1 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'"
    kill -KILL "$pid"
    wait_rung down
    assert_status 137
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname =
         current_database() AND pid <> pg_backend_pid()" >/dev/null
    assert_sql 'SELECT version, undone FROM schema_migrations WHERE version = 2' '2|1'
    sql 'UPDATE a SET n = 2'
    run_rung down
    assert_status 0
    assert_done 'undid 002_b.sql (3 statements)'
    assert_sql 'SELECT n FROM a' 2
    assert_tables a
    assert_applied 1
}

@test "two that undo at once undo each file once" {
    applied three_tables
    start_rung one down --to 1
    start_rung two down --to 1
    wait_rung one
    assert_status 0
    first=$out
    wait_rung two
    assert_status 0
    assert_equal "$(printf '%s\n' "$first" "$out" | sed -n 's/ (.*//p' | sort)" \
        $'undid 002_b.sql\nundid 003_c.sql'
    assert_tables a
    assert_applied 1
}

@test "a down file with SIGTERM is rolled back" {
    applied three_tables
    migration 003_c.down <<<'DROP TABLE c; SELECT pg_sleep(60);'
    start_rung down down
    wait_until "SELECT count(*) = 1 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'"
    kill -TERM "$pid"
    wait_rung down
    assert_status 143
    assert_out ''
    assert_err_has '001-003 are applied. Run `rung down` again.'
    assert_tables a b c
    assert_applied 1 2 3
}
