#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# `rung redo`: undo and apply again, or nothing at all.

load ../lib/helpers

two_tables() {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 001_a.down <<<'DROP TABLE a;'
    migration 002_b <<<'CREATE TABLE b (n int);'
    migration 002_b.down <<<'DROP TABLE b;'
    run_rung up
    assert_status 0
}

# The columns of b, and when it was applied.
columns() {
    sql "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = 'b'::regclass AND attnum > 0"
}

@test "redo undoes the newest one and applies the edited file" {
    two_tables
    before=$(sql 'SELECT applied_at FROM schema_migrations WHERE version = 2')
    migration 002_b <<<'CREATE TABLE b (n int, m int);'
    run_rung redo
    assert_status 0
    assert_done 'undid 002_b.sql (1 statement)' 'applied 002_b.sql (1 statement)'
    assert_err ''
    assert_equal "$(columns)" 'n m'
    assert_applied 1 2
    assert_sql "SELECT applied_at > '$before' FROM schema_migrations WHERE version = 2" t
    run_rung verify
    assert_status 0
}

@test "redo N: all are undone first, newest first, then applied in order" {
    two_tables
    migration 001_a <<<'CREATE TABLE a (n int, m int);'
    run_rung redo 2
    assert_status 0
    assert_done 'undid 002_b.sql (1 statement)' 'undid 001_a.sql (1 statement)' \
        'applied 001_a.sql (1 statement)' 'applied 002_b.sql (1 statement)'
    assert_err ''
    assert_applied 1 2
}

@test "redo leaves what is pending behind it pending" {
    two_tables
    migration 003_c <<<'CREATE TABLE c ();'
    run_rung redo
    assert_status 0
    assert_done 'undid 002_b.sql (1 statement)' 'applied 002_b.sql (1 statement)'
    assert_applied 1 2
}

# unchanged STATUS ARGS: rung ARGS fails and changes nothing.
unchanged() {
    local before wanted=$1
    shift
    before=$(sql 'SELECT * FROM schema_migrations ORDER BY 1')
    run_rung "$@"
    assert_status "$wanted"
    assert_out ''
    assert_equal "$(sql 'SELECT * FROM schema_migrations ORDER BY 1')" "$before"
    assert_sql "SELECT to_regclass('a'), to_regclass('b')" 'a|b'
}

@test "more than there is, and what is no count" {
    two_tables
    unchanged 2 redo 3
    assert_err 'rung: error: 3 migrations cannot be undone: 2 are applied'
    unchanged 2 redo x
    assert_err 'rung: error: N is how many, from 1 on, not "x"'
}

@test "with nothing applied there is nothing to redo" {
    run_rung redo
    assert_status 2
    assert_err 'rung: error: there is nothing to undo: nothing is applied'
    assert_untouched
}

@test "what cannot be applied again is not undone" {
    two_tables
    migration 002_b <<<$'CREATE TABLE b (n int);\nSELECT \'open;'
    unchanged 1 redo
    assert_err_has 'migrations/002_b.sql:2:8: error: '
    rm migrations/002_b.sql
    unchanged 1 redo
    assert_err 'rung: error: nothing was undone: version 2 has no file to apply again'
}

@test "what up would refuse afterwards is refused before" {
    two_tables
    migration 001_a <<<'CREATE TABLE a (n int, m int);'
    unchanged 3 redo
    assert_err_has '001_a.sql: edited after it was applied'
}

@test "without a down file nothing happens" {
    two_tables
    rm migrations/002_b.down.sql
    unchanged 1 redo
    assert_err_has 'rung: error: 002_b.sql has no down file'
}

@test "an edited file that fails is undone, named, and waits for its correction" {
    two_tables
    migration 002_b <<<'CREATE TABLE b (n nosuch);'
    run_rung redo
    assert_status 1
    assert_done 'undid 002_b.sql (1 statement)'
    assert_err_has 'migrations/002_b.sql:1:19: error: type "nosuch" does not exist' \
        '001 is applied. Fix the file and run `rung up`.'
    assert_applied 1
    migration 002_b <<<'CREATE TABLE b (n int);'
    run_rung up
    assert_status 0
    assert_applied 1 2
}

@test "a down file that fails is named, and what to do fits what was undone before it" {
    two_tables
    migration 002_b.down <<<'DROP TABLE nosuch;'
    unchanged 1 redo
    assert_err_has 'migrations/002_b.down.sql:1:12: error: table "nosuch" does not exist' \
        '001-002 are applied. Fix the down file and run `rung down`.'
    migration 002_b.down <<<'DROP TABLE b;'
    migration 001_a.down <<<'DROP TABLE nosuch;'
    run_rung redo 2
    assert_status 1
    assert_done 'undid 002_b.sql (1 statement)'
    assert_err_has '001 is applied. `rung up` applies again what was undone.'
    assert_applied 1
}
