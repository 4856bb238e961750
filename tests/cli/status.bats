#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# `rung status`: what is applied, pending or wrong; it never writes.

load ../lib/helpers

# Rows as a test can know them: applied long ago, by somebody, in some time.
settle_rows() {
    sql "UPDATE schema_migrations SET applied_by = 'deploy', duration_ms = 7 * version,
             applied_at = timestamptz '2024-02-29 12:00:00Z' + version * interval '1 day'"
}

two_files() {
    migration 001_users <<<'CREATE TABLE users (n int);'
    migration 002_orders <<<'CREATE TABLE orders (n int);'
}

summary() {
    echo "$1 (ledger public.schema_migrations in database $PGDATABASE)"
}

@test "without files and without a ledger there is only the summary" {
    run_rung status
    assert_status 0
    assert_out "0 applied, 0 pending, no problems (no ledger yet: public.schema_migrations in database $PGDATABASE)"
    assert_err ''
    assert_untouched
}

@test "before the first up everything is pending, and status makes no ledger" {
    two_files
    touch migrations/003_draft.sql
    run_rung status
    assert_status 0
    assert_lines "$out" \
        'state    version  name    applied  by  took' \
        'pending  001      users' \
        'pending  002      orders' \
        'draft    003      draft' \
        '' \
        "0 applied, 2 pending, 1 draft, no problems (no ledger yet: public.schema_migrations in database $PGDATABASE)"
    assert_err ''
    assert_untouched
}

@test "applied files show when, by whom and how long" {
    two_files
    run_rung up
    settle_rows
    sql 'UPDATE schema_migrations SET duration_ms = 7400000 WHERE version = 2'
    migration 010_later <<<'SELECT 1;'
    run_rung status
    assert_status 0
    assert_lines "$out" \
        'state    version  name    applied               by      took' \
        'applied  001      users   2024-03-01 12:00:00Z  deploy  7 ms' \
        'applied  002      orders  2024-03-02 12:00:00Z  deploy  2 h 3 min' \
        'pending  010      later' \
        '' \
        "$(summary '2 applied, 1 pending, no problems')"
    assert_err ''
}

@test "every state has its word, its problem and the way out" {
    migration 001_applied <<<'SELECT 1;'
    migration 002_edited <<<'SELECT 2;'
    migration 003_missing <<<'SELECT 3;'
    migration 004_old_name <<<'SELECT 4;'
    migration 006_n <<<$'-- rung: no-transaction\nSELECT 5;\nSELECT 6;'
    migration 099_newer <<<'SELECT 99;'
    run_rung up
    assert_status 0
    settle_rows
    sql 'UPDATE schema_migrations SET applied_at = NULL, statements = 1, checksum = $$'"$(
        printf -- '-- rung: no-transaction\nSELECT 5' | sha256sum | cut -d ' ' -f 1
    )"'$$ WHERE version = 6'
    local was now
    was=$(sha256sum migrations/002_edited.sql | cut -c 1-12)
    echo 'SELECT 22;' >>migrations/002_edited.sql
    now=$(sha256sum migrations/002_edited.sql | cut -c 1-12)
    rm migrations/003_missing.sql migrations/099_newer.sql
    mv migrations/004_old_name.sql migrations/004_new_name.sql
    migration 005_late <<<'SELECT 7;'
    migration typo <<<'SELECT 8;'
    run_rung status
    assert_status 0
    assert_lines "$out" \
        'state         version  name      applied               by      took' \
        'applied       001      applied   2024-03-01 12:00:00Z  deploy  7 ms' \
        'edited        002      edited    2024-03-02 12:00:00Z  deploy  14 ms' \
        'missing       003      missing   2024-03-03 12:00:00Z  deploy  21 ms' \
        'renamed       004      new_name  2024-03-04 12:00:00Z  deploy  28 ms' \
        'out of order  005      late' \
        'unfinished    006      n                               deploy  42 ms' \
        'newer         099      newer     2024-06-07 12:00:00Z  deploy  693 ms' \
        'misnamed               typo.sql' \
        '' \
        "migrations/002_edited.sql: error: edited after it was applied: recorded $was..., the file is now $now..." \
        'hint: Undo the edit and put the change into a new file, or accept it with `rung repair 2 --reason TEXT`.' \
        'migrations/003_missing.sql: error: recorded, but there is no such file' \
        'hint: Bring the file back, or forget it with `rung repair 3 --reason TEXT`.' \
        'migrations/004_new_name.sql: warning: recorded as 004_old_name.sql, renamed since' \
        'hint: Give it its old name back, or record the new one with `rung repair 4 --reason TEXT`.' \
        'migrations/005_late.sql: error: not applied, but numbered below 99, the newest applied one' \
        'hint: Give it the next free number with `rung renumber`, or apply it as it is with --allow-out-of-order.' \
        'migrations/006_n.sql: warning: began, and is done up to statement 1' \
        'hint: `rung up` goes on with it.' \
        'migrations/099_newer.sql: warning: recorded, but newer than every file here' \
        'hint: A release was rolled back, or this directory is not up to date.' \
        'migrations/typo.sql: warning: does not begin with a number: rename it to NNN_name.sql' \
        '' \
        "$(summary '5 applied, 2 pending, 7 problems')"
    assert_err ''
}

@test "duplicates are shown side by side" {
    two_files
    migration 1_other <<<'SELECT 1;'
    run_rung status
    assert_status 0
    assert_out_has 'duplicate  001      users' 'duplicate  1        other' \
        'migrations/1_other.sql: error: has the same number as 001_users.sql'
}

@test "a name that was refused is printed escaped" {
    printf 'SELECT 1;\n' >$'migrations/001_\e[31m.sql'
    run_rung status
    assert_status 0
    assert_out_lacks $'\e'
    assert_out_has '001_\x1b[31m.sql'
}

@test "status --exit-code tells with 6 that something is pending" {
    two_files
    run_rung status --exit-code
    assert_status 6
    assert_out_has '0 applied, 2 pending'
    run_rung up
    run_rung status --exit-code
    assert_status 0
    touch migrations/003_draft.sql
    run_rung status --exit-code
    assert_status 0
}

@test "status works for a role that may only SELECT the ledger, in a read-only session" {
    two_files
    run_rung up
    settle_rows
    local before
    before=$(sql 'SELECT xmin, * FROM schema_migrations ORDER BY version')
    sql "CREATE ROLE \"$role\" LOGIN; GRANT SELECT ON schema_migrations TO \"$role\";
         ALTER ROLE \"$role\" SET default_transaction_read_only = on;
         ALTER ROLE \"$role\" SET DateStyle = 'German, DMY';
         ALTER ROLE \"$role\" SET TimeZone = 'Asia/Kathmandu';
         ALTER ROLE \"$role\" SET extra_float_digits = -15;
         ALTER ROLE \"$role\" SET statement_timeout = '1min'"
    use_database "$PGDATABASE" "$role"
    run_rung status
    assert_status 0
    assert_out_has 'applied  002      orders  2024-03-02 12:00:00Z  deploy  14 ms' \
        "$(summary '2 applied, 0 pending, no problems')"
    assert_err ''
    use_database "$PGDATABASE"
    assert_equal "$(sql 'SELECT xmin, * FROM schema_migrations ORDER BY version')" "$before"
    sql "DROP OWNED BY \"$role\""
}

@test "status takes no lock that another runner would wait for" {
    two_files
    run_rung up
    "$PG_BINDIR/psql" -X -q -c "BEGIN; INSERT INTO schema_migrations VALUES (3, '003_x.sql', 'x', now())" \
        -c 'SELECT pg_sleep(300)' >/dev/null 2>&1 3>&- 4>&- &
    background+=("$!")
    wait_until "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'
                               AND datname = current_database())"
    run_rung status
    assert_status 0
    assert_out_has '2 applied'
}

@test "a large version and a wide name stand in their columns" {
    migration 999999999999999999_表 <<<'SELECT 1;'
    migration 1_x <<<'SELECT 1;'
    run_rung up
    settle_rows || sql "UPDATE schema_migrations SET applied_by = 'deploy', duration_ms = 1,
                            applied_at = '2024-03-01 12:00:00Z'"
    run_rung status
    assert_status 0
    assert_lines "$(head -n 3 <<<"$out")" \
        'state    version             name  applied               by      took' \
        'applied  1                   x     2024-03-01 12:00:00Z  deploy  1 ms' \
        'applied  999999999999999999  表    2024-03-01 12:00:00Z  deploy  1 ms'
}

# painted TERM ARGS: what stands on a terminal of that kind, with its colours as <SGR>.
painted() {
    local term=$1 command
    shift
    printf -v command '%q ' "$RUNG" "$@"
    SHELL=$BASH TERM=$term script -qec "$command" /dev/null </dev/null 3>&- 4>&- |
        tr -d '\r' | sed -E $'s/\033\\[([0-9;]*)m/<\\1>/g'
}

@test "on a terminal each state has its colour, and times are relative" {
    migration 001_applied <<<'SELECT 1;'
    migration 002_edited <<<'SELECT 2;'
    run_rung up
    sql "UPDATE schema_migrations SET applied_by = 'ann', duration_ms = 7,
             applied_at = now() - interval '210 minutes'"
    echo 'SELECT 0;' >migrations/002_edited.sql
    migration 003_pending <<<'SELECT 3;'
    touch migrations/004_draft.sql
    printed=$(painted xterm status)
    assert_lines "$(head -n 5 <<<"$printed")" \
        '<1>state<>    version  name     applied  by   took' \
        '<32>applied<>  001      applied  3 h ago  ann  7 ms' \
        '<1;31>edited<>   002      edited   3 h ago  ann  7 ms' \
        '<33>pending<>  003      pending' \
        '<33>draft<>    004      draft'
    [[ $printed == *'<1>migrations/002_edited.sql: <><1;31>error: <>edited after it was applied'* ]]
    [[ $printed == *$'\n''2 applied, 1 pending, 1 draft, <1;31>1 problem<> (ledger '* ]]
    [[ $printed == *'<36>hint<>: '* ]]

    # Where colours are not wanted, or would not be understood, there are none.
    plain=$(sed -E 's/<[0-9;]*>//g' <<<"$printed")
    assert_equal "$(painted dumb status)" "$plain"
    assert_equal "$(NO_COLOR=1 painted xterm status)" "$plain"
    assert_equal "$(painted xterm status --color never)" "$plain"
    assert_equal "$(painted dumb status --color always)" "$printed"
}
