/*
 * test_place.c: where a refusal is shown when the server gives no position.
 *
 * `^` marks the byte that must be found; it is taken out before the statement is looked
 * at.  No `^`: the statement's first byte.
 */
#include "internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const struct {
    const char *why, *sql, *message;
} named[] = {
    { "the only token of that name", "ALTER TABLE ^t ADD x int",
        "relation \"t\" does not exist" },
    { "in another case", "ALTER TABLE ^Orders ADD x int",
        "relation \"orders\" does not exist" },
    { "quoted", "ALTER TABLE ^\"Orders\" ADD x int",
        "relation \"Orders\" does not exist" },
    { "quoted, in another case", "ALTER TABLE \"Orders\" ADD x int",
        "relation \"orders\" does not exist" },
    { "quoted, and it would not need it", "DROP TABLE ^\"orders\"",
        "table \"orders\" does not exist" },
    { "behind a schema", "DROP TABLE app.^t", "table \"t\" does not exist" },
    { "the message says the schema, too: not a token", "DROP TABLE app.t",
        "relation \"app.t\" does not exist" },
    { "twice: nobody knows", "ALTER TABLE t ADD CHECK (t IS NULL)",
        "relation \"t\" does not exist" },
    { "twice, once quoted", "SELECT t, \"t\"", "column \"t\" does not exist" },
    { "once as a name, once in a string", "COMMENT ON TABLE ^t IS 't'",
        "relation \"t\" does not exist" },
    { "once as a name, once in comments", "/* t */ DROP TABLE ^t -- t",
        "table \"t\" does not exist" },
    { "a part of a longer word is none", "DROP TABLE tt, ^t, t2",
        "table \"t\" does not exist" },
    { "the first of two names", "ALTER TABLE t DROP COLUMN ^a",
        "column \"a\" of relation \"t\" does not exist" },
    { "none of it is there", "DROP TABLE t", "table \"x\" does not exist" },
    { "no name in the message", "DROP TABLE t", "permission denied" },
    { "a quote without its end", "DROP TABLE t", "there is a \"t" },
    { "an empty name", "DROP TABLE t", "zero-length identifier at \"\"" },
    { "behind letters of several bytes", "ALTER TABLE \xc3\xa4\xe2\x82\xac DROP ^x",
        "column \"x\" does not exist" },
    { "letters of several bytes", "DROP TABLE ^\xc3\xa4",
        "table \"\xc3\xa4\" does not exist" },
    { "behind what does not end", "DROP TABLE ^t, 'open",
        "table \"t\" does not exist" },
    { "an empty statement", "", "table \"t\" does not exist" },
};

static const struct {
    const char *why, *sql, *message, *context, *query, *position;
} inside[] = {
    /* queries inside a function */
    { "a query that stands in the statement", "DO $$BEGIN PERFORM ^x; END$$",
        "column \"x\" does not exist", "", "PERFORM x", "9" },
    { "its position counts characters", "DO $$BEGIN PERFORM '\xc3\xa4', ^x; END$$",
        "column \"x\" does not exist", "", "PERFORM '\xc3\xa4', x", "14" },
    { "that stands there twice", "DO $$BEGIN PERFORM 1 + y; PERFORM 1 + y; END$$",
        "operator does not exist", "", "PERFORM 1 + y", "9" },
    { "twice: then the name decides", "DO 'x x'; SELECT ^y", "\"y\"", "", "x", "1" },
    { "that stands elsewhere", "SELECT f()", "column \"x\" does not exist", "",
        "SELECT x", "8" },
    { "a position that is none", "SELECT x + y", "bad", "", "x", "0" },
    { "a position that is no number", "SELECT x + y", "bad", "", "x", "?" },
    { "a position behind its end", "SELECT x^", "bad", "", "SELECT x", "99" },
    { "no position", "SELECT x + y", "bad", "", "x", NULL },
    { "an empty query", "SELECT x + y", "bad", "", "", "1" },

    /* lines of a DO block */
    { "the first line of a body", "DO $$^BEGIN RAISE 'no'; END$$", "no",
        "PL/pgSQL function inline_code_block line 1 at RAISE", NULL, NULL },
    { "white space in front is stepped over", "DO $$\nBEGIN\n\t  ^RAISE 'no';\nEND$$",
        "no", "PL/pgSQL function inline_code_block line 3 at RAISE", NULL, NULL },
    { "with a tag and a language", "DO LANGUAGE plpgsql $a$\n^BEGIN\nEND$a$", "no",
        "PL/pgSQL function inline_code_block line 2 at RAISE", NULL, NULL },
    { "the language behind it", "do $_1$\n^BEGIN\nEND$_1$ language plpgsql", "no",
        "PL/pgSQL function inline_code_block line 2 at RAISE", NULL, NULL },
    { "a name on that line", "DO $$\nBEGIN\n  PERFORM a, ^b;\nEND$$",
        "column \"b\" does not exist",
        "PL/pgSQL function inline_code_block line 3 at PERFORM", NULL, NULL },
    { "a name on another line, too", "DO $$\nDECLARE b int;\n  b := ^c;\nEND$$",
        "column \"c\" does not exist",
        "PL/pgSQL function inline_code_block line 3 at assignment", NULL, NULL },
    { "the name is not on that line", "DO $$\nBEGIN\n  ^EXECUTE q;\nEND b$$",
        "column \"b\" does not exist",
        "SQL statement \"SELECT b\"\n"
        "PL/pgSQL function inline_code_block line 3 at EXECUTE",
        NULL, NULL },
    { "the last line, without its end", "DO $$\n^END$$", "no",
        "PL/pgSQL function inline_code_block line 2 at RAISE", NULL, NULL },
    { "a line that is empty", "DO $$\n^\nEND$$", "no",
        "PL/pgSQL function inline_code_block line 2 at RAISE", NULL, NULL },
    { "a line behind the end", "DO $$\nEND$$", "no",
        "PL/pgSQL function inline_code_block line 9 at RAISE", NULL, NULL },
    { "line 0", "DO $$\nEND$$", "no",
        "PL/pgSQL function inline_code_block line 0 at RAISE", NULL, NULL },
    { "no line", "DO $$\nEND$$", "no", "PL/pgSQL function inline_code_block line ",
        NULL, NULL },
    { "a body in plain quotes: lines are not counted", "DO '\nBEGIN END'", "no",
        "PL/pgSQL function inline_code_block line 2 at RAISE", NULL, NULL },
    { "an empty body", "DO $$$$", "no",
        "PL/pgSQL function inline_code_block line 1 at RAISE", NULL, NULL },
    { "a body that does not end", "DO $$ x", "no",
        "PL/pgSQL function inline_code_block line 1 at RAISE", NULL, NULL },
    { "no body", "DO", "no", "PL/pgSQL function inline_code_block line 1 at RAISE",
        NULL, NULL },
    { "a line of a function that is only called", "SELECT f()", "no",
        "PL/pgSQL function f() line 1 at RAISE", NULL, NULL },
};

/* Take the `^` out; returns where it stood, 0 without one. */
static size_t
take_mark(char *sql)
{
    char *mark = strchr(sql, '^');

    if (mark == NULL)
        return 0;
    memmove(mark, mark + 1, strlen(mark));
    return (size_t)(mark - sql);
}

static void
check(const char *why, const char *drawn, const char *message, const char *context,
    const char *query, const char *position)
{
    char *sql = strdup(drawn);
    size_t want = take_mark(sql), at;
    struct str exact = str_of(sql);
    char *copy = malloc(exact.n + (exact.n == 0)); /* nothing behind it, for ASan */

    memcpy(copy, sql, exact.n);
    exact.p = copy;
    at = place_guess(exact, message, context, query, position);
    if (at != want)
        fail_msg("%s: at %zu, not %zu, of %s", why, at, want, sql);
    free(copy);
    free(sql);
}

static void
a_name_in_the_message_is_found_when_it_is_the_only_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(named); i++)
        check(named[i].why, named[i].sql, named[i].message, "", NULL, NULL);
}

static void
inside_a_function_the_servers_own_place_is_used(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(inside); i++)
        check(inside[i].why, inside[i].sql, inside[i].message, inside[i].context,
            inside[i].query, inside[i].position);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_in_the_message_is_found_when_it_is_the_only_one),
        cmocka_unit_test(inside_a_function_the_servers_own_place_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
