#!/usr/bin/env bats
#
# Promises that docs/testing.md lists and that no other file would notice broken: each of
# these tests was seen to fail with its mechanism taken out.

load ../lib/helpers

# The key of the advisory lock of public.schema_migrations, as SQL.
key="('x' || left(encode(sha256('rung:public.schema_migrations'), 'hex'), 16))::bit(64)::bigint"

# steal NAME: another session (NAME) has the advisory lock, until `release NAME`.
steal() {
    hold "$1" "SELECT pg_advisory_lock($key)"
}

# As the helper, but the session ends itself: a runner of ours may have inherited its pipe.
release() {
    hold_fd=$(cat "$T/hold.$1.fd")
    printf 'COMMIT;\n\\q\n' >&"$hold_fd"
    exec {hold_fd}>&-
    wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = '$1'
                AND datname = current_database()"
}

# at_the_gate <<SQL: a session holds the table `gate`; the file 001_t waits there in its
# second statement, in a runner called `first`.
at_the_gate() {
    sql 'CREATE TABLE gate (n int)'
    hold gate 'LOCK TABLE gate'
    migration 001_t
    PGAPPNAME=first start_rung first up
    wait_for_block first
}

# ---- nothing to do -------------------------------------------------------------------

@test "nothing to do: one connection and one query" {
    local log=$PGHOST/server.log table=ledger_$PGDATABASE
    migration 001_t <<<'CREATE TABLE t (n int);'
    run_rung up -t "$table"
    assert_status 0
    DATABASE_URL+='&options=-c%20log_statement%3Dall%20-c%20log_disconnections%3Don'
    run_rung up -t "$table"
    assert_status 0
    assert_out ''
    assert_err ''
    wait_for_text "$log" " database=$PGDATABASE host="
    # The server's log: the process that named our ledger, and all that it was asked.
    assert_equal "$(awk -v table="$table" -v database=" database=$PGDATABASE host=" '
        /^[^\t]/ && match($0, /\[[0-9]+\]/) { pid = substr($0, RSTART, RLENGTH) }
        / LOG:  statement: / { asked[pid]++ }
        index($0, table) { ours[pid] }
        / LOG:  disconnection: / && index($0, database) { connections++ }
        END {
            for (pid in ours) queries += asked[pid]
            print connections + 0 " connections, " queries + 0 " queries"
        }' "$log")" '1 connections, 1 queries'
}

@test "nothing to do takes no lock, and waits for none" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    run_rung up
    assert_status 0
    steal somebody
    run_rung up --lock-wait 0
    assert_status 0
    assert_out ''
    assert_err ''
    release somebody
}

# ---- waiting for the lock ------------------------------------------------------------

@test "who waits for the lock goes as soon as nothing is pending, without having it" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    run_rung up
    assert_status 0
    migration 002_u <<<'CREATE TABLE u (n int);'
    steal somebody
    start_rung waiter up
    wait_for_text "$T/err.waiter" 'another runner holds the lock'
    sql "INSERT INTO schema_migrations (version, filename, checksum, applied_at)
         VALUES (2, '002_u.sql', '$(sha256sum <migrations/002_u.sql | cut -c 1-64)', now())"
    wait_rung waiter
    assert_status 0
    assert_out ''
    assert_sql "SELECT to_regclass('u')" ''
    release somebody
}

@test "a file that was edited while rung waited for the lock runs and is recorded as it is now" {
    migration 001_t <<<"CREATE TABLE t AS SELECT 'old' AS s;"
    steal somebody
    start_rung waiter up
    wait_for_text "$T/err.waiter" 'another runner holds the lock'
    migration 001_t <<<"CREATE TABLE t AS SELECT 'new' AS s;"
    release somebody
    wait_rung waiter
    assert_status 0
    assert_sql 'SELECT s FROM t' new
    assert_sql 'SELECT checksum FROM schema_migrations' \
        "$(sha256sum <migrations/001_t.sql | cut -c 1-64)"
}

@test "what another runner recorded before we had the lock counts: drift is looked for again" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    run_rung up
    assert_status 0
    cp -r migrations other
    migration 002_u <<<'CREATE TABLE u (n int);'
    echo 'CREATE TABLE v (n int);' >other/003_v.sql
    cp other/003_v.sql migrations
    # The first one is stopped with an answer of the ledger's in its socket that will
    # soon be old.
    hold reader 'LOCK TABLE schema_migrations'
    PGAPPNAME=first start_rung first up
    wait_for_block first
    kill -STOP "$pid"
    release reader
    wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'first'
                AND datname = current_database() AND state = 'active'"
    run_rung up -m other
    assert_status 0
    assert_done 'applied 003_v.sql (1 statement)'
    kill -CONT "$pid"
    wait_rung first
    assert_status 3
    assert_out ''
    assert_err_has 'error: 002_u.sql: not applied, but numbered below 3, the newest applied one'
    assert_applied 1 3
    assert_sql "SELECT to_regclass('u')" ''
}

# ---- the lock is lost in a file without a transaction --------------------------------

@test "a lost lock that another runner has stops a no-transaction file at that statement" {
    at_the_gate <<'SQL'
-- rung: no-transaction
-- rung: lock-timeout 0
CREATE TABLE t (n int);
DO $$ BEGIN PERFORM pg_advisory_unlock_all(); PERFORM count(*) FROM gate; INSERT INTO t VALUES (2); END $$;
INSERT INTO t VALUES (3);
SQL
    steal somebody
    release gate
    wait_for_text "$T/err.first" 'warning: the advisory lock was lost'
    wait_for_text "$T/err.first" 'another runner holds the lock'
    assert_sql 'SELECT n FROM t'
    assert_sql 'SELECT statements, applied_at FROM schema_migrations' '1|'
    release somebody
    wait_rung first
    assert_status 0
    assert_sql 'SELECT n FROM t ORDER BY n' 2 3
    assert_applied 1
}

@test "a row that somebody else has advanced stops a no-transaction file at that statement" {
    at_the_gate <<'SQL'
-- rung: no-transaction
-- rung: lock-timeout 0
CREATE TABLE t (n int);
INSERT INTO t SELECT count(*) FROM gate;
INSERT INTO t VALUES (3);
SQL
    sql "UPDATE schema_migrations SET statements = 3, applied_at = now(),
             checksum = '$(sha256sum <migrations/001_t.sql | cut -c 1-64)'"
    release gate
    wait_rung first
    assert_status 0
    assert_sql 'SELECT n FROM t'
    assert_applied 1
}

# ---- how the server reads a string ---------------------------------------------------

# switched SETTING VALUE: a function sets it behind our back; what follows would be read
# in another way than it was split.
switched() {
    migration 001_t <<SQL
CREATE TABLE t (s text);
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS
    \$\$ SELECT set_config('${1%%_*}' || '_${1#*_}', '$2', false) \$\$;
SELECT f();
COPY t FROM stdin;
a
\\.
INSERT INTO t VALUES ('b\\');
SQL
    run_rung up
    assert_status 1
    assert_out ''
    assert_err_has "migrations/001_t.sql: error: a function of the file switched $1"
    assert_sql "SELECT to_regclass('t'), count(*) FROM schema_migrations" '|0'
}

@test "a function that switches standard_conforming_strings stops its file" {
    switched standard_conforming_strings off
}

@test "a function that switches client_encoding stops its file" {
    switched client_encoding LATIN1
}

# switched_alone SETTING VALUE: a function switches it, without a transaction.
switched_alone() {
    sql "CREATE TABLE t (s text);
         CREATE FUNCTION f() RETURNS text LANGUAGE sql AS
             \$\$ SELECT set_config('$1', '$2', false) \$\$"
    migration 001_t <<<$'-- rung: no-transaction\nSELECT f();\nINSERT INTO t VALUES (\'\u00e9\');'
    run_rung up
    assert_status 1
    assert_out ''
    assert_lines "$err" "migrations/001_t.sql: error: a function of the file switched $1" \
        '001_t.sql stopped at statement 2 of 2; the 1 before is done and recorded; nothing is applied. Fix the file and run `rung up`.'
    assert_sql 'SELECT count(*) FROM t' 0
    # It is done and recorded, so the rest follows in a session of its own.
    run_rung up
    assert_status 0
    assert_sql 'SELECT s FROM t' "$(printf '\u00e9')"
    # Behind the last statement nothing can be read wrongly any more.
    migration 002_t <<<$'-- rung: no-transaction\nSELECT f();'
    migration 003_t <<<"INSERT INTO t VALUES ('$(printf '\u00e8')\\');"
    run_rung up
    assert_status 0
    assert_sql 'SELECT s FROM t ORDER BY length(s)' "$(printf '\u00e9')" "$(printf '\u00e8')\\"
}

@test "without a transaction, too: standard_conforming_strings" {
    switched_alone standard_conforming_strings off
}

@test "without a transaction, too: client_encoding" {
    switched_alone client_encoding LATIN1
}

# ---- defaults of roles and databases --------------------------------------------------

# default_is SETTING VALUE: connect as a role that has it so.
default_is() {
    sql "ALTER ROLE \"$role\" SET $1 = '$2'"
}

@test "strings are read as they were split, in a file's later batches too" {
    make_role app
    sql "GRANT ALL ON SCHEMA public TO \"$role\""
    default_is standard_conforming_strings off
    migration 001_t <<'SQL'
CREATE TABLE t (s text);
COPY t FROM stdin;
a
\.
INSERT INTO t VALUES ('b\');
SQL
    use_database "$PGDATABASE" "$role"
    run_rung up
    use_database "$PGDATABASE"
    assert_status 0
    assert_err ''
    assert_sql 'SELECT s FROM t ORDER BY s' a $'b\\'
    sql "DROP OWNED BY \"$role\" CASCADE"
}

@test "RESET and TO DEFAULT go back to how strings were read in front of the file" {
    local way n=0 rows='SELECT s, count(*) FROM t GROUP BY s ORDER BY s COLLATE "C"'
    local wanted=($'a\b|2' 'c\d|2' 'e\|2' 'f\|2' 'é|2' 'ü|2')
    make_role app
    sql "GRANT ALL ON SCHEMA public TO \"$role\"; CREATE TABLE t (s text);
         ALTER TABLE t OWNER TO \"$role\""
    default_is standard_conforming_strings off
    default_is client_encoding LATIN1
    for way in transaction no-transaction; do
        migration "00$((++n))_strings" <<SQL
-- rung: lock-timeout 5s
$([ "$way" = transaction ] || echo "-- rung: $way")
SET escape_string_warning = off;
RESET client_encoding;
INSERT INTO t VALUES ('é');
SET NAMES DEFAULT;
INSERT INTO t VALUES ('ü');
SET standard_conforming_strings = off;
INSERT INTO t VALUES ('a\\b');
RESET standard_conforming_strings;
INSERT INTO t VALUES ('c\\d');
SET standard_conforming_strings = off;
SET standard_conforming_strings TO DEFAULT;
INSERT INTO t VALUES ('e\\');
SET standard_conforming_strings = off;
RESET ALL;
INSERT INTO t VALUES ('f\\');
SQL
    done
    use_database "$PGDATABASE" "$role"
    run_rung plan --sql
    assert_status 0
    printf '%s\n' "$out" >"$T/plan.sql"
    run_rung up
    assert_status 0
    assert_err ''
    use_database "$PGDATABASE"
    assert_sql "$rows" "${wanted[@]}"
    use_database "$PGDATABASE" "$role"
    sql 'TRUNCATE t; DROP TABLE schema_migrations'
    psql_files "$T/plan.sql"
    use_database "$PGDATABASE"
    assert_sql "$rows" "${wanted[@]}"
    sql "DROP OWNED BY \"$role\" CASCADE"
}

@test "a default lock_timeout does not end CREATE INDEX CONCURRENTLY" {
    make_role app
    sql "CREATE TABLE t (n int); ALTER TABLE t OWNER TO \"$role\"; GRANT ALL ON SCHEMA public TO \"$role\""
    default_is lock_timeout 20ms
    migration 001_i <<<'CREATE INDEX CONCURRENTLY i ON t (n);'
    hold writer 'INSERT INTO t VALUES (1)'
    use_database "$PGDATABASE" "$role"
    PGAPPNAME=first start_rung first up --lock-retry-for 0
    use_database "$PGDATABASE"
    wait_for_block first
    sleep 0.2
    release writer
    wait_rung first
    assert_status 0
    assert_err ''
    assert_sql 'SELECT indisvalid FROM pg_index WHERE indrelid = '"'t'::regclass" t
    sql "DROP OWNED BY \"$role\" CASCADE"
}

@test "a default idle_in_transaction_session_timeout does not end a run between two batches" {
    make_role app
    sql "GRANT ALL ON SCHEMA public TO \"$role\""
    default_is idle_in_transaction_session_timeout 50ms
    migration 001_t <<'SQL'
CREATE TABLE t (n int);
SELECT pg_sleep(0.5);
SET standard_conforming_strings = on;
INSERT INTO t VALUES (1);
SQL
    use_database "$PGDATABASE" "$role"
    PGAPPNAME=first start_rung first up
    use_database "$PGDATABASE"
    wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'first'
                AND datname = current_database() AND wait_event = 'PgSleep'"
    kill -STOP "$pid"
    wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'first'
                AND datname = current_database() AND state = 'active'"
    sleep 0.3
    kill -CONT "$pid"
    wait_rung first
    assert_status 0
    assert_err ''
    assert_sql 'SELECT n FROM t' 1
    sql "DROP OWNED BY \"$role\" CASCADE"
}

@test "a default idle_session_timeout does not end one that waits for the lock" {
    make_role app
    sql "GRANT ALL ON SCHEMA public TO \"$role\""
    default_is idle_session_timeout 20ms
    migration 001_t <<<'CREATE TABLE t (n int);'
    steal somebody
    use_database "$PGDATABASE" "$role"
    start_rung waiter up
    use_database "$PGDATABASE"
    wait_for_text "$T/err.waiter" 'another runner holds the lock'
    release somebody
    wait_rung waiter
    assert_status 0
    assert_err_lacks terminat lost
    assert_applied 1
    sql "DROP OWNED BY \"$role\" CASCADE"
}

@test "a default transaction_timeout does not end a transaction, nor a statement without one" {
    need_server 17
    make_role app
    sql "GRANT ALL ON SCHEMA public TO \"$role\""
    default_is transaction_timeout 200ms
    migration 001_t <<<'CREATE TABLE t (n int); SELECT pg_sleep(0.5); INSERT INTO t VALUES (1);'
    migration 002_i <<'SQL'
-- rung: no-transaction
CREATE INDEX CONCURRENTLY i ON t (n);
SELECT pg_sleep(0.5);
SQL
    use_database "$PGDATABASE" "$role"
    run_rung up
    assert_status 0
    assert_err ''
    use_database "$PGDATABASE"
    assert_applied 1 2
    assert_sql 'SELECT n FROM t' 1
    sql "DROP OWNED BY \"$role\" CASCADE"
}

@test "default isolation and deferrability do not reach the transactions of a CALL" {
    make_role app
    sql "GRANT ALL ON SCHEMA public TO \"$role\""
    default_is default_transaction_isolation serializable
    default_is default_transaction_deferrable on
    migration 001_t <<'SQL'
CREATE TABLE t (isolation text, is_deferrable text);
CREATE PROCEDURE p() LANGUAGE plpgsql AS $$
BEGIN
    COMMIT;
    INSERT INTO t VALUES (current_setting('transaction_isolation'), current_setting('transaction_deferrable'));
END $$;
SQL
    migration 002_call <<<$'-- rung: no-transaction\nCALL p();'
    use_database "$PGDATABASE" "$role"
    run_rung up
    use_database "$PGDATABASE"
    assert_status 0
    assert_err ''
    assert_sql 'SELECT * FROM t' 'read committed|off'
    sql "DROP OWNED BY \"$role\" CASCADE"
}

@test "a default role has no part in the ledger, but runs the files" {
    make_role owner
    local owner=$role
    make_role app
    sql "GRANT \"$owner\" TO \"$role\"; GRANT ALL ON SCHEMA public TO \"$owner\", \"$role\""
    sql_as "$role" 'CREATE TABLE schema_migrations (version bigint PRIMARY KEY, filename text NOT NULL,
        checksum text NOT NULL, applied_at timestamptz, applied_by text, duration_ms bigint,
        statements bigint, undone bigint, note text)'
    sql_as "$role" "GRANT SELECT ON schema_migrations TO \"$owner\""
    default_is role "$owner"
    migration 001_t <<<'CREATE TABLE t (n int);'
    use_database "$PGDATABASE" "$role"
    run_rung up
    use_database "$PGDATABASE"
    assert_status 0
    assert_err ''
    assert_sql "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 't'" "$owner"
    assert_sql 'SELECT version, applied_by FROM schema_migrations' "1|$role"
    sql "DROP OWNED BY \"$role\", \"$owner\" CASCADE"
}

@test "a default role has no part in the ledger that rung creates, either" {
    make_role owner
    local owner=$role
    make_role app
    sql "ALTER ROLE \"$role\" NOINHERIT; GRANT \"$owner\" TO \"$role\";
         GRANT ALL ON SCHEMA public TO \"$owner\", \"$role\""
    default_is role "$owner"
    migration 001_t <<<'CREATE TABLE t (n int);'
    use_database "$PGDATABASE" "$role"
    run_rung up --keep-source
    assert_status 0
    run_rung verify --no-pending
    assert_status 0
    run_rung show 1 --applied
    assert_status 0
    use_database "$PGDATABASE"
    assert_sql "SELECT relname, pg_get_userbyid(relowner) FROM pg_class
                WHERE relname IN ('t', 'schema_migrations', 'schema_migrations_source') ORDER BY 1" \
        "schema_migrations|$role" "schema_migrations_source|$role" "t|$owner"
    sql "DROP OWNED BY \"$role\", \"$owner\" CASCADE"
}

# ---- session_replication_role ---------------------------------------------------------

# A table whose foreign key and trigger tell whether they run.
guarded() {
    sql "CREATE TABLE parent (n int PRIMARY KEY); CREATE TABLE log (n int);
         CREATE TABLE child (n int REFERENCES parent);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
         \$\$BEGIN INSERT INTO log VALUES (new.n); RETURN new; END\$\$;
         CREATE TRIGGER note AFTER INSERT ON parent FOR EACH ROW EXECUTE FUNCTION note()"
}

@test "a default session_replication_role does not switch triggers and foreign keys off" {
    make_role app
    sql "ALTER ROLE \"$role\" SUPERUSER"
    guarded
    default_is session_replication_role replica
    migration 001_t <<<'INSERT INTO parent VALUES (1);'
    migration 002_n <<<$'-- rung: no-transaction\nINSERT INTO parent VALUES (2);\nRESET ALL;\nINSERT INTO parent VALUES (3);'
    migration 003_t <<<'RESET ALL; INSERT INTO parent VALUES (4);'
    migration 004_bad <<<'INSERT INTO child VALUES (9);'
    use_database "$PGDATABASE" "$role"
    run_rung up
    use_database "$PGDATABASE"
    assert_status 1
    assert_err_has '004_bad.sql:1:13: error: insert or update on table "child" violates foreign key'
    assert_sql 'SELECT n FROM log ORDER BY n' 1 2 3 4
    assert_sql 'SELECT count(*) FROM child' 0
    assert_applied 1 2 3
}

@test "where it may not be changed, nothing runs" {
    make_role app
    guarded
    sql "GRANT ALL ON SCHEMA public TO \"$role\"; GRANT ALL ON ALL TABLES IN SCHEMA public TO \"$role\""
    default_is session_replication_role replica
    migration 001_t <<<'INSERT INTO parent VALUES (1);'
    use_database "$PGDATABASE" "$role"
    run_rung up
    assert_status 1
    assert_out ''
    assert_err "$(
        cat <<TEXT
rung: error: triggers and foreign keys would not run: by a default of the role or database session_replication_role is replica, and $role may not change it
hint: Take the default away (ALTER ROLE $role RESET session_replication_role; or ALTER DATABASE), or connect as a superuser.
TEXT
    )"
    run_rung status
    assert_status 0
    use_database "$PGDATABASE"
    assert_sql 'SELECT count(*) FROM parent' 0
    assert_sql "SELECT to_regclass('schema_migrations')" ''
    sql "ALTER ROLE \"$role\" RESET session_replication_role"
    use_database "$PGDATABASE" "$role"
    run_rung up
    assert_status 0
    use_database "$PGDATABASE"
    assert_sql 'SELECT n FROM log' 1
    sql "DROP OWNED BY \"$role\" CASCADE"
}

@test "session_replication_role does not leak from file to file" {
    guarded
    migration 001_r <<<'SET session_replication_role = replica; INSERT INTO child VALUES (7);'
    migration 002_t <<<'INSERT INTO parent VALUES (1);'
    migration 003_r <<<$'-- rung: no-transaction\nSET session_replication_role = replica;\nINSERT INTO parent VALUES (2);'
    migration 004_t <<<'INSERT INTO parent VALUES (3);'
    run_rung up
    assert_status 0
    assert_sql 'SELECT n FROM child' 7
    assert_sql 'SELECT n FROM log ORDER BY n' 1 3
}

# ---- what a file takes from the session -----------------------------------------------

@test "DISCARD ALL, RESET ROLE and RESET ALL do not end --role, nor our settings" {
    make_role owner
    local owner=$role
    make_role app
    sql "GRANT \"$owner\" TO \"$role\" ; GRANT ALL ON SCHEMA public TO \"$owner\", \"$role\""
    default_is statement_timeout 100ms
    migration 001_n <<'SQL'
-- rung: no-transaction
CREATE TABLE a (n int);
DISCARD ALL;
SELECT pg_sleep(0.3);
CREATE TABLE b (n int);
RESET ALL;
SELECT pg_sleep(0.3);
RESET ROLE;
CREATE TABLE c (n int);
BEGIN;
RESET SESSION AUTHORIZATION;
CREATE TABLE d (n int);
COMMIT;
SQL
    migration 002_t <<'SQL'
SET SESSION AUTHORIZATION DEFAULT;
CREATE TABLE e (n int);
RESET ROLE;
RESET ALL;
SELECT pg_sleep(0.3);
CREATE TABLE f (n int);
SQL
    migration 003_t <<<'SET ROLE NONE; CREATE TABLE g (n int);'
    use_database "$PGDATABASE" "$role"
    run_rung up --role "$owner"
    use_database "$PGDATABASE"
    assert_status 0
    assert_err ''
    # SET ROLE NONE asks for it in so many words.
    assert_sql "SELECT relname, pg_get_userbyid(relowner) FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relname ~ '^.\$' ORDER BY 1" \
        "a|$owner" "b|$owner" "c|$owner" "d|$owner" "e|$owner" "f|$owner" "g|$role"
    assert_sql 'SELECT applied_by FROM schema_migrations' "$role" "$role" "$role"
    sql "DROP OWNED BY \"$owner\", \"$role\" CASCADE"
}

@test "a resume behind DISCARD ALL does not bring back what that took away" {
    sql 'CREATE SCHEMA s'
    migration 001_n <<'SQL'
-- rung: no-transaction
SET search_path = s;
DISCARD ALL;
SET work_mem = '7MB';
SELECT 1 / 0;
CREATE TABLE t AS SELECT current_setting('work_mem') AS memory;
SQL
    run_rung up
    assert_status 1
    sed -i 's,1 / 0,1,' migrations/001_n.sql
    run_rung up
    assert_status 0
    assert_sql 'SELECT memory FROM public.t' 7MB
}

# ---- the end of a file's transaction --------------------------------------------------

@test "timeouts that a file leaves behind do not end our own last statements" {
    # A CHECK of the ledger that waits for an advisory lock once the file says so.
    migration 001_t <<'SQL'
CREATE FUNCTION slow() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('test.wait', true) = 'on' THEN PERFORM pg_advisory_xact_lock(42); END IF;
    RETURN true;
END $$;
ALTER TABLE schema_migrations ADD CHECK (slow());
SQL
    run_rung up
    assert_status 0
    hold somebody 'SELECT pg_advisory_xact_lock(42)'
    migration 002_u <<'SQL'
CREATE TABLE u (n int);
SET test.wait = on;
SET statement_timeout = '50ms';
SET lock_timeout = '50ms';
SQL
    PGAPPNAME=first start_rung first up --lock-retry-for 0
    wait_for_block first
    sleep 0.3
    release somebody
    wait_rung first
    assert_status 0
    assert_err ''
    assert_applied 1 2
}

@test "currval and lastval of one file are not the next file's" {
    migration 001_s <<<"CREATE SEQUENCE s; SELECT nextval('s');"
    migration 002_last <<'SQL'
DO $$
BEGIN
    PERFORM lastval();
    RAISE 'lastval is known';
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    NULL;
END $$;
SQL
    run_rung up
    assert_status 0
    assert_err ''
    assert_applied 1 2
}

# ---- a statement that refuses a transaction, and nobody recorded what became of it ----

# noted SQL [failed]: 001_s.sql holds that statement, and its ledger row says that a runner
# ended while it ran (or that it failed).
noted() {
    migration 001_s <<<$'-- rung: no-transaction\n'"$1"
    sql "CREATE TABLE IF NOT EXISTS schema_migrations (version bigint PRIMARY KEY,
             filename text NOT NULL, checksum text NOT NULL, applied_at timestamptz,
             applied_by text, duration_ms bigint, statements bigint, undone bigint, note text);
         DELETE FROM schema_migrations;
         INSERT INTO schema_migrations (version, filename, checksum, statements, note)
         VALUES (1, '001_s.sql', '$(sha256sum </dev/null | cut -c 1-64)', 0,
                 'statement 1 ${2-running}')"
}

# settles: up takes it for done.
settles() {
    run_rung up
    assert_status 0
    assert_done 'applied 001_s.sql (1 statement)'
    assert_err_lacks error
    assert_applied 1
}

index_is() {
    assert_sql "SELECT c.oid = $1, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE c.relname = 'i'" 't|t'
}

# index_names NAME:VALID...: the indexes of t.
index_names() {
    assert_sql "SELECT c.relname || ':' || CASE WHEN i.indisvalid THEN 't' ELSE 'f' END
                FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE i.indrelid = 't'::regclass ORDER BY 1" "$@"
}

@test "CREATE INDEX CONCURRENTLY that was completed is not built again" {
    sql 'CREATE TABLE t (n int); CREATE INDEX i ON t (n)'
    local oid
    oid=$(sql "SELECT 'i'::regclass::oid")
    noted 'CREATE INDEX CONCURRENTLY i ON t (n);'
    settles
    index_is "$oid"
}

@test "what was edited while nobody knows whether it was completed is not taken for done" {
    sql 'CREATE TABLE t (n int, m int); CREATE INDEX i ON t (n)'
    local oid as
    oid=$(sql "SELECT 'i'::regclass::oid")
    as=$(printf 'CREATE INDEX CONCURRENTLY i ON t (n)' | sha256sum | cut -c 1-16)
    noted 'CREATE INDEX CONCURRENTLY i ON t (m);' "running as $as"
    run_rung up
    assert_status 3
    assert_out ''
    assert_err_has 'migrations/001_s.sql:2:1: error: statement 1 of 001_s.sql was edited, and whether it had been completed as it was before is not known: its runner ended while it ran' \
        'hint: Put it back as it was and run `rung up`. Or look for its work and take away what is left of it; then `rung repair 1 --reason TEXT`, or, where the edited one need not run, the same with --completed.'
    assert_applied
    # As it was, it is found.
    noted 'CREATE INDEX CONCURRENTLY i ON t (n);' "running as $as"
    settles
    index_is "$oid"
    # Or it is settled by hand.
    noted 'CREATE INDEX CONCURRENTLY i ON t (m);' "running as $as"
    sql 'DROP INDEX i'
    run_rung repair 1 --reason dropped --yes
    assert_status 0
    run_rung up
    assert_status 0
    assert_sql "SELECT pg_get_indexdef('i'::regclass)" 'CREATE INDEX i ON public.t USING btree (m)'
    assert_sql 'SELECT note FROM schema_migrations' 'repaired: dropped'
}

@test "one that a dead runner's backend still builds is waited for" {
    sql 'CREATE TABLE t (n int)'
    local oid
    noted 'CREATE INDEX CONCURRENTLY i ON t (n);'
    hold writer 'INSERT INTO t VALUES (1)'
    PGAPPNAME=orphan "$PG_BINDIR/psql" -X -q -c 'CREATE INDEX CONCURRENTLY i ON t (n)' 3>&- 4>&- &
    background+=("$!")
    wait_for_block orphan
    oid=$(sql "SELECT 'i'::regclass::oid")
    start_rung waiter up
    sleep 1
    release writer
    wait_rung waiter
    assert_status 0
    # Not a word of a deadlock with it.
    assert_lines "$err" 'migrations/001_s.sql: warning: began, and stopped in its first statement' \
        'hint: `rung up` goes on with it.'
    assert_applied 1
    index_is "$oid"
}

@test "an index of that name is not ours when our statement is known to have failed" {
    sql 'CREATE TABLE t (n int); CREATE INDEX i ON t (n)'
    noted 'CREATE INDEX CONCURRENTLY i ON t (n);' failed
    run_rung up
    assert_status 1
    assert_err_has 'relation "i" already exists'
    assert_applied
}

@test "an index without a name is known by those that were there before" {
    local oid
    sql 'CREATE TABLE t (n int); CREATE INDEX before ON t (n)'
    oid=$(sql "SELECT 'before'::regclass::oid")

    # It was not made.
    noted 'CREATE INDEX CONCURRENTLY ON t (n);' "running beside 0,$oid"
    settles
    index_names before:t t_n_idx:t

    # It is there: not built again.
    noted 'CREATE INDEX CONCURRENTLY ON t (n);' "running beside 0,$oid"
    settles
    index_names before:t t_n_idx:t

    # It is there and INVALID: built again, under the same name.
    sql "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_n_idx'::regclass"
    noted 'CREATE INDEX CONCURRENTLY ON t (n);' "running beside 0,$oid"
    settles
    index_names before:t t_n_idx:t

    # It failed, and what is there is not its own.
    noted 'CREATE INDEX CONCURRENTLY ON t (n);' "failed beside 0,$oid"
    settles
    index_names before:t t_n_idx1:t t_n_idx:t
}

@test "where more than one index may be it, nothing runs and both ways out are named" {
    local note
    sql 'CREATE TABLE t (n int); CREATE INDEX ON t (n); CREATE INDEX ON t (n)'
    for note in running 'running beside 0'; do
        noted 'CREATE INDEX CONCURRENTLY ON t (n);' "$note"
        run_rung up
        assert_status 3
        assert_out ''
        assert_err_has 'cannot tell whether statement 1 of 001_s.sql (CREATE INDEX CONCURRENTLY) was completed' \
            'It names no index: look which of those on t is its own' \
            'rung repair --completed --reason TEXT' 'rung repair --reason TEXT'
        assert_applied
    done
    index_names t_n_idx1:t t_n_idx:t
    run_rung repair --reason 'looked' --yes
    assert_status 0
    run_rung up
    assert_status 0
    index_names t_n_idx1:t t_n_idx2:t t_n_idx:t
}

@test "DROP INDEX CONCURRENTLY that was completed is done" {
    noted 'DROP INDEX CONCURRENTLY i;'
    settles
}

@test "CREATE DATABASE and DROP DATABASE that were completed are done" {
    local name=${PGDATABASE}_made
    create_database "$name"
    noted "CREATE DATABASE $name;"
    settles
    sql_in postgres "DROP DATABASE $name"
    noted "DROP DATABASE $name;"
    settles
}

@test "DETACH PARTITION CONCURRENTLY that is pending is finalized" {
    sql 'CREATE TABLE p (n int) PARTITION BY LIST (n); CREATE TABLE c PARTITION OF p FOR VALUES IN (1)'
    noted 'ALTER TABLE p DETACH PARTITION c CONCURRENTLY;'
    hold reader 'SELECT * FROM p'
    PGAPPNAME=dead PGOPTIONS='-c statement_timeout=300ms' "$PG_BINDIR/psql" -X -q \
        -c 'ALTER TABLE p DETACH PARTITION c CONCURRENTLY' >/dev/null 2>&1 3>&- 4>&- || true
    release reader
    assert_sql 'SELECT inhdetachpending FROM pg_inherits' t
    settles
    assert_sql 'SELECT count(*) FROM pg_inherits' 0
}

@test "where the catalog cannot tell, nothing runs and both ways out are named" {
    sql 'CREATE TABLE t (n int)'
    sql 'CREATE PROCEDURE p() LANGUAGE sql AS $$ INSERT INTO t VALUES (1) $$'
    noted 'CALL p();'
    run_rung up
    assert_status 3
    assert_out ''
    assert_err_has 'cannot tell whether statement 1 of 001_s.sql (CALL) was completed' \
        'rung repair --completed --reason TEXT' 'rung repair --reason TEXT'
    assert_sql 'SELECT n FROM t'
    assert_applied
}

# ---- BEGIN ... COMMIT in a file without a transaction ---------------------------------

@test "a group is counted in its own transaction" {
    migration 001_g <<'SQL'
-- rung: no-transaction
CREATE TABLE t (x xid);
BEGIN;
INSERT INTO t SELECT pg_current_xact_id()::xid;
COMMIT;
SELECT nosuch;
SQL
    run_rung up
    assert_status 1
    assert_sql 'SELECT statements, xmin = (SELECT x FROM t) FROM schema_migrations' '4|t'
}

@test "deferred triggers of a group run as the role that the group has set" {
    make_role other
    migration 001_g <<SQL
-- rung: no-transaction
CREATE TABLE t (n int);
CREATE TABLE log (who text);
GRANT INSERT ON t, log TO "$role";
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
    \$\$ BEGIN INSERT INTO log VALUES (current_user); RETURN NULL; END \$\$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION f();
BEGIN;
SET LOCAL ROLE "$role";
INSERT INTO t VALUES (1);
COMMIT;
SQL
    run_rung up
    assert_status 0
    assert_sql 'SELECT who FROM log' "$role"
    sql "DROP OWNED BY \"$role\""
}

@test "a no-transaction file that changes while it runs is not recorded as done" {
    sql 'CREATE TABLE gate (n int)'
    hold gate 'LOCK TABLE gate'
    {
        printf -- '-- rung: no-transaction\n-- rung: lock-timeout 0\nCREATE TABLE t (n int);\n'
        printf 'SELECT count(*) FROM gate;\n'
        yes -- '-- a comment that makes the file too long to be kept in memory' | head -c 9000000
        printf '\nSELECT 1;\n'
    } >migrations/001_t.sql
    PGAPPNAME=first start_rung first up
    wait_for_block first
    printf 'X' | dd of=migrations/001_t.sql bs=1 seek=8999990 conv=notrunc 2>"$T/dd"
    release gate
    wait_rung first
    assert_status 1
    assert_err_has '001_t.sql changed while it was read'
    assert_applied
}

@test "a file that is cut while it is streamed changed, and is not a mistake in its SQL" {
    local kind
    sql 'CREATE TABLE gate (n int)'
    for kind in transaction no-transaction; do
        hold "gate_$kind" 'LOCK TABLE gate'
        {
            [ "$kind" = transaction ] || echo '-- rung: no-transaction'
            printf -- '-- rung: lock-timeout 0\nCREATE TABLE t (n int);\nSELECT count(*) FROM gate;\n'
            printf 'SET standard_conforming_strings = on;\n' # what is there so far is sent
            yes -- '-- a comment that makes the file too long to be kept in memory' | head -c 9000000
            printf '\nINSERT INTO t VALUES (1), (2);\n'
        } >migrations/001_t.sql
        PGAPPNAME=first start_rung first up
        wait_for_block first
        truncate -s -6 migrations/001_t.sql # "... VALUES (1),"
        release "gate_$kind"
        wait_rung first
        assert_status 1
        assert_err_has 'migrations/001_t.sql: error: migrations/001_t.sql changed while it was read'
        assert_err_lacks 'unclosed' 'syntax'
        assert_applied
        sql 'DROP TABLE IF EXISTS t, schema_migrations'
    done
}

# ---- several files in one Query -------------------------------------------------------

@test "over a slow network, where files travel together, each is still applied or not by itself" {
    local n
    build_proxy
    unset DATABASE_URL # the proxy sets PGHOST and PGPORT
    sql 'CREATE TABLE t (n int)'
    for n in 1 2 3 4 5 6 7 8; do migration "00${n}_t" <<<"INSERT INTO t VALUES ($n);"; done
    migration 006_t <<<$'INSERT INTO t VALUES (6);\nSELECT nosuch;'
    status=0
    "$proxy" --server "$PGHOST/.s.PGSQL.$PGPORT" --listen "$T" --delay-client 40 \
        --log "$T/messages" -- "$RUNG" up >"$T/out" 2>"$T/err" 3>&- 4>&- ||
        status=$?
    out=$(cat "$T/out") err=$(cat "$T/err")
    assert_status 1
    assert_done 'applied 001_t.sql (1 statement)' 'applied 002_t.sql (1 statement)' \
        'applied 003_t.sql (1 statement)' 'applied 004_t.sql (1 statement)' \
        'applied 005_t.sql (1 statement)'
    assert_err_has 'migrations/006_t.sql:2:8: error: column "nosuch" does not exist' \
        '006_t.sql was rolled back at statement 2 of 2; 001-005 are applied. Fix the file and run `rung up`.'
    assert_err_lacks warning
    # They did travel together: a file alone is a message of about 2 KB.
    [ "$(awk '$1 == "client" && $4 > 6000' "$T/messages" | wc -l)" -ge 1 ]
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2 3 4 5
    assert_applied 1 2 3 4 5
}

# ---- very large statements --------------------------------------------------------------

@test "a statement of more than 64 MB is warned of with its line, and runs" {
    {
        printf 'CREATE TABLE t (n int);\nINSERT INTO t VALUES (1 /*'
        head -c 64000000 /dev/zero | tr '\0' x
        printf '*/);\n'
    } >migrations/001_large.sql
    run_rung up
    assert_status 0
    assert_err "$(
        cat <<'TEXT'
migrations/001_large.sql:2: warning: a statement of 64 MB takes about 256 MB of the server's memory
hint: Several smaller ones, or COPY, take less.
TEXT
    )"
    assert_sql 'SELECT n FROM t' 1
    assert_applied 1
}

# ---- a full disk ----------------------------------------------------------------------

# full_at VERSION: the COMMIT of that file meets a full disk, as the server reports it.
full_at() {
    cat <<SQL
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
    RAISE 'could not extend file "base/1/2": No space left on device'
        USING ERRCODE = '53100', HINT = 'Check free disk space.';
END \$\$;
CREATE CONSTRAINT TRIGGER full_disk AFTER UPDATE ON schema_migrations DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (new.version = $1) EXECUTE FUNCTION full_disk();
SQL
}

@test "a disk that is full at COMMIT: rolled back, said, nothing recorded" {
    full_at 2 | migration 001_f
    migration 002_t <<<'CREATE TABLE t (n int);'
    run_rung up
    assert_status 1
    assert_done 'applied 001_f.sql (2 statements)'
    assert_err "$(
        cat <<'TEXT'
migrations/002_t.sql: error: could not extend file "base/1/2": No space left on device
hint: Check free disk space.  [53100]
context: PL/pgSQL function full_disk() line 3 at RAISE
002_t.sql was rolled back; 001 is applied. Run `rung up` again.
TEXT
    )"
    assert_sql "SELECT to_regclass('t')" ''
    assert_sql 'SELECT version FROM schema_migrations' 1
    sql 'DROP FUNCTION full_disk() CASCADE'
    run_rung up
    assert_status 0
    assert_applied 1 2
}

@test "and without a transaction: the statement is not counted" {
    full_at 2 | migration 001_f
    migration 002_t <<<$'-- rung: no-transaction\nCREATE TABLE t (n int);\nCREATE TABLE u (n int);'
    run_rung up
    assert_status 1
    assert_err_has 'No space left on device' '002_t.sql stopped at statement 1 of 2' 'Run `rung up` again.'
    assert_sql "SELECT to_regclass('t')" ''
    assert_sql 'SELECT statements, applied_at FROM schema_migrations WHERE version = 2' '0|'
    sql 'DROP FUNCTION full_disk() CASCADE'
    run_rung up
    assert_status 0
    assert_applied 1 2
}

# ---- whoever reads our stdout is gone ---------------------------------------------------

@test "a reader of stdout that is gone: the work is done and recorded, and the exit status is 1" {
    local reader
    sql 'CREATE TABLE gate (n int)'
    hold gate 'LOCK TABLE gate'
    migration 001_t <<<'CREATE TABLE t (n int); SELECT count(*) FROM gate;'
    migration 002_u <<<'CREATE TABLE u (n int);'
    mkfifo "$T/pipe"
    exec {reader}<>"$T/pipe"
    PGAPPNAME=up "$RUNG" up --lock-timeout 0 >"$T/pipe" 2>"$T/err.up" 3>&- 4>&- {reader}>&- &
    background+=("$!")
    echo "$!" >"$T/pid.up"
    wait_for_block up
    exec {reader}>&-
    release gate
    : >"$T/out.up"
    wait_rung up
    assert_status 1
    assert_err_has 'rung: error: ' 'Broken pipe'
    assert_applied 1 2
    assert_sql "SELECT to_regclass('t'), to_regclass('u')" 't|u'
}

# ---- closed standard streams ----------------------------------------------------------

@test "what is said to a closed stderr does not end up in a descriptor of ours" {
    migration 001_w <<<$'DO $$ BEGIN RAISE WARNING \'w\'; END $$;'
    migration 002_t <<<'SELECT pg_sleep(0.2); CREATE TABLE t (n int);'
    status=0
    "$RUNG" up <&- >&- 2>&- 3>&- 4>&- || status=$?
    assert_status 1
    assert_applied 1 2
}

# ---- down ----------------------------------------------------------------------------

# spoils SQL: a down file that does this to the ledger is rolled back, and told so.
spoils() {
    migration 002_b.down <<<"DROP TABLE b; $1"
    run_rung down
    assert_status 1
    assert_out ''
    assert_err_has 'migrations/002_b.down.sql: error: the file drops, replaces or empties the ledger public.schema_migrations'
    assert_applied 1 2
    assert_sql "SELECT to_regclass('b')" b
}

two_applied() {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<<'CREATE TABLE b (n int);'
    run_rung up
    assert_status 0
}

@test "a down file that puts its row back is rolled back" {
    two_applied
    spoils "INSERT INTO schema_migrations (version, filename, checksum) VALUES (2, '002_b.sql', 'x');"
}

@test "a down file that replaces the ledger is rolled back" {
    two_applied
    spoils 'DROP TABLE schema_migrations; CREATE TABLE schema_migrations (version bigint PRIMARY KEY, filename text, checksum text, applied_at timestamptz);'
    spoils 'ALTER TABLE schema_migrations RENAME TO old; CREATE TABLE schema_migrations (LIKE old INCLUDING ALL);'
}
