/*
 * test_fault.c: want of memory, at every single allocation.
 *
 * The linker puts the functions below in front of malloc and its like (Makefile), for
 * our own calls only: libpq and libcrypto keep theirs.  A journey is run again and
 * again, the first time with its first allocation failing, then its second, until one
 * run needs fewer.  Each failure must be an error value; under ASan it must not leak.
 *
 * With RUNG_FAULT_DATABASE (a connection string to an empty database that may be torn
 * down, tests/cli/fault.bats), whole runs are taken through the same; with
 * RUNG_FAULT_EVERY=N only every Nth allocation of theirs fails.
 */
#include "internal.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* ---- the allocator that fails -----------------------------------------------------
 */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_initPQExpBuffer(PQExpBuffer buffer);
void __real_appendPQExpBufferStr(PQExpBuffer buffer, const char *text);
void __real_appendBinaryPQExpBuffer(PQExpBuffer buffer, const char *p, size_t n);
PQconninfoOption *__real_PQconndefaults(void);
EVP_MD_CTX *__real_EVP_MD_CTX_new(void);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_initPQExpBuffer(PQExpBuffer buffer);
void __wrap_appendPQExpBufferStr(PQExpBuffer buffer, const char *text);
void __wrap_appendBinaryPQExpBuffer(PQExpBuffer buffer, const char *p, size_t n);
PQconninfoOption *__wrap_PQconndefaults(void);
EVP_MD_CTX *__wrap_EVP_MD_CTX_new(void);

static struct {
    long left; /* allocations that succeed before one fails; -1: all do */
    bool on;   /* and after it all fail; otherwise one alone */
    bool struck;
} fault = { .left = -1 };

static bool
fails(void)
{
    if (fault.left < 0 || (fault.struck && !fault.on))
        return false;
    if (fault.left > 0) {
        fault.left--;
        return false;
    }
    fault.struck = true;
    return true;
}

void *
__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

/* A buffer of libpq's that runs out of memory is emptied, and broken from then on. */
void
__wrap_initPQExpBuffer(PQExpBuffer buffer)
{
    __real_initPQExpBuffer(buffer);
    if (fails())
        termPQExpBuffer(buffer);
}

void
__wrap_appendPQExpBufferStr(PQExpBuffer buffer, const char *text)
{
    if (fails())
        termPQExpBuffer(buffer);
    __real_appendPQExpBufferStr(buffer, text);
}

void
__wrap_appendBinaryPQExpBuffer(PQExpBuffer buffer, const char *p, size_t n)
{
    if (fails())
        termPQExpBuffer(buffer);
    __real_appendBinaryPQExpBuffer(buffer, p, n);
}

PQconninfoOption *
__wrap_PQconndefaults(void)
{
    return fails() ? NULL : __real_PQconndefaults();
}

EVP_MD_CTX *
__wrap_EVP_MD_CTX_new(void)
{
    return fails() ? NULL : __real_EVP_MD_CTX_new();
}

/* ---- running a journey again and again --------------------------------------------
 */

static char directory[] = "/tmp/rung-fault.XXXXXX";

struct journey {
    const char *name;
    bool (*go)(struct rung_error *err);
    void (*afterwards)(
        const char *name, bool ok); /* NULL: nothing is to be looked at */
};

/* Is this what may be said of it?  libcrypto gives no reason. */
static bool
is_want_of_memory(const struct rung_error *err)
{
    return strcmp(err->message, "out of memory") == 0
           || strcmp(err->message, "cannot compute SHA-256: no reason given") == 0;
}

/* Let allocation 0, `every`, 2 * `every`, ... fail. */
static void
fail_everywhere(const struct journey *journey, bool on, long every)
{
    for (long i = 0;; i += every) {
        struct rung_error err = { 0 };
        bool ok, struck;

        fault.left = i;
        fault.on = on;
        fault.struck = false;
        ok = journey->go(&err);
        struck = fault.struck;
        fault.left = -1;
        if (!struck && !ok)
            fail_msg("%s fails without cause: %s", journey->name, err.message);
        if (!struck && i == 0)
            fail_msg("%s allocates nothing: are the calls wrapped?", journey->name);
        if (ok != (err.code == RUNG_OK))
            fail_msg("%s, allocation %ld: %s, but its code is %d", journey->name, i,
                ok ? "true" : "false", (int)err.code);
        if (!ok && !is_want_of_memory(&err))
            fail_msg("%s, allocation %ld: %s", journey->name, i, err.message);
        if (journey->afterwards != NULL)
            journey->afterwards(journey->name, ok);
        if (!struck)
            break;
        assert_true(i < 100000);
    }
}

/* ---- without a server --------------------------------------------------------------
 */

static const struct {
    const char *name, *text;
} files[] = {
    { "001_tables.sql", "-- rung: lock-timeout 10s\n"
                        "CREATE TABLE fault_a (n int PRIMARY KEY, t text);\n"
                        "INSERT INTO fault_a VALUES (1, 'it''s; \\'), (2, $$;$$);\n" },
    { "001_tables.down.sql", "DROP TABLE fault_a;\n" },
    { "002_wrapped.sql", "BEGIN ISOLATION LEVEL SERIALIZABLE;\n"
                         "ALTER TABLE fault_a ADD x int;\nCOMMIT;\n" },
    { "002_wrapped.down.sql", "ALTER TABLE fault_a DROP x;\n" },
    { "003_copy.sql", "COPY fault_a (n, t) FROM stdin;\n3\tc\n4\t\\N\n\\.\n"
                      "UPDATE fault_a SET x = n;\n" },
    { "003_copy.down.sql", "DELETE FROM fault_a WHERE n > 2;\n" },
    { "004_index.sql", "-- rung: no-transaction\n"
                       "SET work_mem = '8MB';\n"
                       "CREATE INDEX CONCURRENTLY fault_i ON fault_a (t);\n"
                       "CREATE TABLE fault_b (n int);\n" },
    { "004_index.down.sql", "-- rung: no-transaction\n"
                            "DROP TABLE fault_b;\n"
                            "DROP INDEX CONCURRENTLY fault_i;\n" },
    { "005_comment.sql", "-- nothing\n" },
    { "005_comment.down.sql", "" },
    { "006_function.sql", "CREATE FUNCTION fault_f() RETURNS int LANGUAGE sql\n"
                          "BEGIN ATOMIC SELECT 1; SELECT 2; END;\n" },
    { "006_function.down.sql", "DROP FUNCTION fault_f();\n" },
    { "007_draft.sql", "" },
    { "misnamed.sql", "SELECT 1;\n" },
};

static int
make_directory(void **state)
{
    char path[256];

    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    for (size_t i = 0; i < COUNT(files); i++) {
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", directory, files[i].name);
        file = fopen(path, "w");
        if (file == NULL || fputs(files[i].text, file) < 0 || fclose(file) != 0)
            return -1;
    }
    return 0;
}

static int
drop_directory(void **state)
{
    char path[256];

    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", directory, files[i].name);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/%s", directory, SUMS_NAME);
    unlink(path);
    return rmdir(directory);
}

/* A row as the ledger would have it, for a file that was edited since. */
static bool
decode_rows(struct ledger_rows *rows, struct rung_error *err)
{
    static char names[][24] = { "version", "filename", "checksum", "\"rung applied\"",
        "applied_by", "note" };
    static char applied[] = "rung applied";
    static char values[][8] = { "1", "1_a.sql", "0", "17", "app", "why" };
    PGresAttDesc attributes[6] = { { 0 } };
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    bool ok;

    for (int i = 0; i < 6; i++) {
        attributes[i].name = i == 3 ? applied : names[i];
        attributes[i].typid = i == 0 ? 20 : 25;
    }
    assert_true(PQsetResultAttrs(res, 6, attributes));
    for (int i = 0; i < 6; i++)
        assert_true(PQsetvalue(res, 0, i, values[i], (int)strlen(values[i])));
    ok = ledger_decode(rows, res, err);
    PQclear(res);
    return ok;
}

static bool
judge_all(struct sqldir *dir, struct rung_error *err)
{
    for (size_t i = 0; i < dir->n; i++)
        if (dir->files[i]->type == SQLFILE_UP
            && (!judge_file(dir, dir->files[i], err)
                || (dir->files[i]->down != NULL
                    && !judge_file(dir, dir->files[i]->down, err))))
            return false;
    return true;
}

static bool
read_and_plan(struct rung_error *err)
{
    struct sqldir dir = { .fd = -1 };
    struct ledger_rows rows = { 0 };
    struct plan_options options = { RUNG_NO_VERSION, true };
    struct rung_list list = { 0 };
    bool ok = decode_rows(&rows, err);

    ok = ok && sqldir_open(&dir, directory, err) && sqldir_hash(&dir, true, err)
         && judge_all(&dir, err)
         && sqlfile_line_endings_only(&dir, dir.files[0], "0", err)
         && plan_make(&dir, &rows, &options, &list, err)
         && (plan_keep(&list, "kept") != NULL || err_memory(err));
    rung_list_free(&list);
    ledger_rows_free(&rows);
    sqldir_close(&dir);
    return ok;
}

static bool
write_and_compare_sums(struct rung_error *err)
{
    struct sqldir dir = { .fd = -1 };
    struct sums sums = { 0 };
    struct sums_finding *findings = NULL;
    struct ledger_rows rows = { 0 };
    struct plan_options options = { RUNG_NO_VERSION, true };
    struct rung_list list = { 0 };
    size_t n = 0;
    bool found = false;
    bool ok = sqldir_open(&dir, directory, err) && sqldir_hash(&dir, true, err)
              && sums_write(&dir, err) && sums_read(&sums, &dir, &found, err);

    if (ok)
        sums.entries[0].checksum[0] ^= 1; /* so that something is found */
    ok = ok && sums_compare(&sums, &dir, &findings, &n, err)
         && plan_make(&dir, &rows, &options, &list, err)
         && plan_add_sums(&list, findings, n, err);
    free(findings);
    sums_free(&sums);
    rung_list_free(&list);
    sqldir_close(&dir);
    return ok;
}

static bool
check_conninfo(struct rung_error *err)
{
    char *copy = NULL;
    bool ok = conninfo_check("postgresql+x://u@h/db?sslmode=require", &copy, err);

    free(copy);
    return ok;
}

/* lint finds the UPDATE in 003_copy.sql: that, or want of memory. */
static bool
look_for_harm(struct rung_error *err)
{
    struct rung_options there = RUNG_OPTIONS;
    struct rung_lint lint = { .from = RUNG_NO_VERSION };
    struct rung_lint_result result;
    bool ok;

    there.directory = directory;
    ok = rung_lint(&there, &lint, &result, err);
    if (!ok && err->code == RUNG_DRIFT) {
        assert_int_equal(result.findings, 1);
        *err = (struct rung_error){ 0 };
        ok = true;
    }
    return ok;
}

static void
reading_and_planning_fail_with_an_error(void **state)
{
    static const struct journey journeys[] = {
        { "read_and_plan", read_and_plan, NULL },
        { "write_and_compare_sums", write_and_compare_sums, NULL },
        { "check_conninfo", check_conninfo, NULL },
        { "look_for_harm", look_for_harm, NULL },
    };

    (void)state;
    for (size_t i = 0; i < 2 * COUNT(journeys); i++)
        fail_everywhere(&journeys[i / 2], i % 2 == 1, 1);
}

/* ---- with a server ------------------------------------------------------------------
 */

static struct rung_options options;
static PGconn *admin;

static bool
up(struct rung_error *err)
{
    struct rung_result result;

    return rung_up(&options, RUNG_NO_VERSION, &result, err);
}

static bool
down(struct rung_error *err)
{
    struct rung_result result;

    return rung_down(&options, 0, RUNG_NO_VERSION, &result, err);
}

static bool
stamp(struct rung_error *err)
{
    struct rung_result result;

    return rung_stamp(&options, RUNG_NO_VERSION, &result, err);
}

static bool
look(struct rung_error *err)
{
    struct rung_list list = { 0 };
    bool ok = rung_status(&options, &list, err);

    rung_list_free(&list);
    list = (struct rung_list){ 0 };
    ok = ok && rung_plan(&options, RUNG_NO_VERSION, &list, err);
    rung_list_free(&list);
    list = (struct rung_list){ 0 };
    ok = ok && rung_history(&options, &list, err);
    rung_list_free(&list);
    return ok;
}

/* verify finds misnamed.sql: that, or want of memory. */
static bool
verify(struct rung_error *err)
{
    struct rung_list list = { 0 };
    bool ok = rung_verify(&options, false, false, &list, err);

    if (!ok && err->code == RUNG_DRIFT) {
        *err = (struct rung_error){ 0 };
        ok = true;
    }
    rung_list_free(&list);
    return ok;
}

/* The first value of a query of the test's own. */
static char *
ask(const char *sql)
{
    PGresult *res = PQexec(admin, sql);
    char *value;

    if (PQresultStatus(res) != PGRES_TUPLES_OK
        && PQresultStatus(res) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(admin));
    value = strdup(PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
    PQclear(res);
    return value;
}

static void
run(const char *sql)
{
    free(ask(sql));
}

/* Ledger, rows, columns and indexes, in one text. */
static char *
picture(void)
{
    return ask(
        "SELECT (SELECT string_agg(format('%s %s %s %s', version, filename, checksum,"
        " applied_at IS NOT NULL), ',' ORDER BY version) FROM schema_migrations)"
        " || (SELECT string_agg(format('%s %s', relname, attname), ',' ORDER BY relname,"
        " attnum) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE"
        " relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped)"
        " || (SELECT string_agg(fault_a::text, ',' ORDER BY n) FROM fault_a)"
        " || (SELECT string_agg(format('%s %s', relname, indisvalid), ',' ORDER BY"
        " relname) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE"
        " relnamespace = 'public'::regnamespace)");
}

static char *undisturbed;

static void
start_anew(void)
{
    run("DROP SCHEMA public CASCADE");
    run("CREATE SCHEMA public");
}

static void
again_without_fault(const char *name, bool (*go)(struct rung_error *err))
{
    struct rung_error err = { 0 };

    if (!go(&err))
        fail_msg("%s, undisturbed: %s", name, err.message);
}

static void
after_up(const char *name, bool ok)
{
    char *now;

    if (!ok)
        again_without_fault(name, up);
    now = picture();
    if (strcmp(now, undisturbed) != 0)
        fail_msg("%s ended in another database:\n%s\n%s", name, now, undisturbed);
    free(now);
    start_anew();
}

static void
after_down(const char *name, bool ok)
{
    char *left;

    if (!ok)
        again_without_fault(name, down);
    left =
        ask("SELECT (SELECT count(*) FROM schema_migrations) + (SELECT count(*) FROM "
            "pg_class WHERE relname LIKE 'fault%') + (SELECT count(*) FROM pg_proc "
            "WHERE proname LIKE 'fault%')");
    assert_string_equal(left, "0");
    free(left);
    again_without_fault(name, up);
}

static void
after_stamp(const char *name, bool ok)
{
    char *rows;

    if (!ok)
        again_without_fault(name, stamp);
    rows = ask("SELECT count(applied_at) FROM schema_migrations");
    assert_string_equal(rows, "6");
    free(rows);
    start_anew();
}

static void
whole_runs_fail_with_an_error_and_can_be_repeated(void **state)
{
    static const struct journey journeys[] = {
        { "up", up, after_up },
        { "stamp", stamp, after_stamp },
        { "look, nothing there", look, NULL },
    };
    static const struct journey later[] = {
        { "look", look, NULL },
        { "verify", verify, NULL },
        { "nothing to do", up, NULL },
        { "down", down, after_down },
    };
    const char *database = getenv("RUNG_FAULT_DATABASE");
    const char *stride = getenv("RUNG_FAULT_EVERY");
    long every = stride == NULL ? 1 : strtol(stride, NULL, 10);

    (void)state;
    if (database == NULL)
        return;
    assert_true(every > 0);
    options = RUNG_OPTIONS;
    options.database = database;
    options.directory = directory;
    admin = PQconnectdb(database);
    assert_int_equal(PQstatus(admin), CONNECTION_OK);
    run("SET client_min_messages = error");
    again_without_fault("up", up);
    undisturbed = picture();
    start_anew();

    for (size_t i = 0; i < 2 * COUNT(journeys); i++)
        fail_everywhere(&journeys[i / 2], i % 2 == 1, every);
    again_without_fault("up", up);
    for (size_t i = 0; i < 2 * COUNT(later); i++)
        fail_everywhere(&later[i / 2], i % 2 == 1, every);
    start_anew();
    free(undisturbed);
    PQfinish(admin);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_and_planning_fail_with_an_error),
        cmocka_unit_test(whole_runs_fail_with_an_error_and_can_be_repeated),
    };

    return cmocka_run_group_tests(tests, make_directory, drop_directory);
}
