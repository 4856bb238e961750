#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031 # backquotes are said; subshells change the environment
#
# `rung verify`: proves that files and ledger agree, says what it looked at, never writes.

load ../lib/helpers

two_applied() {
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 002_u <<<'CREATE TABLE u (n int);'
    run_rung up
    assert_status 0
}

# without_database COMMAND...: with nothing in the environment that names one.
without_database() {
    (unset DATABASE_URL PGHOST PGPORT PGUSER PGDATABASE && "$@")
}

# finds LINE...: verify exits with 3 and says exactly that, and the ledger stays as it is.
finds() {
    local before
    before=$(sql 'SELECT xmin, * FROM schema_migrations ORDER BY version')
    run_rung verify
    assert_status 3
    assert_lines "$out" "$@"
    assert_err ''
    assert_equal "$(sql 'SELECT xmin, * FROM schema_migrations ORDER BY version')" "$before"
}

@test "where all agree it says so, and what it looked at" {
    two_applied
    run_rung verify
    assert_status 0
    assert_out 'verified files and ledger: 2 applied, 0 pending, no problems'
    assert_err ''
    run_rung verify -q
    assert_status 0
    assert_out ''
    assert_err ''
}

@test "pending files and drafts are no problem, unless --no-pending says so" {
    two_applied
    touch migrations/004_draft.sql
    run_rung verify --no-pending
    assert_status 0
    assert_out 'verified files and ledger: 2 applied, 0 pending, 1 draft, no problems'
    migration 003_v <<<'SELECT 1;'
    run_rung verify
    assert_status 0
    assert_out 'verified files and ledger: 2 applied, 1 pending, 1 draft, no problems'
    run_rung verify --no-pending
    assert_status 6
    assert_out 'verified files and ledger: 2 applied, 1 pending, 1 draft, no problems'
    assert_err 'rung: error: 1 migration is pending'
    assert_applied 1 2
}

@test "an edited file is named" {
    two_applied
    local was now
    was=$(sha256sum migrations/001_t.sql | cut -c 1-12)
    echo '-- later' >>migrations/001_t.sql
    now=$(sha256sum migrations/001_t.sql | cut -c 1-12)
    finds "migrations/001_t.sql: error: edited after it was applied: recorded $was..., the file is now $now..." \
        'hint: Undo the edit and put the change into a new file, or accept it with `rung repair 1 --reason TEXT`.' \
        'verified files and ledger: 2 applied, 0 pending, 1 problem'
}

@test "a changed line ending is no edit, a changed blank is" {
    two_applied
    sed -i 's/$/\r/' migrations/001_t.sql
    run_rung verify
    assert_status 0
    assert_out 'verified files and ledger: 2 applied, 0 pending, no problems'
    sed -i 's/ (n/  (n/' migrations/001_t.sql
    run_rung verify
    assert_status 3
    assert_out_has 'migrations/001_t.sql: error: edited after it was applied'
}

@test "a file with CRLF that was applied may come back with LF, and without its mark" {
    printf '\xef\xbb\xbfCREATE TABLE t (n int);\r\nSELECT 1;\r\n' >migrations/001_t.sql
    run_rung up
    assert_status 0
    printf 'CREATE TABLE t (n int);\nSELECT 1;\n' >migrations/001_t.sql
    run_rung verify
    assert_status 0
    printf 'CREATE TABLE t (n int);\nSELECT 1;' >migrations/001_t.sql
    run_rung verify
    assert_status 3
}

@test "a missing file is named" {
    two_applied
    rm migrations/001_t.sql
    finds 'migrations/001_t.sql: error: recorded, but there is no such file' \
        'hint: Bring the file back, or forget it with `rung repair 1 --reason TEXT`.' \
        'verified files and ledger: 2 applied, 0 pending, 1 problem'
}

@test "a renamed file is named" {
    two_applied
    mv migrations/001_t.sql migrations/001_table.sql
    finds 'migrations/001_table.sql: error: recorded as 001_t.sql, renamed since' \
        'hint: Give it its old name back, or record the new one with `rung repair 1 --reason TEXT`.' \
        'verified files and ledger: 2 applied, 0 pending, 1 problem'
}

@test "a newer row is named" {
    two_applied
    rm migrations/002_u.sql
    finds 'migrations/002_u.sql: error: recorded, but newer than every file here' \
        'hint: A release was rolled back, or this directory is not up to date.' \
        'verified files and ledger: 2 applied, 0 pending, 1 problem'
}

@test "a misnamed file is named" {
    two_applied
    migration 003-v <<<'SELECT 1;'
    finds 'migrations/003-v.sql: error: has no underscore behind its number: rename it to NNN_name.sql' \
        'verified files and ledger: 2 applied, 0 pending, 1 problem'
}

@test "duplicates are named" {
    two_applied
    migration 02_v <<<'SELECT 1;'
    run_rung verify
    assert_status 3
    assert_out_has 'migrations/002_u.sql: error: has the same number as 02_v.sql' \
        'migrations/02_v.sql: error: has the same number as 002_u.sql' '2 problems'
}

@test "a file out of order is named" {
    two_applied
    migration 0_late <<<'SELECT 1;'
    finds 'migrations/0_late.sql: error: not applied, but numbered below 2, the newest applied one' \
        'hint: Give it the next free number with `rung renumber`, or apply it as it is with --allow-out-of-order.' \
        'verified files and ledger: 2 applied, 1 pending, 1 problem'
}

@test "an unfinished file is named" {
    two_applied
    migration 003_n <<<$'-- rung: no-transaction\nSELECT 1;\nSELECT nosuch;'
    run_rung up
    assert_status 1
    finds 'migrations/003_n.sql: error: began, and is done up to statement 1' \
        'hint: `rung up` goes on with it.' \
        'verified files and ledger: 2 applied, 1 pending, 1 problem'
}

@test "a row without a checksum is named" {
    two_applied
    sql "UPDATE schema_migrations SET checksum = '' WHERE version = 1"
    finds 'migrations/001_t.sql: error: no checksum recorded' \
        'hint: Record the file'"'"'s checksum with `rung repair 1 --reason TEXT`.' \
        'verified files and ledger: 2 applied, 0 pending, 1 problem'
}

@test "a pending blank file, of which up warns, is no finding" {
    migration 001_t <<<'SELECT 1;'
    : >migrations/002_blank.sql
    migration 003_v <<<'SELECT 1;'
    run_rung verify
    assert_status 0
    assert_out 'verified files and ledger: 0 applied, 3 pending, no problems'
    assert_err ''
}

# ---- SHA256SUMS ----------------------------------------------------------------------

@test "SHA256SUMS is checked where it exists, down files too" {
    two_applied
    echo 'DROP TABLE u;' >migrations/002_u.down.sql
    (cd migrations && sha256sum ./*.sql | sed 's|\./||' >SHA256SUMS)
    run_rung verify
    assert_status 0
    assert_out 'verified files and ledger and SHA256SUMS: 2 applied, 0 pending, no problems'
    echo '-- more' >>migrations/002_u.down.sql
    finds 'migrations/002_u.sql: error: 002_u.down.sql is not what SHA256SUMS says it is' \
        'hint: If that is as it should be, write SHA256SUMS anew with `rung sum`.' \
        'verified files and ledger and SHA256SUMS: 2 applied, 0 pending, 1 problem'
}

@test "a file that SHA256SUMS does not list, and one that is gone, are named" {
    two_applied
    (cd migrations && sha256sum 001_t.sql >SHA256SUMS && sha256sum 002_u.sql | sed 's/002_u/009_gone/' >>SHA256SUMS)
    run_rung verify
    assert_status 3
    assert_out_has 'migrations/002_u.sql: error: not listed in SHA256SUMS' \
        'migrations/009_gone.sql: error: listed in SHA256SUMS, but no migration in the directory'
    run_rung up
    assert_status 0
    assert_err ''
}

@test "a bad line of SHA256SUMS is a finding, and hides no other" {
    two_applied
    (cd migrations && sha256sum 001_t.sql >SHA256SUMS && echo nonsense >>SHA256SUMS)
    echo '-- edited' >>migrations/002_u.sql
    run_rung verify
    assert_status 3
    assert_out_has 'migrations/002_u.sql: error: edited after it was applied' \
        'migrations/SHA256SUMS:2: error: not a line of SHA256SUMS' \
        'hint: Write the file anew with `rung sum`.' \
        '2 problems'
}

# ---- with or without a connection -----------------------------------------------------

@test "without anything that names a database it looks at the files only, and says so" {
    two_applied
    without_database run_rung_into verify
    assert_status_and_out 0 'verified files only (no connection was asked for): 2 migrations, no problems'
    migration x <<<'SELECT 1;'
    without_database run_rung_into verify
    assert_status_and_out 3 "$(
        cat <<'TEXT'
migrations/x.sql: error: does not begin with a number: rename it to NNN_name.sql
verified files only (no connection was asked for): 2 migrations, 1 problem
TEXT
    )"
}

# run_rung in a subshell that changed its environment: what it found is read from there.
run_rung_into() {
    run_rung "$@"
    printf '%s' "$status" >"$T/status"
}

@test "--offline overrides what names a database" {
    two_applied
    echo '-- more' >>migrations/001_t.sql
    run_rung verify --offline
    assert_status 0
    assert_out_has 'verified files only' '2 migrations, no problems'
    run_rung verify --offline --no-pending
    assert_status 2
    assert_out ''
    assert_err_has 'rung: error: --no-pending needs the ledger, and so a connection'
}

@test "-d, DATABASE_URL, PGHOST, PGDATABASE and PGSERVICE each make it connect" {
    two_applied
    local url=$DATABASE_URL host=$PGHOST database=$PGDATABASE
    printf '[mine]\nhost=%s\ndbname=%s\nuser=postgres\n' "$host" "$database" >"$T/services"
    local expected='verified files and ledger: 2 applied, 0 pending, no problems'
    without_database run_rung_into verify -d "$url"
    assert_status_and_out 0 "$expected"
    DATABASE_URL=$url without_pg run_rung_into verify
    assert_status_and_out 0 "$expected"
    (unset DATABASE_URL PGDATABASE && run_rung_into verify -d "dbname=$database")
    assert_status_and_out 0 "$expected"
    (unset DATABASE_URL && run_rung_into verify)
    assert_status_and_out 0 "$expected"
    PGSERVICEFILE=$T/services PGSERVICE=mine without_database run_rung_into verify
    assert_status_and_out 0 "$expected"
    PGDATABASE='' DATABASE_URL='' run_rung_into verify
    assert_status_and_out 0 'verified files and ledger: 0 applied, 2 pending, no problems'
}

without_pg() {
    (unset PGHOST PGPORT PGUSER PGDATABASE && "$@")
}

assert_status_and_out() {
    status=$(cat "$T/status") out=$(cat "$T/out") err=$(cat "$T/err")
    assert_status "$1"
    assert_out "$2"
    assert_err ''
}

@test "it never falls back to the files in silence" {
    two_applied
    run_rung verify -d "host=$T dbname=x connect_timeout=5"
    assert_status 5
    assert_out ''
    assert_err_has 'rung: error: '
}

@test "verify works for a role that may only SELECT the ledger, in a read-only session" {
    two_applied
    sql "CREATE ROLE \"$role\" LOGIN; GRANT SELECT ON schema_migrations TO \"$role\";
         ALTER ROLE \"$role\" SET default_transaction_read_only = on"
    use_database "$PGDATABASE" "$role"
    run_rung verify
    assert_status 0
    assert_out 'verified files and ledger: 2 applied, 0 pending, no problems'
    assert_err ''
    use_database "$PGDATABASE"
    sql "DROP OWNED BY \"$role\""
}

@test "a database where nothing was applied yet is no problem" {
    migration 001_t <<<'SELECT 1;'
    run_rung verify
    assert_status 0
    assert_out 'verified files and ledger: 0 applied, 1 pending, no problems'
    assert_untouched
}

@test "a file that cannot be split is one finding among others" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    run_rung up
    echo '-- edited' >>migrations/001_t.sql
    migration 002_open <<<"SELECT 'x;"
    run_rung verify
    assert_status 3
    assert_out_has 'migrations/001_t.sql: error: edited after it was applied' \
        'migrations/002_open.sql:1: error: unterminated quoted string' '2 problems'
    run_rung status
    assert_status 0
    assert_out_has 'edited' 'migrations/002_open.sql:1: error: unterminated quoted string'
}
