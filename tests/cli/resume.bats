#!/usr/bin/env bats
#
# What was interrupted: resumed where it stopped, from the ledger and the catalog alone.

load ../lib/helpers
load ../lib/cluster.sh

# indexes TABLE: name and validity.
indexes() {
    sql "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
         WHERE indrelid = '$1'::regclass ORDER BY 1"
}

# A file without a transaction that waits for `hold gate` in the middle.
gated() {
    sql 'CREATE TABLE gate (n int); CREATE TABLE t (n int); INSERT INTO t VALUES (0)'
    migration 001_gated <<'SQL'
-- rung: no-transaction
-- rung: lock-timeout 0
INSERT INTO t VALUES (1);
CREATE INDEX CONCURRENTLY i ON t (n);
INSERT INTO t SELECT 2 FROM (SELECT count(*) FROM gate) AS g;
INSERT INTO t VALUES (3);
SQL
}

assert_whole() {
    assert_sql 'SELECT n FROM t ORDER BY n' 0 1 2 3
    assert_equal "$(indexes t)" 'i|t'
    assert_sql 'SELECT statements, note, applied_at IS NOT NULL FROM schema_migrations' '4||t'
}

# ---- after a failure -----------------------------------------------------------------

@test "a file is resumed at every statement, and each statement has run once" {
    local k
    sql 'CREATE TABLE trap (n int); CREATE TABLE trace (version int, n int)'
    for k in 1 2 3 4 5 6 7; do
        migration "00${k}_t" <<SQL
-- rung: no-transaction
INSERT INTO trace SELECT $k, 1 / (n - 1) * 0 + 1 FROM trap;
INSERT INTO trace SELECT $k, 1 / (n - 2) * 0 + 2 FROM trap;
BEGIN;
INSERT INTO trace SELECT $k, 4 FROM trap;
INSERT INTO trace SELECT $k, 1 / (n - 5) * 0 + 5 FROM trap;
COMMIT;
DO \$\$BEGIN INSERT INTO trace SELECT $k, 1 / (n - 7) * 0 + 7 FROM trap; END\$\$;
VACUUM trace;
INSERT INTO trace SELECT $k, 1 / (n - 9) * 0 + 9 FROM trap;
SQL
    done
    for k in 1 2 5 7 9; do
        local version done_before=$((k - 1))
        [ "$k" -ne 5 ] || done_before=2 # the whole group is one unit
        version=$(sql "SELECT coalesce(max(version), 0) + 1 FROM trace")
        sql "DELETE FROM trap; INSERT INTO trap VALUES ($k)"
        run_rung up "$version"
        assert_status 1
        assert_err_has "migrations/00${version}_t.sql:" 'division by zero'
        assert_sql "SELECT statements, applied_at FROM schema_migrations WHERE version = $version" \
            "$done_before|"
        sql 'UPDATE trap SET n = 0'
        run_rung up "$version"
        assert_status 0
        assert_sql "SELECT n FROM trace WHERE version = $version ORDER BY n" 1 2 4 5 7 9
        assert_sql "SELECT statements, note FROM schema_migrations WHERE version = $version" '9|'
    done
}

@test "a fixed rest is accepted, an edited beginning is refused with both ways out" {
    migration 001_t <<'SQL'
-- rung: no-transaction
CREATE TABLE t (n int);
INSERT INTO t VALUES (1);
INSERT INTO nosuch VALUES (2);
SQL
    cp migrations/001_t.sql "$T/original"
    run_rung up
    assert_status 1
    sed -i 's/VALUES (1)/VALUES (7)/; s/nosuch/t/' migrations/001_t.sql
    run_rung up
    assert_status 3
    assert_out ''
    assert_err_has 'was edited where it has already run, up to statement 2' \
        'Put them back as they were' 'rung repair 1 --reason TEXT'
    assert_sql 'SELECT n FROM t' 1
    sed 's/nosuch/t/' "$T/original" >migrations/001_t.sql
    run_rung up
    assert_status 0
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2
    assert_sql 'SELECT checksum FROM schema_migrations' "$(sha256sum migrations/001_t.sql | cut -d' ' -f1)"
}

@test "an unfinished file that now wants a transaction: applied in one, or refused, never for ever" {
    sql 'CREATE TABLE t (n int)'
    migration 001_i <<<'CREATE INDEX CONCURRENTLY i ON t (nosuch);'
    run_rung up
    assert_status 1
    migration 001_i <<<'CREATE INDEX i ON t (n); INSERT INTO t VALUES (1);'
    run_rung up
    assert_status 0
    assert_sql 'SELECT statements, note, applied_at IS NOT NULL FROM schema_migrations' '2||t'
    assert_sql 'SELECT n FROM t' 1

    migration 002_j <<<'CREATE INDEX CONCURRENTLY j ON t (n); CREATE INDEX CONCURRENTLY k ON t (nosuch);'
    run_rung up
    assert_status 1
    migration 002_j <<<'CREATE INDEX j ON t (n); CREATE INDEX k ON t (n);'
    run_rung up
    assert_status 3
    assert_err_has '002_j.sql began without a transaction, 1 of its statements are done'
    assert_sql 'SELECT statements, applied_at FROM schema_migrations WHERE version = 2' '1|'
}

@test "the same of a down file, and the row keeps its note" {
    sql 'CREATE TABLE t (n int)'
    migration 001_t <<<'INSERT INTO t VALUES (0);'
    migration 001_t.down <<'SQL'
-- rung: no-transaction
INSERT INTO t VALUES (1);
VACUUM t;
INSERT INTO t VALUES (2);
VACUUM nosuch;
SQL
    cp migrations/001_t.down.sql "$T/original"
    run_rung up
    assert_status 0
    sql "UPDATE schema_migrations SET note = 'repaired: once'"
    run_rung down
    assert_status 1
    local prefix
    prefix=$(head -n 4 "$T/original" | head -c -2 | sha256sum | cut -d' ' -f1)
    assert_sql 'SELECT undone, note FROM schema_migrations' \
        "3|statement 4 failed; down file $prefix; repaired: once"

    sed -i 's/VALUES (1)/VALUES (7)/; s/nosuch/t/' migrations/001_t.down.sql
    run_rung down
    assert_status 3
    assert_out ''
    assert_err_has '001_t.down.sql was edited where it has already run, up to statement 3' \
        'Put them back as they were' 'rung repair 1 --reason TEXT'
    assert_sql 'SELECT n FROM t ORDER BY n' 0 1 2
    assert_sql 'SELECT undone FROM schema_migrations' 3

    sed 's/nosuch/nosuch2/' "$T/original" >migrations/001_t.down.sql
    run_rung down
    assert_status 1
    assert_err_has 'relation "nosuch2" does not exist'
    assert_sql 'SELECT undone, note FROM schema_migrations' \
        "3|statement 4 failed; down file $prefix; repaired: once"
    sed -i 's/VALUES (1)/VALUES (7)/; s/nosuch2/t/' migrations/001_t.down.sql
    run_rung repair 1 --reason 'looked at it' --yes
    assert_status 0
    run_rung down
    assert_status 0
    assert_sql 'SELECT n FROM t ORDER BY n' 0 1 2
    assert_sql 'SELECT count(*) FROM schema_migrations' 0
}

@test "a reason stays when the file goes on behind it" {
    sql 'CREATE TABLE t (n int)'
    migration 001_t <<<$'-- rung: no-transaction\nINSERT INTO t VALUES (1);\nVACUUM t;\nVACUUM nosuch;\nVACUUM t;'
    run_rung up
    assert_status 1
    run_rung repair 1 --reason $'two\nlines; statement 2 running' --yes
    assert_status 0
    sed -i 's/nosuch/t/' migrations/001_t.sql
    run_rung up
    assert_status 0
    assert_sql 'SELECT note FROM schema_migrations' $'repaired: two\nlines; statement 2 running'
}

@test "settings come back with a resume; what cannot come back refuses it" {
    migration 001_set <<'SQL'
-- rung: no-transaction
CREATE SCHEMA s;
SET search_path = s;
SELECT set_config('work_mem', '7MB', false);
CREATE TABLE t AS SELECT current_setting('work_mem') AS memory, 1 / 0 AS n;
SQL
    run_rung up
    assert_status 1
    sed -i 's,1 / 0,1,' migrations/001_set.sql
    run_rung up
    assert_status 0
    assert_sql 'SELECT memory, n FROM s.t' '7MB|1'

    local sql n=2
    for sql in 'CREATE TEMP TABLE x (n int)' 'PREPARE x AS SELECT 1' 'LISTEN x'; do
        printf -- '-- rung: no-transaction\n%s;\nSELECT 1 / 0;\n' "$sql" >"migrations/00${n}_x.sql"
        run_rung up
        assert_status 1
        sed -i 's,1 / 0,1,' "migrations/00${n}_x.sql"
        run_rung up
        assert_status 3
        assert_err_has "migrations/00${n}_x.sql:2:1: error: 00${n}_x.sql cannot be resumed" \
            "from statement 2 on; then \`rung repair $n --completed --reason TEXT\`"
        run_rung repair "$n" --completed --reason 'by hand' --yes
        assert_status 0
        n=$((n + 1))
    done
    run_rung up
    assert_status 0
    assert_applied 1 2 3 4
}

@test "DO and CALL that commit run, and what they commit is there once" {
    migration 001_t <<'SQL'
-- rung: no-transaction
CREATE TABLE t (n int);
CREATE PROCEDURE p(n int) LANGUAGE plpgsql AS $$BEGIN INSERT INTO t VALUES (n); COMMIT; END$$;
CALL p(1);
DO $$BEGIN INSERT INTO t VALUES (2); COMMIT; INSERT INTO t VALUES (3); END$$;
DO $$BEGIN INSERT INTO t VALUES (4); END$$;
SQL
    run_rung up
    assert_status 0
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2 3 4
    assert_sql 'SELECT statements, note FROM schema_migrations' '5|'
}

@test "a CALL that failed behind a COMMIT of its own is not called again by itself" {
    sql "CREATE TABLE t (n int);
         CREATE PROCEDURE p() LANGUAGE plpgsql AS
             \$\$BEGIN INSERT INTO t VALUES (1); COMMIT;
                RAISE EXCEPTION 'no luck' USING ERRCODE = 'deadlock_detected'; END\$\$"
    migration 001_t <<<$'-- rung: no-transaction\nCALL p();'
    run_rung up
    assert_status 1
    assert_out ''
    assert_err_has 'migrations/001_t.sql:2:1: error: no luck' \
        'hint: What it committed before that stays, and it will run from its beginning: see that it can.  [40P01]'
    assert_err_lacks 'tried again'
    assert_sql 'SELECT n FROM t' 1
    # What the server undid as a whole is tried again, as ever.
    sql 'DELETE FROM t; DELETE FROM schema_migrations; CREATE SEQUENCE s;
         CREATE OR REPLACE PROCEDURE p() LANGUAGE plpgsql AS
             $$BEGIN INSERT INTO t VALUES (1); IF nextval($q$s$q$) < 3 THEN
                RAISE EXCEPTION $q$no luck$q$ USING ERRCODE = $q$deadlock_detected$q$; END IF; END$$'
    run_rung up
    assert_status 0
    assert_sql 'SELECT n FROM t' 1
    assert_equal "$(grep -c 'tried again' <<<"$err")" 2
}

@test "a unique index that failed is INVALID, dropped by the next run and built again" {
    sql 'CREATE TABLE t (n int); INSERT INTO t VALUES (1), (1)'
    migration 001_i <<<'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (n);'
    run_rung up
    assert_status 1
    assert_equal "$(indexes t)" 'i|f'
    sql 'DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)'
    run_rung up
    assert_status 0
    assert_equal "$(indexes t)" 'i|t'
    assert_sql 'SELECT statements, note FROM schema_migrations' '1|'
}

# ---- after a death -------------------------------------------------------------------

@test "rung is killed in the middle of a no-transaction file" {
    gated
    hold gate 'LOCK TABLE gate'
    PGAPPNAME=up start_rung up up
    wait_for_block up
    kill -KILL "$pid"
    release gate
    run_rung up
    assert_status 0
    assert_done 'applied 001_gated.sql (4 statements)'
    assert_whole
}

@test "rung is killed in CREATE INDEX CONCURRENTLY: its backend stops, the index is built anew" {
    gated
    sql 'CREATE TABLE u (n int)'
    migration 001_gated <<'SQL'
-- rung: no-transaction
INSERT INTO t VALUES (1);
CREATE INDEX CONCURRENTLY i ON t (n);
INSERT INTO t VALUES (2);
INSERT INTO t VALUES (3);
SQL
    hold gate 'INSERT INTO t SELECT 5 WHERE false; UPDATE t SET n = n'
    PGAPPNAME=up start_rung up up
    wait_for_block up
    kill -KILL "$pid"
    # client_connection_check_interval: it notices by itself, while it waits
    wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'up'
                AND datname = current_database()"
    assert_equal "$(indexes t)" 'i|f'
    assert_sql 'SELECT statements, note FROM schema_migrations' \
        "1|statement 2 running as $(printf 'CREATE INDEX CONCURRENTLY i ON t (n)' | sha256sum | cut -c 1-16)"
    release gate
    run_rung up
    assert_status 0
    assert_whole
}

# killed_in SQL: rung is killed while that statement, 2 of 3, waits for a transaction that
# has t; its backend ends, and then the transaction.
killed_in() {
    migration 001_k <<SQL
-- rung: no-transaction
INSERT INTO t VALUES (1);
$1;
INSERT INTO t VALUES (2);
SQL
    hold writer 'INSERT INTO t VALUES (0)'
    PGAPPNAME=up start_rung up up
    wait_for_block up
    kill -KILL "$pid"
    wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'up'
                AND datname = current_database()"
    release writer
}

assert_resumed() {
    run_rung up
    assert_status 0
    assert_done 'applied 001_k.sql (3 statements)'
    assert_sql 'SELECT n FROM t ORDER BY n' 0 1 2
    assert_sql 'SELECT statements, note, applied_at IS NOT NULL FROM schema_migrations' '3||t'
}

@test "rung is killed while an index without a name is built: there is one afterwards" {
    sql 'CREATE TABLE t (n int); CREATE INDEX old ON t (n)'
    killed_in 'CREATE INDEX CONCURRENTLY ON t (n)'
    assert_equal "$(indexes t)" $'old|t\nt_n_idx|f'
    assert_resumed
    assert_equal "$(indexes t)" $'old|t\nt_n_idx|t'
}

@test "an index without a name that failed leaves no INVALID one behind" {
    sql 'CREATE TABLE t (n int); INSERT INTO t VALUES (1), (1)'
    migration 001_u <<<'CREATE UNIQUE INDEX CONCURRENTLY ON t (n);'
    run_rung up
    assert_status 1
    assert_equal "$(indexes t)" 't_n_idx|f'
    sql 'DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)'
    run_rung up
    assert_status 0
    assert_equal "$(indexes t)" 't_n_idx|t'
}

@test "rung is killed in REINDEX CONCURRENTLY: what that left goes, what was there stays" {
    local what
    sql "CREATE TABLE t (n int, text text); CREATE INDEX i ON t (n); CREATE INDEX j_ccnew ON t (n);
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'j_ccnew'::regclass"
    for what in 'TABLE CONCURRENTLY t' 'INDEX CONCURRENTLY public.i' 'SCHEMA CONCURRENTLY public'; do
        sql 'DELETE FROM t; DROP TABLE IF EXISTS schema_migrations'
        killed_in "REINDEX $what"
        assert_equal "$(indexes t)" $'i|t\ni_ccnew|f\nj_ccnew|f'
        assert_resumed
        assert_equal "$(indexes t)" $'i|t\nj_ccnew|f'
    done
}

@test "the backend is terminated in the middle: rung connects again and goes on" {
    gated
    hold gate 'LOCK TABLE gate'
    PGAPPNAME=up start_rung up up
    wait_for_block up
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'up'
         AND datname = current_database()"
    release gate
    wait_rung up
    assert_status 0
    assert_done 'applied 001_gated.sql (4 statements)'
    assert_err_has 'rung: warning: '
    assert_whole
}

@test "and in the middle of a transactional file, or of its COMMIT" {
    local when
    sql 'CREATE TABLE gate (n int); CREATE TABLE t (n int);
         CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
         $$BEGIN PERFORM count(*) FROM gate; RETURN NULL; END$$;
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW WHEN (new.n = 2) EXECUTE FUNCTION wait()'
    migration 001_middle <<<'INSERT INTO t VALUES (1); SELECT count(*) FROM gate;'
    migration 002_end <<<'INSERT INTO t VALUES (2);'
    for when in 1 2; do
        hold gate 'LOCK TABLE gate'
        PGAPPNAME=up start_rung up up "$when" --lock-timeout 0
        wait_for_block up
        sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'up'
             AND datname = current_database()"
        release gate
        wait_rung up
        assert_status 0
    done
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2
    assert_applied 1 2
}

@test "where an unfinished file is gone, it is said how far it got" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 002_n <<<$'-- rung: no-transaction\nINSERT INTO t VALUES (1);\nINSERT INTO u VALUES (1);'
    run_rung up
    assert_status 1
    mv migrations/002_n.sql "$T"
    run_rung up
    assert_status 0
    assert_lines "$err" \
        'migrations/002_n.sql: warning: began, and is done up to statement 1, but newer than every file here' \
        'hint: Bring the file back: `rung up` goes on with it.'
    migration 003_u <<<'CREATE TABLE u (n int);'
    run_rung up
    assert_status 3
    assert_lines "$err" \
        'migrations/002_n.sql: error: began, and is done up to statement 1, but there is no such file' \
        'hint: Bring the file back, or forget it with `rung repair 2 --reason TEXT`.'
    rm migrations/003_u.sql
    mv "$T/002_n.sql" migrations
    sql 'CREATE TABLE u (n int)'
    run_rung up
    assert_status 0
    assert_sql 'SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)' '1|1'
}

@test "what ends its own connection each time is not said to be rolled back, for nobody has seen it" {
    migration 001_a <<<'SELECT 1;'
    migration 002_t <<<'CREATE TABLE t (n int); SELECT pg_terminate_backend(pg_backend_pid());'
    run_rung up
    assert_status 5
    assert_done 'applied 001_a.sql (1 statement)'
    assert_err_has 'migrations/002_t.sql: error: FATAL:  terminating connection due to administrator command' \
        '002_t.sql was interrupted, and whether it is applied only the ledger knows; 001 is applied before it. Run `rung up` again.'
    assert_equal "$(grep -c FATAL <<<"$err")" 3
    assert_applied 1
    assert_sql "SELECT to_regclass('t')" ''
}

@test "the server restarts in the middle of a run, and under one that waits for the lock" {
    local suite=("$PGHOST" "$PGPORT") private
    private=$(cluster_make_dir)
    cluster_start "$private"
    createdb() { sql_in postgres 'CREATE DATABASE restart'; }
    createdb
    use_database restart
    gated
    hold gate 'LOCK TABLE gate'
    PGAPPNAME=worker start_rung worker up
    wait_for_block worker
    PGAPPNAME=waiter start_rung waiter up
    wait_for_text "$T/err.waiter" 'another runner holds the lock'
    # shellcheck disable=SC2030,SC2031
    (cd / && unset PGPORT && cluster_as_user "$PG_BINDIR/pg_ctl" -D "$private/data" \
        -l "$private/server.log" -m immediate -w -t 60 restart) >/dev/null 3>&- 4>&-
    wait_rung worker
    local first=$status said=$err
    wait_rung waiter
    [ "$first" -eq 0 ] || fail_with "$said"
    assert_status 0
    assert_whole
    cluster_stop "$private"
    export PGHOST=${suite[0]} PGPORT=${suite[1]}
}
