/*
 * commands.c: what each command does: read its arguments, call the library, report.
 *
 * Owns the command table, from which --help is made.  Uses nothing of the library but
 * runner.h.
 *
 * Invariant: nothing that cannot be had again is done without a "yes", typed or given
 * as --yes.
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what they share ------------------------------------------------------------- */

/* Show why a call failed.  Returns its code. */
static int
fail(struct report *report, const struct rung_error *err)
{
    report_error(report, err);
    return (int)err->code;
}

/* The same for what a command finds by itself, already in `err`. */
static int
misuse(struct report *report, struct rung_error *err, const char *message,
    const char *hint)
{
    cli_fail(err, "%s", message);
    if (hint != NULL)
        cli_hint(err, "%s", hint);
    return fail(report, err);
}

/* Did anybody say which database is meant? */
static bool
names_database(const struct cli *cli)
{
    return cli->library.database != NULL || cli_environment("PGHOST") != NULL
           || cli_environment("PGSERVICE") != NULL
           || cli_environment("PGDATABASE") != NULL;
}

static bool
is_offline(const struct cli *cli)
{
    return cli->offline || !names_database(cli);
}

/* ---- asking ---------------------------------------------------------------------- */

/* A program that reads objects does not answer. */
static bool
may_ask(const struct report *report)
{
    return report->format != FORMAT_JSON && isatty(STDIN_FILENO) == 1
           && isatty(STDERR_FILENO) == 1;
}

enum answer { NO, YES, INTERRUPTED };

/* Ask on the terminal.  Anything but a yes is a no, and so is a terminal that is gone.
 */
static enum answer
ask(const struct cli *cli, struct report *report, const char *question)
{
    struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
        { .fd = cli->library.wake_fd, .events = POLLIN } };
    char line[64] = "";
    ssize_t n = 0;

    report_clear(report);
    (void)fprintf(report->err, "%s [y/N] ", question);
    (void)fflush(report->err);
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    if (fds[1].revents == 0 && (fds[0].revents & POLLIN) != 0)
        n = read(STDIN_FILENO, line, sizeof line - 1);
    if (n <= 0)
        (void)fputc('\n', report->err);
    if (fds[1].revents != 0)
        return INTERRUPTED;
    line[n > 0 ? (size_t)n : 0] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    return strcmp(line, "y") == 0 || strcmp(line, "Y") == 0 || strcmp(line, "yes") == 0
               ? YES
               : NO;
}

/* ---- up, down, redo -------------------------------------------------------------- */

static bool
put_script(void *arg, const char *bytes, size_t n)
{
    struct report *report = arg;

    return fwrite(bytes, 1, n, report->out) == n;
}

static int
run_plan(const struct cli *cli, struct report *report)
{
    struct rung_error err;
    struct rung_list list;
    int64_t version, from;

    if (!cli_read_version(cli->argument, &version, &err)
        || !cli_read_version(cli->from, &from, &err))
        return fail(report, &err);
    if (cli->from != NULL && !cli->sql)
        return misuse(report, &err, "--from goes with --sql", NULL);
    if (cli->sql && report->format == FORMAT_JSON)
        return misuse(report, &err, "--sql and --format json exclude each other",
            "The script of `rung plan --sql` is text, for psql.");
    if (cli->sql) {
        if (!rung_plan_sql(&cli->library, version, from, put_script, report, &err))
            return fail(report, &err);
        return RUNG_OK;
    }
    if (!rung_plan(&cli->library, version, &list, &err))
        return fail(report, &err);
    report_plan(report, &list);
    rung_list_free(&list);
    return RUNG_OK;
}

static int
run_up(const struct cli *cli, struct report *report)
{
    struct rung_error err;
    struct rung_result result;
    int64_t version;

    if (cli->dry_run) {
        report->command = "plan";
        return run_plan(cli, report);
    }
    if (!cli_read_version(cli->argument, &version, &err)
        || !rung_up(&cli->library, version, &result, &err))
        return fail(report, &err);
    report_result(report, &result, NULL, report->verbose);
    return RUNG_OK;
}

/* Say what will be undone, and ask.  False with the exit status in *status. */
static bool
may_undo_all(const struct cli *cli, struct report *report, int *status)
{
    struct rung_error err;
    struct rung_list list;
    char count[48], question[256];
    enum answer answer;

    *status = RUNG_USAGE;
    if (cli->yes)
        return true;
    if (!may_ask(report)) {
        misuse(report, &err, "`rung down --all` undoes everything: nothing was done",
            "Without a terminal to ask on, it needs --yes.");
        return false;
    }
    if (!rung_history(&cli->library, &list, &err)) {
        *status = fail(report, &err);
        return false;
    }
    format_count(count, sizeof count, list.n, "migration");
    (void)snprintf(question, sizeof question, "Undo %s of database %s?", count,
        list.database == NULL ? "" : list.database);
    /* Where there is nothing to undo, rung_down says so. */
    answer = list.n == 0 ? YES : ask(cli, report, question);
    rung_list_free(&list);
    if (answer == YES)
        return true;
    *status = answer == INTERRUPTED ? (int)RUNG_CANCELLED : (int)RUNG_FAILED;
    cli_fail(&err, "nothing was undone");
    report_error(report, &err);
    return false;
}

static int
run_down(const struct cli *cli, struct report *report)
{
    int ways = (cli->argument != NULL) + (cli->to != NULL) + cli->all;
    struct rung_error err;
    struct rung_result result;
    int64_t keep;
    size_t count;
    int status;

    if (ways > 1)
        return misuse(report, &err, "N, --to and --all exclude each other", NULL);
    if (!cli_read_count(cli->argument, ways == 0, &count, &err)
        || !cli_read_version(cli->to, &keep, &err))
        return fail(report, &err);
    if (cli->all && !may_undo_all(cli, report, &status))
        return status;
    if (!rung_down(&cli->library, count, keep, &result, &err))
        return fail(report, &err);
    report_result(report, &result, NULL, report->verbose);
    return RUNG_OK;
}

static int
run_redo(const struct cli *cli, struct report *report)
{
    struct rung_error err;
    struct rung_result result;
    size_t count;

    if (!cli_read_count(cli->argument, 1, &count, &err)
        || !rung_redo(&cli->library, count, &result, &err))
        return fail(report, &err);
    report_result(report, &result, NULL, report->verbose);
    return RUNG_OK;
}

/* ---- looking --------------------------------------------------------------------- */

static int
run_status(const struct cli *cli, struct report *report)
{
    struct rung_error err;
    struct rung_list list;
    int status = RUNG_OK;

    if (!rung_status(&cli->library, &list, &err))
        return fail(report, &err);
    if (cli->exit_code && list.pending > 0)
        status = RUNG_PENDING;
    report_status(report, &list, (enum rung_code)status);
    rung_list_free(&list);
    return status;
}

static int
run_verify(const struct cli *cli, struct report *report)
{
    bool offline = is_offline(cli);
    struct rung_error err, refused;
    struct rung_list list = { .n = 0 };
    size_t found = 0;
    int status = RUNG_OK;

    if (offline && cli->no_pending)
        return misuse(report, &err,
            "--no-pending needs the ledger, and so a connection",
            "Say where it is with -d or DATABASE_URL, without --offline.");
    if (!rung_verify(&cli->library, offline, cli->no_pending, &list, &err))
        status = (int)err.code;
    if (list.directory == NULL) /* it did not come to an answer */
        return fail(report, &err);
    if (cli->base != NULL
        && !base_compare(
            report, &list, cli->base, cli->library.wake_fd, &found, &refused)) {
        rung_list_free(&list);
        return fail(report, &refused);
    }
    list.problems += found;
    if (found > 0)
        status = RUNG_DRIFT;
    if (!offline)
        report_edits(report, &list);
    report_verify(report, &list, cli->base, (enum rung_code)status);
    if (status == RUNG_PENDING && report->format != FORMAT_JSON)
        report_error(report, &err);
    rung_list_free(&list);
    return status;
}

static int
run_current(const struct cli *cli, struct report *report)
{
    struct rung_error err;
    struct rung_list list;
    size_t newest = 0;

    if (!rung_history(&cli->library, &list, &err))
        return fail(report, &err);
    while (newest < list.n && list.items[newest].applied_at_us == RUNG_NO_TIME)
        newest++;
    report_current(report, newest < list.n ? &list.items[newest] : NULL);
    rung_list_free(&list);
    return RUNG_OK;
}

static int
run_history(const struct cli *cli, struct report *report)
{
    struct rung_error err;
    struct rung_list list;
    size_t most;

    if (!cli_read_count(cli->limit, 0, &most, &err)
        || !rung_history(&cli->library, &list, &err))
        return fail(report, &err);
    report_history(report, &list, most);
    rung_list_free(&list);
    return RUNG_OK;
}

static int
show_applied(const struct cli *cli, struct report *report, int64_t version)
{
    struct rung_error err;
    char *text;

    if (!rung_source(&cli->library, version, cli->down, &text, &err))
        return fail(report, &err);
    if (text == NULL) {
        cli_fail(&err, "the text of version %" PRId64 "%s was not kept", version,
            cli->down ? "'s down file" : "");
        cli_hint(&err,
            "It is kept when --keep-source (RUNG_KEEP_SOURCE) is given while "
            "it is applied.");
        err.code = RUNG_FAILED;
        return fail(report, &err);
    }
    report_source(report, version, cli->down, text);
    free(text);
    return RUNG_OK;
}

static int
run_show(const struct cli *cli, struct report *report)
{
    struct rung_error err;
    struct rung_list list;
    int64_t version;
    bool file;

    if (!cli_read_version(cli->argument, &version, &err))
        return fail(report, &err);
    if (cli->applied && cli->offline)
        return misuse(report, &err, "--applied needs a connection", NULL);
    if (cli->applied)
        return show_applied(cli, report, version);
    if (!rung_show(&cli->library, version, is_offline(cli), cli->down, NULL, NULL,
            &list, &err))
        return fail(report, &err);
    report_show(report, &list);
    file = list.n > 0 && list.items[0].checksum != NULL;
    rung_list_free(&list);
    if (file) {
        if (!rung_show(&cli->library, version, true, cli->down, report_statement,
                report, &list, &err))
            return fail(report, &err);
        rung_list_free(&list);
    }
    report_shown(report);
    return RUNG_OK;
}

/* ---- the ledger ------------------------------------------------------------------ */

static int
run_stamp(const struct cli *cli, struct report *report)
{
    struct rung_error err;
    struct rung_result result;
    int64_t version;

    if ((cli->argument != NULL) == cli->all)
        return misuse(report, &err, "`rung stamp` needs VERSION or --all",
            "It records every file up to VERSION as applied, and runs none.");
    if (!cli_read_version(cli->argument, &version, &err)
        || !rung_stamp(&cli->library, version, &result, &err))
        return fail(report, &err);
    report_result(report, &result, NULL, report->verbose);
    return RUNG_OK;
}

/* For rung_repair. */
struct repairing {
    const struct cli *cli;
    struct report *report;
    bool could_not_ask;
    enum answer answer;
};

static bool
confirm_repair(void *arg, const struct rung_list *list)
{
    struct repairing *repairing = arg;

    if (!repairing->cli->yes || !repairing->report->quiet)
        report_repairs(repairing->report, list);
    if (repairing->cli->yes)
        return true;
    repairing->could_not_ask = !may_ask(repairing->report);
    if (!repairing->could_not_ask)
        repairing->answer =
            ask(repairing->cli, repairing->report, "Repair the ledger so?");
    return repairing->answer == YES;
}

/* The caller's to free(). */
static int64_t *
read_versions(const struct cli *cli, struct rung_error *err)
{
    int64_t *versions = malloc((cli->n_arguments + 1) * sizeof *versions);

    if (versions == NULL) {
        cli_fail(err, "out of memory");
        err->code = RUNG_FAILED;
    }
    for (size_t i = 0; versions != NULL && i < cli->n_arguments; i++) {
        if (cli_read_version(cli->arguments[i], &versions[i], err))
            continue;
        free(versions);
        versions = NULL;
    }
    return versions;
}

static int
run_repair(const struct cli *cli, struct report *report)
{
    struct repairing repairing = { .cli = cli, .report = report };
    struct rung_repair repair = { .n = cli->n_arguments,
        .reason = cli->reason,
        .completed = cli->completed,
        .confirm = confirm_repair,
        .arg = &repairing };
    struct rung_error err;
    struct rung_result result;
    int64_t *versions;
    bool ok;

    if (cli->reason == NULL)
        return misuse(report, &err, "`rung repair` needs --reason TEXT",
            "Say in a few words why: it is kept in the ledger.");
    versions = read_versions(cli, &err);
    if (versions == NULL)
        return fail(report, &err);
    repair.versions = versions;
    ok = rung_repair(&cli->library, &repair, &result, &err);
    free(versions);
    if (repairing.could_not_ask)
        return misuse(report, &err, "nothing was repaired",
            "Without a terminal to ask on, it needs --yes.");
    if (!ok && repairing.answer == INTERRUPTED)
        err.code = RUNG_CANCELLED;
    if (!ok)
        return fail(report, &err);
    report_result(report, &result, "nothing to repair", !report->quiet);
    return RUNG_OK;
}

/* ---- the files ------------------------------------------------------------------- */

static int
run_new(const struct cli *cli, struct report *report)
{
    struct rung_error err;
    char path[4096];

    if (!rung_new(&cli->library, cli->argument, cli->down, path, sizeof path, &err))
        return fail(report, &err);
    report_written(report, "", path);
    return RUNG_OK;
}

static int
run_renumber(const struct cli *cli, struct report *report)
{
    struct rung_options options = cli->library;
    struct base_names settled = { .names = NULL };
    struct rung_error err;
    struct rung_result result;
    bool here = access(options.directory, X_OK) == 0; /* else the library says why */
    bool ok =
        cli->base == NULL || !here
        || base_list(options.directory, cli->base, options.wake_fd, &settled, &err);

    options.settled = settled.names;
    ok = ok && rung_renumber(&options, is_offline(cli), &result, &err);
    base_free(&settled);
    if (!ok)
        return fail(report, &err);
    report_result(report, &result, "nothing to renumber", report->verbose);
    return RUNG_OK;
}

static int
run_sum(const struct cli *cli, struct report *report)
{
    struct rung_error err;
    char path[PATH_BYTES];

    if (!rung_sum(&cli->library, &err))
        return fail(report, &err);
    report_path_of(path, cli->library.directory, "SHA256SUMS");
    report_written(report, report->quiet ? NULL : "wrote ", path);
    return RUNG_OK;
}

static int
run_lint(const struct cli *cli, struct report *report)
{
    struct rung_lint lint = {
        .n = cli->n_arguments, .each = report_lint, .arg = report
    };
    struct rung_lint_result result;
    struct rung_error err;
    int64_t *versions = NULL;
    int status = RUNG_OK;

    if (!cli_read_version(cli->from, &lint.from, &err))
        return fail(report, &err);
    versions = read_versions(cli, &err);
    if (versions == NULL)
        return fail(report, &err);
    lint.versions = versions;
    if (!rung_lint(&cli->library, &lint, &result, &err))
        status = (int)err.code;
    free(versions);
    if (!result.complete)
        return fail(report, &err);
    report_lint_result(report, (enum rung_code)status, &result);
    return status;
}

static int
run_help(const struct cli *cli, struct report *report)
{
    const struct command *command;
    struct rung_error err;

    if (cli->argument == NULL) {
        cli_print_help(report->out, cli->commands);
        return RUNG_OK;
    }
    command = cli_find_command(cli->commands, cli->argument, &err);
    if (command == NULL)
        return fail(report, &err);
    cli_print_command_help(report->out, command);
    return RUNG_OK;
}

/* ---- the table ------------------------------------------------------------------- */

const struct command cli_commands[] = {
    { "up", FOR_UP, "[VERSION]", "apply what is pending (up to VERSION)",
        "Applies the files that are not in the ledger yet, in the order of their\n"
        "numbers: all of them, or up to and including VERSION.  Each file and its row\n"
        "in the ledger are one transaction.  A file whose statements refuse that (CREATE\n"
        "INDEX CONCURRENTLY) runs statement by statement, and is resumed where it\n"
        "stopped.  Several may run at once: one works, the others wait for it.\n",
        run_up },
    { "down", FOR_DOWN, "[N]", "undo the newest migration, or the newest N",
        "Runs NNN_name.down.sql of the newest migration, of the newest N, of all that\n"
        "are newer than --to VERSION, or of --all; newest first, each in one transaction\n"
        "with the removal of its row.  Everything needed is found and judged before the\n"
        "first statement.  It stops at the first error and keeps what was undone.\n"
        "--all asks on a terminal, and needs --yes elsewhere.\n",
        run_down },
    { "redo", FOR_REDO, "[N]", "undo the newest N (one) and apply them again",
        "Undoes the newest migration, or the newest N, and applies them again: for a\n"
        "file that is being written.\n",
        run_redo },
    { "status", FOR_STATUS, NULL, "say what is applied, pending or wrong",
        "Shows every migration with its state: applied, pending, draft (no statement\n"
        "yet); edited, missing, renamed, newer, unfinished, out of order, duplicate,\n"
        "misnamed.  Writes nothing; a role that may SELECT the ledger is enough.\n",
        run_status },
    { "plan", FOR_PLAN, "[VERSION]", "say what up would do, and do nothing",
        "Prints a line for each step that `rung up` would take, in order; with --sql the\n"
        "script with which psql does the same.  Fails as `rung up` would fail before its\n"
        "first change.  Writes nothing.\n",
        run_plan },
    { "verify", FOR_VERIFY, NULL, "prove that files and ledger agree",
        "Compares the files with what the ledger says ran, and with SHA256SUMS where\n"
        "there is one.  Exits with 3 when anything is edited, missing, renamed, misnamed,\n"
        "duplicate, out of order, newer or unfinished, and names it.  Where the text that\n"
        "ran was kept (--keep-source), it shows what differs.  Connects when -d,\n"
        "DATABASE_URL, PGHOST, PGSERVICE or PGDATABASE is set; otherwise it looks at the\n"
        "files only, and says so.  Writes nothing.\n"
        "With --base REV also compares with the git revision REV: a file that is there\n"
        "may not be edited, renamed or deleted, and a new one must be numbered above\n"
        "the newest there.  Down files may change, drafts may be filled.\n",
        run_verify },
    { "test", FOR_TEST, NULL, "try all files and their undoing on a new server",
        "Boots an empty PostgreSQL that nobody else reaches, from the server's programs\n"
        "on this machine, and deletes it in the end.  Applies every file, undoes what has\n"
        "down files, newest first, and applies that again; compares the schema before and\n"
        "after with pg_dump, and shows what differs.  An extension may stay.  Your own\n"
        "database, DATABASE_URL and PGHOST have no say.  --keep leaves the server running\n"
        "and prints its address, and how it is stopped.\n",
        testing_run },
    { "current", FOR_CURRENT, NULL, "print the newest applied file's name",
        "Prints one line, the file name of the newest applied migration as the ledger\n"
        "has it.  When nothing is applied it prints nothing, and exits with 0.\n",
        run_current },
    { "history", FOR_HISTORY, NULL, "list what was applied, newest first",
        "Lists the rows of the ledger, newest first, and their notes.  Needs no files.\n"
        "Writes nothing.\n",
        run_history },
    { "show", FOR_SHOW, "VERSION", "show a file, its statements and its row",
        "Shows the file of VERSION, its row in the ledger, and its statements with their\n"
        "lines; with --down those of its down file.  With --applied it prints the text\n"
        "that ran instead, where it was kept (--keep-source).  Connects as `rung verify`\n"
        "does.\n",
        run_show },
    { "new", FOR_NEW, "NAME", "create the next file, and print its path",
        "Creates the next file, numbered as the others are, with --down its down file\n"
        "too.  NAME is free text (in quotes).  The file begins with a comment, and is a\n"
        "draft until it holds a statement.  Nothing is overwritten.\n",
        run_new },
    { "stamp", FOR_STAMP, "[VERSION]", "record as applied, without running",
        "For a database that has those tables already: records every file up to and\n"
        "including VERSION, or --all, as applied, and runs none.  Their notes say so.\n"
        "Also called `rung baseline`.\n",
        run_stamp },
    { "baseline", FOR_STAMP, "[VERSION]", NULL, NULL, run_stamp },
    { "repair", FOR_REPAIR, "[VERSION]...", "make the ledger accept what is on disk",
        "Shows what is recorded and what is on disk, asks (--yes does not), and then\n"
        "accepts an edit, forgets a missing file, follows a rename, or settles what is\n"
        "unfinished: of the VERSIONs given, or of all that need it.  With --completed an\n"
        "unfinished file counts as done.  Runs nothing.  --reason is kept in the note.\n",
        run_repair },
    { "renumber", FOR_RENUMBER, NULL, "give files that collide the next free number",
        "Renames unapplied files whose number another file has, or that come below what\n"
        "is applied, to the next free number; down files and SHA256SUMS go along.\n"
        "Connects as `rung verify` does; without a database only collisions are settled,\n"
        "and the file that came later moves.  --base REV names the branch that is merged\n"
        "into: its files keep their numbers, and others move above them.\n",
        run_renumber },
    { "sum", FOR_SUM, NULL, "write SHA256SUMS",
        "Writes SHA256SUMS beside the files, for `sha256sum -c SHA256SUMS` and `rung\n"
        "verify` to check.\n",
        run_sum },
    { "lint", FOR_LINT, "[VERSION]...", "look for what hurts a database in use",
        "Looks through the files, or those of the VERSIONs given, for statements that\n"
        "lock, rewrite or read a whole table, break the release that still runs, or were\n"
        "not meant so, and exits with 3 when there are any.  Tables that a file creates\n"
        "itself are left out, and so are down files.  It never connects.\n"
        "`-- rung: allow RULE REASON` above a statement silences a rule:\n"
        "index-without-concurrently, concurrently-if-not-exists, add-column-rewrite,\n"
        "alter-column-type, set-not-null, constraint-without-not-valid,\n"
        "unique-without-using-index, rename-or-drop, update-or-delete-without-where,\n"
        "identifier-too-long.\n",
        run_lint },
    { "help", FOR_HELP, "[COMMAND]", "explain rung, or a command",
        "Explains a command and its options.\n", run_help },
    { .name = NULL },
};
