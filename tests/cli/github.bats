#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031 # backquotes are part of what is said
#
# `--format github`: annotations, and the job's summary.

load ../lib/helpers

setup() {
    rung_setup
    unset GITHUB_WORKSPACE GITHUB_STEP_SUMMARY
}

# The annotations on stdout and stderr, read as GitHub's runner reads a job's log
# (actions/runner, ActionCommand.cs): level|file|line|col|title|message, in which a line
# feed is a backslash and n.
annotations() {
    cat "$T/out" "$T/err" | python3 -c '
import re, sys
COMMANDS = {"error", "warning", "notice", "debug", "group", "add-mask", "set-output",
            "save-state", "stop-commands", "add-matcher", "echo"}
def unescape(text, more=()):
    for escape, char in [("%0D", "\r"), ("%0A", "\n"), *more, ("%25", "%")]:
        text = text.replace(escape, char)
    return text
for line in sys.stdin.read().split("\n"):
    old = re.search(r"##\[(\w[\w-]*)[^]]*\]", line)
    new = re.match(r"\s*::([\w-]+)(?: (.*?))?::(.*)", line)
    if new and new[1] in COMMANDS:
        fields = dict(part.split("=", 1) for part in (new[2] or "").strip().split(",") if part)
        fields = {k: unescape(v, [("%3A", ":"), ("%2C", ",")]) for k, v in fields.items()}
        shown = [new[1]] + [fields.pop(k, "") for k in ("file", "line", "col", "title")]
        assert not fields, fields
        print("|".join(shown + [unescape(new[3])]).replace("\n", "\\n").replace("\r", "\\r"))
    elif old and old[1] in COMMANDS:
        print("old|" + line)
'
}

@test "an error is an annotation at its line and column, beside the text" {
    migration 001_ok <<<'CREATE TABLE t (total int);'
    migration 002_bad <<<$'SELECT 1;\n\nSELECT totl FROM t;'
    run_rung up --format github
    assert_status 1
    assert_equal "$(annotations)" 'error|migrations/002_bad.sql|3|8|rung: 42703|column "totl" does not exist\nhint: Perhaps you meant to reference the column "t.total".\n002_bad.sql was rolled back at statement 2 of 2; 001 is applied. Fix the file and run `rung up`.'
    assert_done 'applied 001_ok.sql (1 statement)' \
        '::error file=migrations/002_bad.sql,line=3,col=8,title=rung%3A 42703::column "totl" does not exist%0Ahint: Perhaps you meant to reference the column "t.total".%0A002_bad.sql was rolled back at statement 2 of 2; 001 is applied. Fix the file and run `rung up`.'
    [[ $err == 'migrations/002_bad.sql:3:8: error: column "totl" does not exist'* ]]
    assert_applied 1
}

@test "verify: every finding is an error, on its line where it has one" {
    migration 001_a <<<'SELECT 1;'
    migration 002_b <<<'SELECT 1;'
    run_rung up
    echo 'SELECT 2;' >migrations/001_a.sql
    rm migrations/002_b.sql
    printf 'SELECT 1;\n\\i other.sql\n' >migrations/003_c.sql
    run_rung verify --format github
    assert_status 3
    assert_lines "$(annotations | cut -d '|' -f 1-5)" \
        'error|migrations/001_a.sql|||rung: edited' \
        'error|migrations/002_b.sql|||rung: missing' \
        'error|migrations/003_c.sql|2||rung'
    assert_out_has 'migrations/003_c.sql:2: error: psql command "\i" is not supported' \
        'verified files and ledger: 2 applied, 1 pending, 3 problems'
    run_rung verify --format github --quiet
    assert_equal "$(annotations | wc -l)" 3
}

@test "lint: a finding is a warning at its place, with the rule for a title" {
    migration 001_users <<<'CREATE TABLE users (n int);'
    migration 002_index <<<$'SELECT 1;\n  CREATE INDEX i ON users (n);'
    GITHUB_STEP_SUMMARY=$T/summary run_rung lint --format github
    assert_status 3
    assert_equal "$(annotations | cut -d '|' -f 1-5)" \
        'warning|migrations/002_index.sql|2|3|rung: index-without-concurrently'
    grep -q 'without CONCURRENTLY' "$T/summary"
    grep -q "^looked at 2 migrations: 1 finding" "$T/summary" || fail_with "$(cat "$T/summary")"
}

@test "what up only warns of is a warning, and a refusal is told once" {
    migration 001_a <<<'SELECT 1;'
    migration 009_z <<<'SELECT 1;'
    run_rung up
    rm migrations/009_z.sql
    run_rung up --format github
    assert_status 0
    assert_equal "$(annotations)" \
        'warning|migrations/009_z.sql|||rung: newer|recorded, but newer than every file here\nhint: A release was rolled back, or this directory is not up to date.'
    run_rung status --format github
    assert_equal "$(annotations | cut -d '|' -f 1-5)" 'warning|migrations/009_z.sql|||rung: newer'
    echo 'SELECT 2;' >migrations/001_a.sql
    migration 010_new <<<'SELECT 1;'
    run_rung up --format github
    assert_status 3
    assert_equal "$(annotations | cut -d '|' -f 1-5 | grep 001)" \
        'error|migrations/001_a.sql|||rung: edited'
}

@test "an error about no file, and what is pending" {
    migration 001_a <<<'SELECT 1;'
    run_rung verify --no-pending --format github
    assert_status 6
    assert_equal "$(annotations)" 'error||||rung|1 migration is pending'
    run_rung current --bogus --format github
    assert_status 2
    assert_equal "$(annotations)" 'error||||rung|unknown option --bogus\nhint: `rung --help` lists them.'
    run_rung plan --format github
    assert_status 0
    assert_equal "$(annotations)" ''
    assert_out 'apply   001_a.sql  (transaction, 1 statement)'
}

@test "a retry warns; notices and drafts are no annotations" {
    migration 001_t <<<$'CREATE TABLE t (n int);\nDO $$ BEGIN RAISE NOTICE \'hello\'; END $$;'
    touch migrations/003_draft.sql
    run_rung up --format github
    assert_status 0
    assert_equal "$(annotations)" ''
    assert_err_has 'notice: hello' 'a draft, not applied'
    migration 002_t <<<'ALTER TABLE t ADD m int;'
    hold other 'SELECT * FROM t'
    run_rung up --lock-timeout 10ms --lock-retry-for 1s --format github
    release other
    assert_status 4
    assert_equal "$(annotations | cut -d '|' -f 1-5 | uniq)" \
        $'warning|migrations/002_t.sql|||rung\nerror|migrations/002_t.sql|1|1|rung: 55P03'
}

@test "whatever a value holds, it ends no property, no line and no command" {
    mkdir 'a,b:c%25'
    cat >'a,b:c%25/001_x.sql' <<'END'
DO $$ BEGIN RAISE WARNING E'100%%0A \n::error::a\r\n  ::add-mask::b\n##[set-output name=x]y %% , : ::'; END $$;
END
    run_rung -m 'a,b:c%25' up --format github
    assert_status 0
    assert_equal "$(annotations)" \
        'warning|a,b:c%25/001_x.sql|1||rung: 01000|100%0A \n::error::a\r\n  ::add-mask::b\n\x23#[set-output name=x]y % , : ::'
    assert_out_has 'file=a%2Cb%3Ac%2525/001_x.sql' '100%250A %0A::error::a%0D%0A'
}

@test "a diff is no command either" {
    printf 'SELECT 1, $$\n::error::kept\n##[error]kept\n$$;\n' >migrations/001_a.sql
    run_rung up --keep-source
    assert_status 0
    echo 'SELECT 2;' >>migrations/001_a.sql
    run_rung verify --format github
    assert_status 3
    assert_equal "$(annotations | cut -d '|' -f 1-5)" 'error|migrations/001_a.sql|5||rung: edited'
    assert_out_has ' \x3a:error::kept' ' \x23#[error]kept' '+SELECT 2;'
    run_rung verify
    assert_out_has ' \x3a:error::kept'
}

@test "files are named from the repository's root on" {
    export GITHUB_WORKSPACE=$T/repository
    mkdir -p "$T/repository/db/sql" "$T/repository-2"
    echo 'SELECT x;' >"$T/repository/db/sql/001_a.sql"
    cp "$T/repository/db/sql/001_a.sql" "$T/repository-2"
    ln -s "$T/repository/db" "$T/link"
    place() {
        run_rung -m "$1" up --format github
        assert_status 1
        assert_equal "$(annotations | cut -d '|' -f 2-4)" "$2|1|8"
    }
    place "$T/repository/db/sql" db/sql/001_a.sql
    place ./repository/db/sql db/sql/001_a.sql
    place link/sql db/sql/001_a.sql
    place ./repository-2 repository-2/001_a.sql
    cd "$T/repository/db/sql"
    place . db/sql/001_a.sql
    place ../../db/sql/ db/sql/001_a.sql
    export GITHUB_WORKSPACE=$T/repository/db/sql
    place . 001_a.sql
    unset GITHUB_WORKSPACE
    place . 001_a.sql
    place ././/. 001_a.sql
}

@test "the job's summary is appended: a table, and what it comes to" {
    export GITHUB_STEP_SUMMARY=$T/summary
    echo 'what another step said' >summary
    migration 001_a <<<'SELECT 1;'
    migration 002_b <<<'SELECT 1;'
    run_rung plan --format github
    run_rung up --format github
    sql "UPDATE schema_migrations SET applied_by = 'a|b<c>&*d\`', duration_ms = 7,
             applied_at = '2024-02-29 12:00:00Z'"
    echo 'SELECT x;' >migrations/003_c.sql
    rm migrations/002_b.sql
    run_rung status --format github
    run_rung verify --format github
    run_rung up --format github
    assert_lines "$(sed -E 's/, [0-9]+ ms \|$/ |/' summary)" \
        'what another step said' \
        '### rung plan' '' '| | file | |' '|---|---|---|' \
        '| apply | 001&#95;a.sql | transaction, 1 statement |' \
        '| apply | 002&#95;b.sql | transaction, 1 statement |' '' \
        '### rung up' '' '| | file | |' '|---|---|---|' \
        '| applied | 001&#95;a.sql | 1 statement |' \
        '| applied | 002&#95;b.sql | 1 statement |' '' \
        '### rung status' '' '| | file | |' '|---|---|---|' \
        '| applied | 001&#95;a.sql | 2024-02-29 12:00:00Z by a&#124;b&#60;c&#62;&#38;&#42;d&#96; |' \
        '| missing | 002&#95;b.sql | 2024-02-29 12:00:00Z by a&#124;b&#60;c&#62;&#38;&#42;d&#96; |' \
        '| pending | 003&#95;c.sql |  |' \
        '| **error** | migrations/002&#95;b.sql | recorded, but there is no such file<br>hint: Bring the file back, or forget it with &#96;rung repair 2 --reason TEXT&#96;. |' '' \
        '2 applied, 1 pending, 1 problem' '' \
        '### rung verify' '' '| | file | |' '|---|---|---|' \
        '| **error** | migrations/002&#95;b.sql | recorded, but there is no such file<br>hint: Bring the file back, or forget it with &#96;rung repair 2 --reason TEXT&#96;. |' '' \
        'verified files and ledger: 2 applied, 1 pending, 1 problem' '' \
        '### rung up' '' '| | file | |' '|---|---|---|' \
        '| **error** | migrations/002&#95;b.sql | recorded, but there is no such file<br>hint: Bring the file back, or forget it with &#96;rung repair 2 --reason TEXT&#96;. |'
}

@test "without --format github there is no summary, and without the variable no file" {
    export GITHUB_STEP_SUMMARY=$T/summary
    run_rung status
    run_rung status --format json
    run_rung history --format github
    [ ! -e summary ]
    unset GITHUB_STEP_SUMMARY
    run_rung status --format github
    assert_status 0
    assert_equal "$(ls)" $'err\nmigrations\nout'
}

@test "a summary that cannot be written is a warning" {
    export GITHUB_STEP_SUMMARY=$T/none/summary
    run_rung status --format github
    assert_status 0
    assert_err 'rung: warning: GITHUB_STEP_SUMMARY could not be written: No such file or directory'
    assert_out_has '0 applied'
}

@test "a summary stays below what GitHub takes" {
    export GITHUB_STEP_SUMMARY=$T/summary
    migration 001_a <<<'SELECT 1;'
    run_rung up
    sql "INSERT INTO schema_migrations (version, filename, checksum, applied_at, applied_by)
         SELECT n, n || '_' || repeat('_', 150), repeat('0', 64), now(), 'me'
         FROM generate_series(2, 2000) n"
    run_rung status --format github
    assert_status 0
    [ "$(stat -c %s summary)" -lt 1048576 ]
    grep -qx 'and [0-9]* more' summary
    tail -n 2 summary | grep -q '2000 applied'
}
