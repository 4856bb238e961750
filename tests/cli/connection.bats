#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031 # backquotes are said; subshells change the environment
#
# How rung reaches the server, and what it says when it does not.  No password and no
# connection string is ever printed.

load ../lib/helpers
load ../lib/cluster.sh

setup() {
    rung_setup
    migration 001_t <<<'CREATE TABLE t (n int);'
    private=
    suite=("$PGHOST" "$PGPORT")
}

teardown() {
    [ -z "$private" ] || cluster_stop "$private"
    export PGHOST=${suite[0]} PGPORT=${suite[1]} PGUSER=postgres
    unset PGPASSWORD
    rung_teardown
}

url() {
    echo "postgresql:///$PGDATABASE?host=$PGHOST&port=$PGPORT&user=postgres"
}

# applies ARGS: rung up with these applies 001_t.sql; then it is taken back.
applies() {
    run_rung up "$@"
    assert_status 0
    assert_done 'applied 001_t.sql (1 statement)'
    assert_err ''
    PGHOST=${suite[0]} PGPORT=${suite[1]} PGUSER=postgres \
        sql_in "$database" 'DROP TABLE t, schema_migrations'
}

# unreachable TEXT...: with the environment as it is, every command says that and exits with 5.
unreachable() {
    local command
    for command in up status plan verify; do
        run_rung "$command"
        assert_status 5
        assert_out ''
        assert_err_has 'rung: error: ' "$@"
        assert_err_lacks secret
    done
}

@test "the database is named by -d, DATABASE_URL, PG* or a service file" {
    database=$PGDATABASE
    local url host=$PGHOST port=$PGPORT
    url=$(url)
    printf '[mine]\nhost=%s\nport=%s\ndbname=%s\nuser=postgres\n' "$host" "$port" "$database" >"$T/services"
    unset DATABASE_URL PGDATABASE

    PGDATABASE=$database applies
    unset PGHOST PGPORT PGUSER
    DATABASE_URL=$url applies
    applies -d "$url"
    applies --database="$url"
    applies -d "host=$host port=$port dbname=$database user=postgres"
    DATABASE_URL=postgresql:///nosuch applies -d "$url"
    PGSERVICEFILE=$T/services PGSERVICE=mine applies
    PGSERVICEFILE=$T/services applies -d service=mine
    PGHOST=$host PGPORT=$port PGUSER=postgres applies -d "$database"
}

@test "postgres://, and a driver's name in the scheme, are understood" {
    database=$PGDATABASE
    local url
    url=$(url)
    unset DATABASE_URL PGHOST PGPORT PGUSER PGDATABASE
    applies -d "${url/postgresql:/postgres:}"
    applies -d "${url/postgresql:/postgresql+psycopg2:}"
    applies -d "${url/postgresql:/postgres+asyncpg:}"
}

@test "the connection string does not stay where ps shows it" {
    "$PG_BINDIR/psql" -X -q -c 'SELECT pg_advisory_lock('"$(lock_key)"')' -c 'SELECT pg_sleep(300)' \
        >/dev/null 2>&1 3>&- 4>&- &
    background+=("$!")
    wait_until "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory'
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
    start_rung ps up -d "$(url)&password=secret"
    wait_until "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'rung'
                AND datname = current_database() AND query ~ 'pg_try_advisory_lock|schema_migrations')"
    run tr '\0' ' ' <"/proc/$pid/cmdline"
    assert_lacks cmdline "$output" secret postgresql
    kill "$pid"
    wait_rung ps
    assert_status 143
    assert_untouched
}

# The key of the lock: the first eight bytes of SHA-256 of rung:schema.table.
lock_key() {
    printf '%d' "0x$(printf 'rung:public.schema_migrations' | sha256sum | cut -c 1-16)"
}

@test "--lock-wait 0 fails at once and says who holds the lock" {
    PGAPPNAME=holder "$PG_BINDIR/psql" -X -q -c 'SELECT pg_advisory_lock('"$(lock_key)"')' -c 'SELECT pg_sleep(300)' \
        >/dev/null 2>&1 3>&- 4>&- &
    background+=("$!")
    wait_until "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                AND query ~ '^SELECT pg_sleep')"
    run_rung up --lock-wait 0
    assert_status 4
    assert_out ''
    assert_err_has 'rung: error: another runner holds the lock: pid ' 'holder' ' s): SELECT' \
        'hint: Try again later, or wait for it with --lock-wait TIME.'
    assert_err_lacks pg_sleep # SQL may hold secrets
    assert_untouched
    run_rung up --lock-wait 200ms
    assert_status 4
    assert_err_has '(--lock-wait)'
    assert_untouched
}

@test "no server" {
    mkdir empty
    export PGHOST=$T/empty
    unset DATABASE_URL
    unreachable 'No such file or directory'
    export DATABASE_URL="postgresql://user:secret@127.0.0.1:1/x"
    unreachable 'Connection refused'
}

# tried HOST PORT USER DATABASE: what the detail says of each, and where it is from.
tried() {
    run_rung up
    assert_status 5
    assert_out ''
    assert_equal "$(grep '^detail' <<<"$err")" "detail: tried host $1, port $2, user $3, database $4"
    assert_err_lacks S3cr
}

@test "what was tried, and which variable each came from" {
    mkdir empty
    printf '[mine]\nhost=127.0.0.1\nport=1\nuser=bob\npassword=S3cr3t\n' >services
    unset DATABASE_URL PGHOST PGPORT PGUSER PGDATABASE
    export PGHOST=$T/empty PGPASSWORD=S3cr3t
    PGUSER=ann tried "\"$T/empty\" (PGHOST)" '"5432" (default)' '"ann" (PGUSER)' '"ann" (default)'
    PGPORT=9 PGUSER=ann PGDATABASE=app \
        tried "\"$T/empty\" (PGHOST)" '"9" (PGPORT)' '"ann" (PGUSER)' '"app" (PGDATABASE)'
    DATABASE_URL=postgresql://ann:S3cr3t@127.0.0.1:1 \
        tried '"127.0.0.1" (DATABASE_URL)' '"1" (DATABASE_URL)' '"ann" (DATABASE_URL)' '"ann" (default)'
    DATABASE_URL='port=1 dbname=app password=S3cr3t' PGUSER=ann \
        tried "\"$T/empty\" (PGHOST)" '"1" (DATABASE_URL)' '"ann" (PGUSER)' '"app" (DATABASE_URL)'
    DATABASE_URL=app PGPORT=1 PGUSER=ann \
        tried "\"$T/empty\" (PGHOST)" '"1" (PGPORT)' '"ann" (PGUSER)' '"app" (DATABASE_URL)'
    # a service file is stronger than a variable
    PGSERVICEFILE=$T/services PGSERVICE=mine PGPORT=9 PGDATABASE=app \
        tried '"127.0.0.1" (service "mine")' '"1" (service "mine")' '"bob" (service "mine" or default)' \
        '"app" (PGDATABASE)'
    # and the string is stronger than both
    PGSERVICEFILE=$T/services PGPORT=9 DATABASE_URL='service=mine user=ann port=1' \
        tried '"127.0.0.1" (service "mine")' '"1" (DATABASE_URL)' '"ann" (DATABASE_URL)' \
        '"ann" (service "mine" or default)'
    DATABASE_URL=postgresql://127.0.0.1:2/other run_rung status -d postgresql://ann:S3cr3t@127.0.0.1:1/app
    assert_status 5
    assert_err_has 'detail: tried host "127.0.0.1" (-d), port "1" (-d), user "ann" (-d), database "app" (-d)'
    assert_err_lacks S3cr
}

@test "a connection string in a variable that takes none is not printed, but the variable is named" {
    local url=postgresql://ann:S3cr3t@127.0.0.1:1/app variable
    unset DATABASE_URL
    while read -r variable part; do
        env "$variable=$url" "$RUNG" status >"$T/out" 2>"$T/err" || status=$?
        err=$(cat "$T/err")
        assert_status 5
        assert_err "rung: error: the $part from $variable is malformed
hint: A connection string is given with -d or DATABASE_URL."
    done <<'END'
PGHOST host
PGPORT port
PGUSER user
PGDATABASE database
END
}

@test "no such database, no such role" {
    local url
    url=$(url)
    export DATABASE_URL=${url/$PGDATABASE/nosuch}
    unreachable 'database "nosuch" does not exist'
    export DATABASE_URL=${url/user=postgres/user=nosuch}
    unreachable 'role "nosuch" does not exist'
}

@test "a wrong password, and the right one" {
    private=$(cluster_make_dir)
    cluster_start "$private" 3>&- 4>&-
    sql_in postgres "CREATE ROLE app LOGIN SUPERUSER PASSWORD 'right secret'"
    cluster_as_user sh -c "echo 'local all app scram-sha-256
local all postgres trust' >'$private/data/pg_hba.conf'"
    sql_in postgres 'SELECT pg_reload_conf()' >/dev/null
    unset DATABASE_URL PGUSER PGDATABASE
    # reloading takes a moment
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        ! PGUSER=app PGDATABASE=postgres "$PG_BINDIR/psql" -w -X -c 'SELECT 1' >/dev/null 2>&1 || continue
        break
    done
    for url in "postgresql://app:wrong%20secret@/postgres?host=$PGHOST" \
        "host=$PGHOST user=app dbname=postgres password='wrong secret'"; do
        export DATABASE_URL=$url
        unreachable 'password authentication failed for user "app"'
    done
    export DATABASE_URL="postgresql://app@/postgres?host=$PGHOST"
    PGPASSWORD='wrong secret' unreachable 'password authentication failed for user "app"'
    unset PGPASSWORD
    PGPASSFILE=/dev/null unreachable 'no password supplied'
    PGPASSWORD='right secret' run_rung up
    assert_status 0
    assert_done 'applied 001_t.sql (1 statement)'
    run_rung status -d "postgresql://app:right%20secret@/postgres?host=$PGHOST"
    assert_status 0
    assert_out_has '1 applied'
    assert_err ''
}

# malformed CONNINFO TEXT...: refused with that text, and nothing of the password is printed.
malformed() {
    local conninfo=$1
    shift
    for way in option environment; do
        if [ "$way" = option ]; then
            run_rung up -d "$conninfo"
        else
            DATABASE_URL=$conninfo run_rung up
        fi
        [ "$status" -eq 2 ] || [ "$status" -eq 5 ] || fail_with "exit status $status for $conninfo"
        assert_out ''
        assert_err_has 'rung: error: ' "$@"
        assert_err_lacks S3cr 3cret pass@ w0rd
    done
    assert_untouched
}

@test "of a malformed URL with a password in it nothing is printed" {
    malformed 'postgresql://user:S3cr@3cret@host/db'
    malformed 'postgresql://user:S3cr/3cret@host/db'
    malformed 'postgresql://user:S3cr:3cret@host:port/db'
    malformed 'postgresql://user:S3cr#3cret@host/db?sslmode=off'
    malformed 'postgresql://user:S3cr%3cret%zz@host/db'
    malformed 'postgresql://user:S3cr?3cret@host/db'
    malformed 'postgresql://user:S3cr3cret@[::1/db'
    malformed 'postgresql://user:S3cr3cret@host:99999999/db'
    malformed 'postgresql://user:S3cr3cret@host/db?passwrod=w0rd'
    malformed 'mysql://user:S3cr3cret@host/db' 'does not begin with postgresql:// or postgres://'
    malformed 'postgres:/user:S3cr3cret@host/db'
    malformed 'user:S3cr3cret@host/db'
    malformed "host=h password='S3cr3cret"
    malformed 'host=h password=S3cr 3cret'
    malformed 'host=h pasword=S3cr3cret'
}

@test "a connection string in the wrong place is not printed either" {
    run_rung "postgresql://user:S3cr3cret@host/db" up
    assert_status 2
    assert_out ''
    assert_err_has 'rung: error: ' 'A connection string goes with -d'
    assert_err_lacks S3cr
    run_rung up "postgresql://user:S3cr3cret@host/db"
    assert_status 2
    assert_err_lacks S3cr
}

@test "parameters that are not libpq's are named" {
    local url
    url=$(url)
    run_rung up -d "$url&schema=app"
    assert_status 2
    assert_out ''
    assert_err "$(
        cat <<'TEXT'
rung: error: the connection URL has a parameter "schema" that libpq does not know
hint: Take ?schema= out; name the ledger's schema with --table SCHEMA.schema_migrations, and the files' with ?options=-csearch_path%3DSCHEMA.
TEXT
    )"
    run_rung up -d "$url&pgbouncer=true"
    assert_status 2
    assert_err_has 'rung: error: the connection URL has a parameter "pgbouncer" that libpq does not know'
    assert_untouched
}

@test "--wait waits for a server that starts later" {
    private=$(cluster_make_dir)
    export DATABASE_URL="postgresql:///postgres?host=$private&user=postgres"
    run_rung up --wait 100ms
    assert_status 5
    assert_out ''
    start_rung later up --wait 5min
    # it has tried, and waits
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        [ ! -s "$T/err.later" ] || break
        sleep 0.1
    done
    cluster_start "$private" 3>&- 4>&-
    wait_rung later
    assert_status 0
    assert_done 'applied 001_t.sql (1 statement)'
    assert_err_has 'rung: '
    unset DATABASE_URL
    PGDATABASE=postgres
    assert_applied 1
}

@test "--wait does not wait for what will not come" {
    local url
    url=$(url)
    export DATABASE_URL=${url/$PGDATABASE/nosuch}
    run_rung up --wait 10min
    assert_status 5
    assert_out ''
    assert_err_has 'database "nosuch" does not exist'
}

# ---- refused for now -----------------------------------------------------------------

# limited_role: rung connects as a role of this test's own, which may have no connection.
limited_role() {
    role=${PGDATABASE}_app
    sql "CREATE ROLE \"$role\" LOGIN CONNECTION LIMIT 0; GRANT ALL ON SCHEMA public TO \"$role\""
    export DATABASE_URL=${DATABASE_URL/user=postgres/user=$role}
}

# limit_is N
limit_is() {
    sql "ALTER ROLE \"$role\" CONNECTION LIMIT $1"
}

@test "too many connections: exit 5 with a hint, and --wait waits for one" {
    limited_role
    run_rung up
    assert_status 5
    assert_out ''
    assert_err_has "FATAL:  too many connections for role \"$role\"" \
        'hint: Try again later, or wait for it with --wait TIME.  [53300]'
    assert_err_lacks LOCATION .c: '  53300:'
    start_rung patient up --wait 5min
    wait_for_text "$T/err.patient" 'the server has no connection left for us yet'
    limit_is -1
    wait_rung patient
    assert_status 0
    assert_done 'applied 001_t.sql (1 statement)'
    assert_applied 1
    sql "DROP OWNED BY \"$role\""
}

@test "too many connections for the database are waited for, too" {
    limited_role
    limit_is -1
    sql "ALTER DATABASE \"$PGDATABASE\" CONNECTION LIMIT 0" # not for the superuser
    start_rung patient up --wait 5min
    wait_for_text "$T/err.patient" 'the server has no connection left for us yet'
    sql "ALTER DATABASE \"$PGDATABASE\" CONNECTION LIMIT -1"
    wait_rung patient
    assert_status 0
    assert_applied 1
    sql "DROP OWNED BY \"$role\""
}

@test "no connection left in the middle of a run: it is waited for" {
    limited_role
    limit_is -1
    sql "CREATE TABLE gate (n int); GRANT SELECT ON gate TO \"$role\""
    hold gate 'LOCK TABLE gate'
    migration 002_g <<<'SELECT count(*) FROM gate;'
    PGAPPNAME=up start_rung up up --lock-timeout 0
    wait_for_block up
    limit_is 0
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'up'
         AND datname = current_database()" >/dev/null
    wait_for_text "$T/err.up" 'the server has no connection left for us yet'
    limit_is -1
    release gate
    wait_rung up
    assert_status 0
    assert_done 'applied 001_t.sql (1 statement)' 'applied 002_g.sql (1 statement)'
    assert_applied 1 2
    sql "DROP OWNED BY \"$role\""
}

# server_ctl ARGS: pg_ctl for the private server.
server_ctl() {
    (cd / && cluster_as_user "$PG_BINDIR/pg_ctl" -D "$private/data" "$@") \
        >"$T/pg_ctl" 2>&1 3>&- 4>&- </dev/null || fail_with "$(cat "$T/pg_ctl")"
}

@test "a server that shuts down, is gone and comes back: exit 5, and --wait outlasts all of it" {
    private=$(cluster_make_dir)
    cluster_start "$private" 3>&- 4>&-
    use_database postgres
    hold session 'SELECT 1' # a smart shutdown waits for it
    server_ctl -m smart -W stop
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        run_rung up
        [ "$status" -eq 0 ] || break
        sleep 0.1
    done
    assert_status 5
    assert_err_has 'FATAL:  the database system is shutting down' \
        'hint: Try again later, or wait for it with --wait TIME.  [57P03]'
    migration 002_u <<<'CREATE TABLE u (n int);'
    start_rung patient up --wait 5min
    wait_for_text "$T/err.patient" 'the server does not accept connections yet'
    printf 'COMMIT;\n\\q\n' >&"$(cat "$T/hold.session.fd")"
    for ((tries = 0; tries < 600; tries++)); do
        [ -e "$private/data/postmaster.pid" ] || break
        sleep 0.1
    done
    server_ctl -o "-c listen_addresses='' -c unix_socket_directories='$private'" \
        -l "$private/server.log" -w -t 120 start
    wait_rung patient
    assert_status 0
    assert_has stdout "$out" 'applied 002_u.sql'
    assert_applied 1 2
}

@test "who takes the connection and never answers is left: exit 5" {
    local port
    # it takes connections into its queue, and says nothing
    python3 -c 'import socket, sys, time
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
time.sleep(600)' >"$T/port" 3>&- 4>&- &
    background+=("$!")
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        [ ! -s "$T/port" ] || break
        sleep 0.1
    done
    port=$(cat "$T/port")
    export DATABASE_URL="postgresql://app:secret@127.0.0.1:$port/x?connect_timeout=1"
    unreachable 'the server did not answer within 1 s'
    run_rung up --wait 1500ms
    assert_status 5
    assert_out ''
    assert_err_has 'the server does not accept connections yet' 'the server did not answer within 1 s'
    assert_err_lacks secret
}

# ---- TLS -----------------------------------------------------------------------------

# certificate NAME SUBJECT [ARGS]: NAME.key and NAME.crt.
certificate() {
    local name=$1 subject=$2
    shift 2
    openssl req -new -newkey rsa:2048 -nodes -subj "/CN=$subject" -keyout "$name.key" \
        -x509 -days 2 -out "$name.crt" "$@" 2>"$T/openssl" || fail_with "$(cat "$T/openssl")"
}

@test "sslmode=verify-full: the right server and no other" {
    local port
    private=$(cluster_make_dir)
    certificate ca 'the authority'
    certificate other 'another authority'
    openssl req -new -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key \
        -out server.csr 2>"$T/openssl"
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
        -out server.crt 2>"$T/openssl" || fail_with "$(cat "$T/openssl")"
    cp server.crt server.key "$private"
    chmod 600 "$private/server.key"
    [ -z "$(cluster_user)" ] || chown "$(cluster_user)" "$private"/server.*
    port=$(python3 -c 'import socket
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1])')
    cluster_start "$private" listen_addresses=localhost "port=$port" ssl=on \
        "ssl_cert_file=$private/server.crt" "ssl_key_file=$private/server.key" 3>&- 4>&-
    export PGPORT=$port PGDATABASE=postgres
    sql "CREATE ROLE app LOGIN SUPERUSER PASSWORD 'a secret'"
    cluster_as_user sh -c "echo 'hostssl all app all scram-sha-256
local all postgres trust' >'$private/data/pg_hba.conf'"
    sql 'SELECT pg_reload_conf()' >/dev/null
    wait_until "SELECT count(*) = 2 FROM pg_hba_file_rules"
    unset DATABASE_URL PGUSER
    local url="postgresql://app:a%20secret@localhost:$port/postgres?sslmode=verify-full"

    DATABASE_URL="$url&sslrootcert=$T/other.crt" unreachable 'certificate verify failed'
    DATABASE_URL="${url/localhost/127.0.0.1}&sslrootcert=$T/ca.crt" unreachable \
        'server certificate for "localhost" does not match host name "127.0.0.1"'
    DATABASE_URL="$url&sslrootcert=$T/nosuch.crt" unreachable 'root certificate file' 'does not exist'
    export DATABASE_URL="$url&sslrootcert=$T/ca.crt"
    migration 001_t <<<'CREATE TABLE t AS SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();'
    run_rung up
    assert_status 0
    assert_err ''
    PGUSER=postgres assert_sql 'SELECT ssl FROM t' t
    DATABASE_URL=${DATABASE_URL/verify-full/disable} unreachable 'no encryption'
}

@test "the application's name is rung, unless the connection says another" {
    migration 001_t <<<"CREATE TABLE t AS SELECT current_setting('application_name') AS n;"
    run_rung up
    assert_sql 'SELECT n FROM t' rung
    sql 'DROP TABLE t, schema_migrations'
    run_rung up -d "$DATABASE_URL&application_name=mine"
    assert_sql 'SELECT n FROM t' mine
}

@test "startup options of the connection hold, and outlive the reset between files" {
    migration 001_t <<<"SET work_mem = '8MB'; CREATE TABLE t AS SELECT 1 AS n;"
    migration 002_u <<<"CREATE TABLE u AS SELECT current_setting('work_mem') AS n;"
    run_rung up -d "$DATABASE_URL&options=-cwork_mem%3D7MB"
    assert_status 0
    assert_sql 'SELECT n FROM u' 7MB
}
