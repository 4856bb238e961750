#!/usr/bin/env bats
# A server that takes no changes: what only looks works, what changes says so at once.

load ../lib/helpers

suite=("$PGHOST" "$PGPORT")

setup() {
    rung_setup
    private=
}

teardown() {
    export PGHOST=${suite[0]} PGPORT=${suite[1]} PGUSER=postgres
    [ -z "$private" ] || cluster_stop "$private"
    rung_teardown
}

# Stop the private server in good order and start it again as a standby.
turn_to_standby() {
    (
        cd / || exit 1
        cluster_as_user "$PG_BINDIR/pg_ctl" -D "$private/data" -m fast -w -t 120 stop &&
            cluster_as_user touch "$private/data/standby.signal" &&
            cluster_as_user "$PG_BINDIR/pg_ctl" -D "$private/data" -l "$private/server.log" -o \
                "-c listen_addresses='' -c unix_socket_directories='$private' -c max_connections=200" \
                -w -t 120 start
    ) >"$T/turned" 2>&1 </dev/null 3>&- 4>&- || fail_with "$(cat "$T/turned" "$private/server.log")"
}

# pg_ctl ARGS on the data directory NAME of the private server.
control() {
    (cd / && cluster_as_user "$PG_BINDIR/pg_ctl" -D "$private/$1" -w -t 120 "${@:2}") \
        >"$T/control" 2>&1 </dev/null 3>&- 4>&- || fail_with "$(cat "$T/control")"
}

# fail_over [PARAMETER]: the primary is lost behind 002, which the standby has not got.
fail_over() {
    # shellcheck source=tests/lib/cluster.sh
    . "$repo/tests/lib/cluster.sh"
    private=$(cluster_make_dir)
    cluster_start "$private" 3>&- 4>&-
    export PGDATABASE=postgres
    export DATABASE_URL="postgresql:///postgres?host=$private,$private&port=5432,5433&user=postgres${1-}"
    migration 001_t <<<'CREATE TABLE t (n int); CREATE TABLE gate (n int);'
    run_rung up
    assert_status 0
    (cd / && cluster_as_user "$PG_BINDIR/pg_basebackup" -D "$private/second" -c fast -X fetch -R) \
        >"$T/backup" 2>&1 </dev/null 3>&- 4>&- || fail_with "$(cat "$T/backup")"
    cluster_as_user rm "$private/second/postgresql.auto.conf" # it follows nobody
    control second -l "$private/second.log" -o \
        "-c listen_addresses='' -c unix_socket_directories='$private' -c port=5433 -c fsync=off -c max_connections=200" start
    hold gate 'LOCK TABLE gate'
    migration 002_u <<<'INSERT INTO t VALUES (2);'
    migration 003_v <<<$'-- rung: lock-timeout 0\nINSERT INTO t SELECT 3 FROM (SELECT count(*) FROM gate) AS g;'
    PGAPPNAME=up start_rung up up
    wait_for_block up
    assert_applied 1 2
    control data -m immediate stop
}

# The standby has become the primary, and has everything once.
assert_taken_over() {
    export PGPORT=5433
    assert_status 0
    assert_applied 1 2 3
    assert_sql 'SELECT n FROM t ORDER BY 1' 2 3
    control second -m immediate stop
}

@test "a failover in the middle, to a standby that lacks the last transactions" {
    fail_over
    wait_for_text "$T/err.up" 'the server is a standby, so far'
    control second promote
    wait_rung up
    assert_done 'applied 002_u.sql (1 statement)' 'applied 002_u.sql (1 statement)' 'applied 003_v.sql (1 statement)'
    assert_taken_over
}

@test "the same where only a primary is good enough" {
    fail_over '&target_session_attrs=read-write'
    wait_for_text "$T/err.up" 'the server does not accept connections yet'
    control second promote
    wait_rung up
    assert_taken_over
}

@test "a standby: status and verify work, up refuses and names the way out" {
    # shellcheck source=tests/lib/cluster.sh
    . "$repo/tests/lib/cluster.sh"
    private=$(cluster_make_dir)
    cluster_start "$private" 3>&- 4>&-
    export DATABASE_URL="postgresql:///postgres?host=$private&port=5432&user=postgres" PGDATABASE=postgres
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 001_t.down <<<'DROP TABLE t;'
    run_rung up
    assert_status 0
    turn_to_standby

    # Nothing to do is nothing to do, as on a primary: a replica's start script is content.
    run_rung up
    assert_status 0
    assert_err ''

    migration 002_u <<<'CREATE TABLE u (n int);'
    run_rung status
    assert_status 0
    assert_out_has '1 applied, 1 pending'
    run_rung verify
    assert_status 0
    assert_out_has 'verified files and ledger: 1 applied, 1 pending, no problems'
    run_rung plan
    assert_status 0
    for command in up down 'stamp --all'; do
        # shellcheck disable=SC2086 # words
        run_rung $command
        assert_status 1
        assert_out ''
        assert_err $'rung: error: the server is a standby: it takes no changes\nhint: Connect to the primary (target_session_attrs=read-write).'
    done
    assert_applied 1
}
