#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# `rung show`, `rung history` and `rung current`: they look, and write nothing.

load ../lib/helpers

sum_of() {
    local sum
    sum=$(sha256sum <"migrations/$1")
    printf '%s' "${sum%% *}"
}

# Give the rows times that a test can know.
fix_times() {
    sql "UPDATE schema_migrations SET duration_ms = version * 1500, applied_at =
         '2026-01-31 12:00:00Z'::timestamptz + version * interval '1 hour'"
}

# ---- show ----------------------------------------------------------------------------

@test "show: the file, its row, and its statements with lines and kinds" {
    migration 002_b <<<$'-- rung: no-transaction\nCREATE TABLE b (n int);\n\nCREATE INDEX CONCURRENTLY i ON b (n);\nCOPY b FROM stdin;\n1\n\\.'
    migration 002_b.down <<<'DROP TABLE b;'
    run_rung up
    fix_times
    run_rung show 2
    assert_status 0
    assert_err ''
    assert_lines "$out" \
        'file        002_b.sql' \
        'state       applied' \
        "checksum    $(sum_of 002_b.sql)" \
        'down file   002_b.down.sql' \
        'applied     2026-01-31 14:00:00Z' \
        'by          postgres' \
        'took        3.0 s' \
        'ran         3 statements' \
        '    1  line 2      CREATE TABLE' \
        '    2  line 4      CREATE INDEX CONCURRENTLY  (alone)' \
        '    3  line 5      COPY  (COPY data)'
}

@test "show --down: the statements of the down file" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 001_a.down <<<$'\nDROP TABLE a;'
    run_rung show 1 --down
    assert_status 0
    assert_err ''
    assert_lines "$out" 'file        001_a.sql' 'state       pending' \
        "checksum    $(sum_of 001_a.sql)" 'down file   001_a.down.sql' \
        '    1  line 2      DROP TABLE'
    migration 002_b <<<'CREATE TABLE b (n int);'
    run_rung show 2 --down
    assert_status 2
    assert_out ''
    assert_err 'rung: error: migration 2 has no down file in migrations'
    assert_untouched
}

@test "show of an edited file has both checksums and the problem" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    run_rung up
    old=$(sum_of 001_a.sql)
    migration 001_a <<<'CREATE TABLE a (n bigint);'
    run_rung show 1
    assert_status 0
    assert_out_has 'state       edited' "checksum    $(sum_of 001_a.sql)" \
        "recorded    $old" 'migrations/001_a.sql: error: edited after it was applied' \
        '    1  line 1      CREATE TABLE'
    assert_err ''
}

@test "show of a version whose file is gone shows its row" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<<'CREATE TABLE b (n int);'
    run_rung up
    fix_times
    old=$(sum_of 001_a.sql)
    rm migrations/001_a.sql
    run_rung show 1
    assert_status 0
    assert_out_has 'file        001_a.sql' 'state       missing' "recorded    $old" \
        'applied     2026-01-31 13:00:00Z'
    assert_out_lacks 'line 1'
    assert_err ''
}

@test "show without a database, and --offline, know the file only" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    run_rung up
    run_rung show 1 --offline
    assert_status 0
    assert_lines "$out" 'file        001_a.sql' 'state       pending' \
        "checksum    $(sum_of 001_a.sql)" '    1  line 1      CREATE TABLE'
    offline=$out
    DATABASE_URL='' PGHOST='' PGDATABASE='' run_rung show 1
    assert_status 0
    assert_out "$offline"
}

@test "show of what is not there, and of no number" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    run_rung show 9
    assert_status 2
    assert_out ''
    assert_err 'rung: error: there is no migration 9 in migrations, nor in the ledger'
    run_rung show 9 --offline
    assert_status 2
    assert_err 'rung: error: there is no migration 9 in migrations'
    run_rung show 001_a
    assert_status 2
    assert_err 'rung: error: VERSION is a number such as 7 or 007, not "001_a"'
    run_rung show
    assert_status 2
    assert_lines "$err" 'rung: error: `rung show` needs VERSION' \
        'hint: `rung help show` says more.'
    run_rung show 1 --applied
    assert_status 1
    assert_err_has 'the text of version 1 was not kept'
    run_rung show 1 --applied --offline
    assert_status 2
    assert_err 'rung: error: --applied needs a connection'
    assert_untouched
}

# ---- history and current -------------------------------------------------------------

@test "history: newest first, with the notes" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<<'CREATE TABLE b (n int);'
    run_rung stamp 1
    run_rung up
    fix_times
    run_rung history
    assert_status 0
    assert_err ''
    assert_lines "$out" \
        'state    version  name  applied               by        took' \
        'applied  002      b     2026-01-31 14:00:00Z  postgres  3.0 s' \
        'applied  001      a     2026-01-31 13:00:00Z  postgres  1.5 s' \
        '001_a.sql: stamped: recorded without running'
    run_rung history -n 1
    assert_status 0
    assert_lines "$out" \
        'state    version  name  applied               by        took' \
        'applied  002      b     2026-01-31 14:00:00Z  postgres  3.0 s'
    run_rung history --limit=7
    assert_status 0
    assert_out_has '001      a'
    for n in 0 -1 x; do
        run_rung history -n "$n"
        assert_status 2
        assert_out ''
        assert_err "rung: error: N is how many, from 1 on, not \"$n\""
    done
}

@test "history and current need no files, and no right but SELECT" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    run_rung up
    rm -r migrations
    sql "CREATE ROLE \"$role\" LOGIN; GRANT SELECT ON schema_migrations TO \"$role\""
    use_database "$PGDATABASE" "$role"
    run_rung current
    assert_status 0
    assert_out 001_a.sql
    assert_err ''
    run_rung history
    assert_status 0
    assert_out_has 'applied  001      a'
    assert_err ''
    use_database "$PGDATABASE"
    sql "DROP OWNED BY \"$role\""
}

@test "show needs no right but SELECT" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    run_rung up
    sql "CREATE ROLE \"$role\" LOGIN; GRANT SELECT ON schema_migrations TO \"$role\""
    use_database "$PGDATABASE" "$role"
    run_rung show 1
    use_database "$PGDATABASE"
    assert_status 0
    assert_out_has 'state       applied' '    1  line 1      CREATE TABLE'
    assert_err ''
    sql "DROP OWNED BY \"$role\""
}

@test "with nothing applied history and current print nothing" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    for command in history current; do
        run_rung "$command"
        assert_status 0
        assert_out ''
        assert_err ''
    done
    assert_untouched
}

@test "current is the newest applied one, not one that is unfinished" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<<$'-- rung: no-transaction\nVACUUM a;\nVACUUM nosuch;'
    run_rung up
    assert_status 1
    run_rung current
    assert_status 0
    assert_out 001_a.sql
    run_rung history
    assert_status 0
    assert_out_has 'unfinished  002      b' 'applied     001      a'
}

@test "a file name in the ledger cannot attack a terminal" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    run_rung up
    sql "INSERT INTO schema_migrations VALUES (2, E'002_\\x1b[31m.sql', '', now())"
    for command in current history 'show 2'; do
        # shellcheck disable=SC2086 # two words
        run_rung $command
        assert_status 0
        assert_out_has '\x1b[31m'
        assert_out_lacks $'\033'
    done
}
