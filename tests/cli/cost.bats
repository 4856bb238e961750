#!/usr/bin/env bats
# What a user waits for, in numbers that are the same on every machine: round trips
# (tests/bench/link.c counts them), reads, descriptors, memory (tests/bench/meter.c).
load ../lib/helpers

setup_file() {
    ${CC:-cc} -std=c11 -D_POSIX_C_SOURCE=200809L -O1 -o "$BATS_FILE_TMPDIR/link" \
        "$BATS_TEST_DIRNAME/../bench/link.c"
    ${CC:-cc} -std=c11 -D_POSIX_C_SOURCE=200809L -O1 -shared -fPIC -ldl \
        -o "$BATS_FILE_TMPDIR/meter.so" "$BATS_TEST_DIRNAME/../bench/meter.c"
}

# over MS ARGS: rung over a line of so many milliseconds each way; $turns and
# $connections.  A turn is one wait for the server.
over() {
    local delay=$1 line
    shift
    status=0
    env -u DATABASE_URL "$BATS_FILE_TMPDIR/link" --server "$PGHOST/.s.PGSQL.$PGPORT" \
        --listen "$T" --delay-us "${delay}000" --report "$T/turns" -- \
        "$RUNG" "$@" >"$T/out" 2>"$T/err" 3>&- 4>&- || status=$?
    out=$(cat "$T/out") err=$(cat "$T/err")
    line=$(cat "$T/turns")
    turns=${line#* turns } turns=${turns%% *}
    connections=${line#connections } connections=${connections%% *}
}

# metered ARGS: rung, and what it asked of the system: $opened, $looked, $reads, $bytes,
# $descriptors, $kilobytes.
metered() {
    status=0
    METER=$T/meter LD_PRELOAD=$BATS_FILE_TMPDIR/meter.so \
        "$RUNG" "$@" >"$T/out" 2>"$T/err" 3>&- 4>&- || status=$?
    out=$(cat "$T/out") err=$(cat "$T/err")
    read -r _ opened _ looked _ reads _ bytes _ descriptors _ kilobytes <"$T/meter"
}

# at_most NAME N: the variable of that name is no more than N.
at_most() {
    [ "${!1}" -le "$2" ] || fail_with "$1: ${!1}, at most $2 expected"
}

skip_if_sanitized() {
    [ -z "${SANITIZED-}" ] || skip 'asan: its runtime must be loaded first, and needs memory'
}

small_files() {
    local n
    for ((n = 1; n <= $1; n++)); do
        printf -v name '%05d' "$n"
        printf 'INSERT INTO t VALUES (%d);\n' "$n" >"migrations/${name}_t.sql"
    done
}

# ---- round trips ---------------------------------------------------------------------

@test "nothing to do: one round trip after the connection's own" {
    sql 'CREATE TABLE t (n int)'
    small_files 20
    run_rung up
    assert_status 0
    for command in up status verify plan current history; do
        over 0 "$command"
        assert_status 0
        assert_err ''
        assert_equal "$command: $connections connections, $turns turns" \
            "$command: 1 connections, 2 turns"
    done
}

@test "one small file: its own round trip, and four for the lock and the ledger" {
    sql 'CREATE TABLE t (n int)'
    small_files 1
    run_rung up
    assert_status 0
    small_files 2
    over 0 up
    assert_status 0
    assert_done 'applied 00002_t.sql (1 statement)'
    # connection; ledger; lock; ledger, inspected; file
    assert_equal "$connections $turns" '1 6'
}

@test "the first file of a database: no more, though a ledger is looked for elsewhere, and made" {
    sql 'CREATE TABLE t (n int)'
    small_files 1
    over 0 up
    assert_status 0
    assert_done 'applied 00001_t.sql (1 statement)'
    # connection; ledger, elsewhere; lock; made; file
    assert_equal "$connections $turns" '1 6'
}

@test "100 small files over a slow line: at most 14 round trips, the connection's and the ledger's among them" {
    sql 'CREATE TABLE t (n int)'
    small_files 100
    over 50 up
    assert_status 0
    assert_err ''
    assert_equal "$(wc -l <<<"$out")" 100
    assert_equal "$connections" 1
    at_most turns 14
    assert_sql 'SELECT count(*), sum(n) FROM t' '100|5050'
    # Each is a transaction of its own.
    assert_sql 'SELECT count(DISTINCT xmin::text), count(*) FROM schema_migrations' '100|100'
    assert_sql 'SELECT count(DISTINCT xmin::text) FROM t' '100'
}

@test "files that travel together and are more text than was thought are each told once" {
    local n long
    printf -v long '%0180d' 0 # our own text names the file and the ledger often
    sql 'CREATE TABLE t (n int)'
    for ((n = 1; n <= 80; n++)); do
        printf -v name '%03d_%s' "$n" "$long"
        migration "$name" <<<"INSERT INTO t VALUES ($n);"
    done
    over 50 up -t '"a table with a name that is as long as names may be, 63 bytes.."'
    assert_status 0
    assert_err ''
    assert_equal "$(cut -c 1-11 "$T/out" | sort | uniq -c | awk '{ print $1 }' | uniq -c)" \
        '     80 1'
    assert_sql 'SELECT count(*), sum(n) FROM t' '80|3240'
}

@test "slow files travel alone, so that each is told when it is done" {
    local n
    sql 'CREATE TABLE t (n int)'
    small_files 1
    for n in 2 3 4 5 6 7 8; do migration "0000${n}_t" <<<'SELECT pg_sleep(0.3);'; done
    over 5 up
    assert_status 0
    # Behind the first at most four went together; then it is known how slow they are.
    [ "$turns" -ge 10 ] || fail_with "only $turns round trips"
    assert_applied 1 2 3 4 5 6 7 8
}

@test "however many files were edited, few looks are taken at the texts that were kept" {
    sql 'CREATE TABLE t (n int)'
    small_files 30
    run_rung up --keep-source
    assert_status 0
    for file in migrations/*.sql; do echo '-- edited' >>"$file"; done
    for command in up verify; do
        over 0 "$command"
        assert_status 3
        at_most connections 13
    done
    assert_out_has 'migrations/00012_t.sql:2: error: edited' 'migrations/00013_t.sql: error: edited' \
        'migrations/00030_t.sql: error: edited'
}

# ---- reads and descriptors ------------------------------------------------------------

@test "a small file is read once, in one piece, and few are open at once" {
    skip_if_sanitized
    sql 'CREATE TABLE t (n int)'
    small_files 300
    metered up
    assert_status 0
    assert_equal "$opened opened, $reads reads" '300 opened, 300 reads'
    at_most descriptors 8
    for command in up status verify; do
        metered "$command"
        assert_status 0
        assert_equal "$command: $opened opened, $reads reads" "$command: 300 opened, 300 reads"
        at_most looked 310 # once when it is open; the directory itself, once
        at_most descriptors 8
    done
    assert_sql 'SELECT count(*) FROM t' 300
}

# ---- memory ----------------------------------------------------------------------------

# Rows are wide, and none is stored: it is not the server that is measured.

@test "a file of 300 MB of INSERTs takes no more than 32 MB" {
    local text size
    skip_if_sanitized
    printf -v text '%08000d' 0
    {
        echo 'CREATE TABLE t (n int);'
        yes "INSERT INTO t VALUES (length('$text'));" | head -n 37500
    } >migrations/001_inserts.sql
    size=$(stat -c %s migrations/001_inserts.sql)
    metered up
    assert_status 0
    assert_done 'applied 001_inserts.sql (37501 statements)'
    at_most kilobytes 32768
    # Judged, then sent: read twice, in large pieces.
    assert_equal "$bytes" $((2 * size))
    at_most reads $((2 * size / 200000))
    assert_sql 'SELECT count(*), sum(n) FROM t' '37500|300000000'
    metered verify
    assert_status 0
    assert_equal "$bytes" "$size"
    at_most kilobytes 32768
}

@test "a file of 300 MB of COPY data takes no more than 32 MB" {
    local text size
    skip_if_sanitized
    printf -v text '%08000d' 0
    {
        printf 'CREATE TABLE t (word text);\nCOPY t FROM stdin WHERE length(word) = 4;\n'
        yes "$text" | head -n 37500
        printf 'last\n\\.\n'
    } >migrations/001_copy.sql
    size=$(stat -c %s migrations/001_copy.sql)
    metered up
    assert_status 0
    assert_done 'applied 001_copy.sql (2 statements)'
    at_most kilobytes 32768
    assert_equal "$bytes" $((2 * size))
    assert_sql 'SELECT word FROM t' last
}
