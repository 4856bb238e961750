/*
 * listing.c: the answers that are lists: status, plan, verify, history, show.
 *
 * Results, so all of it goes to `out`.
 */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

/* ---- tables ---------------------------------------------------------------------- */

#define COLUMNS 6

/* What a migration's line in the table says. */
struct row {
    const char *cells[COLUMNS];
    char version[24], applied[48], took[48];
};

static void
fill_row(const struct report *r, struct row *row, const struct rung_migration *m)
{
    size_t digits = strspn(m->filename, "0123456789");

    *row = (struct row){
        .cells = { rung_state_name(m->state), row->version,
            m->version == RUNG_NO_VERSION || m->name == NULL ? m->filename : m->name,
            row->applied, m->applied_by == NULL ? "" : m->applied_by, row->took }
    };
    if (m->version != RUNG_NO_VERSION && digits > 0 && digits < sizeof row->version)
        (void)snprintf(
            row->version, sizeof row->version, "%.*s", (int)digits, m->filename);
    else if (m->version != RUNG_NO_VERSION)
        (void)snprintf(row->version, sizeof row->version, "%" PRId64, m->version);
    format_time(r, row->applied, sizeof row->applied, m->applied_at_us);
    if (m->duration_ms >= 0)
        format_duration(row->took, sizeof row->took, m->duration_ms);
}

static const char *
color_of(const struct rung_migration *m)
{
    switch (m->state) {
    case RUNG_STATE_APPLIED:
        return m->problem == NULL ? GREEN : YELLOW;
    case RUNG_STATE_PENDING:
    case RUNG_STATE_DRAFT:
        return YELLOW;
    case RUNG_STATE_EDITED:
    case RUNG_STATE_MISSING:
    case RUNG_STATE_NEWER:
    case RUNG_STATE_RENAMED:
    case RUNG_STATE_OUT_OF_ORDER:
    case RUNG_STATE_DUPLICATE:
    case RUNG_STATE_MISNAMED:
        break;
    case RUNG_STATE_UNFINISHED:
        return m->runner == NULL ? RED : YELLOW;
    }
    return RED;
}

/* A line of the table, its first cell painted; nothing is padded at the end. */
static void
put_row(struct report *r, const char *const *cells, const int *widths, const char *sgr)
{
    int last = 0, gap = 0;

    for (int i = 0; i < COLUMNS; i++)
        if (cells[i][0] != '\0')
            last = i;
    for (int i = 0; i <= last; i++) {
        term_spaces(r->out, gap);
        term_painted(r->out, r->out_color && i == 0, sgr, cells[i]);
        gap = widths[i] + 2 - term_width(cells[i]);
    }
    (void)fputc('\n', r->out);
}

/* The first `most` items. */
static void
put_table(struct report *r, const struct rung_list *list, size_t most)
{
    static const char *const head[COLUMNS] = { "state", "version", "name", "applied",
        "by", "took" };
    int widths[COLUMNS];
    struct row row;

    for (int i = 0; i < COLUMNS; i++)
        widths[i] = term_width(head[i]);
    for (size_t n = 0; n < most; n++) {
        fill_row(r, &row, &list->items[n]);
        for (int i = 0; i < COLUMNS; i++)
            if (widths[i] < term_width(row.cells[i]))
                widths[i] = term_width(row.cells[i]);
    }
    put_row(r, head, widths, BOLD);
    for (size_t n = 0; n < most; n++) {
        fill_row(r, &row, &list->items[n]);
        put_row(r, row.cells, widths, color_of(&list->items[n]));
    }
}

/* ---- for programs ---------------------------------------------------------------- */

static void
put_objects(struct report *r, const struct rung_list *list, size_t most)
{
    for (size_t i = 0; i < most; i++)
        json_migration(r, &list->items[i]);
}

/* How many there are of each, and where that was looked up. */
static void
put_summary(struct report *r, const struct rung_list *list)
{
    json_number(r, "applied", (int64_t)list->applied);
    json_number(r, "pending", (int64_t)list->pending);
    json_number(r, "drafts", (int64_t)list->drafts);
    json_number(r, "problems", (int64_t)list->problems);
    json_text(r, "directory", list->directory);
    json_text(r, "database", list->database);
    json_text(r, "ledger", list->ledger);
}

static void
put_total(struct report *r, const char *key, size_t n)
{
    json_open_result(r, RUNG_OK);
    json_number(r, key, (int64_t)n);
    json_close(r);
}

/* ---- status ---------------------------------------------------------------------- */

/* Every problem of the list; `all_errors`: also what `up` would only warn of. */
static void
put_problems(struct report *r, const struct rung_list *list, bool all_errors)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct rung_migration *item = &list->items[i];

        if (item->problem != NULL)
            report_problem(r, list->directory, item, item->fatal || all_errors);
    }
}

/* What is not finished because a runner is at it.  Were there any? */
static bool
put_running(struct report *r, const struct rung_list *list)
{
    bool any = false;

    for (size_t i = 0; i < list->n; i++) {
        const struct rung_migration *item = &list->items[i];
        bool undo = item->undone >= 0;
        int64_t done = undo ? item->undone : item->recorded_statements;
        char text[512], place[64] = ", in its first statement";

        if (item->runner == NULL)
            continue;
        if (done > 0)
            (void)snprintf(
                place, sizeof place, ", done up to statement %" PRId64, done);
        (void)snprintf(text, sizeof text, "being %s now by %s%s",
            undo ? "undone" : "applied", item->runner, place);
        report_running(r, list->directory, item, text);
        any = true;
    }
    return any;
}

/* "6 applied, 1 pending, 1 draft, " */
static void
format_counts(char *text, size_t size, const struct rung_list *list)
{
    char drafts[48] = "";

    if (list->drafts > 0)
        (void)snprintf(drafts, sizeof drafts, "%zu draft%s, ", list->drafts,
            list->drafts == 1 ? "" : "s");
    (void)snprintf(text, size, "%zu applied, %zu pending, %s", list->applied,
        list->pending, drafts);
}

/* The line below a list: `counts`, then "no problems" in its colour. */
static void
put_closing(struct report *r, const struct rung_list *list, const char *counts)
{
    char problems[48], text[512 + sizeof problems];

    format_count(problems, sizeof problems, list->problems, "problem");
    (void)snprintf(text, sizeof text, "%s%s", counts, problems);
    github_closing(r, text);
    (void)fputs(counts, r->out);
    term_painted(r->out, r->out_color, list->problems == 0 ? GREEN : RED, problems);
}

/* The table's rows for the job's summary. */
static void
put_github_rows(struct report *r, const struct rung_list *list)
{
    struct row row;
    char text[256];

    for (size_t i = 0; i < list->n; i++) {
        const struct rung_migration *m = &list->items[i];

        fill_row(r, &row, m);
        (void)snprintf(text, sizeof text, "%s%s%s%s%s", row.applied,
            m->applied_by == NULL ? "" : " by ",
            m->applied_by == NULL ? "" : m->applied_by, row.took[0] == '\0' ? "" : ", ",
            row.took);
        github_row(r, rung_state_name(m->state), m->filename, text);
    }
}

static void
put_status_object(struct report *r, const struct rung_list *list, enum rung_code code)
{
    put_objects(r, list, list->n);
    json_open_result(r, code);
    put_summary(r, list);
    json_bool(r, "ledger_exists", list->ledger_exists);
    json_close(r);
}

void
report_status(struct report *r, const struct rung_list *list, enum rung_code code)
{
    char counts[256];

    report_clear(r);
    if (r->format == FORMAT_JSON) {
        put_status_object(r, list, code);
        return;
    }
    if (list->n > 0) {
        put_table(r, list, list->n);
        (void)fputc('\n', r->out);
    }
    if (r->format == FORMAT_GITHUB)
        put_github_rows(r, list);
    put_problems(r, list, false);
    if (put_running(r, list) || list->problems > 0)
        (void)fputc('\n', r->out);
    format_counts(counts, sizeof counts, list);
    put_closing(r, list, counts);
    (void)fputs(list->ledger_exists ? " (ledger " : " (no ledger yet: ", r->out);
    term_text(r->out, list->ledger == NULL ? "" : list->ledger);
    if (list->database != NULL) {
        (void)fputs(" in database ", r->out);
        term_text(r->out, list->database);
    }
    (void)fputs(")\n", r->out);
}

/* ---- plan and verify ------------------------------------------------------------- */

/* "in a transaction": how a step runs a file. */
static const char *
manner_of(enum rung_step step)
{
    switch (step) {
    case RUNG_STEP_APPLY:
    case RUNG_STEP_UNDO:
        return "transaction";
    case RUNG_STEP_CHAIN:
    case RUNG_STEP_RESUME:
        return "no transaction";
    case RUNG_STEP_RECORD:
    case RUNG_STEP_NONE:
        break;
    }
    return NULL;
}

/* "transaction, 2 statements" */
static void
format_step(char *text, size_t size, const struct rung_migration *m)
{
    const char *manner = manner_of(m->step);
    char count[48];

    format_count(count, sizeof count, m->statements, "statement");
    (void)snprintf(text, size, "%s%s%s", manner == NULL ? "" : manner,
        manner == NULL ? "" : ", ", count);
}

void
report_plan(struct report *r, const struct rung_list *list)
{
    int width = 0;

    report_clear(r);
    if (r->format == FORMAT_JSON) {
        put_objects(r, list, list->n);
        put_total(r, "steps", list->n);
        return;
    }
    for (size_t i = 0; i < list->n; i++)
        if (width < term_width(list->items[i].filename))
            width = term_width(list->items[i].filename);
    for (size_t i = 0; i < list->n; i++) {
        const struct rung_migration *m = &list->items[i];
        char text[128];

        format_step(text, sizeof text, m);
        (void)fprintf(r->out, "%-6s  ", step_verb(m->step, false));
        term_text(r->out, m->filename);
        term_spaces(r->out, width - term_width(m->filename));
        (void)fprintf(r->out, "  (%s)\n", text);
        github_row(r, step_verb(m->step, false), m->filename, text);
    }
    if (list->n > 0)
        return;
    (void)fputs("nothing to do\n", r->out);
    github_closing(r, "nothing to do");
}

static void
put_verify_object(struct report *r, const struct rung_list *list, const char *base,
    enum rung_code code)
{
    put_problems(r, list, true);
    json_open_result(r, code);
    put_summary(r, list);
    json_bool(r, "ledger_checked", list->ledger_checked);
    json_bool(r, "sums_checked", list->sums_checked);
    json_text(r, "base", base);
    json_close(r);
}

void
report_verify(struct report *r, const struct rung_list *list, const char *base,
    enum rung_code code)
{
    char counts[256], files[48], text[512], against[128] = "";

    report_clear(r);
    if (r->format == FORMAT_JSON) {
        put_verify_object(r, list, base, code);
        return;
    }
    put_problems(r, list, true);
    if (r->quiet)
        return;
    put_running(r, list);
    format_counts(counts, sizeof counts, list);
    format_count(files, sizeof files, list->pending + list->drafts, "migration");
    if (base != NULL)
        (void)snprintf(against, sizeof against, " and git's %.100s", base);
    (void)snprintf(text, sizeof text, "verified files%s%s%s: %s%s",
        list->ledger_checked ? " and ledger" : " only (no connection was asked for)",
        list->sums_checked ? " and SHA256SUMS" : "", against,
        list->ledger_checked ? counts : files, list->ledger_checked ? "" : ", ");
    put_closing(r, list, text);
    (void)fputc('\n', r->out);
}

/* ---- history and show ------------------------------------------------------------ */

void
report_history(struct report *r, const struct rung_list *list, uint64_t most)
{
    report_clear(r);
    if (most == 0 || most > list->n)
        most = list->n;
    if (r->format == FORMAT_JSON) {
        put_objects(r, list, (size_t)most);
        put_total(r, "rows", (size_t)most);
        return;
    }
    if (most > 0)
        put_table(r, list, (size_t)most);
    for (size_t i = 0; i < most; i++) {
        if (list->items[i].note == NULL)
            continue;
        term_text(r->out, list->items[i].filename);
        (void)fputs(": ", r->out);
        term_lines(r->out, list->items[i].note);
        (void)fputc('\n', r->out);
    }
}

static void
put_fact(struct report *r, const char *label, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    (void)fprintf(r->out, "%-12s", label);
    term_lines(r->out, text);
    (void)fputc('\n', r->out);
}

/* What the ledger says, where that is not what the file says. */
static void
put_recorded(struct report *r, const struct rung_migration *m)
{
    char applied[48], took[48] = "", statements[48] = "";

    format_time(r, applied, sizeof applied, m->applied_at_us);
    if (m->duration_ms >= 0)
        format_duration(took, sizeof took, m->duration_ms);
    if (m->recorded_statements >= 0)
        format_count(statements, sizeof statements, (uint64_t)m->recorded_statements,
            "statement");
    put_fact(
        r, "applied", m->applied_at_us == RUNG_NO_TIME ? "not to its end" : applied);
    put_fact(r, "by", m->applied_by);
    put_fact(r, "took", took);
    put_fact(r, "ran", statements);
    if (strcmp(m->filename, m->recorded_filename) != 0)
        put_fact(r, "recorded as", m->recorded_filename);
    if (m->checksum == NULL || strcmp(m->checksum, m->recorded_checksum) != 0)
        put_fact(r, "recorded", m->recorded_checksum);
    if (m->undone >= 0)
        (void)fprintf(
            r->out, "%-12s%" PRId64 " of its down file\n", "undone", m->undone);
    put_fact(r, "note", m->note);
}

void
report_show(struct report *r, const struct rung_list *list)
{
    report_clear(r);
    if (r->format == FORMAT_JSON) {
        put_objects(r, list, list->n);
        return;
    }
    for (size_t i = 0; i < list->n; i++) {
        const struct rung_migration *m = &list->items[i];

        put_fact(r, "file", m->filename);
        put_fact(r, "state", rung_state_name(m->state));
        put_fact(r, "checksum", m->checksum);
        put_fact(r, "down file", m->down);
        if (m->recorded)
            put_recorded(r, m);
        if (m->problem != NULL)
            report_problem(r, list->directory, m, m->fatal);
    }
}

void
report_statement(void *report, const struct rung_statement *statement)
{
    struct report *r = report;

    if (r->format == FORMAT_JSON) {
        json_statement(r, statement);
        return;
    }
    (void)fprintf(r->out, "%5" PRIu64 "  line %-5" PRIu64 "  ", statement->number,
        statement->line);
    term_text(r->out, statement->verb);
    if (statement->mode[0] != '\0')
        (void)fprintf(r->out, "  (%s)", statement->mode);
    (void)fputc('\n', r->out);
}

void
report_shown(struct report *r)
{
    if (r->format != FORMAT_JSON)
        return;
    json_open_result(r, RUNG_OK);
    json_close(r);
}
