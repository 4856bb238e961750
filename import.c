/*
 * import.c: rung-import, the program: its command line and what it says.
 *
 *     rung-import files     another tool's files as rung's
 *     rung-import history   another tool's table as rung's ledger
 *
 * A program of its own, so that what an application runs at its start stays small.
 * Beside runner.h it uses the library's own modules (import.h says why).
 *
 * Invariant: without --write, or --yes, nothing is changed.
 */
#include "import.h"
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- the command line ------------------------------------------------------------ */

struct order {
    const char *command;
    const char *sources[8];
    size_t n_sources;
    const char *from, *database, *directory, *table, *old_table;
    char *secret; /* what `database` points to, if it came from argv */
    bool write, skip, replace, yes, help, version;
};

#define TO(field) offsetof(struct order, field)

enum { FILES = 1, HISTORY = 2, BOTH = 3 };

/* One line per option: the parser and --help read it. */
static const struct option {
    const char *name;
    char letter;
    const char *arg; /* NULL: it has no value */
    size_t field;
    int commands;
    const char *help;
} options[] = {
    { "from", 'f', "TOOL", TO(from), BOTH,
        "the tool whose files, or table, these are" },
    { "dir", 'm', "DIR", TO(directory), BOTH,
        "rung's files [$RUNG_DIR or migrations]" },
    { "skip", 0, NULL, TO(skip), BOTH, "leave out what cannot be converted or found" },
    { "write", 'w', NULL, TO(write), FILES, "write the files" },
    { "database", 'd', "CONNINFO", TO(database), HISTORY,
        "URL or conninfo (else $DATABASE_URL, PGHOST...)" },
    { "table", 't', "TABLE", TO(table), HISTORY,
        "rung's ledger [$RUNG_TABLE or schema_migrations]" },
    { "old-table", 0, "TABLE", TO(old_table), HISTORY,
        "the tool's table, where it has another name" },
    { "replace", 0, NULL, TO(replace), HISTORY,
        "rename a table of the ledger's name first" },
    { "yes", 'y', NULL, TO(yes), HISTORY, "write the ledger" },
    { "help", 'h', NULL, TO(help), BOTH, "this text" },
    { "version", 'V', NULL, TO(version), BOTH, "rung's version" },
};

#define OPTIONS (sizeof options / sizeof *options)

static void
print_help(FILE *out)
{
    (void)fputs(
        "Usage: rung-import files --from TOOL [OPTION]... SOURCE...\n"
        "       rung-import history [--from TOOL] [OPTION]... [SOURCE]\n"
        "\n"
        "files    shows, and with --write writes, another tool's files as rung's.\n"
        "history  shows, and with --yes records, what its table says was applied.\n"
        "\n"
        "SOURCE is the directory of the tool's files",
        out);
    (void)fputs(".\nTOOL is one of:", out);
    for (size_t i = 0; tool_at(i) != NULL; i++)
        (void)fprintf(out, "%s %s", i % 6 == 0 ? "\n " : "", tool_at(i)->word);
    (void)fputs("\n\nFor history alone:", out);
    for (size_t i = 0; foreign_at(i) != NULL; i++)
        if (tool_find(foreign_at(i)->word) == NULL)
            (void)fprintf(out, " %s", foreign_at(i)->word);
    (void)fputs("\n\nOptions:\n", out);
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *o = &options[i];
        char left[64], letter[] = "    ";

        if (o->letter != '\0')
            (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
        (void)snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name,
            o->arg == NULL ? "" : " ", o->arg == NULL ? "" : o->arg);
        (void)fprintf(out, "%-30s%s%s\n", left, o->help,
            o->commands == FILES     ? " (files)"
            : o->commands == HISTORY ? " (history)"
                                     : "");
    }
    (void)fputs(
        "\nExit status: 0 done; 1 a file cannot be converted; 2 usage; 3 the table\n"
        "and the files disagree; 4 the tool is at work; 5 no connection.\n",
        out);
}

/* The connection string does not stay in argv, where every user could read it. */
static bool
take_secret(struct order *order, char *value, struct rung_error *err)
{
    free(order->secret);
    order->secret = str_dup(str_of(value));
    if (order->secret == NULL)
        return err_memory(err);
    order->database = order->secret;
    memset(value, 'x', strlen(value));
    return true;
}

static bool
take_option(struct order *order, const struct option *option, char *value,
    struct rung_error *err)
{
    char *field = (char *)order + option->field;
    const char *text = value;

    if (option->arg == NULL) {
        memcpy(field, &(bool){ true }, sizeof(bool));
        return true;
    }
    if (value[0] == '\0')
        return err_set(err, RUNG_USAGE, "--%s is empty", option->name);
    if (option->field == TO(database))
        return take_secret(order, value, err);
    memcpy(field, &text, sizeof text);
    return true;
}

/* -x VALUE, -xVALUE, --name VALUE, --name=VALUE.  Moves *arg over a value. */
static bool
take_dashed(struct order *order, char ***arg, struct rung_error *err)
{
    char *text = **arg, *value = NULL;
    bool is_long = text[1] == '-';
    size_t n = is_long ? strcspn(text + 2, "=") : 1;

    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *o = &options[i];

        if (is_long ? strlen(o->name) != n || strncmp(o->name, text + 2, n) != 0
                    : o->letter == '\0' || text[1] != o->letter)
            continue;
        if (is_long && text[2 + n] == '=')
            value = text + 3 + n;
        else if (!is_long && text[2] != '\0')
            value = text + 2;
        if (o->arg == NULL && value != NULL)
            return err_set(err, RUNG_USAGE, "--%s takes no value", o->name);
        if (o->arg != NULL && value == NULL && (value = (*arg)[1]) != NULL)
            ++*arg;
        if (o->arg != NULL && value == NULL)
            return err_set(err, RUNG_USAGE, "--%s needs a value", o->name);
        return take_option(order, o, value, err);
    }
    err_set(err, RUNG_USAGE, "unknown option %.*s", is_long ? (int)n + 2 : 2, text);
    return err_hint(err, "`rung-import --help` lists them.");
}

static bool
take_word(struct order *order, const char *word, struct rung_error *err)
{
    if (order->command != NULL) {
        if (order->n_sources == sizeof order->sources / sizeof *order->sources)
            return err_set(err, RUNG_USAGE, "there are too many arguments");
        order->sources[order->n_sources++] = word;
        return true;
    }
    order->command = word;
    if (strcmp(word, "files") == 0 || strcmp(word, "history") == 0)
        return true;
    err_set(err, RUNG_USAGE, "the first argument is files or history");
    return err_hint(err, "`rung-import --help` says more.");
}

static const char *
environment(const char *name)
{
    const char *value = getenv(name);

    return value == NULL || value[0] == '\0' ? NULL : value;
}

static bool
parse(struct order *order, char **argv, struct rung_error *err)
{
    bool words_only = false;

    *order = (struct order){ .database = environment("DATABASE_URL"),
        .directory = environment("RUNG_DIR"),
        .table = environment("RUNG_TABLE") };
    if (order->directory == NULL)
        order->directory = "migrations";
    for (char **arg = argv[0] == NULL ? argv : argv + 1; *arg != NULL; arg++) {
        bool ok = true;

        if (words_only || (*arg)[0] != '-' || (*arg)[1] == '\0')
            ok = take_word(order, *arg, err);
        else if (strcmp(*arg, "--") == 0)
            words_only = true;
        else
            ok = take_dashed(order, &arg, err);
        if (!ok)
            return false;
    }
    return true;
}

static const struct tool *
find_tool(const char *word, struct rung_error *err)
{
    const struct tool *tool = word == NULL ? NULL : tool_find(word);
    char words[512] = "", shown[64];

    if (tool != NULL)
        return tool;
    for (size_t i = 0; tool_at(i) != NULL; i++)
        text_format(words + strlen(words), sizeof words - strlen(words), "%s%s",
            i == 0 ? "" : ", ", tool_at(i)->word);
    if (word == NULL)
        err_set(err, RUNG_USAGE, "say with --from whose files these are");
    else
        err_set(err, RUNG_USAGE, "--from: no tool \"%s\" is known",
            text_escape(shown, sizeof shown, str_of(word)));
    err_hint(err, "One of %s.", words);
    return NULL;
}

/* ---- files ----------------------------------------------------------------------- */

static void
tell_problems(struct report *report, const struct conversion *c, bool skip)
{
    for (const struct problem *p = c->problems; p != NULL; p = p->next) {
        char message[1024];
        struct rung_event warning = { .kind = RUNG_EVENT_WARNING,
            .path = p->path,
            .line = p->line,
            .message = message };
        struct rung_error err;

        if (p->warning || skip) {
            text_format(message, sizeof message, "%s%s", p->message,
                p->warning ? "" : ": left out");
            report_event(report, &warning);
            continue;
        }
        err_set(&err, RUNG_FAILED, "%s", p->message);
        text_format(err.path, sizeof err.path, "%s", p->path);
        err.line = p->line;
        report_error(report, &err);
    }
}

static void
tell_file(struct report *report, const struct order *order, const char *name,
    const struct conversion *c, const char *from)
{
    struct sqldir dir = { .path = order->directory };
    char path[512], source[512];

    (void)fprintf(report->out, "%s %s (from %s)\n",
        order->write ? "wrote" : "would write",
        sqldir_path(path, sizeof path, &dir, name),
        sqldir_path(source, sizeof source, &c->dir, from));
}

static void
tell_files(struct report *report, const struct order *order, const struct conversion *c)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct migration *m = &c->migrations[i];

        if (m->refused)
            continue;
        if (!m->up_there)
            tell_file(report, order, m->up_name, c, m->up_path);
        if (m->has_down && !m->down_there)
            tell_file(report, order, m->down_name, c,
                m->down_path == NULL ? m->up_path : m->down_path);
    }
}

/* May something be written, after all that was found? */
static bool
check_problems(struct report *report, const struct order *order,
    const struct conversion *c, struct rung_error *err)
{
    size_t good = 0;

    tell_problems(report, c, order->skip);
    if (c->n_refused > 0 && !order->skip) {
        err_set(err, RUNG_FAILED, "what is named above cannot be converted");
        return err_hint(err,
            "Nothing was written. Give rung SQL that says the same, or "
            "leave these out with --skip.");
    }
    for (size_t i = 0; i < c->n; i++)
        good += !c->migrations[i].refused;
    if (good == 0)
        return err_set(err, RUNG_FAILED, "there is no migration of %s's in %s",
            c->tool->name, c->dir.path);
    return true;
}

static bool
run_files(struct report *report, const struct order *order, struct rung_error *err)
{
    const struct tool *tool = find_tool(order->from, err);
    struct conversion c = { .dir.fd = -1 };
    size_t made;
    bool ok;

    if (tool == NULL)
        return false;
    if (order->n_sources == 0 || (order->n_sources > 1 && tool->read == NULL))
        return err_set(
            err, RUNG_USAGE, "name one directory with the files of %s", tool->name);
    ok = (tool->read != NULL ? tool->read(&c, order->sources, order->n_sources, err)
                             : conversion_read(&c, tool, order->sources[0], err))
         && check_problems(report, order, &c, err)
         && conversion_write(&c, order->directory, order->write, &made, err);
    if (ok) {
        tell_files(report, order, &c);
        if (made == 0)
            (void)fputs("nothing to write: the files are there\n", report->err);
        else if (!order->write)
            (void)fputs("nothing was written: --write does\n", report->err);
    }
    conversion_free(&c);
    return ok;
}

/* ---- history --------------------------------------------------------------------- */

struct talk {
    struct report *report;
    bool write;
};

static void
tell_adopted(void *arg, const struct adopted *adopted)
{
    const struct talk *talk = arg;
    const char *verb = adopted->there ? "recorded already"
                       : talk->write  ? "recorded"
                                      : "would record";

    (void)fprintf(talk->report->out, "%s %s (%s)\n", verb, adopted->filename,
        adopted->applied == NULL ? "no time is known" : adopted->applied);
}

static void
tell_note(void *arg, const char *message, const char *hint)
{
    const struct talk *talk = arg;

    term_text(talk->report->err, message);
    (void)fputc('\n', talk->report->err);
    if (hint != NULL)
        (void)fprintf(talk->report->err, "hint: %s\n", hint);
}

static bool
run_history(struct report *report, const struct order *order, struct rung_error *err)
{
    struct rung_options library = RUNG_OPTIONS;
    struct talk talk = { report, order->yes };
    struct adoption adoption = { .options = &library,
        .from = order->from,
        .old_table = order->old_table,
        .source = order->n_sources == 0 ? NULL : order->sources[0],
        .write = order->yes,
        .replace = order->replace,
        .skip = order->skip,
        .tell = tell_adopted,
        .note = tell_note,
        .arg = &talk };
    char shown[64];

    library.database = order->database;
    library.database_from = order->secret != NULL ? "-d" : "DATABASE_URL";
    library.directory = order->directory;
    if (order->table != NULL)
        library.table = order->table;
    if (order->from != NULL && history_tool_find(order->from) == NULL) {
        err_set(err, RUNG_USAGE, "--from: no table of \"%s\" is known",
            text_escape(shown, sizeof shown, str_of(order->from)));
        return err_hint(
            err, "Leave it out, and the table is recognised by its columns.");
    }
    if (order->n_sources > 1)
        return err_set(err, RUNG_USAGE, "name at most one directory");
    if (!adopt(&adoption, err))
        return false;
    if (!order->yes)
        (void)fputs("nothing was recorded: --yes does\n", report->err);
    return true;
}

/* ---- the whole ------------------------------------------------------------------- */

/* Does every option that was given belong to the command? */
static bool
check_order(const struct order *order, struct rung_error *err)
{
    bool files = strcmp(order->command, "files") == 0;

    if (files && (order->yes || order->replace || order->old_table != NULL))
        return err_set(err, RUNG_USAGE,
            "--yes, --replace and --old-table belong to `rung-import history`");
    if (!files && order->write)
        return err_set(err, RUNG_USAGE, "--write belongs to `rung-import files`");
    return true;
}

static enum rung_code
run(struct report *report, struct order *order, char **argv)
{
    struct rung_error err;
    bool ok = parse(order, argv, &err);

    if (ok && order->version)
        (void)fprintf(report->out, "rung-import %s\n", RUNG_VERSION);
    else if (ok && order->help)
        print_help(report->out);
    else if (ok && order->command == NULL) {
        print_help(report->err);
        return RUNG_USAGE;
    } else
        ok = ok && check_order(order, &err)
             && (strcmp(order->command, "files") == 0
                     ? run_files(report, order, &err)
                     : run_history(report, order, &err));
    if (ok)
        return RUNG_OK;
    if (err.path[0] == '\0')
        text_format(err.path, sizeof err.path, "rung-import");
    report_error(report, &err);
    return err.code;
}

int
main(int argc, char **argv)
{
    struct order order;
    struct report report = { .out = stdout,
        .err = stderr,
        .directory = "",
        .now_us = (int64_t)time(NULL) * 1000000 };
    enum rung_code code;

    (void)argc;
    code = run(&report, &order, argv);
    if (!report_finish(&report) && code == RUNG_OK)
        code = RUNG_FAILED;
    free(order.secret);
    return (int)code;
}
