#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# `rung stamp`, also called `rung baseline`: record, run nothing.

load ../lib/helpers

# Two files that would fail, for a database that has their tables already.
existing_database() {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<<'CREATE TABLE b (n int); INSERT INTO b VALUES (1);'
    psql_files migrations/001_a.sql migrations/002_b.sql
}

@test "stamp --all records every file and runs none; the notes say so" {
    existing_database
    run_rung stamp --all
    assert_status 0
    assert_lines "$out" 'recorded 001_a.sql' 'recorded 002_b.sql'
    assert_err ''
    sum=$(sha256sum <migrations/002_b.sql)
    assert_sql "SELECT version, filename, applied_by, applied_at IS NOT NULL, duration_ms,
                       statements, undone, note FROM schema_migrations ORDER BY 1" \
        '1|001_a.sql|postgres|t||||stamped: recorded without running' \
        '2|002_b.sql|postgres|t||||stamped: recorded without running'
    assert_sql 'SELECT checksum FROM schema_migrations WHERE version = 2' "${sum%% *}"
    assert_sql 'SELECT count(*) FROM b' 1
    run_rung verify
    assert_status 0
    run_rung up
    assert_status 0
    assert_out ''
}

@test "stamp VERSION goes up to that file, and up applies the rest" {
    existing_database
    migration 003_c <<<'CREATE TABLE c ();'
    run_rung stamp 2
    assert_status 0
    assert_lines "$out" 'recorded 001_a.sql' 'recorded 002_b.sql'
    run_rung up
    assert_status 0
    assert_done 'applied 003_c.sql (1 statement)'
    assert_sql 'SELECT version, note IS NULL FROM schema_migrations ORDER BY 1' '1|f' '2|f' '3|t'
}

@test "baseline is another name of it" {
    existing_database
    run_rung baseline 1
    assert_status 0
    assert_out 'recorded 001_a.sql'
    assert_err ''
    assert_applied 1
    run_rung help baseline
    assert_status 0
    assert_out_has 'Usage: rung stamp [OPTION]... [VERSION]'
}

@test "a second stamp has nothing to do" {
    existing_database
    run_rung stamp --all
    before=$(sql 'SELECT * FROM schema_migrations ORDER BY 1')
    run_rung stamp --all
    assert_status 0
    assert_out ''
    assert_err ''
    assert_equal "$(sql 'SELECT * FROM schema_migrations ORDER BY 1')" "$before"
}

@test "a draft stays one" {
    existing_database
    migration 003_draft <<<'-- later'
    run_rung stamp --all
    assert_status 0
    assert_lines "$out" 'recorded 001_a.sql' 'recorded 002_b.sql'
    assert_applied 1 2
}

@test "what comes late can be stamped: it is not run" {
    existing_database
    mv migrations/001_a.sql "$T"
    run_rung stamp --all
    mv "$T/001_a.sql" migrations
    run_rung up
    assert_status 3
    run_rung stamp 1
    assert_status 0
    assert_out 'recorded 001_a.sql'
    assert_err ''
    assert_applied 1 2
}

@test "a file that could not run can be stamped" {
    migration 001_a <<<'CREATE INDEX CONCURRENTLY i ON a (n); CREATE TABLE a (n int);'
    run_rung stamp --all
    assert_status 1
    assert_out ''
    assert_untouched
}

@test "stamp needs to be told how far, and that must be a file" {
    existing_database
    for arguments in '' '1 --all'; do
        # shellcheck disable=SC2086 # several words, or none
        run_rung stamp $arguments
        assert_status 2
        assert_out ''
        assert_lines "$err" 'rung: error: `rung stamp` needs VERSION or --all' \
            'hint: It records every file up to VERSION as applied, and runs none.'
    done
    run_rung stamp 7
    assert_status 2
    assert_out ''
    assert_err 'rung: error: there is no migration 7 in migrations'
    assert_sql "SELECT to_regclass('schema_migrations')" ''
}

@test "an edited file stands in the way of a stamp" {
    existing_database
    run_rung stamp 1
    migration 001_a <<<'CREATE TABLE a (m int);'
    run_rung stamp --all
    assert_status 3
    assert_out ''
    assert_err_has '001_a.sql: edited after it was applied'
    assert_applied 1
}

@test "what was stamped can be undone" {
    existing_database
    migration 002_b.down <<<'DROP TABLE b;'
    run_rung stamp --all
    run_rung down
    assert_status 0
    assert_done 'undid 002_b.sql (1 statement)'
    assert_sql "SELECT to_regclass('b')" ''
    assert_applied 1
}

@test "who may not write the ledger is told what is missing, by stamp and by repair" {
    local role=${PGDATABASE}_reader
    migration 001_a <<<'CREATE TABLE a ();'
    run_rung up
    sql "CREATE ROLE \"$role\" LOGIN; GRANT SELECT ON schema_migrations TO \"$role\""
    migration 002_b <<<'CREATE TABLE b ();'
    use_database "$PGDATABASE" "$role"
    run_rung stamp --all
    assert_status 3
    assert_out ''
    assert_err "rung: error: permission denied for table schema_migrations
hint: GRANT SELECT, INSERT, UPDATE, DELETE ON public.schema_migrations TO $role;  [42501]"
    echo '-- edited' >>migrations/001_a.sql
    run_rung repair --reason why --yes -q
    assert_status 3
    assert_err_has "hint: GRANT SELECT, INSERT, UPDATE, DELETE ON public.schema_migrations TO $role;"
    use_database "$PGDATABASE"
    assert_applied 1
    sql "DROP OWNED BY \"$role\"; DROP ROLE \"$role\""
}
