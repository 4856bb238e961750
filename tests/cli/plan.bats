#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# `rung plan`, and which files are migrations: names, versions, what is recognised and
# what is refused.

load ../lib/helpers

# One statement under each name.
files() {
    local name
    for name; do printf 'SELECT 1;\n' >"migrations/$name"; done
}

@test "plan prints each step in order, and writes nothing" {
    migration 002_index <<<'CREATE INDEX CONCURRENTLY i ON t (n);'
    migration 001_table <<<'CREATE TABLE t (n int); CREATE TABLE u (n int);'
    migration 003_nothing <<<'-- on purpose'
    migration 0004_last <<<'DROP TABLE u;'
    touch migrations/005_draft.sql
    run_rung plan
    assert_status 0
    assert_lines "$out" \
        'apply   001_table.sql    (transaction, 2 statements)' \
        'apply   002_index.sql    (no transaction, 1 statement)' \
        'record  003_nothing.sql  (no statements)' \
        'apply   0004_last.sql    (transaction, 1 statement)'
    assert_err ''
    assert_untouched
}

@test "with nothing to do, plan says that" {
    run_rung plan
    assert_status 0
    assert_out 'nothing to do'
    assert_err ''
    assert_untouched
}

@test "plan VERSION goes no further" {
    files 001_a.sql 002_b.sql 003_c.sql
    run_rung plan 2
    assert_status 0
    assert_lines "$out" 'apply   001_a.sql  (transaction, 1 statement)' \
        'apply   002_b.sql  (transaction, 1 statement)'
    run_rung plan 9
    assert_status 2
    assert_out ''
    assert_err 'rung: error: there is no migration 9 in migrations'
}

@test "plan fails as up would, and prints no step then" {
    files 001_a.sql 003_c.sql
    run_rung up
    files 002_b.sql 004_d.sql
    run_rung up
    local of_up=$err
    assert_status 3
    run_rung plan
    assert_status 3
    assert_out ''
    assert_err_has 'not applied, but numbered below 3, the newest applied one'
    assert_has up "$of_up" 'not applied, but numbered below 3, the newest applied one'
    run_rung plan --allow-out-of-order
    assert_status 0
    assert_lines "$out" 'apply   002_b.sql  (transaction, 1 statement)' \
        'apply   004_d.sql  (transaction, 1 statement)'
    assert_applied 1 3
}

@test "plan refuses a file that cannot run, with its place" {
    migration 001_a <<<$'SELECT 1;\nSELECT \'open;'
    run_rung plan
    assert_status 1
    assert_out ''
    assert_err "$(
        cat <<'TEXT'
migrations/001_a.sql:2:8: error: unterminated quoted string
    2 | SELECT 'open;
      |        ^
TEXT
    )"
    assert_untouched
}

@test "plan works for a role that may only SELECT the ledger, in a read-only session" {
    files 001_a.sql
    run_rung up
    files 002_b.sql
    sql "CREATE ROLE \"$role\" LOGIN; GRANT SELECT ON schema_migrations TO \"$role\";
         ALTER ROLE \"$role\" SET default_transaction_read_only = on"
    use_database "$PGDATABASE" "$role"
    run_rung plan
    assert_status 0
    assert_out 'apply   002_b.sql  (transaction, 1 statement)'
    assert_err ''
    use_database "$PGDATABASE"
    sql "DROP OWNED BY \"$role\""
}

# ---- names ---------------------------------------------------------------------------

@test "versions compare as numbers, whatever zeros they are written with" {
    files 010_c.sql 9_b.sql 00000000000000000_a.sql 100_d.sql
    run_rung plan
    assert_status 0
    assert_lines "$out" \
        'apply   00000000000000000_a.sql  (transaction, 1 statement)' \
        'apply   9_b.sql                  (transaction, 1 statement)' \
        'apply   010_c.sql                (transaction, 1 statement)' \
        'apply   100_d.sql                (transaction, 1 statement)'
}

@test "0 is a version" {
    files 0_zero.sql
    run_rung up 0
    assert_status 0
    assert_done 'applied 0_zero.sql (1 statement)'
    assert_applied 0
    run_rung up -v
    assert_out 'nothing to do: 0 is the newest applied version'
}

@test "the version ends at the first underscore, and gaps are fine" {
    files 004_20250101_feature.sql 900_x.sql
    run_rung up
    assert_status 0
    assert_applied 4 900
}

@test "eighteen digits are a version, nineteen are refused" {
    files 999999999999999999_big.sql
    run_rung up
    assert_status 0
    assert_applied 999999999999999999
    files 1000000000000000000_bigger.sql
    run_rung up
    assert_status 1
    assert_out ''
    assert_err 'migrations/1000000000000000000_bigger.sql: error: has a number of more than 18 digits: rename it to NNN_name.sql'
    assert_applied 999999999999999999
}

@test "001_ and 1_ are one version, and two files of it are an error" {
    files 001_a.sql 1_b.sql 002_c.sql
    run_rung up
    assert_status 1
    assert_out ''
    assert_err_has 'migrations/001_a.sql: error: has the same number as 1_b.sql' \
        'migrations/1_b.sql: error: has the same number as 001_a.sql' \
        'hint: Give the one that is not applied another number with `rung renumber`.'
    assert_untouched
}

@test "NNN_name.up.sql is NNN_name.sql" {
    files 001_a.up.sql 001_a.down.sql
    run_rung up
    assert_status 0
    assert_done 'applied 001_a.up.sql (1 statement)'
    assert_err ''
    mv migrations/001_a.up.sql migrations/001_a.sql
    run_rung up
    assert_status 0
    assert_out ''
    assert_err ''
}

@test "NNN_name.sql and NNN_name.up.sql are duplicates" {
    files 001_a.up.sql 001_a.sql
    run_rung up
    assert_status 1
    assert_out ''
    assert_err_has '001_a.sql' '001_a.up.sql' 'has the same number as'
    assert_untouched
}

@test "a down file without its up file is pointed out" {
    files 001_a.sql 001_b.down.sql
    run_rung up
    assert_status 0
    assert_done 'applied 001_a.sql (1 statement)'
    assert_err_has 'migrations/001_b.down.sql: warning: undoes nothing: there is no 001_b.sql'
    run_rung verify
    assert_status 3
}

@test "other endings, dot files and subdirectories are not looked at" {
    files 001_a.sql .002_hidden.sql 003_notes.txt 004_c.sql~ 005_d.sql.orig README.md
    mkdir migrations/archive
    printf 'SELECT nosuch;\n' >migrations/archive/006_e.sql
    run_rung up
    assert_status 0
    assert_done 'applied 001_a.sql (1 statement)'
    assert_err ''
    assert_applied 1
    run_rung verify
    assert_status 0
}

@test "a name that looks like a typo is warned of by up, and the rest is applied" {
    files 001_a.sql add_users.sql 002-b.sql 003.sql 004_d.SQL
    run_rung up
    assert_status 0
    assert_done 'applied 001_a.sql (1 statement)'
    assert_lines "$(sort <<<"$err")" \
        'migrations/002-b.sql: warning: has no underscore behind its number: rename it to NNN_name.sql' \
        'migrations/003.sql: warning: has no underscore behind its number: rename it to NNN_name.sql' \
        'migrations/004_d.SQL: warning: does not end in .sql in lower case: rename it' \
        'migrations/add_users.sql: warning: does not begin with a number: rename it to NNN_name.sql'
    assert_applied 1
}

# refused NAME WHY: a file of that name stops up, which says why.
refused() {
    files "$1"
    run_rung up
    assert_status 1
    assert_out ''
    assert_err "migrations/${3-$1}: error: $2"
    assert_untouched
    rm -- "migrations/$1"
}

@test "names of other tools and of undo files are refused, saying what they are" {
    files 001_a.sql
    refused 002_b_down.sql 'looks like a down file: rename it to NNN_name.down.sql'
    refused 002_b.rollback.sql 'looks like a down file: rename it to NNN_name.down.sql'
    refused 002_b.DOWN.sql 'says .up or .down twice, or not in lower case: rename it'
    refused V1__x.sql 'is named as for Flyway: rename it to NNN_name.sql'
    refused R__x.sql 'is named as for Flyway: rename it to NNN_name.sql'
    refused U2__x.sql 'is named as for Flyway: rename it to NNN_name.sql'
    refused 1.2_x.sql 'has a version with dots: rename it to NNN_name.sql, NNN a whole number'
    refused 007_.sql 'has no name: rename it to NNN_name.sql'
}

@test "names with other characters are refused and printed escaped" {
    local unfit='the name holds more than letters, digits, space and _ - . +: rename it'
    files 001_a.sql
    refused '002_semi;colon.sql' "$unfit"
    refused '002_"quoted".sql' "$unfit"
    refused $'002_line\nfeed.sql' "$unfit" '002_line\x0afeed.sql'
    refused $'002_\e[31mred.sql' "$unfit" '002_\x1b[31mred.sql'
    refused $'002_\xff.sql' "$unfit" '002_\xff.sql'
    refused $'002_right\xe2\x80\xaeleft.sql' "$unfit" '002_right\xe2\x80\xaeleft.sql'
}

@test "a name may have 200 bytes and no more" {
    local x
    x=$(printf '%0192d' 0)
    files "001_$x.sql"
    run_rung up
    assert_status 0
    assert_applied 1
    files "002_${x}0.sql"
    run_rung up
    assert_status 1
    assert_out ''
    assert_err "migrations/002_${x}0.sql: error: the name is over 200 bytes: shorten it"
    assert_applied 1
}
