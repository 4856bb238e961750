/*
 * process.c: run another program, without a shell, and take what it prints.
 *
 * Relies on POSIX.1-2008: posix_spawnp, pipe, poll.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- what both ways of starting need -----------------------------------------------
 */

/* exec and spawn want pointers to char that is not const, and change none. */
static void
loosen(char *loose[PROCESS_ARGUMENTS + 1], const char *const *argv)
{
    size_t n = 0;

    while (n < PROCESS_ARGUMENTS && argv[n] != NULL)
        n++;
    memcpy(loose, argv, n * sizeof *loose);
    loose[n] = NULL;
}

void
process_exec(const char *const *argv)
{
    char *loose[PROCESS_ARGUMENTS + 1];

    loosen(loose, argv);
    (void)execv(loose[0], loose);
}

void
process_forget_environment(const char *prefix)
{
    size_t n = strlen(prefix);

    for (char **at = environ; at != NULL && *at != NULL;) {
        size_t length = strcspn(*at, "=");
        char *name = strncmp(*at, prefix, n) == 0 ? strndup(*at, length) : NULL;

        at++;
        if (name != NULL && unsetenv(name) == 0)
            at = environ; /* it was closed up */
        free(name);
    }
}

/* ---- starting ----------------------------------------------------------------------
 */

/* Our ends of its three streams; -1: closed. */
struct streams {
    int in, out, err;
};

static bool
open_pipe(int ends[2])
{
    return pipe(ends) == 0 && fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0
           && fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0;
}

static void
close_one(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* With the signals as a program expects them, and `in`, `out` and `err` for it. */
static int
spawn(pid_t *pid, const char *const *argv, int in, int out, int err)
{
    char *loose[PROCESS_ARGUMENTS + 1];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t usual;
    int why;

    loosen(loose, argv);
    why = posix_spawn_file_actions_init(&actions);
    if (why != 0)
        return why;
    why = posix_spawnattr_init(&attributes);
    if (why == 0) {
        sigemptyset(&usual);
        sigaddset(&usual, SIGPIPE); /* which we ignore */
        why = posix_spawnattr_setsigdefault(&attributes, &usual);
        if (why == 0)
            why = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
        if (why == 0)
            why = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
        if (why == 0)
            why = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        if (why == 0)
            why = posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
        if (why == 0)
            why = posix_spawnp(pid, loose[0], &actions, &attributes, loose, environ);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return why;
}

/* The process, and our ends of the pipes; without any when it fails, with errno. */
static bool
start(pid_t *pid, const char *const *argv, struct streams *ours)
{
    int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
    bool ok = open_pipe(in) && open_pipe(out) && open_pipe(err)
              && fcntl(in[1], F_SETFL, O_NONBLOCK) == 0;
    int why = ok ? spawn(pid, argv, in[0], out[1], err[1]) : errno;

    close_one(&in[0]);
    close_one(&out[1]);
    close_one(&err[1]);
    *ours = (struct streams){ .in = in[1], .out = out[0], .err = err[0] };
    if (why == 0)
        return true;
    close_one(&ours->in);
    close_one(&ours->out);
    close_one(&ours->err);
    errno = why;
    return false;
}

/* ---- talking to it -----------------------------------------------------------------
 */

/* Text that grows; there is always room for a NUL behind it. */
struct buffer {
    char *text;
    size_t n, size;
};

static bool
add(struct buffer *b, const char *bytes, size_t n)
{
    if (b->size - b->n <= n) {
        size_t size = (b->n + n + 1) * 2;
        char *more = realloc(b->text, size);

        if (more == NULL)
            return false;
        b->text = more;
        b->size = size;
    }
    if (n > 0)
        memcpy(b->text + b->n, bytes, n);
    b->n += n;
    b->text[b->n] = '\0';
    return true;
}

/* Take what is there; at its end, close.  Fails when out of memory. */
static bool
take(int *fd, struct buffer *b)
{
    char bytes[16384];
    ssize_t n = read(*fd, bytes, sizeof bytes);

    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        close_one(fd);
    return n <= 0 || add(b, bytes, (size_t)n);
}

/* Give it more of its input; at its end, or when it wants no more, close. */
static void
give(int *fd, const char **input, size_t *left)
{
    ssize_t n = *left > 0 ? write(*fd, *input, *left) : 0;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n > 0) {
        *input += n;
        *left -= (size_t)n;
    }
    if (n < 0 || *left == 0)
        close_one(fd);
}

/* Until it has closed its streams. */
static bool
talk(struct streams *s, const char *input, int wake_fd, struct buffer *out,
    struct buffer *complaint, struct rung_error *err)
{
    size_t left = input == NULL ? 0 : strlen(input);
    bool ok = add(out, "", 0) && add(complaint, "", 0);

    while (ok && (s->out >= 0 || s->err >= 0)) {
        struct pollfd fds[] = { { .fd = s->in, .events = POLLOUT },
            { .fd = s->out, .events = POLLIN }, { .fd = s->err, .events = POLLIN },
            { .fd = wake_fd, .events = POLLIN } };

        if (poll(fds, 4, -1) < 0)
            continue;
        if (fds[3].revents != 0) {
            cli_fail(err, "cancelled");
            err->code = RUNG_CANCELLED;
            return false;
        }
        if (fds[0].revents != 0)
            give(&s->in, &input, &left);
        if (fds[1].revents != 0)
            ok = take(&s->out, out);
        if (ok && fds[2].revents != 0)
            ok = take(&s->err, complaint);
    }
    if (ok)
        return true;
    cli_fail(err, "out of memory");
    err->code = RUNG_FAILED;
    return false;
}

bool
process_run(const char *const *argv, const char *input, int wake_fd,
    struct process_output *output, struct rung_error *err)
{
    struct buffer out = { .n = 0 }, complaint = { .n = 0 };
    struct streams streams;
    int status = 0;
    pid_t pid = 0;
    bool ok;

    *output = (struct process_output){ .n = 0 };
    if (!start(&pid, argv, &streams))
        return cli_fail(err, "%s cannot be run: %s", argv[0], strerror(errno));
    ok = talk(&streams, input, wake_fd, &out, &complaint, err);
    close_one(&streams.in);
    close_one(&streams.out);
    close_one(&streams.err);
    if (!ok && pid > 0)
        (void)kill(pid, SIGTERM);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    *output = (struct process_output){ .out = out.text,
        .n = out.n,
        .complaint = complaint.text,
        .status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status) };
    if (!ok)
        process_free(output);
    return ok;
}

void
process_free(struct process_output *output)
{
    free(output->out);
    free(output->complaint);
    *output = (struct process_output){ .n = 0 };
}
