/*
 * json.c: what the library tells, for programs: an object a line, all on `out`.
 *
 * docs/json.md is the promise: a key stays, with its type and meaning, as long as
 * `format` is 1.  Keys may be added.  A key is always there; its value is null where
 * nothing is known.
 *
 * Invariant: the last object is a `result` or an `error`, and there is one of them.
 * What is written is ASCII where a terminal, or who reads a log, would obey it, and
 * valid UTF-8 whatever came in.
 *
 * Source: RFC 8259; RFC 3339.
 */
#include "cli.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define FORMAT_VERSION 1

/* ---- writing --------------------------------------------------------------------- */

/* A character as \uXXXX; beyond the first 65536 as two of them (RFC 8259, 7). */
static void
put_escape(FILE *f, uint32_t code)
{
    if (code > 0xFFFF) {
        put_escape(f, 0xD800 + ((code - 0x10000) >> 10));
        put_escape(f, 0xDC00 + ((code - 0x10000) & 0x3FF));
        return;
    }
    (void)fprintf(f, "\\u%04" PRIx32, code);
}

static void
put_character(FILE *f, const char *text, struct glyph glyph)
{
    size_t n;
    uint32_t code = term_decode(text, &n);

    switch (code) {
    case '"':
        (void)fputs("\\\"", f);
        break;
    case '\\':
        (void)fputs("\\\\", f);
        break;
    case '\n':
        (void)fputs("\\n", f);
        break;
    case '\t':
        (void)fputs("\\t", f);
        break;
    case TERM_INVALID:
        put_escape(f, 0xFFFD);
        break;
    default:
        if (glyph.escaped)
            put_escape(f, code);
        else
            (void)fwrite(text, 1, glyph.n, f);
        break;
    }
}

static void
put_string(FILE *f, const char *text)
{
    struct glyph glyph;

    (void)fputc('"', f);
    for (; (glyph = term_glyph(text)).n > 0; text += glyph.n)
        put_character(f, text, glyph);
    (void)fputc('"', f);
}

static void
put_key(struct report *r, const char *key)
{
    (void)fprintf(r->out, ",\"%s\":", key);
}

void
json_open(struct report *r, const char *type)
{
    report_clear(r);
    (void)fprintf(r->out, "{\"format\":%d,\"type\":\"%s\"", FORMAT_VERSION, type);
}

void
json_close(struct report *r)
{
    (void)fputs("}\n", r->out);
    report_flush(r);
}

void
json_text(struct report *r, const char *key, const char *text)
{
    put_key(r, key);
    if (text == NULL)
        (void)fputs("null", r->out);
    else
        put_string(r->out, text);
}

/* Where an empty text says that there is none. */
static void
put_known(struct report *r, const char *key, const char *text)
{
    json_text(r, key, text == NULL || text[0] == '\0' ? NULL : text);
}

void
json_bool(struct report *r, const char *key, bool yes)
{
    put_key(r, key);
    (void)fputs(yes ? "true" : "false", r->out);
}

static void
put_null(struct report *r, const char *key)
{
    json_text(r, key, NULL);
}

void
json_number(struct report *r, const char *key, int64_t n)
{
    if (n < 0) {
        put_null(r, key);
        return;
    }
    put_key(r, key);
    (void)fprintf(r->out, "%" PRId64, n);
}

void
json_place(struct report *r, const char *key, uint64_t at)
{
    json_number(r, key, at == 0 || at > INT64_MAX ? -1 : (int64_t)at);
}

void
json_version(struct report *r, const char *key, int64_t version)
{
    if (version < 0) { /* RUNG_NO_VERSION */
        put_null(r, key);
        return;
    }
    put_key(r, key);
    (void)fprintf(r->out, "\"%" PRId64 "\"", version);
}

void
json_time(struct report *r, const char *key, int64_t us)
{
    int64_t fraction = us % 1000000 + (us % 1000000 < 0 ? 1000000 : 0);
    time_t seconds = (time_t)(us / 1000000 - (us % 1000000 < 0));
    struct tm utc;
    char text[64];

    if (us == RUNG_NO_TIME || gmtime_r(&seconds, &utc) == NULL
        || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc) == 0) {
        put_null(r, key);
        return;
    }
    put_key(r, key);
    (void)fprintf(r->out, "\"%s.%06" PRId64 "Z\"", text, fraction);
}

/* ---- what several types have ------------------------------------------------------
 */

static const char *
code_name(enum rung_code code)
{
    switch (code) {
    case RUNG_OK:
        return "ok";
    case RUNG_FAILED:
        return "failed";
    case RUNG_USAGE:
        return "usage";
    case RUNG_DRIFT:
        return "drift";
    case RUNG_LOCKED:
        return "locked";
    case RUNG_UNREACHABLE:
        return "unreachable";
    case RUNG_PENDING:
        return "pending";
    case RUNG_CANCELLED:
        return "cancelled";
    case RUNG_BUG:
        break;
    }
    return "bug";
}

/* "transaction": does this step run the file in one?  Null where it runs none. */
static void
put_manner(struct report *r, enum rung_step step)
{
    if (step == RUNG_STEP_APPLY || step == RUNG_STEP_CHAIN || step == RUNG_STEP_RESUME)
        json_bool(r, "transaction", step == RUNG_STEP_APPLY);
    else
        put_null(r, "transaction");
}

/* Which migration an object is about; NULL: none. */
static void
put_migration(struct report *r, const struct rung_migration *m)
{
    json_version(r, "version", m == NULL ? RUNG_NO_VERSION : m->version);
    json_text(r, "filename", m == NULL ? NULL : m->filename);
}

static const char *
level_name(enum level level)
{
    return level == LEVEL_ERROR     ? "error"
           : level == LEVEL_WARNING ? "warning"
                                    : "notice";
}

/* ---- events ---------------------------------------------------------------------- */

static void
put_done(struct report *r, const struct rung_event *event)
{
    const struct rung_migration *m = event->migration;
    const char *repair =
        m->step == RUNG_STEP_RECORD ? repair_verb(m->state, true) : NULL;
    const char *action = m->step == RUNG_STEP_NONE   ? "renamed"
                         : repair != NULL            ? "repaired"
                         : m->step == RUNG_STEP_UNDO ? "undone"
                                                     : step_verb(m->step, true);
    bool ran = m->step != RUNG_STEP_NONE && m->step != RUNG_STEP_RECORD;

    json_open(r, "done");
    put_migration(r, m);
    json_text(r, "action", action);
    json_number(r, "statements", ran ? (int64_t)event->statements : -1);
    json_number(r, "duration_ms", ran ? event->elapsed_ms : -1);
    json_text(r, "repair", repair);
    json_text(r, "renamed_from", m->step == RUNG_STEP_NONE ? event->message : NULL);
    json_close(r);
}

static void
put_start(struct report *r, const struct rung_event *event)
{
    json_open(r, "start");
    put_migration(r, event->migration);
    json_text(r, "step", step_verb(event->migration->step, false));
    put_manner(r, event->migration->step);
    json_close(r);
}

static void
put_notice(struct report *r, const struct rung_event *event)
{
    json_open(r, report_is_warning(event) ? "warning" : "notice");
    json_text(r, "severity", event->severity);
    json_text(r, "path", event->path);
    json_place(r, "line", event->line);
    json_text(r, "message", event->message);
    json_text(r, "detail", event->detail);
    json_text(r, "hint", event->hint);
    json_text(r, "sqlstate", event->sqlstate);
    json_close(r);
}

static void
put_waiting(struct report *r, const struct rung_event *event, const char *type)
{
    bool waiting = event->kind == RUNG_EVENT_WAITING;

    json_open(r, type);
    put_migration(r, event->migration);
    json_text(r, "message", event->message);
    json_text(r, "detail", event->detail);
    if (waiting)
        json_number(r, "elapsed_ms", event->elapsed_ms);
    json_close(r);
}

void
json_event(struct report *r, const struct rung_event *event)
{
    switch (event->kind) {
    case RUNG_EVENT_WARNING:
    case RUNG_EVENT_NOTICE:
        put_notice(r, event);
        break;
    case RUNG_EVENT_WAITING:
        put_waiting(r, event, "waiting");
        break;
    case RUNG_EVENT_RETRY:
        put_waiting(r, event, "retry");
        break;
    case RUNG_EVENT_START:
        put_start(r, event);
        break;
    case RUNG_EVENT_DONE:
        put_done(r, event);
        break;
    case RUNG_EVENT_FINDING:  /* json_finding */
    case RUNG_EVENT_PROGRESS: /* for who watches a terminal */
        break;
    }
}

void
json_finding(struct report *r, const struct finding *finding)
{
    const struct rung_migration *m = finding->migration;

    json_open(r, "finding");
    json_text(r, "level", level_name(finding->level));
    put_migration(r, m);
    json_text(r, "state", m == NULL ? NULL : rung_state_name(m->state));
    json_text(r, "path", finding->path);
    json_place(r, "line", finding->line);
    json_place(r, "column", finding->column);
    json_text(r, "rule", finding->rule);
    json_text(r, "message", finding->message);
    json_text(r, "detail", finding->detail);
    json_text(r, "hint", finding->hint);
    json_close(r);
}

/* ---- lists ----------------------------------------------------------------------- */

/* The row; all null where there is none. */
static void
put_row(struct report *r, const struct rung_migration *m)
{
    bool row = m->recorded;

    json_bool(r, "recorded", row);
    json_text(r, "recorded_filename", row ? m->recorded_filename : NULL);
    json_text(r, "recorded_checksum", row ? m->recorded_checksum : NULL);
    json_time(r, "applied_at", row ? m->applied_at_us : RUNG_NO_TIME);
    json_text(r, "applied_by", row ? m->applied_by : NULL);
    json_number(r, "duration_ms", row ? m->duration_ms : -1);
    json_number(r, "recorded_statements", row ? m->recorded_statements : -1);
    json_number(r, "undone", row ? m->undone : -1);
    json_text(r, "note", row ? m->note : NULL);
}

void
json_migration(struct report *r, const struct rung_migration *m)
{
    json_open(r, "migration");
    put_migration(r, m);
    json_text(r, "name", m->name);
    json_text(r, "state", rung_state_name(m->state));
    json_text(r, "step", m->step == RUNG_STEP_NONE ? NULL : step_verb(m->step, false));
    put_manner(r, m->step);
    json_place(r, "statements", m->statements);
    json_text(r, "checksum", m->checksum);
    json_text(r, "down", m->down);
    json_bool(r, "line_endings_only", m->line_endings_only);
    put_row(r, m);
    json_text(r, "problem", m->problem);
    json_text(r, "hint", m->hint);
    json_place(r, "line", m->line);
    json_bool(r, "fatal", m->fatal);
    json_text(r, "runner", m->runner);
    json_close(r);
}

void
json_statement(struct report *r, const struct rung_statement *statement)
{
    json_open(r, "statement");
    json_place(r, "number", statement->number);
    json_place(r, "line", statement->line);
    json_text(r, "verb", statement->verb);
    put_known(r, "mode", statement->mode);
    json_close(r);
}

/* ---- the last object ------------------------------------------------------------- */

void
json_open_result(struct report *r, enum rung_code code)
{
    json_open(r, "result");
    json_text(r, "command", r->command);
    json_text(r, "code", code_name(code));
}

void
json_result(struct report *r, const struct rung_result *result)
{
    json_open_result(r, RUNG_OK);
    json_number(r, "done", (int64_t)result->done);
    json_version(r, "newest", result->version);
    json_number(r, "drafts", (int64_t)result->drafts);
    json_close(r);
}

void
json_error(struct report *r, const struct rung_error *err)
{
    json_open(r, "error");
    json_text(r, "command", r->command);
    json_text(r, "code", code_name(err->code));
    put_known(r, "sqlstate", err->sqlstate);
    put_known(r, "path", err->path);
    json_place(r, "line", err->line);
    json_place(r, "column", err->column);
    put_known(r, "excerpt", err->excerpt);
    json_text(r, "message", err->message);
    put_known(r, "detail", err->detail);
    put_known(r, "hint", err->hint);
    put_known(r, "context", err->context);
    put_known(r, "outcome", err->outcome);
    json_close(r);
}
