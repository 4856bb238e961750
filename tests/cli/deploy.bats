#!/usr/bin/env bats
#
# docs/deploy.md: what it shows works, and what it promises of the second replica, the
# rolled-back release and the crash holds.

load ../lib/helpers

page=$repo/docs/deploy.md

setup() {
    rung_setup
    mkdir bin && ln -s "$RUNG" bin/rung
    PATH=$T/bin:$PATH
    export PORT=0
}

teardown() {
    # Programs that serve until they are told to stop.
    for pid in "${background[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    rung_teardown
}

# block NAME: the text of the page's block of that name.
block() {
    awk -v name="$1" '/^```/ { on = !on && $2 == name; next } on' "$page"
}

# A Python that has yaml: the system's, where the one of PATH is another.
yaml_python() {
    local python
    for python in python3 /usr/bin/python3; do
        ! "$python" -c 'import yaml' 2>/dev/null || { echo "$python"; return; }
    done
    fail_with 'no python3 with yaml: run scripts/setup'
}

# ---- programs that call rung before they serve ---------------------------------------

# starts NAME: start $service in the background under that name.
starts() {
    "${service[@]}" >"$T/out.$1" 2>"$T/err.$1" </dev/null 3>&- 4>&- &
    background+=("$!")
    printf '%s\n' "$!" >"$T/pid.$1"
}

# serves NAME: it says that it serves, and does.
serves() {
    local port answer
    wait_for_text "$T/out.$1" 'serving on port '
    port=$(sed -n 's/^serving on port //p' "$T/out.$1")
    exec 5<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET / HTTP/1.0\r\n\r\n' >&5
    answer=$(tr -d '\r' <&5)
    exec 5>&-
    assert_has answer "$answer" '200 OK' 'ready'
}

# stops NAME [SIGNAL]: end it; $status is what it exits with.
stops() {
    kill "-${2:-TERM}" "$(cat "$T/pid.$1")"
    wait_rung "$1"
}

# The runner that stands at the gate, and the gate.
at_the_gate() {
    sql 'CREATE TABLE gate (n int)'
    migration 001_t <<<'CREATE TABLE t (n int); INSERT INTO t VALUES (1);'
    migration 002_u <<'SQL'
-- rung: lock-timeout 0
INSERT INTO t VALUES (2);
SELECT count(*) FROM gate;
SQL
    hold gate 'LOCK TABLE gate'
}

# holds_what_it_promises: of $service, a program.
holds_what_it_promises() {
    local runner
    # The second replica waits for the first; neither serves before the files are applied.
    at_the_gate
    PGAPPNAME=first starts first
    wait_for_block first
    starts second
    wait_for_text "$T/err.second" 'another runner holds the lock'
    assert_lacks stdout "$(cat "$T/out.first" "$T/out.second")" serving
    release gate
    serves first
    serves second
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2
    assert_applied 1 2
    stops first
    stops second

    # The rolled-back release has fewer files than the ledger has rows.
    mkdir newer && mv migrations/002_u.sql newer
    starts older
    serves older
    assert_equal "$(head -n 1 "$T/err.older")" \
        'migrations/002_u.sql: warning: recorded, but newer than every file here'
    stops older
    mv newer/002_u.sql migrations

    # A crash in the middle: rung and the program are killed; then it is started again.
    sql 'TRUNCATE schema_migrations; DROP TABLE t'
    hold gate 'LOCK TABLE gate'
    PGAPPNAME=killed starts killed
    wait_for_block killed
    runner=$(pgrep -P "$(cat "$T/pid.killed")")
    stops killed KILL
    assert_status 137
    kill -KILL "$runner"
    assert_lacks stdout "$(cat "$T/out.killed")" serving
    release gate
    starts again
    serves again
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2
    assert_applied 1 2
    stops again

    # A migration that fails: it ends as rung did, and never serves.
    migration 003_v <<<'SELECT nosuch;'
    starts failing
    wait_rung failing
    assert_status 1
    assert_out ''
    assert_err_has 'migrations/003_v.sql:1:8: error: column "nosuch" does not exist'
    assert_applied 1 2
}

# ends_in_good_order: told to stop while rung works, $service has rung roll back.
ends_in_good_order() {
    at_the_gate
    PGAPPNAME=up starts up
    wait_for_block up
    stops up
    assert_status 143
    assert_done 'applied 001_t.sql (2 statements)'
    assert_err_has '002_u.sql was rolled back at statement 2 of 2; 001 is applied. Run `rung up` again.'
    assert_applied 1
    release gate
}

@test "a shell" {
    block start.sh >entry.sh
    export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$repo/tests/examples
    service=(sh entry.sh python3 -c 'import serve; serve.serve()')
    holds_what_it_promises
}

@test "a Python program" {
    assert_equal "$(block serve.py)" "$(cat "$repo/tests/examples/serve.py")"
    service=(python3 "$repo/tests/examples/serve.py")
    holds_what_it_promises
}

@test "a Python program that is told to stop" {
    service=(python3 "$repo/tests/examples/serve.py")
    ends_in_good_order
}

@test "a Node program" {
    assert_equal "$(block serve.js)" "$(cat "$repo/tests/examples/serve.js")"
    service=(node "$repo/tests/examples/serve.js")
    holds_what_it_promises
}

@test "a Node program that is told to stop" {
    service=(node "$repo/tests/examples/serve.js")
    ends_in_good_order
}

@test "without rung on the PATH neither program serves" {
    local program
    rm bin/rung
    for program in 'python3 serve.py' 'node serve.js'; do
        service=("${program% *}" "$repo/tests/examples/${program#* }")
        starts lost
        wait_rung lost
        [ "$status" -ne 0 ] || fail_with 'exit status 0'
        assert_out ''
        assert_err_has rung
    done
    assert_untouched
}

# ---- what other programs read --------------------------------------------------------

# brings_up WORD...: this command, from the page, applies what is pending.
brings_up() {
    status=0
    "$@" >"$T/out" 2>"$T/err" 3>&- 4>&- || status=$?
    out=$(cat "$T/out") err=$(cat "$T/err")
    assert_status 0
    assert_done 'applied 001_t.sql (1 statement)'
    assert_err ''
    assert_applied 1
    sql 'DROP TABLE t, schema_migrations'
}

# from_yaml BLOCK EXPRESSION: the words that it yields of the parsed block, a line each.
from_yaml() {
    block "$1" | "$(yaml_python)" -c "
import shlex, sys, yaml
page = yaml.safe_load(sys.stdin)
words = $2
print('\n'.join(shlex.split(words) if isinstance(words, str) else words))"
}

@test "the manifest, the compose file, render.yaml, fly.toml, the Procfile: read, and their commands run" {
    local words
    migration 001_t <<<'CREATE TABLE t (n int);'

    mapfile -t words < <(from_yaml deployment.yaml \
        "page['spec']['template']['spec']['initContainers'][0]['command']")
    brings_up "${words[@]}"

    # of Compose it is the arguments of the image's entry point
    mapfile -t words < <(from_yaml compose.yaml "page['services']['migrate']['command']")
    brings_up rung "${words[@]}"
    assert_lines "$(block Dockerfile | tail -n 2)" 'ENTRYPOINT ["rung"]' \
        "CMD [$(printf '"%s", ' "${words[@]}" | sed 's/, $//')]"
    assert_lines "$(from_yaml compose.yaml "[page['services']['app']['depends_on']['migrate']['condition'],
        page['services']['migrate']['depends_on']['db']['condition']]")" \
        service_completed_successfully service_healthy

    mapfile -t words < <(from_yaml render.yaml "page['services'][0]['preDeployCommand']")
    brings_up "${words[@]}"

    block fly.toml | "$(yaml_python)" -c "
import sys
try:
    import tomllib # Python 3.11
except ImportError:
    sys.exit()
tomllib.loads(sys.stdin.read())['deploy']['release_command_timeout']"
    brings_up sh -c "$(block fly.toml | sed -n 's/^ *release_command = "\(.*\)"$/\1/p')"
    brings_up sh -c "$(block Procfile | sed -n 's/^release: //p')"
}

@test "the image builds with what scripts/setup names, and is marked untested" {
    local package needed
    needed=$(sed -n "s/^build='\(.*\)'/\1/p" "$repo/scripts/setup")
    for package in build-essential pkg-config libpq-dev libssl-dev; do
        assert_has 'scripts/setup' " $needed " " $package "
        assert_has Dockerfile "$(block Dockerfile)" " $package"
    done
    assert_equal "$(block Dockerfile | head -n 1)" '# untested'
}

@test "the unit: systemd understands it, and its ExecStartPre applies" {
    local words
    migration 001_t <<<'CREATE TABLE t (n int);'
    block myapp.service >unit
    read -ra words < <(sed -n 's/^ExecStartPre=//p' unit)
    assert_equal "${words[0]}" /usr/local/bin/rung
    brings_up rung "${words[@]:1}"
    assert_has unit "$(cat unit)" 'TimeoutStartSec=infinity'
    # Where there is systemd: with programs that exist here.
    if command -v systemd-analyze >/dev/null; then
        sed "s|/usr/local/bin/rung|$T/bin/rung|; s|/srv/myapp/bin/myapp|/bin/true|; s|^User=.*|User=root|" \
            unit >myapp.service
        run systemd-analyze verify "$PWD/myapp.service"
        assert_equal "$(grep -F myapp.service <<<"$output" || true)" ''
    fi
}

@test "the check list, as it stands" {
    cp -r "$repo/migrations/." migrations
    run_rung up 5
    assert_status 0
    PATH=$PG_BINDIR:$PATH run python3 "$repo/tests/lib/console.py" "$page"
    echo "$output"
    [ "$status" -eq 0 ]
    assert_applied 1 2 3 4 5 6
}

@test "each way says what becomes of the second replica, the rolled-back release and the crash" {
    local section text
    for section in 'In a shell' 'In a Python program' 'In a Node program' 'In an init container' \
        'With systemd' 'With Compose' "A platform's release command"; do
        text=$(awk -v head="## $section" '/^## / { on = $0 == head } on' "$page")
        assert_has "$section" "${text,,}" 'second replica' 'rolled-back release' 'crash'
    done
}
