/*
 * testing.c: `rung test`: apply, undo and apply again on a server of our own.
 *
 * First all files are applied: those up to the newest one that cannot be undone, then
 * the others; those are undone and applied again.  What pg_dump says of the schema must
 * be the same before they were applied and after they were undone, and both times that
 * they were applied.  Where it is not, every file is tried by itself on a second
 * server, to say which it is.  Files below one that cannot be undone are tried in the
 * same way on a server where what is above them is not applied yet.
 *
 * Invariant: nothing here connects to any server but one that throwaway.c started.
 */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct testing {
    const struct cli *cli;
    struct report *report;
    struct rung_options options; /* for the server */
    struct throwaway server;
    struct rung_list files; /* the directory, as `rung verify --offline` sees it */
    size_t tested;          /* files that will be applied */
    size_t undoable;        /* those of them that can be undone */
    const struct rung_migration *fixed; /* the newest that cannot; NULL: all can */
    const struct rung_migration *last;  /* the newest of all */
    bool older;                         /* at those in front of `fixed` */
    bool told;                          /* what is wrong with the files was told once */
    bool kept;                          /* the server lives on */
    /* The schema where undoable ones begin; with them; undone; with them again. */
    char *before, *first, *undone, *again;
};

/* ---- the directory -----------------------------------------------------------------
 */

static bool
is_tested(const struct rung_migration *m)
{
    return m->version != RUNG_NO_VERSION && m->state != RUNG_STATE_DRAFT;
}

static bool
is_undoable(const struct rung_migration *m)
{
    return m->down != NULL && !m->irreversible;
}

/* How many files will be applied, and undone. */
static void
count_files(struct testing *t)
{
    for (size_t i = 0; i < t->files.n; i++) {
        const struct rung_migration *m = &t->files.items[i];

        if (!is_tested(m))
            continue;
        t->tested++;
        t->last = m;
        if (is_undoable(m))
            t->undoable++;
        else
            t->fixed = m;
    }
}

/* What is wrong with the files `up` will say. */
static bool
read_files(struct testing *t, struct rung_error *err)
{
    if (!rung_verify(&t->options, true, false, &t->files, err)
        && t->files.directory == NULL)
        return false;
    count_files(t);
    return true;
}

/* ---- the schema --------------------------------------------------------------------
 */

/* The line behind `line`. */
static const char *
next_line(const char *line)
{
    size_t n = strcspn(line, "\n");

    return line + n + (line[n] == '\n');
}

/* Does an object's section of the dump begin here, and is it an extension's? */
static bool
begins_section(const char *line, bool *extension)
{
    const char *name = next_line(line), *type;

    if (strncmp(line, "--\n-- ", 6) != 0)
        return false;
    type = strstr(name, "; Type: EXTENSION;");
    *extension = (type != NULL && type < next_line(name))
                 || strncmp(name, "-- Name: EXTENSION ", 19) == 0;
    return true;
}

/* Take out of a dump, in place, the key that changes from one to the next, and
 * extensions, which belong to the database as much as to a file, where so wished. */
static void
filter_dump(char *dump, bool drop_extensions)
{
    char *to = dump;
    bool extension = false;

    for (const char *line = dump, *next; *line != '\0'; line = next) {
        size_t n;

        next = next_line(line);
        n = (size_t)(next - line);
        (void)begins_section(line, &extension);
        if ((extension && drop_extensions) || strncmp(line, "\\restrict ", 10) == 0
            || strncmp(line, "\\unrestrict ", 12) == 0)
            continue;
        memmove(to, line, n);
        to += n;
    }
    *to = '\0';
}

/* Run one of the server's programs; what it said becomes the error. */
static bool
run_program(const struct testing *t, const char *const *argv,
    struct process_output *output, struct rung_error *err)
{
    if (!process_run(argv, NULL, t->options.wake_fd, output, err))
        return false;
    if (output->status == 0)
        return true;
    cli_fail(err, "%s failed", argv[0]);
    err->code = RUNG_FAILED;
    (void)snprintf(err->detail, sizeof err->detail, "%s", output->complaint);
    err->detail[strcspn(err->detail, "\n")] = '\0';
    process_free(output);
    return false;
}

/* The schema without the ledger; *dump is the caller's to free(). */
static bool
dump_schema(const struct testing *t, char **dump, struct rung_error *err)
{
    char program[THROWAWAY_PATH + 16];
    const char *const argv[] = { program, "--schema-only", "--create", "-T", "", "-d",
        t->server.url, NULL };
    const char *excluding[sizeof argv / sizeof argv[0]];
    struct process_output output;
    struct rung_list list;
    bool ok;

    (void)snprintf(program, sizeof program, "%s/pg_dump", t->server.bin);
    if (!rung_status(&t->options, &list, err))
        return false;
    memcpy(excluding, argv, sizeof argv);
    excluding[4] = list.ledger;
    ok = run_program(t, excluding, &output, err);
    rung_list_free(&list);
    if (!ok)
        return false;
    filter_dump(output.out, false);
    *dump = output.out;
    output.out = NULL;
    process_free(&output);
    return true;
}

/* Are they the same?  An extension may be in the second alone. */
static bool
is_undone(char *before, char *after)
{
    filter_dump(before, true);
    filter_dump(after, true);
    return strcmp(before, after) == 0;
}

/* A ledger that has been given a schema needs it: rung never creates one. */
static bool
create_ledger_schema(const struct testing *t, struct rung_error *err)
{
    char program[THROWAWAY_PATH + 16], statement[512];
    const char *const argv[] = { program, "-X", "-q", "-d", t->server.url, "-c",
        statement, NULL };
    struct process_output output;
    struct rung_list list;
    const char *dot;
    bool ok = true;

    if (!rung_status(&t->options, &list, err))
        return false;
    dot = list.ledger[0] == '"' ? strstr(list.ledger, "\".") : NULL;
    dot = dot != NULL ? dot + 1 : strchr(list.ledger, '.');
    if (strchr(t->options.table, '.') != NULL && dot != NULL) {
        (void)snprintf(program, sizeof program, "%s/psql", t->server.bin);
        (void)snprintf(statement, sizeof statement, "CREATE SCHEMA IF NOT EXISTS %.*s",
            (int)(dot - list.ledger), list.ledger);
        ok = run_program(t, argv, &output, err);
        if (ok)
            process_free(&output);
    }
    rung_list_free(&list);
    return ok;
}

/* ---- the server --------------------------------------------------------------------
 */

static void
tell_starting(struct report *r, const struct throwaway *server)
{
    char message[64];
    struct rung_event event = { .kind = RUNG_EVENT_WAITING, .message = message };

    (void)snprintf(
        message, sizeof message, "PostgreSQL %s is starting", server->version);
    if (r->redraw && !r->quiet)
        report_event(r, &event);
}

/* Boot an empty one, and turn to it. */
static bool
start_server(struct testing *t, struct rung_error *err)
{
    tell_starting(t->report, &t->server);
    if (!throwaway_start(&t->server, t->options.wake_fd, err))
        return false;
    report_clear(t->report);
    t->options.database = t->server.url;
    return create_ledger_schema(t, err);
}

/* What is said of the files is said once, though they are looked at several times. */
static void
on_event(void *arg, const struct rung_event *event)
{
    struct testing *t = arg;

    if (t->told && event->kind == RUNG_EVENT_FINDING)
        return;
    report_event(t->report, event);
}

/* Add to what the library says of a failure what it cannot know. */
static bool
explain(struct rung_error *err, const char *where)
{
    if (err->code == RUNG_CANCELLED)
        where = "The server is stopped and deleted.";
    (void)snprintf(err->outcome, sizeof err->outcome, "%s", where);
    if (strcmp(err->sqlstate, "42704") == 0 && strncmp(err->message, "role ", 5) == 0
        && err->hint[0] == '\0')
        cli_hint(err, "A new server has no role but postgres: let a migration create "
                      "this one where it does not exist yet.");
    return false;
}

#define AT_FIRST "That was on a new, empty server; your database was not touched."
#define AGAIN                                                                           \
    "That was on a new server, where it had been applied and undone before: something " \
    "was left behind."
#define EVERYTHING                                                                     \
    "That was on a new server, where every file was applied; your database was not "   \
    "touched."
#define UP_TO_THERE                                                                    \
    "That was on a new server, where the files up to it were applied; your database "  \
    "was not touched."

static bool
up(struct testing *t, int64_t version, const char *where, struct rung_error *err)
{
    struct rung_result result;
    bool ok = rung_up(&t->options, version, &result, err);

    t->told = true;
    return ok || explain(err, where);
}

static bool
down(struct testing *t, int64_t keep, struct rung_error *err)
{
    struct rung_result result;

    return rung_down(&t->options, 0, keep, &result, err)
           || explain(err, t->older ? UP_TO_THERE : EVERYTHING);
}

/* ---- what differs ------------------------------------------------------------------
 */

/* One file's finding, with the diff. */
static void
tell_difference(struct testing *t, const char *name, const char *message,
    const char *hint, const struct diff_side *before, const struct diff_side *after)
{
    struct rung_error ignored;
    struct finding finding = { .level = LEVEL_ERROR, .message = message, .hint = hint };
    char path[PATH_BYTES];
    char *diff = NULL;

    if (name != NULL) {
        report_path_of(path, t->options.directory, name);
        finding.path = path;
    }
    report_finding(t->report, &finding, false);
    if (t->report->format != FORMAT_JSON && diff_texts(before, after, &diff, &ignored))
        report_diff(t->report->out, t->report->out_color, diff);
    free(diff);
}

static void
tell_left_behind(struct testing *t, const char *down_name, const char *name,
    const char *before, const char *after)
{
    char message[512];

    (void)snprintf(
        message, sizeof message, "the schema is not what it was before %s", name);
    tell_difference(t, down_name, message,
        "Lines with + were left behind, lines with - are gone.",
        &(struct diff_side){ "before", before },
        &(struct diff_side){ "undone", after });
}

static void
tell_not_the_same(
    struct testing *t, const char *name, const char *first, const char *again)
{
    tell_difference(t, name, "applied again, it makes another schema",
        "Lines with - were made the first time, lines with + the second time.",
        &(struct diff_side){ "applied", first },
        &(struct diff_side){ "applied again", again });
}

/* Apply, undo and apply one file again.  *before is the schema in front of it, and then
 * that behind it; *found counts what differs. */
static bool
try_file(struct testing *t, const struct rung_migration *m, int64_t previous,
    char **before, size_t *found, struct rung_error *err)
{
    char *first = NULL, *undone = NULL, *again = NULL;
    bool ok = up(t, m->version, "", err) && dump_schema(t, &first, err);

    if (ok && is_undoable(m)) {
        ok = down(t, previous, err) && dump_schema(t, &undone, err);
        if (ok && !is_undone(*before, undone)) {
            tell_left_behind(t, m->down, m->filename, *before, undone);
            ++*found;
        }
        ok = ok && up(t, m->version, "", err) && dump_schema(t, &again, err);
        if (ok && strcmp(first, again) != 0) {
            tell_not_the_same(t, m->filename, first, again);
            ++*found;
        }
    }
    free(*before);
    *before = again != NULL ? again : first;
    if (again != NULL)
        free(first);
    free(undone);
    return ok;
}

/* On a second server, file by file: which is it?  *found: how many were named. */
static bool
try_each(struct testing *t, size_t *found, struct rung_error *err)
{
    struct testing other = *t;
    int64_t previous = RUNG_NO_VERSION;
    char *before = NULL;
    bool ok;

    other.server.control = -1;
    other.options.on_event = NULL;
    ok = start_server(&other, err) && dump_schema(&other, &before, err);
    for (size_t i = 0; ok && i < t->files.n; i++) {
        const struct rung_migration *m = &t->files.items[i];

        if (!is_tested(m))
            continue;
        ok = try_file(&other, m, previous, &before, found, err);
        previous = m->version;
    }
    free(before);
    throwaway_stop(&other.server);
    return ok;
}

/* Something differs: say what, as exactly as can be.  False. */
static bool
tell_what_differs(struct testing *t, struct rung_error *err)
{
    struct rung_error ignored;
    size_t found = 0;

    if (!try_each(t, &found, &ignored) && ignored.code == RUNG_CANCELLED) {
        *err = ignored;
        return false;
    }
    if (found == 0 && t->again == NULL)
        tell_left_behind(t, NULL, "the files were applied", t->before, t->undone);
    else if (found == 0)
        tell_not_the_same(t, NULL, t->first, t->again);
    cli_fail(err, "%s", "");
    err->code = RUNG_FAILED;
    return false;
}

/* ---- the whole ---------------------------------------------------------------------
 */

static void
forget_schemas(struct testing *t)
{
    free(t->before);
    free(t->first);
    free(t->undone);
    free(t->again);
    t->before = t->first = t->undone = t->again = NULL;
}

/* What stands between `previous` and `newest` can be undone: apply it, undo it and
 * apply it again.  RUNG_NO_VERSION: nothing stands in front of it; all that is behind.
 */
static bool
try_run(struct testing *t, int64_t previous, int64_t newest, struct rung_error *err)
{
    forget_schemas(t);
    if ((previous != RUNG_NO_VERSION && !up(t, previous, AT_FIRST, err))
        || !dump_schema(t, &t->before, err) || !up(t, newest, AT_FIRST, err)
        || !dump_schema(t, &t->first, err) || !down(t, previous, err)
        || !dump_schema(t, &t->undone, err))
        return false;
    if (!is_undone(t->before, t->undone))
        return tell_what_differs(t, err);
    if (!up(t, newest, AGAIN, err) || !dump_schema(t, &t->again, err))
        return false;
    return strcmp(t->first, t->again) == 0 || tell_what_differs(t, err);
}

/* All files, and of those that can be undone the ones behind the last that cannot. */
static bool
try_newest(struct testing *t, struct rung_error *err)
{
    if (t->fixed != NULL && t->fixed == t->last)
        return up(t, RUNG_NO_VERSION, AT_FIRST, err);
    return try_run(t, t->fixed == NULL ? RUNG_NO_VERSION : t->fixed->version,
        RUNG_NO_VERSION, err);
}

/* The others, on a second server; nothing is said of what goes well there. */
static bool
try_older(struct testing *t, struct rung_error *err)
{
    struct testing other = *t;
    int64_t fixed = RUNG_NO_VERSION, last = RUNG_NO_VERSION; /* seen so far */
    bool ok = true, started = false;

    other.server.control = -1;
    other.options.on_event = NULL;
    other.older = true;
    other.before = other.first = other.undone = other.again = NULL;
    for (const struct rung_migration *m = t->files.items;
         ok && t->fixed != NULL && m <= t->fixed; m++) {
        if (!is_tested(m))
            continue;
        if (!is_undoable(m)) {
            if (last != fixed) {
                ok = (started || start_server(&other, err))
                     && try_run(&other, fixed, last, err);
                started = true;
            }
            fixed = m->version;
        }
        last = m->version;
    }
    forget_schemas(&other);
    throwaway_stop(&other.server);
    return ok;
}

/* " (004_x.sql has no down file, 2 more cannot be undone either)" */
static void
tell_fixed(const struct testing *t)
{
    size_t more = t->tested - t->undoable;

    if (t->fixed == NULL)
        return;
    (void)fputs(" (", t->report->out);
    term_text(t->report->out, t->fixed->filename);
    (void)fputs(t->fixed->irreversible ? " is irreversible" : " has no down file",
        t->report->out);
    if (--more > 0)
        (void)fprintf(t->report->out, ", %zu more cannot be undone either", more);
    (void)fputc(')', t->report->out);
}

/* "tested 6 migrations: applied; 2 of them undone and applied again; the schema is the
 * same", and why not all of them were. */
static void
tell_result(const struct testing *t)
{
    FILE *out = t->report->out;
    char count[48];

    if (t->report->quiet || t->report->format == FORMAT_JSON)
        return;
    format_count(count, sizeof count, t->tested, "migration");
    (void)fprintf(out, "tested %s: applied", count);
    if (t->undoable == 0)
        (void)fputs("; none was undone", out);
    else if (t->fixed == NULL)
        (void)fputs(", undone and applied again; the schema is the same", out);
    else
        (void)fprintf(out,
            "; %zu of them undone and applied again; the schema is the same",
            t->undoable);
    tell_fixed(t);
    (void)fputc('\n', out);
}

/* Two lines that a shell can evaluate. */
static void
tell_address(const struct testing *t)
{
    if (t->report->format != FORMAT_JSON)
        (void)fprintf(t->report->out,
            "export DATABASE_URL='%s'\n"
            "# kill %" PRIdMAX " stops that server and deletes it\n",
            t->server.url, (intmax_t)t->server.keeper);
}

/* The object that ends it, when there is no error. */
static void
tell_object(const struct testing *t, enum rung_code code)
{
    struct report *r = t->report;

    json_open_result(r, code);
    json_number(r, "tested", (int64_t)t->tested);
    json_number(r, "undone", (int64_t)t->undoable);
    json_text(r, "server", t->server.version[0] == '\0' ? NULL : t->server.version);
    json_text(r, "url", t->kept ? t->server.url : NULL);
    json_number(r, "pid", t->kept ? (int64_t)t->server.keeper : -1);
    json_close(r);
}

/* On the server; it is not yet running. */
static bool
test_on_server(struct testing *t, struct rung_error *err)
{
    bool ok;

    if (!start_server(t, err))
        return false;
    if (!t->report->quiet && t->report->format != FORMAT_JSON)
        (void)fprintf(t->report->out, "PostgreSQL %s, empty, from %s\n",
            t->server.version, t->server.bin);
    ok = try_newest(t, err) && try_older(t, err);
    if (ok)
        tell_result(t);
    if (t->cli->keep && (ok || err->code != RUNG_CANCELLED)) {
        throwaway_keep(&t->server);
        t->kept = true;
        tell_address(t);
    }
    return ok;
}

int
testing_run(const struct cli *cli, struct report *report)
{
    struct testing t = {
        .cli = cli, .report = report, .options = cli->library, .server.control = -1
    };
    struct rung_error err;
    bool ok;

    process_forget_environment("PG"); /* they mean another server */
    t.options.database = NULL;
    t.options.keep_source = false;
    t.options.on_event = on_event;
    t.options.arg = &t;
    ok = throwaway_find(&t.server, cli->pg_bin, t.options.wake_fd, &err)
         && read_files(&t, &err);
    if (ok && t.tested > 0)
        ok = test_on_server(&t, &err);
    else if (ok && !report->quiet && report->format != FORMAT_JSON)
        (void)fputs("nothing to test: no migration holds a statement\n", report->out);
    if (!ok && err.message[0] != '\0') /* else it was told, file by file */
        report_error(report, &err);
    else if (report->format == FORMAT_JSON)
        tell_object(&t, ok ? RUNG_OK : err.code);
    throwaway_stop(&t.server);
    rung_list_free(&t.files);
    forget_schemas(&t);
    return ok ? (int)RUNG_OK : (int)err.code;
}
