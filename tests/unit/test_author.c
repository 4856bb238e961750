/*
 * test_author.c: new files and other numbers, in a directory of each test's own.
 *
 * What renumber does with a ledger needs a server: tests/cli/renumber.bats.
 */
#include "internal.h"

#include "directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static struct rung_error err;
static char told[1024]; /* events: "old>new " or "!warning " */

static void
hear(void *arg, const struct rung_event *event)
{
    size_t n = strlen(told);

    (void)arg;
    if (event->kind == RUNG_EVENT_DONE)
        snprintf(told + n, sizeof told - n, "%s>%s ", event->message, event->path);
    else
        snprintf(told + n, sizeof told - n, "!%s ", event->message);
}

static struct rung_options
options(void)
{
    struct rung_options o = RUNG_OPTIONS;

    o.directory = where;
    o.on_event = hear;
    return o;
}

static int
begin(void **state)
{
    told[0] = '\0';
    return make_directory(state);
}

static void
empty_directory(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -f '%s'/*", where);
    assert_int_equal(system(command), 0);
}

/* Set the time of a file's last change. */
static void
age(const char *name, time_t seconds)
{
    const struct timespec times[2] = { { seconds, 0 }, { seconds, 0 } };
    char path[512];

    snprintf(path, sizeof path, "%s/%s", where, name);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* A file's text; valid until the next call. */
static const char *
get(const char *name)
{
    static char text[4096];
    char path[512];
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", where, name);
    f = fopen(path, "r");
    if (f == NULL)
        return "(no such file)";
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static int
by_name(const void *left, const void *right)
{
    const char *const *a = left, *const *b = right;

    return strcmp(*a, *b);
}

/* The names in the directory, sorted, a blank behind each. */
static const char *
listing(void)
{
    static char text[4096];
    char *there[64] = { NULL };
    size_t n = 0;
    DIR *stream = opendir(where);
    struct dirent *entry;

    assert_non_null(stream);
    while ((entry = readdir(stream)) != NULL && n < COUNT(there))
        if (entry->d_name[0] != '.')
            there[n++] = strdup(entry->d_name);
    closedir(stream);
    qsort(there, n, sizeof there[0], by_name);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(text);

        snprintf(text + used, sizeof text - used, "%s ", there[i]);
        free(there[i]);
    }
    return text;
}

/* The name of the file that `rung new` makes. */
static const char *
make(const char *name, bool down)
{
    static char path[512];
    struct rung_options o = options();

    err = (struct rung_error){ .code = RUNG_OK };
    if (!rung_new(&o, name, down, path, sizeof path, &err))
        fail_msg("%s: %s", name, err.message);
    assert_memory_equal(path, where, strlen(where));
    return path + strlen(where) + 1;
}

/* ---- names ------------------------------------------------------------------------
 */

static const struct {
    const char *typed, *file;
} names[] = {
    { "add users", "001_add_users.sql" },
    { "Add  Users ", "001_add_users.sql" },
    { "add_users.sql", "001_add_users.sql" },
    { "--drop!! table;", "001_drop_table.sql" },
    { "F\xc3\xbc\xc3\x9f"
      "e & \xe8\xa1\xa8",
        "001_f\xc3\xbc\xc3\x9f"
        "e_\xe8\xa1\xa8.sql" },
    { "a/../b", "001_a_.._b.sql" },
    { "v1.2+fix-3", "001_v1.2+fix-3.sql" },
    { "two\nlines\t", "001_two_lines.sql" },
    { "no\xc2\xa0"
      "break",
        "001_no_break.sql" },
    { "2025 budget", "001_2025_budget.sql" },
    { "countdown", "001_countdown.sql" },
};

static void
what_the_user_typed_becomes_a_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_string_equal(make(names[i].typed, false), names[i].file);
        empty_directory();
    }
}

#define UP_OR_DOWN(name)                                                               \
    "\"" name "\" cannot be the name of a migration: what it ends in says up or down"
#define TOO_LONG "the name is too long: a file name has at most 200 bytes"
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
    const char *typed, *message;
} no_names[] = {
    { "", "no file name can be made of \"\"" },
    { " _-. ", "no file name can be made of \" _-. \"" },
    { ".sql", "no file name can be made of \".sql\"" },
    { "a\xff", "the name is not UTF-8: \"a\\xff\"" },
    { "slow down", UP_OR_DOWN("slow down") },
    { "a.down.sql", UP_OR_DOWN("a.down.sql") },
    { "a.up", UP_OR_DOWN("a.up") },
    { X50 X50 X50 X50, TOO_LONG },
    { X50 X50 X50 X50 X50 X50 X50 X50 X50 X50 X50 X50, TOO_LONG },
    /* with .down.sql it would be too long */
    { X50 X50 X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", TOO_LONG },
};

static void
what_makes_no_name_is_refused(void **state)
{
    struct rung_options o = options();
    char path[512];

    (void)state;
    for (size_t i = 0; i < COUNT(no_names); i++) {
        assert_false(rung_new(&o, no_names[i].typed, false, path, sizeof path, &err));
        assert_string_equal(err.message, no_names[i].message);
        assert_int_equal(err.code, RUNG_USAGE);
    }
    assert_string_equal(listing(), "");
}

/* ---- numbers ----------------------------------------------------------------------
 */

static const struct {
    const char *there, *next;
} numbers[] = {
    { "9_a.sql", "10_x.sql" },
    { "09_a.sql", "10_x.sql" },
    { "0007_a.sql", "0008_x.sql" },
    { "000_a.sql", "001_x.sql" },
    { "999_a.sql", "1000_x.sql" },
    { "005_only.down.sql", "006_x.sql" },
    { "misnamed.sql", "001_x.sql" },
    { "00000012_a.sql", "00000013_x.sql" },
    { "20251399_a.sql", "20251400_x.sql" },
    { "29990228_a.sql", "29990301_x.sql" },
    { "29960228_a.sql", "29960229_x.sql" },
    { "299912312359_a.sql", "300001010000_x.sql" },
    { "29990228235959_a.sql", "29990301000000_x.sql" },
    { "29990101120000_a.sql", "29990101120001_x.sql" },
};

static void
the_style_of_numbers_goes_on_above_the_highest(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        put(numbers[i].there, "");
        assert_string_equal(make("x", false), numbers[i].next);
        empty_directory();
    }
}

static void
a_time_is_now_in_utc(void **state)
{
    static const char *const styles[] = { "20200101_a.sql", "202001011200_a.sql",
        "20200101120000_a.sql" };

    (void)state;
    for (size_t i = 0; i < COUNT(styles); i++) {
        size_t width = strcspn(styles[i], "_");
        char before[64], after[64];
        time_t now = time(NULL);
        const char *name;

        put(styles[i], "");
        strftime(before, sizeof before, "%Y%m%d%H%M%S", gmtime(&now));
        name = make("x", false);
        now = time(NULL);
        strftime(after, sizeof after, "%Y%m%d%H%M%S", gmtime(&now));
        assert_string_equal(name + width, "_x.sql");
        assert_true(strncmp(before, name, width) <= 0);
        assert_true(strncmp(name, after, width) <= 0);
        empty_directory();
    }
}

static void
numbers_have_18_digits_at_most(void **state)
{
    struct rung_options o = options();
    char path[512];

    (void)state;
    put("999999999999999999_a.sql", "");
    assert_false(rung_new(&o, "x", false, path, sizeof path, &err));
    assert_string_equal(
        err.message, "no number of 18 digits is left above 999999999999999999");
}

/* ---- what is written --------------------------------------------------------------
 */

static void
new_files_say_what_they_are_and_are_drafts(void **state)
{
    struct sqldir dir;
    char date[16], want[256];
    time_t now = time(NULL);

    (void)state;
    strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
    assert_string_equal(
        make("rung: no-transaction", true), "001_rung_no-transaction.sql");
    snprintf(want, sizeof want,
        "-- 001_rung_no-transaction.sql\n-- date: %s\n"
        "-- description: rung: no-transaction\n\n",
        date);
    assert_string_equal(get("001_rung_no-transaction.sql"), want);
    snprintf(want, sizeof want,
        "-- 001_rung_no-transaction.down.sql\n-- date: %s\n"
        "-- undoes: 001_rung_no-transaction.sql\n\n",
        date);
    assert_string_equal(get("001_rung_no-transaction.down.sql"), want);

    assert_true(sqldir_open(&dir, where, &err));
    assert_int_equal(dir.n, 2);
    for (size_t i = 0; i < dir.n; i++) {
        if (!judge_file(&dir, dir.files[i], &err))
            fail_msg("%s", err.message);
        assert_int_equal(dir.files[i]->verdict.statements, 0);
        assert_false(dir.files[i]->verdict.no_transaction);
    }
    sqldir_close(&dir);
}

static void
a_description_stays_on_its_line(void **state)
{
    (void)state;
    make("x\nDROP TABLE t;", false);
    assert_non_null(
        strstr(get("001_x_drop_table_t.sql"), "-- description: x\\x0aDROP TABLE t;\n"));
}

static void
nothing_is_overwritten(void **state)
{
    (void)state;
    put("001_x.sql", "mine");
    put("003_x.down.sql", "mine");
    assert_string_equal(make("x", true), "004_x.sql");
    assert_string_equal(get("001_x.sql"), "mine");
    assert_string_equal(get("003_x.down.sql"), "mine");
}

static void
a_directory_that_is_not_there_is_named(void **state)
{
    struct rung_options o = options();
    char path[512];

    (void)state;
    o.directory = "/tmp/rung-no-such-directory";
    assert_false(rung_new(&o, "x", false, path, sizeof path, &err));
    assert_string_equal(
        err.message, "no such directory: \"/tmp/rung-no-such-directory\"");
    assert_non_null(strstr(err.hint, "mkdir"));
    assert_false(rung_sum(&o, &err));
    assert_int_equal(err.code, RUNG_USAGE);
}

/* ---- SHA256SUMS -------------------------------------------------------------------
 */

static bool
sums_agree(void)
{
    char command[128];

    snprintf(command, sizeof command,
        "cd '%s' && sha256sum -c --status --strict SHA256SUMS", where);
    return system(command) == 0;
}

static void
sums_are_kept_where_they_are(void **state)
{
    struct rung_options o = options();

    (void)state;
    make("a", false);
    assert_string_equal(listing(), "001_a.sql ");
    assert_true(rung_sum(&o, &err));
    make("b", true);
    assert_true(sums_agree());
    assert_non_null(strstr(get("SHA256SUMS"), "  002_b.down.sql\n"));
    assert_string_equal(told, "");
}

static void
an_edit_does_not_disappear_from_the_sums(void **state)
{
    struct rung_options o = options();

    (void)state;
    put("001_a.sql", "SELECT 1;");
    assert_true(rung_sum(&o, &err));
    put("001_a.sql", "SELECT 2;");
    assert_string_equal(make("b", false), "002_b.sql");
    assert_false(sums_agree());
    assert_string_equal(told,
        "!SHA256SUMS is left as it is: 001_a.sql is not what SHA256SUMS says it is ");
    assert_true(rung_sum(&o, &err));
    assert_true(sums_agree());
}

static void
with_a_bad_line_in_the_sums_nothing_is_made(void **state)
{
    struct rung_options o = options();
    char path[512];

    (void)state;
    put("SHA256SUMS", "rubbish\n");
    assert_false(rung_new(&o, "x", false, path, sizeof path, &err));
    assert_int_equal(err.line, 1);
    assert_string_equal(listing(), "SHA256SUMS ");
}

/* ---- renumber, without a ledger ----------------------------------------------------
 */

static size_t
renumber(void)
{
    struct rung_options o = options();
    struct rung_result result;

    err = (struct rung_error){ .code = RUNG_OK };
    if (!rung_renumber(&o, true, &result, &err))
        fail_msg("%s", err.message);
    return result.done;
}

static void
of_two_files_the_one_that_came_later_moves(void **state)
{
    struct rung_options o = options();

    (void)state;
    put("001_a.sql", "a");
    put("002_b.up.sql", "b");
    put("002_b.down.sql", "b");
    put("02_c.sql", "c");
    put("002_d.sql", "d");
    put("002_d.down.sql", "d");
    put("005_e.sql", "e");
    age("002_b.up.sql", 3000);
    age("02_c.sql", 2000);
    age("002_d.sql", 1000);
    assert_true(rung_sum(&o, &err));
    assert_int_equal(renumber(), 2);
    assert_string_equal(told, "02_c.sql>006_c.sql 002_b.up.sql>007_b.up.sql ");
    assert_string_equal(listing(),
        "001_a.sql 002_d.down.sql 002_d.sql 005_e.sql 006_c.sql 007_b.down.sql "
        "007_b.up.sql SHA256SUMS ");
    assert_string_equal(get("007_b.up.sql"), "b");
    assert_true(sums_agree());
    assert_null(strstr(get("SHA256SUMS"), "02_c.sql"));
    assert_int_equal(renumber(), 0);
}

static void
a_down_file_that_two_share_stays(void **state)
{
    (void)state;
    put("002_b.sql", "b");
    put("002_b.up.sql", "b");
    put("002_b.down.sql", "b");
    age("002_b.sql", 1000);
    assert_int_equal(renumber(), 1);
    assert_string_equal(listing(), "002_b.down.sql 002_b.sql 003_b.up.sql ");
}

static void
a_failure_takes_back_what_was_done(void **state)
{
    struct rung_options o = options();
    struct rung_result result;
    char path[512];

    (void)state;
    put("001_a.sql", "a");
    put("001_b.sql", "b");
    put("001_b.down.sql", "b");
    put("001_c.sql", "c");
    age("001_a.sql", 1000);
    age("001_b.sql", 2000);
    /* not seen as a file of that number, but in the way */
    snprintf(path, sizeof path, "%s/003_c.sql", where);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(rung_renumber(&o, true, &result, &err));
    snprintf(path, sizeof path, "cannot rename \"%s/001_c.sql\": File exists", where);
    assert_string_equal(err.message, path);
    assert_string_equal(
        listing(), "001_a.sql 001_b.down.sql 001_b.sql 001_c.sql 003_c.sql ");
    assert_string_equal(told, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, remove_directory)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_the_user_typed_becomes_a_name),
        TEST(what_makes_no_name_is_refused),
        TEST(the_style_of_numbers_goes_on_above_the_highest),
        TEST(a_time_is_now_in_utc),
        TEST(numbers_have_18_digits_at_most),
        TEST(new_files_say_what_they_are_and_are_drafts),
        TEST(a_description_stays_on_its_line),
        TEST(nothing_is_overwritten),
        TEST(a_directory_that_is_not_there_is_named),
        TEST(sums_are_kept_where_they_are),
        TEST(an_edit_does_not_disappear_from_the_sums),
        TEST(with_a_bad_line_in_the_sums_nothing_is_made),
        TEST(of_two_files_the_one_that_came_later_moves),
        TEST(a_down_file_that_two_share_stays),
        TEST(a_failure_takes_back_what_was_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
