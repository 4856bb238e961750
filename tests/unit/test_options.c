/*
 * test_options.c: a command line, and what is understood of it.
 *
 * A command line is drawn as one string, cut at its spaces; '' is an empty word.  What
 * is wanted is the command, its argument and every setting that is not the default, or
 * the error: its message, and its hint on a second line.
 */
#include "cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

#define LIST "`rung --help` lists them."
#define TIME(forever)                                                                  \
    "Write 500ms, 10s, 5min or 1h" forever "; a plain number is seconds."

static const struct command commands[] = {
    { "up", FOR_UP, "[VERSION]", "apply", "All of it.\n", NULL },
    { "status", FOR_STATUS, NULL, "look", "All of it.\n", NULL },
    { "plan", FOR_PLAN, "[VERSION]", "think", "All of it.\n", NULL },
    { "verify", FOR_VERIFY, NULL, "prove", "All of it.\n", NULL },
    { "new", FOR_NEW, "NAME", "make", "All of it.\n", NULL },
    { "stamp", FOR_STAMP, "[VERSION]", "record", "All of it.\n", NULL },
    { "baseline", FOR_STAMP, "[VERSION]", NULL, NULL, NULL },
    { "repair", FOR_REPAIR, "[VERSION]...", "mend", "All of it.\n", NULL },
    { "help", FOR_HELP, "[COMMAND]", "explain", "All of it.\n", NULL },
    { .name = NULL },
};

static const struct {
    const char *why, *line, *want;
} lines[] = {
    { "nothing", "", "-" },
    { "a command", "up", "up" },
    { "a command and its argument", "up 007", "up 007" },
    { "a long option and its value", "up --dir m", "up dir=m" },
    { "a value behind =", "up --dir=m", "up dir=m" },
    { "a value that holds =", "up --dir=a=b", "up dir=a=b" },
    { "a letter and its value", "up -m m", "up dir=m" },
    { "a value that follows its letter", "up -mm", "up dir=m" },
    { "letters that go together", "up -vmdir", "up dir=dir verbose" },
    { "options before the command", "-m m -q up 7", "up 7 dir=m quiet" },
    { "options behind its argument", "up 7 -m m", "up 7 dir=m" },
    { "the last one counts", "up -m a --dir b --migrations-dir c", "up dir=c" },
    { "-- ends the options", "up -- -7", "up -7" },
    { "a single - is a word", "up -", "up -" },
    { "a value may begin with -", "up --lock-wait -1 -m -x", "up dir=-x" },
    { "the ledger", "status -t audit.log --table=x", "status table=x" },
    { "a role", "up --role app", "up role=app" },
    { "flags", "up --dry-run --allow-out-of-order", "up out-of-order dry-run" },
    { "flags of verify", "verify --offline --no-pending", "verify offline no-pending" },
    { "flags of status", "status --exit-code", "status exit-code" },
    { "colour", "status --color always", "status color=1" },
    { "no colour", "status --color=never", "status color=2" },
    { "objects", "status --format json", "status format=1" },
    { "annotations", "--format=github up", "up format=2" },
    { "a format that is none", "up --format xml",
        "--format is text, json or github, not \"xml\"\n" },
    { "what is wrong is said in the format in front of it", "up --format json --bogus",
        "(format=1) unknown option --bogus\n" LIST },
    { "and behind it", "up --bogus 7 --format=json",
        "(format=1) unknown option --bogus\n" LIST },
    { "but not behind --", "up --bogus -- --format json",
        "unknown option --bogus\n" LIST },
    { "nor in one that is cut off", "up --bogus --format",
        "unknown option --bogus\n" LIST },
    { "help", "up -h", "up help" },
    { "help without a command", "--help", "- help" },
    { "the version", "-V", "- version" },
    { "a connection", "up -d postgres:///x", "up database=postgres:///x" },

    { "milliseconds", "up --lock-wait 500ms", "up lock-wait=500" },
    { "seconds", "up --lock-wait=10s", "up lock-wait=10000" },
    { "a plain number", "up --lock-wait 10", "up lock-wait=10000" },
    { "no time", "up --lock-wait 0", "up lock-wait=0" },
    { "minutes", "up --lock-wait 5min", "up lock-wait=300000" },
    { "minutes, short", "up --lock-wait 5m", "up lock-wait=300000" },
    { "hours", "up --lock-wait 1h", "up lock-wait=3600000" },
    { "without limit", "up --lock-wait forever", "up" },
    { "the other times",
        "up --wait 1 --lock-timeout 2 --lock-retry-for 3 --statement-timeout 4",
        "up wait=1000 lock-timeout=2000 lock-retry-for=3000 statement-timeout=4000" },
    { "the longest time", "up --wait 2147483647ms", "up wait=2147483647" },
    { "longer than that", "up --wait 2147483648ms",
        "--wait: \"2147483648ms\" is no time\n" TIME("") },
    { "much longer", "up --wait 99999999999999999999",
        "--wait: \"99999999999999999999\" is no time\n" TIME("") },
    { "only one may last for ever", "up --wait forever",
        "--wait: \"forever\" is no time\n" TIME("") },
    { "no unit", "up --lock-wait 5x",
        "--lock-wait: \"5x\" is no time\n" TIME(", or forever") },
    { "no number", "up --wait ms", "--wait: \"ms\" is no time\n" TIME("") },
    { "a negative time", "up --wait -5", "--wait: \"-5\" is no time\n" TIME("") },
    { "a sign", "up --wait +5", "--wait: \"+5\" is no time\n" TIME("") },
    { "an empty time", "up --wait ''", "--wait: \"\" is no time\n" TIME("") },

    { "a value is missing", "up --dir", "--dir needs a value\n" },
    { "a letter's value is missing", "up -m", "-m needs a value\n" },
    { "a flag with a value", "up --quiet=yes", "--quiet takes no value\n" },
    { "an empty directory", "up -m ''", "--dir is empty\n" },
    { "an empty connection is not the default one", "up -d ''",
        "--database is empty\nLeave it out to connect as PGHOST, PGDATABASE and the "
        "like say." },
    { "a colour that is none", "up --color red",
        "--color is auto, always or never, not \"red\"\n" },
    { "an unknown option", "up --frobnicate", "unknown option --frobnicate\n" LIST },
    { "letters swapped", "up --qiuet",
        "unknown option --qiuet\nDid you mean --quiet?" },
    { "a letter left out", "up --lockwait=1",
        "unknown option --lockwait\nDid you mean --lock-wait?" },
    { "a beginning", "up --data=x", "unknown option --data\nDid you mean --database?" },
    { "a value is not repeated", "up --password=geheim",
        "unknown option --password\n" LIST },
    { "an unknown letter", "up -x", "unknown option -x\n" LIST },
    { "an option of another command", "status --dry-run",
        "--dry-run does not belong to `rung status`\nIt belongs to `rung up`." },
    { "an option of others, before the command", "--allow-out-of-order verify",
        "--allow-out-of-order does not belong to `rung verify`\n"
        "It belongs to `rung up` and `rung plan`." },
    { "an option of many", "help -m x",
        "--dir does not belong to `rung help`\n"
        "It belongs to `rung up`, `rung status`, `rung plan`, `rung verify`, `rung new`, "
        "`rung stamp` and `rung repair`." },
    { "quiet and verbose", "up -qv", "--quiet and --verbose exclude each other\n" },

    { "an unknown command", "frobnicate",
        "unknown command \"frobnicate\"\n`rung --help` lists the commands." },
    { "a command with a typo", "stauts",
        "unknown command \"stauts\"\nDid you mean `rung status`?" },
    { "a command cut short", "ver",
        "unknown command \"ver\"\nDid you mean `rung verify`?" },
    { "golang-migrate's word", "migrate",
        "unknown command \"migrate\"\nIn rung that is `rung up`." },
    { "alembic's word", "upgrade",
        "unknown command \"upgrade\"\nIn rung that is `rung up`." },
    { "flyway's word", "validate",
        "unknown command \"validate\"\nIn rung that is `rung verify`." },
    { "rails' word", "rollback",
        "unknown command \"rollback\"\nIn rung that is `rung down`." },
    { "a connection string as the command", "postgres://u:geheim@h/d up",
        "the first argument is no command\nA connection string goes with -d; `rung "
        "--help` lists the commands." },
    { "an empty command", "''",
        "the first argument is no command\nA connection string goes with -d; `rung "
        "--help` lists the commands." },
    { "an argument too many", "up 1 2", "`rung up` takes one argument, [VERSION]\n" },
    { "words that should have been quoted", "new add users",
        "`rung new` takes one argument, NAME\nPut several words in quotes." },
    { "an argument is missing", "new --down",
        "`rung new` needs NAME\n`rung help new` says more." },
    { "not where help is wanted", "new --help", "new help" },
    { "several arguments, among options", "-q repair 1 --reason x 002 -y 3",
        "repair 1 002 3 yes reason=x quiet" },
    { "none of several", "repair --reason x --completed", "repair completed reason=x" },
    { "another name of a command", "baseline --all", "stamp all" },
    { "an empty reason", "repair --reason ''", "--reason is empty\n" },
    { "an argument where none is taken", "status 1",
        "`rung status` takes no argument\n" },
};

/* ---- drawing ----------------------------------------------------------------------
 */

#define WORDS 24

/* Cut `line`, which is changed, into an argv that begins with the program's name. */
static void
cut(char *line, char *argv[WORDS])
{
    static char program[] = "rung";
    size_t n = 0;

    argv[n++] = program;
    while (*line != '\0' && n < WORDS - 1) {
        char *word = line;

        line += strcspn(line, " ");
        if (*line != '\0')
            *line++ = '\0';
        argv[n++] = strcmp(word, "''") == 0 ? word + 2 : word;
    }
    argv[n] = NULL;
}

static void
draw_time(FILE *out, const char *name, int64_t ms, int64_t initial)
{
    if (ms != initial)
        fprintf(out, " %s=%lld", name, (long long)ms);
}

static void
draw_flag(FILE *out, const char *name, bool set)
{
    if (set)
        fprintf(out, " %s", name);
}

static void
draw(FILE *out, const struct cli *cli)
{
    const struct rung_options *o = &cli->library, d = RUNG_OPTIONS;

    fputs(cli->command == NULL ? "-" : cli->command->name, out);
    for (size_t i = 0; i < cli->n_arguments; i++)
        fprintf(out, " %s", cli->arguments[i]);
    if (cli->argument != (cli->n_arguments == 0 ? NULL : cli->arguments[0]))
        fprintf(out, " argument=%s", cli->argument);
    if (o->database != NULL)
        fprintf(out, " database=%s", o->database);
    if (strcmp(o->directory, d.directory) != 0)
        fprintf(out, " dir=%s", o->directory);
    if (strcmp(o->table, d.table) != 0)
        fprintf(out, " table=%s", o->table);
    if (o->role != NULL)
        fprintf(out, " role=%s", o->role);
    draw_time(out, "wait", o->wait_ms, d.wait_ms);
    draw_time(out, "lock-wait", o->lock_wait_ms, d.lock_wait_ms);
    draw_time(out, "lock-timeout", o->lock_timeout_ms, d.lock_timeout_ms);
    draw_time(out, "lock-retry-for", o->lock_retry_for_ms, d.lock_retry_for_ms);
    draw_time(
        out, "statement-timeout", o->statement_timeout_ms, d.statement_timeout_ms);
    draw_flag(out, "out-of-order", o->allow_out_of_order);
    draw_flag(out, "dry-run", cli->dry_run);
    draw_flag(out, "offline", cli->offline);
    draw_flag(out, "no-pending", cli->no_pending);
    draw_flag(out, "exit-code", cli->exit_code);
    draw_flag(out, "keep-source", o->keep_source);
    draw_flag(out, "all", cli->all);
    draw_flag(out, "yes", cli->yes);
    draw_flag(out, "completed", cli->completed);
    draw_flag(out, "down", cli->down);
    if (cli->reason != NULL)
        fprintf(out, " reason=%s", cli->reason);
    draw_flag(out, "quiet", cli->quiet);
    draw_flag(out, "verbose", cli->verbose);
    draw_flag(out, "help", cli->help);
    draw_flag(out, "version", cli->version);
    if (cli->color != COLOR_AUTO)
        fprintf(out, " color=%d", (int)cli->color);
    if (cli->format != FORMAT_TEXT)
        fprintf(out, " format=%d", (int)cli->format);
}

/* What becomes of a command line; the caller frees it. */
static char *
understand(const char *line)
{
    char words[256], *argv[WORDS];
    struct cli cli;
    struct rung_error err;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    assert_non_null(out);
    snprintf(words, sizeof words, "%s", line);
    cut(words, argv);
    if (cli_parse(&cli, commands, argv, &err)) {
        draw(out, &cli);
    } else {
        assert_int_equal(err.code, RUNG_USAGE);
        if (cli.format != FORMAT_TEXT)
            fprintf(out, "(format=%d) ", (int)cli.format);
        fprintf(out, "%s\n%s", err.message, err.hint);
    }
    cli_free(&cli);
    fclose(out);
    return text;
}

static void
check(const char *why, const char *line, const char *want)
{
    char *text = understand(line);

    if (strcmp(text, want) != 0)
        print_error("%s\n", why);
    assert_string_equal(text, want);
    free(text);
}

/* ---- tests ------------------------------------------------------------------------
 */

static void
a_command_line_is_understood_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++)
        check(lines[i].why, lines[i].line, lines[i].want);
}

static void
the_environment_counts_where_nothing_is_given(void **state)
{
    (void)state;
    setenv("RUNG_DIR", "from-env", 1);
    setenv("RUNG_TABLE", "t_env", 1);
    setenv("DATABASE_URL", "postgres:///env", 1);
    check("the environment", "up",
        "up database=postgres:///env dir=from-env table=t_env");
    check(
        "an option goes before it", "up -m m -d x -t t", "up database=x dir=m table=t");
    check("a command without that option is not disturbed", "help",
        "help database=postgres:///env dir=from-env table=t_env");
    setenv("RUNG_DIR", "", 1);
    setenv("RUNG_TABLE", "", 1);
    setenv("DATABASE_URL", "", 1);
    check("an empty variable is not set", "up", "up");
}

static void
a_connection_string_does_not_stay_in_argv(void **state)
{
    static const char *const forms[] = { "up -d geheim", "up -dgeheim",
        "up --database geheim", "up --database=geheim", "-qdgeheim up",
        "up -d geheim -d geheim" };

    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        char words[64], *argv[WORDS];
        struct cli cli;
        struct rung_error err;

        snprintf(words, sizeof words, "%s", forms[i]);
        cut(words, argv);
        assert_true(cli_parse(&cli, commands, argv, &err));
        assert_string_equal(cli.library.database, "geheim");
        for (size_t word = 0; argv[word] != NULL; word++)
            assert_null(strstr(argv[word], "geheim"));
        cli_free(&cli);
    }
}

static void
a_version_is_a_number_of_at_most_eighteen_digits(void **state)
{
    static const struct {
        const char *text;
        int64_t version;
        const char *message; /* NULL: it is one */
    } versions[] = {
        { NULL, RUNG_NO_VERSION, NULL },
        { "0", 0, NULL },
        { "007", 7, NULL },
        { "999999999999999999", INT64_C(999999999999999999), NULL },
        { "000000000000000001", 1, NULL },
        { "1000000000000000000", 0, "VERSION has at most 18 digits, not 19" },
        { "", 0, "VERSION is a number such as 7 or 007" },
        { "7x", 0, "VERSION is a number such as 7 or 007, not \"7x\"" },
        { "-7", 0, "VERSION is a number such as 7 or 007, not \"-7\"" },
        { " 7", 0, "VERSION is a number such as 7 or 007, not \" 7\"" },
        { "postgres://u:geheim@h", 0, "VERSION is a number such as 7 or 007" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(versions); i++) {
        struct rung_error err = { .code = RUNG_OK };
        int64_t version;
        bool ok = cli_read_version(versions[i].text, &version, &err);

        assert_int_equal(ok, versions[i].message == NULL);
        if (ok)
            assert_true(version == versions[i].version);
        else
            assert_string_equal(err.message, versions[i].message);
    }
}

static void
a_flag_in_the_environment_is_yes_or_no(void **state)
{
    static const char *const yes[] = { "1", "yes", "true", "on" };
    static const char *const no[] = { "0", "no", "false", "off", "" };

    (void)state;
    for (size_t i = 0; i < COUNT(yes); i++) {
        setenv("RUNG_KEEP_SOURCE", yes[i], 1);
        check("yes", "up", "up keep-source");
    }
    for (size_t i = 0; i < COUNT(no); i++) {
        setenv("RUNG_KEEP_SOURCE", no[i], 1);
        check("no", "up", "up");
        check("given", "up --keep-source", "up keep-source");
    }
    setenv("RUNG_KEEP_SOURCE", "maybe", 1);
    check("neither", "up", "RUNG_KEEP_SOURCE is 1 or 0, not \"maybe\"\n");
    unsetenv("RUNG_KEEP_SOURCE");
}

static void
how_many_is_no_version(void **state)
{
    static const struct {
        const char *text;
        size_t count;
        const char *message; /* NULL: it is one */
    } counts[] = {
        { NULL, 7, NULL },
        { "1", 1, NULL },
        { "999999999", 999999999, NULL },
        { "1000000000", 0, "N is how many, from 1 on, not \"1000000000\"" },
        { "0", 0, "N is how many, from 1 on, not \"0\"" },
        { "", 0, "N is how many, from 1 on, not \"\"" },
        { "-1", 0, "N is how many, from 1 on, not \"-1\"" },
        { "2x", 0, "N is how many, from 1 on, not \"2x\"" },
        { "003", 0, "N is how many; 003 looks like a version" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(counts); i++) {
        struct rung_error err = { .code = RUNG_OK };
        size_t count = 0;
        bool ok = cli_read_count(counts[i].text, 7, &count, &err);

        assert_int_equal(ok, counts[i].message == NULL);
        if (ok)
            assert_int_equal(count, counts[i].count);
        else
            assert_string_equal(err.message, counts[i].message);
    }
}

static char *
help_of(const struct command *command)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    assert_non_null(out);
    if (command == NULL)
        cli_print_help(out, cli_commands);
    else
        cli_print_command_help(out, command);
    fclose(out);
    return text;
}

static void
no_line_of_help_is_wider_than_eighty_columns(void **state)
{
    (void)state;
    for (size_t i = 0; i == 0 || cli_commands[i - 1].name != NULL; i++) {
        char *text;

        if (cli_commands[i].name != NULL && cli_commands[i].summary == NULL)
            continue; /* another name */
        text = help_of(cli_commands[i].name == NULL ? NULL : &cli_commands[i]);

        for (const char *line = text; *line != '\0';) {
            size_t n = strcspn(line, "\n");

            assert_in_range(n, 0, 80);
            line += n + (line[n] == '\n');
        }
        free(text);
    }
}

static void
help_shows_the_four_waits_in_one_table(void **state)
{
    char *text = help_of(NULL);

    (void)state;
    assert_non_null(strstr(text,
        "      --wait TIME               for a server that does not answer yet   0\n"
        "      --lock-wait TIME          for another rung to finish              "
        "forever\n"
        "      --lock-timeout TIME       of a statement for its locks (0: none)  3s\n"
        "      --lock-retry-for TIME     while a file that met it is tried again "
        "1min\n"));
    free(text);
}

/* What help says is the default must be what RUNG_OPTIONS holds. */
static void
giving_the_defaults_changes_nothing(void **state)
{
    (void)state;
    check("the defaults",
        "up --wait 0 --lock-wait forever --lock-timeout 3s --lock-retry-for 1min "
        "--dir migrations --table schema_migrations --format text --color auto",
        "up");
}

static void
help_of_a_command_has_its_own_options_only(void **state)
{
    char *text = help_of(&commands[3]);

    (void)state;
    assert_non_null(strstr(text, "Usage: rung verify [OPTION]...\n\nAll of it.\n"));
    assert_non_null(strstr(text, "--offline"));
    assert_null(strstr(text, "--lock-wait"));
    assert_null(strstr(text, "--migrations-dir"));
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_line_is_understood_or_refused),
        cmocka_unit_test(the_environment_counts_where_nothing_is_given),
        cmocka_unit_test(a_connection_string_does_not_stay_in_argv),
        cmocka_unit_test(a_version_is_a_number_of_at_most_eighteen_digits),
        cmocka_unit_test(a_flag_in_the_environment_is_yes_or_no),
        cmocka_unit_test(how_many_is_no_version),
        cmocka_unit_test(no_line_of_help_is_wider_than_eighty_columns),
        cmocka_unit_test(help_shows_the_four_waits_in_one_table),
        cmocka_unit_test(giving_the_defaults_changes_nothing),
        cmocka_unit_test(help_of_a_command_has_its_own_options_only),
    };

    unsetenv("RUNG_DIR");
    unsetenv("RUNG_TABLE");
    unsetenv("DATABASE_URL");
    unsetenv("RUNG_KEEP_SOURCE");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
