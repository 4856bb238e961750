#!/usr/bin/env bats
# What pg_dump writes, as a migration: the usual way to make a 001 of a database that is
# already there.
load ../lib/helpers

rich="$BATS_TEST_DIRNAME/../lib/rich"

# make_rich: a second database with an object of every kind; $old is its name.
make_rich() {
    old=${PGDATABASE}_old
    create_database "$old"
    PGDATABASE=$old psql_files "$rich.sql" || return 1
    [ "$(server_version)" -lt 15 ] || PGDATABASE=$old psql_files "${rich}_15.sql"
}

# dump [OPTION]...: what pg_dump makes of $old.
dump() {
    "$PG_BINDIR/pg_dump" "$@" "$old" 3>&- 4>&- | without_news
}

# What a later pg_dump than the server says of settings that this server does not have.
without_news() {
    if [ "$(server_version)" -ge 17 ]; then cat; else sed '/^SET transaction_timeout = 0;$/d'; fi
}

# all_of DATABASE: the whole database but the ledger, to compare.
all_of() {
    "$PG_BINDIR/pg_dump" --exclude-table='*.schema_migrations' "$1" 3>&- 4>&- |
        sed -e '/^--/d' -e '/^\\[ru]/d'
}

@test "a dump with every kind of object and COPY data arrives whole, and only once" {
    make_rich
    dump | migration 001_all
    migration 002_next <<<'CREATE TABLE next (n int); DROP TABLE next;'
    grep -q '^COPY app.people' migrations/001_all.sql
    grep -q 'lowrite' migrations/001_all.sql
    run_rung up

    assert_status 0
    assert_out_has 'applied 001_all.sql (' 'applied 002_next.sql (2 statements'
    assert_applied 1 2
    assert_equal "$(all_of "$PGDATABASE")" "$(all_of "$old")"
    assert_sql "SELECT count(*) FROM app.people WHERE note LIKE E'%\\\\\\\\.%'" 2
    run_rung up
    assert_status 0
    assert_done
}

@test "the same with --inserts, --column-inserts and --clean --if-exists" {
    make_rich
    local options number=0 name
    for options in --inserts --column-inserts '--clean --if-exists' '--no-owner --no-acl --no-comments'; do
        number=$((number + 1))
        name=${PGDATABASE}_$number
        rm -f migrations/*
        # shellcheck disable=SC2086 # words
        dump $options | migration 001_all
        create_database "$name"
        run_rung up -d "postgresql:///$name?host=$PGHOST&port=$PGPORT&user=$PGUSER"
        assert_status 0
        [[ $options == --no-owner* ]] || assert_equal "$(all_of "$name")" "$(all_of "$old")"
    done
}

@test "a schema and its rows in two files" {
    make_rich
    dump --schema-only --exclude-table-data='*' | migration 001_schema
    dump --data-only --disable-triggers --inserts --exclude-table=app.orders_* | migration 002_rows
    run_rung up
    assert_status 0
    assert_applied 1 2
    assert_sql 'SELECT count(*) FROM app.people' 3
}

@test "the lines that only psql knows: \\restrict is stepped over, \\connect is refused" {
    migration 001_restricted <<'SQL'
\restrict aB3dEf
SELECT pg_catalog.set_config('search_path', '', false);
CREATE TABLE public.t (n int);
\unrestrict aB3dEf
SQL
    migration 002_next <<<'INSERT INTO t VALUES (1);'
    run_rung up
    assert_status 0
    assert_sql 'SELECT n FROM t' 1

    old=$PGDATABASE
    dump --create | migration 003_create
    run_rung up
    assert_status 1
    assert_err_has 'psql command "\connect" is not supported'
    assert_applied 1 2
}

@test "a setting that this server does not know is named with its line" {
    local setting=transaction_timeout
    [ "$(sql "SELECT count(*) FROM pg_settings WHERE name = '$setting'")" = 0 ] ||
        setting=of_the_future
    printf '%s\n' 'SET statement_timeout = 0;' "SET $setting = 0;" 'CREATE TABLE t (n int);' |
        migration 001_newer
    run_rung up
    assert_status 1
    assert_err_has "migrations/001_newer.sql:2:5: error: unrecognized configuration parameter \"$setting\"" \
        "    2 | SET $setting = 0;" '[42704]'
    assert_sql "SELECT to_regclass('t')" ''
}

@test "a dump that brings rung's own ledger along is refused with its line and the way out" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    run_rung up
    assert_status 0
    old=$PGDATABASE
    dump | sed '/^\\[ru]/d' | migration 001_t
    use_database "${PGDATABASE}_new"
    create_database "$PGDATABASE"
    run_rung up
    assert_status 1
    assert_err_has \
        "migrations/001_t.sql:$(grep -n 'CREATE TABLE public.schema_migrations' \
            migrations/001_t.sql | cut -d: -f1):1: error: the file creates \"schema_migrations\", rung's own ledger" \
        "hint: rung makes that table itself.  Dump the database without it (pg_dump -T 'schema_migrations'), or delete the statements about it here; or, where the table is another tool's, keep the ledger elsewhere: --table SCHEMA.NAME."
    assert_untouched

    dump --data-only | sed '/^\\[ru]/d' | migration 001_t
    run_rung up
    assert_status 1
    assert_err_has "error: the file fills \"schema_migrations\", rung's own ledger"
    assert_untouched

    # The way out works; so does another name for the ledger.
    dump --schema-only -T schema_migrations | migration 001_t
    run_rung up
    assert_status 0
    assert_applied 1
    dump | migration 001_t
    sql 'DROP TABLE t, schema_migrations'
    run_rung up --table rung_ledger
    assert_status 0
    assert_sql 'SELECT version FROM rung_ledger' 1
}

@test "a table of the ledger's name in another schema is the file's own affair" {
    migration 001_own <<'SQL'
CREATE TABLE schema_migrations (version text);
SQL
    sql 'CREATE SCHEMA ops'
    run_rung up --table ops.schema_migrations
    assert_status 0
    assert_sql "SELECT count(*) FROM ops.schema_migrations" 1
    assert_sql "SELECT count(*) FROM public.schema_migrations" 0
}

@test "RESET ALL and RESET of a timeout hold for their file; the next one has ours again" {
    migration 001_reset <<'SQL'
CREATE TABLE seen (n int, name text, setting text);
RESET lock_timeout;
INSERT INTO seen SELECT 1, 'lock', current_setting('lock_timeout');
RESET ALL;
SET search_path = pg_catalog;
SQL
    migration 002_next <<'SQL'
INSERT INTO seen SELECT 2, 'lock', current_setting('lock_timeout');
INSERT INTO seen SELECT 2, 'path', current_setting('search_path');
SQL
    run_rung up --lock-timeout 7s
    assert_status 0
    assert_sql 'SELECT n, setting FROM seen ORDER BY n, name' '1|0' '2|7s' '2|"$user", public'
    migration 003_alone <<'SQL'
-- rung: no-transaction
RESET ALL;
CREATE INDEX CONCURRENTLY i ON seen (n);
INSERT INTO seen VALUES (3, 'end', '');
SQL
    run_rung up
    assert_status 0
    assert_applied 1 2 3
}
