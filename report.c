/*
 * report.c: what the library tells, as text for people.
 *
 * Where another format is asked for, json.c or github.c is told instead, or as well.
 * Results go to `out`, everything else to `err`.  Decides nothing: which exit status
 * follows is main.c's.
 *
 * Invariant: nothing that comes from outside (names, SQL, what a server says) reaches a
 * terminal with a control character in it; these are shown as \xNN.
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static bool
is_empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

void
report_flush(struct report *r)
{
    if (fflush(r->out) != 0 && r->out_errno == 0)
        r->out_errno = errno;
}

/* ---- messages -------------------------------------------------------------------- */

static const char *const level_words[] = {
    [LEVEL_ERROR] = "error", [LEVEL_WARNING] = "warning", [LEVEL_NOTICE] = "notice"
};
static const char *const level_colors[] = {
    [LEVEL_ERROR] = RED, [LEVEL_WARNING] = YELLOW, [LEVEL_NOTICE] = CYAN
};

/* Where a message goes, and what it is about. */
struct message {
    FILE *f;
    bool color;
    const char *path;      /* NULL or empty: about no file */
    uint64_t line, column; /* 0: not known */
};

static void
put_place(const struct message *m)
{
    term_paint(m->f, m->color, BOLD);
    term_text(m->f, is_empty(m->path) ? "rung" : m->path);
    if (m->line > 0)
        (void)fprintf(m->f, ":%" PRIu64, m->line);
    if (m->line > 0 && m->column > 0)
        (void)fprintf(m->f, ":%" PRIu64, m->column);
    (void)fputs(": ", m->f);
    term_unpaint(m->f, m->color);
}

/* "path:line:column: error: message", without its line feed. */
static void
put_head(const struct message *m, enum level level, const char *text)
{
    put_place(m);
    term_paint(m->f, m->color, level_colors[level]);
    (void)fprintf(m->f, "%s: ", level_words[level]);
    term_unpaint(m->f, m->color);
    term_lines(m->f, text);
}

/* "hint: ...", and so on, with its line feed; nothing when there is none. */
static void
put_field(const struct message *m, const char *label, const char *text)
{
    if (is_empty(text))
        return;
    term_painted(m->f, m->color, CYAN, label);
    (void)fputs(": ", m->f);
    term_lines(m->f, text);
    (void)fputc('\n', m->f);
}

/* ---- findings -------------------------------------------------------------------- */

void
report_path_of(char path[PATH_BYTES], const char *directory, const char *filename)
{
    size_t n = strlen(directory);

    (void)snprintf(path, PATH_BYTES, "%s%s%s", directory,
        n > 0 && directory[n - 1] != '/' ? "/" : "", filename);
}

/* What an annotation is called: the rule, or the state where that is what is wrong. */
static const char *
title_of(const struct finding *finding)
{
    const struct rung_migration *m = finding->migration;

    if (finding->rule != NULL || m == NULL)
        return finding->rule;
    if (m->state == RUNG_STATE_APPLIED || m->state == RUNG_STATE_PENDING)
        return NULL;
    return rung_state_name(m->state);
}

static void
annotate_finding(struct report *r, const struct finding *finding)
{
    struct annotation annotation = { .level = finding->level,
        .title = title_of(finding),
        .path = finding->path,
        .line = finding->line,
        .column = finding->column,
        .message = finding->message,
        .detail = finding->detail,
        .hint = finding->hint };

    github_annotate(r, &annotation);
}

void
report_finding(struct report *r, const struct finding *finding, bool answer)
{
    struct message m = { .f = answer ? r->out : r->err,
        .color = answer ? r->out_color : r->err_color,
        .path = finding->path,
        .line = finding->line,
        .column = finding->column };

    if (r->format == FORMAT_JSON) {
        json_finding(r, finding);
        return;
    }
    put_head(&m, finding->level, finding->message);
    if (finding->rule != NULL) {
        (void)fputs("  [", m.f);
        term_text(m.f, finding->rule);
        (void)fputc(']', m.f);
    }
    (void)fputc('\n', m.f);
    put_field(&m, "hint", finding->hint);
    if (r->format == FORMAT_GITHUB && finding->level != LEVEL_NOTICE)
        annotate_finding(r, finding);
}

void
report_problem(struct report *r, const char *directory,
    const struct rung_migration *migration, bool error)
{
    char path[PATH_BYTES];
    struct finding finding = { .level = error ? LEVEL_ERROR : LEVEL_WARNING,
        .migration = migration,
        .path = path,
        .line = migration->line,
        .message = migration->problem,
        .hint = migration->hint };

    report_path_of(path, directory, migration->filename);
    report_finding(r, &finding, true);
}

void
report_running(struct report *r, const char *directory,
    const struct rung_migration *migration, const char *message)
{
    char path[PATH_BYTES];
    struct finding finding = {
        .level = LEVEL_NOTICE, .migration = migration, .path = path, .message = message
    };

    report_path_of(path, directory, migration->filename);
    report_finding(r, &finding, true);
}

/* ---- errors ---------------------------------------------------------------------- */

static bool
is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* How many bytes of the excerpt to underline: a word, a quoted piece, or a character.
 */
static size_t
token_length(const char *text)
{
    size_t n = 0;

    while (is_word_byte(text[n]))
        n++;
    if (n == 0 && (text[0] == '\'' || text[0] == '"')) {
        const char *close = strchr(text + 1, text[0]);

        n = close == NULL ? 1 : (size_t)(close - text) + 1;
    }
    return n > 0 ? n : 1;
}

/*
 * The line of the file, and below it a caret.  What stands before the caret is repeated
 * as blanks of the same width, and tabs as tabs, so that it stands where it belongs
 * whatever the terminal makes of a tab.
 */
static void
put_excerpt(const struct message *m, const struct rung_error *err)
{
    const char *at = err->excerpt, *place, *end;
    int width = 0, gutter;

    if (err->line == 0 || err->excerpt[0] == '\0'
        || err->excerpt_at > strlen(err->excerpt))
        return;
    place = err->excerpt + err->excerpt_at;
    gutter = fprintf(m->f, "%5" PRIu64, err->line);
    (void)fputs(" | ", m->f);
    term_text(m->f, err->excerpt);
    (void)fputc('\n', m->f);
    term_spaces(m->f, gutter);
    (void)fputs(" | ", m->f);
    while (at < place) {
        struct glyph glyph = term_glyph(at);

        if (*at == '\t')
            (void)fputc('\t', m->f);
        else
            term_spaces(m->f, glyph.width);
        at += glyph.n;
    }
    end = place + (place[0] == '\0' ? 0 : token_length(place));
    for (at = place; at < end; at += term_glyph(at).n)
        width += term_glyph(at).width;
    term_paint(m->f, m->color, RED);
    (void)fputc('^', m->f);
    for (; width > 1; width--)
        (void)fputc('~', m->f);
    term_unpaint(m->f, m->color);
    (void)fputc('\n', m->f);
}

/* Was this said already, as the one finding in the way? */
static bool
is_told(const struct report *r, const struct rung_error *err)
{
    return r->refusal.message[0] != '\0'
           && strcmp(r->refusal.message, err->message) == 0;
}

/* Were several, each with its own way out? */
static bool
told_each(const struct report *r)
{
    return r->refusal.code != RUNG_OK && r->refusal.message[0] == '\0';
}

/* What the error says beside its message: detail, hint with SQLSTATE, context. */
static void
put_explanation(struct report *r, const struct message *m, const struct rung_error *err)
{
    char state[16] = "";
    const char *hint = told_each(r) ? "" : err->hint;

    if (err->sqlstate[0] != '\0')
        (void)snprintf(state, sizeof state, "  [%s]", err->sqlstate);
    if (hint[0] == '\0')
        term_text(m->f, state);
    (void)fputc('\n', m->f);
    put_excerpt(m, err);
    put_field(m, "detail", err->detail);
    if (hint[0] != '\0') {
        term_painted(m->f, m->color, CYAN, "hint");
        (void)fputs(": ", m->f);
        term_lines(m->f, hint);
        term_text(m->f, state);
        (void)fputc('\n', m->f);
    }
    put_field(m, "context", err->context);
}

static void
annotate_error(struct report *r, const struct rung_error *err)
{
    struct annotation annotation = { .level = LEVEL_ERROR,
        .title = err->sqlstate,
        .path = err->path,
        .line = err->line,
        .column = err->column,
        .message = err->message,
        .detail = err->detail,
        .hint = err->hint,
        .outcome = err->outcome };

    github_annotate(r, &annotation);
}

void
report_error(struct report *r, const struct rung_error *err)
{
    struct message m = { .f = r->err,
        .color = r->err_color,
        .path = err->path,
        .line = err->line,
        .column = err->column };

    report_clear(r);
    if (r->format == FORMAT_JSON) {
        json_error(r, err);
        return;
    }
    report_flush(r);
    if (!is_told(r, err)) {
        put_head(&m, LEVEL_ERROR, err->message);
        put_explanation(r, &m, err);
        if (r->format == FORMAT_GITHUB)
            annotate_error(r, err);
    }
    if (err->outcome[0] != '\0') {
        term_lines(m.f, err->outcome);
        (void)fputc('\n', m.f);
    }
}

/* ---- lint ------------------------------------------------------------------------ */

/* As json.c and github.c take it. */
static void
tell_lint(struct report *r, const struct rung_finding *finding)
{
    const struct rung_error *err = finding->error;
    struct finding told = {
        .level = finding->rule == NULL ? LEVEL_ERROR : LEVEL_WARNING,
        .path = err->path,
        .line = err->line,
        .column = err->column,
        .rule = finding->rule == NULL ? NULL : finding->rule->id,
        .message = err->message,
        .detail = err->detail[0] == '\0' ? NULL : err->detail,
        .hint = err->hint[0] == '\0' ? NULL : err->hint,
    };

    if (r->format == FORMAT_JSON)
        json_finding(r, &told);
    else
        annotate_finding(r, &told);
}

void
report_lint(void *report, const struct rung_finding *finding)
{
    struct report *r = report;
    const struct rung_error *err = finding->error;
    struct message m = { .f = r->out,
        .color = r->out_color,
        .path = err->path,
        .line = err->line,
        .column = err->column };

    if (r->format != FORMAT_TEXT)
        tell_lint(r, finding);
    if (r->format == FORMAT_JSON)
        return;
    put_head(&m, finding->rule == NULL ? LEVEL_ERROR : LEVEL_WARNING, err->message);
    if (finding->rule != NULL)
        (void)fprintf(m.f, " [%s]", finding->rule->id);
    (void)fputc('\n', m.f);
    put_excerpt(&m, err);
    put_field(&m, finding->rule == NULL ? "detail" : "lock", err->detail);
    put_field(&m, "hint", err->hint);
}

static void
put_lint_result(
    struct report *r, enum rung_code code, const struct rung_lint_result *result)
{
    json_open_result(r, code);
    json_number(r, "files", (int64_t)result->files);
    json_number(r, "findings", (int64_t)result->findings);
    json_number(r, "allowed", (int64_t)result->allowed);
    json_number(r, "refused", (int64_t)result->refused);
    json_close(r);
}

void
report_lint_result(
    struct report *r, enum rung_code code, const struct rung_lint_result *result)
{
    char files[48], findings[48], refused[48], closing[200];

    if (r->format == FORMAT_JSON) {
        put_lint_result(r, code, result);
        return;
    }
    format_count(files, sizeof files, result->files, "migration");
    format_count(findings, sizeof findings, result->findings, "finding");
    format_count(refused, sizeof refused, result->refused, "migration");
    if (r->format == FORMAT_GITHUB) {
        (void)snprintf(closing, sizeof closing, "looked at %s: %s", files, findings);
        github_closing(r, closing);
    }
    if (r->quiet)
        return;
    (void)fprintf(r->out, "looked at %s: ", files);
    term_painted(
        r->out, r->out_color, result->findings == 0 ? GREEN : YELLOW, findings);
    if (result->allowed > 0)
        (void)fprintf(r->out, ", %zu allowed", result->allowed);
    if (result->refused > 0)
        (void)fprintf(r->out, ", %s refused", refused);
    (void)fputc('\n', r->out);
}

/* ---- events ---------------------------------------------------------------------- */

/* Keep how rung_up will sum up what it refuses, so that it is not said twice. */
static void
keep_refusal(struct report *r, const struct rung_migration *m)
{
    struct rung_error *kept = &r->refusal;

    if (kept->code != RUNG_OK) { /* a second one: the sum names them all */
        kept->message[0] = '\0';
        return;
    }
    kept->code = RUNG_DRIFT;
    (void)snprintf(
        kept->message, sizeof kept->message, "%s: %s", m->filename, m->problem);
}

static void
tell_finding(struct report *r, const struct rung_event *event)
{
    const struct rung_migration *m = event->migration;
    char path[PATH_BYTES];
    struct finding finding = { .level = m->fatal ? LEVEL_ERROR : LEVEL_WARNING,
        .migration = m,
        .path = path,
        .line = event->line,
        .message = m->problem,
        .hint = m->hint };

    if (m->problem == NULL) {
        finding.level = LEVEL_NOTICE;
        finding.message = "holds no statement yet: a draft, not applied";
        finding.hint = NULL;
    }
    if (r->quiet && finding.level == LEVEL_NOTICE)
        return;
    report_path_of(path, r->directory, m->filename);
    report_finding(r, &finding, false);
    if (m->problem != NULL && m->fatal)
        keep_refusal(r, m);
}

bool
report_is_warning(const struct rung_event *event)
{
    return event->kind == RUNG_EVENT_WARNING
           || (event->severity != NULL && strcmp(event->severity, "WARNING") == 0);
}

/* A warning of ours, or what the server sent beside its results. */
static void
tell_notice(struct report *r, const struct rung_event *event)
{
    struct message m = {
        .f = r->err, .color = r->err_color, .path = event->path, .line = event->line
    };
    bool warning = report_is_warning(event);
    struct annotation annotation = { .level = LEVEL_WARNING,
        .title = event->sqlstate,
        .path = event->path,
        .line = event->line,
        .message = event->message,
        .detail = event->detail,
        .hint = event->hint };

    if (r->quiet && !warning)
        return;
    if (r->format == FORMAT_JSON) {
        json_event(r, event);
        return;
    }
    put_head(&m, warning ? LEVEL_WARNING : LEVEL_NOTICE,
        event->message == NULL ? "" : event->message);
    (void)fputc('\n', m.f);
    put_field(&m, "detail", event->detail);
    put_field(&m, "hint", event->hint);
    if (r->format == FORMAT_GITHUB && warning)
        github_annotate(r, &annotation);
}

static void
tell_retry(struct report *r, const struct rung_event *event)
{
    char path[PATH_BYTES] = "", text[1200];
    struct annotation annotation = {
        .level = LEVEL_WARNING, .path = path, .message = text, .detail = event->detail
    };
    struct message m = { .f = r->err, .color = r->err_color, .path = path };

    if (r->format == FORMAT_JSON) {
        json_event(r, event);
        return;
    }
    if (event->migration != NULL)
        report_path_of(path, r->directory, event->migration->filename);
    (void)snprintf(text, sizeof text, "%s; rolled back, will be tried again",
        event->message == NULL ? "" : event->message);
    put_head(&m, LEVEL_WARNING, text);
    (void)fputc('\n', m.f);
    put_field(&m, "detail", event->detail);
    if (r->format == FORMAT_GITHUB)
        github_annotate(r, &annotation);
}

const char *
step_verb(enum rung_step step, bool done)
{
    switch (step) {
    case RUNG_STEP_APPLY:
    case RUNG_STEP_CHAIN:
        return done ? "applied" : "apply";
    case RUNG_STEP_RESUME:
        return done ? "applied" : "resume";
    case RUNG_STEP_RECORD:
        return done ? "recorded" : "record";
    case RUNG_STEP_UNDO:
        return done ? "undid" : "undo";
    case RUNG_STEP_NONE:
        break;
    }
    return "";
}

const char *
repair_verb(enum rung_state state, bool done)
{
    switch (state) {
    case RUNG_STATE_EDITED:
        return done ? "accepted the edit" : "accept the edit";
    case RUNG_STATE_RENAMED:
        return done ? "followed the rename" : "follow the rename";
    case RUNG_STATE_MISSING:
    case RUNG_STATE_NEWER:
        return done ? "forgot it, the file is missing"
                    : "forget it, the file is missing";
    case RUNG_STATE_UNFINISHED:
        return done ? "settled what was unfinished" : "settle what is unfinished";
    case RUNG_STATE_APPLIED:
        return done ? "recorded the checksum" : "record the checksum";
    case RUNG_STATE_PENDING:
    case RUNG_STATE_DRAFT:
    case RUNG_STATE_OUT_OF_ORDER:
    case RUNG_STATE_DUPLICATE:
    case RUNG_STATE_MISNAMED:
        break;
    }
    return NULL;
}

/* What stands behind the name of a file that is done: "7 statements, 12 ms". */
static void
format_done(char *text, size_t size, const struct rung_event *event)
{
    const struct rung_migration *m = event->migration;
    char count[48], took[32];

    text[0] = '\0';
    format_count(count, sizeof count, event->statements, "statement");
    format_duration(took, sizeof took, event->elapsed_ms);
    if (m->step != RUNG_STEP_RECORD)
        (void)snprintf(text, size, "%s, %s", count, took);
    else if (event->statements == 0 && m->statements == 0)
        (void)snprintf(text, size, "no statements");
}

/*
 * One line a file, on stdout: "applied 001_initial.sql (7 statements, 12 ms)",
 * "repaired 003_x.sql: accepted the edit", "renamed 004_a.sql to 007_a.sql".
 */
static void
put_done(struct report *r, const struct rung_event *event)
{
    const struct rung_migration *m = event->migration;
    const char *repair =
        m->step == RUNG_STEP_RECORD ? repair_verb(m->state, true) : NULL;
    char text[512];

    if (repair != NULL && event->message != NULL)
        repair = event->message;
    if (m->step == RUNG_STEP_NONE) { /* renumber's */
        (void)fputs("renamed ", r->out);
        term_text(r->out, event->message == NULL ? "" : event->message);
        (void)fputs(" to ", r->out);
        term_text(r->out, m->filename);
        (void)snprintf(text, sizeof text, "was %s", event->message);
        github_row(r, "renamed", m->filename, text);
    } else if (repair != NULL) {
        (void)fputs("repaired ", r->out);
        term_text(r->out, m->filename);
        (void)fprintf(r->out, ": %s", repair);
        github_row(r, "repaired", m->filename, repair);
    } else {
        (void)fprintf(r->out, "%s ", step_verb(m->step, true));
        term_text(r->out, m->filename);
        format_done(text, sizeof text, event);
        if (text[0] != '\0')
            (void)fprintf(r->out, " (%s)", text);
        github_row(r, step_verb(m->step, true), m->filename, text);
    }
    (void)fputc('\n', r->out);
    report_flush(r);
}

static void
tell_done(struct report *r, const struct rung_event *event)
{
    r->waiting = false;
    if (r->quiet)
        return;
    if (r->format == FORMAT_JSON)
        json_event(r, event);
    else
        put_done(r, event);
}

static void
tell_start(struct report *r, const struct rung_event *event)
{
    r->waiting = r->blocked_told = false;
    r->progress_told_ms = 0;
    if (r->format == FORMAT_JSON && !r->quiet)
        json_event(r, event);
    if (r->format == FORMAT_JSON || !r->verbose)
        return;
    term_text(r->err, event->migration->filename);
    (void)fputs(" begins\n", r->err);
}

void
report_event(void *report, const struct rung_event *event)
{
    struct report *r = report;

    if (event->kind != RUNG_EVENT_PROGRESS && event->kind != RUNG_EVENT_WAITING)
        report_clear(r);
    switch (event->kind) {
    case RUNG_EVENT_FINDING:
        tell_finding(r, event);
        break;
    case RUNG_EVENT_WARNING:
    case RUNG_EVENT_NOTICE:
        tell_notice(r, event);
        break;
    case RUNG_EVENT_WAITING:
        progress_waiting(r, event);
        break;
    case RUNG_EVENT_RETRY:
        tell_retry(r, event);
        break;
    case RUNG_EVENT_START:
        tell_start(r, event);
        break;
    case RUNG_EVENT_PROGRESS:
        progress_lasting(r, event);
        break;
    case RUNG_EVENT_DONE:
        tell_done(r, event);
        break;
    }
}

/* ---- results --------------------------------------------------------------------- */

void
report_result(
    struct report *r, const struct rung_result *result, const char *nothing, bool asked)
{
    char text[128];

    report_clear(r);
    if (r->format == FORMAT_JSON) {
        json_result(r, result);
        return;
    }
    if (result->done > 0)
        return;
    if (nothing != NULL)
        (void)snprintf(text, sizeof text, "%s", nothing);
    else if (result->version == RUNG_NO_VERSION)
        (void)snprintf(text, sizeof text, "nothing to do: nothing is applied");
    else
        (void)snprintf(text, sizeof text,
            "nothing to do: %" PRId64 " is the newest applied version",
            result->version);
    github_closing(r, text);
    if (asked)
        (void)fprintf(r->out, "%s\n", text);
}

void
report_written(struct report *r, const char *before, const char *path)
{
    if (r->format == FORMAT_JSON) {
        json_open_result(r, RUNG_OK);
        json_text(r, "path", path);
        json_close(r);
    } else if (before != NULL) {
        (void)fputs(before, r->out);
        term_text(r->out, path);
        (void)fputc('\n', r->out);
    }
}

void
report_current(struct report *r, const struct rung_migration *migration)
{
    if (r->format == FORMAT_JSON) {
        json_open_result(r, RUNG_OK);
        json_version(
            r, "version", migration == NULL ? RUNG_NO_VERSION : migration->version);
        json_text(r, "filename", migration == NULL ? NULL : migration->filename);
        json_close(r);
    } else if (migration != NULL) {
        term_text(r->out, migration->filename);
        (void)fputc('\n', r->out);
    }
}

void
report_source(struct report *r, int64_t version, bool down, const char *text)
{
    if (r->format == FORMAT_JSON) {
        json_open(r, "source");
        json_version(r, "version", version);
        json_bool(r, "down", down);
        json_text(r, "text", text);
        json_close(r);
        report_shown(r);
    } else if (isatty(fileno(r->out)) == 1) {
        term_file(r->out, text);
    } else {
        (void)fputs(text, r->out);
    }
}

/* stdio has kept that writing failed, but not why: ask once more. */
static void
learn_why(struct report *r)
{
    clearerr(r->out);
    if ((fputc('\n', r->out) == EOF || fflush(r->out) != 0) && r->out_errno == 0)
        r->out_errno = errno;
}

bool
report_finish(struct report *r)
{
    struct rung_error err = { .code = RUNG_FAILED };

    report_clear(r);
    report_flush(r);
    github_finish(r);
    if (!ferror(r->out) && r->out_errno == 0)
        return true;
    if (r->out_errno == 0)
        learn_why(r);
    (void)snprintf(err.message, sizeof err.message,
        "standard output could not be written%s%s", r->out_errno == 0 ? "" : ": ",
        r->out_errno == 0 ? "" : strerror(r->out_errno));
    r->format = FORMAT_TEXT; /* whatever it was: only stderr is left */
    report_error(r, &err);
    return false;
}
