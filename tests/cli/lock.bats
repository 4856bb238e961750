#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# One runner at a time: the advisory lock, the ledger row as the second lock, and the
# locks of other sessions.

load ../lib/helpers

# A file that waits for `hold gate`.
gated() {
    sql 'CREATE TABLE gate (n int)'
    hold gate 'LOCK TABLE gate'
    migration 001_gated <<'SQL'
-- rung: lock-timeout 0
CREATE TABLE t (n int);
INSERT INTO t VALUES (1);
SELECT count(*) FROM gate;
SQL
}

# worker: a runner that has the lock and stands at the gate.
worker() {
    gated
    PGAPPNAME=worker start_rung worker up
    worker=$pid
    wait_for_block worker
}

# ---- many at once --------------------------------------------------------------------

@test "fifty at once on an empty database: each file exactly once, and all exit 0" {
    local i
    migration 001_t <<<'CREATE TABLE t (n int); INSERT INTO t VALUES (1);'
    migration 002_u <<<'INSERT INTO t VALUES (2);'
    migration 003_i <<<'CREATE INDEX CONCURRENTLY i ON t (n);'
    migration 004_v <<<'INSERT INTO t VALUES (4);'
    for ((i = 0; i < 50; i++)); do start_rung "$i" up; done
    for ((i = 0; i < 50; i++)); do
        wait_rung "$i"
        assert_status 0
        assert_err_lacks error
    done
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2 4
    assert_applied 1 2 3 4
    # What is said to be applied is what was: four lines in all.
    assert_equal "$(cat "$T"/out.* | sed 's/ (.*//' | sort)" "applied 001_t.sql
applied 002_u.sql
applied 003_i.sql
applied 004_v.sql"
}

@test "runners with different ledgers do not wait for each other" {
    worker
    mkdir other
    echo 'CREATE TABLE other (n int);' >other/001_other.sql
    run_rung up -m other -t other_migrations --lock-wait 0
    assert_status 0
    assert_done 'applied 001_other.sql (1 statement)'
    release gate
    wait_rung worker
    assert_status 0
    assert_sql 'SELECT version, filename FROM other_migrations' '1|001_other.sql'
    assert_sql 'SELECT version, filename FROM schema_migrations' '1|001_gated.sql'
}

@test "ten waiters do not hold up CREATE INDEX CONCURRENTLY in the one that works" {
    local i
    gated
    migration 002_i <<<'CREATE INDEX CONCURRENTLY i ON t (n);'
    migration 003_j <<<'CREATE INDEX CONCURRENTLY j ON t (n);'
    PGAPPNAME=worker start_rung worker up
    wait_for_block worker
    for ((i = 0; i < 10; i++)); do PGAPPNAME=waiter start_rung "$i" up; done
    wait_until "SELECT count(*) = 10 FROM pg_stat_activity
                WHERE application_name = 'waiter' AND datname = current_database()
                AND query LIKE '%schema_migrations%' OR query LIKE '%pg_try_advisory_lock%'
                AND application_name = 'waiter'"
    release gate
    wait_rung worker
    assert_status 0
    assert_done 'applied 001_gated.sql (3 statements)' 'applied 002_i.sql (1 statement)' \
        'applied 003_j.sql (1 statement)'
    assert_err_lacks error warning # who blocked it may have been said
    for ((i = 0; i < 10; i++)); do
        wait_rung "$i"
        assert_status 0
        assert_out ''
        assert_err_lacks error
    done
    assert_sql 'SELECT count(*) FROM pg_index WHERE NOT indisvalid' 0
    assert_applied 1 2 3
}

# ---- waiting -------------------------------------------------------------------------

@test "who waits says for whom, and exits 0 when the other has done the work" {
    local backend
    worker
    backend=$(sql "SELECT pid FROM pg_stat_activity WHERE application_name = 'worker'
                   AND datname = current_database()")
    start_rung waiter up
    wait_for_text "$T/err.waiter" "another runner holds the lock: pid $backend (worker, user postgres"
    wait_for_text "$T/err.waiter" 'applying 001_gated.sql'
    release gate
    wait_rung waiter
    assert_status 0
    assert_out ''
    wait_rung worker
    assert_status 0
    assert_sql 'SELECT n FROM t' 1
    assert_applied 1
}

@test "a file that another runner is at is not called unfinished by who waits" {
    sql 'CREATE TABLE gate (n int); CREATE TABLE t (n int)'
    hold gate 'LOCK TABLE gate'
    migration 001_n <<'SQL'
-- rung: no-transaction
-- rung: lock-timeout 0
INSERT INTO t VALUES (1);
SELECT count(*) FROM gate;
SQL
    PGAPPNAME=worker start_rung worker up
    worker=$pid
    wait_for_block worker
    start_rung waiter up
    wait_for_text "$T/err.waiter" 'another runner holds the lock'
    run_rung up --lock-wait 0
    assert_status 4
    assert_err_lacks began
    # Left behind it is.
    kill -KILL "$worker"
    wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'worker'
                AND datname = current_database()"
    release gate
    wait_rung waiter
    assert_status 0
    assert_err_has 'migrations/001_n.sql: warning: began, and is done up to statement 1'
    assert_equal "$(grep -c began "$T/err.waiter")" 1
    assert_sql 'SELECT n FROM t' 1
    assert_applied 1
}

@test "--lock-wait 0 and 1s give up with status 4, and change nothing" {
    local began
    worker
    for limit in 0 1s; do
        began=$SECONDS
        run_rung up --lock-wait "$limit"
        assert_status 4
        assert_out ''
        assert_err_has 'rung: error: another runner holds the lock: pid ' '(worker, user postgres'
        [ $((SECONDS - began)) -lt 30 ]
    done
    assert_err_has 'Waited 1 s for it (--lock-wait).'
    release gate
    wait_rung worker
    assert_status 0
    run_rung up --lock-wait 0
    assert_status 0
    assert_out ''
}

@test "when the working one is killed, a waiter does the work" {
    worker
    start_rung waiter up
    wait_for_text "$T/err.waiter" 'another runner holds the lock'
    kill -KILL "$worker"
    release gate
    wait_rung waiter
    assert_status 0
    wait_rung worker
    assert_sql 'SELECT n FROM t' 1
    assert_applied 1
}

# ---- up beside down ------------------------------------------------------------------

@test "down that waited for up undoes what was the newest then, or nothing" {
    migration 001_a <<<'CREATE TABLE a ();'
    migration 001_a.down <<<'DROP TABLE a;'
    run_rung up
    assert_status 0
    sql 'CREATE TABLE gate (n int)'
    hold gate 'LOCK TABLE gate'
    migration 002_b <<'SQL'
-- rung: lock-timeout 0
CREATE TABLE b ();
SELECT count(*) FROM gate;
SQL
    migration 002_b.down <<<'DROP TABLE b;'
    PGAPPNAME=worker start_rung worker up
    wait_for_block worker
    start_rung one down
    start_rung redo redo
    start_rung base down --all --yes
    for waiter in one redo base; do
        wait_for_text "$T/err.$waiter" 'another runner holds the lock'
    done
    kill -STOP "$(cat "$T/pid.base")"
    release gate
    wait_rung worker
    assert_status 0
    for waiter in one redo; do
        wait_rung "$waiter"
        assert_status 3
        assert_out ''
        assert_err_has \
            'rung: error: 002_b.sql was applied meanwhile, and was not meant to be undone' \
            'hint: See `rung status`, and say it again.' 'nothing was undone'
    done
    assert_applied 1 2
    # All is all, also what came later.
    kill -CONT "$(cat "$T/pid.base")"
    wait_rung base
    assert_status 0
    assert_done 'undid 002_b.sql (1 statement)' 'undid 001_a.sql (1 statement)'
    assert_applied
    assert_sql "SELECT to_regclass('a'), to_regclass('b')" '|'
}

# slow_both: 001, whose up file and down file run without a transaction, through a gate.
slow_both() {
    sql 'CREATE TABLE gate (n int); CREATE TABLE t (n int)'
    for verb in up down; do
        migration "001_n.$verb" <<'SQL'
-- rung: no-transaction
-- rung: lock-timeout 0
INSERT INTO t VALUES (1);
SELECT count(*) FROM gate;
SQL
    done
}

@test "up waits for an undo that another runner is at, and then applies again" {
    slow_both
    run_rung up
    assert_status 0
    hold gate 'LOCK TABLE gate'
    PGAPPNAME=worker start_rung worker down
    worker=$pid
    wait_for_block worker
    run_rung up --lock-wait 0
    assert_status 4
    assert_err_has 'rung: error: another runner holds the lock: pid ' '(worker, user postgres'
    assert_err_lacks undo
    start_rung waiter up
    wait_for_text "$T/err.waiter" 'another runner holds the lock'
    release gate
    wait_rung worker
    assert_status 0
    wait_rung waiter
    assert_status 0
    assert_err_lacks undo
    assert_done 'applied 001_n.up.sql (2 statements)'
    assert_sql 'SELECT count(*) FROM t' 3
    assert_applied 1
}

@test "up does not wait for an undo that was left behind" {
    slow_both
    run_rung up
    assert_status 0
    sql 'DROP TABLE gate'
    run_rung down
    assert_status 1
    run_rung up
    assert_status 3
    assert_out ''
    assert_lines "$err" \
        'migrations/001_n.up.sql: error: its undo stopped behind statement 1' \
        'hint: Finish that with `rung down`.'
    assert_sql 'SELECT count(*) FROM t' 2
}

# beside ROLE: what status, verify and plan say to ROLE while somebody is at 001.
beside() {
    local verb=$1 who="pid $backend (worker, user postgres"
    use_database "$PGDATABASE" "$2"
    run_rung status --exit-code
    assert_status "$3"
    assert_err ''
    assert_out_has "migrations/001_n.up.sql: notice: being $verb now by $who" \
        '), done up to statement 1' 'no problems (ledger public.schema_migrations'
    run_rung verify
    assert_status 0
    assert_err ''
    assert_out_has "migrations/001_n.up.sql: notice: being $verb now by $who" ', no problems'
    run_rung verify --quiet
    assert_status 0
    assert_out ''
    run_rung verify --no-pending
    assert_status "$3"
    assert_sql "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())" 1
    use_database "$PGDATABASE"
}

@test "status and verify name who is at an unfinished file, whoever asks; left behind it is a problem" {
    slow_both
    local reader=${PGDATABASE}_reader
    sql "CREATE ROLE \"$reader\" LOGIN"
    hold gate 'LOCK TABLE gate'
    PGAPPNAME=worker start_rung worker up
    worker=$pid
    wait_for_block worker
    backend=$(sql "SELECT pid FROM pg_stat_activity WHERE application_name = 'worker'
                   AND datname = current_database()")
    sql "GRANT SELECT ON schema_migrations TO \"$reader\""
    beside applied postgres 6
    beside applied "$reader" 6
    run_rung plan
    assert_status 0
    assert_out 'resume  001_n.up.sql  (no transaction, 2 statements)'
    # Killed: its backend is at it until it notices, then nobody is.
    kill -KILL "$worker"
    wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'worker'
                AND datname = current_database()"
    release gate
    run_rung verify
    assert_status 3
    assert_out_has 'migrations/001_n.up.sql: error: began, and is done up to statement 1' \
        '0 applied, 1 pending, 1 problem'
    run_rung status
    assert_out_has 'migrations/001_n.up.sql: warning: began, and is done up to statement 1'
    sql "DROP OWNED BY \"$reader\"; DROP ROLE \"$reader\""
}

@test "and of an undo; plan says that nobody knows what comes behind it" {
    slow_both
    run_rung up
    assert_status 0
    hold gate 'LOCK TABLE gate'
    PGAPPNAME=worker start_rung worker down
    wait_for_block worker
    backend=$(sql "SELECT pid FROM pg_stat_activity WHERE application_name = 'worker'
                   AND datname = current_database()")
    beside undone postgres 0
    run_rung plan
    assert_status 4
    assert_out ''
    assert_err_has "rung: error: 001_n.up.sql is being undone now by pid $backend (worker, user postgres" \
        'hint: Try again later; `rung up` waits for it.'
    release gate
    wait_rung worker
    assert_status 0
}

@test "a file that is finished between verify's two looks is none that was left behind" {
    migration 001_n <<<$'-- rung: no-transaction\nSELECT 1;\nSELECT nosuch;'
    run_rung up
    assert_status 1
    build_proxy
    PGAPPNAME=looker "$proxy" --server "$PGHOST/.s.PGSQL.$PGPORT" --listen "$T" \
        --delay-client 1000 -- env -u DATABASE_URL "$RUNG" verify \
        >"$T/out.looker" 2>"$T/err.looker" 3>&- 4>&- &
    pid=$!
    background+=("$pid")
    printf '%s\n' "$pid" >"$T/pid.looker"
    wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'looker'
                AND datname = current_database() AND state = 'idle'
                AND query LIKE '%schema_migrations%'"
    sql "UPDATE schema_migrations SET applied_at = now(), statements = 2,
         checksum = '$(sha256sum <migrations/001_n.sql | cut -c 1-64)', note = NULL"
    wait_rung looker
    assert_status 0
    assert_out 'verified files and ledger: 1 applied, 0 pending, no problems'
    assert_err ''
}

@test "down waits for a file that another runner is at, and then undoes it" {
    slow_both
    hold gate 'LOCK TABLE gate'
    PGAPPNAME=worker start_rung worker up
    wait_for_block worker
    run_rung down --lock-wait 0
    assert_status 4
    assert_err_lacks 'has not finished'
    start_rung waiter down
    wait_for_text "$T/err.waiter" 'another runner holds the lock'
    release gate
    wait_rung worker
    assert_status 0
    wait_rung waiter
    assert_status 0
    assert_done 'undid 001_n.up.sql (2 statements)'
    assert_sql 'SELECT count(*) FROM t' 2
    assert_applied
}

# ---- the lock is lost ----------------------------------------------------------------

@test "a file that releases the advisory lock still runs once: its row is the second lock" {
    gated
    migration 001_gated <<'SQL'
-- rung: lock-timeout 0
CREATE TABLE t (n int);
INSERT INTO t VALUES (1);
SELECT pg_advisory_unlock_all();
SELECT count(*) FROM gate;
SQL
    migration 002_u <<<'INSERT INTO t VALUES (2);'
    PGAPPNAME=first start_rung first up
    wait_for_block first
    # The transaction itself holds the lock, whatever its file releases.
    run_rung up --lock-wait 0
    assert_status 4
    release gate
    wait_rung first
    assert_status 0
    assert_done 'applied 001_gated.sql (4 statements)' 'applied 002_u.sql (1 statement)'
    assert_err_has 'warning: the advisory lock was lost'
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2
    assert_applied 1 2
}

@test "the lock is taken away between two files, and another runner comes in between" {
    sql 'CREATE TABLE gate (n int); CREATE TABLE gate2 (n int)'
    hold gate 'LOCK TABLE gate'
    migration 001_t <<'SQL'
-- rung: no-transaction
-- rung: lock-timeout 0
CREATE TABLE t (n int);
SELECT pg_advisory_unlock_all() FROM (SELECT count(*) FROM gate) AS g;
SQL
    migration 002_u <<<'INSERT INTO t VALUES (2);'
    PGAPPNAME=first start_rung first up
    wait_for_block first
    start_rung second up
    release gate
    wait_rung first
    assert_status 0
    wait_rung second
    assert_status 0
    assert_sql 'SELECT n FROM t ORDER BY n' 2
    assert_applied 1 2
}

@test "DISCARD ALL and pg_advisory_unlock_all() in a no-transaction file lose nothing" {
    migration 001_t <<'SQL'
-- rung: no-transaction
CREATE TABLE t (n int);
INSERT INTO t VALUES (1);
DISCARD ALL;
INSERT INTO t VALUES (2);
SELECT pg_advisory_unlock_all();
CREATE INDEX CONCURRENTLY i ON t (n);
INSERT INTO t VALUES (3);
SQL
    migration 002_u <<<'INSERT INTO t VALUES (4);'
    run_rung up
    assert_status 0
    assert_done 'applied 001_t.sql (7 statements)' 'applied 002_u.sql (1 statement)'
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2 3 4
    assert_applied 1 2
}

# ---- locks of others -----------------------------------------------------------------

@test "lock_timeout is tried again, names who blocks, and succeeds when he is gone" {
    sql 'CREATE TABLE t (n int)'
    hold reporting 'SELECT * FROM t'
    migration 001_c <<<'CREATE TABLE u (n int); ALTER TABLE t ADD COLUMN c int;'
    start_rung up up --lock-timeout 300ms
    wait_for_text "$T/err.up" 'canceling statement due to lock timeout; rolled back, will be tried again'
    wait_for_text "$T/err.up" 'blocked by pid '
    release reporting
    wait_rung up
    assert_status 0
    assert_done 'applied 001_c.sql (2 statements)'
    assert_err_has '(reporting, user postgres, idle in transaction, transaction open for '
    assert_applied 1
    assert_sql "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'c'" 1
}

# retries: how often `up` has said that it will try again.
retries() {
    grep -c 'will be tried again' "$T/err.up" || true
}

@test "queries of the application never wait behind rung longer than lock_timeout" {
    local longest=0 began took n=0 before
    sql 'CREATE TABLE t (n int)'
    hold reporting 'SELECT * FROM t'
    migration 001_c <<<'ALTER TABLE t ADD COLUMN c int;'
    start_rung up up --lock-timeout 300ms --lock-retry-for 10min
    wait_for_text "$T/err.up" 'will be tried again'
    # Until some of them have certainly come while the ALTER was waiting.
    before=$(retries)
    while [ $(($(retries) - before)) -lt 4 ]; do
        began=$(date +%s%3N)
        sql "SET statement_timeout = '60s'; SELECT count(*) FROM t" >/dev/null
        took=$(($(date +%s%3N) - began))
        [ "$took" -le "$longest" ] || longest=$took
        n=$((n + 1))
    done
    echo "# longest wait of $n queries: $longest ms, with a lock_timeout of 300 ms" >&3
    [ "$n" -ge 4 ]
    # All of them have ended, and rung is still at it.
    kill -0 "$pid"
    assert_sql "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'c'" 0
    release reporting
    wait_rung up
    assert_status 0
    assert_applied 1
}

@test "nor behind what refuses a transaction and locks a table for itself" {
    local statement
    sql 'CREATE TABLE t (n int PRIMARY KEY) PARTITION BY RANGE (n);
         CREATE TABLE u PARTITION OF t FOR VALUES FROM (0) TO (9);
         ALTER TABLE u CLUSTER ON u_pkey; INSERT INTO t VALUES (1)'
    for statement in 'VACUUM FULL u' 'VACUUM (ANALYZE, FULL) u' 'REINDEX TABLE t' \
        'REINDEX SCHEMA public' 'CLUSTER'; do
        sql 'DROP TABLE IF EXISTS schema_migrations'
        migration 001_n <<<$'-- rung: no-transaction\n'"$statement;"$'\nSHOW lock_timeout;'
        hold reporting 'LOCK TABLE u IN ACCESS SHARE MODE; SELECT * FROM t'
        start_rung up up --lock-timeout 100ms --lock-retry-for 10min
        wait_for_text "$T/err.up" 'will be tried again'
        sql "SET statement_timeout = '60s'; SELECT count(*) FROM t" >/dev/null
        kill -0 "$pid"
        release reporting
        wait_rung up
        assert_status 0
        assert_applied 1
    done
    # A lock of its own is waited for as long as the file says.
    sql 'DROP TABLE schema_migrations'
    migration 001_n <<<$'-- rung: no-transaction\n-- rung: lock-timeout 0\nVACUUM FULL u;'
    hold reporting 'SELECT * FROM t'
    PGAPPNAME=patient start_rung up up --lock-timeout 1ms --lock-retry-for 0
    wait_for_block patient
    release reporting
    wait_rung up
    assert_status 0
    assert_err_lacks 'tried again'
}

@test "lock_timeout that is not had in time: exit 4, everything rolled back, nobody in its way" {
    sql 'CREATE TABLE t (n int)'
    hold reporting 'SELECT * FROM t'
    migration 001_c <<<'CREATE TABLE u (n int); ALTER TABLE t ADD COLUMN c int;'
    for limit in 0 1s; do
        run_rung up --lock-timeout 200ms --lock-retry-for "$limit"
        assert_status 4
        assert_out ''
        assert_err_has 'migrations/001_c.sql:1:25: error: canceling statement due to lock timeout' \
            '(reporting, user postgres' '[55P03]' \
            '001_c.sql was rolled back at statement 2 of 2; nothing is applied. Run `rung up` again.'
        assert_sql "SELECT to_regclass('u'), count(*) FROM schema_migrations" '|0'
    done
    assert_err_has 'will be tried again'
    release reporting
    run_rung up
    assert_status 0
    assert_applied 1
}

@test "in a no-transaction file the statement is tried again, what came before it is not" {
    sql 'CREATE TABLE t (n int)'
    hold reporting 'SELECT * FROM t'
    migration 001_c <<'SQL'
-- rung: no-transaction
CREATE TABLE u (n int);
SET search_path = public;
INSERT INTO u VALUES (1);
ALTER TABLE t ADD COLUMN c int;
SQL
    start_rung up up --lock-timeout 200ms
    wait_for_text "$T/err.up" 'will be tried again'
    release reporting
    wait_rung up
    assert_status 0
    assert_sql 'SELECT n FROM u' 1
    assert_applied 1
}
