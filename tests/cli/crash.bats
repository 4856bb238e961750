#!/usr/bin/env bats
#
# The crash matrix in short: one point for each kind of message.  `make crash` tries
# every message of such runs, and also stops the server (tests/fault/crash).

load ../lib/helpers

setup() {
    rung_setup
    build_proxy
    unset DATABASE_URL # the proxy sets PGHOST and PGPORT
    sql 'CREATE TABLE trace (what text)'
    migration 001_t <<'SQL'
CREATE TABLE t (n int);
INSERT INTO trace VALUES ('001');
COPY t FROM stdin;
1
2
\.
SQL
    migration 001_t.down <<<"DROP TABLE t; INSERT INTO trace VALUES ('001 down');"
    migration 002_i <<'SQL'
-- rung: no-transaction
INSERT INTO trace VALUES ('002 first');
CREATE INDEX CONCURRENTLY i ON t (n);
BEGIN;
INSERT INTO trace VALUES ('002 second');
COMMIT;
CREATE UNIQUE INDEX CONCURRENTLY j ON t (n);
INSERT INTO trace VALUES ('002 last');
SQL
    migration 002_i.down <<'SQL'
-- rung: no-transaction
DROP INDEX CONCURRENTLY j;
INSERT INTO trace VALUES ('002 down');
DROP INDEX CONCURRENTLY i;
SQL
}

state() {
    "$PG_BINDIR/pg_dump" --exclude-table='*.schema_migrations' "$PGDATABASE" 3>&- 4>&- |
        sed -e '/^--/d' -e '/^\\/d' -e '/^$/d' | sort
    sql 'SELECT version, filename, checksum, statements, undone, note, applied_at IS NOT NULL
         FROM schema_migrations ORDER BY version'
    sql 'SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid'
}

through_proxy() {
    "$proxy" --server "$PGHOST/.s.PGSQL.$PGPORT" --listen "$T" "$@" >"$T/said" 2>&1 3>&- 4>&-
}

# strikes COMMAND...: strike this run at each kind of message, by turns in front of it
# and behind it, and by cutting the connection and killing rung.
strikes() {
    local side type number when action turn=0 points=0 base=${PGDATABASE}_base
    sql_in postgres "CREATE DATABASE \"$base\" TEMPLATE \"$PGDATABASE\""
    databases+=("$base")
    through_proxy --log "$T/messages" -- "$RUNG" "$@"
    state >"$T/want"
    while read -r side type number; do
        for when in before after; do
            # One kind is cut in front and killed behind, the next the other way round.
            turn=$((turn + 1))
            for action in cut kill; do
                case $when:$action:$((turn / 2 % 2)) in
                before:kill:0 | after:cut:0 | before:cut:1 | after:kill:1) continue ;;
                esac
                sql_in postgres "DROP DATABASE \"$PGDATABASE\" WITH (FORCE)"
                sql_in postgres "CREATE DATABASE \"$PGDATABASE\" TEMPLATE \"$base\""
                through_proxy --at "$when:$side:$number" --do "$action" --type "$type" \
                    -- "$RUNG" "$@" || true
                run_rung "$@"
                [ "$status" -eq 0 ] || assert_err_has 'nothing is applied' ||
                    fail_with "$when $side $type $number, $action: $(cat "$T/said")" || return 1
                state >"$T/got"
                diff "$T/want" "$T/got" ||
                    fail_with "$when $side $type $number, $action: $(cat "$T/said")" || return 1
                points=$((points + 1))
            done
        done
    done < <(awk '{ n[$1 " " $3]++ } END { for (k in n) print k, int((n[k] + 2) / 2) }' "$T/messages")
    [ "$points" -ge 16 ] || fail_with "only $points points: $(cat "$T/messages")"
}

@test "up, cut or killed at each kind of message: the next run ends in the same database" {
    strikes up
}

@test "down, cut or killed at each kind of message: the next run ends in the same database" {
    run_rung up
    assert_status 0
    strikes down --all --yes
}

@test "a slow network changes nothing" {
    run_rung up
    assert_status 0
    state >"$T/want"
    run_rung down --all --yes
    assert_status 0
    sql 'TRUNCATE trace'
    through_proxy --delay-client 3 --delay-server 1 -- "$RUNG" up
    state >"$T/got"
    diff "$T/want" "$T/got"
}
