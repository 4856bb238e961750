#!/usr/bin/env bats
#
# SIGINT, SIGTERM and SIGHUP: cancelled, rolled back, released, and said what is applied.

load ../lib/helpers

setup() {
    rung_setup
    sql 'CREATE TABLE gate (n int)'
    # What a shell starts in the background ignores SIGINT: undo that.
    program=$T/rung
    printf '#!/bin/sh\nexec env --default-signal=INT,HUP,TERM "%s" "$@"\n' "$RUNG" >"$program"
    chmod +x "$program"
}

# signal_at_gate SIGNAL FIRST: what `up` says when it gets a signal while application
# `up` waits for the gate.
signal_at_gate() {
    hold gate 'LOCK TABLE gate'
    PGAPPNAME=up start_rung up up --lock-timeout 0
    wait_for_block up
    kill "-$1" "$pid"
    wait_rung up
}

# Nothing of ours is left in the server, lock or transaction.
assert_gone() {
    wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'up'
                AND datname = current_database()"
    release gate
}

for case in INT:130 TERM:143 HUP:129; do
    eval "stops_${case%:*}() { stops ${case%:*} ${case#*:}; }"
done

stops() {
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 002_u <<'SQL'
CREATE TABLE u (n int);
INSERT INTO t VALUES (1);
SELECT count(*) FROM gate;
INSERT INTO t VALUES (2);
SQL
    migration 003_v <<<'CREATE TABLE v (n int);'
    signal_at_gate "$1"

    assert_status "$2"
    assert_done 'applied 001_t.sql (1 statement)'
    assert_err_has '002_u.sql was rolled back at statement 3 of 4; 001 is applied. Run `rung up` again.'
    assert_sql "SELECT to_regclass('u'), to_regclass('v'), count(*) FROM t" '||0'
    assert_applied 1
    assert_gone
    run_rung up --lock-wait 0
    assert_status 0
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2
    assert_applied 1 2 3
}

@test "SIGINT in a transactional file: 130" {
    stops_INT
}

@test "SIGTERM: 143" {
    stops_TERM
}

@test "SIGHUP: 129" {
    stops_HUP
}

@test "in a no-transaction file what is done stays, and the next run goes on" {
    migration 001_t <<'SQL'
-- rung: no-transaction
CREATE TABLE t (n int);
INSERT INTO t VALUES (1);
SELECT count(*) FROM gate;
INSERT INTO t VALUES (2);
SQL
    signal_at_gate TERM
    assert_status 143
    assert_out ''
    assert_err_has '001_t.sql stopped at statement 3 of 4; the 2 before are done and recorded'
    assert_sql 'SELECT statements, applied_at, note FROM schema_migrations' '2||'
    assert_gone
    run_rung up
    assert_status 0
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2
    assert_applied 1
}

@test "in CREATE INDEX CONCURRENTLY: the INVALID index goes with the next run" {
    sql 'CREATE TABLE t (n int); INSERT INTO t VALUES (1)'
    migration 001_i <<<'CREATE INDEX CONCURRENTLY i ON t (n); CREATE INDEX CONCURRENTLY j ON t (n);'
    hold gate 'INSERT INTO t VALUES (2)' # it waits for that transaction
    PGAPPNAME=up start_rung up up
    wait_for_block up
    kill -INT "$pid"
    wait_rung up
    assert_status 130
    assert_err_has '001_i.sql stopped at statement 1 of 2'
    assert_gone
    assert_sql "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                WHERE indrelid = 't'::regclass" 'i|f'
    run_rung up
    assert_status 0
    assert_sql "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                WHERE indrelid = 't'::regclass ORDER BY 1" 'i|t' 'j|t'
    assert_sql 'SELECT statements, note FROM schema_migrations' '2|'
}

@test "in a CALL that commits: it failed, which is known, so the next run calls it again" {
    sql 'CREATE TABLE t (n int)
         ; CREATE PROCEDURE work() LANGUAGE plpgsql AS
         $$BEGIN INSERT INTO t VALUES (1); COMMIT; PERFORM count(*) FROM gate; INSERT INTO t VALUES (2); END$$'
    migration 001_call <<'SQL'
-- rung: no-transaction
CALL work();
SQL
    signal_at_gate TERM
    assert_status 143
    assert_sql 'SELECT statements, note FROM schema_migrations' '0|statement 1 failed'
    assert_gone
    run_rung up
    assert_status 0
    assert_sql 'SELECT n FROM t ORDER BY n' 1 1 2
    assert_applied 1
}

@test "while it waits for another runner" {
    migration 001_t <<<'SELECT count(*) FROM gate;'
    hold gate 'LOCK TABLE gate'
    PGAPPNAME=up start_rung first up --lock-timeout 0
    wait_for_block up
    PGAPPNAME=waiter start_rung waiter up
    wait_for_text "$T/err.waiter" 'another runner holds the lock'
    kill -TERM "$pid"
    wait_rung waiter
    assert_status 143
    assert_err_has 'nothing is applied. Run `rung up` again.'
    release gate
    wait_rung first
    assert_status 0
    assert_applied 1
}

@test "in a statement of our own: a repair that waits for somebody's row" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    run_rung up
    migration 001_t <<<'CREATE TABLE t (n int); -- edited'
    hold gate 'SELECT FROM schema_migrations FOR UPDATE'
    PGAPPNAME=up start_rung up repair 1 --reason why --yes
    wait_for_block up
    kill -INT "$pid"
    wait_rung up
    assert_status 130
    assert_err_has 'rung: error: cancelled'
    assert_gone
    assert_sql 'SELECT note FROM schema_migrations' ''
}

@test "in a statement of our own: a status that waits for the ledger" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    run_rung up
    hold gate 'LOCK TABLE schema_migrations'
    PGAPPNAME=up start_rung up status
    wait_for_block up
    kill -TERM "$pid"
    wait_rung up
    assert_status 143
    assert_out ''
    assert_err 'rung: error: cancelled'
    assert_gone
}

@test "a second signal ends it at once, and the server still rolls back" {
    migration 001_t <<<'CREATE TABLE t (n int); SELECT count(*) FROM gate;'
    hold gate 'LOCK TABLE gate'
    PGAPPNAME=up start_rung up up --lock-timeout 0
    wait_for_block up
    kill -STOP "$pid"
    kill -TERM "$pid"
    kill -INT "$pid"
    kill -CONT "$pid"
    wait_rung up
    [ "$status" -eq 143 ] || [ "$status" -eq 130 ]
    assert_gone
    assert_sql "SELECT to_regclass('t'), count(*) FROM schema_migrations" '|0'
    run_rung up
    assert_status 0
}
