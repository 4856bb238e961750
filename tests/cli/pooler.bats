#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031 # the tests change the environment for themselves
#
# Through PgBouncer, in transaction and in session mode.

load ../lib/helpers
load ../lib/cluster.sh

# rung goes where DATABASE_URL says; sql and the assertions go to the server itself.

setup() {
    rung_setup
    server_url=$DATABASE_URL
    bouncer=
}

teardown() {
    if [ -n "$bouncer" ]; then
        kill "$(cat "$bouncer/pid")" 2>/dev/null || true
        rm -rf "$bouncer"
    fi
    rung_teardown
}

# start_bouncer MODE [SETTING...]: PgBouncer in front of the server, in a directory of
# its own; as root it refuses to run.
start_bouncer() {
    local mode=$1 tries
    shift
    bouncer=$(cluster_make_dir)
    {
        echo '[databases]'
        echo "* = host=$PGHOST port=$PGPORT"
        echo '[pgbouncer]'
        echo "pool_mode = $mode"
        echo "unix_socket_dir = $bouncer"
        printf '%s\n' 'listen_addr =' 'listen_port = 6432' 'auth_type = trust' \
            "auth_file = $bouncer/users" "logfile = $bouncer/log" "pidfile = $bouncer/pid" "$@"
    } >"$bouncer/ini"
    echo '"postgres" ""' >"$bouncer/users"
    chmod -R a+rX "$bouncer"
    (cd / && cluster_as_user "$(command -v pgbouncer || echo /usr/sbin/pgbouncer)" -d -q \
        "$bouncer/ini") >"$T/bouncer.out" 2>&1 3>&- 4>&- || fail_with "$(cat "$T/bouncer.out")"
    for ((tries = 0; tries < 100; tries++)); do
        [ ! -S "$bouncer/.s.PGSQL.6432" ] || break
        sleep 0.1
    done
    export DATABASE_URL="postgresql:///$PGDATABASE?host=$bouncer&port=6432&user=postgres"
}

# What a stranger gets from the pooler.
pooled_sql() {
    "$PG_BINDIR/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d "$DATABASE_URL" -c "$1" 3>&- 4>&-
}

# On no server connection that the pooler keeps is anything of ours left.
assert_nothing_left() {
    assert_sql "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database =
                (SELECT oid FROM pg_database WHERE datname = current_database())" 0
    assert_equal "$(pooled_sql "SELECT current_setting('search_path'), current_user, current_setting('work_mem'),
                         current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'),
                         to_regclass('pg_temp.leftover'), (SELECT count(*) FROM pg_prepared_statements)")" \
        '"$user", public|postgres|4MB|0|0||0'
}

transactional_files() {
    migration 001_t <<'SQL'
SET search_path = pg_temp;
SET work_mem = '9MB';
CREATE TABLE public.t (n int);
CREATE TEMP TABLE leftover (n int);
PREPARE leftover AS SELECT 1;
SET ROLE pg_monitor;
RESET ROLE;
SET ROLE pg_monitor;
SQL
    migration 002_u <<<'INSERT INTO t VALUES (2);'
    migration 003_copy <<'SQL'
COPY t FROM stdin;
3
\.
SQL
}

# ---- transaction mode ----------------------------------------------------------------

@test "transaction mode: transactional files are applied, and nothing is left behind" {
    start_bouncer transaction default_pool_size=3
    transactional_files
    run_rung up
    assert_status 0
    assert_done 'applied 001_t.sql (8 statements)' 'applied 002_u.sql (1 statement)' \
        'applied 003_copy.sql (1 statement)'
    assert_err ''
    assert_sql 'SELECT n FROM t ORDER BY n' 2 3
    assert_nothing_left
    run_rung up
    assert_status 0
    assert_out ''
    run_rung verify
    assert_status 0
}

@test "transaction mode: a file without a transaction is refused before anything runs" {
    start_bouncer transaction
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 002_i <<<'CREATE INDEX CONCURRENTLY i ON t (n);'
    run_rung up
    assert_status 1
    assert_out ''
    assert_err_has '002_i.sql runs without a transaction' 'Give rung a direct connection to the server'
    assert_sql "SELECT to_regclass('t')" ''
    assert_nothing_left
    DATABASE_URL=$server_url
    run_rung up
    assert_status 0
    assert_applied 1 2
}

@test "transaction mode: twelve at once, each file exactly once; the row is the lock" {
    local i
    start_bouncer transaction default_pool_size=5
    transactional_files
    migration 004_v <<<'INSERT INTO t VALUES (4); SELECT pg_sleep(0.3);'
    for ((i = 0; i < 12; i++)); do start_rung "$i" up --lock-timeout 100ms; done
    for ((i = 0; i < 12; i++)); do
        wait_rung "$i"
        assert_status 0
    done
    assert_sql 'SELECT n FROM t ORDER BY n' 2 3 4
    assert_applied 1 2 3 4
    assert_equal "$(cat "$T"/out.* | grep -c '^applied')" 4
}

@test "transaction mode: down by two at once undoes each once" {
    start_bouncer transaction default_pool_size=5
    sql 'CREATE TABLE trace (what text)'
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 001_t.down <<<"DROP TABLE t; INSERT INTO trace VALUES ('down'); SELECT pg_sleep(0.5);"
    run_rung up
    assert_status 0
    start_rung a down --yes
    start_rung b down --yes
    wait_rung a
    local first=$status
    wait_rung b
    # Who comes when it is done already finds nothing to undo: usage.
    [ "$first" -eq 0 ] || [ "$status" -eq 0 ]
    assert_sql 'SELECT what FROM trace' down
    assert_sql 'SELECT count(*) FROM schema_migrations' 0
}

@test "transaction mode: --lock-wait limits the waiting for another runner's row" {
    start_bouncer transaction default_pool_size=5
    sql 'CREATE TABLE gate (n int)'
    hold gate 'LOCK TABLE gate'
    migration 001_t <<'SQL'
-- rung: lock-timeout 0
CREATE TABLE t (n int);
SELECT count(*) FROM gate;
SQL
    PGAPPNAME=first start_rung first up
    wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'first'
                AND wait_event_type = 'Lock'"
    # Neither runner limits the locks of the file; --lock-wait holds all the same.
    local limit
    for limit in 0 1500ms; do
        run_rung up --lock-wait "$limit" --lock-timeout 0
        assert_status 4
        assert_out ''
        assert_err_has 'another runner is at 001_t.sql' 'nothing is applied. Run `rung up` again.'
    done
    release gate
    wait_rung first
    assert_status 0
    assert_applied 1
}

# two_applied: two files are applied through a pooler, and there is a gate.
two_applied() {
    migration 001_a <<<'CREATE TABLE a ();'
    migration 002_b <<<'CREATE TABLE b ();'
    migration 002_b.down <<<'DROP TABLE b;'
    sql 'CREATE TABLE gate (n int)'
    start_bouncer transaction
    run_rung up
    assert_status 0
}

@test "transaction mode: down does not pass an up that is at the next file" {
    two_applied
    hold gate 'LOCK TABLE gate'
    migration 003_c <<<$'-- rung: lock-timeout 0\nSELECT count(*) FROM gate;'
    migration 003_c.down <<<'SELECT 3;'
    start_rung worker up
    wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                AND datname = current_database()"
    start_rung one down
    start_rung all down --to 1
    wait_for_text "$T/err.one" 'another runner is at 002_b.sql'
    wait_for_text "$T/err.all" 'another runner is at 002_b.sql'
    kill -STOP "$(cat "$T/pid.all")"
    release gate
    wait_rung worker
    assert_status 0
    wait_rung one
    assert_status 3
    assert_out ''
    assert_err_has '003_c.sql was applied meanwhile, and was not meant to be undone'
    assert_applied 1 2 3
    kill -CONT "$(cat "$T/pid.all")"
    wait_rung all
    assert_status 0
    assert_done 'undid 003_c.sql (1 statement)' 'undid 002_b.sql (1 statement)'
    assert_applied 1
}

@test "transaction mode: up does not pass a down that takes away what it stands on" {
    two_applied
    hold gate 'LOCK TABLE gate'
    migration 002_b.down <<<$'-- rung: lock-timeout 0\nDROP TABLE b; SELECT count(*) FROM gate;'
    start_rung worker down
    wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                AND datname = current_database()"
    migration 003_c <<<'ALTER TABLE IF EXISTS b ADD COLUMN c int;'
    start_rung up up
    wait_for_text "$T/err.up" 'another runner is at 003_c.sql'
    release gate
    wait_rung worker
    assert_status 0
    wait_rung up
    assert_status 0
    assert_done 'applied 002_b.sql (1 statement)' 'applied 003_c.sql (1 statement)'
    assert_applied 1 2 3
    assert_sql "SELECT attname FROM pg_attribute WHERE attrelid = 'b'::regclass AND attnum > 0" c
}

# ---- session mode --------------------------------------------------------------------

@test "session mode: everything works as without a pooler, the lock included" {
    start_bouncer session default_pool_size=3 server_reset_query=
    transactional_files
    migration 004_i <<'SQL'
-- rung: no-transaction
SET work_mem = '8MB';
CREATE INDEX CONCURRENTLY i ON t (n);
INSERT INTO t VALUES (4);
SQL
    run_rung up
    assert_status 0
    assert_err ''
    assert_applied 1 2 3 4
    assert_sql 'SELECT n FROM t ORDER BY n' 2 3 4
    assert_nothing_left # although this pooler resets nothing
}

@test "session mode with one server session: the lock is taken and given back" {
    start_bouncer session default_pool_size=1
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 002_i <<<'CREATE INDEX CONCURRENTLY i ON t (n);'
    run_rung up
    assert_status 0
    assert_applied 1 2
    assert_nothing_left
}

@test "session mode: a waiter polls the lock, and who holds it is named" {
    start_bouncer session default_pool_size=5
    sql 'CREATE TABLE gate (n int)'
    hold gate 'LOCK TABLE gate'
    migration 001_t <<'SQL'
-- rung: lock-timeout 0
CREATE TABLE t (n int);
SELECT count(*) FROM gate;
SQL
    PGAPPNAME=first start_rung first up
    wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'first'
                AND wait_event_type = 'Lock'"
    run_rung up --lock-wait 0
    assert_status 4
    assert_err_has 'another runner holds the lock: pid ' '(first, user postgres'
    release gate
    wait_rung first
    assert_status 0
    assert_applied 1
}

@test "a statement that takes long is not looked at through a pooler" {
    local before tries
    start_bouncer transaction
    sql 'CREATE TABLE gate (n int)'
    migration 001_t <<<'CREATE TABLE t (n int); SELECT count(*) FROM gate;'
    hold gate 'LOCK TABLE gate'
    SHELL=$BASH TERM=xterm script -qec "$(printf '%q ' "$RUNG" up --lock-timeout 0)" /dev/null \
        >"$T/out.up" 2>"$T/err.up" </dev/null 3>&- 4>&- &
    background+=("$!")
    echo "$!" >"$T/pid.up"
    wait_for_text "$T/out.up" '001_t.sql  statements 1-2 of 2  '
    before=$(grep -c 'login attempt' "$bouncer/log")
    for ((tries = 0; tries < 600; tries++)); do # by rung's own clock
        ! grep -qE '1-2 of 2  ([4-9]|[1-9][0-9]+) s' "$T/out.up" || break
        sleep 0.1
    done
    assert_equal "$(grep -c 'login attempt' "$bouncer/log")" "$before"
    release gate
    wait_rung up
    assert_status 0
    assert_out_has 'applied 001_t.sql (2 statements, '
    assert_out_lacks 'blocked by'
    assert_applied 1
}
