/*
 * compare.c: what is recorded beside what is on disk, for `verify` and `repair`.
 *
 * Invariant: whoever may not read the kept text, or has no diff, is told less, and
 * nothing fails because of it.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* ---- edits ----------------------------------------------------------------------- */

void
report_diff(FILE *f, bool color, const char *diff)
{
    while (*diff != '\0') {
        size_t n = strcspn(diff, "\n");
        char *line = strndup(diff, n);
        const char *sgr = diff[0] == '+'   ? GREEN
                          : diff[0] == '-' ? RED
                          : diff[0] == '@' ? CYAN
                                           : NULL;

        term_paint(f, color && sgr != NULL, sgr);
        term_line(f, line == NULL ? "" : line);
        term_unpaint(f, color && sgr != NULL);
        (void)fputc('\n', f);
        free(line);
        diff += n + (diff[n] == '\n');
    }
}

/* A look on the side is a connection, and reads the directory. */
#define LOOKS_MOST 12

/* An edited file: the text that was kept, and the one on disk. */
struct edit {
    char *then, *now;
};

/* The library's own events are not ours to tell, and nothing is waited for: this is a
 * look on the side. */
static char *
kept_text(const struct report *r, int64_t version)
{
    struct rung_options aside = *r->library;
    struct rung_error ignored;
    char *text = NULL;

    aside.on_event = NULL;
    aside.wait_ms = 0;
    if (!rung_source(&aside, version, false, &text, &ignored))
        return NULL;
    return text;
}

/* False when either text cannot be had.  Free with edit_close, also then. */
static bool
edit_open(
    struct edit *edit, const struct report *r, const struct rung_migration *migration)
{
    *edit = (struct edit){ .then = NULL };
    if (r->library == NULL || migration->state != RUNG_STATE_EDITED)
        return false;
    edit->then = kept_text(r, migration->version);
    if (edit->then != NULL)
        edit->now = diff_read_file(r->library->directory, migration->filename);
    return edit->now != NULL;
}

/* The same, but not for ever: nobody has asked for it. */
static bool
edit_glance(struct edit *edit, struct report *r, const struct rung_migration *migration)
{
    *edit = (struct edit){ .then = NULL };
    if (migration->state != RUNG_STATE_EDITED || r->looks == LOOKS_MOST)
        return false;
    r->looks++;
    return edit_open(edit, r, migration);
}

static void
edit_close(struct edit *edit)
{
    free(edit->then);
    free(edit->now);
}

static void
put_edit(struct report *r, FILE *f, bool color, const struct edit *edit)
{
    struct rung_error ignored;
    char *diff = NULL;

    report_clear(r);
    if (diff_texts(&(struct diff_side){ "recorded", edit->then },
            &(struct diff_side){ "on disk", edit->now }, &diff, &ignored))
        report_diff(f, color, diff);
    (void)fprintf(f, "%s\n",
        rung_same_sql(edit->then, edit->now) ? "Only comments and white space differ."
                                             : "The SQL itself differs.");
    free(diff);
}

void
report_edits(struct report *r, struct rung_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        struct edit edit;

        if (edit_glance(&edit, r, &list->items[i])) {
            list->items[i].line = diff_first_line(edit.then, edit.now);
            if (r->format != FORMAT_JSON)
                put_edit(r, r->out, r->out_color, &edit);
        }
        edit_close(&edit);
    }
}

void
report_event_placed(void *report, const struct rung_event *event)
{
    struct rung_event placed = *event;
    struct edit edit;

    if (event->kind == RUNG_EVENT_FINDING) {
        if (edit_glance(&edit, report, event->migration))
            placed.line = diff_first_line(edit.then, edit.now);
        edit_close(&edit);
    }
    report_event(report, &placed);
}

/* ---- repairs --------------------------------------------------------------------- */

/* "  on disk   003_x.sql  0123abcd..." */
static void
put_side(struct report *r, const char *side, const char *filename, const char *checksum)
{
    (void)fprintf(r->err, "  %-9s ", side);
    term_text(r->err, filename);
    if (checksum != NULL && checksum[0] != '\0') {
        (void)fputs("  ", r->err);
        term_text(r->err, checksum);
    }
    (void)fputc('\n', r->err);
}

static void
put_repair(struct report *r, const struct rung_migration *m)
{
    bool here = m->checksum != NULL;
    char applied[48];
    struct edit edit;

    term_painted(r->err, r->err_color, BOLD, m->filename);
    (void)fputs(": ", r->err);
    term_lines(r->err, m->problem == NULL ? rung_state_name(m->state) : m->problem);
    (void)fputc('\n', r->err);
    put_side(r, "recorded", m->recorded_filename, m->recorded_checksum);
    format_time(r, applied, sizeof applied, m->applied_at_us);
    if (applied[0] != '\0')
        (void)fprintf(r->err, "  %-9s %s\n", "applied", applied);
    if (m->note != NULL) {
        (void)fprintf(r->err, "  %-9s ", "note");
        term_lines(r->err, m->note);
        (void)fputc('\n', r->err);
    }
    put_side(r, "on disk", here ? m->filename : "no such file", m->checksum);
    if (edit_open(&edit, r, m))
        put_edit(r, r->err, r->err_color, &edit);
    edit_close(&edit);
    (void)fprintf(r->err, "  repair    %s\n", repair_verb(m->state, false));
}

void
report_repairs(struct report *r, const struct rung_list *list)
{
    report_clear(r);
    for (size_t i = 0; i < list->n; i++) {
        const struct rung_migration *m = &list->items[i];

        if (m->step == RUNG_STEP_NONE)
            continue;
        if (r->format == FORMAT_JSON)
            json_migration(r, m);
        else
            put_repair(r, m);
    }
}
