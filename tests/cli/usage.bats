#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# What is said to somebody who mistypes, asks for help, or gives stdout no room.

load ../lib/helpers

# refused MESSAGE [HINT] -- ARGS: rung ARGS is a usage error in exactly these words, and
# touches nothing.
refused() {
    local lines=("rung: error: $1") hint
    if [ "$2" != -- ]; then
        hint=$2
        lines+=("hint: $hint")
        shift
    fi
    shift 2
    run_rung "$@"
    assert_status 2
    assert_out ''
    assert_lines "$err" "${lines[@]}"
    assert_untouched
}

@test "rung alone says how it is called, on stderr" {
    run_rung
    assert_status 2
    assert_out ''
    assert_err_has 'Usage: rung [OPTION]... COMMAND [ARGUMENT]' '  up [VERSION] ' \
        '`rung --help` says more'
}

@test "--help goes to stdout, and help says the same" {
    run_rung --help
    assert_status 0
    assert_err ''
    assert_out_has 'Usage: rung [OPTION]... COMMAND [ARGUMENT]' '--lock-retry-for TIME'
    whole=$out
    run_rung help
    assert_status 0
    assert_out "$whole"
    assert_err ''
}

@test "every help fits 80 columns and ends with a line feed" {
    for command in '' up down redo status plan verify current history show new stamp \
        repair renumber sum help; do
        # shellcheck disable=SC2086 # no word for ''
        run_rung help $command
        assert_status 0
        assert_err ''
        assert_equal "$(awk 'length > 80' "$T/out")" ''
        assert_equal "$(tail -c 1 "$T/out" | od -An -tx1)" ' 0a'
        [ -z "$command" ] || assert_out_has "Usage: rung $command [OPTION]..."
    done
}

@test "help of a command is also its --help" {
    run_rung help verify
    wanted=$out
    run_rung verify --help
    assert_status 0
    assert_out "$wanted"
    assert_err ''
    run_rung -h verify
    assert_status 0
    assert_out "$wanted"
}

@test "--version is the version of runner.h" {
    run_rung --version
    assert_status 0
    assert_out "rung $(sed -n 's/^#define RUNG_VERSION "\(.*\)"/\1/p' "$repo/runner.h")"
    assert_err ''
}

@test "unknown options and commands get the nearest one" {
    refused 'unknown option --qiuet' 'Did you mean --quiet?' -- up --qiuet
    refused 'unknown option -x' '`rung --help` lists them.' -- up -x
    refused 'unknown command "stauts"' 'Did you mean `rung status`?' -- stauts
    refused 'unknown command "pln"' 'Did you mean `rung plan`?' -- help pln
    refused 'unknown command "frobnicate"' '`rung --help` lists the commands.' -- \
        frobnicate
}

@test "the words of other tools lead to ours" {
    for word in apply deploy migrate upgrade; do
        refused "unknown command \"$word\"" 'In rung that is `rung up`.' -- "$word"
    done
    for word in rollback downgrade undo revert; do
        refused "unknown command \"$word\"" 'In rung that is `rung down`.' -- "$word"
    done
    refused 'unknown command "validate"' 'In rung that is `rung verify`.' -- validate
    refused 'unknown command "init"' 'In rung that is `rung new NAME`.' -- init
    refused 'unknown command "version"' \
        'In rung that is `rung --version`, or of the database `rung current`.' -- version
    refused 'unknown command "goto"' 'In rung that is `rung up VERSION`.' -- goto 3
    refused 'unknown command "create"' 'In rung that is `rung new NAME`.' -- create x
    refused 'unknown command "force"' 'In rung that is `rung repair VERSION --reason TEXT`.' \
        -- force 3
}

@test "arguments that are missing, or too many" {
    refused '`rung new` needs NAME' '`rung help new` says more.' -- new
    refused '`rung new` takes one argument, NAME' 'Put several words in quotes.' -- \
        new add users
    refused '`rung show` needs VERSION' '`rung help show` says more.' -- show
    refused '`rung current` takes no argument' -- current 1
    refused '--from goes with --sql' -- plan --from 1
}

@test "an option of another command is refused, naming its own" {
    refused '--dry-run does not belong to `rung status`' 'It belongs to `rung up`.' -- \
        status --dry-run
    refused '--allow-out-of-order does not belong to `rung verify`' \
        'It belongs to `rung up` and `rung plan`.' -- --allow-out-of-order verify
}

@test "values are checked to their end" {
    migration 001_a <<<'CREATE TABLE a ();'
    refused 'VERSION is a number such as 7 or 007, not "7x"' -- up 7x
    refused 'VERSION is a number such as 7 or 007, not "latest"' -- plan latest
    refused 'VERSION is a number such as 7 or 007' \
        'Of a file it is the number that its name begins with.' -- show migrations/001_a.sql
    refused 'VERSION is a number such as 7 or 007' 'A connection string goes with -d.' -- \
        up postgresql:///app
    refused 'VERSION has at most 18 digits, not 19' -- up 1000000000000000000
    refused '--lock-timeout: "5 s" is no time' \
        'Write 500ms, 10s, 5min or 1h; a plain number is seconds.' -- \
        up --lock-timeout '5 s'
    refused '--color is auto, always or never, not "red"' -- up --color red
    refused '--dir needs a value' -- up --dir
    refused '--table is empty' -- up --table=
    refused '`rung up` takes one argument, [VERSION]' -- up 1 2
    refused '`rung status` takes no argument' -- status 1
    refused '--quiet and --verbose exclude each other' -- up -q -v
}

@test "an empty -d does not fall back to some other database" {
    migration 001_a <<<'CREATE TABLE a ();'
    refused '--database is empty' \
        'Leave it out to connect as PGHOST, PGDATABASE and the like say.' -- up -d ''
}

@test "a version that is not there" {
    migration 001_a <<<'CREATE TABLE a ();'
    run_rung up 7
    assert_status 2
    assert_out ''
    assert_err_has 'rung: error: ' '7'
    assert_untouched
}

@test "no such directory" {
    run_rung up -m nowhere
    assert_status 2
    assert_out ''
    assert_err_has 'rung: error: no such directory: "nowhere"' 'hint: '
    assert_untouched
}

@test "RUNG_DIR and RUNG_TABLE count, options go before them, empty ones do not" {
    mkdir other
    echo 'CREATE TABLE a ();' >other/1_a.sql
    RUNG_DIR=other RUNG_TABLE=ours run_rung up
    assert_status 0
    assert_out_has 'applied 1_a.sql (1 statement, '
    assert_err ''
    assert_sql 'SELECT filename FROM ours' 1_a.sql
    RUNG_DIR=other RUNG_TABLE=theirs run_rung up -m migrations -t ours
    assert_status 0
    assert_out ''
    RUNG_DIR='' RUNG_TABLE='' DATABASE_URL='' run_rung status
    assert_status 0
    assert_out_has 'no ledger yet: public.schema_migrations'
}

@test "options stand before or behind the command, and -- ends them" {
    mkdir other
    run_rung -m other -q up --lock-wait=1s
    assert_status 0
    assert_out ''
    assert_err ''
    refused 'VERSION is a number such as 7 or 007, not "-7"' -- up -- -7
}

# A ledger, and nothing in it or beside it.
assert_untouched_but_ledger() {
    assert_sql "SELECT relname FROM pg_class WHERE relkind = 'r'
                AND relnamespace = 'public'::regnamespace" schema_migrations
    assert_applied
}

@test "a password on the command line is gone before anything else happens" {
    migration 001_a <<<'SELECT pg_sleep(60);'
    start_rung up up --database "$DATABASE_URL&password=geheim" -m migrations
    wait_until "SELECT count(*) = 1 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'"
    [ ! -r "/proc/$pid/cmdline" ] || line=$(tr '\0' ' ' <"/proc/$pid/cmdline")
    kill -TERM "$pid"
    wait_rung up
    assert_status 143
    assert_has 'the command line' "${line- up --database xxx}" ' up --database xxx'
    assert_lacks 'the command line' "${line-}" geheim
    assert_err_lacks geheim
    assert_untouched_but_ledger
}

@test "what may be a password is not repeated" {
    url=postgres://u:geheim@localhost/d
    refused 'the first argument is no command' \
        'A connection string goes with -d; `rung --help` lists the commands.' -- "$url" up
    refused 'VERSION is a number such as 7 or 007' 'A connection string goes with -d.' -- \
        up "$url"
    refused 'unknown option --password' '`rung --help` lists them.' -- \
        up --password=geheim
}

@test "a stdout that cannot be written is a failure, and says so" {
    [ -e /dev/full ] || skip 'corpus: no /dev/full here'
    for arguments in --help --version status 'help up'; do
        status=0
        # shellcheck disable=SC2086 # several words
        "$RUNG" $arguments >/dev/full 2>"$T/err" 3>&- 4>&- || status=$?
        err=$(cat "$T/err")
        assert_status 1
        assert_err 'rung: error: standard output could not be written: No space left on device'
    done
}

@test "a migration is applied although nobody can read about it" {
    migration 001_a <<<'CREATE TABLE a ();'
    status=0
    "$RUNG" up >/dev/full 2>"$T/err" 3>&- 4>&- || status=$?
    err=$(cat "$T/err")
    assert_status 1
    assert_err 'rung: error: standard output could not be written: No space left on device'
    assert_applied 1
}

@test "a closed stdout is not mistaken for the connection" {
    migration 001_a <<<'CREATE TABLE a ();'
    status=0
    "$RUNG" up >&- 2>"$T/err" 3>&- 4>&- || status=$?
    err=$(cat "$T/err")
    assert_status 1
    assert_err 'rung: error: standard output could not be written: Bad file descriptor'
    assert_applied 1
}

@test "verify without a database looks at the files only, and says so" {
    migration 001_a <<<'CREATE TABLE a ();'
    unset DATABASE_URL
    PGHOST='' PGDATABASE='' run_rung verify
    assert_status 0
    assert_out 'verified files only (no connection was asked for): 1 migration, no problems'
    assert_err ''
    run_rung verify --offline
    assert_status 0
    assert_out 'verified files only (no connection was asked for): 1 migration, no problems'
    assert_err ''
    run_rung verify
    assert_status 0
    assert_out 'verified files and ledger: 0 applied, 1 pending, no problems'
    assert_err ''
    refused '--no-pending needs the ledger, and so a connection' \
        'Say where it is with -d or DATABASE_URL, without --offline.' -- \
        verify --offline --no-pending
}

@test "what is pending is an exit status where that is asked" {
    migration 001_a <<<'CREATE TABLE a ();'
    run_rung status
    assert_status 0
    run_rung status --exit-code
    assert_status 6
    assert_out_has '0 applied, 1 pending, no problems'
    assert_err ''
    run_rung verify --no-pending
    assert_status 6
    assert_err 'rung: error: 1 migration is pending'
    assert_untouched
    run_rung up
    assert_status 0
    run_rung status --exit-code
    assert_status 0
    run_rung verify --no-pending
    assert_status 0
    assert_err ''
}

@test "up --dry-run is plan" {
    migration 001_a <<<'CREATE TABLE a (); CREATE TABLE b ();'
    migration 010_idx <<<'CREATE INDEX CONCURRENTLY i ON a ((1));'
    run_rung plan
    assert_status 0
    assert_lines "$out" 'apply   001_a.sql    (transaction, 2 statements)' \
        'apply   010_idx.sql  (no transaction, 1 statement)'
    assert_err ''
    planned=$out
    run_rung up --dry-run
    assert_status 0
    assert_out "$planned"
    assert_err ''
    assert_untouched
}

@test "a signal ends it with 128 + n, what is ignored stays ignored" {
    migration 001_a <<<'SELECT pg_sleep(60);'
    running="SELECT count(*) = 1 FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event = 'PgSleep'"
    for signal in TERM:143 HUP:129; do
        start_rung up up
        wait_until "$running"
        kill "-${signal%:*}" "$pid"
        wait_rung up
        assert_status "${signal#*:}"
        assert_out ''
        assert_err_has 'migrations/001_a.sql:1:1: error: ' 'Run `rung up` again.'
        assert_untouched_but_ledger
    done
    trap '' HUP
    start_rung up up
    trap - HUP
    wait_until "$running"
    kill -HUP "$pid"
    sleep 1
    assert_equal "$(sql "$running")" t
    kill -TERM "$pid"
    wait_rung up
    assert_status 143
    assert_untouched_but_ledger
}

@test "colours: never in a file, always where asked, not with NO_COLOR" {
    migration 001_a <<<'CREATE TABLE a ();'
    run_rung status
    assert_out_lacks $'\033'
    run_rung status --color always
    assert_out_has $'\033[33mpending\033[m'
    NO_COLOR=1 run_rung status --color=auto
    assert_out_lacks $'\033'
}

@test "nothing to do is silent, unless one asks" {
    migration 001_a <<<'CREATE TABLE a ();'
    run_rung up
    [[ $out =~ ^applied\ 001_a\.sql\ \(1\ statement,\ [0-9]+\ ms\)$ ]] || fail_with 'not one line'
    assert_err ''
    run_rung up
    assert_status 0
    assert_out ''
    assert_err ''
    run_rung up -v
    assert_status 0
    assert_out 'nothing to do: 1 is the newest applied version'
    assert_err ''
}
