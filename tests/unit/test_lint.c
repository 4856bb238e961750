/*
 * test_lint.c: what may hurt a database in use, and what is no business of lint's.
 *
 * The cases are files, tests/cases/lint/NAME.sql and what is wanted, NAME.want:
 * tests/cases/README.md says how to write one.
 */
#include "cases.h"

#define CASES "tests/cases/lint/"

/* For rung_lint.each: write a finding down, as a .want file does. */
static void
write_finding(void *arg, const struct rung_finding *finding)
{
    const struct rung_error *err = finding->error;
    PQExpBuffer out = arg;

    appendPQExpBuffer(out, "%s%llu:%llu%s%s %s\n",
        finding->rule == NULL ? "error " : "", (unsigned long long)err->line,
        (unsigned long long)err->column, finding->rule == NULL ? "" : " ",
        finding->rule == NULL ? "" : finding->rule->id, err->message);
    if (finding->rule == NULL) {
        assert_int_equal(err->code, RUNG_FAILED);
        if (err->hint[0] != '\0')
            appendPQExpBuffer(out, "hint %s\n", err->hint);
        return;
    }
    assert_string_equal(err->hint, finding->rule->instead);
    assert_non_null(strstr(err->detail, finding->rule->lock));
    assert_non_null(strstr(err->detail, finding->rule->why));
}

/* Look at a file and write down what was found, as a .want file does. */
static void
render(const struct sqldir *dir, struct sqlfile *file, PQExpBuffer out)
{
    struct rung_lint lint = { .each = write_finding, .arg = out };
    struct rung_lint_result result = { 0 };
    struct rung_error err;

    assert_true(lint_file(dir, file, &lint, &result, &err));
    assert_int_equal(result.files, 1);
    if (result.allowed > 0)
        appendPQExpBuffer(out, "allowed %zu\n", result.allowed);
}

static bool
run_case(const struct sqldir *dir, const char *name)
{
    return cases_compare(dir, name, render);
}

static void
every_case_is_found_as_wanted(void **state)
{
    (void)state;
    cases_each(CASES, run_case, 20);
}

static void
a_file_that_cannot_be_read_is_no_finding(void **state)
{
    struct sqldir dir = cases_open(CASES);
    char name[] = "nothing.sql";
    struct sqlfile file = { .name = name };
    PQExpBuffer got = createPQExpBuffer();
    struct rung_lint lint = { .each = write_finding, .arg = got };
    struct rung_lint_result result = { 0 };
    struct rung_error err;

    (void)state;
    assert_false(lint_file(&dir, &file, &lint, &result, &err));
    assert_int_equal(err.code, RUNG_FAILED);
    assert_string_equal(err.message,
        "cannot open \"tests/cases/lint/nothing.sql\": No such file or directory");
    assert_int_equal(result.refused, 0);
    assert_string_equal(got->data, "");
    destroyPQExpBuffer(got);
    close(dir.fd);
}

static bool
count_hit(void *arg, const struct rule_hit *hit)
{
    size_t *hits = arg;

    assert_true(hit->rule < RULES);
    ++*hits;
    return true;
}

/* A statement that is cut off anywhere is looked at without reading behind it: the
 * sanitizers see to that. */
static void
statements_that_end_anywhere_are_looked_at(void **state)
{
    static const char *const statements[] = {
        "ALTER TABLE ONLY (s.t) ADD COLUMN IF NOT EXISTS a int DEFAULT "
        "(f('x'::numeric(1, 2)) + ARRAY[1][1]) NOT NULL CHECK (a > 0) NOT ENFORCED, ADD "
        "CONSTRAINT c FOREIGN KEY (a) REFERENCES t NOT VALID, RENAME COLUMN a TO b, "
        "ALTER COLUMN a SET DATA TYPE text, VALIDATE CONSTRAINT c, DROP COLUMN IF "
        "EXISTS a, ADD UNIQUE USING INDEX i, ADD b int GENERATED ALWAYS AS (1) STORED",
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY s.t (a)",
        "CREATE TEMP TABLE IF NOT EXISTS a.b.c AS WITH x (a) AS NOT MATERIALIZED "
        "(DELETE FROM ONLY (t)) SEARCH DEPTH FIRST BY a SET b CYCLE a SET b USING c, y "
        "AS (SELECT 1) UPDATE t SET a = 1",
        "REINDEX (VERBOSE, CONCURRENTLY) INDEX CONCURRENTLY i",
        "SELECT set_config('search_path', 'a, b', false) INTO TEMP TABLE t",
        "SET LOCAL search_path TO \"$user\", 'a'",
        "DROP TABLE IF EXISTS a.b, U&\"c!0061!+00006\" UESCAPE '!'",
        "CREATE SCHEMA IF NOT EXISTS s AUTHORIZATION r CREATE TABLE t (a int)",
    };
    static const struct lexer lexer = { .more = false };
    size_t hits = 0;

    (void)state;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        for (size_t n = 1; n <= strlen(statements[i]); n++) {
            char *bytes = malloc(n);
            struct rules rules;
            struct rung_error err;

            assert_non_null(bytes);
            memcpy(bytes, statements[i], n);
            rules_open(&rules, true);
            assert_true(rules_look(
                &rules, &lexer, (struct str){ bytes, n }, count_hit, &hits, &err));
            rules_close(&rules);
            free(bytes);
        }
    assert_true(hits > 0);
}

/* What a file of this text is told for, rule after rule. */
static void
found_in(const char *sql, size_t n, PQExpBuffer got)
{
    struct sqldir dir = { .path = "m", .fd = -1 };
    char name[] = "001_x.sql", *bytes = malloc(n + 1);
    struct sqlfile file = { .name = name, .size = n, .bytes = bytes };
    struct rung_lint lint = { .each = write_finding, .arg = got };
    struct rung_lint_result result = { 0 };
    struct rung_error err;

    assert_non_null(bytes);
    memcpy(bytes, sql, n);
    assert_true(lint_file(&dir, &file, &lint, &result, &err));
    free(bytes);
}

/* Nothing is quadratic in what stands in one statement, or nested in it. */
static void
deep_and_long_statements_are_looked_at(void **state)
{
    PQExpBuffer sql = createPQExpBuffer(), got = createPQExpBuffer();

    (void)state;
    for (int i = 0; i < 20000; i++)
        appendPQExpBufferStr(sql, "WITH a AS (");
    for (int i = 0; i < 20000; i++)
        appendPQExpBufferStr(sql, ")");
    appendPQExpBufferStr(sql, ";\nALTER TABLE t ADD a int DEFAULT 1");
    for (int i = 0; i < 20000; i++)
        appendPQExpBufferStr(sql, ", ADD b int DEFAULT ((1) + (2))");
    appendPQExpBufferStr(sql, ";\nDELETE FROM t;\n");
    found_in(sql->data, sql->len, got);
    assert_string_equal(got->data,
        "3:1 update-or-delete-without-where DELETE FROM \"t\" without WHERE\n");
    destroyPQExpBuffer(sql);
    destroyPQExpBuffer(got);
}

/* docs/lint.md says of each rule what the table says. */
static void
the_manual_has_every_rule(void **state)
{
    PQExpBuffer doc = createPQExpBuffer(), want = createPQExpBuffer();
    size_t n;
    const struct rung_rule *rules = rung_lint_rules(&n);
    const char *at;

    (void)state;
    cases_slurp(AT_FDCWD, "docs/lint.md", doc);
    at = doc->data;
    assert_int_equal(n, 10);
    for (size_t i = 0; i < n; i++) {
        resetPQExpBuffer(want);
        appendPQExpBuffer(want,
            "\n### %s\n\n%s.\n\n- Lock: %s.\n- Why: %s\n- Instead: %s\n", rules[i].id,
            rules[i].title, rules[i].lock, rules[i].why, rules[i].instead);
        at = strstr(at, want->data);
        if (at == NULL)
            fail_msg("docs/lint.md lacks, or has elsewhere:\n%s", want->data);
    }
    destroyPQExpBuffer(doc);
    destroyPQExpBuffer(want);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_found_as_wanted),
        cmocka_unit_test(a_file_that_cannot_be_read_is_no_finding),
        cmocka_unit_test(statements_that_end_anywhere_are_looked_at),
        cmocka_unit_test(deep_and_long_statements_are_looked_at),
        cmocka_unit_test(the_manual_has_every_rule),
    };

    return cmocka_run_group_tests_name("lint", tests, NULL, NULL);
}
