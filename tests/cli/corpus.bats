#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# The migrations of three real products: rung makes of them what psql makes of them, and
# takes it back where their down files can.

load ../lib/helpers

setup() {
    rung_setup
    rungs=$PGDATABASE
    psqls=${PGDATABASE}_psql
}

# copy PRODUCT: its migrations become ours, so that a test may leave some out.
copy() {
    need_corpus "$1"
    cp "$corpus"/*.sql migrations/
}

up_files() {
    local file
    for file in migrations/*.sql; do
        [[ $file == *.down.sql ]] || printf '%s\n' "$file"
    done
}

# The schema without the ledger, whatever it is called here.
schema_of() {
    "$PG_BINDIR/pg_dump" --schema-only --exclude-table='public.rung_migrations' \
        --exclude-table='public.schema_migrations' "$1" 3>&- 4>&- |
        sed -e '/^--/d' -e '/^\\/d' -e '/^$/d'
}

# same_as_psql: another database gets the files from psql, one after another; then both
# schemas are the same.
same_as_psql() {
    local files
    mapfile -t files < <(up_files)
    create_database "$psqls"
    use_database "$psqls"
    psql_files "${files[@]}"
    use_database "$rungs"
    schema_of "$rungs" >"$T/schema.rung"
    schema_of "$psqls" >"$T/schema.psql"
    diff -u "$T/schema.psql" "$T/schema.rung" >"$T/difference" ||
        fail_with 'rung and psql differ:' "$(head -n 50 "$T/difference")"
    [ "$(wc -l <"$T/schema.rung")" -gt 50 ] || fail_with 'there is hardly any schema'
}

# all_recorded TABLE: each file has its row, with what sha256sum prints.
all_recorded() {
    assert_equal "$(sql "SELECT checksum || '  ' || filename FROM $1 WHERE applied_at IS NOT NULL ORDER BY version")" \
        "$(up_files | sed 's|migrations/||' | (cd migrations && xargs sha256sum))"
}

@test "atuin: 20 files" {
    copy atuin
    run_rung up
    assert_status 0
    assert_equal "$(grep -c '^applied ' <<<"$out")" 20
    all_recorded schema_migrations
    same_as_psql
    run_rung verify
    assert_status 0
    assert_out 'verified files and ledger: 20 applied, 0 pending, no problems'
}

@test "docs.rs: 33 files, and back again" {
    copy docs-rs
    run_rung up
    assert_status 0
    # two of them hold comments only
    assert_equal "$(grep -c '^applied ' <<<"$out")" 31
    assert_equal "$(grep -c '^recorded ' <<<"$out")" 2
    all_recorded schema_migrations
    same_as_psql

    run_rung down --all --yes
    assert_status 0
    assert_sql 'SELECT count(*) FROM schema_migrations' 0
    create_database "${rungs}_empty"
    # the extension that they leave is all that is left
    assert_equal "$(schema_of "$rungs" | grep -v ' EXTENSION ')" "$(schema_of "${rungs}_empty")"
}

need_contrib() {
    local n
    n=$(sql "SELECT count(*) FROM pg_available_extensions WHERE name IN ('ltree', 'pg_trgm', 'pgcrypto')")
    [ "$n" -eq 3 ] || skip 'corpus: crates-io needs the extensions ltree, pg_trgm and pgcrypto'
}

@test "crates.io: 285 files, with another ledger's name" {
    copy crates-io
    need_contrib
    run_rung up --table rung_migrations
    assert_status 0
    assert_equal "$(grep -Ec '^(applied|recorded) ' <<<"$out")" 285
    all_recorded rung_migrations
    same_as_psql
    run_rung verify --table rung_migrations
    assert_status 0
    assert_out 'verified files and ledger: 285 applied, 0 pending, no problems'
    assert_sql 'SELECT count(*) FROM pg_index WHERE NOT indisvalid' 0

    # The 51st of their down files is wrong: rung stops there, and says so.
    run_rung down 51 --table rung_migrations
    assert_status 1
    assert_equal "$(grep -c '^undid ' <<<"$out")" 50
    assert_err_has 'migrations/235_2024_10_25_112826_make_unique_version_unique.down.sql:' \
        '001-235 are applied. Fix the down file and run `rung down`.'
    assert_sql 'SELECT count(*), max(version) FROM rung_migrations' '235|235'
}

@test "crates.io drops a table named schema_migrations: file 136 is stopped, and says why" {
    copy crates-io
    need_contrib
    run_rung up
    assert_status 1
    local file
    file=$(up_files | grep '/136_')
    file=${file#migrations/}
    assert_err_has "migrations/$file: error: the file drops, replaces or empties the ledger public.schema_migrations" \
        'hint: Take that statement out, or keep the ledger elsewhere: --table SCHEMA.NAME.' \
        "$file was rolled back; 001-135 are applied. Fix the file and run \`rung up\`."
    assert_sql 'SELECT count(*), max(version) FROM schema_migrations' '135|135'
}
