#!/usr/bin/env bats
#
# Long work shows itself: how far it is and who blocks it, asked on a second connection
# that is never a reason to fail and never in the way.

load ../lib/helpers

setup() {
    rung_setup
    # Stands still at the row 5000 of 10000 while somebody holds the lock 4711.
    sql "CREATE TABLE big AS SELECT n FROM generate_series(1, 10000) AS n
         ; CREATE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS \$\$BEGIN
           IF n = 5000 THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF; RETURN n; END\$\$"
}

gate() {
    hold gate 'SELECT pg_advisory_xact_lock(4711)'
    gate_pid=$(sql "SELECT pid FROM pg_stat_activity WHERE application_name = 'gate'
                    AND datname = current_database()")
}

# The connection that looks on: a condition on pg_stat_activity.
watching="datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%pg_blocking_pids%'"

# start_on_terminal NAME ARGS: rung in the background, on a terminal; `$T/out.NAME` is what
# stands on it, and wait_rung waits for it.
start_on_terminal() {
    local name=$1 command
    shift
    printf -v command '%q ' "$program" "$@"
    SHELL=$BASH TERM=xterm NO_COLOR=1 script -qec "$command" /dev/null >"$T/out.$name" 2>"$T/err.$name" \
        </dev/null 3>&- 4>&- &
    pid=$!
    background+=("$pid")
    printf '%s\n' "$pid" >"$T/pid.$name"
}

# limited OPTION...: go on as a role of this test's own, with these options.
limited() {
    role=${PGDATABASE}_limited
    sql_in postgres "CREATE ROLE $role LOGIN $*"
    sql "ALTER TABLE big OWNER TO $role; GRANT CREATE ON SCHEMA public TO $role"
    use_database "$PGDATABASE" "$role"
    PGUSER=postgres
}

# ---- what is shown -------------------------------------------------------------------

@test "an index build on a terminal: phase, percentage, and who blocks it; CONCURRENTLY is not held up" {
    local percent
    migration 001_first <<<'CREATE TABLE t (n int);'
    migration 002_index <<<'CREATE INDEX CONCURRENTLY i ON big (n); CREATE INDEX CONCURRENTLY j ON big (slow(n));'
    gate
    start_on_terminal up up
    wait_until "SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE datname = current_database()
                AND blocks_done > 0"
    percent=$(sql 'SELECT blocks_done * 100 / blocks_total FROM pg_stat_progress_create_index
                   WHERE datname = current_database()')
    [ "$percent" -gt 30 ] && [ "$percent" -lt 70 ] # it stands in the middle
    wait_for_text "$T/out.up" "002_index.sql  statement 2 of 2  building index: scanning table $percent%  "
    wait_for_text "$T/out.up" "rung: 002_index.sql, statement 2 of 2, building index: scanning table $percent%, "
    wait_for_text "$T/out.up" ", blocked by pid $gate_pid (gate, user postgres, idle in transaction, transaction open for "
    wait_for_text "$T/out.up" ' s): SELECT pg_advisory_xact_lock(4711);'
    release gate
    wait_until 'SELECT count(applied_at) = 2 FROM schema_migrations'
    wait_rung up
    assert_status 0
    assert_out_has 'applied 001_first.sql (1 statement, ' 'applied 002_index.sql (2 statements, '
    assert_sql "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                WHERE indrelid = 'big'::regclass ORDER BY 1" 'i|t' 'j|t'
    assert_applied 1 2
    wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE $watching"
}

@test "in a log it is said once who blocks, and not each second" {
    migration 001_index <<<'CREATE INDEX i ON big (slow(n));'
    gate
    start_rung up up --lock-timeout 0
    wait_for_text "$T/err.up" 'blocked by'
    # a look that came later
    local looked
    looked=$(sql "SELECT query_start FROM pg_stat_activity WHERE $watching")
    wait_until "SELECT query_start > '$looked' FROM pg_stat_activity WHERE $watching"
    release gate
    wait_rung up
    assert_status 0
    assert_done 'applied 001_index.sql (1 statement)'
    assert_equal "$(sed -E 's/, [0-9]+ s, /, N s, /; s/pid [0-9]+/pid N/; s/for [0-9]+ s/for N s/' <<<"$err")" \
        'rung: 001_index.sql, statement 1 of 1, building index: scanning table 48%, N s, blocked by pid N (gate, user postgres, idle in transaction, transaction open for N s): SELECT pg_advisory_xact_lock(4711);'
    assert_applied 1
}

@test "VACUUM, ANALYZE, CLUSTER, REINDEX and COPY have their phases, too" {
    local statement phase
    sql "CREATE INDEX i ON big (slow(n)); COPY big TO '$PGHOST/$PGDATABASE.copy'
         ; CREATE TABLE copied (n int CHECK (slow(n) > 0))"
    while IFS='|' read -r statement phase; do
        rm -f migrations/*
        sql 'DROP TABLE IF EXISTS schema_migrations'
        migration 001_x <<<"$statement;"
        gate
        start_on_terminal up up
        wait_for_text "$T/out.up" "001_x.sql  statement 1 of 1  $phase"
        release gate
        wait_rung up
        assert_status 0
        assert_applied 1
    done <<END
VACUUM (FULL) big|rebuilding index  
CLUSTER big USING i|rebuilding index  
ANALYZE big|computing statistics  
REINDEX INDEX i|building index: scanning table 48%  
COPY copied FROM '$PGHOST/$PGDATABASE.copy'|copying 
END
    rm -f "$PGHOST/$PGDATABASE.copy"
}

@test "which statement of several that travel together, as well as one can know" {
    migration 001_t <<'SQL'
CREATE TABLE t (n int);
CREATE INDEX i ON big (slow(n));
CREATE TABLE u (n int);
SQL
    gate
    start_on_terminal up up --lock-timeout 0
    wait_for_text "$T/out.up" '001_t.sql  statements 1-3 of 3  building index: scanning table 48%  '
    release gate
    wait_rung up
    assert_status 0
    assert_applied 1
}

@test "how far a large COPY is" {
    {
        echo 'CREATE TABLE t (n int CHECK (slow(n) > 0), filler text);'
        echo 'COPY t FROM stdin;'
        # 5000 of 10000 lines of about 2 kB, then row 5000 makes it stand still
        awk 'BEGIN { f = sprintf("%2000s", ""); gsub(/ /, "x", f); for (i = 1; i <= 10000; i++) print i "\t" f }'
        echo '\.'
    } >migrations/001_t.sql
    gate
    start_on_terminal up up --lock-timeout 0
    wait_for_text "$T/out.up" '001_t.sql  statement 2 of 2  10 of 20 MB  copying  '
    release gate
    wait_rung up
    assert_status 0
    assert_sql 'SELECT count(*) FROM t' 10000
    assert_applied 1
}

# ---- never a reason to fail ----------------------------------------------------------

@test "a role that may have one connection only" {
    limited CONNECTION LIMIT 1
    migration 001_index <<<'CREATE INDEX i ON big (slow(n));'
    gate
    start_on_terminal up up --lock-timeout 0
    wait_for_text "$PGHOST/server.log" "too many connections for role \"$role\""
    release gate
    wait_rung up
    assert_status 0
    assert_out_has 'applied 001_index.sql (1 statement, '
    assert_out_lacks 'too many connections' scanning blocked error warning
    assert_applied 1
}

@test "where the views may not be read, at least who blocks; of another role's session only what may be seen" {
    limited
    sql 'REVOKE SELECT ON pg_stat_progress_create_index FROM PUBLIC'
    migration 001_index <<<'CREATE INDEX i ON big (slow(n));'
    gate
    start_rung up up --lock-timeout 0
    wait_for_text "$T/err.up" ", blocked by pid $gate_pid (gate, user postgres): <insufficient privilege>"
    release gate
    wait_rung up
    assert_status 0
    assert_done 'applied 001_index.sql (1 statement)'
    assert_err_lacks scanning error warning
    assert_applied 1
}

@test "the second connection is lost" {
    migration 001_index <<<'CREATE INDEX i ON big (slow(n));'
    gate
    start_rung up up --lock-timeout 0
    wait_for_text "$T/err.up" "blocked by pid $gate_pid"
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $watching"
    wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE $watching"
    release gate
    wait_rung up
    assert_status 0
    assert_done 'applied 001_index.sql (1 statement)'
    assert_err_lacks terminat error warning
    assert_applied 1
}

@test "a second connection that does not answer holds nothing up" {
    local looking result tries n
    migration 001_index <<<'CREATE INDEX i ON big (slow(n)); CREATE TABLE t (n int);'
    migration 002_u <<<'CREATE TABLE u (n int);'
    gate
    start_on_terminal up up --lock-timeout 0
    wait_for_text "$T/out.up" "blocked by pid $gate_pid"
    looking=$(sql "SELECT pid FROM pg_stat_activity WHERE $watching")
    kill -STOP "$looking"
    n=$(($(drawn) + 3)) # seconds go on, with a question that is not answered
    for ((tries = 0; tries < 300; tries++)); do
        [ "$(drawn)" -lt "$n" ] || break
        sleep 0.1
    done
    release gate
    result=$(wait_until 'SELECT count(applied_at) = 2 FROM schema_migrations' 2>&1) || result="failed: $result"
    kill -CONT "$looking"
    assert_equal "$result" ''
    [ "$tries" -lt 300 ] || fail_with 'time stood still' "$(cat "$T/out.up")"
    wait_rung up
    assert_status 0
    assert_out_has 'applied 001_index.sql (2 statements, ' 'applied 002_u.sql (1 statement, '
    assert_applied 1 2
}

# How often the line was drawn.
drawn() {
    grep -o '001_index.sql  statements 1-2 of 2' "$T/out.up" | wc -l
}

@test "what is quick needs no second connection" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 002_i <<<'CREATE INDEX CONCURRENTLY i ON t (n);'
    DATABASE_URL+='&options=-c%20log_disconnections%3Don'
    run_rung up
    assert_status 0
    assert_err ''
    wait_for_text "$PGHOST/server.log" " database=$PGDATABASE host="
    # a connection of our own, later than any of rung's
    PGOPTIONS='-c log_disconnections=on' "$PG_BINDIR/psql" -X -q -c 'SELECT 1' >/dev/null 3>&- 4>&-
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        [ "$(grep -c "disconnection: .* database=$PGDATABASE host=" "$PGHOST/server.log")" -lt 2 ] || break
        sleep 0.1
    done
    assert_equal "$(grep -c "disconnection: .* database=$PGDATABASE host=" "$PGHOST/server.log")" 2
    assert_applied 1 2
}
