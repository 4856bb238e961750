/*
 * main.c: the program: argv, environment, signals and exit status.
 *
 * Owns everything that a process has only one of.  Uses nothing of the library but
 * runner.h.
 *
 * Invariant: whatever way a command ends, the exit status is one of DESIGN.md's, and a
 * stdout that could not be written is never a success.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- signals --------------------------------------------------------------------- */

static volatile sig_atomic_t caught; /* the signal that asks us to stop; 0: none */
static int wake_pipe[2] = { -1, -1 };

/* The first one asks the library to stop in good order, a second one stops us. */
static void
on_signal(int number)
{
    int saved = errno;

    if (caught != 0) {
        struct sigaction fatal = { .sa_handler = SIG_DFL };

        sigaction(number, &fatal, NULL);
        (void)raise(number); /* pending until we return */
    } else {
        caught = number;
        if (write(wake_pipe[1], "", 1) < 0) {
            /* Full it cannot be: nothing else is written there. */
        }
    }
    errno = saved;
}

static bool
set_flags(int fd)
{
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* What is ignored when we start (nohup) stays ignored. */
static bool
catch_signals(struct rung_error *err)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    struct sigaction old;
    bool ok = pipe(wake_pipe) == 0 && set_flags(wake_pipe[0]) && set_flags(wake_pipe[1])
              && sigaction(SIGPIPE, &ignore, NULL) == 0;

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; ok && i < sizeof signals / sizeof signals[0]; i++)
        ok =
            sigaction(signals[i], NULL, &old) == 0
            && (old.sa_handler == SIG_IGN || sigaction(signals[i], &action, NULL) == 0);
    if (!ok) {
        cli_fail(err, "signals cannot be caught: %s", strerror(errno));
        err->code = RUNG_BUG;
    }
    return ok;
}

/*
 * A standard stream that is closed would be given to the next file or socket that is
 * opened.  Occupy its number with something that cannot be written (or read).
 */
static void
occupy_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

/* ---- the whole ------------------------------------------------------------------- */

static bool
is_colored(enum color_when when, bool terminal)
{
    return when == COLOR_ALWAYS
           || (when == COLOR_AUTO && terminal && cli_environment("NO_COLOR") == NULL);
}

static void
prepare_report(struct report *report, const struct cli *cli)
{
    const char *term = cli_environment("TERM");
    bool able = term != NULL && strcmp(term, "dumb") != 0;
    bool out = isatty(STDOUT_FILENO) == 1;
    bool err = isatty(STDERR_FILENO) == 1;

    *report = (struct report){ .out = stdout,
        .err = stderr,
        .format = cli->format,
        .command = cli->command == NULL ? NULL : cli->command->name,
        .directory = cli->library.directory,
        .library = &cli->library,
        .quiet = cli->quiet,
        .verbose = cli->verbose,
        .out_color = is_colored(cli->color, out && able),
        .err_color = is_colored(cli->color, err && able),
        .relative_times = out,
        .redraw = err && able,
        .now_us = (int64_t)time(NULL) * 1000000 };
}

static int
run(struct cli *cli, struct report *report)
{
    struct rung_error err;
    int status;

    if (cli->version && report->format == FORMAT_JSON) {
        report->command = NULL;
        json_open_result(report, RUNG_OK);
        json_text(report, "rung", RUNG_VERSION);
        json_close(report);
        return RUNG_OK;
    }
    if (cli->version) {
        (void)fprintf(report->out, "rung %s\n", RUNG_VERSION);
        return RUNG_OK;
    }
    if (cli->help) {
        if (cli->command == NULL)
            cli_print_help(report->out, cli_commands);
        else
            cli_print_command_help(report->out, cli->command);
        return RUNG_OK;
    }
    if (cli->command == NULL && report->format == FORMAT_JSON) {
        cli_fail(&err, "no command was given");
        report_error(report, &err);
        return RUNG_USAGE;
    }
    if (cli->command == NULL) {
        cli_print_short_help(report->err, cli_commands);
        return RUNG_USAGE;
    }
    if (!catch_signals(&err)) {
        report_error(report, &err);
        return (int)err.code;
    }
    cli->library.wake_fd = wake_pipe[0];
    cli->library.on_event = report_event_placed;
    cli->library.arg = report;
    status = cli->command->run(cli, report);
    return status == RUNG_CANCELLED ? 128 + (int)caught : status;
}

int
main(int argc, char **argv)
{
    struct cli cli;
    struct report report;
    struct rung_error err;
    bool parsed;
    int status;

    (void)argc;
    occupy_standard_streams();
    parsed = cli_parse(&cli, cli_commands, argv, &err);
    prepare_report(&report, &cli);
    if (!parsed)
        report_error(&report, &err);
    status = parsed ? run(&cli, &report) : (int)err.code;
    if (!report_finish(&report) && status == RUNG_OK)
        status = RUNG_FAILED;
    cli_free(&cli);
    return status;
}
