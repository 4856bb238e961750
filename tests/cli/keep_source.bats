#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# --keep-source: the text of what ran, and what it is good for.

load ../lib/helpers

two_tables() {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<<$'-- two\nCREATE TABLE b (n int);\nCREATE TABLE bb (n int);'
    migration 002_b.down <<<$'DROP TABLE bb;\nDROP TABLE b;'
}

kept() {
    two_tables
    run_rung up --keep-source
    assert_status 0
}

# ---- the table -----------------------------------------------------------------------

@test "by default nothing is kept" {
    two_tables
    run_rung up
    assert_sql "SELECT to_regclass('schema_migrations_source')" ''
}

@test "up and down files are kept, byte for byte" {
    kept
    assert_done 'applied 001_a.sql (1 statement)' 'applied 002_b.sql (2 statements)'
    assert_err ''
    assert_sql 'SELECT version, down IS NULL FROM schema_migrations_source ORDER BY 1' \
        '1|t' '2|f'
    run_rung show 2 --applied
    assert_status 0
    assert_err ''
    cmp "$T/out" migrations/002_b.sql
    run_rung show 2 --applied --down
    assert_status 0
    cmp "$T/out" migrations/002_b.down.sql
}

@test "RUNG_KEEP_SOURCE=1 keeps it too, and the table stands beside the ledger" {
    two_tables
    sql 'CREATE SCHEMA audit'
    RUNG_KEEP_SOURCE=1 run_rung up --table audit.log
    assert_status 0
    assert_sql 'SELECT version FROM audit.log_source ORDER BY 1' 1 2
    RUNG_KEEP_SOURCE=maybe run_rung up
    assert_status 2
    assert_err 'rung: error: RUNG_KEEP_SOURCE is 1 or 0, not "maybe"'
}

@test "PUBLIC has no right on it, whatever the default privileges say" {
    sql 'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC'
    kept
    sql "CREATE ROLE \"$role\" LOGIN"
    assert_sql "SELECT has_table_privilege('$role', 'schema_migrations_source', 'SELECT'),
                       has_table_privilege('$role', 'schema_migrations', 'SELECT')" 'f|t'
    assert_sql "SELECT count(*) FROM pg_class, aclexplode(relacl)
                WHERE relname = 'schema_migrations_source' AND grantee = 0" 0
}

@test "a file of 1 MiB is kept, a larger one is not, and both run" {
    {
        echo 'CREATE TABLE a ();'
        head -c $((1024 * 1024 - 22)) /dev/zero | tr '\0' ' '
        echo '--'
    } >migrations/001_a.sql
    assert_equal "$(wc -c <migrations/001_a.sql)" $((1024 * 1024))
    sed 's/TABLE a/TABLE ab/' migrations/001_a.sql >migrations/002_b.sql
    run_rung up --keep-source
    assert_status 0
    assert_applied 1 2
    assert_sql 'SELECT version, octet_length(up) FROM schema_migrations_source' '1|1048576'
    run_rung show 2 --applied
    assert_status 1
    assert_out ''
    assert_lines "$err" 'rung: error: the text of version 2 was not kept' \
        'hint: It is kept when --keep-source (RUNG_KEEP_SOURCE) is given while it is applied.'
}

@test "files without a transaction and empty ones are kept as well" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_i <<<'CREATE INDEX CONCURRENTLY i ON a (n);'
    migration 003_nothing <<<'-- on purpose'
    migration 004_d <<<'CREATE TABLE d ();'
    run_rung up --keep-source
    assert_status 0
    assert_sql "SELECT version, rtrim(up, E'\\n') FROM schema_migrations_source
                WHERE version IN (2, 3) ORDER BY 1" \
        '2|CREATE INDEX CONCURRENTLY i ON a (n);' '3|-- on purpose'
}

@test "a stamp keeps it too" {
    two_tables
    run_rung stamp --all --keep-source
    assert_status 0
    assert_sql 'SELECT version FROM schema_migrations_source ORDER BY 1' 1 2
}

@test "an undo takes the text away with the row, also without the option" {
    kept
    run_rung down
    assert_status 0
    assert_sql 'SELECT version FROM schema_migrations_source' 1
    run_rung up
    assert_status 0
    assert_sql 'SELECT version FROM schema_migrations_source' 1
}

@test "text with quotes, backslashes and dollars comes back as it went" {
    cat >migrations/001_a.sql <<'SQL'
SELECT 'it''s', E'\\ \' $1', $x$ $$ $x$, U&'\0041'; -- 日本 \
SQL
    run_rung up --keep-source
    assert_status 0
    run_rung show 1 --applied
    cmp "$T/out" migrations/001_a.sql
}

@test "a table of that name that is not ours is refused, before anything" {
    two_tables
    sql 'CREATE VIEW schema_migrations_source AS SELECT 1 AS version'
    run_rung up --keep-source
    assert_status 3
    assert_out ''
    assert_err_has 'schema_migrations_source'
    assert_sql "SELECT to_regclass('a')" ''
}

@test "a ledger whose name leaves no room for it" {
    two_tables
    name=$(printf 'l%.0s' {1..60})
    run_rung up --keep-source --table "$name"
    assert_status 2
    assert_err "rung: error: the ledger's name public.$name is too long for --keep-source: _source would not fit 63 bytes"
    assert_sql "SELECT to_regclass('a')" ''
    run_rung up --table "$name"
    assert_status 0
    run_rung down --table "$name"
    assert_status 0
}

@test "a database that is not in UTF8 cannot keep it" {
    two_tables
    local other=${PGDATABASE}_latin1
    sql_in postgres "CREATE DATABASE \"$other\" TEMPLATE template0 ENCODING LATIN1"
    databases+=("$other")
    use_database "$other"
    run_rung up --keep-source
    assert_status 1
    assert_out ''
    assert_lines "$err" 'rung: error: --keep-source needs a database in UTF8, not LATIN1' \
        'hint: Leave --keep-source (RUNG_KEEP_SOURCE) out.'
    assert_sql "SELECT to_regclass('a')" ''
    run_rung up
    assert_status 0
    assert_applied 1 2
}

# ---- the difference ------------------------------------------------------------------

@test "verify shows what was edited, as diff -u does" {
    kept
    migration 002_b <<<$'-- two\nCREATE TABLE b (n bigint);\nCREATE TABLE bb (n int);'
    run_rung verify
    assert_status 3
    assert_out_has "$(
        cat <<'TEXT'
--- recorded
+++ on disk
@@ -1,3 +1,3 @@
 -- two
-CREATE TABLE b (n int);
+CREATE TABLE b (n bigint);
 CREATE TABLE bb (n int);
The SQL itself differs.
TEXT
    )" 'migrations/002_b.sql:2: error: edited after it was applied'
    assert_err ''
}

@test "an edit is named at the line where it begins, by verify and by up" {
    kept
    migration 002_b <<<$'-- two\nCREATE TABLE b (n bigint);\nCREATE TABLE bb (n int);'
    migration 003_c <<<'CREATE TABLE c ();'
    run_rung verify
    assert_status 3
    assert_out_has 'migrations/002_b.sql:2: error: edited after it was applied'
    run_rung verify --format github
    assert_status 3
    assert_out_has '::error file=migrations/002_b.sql,line=2,title=rung%3A edited::'
    run_rung verify --format json
    assert_status 3
    assert_out_has '"state":"edited","path":"migrations/002_b.sql","line":2,"column":null'
    assert_out_lacks +++

    run_rung up
    assert_status 3
    assert_out ''
    assert_err_has 'migrations/002_b.sql:2: error: edited after it was applied'
    run_rung up --format github
    assert_status 3
    assert_out_has '::error file=migrations/002_b.sql,line=2,title=rung%3A edited::'
    run_rung up --format json
    assert_status 3
    assert_out_has '"state":"edited","path":"migrations/002_b.sql","line":2,"column":null'
    assert_applied 1 2
}

@test "an edit that only takes lines away from the end is named at the last one left" {
    kept
    migration 002_b <<<$'-- two\nCREATE TABLE b (n int);'
    run_rung verify
    assert_status 3
    assert_out_has 'migrations/002_b.sql:2: error: edited after it was applied'
    : >migrations/002_b.sql
    run_rung verify
    assert_status 3
    assert_out_has 'migrations/002_b.sql:1: error: edited after it was applied'
}

@test "a role that has one connection only is told of the edit, without its line" {
    kept
    sql "CREATE ROLE \"$role\" LOGIN CONNECTION LIMIT 1;
         GRANT SELECT ON schema_migrations, schema_migrations_source TO \"$role\""
    migration 002_b <<<'CREATE TABLE b (n bigint);'
    use_database "$PGDATABASE" "$role"
    run_rung up --wait 10min
    use_database "$PGDATABASE"
    assert_status 3
    assert_out ''
    assert_err_has 'migrations/002_b.sql: error: edited after it was applied'
    sql "DROP OWNED BY \"$role\""
}

@test "verify says when only comments and white space differ" {
    kept
    migration 002_b <<<$'-- deux\n  CREATE   TABLE b (n int); /* ; */\nCREATE TABLE bb (n int);'
    run_rung verify
    assert_status 3
    assert_out_has '-- two' '+-- deux' 'Only comments and white space differ.'
    assert_out_lacks 'The SQL itself differs.'
}

@test "white space in a string is SQL" {
    migration 001_a <<<"SELECT 'a b';"
    run_rung up --keep-source
    migration 001_a <<<"SELECT 'a  b';"
    run_rung verify
    assert_status 3
    assert_out_has 'The SQL itself differs.'
}

@test "a terminal is not attacked by what is in a file" {
    kept
    printf -- '-- \033]0;x\007\r\nCREATE TABLE a (n int);\n' >migrations/001_a.sql
    run_rung verify
    assert_status 3
    assert_out_has '+-- \x1b]0;x\x07'
    assert_out_lacks $'\033'
}

@test "who may not read the text is told of the edit all the same" {
    kept
    sql "CREATE ROLE \"$role\" LOGIN; GRANT SELECT ON schema_migrations TO \"$role\""
    migration 002_b <<<'CREATE TABLE b (n bigint);'
    use_database "$PGDATABASE" "$role"
    run_rung verify
    use_database "$PGDATABASE"
    assert_status 3
    assert_out_has 'migrations/002_b.sql: error: edited after it was applied'
    assert_out_lacks recorded$'\n' '+++'
    assert_err ''
    sql "DROP OWNED BY \"$role\""
}

@test "without a diff program the edit is named, and how it differs is said" {
    kept
    migration 002_b <<<$'CREATE TABLE b (n int);\nCREATE TABLE bb (n int);'
    printf '#!/bin/sh\nPATH=/nowhere exec "%s" "$@"\n' "$RUNG" >no-diff
    chmod +x no-diff
    program=$T/no-diff
    run_rung verify
    assert_status 3
    assert_out_has 'Only comments and white space differ.' 'edited after it was applied'
    assert_out_lacks +++
}

@test "repair shows the difference, accepts it, and keeps what is accepted" {
    kept
    migration 002_b <<<$'-- deux\nCREATE TABLE b (n int);\nCREATE TABLE bb (n int);'
    run_rung repair 2 --reason comment --yes --keep-source
    assert_status 0
    assert_out 'repaired 002_b.sql: accepted the edit'
    assert_err_has '--- recorded' '+++ on disk' '+-- deux' \
        'Only comments and white space differ.'
    run_rung show 2 --applied
    assert_status 0
    cmp "$T/out" migrations/002_b.sql
}

@test "repair shows every edit that it is to accept" {
    for n in {10..30}; do migration "0${n}_m" <<<"SELECT $n;"; done
    run_rung up --keep-source
    assert_status 0
    for file in migrations/*.sql; do echo '-- edited' >>"$file"; done
    run_rung repair --reason 'all of them' --yes
    assert_status 0
    assert_equal "$(grep -c '^+-- edited$' <<<"$err")" 21
}

@test "repair without the option leaves no text that is not what is recorded" {
    kept
    migration 002_b <<<'CREATE TABLE b (n bigint);'
    run_rung repair 2 --reason edit --yes
    assert_status 0
    assert_sql 'SELECT version FROM schema_migrations_source' 1
    rm migrations/001_a.sql
    run_rung repair 1 --reason gone --yes
    assert_status 0
    assert_sql 'SELECT version FROM schema_migrations_source'
}

@test "no temporary file stays behind" {
    kept
    mkdir tmp
    migration 002_b <<<'CREATE TABLE b (n bigint);'
    TMPDIR=$T/tmp run_rung verify
    assert_out_has '+++ on disk'
    assert_equal "$(ls -A tmp)" ''
}

# ---- down --from-ledger --------------------------------------------------------------

@test "what another branch applied is undone from the ledger" {
    kept
    rm migrations/002_b.sql migrations/002_b.down.sql
    run_rung down
    assert_status 1
    assert_out ''
    assert_err_has '002_b.sql has no down file'
    run_rung down --from-ledger
    assert_status 0
    assert_done 'undid 002_b.sql (2 statements)'
    assert_err ''
    assert_sql "SELECT to_regclass('a'), to_regclass('b'), to_regclass('bb')" 'a||'
    assert_applied 1
    assert_sql 'SELECT version FROM schema_migrations_source' 1
}

@test "the file on disk goes before the text in the ledger" {
    kept
    migration 002_b.down <<<'DROP TABLE b;'
    run_rung down --from-ledger
    assert_status 0
    assert_done 'undid 002_b.sql (1 statement)'
    assert_sql "SELECT to_regclass('b'), to_regclass('bb')" '|bb'
}

@test "where no down file was kept, all is refused" {
    kept
    rm migrations/*.sql
    run_rung down 2 --from-ledger
    assert_status 1
    assert_out ''
    assert_err_has '001_a.sql has no down file'
    assert_applied 1 2
    run_rung down 1 --from-ledger
    assert_status 0
    assert_applied 1
}

@test "a kept text that is not what is recorded is not run" {
    kept
    rm migrations/002_b.sql migrations/002_b.down.sql
    sql "UPDATE schema_migrations_source SET up = 'SELECT 1', down = 'DROP TABLE a'
         WHERE version = 2"
    run_rung down --from-ledger
    assert_status 3
    assert_out ''
    assert_err_has 'the kept text of version 2 is not what the ledger records'
    assert_sql "SELECT to_regclass('a'), to_regclass('b')" 'a|b'
}

@test "a kept undo that fails says so and changes nothing" {
    kept
    rm migrations/002_b.sql migrations/002_b.down.sql
    sql 'CREATE VIEW v AS SELECT n FROM b'
    run_rung down --from-ledger
    assert_status 1
    assert_out ''
    assert_err_has 'cannot drop table b because other objects depend on it'
    assert_sql "SELECT to_regclass('b'), to_regclass('bb')" 'b|bb'
    assert_applied 1 2
}
