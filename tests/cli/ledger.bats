#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# schema_migrations: where it is found, what it may look like, and whom rung does not trust.

load ../lib/helpers

one_file() {
    migration 001_t <<<'CREATE TABLE t (n int);'
}

# refused TEXT...: up says so, exits with 3, and t was not made.
refused() {
    run_rung up
    assert_status 3
    assert_out ''
    assert_err_has "$@"
    assert_sql "SELECT to_regclass('t')" ''
}

columns() {
    sql "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod)
                    || CASE WHEN attnotnull THEN ' not null' ELSE '' END, ', ' ORDER BY attnum)
         FROM pg_attribute WHERE attrelid = '$1'::regclass AND attnum > 0 AND NOT attisdropped"
}

# ---- its shape -----------------------------------------------------------------------

@test "the ledger is the table that DESIGN.md shows" {
    one_file
    run_rung up
    assert_status 0
    assert_equal "$(columns schema_migrations)" \
        'version bigint not null, filename text not null, checksum text not null, applied_at timestamp with time zone, applied_by text, duration_ms bigint, statements bigint, undone bigint, note text'
    assert_sql "SELECT pg_get_constraintdef(oid) FROM pg_constraint
                WHERE conrelid = 'schema_migrations'::regclass AND contype <> 'n'" \
        'PRIMARY KEY (version)' # PostgreSQL 18 has NOT NULL there, too
}

@test "the ledger of a simpler runner is taken, and widened by the next write" {
    one_file
    migration 002_u <<<'CREATE TABLE u (n int);'
    sql "CREATE TABLE t (n int);
         CREATE TABLE schema_migrations (version int PRIMARY KEY, filename varchar(255) NOT NULL,
             checksum char(64) NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
         INSERT INTO schema_migrations VALUES (1, '001_t.sql',
             '$(sha256sum <migrations/001_t.sql | cut -d ' ' -f 1)', '2020-01-01 12:00Z')"
    local before
    before=$(columns schema_migrations)
    run_rung status
    assert_status 0
    assert_lines "$out" \
        'state    version  name  applied               by  took' \
        'applied  001      t     2020-01-01 12:00:00Z' \
        'pending  002      u' \
        '' \
        "1 applied, 1 pending, no problems (ledger public.schema_migrations in database $PGDATABASE)"
    run_rung verify
    assert_status 0
    assert_equal "$(columns schema_migrations)" "$before"

    run_rung up
    assert_status 0
    assert_done 'applied 002_u.sql (1 statement)'
    assert_err ''
    assert_equal "$(columns schema_migrations)" \
        'version integer not null, filename character varying(255) not null, checksum character(64) not null, applied_at timestamp with time zone, applied_by text, duration_ms bigint, statements bigint, undone bigint, note text'
    assert_sql 'SELECT version, applied_by, statements FROM schema_migrations ORDER BY 1' \
        '1||' '2|postgres|1'
}

@test "checksums in capitals are the same checksums" {
    one_file
    run_rung up
    sql 'UPDATE schema_migrations SET checksum = upper(checksum)'
    run_rung up
    assert_status 0
    assert_out ''
    assert_err ''
}

@test "columns that rung does not know are left alone" {
    one_file
    sql "CREATE TABLE schema_migrations (ticket text DEFAULT 'none', version bigint PRIMARY KEY,
             filename text NOT NULL, checksum text NOT NULL, applied_at timestamptz)"
    run_rung up
    assert_status 0
    assert_err ''
    assert_sql 'SELECT ticket, version FROM schema_migrations' 'none|1'
    run_rung verify
    assert_status 0
}

# ---- where it is ------------------------------------------------------------------------

@test "it is made in the first schema of the search_path, and found there" {
    one_file
    sql "CREATE SCHEMA app; ALTER DATABASE \"$PGDATABASE\" SET search_path = app, public"
    run_rung up
    assert_status 0
    assert_sql "SELECT to_regclass('app.schema_migrations') IS NOT NULL,
                       to_regclass('app.t') IS NOT NULL" 't|t'
    run_rung up
    assert_status 0
    assert_out ''
    assert_err ''
}

@test "a changed search_path does not apply everything twice" {
    one_file
    run_rung up
    sql "CREATE SCHEMA app; ALTER DATABASE \"$PGDATABASE\" SET search_path = app"
    run_rung up
    assert_status 3
    assert_out ''
    assert_err "$(
        cat <<'TEXT'
rung: error: there is no schema_migrations in the search_path, but there is a ledger public.schema_migrations
hint: If it is this application's: --table public.schema_migrations. If not, say where the new one belongs: --table SCHEMA.schema_migrations.
TEXT
    )"
    assert_sql "SELECT to_regclass('app.t')" ''
    run_rung status
    assert_status 3
    run_rung up --table public.schema_migrations
    assert_status 0
    assert_out ''
    assert_err ''
    run_rung up --table app.schema_migrations
    assert_status 0
    assert_sql "SELECT to_regclass('app.t') IS NOT NULL" t
}

@test "a search_path without any schema is said to be one" {
    one_file
    sql "ALTER DATABASE \"$PGDATABASE\" SET search_path = nowhere"
    refused 'rung: error: the search_path names no schema to create schema_migrations in' \
        'hint: Say where it belongs: --table SCHEMA.schema_migrations.'
}

@test "--table is read as SQL reads a name" {
    one_file
    sql 'CREATE SCHEMA "My Schema"'
    local name
    for name in 'Ledger' '"Mixed Case"' '"My Schema".l' '"a""b.c"' 'public.größe'; do
        run_rung up --table "$name"
        assert_status 0
        assert_err ''
        sql 'DROP TABLE t'
    done
    assert_sql "SELECT n.nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                WHERE relkind = 'r' AND nspname !~ '^pg_|^inf' ORDER BY relname COLLATE \"C\"" \
        'public|Mixed Case' 'public|a"b.c' 'public|größe' 'My Schema|l' 'public|ledger'
    RUNG_TABLE=LEDGER run_rung status
    assert_status 0
    assert_out_has '1 applied, 0 pending' "(ledger public.ledger in database $PGDATABASE)"
}

@test "a --table that is no name is refused" {
    one_file
    local name
    for name in a.b.c 'a b' '"open' '""' 1a 'a;b' "$(printf 'x%.0s' {1..64})"; do
        run_rung up --table "$name"
        assert_status 2
        assert_out ''
        assert_err_has 'rung: error: not a table'"'"'s name: "' '(at most schema.table, 63 bytes each)'
    done
    run_rung up --table "$(printf 'x%.0s' {1..63})"
    assert_status 0
}

@test "its schema is never created" {
    one_file
    run_rung up --table nowhere.ledger
    assert_status 3
    assert_out ''
    assert_err_has 'schema "nowhere" does not exist' '[3F000]' 'rung wanted to create its ledger nowhere.ledger.'
    assert_untouched
}

@test "two ledgers in one database do not disturb each other" {
    one_file
    run_rung up
    mkdir other
    echo 'CREATE TABLE u (n int);' >other/001_u.sql
    run_rung up -m other -t other_migrations
    assert_status 0
    run_rung verify
    assert_status 0
    run_rung verify -m other -t other_migrations
    assert_status 0
}

# Whoever makes a table has its name to himself until he commits.
@test "a ledger that is made between being missed and being made is the ledger" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 002_u <<<'CREATE TABLE u (n int);'
    hold other "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, filename text NOT NULL,
                    checksum text NOT NULL, applied_at timestamptz);
                INSERT INTO schema_migrations VALUES (1, '001_t.sql',
                    '$(sha256sum <migrations/001_t.sql | cut -c 1-64)', now())"
    PGAPPNAME=first start_rung first up
    wait_for_block first
    release other
    wait_rung first
    assert_status 0
    assert_err ''
    assert_done 'applied 002_u.sql (1 statement)'
    assert_applied 1 2
    assert_sql "SELECT to_regclass('t')" ''
}

@test "a table that is made there meanwhile and is no ledger is named for what it is" {
    one_file
    hold other 'CREATE TABLE schema_migrations (version text)'
    PGAPPNAME=first start_rung first up
    wait_for_block first
    release other
    wait_rung first
    assert_status 3
    assert_out ''
    assert_err_has 'public.schema_migrations'
    assert_err_lacks 'already exists'
    assert_sql "SELECT to_regclass('t')" ''
    assert_equal "$(columns schema_migrations)" 'version text'
}

# ---- what is not trusted -------------------------------------------------------------------

ledger_columns='version bigint PRIMARY KEY, filename text NOT NULL, checksum text NOT NULL, applied_at timestamptz'

@test "a view in its place is refused" {
    one_file
    sql 'CREATE VIEW schema_migrations AS SELECT 1::bigint AS version, text $$001_t.sql$$ AS filename,
             text $$x$$ AS checksum, now() AS applied_at WHERE false'
    refused 'rung: error: public.schema_migrations is a view, not a ledger' \
        'hint: Name another table with --table.'
    sql 'DROP VIEW schema_migrations; CREATE VIEW schema_migrations AS SELECT 1 AS one'
    refused 'rung: error: public.schema_migrations is a view, not a ledger'
}

@test "a partitioned table and a sequence in its place are refused" {
    one_file
    sql "CREATE TABLE schema_migrations ($ledger_columns) PARTITION BY RANGE (version)"
    refused 'public.schema_migrations is a partitioned table, not a ledger'
    sql 'DROP TABLE schema_migrations; CREATE SEQUENCE schema_migrations'
    refused 'public.schema_migrations is a sequence, not a ledger'
}

@test "a trigger, a rule or row security on it are refused" {
    one_file
    sql "CREATE TABLE schema_migrations ($ledger_columns);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER spy BEFORE INSERT ON schema_migrations FOR EACH ROW EXECUTE FUNCTION f()"
    refused 'rung: error: the ledger public.schema_migrations has a trigger' \
        'hint: rung writes only to a plain table: remove it first.'
    sql 'DROP TRIGGER spy ON schema_migrations;
         CREATE RULE r AS ON INSERT TO schema_migrations DO ALSO SELECT 1'
    refused 'rung: error: the ledger public.schema_migrations has a rule'
    sql 'DROP RULE r ON schema_migrations; ALTER TABLE schema_migrations ENABLE ROW LEVEL SECURITY'
    refused 'rung: error: the ledger public.schema_migrations has row security'
    sql 'ALTER TABLE schema_migrations DISABLE ROW LEVEL SECURITY'
    run_rung up
    assert_status 0
    assert_err ''
}

@test "a ledger without a key on version is refused" {
    one_file
    sql 'CREATE TABLE schema_migrations (version bigint, filename text, checksum text, applied_at timestamptz)'
    refused 'rung: error: the ledger public.schema_migrations has no unique index on version' \
        'hint: ALTER TABLE public.schema_migrations ADD PRIMARY KEY (version);'
}

@test "nobody who reads the ledger waits long while it gets its columns" {
    one_file
    sql "CREATE TABLE schema_migrations ($ledger_columns)"
    hold reader 'SELECT * FROM schema_migrations'
    run_rung up --lock-timeout 100ms --lock-retry-for 0
    assert_status 4
    assert_out ''
    assert_lines "$err" 'rung: error: canceling statement due to lock timeout' \
        'hint: The ledger lacks columns, and another session has a lock on it: try again later.  [55P03]'
    assert_sql "SELECT count(*) FROM pg_attribute WHERE attrelid = 'schema_migrations'::regclass AND attnum > 0" 4
    start_rung up up --lock-timeout 100ms --lock-retry-for 10min
    wait_for_text "$T/err.up" 'the ledger lacks columns, and another session has a lock on it'
    sql "SET statement_timeout = '60s'; SELECT count(*) FROM schema_migrations" >/dev/null
    kill -0 "$pid"
    release reader
    wait_rung up
    assert_status 0
    assert_applied 1
}

@test "a default lock_timeout and a locked ledger: exit 4" {
    one_file
    run_rung up
    assert_status 0
    make_role app
    sql "ALTER ROLE \"$role\" SET lock_timeout = '100ms'; GRANT SELECT ON schema_migrations TO \"$role\""
    hold locker 'LOCK TABLE schema_migrations'
    use_database "$PGDATABASE" "$role"
    run_rung status
    assert_status 4
    assert_out ''
    assert_lines "$err" 'rung: error: canceling statement due to lock timeout' \
        'hint: Another session holds a lock on the ledger public.schema_migrations: try again later.  [55P03]'
    use_database "$PGDATABASE"
    release locker
    sql "DROP OWNED BY \"$role\""
}

@test "a default of SERIALIZABLE and DEFERRABLE does not let rung wait for others' writes" {
    one_file
    run_rung up
    assert_status 0
    make_role app
    sql "CREATE TABLE z (n int);
         GRANT SELECT ON schema_migrations TO \"$role\";
         ALTER ROLE \"$role\" SET default_transaction_isolation = serializable;
         ALTER ROLE \"$role\" SET default_transaction_deferrable = on;
         ALTER ROLE \"$role\" SET default_transaction_read_only = on"
    hold writer 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT * FROM z; INSERT INTO z VALUES (1)'
    printf '#!/bin/sh\nexec timeout 60 "%s" "$@"\n' "$RUNG" >bounded
    chmod +x bounded
    program=$T/bounded
    use_database "$PGDATABASE" "$role"
    run_rung status
    assert_status 0
    run_rung up
    assert_status 0
    use_database "$PGDATABASE"
    release writer
    sql "DROP OWNED BY \"$role\""
}

@test "a ledger that a crash would empty is refused" {
    one_file
    sql "CREATE UNLOGGED TABLE schema_migrations ($ledger_columns)"
    refused 'rung: error: the ledger public.schema_migrations is unlogged: a crash of the server empties it' \
        'hint: ALTER TABLE public.schema_migrations SET LOGGED;'
    sql 'ALTER TABLE schema_migrations SET LOGGED'
    run_rung up
    assert_status 0
    assert_applied 1
}

@test "a key that is looked at only at the end of a transaction is no lock, and refused" {
    one_file
    sql "CREATE TABLE schema_migrations (${ledger_columns/PRIMARY KEY/PRIMARY KEY DEFERRABLE})"
    refused 'rung: error: the ledger public.schema_migrations looks at its key on version only at the end of a transaction: it is DEFERRABLE' \
        'hint: CREATE UNIQUE INDEX ON public.schema_migrations (version);'
    sql 'CREATE UNIQUE INDEX ON public.schema_migrations (version)'
    run_rung up
    assert_status 0
    assert_applied 1
}

@test "a unique constraint of its own that our row violates ends the run, and is named" {
    sql "CREATE TABLE schema_migrations (${ledger_columns/checksum text/checksum text UNIQUE})"
    migration 001_a <<<'SELECT 1;'
    migration 002_b <<<'SELECT 1;'
    migration 003_c <<<'SELECT 3;'
    run_rung up
    assert_status 3
    assert_done 'applied 001_a.sql (1 statement)'
    assert_lines "$err" \
        'migrations/002_b.sql: error: duplicate key value violates unique constraint "schema_migrations_checksum_key"  [23505]' \
        "detail: Key (checksum)=($(sha256sum <migrations/002_b.sql | cut -c 1-64)) already exists." \
        '002_b.sql was rolled back; 001 is applied.'
    assert_applied 1
}

@test "a row that the ledger cannot take is no fault of the file's" {
    sql "CREATE TABLE schema_migrations (${ledger_columns/version bigint/version smallint})"
    migration 001_a <<<'CREATE TABLE a ();'
    migration 32768_b <<<'CREATE TABLE b ();'
    run_rung up
    assert_status 3
    assert_done 'applied 001_a.sql (1 statement)'
    assert_lines "$err" 'migrations/32768_b.sql: error: smallint out of range  [22003]' \
        '32768_b.sql was rolled back; 001 is applied.'
    assert_applied 1
    assert_sql "SELECT to_regclass('b')" ''
}

@test "a role that may insert into it only is told what to grant, and no file is to blame" {
    one_file
    run_rung up
    assert_status 0
    make_role half
    sql "GRANT SELECT, INSERT ON schema_migrations TO \"$role\";
         GRANT ALL ON SCHEMA public TO \"$role\""
    for top in '' '-- rung: no-transaction'; do
        migration 002_u <<<"$top"$'\n''CREATE TABLE u (n int);'
        use_database "$PGDATABASE" "$role"
        run_rung up
        use_database "$PGDATABASE"
        assert_status 3
        assert_out ''
        assert_err_has 'migrations/002_u.sql: error: permission denied for table schema_migrations' \
            "hint: GRANT SELECT, INSERT, UPDATE, DELETE ON public.schema_migrations TO $role;  [42501]"
        assert_err_lacks 'Fix the file' 'replaces'
        assert_sql "SELECT to_regclass('u')" ''
    done
    sql "DROP OWNED BY \"$role\""
}

@test "a stranger's table is refused, a table of a role we are in is not" {
    one_file
    make_role stranger
    stranger=$role
    make_role app
    sql "CREATE TABLE schema_migrations ($ledger_columns);
         ALTER TABLE schema_migrations OWNER TO \"$stranger\";
         GRANT ALL ON schema_migrations TO \"$role\";
         GRANT ALL ON SCHEMA public TO \"$role\", \"$stranger\""
    use_database "$PGDATABASE" "$role"
    run_rung up
    assert_status 3
    assert_out ''
    assert_err_has "the ledger public.schema_migrations belongs to \"$stranger\", who is neither us nor a role of ours, nor the database's owner, nor a superuser"
    assert_sql "SELECT to_regclass('t')" ''
    use_database "$PGDATABASE"
    sql "GRANT \"$stranger\" TO \"$role\""
    use_database "$PGDATABASE" "$role"
    run_rung up
    assert_status 0
    use_database "$PGDATABASE"
    assert_sql 'SELECT version, applied_by FROM schema_migrations' "1|$role"
    sql "DROP OWNED BY \"$role\", \"$stranger\""
}

@test "a role that may not create it is told what to grant" {
    one_file
    make_role poor
    sql 'REVOKE CREATE ON SCHEMA public FROM PUBLIC' # PostgreSQL 14 grants it
    use_database "$PGDATABASE" "$role"
    run_rung up
    use_database "$PGDATABASE"
    assert_status 3
    assert_out ''
    assert_err "$(
        cat <<'TEXT'
rung: error: permission denied for schema public
hint: rung wanted to create its ledger public.schema_migrations. Grant CREATE on the schema, create the schema, or name another place with --table SCHEMA.NAME.  [42501]
TEXT
    )"
    assert_untouched
}

@test "a role that may not read it is told what to grant, and nothing is taken for new" {
    one_file
    run_rung up
    make_role poor
    use_database "$PGDATABASE" "$role"
    for command in up status verify plan; do
        run_rung "$command"
        assert_status 3
        assert_out ''
        assert_err "$(
            cat <<TEXT
rung: error: permission denied for table schema_migrations
hint: GRANT SELECT ON public.schema_migrations TO $role; (and USAGE on its schema)  [42501]
TEXT
        )"
    done
    use_database "$PGDATABASE"
    assert_applied 1
}

@test "another tool's table is named for what it is, and never written" {
    one_file
    sql 'CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL)'
    refused 'rung: error: the table public.schema_migrations is not rung'"'"'s: by its columns it belongs to golang-migrate' \
        'detail: its owner is "postgres"' 'hint: Nothing was written to it. Come from there with `rung-import files --from golang-migrate SOURCE` and `rung-import history --from golang-migrate`, or give rung a table of its own: --table rung_migrations.'
    sql 'DROP TABLE schema_migrations; CREATE TABLE schema_migrations (version varchar PRIMARY KEY)'
    refused 'by its columns it belongs to dbmate, Rails or a like tool'
    sql 'DROP TABLE schema_migrations; CREATE TABLE schema_migrations (a int, b int)'
    make_role ann
    sql "ALTER TABLE schema_migrations OWNER TO \"$role\""
    refused 'rung: error: the table public.schema_migrations is not rung'"'"'s ledger' "detail: its owner is \"$role\""
    assert_equal "$(columns schema_migrations)" 'a integer, b integer'
    run_rung up --table rung_migrations
    assert_status 0
    assert_sql 'SELECT version FROM rung_migrations' 1
}

@test "a file name in it that no migration can have is not believed" {
    one_file
    run_rung up
    sql "UPDATE schema_migrations SET filename = E'../x\\x1b[31m.sql'"
    run_rung up
    assert_status 3
    assert_out ''
    assert_err_has 'the ledger has a file name that no migration can have: "../x\x1b[31m.sql"'
}

# ---- a hostile search_path ------------------------------------------------------------------

@test "functions, operators and types named like the ones rung uses are not called" {
    sql "CREATE SCHEMA evil; CREATE TABLE evil.log (what text);
         CREATE FUNCTION evil.log(text) RETURNS boolean LANGUAGE sql AS
             \$\$ INSERT INTO evil.log VALUES (\$1); SELECT true \$\$;
         CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
             \$\$ SELECT evil.log('clock_timestamp'); SELECT pg_catalog.now() \$\$;
         CREATE FUNCTION evil.date_part(text, timestamptz) RETURNS float8 LANGUAGE sql AS
             \$\$ SELECT evil.log('date_part'); SELECT 0::float8 \$\$;
         CREATE FUNCTION evil.to_regclass(text) RETURNS regclass LANGUAGE sql AS
             \$\$ SELECT evil.log('to_regclass'); SELECT NULL::regclass \$\$;
         CREATE FUNCTION evil.pg_try_advisory_lock(bigint) RETURNS boolean LANGUAGE sql AS
             \$\$ SELECT evil.log('pg_try_advisory_lock') \$\$;
         CREATE FUNCTION evil.eq(bigint, bigint) RETURNS boolean LANGUAGE sql AS
             \$\$ SELECT evil.log('=') \$\$;
         CREATE FUNCTION evil.eq(bigint, int) RETURNS boolean LANGUAGE sql AS
             \$\$ SELECT evil.log('=') \$\$;
         CREATE FUNCTION evil.eq(oid, oid) RETURNS boolean LANGUAGE sql AS
             \$\$ SELECT evil.log('=') \$\$;
         CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.eq);
         CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = int, FUNCTION = evil.eq);
         CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.eq);
         CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.log(VALUE));
         CREATE DOMAIN evil.int8 AS pg_catalog.int8 CHECK (evil.log('int8'))"
    migration 001_t <<<'CREATE TABLE public.t (n int);'
    migration 002_hostile <<<'SET search_path = evil, pg_catalog; CREATE TABLE public.u (n pg_catalog.int4);'
    migration 003_n <<<$'-- rung: no-transaction\nSET search_path = evil, pg_catalog;\nCREATE TABLE public.v (n pg_catalog.int4);'
    sql "ALTER DATABASE \"$PGDATABASE\" SET search_path = evil, pg_catalog, public"
    run_rung up --table public.schema_migrations
    assert_status 0
    assert_err ''
    run_rung up --table public.schema_migrations
    assert_status 0
    assert_out ''
    run_rung verify --table public.schema_migrations
    assert_status 0
    sql "ALTER DATABASE \"$PGDATABASE\" RESET search_path"
    assert_sql 'SELECT DISTINCT what FROM evil.log'
    assert_equal "$(columns public.schema_migrations | cut -d , -f 1,2)" \
        'version bigint not null, filename text not null'
    assert_sql 'SELECT version FROM public.schema_migrations ORDER BY 1' 1 2 3
}

# ---- files that touch it -----------------------------------------------------------------------

# spoils SQL: a file that does this to the ledger is rolled back, and told so.
spoils() {
    migration 002_spoil <<<"CREATE TABLE u (n int);
$1"
    run_rung up
    assert_status 1
    assert_err_has 'migrations/002_spoil.sql: error: the file drops, replaces or empties the ledger public.schema_migrations' \
        'hint: Take that statement out, or keep the ledger elsewhere: --table SCHEMA.NAME.' \
        '002_spoil.sql was rolled back; 001 is applied. Fix the file and run `rung up`.'
    assert_applied 1
    assert_sql "SELECT to_regclass('u')" ''
}

@test "a file that drops, replaces or empties the ledger is rolled back" {
    one_file
    run_rung up
    spoils 'DROP TABLE schema_migrations;'
    spoils 'DROP TABLE schema_migrations; CREATE TABLE IF NOT EXISTS schema_migrations (version bigint PRIMARY KEY, filename text, checksum text, applied_at timestamptz);'
    spoils 'ALTER TABLE schema_migrations RENAME TO other; CREATE TABLE IF NOT EXISTS schema_migrations (LIKE other INCLUDING ALL); INSERT INTO schema_migrations SELECT * FROM other;'
    spoils 'DELETE FROM schema_migrations;'
    spoils 'TRUNCATE schema_migrations;'
    spoils 'CREATE SCHEMA s; ALTER TABLE schema_migrations SET SCHEMA s;'
    spoils 'DELETE FROM schema_migrations WHERE version = 2;'
}

@test "a file that gives the ledger another column is fine" {
    one_file
    run_rung up
    migration 002_column <<<'ALTER TABLE schema_migrations ADD COLUMN ticket text; UPDATE schema_migrations SET ticket = 1;'
    run_rung up
    assert_status 0
    assert_sql 'SELECT version, ticket FROM schema_migrations ORDER BY 1' '1|1' '2|1'
}

@test "a foreign table in its place is refused" {
    one_file
    sql "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER s FOREIGN DATA WRAPPER nothing;
         CREATE FOREIGN TABLE schema_migrations (version bigint, filename text, checksum text,
             applied_at timestamptz) SERVER s"
    run_rung up
    assert_status 3
    assert_out ''
    assert_err_has 'public.schema_migrations is a foreign table, not a ledger'
    assert_sql "SELECT to_regclass('t')" ''
}

@test "times in it are read to the microsecond, and infinity is no time" {
    sql "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, filename text NOT NULL,
             checksum text NOT NULL, applied_at timestamptz);
         INSERT INTO schema_migrations SELECT v, v || '_x.sql', repeat('0', 64), t::timestamptz
         FROM (VALUES (1, '2023-11-14 22:13:20.000001Z'), (2, '1969-12-31 23:59:58.5Z'),
             (3, '1970-01-01 00:00:00.000001Z'), (4, '9999-12-31 23:59:59Z'),
             (5, 'infinity'), (6, '-infinity'), (7, '294276-12-31 00:00:00Z'),
             (8, NULL)) AS r (v, t)"
    run_rung history --format json
    assert_status 0
    assert_equal "$(sed -n 's/.*"version":"\([0-9]*\)".*"applied_at":\([^,]*\).*/\1 \2/p' "$T/out" | sort)" \
        '1 "2023-11-14T22:13:20.000001Z"
2 "1969-12-31T23:59:58.500000Z"
3 "1970-01-01T00:00:00.000001Z"
4 "9999-12-31T23:59:59.000000Z"
5 "1970-01-01T00:00:00.000000Z"
6 "1970-01-01T00:00:00.000000Z"
7 "1970-01-01T00:00:00.000000Z"
8 null'
}
