#!/usr/bin/env bats
# shellcheck disable=SC2016 # backquotes are part of what is said
#
# `rung lint`: what may hurt a database in use.  The rules themselves have their cases in
# tests/cases/lint; here is what the program makes of them, and whether the server agrees.

load ../lib/helpers

setup() {
    rung_setup
}

teardown() {
    rung_teardown
}

# ---- what is said --------------------------------------------------------------------

@test "lint: a finding has its place, its rule, the lock, and the safe form" {
    migration 001_a <<<'CREATE TABLE a (n int);'
    migration 002_b <<<$'-- an index\n\n    CREATE INDEX ON a (n);'
    run_rung lint
    assert_status 3
    assert_err ''
    assert_lines "$out" \
        'migrations/002_b.sql:3:5: warning: CREATE INDEX on "a" without CONCURRENTLY [index-without-concurrently]' \
        '    3 |     CREATE INDEX ON a (n);' \
        '      |     ^~~~~~' \
        'lock: SHARE on the table.  Reads go on, but every INSERT, UPDATE and DELETE waits until the index is built and the file is committed.' \
        'hint: Write CONCURRENTLY, in a file of its own: rung runs that without a transaction.' \
        'looked at 2 migrations: 1 finding'
    assert_untouched
}

@test "lint: nothing to find is exit 0, and --quiet says nothing" {
    migration 001_a <<<'CREATE TABLE a (n int); CREATE INDEX ON a (n);'
    run_rung lint
    assert_status 0
    assert_out 'looked at 1 migration: no findings'
    assert_err ''
    run_rung lint --quiet
    assert_status 0
    assert_out ''
    assert_err ''
}

@test "lint: the sample has nothing to find" {
    run_rung lint -m "$repo/migrations"
    assert_status 0
    assert_out 'looked at 6 migrations: no findings'
}

@test "lint: it connects to nothing" {
    migration 001_a <<<'DROP TABLE a;'
    DATABASE_URL=postgresql://nobody@127.0.0.1:1/nowhere run_rung lint
    assert_status 3
    assert_err ''
    assert_out_has 'table "a" is dropped [rename-or-drop]'
    run_rung lint -d postgresql:///x
    assert_status 2
    assert_err_has 'rung: error: --database does not belong to `rung lint`'
}

@test "lint: what is allowed is counted, and up applies the file all the same" {
    sql 'CREATE TABLE a (n int); CREATE TABLE b (n int)'
    migration 001_a <<<$'-- rung: allow rename-or-drop nobody reads it\nDROP TABLE a;\n-- rung: allow rename-or-drop nor this\nDROP TABLE b;'
    run_rung lint
    assert_status 0
    assert_out 'looked at 1 migration: no findings, 2 allowed'
    run_rung up
    assert_status 0
    assert_err ''
    assert_done 'applied 001_a.sql (2 statements)'
    assert_sql "SELECT to_regclass('a'), to_regclass('b')" '|'
}

@test "up does not mind a rule that this rung does not know" {
    migration 001_a <<<$'-- rung: allow a-rule-of-tomorrow it is fine\nCREATE TABLE a (n int); -- rung: allow another\n-- rung: allow'
    run_rung up
    assert_status 0
    assert_err ''
    assert_applied 1
    run_rung lint
    assert_status 1
    assert_out_has 'migrations/001_a.sql:1:1: error: there is no rule "a-rule-of-tomorrow"'
}

@test "lint: a file that up would refuse is named, and the others are looked at" {
    migration 001_a <<<'SELECT (1;'
    migration 002_b <<<'DELETE FROM b;'
    migration 003_c <<<$'-- rung: no-transactoin\nSELECT 1;'
    migration 004_d <<<$'CREATE INDEX CONCURRENTLY ON b (n);\nSELECT 1;'
    run_rung lint
    assert_status 1
    assert_err ''
    assert_lines "$(grep -v '^ \|^lock\|^hint' <<<"$out")" \
        'migrations/001_a.sql:1:8: error: unclosed parenthesis' \
        'migrations/002_b.sql:1:1: warning: DELETE FROM "b" without WHERE [update-or-delete-without-where]' \
        'migrations/003_c.sql:1:1: error: unknown directive "no-transactoin"' \
        'migrations/004_d.sql:1:1: error: CREATE INDEX CONCURRENTLY cannot run in a transaction, but other statements of this file do' \
        'looked at 4 migrations: 1 finding, 3 migrations refused'
}

@test "lint: a file that cannot be read stops it, behind what was found before" {
    migration 001_a <<<'DROP TABLE a;'
    migration 002_b <<<'DROP TABLE b;'
    skip_if_root
    chmod 000 migrations/002_b.sql
    run_rung lint
    assert_status 1
    assert_err_has 'cannot open "migrations/002_b.sql"'
    assert_out_has '"a" is dropped'
    assert_out_lacks 'looked at'
}

# ---- which files ---------------------------------------------------------------------

@test "lint: VERSION and --from choose files; down files are left out" {
    local n
    for n in 1 2 3; do migration "00${n}_x" <<<"DROP TABLE t$n;"; done
    migration 003_x.down <<<'DELETE FROM t3;'
    run_rung lint 1 003
    assert_status 3
    assert_out_has '"t1"' '"t3"' 'looked at 2 migrations: 2 findings'
    assert_out_lacks '"t2"' 'down.sql'
    run_rung lint --from 2
    assert_status 3
    assert_out_has '"t2"' '"t3"' 'looked at 2 migrations: 2 findings'
    run_rung lint --from 4
    assert_status 0
    assert_out 'looked at no migrations: no findings'
    run_rung lint 4
    assert_status 2
    assert_out ''
    assert_err 'rung: error: there is no migration 4 in migrations'
    run_rung lint -m nowhere
    assert_status 2
    assert_out ''
    assert_err_has 'nowhere'
}

# ---- is it so? -----------------------------------------------------------------------

# A table with rows, and what the statements need.
prepare_server() {
    sql "CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1);
         CREATE TABLE t (n int, v varchar(10), k int, id int NOT NULL);
         INSERT INTO t SELECT g, g, 1, g FROM generate_series(1, 10) g;
         CREATE UNIQUE INDEX t_n ON t (n); CREATE UNIQUE INDEX t_id ON t (id);
         CREATE SEQUENCE s;
         CREATE FUNCTION steady() RETURNS int LANGUAGE sql IMMUTABLE RETURN 1"
}

# Does the statement rewrite t, read all of it, or build an index on it?  Says which.
what_it_does() {
    PGOPTIONS='-c client_min_messages=debug1' "$PG_BINDIR/psql" -X -q -A -t -d "$PGDATABASE" \
        -v ON_ERROR_STOP=1 -c "BEGIN; $1; ROLLBACK" 2>&1 3>&- 4>&- |
        sed -n -e 's/.*DEBUG:  \(rewriting table\|verifying table\|validating foreign key\|building index\).*/\1/p' \
            -e '/ERROR/p' | sort -u
}

@test "lint agrees with the server on what rewrites or reads a table" {
    local statement done_by found
    prepare_server
    while read -r statement; do
        [ -n "$statement" ] || continue
        done_by=$(what_it_does "$statement")
        [[ $done_by != *ERROR* ]] || fail_with "$statement" "$done_by"
        migration 001_x <<<"$statement;"
        run_rung lint
        found=no
        [ "$status" -eq 0 ] || found=yes
        if [ -n "$done_by" ] && [ "$found" = no ]; then
            fail_with "not found: $statement" "$done_by"
        elif [ -z "$done_by" ] && [ "$found" = yes ]; then
            fail_with "found, but harmless: $statement"
        fi
    done <<'SQL'
ALTER TABLE t ADD a int
ALTER TABLE t ADD a int DEFAULT 1 NOT NULL
ALTER TABLE t ADD a timestamptz DEFAULT now() NOT NULL
ALTER TABLE t ADD a timestamptz DEFAULT date_trunc('day', CURRENT_TIMESTAMP(3))
ALTER TABLE t ADD a uuid DEFAULT gen_random_uuid()
ALTER TABLE t ADD a timestamptz DEFAULT clock_timestamp()
ALTER TABLE t ADD a int DEFAULT nextval('s')
ALTER TABLE t ADD a serial
ALTER TABLE t ADD a int GENERATED ALWAYS AS IDENTITY
ALTER TABLE t ADD a int GENERATED ALWAYS AS (n * 2) STORED
ALTER TABLE t ADD a int REFERENCES u
ALTER TABLE t ADD a int DEFAULT 1 REFERENCES u
ALTER TABLE t ADD a int DEFAULT NULL REFERENCES u
ALTER TABLE t ADD a int CHECK (a > 0)
ALTER TABLE t ADD a int UNIQUE
ALTER TABLE t ALTER n TYPE bigint
ALTER TABLE t ALTER n SET NOT NULL
ALTER TABLE t ALTER n SET DEFAULT 5
ALTER TABLE t ALTER n SET DEFAULT random()
ALTER TABLE t ADD CHECK (n > 0)
ALTER TABLE t ADD CONSTRAINT c CHECK (n > 0) NOT VALID
ALTER TABLE t ADD FOREIGN KEY (k) REFERENCES u
ALTER TABLE t ADD FOREIGN KEY (k) REFERENCES u NOT VALID
ALTER TABLE t ADD UNIQUE (n)
ALTER TABLE t ADD PRIMARY KEY (id)
ALTER TABLE t ADD UNIQUE USING INDEX t_n
ALTER TABLE t ADD PRIMARY KEY USING INDEX t_id
ALTER TABLE t ALTER id DROP NOT NULL
ALTER TABLE t ALTER v SET STATISTICS 10
ALTER TABLE t SET (fillfactor = 90)
CREATE INDEX ON t (k)
SQL
}

@test "lint: the way round SET NOT NULL that the hint describes reads nothing" {
    prepare_server
    sql 'ALTER TABLE t ADD CONSTRAINT c CHECK (n IS NOT NULL) NOT VALID;
         ALTER TABLE t VALIDATE CONSTRAINT c'
    assert_equal "$(what_it_does 'ALTER TABLE t ALTER n SET NOT NULL')" ''
    migration 001_x <<<'ALTER TABLE t VALIDATE CONSTRAINT c; ALTER TABLE t ALTER n SET NOT NULL;'
    run_rung lint
    assert_status 0
}

@test "lint: no function of the server's that is volatile passes for another" {
    need_server 15 # in 14 one of several timezone() is volatile
    sql "SELECT DISTINCT format('ALTER TABLE t ADD c text DEFAULT %I();', proname) FROM pg_proc
         WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'" |
        LC_ALL=C sort >migrations/001_x.sql
    run_rung lint
    assert_status 3
    # What is said to be volatile must be; what passes must not be.
    sed -n 's/.*default calls \(.*\)(), which is volatile.*/\1/p' "$T/out" | LC_ALL=C sort -u >"$T/is"
    sed -n 's/.*default calls \(.*\)(), which may be volatile.*/\1/p' "$T/out" | LC_ALL=C sort -u >"$T/may"
    sql "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
         AND prokind = 'f' AND provolatile = 'v'" | LC_ALL=C sort >"$T/volatile"
    [ -s "$T/is" ] && [ -s "$T/may" ] && [ -s "$T/volatile" ]
    assert_equal "$(LC_ALL=C comm -23 "$T/is" "$T/volatile")" ''
    assert_equal "$(LC_ALL=C sort -u "$T/is" "$T/may" | LC_ALL=C comm -13 - "$T/volatile")" ''
}

# ---- other people's files ------------------------------------------------------------

@test "lint: real migrations are looked at without an error" {
    local project
    need_corpus README.md
    for project in atuin crates-io docs-rs; do
        run_rung lint -m "$corpus_dir/$project"
        assert_status 3
        assert_err ''
        assert_out_lacks 'error:'
    done
}

@test "lint: a dump of a database is its own, from the first table to the last" {
    local file
    for file in "$repo"/migrations/*.sql; do
        [[ $file == *.down.sql ]] || psql_files "$file"
    done
    "$PG_BINDIR/pg_dump" "$PGDATABASE" 3>&- 4>&- >migrations/001_dump.sql
    run_rung lint
    assert_status 0
    assert_out 'looked at 1 migration: no findings'
}

# ---- the manual ----------------------------------------------------------------------

@test "lint: the examples of docs/lint.md are what the page says they are" {
    local rule='' kind='' line n=0
    while IFS= read -r line; do
        case $line in
        '### '*) rule=${line#'### '} kind=bad ;;
        '## '*) kind=good ;;
        '```sql') : >"$T/example" ;;
        '```')
            cp "$T/example" migrations/001_x.sql
            run_rung lint
            if [ "$kind" = bad ]; then
                assert_status 3
                assert_equal "$(grep -o '\[[a-z-]*\]$' "$T/out" | sort -u)" "[$rule]"
                kind=good
            else
                assert_status 0
            fi
            n=$((n + 1))
            ;;
        *) [ -z "$rule" ] || printf '%s\n' "$line" >>"$T/example" ;;
        esac
    done < <(sed -n '/^### /,$p' "$repo/docs/lint.md")
    [ "$n" -eq 21 ]
}
