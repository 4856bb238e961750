/*
 * progress.c: what takes long: that we wait, and how far a file is.
 *
 * On a terminal it is drawn on one line, again and again over itself; a log gets a line
 * when it begins, when somebody is first in the way, and each minute.
 */
#define _DEFAULT_SOURCE /* struct winsize; POSIX has it since 2024 */
#include "cli.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

/* ---- the line -------------------------------------------------------------------- */

void
report_clear(struct report *r)
{
    if (!r->drawn)
        return;
    (void)fputs("\r\033[K", r->err);
    (void)fflush(r->err);
    r->drawn = false;
}

/* Draw one line over the last one, cut where the terminal would wrap it. */
static void
draw_progress(struct report *r, const char *text)
{
    struct winsize size = { .ws_col = 0 };
    int left = 79;
    struct glyph glyph;

    if (ioctl(fileno(r->err), TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        left = size.ws_col - 1;
    (void)fputc('\r', r->err);
    for (; (glyph = term_glyph(text)).n > 0 && glyph.width <= left; text += glyph.n) {
        term_put_glyph(r->err, text, glyph);
        left -= glyph.width;
    }
    (void)fputs("\033[K", r->err);
    (void)fflush(r->err);
    r->drawn = true;
}

/* ---- waiting --------------------------------------------------------------------- */

/* In a log waiting is told the first time and then each minute. */
static bool
is_due(struct report *r, const struct rung_event *event)
{
    if (r->waiting && event->elapsed_ms >= r->waiting_told_ms
        && event->elapsed_ms - r->waiting_told_ms < 60000)
        return false;
    r->waiting = true;
    r->waiting_told_ms = event->elapsed_ms;
    return true;
}

/* On a terminal in place. */
void
progress_waiting(struct report *r, const struct rung_event *event)
{
    const char *what = event->message == NULL ? "waiting" : event->message;
    char text[1024], elapsed[32];

    format_elapsed(elapsed, sizeof elapsed, event->elapsed_ms);
    if (event->elapsed_ms < 1000)
        (void)snprintf(text, sizeof text, "rung: %s", what);
    else
        (void)snprintf(text, sizeof text, "rung: waited %s: %s", elapsed, what);
    for (char *at = text; (at = strchr(at, '\n')) != NULL;)
        *at = ' '; /* a query of several lines is quoted on one */
    if (r->format != FORMAT_JSON && r->redraw) {
        draw_progress(r, text);
        return;
    }
    if (!is_due(r, event))
        return;
    if (r->format == FORMAT_JSON) {
        json_event(r, event);
        return;
    }
    term_text(r->err, text);
    (void)fputc('\n', r->err);
}

/* ---- a file ---------------------------------------------------------------------- */

/* "statement 3 of 12", "statements 3-5 of 12" where that is all one knows. */
static void
format_statement(char *text, size_t size, const struct rung_event *event)
{
    text[0] = '\0';
    if (event->statement > 0 && event->statement_to > event->statement)
        (void)snprintf(text, size, "statements %" PRIu64 "-%" PRIu64 " of %" PRIu64,
            event->statement, event->statement_to, event->statements);
    else if (event->statement > 0)
        (void)snprintf(text, size, "statement %" PRIu64 " of %" PRIu64,
            event->statement, event->statements);
}

/* "building index: scanning table 45%" */
static void
format_phase(char *text, size_t size, const struct rung_event *event)
{
    text[0] = '\0';
    if (event->phase != NULL && event->permille >= 0)
        (void)snprintf(text, size, "%s %d%%", event->phase, event->permille / 10);
    else if (event->phase != NULL)
        (void)snprintf(text, size, "%s", event->phase);
}

/* Is a lasting line due?  When somebody is first in the way; in a log each minute. */
static bool
lasting_due(struct report *r, const struct rung_event *event)
{
    bool blocked = event->blocked_by != NULL && !r->blocked_told;

    if (event->elapsed_ms < r->progress_told_ms)
        r->progress_told_ms = 0; /* it is tried again */
    if (!blocked && (r->redraw || event->elapsed_ms - r->progress_told_ms < 60000))
        return false;
    r->progress_told_ms = event->elapsed_ms;
    r->blocked_told |= blocked;
    return true;
}

/* Everything that is known of it, on one line. */
static void
format_progress(char *text, size_t size, const char *name, const char *separator,
    const struct rung_event *event)
{
    const uint64_t mb = 1000000;
    char statement[96], bytes[64] = "", phase[128], elapsed[32];
    const char *parts[] = { statement, bytes, phase, elapsed, event->blocked_by };
    int n = snprintf(text, size, "%s", name);

    format_statement(statement, sizeof statement, event);
    if (event->total_bytes >= 10 * mb)
        (void)snprintf(bytes, sizeof bytes, "%" PRIu64 " of %" PRIu64 " MB",
            event->bytes / mb, event->total_bytes / mb);
    format_phase(phase, sizeof phase, event);
    format_elapsed(elapsed, sizeof elapsed, event->elapsed_ms);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i] != NULL && parts[i][0] != '\0' && n >= 0 && (size_t)n < size)
            n += snprintf(text + n, size - (size_t)n, "%s%s", separator, parts[i]);
}

/* What takes longer: "003_x.sql  statement 3 of 12  45 of 200 MB  12 s". */
void
progress_lasting(struct report *r, const struct rung_event *event)
{
    char text[1024];
    const char *name =
        event->migration != NULL ? event->migration->filename : event->path;

    if (r->format == FORMAT_JSON || r->quiet || name == NULL
        || event->elapsed_ms < 1000)
        return;
    if (lasting_due(r, event)) {
        report_clear(r);
        format_progress(text, sizeof text, name, ", ", event);
        (void)fputs("rung: ", r->err);
        term_text(r->err, text);
        (void)fputc('\n', r->err);
    }
    if (r->redraw) {
        format_progress(text, sizeof text, name, "  ", event);
        draw_progress(r, text);
    }
}
