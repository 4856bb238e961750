#!/usr/bin/env bats
# scripts/demo in a copy of the repository, from nothing, without a terminal or stdin.

load ../lib/helpers

setup() {
    [ -z "${SANITIZED-}" ] || skip 'asan: the demo builds rung its own way'
    rung_setup
    mkdir "$T/a clone" "$T/tmp"
    tar -C "$repo" --exclude=./build --exclude=./.git --exclude=./rung --exclude=./librung.a \
        -cf - . | tar -C "$T/a clone" -xf -
    unset DATABASE_URL PGHOST PGPORT PGUSER PGDATABASE PG_BINDIR MAKEFLAGS MAKELEVEL
}

teardown() {
    [ -n "${T-}" ] || return 0
    # what rung_setup made is on the suite's server
    export PGHOST=$suite_host PGPORT=5432 PGUSER=postgres PG_BINDIR=$suite_bindir
    rung_teardown
}

suite_host=$PGHOST
suite_bindir=$PG_BINDIR

@test "the demo works, and says what it does" {
    program="$T/a clone/scripts/demo"
    TMPDIR=$T/tmp run_rung

    assert_status 0
    assert_out_has '$ ./rung up' '$ ./rung status' '006_performance.sql' \
        '$ ./rung verify -m ' '002_conversations.sql' '(exit status 3' \
        'SELECT version, filename, applied_at FROM schema_migrations ORDER BY version;' \
        'The server is stopped and deleted now.'
    # the statistics that the trigger made of one message
    [[ $out =~ 1\ \|\ +1\ \|\ +4 ]] || fail_with 'no statistics'
    assert_equal "$(ls "$T/tmp")" ''
}

@test "the demo cleans up when it is interrupted" {
    TMPDIR=$T/tmp "$T/a clone/scripts/demo" >"$T/out" 2>"$T/err" </dev/null 3>&- 4>&- &
    demo=$!
    background+=("$demo")
    for ((i = 0; i < 1200; i++)); do
        ! grep -q 'rung up' "$T/out" || break
        sleep 0.1
    done
    kill -TERM "$demo"
    status=0
    wait "$demo" || status=$?

    assert_status 143
    assert_equal "$(ls "$T/tmp")" ''
}
