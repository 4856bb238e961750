/*
 * test_plan.c: files and rows laid side by side.
 *
 * A scenario is drawn in words.  Files: NAME=DIGEST STATEMENTS FLAGS, a digest being
 * one hex digit that stands for 64 of it; flags: n no transaction, b blank, e differs
 * in line endings only, ? not judged.  Rows: VERSION:NAME=DIGEST STATEMENTS FLAGS; a
 * digest of - is none; flags: u unfinished, x an undo stopped behind statement 2.  What
 * is wanted is one line an item: name, state, step, and what is wrong with its hint.
 */
#include "internal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

#define REPAIR(version) "`rung repair " version " --reason TEXT`."
#define EDIT(version)                                                                  \
    "Undo the edit and put the change into a new file, or accept it with " REPAIR(     \
        version)
#define RESTORE(version) "Bring the file back, or forget it with " REPAIR(version)
#define RENAME(version)                                                                \
    "Give it its old name back, or record the new one with " REPAIR(version)
#define FOREIGN(version)                                                               \
    "See who wrote that into the ledger, and correct it with " REPAIR(version)
#define LATE                                                                           \
    "Give it the next free number with `rung renumber`, or apply it as it is with "    \
    "--allow-out-of-order."
#define TWIN "Give the one that is not applied another number with `rung renumber`."
#define AGO "A release was rolled back, or this directory is not up to date."
#define ORPHAN "Rename it after the file that it undoes, or remove it."
#define BLANK "If something is to come into it, do that before `rung up`, or remove it."

static const struct {
    const char *why, *files, *rows, *want;
    int64_t version; /* 0: all */
    bool out_of_order;
} plans[] = {
    { "nothing at all", "", "", "", 0, false },
    { "an empty database takes every file", "001_a.sql=a3 002_b.sql=b1n", "",
        "001_a.sql pending apply\n"
        "002_b.sql pending chain\n",
        0, false },
    { "what is applied is left alone", "001_a.sql=a3 002_b.sql=b1", "1:001_a.sql=a3",
        "001_a.sql applied\n"
        "002_b.sql pending apply\n",
        0, false },
    { "numbers are compared as numbers", "10_j.sql=a1 9_i.sql=b1 0_z.sql=c1",
        "0:0_z.sql=c1 9:9_i.sql=b1",
        "0_z.sql applied\n"
        "9_i.sql applied\n"
        "10_j.sql pending apply\n",
        0, false },
    { "no further than the version asked for", "1_a.sql=a1 2_b.sql=b1 3_c.sql=c1", "",
        "1_a.sql pending apply\n"
        "2_b.sql pending apply\n"
        "3_c.sql pending\n",
        2, false },
    { "the digits of a number may change", "001_a.sql=a1", "1:1_a.sql=a1",
        "001_a.sql renamed: recorded as 1_a.sql, renamed since -> " RENAME("1") "\n", 0,
        false },
    { ".up is the same name", "1_a.up.sql=a1", "1:1_a.sql=a1", "1_a.up.sql applied\n",
        0, false },

    /* files without statements */
    { "an empty file at the end is a draft", "1_a.sql=a1 2_b.sql=e0b", "1:1_a.sql=a1",
        "1_a.sql applied\n"
        "2_b.sql draft\n",
        0, false },
    { "several, too", "1_a.sql=e0b 2_b.sql=e0", "",
        "1_a.sql draft\n"
        "2_b.sql draft\n",
        0, false },
    { "with statements after it, a comment is a no-op", "1_a.sql=c0 2_b.sql=b1", "",
        "1_a.sql pending record\n"
        "2_b.sql pending apply\n",
        0, false },
    { "a blank file is one with a warning", "1_a.sql=e0b 2_b.sql=b1", "",
        "1_a.sql pending record: blank file is recorded as a no-op -> " BLANK "\n"
        "2_b.sql pending apply\n",
        0, false },
    { "statements beyond the version asked for count", "1_a.sql=c0 2_b.sql=b1", "",
        "1_a.sql pending record\n"
        "2_b.sql pending\n",
        1, false },
    { "a file that was not looked into counts as full", "1_a.sql=c0? 2_b.sql=c0", "",
        "1_a.sql pending apply\n"
        "2_b.sql draft\n",
        0, false },
    { "an empty file below an applied one comes late",
        "1_a.sql=e0b 2_b.sql=b1 3_c.sql=c1", "2:2_b.sql=b1",
        "1_a.sql out of order FATAL: not applied, but numbered below 2, the newest "
        "applied one -> " LATE "\n"
        "2_b.sql applied\n"
        "3_c.sql pending\n",
        0, false },
    { "a recorded empty file was filled", "1_a.sql=a3", "1:1_a.sql=e0",
        "1_a.sql edited FATAL: edited after it was applied: recorded eeeeeeeeeeee..., "
        "the file is now aaaaaaaaaaaa... -> It was recorded while it was empty: give it "
        "the next free number with `rung renumber`.\n",
        0, false },

    /* drift */
    { "an edited file stops everything", "1_a.sql=a1 2_b.sql=b1", "1:1_a.sql=c1",
        "1_a.sql edited FATAL: edited after it was applied: recorded cccccccccccc..., "
        "the file is now aaaaaaaaaaaa... -> " EDIT("1") "\n"
                                                        "2_b.sql pending\n",
        0, false },
    { "line endings are no edit", "1_a.sql=a1e", "1:1_a.sql=c1",
        "1_a.sql applied (line endings)\n", 0, false },
    { "edited and renamed is edited", "1_a.sql=a1", "1:1_b.sql=c1",
        "1_a.sql edited FATAL: edited after it was applied: recorded cccccccccccc..., "
        "the file is now aaaaaaaaaaaa... -> " EDIT("1") "\n",
        0, false },
    { "renamed alone is a warning", "1_a.sql=a1 2_b.sql=b1", "1:1_old.sql=a1",
        "1_a.sql renamed: recorded as 1_old.sql, renamed since -> " RENAME(
            "1") "\n"
                 "2_b.sql pending apply\n",
        0, false },
    { "a missing file stops everything", "2_b.sql=b1 3_c.sql=c1",
        "1:1_a.sql=a1 2:2_b.sql=b1",
        "1_a.sql missing FATAL: recorded, but there is no such file -> " RESTORE(
            "1") "\n"
                 "2_b.sql applied\n"
                 "3_c.sql pending\n",
        0, false },
    { "rows above every file are newer", "1_a.sql=a1", "1:1_a.sql=a1 2:2_b.sql=b1",
        "1_a.sql applied\n"
        "2_b.sql newer: recorded, but newer than every file here -> " AGO "\n",
        0, false },
    { "without files every row is newer", "", "1:1_a.sql=a1",
        "1_a.sql newer: recorded, but newer than every file here -> " AGO "\n", 0,
        false },
    { "a late number stops everything", "1_a.sql=a1 2_b.sql=b1 3_c.sql=c1",
        "1:1_a.sql=a1 3:3_c.sql=c1",
        "1_a.sql applied\n"
        "2_b.sql out of order FATAL: not applied, but numbered below 3, the newest "
        "applied one -> " LATE "\n"
        "3_c.sql applied\n",
        0, false },
    { "unless it is allowed", "1_a.sql=a1 2_b.sql=b1n 3_c.sql=c1",
        "1:1_a.sql=a1 3:3_c.sql=c1",
        "1_a.sql applied\n"
        "2_b.sql out of order chain: not applied, but numbered below 3, the newest "
        "applied one -> " LATE "\n"
        "3_c.sql applied\n",
        0, true },
    { "no checksum recorded", "1_a.sql=a1 2_b.sql=b1", "1:1_a.sql=-",
        "1_a.sql applied: no checksum recorded -> Record the file's checksum with " REPAIR(
            "1") "\n"
                 "2_b.sql pending apply\n",
        0, false },
    { "a name in the ledger that is none", "1_a.sql=a1", "1:../etc/\033x=a1",
        "1_a.sql renamed FATAL: the ledger has a file name that no migration can have: "
        "\"../etc/\\x1bx\" -> " FOREIGN("1") "\n",
        0, false },
    { "and without a file", "2_a.sql=a1", "1:x=a1 3:y=a1",
        "x missing FATAL: the ledger has a file name that no migration can have: \"x\" "
        "-> " FOREIGN(
            "1") "\n"
                 "2_a.sql out of order FATAL: not applied, but numbered below 3, the newest "
                 "applied one -> " LATE "\n"
                 "y newer FATAL: the ledger has a file name that no migration can have: \"y\" -> " FOREIGN(
                     "3") "\n",
        0, false },

    /* unfinished */
    { "what began is gone on with", "1_a.sql=a9 2_b.sql=b1", "1:1_a.sql=c4u",
        "1_a.sql unfinished resume: began, and is done up to statement 4 -> `rung up` "
        "goes on with it.\n"
        "2_b.sql pending apply\n",
        0, false },
    { "from its first statement, too", "1_a.sql=a9", "1:1_a.sql=-0u",
        "1_a.sql unfinished resume: began, and stopped in its first statement -> `rung "
        "up` goes on with it.\n",
        0, false },
    { "but not beyond the version asked for", "1_a.sql=a1 2_b.sql=b9",
        "1:1_a.sql=a1 2:2_b.sql=b4u",
        "1_a.sql applied\n"
        "2_b.sql unfinished: began, and is done up to statement 4 -> `rung up` goes on "
        "with it.\n",
        1, false },
    { "an undo that stopped stops everything", "1_a.sql=a9 2_b.sql=b1", "1:1_a.sql=a9x",
        "1_a.sql unfinished FATAL: its undo stopped behind statement 2 -> Finish that "
        "with `rung down`.\n"
        "2_b.sql pending\n",
        0, false },

    /* names */
    { "two files of one number", "001_a.sql=a1 1_b.sql=b1 2_c.sql=c1", "",
        "001_a.sql duplicate FATAL: has the same number as 1_b.sql -> " TWIN "\n"
        "1_b.sql duplicate FATAL: has the same number as 001_a.sql -> " TWIN "\n"
        "2_c.sql pending\n",
        0, false },
    { "one of them applied", "1_a.sql=a1 1_b.sql=b1", "1:1_b.sql=b1",
        "1_a.sql duplicate FATAL: has the same number as 1_b.sql -> " TWIN "\n"
        "1_b.sql duplicate recorded FATAL: has the same number as 1_a.sql -> " TWIN
        "\n",
        0, false },
    { "with and without .up", "1_a.sql=a1 1_a.up.sql=b1", "",
        "1_a.sql duplicate FATAL: has the same number as 1_a.up.sql -> " TWIN "\n"
        "1_a.up.sql duplicate FATAL: has the same number as 1_a.sql -> " TWIN "\n",
        0, false },
    { "a misnamed file is warned of", "1_a.sql=a1 zoo.sql= 01-x.sql=", "",
        "1_a.sql pending apply\n"
        "01-x.sql misnamed: has no underscore behind its number: rename it to "
        "NNN_name.sql\n"
        "zoo.sql misnamed: does not begin with a number: rename it to NNN_name.sql\n",
        0, false },
    { "a refused one stops everything", "1_a.sql=a1 V1__x.sql=", "",
        "1_a.sql pending\n"
        "V1__x.sql misnamed FATAL: is named as for Flyway: rename it to NNN_name.sql\n",
        0, false },
    { "a misnamed file is shown escaped", "1_\033.sql=", "",
        "1_\\x1b.sql misnamed FATAL: the name holds more than letters, digits, space and "
        "_ - . +: rename it\n",
        0, false },
    { "a down file goes with its up file", "1_a.sql=a1 1_a.down.sql=d1", "",
        "1_a.sql pending apply (down 1_a.down.sql)\n", 0, false },
    { "a down file without one is warned of", "1_a.sql=a1 1_b.down.sql=d1", "",
        "1_a.sql pending apply\n"
        "1_b.down.sql misnamed: undoes nothing: there is no 1_b.sql, or it has another "
        "down file -> " ORPHAN "\n",
        0, false },
};

/* ---- a scenario ------------------------------------------------------------------ */

struct scene {
    char where[64];
    struct sqldir dir;
    struct ledger_row row[8];
    struct ledger_rows rows;
    char text[2048]; /* the words, cut up */
};

static struct rung_error err;

static char *
fill(char digit)
{
    char *hex;

    if (digit == '-')
        return str_dup(STR(""));
    hex = malloc(CHECKSUM_BYTES);
    assert_non_null(hex);
    memset(hex, digit, CHECKSUM_BYTES - 1);
    hex[CHECKSUM_BYTES - 1] = '\0';
    return hex;
}

static void
set_file(struct sqlfile *file, const char *value)
{
    char *hex = fill(value[0]);

    strcpy(file->checksum, hex);
    free(hex);
    file->verdict.judged = strchr(value, '?') == NULL;
    file->verdict.statements = (uint64_t)(value[1] - '0');
    file->verdict.no_transaction = strchr(value, 'n') != NULL;
    file->verdict.blank = strchr(value + 1, 'b') != NULL;
    file->line_endings_only = strchr(value + 1, 'e') != NULL;
}

/* The next word of *text, cut at '='; its value in *value.  NULL: no more. */
static char *
next_word(char **text, char **value)
{
    char *word = *text + strspn(*text, " "), *end = word + strcspn(word, " ");

    if (*word == '\0')
        return NULL;
    *text = *end == '\0' ? end : end + 1;
    *end = '\0';
    *value = strchr(word, '=');
    *(*value)++ = '\0';
    return word;
}

static void
make_files(struct scene *s, const char *files)
{
    char *rest = s->text, *name, *value, path[256];

    snprintf(s->where, sizeof s->where, "/tmp/rung-plan-XXXXXX");
    assert_non_null(mkdtemp(s->where));
    for (int pass = 0; pass < 2; pass++) {
        snprintf(s->text, sizeof s->text, "%s", files);
        for (rest = s->text; (name = next_word(&rest, &value)) != NULL;) {
            snprintf(path, sizeof path, "%s/%s", s->where, name);
            if (pass == 0)
                assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
            for (size_t i = 0; pass == 1 && i < s->dir.n; i++)
                if (strcmp(s->dir.files[i]->name, name) == 0 && *value != '\0')
                    set_file(s->dir.files[i], value);
            if (pass == 1)
                unlink(path);
        }
        if (pass == 0)
            assert_true(sqldir_open(&s->dir, s->where, &err));
    }
    rmdir(s->where);
}

static void
make_rows(struct scene *s, const char *rows)
{
    char *rest = s->text, *name, *value;

    s->rows = (struct ledger_rows){ s->row, 0 };
    snprintf(s->text, sizeof s->text, "%s", rows);
    while ((name = next_word(&rest, &value)) != NULL) {
        struct ledger_row *row = &s->row[s->rows.n++];

        *row = (struct ledger_row){
            .version = strtoll(name, &name, 10),
            .checksum = fill(value[0]),
            .applied_at_us = strchr(value, 'u') != NULL ? RUNG_NO_TIME : 1,
            .statements = value[1] == '\0' ? -1 : value[1] - '0',
            .undone = strchr(value, 'x') != NULL ? 2 : -1,
            .duration_ms = -1,
        };
        row->filename = str_dup(str_of(name + 1));
    }
}

static void
end_scene(struct scene *s)
{
    for (size_t i = 0; i < s->rows.n; i++) {
        free(s->row[i].filename);
        free(s->row[i].checksum);
    }
    sqldir_close(&s->dir);
}

static const char *
draw(char *buffer, size_t size, const struct rung_list *list)
{
    static const char *const steps[] = { "", " apply", " chain", " resume", " record",
        " undo" };
    size_t n = 0;

    buffer[0] = '\0';
    for (size_t i = 0; i < list->n; i++) {
        const struct rung_migration *item = &list->items[i];

        snprintf(buffer + n, size - n, "%s %s%s%s%s%s%s%s%s%s%s%s%s\n", item->filename,
            rung_state_name(item->state), steps[item->step],
            item->line_endings_only ? " (line endings)" : "",
            item->down != NULL ? " (down " : "", item->down != NULL ? item->down : "",
            item->down != NULL ? ")" : "",
            item->recorded && item->state == RUNG_STATE_DUPLICATE ? " recorded" : "",
            item->fatal ? " FATAL" : "", item->problem != NULL ? ": " : "",
            item->problem != NULL ? item->problem : "",
            item->hint != NULL ? " -> " : "", item->hint != NULL ? item->hint : "");
        n = strlen(buffer);
    }
    return buffer;
}

static void
files_and_rows_become_states_and_steps(void **state)
{
    char drawn[4096];

    (void)state;
    for (size_t i = 0; i < COUNT(plans); i++) {
        struct plan_options options = { plans[i].version == 0 ? RUNG_NO_VERSION
                                                              : plans[i].version,
            plans[i].out_of_order };
        struct scene s = { 0 };
        struct rung_list list;

        print_message("  %s\n", plans[i].why);
        make_files(&s, plans[i].files);
        make_rows(&s, plans[i].rows);
        assert_true(plan_make(&s.dir, &s.rows, &options, &list, &err));
        end_scene(&s); /* the list owns what it says */
        assert_string_equal(draw(drawn, sizeof drawn, &list), plans[i].want);
        rung_list_free(&list);
    }
}

/* ---- refusals ---------------------------------------------------------------------
 */

#define EACH "`rung status` says of each what to do."

static const struct {
    const char *why, *files, *rows, *message, *hint;
    enum rung_code code;
} refusals[] = {
    { "nothing in the way", "1_a.sql=a1 zoo.sql=", "1:1_a.sql=a1", "", "", RUNG_OK },
    { "one problem is said in full", "1_a.sql=a1", "1:1_a.sql=c1",
        "1_a.sql: edited after it was applied: recorded cccccccccccc..., the file is now "
        "aaaaaaaaaaaa...",
        EDIT("1"), RUNG_DRIFT },
    { "several are named", "1_a.sql=a1 3_c.sql=c1", "1:1_a.sql=c1 2:2_b.sql=b1",
        "2 problems: 1_a.sql edited, 2_b.sql missing", EACH, RUNG_DRIFT },
    { "of many the first five", "7_a.sql=a1",
        "1:1_a.sql=c1 2:2_b.sql=b1 3:3_c.sql=b1 4:4_d.sql=b1 5:5_e.sql=b1 6:6_f.sql=b1 "
        "7:7_a.sql=a1",
        "6 problems: 1_a.sql missing, 2_b.sql missing, 3_c.sql missing, 4_d.sql missing, "
        "5_e.sql missing and 1 more",
        EACH, RUNG_DRIFT },
    { "duplicates are a fault of the files", "1_a.sql=a1 1_b.sql=b1", "",
        "2 problems: 1_a.sql duplicate, 1_b.sql duplicate", EACH, RUNG_FAILED },
    { "a refused name as well", "R__x.sql=", "",
        "R__x.sql: is named as for Flyway: rename it to NNN_name.sql", "",
        RUNG_FAILED },
    { "drift among them is drift", "1_a.sql=a1 R__x.sql=", "1:1_a.sql=c1",
        "2 problems: 1_a.sql edited, R__x.sql misnamed", EACH, RUNG_DRIFT },
};

static void
one_error_stands_for_all_that_is_in_the_way(void **state)
{
    const struct plan_options options = { RUNG_NO_VERSION, false };

    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct scene s = { 0 };
        struct rung_list list;

        print_message("  %s\n", refusals[i].why);
        make_files(&s, refusals[i].files);
        make_rows(&s, refusals[i].rows);
        assert_true(plan_make(&s.dir, &s.rows, &options, &list, &err));
        end_scene(&s);
        err = (struct rung_error){ 0 };
        assert_int_equal(plan_allows(&list, &err), refusals[i].code == RUNG_OK);
        assert_int_equal(err.code, refusals[i].code);
        assert_string_equal(err.message, refusals[i].message);
        assert_string_equal(err.hint, refusals[i].hint);
        rung_list_free(&list);
    }
}

/* ---- the rest ----------------------------------------------------------------------
 */

static void
make_list(struct rung_list *list, const char *files, const char *rows)
{
    const struct plan_options options = { RUNG_NO_VERSION, true };
    struct scene s = { 0 };

    make_files(&s, files);
    make_rows(&s, rows);
    assert_true(plan_make(&s.dir, &s.rows, &options, list, &err));
    end_scene(&s);
}

static void
what_there_is_is_counted(void **state)
{
    struct rung_list list;

    (void)state;
    make_list(&list,
        "1_a.sql=a1 2_b.sql=b1 3_c.sql=c1 4_d.sql=d9 5_e.sql=e1 6_f.sql=f0 zoo.sql=",
        "1:1_a.sql=a1 3:3_c.sql=0c 4:4_d.sql=d4u");
    assert_int_equal(list.n, 7);
    assert_int_equal(list.applied, 2);  /* 1, and 3, edited */
    assert_int_equal(list.pending, 3);  /* 2 late, 4 unfinished, 5 */
    assert_int_equal(list.drafts, 1);   /* 6 */
    assert_int_equal(list.problems, 4); /* 2, 3, 4, zoo */
    rung_list_free(&list);
}

static void
an_item_holds_its_file_and_its_row(void **state)
{
    struct rung_list list;
    const struct rung_migration *item;

    (void)state;
    make_list(&list, "001_a.sql=a3 002_b.sql=b2", "1:1_a.sql=a3");
    item = &list.items[0];
    assert_int_equal(item->version, 1);
    assert_string_equal(item->filename, "001_a.sql");
    assert_string_equal(item->name, "a");
    assert_null(item->down);
    assert_memory_equal(item->checksum, "aaaa", 4);
    assert_int_equal(item->statements, 3);
    assert_true(item->recorded);
    assert_string_equal(item->recorded_filename, "1_a.sql");
    assert_string_equal(item->recorded_checksum, item->checksum);
    assert_int_equal(item->applied_at_us, 1);
    assert_null(item->applied_by);
    assert_int_equal(item->duration_ms, -1);
    assert_int_equal(item->recorded_statements, 3);
    assert_int_equal(item->undone, -1);
    item = &list.items[1];
    assert_false(item->recorded);
    assert_null(item->recorded_filename);
    assert_int_equal(item->applied_at_us, RUNG_NO_TIME);
    assert_int_equal(item->recorded_statements, -1);
    assert_string_equal(plan_keep(&list, "schema.table"), "schema.table");
    rung_list_free(&list);
    rung_list_free(&list); /* an empty one, too */
}

static void
names_are_the_same_but_for_up(void **state)
{
    (void)state;
    assert_true(plan_same_name("1_a.sql", "1_a.sql"));
    assert_true(plan_same_name("1_a.up.sql", "1_a.sql"));
    assert_true(plan_same_name("1_a.sql", "1_a.up.sql"));
    assert_false(plan_same_name("1_a.sql", "01_a.sql"));
    assert_false(plan_same_name("1_a.sql", "1_a.down.sql"));
    assert_false(plan_same_name("1_a.sql", ""));
}

static void
findings_of_sha256sums_become_problems(void **state)
{
    static const struct sums_finding findings[] = {
        { "1_a.sql", SUMS_DIFFERENT, 1, "not what SHA256SUMS says it is" },
        { "2_b.down.sql", SUMS_NOT_LISTED, 0, "not listed in SHA256SUMS" },
        { "3_c.sql", SUMS_DIFFERENT, 2, "not what SHA256SUMS says it is" },
        { "9_\n.sql", SUMS_GONE, 3, "listed in SHA256SUMS, but no migration" },
    };
    struct rung_list list;
    char drawn[4096];

    (void)state;
    make_list(&list, "1_a.sql=a1 2_b.sql=b1 2_b.down.sql=d1 3_c.sql=c1",
        "1:1_a.sql=a1 2:2_b.sql=b1 3:3_x.sql=c1");
    assert_true(plan_add_sums(&list, findings, COUNT(findings), &err));
#define SUM " -> If that is as it should be, write SHA256SUMS anew with `rung sum`.\n"
    assert_string_equal(draw(drawn, sizeof drawn, &list),
        "1_a.sql applied: not what SHA256SUMS says it is" SUM
        "2_b.sql applied (down 2_b.down.sql): 2_b.down.sql is not listed in "
        "SHA256SUMS" SUM
        "3_c.sql renamed: recorded as 3_x.sql, renamed since -> " RENAME(
            "3") "\n"
                 "9_\\x0a.sql missing: listed in SHA256SUMS, but no migration" SUM);
    assert_int_equal(list.problems, 4);
    rung_list_free(&list);
}

static void
a_thousand_files_are_planned(void **state)
{
    static struct sqlfile file[1000];
    static struct sqlfile *files[1000];
    static char names[1000][32];
    struct sqldir dir = { .path = "d", .fd = -1, .files = files, .n = COUNT(file) };
    struct ledger_rows rows = { NULL, 0 };
    struct plan_options options = { RUNG_NO_VERSION, false };
    struct rung_list list;

    (void)state;
    for (size_t i = 0; i < COUNT(file); i++) {
        snprintf(names[i], sizeof names[i], "%04zu_a.sql", i);
        file[i].name = names[i];
        sqlfile_name(&file[i], str_of(names[i]));
        files[i] = &file[i];
    }
    assert_true(plan_make(&dir, &rows, &options, &list, &err));
    assert_int_equal(list.n, 1000);
    assert_int_equal(list.pending, 1000);
    assert_string_equal(list.items[999].filename, "0999_a.sql");
    rung_list_free(&list);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_and_rows_become_states_and_steps),
        cmocka_unit_test(one_error_stands_for_all_that_is_in_the_way),
        cmocka_unit_test(what_there_is_is_counted),
        cmocka_unit_test(an_item_holds_its_file_and_its_row),
        cmocka_unit_test(names_are_the_same_but_for_up),
        cmocka_unit_test(findings_of_sha256sums_become_problems),
        cmocka_unit_test(a_thousand_files_are_planned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
