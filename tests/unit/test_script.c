/*
 * test_script.c: the script for psql, made without a connection.
 *
 * That psql runs it to the same end as `rung up` is tests/cli/plan_sql.bats's to prove.
 */
#include "internal.h"

#include "directory.h"

#include <string.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static struct rung_error err;
static PQExpBufferData script;
static size_t room; /* put() fails beyond */

static int
begin(void **state)
{
    room = SIZE_MAX;
    initPQExpBuffer(&script);
    return make_directory(state);
}

static int
end(void **state)
{
    termPQExpBuffer(&script);
    return remove_directory(state);
}

static bool
take(void *arg, const char *bytes, size_t n)
{
    (void)arg;
    if (script.len + n > room)
        return false;
    appendBinaryPQExpBuffer(&script, bytes, n);
    return true;
}

static bool
plan(int64_t version, int64_t from, bool together)
{
    struct rung_options options = RUNG_OPTIONS;

    options.directory = where;
    options.one_transaction = together;
    resetPQExpBuffer(&script);
    err = (struct rung_error){ .code = RUNG_OK };
    return rung_plan_sql(&options, version, from, take, NULL, &err);
}

/* What stands between the last two of ours around the file's statements. */
static const char *
between(const char *start, const char *end)
{
    static char text[8192];
    const char *from = strstr(script.data, start), *to;

    assert_non_null(from);
    from += strlen(start);
    to = strstr(from, end);
    assert_non_null(to);
    assert_true((size_t)(to - from) < sizeof text);
    memcpy(text, from, (size_t)(to - from));
    text[to - from] = '\0';
    return text;
}

static const struct {
    const char *why, *file, *want;
} statements[] = {
    { "an end is added", "SELECT 1", "SELECT 1;\n" },
    { "each on a line of its own", "SELECT 1;SELECT 2;", "SELECT 1;\nSELECT 2;\n" },
    { "comments between go", "-- a\nSELECT 1 -- b\n;", "SELECT 1;\n" },
    { "comments within stay", "SELECT /* : ; */ 1", "SELECT /* : ; */ 1;\n" },
    { "a psql variable", "SELECT a[1:ERROR]", "SELECT a[1\\:ERROR];\n" },
    { "a number", "SELECT a[1:2]", "SELECT a[1\\:2];\n" },
    { "quoted", "SELECT a[1:\"x\"], a[:'1']", "SELECT a[1\\:\"x\"], a[\\:'1'];\n" },
    { "apart", "SELECT a[1 : x]", "SELECT a[1 : x];\n" },
    { "casts", "SELECT 1::int, a[1::int:2]", "SELECT 1::int, a[1::int\\:2];\n" },
    { "named arguments", "SELECT f(x:=1)", "SELECT f(x:=1);\n" },
    { "in quotes", "SELECT ':a;', $$:a;$$, \":a;\"",
        "SELECT ':a;', $$:a;$$, \":a;\";\n" },
    { "a rule", "CREATE RULE r AS ON UPDATE TO t DO (SELECT 1; SELECT 2);",
        "CREATE RULE r AS ON UPDATE TO t DO (SELECT 1\\; SELECT 2)\n\\g\n" },
    { "a body", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END; SELECT 2;",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1\\; END\n\\g\nSELECT 2;\n" },
    { "a function named begin", "CREATE FUNCTION begin() RETURNS int AS $$x$$;",
        "CREATE FUNCTION begin() RETURNS int AS $$x$$\n\\g\n" },
    { "a backslash in a string",
        "SET standard_conforming_strings = off;SELECT 'a\\';:b'",
        "SET standard_conforming_strings = off;\nSELECT 'a\\';:b';\n" },
    { "COPY", "COPY t FROM stdin;\n:a\t;\n\\.\nSELECT 1;",
        "COPY t FROM stdin;\n:a\t;\n\\.\nSELECT 1;\n" },
    { "a COPY's line goes on", "COPY t FROM stdin; SELECT 1;\n1\n\\.\n",
        "COPY t FROM stdin;\n1\n\\.\nSELECT 1;\n" },
    { "of pg_dump", "\\restrict abc\nSELECT 1;\n\\unrestrict abc\n", "SELECT 1;\n" },
    { "wrapped", "BEGIN; SELECT 1; COMMIT;", "SELECT 1;\n" },
    { "CRLF and a mark", "\xef\xbb\xbfSELECT 1;\r\nSELECT $$\r\n$$;\r\n",
        "SELECT 1;\nSELECT $$\r\n$$;\n" },
};

static void
the_server_gets_each_statement_as_it_stands(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(statements); i++) {
        put("001_a.sql", statements[i].file);
        if (!plan(RUNG_NO_VERSION, 1, false))
            fail_msg("%s: %s", statements[i].why, err.message);
        assert_string_equal(between(", NULL);\n", "SET CONSTRAINTS ALL IMMEDIATE;"),
            statements[i].want);
    }
}

static void
a_large_file_goes_out_in_pieces(void **state)
{
    char path[128];
    FILE *f;
    size_t n = 0;

    (void)state;
    snprintf(path, sizeof path, "%s/001_a.sql", where);
    f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 20000; i++)
        fprintf(f, "INSERT INTO t VALUES (%d, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx');\n", i);
    fprintf(f, "SELECT '%0300000d';\n", 0);
    fclose(f);
    assert_true(plan(RUNG_NO_VERSION, 1, false));
    for (const char *at = script.data; (at = strstr(at, "INSERT INTO t ")) != NULL;
         at++)
        n++;
    assert_int_equal(n, 20000);
    assert_true(script.len > 1400000);

    room = 500000;
    assert_false(plan(RUNG_NO_VERSION, 1, false));
    assert_string_equal(err.message, "the script could not be written");
    assert_null(strstr(script.data, "COMMIT;"));
}

static void
from_begins_where_it_says(void **state)
{
    (void)state;
    put("001_a.sql", "SELECT '"); /* is applied: what is in it does not matter */
    put("002_b.sql", "SELECT 2;");
    put("003_c.sql", "SELECT 3;");
    put("004_draft.sql", "");
    assert_true(plan(RUNG_NO_VERSION, 2, false));
    assert_null(strstr(script.data, "001_a.sql"));
    assert_non_null(strstr(script.data, "\\echo '002_b.sql'\n"));
    assert_non_null(strstr(script.data, "\\echo '003_c.sql'\n"));
    assert_null(strstr(script.data, "004_draft.sql"));
    assert_true(plan(2, 2, false));
    assert_null(strstr(script.data, "003_c.sql"));

    assert_false(plan(RUNG_NO_VERSION, 9, false));
    assert_int_equal(err.code, RUNG_USAGE);
    assert_false(plan(RUNG_NO_VERSION, 1, false));
    assert_string_equal(err.message, "unterminated quoted string");
    assert_int_equal(script.len, 0);
}

static void
what_a_directory_refuses_no_script_is_made_of(void **state)
{
    (void)state;
    put("001_a.sql", "SELECT 1;");
    put("1_b.sql", "SELECT 1;");
    assert_false(plan(RUNG_NO_VERSION, 1, false));
    assert_int_equal(err.code, RUNG_FAILED);
    assert_int_equal(script.len, 0);
}

static void
all_in_one_transaction(void **state)
{
    size_t begins = 0, commits = 0;

    (void)state;
    put("001_a.sql", "SELECT 1;");
    put("002_b.sql", "SELECT 2;");
    assert_true(plan(RUNG_NO_VERSION, 1, true));
    for (const char *at = script.data; (at = strstr(at, "\nBEGIN ")) != NULL; at++)
        begins++;
    for (const char *at = script.data; (at = strstr(at, "\nCOMMIT;")) != NULL; at++)
        commits++;
    assert_int_equal(begins, 1);
    assert_int_equal(commits, 1);

    put("003_c.sql", "VACUUM;");
    assert_false(plan(RUNG_NO_VERSION, 1, true));
    assert_int_equal(script.len, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_server_gets_each_statement_as_it_stands),
        TEST(a_large_file_goes_out_in_pieces),
        TEST(from_begins_where_it_says),
        TEST(what_a_directory_refuses_no_script_is_made_of),
        TEST(all_in_one_transaction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
