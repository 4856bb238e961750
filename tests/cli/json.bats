#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# `--format json`: an object a line, as docs/json.md says.
#
# Every run_json is checked against the tables of that page; the last test looks whether
# the others together saw all that is documented.

load ../lib/helpers

setup() {
    rung_setup
    all=$BATS_FILE_TMPDIR/all
}

# Run rung with --format json, and check what it prints.
run_json() {
    run_rung "$@" --format json
    check_json
}

check_json() {
    local wrong
    wrong=$(python3 "$repo/tests/lib/json_shape.py" "$repo/docs/json.md" <"$T/out" 2>&1) ||
        fail_with "not as docs/json.md says:" "$wrong" || return 1
    cat "$T/out" >>"$all"
    assert_err ''
}

# pick TYPE KEY...: these keys of the objects of that type, a line each, separated by |.
pick() {
    python3 -c '
import json, sys
for line in open(sys.argv[1], encoding="utf-8"):
    item = json.loads(line)
    if item["type"] == sys.argv[2]:
        print("|".join("" if item[key] is None else str(item[key]) for key in sys.argv[3:]))
' "$T/out" "$@"
}

# The types of the objects, in their order.
types() {
    sed -E 's/^\{"format":1,"type":"([a-z]+)".*/\1/' "$T/out" | tr '\n' ' '
}

two_files() {
    migration 001_users <<<'CREATE TABLE users (n int);'
    migration 002_orders <<<$'CREATE TABLE orders (n int);\nCREATE INDEX ON orders (n);'
}

@test "up: a start and a done for each file, and a result" {
    two_files
    run_json up
    assert_status 0
    assert_lines "$(sed -E 's/"duration_ms":[0-9]+/"duration_ms":0/' <<<"$out")" \
        '{"format":1,"type":"start","version":"1","filename":"001_users.sql","step":"apply","transaction":true}' \
        '{"format":1,"type":"done","version":"1","filename":"001_users.sql","action":"applied","statements":1,"duration_ms":0,"repair":null,"renamed_from":null}' \
        '{"format":1,"type":"start","version":"2","filename":"002_orders.sql","step":"apply","transaction":true}' \
        '{"format":1,"type":"done","version":"2","filename":"002_orders.sql","action":"applied","statements":2,"duration_ms":0,"repair":null,"renamed_from":null}' \
        '{"format":1,"type":"result","command":"up","code":"ok","done":2,"newest":"2","drafts":0}'
    assert_applied 1 2
}

@test "nothing to do is one object" {
    run_json up
    assert_status 0
    assert_out '{"format":1,"type":"result","command":"up","code":"ok","done":0,"newest":null,"drafts":0}'
    two_files
    run_rung up
    run_json up
    assert_status 0
    assert_out '{"format":1,"type":"result","command":"up","code":"ok","done":0,"newest":"2","drafts":0}'
}

@test "a failure is an error with its place, its cause and the outcome" {
    migration 001_ok <<<'CREATE TABLE t (total int);'
    migration 002_bad <<<$'SELECT 1;\n\nSELECT totl FROM t;'
    run_json up
    assert_status 1
    assert_equal "$(pick error command code sqlstate path line column excerpt)" \
        'up|failed|42703|migrations/002_bad.sql|3|8|SELECT totl FROM t;'
    assert_equal "$(pick error message hint detail context)" \
        'column "totl" does not exist|Perhaps you meant to reference the column "t.total".||'
    assert_equal "$(pick error outcome)" \
        '002_bad.sql was rolled back at statement 2 of 2; 001 is applied. Fix the file and run `rung up`.'
    assert_applied 1
}

@test "a failure shows the server's detail and context" {
    migration 001_x <<'END'
CREATE TABLE t (n int PRIMARY KEY); INSERT INTO t VALUES (1);
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (1); RETURN 1; END $$;
SELECT f();
END
    run_json up
    assert_status 1
    assert_equal "$(pick error sqlstate detail)" '23505|Key (n)=(1) already exists.'
    [[ $(pick error context) == *'PL/pgSQL function f() line 1'* ]]
}

@test "notices, warnings and drafts are events; --quiet leaves all but warnings out" {
    migration 001_talk <<'END'
DO $$ BEGIN RAISE NOTICE 'hello' USING DETAIL = 'd', HINT = 'h'; END $$;
DO $$ BEGIN RAISE WARNING 'beware' USING DETAIL = 'd', HINT = 'h', ERRCODE = '01P01'; END $$;
END
    touch migrations/002_draft.sql
    run_json up
    assert_status 0
    assert_equal "$(pick notice severity path line message detail hint sqlstate)" \
        'NOTICE|migrations/001_talk.sql|1|hello|d|h|00000'
    assert_equal "$(pick warning severity path line message detail hint sqlstate)" \
        'WARNING|migrations/001_talk.sql|2|beware|d|h|01P01'
    assert_equal "$(pick finding level version filename state path message)" \
        'notice|2|002_draft.sql|draft|migrations/002_draft.sql|holds no statement yet: a draft, not applied'
    assert_equal "$(pick result "done" drafts)" '1|1'
    sql 'DROP TABLE schema_migrations'
    run_json up --quiet
    assert_status 0
    assert_equal "$(types)" 'warning result '
    sql 'DROP TABLE schema_migrations'
    run_json up --verbose
    assert_equal "$(types)" 'finding start notice warning done result '
}

@test "--quiet and --verbose together are a usage error, as an object" {
    run_json up -q -v
    assert_status 2
    assert_equal "$(pick error command code message)" \
        'up|usage|--quiet and --verbose exclude each other'
}

@test "what makes no sense is an error object, wherever --format stands" {
    run_json up --bogus
    assert_status 2
    assert_equal "$(pick error code message hint)" \
        'usage|unknown option --bogus|`rung --help` lists them.'
    run_json migrate
    assert_equal "$(pick error command code hint)" '|usage|In rung that is `rung up`.'
    RUNG_KEEP_SOURCE=perhaps run_json up
    assert_equal "$(pick error code message)" 'usage|RUNG_KEEP_SOURCE is 1 or 0, not "perhaps"'
    run_json
    assert_status 2
    assert_equal "$(pick error command code message)" '|usage|no command was given'
    run_json plan --sql
    assert_equal "$(pick error code message)" 'usage|--sql and --format json exclude each other'
    run_rung up --format yaml
    assert_status 2
    assert_err 'rung: error: --format is text, json or github, not "yaml"'
    assert_out ''
}

@test "--version is an object, --help is text" {
    run_json --version
    assert_status 0
    assert_equal "$(pick result code rung)" "ok|$("$RUNG" --version | cut -d ' ' -f 2)"
    run_json up --version
    run_rung up --help --format json
    assert_status 0
    assert_out_has 'Usage: rung up'
}

@test "no password is printed" {
    run_rung status --format json -d 'postgresql://u:geheim@127.0.0.1:1/x'
    assert_status 5
    check_json
    assert_equal "$(pick error command code)" 'status|unreachable'
    run_rung status --format json -d 'postgresql://u:geheim@[::1'
    check_json
    assert_equal "$(pick error code)" 'usage'
    assert_out_lacks geheim
    assert_lacks 'all that was printed' "$(cat "$all")" geheim
}

@test "status: every state" {
    migration 001_applied <<<'SELECT 1;'
    migration 002_edited <<<'SELECT 2;'
    migration 003_missing <<<'SELECT 3;'
    migration 004_old_name <<<'SELECT 4;'
    migration 006_n <<<$'-- rung: no-transaction\nSELECT 5;\nSELECT 6;'
    migration 099_newer <<<'SELECT 99;'
    migration 006_n.down <<<'SELECT 1;'
    run_rung up
    sql "UPDATE schema_migrations SET applied_by = 'deploy', duration_ms = 7 * version, note = 'n' || version,
             applied_at = timestamptz '2024-02-29 12:00:00.000001Z' + version * interval '1 day'"
    sql 'UPDATE schema_migrations SET applied_at = NULL, statements = 1, undone = 0, checksum = $$'"$(
        printf -- '-- rung: no-transaction\nSELECT 5' | sha256sum | cut -d ' ' -f 1
    )"'$$ WHERE version = 6'
    echo 'SELECT 22;' >>migrations/002_edited.sql
    rm migrations/003_missing.sql migrations/099_newer.sql
    mv migrations/004_old_name.sql migrations/004_new_name.sql
    migration 005_late <<<'SELECT 7;'
    migration 100_later <<<'SELECT 100;'
    migration 100_twice <<<'SELECT 100;'
    migration 101_last <<<'SELECT 100;'
    touch migrations/102_draft.sql
    migration typo <<<'SELECT 8;'
    run_json status
    assert_status 0
    assert_lines "$(pick migration version filename state applied_at applied_by duration_ms undone note)" \
        '1|001_applied.sql|applied|2024-03-01T12:00:00.000001Z|deploy|7||n1' \
        '2|002_edited.sql|edited|2024-03-02T12:00:00.000001Z|deploy|14||n2' \
        '3|003_missing.sql|missing|2024-03-03T12:00:00.000001Z|deploy|21||n3' \
        '4|004_new_name.sql|renamed|2024-03-04T12:00:00.000001Z|deploy|28||n4' \
        '5|005_late.sql|out of order|||||' \
        '6|006_n.sql|unfinished||deploy|42|0|n6' \
        '99|099_newer.sql|missing|2024-06-07T12:00:00.000001Z|deploy|693||n99' \
        '100|100_later.sql|duplicate|||||' \
        '100|100_twice.sql|duplicate|||||' \
        '101|101_last.sql|pending|||||' \
        '102|102_draft.sql|draft|||||' \
        '|typo.sql|misnamed|||||'
    assert_equal "$(pick migration version recorded recorded_filename down | sed -n '4p;6p')" \
        "$(printf '4|True|004_old_name.sql|\n6|True|006_n.sql|006_n.down.sql')"
    assert_equal "$(pick migration problem hint fatal | sed -n 3p)" \
        'recorded, but there is no such file|Bring the file back, or forget it with `rung repair 3 --reason TEXT`.|True'
    assert_equal "$(pick result code applied problems database ledger ledger_exists)" \
        "ok|5|9|$PGDATABASE|public.schema_migrations|True"
    rm migrations/10?_* migrations/005*
    run_json status
    assert_equal "$(pick migration version state | tail -n 2)" "$(printf '99|newer\n|misnamed')"
}

@test "status --exit-code: the code is pending, and so is the exit status" {
    two_files
    run_json status --exit-code
    assert_status 6
    assert_equal "$(pick result code pending ledger_exists)" 'pending|2|False'
    assert_untouched
}

@test "plan: the steps; up shows each problem before it refuses" {
    two_files
    migration 003_alone <<<'CREATE INDEX CONCURRENTLY x ON orders (n);'
    touch migrations/004_nothing.sql
    migration 005_end <<<'SELECT 1;'
    run_json plan
    assert_status 0
    assert_lines "$(pick migration version step transaction statements)" \
        '1|apply|True|1' '2|apply|True|2' '3|apply|False|1' '4|record||' '5|apply|True|1'
    assert_equal "$(pick result command code steps)" 'plan|ok|5'
    run_json up --dry-run
    assert_equal "$(pick result command steps)" 'plan|5'
    assert_untouched
    run_json up
    assert_status 0
    assert_equal "$(pick start version step transaction | sed -n '3,4p')" "$(printf '3|apply|False\n4|record|')"
    migration 1_again <<<'SELECT 1;'
    run_json plan
    assert_status 1
    assert_equal "$(types)" 'error '
    assert_equal "$(pick error code)" 'failed'
    run_json up
    assert_status 1
    assert_lines "$(pick finding level state filename)" \
        'error|duplicate|001_users.sql' 'error|duplicate|1_again.sql'
    assert_equal "$(types)" 'finding finding error '
}

@test "verify: a finding each, and how many" {
    two_files
    run_rung up
    run_rung sum
    run_json verify
    assert_status 0
    assert_equal "$(types)" 'result '
    assert_equal "$(pick result code problems ledger_checked sums_checked database)" \
        "ok|0|True|True|$PGDATABASE"
    echo '-- a remark' >>migrations/002_orders.sql
    migration 003_more <<<'SELECT 1;'
    run_json verify
    assert_status 3
    [[ $(pick finding level version state path message | head -n 1) == \
        'error|2|edited|migrations/002_orders.sql|edited after it was applied: recorded '* ]]
    assert_equal "$(pick result code)" 'drift'
    printf 'SELECT 1;\n\\i other.sql\n' >migrations/003_more.sql
    run_json verify
    assert_equal "$(pick finding version line path | tail -n 1)" '3|2|migrations/003_more.sql'
    migration 003_more <<<'SELECT 1;'
    rm migrations/002_orders.sql
    migration 002_orders <<<$'CREATE TABLE orders (n int);\nCREATE INDEX ON orders (n);'
    rm migrations/SHA256SUMS
    run_json verify --no-pending
    assert_status 6
    assert_equal "$(types)" 'result '
    assert_equal "$(pick result code pending problems)" 'pending|1|0'
    run_json verify --offline
    assert_status 0
    assert_equal "$(pick result ledger_checked database)" 'False|'
}

@test "verify --base: which revision" {
    two_files
    git init -q . && git add migrations && git -c user.name=T -c user.email=t@localhost commit -q -m base
    echo '-- more' >>migrations/002_orders.sql
    run_json verify --base HEAD
    assert_status 3
    assert_equal "$(pick finding level version path line)" 'error|2|migrations/002_orders.sql|3'
    assert_equal "$(pick result code base)" 'drift|HEAD'
}

@test "lint: a finding each with its rule, its lock and its place, and how many" {
    migration 001_users <<<'CREATE TABLE users (n int);'
    migration 002_index <<<$'SELECT 1;\n  CREATE INDEX i ON users (n);'
    run_json lint
    assert_status 3
    assert_equal "$(types)" 'finding result '
    assert_equal "$(pick finding level version path line column rule)" \
        'warning||migrations/002_index.sql|2|3|index-without-concurrently'
    [[ $(pick finding detail) == SHARE* ]]
    assert_equal "$(pick result code files findings allowed refused)" 'drift|2|1|0|0'
    migration 003_open <<<$'SELECT \'x;'
    run_json lint
    assert_status 1
    assert_equal "$(pick finding level path line rule | tail -n 1)" \
        'error|migrations/003_open.sql|1|'
    assert_equal "$(pick result code refused)" 'failed|1'
}

@test "down, redo, history, current" {
    two_files
    migration 001_users.down <<<'DROP TABLE users;'
    migration 002_orders.down <<<'DROP TABLE orders;'
    run_json current
    assert_out '{"format":1,"type":"result","command":"current","code":"ok","version":null,"filename":null}'
    run_rung up
    run_json redo
    assert_status 0
    assert_equal "$(pick "done" version action statements)" "$(printf '2|undone|1\n2|applied|2')"
    assert_equal "$(pick start version step transaction)" "$(printf '2|undo|\n2|apply|True')"
    assert_equal "$(pick result command code "done" newest)" 'redo|ok|2|2'
    run_json history -n 1
    assert_equal "$(pick migration version state recorded checksum)" '2|applied|True|'
    assert_equal "$(pick result rows)" 1
    run_json current
    assert_equal "$(pick result version filename)" '2|002_orders.sql'
    run_json down
    assert_equal "$(pick result command "done" newest)" 'down|1|1'
    run_rung up
    run_json down --all
    assert_status 2
    assert_equal "$(pick error code hint)" 'usage|Without a terminal to ask on, it needs --yes.'
    run_json down --all --yes
    assert_status 0
    assert_equal "$(pick "done" version action)" "$(printf '2|undone\n1|undone')"
    assert_equal "$(pick result command "done" newest)" 'down|2|'
    assert_applied
}

@test "test: what was tested, on which server, and where it lives on" {
    local keeper
    migration 001_users <<<'CREATE TABLE users (n int);'
    migration 001_users.down <<<'SELECT 1;'
    run_rung test --pg-bin "$PG_BINDIR" --format json
    assert_status 1
    check_json
    assert_equal "$(pick finding level path message | head -n 1)" \
        'error|migrations/001_users.down.sql|the schema is not what it was before 001_users.sql'
    assert_equal "$(pick result code tested undone url pid)" 'failed|1|1||'
    migration 001_users.down <<<'DROP TABLE users;'
    run_rung test --keep --pg-bin "$PG_BINDIR" --format json 3>&- 4>&-
    assert_status 0
    check_json
    keeper=$(pick result pid)
    kill "$keeper"
    assert_equal "$(pick result code tested undone)" 'ok|1|1'
    [[ $(pick result url) == postgresql://* ]]
}

@test "rung asks nobody, not even on a terminal" {
    two_files
    run_rung up
    run_rung_on_terminal yes down --all --format json
    assert_status 2
    assert_out_has '"type":"error"' 'nothing was done'
    assert_out_lacks '[y/N]'
    echo '-- a remark' >>migrations/002_orders.sql
    run_rung_on_terminal yes repair --reason r --format json
    assert_status 2
    assert_out_has '"type":"error"' 'nothing was repaired'
    assert_out_lacks '[y/N]'
    assert_applied 1 2
    assert_sql 'SELECT note FROM schema_migrations WHERE version = 2' ''
}

@test "show: the migration and its statements, or the text that ran" {
    migration 007_x <<<$'CREATE TABLE t (n int);\nCOPY t FROM stdin;\n1\n\\.'
    migration 008_y <<<'VACUUM;'
    run_json show 7 --offline
    assert_status 0
    assert_equal "$(types)" 'migration statement statement result '
    assert_lines "$(pick statement number line verb mode)" '1|1|CREATE TABLE|' '2|2|COPY|COPY data'
    run_json show 8
    assert_equal "$(pick statement verb mode)" 'VACUUM|alone'
    run_rung up --keep-source
    run_json show 7 --applied
    assert_status 0
    assert_equal "$(pick source version down text)" "7|False|$(cat migrations/007_x.sql)"
    run_json show 7 --applied --down
    assert_status 1
    assert_equal "$(pick error code)" 'failed'
}

@test "new, sum, stamp, repair, renumber" {
    run_json new 'add users' --down
    assert_status 0
    assert_equal "$(pick result command path)" 'new|migrations/001_add_users.sql'
    echo 'CREATE TABLE users (n int);' >>migrations/001_add_users.sql
    run_json sum
    assert_equal "$(pick result command path)" 'sum|migrations/SHA256SUMS'
    run_json sum --quiet
    assert_equal "$(types)" 'result '
    run_json stamp 1
    assert_status 0
    assert_equal "$(pick "done" version action statements duration_ms)" '1|recorded||'
    assert_equal "$(pick result command "done" newest)" 'stamp|1|1'
    echo '-- a remark' >>migrations/001_add_users.sql
    run_json repair --reason why
    assert_status 2
    assert_equal "$(types)" 'migration error '
    run_json repair --reason why --yes
    assert_status 0
    assert_equal "$(types)" 'migration done result '
    assert_equal "$(pick migration version state step)" '1|edited|record'
    assert_equal "$(pick "done" version action repair)" '1|repaired|accepted the edit'
    assert_equal "$(pick result command "done" newest)" 'repair|1|1'
    run_json repair --reason why --yes
    assert_equal "$(pick result "done" newest)" '0|1'
    migration 1_branch <<<'SELECT 1;'
    run_json renumber
    assert_status 0
    assert_equal "$(pick "done" version filename action renamed_from)" \
        '2|002_branch.sql|renamed|1_branch.sql'
    assert_equal "$(pick result command "done")" 'renumber|1'
}

@test "an unfinished file is resumed" {
    migration 001_t <<<$'-- rung: no-transaction\nCREATE TABLE t (n int);\nSELECT 1/0;'
    run_json up
    assert_status 1
    sed -i 's,1/0,1,' migrations/001_t.sql
    run_json plan
    assert_equal "$(pick migration step transaction)" 'resume|False'
    run_json up
    assert_status 0
    assert_equal "$(pick start step transaction)" 'resume|False'
    assert_equal "$(pick "done" action)" 'applied'
}

@test "of an unfinished file status says who is at it" {
    sql 'CREATE TABLE gate (n int)'
    hold gate 'LOCK TABLE gate'
    migration 001_t <<<$'-- rung: no-transaction\n-- rung: lock-timeout 0\nSELECT 1;\nTABLE gate;'
    PGAPPNAME=worker start_rung worker up
    wait_for_block worker
    run_json status
    assert_status 0
    assert_equal "$(pick migration state fatal problem hint)" 'unfinished|False||'
    [[ $(pick migration runner) =~ ^'pid '[0-9]+' (worker, user postgres, connected for '[0-9]+' s)'$ ]]
    assert_equal "$(pick result pending problems)" '1|0'
    run_json verify
    assert_status 0
    assert_equal "$(types)" 'result '
    release gate
    wait_rung worker
    run_json status
    assert_equal "$(pick migration state runner)" 'applied|'
}

@test "versions are strings: eighteen digits arrive" {
    migration 999999999999999999_x <<<'SELECT 1;'
    migration 000_zero <<<'SELECT 1;'
    run_json up
    assert_status 0
    assert_equal "$(pick "done" version)" "$(printf '0\n999999999999999999')"
    assert_out_has '"version":"999999999999999999"' '"newest":"999999999999999999"'
    run_json status
    assert_equal "$(pick migration version)" "$(printf '0\n999999999999999999')"
}

@test "times are RFC 3339, also before 1970" {
    migration 001_x <<<'SELECT 1;'
    run_rung up
    sql "UPDATE schema_migrations SET applied_at = '1969-12-31 23:59:58.25Z'"
    run_json history
    assert_equal "$(pick migration applied_at)" '1969-12-31T23:59:58.250000Z'
}

@test "whatever a string holds, it arrives, and no terminal or log obeys it" {
    migration 001_x <<'END'
DO $$ BEGIN RAISE WARNING E'quote " slash \\ tab \t lines\r\n esc \x1b[31m nel \u0085 ls \u2028 rlo \u202e tag \U000e0001 smile \U0001F600 ##[error]x ##vso[y'; END $$;
END
    run_json up
    assert_status 0
    assert_equal "$(pick warning message)" \
        $'quote " slash \\ tab \t lines\r\n esc \e[31m nel \u0085 ls \u2028 rlo \u202e tag \U000e0001 smile \U0001F600 ##[error]x ##vso[y'
    assert_out_lacks $'\e' $'\u0085' $'\u2028' $'\u202e' '##[' '##vso'
    assert_out_has 'smile 😀'
}

@test "waiting for another runner, and not having its lock in time" {
    two_files
    hold other "SELECT pg_advisory_lock(('x' || left(encode(sha256('rung:public.schema_migrations'), 'hex'), 16))::bit(64)::bigint)"
    run_json up --lock-wait 1s
    release other
    assert_status 4
    [[ $(pick waiting message) == *"lock"* ]] || fail_with "waits for: $(pick waiting message)"
    assert_equal "$(pick error code)" 'locked'
    assert_untouched
}

@test "a file that is tried again" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    run_rung up
    migration 002_t <<<'ALTER TABLE t ADD m int;'
    hold other 'SELECT * FROM t'
    run_json up --lock-timeout 10ms --lock-retry-for 1s
    release other
    assert_status 4
    assert_equal "$(pick retry version filename message | sort -u)" \
        '2|002_t.sql|canceling statement due to lock timeout'
    assert_equal "$(pick error code sqlstate)" 'locked|55P03'
}

@test "a signal: the code is cancelled" {
    migration 001_t <<<'SELECT pg_sleep(300);'
    start_rung sleeper up --format json
    wait_until "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'
                AND datname = current_database()"
    kill -TERM "$pid"
    wait_rung sleeper
    assert_status 143
    cp "$T/out.sleeper" "$T/out"
    check_json
    assert_equal "$(pick error command code)" 'up|cancelled'
}

@test "a stdout that cannot be written is exit 1, said on stderr" {
    [ -e /dev/full ] || skip 'root: there is no /dev/full'
    two_files
    status=0
    "$RUNG" status --format json >/dev/full 2>"$T/err" || status=$?
    out='' err=$(cat "$T/err")
    assert_status 1
    assert_err 'rung: error: standard output could not be written: No space left on device'
}

@test "every command takes --format json" {
    local command
    two_files
    for command in $("$RUNG" --help | awk '/^Commands:/ { on = 1; next } !NF { on = 0 } on { print $1 }'); do
        [ "$command" != help ] || continue
        run_rung "$command" --format json
        check_json || fail_with "$command" || return 1
    done
}

# It looks at what all the tests above printed: run alone, it fails.
@test "all that docs/json.md promises was seen" {
    run python3 "$repo/tests/lib/json_shape.py" "$repo/docs/json.md" --all <"$all"
    echo "$output"
    [ "$status" -eq 0 ]
}
