/*
 * test_judge.c: can a file run, and how.
 *
 * The cases are files, tests/cases/judge/NAME.sql and what is wanted, NAME.want:
 * tests/cases/README.md says how to write one.
 */
#include "cases.h"

#include <sys/stat.h>

#define CASES "tests/cases/judge/"

static void
append_time(PQExpBuffer out, const char *name, int64_t ms)
{
    if (ms >= 0)
        appendPQExpBuffer(out, "%s %lld\n", name, (long long)ms);
}

/* The numbers of the statements that the verdict skips. */
static void
append_skips(PQExpBuffer out, const struct sqldir *dir, const struct sqlfile *file)
{
    struct rung_error err;
    struct source src;
    struct reader r;
    struct statement stmt;
    bool found = true, any = false;

    assert_true(source_open(&src, dir, file, &err));
    assert_true(reader_open(&r, &src, READER_WINDOW, NULL, &err));
    while (assert_true(sql_next(&r, &stmt, &found, &err)), found)
        if (verdict_skips(&file->verdict, &stmt)) {
            appendPQExpBuffer(
                out, "%s %llu", any ? "" : "skips", (unsigned long long)stmt.number);
            any = true;
        }
    if (any)
        appendPQExpBufferChar(out, '\n');
    reader_close(&r);
    source_close(&src);
}

/* Judge a file and write down the verdict, as a .want file does. */
static void
render(const struct sqldir *dir, struct sqlfile *file, PQExpBuffer out)
{
    const struct verdict *verdict = &file->verdict;
    struct rung_error err;

    if (!judge_file(dir, file, &err)) {
        assert_false(verdict->judged);
        assert_int_equal(err.code, RUNG_FAILED);
        appendPQExpBuffer(out, "error %llu:%llu %s\n", (unsigned long long)err.line,
            (unsigned long long)err.column, err.message);
        if (err.hint[0] != '\0')
            appendPQExpBuffer(out, "hint %s\n", err.hint);
        return;
    }
    assert_true(verdict->judged);
    appendPQExpBuffer(
        out, "statements %llu\n", (unsigned long long)verdict->statements);
    appendPQExpBufferStr(out, verdict->blank ? "blank\n" : "");
    appendPQExpBufferStr(
        out, verdict->no_transaction ? "no-transaction\n" : "transaction\n");
    appendPQExpBufferStr(out, verdict->wrapped ? "wrapped\n" : "");
    if (verdict->modes[0] != '\0')
        appendPQExpBuffer(out, "modes %s\n", verdict->modes);
    append_time(out, "lock-timeout", verdict->directives.lock_timeout_ms);
    append_time(out, "statement-timeout", verdict->directives.statement_timeout_ms);
    appendPQExpBufferStr(out, verdict->directives.irreversible ? "irreversible\n" : "");
    append_skips(out, dir, file);
}

static bool
run_case(const struct sqldir *dir, const char *name)
{
    return cases_compare(dir, name, render);
}

static void
every_case_is_judged_as_wanted(void **state)
{
    (void)state;
    cases_each(CASES, run_case, 80);
}

/* plain.sql, found but not read yet. */
static struct sqlfile
plain_file(const struct sqldir *dir)
{
    static char name[] = "plain.sql";
    struct stat st;

    assert_int_equal(fstatat(dir->fd, name, &st, 0), 0);
    return (struct sqlfile){ .name = name, .size = (uint64_t)st.st_size };
}

static void
the_checksum_is_filled_in_where_it_is_not_known(void **state)
{
    struct sqldir dir = cases_open(CASES);
    struct sqlfile file = plain_file(&dir), again = file;
    struct rung_error err;

    (void)state;
    assert_true(judge_file(&dir, &file, &err));
    assert_int_equal(strlen(file.checksum), 64);
    memcpy(again.checksum, file.checksum, sizeof again.checksum);
    assert_true(judge_file(&dir, &again, &err));
    assert_string_equal(again.checksum, file.checksum);
    close(dir.fd);
}

static void
a_file_that_is_not_what_was_hashed_is_refused(void **state)
{
    struct sqldir dir = cases_open(CASES);
    struct sqlfile file = plain_file(&dir);
    struct rung_error err;

    (void)state;
    memset(file.checksum, 'a', 64);
    assert_false(judge_file(&dir, &file, &err));
    assert_int_equal(err.code, RUNG_FAILED);
    assert_string_equal(err.message, "plain.sql changed while it was read");
    assert_false(file.verdict.judged);
    close(dir.fd);
}

/* Does a file of this text, judged for a ledger of that place, bring the ledger along?
 */
static bool
brings_ledger(
    const char *sql, const char *schema, const char *table, bool in_path, char *message)
{
    struct sqldir dir = { .path = "m",
        .fd = -1,
        .ledger_schema = schema,
        .ledger_table = table,
        .ledger_in_path = in_path };
    char name[] = "001_x.sql", bytes[256];
    struct sqlfile file = { .name = name, .size = strlen(sql), .bytes = bytes };
    struct rung_error err;

    text_format(bytes, sizeof bytes, "%s", sql);
    if (judge_file(&dir, &file, &err))
        return false;
    text_format(message, 256, "%s", err.message);
    return true;
}

static void
a_dump_that_brings_the_ledger_along_is_refused(void **state)
{
    static const struct {
        const char *sql, *schema, *table;
        bool in_path, refused;
    } rows[] = {
        { "create table public.\"L\"\"r\" (a int)", "public", "L\"r", true, true },
        { "create table Public . ledger (a int)", "public", "ledger", true, true },
        { "create table /**/ LEDGER (a int)", "public", "ledger", true, true },
        { "create unlogged table ledger (a int)", "public", "ledger", true, true },
        { "copy \"ledger\" (a) from stdin;\n\\.\n", "public", "ledger", true, true },
        { "copy public.ledger from stdin;\n\\.\n", "public", "ledger", true, true },
        { "create table ledger (a int)", "ops", "ledger", false, false },
        { "create table ops.ledger (a int)", "ops", "ledger", false, true },
        { "create table app.ledger (a int)", "public", "ledger", true, false },
        { "create table \"Ledger\" (a int)", "public", "ledger", true, false },
        { "create table ledgers (a int)", "public", "ledger", true, false },
        { "create table ledge (a int)", "public", "ledger", true, false },
        { "create table \"ledge\" (a int)", "public", "ledger", true, false },
        { "create table u&\"ledger\" (a int)", "public", "ledger", true, false },
        { "create table x.public.ledger (a int)", "public", "ledger", true, false },
        { "create table if not exists ledger (a int)", "public", "ledger", true,
            false },
        { "create temp table ledger (a int)", "public", "ledger", true, false },
        { "set search_path = app; create table ledger (a int)", "public", "ledger",
            true, false },
        { "set x.y = 1; create table public.ledger ()", "public", "ledger", true,
            true },
        { "create table public.ledger (a int)", NULL, "ledger", true, false },
        { "create table ledger (a int)", NULL, "ledger", true, true },
        { "create table ledger (a int)", NULL, NULL, false, false },
        { "create view ledger as select 1", "public", "ledger", true, false },
    };
    char message[256] = "";

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (brings_ledger(
                rows[i].sql, rows[i].schema, rows[i].table, rows[i].in_path, message)
            != rows[i].refused)
            fail_msg("%s: %s", rows[i].sql, rows[i].refused ? "taken" : "refused");
    assert_true(brings_ledger("create table l ()", "s", "l", true, message));
    assert_string_equal(message, "the file creates \"l\", rung's own ledger");
    assert_true(brings_ledger("copy l from stdin;\n\\.\n", "s", "l", true, message));
    assert_string_equal(message, "the file fills \"l\", rung's own ledger");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_judged_as_wanted),
        cmocka_unit_test(the_checksum_is_filled_in_where_it_is_not_known),
        cmocka_unit_test(a_file_that_is_not_what_was_hashed_is_refused),
        cmocka_unit_test(a_dump_that_brings_the_ledger_along_is_refused),
    };

    return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
