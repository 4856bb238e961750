/*
 * options.c: the command line, read by a table.
 *
 * Owns the option table, from which the parser and --help are made.  The command table
 * is commands.c's.
 *
 * Invariant: no value of an option or argument that may hold a password gets into a
 * message, and a connection string does not stay in argv.
 */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ------------------------------------------------------------------- */

enum value {
    FLAG,     /* bool; no argument */
    TEXT,     /* const char *, not empty */
    SECRET,   /* the same, copied out of argv */
    DURATION, /* int64_t, milliseconds */
    WAIT,     /* the same, or -1: without limit */
    COLOR,    /* enum color_when */
    FORMAT    /* enum format */
};

#define TO(field) offsetof(struct cli, field)

/* The commands that go together for many options. */
enum {
    FOR_CHANGES = FOR_UP | FOR_DOWN | FOR_REDO | FOR_STAMP | FOR_REPAIR,
    FOR_LEDGER = FOR_CHANGES | FOR_STATUS | FOR_PLAN | FOR_VERIFY | FOR_CURRENT
                 | FOR_HISTORY | FOR_SHOW | FOR_RENUMBER,
    FOR_FILES = FOR_LEDGER | FOR_NEW | FOR_SUM | FOR_LINT | FOR_TEST,
    FOR_RUNS = FOR_UP | FOR_DOWN | FOR_REDO | FOR_PLAN,
    FOR_ANSWERS = FOR_ALL & ~FOR_HELP
};

/* One line per option: the parser, --help, the man page and the completions read it. */
static const struct option {
    const char *name;
    char letter;     /* '\0': long form only */
    const char *env; /* what holds the value when the option is not given */
    enum value value;
    size_t field; /* where in struct cli it lands */
    int commands; /* that take it */
    enum help_group group;
    const char *arg;
    const char *initial; /* shown as the default; NULL: nothing to be said */
    const char *help;    /* NULL: another name of the option above */
} options[] = {
    { "database", 'd', "DATABASE_URL", SECRET, TO(library.database), FOR_LEDGER, WHERE,
        "CONNINFO", NULL, "URL or conninfo (else $DATABASE_URL, PGHOST...)" },
    { "dir", 'm', "RUNG_DIR", TEXT, TO(library.directory), FOR_FILES, WHERE, "DIR",
        "migrations", "the files (else $RUNG_DIR)" },
    { "migrations-dir", 0, NULL, TEXT, TO(library.directory), FOR_FILES, WHERE, "DIR",
        NULL, NULL },
    { "table", 't', "RUNG_TABLE", TEXT, TO(library.table), FOR_LEDGER | FOR_TEST, WHERE,
        "TABLE", "schema_migrations", "the ledger ($RUNG_TABLE)" },
    { "role", 0, NULL, TEXT, TO(library.role), FOR_RUNS, WHERE, "ROLE", NULL,
        "run the files as this role (SET ROLE)" },
    { "pg-bin", 0, NULL, TEXT, TO(pg_bin), FOR_TEST, WHERE, "DIR", NULL,
        "test: the directory of initdb and postgres" },

    { "wait", 0, NULL, DURATION, TO(library.wait_ms), FOR_LEDGER, WAITS, "TIME", "0",
        "for a server that does not answer yet" },
    { "lock-wait", 0, NULL, WAIT, TO(library.lock_wait_ms), FOR_CHANGES, WAITS, "TIME",
        "forever", "for another rung to finish" },
    { "lock-timeout", 0, NULL, DURATION, TO(library.lock_timeout_ms), FOR_RUNS, WAITS,
        "TIME", "3s", "of a statement for its locks (0: none)" },
    { "lock-retry-for", 0, NULL, DURATION, TO(library.lock_retry_for_ms),
        FOR_UP | FOR_DOWN | FOR_REDO, WAITS, "TIME", "1min",
        "while a file that met it is tried again" },

    { "statement-timeout", 0, NULL, DURATION, TO(library.statement_timeout_ms),
        FOR_RUNS, WORK, "TIME", NULL, "end a statement that runs longer (0: none)" },
    { "allow-out-of-order", 0, NULL, FLAG, TO(library.allow_out_of_order),
        FOR_UP | FOR_PLAN, WORK, NULL, NULL,
        "up: also files below the newest applied one" },
    { "one-transaction", 0, NULL, FLAG, TO(library.one_transaction), FOR_UP | FOR_PLAN,
        WORK, NULL, NULL, "up: all pending files, or none" },
    { "keep-source", 0, "RUNG_KEEP_SOURCE", FLAG, TO(library.keep_source),
        FOR_UP | FOR_REDO | FOR_PLAN | FOR_STAMP | FOR_REPAIR, WORK, NULL, NULL,
        "keep the files' text ($RUNG_KEEP_SOURCE=1)" },
    { "dry-run", 0, NULL, FLAG, TO(dry_run), FOR_UP, WORK, NULL, NULL,
        "up: say what would be done, as plan does" },
    { "to", 0, NULL, TEXT, TO(to), FOR_DOWN, WORK, "VERSION", NULL,
        "down: undo what is newer, keep VERSION" },
    { "all", 0, NULL, FLAG, TO(all), FOR_DOWN | FOR_STAMP, WORK, NULL, NULL,
        "down, stamp: every migration" },
    { "from-ledger", 0, NULL, FLAG, TO(library.from_ledger), FOR_DOWN, WORK, NULL, NULL,
        "down: where a file is missing, its kept text" },
    { "yes", 'y', NULL, FLAG, TO(yes), FOR_DOWN | FOR_REPAIR, WORK, NULL, NULL,
        "down --all, repair: do not ask" },
    { "reason", 0, NULL, TEXT, TO(reason), FOR_REPAIR, WORK, "TEXT", NULL,
        "repair: why; kept in the ledger" },
    { "completed", 0, NULL, FLAG, TO(completed), FOR_REPAIR, WORK, NULL, NULL,
        "repair: what is unfinished did its work" },
    { "sql", 0, NULL, FLAG, TO(sql), FOR_PLAN, WORK, NULL, NULL,
        "plan: print the script for psql" },
    { "from", 0, NULL, TEXT, TO(from), FOR_PLAN | FOR_LINT, WORK, "VERSION", NULL,
        "lint, plan --sql: from there on, not connecting" },
    { "base", 0, NULL, TEXT, TO(base), FOR_VERIFY | FOR_RENUMBER, WORK, "REV", NULL,
        "verify, renumber: against this git revision" },
    { "exit-code", 0, NULL, FLAG, TO(exit_code), FOR_STATUS, WORK, NULL, NULL,
        "status: exit with 6 when something is pending" },
    { "no-pending", 0, NULL, FLAG, TO(no_pending), FOR_VERIFY, WORK, NULL, NULL,
        "verify: exit with 6 when something is pending" },
    { "offline", 0, NULL, FLAG, TO(offline), FOR_VERIFY | FOR_SHOW | FOR_RENUMBER, WORK,
        NULL, NULL, "verify, show, renumber: only the files" },
    { "down", 0, NULL, FLAG, TO(down), FOR_NEW | FOR_SHOW, WORK, NULL, NULL,
        "new, show: the down file" },
    { "applied", 0, NULL, FLAG, TO(applied), FOR_SHOW, WORK, NULL, NULL,
        "show: the text that ran, where it was kept" },
    { "keep", 0, NULL, FLAG, TO(keep), FOR_TEST, WORK, NULL, NULL,
        "test: leave the server running" },
    { "limit", 'n', NULL, TEXT, TO(limit), FOR_HISTORY, WORK, "N", NULL,
        "history: the newest N only" },

    { "quiet", 'q', NULL, FLAG, TO(quiet), FOR_ALL, OUTPUT, NULL, NULL,
        "say only what is wrong" },
    { "verbose", 'v', NULL, FLAG, TO(verbose), FOR_ALL, OUTPUT, NULL, NULL,
        "say more" },
    { "format", 0, NULL, FORMAT, TO(format), FOR_ANSWERS, OUTPUT, "FORMAT", "text",
        "text, json, github (GitHub Actions)" },
    { "color", 0, NULL, COLOR, TO(color), FOR_ALL, OUTPUT, "WHEN", "auto",
        "always, never, auto (minds $NO_COLOR)" },
    { "help", 'h', NULL, FLAG, TO(help), FOR_ALL, OUTPUT, NULL, NULL,
        "this text, or that of a command" },
    { "version", 'V', NULL, FLAG, TO(version), FOR_ALL, OUTPUT, NULL, NULL,
        "rung's version" },
};

#define OPTIONS (sizeof options / sizeof options[0])
_Static_assert(OPTIONS <= 64, "cli.given has a bit for each");

/* ---- errors ---------------------------------------------------------------------- */

bool
cli_fail(struct rung_error *err, const char *fmt, ...)
{
    va_list ap;

    *err = (struct rung_error){ .code = RUNG_USAGE };
    va_start(ap, fmt);
    (void)vsnprintf(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    return false;
}

bool
cli_hint(struct rung_error *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    return false;
}

/* May this be repeated in a message?  Not what may be a connection string. */
static bool
may_show(const char *text)
{
    return text[0] != '\0' && strlen(text) <= 64 && strpbrk(text, ":@=/") == NULL;
}

/* `"text"`, or what stands for it when it may not be shown.  Returns `buffer`. */
static const char *
shown(char *buffer, size_t size, const char *text)
{
    if (may_show(text))
        (void)snprintf(buffer, size, "\"%s\"", text);
    else
        (void)snprintf(buffer, size, "%s", text[0] == '\0' ? "\"\"" : "that");
    return buffer;
}

#define SHOWN_BYTES 68

/* ---- values ---------------------------------------------------------------------- */

const char *
cli_environment(const char *name)
{
    const char *value = getenv(name);

    return value == NULL || value[0] == '\0' ? NULL : value;
}

static bool
is_file_name(const char *text)
{
    size_t n = strlen(text);

    return n > 4 && strcmp(text + n - 4, ".sql") == 0;
}

bool
cli_read_version(const char *text, int64_t *version, struct rung_error *err)
{
    size_t digits;
    int64_t number = 0;

    if (text == NULL) {
        *version = RUNG_NO_VERSION;
        return true;
    }
    digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != '\0') {
        if (may_show(text) && !is_file_name(text))
            return cli_fail(
                err, "VERSION is a number such as 7 or 007, not \"%s\"", text);
        cli_fail(err, "VERSION is a number such as 7 or 007");
        return cli_hint(err,
            is_file_name(text) ? "Of a file it is the number that its name begins with."
                               : "A connection string goes with -d.");
    }
    if (digits > 18)
        return cli_fail(err, "VERSION has at most 18 digits, not %zu", digits);
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (text[i] - '0');
    *version = number;
    return true;
}

bool
cli_read_count(const char *text, size_t initial, size_t *count, struct rung_error *err)
{
    char buffer[SHOWN_BYTES];
    size_t digits, number = 0;

    if (text == NULL) {
        *count = initial;
        return true;
    }
    digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != '\0' || strcmp(text, "0") == 0)
        return cli_fail(err, "N is how many, from 1 on, not %s",
            shown(buffer, sizeof buffer, text));
    if (text[0] == '0') {
        cli_fail(err, "N is how many; %s looks like a version", text);
        return cli_hint(err, "Without zeros in front it is a count. `rung down --to "
                             "VERSION` undoes what is newer than a version.");
    }
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (size_t)(text[i] - '0');
    *count = number;
    return true;
}

/* 500ms, 10s, 5m or 5min, 1h, 1d; a plain number is seconds.  At most what int holds,
 * as PostgreSQL's own timeouts. */
static bool
read_duration(const char *text, int64_t *ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
        { "min", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
    long long number;
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    number = strtoll(text, &end, 10);
    if (errno != 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].name) != 0)
            continue;
        if (number > INT32_MAX / units[i].ms)
            return false;
        *ms = number * units[i].ms;
        return true;
    }
    return false;
}

static bool
read_color(const char *text, enum color_when *when)
{
    static const char *const words[] = {
        [COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never"
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) != 0)
            continue;
        *when = (enum color_when)i;
        return true;
    }
    return false;
}

static bool
read_format(const char *text, enum format *format)
{
    static const char *const words[] = {
        [FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", [FORMAT_GITHUB] = "github"
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) != 0)
            continue;
        *format = (enum format)i;
        return true;
    }
    return false;
}

/* Put a value of `size` bytes where the table says. */
static void
put(struct cli *cli, const struct option *option, const void *value, size_t size)
{
    memcpy((char *)cli + option->field, value, size);
}

/* Keep a copy, and leave in argv only how long it was. */
static bool
take_secret(struct cli *cli, char *value, struct rung_error *err)
{
    char *copy = strdup(value);

    memset(value, 'x', strlen(value));
    if (copy == NULL) {
        cli_fail(err, "out of memory");
        err->code = RUNG_FAILED;
        return false;
    }
    free(cli->secret);
    cli->secret = copy;
    cli->library.database = copy;
    cli->library.database_from = "-d";
    return true;
}

static void
mark_given(struct cli *cli, const struct option *option)
{
    cli->given |= UINT64_C(1) << (option - options);
}

static bool
take_flag(struct cli *cli, const struct option *option)
{
    bool yes = true;

    mark_given(cli, option);
    put(cli, option, &yes, sizeof yes);
    return true;
}

/* Of an option that has one; `value` is argv's own. */
static bool
take_value(
    struct cli *cli, const struct option *option, char *value, struct rung_error *err)
{
    char buffer[SHOWN_BYTES];
    enum color_when when;
    enum format format;
    int64_t ms;

    mark_given(cli, option);
    switch (option->value) {
    case FLAG:
        return take_flag(cli, option);
    case SECRET:
        if (value[0] != '\0')
            return take_secret(cli, value, err);
        cli_fail(err, "--%s is empty", option->name);
        return cli_hint(err, "Leave it out to connect as PGHOST, PGDATABASE and the "
                             "like say.");
    case TEXT:
        if (value[0] == '\0')
            return cli_fail(err, "--%s is empty", option->name);
        put(cli, option, &value, sizeof value);
        return true;
    case WAIT:
        ms = -1;
        if (strcmp(value, "forever") != 0 && strcmp(value, "-1") != 0
            && !read_duration(value, &ms))
            break;
        put(cli, option, &ms, sizeof ms);
        return true;
    case DURATION:
        if (!read_duration(value, &ms))
            break;
        put(cli, option, &ms, sizeof ms);
        return true;
    case COLOR:
        if (!read_color(value, &when))
            return cli_fail(err, "--color is auto, always or never, not %s",
                shown(buffer, sizeof buffer, value));
        put(cli, option, &when, sizeof when);
        return true;
    case FORMAT:
        if (!read_format(value, &format))
            return cli_fail(err, "--format is text, json or github, not %s",
                shown(buffer, sizeof buffer, value));
        put(cli, option, &format, sizeof format);
        return true;
    }
    cli_fail(
        err, "--%s: %s is no time", option->name, shown(buffer, sizeof buffer, value));
    return cli_hint(err, "Write 500ms, 10s, 5min or 1h%s; a plain number is seconds.",
        option->value == WAIT ? ", or forever" : "");
}

/* ---- options --------------------------------------------------------------------- */

/* The value of an option that stands in the next word, which is then used up.  NULL:
 * there is none. */
static char *
next_word(const char *option, char ***arg, struct rung_error *err)
{
    char *value = (*arg)[1];

    if (value == NULL)
        cli_fail(err, "%s needs a value", option);
    else
        ++*arg;
    return value;
}

static bool
unknown_option(const char *name, struct rung_error *err)
{
    struct nearest best = { NULL, 0 };

    for (size_t i = 0; i < OPTIONS; i++)
        words_consider(&best, name, options[i].name);
    cli_fail(err, "unknown option --%s", name);
    if (best.word != NULL)
        return cli_hint(err, "Did you mean --%s?", best.word);
    return cli_hint(err, "`rung --help` lists them.");
}

/* --name, --name=value, --name value. */
static bool
take_long(struct cli *cli, char ***arg, struct rung_error *err)
{
    char *text = **arg + 2;
    size_t n = strcspn(text, "=");
    char *value = text[n] == '=' ? text + n + 1 : NULL;
    char name[NEAREST_MOST + 3];

    /* One that is longer than any option may be cut: it stays unknown. */
    (void)snprintf(
        name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name), text);
    for (size_t i = 0; i < OPTIONS; i++) {
        char dashed[NEAREST_MOST + 5];

        if (strcmp(name, options[i].name) != 0)
            continue;
        if (options[i].value == FLAG)
            return value == NULL ? take_flag(cli, &options[i])
                                 : cli_fail(err, "--%s takes no value", name);
        (void)snprintf(dashed, sizeof dashed, "--%s", name);
        if (value == NULL)
            value = next_word(dashed, arg, err);
        return value != NULL && take_value(cli, &options[i], value, err);
    }
    return unknown_option(name, err);
}

static const struct option *
find_letter(char letter)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (options[i].letter == letter)
            return &options[i];
    return NULL;
}

/* -q, -qv, -dVALUE, -d VALUE. */
static bool
take_letters(struct cli *cli, char ***arg, struct rung_error *err)
{
    for (char *at = **arg + 1; *at != '\0'; at++) {
        const struct option *option = find_letter(*at);
        char name[3] = { '-', *at, '\0' };
        char *value = at[1] == '\0' ? NULL : at + 1;

        if (option == NULL) {
            cli_fail(err, "unknown option %s", name);
            return cli_hint(err, "`rung --help` lists them.");
        }
        if (option->value == FLAG) {
            take_flag(cli, option);
            continue;
        }
        if (value == NULL)
            value = next_word(name, arg, err);
        return value != NULL && take_value(cli, option, value, err);
    }
    return true;
}

/* ---- commands -------------------------------------------------------------------- */

const struct command *
cli_find_command(
    const struct command *commands, const char *name, struct rung_error *err)
{
    const struct command *command = NULL; /* whose name, or other name, it is */
    struct nearest best = { NULL, 0 };

    for (const struct command *c = commands; c->name != NULL; c++) {
        if (c->summary != NULL)
            command = c;
        if (strcmp(c->name, name) == 0)
            return command;
        words_consider(&best, name, c->name);
    }
    if (!may_show(name)) {
        cli_fail(err, "the first argument is no command");
        cli_hint(err, "A connection string goes with -d; `rung --help` lists the "
                      "commands.");
        return NULL;
    }
    cli_fail(err, "unknown command \"%s\"", name);
    if (words_translate(name, err))
        return NULL;
    if (best.word != NULL)
        cli_hint(err, "Did you mean `rung %s`?", best.word);
    else
        cli_hint(err, "`rung --help` lists the commands.");
    return NULL;
}

/* A word that is no option: the command, then its arguments, which are gathered at the
 * beginning of argv. */
static bool
take_word(struct cli *cli, char *word, struct rung_error *err)
{
    const char *wanted;

    if (cli->command == NULL) {
        cli->command = cli_find_command(cli->commands, word, err);
        return cli->command != NULL;
    }
    wanted = cli->command->argument;
    if (wanted == NULL)
        return cli_fail(err, "`rung %s` takes no argument", cli->command->name);
    if (cli->n_arguments > 0 && strstr(wanted, "...") == NULL) {
        cli_fail(err, "`rung %s` takes one argument, %s", cli->command->name, wanted);
        if (strcmp(wanted, "NAME") == 0)
            cli_hint(err, "Put several words in quotes.");
        return false;
    }
    cli->arguments[cli->n_arguments++] = word;
    cli->argument = cli->arguments[0];
    return true;
}

/* Is there an argument where there must be one? */
static bool
check_argument(const struct cli *cli, struct rung_error *err)
{
    const struct command *command = cli->command;

    if (command == NULL || command->argument == NULL || command->argument[0] == '['
        || cli->n_arguments > 0 || cli->help || cli->version)
        return true;
    cli_fail(err, "`rung %s` needs %s", command->name, command->argument);
    return cli_hint(err, "`rung help %s` says more.", command->name);
}

/* "`rung up` and `rung plan`": the commands that take an option. */
static void
name_commands(char *text, size_t size, const struct cli *cli, int bits)
{
    size_t at = 0;
    int left = 0;

    for (const struct command *c = cli->commands; c->name != NULL; c++)
        left += (c->bit & bits) != 0 && c->summary != NULL;
    text[0] = '\0';
    for (const struct command *c = cli->commands; c->name != NULL; c++) {
        if ((c->bit & bits) == 0 || c->summary == NULL)
            continue;
        left--;
        (void)snprintf(text + at, size - at, "`rung %s`%s", c->name,
            left > 1    ? ", "
            : left == 1 ? " and "
                        : "");
        at = strlen(text);
    }
}

/* Does every option that was given belong to the command? */
static bool
check_options(const struct cli *cli, struct rung_error *err)
{
    char takers[512];

    for (size_t i = 0; i < OPTIONS && cli->command != NULL; i++) {
        if ((cli->given >> i & 1) == 0
            || (options[i].commands & cli->command->bit) != 0)
            continue;
        name_commands(takers, sizeof takers, cli, options[i].commands);
        cli_fail(err, "--%s does not belong to `rung %s`", options[i].name,
            cli->command->name);
        return cli_hint(err, "It belongs to %s.", takers);
    }
    if (cli->quiet && cli->verbose)
        return cli_fail(err, "--quiet and --verbose exclude each other");
    return true;
}

/* ---- the whole ------------------------------------------------------------------- */

/* What a variable may say for a flag. */
static bool
read_flag(const char *name, const char *text, bool *flag, struct rung_error *err)
{
    static const char *const words[] = { "0", "1", "no", "yes", "false", "true", "off",
        "on" };
    char buffer[SHOWN_BYTES];

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) != 0)
            continue;
        *flag = i % 2 == 1;
        return true;
    }
    return cli_fail(
        err, "%s is 1 or 0, not %s", name, shown(buffer, sizeof buffer, text));
}

static bool
read_environment(struct cli *cli, struct rung_error *err)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const char *name = options[i].env;
        const char *value = name == NULL ? NULL : cli_environment(name);
        bool flag = false;

        if (value == NULL)
            continue;
        if (options[i].value != FLAG)
            put(cli, &options[i], &value, sizeof value);
        else if (read_flag(name, value, &flag, err))
            put(cli, &options[i], &flag, sizeof flag);
        else
            return false;
    }
    return true;
}

/* The format in which to say that the command line makes no sense. */
static void
find_format(struct cli *cli, char **arg)
{
    const char name[] = "--format";

    for (; arg[0] != NULL && strcmp(arg[0], "--") != 0; arg++) {
        if (strncmp(arg[0], name, strlen(name)) != 0)
            continue;
        if (arg[0][strlen(name)] == '=')
            (void)read_format(arg[0] + strlen(name) + 1, &cli->format);
        else if (arg[0][strlen(name)] == '\0' && arg[1] != NULL)
            (void)read_format(arg[1], &cli->format);
    }
}

static bool
read_words(struct cli *cli, char **argv, struct rung_error *err)
{
    bool words_only = false;

    for (char **arg = argv[0] == NULL ? argv : argv + 1; *arg != NULL; arg++) {
        char *text = *arg;
        bool ok = true;

        if (words_only || text[0] != '-' || text[1] == '\0')
            ok = take_word(cli, text, err);
        else if (strcmp(text, "--") == 0)
            words_only = true;
        else if (text[1] == '-')
            ok = take_long(cli, &arg, err);
        else
            ok = take_letters(cli, &arg, err);
        if (!ok)
            return false;
    }
    return true;
}

bool
cli_parse(struct cli *cli, const struct command *commands, char **argv,
    struct rung_error *err)
{
    *cli = (struct cli){
        .library = RUNG_OPTIONS, .commands = commands, .arguments = argv
    };
    cli->library.database_from = "DATABASE_URL";
    if (read_environment(cli, err) && read_words(cli, argv, err)
        && check_options(cli, err) && check_argument(cli, err))
        return true;
    find_format(cli, argv);
    return false;
}

void
cli_free(struct cli *cli)
{
    free(cli->secret);
    cli->secret = NULL;
}

bool
cli_option_help(size_t at, struct option_help *option)
{
    const struct option *row = &options[at];

    if (at >= OPTIONS)
        return false;
    *option = (struct option_help){ .name = row->name,
        .letter = row->letter,
        .arg = row->arg,
        .initial = row->initial,
        .help = row->help,
        .commands = row->commands,
        .group = row->group };
    return true;
}
