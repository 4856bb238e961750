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
