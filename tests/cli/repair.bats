#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# `rung repair`: the ledger accepts what is on disk, and nothing else happens.

load ../lib/helpers

three_files() {
    local name
    for name in 1_a 2_b 3_c; do
        migration "00$name" <<<"CREATE TABLE ${name#*_} (n int);"
    done
    run_rung up
    assert_status 0
}

# The rows but VERSION's, all of each.
others() {
    sql "SELECT * FROM schema_migrations WHERE version <> $1 ORDER BY 1"
}

checksum_of() {
    local sum
    sum=$(sha256sum <"migrations/$1")
    printf '%s' "${sum%% *}"
}

# unchanged STATUS ARGS: rung ARGS fails and changes no row.
unchanged() {
    local before wanted=$1
    shift
    before=$(sql 'SELECT * FROM schema_migrations ORDER BY 1')
    run_rung "$@"
    assert_status "$wanted"
    assert_out ''
    assert_equal "$(sql 'SELECT * FROM schema_migrations ORDER BY 1')" "$before"
}

# ---- what it repairs -----------------------------------------------------------------

@test "an edit is accepted: checksum and note change, nothing else" {
    three_files
    before=$(others 2)
    applied=$(sql 'SELECT applied_at, applied_by, duration_ms, statements
                   FROM schema_migrations WHERE version = 2')
    old=$(checksum_of 002_b.sql)
    migration 002_b <<<'CREATE TABLE b (n int); -- the same'
    run_rung repair 2 --reason 'only a comment' --yes
    assert_status 0
    assert_out 'repaired 002_b.sql: accepted the edit'
    assert_err_has '002_b.sql: edited after it was applied' "  recorded  002_b.sql  $old" \
        "  on disk   002_b.sql  $(checksum_of 002_b.sql)" '  repair    accept the edit'
    assert_sql 'SELECT filename, checksum, note FROM schema_migrations WHERE version = 2' \
        "002_b.sql|$(checksum_of 002_b.sql)|repaired: only a comment"
    assert_sql 'SELECT applied_at, applied_by, duration_ms, statements
                FROM schema_migrations WHERE version = 2' "$applied"
    assert_equal "$(others 2)" "$before"
    run_rung verify
    assert_status 0
    run_rung history -n 2
    assert_out_has '002_b.sql: repaired: only a comment'
}

@test "a missing file is forgotten" {
    three_files
    before=$(others 2)
    rm migrations/002_b.sql
    run_rung repair 2 --reason 'never released' --yes
    assert_status 0
    assert_out 'repaired 002_b.sql: forgot it, the file is missing'
    assert_err_has '  recorded  002_b.sql' '  on disk   no such file'
    assert_applied 1 3
    assert_equal "$(others 2)" "$before"
    assert_sql "SELECT to_regclass('b')" b
    run_rung up
    assert_status 0
}

@test "a rename is followed" {
    three_files
    before=$(others 2)
    mv migrations/002_b.sql migrations/002_better.sql
    run_rung repair 2 --reason 'better name' --yes
    assert_status 0
    assert_out 'repaired 002_better.sql: followed the rename'
    assert_err_has 'recorded as 002_b.sql, renamed since' '  recorded  002_b.sql  ' \
        '  on disk   002_better.sql  '
    assert_sql 'SELECT filename, note FROM schema_migrations WHERE version = 2' \
        '002_better.sql|repaired: better name'
    assert_equal "$(others 2)" "$before"
    run_rung verify
    assert_status 0
}

@test "without versions, all that need it, and only these" {
    three_files
    migration 004_d <<<'CREATE TABLE d ();'
    migration 001_a <<<'CREATE TABLE a (n bigint);'
    rm migrations/002_b.sql
    mv migrations/003_c.sql migrations/003_cc.sql
    run_rung repair --reason clean --yes
    assert_status 0
    assert_lines "$out" 'repaired 001_a.sql: accepted the edit' \
        'repaired 002_b.sql: forgot it, the file is missing' \
        'repaired 003_cc.sql: followed the rename'
    assert_sql 'SELECT version, filename, note FROM schema_migrations ORDER BY 1' \
        '1|001_a.sql|repaired: clean' '3|003_cc.sql|repaired: clean'
    assert_sql "SELECT to_regclass('d')" ''
}

@test "a row above every file is forgotten only where it is named" {
    three_files
    rm migrations/003_c.sql
    run_rung repair --reason clean --yes
    assert_status 0
    assert_out 'nothing to repair'
    assert_err ''
    assert_applied 1 2 3
    run_rung repair 3 --reason 'the branch is gone' --yes
    assert_status 0
    assert_out 'repaired 003_c.sql: forgot it, the file is missing'
    assert_applied 1 2
}

@test "a checksum that was never recorded is" {
    three_files
    sql "UPDATE schema_migrations SET checksum = '' WHERE version = 2"
    run_rung repair 2 --reason adopted --yes
    assert_status 0
    assert_out 'repaired 002_b.sql: recorded the checksum'
    assert_sql 'SELECT checksum FROM schema_migrations WHERE version = 2' \
        "$(checksum_of 002_b.sql)"
}

# ---- what is unfinished --------------------------------------------------------------

unfinished() {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<'SQL'
-- rung: no-transaction
INSERT INTO a VALUES (1);
INSERT INTO a SELECT nosuch;
INSERT INTO a VALUES (3);
SQL
    run_rung up
    assert_status 1
    assert_sql 'SELECT n FROM a' 1
}

@test "an unfinished file whose done part was edited is made to fit, and up goes on" {
    unfinished
    migration 002_b <<'SQL'
-- rung: no-transaction
INSERT INTO a VALUES (/* done */ 1);
INSERT INTO a VALUES (2);
INSERT INTO a VALUES (3);
SQL
    run_rung up
    assert_status 3
    run_rung repair 2 --reason 'a comment' --yes
    assert_status 0
    assert_out 'repaired 002_b.sql: 1 of its statements is done, `rung up` goes on there (if all of it is done: --completed)'
    assert_err_has 'began, and is done up to statement 1'
    assert_sql 'SELECT applied_at IS NULL, statements, note FROM schema_migrations
                WHERE version = 2' 't|1|repaired: a comment'
    run_rung up
    assert_status 0
    assert_sql 'SELECT n FROM a ORDER BY 1' 1 2 3
    assert_applied 1 2
    assert_sql 'SELECT note FROM schema_migrations WHERE version = 2' 'repaired: a comment'
}

@test "an unfinished file that holds less than what is done cannot be made to fit" {
    unfinished
    local before
    before=$(sql 'SELECT * FROM schema_migrations ORDER BY 1')
    migration 002_b <<<'-- rung: no-transaction'
    run_rung repair 2 --reason why --yes
    assert_status 3
    assert_out ''
    assert_err_has 'rung: error: 002_b.sql has fewer than 1 statements'
    assert_equal "$(sql 'SELECT * FROM schema_migrations ORDER BY 1')" "$before"
}

@test "with --completed an unfinished file counts as done, and runs no further" {
    unfinished
    run_rung repair 2 --completed --reason 'the rest by hand' --yes
    assert_status 0
    assert_out 'repaired 002_b.sql: all of it is done'
    assert_sql 'SELECT applied_at IS NOT NULL, checksum, statements, note
                FROM schema_migrations WHERE version = 2' \
        "t|$(checksum_of 002_b.sql)|3|repaired: the rest by hand"
    assert_sql 'SELECT n FROM a' 1
    run_rung up
    assert_status 0
    assert_out ''
    run_rung verify
    assert_status 0
}

# A statement that cannot share a transaction with its record, and a runner that dies
# while it runs.
in_doubt() {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<'SQL'
-- rung: no-transaction
INSERT INTO a VALUES (1);
ALTER TYPE mood ADD VALUE 'sad';
INSERT INTO a VALUES (3);
SQL
    sql "CREATE TYPE mood AS ENUM ('happy')"
    run_rung up 1
    sql "INSERT INTO schema_migrations (version, filename, checksum, statements, note) VALUES
         (2, '002_b.sql', '$(head -n 2 migrations/002_b.sql | head -c -1 | sha256sum | cut -d ' ' -f 1)',
         1, 'statement 2 running')"
    sql 'INSERT INTO a VALUES (1)'
}

@test "in doubt about a statement, --completed says that it did its work" {
    in_doubt
    run_rung repair 2 --completed --reason 'seen it' --yes
    assert_status 0
    assert_out 'repaired 002_b.sql: statement 2 is done, `rung up` goes on behind it'
    assert_sql 'SELECT applied_at IS NULL, statements, note FROM schema_migrations
                WHERE version = 2' 't|2|repaired: seen it'
    run_rung up
    assert_status 0
    assert_sql 'SELECT n FROM a ORDER BY 1' 1 3
    assert_sql "SELECT enum_range(NULL::mood)" '{happy}'
}

@test "in doubt about a statement, without --completed it runs again" {
    in_doubt
    run_rung repair 2 --reason 'not there' --yes
    assert_status 0
    assert_out 'repaired 002_b.sql: statement 2 is not done, `rung up` runs it (if it is done: --completed)'
    assert_sql 'SELECT applied_at IS NULL, statements, note FROM schema_migrations
                WHERE version = 2' 't|1|repaired: not there'
    run_rung up
    assert_status 0
    assert_sql 'SELECT n FROM a ORDER BY 1' 1 3
    assert_sql "SELECT enum_range(NULL::mood)" '{happy,sad}'
}

@test "an INVALID index that a failed build left is replaced after a repair, too" {
    migration 001_a <<<'CREATE TABLE a AS SELECT 1 AS n FROM generate_series(1, 2);'
    migration 002_i <<'SQL'
CREATE INDEX CONCURRENTLY one ON a (n);
CREATE UNIQUE INDEX CONCURRENTLY two ON a (n);
SQL
    run_rung up
    assert_status 1
    sql 'DELETE FROM a'
    run_rung repair 2 --reason 'rows removed' --yes
    assert_status 0
    assert_sql 'SELECT applied_at IS NULL, statements, note FROM schema_migrations
                WHERE version = 2' 't|1|statement 2 failed; repaired: rows removed'
    run_rung up
    assert_status 0
    assert_done 'applied 002_i.sql (2 statements)'
    assert_sql "SELECT indisvalid FROM pg_index WHERE indexrelid = 'two'::regclass" t
    assert_sql 'SELECT note FROM schema_migrations WHERE version = 2' 'repaired: rows removed'
}

unfinished_undo() {
    three_files
    migration 003_c.down <<'SQL'
-- rung: no-transaction
INSERT INTO c VALUES (1);
DROP TABLE nosuch;
DROP TABLE c;
SQL
    run_rung down
    assert_status 1
    assert_sql 'SELECT undone FROM schema_migrations WHERE version = 3' 1
}

@test "an unfinished undo with --completed is done: its row goes" {
    unfinished_undo
    run_rung repair 3 --completed --reason 'by hand' --yes
    assert_status 0
    assert_out 'repaired 003_c.sql: all of it is undone'
    assert_applied 1 2
}

@test "an unfinished undo without --completed stays one" {
    unfinished_undo
    run_rung repair 3 --reason 'will go on' --yes
    assert_status 0
    assert_out 'repaired 003_c.sql: 1 of its statements is done, `rung down` goes on there (if all of it is done: --completed)'
    assert_sql 'SELECT undone, note FROM schema_migrations WHERE version = 3' \
        '1|repaired: will go on'
    sed -i 's/nosuch/IF EXISTS nosuch/' migrations/003_c.down.sql
    run_rung down
    assert_status 0
    assert_applied 1 2
}

# ---- asking --------------------------------------------------------------------------

@test "without a terminal and without --yes it shows, and changes nothing" {
    three_files
    migration 002_b <<<'CREATE TABLE b (n bigint);'
    unchanged 2 repair --reason why
    assert_err_has '002_b.sql: edited after it was applied' '  repair    accept the edit' \
        'rung: error: nothing was repaired' \
        'hint: Without a terminal to ask on, it needs --yes.'
}

@test "on a terminal it shows, asks, and only a yes is one" {
    three_files
    migration 002_b <<<'CREATE TABLE b (n bigint);'
    before=$(sql 'SELECT * FROM schema_migrations ORDER BY 1')
    for answer in n '' q; do
        run_rung_on_terminal "$answer" repair --reason why
        assert_status 1
        assert_out_has '  repair    accept the edit' 'Repair the ledger so? [y/N] ' \
            'rung: error: nothing was repaired'
        assert_equal "$(sql 'SELECT * FROM schema_migrations ORDER BY 1')" "$before"
    done
    run_rung_on_terminal y repair --reason why
    assert_status 0
    assert_out_has 'Repair the ledger so? [y/N] ' 'repaired 002_b.sql: accepted the edit'
    assert_sql 'SELECT note FROM schema_migrations WHERE version = 2' 'repaired: why'
}

@test "-q --yes says nothing" {
    three_files
    migration 002_b <<<'CREATE TABLE b (n bigint);'
    run_rung repair -q --yes --reason why
    assert_status 0
    assert_out ''
    assert_err ''
    run_rung verify
    assert_status 0
}

# ---- bad input -----------------------------------------------------------------------

@test "a reason is needed, in UTF-8" {
    three_files
    unchanged 2 repair 2 --yes
    assert_lines "$err" 'rung: error: `rung repair` needs --reason TEXT' \
        'hint: Say in a few words why: it is kept in the ledger.'
    unchanged 2 repair 2 --yes --reason ''
    assert_err 'rung: error: --reason is empty'
    unchanged 2 repair --yes --reason $'\xff'
    assert_err 'rung: error: the reason is not UTF-8'
}

@test "what needs no repair is refused, and so is what is not there" {
    three_files
    migration 004_d <<<'CREATE TABLE d ();'
    migration 001_a <<<'CREATE TABLE a (n bigint);'
    unchanged 2 repair 1 2 --yes --reason why
    assert_err 'rung: error: 002_b.sql is applied: there is nothing to repair'
    unchanged 2 repair 4 --yes --reason why
    assert_err 'rung: error: 004_d.sql is pending: there is nothing to repair'
    unchanged 2 repair 1 9 --yes --reason why
    assert_err 'rung: error: there is no migration 9 in migrations, nor in the ledger'
    unchanged 2 repair 1 x --yes --reason why
    assert_err 'rung: error: VERSION is a number such as 7 or 007, not "x"'
    run_rung repair 1 001 --yes --reason twice
    assert_status 0
    assert_out 'repaired 001_a.sql: accepted the edit'
}

@test "a reason cannot pretend to be one of our own notes, nor break out of SQL" {
    three_files
    migration 002_b <<<'CREATE TABLE b (n bigint);'
    run_rung repair --yes --reason "statement 1 running'; DROP TABLE a; -- \\"
    assert_status 0
    assert_sql 'SELECT note FROM schema_migrations WHERE version = 2' \
        "repaired: statement 1 running'; DROP TABLE a; -- \\"
    assert_sql "SELECT to_regclass('a')" a
}

@test "repair waits for the lock, and --lock-wait 0 does not" {
    three_files
    migration 002_b <<<'CREATE TABLE b (n bigint);'
    migration 004_d <<<'SELECT pg_sleep(60);'
    sql "UPDATE schema_migrations SET checksum = checksum" # nothing: the ledger is there
    mv migrations/002_b.sql "$T"
    migration 002_b <<<'CREATE TABLE b (n int);'
    start_rung up up
    wait_until "SELECT count(*) = 1 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'"
    mv "$T/002_b.sql" migrations
    unchanged 4 repair --yes --reason why --lock-wait 0
    kill -TERM "$pid"
    wait_rung up
    run_rung repair --yes --reason why
    assert_status 0
}
