# shellcheck shell=bash
# tests/lib/helpers.bash: what the tests in tests/cli share.  tests/README.md shows how a
# test looks; `load ../lib/helpers` reads this file.
#
# Every test starts in an empty directory ($PWD, also $T), with an empty directory
# `migrations` in it, and with an empty database of its own that DATABASE_URL and the PG*
# variables name.  Nothing of the caller's environment reaches rung.

repo=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
: "${RUNG:=$repo/rung}"
program=$RUNG # what run_rung runs
corpus_dir=${RUNG_CORPUS:-$repo/../shared/corpus}

setup() {
    rung_setup
}

teardown() {
    rung_teardown
}

# A file with a setup or teardown of its own calls these two from it.
rung_setup() {
    if [ -z "${PG_BINDIR-}" ] || [ -z "${PGHOST-}" ]; then
        echo "no server to test against: run this file as scripts/test $BATS_TEST_FILENAME"
        return 1
    fi
    # shellcheck disable=SC2046 # one word per variable is what we want
    unset DATABASE_URL NO_COLOR CI PGDATABASE PGOPTIONS PGSERVICE PGPASSWORD PGAPPNAME \
        $(compgen -v RUNG_)
    export LC_ALL=C.UTF-8 TZ=UTC PGTZ=UTC HOME=$BATS_TEST_TMPDIR
    T=$BATS_TEST_TMPDIR
    cd "$T" && mkdir migrations || return 1
    databases=()
    background=()
    create_database "t_$$_$BATS_TEST_NUMBER" && use_database "t_$$_$BATS_TEST_NUMBER"
    role=${PGDATABASE}_reader # a name for a test that makes one role
    roles=()
}

rung_teardown() {
    local pid name drop=()
    for pid in "${background[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    for name in "${databases[@]}"; do
        drop+=(-c "DROP DATABASE IF EXISTS \"$name\" WITH (FORCE)")
    done
    for name in ${role:+"$role"} "${roles[@]}"; do drop+=(-c "DROP ROLE IF EXISTS \"$name\""); done
    PGUSER=postgres PGOPTIONS='-c client_min_messages=warning' \
        "$PG_BINDIR/psql" -X -q -d postgres "${drop[@]}" 3>&- 4>&- || true
}

# ---- databases ---------------------------------------------------------------------

# Create an empty database; it is dropped when the test ends.
create_database() {
    sql_in postgres "CREATE DATABASE \"$1\" TEMPLATE template0" || return 1
    databases+=("$1")
}

# Point rung and sql at the database NAME, as the superuser or as ROLE.
use_database() {
    export PGDATABASE=$1 PGUSER=${2:-postgres}
    export DATABASE_URL="postgresql:///$1?host=$PGHOST&port=$PGPORT&user=$PGUSER"
}

# make_role NAME ATTRIBUTE...: a role of this test's own, $role; roles belong to the whole
# cluster, and what $role and $roles name is dropped when the test ends.
make_role() {
    role=${PGDATABASE}_$1
    roles+=("$role")
    sql "CREATE ROLE \"$role\" LOGIN ${*:2}"
}

# Run SQL (one -c: several statements are one transaction) in the test's database; rows
# come out unaligned, columns separated by |.  Fails when a statement fails.
sql() {
    sql_in "$PGDATABASE" "$@"
}

# The same in another database.
sql_in() {
    PGOPTIONS='-c client_min_messages=warning' "$PG_BINDIR/psql" -X -q -A -t \
        -v ON_ERROR_STOP=1 -d "$1" -c "$2" 3>&- 4>&-
}

# The same in the test's database, as another role.
sql_as() {
    PGUSER=$1 sql_in "$PGDATABASE" "$2"
}

# The server's major version: 16.
server_version() {
    sql "SELECT current_setting('server_version_num')::int / 10000"
}

# Run files with psql in the test's database, each as it is, in the order given.
psql_files() {
    local file
    for file; do
        PGOPTIONS='-c client_min_messages=warning' "$PG_BINDIR/psql" -X -q -o /dev/null \
            -v ON_ERROR_STOP=1 -f "$file" 3>&- 4>&- || return 1
    done
}

# The schema of the test's database (or of NAME) as pg_dump prints it, without the
# ledger, without comments and without what changes from run to run.
schema_dump() {
    "$PG_BINDIR/pg_dump" --schema-only --exclude-table='*.schema_migrations' \
        "${1:-$PGDATABASE}" 3>&- 4>&- | sed -e '/^--/d' -e '/^\\/d' -e '/^$/d'
}

# Wait until the SQL yields `t`: at most 60 seconds, in short steps.
wait_until() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        [ "$(sql "$1")" != t ] || return 0
        sleep 0.1
    done
    fail_with "still not true after 60 seconds: $1"
}

# ---- files -------------------------------------------------------------------------

# Write stdin to migrations/NAME; `.sql` is added where NAME lacks it.
migration() {
    cat >"migrations/${1%.sql}.sql"
}

# ---- rung --------------------------------------------------------------------------

# Run rung.  Sets $status, $out and $err (without their last line feed; the exact bytes
# are in the files $T/out and $T/err).  Never fails by itself; stdin is the caller's.
run_rung() {
    status=0
    "$program" "$@" >"$T/out" 2>"$T/err" 3>&- 4>&- || status=$?
    out=$(cat "$T/out")
    err=$(cat "$T/err")
}

# Run rung on a terminal where somebody types LINE (none when it is empty: the terminal
# hangs up).  $out is all that stands on it, stdout and stderr, without \r; $err is empty.
run_rung_on_terminal() {
    local line=$1 command
    shift
    printf -v command '%q ' "$program" "$@"
    status=0
    # script(1) is in every Linux; it needs a shell that can run what %q wrote.
    printf '%s' "${line:+$line$'\n'}" |
        SHELL=$BASH TERM=dumb script -qec "$command" /dev/null >"$T/out" 2>"$T/err" 3>&- 4>&- ||
        status=$?
    out=$(tr -d '\r' <"$T/out")
    err=$(cat "$T/err")
}

# Start rung in the background under a NAME; its process is in $pid.
start_rung() {
    local name=$1
    shift
    "$program" "$@" >"$T/out.$name" 2>"$T/err.$name" </dev/null 3>&- 4>&- &
    pid=$!
    background+=("$pid")
    printf '%s\n' "$pid" >"$T/pid.$name"
}

# Wait for the rung started under NAME; sets $status, $out and $err.
wait_rung() {
    status=0
    wait "$(cat "$T/pid.$1")" || status=$?
    out=$(cat "$T/out.$1")
    err=$(cat "$T/err.$1")
}

# ---- assertions --------------------------------------------------------------------
# Each says what it found and what rung printed, and fails the test.

fail_with() {
    {
        printf '%s\n' "$@"
        printf -- '-- exit status: %s\n' "${status-none}"
        printf -- '-- stdout:\n%s\n-- stderr:\n%s\n' "${out-}" "${err-}"
    } >&2
    return 1
}

# assert_status N: what rung exited with.
assert_status() {
    [ "$status" -eq "$1" ] || fail_with "exit status $status, expected $1"
}

# assert_equal ACTUAL EXPECTED
assert_equal() {
    [ "$1" = "$2" ] ||
        fail_with 'not equal (-expected, +actual):' \
            "$(diff -u <(printf '%s\n' "$2") <(printf '%s\n' "$1") | tail -n +3)"
}

# assert_out TEXT, assert_err TEXT: stdout or stderr is exactly this.  `assert_err ''`:
# nothing was said.
assert_out() {
    assert_equal "$out" "$1"
}

assert_err() {
    assert_equal "$err" "$1"
}

# assert_out_has TEXT..., assert_err_has TEXT...: each TEXT stands in it somewhere.
assert_out_has() {
    assert_has stdout "$out" "$@"
}

assert_err_has() {
    assert_has stderr "$err" "$@"
}

# assert_out_lacks TEXT..., assert_err_lacks TEXT...: no TEXT stands in it anywhere.
assert_out_lacks() {
    assert_lacks stdout "$out" "$@"
}

assert_err_lacks() {
    assert_lacks stderr "$err" "$@"
}

assert_has() {
    local where=$1 text=$2 part
    shift 2
    for part; do
        [[ $text == *"$part"* ]] || fail_with "$where lacks: $part" || return 1
    done
}

assert_lacks() {
    local where=$1 text=$2 part
    shift 2
    for part; do
        [[ $text != *"$part"* ]] || fail_with "$where has: $part" || return 1
    done
}

# assert_lines TEXT LINE...: TEXT consists of exactly these lines.
assert_lines() {
    local text=$1
    shift
    assert_equal "$text" "$(printf '%s\n' "$@")"
}

# assert_done LINE...: stdout is exactly these lines of `up`, without how long each took:
# `applied 001_x.sql (2 statements)`.  No LINE: nothing was done.
assert_done() {
    local times='s/, [0-9][0-9.]* (ms|s|min [0-9]+ s|h [0-9]+ min)\)$/)/'
    assert_equal "$(sed -E "$times" <<<"$out")" "$(printf '%s\n' "$@")"
}

# assert_sql QUERY LINE...: its rows, columns separated by |.  No LINE: no row.
assert_sql() {
    local query=$1
    shift
    assert_equal "$(sql "$query")" "$(printf '%s\n' "$@")"
}

# assert_applied VERSION...: exactly these versions are recorded as applied.
assert_applied() {
    assert_sql 'SELECT version FROM schema_migrations WHERE applied_at IS NOT NULL
                ORDER BY version' "$@"
}

# assert_untouched: there is no ledger and no table of the user's at all.
assert_untouched() {
    assert_sql "SELECT c.oid::regclass FROM pg_class c
                WHERE relnamespace NOT IN
                    (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_|^information_schema')"
}

# ---- skipping ----------------------------------------------------------------------
# With CI=true a skip is a failure unless its reason begins with `corpus:`, `root:`,
# `server:` or `asan:` ($SANITIZED is set in a sanitized run; a memory limit cannot hold
# there).

# The rest needs an unprivileged user (root reads every file).
skip_if_root() {
    [ "$(id -u)" -ne 0 ] || skip 'root: root may read and write everything'
}

# The rest needs a server of this major version or later: scripts/test-matrix has them all.
need_server() {
    [ "$(server_version)" -ge "$1" ] || skip "server: needs PostgreSQL $1"
}

# The rest needs a file of the shared corpus; sets $corpus to its
# path.
need_corpus() {
    corpus=$corpus_dir/$1
    [ -e "$corpus" ] || skip "corpus: $1 is not there"
}

# ---- what happens meanwhile ----------------------------------------------------------

# hold NAME SQL: run SQL in a transaction of another session (application_name NAME),
# which stays open until `release NAME`.
hold() {
    mkfifo "$T/hold.$1"
    PGAPPNAME=$1 "$PG_BINDIR/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d "$PGDATABASE" \
        <"$T/hold.$1" >"$T/hold.$1.out" 2>&1 3>&- 4>&- &
    background+=("$!")
    exec {hold_fd}>"$T/hold.$1"
    printf '%s\n' "$hold_fd" >"$T/hold.$1.fd"
    printf 'BEGIN;\n%s;\n' "$2" >&"$hold_fd"
    wait_until "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$1'
                AND datname = current_database() AND state = 'idle in transaction'
                AND query NOT LIKE 'BEGIN%'"
}

release() {
    hold_fd=$(cat "$T/hold.$1.fd")
    printf 'COMMIT;\n\\q\n' >&"$hold_fd" # what was started since may hold the pipe, too
    exec {hold_fd}>&-
    rm -f "$T/hold.$1"
    wait_until "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = '$1'
                AND datname = current_database()"
}

# wait_for_block APPLICATION: until a statement of it waits for a lock.
wait_for_block() {
    wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = '$1'
                AND datname = current_database() AND wait_event_type = 'Lock'"
}

# wait_for_text FILE TEXT: until it stands there; at most 60 seconds.
wait_for_text() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        ! grep -qF -- "$2" "$1" || return 0
        sleep 0.1
    done
    fail_with "after 60 seconds $1 lacks: $2" "$(cat "$1")"
}

# Build tests/fault/proxy.c; $proxy is the program.  Call it from setup_file or a test.
build_proxy() {
    proxy=$BATS_FILE_TMPDIR/proxy
    [ -x "$proxy" ] || ${CC:-cc} -std=c11 -D_POSIX_C_SOURCE=200809L -O1 -o "$proxy" \
        "$repo/tests/fault/proxy.c"
}
