#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031 # dollars are SQL's; subshells change the environment
#
# `rung test`: boots a server of its own, applies, undoes and applies every file, compares,
# and leaves nothing: not in the test's database, not in the directory for temporary files.

load ../lib/helpers

setup() {
    rung_setup
    # Where the server's user may write, and the name is short enough for a socket.
    scratch=$(mktemp -d /tmp/rung-scratch.XXXXXX)
    chmod 1777 "$scratch"
    export TMPDIR=$scratch
}

# Every test: nothing is left behind, and the database of the test was not touched.
teardown() {
    local left=0
    assert_nothing_left || left=1
    assert_untouched || left=1
    rung_teardown
    rm -rf -- "$scratch"
    return "$left"
}

# The keeper deletes after rung has ended, if that was killed: at most 60 seconds.
assert_nothing_left() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        [ -n "$(ls -A "$scratch")" ] || return 0
        sleep 0.1
    done
    fail_with "left in $scratch: $(ls -A "$scratch")"
}

# The files of most tests: two that are undone cleanly.
two_files() {
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 001_t.down <<<'DROP TABLE t;'
    migration 002_u <<<'CREATE TABLE u (n int); CREATE INDEX ON u (n);'
    migration 002_u.down <<<'DROP TABLE u;'
}

run_test() {
    run_rung test --pg-bin "$PG_BINDIR" "$@"
}

# What --keep printed, as a shell evaluates it; $stop is the command behind the #.
take_address() {
    [[ $out =~ '# '(kill [0-9]+)' stops' ]] || fail_with 'no kill PID' || return 1
    stop=${BASH_REMATCH[1]}
    eval "$(tail -n 2 <<<"$out")"
}

# assert_steps LINE...: stdout, without the server's line and times.
assert_steps() {
    [[ $out == 'PostgreSQL '*', empty, from '"$(realpath "$PG_BINDIR")"$'\n'* ]] ||
        fail_with 'the first line does not say which server' || return 1
    out=${out#*$'\n'}
    assert_done "$@"
}

@test "every file is applied, undone and applied again" {
    two_files
    run_test
    assert_status 0
    assert_steps 'applied 001_t.sql (1 statement)' 'applied 002_u.sql (2 statements)' \
        'undid 002_u.sql (1 statement)' 'undid 001_t.sql (1 statement)' \
        'applied 001_t.sql (1 statement)' 'applied 002_u.sql (2 statements)' \
        'tested 2 migrations: applied, undone and applied again; the schema is the same'
    assert_err ''
    run_test -q
    assert_status 0
    assert_out ''
    assert_err ''
}

@test "the server's programs are found without being named" {
    two_files
    run_rung test
    assert_status 0
    assert_out_has 'the schema is the same'
}

@test "what the environment says of other servers has no say" {
    two_files
    export DATABASE_URL='postgresql://nobody:geheim@localhost:1/nosuch' PGHOST=/nonexistent
    export PGSERVICE=nosuch PGOPTIONS='-c search_path=nosuch' PGSSLMODE=verify-full
    export PGUSER=nosuch PGDATABASE=nosuch PGPORT=1 PGCHANNELBINDING=require
    run_test
    assert_status 0
    assert_err ''
    run_test -d postgresql:///x
    assert_status 2
    assert_err_has 'error: --database does not belong to `rung test`'
    use_database "${databases[0]}"
}

@test "what a down file leaves behind is shown, and whose it is" {
    two_files
    migration 001_t <<<"CREATE TABLE t (n int); CREATE TYPE mood AS ENUM ('calm');"
    run_test
    assert_status 1
    assert_err_has \
        'migrations/001_t.down.sql: error: the schema is not what it was before 001_t.sql' \
        'hint: Lines with + were left behind, lines with - are gone.'
    assert_out_has '--- before' '+++ undone' '+CREATE TYPE public.mood AS ENUM ('
    assert_out_lacks 'tested' '+CREATE TABLE' '-CREATE TABLE'
    assert_equal "$(grep -c 'error:' "$T/err")" 1
}

@test "every such file is named, and no other" {
    migration 001_a.down <<<'SELECT 1;'
    migration 002_b <<<'CREATE TABLE b (n int);'
    migration 002_b.down <<<'DROP TABLE b;'
    migration 001_a <<<'CREATE TABLE IF NOT EXISTS a (n int);'
    migration 003_c <<<'ALTER TABLE b ADD IF NOT EXISTS x int;'
    migration 003_c.down <<<'SELECT 1;'
    run_test
    assert_status 1
    assert_lines "$(grep error: "$T/err")" \
        'migrations/001_a.down.sql: error: the schema is not what it was before 001_a.sql' \
        'migrations/003_c.down.sql: error: the schema is not what it was before 003_c.sql'
}

@test "a down file that takes more than its file made is one, too" {
    two_files
    rm migrations/001_t.down.sql # which would take the traces away
    migration 002_u.down <<<'DROP TABLE u, t; CREATE TABLE t (n bigint);'
    run_test
    assert_status 1
    assert_err_has 'migrations/002_u.down.sql: error: the schema is not what it was before 002_u.sql'
    assert_out_has '-    n integer' '+    n bigint'
}

@test "a file that makes another schema the second time is shown" {
    migration 001_log <<<'CREATE TABLE log (n int);'
    migration 002_x <<'SQL'
DO $$ BEGIN
    IF EXISTS (SELECT FROM log) THEN CREATE TABLE x (second int);
    ELSE CREATE TABLE x (first int); END IF;
    INSERT INTO log VALUES (1);
END $$;
SQL
    migration 002_x.down <<<'DROP TABLE x;'
    run_test
    assert_status 1
    assert_err_has 'migrations/002_x.sql: error: applied again, it makes another schema'
    assert_out_has '--- applied' '+++ applied again' '-    first integer' '+    second integer'
    assert_out_lacks 'tested'
}

@test "a file that cannot be applied again fails, and it is said when" {
    local role="${PGDATABASE}_role"
    migration 001_role <<<"CREATE ROLE $role;"
    migration 001_role.down <<<'SELECT 1;'
    run_test
    assert_status 1
    assert_err_has "migrations/001_role.sql:1:13: error: role \"$role\" already exists" \
        'That was on a new server, where it had been applied and undone before: something was left behind.'
}

@test "a file that fails at all is shown as up shows it" {
    two_files
    migration 003_v <<<$'SELECT 1;\nSELECT nosuch FROM t;'
    run_test
    assert_status 1
    assert_steps 'applied 001_t.sql (1 statement)' 'applied 002_u.sql (2 statements)'
    assert_lines "$err" 'migrations/003_v.sql:2:8: error: column "nosuch" does not exist  [42703]' \
        '    2 | SELECT nosuch FROM t;' '      |        ^~~~~~' \
        'That was on a new, empty server; your database was not touched.'
    migration 003_v <<<'GRANT SELECT ON t TO nosuch_app;'
    run_test
    assert_status 1
    assert_err_has 'hint: A new server has no role but postgres: let a migration create this one where it does not exist yet.'
}

@test "a down file that fails is shown, too" {
    two_files
    migration 001_t.down <<<'DROP TABLE nosuch;'
    run_test
    assert_status 1
    assert_err_has 'migrations/001_t.down.sql:1:12: error: table "nosuch" does not exist' \
        'That was on a new server, where every file was applied; your database was not touched.'
}

@test "files are undone down to the newest that cannot be" {
    two_files
    migration 003_v <<<'CREATE TABLE v (n int);'
    migration 003_v.down <<<'DROP TABLE v;'
    rm migrations/002_u.down.sql
    run_test
    assert_status 0
    assert_steps 'applied 001_t.sql (1 statement)' 'applied 002_u.sql (2 statements)' \
        'applied 003_v.sql (1 statement)' 'undid 003_v.sql (1 statement)' \
        'applied 003_v.sql (1 statement)' \
        'tested 3 migrations: applied; 2 of them undone and applied again; the schema is the same (002_u.sql has no down file)'
    migration 003_v <<<$'-- rung: irreversible\nCREATE TABLE v (n int);'
    run_test
    assert_status 0
    assert_out_has 'tested 3 migrations: applied; 1 of them undone and applied again; the schema is the same (003_v.sql is irreversible, 1 more cannot be undone either)'
    assert_out_lacks undid
    migration 003_v <<<'CREATE TABLE v (n int);'
    migration 003_v.down <<<'-- rung: irreversible'
    rm migrations/001_t.down.sql migrations/002_*
    run_test
    assert_status 0
    assert_out_has 'tested 2 migrations: applied; none was undone (003_v.sql is irreversible, 1 more cannot be undone either)'
}

@test "a down file below one that cannot be undone is tried, too" {
    two_files
    migration 003_v <<<'CREATE TABLE v (n int);'
    migration 002_u.down <<<'DROP TABLE nosuch;'
    run_test
    assert_status 1
    assert_steps 'applied 001_t.sql (1 statement)' 'applied 002_u.sql (2 statements)' \
        'applied 003_v.sql (1 statement)'
    assert_err_has 'migrations/002_u.down.sql:1:12: error: table "nosuch" does not exist' \
        'That was on a new server, where the files up to it were applied; your database was not touched.'
    migration 002_u.down <<<'SELECT 1;'
    run_test
    assert_status 1
    assert_err_has 'migrations/002_u.down.sql: error: the schema is not what it was before 002_u.sql'
    assert_out_has '+CREATE TABLE public.u ('
    assert_out_lacks tested
    # What fails at all is said first.
    migration 004_bad <<<'SELECT nosuch;'
    run_test
    assert_status 1
    assert_err_has 'migrations/004_bad.sql:1:8: error: column "nosuch" does not exist'
    assert_err_lacks 002_u
    rm migrations/004_bad.sql
    migration 002_u.down <<<'DROP TABLE u;'
    run_test
    assert_status 0
    assert_out_has 'tested 3 migrations: applied; 2 of them undone and applied again; the schema is the same (003_v.sql has no down file)'
}

@test "an extension may stay: it belongs to the database" {
    migration 001_ext <<<'CREATE EXTENSION IF NOT EXISTS pg_trgm;'
    migration 001_ext.down <<<'SELECT 1;'
    run_test
    assert_status 0
    assert_out_has 'the schema is the same'
    migration 001_ext <<<'CREATE EXTENSION IF NOT EXISTS pg_trgm; CREATE TABLE IF NOT EXISTS t (n int);'
    run_test
    assert_status 1
    assert_out_has '+CREATE TABLE public.t ('
    assert_out_lacks EXTENSION
}

@test "files without a transaction, drafts and an empty directory" {
    two_files
    migration 003_i <<<'CREATE INDEX CONCURRENTLY i ON u (n);'
    migration 003_i.down <<<'DROP INDEX CONCURRENTLY i;'
    touch migrations/004_draft.sql
    run_test
    assert_status 0
    assert_out_has 'tested 3 migrations: applied, undone and applied again; the schema is the same'
    assert_lines "$err" \
        'migrations/004_draft.sql: notice: holds no statement yet: a draft, not applied'
    rm migrations/*
    run_test
    assert_status 0
    assert_out 'nothing to test: no migration holds a statement'
    assert_err ''
    run_test -m nosuch
    assert_status 2
    assert_err_has 'error: no such directory: "nosuch"'
}

@test "a ledger elsewhere is there, and no difference" {
    two_files
    RUNG_TABLE='"My Schema".ledger' run_test
    assert_status 0
    assert_out_has 'the schema is the same'
    assert_err ''
    migration 002_u.down <<<'DROP TABLE u; DROP SCHEMA "My Schema" CASCADE;'
    run_test -t '"My Schema".ledger'
    assert_status 1
    assert_err_has migrations/002_u.down.sql
}

@test "a directory where no socket fits, or with an odd name, is not used" {
    local long odd
    two_files
    long=$scratch/$(printf 'x%.0s' {1..100})
    odd="$scratch/it's \"a, b\""
    for TMPDIR in "$long" "$odd" /nonexistent; do
        [ "$TMPDIR" = /nonexistent ] || { mkdir "$TMPDIR" && chmod 1777 "$TMPDIR"; }
        run_test --keep
        assert_status 0
        take_address
        [[ $DATABASE_URL == *'host=/tmp/rung-server-'* ]] || fail_with 'not in /tmp' || return 1
        $stop
        [ "$TMPDIR" = /nonexistent ] || rmdir "$TMPDIR"
    done
    use_database "${databases[0]}"
}

@test "two at once are not in each other's way" {
    two_files
    start_rung a test --pg-bin "$PG_BINDIR"
    start_rung b test --pg-bin "$PG_BINDIR"
    wait_rung a
    assert_status 0
    wait_rung b
    assert_status 0
    assert_out_has 'the schema is the same'
}

@test "--keep leaves the server running, and says where it is and how it is stopped" {
    local stop directory
    two_files
    out=$("$RUNG" test --pg-bin "$PG_BINDIR" -q --keep 2>"$T/err" 3>&- 4>&-) # ends, although the server runs on
    assert_equal "$(cat "$T/err")" ''
    [[ $out =~ ^export\ DATABASE_URL=\'postgresql:///postgres\?host=($scratch/rung-server-[A-Za-z0-9]*)\&user=postgres\'$'\n'#\ (kill\ [0-9]+)\ stops\ that\ server\ and\ deletes\ it$ ]] ||
        fail_with 'not the two lines' || return 1
    directory=${BASH_REMATCH[1]} stop=${BASH_REMATCH[2]}
    eval "$out"
    assert_equal "$("$PG_BINDIR/psql" -XAt -d "$DATABASE_URL" -c 'SELECT count(*) FROM u')" 0
    run_rung status
    assert_status 0
    assert_out_has '2 applied, 0 pending'
    [ -d "$directory" ]
    $stop
    assert_nothing_left
    use_database "${databases[0]}"
}

@test "--keep keeps what failed as it is" {
    two_files
    migration 002_u <<<'SELECT nosuch;'
    run_test -q --keep
    assert_status 1
    take_address
    run_rung status
    assert_out_has '1 applied, 1 pending'
    $stop
    use_database "${databases[0]}"
}

# Start it, and wait until it is in the middle of the second file.
start_long_test() {
    two_files
    migration 002_u <<<'SELECT pg_sleep(600);'
    start_rung test test --pg-bin "$PG_BINDIR" "$@"
    wait_for_text "$T/out.test" 'applied 001_t.sql'
    [ -n "$(ls -A "$scratch")" ]
}

@test "SIGTERM stops it, and the server is gone when it has ended" {
    start_long_test --keep
    kill -TERM "$pid"
    wait_rung test
    assert_status 143
    assert_err_has 'The server is stopped and deleted.'
    assert_equal "$(ls -A "$scratch")" ''
}

@test "so does a signal while the server is being made" {
    local tries
    two_files
    start_rung test test --pg-bin "$PG_BINDIR"
    for ((tries = 0; tries < 6000; tries++)); do
        [ -z "$(ls -A "$scratch")" ] || break
        sleep 0.01
    done
    kill -TERM "$pid"
    wait_rung test
    assert_status 143
    assert_equal "$(ls -A "$scratch")" ''
}

@test "when rung is killed the server ends by itself" {
    local server
    start_long_test
    server=$(head -n 1 "$scratch"/rung-server-*/data/postmaster.pid)
    kill -KILL "$pid"
    wait_rung test
    assert_nothing_left
    ! kill -0 "$server" 2>/dev/null || fail_with 'the server still runs'
}

@test "no programs are exit 2, and programs that fail say why" {
    local bin=$scratch/bin
    two_files
    run_rung test --pg-bin "$T"
    assert_status 2
    assert_out ''
    assert_lines "$err" "rung: error: no initdb in $T" \
        'hint: --pg-bin is the directory with initdb, postgres and pg_dump.'
    mkdir "$bin"
    printf '#!/bin/sh\necho "no room on the device" >&2\nexit 1\n' | tee "$bin/initdb" >"$bin/postgres"
    printf '#!/bin/sh\n' >"$bin/pg_dump"
    chmod -R a+rx "$bin"
    run_rung test --pg-bin "$bin"
    assert_status 1
    assert_lines "$err" 'rung: error: initdb failed' 'detail: no room on the device'
    printf '#!/bin/sh\n' >"$bin/initdb"
    run_rung test --pg-bin "$bin"
    assert_status 1
    assert_lines "$err" 'rung: error: the server did not start' 'detail: no room on the device'
    rm -r "$bin"
}
