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

/* The library's own events are not ours to tell: this is a look on the side. */
static char *
kept_text(const struct rung_options *options, int64_t version)
{
    struct rung_options aside = *options;
    struct rung_error ignored;
    char *text = NULL;

    aside.on_event = NULL;
    if (!rung_source(&aside, version, false, &text, &ignored))
        return NULL;
    return text;
}

void
report_edit(struct report *r, FILE *f, bool color, const struct rung_options *options,
    const struct rung_migration *m)
{
    char *then = kept_text(options, m->version), *now, *diff = NULL;
    struct rung_error ignored;

    if (then == NULL)
        return;
    now = diff_read_file(options->directory, m->filename);
    report_clear(r);
    if (now != NULL
        && diff_texts(&(struct diff_side){ "recorded", then },
            &(struct diff_side){ "on disk", now }, &diff, &ignored))
        report_diff(f, color, diff);
    if (now != NULL)
        (void)fprintf(f, "%s\n",
            rung_same_sql(then, now) ? "Only comments and white space differ."
                                     : "The SQL itself differs.");
    free(diff);
    free(now);
    free(then);
}

void
report_edits(
    struct report *r, const struct rung_options *options, const struct rung_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].state == RUNG_STATE_EDITED && r->format != FORMAT_JSON)
            report_edit(r, r->out, r->out_color, options, &list->items[i]);
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
put_repair(struct report *r, const struct rung_options *options,
    const struct rung_migration *m)
{
    bool here = m->checksum != NULL;
    char applied[48];

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
    if (m->state == RUNG_STATE_EDITED)
        report_edit(r, r->err, r->err_color, options, m);
    (void)fprintf(r->err, "  repair    %s\n", repair_verb(m->state, false));
}

void
report_repairs(
    struct report *r, const struct rung_options *options, const struct rung_list *list)
{
    report_clear(r);
    for (size_t i = 0; i < list->n; i++) {
        const struct rung_migration *m = &list->items[i];

        if (m->step == RUNG_STEP_NONE)
            continue;
        if (r->format == FORMAT_JSON)
            json_migration(r, m);
        else
            put_repair(r, options, m);
    }
}
