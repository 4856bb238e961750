#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# `rung up --one-transaction`: all pending files, or none.

load ../lib/helpers

@test "all pending files are one transaction, each with its row" {
    migration 001_a <<<'CREATE TABLE a (x xid8); INSERT INTO a SELECT pg_current_xact_id();'
    migration 002_b <<<'INSERT INTO a SELECT pg_current_xact_id();'
    migration 003_c <<<'INSERT INTO a SELECT pg_current_xact_id();'
    run_rung up --one-transaction
    assert_status 0
    assert_done 'applied 001_a.sql (2 statements)' 'applied 002_b.sql (1 statement)' \
        'applied 003_c.sql (1 statement)'
    assert_err ''
    assert_sql 'SELECT count(*), count(DISTINCT x::text) FROM a' '3|1'
    assert_sql 'SELECT version, statements FROM schema_migrations ORDER BY 1' '1|2' '2|1' '3|1'
}

@test "settings of one file do not reach the next" {
    migration 001_a <<<$'CREATE SCHEMA s;\nSET search_path = s;\nCREATE TABLE a ();'
    migration 002_b <<<'CREATE TABLE b ();'
    run_rung up --one-transaction
    assert_status 0
    assert_sql "SELECT to_regclass('s.a'), to_regclass('public.b')" 's.a|b'
}

@test "one that fails takes all of them back, and is named with its line" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    run_rung up
    migration 002_b <<<'CREATE TABLE b (n int);'
    migration 003_c <<<$'CREATE TABLE c (n int);\nSELECT nosuch FROM c;'
    migration 004_d <<<'CREATE TABLE d (n int);'
    run_rung up --one-transaction
    assert_status 1
    assert_out ''
    assert_lines "$err" \
        'migrations/003_c.sql:2:8: error: column "nosuch" does not exist  [42703]' \
        '    2 | SELECT nosuch FROM c;' \
        '      |        ^~~~~~' \
        '003_c.sql and the others were rolled back at statement 2 of 2; 001 is applied. Fix the file and run `rung up`.'
    assert_applied 1
    assert_sql "SELECT to_regclass('b'), to_regclass('c'), to_regclass('d')" '||'
    migration 003_c <<<'CREATE TABLE c (n int);'
    run_rung up --one-transaction
    assert_status 0
    assert_applied 1 2 3 4
}

@test "a file that runs without a transaction is refused before anything runs" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_i <<<'CREATE INDEX CONCURRENTLY i ON a (n);'
    run_rung up --one-transaction
    assert_status 1
    assert_out ''
    assert_lines "$err" \
        'rung: error: 002_i.sql runs without a transaction: it cannot be part of --one-transaction' \
        'hint: Run `rung up VERSION` up to it first, or leave --one-transaction out.'
    assert_sql "SELECT to_regclass('a')" ''
    run_rung up 1 --one-transaction
    assert_status 0
    assert_applied 1
}

@test "only the first file may say how the transaction is isolated" {
    migration 001_a <<<'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; CREATE TABLE a (n int);'
    migration 002_b <<<'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; CREATE TABLE b (n int);'
    run_rung up --one-transaction
    assert_status 1
    assert_out ''
    assert_err 'rung: error: 002_b.sql asks for a transaction of its own (ISOLATION LEVEL REPEATABLE READ): it cannot be part of --one-transaction'
    assert_sql "SELECT to_regclass('a')" ''
    run_rung up 1 --one-transaction
    assert_status 0
    assert_applied 1
}

@test "plan and --dry-run refuse it as well" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_i <<<'CREATE INDEX CONCURRENTLY i ON a (n);'
    for command in plan 'up --dry-run'; do
        # shellcheck disable=SC2086 # two words
        run_rung $command --one-transaction
        assert_status 1
        assert_out ''
        assert_err_has '002_i.sql runs without a transaction: it cannot be part of --one-transaction'
        assert_untouched
    done
}

@test "up to VERSION, in one transaction" {
    for name in 1_a 2_b 3_c; do migration "$name" <<<"CREATE TABLE ${name#*_} ();"; done
    run_rung up 2 --one-transaction
    assert_status 0
    assert_applied 1 2
}

@test "nothing pending is nothing to do" {
    run_rung up --one-transaction -v
    assert_status 0
    assert_out 'nothing to do: nothing is applied'
    assert_untouched
}

@test "killed in the second file, nothing is there, and the next run does all" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<<'SELECT pg_sleep(60) WHERE NOT EXISTS (SELECT FROM pg_class WHERE relname = '"'go'"');'
    start_rung up up --one-transaction
    wait_until "SELECT count(*) = 1 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'"
    kill -KILL "$pid"
    wait_rung up
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname =
         current_database() AND pid <> pg_backend_pid()" >/dev/null
    assert_sql "SELECT to_regclass('a')" ''
    assert_applied
    sql 'CREATE TABLE go ()'
    run_rung up --one-transaction
    assert_status 0
    assert_applied 1 2
}
