#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# `rung up`: what runs, in which transaction and session, and what is said of it.

load ../lib/helpers

# Two files that are applied.
two_files() {
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 002_u <<<'CREATE TABLE u (n int);'
}

@test "of many gaps in what is applied only the first are listed" {
    local n
    for n in {100..298..2}; do echo 'SELECT 1;' >"migrations/${n}_even.sql"; done
    run_rung up
    assert_status 0
    for n in {101..299..2}; do echo 'SELECT nosuch;' >"migrations/${n}_odd.sql"; done
    run_rung up --allow-out-of-order
    assert_status 1
    assert_err_has '101_odd.sql was rolled back at statement 1 of 1; 100, 102, 104, 106, ' \
        ' and others are applied. Fix the file and run `rung up`.'
    [[ ${err##*$'\n'} != *298* ]]
}

# ---- the plain run -------------------------------------------------------------------

@test "pending files run in the order of their numbers, each with its row" {
    migration 10_last <<<'INSERT INTO t SELECT max(n) + 1 FROM t;'
    migration 9_second <<<'INSERT INTO t VALUES (1);'
    migration 001_first <<<'CREATE TABLE t (n int); INSERT INTO t VALUES (0);'
    run_rung up

    assert_status 0
    assert_done 'applied 001_first.sql (2 statements)' 'applied 9_second.sql (1 statement)' \
        'applied 10_last.sql (1 statement)'
    assert_err ''
    assert_sql 'SELECT n FROM t ORDER BY n' 0 1 2
    assert_sql "SELECT version, filename, applied_by, statements, undone, note,
                       applied_at BETWEEN now() - interval '1 hour' AND now(),
                       duration_ms BETWEEN 0 AND 600000
                FROM schema_migrations ORDER BY version" \
        '1|001_first.sql|postgres|2|||t|t' '9|9_second.sql|postgres|1|||t|t' \
        '10|10_last.sql|postgres|1|||t|t'
}

@test "the query that everybody will type runs as it is" {
    two_files
    run_rung up
    assert_status 0
    assert_sql "SELECT version, filename, applied_at IS NOT NULL FROM (
                    SELECT version, filename, applied_at FROM schema_migrations ORDER BY version
                ) AS q" '1|001_t.sql|t' '2|002_u.sql|t'
    sql 'SELECT version, filename, applied_at FROM schema_migrations ORDER BY version;' >"$T/rows"
    assert_equal "$(cut -d '|' -f 1,2 "$T/rows")" $'1|001_t.sql\n2|002_u.sql'
}

@test "the second run has nothing to do and says nothing; -v says so" {
    two_files
    run_rung up
    local before
    before=$(sql 'SELECT * FROM schema_migrations ORDER BY version')
    run_rung up
    assert_status 0
    assert_out ''
    assert_err ''
    run_rung up -v
    assert_status 0
    assert_out 'nothing to do: 2 is the newest applied version'
    assert_err ''
    assert_equal "$(sql 'SELECT * FROM schema_migrations ORDER BY version')" "$before"
}

@test "an empty directory is nothing to do, and makes no ledger" {
    run_rung up -v
    assert_status 0
    assert_out 'nothing to do: nothing is applied'
    assert_err ''
    assert_untouched
}

@test "-q says nothing of what went well" {
    two_files
    run_rung up -q
    assert_status 0
    assert_out ''
    assert_err ''
    assert_applied 1 2
}

@test "a new file is applied alone" {
    two_files
    run_rung up
    migration 003_v <<<'CREATE TABLE v (n int);'
    run_rung up
    assert_status 0
    assert_done 'applied 003_v.sql (1 statement)'
    assert_err ''
    assert_applied 1 2 3
}

@test "a file that fails is rolled back, the ones before it stay, those behind it wait" {
    two_files
    migration 003_bad <<'SQL'
CREATE TABLE v (n int);
INSERT INTO v SELECT nosuch FROM t;
CREATE TABLE w (n int);
SQL
    migration 004_x <<<'CREATE TABLE x (n int);'
    run_rung up

    assert_status 1
    assert_done 'applied 001_t.sql (1 statement)' 'applied 002_u.sql (1 statement)'
    assert_err "$(
        cat <<'TEXT'
migrations/003_bad.sql:2:22: error: column "nosuch" does not exist  [42703]
    2 | INSERT INTO v SELECT nosuch FROM t;
      |                      ^~~~~~
003_bad.sql was rolled back at statement 2 of 3; 001-002 are applied. Fix the file and run `rung up`.
TEXT
    )"
    assert_applied 1 2
    assert_sql "SELECT to_regclass('v'), to_regclass('w'), to_regclass('x')" '||'

    sed -i 's/nosuch/n/' migrations/003_bad.sql
    run_rung up
    assert_status 0
    assert_done 'applied 003_bad.sql (3 statements)' 'applied 004_x.sql (1 statement)'
    assert_applied 1 2 3 4
}

@test "up VERSION stops behind that version" {
    two_files
    migration 003_v <<<'CREATE TABLE v (n int);'
    run_rung up 002
    assert_status 0
    assert_done 'applied 001_t.sql (1 statement)' 'applied 002_u.sql (1 statement)'
    assert_err ''
    assert_applied 1 2
    run_rung up 1
    assert_status 0
    assert_out ''
    assert_applied 1 2
    run_rung up 3
    assert_status 0
    assert_done 'applied 003_v.sql (1 statement)'
}

@test "up VERSION of a version that is nowhere is refused, and nothing runs" {
    two_files
    run_rung up 7
    assert_status 2
    assert_out ''
    assert_err 'rung: error: there is no migration 7 in migrations'
    assert_untouched
}

@test "up --dry-run is plan" {
    two_files
    run_rung plan
    local plan=$out
    run_rung up --dry-run
    assert_status 0
    assert_out "$plan"
    assert_err ''
    assert_untouched
    run_rung up --dry-run 1
    assert_out 'apply   001_t.sql  (transaction, 1 statement)'
    assert_untouched
}

@test "the directory is --dir, --migrations-dir, -m or RUNG_DIR" {
    mkdir 'some where'
    printf 'CREATE TABLE t (n int);\n' >'some where/001_t.sql'
    RUNG_DIR='some where' run_rung plan
    assert_out 'apply   001_t.sql  (transaction, 1 statement)'
    RUNG_DIR=/nonexistent run_rung plan -m 'some where'
    assert_status 0
    run_rung plan --migrations-dir='some where'
    assert_status 0
    run_rung up --dir "$T/some where/"
    assert_status 0
    assert_done 'applied 001_t.sql (1 statement)'
    assert_applied 1
}

# ---- out of order, missing, newer, renamed, edited ---------------------------------------

@test "a file below the newest applied one stops up, unless it is allowed" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 003_v <<<'CREATE TABLE v (n int);'
    run_rung up
    migration 002_late <<<'CREATE TABLE late (n int);'
    migration 004_w <<<'CREATE TABLE w (n int);'
    run_rung up
    assert_status 3
    assert_out ''
    assert_err "$(
        cat <<'TEXT'
migrations/002_late.sql: error: not applied, but numbered below 3, the newest applied one
hint: Give it the next free number with `rung renumber`, or apply it as it is with --allow-out-of-order.
TEXT
    )"
    assert_applied 1 3
    run_rung up --allow-out-of-order
    assert_status 0
    assert_done 'applied 002_late.sql (1 statement)' 'applied 004_w.sql (1 statement)'
    assert_applied 1 2 3 4
}

@test "a missing file stops up" {
    two_files
    run_rung up
    rm migrations/001_t.sql
    migration 003_v <<<'CREATE TABLE v (n int);'
    run_rung up
    assert_status 3
    assert_out ''
    assert_err "$(
        cat <<'TEXT'
migrations/001_t.sql: error: recorded, but there is no such file
hint: Bring the file back, or forget it with `rung repair 1 --reason TEXT`.
TEXT
    )"
    assert_applied 1 2
    assert_sql "SELECT to_regclass('v')" ''
}

@test "a row above every file is warned of, and up goes on" {
    two_files
    run_rung up
    rm migrations/002_u.sql
    run_rung up
    assert_status 0
    assert_out ''
    assert_err "$(
        cat <<'TEXT'
migrations/002_u.sql: warning: recorded, but newer than every file here
hint: A release was rolled back, or this directory is not up to date.
TEXT
    )"
    assert_applied 1 2
}

@test "a renamed file is warned of, and up goes on" {
    two_files
    run_rung up
    mv migrations/001_t.sql migrations/001_table.sql
    migration 003_v <<<'CREATE TABLE v (n int);'
    run_rung up
    assert_status 0
    assert_done 'applied 003_v.sql (1 statement)'
    assert_err "$(
        cat <<'TEXT'
migrations/001_table.sql: warning: recorded as 001_t.sql, renamed since
hint: Give it its old name back, or record the new one with `rung repair 1 --reason TEXT`.
TEXT
    )"
    assert_applied 1 2 3
}

@test "an edited file stops up before anything runs" {
    two_files
    run_rung up
    local was now
    was=$(sha256sum migrations/001_t.sql | cut -c 1-12)
    echo '-- more' >>migrations/001_t.sql
    now=$(sha256sum migrations/001_t.sql | cut -c 1-12)
    migration 003_v <<<'CREATE TABLE v (n int);'
    run_rung up
    assert_status 3
    assert_out ''
    assert_err "$(
        cat <<TEXT
migrations/001_t.sql: error: edited after it was applied: recorded $was..., the file is now $now...
hint: Undo the edit and put the change into a new file, or accept it with \`rung repair 1 --reason TEXT\`.
TEXT
    )"
    assert_applied 1 2
    assert_sql "SELECT to_regclass('v')" ''
}

@test "several problems are each named, and summed up" {
    two_files
    run_rung up
    echo '-- more' >>migrations/002_u.sql
    rm migrations/001_t.sql
    run_rung up
    assert_status 3
    assert_out ''
    assert_err_has 'migrations/001_t.sql: error: recorded, but there is no such file' \
        'migrations/002_u.sql: error: edited after it was applied' \
        'rung: error: 2 problems: 001_t.sql missing, 002_u.sql edited'
    assert_err_lacks 'says of each'
    # Who names none says where each is named.
    run_rung plan
    assert_status 3
    assert_out ''
    assert_err 'rung: error: 2 problems: 001_t.sql missing, 002_u.sql edited
hint: `rung status` says of each what to do.'
}

@test "a file whose line endings changed is no drift" {
    two_files
    run_rung up
    sed -i 's/$/\r/' migrations/001_t.sql
    printf '\xef\xbb\xbf' | cat - migrations/002_u.sql >"$T/bom"
    mv "$T/bom" migrations/002_u.sql
    run_rung up
    assert_status 0
    assert_out ''
    assert_err ''
}

@test "what is recorded is what sha256sum prints" {
    migration 001_lf <<<'CREATE TABLE t (n int);'
    printf 'CREATE TABLE u (n int);\r\n' >migrations/002_crlf.sql
    printf '\xef\xbb\xbfCREATE TABLE v (n int);\n' >migrations/003_bom.sql
    printf -- '-- nothing, then something\n' >migrations/004_comment.sql
    printf 'CREATE TABLE grüße (n int)' >migrations/005_no_newline.sql
    run_rung up
    assert_status 0
    assert_sql 'SELECT checksum, filename FROM schema_migrations ORDER BY version' \
        "$(cd migrations && sha256sum ./*.sql | sed 's|  ./|\||')"
}

# ---- drafts ------------------------------------------------------------------------------

@test "a file made by touch is a draft: said, not applied, not recorded" {
    two_files
    run_rung up
    touch "migrations/007_$(date +%Y%m%d)_x.sql"
    local draft
    draft=$(echo migrations/007_*)
    run_rung up
    assert_status 0
    assert_out ''
    assert_err "$draft: notice: holds no statement yet: a draft, not applied"
    assert_applied 1 2
    run_rung up -q
    assert_status 0
    assert_err ''

    echo 'CREATE TABLE seven (n int);' >"$draft"
    run_rung up
    assert_status 0
    assert_done "applied ${draft#migrations/} (1 statement)"
    assert_err ''
    assert_applied 1 2 7
}

@test "a file of nothing but comments is a draft, too" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 002_comment <<<'-- to do /* later */'
    migration 003_semicolons <<<' ; ; /* nothing */ ;'
    run_rung up
    assert_status 0
    assert_done 'applied 001_t.sql (1 statement)'
    assert_err "$(
        cat <<'TEXT'
migrations/002_comment.sql: notice: holds no statement yet: a draft, not applied
migrations/003_semicolons.sql: notice: holds no statement yet: a draft, not applied
TEXT
    )"
    assert_applied 1
}

@test "an empty file between others is recorded, a blank one with a warning" {
    migration 001_comment <<<'-- on purpose'
    : >migrations/002_blank.sql
    migration 003_t <<<'CREATE TABLE t (n int);'
    run_rung up
    assert_status 0
    assert_done 'recorded 001_comment.sql (no statements)' \
        'recorded 002_blank.sql (no statements)' 'applied 003_t.sql (1 statement)'
    assert_err "$(
        cat <<'TEXT'
migrations/002_blank.sql: warning: blank file is recorded as a no-op
hint: If something is to come into it, do that before `rung up`, or remove it.
TEXT
    )"
    assert_sql 'SELECT version, statements FROM schema_migrations ORDER BY version' \
        '1|0' '2|0' '3|1'
}

@test "a recorded empty file that is filled later leads to rung renumber" {
    : >migrations/001_blank.sql
    migration 002_t <<<'CREATE TABLE t (n int);'
    run_rung up
    migration 001_blank <<<'CREATE TABLE late (n int);'
    run_rung up
    assert_status 3
    assert_out ''
    assert_err "$(
        cat <<TEXT
migrations/001_blank.sql: error: edited after it was applied: recorded e3b0c44298fc..., the file is now $(sha256sum migrations/001_blank.sql | cut -c 1-12)...
hint: It was recorded while it was empty: give it the next free number with \`rung renumber\`.
TEXT
    )"
    assert_sql "SELECT to_regclass('late')" ''
}

# ---- one transaction a file ---------------------------------------------------------------

@test "a file and its row are one transaction" {
    migration 001_t <<'SQL'
CREATE TABLE t AS SELECT txid_current() AS n;
INSERT INTO t SELECT txid_current();
SQL
    run_rung up
    assert_status 0
    assert_sql 'SELECT count(DISTINCT n) FROM t' 1
    assert_sql 'SELECT DISTINCT n = (SELECT xmin::text::bigint FROM schema_migrations) FROM t' t
}

@test "a file wrapped in BEGIN and COMMIT runs in rung's transaction" {
    migration 001_t <<'SQL'
SET search_path = public;
BEGIN ISOLATION LEVEL SERIALIZABLE;
CREATE TABLE t AS SELECT current_setting('transaction_isolation') AS isolation;
COMMIT;
SQL
    migration 002_u <<'SQL'
START TRANSACTION;
CREATE TABLE u (n int);
SELECT 1 / 0;
END;
SQL
    run_rung up
    assert_status 1
    assert_done 'applied 001_t.sql (4 statements)'
    assert_err "$(
        cat <<'TEXT'
migrations/002_u.sql:3:1: error: division by zero  [22012]
    3 | SELECT 1 / 0;
      | ^~~~~~
002_u.sql was rolled back at statement 3 of 4; 001 is applied. Fix the file and run `rung up`.
TEXT
    )"
    assert_sql 'SELECT isolation FROM t' serializable
    assert_sql "SELECT to_regclass('u')" ''
    assert_applied 1
}

@test "the modes that a file's SET TRANSACTION asks for hold from the beginning" {
    migration 001_t <<'SQL'
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE;
CREATE TABLE t AS SELECT current_setting('transaction_isolation') AS isolation;
SQL
    migration 002_u <<<"INSERT INTO t VALUES (current_setting('transaction_isolation'));"
    run_rung up
    assert_status 0
    assert_err ''
    assert_sql 'SELECT isolation FROM t' 'repeatable read' 'read committed'
    assert_applied 1 2
}

# refused FILE LINE:COLUMN MESSAGE: of that file nothing runs, and of those before it either.
refused() {
    run_rung up
    assert_status 1
    assert_out ''
    assert_err_has "migrations/$1:$2: error: $3"
    assert_untouched
    rm "migrations/$1"
}

@test "READ ONLY is refused with its line, whoever asks for it" {
    two_files
    migration 003_a <<<$'\n  SET TRANSACTION READ ONLY;'
    refused 003_a.sql 2:3 "READ ONLY: the file's ledger row could not be written"
    migration 003_b <<<$'BEGIN READ ONLY;\nSELECT 1;\nCOMMIT;'
    refused 003_b.sql 1:1 "READ ONLY: the file's ledger row could not be written"
    migration 003_c <<<$'SELECT 1;\nSET transaction_read_only = on;'
    refused 003_c.sql 2:1 "READ ONLY: the file's ledger row could not be written"
}

@test "other transaction control is refused with its line before anything runs" {
    two_files
    migration 003_a <<<$'CREATE TABLE v (n int);\nCOMMIT;\nCREATE TABLE w (n int);'
    refused 003_a.sql 2:1 'COMMIT of a transaction that this file did not begin'
    migration 003_b <<<$'CREATE TABLE v (n int);\n ROLLBACK;'
    refused 003_b.sql 2:2 'ROLLBACK in a file that runs in a transaction'
    migration 003_c <<<$'CREATE TABLE v (n int);\nBEGIN;\nSELECT 1;\nCOMMIT;'
    refused 003_c.sql 2:1 'BEGIN in the middle of a file that runs in a transaction'
    migration 003_d <<<$'BEGIN;\nSELECT 1;\nCOMMIT;\nBEGIN;\nSELECT 2;\nCOMMIT;'
    refused 003_d.sql 3:1 'COMMIT in the middle of a file that runs in a transaction'
    migration 003_e <<<$'BEGIN;\nSELECT 1;'
    refused 003_e.sql 1:1 'BEGIN is not ended by COMMIT'
    migration 003_f <<<$'SELECT 1;\nPREPARE TRANSACTION \'x\';'
    refused 003_f.sql 2:1 'PREPARE TRANSACTION in a file that runs in a transaction'
    migration 003_g <<<$'BEGIN;\nSELECT 1;\nCOMMIT AND CHAIN;\nSELECT 2;\nCOMMIT;'
    refused 003_g.sql 3:1 'COMMIT AND CHAIN in a file that runs in a transaction'
    migration 003_h <<<$'SELECT 1;\nSET TRANSACTION ISOLATION LEVEL SERIALIZABLE;'
    refused 003_h.sql 2:1 'SET TRANSACTION has to be the first statement'
}

@test "savepoints are the file's own business" {
    migration 001_t <<'SQL'
CREATE TABLE t (n int);
SAVEPOINT a;
INSERT INTO t VALUES (1);
ROLLBACK TO a;
INSERT INTO t VALUES (2);
RELEASE a;
SQL
    run_rung up
    assert_status 0
    assert_sql 'SELECT n FROM t' 2
    assert_applied 1
}

@test "a procedure that commits cannot leave rung's transaction" {
    migration 001_p <<'SQL'
CREATE TABLE t (n int);
CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (1); COMMIT; END $$;
SQL
    migration 002_call <<<$'SELECT 1;\nCALL p();'
    run_rung up
    assert_status 1
    assert_done 'applied 001_p.sql (2 statements)'
    assert_err_has 'migrations/002_call.sql:2:1: error: invalid transaction termination' '[2D000]'
    assert_sql 'SELECT count(*) FROM t' 0
    assert_applied 1
}

@test "what the server refuses in a transaction, and nobody saw before, says the way out" {
    local way='hint: Write `-- rung: no-transaction` above the first statement, or give it a file of its own that says so.'
    migration 001_do <<<'DO $$ BEGIN COMMIT; END $$;'
    run_rung up
    assert_status 1
    assert_err_has '001_do.sql:1:7: error: invalid transaction termination' "$way  [2D000]"
    migration 001_do <<'SQL'
CREATE TABLE p (n int) PARTITION BY RANGE (n);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (2);
CREATE INDEX i ON p (n);
REINDEX TABLE p;
SQL
    run_rung up
    assert_status 1
    assert_err_has '001_do.sql:4:1: error: REINDEX TABLE cannot run inside a transaction block' "$way  [25001]"
    # and it is one
    sed -i '1i -- rung: no-transaction' migrations/001_do.sql
    run_rung up
    assert_status 0
    assert_done 'applied 001_do.sql (4 statements)'
    assert_sql 'SELECT statements, note IS NULL FROM schema_migrations' '4|t'

    migration 002_enum <<'SQL'
CREATE TYPE e AS ENUM ('a');
ALTER TYPE e ADD VALUE 'b';
SQL
    migration 003_enum <<<$'ALTER TYPE e ADD VALUE \'c\';\nSELECT \'c\'::e;'
    run_rung up
    assert_status 1
    assert_err_has '003_enum.sql:2:8: error: unsafe use of new value "c" of enum type e' \
        'hint: New enum values must be committed before they can be used.  Add the value in a file of its own, numbered below this one.  [55P04]'
    assert_applied 1 2
}

@test "deferred constraints that do not hold roll the file back, and say when they were checked" {
    migration 001_t <<'SQL'
CREATE TABLE a (id int PRIMARY KEY);
CREATE TABLE b (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED);
INSERT INTO b VALUES (1);
INSERT INTO a VALUES (1);
SQL
    migration 002_u <<<'INSERT INTO b VALUES (2);'
    run_rung up
    assert_status 1
    assert_done 'applied 001_t.sql (4 statements)'
    assert_err "$(
        cat <<'TEXT'
migrations/002_u.sql: error: insert or update on table "b" violates foreign key constraint "b_a_fkey"  [23503]
detail: Key (a)=(2) is not present in table "a".
context: at the end of the file, where deferred constraints and triggers run
002_u.sql was rolled back; 001 is applied. Fix the file and run `rung up`.
TEXT
    )"
    assert_sql 'SELECT a FROM b' 1
    assert_applied 1
}

@test "COPY data is loaded, also two on one line, and what follows them" {
    printf 'CREATE TABLE t (a int, b text);\nCOPY t FROM stdin;\n1\tone;\n2\t\\N\n\\.\n' >migrations/001_t.sql
    printf 'COPY t FROM stdin; COPY t FROM stdin WITH (FORMAT csv); INSERT INTO t VALUES (5);\n' >>migrations/001_t.sql
    printf '3\tthree\n\\.\n4,"four\n\\ no end"\n\\.\nINSERT INTO t VALUES (6, $$\\.$$);\n' >>migrations/001_t.sql
    run_rung up
    assert_status 0
    assert_done 'applied 001_t.sql (6 statements)'
    assert_err ''
    assert_sql "SELECT a, replace(b, E'\n', '/') FROM t ORDER BY a" \
        '1|one;' '2|' '3|three' '4|four/\ no end' '5|' '6|\.'
}

@test "an error in COPY data names the line of the statement and of the data" {
    printf 'CREATE TABLE t (a int);\n\nCOPY t FROM stdin;\n1\nx\n\\.\n' >migrations/001_t.sql
    run_rung up
    assert_status 1
    assert_out ''
    assert_err "$(
        cat <<'TEXT'
migrations/001_t.sql:3:1: error: invalid input syntax for type integer: "x"  [22P02]
    3 | COPY t FROM stdin;
      | ^~~~
context: COPY t, line 2, column a: "x"
001_t.sql was rolled back at statement 2 of 2; nothing is applied. Fix the file and run `rung up`.
TEXT
    )"
    assert_applied
    assert_sql "SELECT to_regclass('t')" ''
}

# ---- without a transaction ------------------------------------------------------------------

@test "a file whose statements all refuse a transaction runs without one by itself" {
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 002_i <<'SQL'
SET maintenance_work_mem = '64MB';
CREATE INDEX CONCURRENTLY i ON t (n);
VACUUM t;
RESET maintenance_work_mem;
SQL
    run_rung plan
    assert_out $'apply   001_t.sql  (transaction, 1 statement)\napply   002_i.sql  (no transaction, 4 statements)'
    run_rung up
    assert_status 0
    assert_done 'applied 001_t.sql (1 statement)' 'applied 002_i.sql (4 statements)'
    assert_err ''
    assert_sql "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass" t
    assert_sql 'SELECT statements, undone, note, checksum FROM schema_migrations WHERE version = 2' \
        "4|||$(sha256sum <migrations/002_i.sql | cut -d ' ' -f 1)"
}

@test "a mixture is refused with its line, and runs with the directive" {
    migration 001_mixed <<'SQL'
CREATE TABLE t (n int);

CREATE INDEX CONCURRENTLY i ON t (n);
INSERT INTO t VALUES (1);
SQL
    run_rung up
    assert_status 1
    assert_out ''
    assert_err "$(
        cat <<'TEXT'
migrations/001_mixed.sql:3:1: error: CREATE INDEX CONCURRENTLY cannot run in a transaction, but other statements of this file do
    3 | CREATE INDEX CONCURRENTLY i ON t (n);
      | ^~~~~~
hint: Give it a file of its own, or write `-- rung: no-transaction` above the first statement.
TEXT
    )"
    assert_untouched

    sed -i '1i -- rung: no-transaction' migrations/001_mixed.sql
    run_rung up
    assert_status 0
    assert_done 'applied 001_mixed.sql (3 statements)'
    assert_err ''
    assert_sql 'SELECT n FROM t' 1
    assert_sql "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass" t
    assert_applied 1
}

@test "a no-transaction file that fails stays unfinished and is resumed where it stopped" {
    migration 001_n <<'SQL'
-- rung: no-transaction
CREATE TABLE t (n int UNIQUE);
INSERT INTO t VALUES (1);
INSERT INTO t VALUES (nosuch);
INSERT INTO t VALUES (3);
SQL
    run_rung up
    assert_status 1
    assert_out ''
    assert_err_has 'migrations/001_n.sql:4:23: error: column "nosuch" does not exist  [42703]'
    assert_sql 'SELECT n FROM t' 1
    assert_sql 'SELECT version, applied_at, statements FROM schema_migrations' '1||2'

    sed -i 's/nosuch/2/' migrations/001_n.sql
    run_rung plan
    assert_status 0
    assert_out 'resume  001_n.sql  (no transaction, 4 statements)'
    run_rung up
    assert_status 0
    assert_done 'applied 001_n.sql (4 statements)'
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2 3
    assert_applied 1
}

@test "a resume refuses when the part that has run was edited" {
    migration 001_n <<'SQL'
-- rung: no-transaction
CREATE TABLE t (n int UNIQUE);
INSERT INTO t VALUES (nosuch);
SQL
    run_rung up
    assert_status 1
    sed -i 's/int UNIQUE/bigint/' migrations/001_n.sql
    run_rung up
    assert_status 3
    assert_out ''
    assert_err_has '001_n.sql was edited where it has already run, up to statement 1'
    assert_sql 'SELECT version, applied_at, statements FROM schema_migrations' '1||1'
}

@test "a resume refuses where what was lost with the session came before" {
    local lost line
    while IFS='|' read -r lost line; do
        migration 001_n <<<"-- rung: no-transaction
$line
SELECT nosuch;"
        run_rung up
        assert_status 1
        sed -i 's/nosuch/1/' migrations/001_n.sql
        run_rung up
        assert_status 3
        assert_out ''
        assert_err "$(
            cat <<TEXT
migrations/001_n.sql: warning: began, and is done up to statement 1
hint: \`rung up\` goes on with it.
migrations/001_n.sql:2:1: error: 001_n.sql cannot be resumed: this $lost was lost with its session
    2 | $line
      | ^$(printf '%*s' $(($(printf '%s' "${line%% *}" | wc -c) - 1)) '' | tr ' ' '~')
hint: Do by hand what is left of the file, from statement 2 on; then \`rung repair 1 --completed --reason TEXT\`.
nothing is applied.
TEXT
        )"
        sql 'DROP TABLE schema_migrations'
    done <<'ROWS'
temporary table|CREATE TEMPORARY TABLE x (n int);
prepared statement|PREPARE x AS SELECT 1;
LISTEN|LISTEN x;
ROWS
}

@test "a resume replays the settings that came before" {
    migration 001_n <<'SQL'
-- rung: no-transaction
SET search_path = pg_catalog;
SET work_mem = '77MB';
CREATE TABLE public.t (memory text);
INSERT INTO public.t VALUES (nosuch);
SQL
    run_rung up
    assert_status 1
    sed -i "s/nosuch/current_setting('work_mem')/" migrations/001_n.sql
    run_rung up
    assert_status 0
    assert_done 'applied 001_n.sql (4 statements)'
    assert_sql 'SELECT memory FROM t' 77MB
}

@test "what refuses a transaction only because its table is partitioned says so, and runs without" {
    sql 'CREATE TABLE t (n int PRIMARY KEY) PARTITION BY RANGE (n);
         CREATE TABLE u PARTITION OF t FOR VALUES FROM (0) TO (9)'
    migration 001_r <<<'REINDEX TABLE t;'
    run_rung up
    assert_status 1
    assert_err_has 'migrations/001_r.sql:1:1: error: REINDEX TABLE cannot run inside a transaction block' \
        'hint: Write `-- rung: no-transaction` above the first statement, or give it a file of its own that says so.  [25001]'
    migration 001_r <<<$'-- rung: no-transaction\nCREATE TABLE v ();\nREINDEX TABLE t;\nREINDEX INDEX t_pkey;'
    local node
    node=$(sql "SELECT relfilenode FROM pg_class WHERE relname = 'u_pkey'")
    run_rung up
    assert_status 0
    assert_err ''
    assert_done 'applied 001_r.sql (3 statements)'
    assert_sql "SELECT relfilenode <> $node FROM pg_class WHERE relname = 'u_pkey'" t
    assert_sql 'SELECT statements, note FROM schema_migrations' '3|'
}

@test "an INVALID index left behind is dropped and built again" {
    migration 001_t <<<'CREATE TABLE t (n int); INSERT INTO t VALUES (1), (1);'
    migration 002_i <<<'CREATE UNIQUE INDEX CONCURRENTLY i ON t (n);'
    run_rung up
    assert_status 1
    assert_err_has 'migrations/002_i.sql:1:' 'could not create unique index "i"' '[23505]' \
        'detail: Key (n)=(1) is duplicated.'
    assert_sql "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass" f
    sql 'DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)'
    run_rung up
    assert_status 0
    assert_done 'applied 002_i.sql (1 statement)'
    assert_sql "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass" t
    assert_applied 1 2
}

@test "IF NOT EXISTS over an invalid index of somebody else's is a failure" {
    sql 'CREATE TABLE t (n int); INSERT INTO t VALUES (1), (1)'
    run sql 'CREATE UNIQUE INDEX CONCURRENTLY i ON t (n)'
    migration 001_i <<<'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (n);'
    run_rung up
    assert_status 1
    assert_out ''
    assert_err "$(
        cat <<'TEXT'
migrations/001_i.sql:1: notice: relation "i" already exists, skipping
migrations/001_i.sql:1:1: error: the index public.i was there already, and it is INVALID: the statement did not build it
    1 | CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (n);
      | ^~~~~~
hint: `rung up` will drop it CONCURRENTLY and build it.
001_i.sql stopped at statement 1 of 1; nothing is applied. Fix the file and run `rung up`.
TEXT
    )"
    assert_applied
}

@test "a BEGIN ... COMMIT group in a no-transaction file is one unit" {
    migration 001_n <<'SQL'
-- rung: no-transaction
CREATE TABLE t (n int);
BEGIN;
INSERT INTO t VALUES (1);
INSERT INTO t VALUES (1 / 0);
COMMIT;
SQL
    run_rung up
    assert_status 1
    assert_err_has 'migrations/001_n.sql:5:' 'division by zero'
    assert_sql 'SELECT count(*) FROM t' 0
    assert_sql 'SELECT statements, applied_at FROM schema_migrations' '1|'
    sed -i 's|1 / 0|2|' migrations/001_n.sql
    run_rung up
    assert_status 0
    assert_sql 'SELECT n FROM t' 1 2
}

# ---- the session ------------------------------------------------------------------------------

@test "nothing of a file's session reaches the next file" {
    make_role other
    migration 001_leaky <<SQL
CREATE SCHEMA elsewhere;
GRANT ALL ON SCHEMA elsewhere, public TO "$role";
SET search_path = elsewhere;
SET work_mem = '123MB';
SELECT set_config('application_name', 'somebody else', false);
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE;
SET standard_conforming_strings = off;
CREATE TABLE made_in_elsewhere (s text);
INSERT INTO made_in_elsewhere VALUES ('it\\'s');
CREATE TEMPORARY TABLE temporary (n int);
PREPARE prepared AS SELECT 1;
DECLARE held CURSOR WITH HOLD FOR SELECT 1;
LISTEN channel;
CREATE SEQUENCE s;
SELECT nextval('s');
SET ROLE "$role";
CREATE TABLE by_role (n int);
SQL
    migration 002_clean <<'SQL'
CREATE TABLE seen AS SELECT current_user AS who,
    current_schema() AS schema,
    current_setting('work_mem') AS memory,
    current_setting('application_name') AS application,
    current_setting('transaction_isolation') AS isolation,
    current_setting('standard_conforming_strings') AS strings,
    to_regclass('pg_temp.temporary') AS temporary,
    (SELECT count(*) FROM pg_prepared_statements) AS prepared,
    (SELECT count(*) FROM pg_cursors WHERE name = 'held') AS cursors,
    'a\b' AS backslash;
SQL
    migration 003_channels <<<'INSERT INTO seen (who) SELECT pg_listening_channels();'
    run_rung up
    assert_status 0
    assert_err "$(
        cat <<'TEXT'
migrations/001_leaky.sql:8: warning: nonstandard use of \' in a string literal
hint: Use '' to write quotes in strings, or use the escape string syntax (E'...').
TEXT
    )"
    assert_sql 'SELECT * FROM seen' \
        'postgres|public|4MB|rung|read committed|on||0|0|a\b'
    assert_sql 'SELECT s FROM elsewhere.made_in_elsewhere' "it's"
    assert_sql "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'by_role'" "$role"
    assert_sql 'SELECT DISTINCT applied_by FROM schema_migrations' postgres
    sql "DROP OWNED BY \"$role\""
}

@test "SET SESSION AUTHORIZATION ends with its file, and so does a lost search_path" {
    make_role other
    migration 001_s <<SQL
SELECT pg_catalog.set_config('search_path', '', false);
SET SESSION AUTHORIZATION "$role";
SELECT 1;
SQL
    migration 002_t <<<'CREATE TABLE t AS SELECT session_user AS s, current_user AS c;'
    run_rung up
    assert_status 0
    assert_err ''
    assert_sql 'SELECT s, c FROM public.t' 'postgres|postgres'
    assert_applied 1 2
}

@test "settings leak neither inside nor out of a no-transaction file" {
    migration 001_n <<'SQL'
-- rung: no-transaction
SET search_path = pg_catalog;
SET work_mem = '77MB';
CREATE TABLE public.t AS SELECT current_setting('work_mem') AS memory;
SQL
    migration 002_t <<<"INSERT INTO t VALUES (current_setting('work_mem'));"
    run_rung up
    assert_status 0
    assert_sql 'SELECT memory FROM t' 77MB 4MB
}

@test "the role's own defaults that would stop a run are overridden, the others hold" {
    make_role app
    sql "GRANT ALL ON DATABASE \"$PGDATABASE\" TO \"$role\"; GRANT ALL ON SCHEMA public TO \"$role\";
         CREATE SCHEMA app AUTHORIZATION \"$role\";
         ALTER ROLE \"$role\" SET statement_timeout = '300ms';
         ALTER ROLE \"$role\" SET lock_timeout = '300ms';
         ALTER ROLE \"$role\" SET idle_in_transaction_session_timeout = '300ms';
         ALTER ROLE \"$role\" SET default_transaction_read_only = on;
         ALTER ROLE \"$role\" SET default_transaction_isolation = 'serializable';
         ALTER ROLE \"$role\" SET standard_conforming_strings = off;
         ALTER ROLE \"$role\" SET client_encoding = 'LATIN1';
         ALTER ROLE \"$role\" SET client_min_messages = 'error';
         ALTER ROLE \"$role\" SET search_path = app;
         ALTER ROLE \"$role\" SET DateStyle = 'German';
         ALTER ROLE \"$role\" SET work_mem = '9MB'"
    migration 001_t <<'SQL'
CREATE TABLE t AS SELECT 'ü\' AS s, date '2025-06-01'::text AS day,
    current_setting('work_mem') AS memory, current_setting('transaction_isolation') AS isolation,
    current_setting('statement_timeout') AS timeout;
SELECT pg_sleep(0.5);
SQL
    migration 002_n <<<'CREATE INDEX CONCURRENTLY i ON t (s);'
    use_database "$PGDATABASE" "$role"
    run_rung up
    assert_status 0
    assert_done 'applied 001_t.sql (2 statements)' 'applied 002_n.sql (1 statement)'
    assert_err ''
    run_rung verify
    assert_status 0
    use_database "$PGDATABASE"
    assert_sql 'SELECT * FROM app.t' 'ü\|01.06.2025|9MB|read committed|0'
    assert_sql 'SELECT version, applied_by FROM app.schema_migrations' "1|$role" "2|$role"
    sql "DROP OWNED BY \"$role\" CASCADE"
}

@test "--statement-timeout and its directive end a statement; the directive wins" {
    migration 001_slow <<<'SELECT pg_sleep(60);'
    run_rung up --statement-timeout 50ms
    assert_status 1
    assert_out ''
    assert_err_has 'migrations/001_slow.sql:1:1: error: canceling statement due to statement timeout  [57014]'
    assert_applied
    migration 001_slow <<<$'-- rung: statement-timeout 1h\nSELECT pg_sleep(0.2);'
    run_rung up --statement-timeout 50ms
    assert_status 0
    assert_applied 1
}

@test "--lock-timeout and its directive limit the waiting for a lock, and exit with 4" {
    sql 'CREATE TABLE t (n int)'
    "$PG_BINDIR/psql" -X -q -c 'BEGIN; LOCK TABLE t; SELECT pg_sleep(300)' >/dev/null 2>&1 3>&- 4>&- &
    background+=("$!")
    wait_until "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 't'::regclass AND granted)"
    migration 001_alter <<<'ALTER TABLE t ADD COLUMN m int;'
    run_rung up --lock-timeout 20ms --lock-retry-for 0
    assert_status 4
    assert_out ''
    assert_err_has 'migrations/001_alter.sql:1:1: error: canceling statement due to lock timeout  [55P03]' \
        '001_alter.sql was rolled back at statement 1 of 1; nothing is applied. Run `rung up` again.'
    migration 001_alter <<<$'-- rung: lock-timeout 20ms\nALTER TABLE t ADD COLUMN m int;'
    run_rung up --lock-timeout 0 --lock-retry-for 0
    assert_status 4
    assert_applied
}

@test "--role runs the files as that role, the ledger stays ours" {
    make_role owner
    sql "GRANT ALL ON SCHEMA public TO \"$role\""
    migration 001_t <<<'CREATE TABLE t (n int);'
    migration 002_n <<<$'-- rung: no-transaction\nCREATE TABLE u (n int);'
    run_rung up --role "$role"
    assert_status 0
    assert_sql "SELECT relname, pg_get_userbyid(relowner) FROM pg_class
                WHERE relname IN ('t', 'u', 'schema_migrations') ORDER BY 1" \
        'schema_migrations|postgres' "t|$role" "u|$role"
    sql "DROP OWNED BY \"$role\" CASCADE"
}

# ---- what is said meanwhile ---------------------------------------------------------------------

@test "notices and warnings are forwarded with the file and line of their statement" {
    migration 001_n <<'SQL'
DROP TABLE IF EXISTS one;
CREATE TABLE t (n int);

DO $$ BEGIN
    RAISE NOTICE 'four';
    RAISE WARNING 'four again' USING DETAIL = 'a detail', HINT = 'A hint.';
END $$;
SELECT 1;
DROP TABLE IF EXISTS nine;
SQL
    migration 002_m <<<$'-- rung: no-transaction\nDROP TABLE IF EXISTS two;'
    run_rung up
    assert_status 0
    assert_done 'applied 001_n.sql (5 statements)' 'applied 002_m.sql (1 statement)'
    assert_err "$(
        cat <<'TEXT'
migrations/001_n.sql:1: notice: table "one" does not exist, skipping
migrations/001_n.sql:4: notice: four
migrations/001_n.sql:4: warning: four again
detail: a detail
hint: A hint.
migrations/001_n.sql:9: notice: table "nine" does not exist, skipping
migrations/002_m.sql:2: notice: table "two" does not exist, skipping
TEXT
    )"
}

@test "notices of rows, of COPY and of the statement behind them keep their lines" {
    migration 001_n <<'SQL'
CREATE TABLE t (n int);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE 'row %', NEW.n; RETURN NEW; END $$;
CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'g'; RETURN 1; END $$;
SELECT g();
DO $$ BEGIN RAISE NOTICE 'seven'; END $$;
COPY t FROM stdin;
1
2
\.
DROP TABLE IF EXISTS twelve;
SQL
    run_rung up
    assert_status 0
    assert_lines "$err" 'migrations/001_n.sql:6: notice: g' 'migrations/001_n.sql:7: notice: seven' \
        'migrations/001_n.sql:8: notice: row 1' 'migrations/001_n.sql:8: notice: row 2' \
        'migrations/001_n.sql:12: notice: table "twelve" does not exist, skipping'
}

@test "-q keeps warnings and drops notices" {
    migration 001_n <<<"DO \$\$ BEGIN RAISE NOTICE 'n'; RAISE WARNING 'w'; END \$\$;"
    run_rung up -q
    assert_status 0
    assert_out ''
    assert_err 'migrations/001_n.sql:1: warning: w'
}

@test "a deferred trigger's notice is forwarded, too" {
    migration 001_n <<'SQL'
CREATE TABLE t (n int);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE WARNING 'at the end'; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER c AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION f();
INSERT INTO t VALUES (1);
SQL
    run_rung up
    assert_status 0
    assert_err 'migrations/001_n.sql: warning: at the end'
}

@test "rows of a SELECT are dropped and not held in memory" {
    migration 001_rows <<<"SELECT repeat('x', 1000) FROM generate_series(1, 200000);"
    migration 002_out <<<'COPY (SELECT 1 FROM generate_series(1, 100000)) TO STDOUT;'
    if [ -n "${SANITIZED-}" ]; then
        run_rung up
    else
        limited() { (ulimit -v 150000 && exec "$RUNG" "$@"); }
        program=limited
        run_rung up
    fi
    assert_status 0
    assert_done 'applied 001_rows.sql (1 statement)' 'applied 002_out.sql (1 statement)'
    assert_err ''
    assert_applied 1 2
}

@test "stdout that cannot be written is a failure, although the work is done" {
    two_files
    status=0
    "$RUNG" up >/dev/full 2>"$T/err" || status=$?
    out='' err=$(cat "$T/err")
    assert_status 1
    assert_err_has 'No space left on device'
    assert_applied 1 2
    status=0
    "$RUNG" status >/dev/full 2>"$T/err" || status=$?
    err=$(cat "$T/err")
    assert_status 1
    assert_err_has 'No space left on device'
}

@test "names with spaces, dots, pluses and letters of any language are taken" {
    migration '001_ein Name' <<<'CREATE TABLE a (n int);'
    migration '002_größe+1.5-b' <<<'CREATE TABLE b (n int);'
    migration '003_表' <<<'CREATE TABLE c (n int);'
    run_rung up
    assert_status 0
    assert_done 'applied 001_ein Name.sql (1 statement)' \
        'applied 002_größe+1.5-b.sql (1 statement)' 'applied 003_表.sql (1 statement)'
    assert_sql 'SELECT filename FROM schema_migrations ORDER BY version' \
        '001_ein Name.sql' '002_größe+1.5-b.sql' '003_表.sql'
}

@test "many runners at once: each file runs once, and every runner succeeds" {
    migration 001_t <<<'CREATE TABLE t (n int); INSERT INTO t VALUES (1);'
    migration 002_u <<<'INSERT INTO t VALUES (2);'
    local i
    for i in 1 2 3 4 5 6; do start_rung "$i" up; done
    for i in 1 2 3 4 5 6; do
        wait_rung "$i"
        assert_status 0
    done
    assert_sql 'SELECT n FROM t ORDER BY n' 1 2
    assert_applied 1 2
}
