#!/usr/bin/env bats
# rung-import files: other tools' files as rung's.
load ../lib/helpers

import=${RUNG%/*}/rung-import

run_import() {
    program=$import run_rung "$@"
}

# Write stdin to old/NAME.
old() {
    mkdir -p "$(dirname "old/$1")"
    cat >"old/$1"
}

# converted TOOL FILE...: the files of old/ are converted, and migrations/ then holds
# exactly these.
converted() {
    local tool=$1
    shift
    run_import files --from "$tool" old --write
    assert_status 0
    assert_equal "$(cd migrations && LC_ALL=C printf '%s\n' *)" "$(printf '%s\n' "$@" | LC_ALL=C sort)"
}

# assert_file FILE: its bytes are stdin.
assert_file() {
    cmp -- "migrations/$1" /dev/stdin || fail_with "migrations/$1:" "$(cat "migrations/$1")"
}

# refused TOOL LINE...: nothing is written, and stderr names these; --skip leaves them out.
refused() {
    local tool=$1
    shift
    run_import files --from "$tool" old --write
    assert_status 1
    assert_out ''
    assert_err "$(printf '%s\n' "$@" 'rung-import: error: what is named above cannot be converted' \
        'hint: Nothing was written. Give rung SQL that says the same, or leave these out with --skip.')"
    assert_equal "$(ls migrations)" ''
}

# ---- the program -------------------------------------------------------------------

@test "without --write nothing is written, and every file is named with its source" {
    old 1_a.up.sql <<<'SELECT 1;'
    old 1_a.down.sql <<<'SELECT 2;'
    run_import files --from golang-migrate old -m elsewhere
    assert_status 0
    assert_out 'would write elsewhere/1_a.sql (from old/1_a.up.sql)
would write elsewhere/1_a.down.sql (from old/1_a.down.sql)'
    assert_err 'nothing was written: --write does'
    [ ! -e elsewhere ]

    run_import files --from golang-migrate old -m elsewhere --write
    assert_status 0
    assert_out 'wrote elsewhere/1_a.sql (from old/1_a.up.sql)
wrote elsewhere/1_a.down.sql (from old/1_a.down.sql)'
    assert_err ''
    cmp elsewhere/1_a.sql old/1_a.up.sql
    cmp elsewhere/1_a.down.sql old/1_a.down.sql
}

@test "no file that exists is touched: another one of that name or version stops all" {
    old 1_a.sql <<<'SELECT 1;'
    old 2_b.sql <<<'SELECT 2;'
    migration 2_b <<<'SELECT 22;'
    run_import files --from sqlx old --write
    assert_status 1
    assert_out ''
    assert_err 'rung-import: error: migrations/2_b.sql is there already, and it is another file
hint: Nothing was written. Name another directory with -m, or move it away.'
    assert_equal "$(ls migrations)" 2_b.sql
    assert_file 2_b.sql <<<'SELECT 22;'

    mv migrations/2_b.sql migrations/002_c.sql
    run_import files --from sqlx old --write
    assert_status 1
    assert_err_has 'migrations/002_c.sql has the version of 2_b.sql, which was to be written'
    assert_equal "$(ls migrations)" 002_c.sql
}

@test "files that are there already are passed over" {
    old 1_a.sql <<<'SELECT 1;'
    old 2_b.sql <<<'SELECT 2;'
    cp old/1_a.sql migrations
    run_import files --from sqlx old --write
    assert_status 0
    assert_out 'wrote migrations/2_b.sql (from old/2_b.sql)'
    run_import files --from sqlx old --write
    assert_status 0
    assert_out ''
    assert_err 'nothing to write: the files are there'
}

@test "the files are not written to where they come from" {
    migration 1_a.up <<<'SELECT 1;'
    run_import files --from sqlx migrations --write
    assert_status 2
    assert_err 'rung-import: error: the files cannot be written to where they come from
hint: Move them away first, or name another directory with -m.'
    assert_equal "$(ls migrations)" 1_a.up.sql
}

@test "SHA256SUMS is kept in step" {
    old 2_b.sql <<<'SELECT 2;'
    migration 1_a <<<'SELECT 1;'
    run_rung sum
    run_import files --from sqlx old --write
    assert_status 0
    (cd migrations && sha256sum --quiet -c SHA256SUMS && grep -q 2_b.sql SHA256SUMS)
}

@test "what rung cannot run is refused, with the line of the tool's own file" {
    old 1_a.sql <<'END'
-- migrate:up
SELECT 1;

-- migrate:down
SELECT 2;
\connect other
END
    refused dbmate 'old/1_a.sql:6: error: psql command "\connect" is not supported'
}

@test "with --skip the others are written" {
    old 1_a.sql <<<$'-- +goose Up\nSELECT 1;'
    old 2_b.go <<<'package main'
    refused goose 'old/2_b.go: error: is not SQL, and rung runs nothing else'
    run_import files --from goose old --write --skip
    assert_status 0
    assert_out 'wrote migrations/1_a.sql (from old/1_a.sql)'
    assert_err 'old/2_b.go: warning: is not SQL, and rung runs nothing else: left out'
}

@test "a directory without migrations of that tool is an error" {
    mkdir old
    run_import files --from goose old
    assert_status 1
    assert_err "rung-import: error: there is no migration of goose's in old"
    run_import files --from goose nosuch
    assert_status 2
    assert_err 'rung-import: error: cannot open directory "nosuch": No such file or directory'
}

@test "a command line that makes no sense is a usage error" {
    run_import
    assert_status 2
    assert_err_has 'Usage: rung-import files --from TOOL'
    run_import up
    assert_status 2
    assert_err_has 'the first argument is files or history'
    run_import files old
    assert_status 2
    assert_err_has 'say with --from whose files these are' 'One of alembic, dbmate, '
    run_import files --from nosuch old
    assert_err_has '--from: no tool "nosuch" is known'
    run_import files --from goose
    assert_status 2
    assert_err_has 'name one directory with the files of goose'
    run_import files --form goose old
    assert_err_has 'unknown option --form'
    run_import files --from
    assert_err_has '--from needs a value'
    run_import files --from goose old --yes
    assert_err_has 'belong to `rung-import history`'
    run_import --version
    assert_status 0
    assert_out_has 'rung-import 0.'
    run_import --help
    assert_status 0
    assert_out_has 'sqitch' 'For history alone: ecto rails'
}

@test "rung-import is installed with rung" {
    [ -z "${SANITIZED-}" ] || skip 'asan: what is installed is not built with it'
    make -C "$repo" -s install PREFIX="$T/prefix" 3>&- 4>&-
    program=$T/prefix/bin/rung-import run_rung --version
    assert_status 0
    make -C "$repo" -s uninstall PREFIX="$T/prefix" 3>&- 4>&-
    [ ! -e "$T/prefix/bin/rung-import" ]
}

# ---- dbmate ------------------------------------------------------------------------

@test "dbmate: sections, options, what is above them" {
    old 20200101000000_users.sql <<'END'
-- Users, at last.
-- migrate:up
CREATE TABLE users (id int);

-- migrate:down
DROP TABLE users;
END
    old 20200102000000_index.sql <<'END'
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY i ON users (id);
-- migrate:down foo:bar transaction:false
DROP INDEX CONCURRENTLY i;
END
    old 20200103000000_keep.sql <<'END'
--migrate:up
SELECT '-- migrate:down';
-- migrate:down

END
    old README.md <<<'nothing'
    converted dbmate 20200101000000_users.sql 20200101000000_users.down.sql \
        20200102000000_index.sql 20200102000000_index.down.sql 20200103000000_keep.sql
    assert_file 20200101000000_users.sql <<'END'
-- Users, at last.
CREATE TABLE users (id int);

END
    assert_file 20200101000000_users.down.sql <<<'DROP TABLE users;'
    assert_file 20200102000000_index.sql <<'END'
-- rung: no-transaction
CREATE INDEX CONCURRENTLY i ON users (id);
END
    assert_file 20200102000000_index.down.sql <<'END'
-- rung: no-transaction
DROP INDEX CONCURRENTLY i;
END
    assert_file 20200103000000_keep.sql <<<"SELECT '-- migrate:down';"
}

@test "dbmate: repeated sections are joined, each in its own transaction if need be" {
    old 1_a.sql <<'END'
-- migrate:up
CREATE TABLE a (id int) -- no semicolon
-- migrate:down
DROP TABLE b;
-- migrate:up
CREATE TABLE b (id int);
-- migrate:down
DROP TABLE a
END
    old 2_b.sql <<'END'
-- migrate:up
CREATE TABLE c (id int)
-- migrate:down
-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY i ON c (id)
-- migrate:down
END
    converted dbmate 1_a.sql 1_a.down.sql 2_b.sql
    assert_file 1_a.sql <<'END'
CREATE TABLE a (id int); -- no semicolon
CREATE TABLE b (id int);
END
    assert_file 1_a.down.sql <<'END'
DROP TABLE b;
DROP TABLE a;
END
    assert_file 2_b.sql <<'END'
-- rung: no-transaction
BEGIN;
CREATE TABLE c (id int);
COMMIT;
CREATE INDEX CONCURRENTLY i ON c (id);
END
    run_rung up
    assert_status 0
    assert_sql "SELECT to_regclass('b') IS NOT NULL, to_regclass('i') IS NOT NULL" 't|t'
}

@test "dbmate: files go by name; where numbers do not rise so, they are numbered anew" {
    old 9_second.sql <<<$'-- migrate:up\nSELECT 9;'
    old 10_first.sql <<<$'-- migrate:up\nSELECT 10;'
    converted dbmate 001_10_first.sql 002_9_second.sql
}

@test "dbmate: what it refuses is refused" {
    old 1_a.sql <<<'SELECT 1;'
    old 2_b.sql <<<$'SELECT 1;\n-- migrate:up'
    old 3_c.sql <<<$'-- migrate:down\n-- migrate:up'
    old 3_d.sql <<<'-- migrate:up'
    refused dbmate \
        'old/3_d.sql: error: has the version of 3_c.sql' \
        'old/1_a.sql: error: has no "-- migrate:up"' \
        'old/2_b.sql:1: error: has a statement above the first "-- migrate:up"' \
        'old/3_c.sql:1: error: has a down section before any up'
}

@test "dbmate: environment variables in the SQL are refused" {
    old 1_a.sql <<<$'-- migrate:up env:OWNER transaction:false\nALTER TABLE t OWNER TO {{ .OWNER }};'
    refused dbmate 'old/1_a.sql:1: error: puts environment variables into the SQL (env:)'
}

# ---- goose -------------------------------------------------------------------------

@test "goose: Up, Down, statement blocks" {
    old 00001_f.sql <<'END'
-- what it is about

-- +goose Up
CREATE TABLE t (id int);
-- +goose StatementBegin
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    -- +goose of no meaning? it has one: no
    RETURN 1; END; $$
-- +goose StatementEnd

-- +goose statementbegin
DO $$ BEGIN NULL; END $$;
-- +goose statementend
-- +goose Down
DROP FUNCTION f();
DROP TABLE t;
END
    sed -i '/of no meaning/d' old/00001_f.sql
    converted goose 00001_f.sql 00001_f.down.sql
    assert_file 00001_f.sql <<'END'
-- what it is about

CREATE TABLE t (id int);
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RETURN 1; END; $$;

DO $$ BEGIN NULL; END $$;
END
    assert_file 00001_f.down.sql <<'END'
DROP FUNCTION f();
DROP TABLE t;
END
    run_rung up
    assert_status 0
    assert_sql 'SELECT f()' 1
}

@test "what did nothing can be undone with nothing" {
    local nothing=$'-- +goose Up\n-- +goose StatementBegin\n-- +goose StatementEnd\n'
    old 1_a.sql <<<"$nothing-- +goose Down"
    old 2_b.sql <<<"$nothing"
    old 3_c.sql <<<$'-- +goose Up\nSELECT 3;\n-- +goose Down'
    converted goose 1_a.sql 1_a.down.sql 2_b.sql 2_b.down.sql 3_c.sql
    assert_file 1_a.down.sql </dev/null
    rm migrations/3_c.sql
    old 3_c.sql <<<$'-- +goose Up\nSELECT 3;\n-- +goose Down\nSELECT -3;'
    run_import files --from goose old --write
    run_rung up
    assert_status 0
    run_rung down --all --yes
    assert_status 0
    assert_sql 'SELECT count(*) FROM schema_migrations' 0
}

@test "goose: NO TRANSACTION holds for both ways" {
    old 20200101000000_i.sql <<'END'
-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY i ON t (id);
-- +goose Down
DROP INDEX CONCURRENTLY i;
END
    converted goose 20200101000000_i.sql 20200101000000_i.down.sql
    assert_file 20200101000000_i.sql <<'END'
-- rung: no-transaction
CREATE INDEX CONCURRENTLY i ON t (id);
END
    assert_file 20200101000000_i.down.sql <<'END'
-- rung: no-transaction
DROP INDEX CONCURRENTLY i;
END
}

@test "goose: ENVSUB, Go and what it refuses are refused" {
    old 1_env.sql <<<$'-- +goose Up\n-- +goose ENVSUB ON\nSELECT 1;'
    old 2_code.go <<<'package main'
    old 2_code_test.go <<<'package main'
    old 3_none.sql <<<'SELECT 1;'
    old 4_twice.sql <<<$'-- +goose Up\n-- +goose Up\nSELECT 1;'
    old 5_open.sql <<<$'-- +goose Up\n-- +goose StatementBegin\nSELECT 1;'
    old 6_what.sql <<<$'-- +goose Up\n-- +goose Sideways\nSELECT 1;'
    old 7_down.sql <<<$'-- +goose Down\nSELECT 1;'
    old seed.sql <<<'SELECT 1;'
    refused goose \
        'old/2_code.go: error: is not SQL, and rung runs nothing else' \
        'old/seed.sql: warning: is not named as goose names its files: left out' \
        'old/1_env.sql:2: error: puts environment variables into the SQL (+goose ENVSUB)' \
        'old/3_none.sql:1: error: is SQL above "-- +goose Up"' \
        'old/4_twice.sql:2: error: "+goose Up" is out of place' \
        'old/5_open.sql: error: has no "-- +goose StatementEnd"' \
        'old/6_what.sql:2: error: has an unknown +goose mark' \
        'old/7_down.sql:1: error: "+goose Down" is out of place'
}

# ---- golang-migrate, sqlx ----------------------------------------------------------

@test "golang-migrate: up and down files, byte by byte; empty down files undo nothing" {
    printf 'CREATE TABLE t (id int)\r\n' | old 000001_t.up.sql
    printf 'DROP TABLE t' | old 000001_t.down.sql
    old 000002_u.up.sql <<<'SELECT 2;'
    old 000002_u.down.sql </dev/null
    old notes.txt <<<'no'
    converted golang-migrate 000001_t.sql 000001_t.down.sql 000002_u.sql
    cmp migrations/000001_t.sql old/000001_t.up.sql
    cmp migrations/000001_t.down.sql old/000001_t.down.sql
}

@test "golang-migrate: a down file without its up file, two of one version" {
    old 1_a.up.sql <<<'SELECT 1;'
    old 1_b.up.sql <<<'SELECT 1;'
    old 2_c.down.sql <<<'SELECT 1;'
    refused golang-migrate 'old/1_b.up.sql: error: has the version of 1_a.up.sql' \
        'old/2_c.down.sql: error: is a down file, and there is no up file'
}

@test "sqlx: simple and reversible files, -- no-transaction, a byte order mark" {
    old 20200101_simple.sql <<<'SELECT 1;'
    old 20200102_both.up.sql <<<$'-- no-transaction\nCREATE INDEX CONCURRENTLY i ON t (id);'
    old 20200102_both.down.sql <<<'DROP INDEX i;'
    printf '\xef\xbb\xbfSELECT 3;\n' | old 20200103_mark.sql
    converted sqlx 20200101_simple.sql 20200102_both.sql 20200102_both.down.sql \
        20200103_mark.sql
    assert_file 20200102_both.sql <<'END'
-- rung: no-transaction
-- no-transaction
CREATE INDEX CONCURRENTLY i ON t (id);
END
    cmp migrations/20200103_mark.sql old/20200103_mark.sql
}

@test "golang-migrate: any ending is run, what names no way is not" {
    old 1_a.up.SQL <<<'SELECT 1;'
    old 2_b.up.pgsql <<<'SELECT 2;'
    old 2_b.down.pgsql <<<'SELECT -2;'
    old 3_c.down.up.sql <<<'SELECT 3;'
    old 4_d.sql <<<'SELECT 4;'
    old 5.up.sql <<<'SELECT 5;'
    old sub/6_e.up.sql <<<'SELECT 6;'
    old embed.go <<<'package migrations'
    converted golang-migrate 1_a.sql 2_b.sql 2_b.down.sql 3_c.down_migration.sql
    assert_lines "$err" \
        'old/4_d.sql: warning: is not named as golang-migrate names its files: left out' \
        'old/5.up.sql: warning: is not named as golang-migrate names its files: left out' \
        'old/sub/6_e.up.sql: warning: is in a directory where golang-migrate does not look: left out'
}

@test "golang-migrate, Sqitch: what was in no transaction there, and cannot be in one, is in none" {
    local mixed=$'CREATE TABLE t (id int);\nCREATE INDEX CONCURRENTLY t_id ON t (id);'
    local groups=$'BEGIN;\nCREATE TABLE u (id int);\nCOMMIT;\nBEGIN;\nCREATE TABLE v (id int);\nCOMMIT;'
    old 1_mixed.up.sql <<<"$mixed"
    old 1_mixed.down.sql <<<$'DROP INDEX CONCURRENTLY t_id;\nDROP TABLE t;'
    old 2_groups.up.sql <<<"$groups"
    old 3_plain.up.sql <<<'SELECT 3;'
    converted golang-migrate 1_mixed.sql 1_mixed.down.sql 2_groups.sql 3_plain.sql
    assert_file 1_mixed.sql <<<"-- rung: no-transaction"$'\n'"$mixed"
    assert_file 1_mixed.down.sql <<<$'-- rung: no-transaction\nDROP INDEX CONCURRENTLY t_id;\nDROP TABLE t;'
    assert_file 2_groups.sql <<<"-- rung: no-transaction"$'\n'"$groups"
    assert_file 3_plain.sql <<<'SELECT 3;'
    run_rung up
    assert_status 0
    assert_sql "SELECT to_regclass('t_id'), to_regclass('u'), to_regclass('v')" 't_id|u|v'

    rm -r old migrations/*
    old sqitch.plan <<<'one 2020-01-01T00:00:00Z A <a@x> # 1'
    old deploy/one.sql <<<"$mixed"
    converted sqitch 001_one.sql
    assert_file 001_one.sql <<<"-- rung: no-transaction"$'\n'"$mixed"

    # Others put a file into a transaction, where that is a mistake; so is half a group.
    rm -r old migrations/*
    old 1_mixed.sql <<<"$mixed"
    run_import files --from sqlx old --write
    assert_status 1
    mv old/1_mixed.sql old/1_half.up.sql
    printf 'BEGIN;\nSELECT 1;\nCOMMIT;\nBEGIN;\nSELECT 2;\n' >old/1_half.up.sql
    run_import files --from golang-migrate old --write
    assert_status 1
    assert_err_has 'old/1_half.up.sql:3: error: COMMIT in the middle of a file that runs in a transaction'
}

@test ".SQL: run by the tools that run it, named by the others" {
    old 1_a.sql <<<'SELECT 1;'
    old 2_b.SQL <<<'SELECT 2;'
    converted postgres-migrations 1_a.sql 2_b.sql
    rm migrations/*
    converted node-pg-migrate 1_a.sql 2_b.sql
    rm migrations/*
    converted plain 1_a.sql 2_b.sql
    rm migrations/*
    converted sqlx 1_a.sql
    assert_err 'old/2_b.SQL: warning: is not named as sqlx names its files: left out'
}

# ---- Flyway, refinery --------------------------------------------------------------

@test "Flyway: whole numbers stay; U undoes; subdirectories are searched" {
    old V2__second_one.sql <<<'SELECT 2;'
    old V010__tenth.sql <<<'SELECT 10;'
    old sub/V3__third.sql <<<'SELECT 3;'
    old U2__second_one.sql <<<'SELECT -2;'
    converted flyway 2_second_one.sql 2_second_one.down.sql 3_third.sql 010_tenth.sql
    assert_file 2_second_one.down.sql <<<'SELECT -2;'
}

@test "Flyway: dotted versions are numbered in their order" {
    old V1__a.sql <<<'SELECT 1;'
    old V1.10__c.sql <<<'SELECT 3;'
    old V1_9__b.sql <<<'SELECT 2;'
    old V2.0.1__d.sql <<<'SELECT 4;'
    converted flyway 001_1_a.sql 002_1.9_b.sql 003_1.10_c.sql 004_2.0.1_d.sql
    assert_file 003_1.10_c.sql <<<'SELECT 3;'
}

@test "Flyway: a version without a name; names that are almost its" {
    old V1.sql <<<'SELECT 1;'
    old V2__.sql <<<'SELECT 2;'
    old V2_1.sql <<<'SELECT 21;'
    old U2_1.sql <<<'SELECT -21;'
    old v3__small.sql <<<'SELECT 3;'
    old V4_single.sql <<<'SELECT 4;'
    old V5__capitals.SQL <<<'SELECT 5;'
    converted flyway 001_1.sql 002_2.sql 003_2.1.sql 003_2.1.down.sql
    assert_file 003_2.1.down.sql <<<'SELECT -21;'
    assert_lines "$err" \
        'old/V4_single.sql: warning: is not named as Flyway names its files: left out' \
        'old/V5__capitals.SQL: warning: is not named as Flyway names its files: left out' \
        'old/v3__small.sql: warning: is not named as Flyway names its files: left out'
}

@test "Flyway: a configuration file says how a migration runs" {
    old V1__i.sql <<<'CREATE INDEX CONCURRENTLY i ON t (id);'
    old V1__i.sql.conf <<<'executeInTransaction = false'
    old V2__p.sql <<<"SELECT '\${not} one';"
    old V2__p.sql.conf <<<'placeholderReplacement=false'
    converted flyway 1_i.sql 2_p.sql
    assert_file 1_i.sql <<<$'-- rung: no-transaction\nCREATE INDEX CONCURRENTLY i ON t (id);'
}

@test "Flyway: repeatable files, placeholders, baselines, Java, callbacks are refused" {
    old V1__p.sql <<<$'SELECT 1;\nSELECT ${what};'
    old R__view.sql <<<'SELECT 1;'
    old B2__base.sql <<<'SELECT 1;'
    old V3__code.java <<<'class V3__code {}'
    old afterMigrate.sql <<<'SELECT 1;'
    refused flyway \
        'old/B2__base.sql: error: is a baseline (B): make it the first numbered file, if it is' \
        'old/R__view.sql: error: is repeatable: rung has no such files, make it a numbered one' \
        'old/V3__code.java: error: is not SQL, and rung runs nothing else' \
        "old/afterMigrate.sql: error: is a callback of Flyway's" \
        'old/V1__p.sql:2: error: has a placeholder (${ })'
}

@test "refinery: V and U are both migrations; noTransaction; Rust is refused" {
    old V1__first.sql <<<'SELECT 1;'
    old U2__late.sql <<<$'--- refinery:noTransaction\nVACUUM;'
    converted refinery 1_first.sql 2_late.sql
    assert_file 2_late.sql <<<$'-- rung: no-transaction\n--- refinery:noTransaction\nVACUUM;'
    rm migrations/*
    old V3__code.rs <<<'fn main() {}'
    old mod.rs <<<'fn main() {}'
    refused refinery 'old/V3__code.rs: error: is not SQL, and rung runs nothing else'
}

# ---- tern, node-pg-migrate, postgres-migrations, graphile-migrate, diesel ------------

@test "tern: above and below; disable-tx; templates are refused" {
    old 001_t.sql <<'END'
CREATE TABLE t (id int);
---- create above / drop below ----
DROP TABLE t;
END
    old 002_i.sql <<'END'
---- tern: disable-tx ----
CREATE INDEX CONCURRENTLY i ON t (id);
END
    converted tern 001_t.sql 001_t.down.sql 002_i.sql
    assert_file 001_t.sql <<<'CREATE TABLE t (id int);'
    assert_file 001_t.down.sql <<<'DROP TABLE t;'
    assert_file 002_i.sql <<'END'
-- rung: no-transaction
---- tern: disable-tx ----
CREATE INDEX CONCURRENTLY i ON t (id);
END
    rm migrations/*
    old 003_x.sql <<<$'\n{{ template "shared/x.sql" . }}'
    refused tern 'old/003_x.sql:2: error: is a template ({{ }})'
}

@test "node-pg-migrate: Up and Down Migration, in either order, or none" {
    old 1577836800000_t.sql <<'END'
-- Up Migration
CREATE TABLE t (id int);
-- Down Migration
DROP TABLE t;
END
    old 1577836900000_turned.sql <<'END'
--- down migration of it
SELECT 'down';
--up   Migration
SELECT 'up';
END
    old 1577837000000_bare.sql <<<'SELECT 3;'
    old 1577837100000_pair.up.sql <<<'SELECT 4;'
    old 1577837100000_pair.down.sql <<<'SELECT -4;'
    converted node-pg-migrate 1577836800000_t.sql 1577836800000_t.down.sql \
        1577836900000_turned.sql 1577836900000_turned.down.sql 1577837000000_bare.sql \
        1577837100000_pair.sql 1577837100000_pair.down.sql
    assert_file 1577836800000_t.sql <<<$'-- Up Migration\nCREATE TABLE t (id int);'
    assert_file 1577836800000_t.down.sql <<<$'-- Down Migration\nDROP TABLE t;'
    assert_file 1577836900000_turned.sql <<<$'--up   Migration\nSELECT \'up\';'
    assert_file 1577836900000_turned.down.sql <<<$'--- down migration of it\nSELECT \'down\';'
    assert_file 1577837000000_bare.sql <<<'SELECT 3;'
}

@test "node-pg-migrate: several files of one number go by name" {
    old 2_c.sql <<<'SELECT 3;'
    old 1_b.sql <<<$'-- Up Migration\nSELECT 2;\n-- Down Migration\nSELECT -2;'
    old 1_a.sql <<<'SELECT 1;'
    converted node-pg-migrate 001_1_a.sql 002_1_b.sql 002_1_b.down.sql 003_2_c.sql
}

@test "node-pg-migrate: JavaScript, and a down part alone, are refused" {
    old 1_a.js <<<'exports.up = pgm => {}'
    old 2_b.ts <<<''
    old 3_c.sql <<<$'SELECT 1;\n-- Down Migration\nSELECT 2;'
    refused node-pg-migrate \
        'old/1_a.js: error: is not SQL, and rung runs nothing else' \
        'old/2_b.ts: error: is not SQL, and rung runs nothing else' \
        'old/3_c.sql:2: error: has a down part, and no "-- Up Migration" in front of it'
}

@test "postgres-migrations: its names, its disable-transaction" {
    old 1_a.sql <<<'SELECT 1;'
    old 2-b.sql <<<$'-- postgres-migrations disable-transaction\nVACUUM;'
    converted postgres-migrations 1_a.sql 2_b.sql
    assert_file 2_b.sql <<'END'
-- rung: no-transaction
-- postgres-migrations disable-transaction
VACUUM;
END
    rm migrations/*
    old 3_c.js <<<'module.exports.generateSql = () => ""'
    refused postgres-migrations 'old/3_c.js: error: is not SQL, and rung runs nothing else'
}

@test "graphile-migrate: committed files with their headers; current.sql is left out" {
    old committed/000001-first.sql <<'END'
--! Previous: -
--! Hash: sha1:abc
--! Message: first

CREATE TABLE t (x text, y timestamptz DEFAULT '2020-01-01 12:30:00'::TEXT::timestamptz);
END
    old committed/000002.sql <<'END'
--! Previous: sha1:abc
--! Hash: sha1:def

--! no-transaction
CREATE INDEX CONCURRENTLY i ON t (x);
END
    old current.sql <<<'SELECT 1;'
    converted graphile-migrate 000001_first.sql 000002_migration.sql
    assert_err 'old/current.sql: warning: is not committed: left out'
    cmp migrations/000001_first.sql old/committed/000001-first.sql
    assert_equal "$(head -n 1 migrations/000002_migration.sql)" '-- rung: no-transaction'
    tail -n +2 migrations/000002_migration.sql | cmp - old/committed/000002.sql
}

@test "graphile-migrate: placeholders and includes are refused" {
    old 000001.sql <<'END'
--! Previous: -
--! Hash: sha1:abc

ALTER DATABASE :DATABASE_NAME SET x.y = 'z';
--!include functions/f.sql
END
    refused graphile-migrate 'old/000001.sql:4: error: has a placeholder (:NAME)' \
        'old/000001.sql:5: error: includes another file (--!include)'
}

@test "diesel: directories, dashes in their numbers, metadata.toml" {
    old 00000000000000_diesel_initial_setup/up.sql <<<'SELECT 0;'
    old 00000000000000_diesel_initial_setup/down.sql <<<'SELECT -1;'
    old 2020-01-01-000001_users/up.sql <<<'SELECT 1;'
    old 2020-01-02-000000_index/up.sql <<<'CREATE INDEX CONCURRENTLY i ON t (x);'
    old 2020-01-02-000000_index/metadata.toml <<<'run_in_transaction = false'
    converted diesel 00000000000000_diesel_initial_setup.sql \
        00000000000000_diesel_initial_setup.down.sql 20200101000001_users.sql \
        20200102000000_index.sql
    assert_file 20200102000000_index.sql <<'END'
-- rung: no-transaction
CREATE INDEX CONCURRENTLY i ON t (x);
END
}

@test "diesel: the order of the versions, with and without dashes; remarks in metadata.toml" {
    old 2020-01-03-000000_three/up.sql <<<'SELECT 3;'
    old 20200102000000_two/up.sql <<<'VACUUM;'
    old 20200102000000_two/metadata.toml <<<'run_in_transaction = false # VACUUM'
    old 2020-01-01-000000_one/up.sql <<<'SELECT 1;'
    old 2020-01-01-000000_one/notes.sql <<<'SELECT 0;'
    old schema.SQL <<<'SELECT 0;'
    old diesel.toml <<<''
    converted diesel 20200101000000_one.sql 20200102000000_two.sql 20200103000000_three.sql
    assert_file 20200102000000_two.sql <<<$'-- rung: no-transaction\nVACUUM;'
    assert_lines "$err" \
        'old/2020-01-01-000000_one/notes.sql: warning: is not named as diesel names its files: left out' \
        'old/schema.SQL: warning: is not named as diesel names its files: left out'
    rm -r migrations/*
    old 20200101000000_again/up.sql <<<'SELECT 1;'
    old 2019-01-01-000000_down/down.sql <<<'SELECT 1;'
    run_import files --from diesel old --write
    assert_status 1
    assert_err_has \
        'old/2019-01-01-000000_down/down.sql: error: is a down file, and there is no up file' \
        'has the version of '
    assert_equal "$(ls migrations)" ''
    run_import files --from diesel old --write --skip
    assert_status 0
    assert_equal "$(cd migrations && echo *)" \
        '20200101000000_one.sql 20200102000000_two.sql 20200103000000_three.sql'
}

# ---- Alembic -------------------------------------------------------------------------

# run_alembic TEXT...: what it has printed, in files.
run_alembic() {
    local i=0 text files=()
    for text; do
        i=$((i + 1))
        printf '%s\n' "$text" >"text$i"
        files+=("text$i")
    done
    run_import files --from alembic "${files[@]}" --write
}

@test "Alembic: its table of any name, a transaction a migration, dependencies" {
    run_alembic 'CREATE TABLE app."My version" (version_num VARCHAR(32) NOT NULL);

BEGIN;

-- Running upgrade  -> 1a

-- a remark; of the revision
CREATE TABLE a (id int);

INSERT INTO app."My version" (version_num) VALUES ('"'1a'"') RETURNING version_num;

COMMIT;

BEGIN;

-- Running upgrade  -> 2b

UPDATE a SET id = 1; DELETE FROM a;

UPDATE app."My version" SET version_num='"'2b'"' WHERE version_num = '"'1a'"';

COMMIT;' 'Rev: 2b (head)
Parent: <base>
Also depends on: 1a
Path: x/2b_second.py

    The Second: one

    Revision ID: 2b

Rev: 1a
Parent: <base>
Path: x/1a.py

    first
'
    assert_status 0
    assert_file 001_1a_first.sql <<'END'
-- Running upgrade  -> 1a

-- a remark; of the revision
CREATE TABLE a (id int);
END
    assert_file 002_2b_the_second_one.sql <<'END'
-- Running upgrade  -> 2b
-- depends on: 1a

UPDATE a SET id = 1;

 DELETE FROM a;
END
    by='CREATE TABLE app."My version" (version_num text)'
    sql "CREATE SCHEMA app; $by; INSERT INTO app.\"My version\" VALUES ('2b')"
    run_import history --from alembic --old-table 'app."My version"' --yes
    assert_status 0
    assert_out 'recorded 001_1a_first.sql (no time is known)
recorded 002_2b_the_second_one.sql (no time is known)'
}

@test "Alembic: what belongs to no revision is refused" {
    run_alembic 'BEGIN;

SET search_path = app;

-- Running upgrade  -> 1a

SELECT 1;

COMMIT;'
    assert_status 1
    assert_err_has './text1:3: error: is a statement of no revision'
    assert_equal "$(ls migrations)" ''
}

@test "Alembic: percent signs that were all doubled are refused, others are not" {
    run_alembic "BEGIN;

-- Running upgrade  -> 1a

SELECT 1;

-- Running upgrade 1a -> 2b

SELECT 1;
SELECT format('%%I', 'x') LIKE '%%%%';

COMMIT;" "BEGIN;

-- Running downgrade 2b -> 1a

SELECT 5 %% 2;

COMMIT;"
    assert_status 1
    assert_lines "$err" \
        './text1:10: error: each % was doubled: give context.configure() in env.py dialect_opts={"paramstyle": "named"}' \
        './text2:5: error: each % was doubled: give context.configure() in env.py dialect_opts={"paramstyle": "named"}' \
        'rung-import: error: what is named above cannot be converted' \
        'hint: Nothing was written. Give rung SQL that says the same, or leave these out with --skip.'
    assert_equal "$(ls migrations)" ''

    run_alembic "-- Running upgrade  -> 1a

SELECT format('%I %%', 'x');"
    assert_status 0
    assert_file 001_1a.sql <<<"-- Running upgrade  -> 1a

SELECT format('%I %%', 'x');"
}

@test "Alembic: backslashes that it may have doubled are named" {
    run_alembic "-- Running upgrade  -> 1a

SELECT '\\d';

-- Running upgrade 1a -> 2b

INSERT INTO t VALUES ('C:\\\\x');"
    assert_status 0
    assert_err './text1: warning: 2b has two backslashes in a row: Alembic doubles those of values (bulk_insert); see whether both are meant'
    assert_file 002_2b.sql <<<"-- Running upgrade 1a -> 2b

INSERT INTO t VALUES ('C:\\\\x');"
}

@test "Alembic: dependencies may be abbreviated; labels are no revisions" {
    run_alembic '-- Running upgrade  -> 1abc

SELECT 1;

-- Running upgrade  -> 2bcd

SELECT 2;' 'Rev: 2bcd (head)
Parent: <base>
Also depends on: 1a, base@head

    second

Rev: 1abc
Parent: <base>

    first
'
    assert_status 0
    assert_err './text1: warning: 2bcd depends on base@head, which is no revision: not followed'
    assert_file 002_2bcd_second.sql <<<'-- Running upgrade  -> 2bcd
-- depends on: 1abc

SELECT 2;'
}

# ---- yoyo, Sqitch, others ------------------------------------------------------------

@test "yoyo: names, dependencies, rollback files; Python is refused" {
    old 20200101_01_aB1-first.sql <<<$'-- first\n-- depends: zeroth\nSELECT 1;'
    old 20200101_01_aB1-first.rollback.sql <<<'SELECT -1;'
    old 20200102_01_xYz-vacuum.sql <<<$'-- transactional: false\nVACUUM;'
    old zeroth.sql <<<'SELECT 0;'
    converted yoyo 001_20200102_01_xYz-vacuum.sql 002_zeroth.sql \
        003_20200101_01_aB1-first.sql 003_20200101_01_aB1-first.down.sql
    assert_file 001_20200102_01_xYz-vacuum.sql <<'END'
-- rung: no-transaction
-- transactional: false
VACUUM;
END
    rm migrations/*
    old code.py <<<'from yoyo import step'
    old lost.sql <<<$'-- depends: nowhere\nSELECT 1;'
    old post-apply.sql <<<'SELECT 1;'
    refused yoyo 'old/code.py: error: is not SQL, and rung runs nothing else' \
        'old/post-apply.sql: error: is run after every apply' \
        'old/lost.sql: error: depends on a migration that is not here'
}

@test "Sqitch: the order of the plan, reworked changes" {
    old sqitch.plan <<'END'
%syntax-version=1.0.0
%project=flipr

users 2020-01-01T00:00:00Z A <a@example.com> # users
lists [users] 2020-01-02T00:00:00Z A <a@example.com> # lists
@v1 2020-01-03T00:00:00Z A <a@example.com> # tag
users [users@v1] 2020-01-04T00:00:00Z A <a@example.com> # again
END
    old deploy/users@v1.sql <<<$'BEGIN;\nSELECT 1;\nCOMMIT;'
    old deploy/users.sql <<<'SELECT 3;'
    old deploy/lists.sql <<<'SELECT 2;'
    old revert/lists.sql <<<'SELECT -2;'
    old revert/users@v1.sql <<<'SELECT -1;'
    old verify/users.sql <<<'SELECT 1/0;'
    converted sqitch 001_users.sql 001_users.down.sql 002_lists.sql 002_lists.down.sql \
        003_users.sql
    assert_file 001_users.sql <<<$'BEGIN;\nSELECT 1;\nCOMMIT;'
    assert_file 001_users.down.sql <<<'SELECT -1;'
    assert_file 003_users.sql <<<'SELECT 3;'
}

@test "Sqitch: psql's variables are refused, and nothing else that has a colon" {
    old sqitch.plan <<<$'%project=x\none 2020-01-01T00:00:00Z A <a@x> # 1\ntwo 2020-01-01T00:00:00Z A <a@x> # 2\nthree 2020-01-01T00:00:00Z A <a@x> # 3\nfour 2020-01-01T00:00:00Z A <a@x> # 4'
    old deploy/one.sql <<'END'
CREATE TABLE t (a text, b int[]);
COPY t (a) FROM stdin;
:name :'name' :"name"
\.
SELECT b[1:c], a::text, $$ :x $$, ':x', /* :x */ "a:b" FROM t, (SELECT 1 AS c) AS c; -- :x
END
    old deploy/two.sql <<<$'SELECT 1;\nSELECT\n    :count;'
    old deploy/three.sql <<<"ALTER DATABASE :\"db\" SET x.y = 'z';"
    old deploy/four.sql <<<"SELECT :'text';"
    refused sqitch "old/deploy/two.sql:3: error: has a variable of psql's (:name)" \
        "old/deploy/three.sql:1: error: has a variable of psql's (:name)" \
        "old/deploy/four.sql:1: error: has a variable of psql's (:name)"
    rm -r old
    old 1-a.sql <<<'GRANT SELECT ON t TO :role;'
    refused plain "old/1-a.sql:1: error: has a variable of psql's (:name)"
}

@test "Sqitch: its directories stand below top_dir" {
    old sqitch.conf <<<$'[core]\n\tengine = pg\n\ttop_dir = ./db\n'
    old db/sqitch.plan <<<'one 2020-01-01T00:00:00Z A <a@x> # 1'
    old db/deploy/one.sql <<<'SELECT 1;'
    old db/revert/one.sql <<<'SELECT -1;'
    converted sqitch 001_one.sql 001_one.down.sql
    assert_file 001_one.down.sql <<<'SELECT -1;'
}

@test "plain files of other spellings" {
    old 1-users.sql <<<'SELECT 1;'
    old 002.lists.sql <<<'SELECT 2;'
    old 'v3 old names.sql' <<<'SELECT 3;'
    old V4_what_down.sql <<<'SELECT -4;'
    old V4_what.sql <<<'SELECT 4;'
    old 5.sql <<<'SELECT 5;'
    old 6_scale_downs.rollback.sql <<<'SELECT -6;'
    old 6_scale_downs.sql <<<'SELECT 6;'
    converted plain 1_users.sql 002_lists.sql '3_old names.sql' 4_what.sql \
        4_what.down.sql 5_migration.sql 6_scale_downs.sql 6_scale_downs.down.sql
    rm -r migrations/* old
    old 1.2_b.sql <<<'SELECT 2;'
    old 1.1_a.sql <<<'SELECT 1;'
    converted plain 001_1.1_a.sql 002_1.2_b.sql
    rm -r migrations/* old
    old 2020-01-31-b.sql <<<'SELECT 2;'
    old 2020-01-31-a.sql <<<'SELECT 1;'
    old 2020-01-30_z.sql <<<'SELECT 0;'
    converted plain 001_20200130_z.sql 002_20200131_a.sql 003_20200131_b.sql
}

@test "numbers of more than 18 digits are numbered anew; unfit names are made fit" {
    old 1234567890123456789_a.sql <<<'SELECT 1;'
    old "1234567890123456790_what's (new).sql" <<<'SELECT 2;'
    converted sqlx 001_1234567890123456789_a.sql '002_1234567890123456790_what_s new.sql'
    run_rung up
    assert_status 0
}
