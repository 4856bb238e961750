/*
 * link.c: run a program and measure it, over a long line to its PostgreSQL server.
 *
 *     link [--server DIR/.s.PGSQL.PORT|PORT --listen DIR|0 [--delay-us US]]
 *          [--report FILE] -- COMMAND...
 *
 * With --server it listens in DIR, an absolute path, on a Unix socket, or with --listen
 * 0 on a free port of 127.0.0.1, and PGHOST and PGPORT of COMMAND point there.  Every
 * byte arrives US later than it was sent, in each direction, however many are on their
 * way: a line is long, not narrow.  Ends with COMMAND's status, 128 + n when signal n
 * ended it.  FILE gets one line,
 *
 *     connections N turns N sent BYTES received BYTES us TIME cpu_us TIME kilobytes N
 *
 * as COMMAND sees it.  A turn is one wait of the program for its server: the server
 * spoke after the program had.  Then how long it took, on the clock and of a processor,
 * and the most memory that it or a child of its had resident.
 *
 * One thread; bytes are passed on as they come, whatever they mean.
 */
#include "../lib/sockets.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>

#define CONNECTIONS 64
#define PIECE 65536
#define ON_THE_WAY                                                                     \
    ((size_t)64 << 20) /* bytes: more are not taken from who sends them */

enum side { CLIENT, SERVER };

static struct {
    const char *server, *listen, *report;
    int64_t delay_us;
    char **command;
} options;

struct piece {
    struct piece *next;
    int64_t due_us;
    size_t n, written;
    char bytes[]; /* none: the end of the stream */
};

/* What is on its way from one side to the other. */
struct flow {
    int from, to;
    struct piece *first, **last;
    size_t n;
    bool ended; /* nothing more comes */
};

struct connection {
    bool open;
    bool asked; /* the client spoke last */
    struct flow flows[2];
};

static struct connection connections[CONNECTIONS];
static unsigned long accepted, turns;
static unsigned long long bytes[2];
static pid_t child;
static int64_t began_us, ended_us; /* the child */

static void
die(const char *what, const char *why)
{
    (void)fprintf(stderr, "link: %s: %s\n", what, why);
    if (child > 0)
        kill(child, SIGKILL);
    exit(125);
}

/* Only ends a wait. */
static void
on_child(int number)
{
    (void)number;
}

static int64_t
now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- connections ---------------------------------------------------------------- */

static void
close_connection(struct connection *c)
{
    for (int side = CLIENT; side <= SERVER; side++) {
        for (struct piece *p = c->flows[side].first, *next; p != NULL; p = next) {
            next = p->next;
            free(p);
        }
        close(c->flows[side].from);
    }
    c->open = false;
}

static void
accept_connection(int listener)
{
    int client = accept(listener, NULL, NULL), server;
    struct connection *c = connections;

    if (client < 0)
        return;
    while (c < connections + CONNECTIONS && c->open)
        c++;
    server = c == connections + CONNECTIONS ? -1 : make_socket(options.server, false);
    if (server < 0) {
        close(client); /* to the client: no server there */
        return;
    }
    if (client >= FD_SETSIZE || server >= FD_SETSIZE)
        die("too many connections", "select");
    make_ready(client, is_port(options.listen));
    make_ready(server, is_port(options.server));
    *c = (struct connection){ .open = true };
    c->flows[CLIENT] = (struct flow){ .from = client, .to = server };
    c->flows[SERVER] = (struct flow){ .from = server, .to = client };
    for (int side = CLIENT; side <= SERVER; side++)
        c->flows[side].last = &c->flows[side].first;
    accepted++;
}

/* ---- bytes on their way -----------------------------------------------------------
 */

static void
receive(struct connection *c, enum side side)
{
    struct flow *flow = &c->flows[side];
    struct piece *piece = malloc(sizeof *piece + PIECE);
    ssize_t n;

    if (piece == NULL)
        die("malloc", "out of memory");
    n = read(flow->from, piece->bytes, PIECE);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        free(piece);
        return;
    }
    *piece = (struct piece){ .due_us = now_us() + options.delay_us,
        .n = n < 0 ? 0 : (size_t)n };
    flow->ended = piece->n == 0;
    *flow->last = piece;
    flow->last = &piece->next;
    flow->n += piece->n;
    bytes[side] += piece->n;
    if (piece->n > 0) {
        turns += side == SERVER && c->asked;
        c->asked = side == CLIENT;
    }
}

/* Deliver what is due.  False: this connection is over. */
static bool
deliver(struct flow *flow)
{
    struct piece *piece;

    while ((piece = flow->first) != NULL && piece->due_us <= now_us()) {
        ssize_t n;

        if (piece->n == 0)
            return false;
        n = send(flow->to, piece->bytes + piece->written, piece->n - piece->written,
            MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        piece->written += (size_t)n;
        if (piece->written < piece->n)
            continue;
        flow->n -= piece->n;
        flow->first = piece->next;
        if (flow->first == NULL)
            flow->last = &flow->first;
        free(piece);
    }
    return true;
}

/* ---- the whole --------------------------------------------------------------------
 */

struct waiting {
    fd_set readable, writable;
    int highest;
    int64_t until_us;
};

static void
wait_for_read(struct waiting *w, int fd)
{
    FD_SET(fd, &w->readable);
    w->highest = fd > w->highest ? fd : w->highest;
}

/* For what is on its way: its time, or, when that has come, room to write it. */
static void
wait_for_flow(struct waiting *w, const struct flow *flow, int64_t now)
{
    if (!flow->ended && flow->n < ON_THE_WAY)
        wait_for_read(w, flow->from);
    if (flow->first == NULL)
        return;
    if (flow->first->due_us <= now) {
        FD_SET(flow->to, &w->writable);
        w->highest = flow->to > w->highest ? flow->to : w->highest;
    } else if (flow->first->due_us < w->until_us) {
        w->until_us = flow->first->due_us;
    }
}

static void
serve(int listener)
{
    struct waiting w = { .highest = -1 };
    int64_t now = now_us(), left;
    struct timespec time;
    sigset_t none;

    sigemptyset(&none); /* the child's end is only noticed here */
    w.until_us = now + 1000000;
    FD_ZERO(&w.readable);
    FD_ZERO(&w.writable);
    if (listener >= 0)
        wait_for_read(&w, listener);
    for (int i = 0; i < 2 * CONNECTIONS; i++)
        if (connections[i / 2].open)
            wait_for_flow(&w, &connections[i / 2].flows[i % 2], now);
    left = w.until_us - now;
    time =
        (struct timespec){ .tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000 };
    if (pselect(w.highest + 1, &w.readable, &w.writable, NULL, &time, &none) < 0)
        return;
    for (int i = 0; i < 2 * CONNECTIONS; i++) {
        struct connection *c = &connections[i / 2];
        struct flow *flow = &c->flows[i % 2];

        if (!c->open)
            continue;
        if (FD_ISSET(flow->from, &w.readable))
            receive(c, (enum side)(i % 2));
        if (!deliver(flow))
            close_connection(c);
    }
    if (listener >= 0 && FD_ISSET(listener, &w.readable))
        accept_connection(listener);
}

static bool
any_open(void)
{
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i].open)
            return true;
    return false;
}

static void
report(void)
{
    FILE *file;
    struct rusage usage;
    int64_t cpu;

    if (options.report == NULL)
        return;
    file = fopen(options.report, "we");
    if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
        die("getrusage", strerror(errno));
    cpu = (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000
          + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    if (file == NULL
        || fprintf(file,
               "connections %lu turns %lu sent %llu received %llu us %lld cpu_us %lld "
               "kilobytes %ld\n",
               accepted, turns, bytes[CLIENT], bytes[SERVER],
               (long long)(ended_us - began_us), (long long)cpu, usage.ru_maxrss)
               < 0
        || fclose(file) != 0)
        die(options.report, strerror(errno));
}

static void
take_options(char **argv)
{
    while (*++argv != NULL && strcmp(*argv, "--") != 0) {
        const char *name = *argv, *value = *++argv;

        if (value == NULL)
            die(name, "lacks its value");
        if (strcmp(name, "--server") == 0)
            options.server = value;
        else if (strcmp(name, "--listen") == 0)
            options.listen = value;
        else if (strcmp(name, "--report") == 0)
            options.report = value;
        else if (strcmp(name, "--delay-us") == 0)
            options.delay_us = strtol(value, NULL, 10);
        else
            die(name, "not understood");
    }
    if (*argv == NULL || argv[1] == NULL
        || (options.server == NULL) != (options.listen == NULL))
        die("usage",
            "link [--server SOCKET|PORT --listen DIR|0] [OPTION...] -- COMMAND...");
    options.command = argv + 1;
}

int
main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = on_child };
    int listener = -1, status = 0;
    sigset_t blocked, before;

    (void)argc;
    take_options(argv);
    if (options.server != NULL)
        listener = start_listening(options.listen, CONNECTIONS);
    sigemptyset(&action.sa_mask);
    sigaction(SIGCHLD, &action, NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    began_us = now_us();
    child = fork();
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        if (listener >= 0)
            point_here(options.listen);
        execvp(options.command[0], options.command);
        _exit(127);
    }
    while (child > 0 && waitpid(child, &status, WNOHANG) == 0)
        serve(listener);
    ended_us = now_us();
    /* What it sent with its last breath is still to be delivered. */
    while (child > 0 && any_open())
        serve(listener);
    stop_listening();
    report();
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
