/*
 * test_report.c: what people read, to the byte.
 */
#include "cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* ---- a report into memory ----------------------------------------------------------
 */

struct paper {
    struct report report;
    char *out, *err;
    size_t out_n, err_n;
};

static struct paper
paper_open(void)
{
    return (struct paper){ .report = { .directory = "migrations" } };
}

/* The streams are opened late: a struct that is returned moves. */
static struct report *
paper_report(struct paper *paper)
{
    paper->report.out = open_memstream(&paper->out, &paper->out_n);
    paper->report.err = open_memstream(&paper->err, &paper->err_n);
    assert_non_null(paper->report.out);
    assert_non_null(paper->report.err);
    return &paper->report;
}

/* Then `out` and `err` are what was written. */
static void
paper_close(struct paper *paper)
{
    assert_true(report_finish(&paper->report));
    fclose(paper->report.out);
    fclose(paper->report.err);
}

static void
paper_free(struct paper *paper)
{
    free(paper->out);
    free(paper->err);
}

static void
paper_check(struct paper *paper, const char *out, const char *err)
{
    paper_close(paper);
    assert_string_equal(paper->out, out);
    assert_string_equal(paper->err, err);
    paper_free(paper);
}

/* ---- errors ------------------------------------------------------------------------
 */

static const struct {
    const char *why;
    struct rung_error err;
    const char *want;
} errors[] = {
    { "all there is to say",
        { .path = "migrations/006_performance.sql",
            .line = 14,
            .column = 8,
            .excerpt = "SELECT totl FROM orders;",
            .excerpt_at = 7,
            .message = "column \"totl\" does not exist",
            .detail = "one\ntwo\n",
            .hint = "Perhaps you meant to reference the column \"orders.total\".",
            .context = "SQL function \"f\"",
            .sqlstate = "42703",
            .outcome = "006_performance.sql was rolled back." },
        "migrations/006_performance.sql:14:8: error: column \"totl\" does not exist\n"
        "   14 | SELECT totl FROM orders;\n"
        "      |        ^~~~\n"
        "detail: one\n"
        "    two\n"
        "hint: Perhaps you meant to reference the column \"orders.total\".  [42703]\n"
        "context: SQL function \"f\"\n"
        "006_performance.sql was rolled back.\n" },
    { "SQLSTATE stands behind the message where there is no hint",
        { .message = "boo", .sqlstate = "P0001" }, "rung: error: boo  [P0001]\n" },
    { "a hint, and no place", { .message = "no such directory", .hint = "Say where." },
        "rung: error: no such directory\nhint: Say where.\n" },
    { "a file as a whole", { .path = "m/1_a.sql", .message = "it is a FIFO" },
        "m/1_a.sql: error: it is a FIFO\n" },
    { "tabs before the caret are kept",
        { .path = "m/1.sql",
            .line = 100000,
            .column = 3,
            .excerpt = "\ta\tb",
            .excerpt_at = 3,
            .message = "m" },
        "m/1.sql:100000:3: error: m\n"
        "100000 | \ta\tb\n"
        "       | \t \t^\n" },
    { "a wide character takes two columns, also below the caret",
        { .path = "m/1.sql",
            .line = 1,
            .column = 4,
            .excerpt = "\xe6\x97\xa5\xe6\x9c\xac \xe8\xaa\x9e x",
            .excerpt_at = 7,
            .message = "m" },
        "m/1.sql:1:4: error: m\n"
        "    1 | \xe6\x97\xa5\xe6\x9c\xac \xe8\xaa\x9e x\n"
        "      |      ^~\n" },
    { "a combining character takes none",
        { .path = "m/1.sql",
            .line = 1,
            .column = 4,
            .excerpt = "e\xcc\x81 \xc3\xa9t\xc3\xa9",
            .excerpt_at = 4,
            .message = "m" },
        "m/1.sql:1:4: error: m\n"
        "    1 | e\xcc\x81 \xc3\xa9t\xc3\xa9\n"
        "      |   ^~~\n" },
    { "control characters and bad bytes are shown, and counted as shown",
        { .path = "m/1.sql",
            .line = 1,
            .column = 4,
            .excerpt = "\x1b[\xff ;",
            .excerpt_at = 4,
            .message = "m" },
        "m/1.sql:1:4: error: m\n"
        "    1 | \\x1b[\\xff ;\n"
        "      |           ^\n" },
    { "a quoted name is underlined as a whole",
        { .path = "m/1.sql",
            .line = 1,
            .column = 6,
            .excerpt = "DROP \"a b\";",
            .excerpt_at = 5,
            .message = "m" },
        "m/1.sql:1:6: error: m\n"
        "    1 | DROP \"a b\";\n"
        "      |      ^~~~~\n" },
    { "a quote that does not close",
        { .path = "m/1.sql",
            .line = 1,
            .column = 8,
            .excerpt = "SELECT 'a",
            .excerpt_at = 7,
            .message = "m" },
        "m/1.sql:1:8: error: m\n"
        "    1 | SELECT 'a\n"
        "      |        ^\n" },
    { "the end of the line",
        { .path = "m/1.sql",
            .line = 1,
            .column = 7,
            .excerpt = "SELECT",
            .excerpt_at = 6,
            .message = "m" },
        "m/1.sql:1:7: error: m\n"
        "    1 | SELECT\n"
        "      |       ^\n" },
    { "an empty line is not shown",
        { .path = "m/1.sql", .line = 3, .column = 1, .message = "m" },
        "m/1.sql:3:1: error: m\n" },
    { "a terminal cannot be attacked by any of it",
        { .path = "m/\x1b]0;x\x07.sql",
            .message = "a\rb\x1b[31m\xc2\x9b\xe2\x80\xae",
            .hint = "\x08",
            .outcome = "\x7f" },
        "m/\\x1b]0;x\\x07.sql: error: a\\x0db\\x1b[31m\\xc2\\x9b\\xe2\\x80\\xae\n"
        "hint: \\x08\n"
        "\\x7f\n" },
};

static void
an_error_shows_its_place_and_the_way_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(errors); i++) {
        struct paper paper = paper_open();

        report_error(paper_report(&paper), &errors[i].err);
        paper_check(&paper, "", errors[i].want);
    }
}

static void
colour_is_for_the_words_that_sort_a_message(void **state)
{
    static const struct rung_error err = { .path = "m/1.sql",
        .line = 1,
        .column = 1,
        .excerpt = "ab",
        .message = "m",
        .hint = "H." };
    struct paper paper = paper_open();

    (void)state;
    paper.report.err_color = true;
    report_error(paper_report(&paper), &err);
    paper_check(&paper, "",
        "\033[1mm/1.sql:1:1: \033[m\033[1;31merror: \033[mm\n"
        "    1 | ab\n"
        "      | \033[1;31m^~\033[m\n"
        "\033[36mhint\033[m: H.\n");
}

/* ---- events ------------------------------------------------------------------------
 */

static struct rung_migration
migration(int64_t version, const char *filename, enum rung_state state)
{
    return (struct rung_migration){ .version = version,
        .state = state,
        .filename = filename,
        .applied_at_us = RUNG_NO_TIME,
        .duration_ms = -1,
        .recorded_statements = -1,
        .undone = -1 };
}

static void
what_is_done_is_one_line_a_file(void **state)
{
    static const struct {
        enum rung_step step;
        uint64_t statements;
        int64_t elapsed_ms;
        const char *want;
    } steps[] = {
        { RUNG_STEP_APPLY, 7, 12, "applied 1_a.sql (7 statements, 12 ms)\n" },
        { RUNG_STEP_CHAIN, 1, 9999, "applied 1_a.sql (1 statement, 9.9 s)\n" },
        { RUNG_STEP_RESUME, 2, 59999, "applied 1_a.sql (2 statements, 59 s)\n" },
        { RUNG_STEP_RECORD, 0, 3, "recorded 1_a.sql (no statements)\n" },
        { RUNG_STEP_UNDO, 2, 3723000, "undid 1_a.sql (2 statements, 1 h 2 min)\n" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct paper paper = paper_open(), quiet = paper_open();
        struct rung_migration m = migration(1, "1_a.sql", RUNG_STATE_PENDING);
        struct rung_event event = { .kind = RUNG_EVENT_DONE,
            .migration = &m,
            .statements = steps[i].statements,
            .elapsed_ms = steps[i].elapsed_ms };

        m.step = steps[i].step;
        report_event(paper_report(&paper), &event);
        paper_check(&paper, steps[i].want, "");
        quiet.report.quiet = true;
        report_event(paper_report(&quiet), &event);
        paper_check(&quiet, "", "");
    }
}

static void
what_was_repaired_stamped_and_renamed_is_a_line_as_well(void **state)
{
    static const struct {
        enum rung_state state;
        const char *want;
    } states[] = {
        { RUNG_STATE_PENDING, "recorded 1_a.sql\n" },
        { RUNG_STATE_OUT_OF_ORDER, "recorded 1_a.sql\n" },
        { RUNG_STATE_EDITED, "repaired 1_a.sql: accepted the edit\n" },
        { RUNG_STATE_RENAMED, "repaired 1_a.sql: followed the rename\n" },
        { RUNG_STATE_MISSING, "repaired 1_a.sql: forgot it, the file is missing\n" },
        { RUNG_STATE_UNFINISHED, "repaired 1_a.sql: settled what was unfinished\n" },
    };
    struct paper paper = paper_open();
    struct rung_migration moved = migration(7, "7_a.sql", RUNG_STATE_PENDING);
    struct rung_event event = {
        .kind = RUNG_EVENT_DONE, .migration = &moved, .message = "4_a.sql"
    };

    (void)state;
    report_event(paper_report(&paper), &event);
    paper_check(&paper, "renamed 4_a.sql to 7_a.sql\n", "");
    for (size_t i = 0; i < COUNT(states); i++) {
        struct rung_migration m = migration(1, "1_a.sql", states[i].state);

        paper = paper_open();
        m.step = RUNG_STEP_RECORD;
        m.statements = 3;
        event = (struct rung_event){ .kind = RUNG_EVENT_DONE, .migration = &m };
        report_event(paper_report(&paper), &event);
        paper_check(&paper, states[i].want, "");
    }
}

static void
the_lines_of_a_file_stay_and_its_control_characters_do_not(void **state)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    (void)state;
    assert_non_null(out);
    term_file(out, "a\tb\r\n\x1b[m\n");
    fclose(out);
    assert_string_equal(text, "a\tb\\x0d\n\\x1b[m\n");
    free(text);
}

static void
what_differs_is_said_as_diff_says_it(void **state)
{
    static const struct {
        const char *a, *b, *want;
    } texts[] = {
        { "a\n", "a\n", "" },
        { "", "", "" },
        { "a\nb\n", "a\nc\n",
            "--- recorded\n+++ on disk\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n" },
        { "", "a\n", "--- recorded\n+++ on disk\n@@ -0,0 +1 @@\n+a\n" },
        { "a", "a\n",
            "--- recorded\n+++ on disk\n@@ -1 +1 @@\n-a\n"
            "\\ No newline at end of file\n+a\n" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct rung_error err;
        char *diff;

        assert_true(diff_texts(&(struct diff_side){ "recorded", texts[i].a },
            &(struct diff_side){ "on disk", texts[i].b }, &diff, &err));
        assert_string_equal(diff, texts[i].want);
        free(diff);
    }
}

static void
a_diff_that_has_no_place_for_its_files_says_so(void **state)
{
    struct rung_error err;
    char *diff;

    (void)state;
    setenv("TMPDIR", "/nowhere", 1);
    assert_false(diff_texts(&(struct diff_side){ "before", "a" },
        &(struct diff_side){ "after", "b" }, &diff, &err));
    assert_null(diff);
    assert_string_equal(
        err.message, "no temporary file in /nowhere: No such file or directory");
    unsetenv("TMPDIR");
}

static void
a_notice_names_its_file_and_line(void **state)
{
    struct paper paper = paper_open(), quiet = paper_open();
    struct rung_event event = { .kind = RUNG_EVENT_NOTICE,
        .path = "m/1_a.sql",
        .line = 12,
        .severity = "NOTICE",
        .message = "one\ntwo",
        .detail = "D",
        .hint = "H" };
    struct report *r = paper_report(&paper), *q = paper_report(&quiet);

    (void)state;
    quiet.report.quiet = true;
    report_event(r, &event);
    report_event(q, &event);
    event = (struct rung_event){ .kind = RUNG_EVENT_NOTICE,
        .path = "m/1_a.sql",
        .severity = "WARNING",
        .message = "w" };
    report_event(r, &event);
    report_event(q, &event);
    event = (struct rung_event){ .kind = RUNG_EVENT_WARNING, .message = "ours" };
    report_event(r, &event);
    paper_check(&paper, "",
        "m/1_a.sql:12: notice: one\n    two\ndetail: D\nhint: H\n"
        "m/1_a.sql: warning: w\n"
        "rung: warning: ours\n");
    paper_check(&quiet, "", "m/1_a.sql: warning: w\n");
}

static void
tell_finding(struct report *r, const struct rung_migration *m)
{
    struct rung_event event = {
        .kind = RUNG_EVENT_FINDING, .migration = m, .path = m->filename, .line = m->line
    };

    report_event(r, &event);
}

static void
findings_are_errors_warnings_or_notices(void **state)
{
    struct paper paper = paper_open();
    struct report *r = paper_report(&paper);
    struct rung_migration m = migration(7, "7_x.sql", RUNG_STATE_DRAFT);

    (void)state;
    tell_finding(r, &m);
    m.problem = "recorded as 7_w.sql, renamed since";
    m.hint = "Rename it.";
    tell_finding(r, &m);
    m.fatal = true;
    m.line = 3;
    tell_finding(r, &m);
    paper_check(&paper, "",
        "migrations/7_x.sql: notice: holds no statement yet: a draft, not applied\n"
        "migrations/7_x.sql: warning: recorded as 7_w.sql, renamed since\n"
        "hint: Rename it.\n"
        "migrations/7_x.sql:3: error: recorded as 7_w.sql, renamed since\n"
        "hint: Rename it.\n");
}

static void
a_refusal_is_said_once(void **state)
{
    static const struct rung_error one = {
        .code = RUNG_DRIFT, .message = "2_a.sql: edited", .hint = "Undo it."
    };
    static const struct rung_error two = { .code = RUNG_DRIFT,
        .message = "2 problems: 2_a.sql edited, 3_b.sql missing",
        .hint = "`rung status` says of each what to do." };
    struct paper single = paper_open(), twice = paper_open();
    struct report *r = paper_report(&single), *s = paper_report(&twice);
    struct rung_migration a = migration(2, "2_a.sql", RUNG_STATE_EDITED);
    struct rung_migration b = migration(3, "3_b.sql", RUNG_STATE_MISSING);

    (void)state;
    a.fatal = b.fatal = true;
    a.problem = "edited";
    a.hint = "Undo it.";
    b.problem = "missing";
    tell_finding(r, &a);
    report_error(r, &one);
    paper_check(&single, "", "migrations/2_a.sql: error: edited\nhint: Undo it.\n");
    tell_finding(s, &a);
    tell_finding(s, &b);
    report_error(s, &two);
    paper_check(&twice, "",
        "migrations/2_a.sql: error: edited\nhint: Undo it.\n"
        "migrations/3_b.sql: error: missing\n"
        "rung: error: 2 problems: 2_a.sql edited, 3_b.sql missing\n");
}

static void
waiting_is_said_at_once_and_then_each_minute(void **state)
{
    static const int64_t at_ms[] = { 1000, 2000, 60000, 61500, 119000, 125000, 1000 };
    struct paper paper = paper_open();
    struct report *r = paper_report(&paper);

    (void)state;
    for (size_t i = 0; i < COUNT(at_ms); i++) {
        struct rung_event event = { .kind = RUNG_EVENT_WAITING,
            .message = "the lock\nis held",
            .elapsed_ms = at_ms[i] };

        report_event(r, &event);
    }
    paper_check(&paper, "",
        "rung: waited 1 s: the lock is held\n"
        "rung: waited 1 min 1 s: the lock is held\n"
        "rung: waited 2 min 5 s: the lock is held\n"
        "rung: waited 1 s: the lock is held\n");
}

static void
progress_is_drawn_on_one_line_of_a_terminal(void **state)
{
    struct paper paper = paper_open(), log = paper_open();
    struct report *r = paper_report(&paper), *l = paper_report(&log);
    struct rung_migration m = migration(3, "3_b.sql", RUNG_STATE_PENDING);
    struct rung_event event = { .kind = RUNG_EVENT_PROGRESS,
        .migration = &m,
        .statement = 3,
        .statements = 12,
        .elapsed_ms = 999 };

    (void)state;
    paper.report.redraw = true;
    report_event(r, &event);
    event.elapsed_ms = 12345;
    report_event(r, &event);
    report_event(l, &event);
    event.bytes = 45000000;
    event.total_bytes = 200000000;
    report_event(r, &event);
    m.step = RUNG_STEP_APPLY;
    event.kind = RUNG_EVENT_DONE;
    report_event(r, &event);
    paper_check(&paper, "applied 3_b.sql (12 statements, 12 s)\n",
        "\r3_b.sql  statement 3 of 12  12 s\033[K"
        "\r3_b.sql  statement 3 of 12  45 of 200 MB  12 s\033[K"
        "\r\033[K");
    paper_check(&log, "", "");
}

static void
progress_says_what_the_server_does(void **state)
{
    static const char blocker[] = "blocked by pid 7 (psql): SELECT\x1b";
    struct paper paper = paper_open(), log = paper_open();
    struct report *r = paper_report(&paper), *l = paper_report(&log);
    struct rung_migration m = migration(3, "3_b.sql", RUNG_STATE_PENDING);
    struct rung_event event = { .kind = RUNG_EVENT_PROGRESS,
        .migration = &m,
        .statement = 3,
        .statement_to = 5,
        .statements = 12,
        .phase = "building index: scanning table",
        .permille = 459,
        .elapsed_ms = 3000 };

    (void)state;
    r->redraw = true;
    report_event(r, &event);
    report_event(l, &event); /* in a log each minute */
    event.elapsed_ms = 59999;
    report_event(l, &event);
    event.elapsed_ms = 60000;
    report_event(l, &event);
    event.elapsed_ms = 61000;
    report_event(l, &event);
    event.statement_to = 3;
    event.permille = -1;
    event.phase = "sorting";
    event.blocked_by = blocker; /* at once, in a log and on a terminal, but once */
    event.elapsed_ms = 62000;
    report_event(r, &event);
    report_event(l, &event);
    event.elapsed_ms = 63000;
    report_event(r, &event);
    report_event(l, &event);
    event.blocked_by = NULL;
    event.elapsed_ms = 4000; /* it is tried again */
    report_event(l, &event);
    event.elapsed_ms = 60000;
    report_event(l, &event);
    event.kind = RUNG_EVENT_START; /* and with another file from the beginning */
    report_event(l, &event);
    event.kind = RUNG_EVENT_PROGRESS;
    event.blocked_by = blocker;
    event.elapsed_ms = 2000;
    report_event(l, &event);
    paper_check(&paper, "",
        "\r3_b.sql  statements 3-5 of 12  building index: scanning table 45%  3 s\033[K"
        "\r\033[K"
        "rung: 3_b.sql, statement 3 of 12, sorting, 1 min 2 s, blocked by pid 7 (psql): "
        "SELECT\\x1b\n"
        "\r3_b.sql  statement 3 of 12  sorting  1 min 2 s  blocked by pid 7 (psql): "
        "SELECT\033[K"
        "\r3_b.sql  statement 3 of 12  sorting  1 min 3 s  blocked by pid 7 (psql): "
        "SELECT\033[K"
        "\r\033[K");
    paper_check(&log, "",
        "rung: 3_b.sql, statements 3-5 of 12, building index: scanning table 45%, 1 min 0 "
        "s\n"
        "rung: 3_b.sql, statement 3 of 12, sorting, 1 min 2 s, blocked by pid 7 (psql): "
        "SELECT\\x1b\n"
        "rung: 3_b.sql, statement 3 of 12, sorting, 1 min 0 s\n"
        "rung: 3_b.sql, statement 3 of 12, sorting, 2 s, blocked by pid 7 (psql): "
        "SELECT\\x1b\n");
}

static void
progress_never_wraps(void **state)
{
    struct paper paper = paper_open();
    struct rung_migration m = migration(3,
        "3_\xe6\x97\xa5_0123456789012345678901234567890123456789012345678901234567890123"
        "45678901234567890123456789.sql",
        RUNG_STATE_PENDING);
    struct rung_event event = {
        .kind = RUNG_EVENT_PROGRESS, .migration = &m, .elapsed_ms = 2000
    };

    (void)state;
    paper.report.redraw = true;
    report_event(paper_report(&paper), &event);
    paper_check(&paper, "",
        "\r3_\xe6\x97\xa5_0123456789012345678901234567890123456789012345678901234567890"
        "1234567890123\033[K\r\033[K");
}

/* ---- lists -------------------------------------------------------------------------
 */

#define DAY_US INT64_C(86400000000)

static struct rung_migration items[4];

static struct rung_list
a_list(void)
{
    struct rung_list list = { .items = items,
        .n = COUNT(items),
        .applied = 2,
        .pending = 1,
        .drafts = 1,
        .problems = 1,
        .ledger_exists = true,
        .ledger = "public.schema_migrations",
        .directory = "m/",
        .database = "app" };

    items[0] = migration(1, "001_initial.sql", RUNG_STATE_APPLIED);
    items[0].name = "initial";
    items[0].applied_at_us = 0;
    items[0].applied_by = "postgres";
    items[0].duration_ms = 12;
    items[1] = migration(2, "2_\xe6\x97\xa5\xe6\x9c\xac.sql", RUNG_STATE_EDITED);
    items[1].name = "\xe6\x97\xa5\xe6\x9c\xac";
    items[1].applied_at_us = DAY_US - 1;
    items[1].applied_by = "me";
    items[1].problem = "edited after it was applied";
    items[1].hint = "Undo the edit.";
    items[1].fatal = true;
    items[2] = migration(3, "003_c.sql", RUNG_STATE_PENDING);
    items[2].name = "c";
    items[2].statements = 4;
    items[3] = migration(4, "004_d.sql", RUNG_STATE_DRAFT);
    items[3].name = "d";
    return list;
}

static void
status_is_a_table_with_its_problems_and_a_sum(void **state)
{
    struct paper paper = paper_open();
    struct rung_list list = a_list();

    (void)state;
    report_status(paper_report(&paper), &list, RUNG_OK);
    paper_check(&paper,
        "state    version  name     applied               by        took\n"
        "applied  001      initial  1970-01-01 00:00:00Z  postgres  12 ms\n"
        "edited   2        \xe6\x97\xa5\xe6\x9c\xac     1970-01-01 23:59:59Z  me\n"
        "pending  003      c\n"
        "draft    004      d\n"
        "\n"
        "m/2_\xe6\x97\xa5\xe6\x9c\xac.sql: error: edited after it was applied\n"
        "hint: Undo the edit.\n"
        "\n"
        "2 applied, 1 pending, 1 draft, 1 problem (ledger public.schema_migrations in "
        "database app)\n",
        "");
}

static void
status_before_there_is_a_ledger_says_so(void **state)
{
    struct paper paper = paper_open();
    struct rung_list list = { .directory = "m", .ledger = "public.x", .database = "d" };

    (void)state;
    report_status(paper_report(&paper), &list, RUNG_OK);
    paper_check(&paper,
        "0 applied, 0 pending, no problems (no ledger yet: public.x in database d)\n",
        "");
}

static void
status_on_a_terminal_is_relative_and_coloured(void **state)
{
    static const struct {
        int64_t age_s;
        const char *want;
    } ages[] = {
        { 0, "0 s ago" },
        { 59, "59 s ago" },
        { 60, "1 min ago" },
        { 3599, "59 min ago" },
        { 3600, "1 h ago" },
        { 86400, "1 day ago" },
        { 172800, "2 days ago" },
        { 2592000, "1970-01-01 00:00:00Z" },
        { -5, "1970-01-01 00:00:00Z" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(ages); i++) {
        struct paper paper = paper_open();
        struct rung_list list = a_list();
        char want[256];

        list.n = 1;
        list.problems = list.pending = list.drafts = 0;
        list.applied = 1;
        items[0].applied_by = NULL;
        items[0].duration_ms = -1;
        paper.report.relative_times = paper.report.out_color = true;
        paper.report.now_us = ages[i].age_s * 1000000;
        report_status(paper_report(&paper), &list, RUNG_OK);
        snprintf(want, sizeof want,
            "\033[32mapplied\033[m  001      initial  %s\n"
            "\n1 applied, 0 pending, \033[32mno problems\033[m (ledger ",
            ages[i].want);
        paper_close(&paper);
        if (strstr(paper.out, want) == NULL)
            print_error("%s\n%s", ages[i].want, paper.out);
        assert_non_null(strstr(paper.out, want));
        paper_free(&paper);
    }
}

static void
plan_is_a_line_a_step(void **state)
{
    static const enum rung_step steps[] = { RUNG_STEP_RESUME, RUNG_STEP_CHAIN,
        RUNG_STEP_APPLY, RUNG_STEP_RECORD };
    struct paper paper = paper_open(), none = paper_open();
    struct rung_list list = a_list(), empty = { .n = 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(steps); i++)
        items[i].step = steps[i];
    report_plan(paper_report(&paper), &list);
    paper_check(&paper,
        "resume  001_initial.sql  (no transaction, no statements)\n"
        "apply   2_\xe6\x97\xa5\xe6\x9c\xac.sql       (no transaction, no statements)\n"
        "apply   003_c.sql        (transaction, 4 statements)\n"
        "record  004_d.sql        (no statements)\n",
        "");
    report_plan(paper_report(&none), &empty);
    paper_check(&none, "nothing to do\n", "");
}

static void
verify_says_what_it_looked_at(void **state)
{
    struct paper ledger = paper_open(), files = paper_open();
    struct rung_list list = a_list();

    (void)state;
    list.ledger_checked = list.sums_checked = true;
    items[1].fatal = false; /* whatever verify finds is an error */
    report_verify(paper_report(&ledger), &list, NULL, RUNG_OK);
    paper_check(&ledger,
        "m/2_\xe6\x97\xa5\xe6\x9c\xac.sql: error: edited after it was applied\n"
        "hint: Undo the edit.\n"
        "verified files and ledger and SHA256SUMS: 2 applied, 1 pending, 1 draft, 1 "
        "problem\n",
        "");
    list = a_list();
    list.n = 1;
    list.problems = 0;
    report_verify(paper_report(&files), &list, NULL, RUNG_OK);
    paper_check(&files,
        "verified files only (no connection was asked for): 2 migrations, no problems\n",
        "");
}

static void
nothing_to_do_is_said_only_when_asked(void **state)
{
    static const struct rung_result result = { .version = 6 };
    static const struct rung_result nothing = { .version = RUNG_NO_VERSION };
    struct paper paper = paper_open(), verbose = paper_open();
    struct report *v;

    (void)state;
    report_result(paper_report(&paper), &result, NULL, false);
    paper_check(&paper, "", "");
    verbose.report.verbose = true;
    v = paper_report(&verbose);
    report_result(v, &result, NULL, true);
    report_result(v, &nothing, NULL, true);
    paper_check(&verbose,
        "nothing to do: 6 is the newest applied version\n"
        "nothing to do: nothing is applied\n",
        "");
}

static const struct {
    const char *why, *text, *want;
} strings[] = {
    { "nothing", "", "" },
    { "what JSON itself needs", "\" \\ / \n\t\r\b\x01",
        "\\\" \\\\ / \\n\\t\\u000d\\u0008\\u0001" },
    { "what a terminal obeys", "\x1b[31m \x7f \xc2\x85 \xe2\x80\xae",
        "\\u001b[31m \\u007f \\u0085 \\u202e" },
    { "what JavaScript takes for the end of a line", "\xe2\x80\xa8\xe2\x80\xa9",
        "\\u2028\\u2029" },
    { "UTF-8 as it is", "\xc3\xa9 \xe8\xa1\xa8 \xf0\x9f\x98\x80",
        "\xc3\xa9 \xe8\xa1\xa8 \xf0\x9f\x98\x80" },
    { "what is none, byte for byte", "a\xff\xe8\xa1z\xed\xa0\x80",
        "a\\ufffd\\ufffd\\ufffdz\\ufffd\\ufffd\\ufffd" },
    { "what the service that runs us would obey", "# ## ##[x] ###[x] ##vso[y ## [",
        "# ## \\u0023#[x] #\\u0023#[x] \\u0023#vso[y ## [" },
};

static void
a_json_string_holds_anything(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(strings); i++) {
        struct paper paper = paper_open();
        struct report *r = paper_report(&paper);
        char want[256];

        json_open(r, "t");
        json_text(r, "k", strings[i].text);
        json_close(r);
        snprintf(want, sizeof want, "{\"format\":1,\"type\":\"t\",\"k\":\"%s\"}\n",
            strings[i].want);
        print_message("  %s\n", strings[i].why);
        paper_check(&paper, want, "");
    }
}

static void
json_values_are_null_where_nothing_is_known(void **state)
{
    struct paper paper = paper_open();
    struct report *r = paper_report(&paper);

    (void)state;
    json_open(r, "t");
    json_text(r, "a", NULL);
    json_number(r, "b", -1);
    json_number(r, "c", INT64_MAX);
    json_place(r, "d", 0);
    json_place(r, "e", UINT64_MAX);
    json_version(r, "f", RUNG_NO_VERSION);
    json_version(r, "g", INT64_C(999999999999999999));
    json_time(r, "h", RUNG_NO_TIME);
    json_time(r, "i", -1);
    json_time(r, "j", INT64_C(951825600000001));
    json_bool(r, "k", true);
    json_close(r);
    paper_check(&paper,
        "{\"format\":1,\"type\":\"t\",\"a\":null,\"b\":null,\"c\":9223372036854775807,"
        "\"d\":null,\"e\":null,\"f\":null,\"g\":\"999999999999999999\",\"h\":null,"
        "\"i\":\"1969-12-31T23:59:59.999999Z\",\"j\":\"2000-02-29T12:00:00.000001Z\","
        "\"k\":true}\n",
        "");
}

static void
no_line_of_others_is_a_command_to_who_reads_the_log(void **state)
{
    static const struct rung_event notice = { .kind = RUNG_EVENT_NOTICE,
        .severity = "NOTICE",
        .message = "::error::a\n::add-mask::b\n \t::set-output name=x::y\n"
                   "::int, c::int\n::text\nx ::error::y\n##[debug]z" };
    struct paper paper = paper_open();

    (void)state;
    report_event(paper_report(&paper), &notice);
    paper_check(&paper, "",
        "rung: notice: ::error::a\n"
        "    \\x3a:add-mask::b\n"
        "     \t\\x3a:set-output name=x::y\n"
        "    ::int, c::int\n"
        "    ::text\n"
        "    x ::error::y\n"
        "    \\x23#[debug]z\n");
}

static void
a_full_disk_is_not_a_success(void **state)
{
    static const struct rung_result result = { .version = 6 };
    struct paper paper = paper_open();
    struct report *r = paper_report(&paper);

    (void)state;
    fclose(r->out);
    free(paper.out);
    r->out = fopen("/dev/full", "w");
    if (r->out == NULL) {
        fclose(r->err);
        free(paper.err);
        skip();
    }
    r->verbose = true;
    report_result(r, &result, NULL, r->verbose);
    assert_false(report_finish(r));
    fclose(r->out);
    fclose(r->err);
    assert_string_equal(paper.err,
        "rung: error: standard output could not be written: No space left on device\n");
    free(paper.err);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_shows_its_place_and_the_way_out),
        cmocka_unit_test(colour_is_for_the_words_that_sort_a_message),
        cmocka_unit_test(what_is_done_is_one_line_a_file),
        cmocka_unit_test(what_was_repaired_stamped_and_renamed_is_a_line_as_well),
        cmocka_unit_test(the_lines_of_a_file_stay_and_its_control_characters_do_not),
        cmocka_unit_test(what_differs_is_said_as_diff_says_it),
        cmocka_unit_test(a_diff_that_has_no_place_for_its_files_says_so),
        cmocka_unit_test(a_notice_names_its_file_and_line),
        cmocka_unit_test(findings_are_errors_warnings_or_notices),
        cmocka_unit_test(a_refusal_is_said_once),
        cmocka_unit_test(waiting_is_said_at_once_and_then_each_minute),
        cmocka_unit_test(progress_is_drawn_on_one_line_of_a_terminal),
        cmocka_unit_test(progress_says_what_the_server_does),
        cmocka_unit_test(progress_never_wraps),
        cmocka_unit_test(status_is_a_table_with_its_problems_and_a_sum),
        cmocka_unit_test(status_before_there_is_a_ledger_says_so),
        cmocka_unit_test(status_on_a_terminal_is_relative_and_coloured),
        cmocka_unit_test(plan_is_a_line_a_step),
        cmocka_unit_test(verify_says_what_it_looked_at),
        cmocka_unit_test(nothing_to_do_is_said_only_when_asked),
        cmocka_unit_test(a_json_string_holds_anything),
        cmocka_unit_test(json_values_are_null_where_nothing_is_known),
        cmocka_unit_test(no_line_of_others_is_a_command_to_who_reads_the_log),
        cmocka_unit_test(a_full_disk_is_not_a_success),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
