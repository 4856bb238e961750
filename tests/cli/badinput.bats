#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# Input that is wrong: options, directories, files and their bytes.  Each is refused in
# clear words, with the exit status that says whose fault it is, and nothing is changed.

load ../lib/helpers
load ../lib/cluster.sh

# Let the server's user, who is not root, reach our directory.
open_up() {
    local dir=$T/migrations
    while [ "$dir" != /tmp ] && [ "$dir" != / ]; do
        chmod a+x "$dir" 2>/dev/null || true
        dir=$(dirname "$dir")
    done
}

# run_rung, as somebody who may not read everything.
run_unprivileged() {
    open_up
    [ "$(id -u)" -ne 0 ] || cp "$RUNG" "$T/rung"
    [ "$(id -u)" -eq 0 ] || ln -s "$RUNG" "$T/rung"
    chmod a+r migrations
    program=cluster_as_user
    run_rung "$T/rung" "$@"
}

# refused STATUS TEXT...: up fails so, naming that, and there is nothing in the database.
refused() {
    local expected=$1
    shift
    run_rung up
    assert_status "$expected"
    assert_out ''
    assert_err_has "$@"
    assert_untouched
}

# a_good_file: one that would run, in front of the bad one.
a_good_file() {
    migration 001_good <<<'CREATE TABLE good (n int);'
}

# ---- the command line ----------------------------------------------------------------

@test "an unknown option is refused, and the nearest one is named" {
    run_rung up --lock-wiat 3
    assert_status 2
    assert_out ''
    assert_err $'rung: error: unknown option --lock-wiat\nhint: Did you mean --lock-wait?'
    run_rung -X up
    assert_status 2
    assert_out ''
    assert_err_has 'rung: error: unknown option -X'
    assert_untouched
}

@test "a VERSION that is no number is refused" {
    a_good_file
    for version in one 1.5 1a 0x1 +1; do
        run_rung up "$version"
        assert_status 2
        assert_out ''
        assert_err "rung: error: VERSION is a number such as 7 or 007, not \"$version\""
    done
    run_rung up 1234567890123456789
    assert_status 2
    assert_out ''
    assert_err 'rung: error: VERSION has at most 18 digits, not 19'
    run_rung plan one
    assert_status 2
    assert_untouched
}

@test "a command that there is not is refused" {
    run_rung upp
    assert_status 2
    assert_out ''
    assert_err $'rung: error: unknown command "upp"\nhint: Did you mean `rung up`?'
    run_rung
    assert_status 2
    assert_out ''
    assert_err_has 'Usage: rung'
}

@test "a time that is none is refused" {
    run_rung up --lock-wait soon
    assert_status 2
    assert_out ''
    assert_err "$(
        cat <<'TEXT'
rung: error: --lock-wait: "soon" is no time
hint: Write 500ms, 10s, 5min or 1h, or forever; a plain number is seconds.
TEXT
    )"
}

@test "no such directory, and a file in its place" {
    run_rung up -m nowhere
    assert_status 2
    assert_out ''
    assert_err "$(
        cat <<'TEXT'
rung: error: no such directory: "nowhere"
hint: Begin with `mkdir -p nowhere && rung new NAME --dir nowhere`, or say with --dir where the migrations are.
TEXT
    )"
    rmdir migrations
    run_rung up
    assert_status 2
    assert_err "$(
        cat <<'TEXT'
rung: error: no such directory: "migrations"
hint: Begin with `mkdir migrations && rung new NAME`, or say with --dir where the migrations are.
TEXT
    )"
    # What is said can be copied to a shell.
    for hint in "$err" 'hint: Begin with `mkdir -p db/sql && rung new NAME --dir db/sql`'; do
        eval "$(sed -n 's/^hint: Begin with `\([^`]*\)`.*/\1/p' <<<"$hint" | sed "s|rung new|$RUNG new|")"
    done
    assert_equal "$(ls migrations db/sql)" $'db/sql:\n001_name.sql\n\nmigrations:\n001_name.sql'
    run_rung up -m 'no;where'
    assert_err_has 'hint: Begin with `mkdir -p DIR && rung new NAME --dir DIR`, or say'
    touch file
    run_rung status -m file
    assert_status 2
    assert_out ''
    assert_err_has 'rung: error: not a directory: "file"'
    assert_untouched
}

# ---- what is no readable file ----------------------------------------------------------

@test "an unreadable file" {
    a_good_file
    migration 002_secret <<<'SELECT 1;'
    chmod 000 migrations/002_secret.sql
    run_unprivileged up
    assert_status 1
    assert_out ''
    assert_err 'rung: error: cannot open "migrations/002_secret.sql": Permission denied'
    assert_untouched
}

@test "an unreadable directory" {
    mkdir secret
    chmod 000 secret
    run_unprivileged up -m secret
    chmod 700 secret
    assert_status 2
    assert_out ''
    assert_err 'rung: error: cannot read directory "secret": Permission denied'
}

@test "a FIFO is refused without hanging" {
    a_good_file
    mkfifo migrations/002_fifo.sql
    program=timeout
    run_rung 20 "$RUNG" up
    assert_status 1
    assert_out ''
    assert_err 'migrations/002_fifo.sql: error: is a FIFO, not a regular file: move it elsewhere'
    mv migrations/002_fifo.sql "$T/fifo"
    ln -s "$T/fifo" migrations/002_link.sql
    run_rung 20 "$RUNG" up
    assert_status 1
    assert_err 'migrations/002_link.sql: error: is a FIFO, not a regular file: move it elsewhere'
    assert_untouched
}

@test "a device and a directory named .sql are refused" {
    a_good_file
    ln -s /dev/zero migrations/002_zero.sql
    refused 1 'migrations/002_zero.sql: error: is a device, not a regular file: move it elsewhere'
    rm migrations/002_zero.sql
    mkdir migrations/002_directory.sql
    refused 1 'migrations/002_directory.sql: error: is a directory: rename it, so that it does not end in .sql'
}

@test "a symbolic link to a file is followed, one to nowhere is refused" {
    # as Kubernetes mounts a ConfigMap
    mkdir migrations/..2025_06_01
    printf 'CREATE TABLE t (n int);\n' >migrations/..2025_06_01/001_t.sql
    ln -s ..2025_06_01 migrations/..data
    ln -s ..data/001_t.sql migrations/001_t.sql
    run_rung up
    assert_status 0
    assert_done 'applied 001_t.sql (1 statement)'
    assert_err ''
    assert_applied 1
    ln -s nowhere migrations/002_dangling.sql
    run_rung up
    assert_status 1
    assert_out ''
    assert_err 'migrations/002_dangling.sql: error: is a symbolic link that leads to no file: mend or remove it'
    assert_applied 1
}

@test "a file that changes while it runs is not recorded" {
    # Too large to be kept in memory; its own second statement changes what stands behind.
    {
        echo "CREATE TABLE t (n int);"
        echo "COPY (SELECT 1) TO PROGRAM 'printf y | dd of=$T/migrations/001_big.sql bs=1 seek=14000000 conv=notrunc 2>&1';"
        seq 150 | xargs printf "SELECT '%0100000d';\n"
    } >migrations/001_big.sql
    chmod 666 migrations/001_big.sql
    open_up
    run_rung up
    assert_status 1
    assert_out ''
    assert_err_has '001_big.sql changed while it was read' \
        '001_big.sql was rolled back; nothing is applied.'
    assert_equal "$(tail -c +14000001 migrations/001_big.sql | head -c 1)" y
    assert_applied
    assert_sql "SELECT to_regclass('t')" ''
}

# ---- bytes -------------------------------------------------------------------------------

@test "a NUL byte is refused with its line" {
    a_good_file
    printf 'SELECT 1;\n-- a \0 b\n' >migrations/002_nul.sql
    refused 1 'migrations/002_nul.sql:2:6: error: NUL byte' \
        'hint: rung reads UTF-8 text only; save the file as UTF-8.'
}

@test "UTF-16 is refused, in both orders of bytes" {
    a_good_file
    printf '\xff\xfeS\0E\0L\0E\0C\0T\0 \0001\0;\0' >migrations/002_le.sql
    refused 1 'migrations/002_le.sql:1:1: error: the file is UTF-16, not UTF-8'
    rm migrations/002_le.sql
    printf '\xfe\xff\0S\0E\0L\0E\0C\0T\0 \0001\0;' >migrations/002_be.sql
    refused 1 'migrations/002_be.sql:1:1: error: the file is UTF-16, not UTF-8'
}

@test "invalid UTF-8 is refused with its line, in a comment too" {
    a_good_file
    printf 'SELECT 1;\n\n-- caf\xe9\nSELECT 2;\n' >migrations/002_latin1.sql
    refused 1 'migrations/002_latin1.sql:3:7: error: invalid UTF-8'
    rm migrations/002_latin1.sql
    printf "SELECT '\xc3\xa9\xed\xa0\x80';\n" >migrations/002_surrogate.sql
    refused 1 'migrations/002_surrogate.sql:1:10: error: invalid UTF-8'
    rm migrations/002_surrogate.sql
    printf 'SELECT 1; -- \xe2\x82' >migrations/002_cut.sql
    refused 1 'migrations/002_cut.sql:1:14: error: invalid UTF-8'
    rm migrations/002_cut.sql
    printf 'CREATE TABLE t (s text);\nCOPY t FROM stdin;\nfine\nb\xe4d\n\\.\n' >migrations/002_copy.sql
    refused 1 'migrations/002_copy.sql:4:2: error: invalid UTF-8'
}

@test "a byte order mark is skipped" {
    printf '\xef\xbb\xbfCREATE TABLE t (n int);\nSELECT nosuch;\n' >migrations/001_bom.sql
    run_rung up
    assert_status 1
    assert_err_has 'migrations/001_bom.sql:2:8: error: column "nosuch" does not exist'
    printf '\xef\xbb\xbfCREATE TABEL t (n int);\n' >migrations/001_bom.sql
    run_rung up
    assert_status 1
    assert_err_has 'migrations/001_bom.sql:1:8: error: syntax error at or near "TABEL"'
    printf '\xef\xbb\xbf-- rung: no-transaction\nCREATE TABLE t (n int);\n' >migrations/001_bom.sql
    run_rung up
    assert_status 0
    assert_done 'applied 001_bom.sql (1 statement)'
    assert_applied 1
}

@test "client_encoding stays UTF8" {
    a_good_file
    migration 002_encoding <<<$'SELECT 1;\nSET client_encoding = \'LATIN1\';\nSELECT 2;'
    refused 1 'migrations/002_encoding.sql:2:1: error: client_encoding has to stay UTF8' \
        'hint: rung reads and sends files as UTF-8 only.'
    migration 002_encoding <<<$'SELECT 1;\nSET NAMES \'latin1\';'
    refused 1 'migrations/002_encoding.sql:2:1: error: client_encoding has to stay UTF8'
    migration 002_encoding <<<$'SELECT set_config(\'client_encoding\', \'LATIN1\', false);'
    refused 1 'migrations/002_encoding.sql:1:1: error: client_encoding has to stay UTF8'
    migration 002_encoding <<<$'SET client_encoding = \'UTF8\';\nSET client_encoding TO utf8;\nCREATE TABLE t AS SELECT \'ü\' AS s;'
    run_rung up
    assert_status 0
    assert_sql 'SELECT s FROM t' ü
}

# ---- text that does not end --------------------------------------------------------------

# opens TEXT LINE:COLUMN MESSAGE: a file with that text is refused there.
opens() {
    a_good_file
    printf '%s' "$1" >migrations/002_open.sql
    refused 1 "migrations/002_open.sql:$2: error: $3"
}

@test "what is not closed is refused where it opened" {
    opens $'SELECT 1;\nSELECT \'it;\nSELECT 2;\n' 2:8 'unterminated quoted string'
    opens $'SELECT 1;\nSELECT "it;\nSELECT 2;\n' 2:8 'unterminated quoted identifier'
    opens $'SELECT 1;\nDO $body$ BEGIN END $Body$;\n' 2:4 'unterminated dollar-quoted string'
    opens $'SELECT 1;\n\n  /* a /* b */ c\n' 3:3 'unterminated /* comment'
    opens $'SELECT 1;\nSELECT E\'it\\\';\n' 2:8 'unterminated quoted string'
    opens $'CREATE TABLE t (n int;\nSELECT 2;\n' 1:16 'unclosed parenthesis'
    opens $'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;\n' 1:1 'BEGIN ATOMIC is not closed by END'
}

@test "where a quote is missing, the statement that it is missing in is named" {
    opens $'SELECT 1;\nINSERT INTO t VALUES (\'a);\nINSERT INTO t VALUES (\'it\');\n' \
        3:26 'unterminated quoted string'
    assert_err_has 'hint: The statement begins on line 2; what is missing may be missing anywhere from there on.'
    opens $'SELECT 1;\nSELECT \'it;\n' 2:8 'unterminated quoted string'
    [[ $err != *hint:* ]] || fail_with 'a hint without need:' "$err"
}

@test "COPY data without its end is refused" {
    a_good_file
    printf 'CREATE TABLE t (s text);\nCOPY t FROM stdin;\none\ntwo\n' >migrations/002_cut.sql
    refused 1 'migrations/002_cut.sql:2:1: error: the data of this COPY has no end: no line holds \. and nothing else' \
        'hint: Data in a file ends with a line \. ; without it the file may have been cut off.'
    printf 'CREATE TABLE t (s text);\nCOPY t FROM stdin;\n' >migrations/002_cut.sql
    refused 1 'migrations/002_cut.sql:2:1: error: the data of this COPY has no end'
}

# ---- psql -------------------------------------------------------------------------------

@test "\\restrict and \\unrestrict are skipped" {
    cat >migrations/001_dump.sql <<'SQL'
\restrict 0123456789abcdef
SET statement_timeout = 0;
CREATE TABLE t (n int);
COPY t (n) FROM stdin;
1
\.

\unrestrict 0123456789abcdef
SQL
    run_rung up
    assert_status 0
    assert_done 'applied 001_dump.sql (3 statements)'
    assert_err ''
    assert_sql 'SELECT n FROM t' 1
}

@test "other psql commands are refused with their line" {
    a_good_file
    migration 002_psql <<<$'SELECT 1;\n  \\set ON_ERROR_STOP on\nSELECT 2;'
    refused 1 'migrations/002_psql.sql:2:3: error: psql command "\set" is not supported' \
        'hint: Take it out: rung stops at the first error by itself, and knows no variables.'
    migration 002_psql <<<$'\\i 001_good.sql'
    refused 1 'migrations/002_psql.sql:1:1: error: psql command "\i" is not supported' \
        "hint: Put the text here, or into a file of its own: what it includes would not be part of this one's checksum."
    migration 002_psql <<<$'SELECT 1 \\gset'
    refused 1 'migrations/002_psql.sql:1:10: error: psql command "\gset" is not supported' \
        'hint: A migration is plain SQL; only \restrict and \unrestrict, which pg_dump writes, are skipped.'
    migration 002_psql <<<$'CREATE TABLE t (n int);\n\\copy t from rows.txt'
    refused 1 'migrations/002_psql.sql:2:1: error: psql command "\copy" is not supported' \
        'hint: Write COPY ... FROM STDIN, the rows below it, and a line \. at their end.'
    migration 002_psql <<<$'SELECT 1;\n\\.'
    refused 1 'migrations/002_psql.sql:2:1: error: \. ends the data of COPY ... FROM STDIN, but none is being read'
}

@test "binary COPY data is refused" {
    a_good_file
    migration 002_copy <<<$'COPY good FROM stdin (FORMAT binary);\n\\.'
    refused 1 'migrations/002_copy.sql:1:1: error: COPY FROM STDIN in binary format: a text file cannot hold its data'
}

# ---- directives --------------------------------------------------------------------------

@test "an unknown directive is refused" {
    a_good_file
    migration 002_d <<<$'-- a comment\n-- rung: no-transactoin\nSELECT 1;'
    refused 1 'migrations/002_d.sql:2:1: error: unknown directive "no-transactoin"' \
        'hint: Known are no-transaction, lock-timeout TIME, statement-timeout TIME, irreversible'
}

@test "a directive with a value that it cannot have is refused" {
    a_good_file
    migration 002_d <<<$'-- rung: lock-timeout soon\nSELECT 1;'
    refused 1 'migrations/002_d.sql:1:1: error: ' 'lock-timeout'
    migration 002_d <<<$'-- rung: lock-timeout\nSELECT 1;'
    refused 1 'migrations/002_d.sql:1:1: error: ' 'lock-timeout'
    migration 002_d <<<$'-- rung: no-transaction please\nSELECT 1;'
    refused 1 'migrations/002_d.sql:1:1: error: ' 'no-transaction'
}

@test "a directive below the first statement is refused" {
    a_good_file
    migration 002_d <<<$'SELECT 1;\n-- rung: no-transaction\nVACUUM;'
    refused 1 'migrations/002_d.sql:2:1: error: a directive below the first statement is not read' \
        'hint: Directives stand above the first statement and hold for the file.'
}

@test "a directive in a comment that psql's users would not see as a line is refused" {
    a_good_file
    migration 002_d <<<$'/* rung: no-transaction */\nSELECT 1;'
    refused 1 'migrations/002_d.sql:1:1: error: a directive inside /* */ is not read' \
        'hint: Write it as a comment of its own line: `-- rung: ...`.'
}

@test "known directives are taken, also several, also in a file of psql's" {
    migration 001_d <<'SQL'
-- rung: lock-timeout 10s
--rung: statement-timeout 1h
-- rung: irreversible
CREATE TABLE t AS SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement;
SQL
    run_rung up
    assert_status 0
    assert_err ''
    assert_sql 'SELECT * FROM t' '10s|1h'
    psql_files <(sed 's/TABLE t/TABLE t2/' migrations/001_d.sql)
}

@test "what only looks like a directive is a comment" {
    migration 001_d <<<$'-- we run rung: it is good\n-- rung up\nCREATE TABLE t (n int);'
    run_rung up
    assert_status 0
    assert_applied 1
}

# ---- bad files and good ones ----------------------------------------------------------------

@test "every pending file is read before the first runs" {
    a_good_file
    migration 002_fine <<<'CREATE TABLE fine (n int);'
    migration 003_open <<<'SELECT $$;'
    refused 1 'migrations/003_open.sql:1:8: error: unterminated dollar-quoted string'
    run_rung up 2
    assert_status 1
    assert_untouched
}

@test "a file that is recorded already is not refused for its text" {
    migration 001_good <<<'CREATE TABLE good (n int);'
    run_rung up
    sql "UPDATE schema_migrations SET checksum = '$(printf "SELECT '" | sha256sum | cut -d ' ' -f 1)'"
    printf "SELECT '" >migrations/001_good.sql
    run_rung up
    assert_status 0
    assert_out ''
    assert_err ''
}
