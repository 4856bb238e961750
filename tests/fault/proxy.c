/*
 * proxy.c: stand between a program and its PostgreSQL server, and strike at a message.
 *
 *     proxy --server DIR/.s.PGSQL.PORT|PORT [--listen DIR] [OPTION...] -- COMMAND...
 *
 *     --at before|after:client|server:N   strike at the Nth message of that direction,
 *                                         counted from 1 over all connections
 *     --type T      count only messages of this type (Q, d, C, Z, ...)
 *     --do cut      close every connection (the default)
 *     --do kill     kill -9 the command
 *     --do run      run $STRIKE in a shell, wait for it, and close every connection
 *     --delay-client MS, --delay-server MS   before each message of that direction
 *     --log FILE    a line for each message: direction, number, type, length; and
 *                   `strike` behind the one where it struck
 *
 * Listens in DIR (default: the current directory) on a Unix socket, or with --listen 0
 * on a free port of 127.0.0.1; starts COMMAND with PGHOST and PGPORT pointing there;
 * and ends with its status, 128 + n when signal n ended it.  In front of a message: the
 * other side never gets it.  Behind it: the other side was given it, and what it makes
 * of it is not waited for.  Each strike happens once.  When COMMAND has ended, what it
 * sent before is passed on; a process of its own that goes on is not waited for.
 *
 * One thread, one poll; a message is passed on when it is there as a whole, so nothing
 * depends on how the bytes happened to arrive.  Encryption is not understood: a server
 * on a Unix socket offers none, and on TCP it is refused here.
 *
 * Source: PostgreSQL manual 55.2, Message Flow; 55.7, Message Formats.
 */
#include "../lib/sockets.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define CONNECTIONS 64
#define STUCK_MS 10000 /* who takes nothing for so long is given up */
#define DRAIN_MS 2000  /* behind COMMAND's end */
#define CODE_SSL 80877103
#define CODE_GSS 80877104

enum side { CLIENT, SERVER };
static const char *const side_names[] = { "client", "server" };

enum strike { STRIKE_CUT, STRIKE_KILL, STRIKE_RUN };

static struct {
    const char *server, *listen, *log_name;
    bool armed, before;
    enum side side;
    char type; /* '\0': any */
    unsigned long at;
    enum strike strike;
    int delay_ms[2];
    char **command;
} options = { .listen = "." };

/* What came from one side and was not yet written to the other. */
struct flow {
    int from, to;
    char *bytes;
    size_t n, capacity;
    size_t ready; /* so many of them may be written */
    bool typed;   /* messages begin with a type: false before the start-up */
};

struct connection {
    bool open;
    int fds[2];
    struct flow flows[2]; /* by the side that they come from */
};

static struct connection connections[CONNECTIONS];
static unsigned long counts[2];
static FILE *log_file;
static pid_t child;

static void
die(const char *what, const char *why)
{
    (void)fprintf(stderr, "proxy: %s: %s\n", what, why);
    if (child > 0)
        kill(child, SIGKILL);
    exit(125);
}

static void
on_child(int number)
{
    (void)number; /* it interrupts poll: that is all */
}

static int64_t
now_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void
pause_ms(int ms)
{
    struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        ;
}

/* ---- connections ---------------------------------------------------------------- */

static void
close_connection(struct connection *c)
{
    if (!c->open)
        return;
    close(c->fds[CLIENT]);
    close(c->fds[SERVER]);
    free(c->flows[CLIENT].bytes);
    free(c->flows[SERVER].bytes);
    *c = (struct connection){ 0 };
}

static void
accept_connection(int listener)
{
    int client = accept(listener, NULL, NULL);
    struct connection *c = NULL;
    int server;

    if (client < 0)
        return;
    for (size_t i = 0; i < CONNECTIONS && c == NULL; i++)
        if (!connections[i].open)
            c = &connections[i];
    server = make_socket(options.server, false);
    if (c == NULL || server < 0) {
        if (server >= 0)
            close(server);
        close(client); /* to the client: no server there */
        return;
    }
    make_ready(client, is_port(options.listen));
    make_ready(server, is_port(options.server));
    *c = (struct connection){ .open = true,
        .fds = { client, server },
        .flows = { { .from = client, .to = server },
            { .from = server, .to = client, .typed = true } } };
}

/* ---- striking -----------------------------------------------------------------------
 */

static void
strike(void)
{
    if (log_file != NULL)
        (void)fputs("strike\n", log_file);
    if (options.strike == STRIKE_KILL) {
        siginfo_t ended; /* main asks for its status */

        kill(child, SIGKILL);
        while (waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT) != 0
               && errno == EINTR)
            ;
    }
    if (options.strike == STRIKE_RUN) {
        const char *command = getenv("STRIKE");

        if (command == NULL || system(command) != 0)
            die("$STRIKE", "failed");
    }
    for (size_t i = 0; i < CONNECTIONS; i++)
        close_connection(&connections[i]);
}

static bool
is_time(enum side side, char type, unsigned long *count)
{
    if (options.type != '\0' && type != options.type)
        return false;
    ++*count;
    return options.armed && side == options.side && *count == options.at;
}

/* Write what may be written.  False: that side is gone. */
static bool
pass_on(struct flow *flow)
{
    while (flow->ready > 0) {
        ssize_t n = send(flow->to, flow->bytes, flow->ready, MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n <= 0)
            return false;
        flow->n -= (size_t)n;
        flow->ready -= (size_t)n;
        memmove(flow->bytes, flow->bytes + n, flow->n);
    }
    return true;
}

/* Everything, although the other side is slow. */
static void
pass_all(struct flow *flow)
{
    int64_t since = now_ms();

    while (flow->ready > 0) {
        struct pollfd fd = { .fd = flow->to, .events = POLLOUT };
        size_t before = flow->ready;

        if (!pass_on(flow))
            return;
        if (flow->ready < before)
            since = now_ms();
        if (now_ms() - since > STUCK_MS)
            return;
        if (flow->ready > 0)
            (void)poll(&fd, 1, 1000);
    }
}

static uint32_t
number_at(const char *p)
{
    uint32_t n;

    memcpy(&n, p, sizeof n);
    return ntohl(n);
}

/*
 * The bytes of the message that begins at `at`, or 0 when it is not all there.  *type
 * is '-' for one without.
 */
static size_t
next_message(struct connection *c, enum side side, size_t at, char *type)
{
    struct flow *flow = &c->flows[side];
    size_t left = flow->n - at, head = flow->typed ? 1 : 0;
    uint32_t length;

    if (left < 4 + head)
        return 0;
    *type = flow->typed ? flow->bytes[at] : '-';
    length = number_at(flow->bytes + at + head);
    return length + head <= left ? length + head : 0;
}

/* A request for encryption is answered here: no. */
static bool
refuse_encryption(struct connection *c, size_t at)
{
    struct flow *flow = &c->flows[CLIENT];
    uint32_t code = number_at(flow->bytes + at + 4);

    if (code != CODE_SSL && code != CODE_GSS)
        return false;
    memmove(flow->bytes + at, flow->bytes + at + 8, flow->n - at - 8);
    flow->n -= 8;
    if (send(c->fds[CLIENT], "N", 1, MSG_NOSIGNAL) != 1)
        die("send", strerror(errno));
    return true;
}

/* Release the messages that are there.  False: everything was cut. */
static bool
take_messages(struct connection *c, enum side side)
{
    struct flow *flow = &c->flows[side];
    size_t size;
    char type;

    while ((size = next_message(c, side, flow->ready, &type)) > 0) {
        bool now;

        if (!flow->typed) {
            if (refuse_encryption(c, flow->ready))
                continue;
            flow->typed = true;
        }
        now = is_time(side, type, &counts[side]);
        if (log_file != NULL)
            (void)fprintf(log_file, "%s %lu %c %zu\n", side_names[side], counts[side],
                type, size);
        if (options.delay_ms[side] > 0)
            pause_ms(options.delay_ms[side]);
        if (!now || !options.before) {
            flow->ready += size;
            if (now)
                pass_all(flow);
        }
        if (now) {
            strike();
            return false;
        }
    }
    return true;
}

/* Take in what came from `side`.  False: the connection is over. */
static bool
receive(struct connection *c, enum side side)
{
    struct flow *flow = &c->flows[side];
    ssize_t n;

    if (flow->capacity - flow->n < 65536) {
        flow->capacity = 2 * flow->capacity + 131072;
        flow->bytes = realloc(flow->bytes, flow->capacity);
        if (flow->bytes == NULL)
            die("malloc", "out of memory");
    }
    n = read(flow->from, flow->bytes + flow->n, flow->capacity - flow->n);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0) {
        pass_all(flow);
        return false;
    }
    flow->n += (size_t)n;
    return !take_messages(c, side) || pass_on(flow);
}

/* ---- the whole ----------------------------------------------------------------------
 */

static void
serve(int listener)
{
    struct pollfd fds[2 * CONNECTIONS + 1];
    bool gone;

    fds[0] = (struct pollfd){ .fd = listener, .events = POLLIN };
    for (int i = 0; i < 2 * CONNECTIONS; i++) {
        const struct connection *c = &connections[i / 2];

        fds[i + 1] =
            (struct pollfd){ .fd = c->open ? c->fds[i % 2] : -1, .events = POLLIN };
        if (c->open && c->flows[1 - i % 2].ready > 0)
            fds[i + 1].events |= POLLOUT;
    }
    if (poll(fds, 2 * CONNECTIONS + 1, 50) <= 0)
        return;
    for (int i = 0; i < 2 * CONNECTIONS; i++) {
        struct connection *c = &connections[i / 2];

        if (!c->open || fds[i + 1].fd != c->fds[i % 2])
            continue;
        gone = (fds[i + 1].revents & POLLOUT) != 0 && !pass_on(&c->flows[1 - i % 2]);
        if (!gone && (fds[i + 1].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
            gone = !receive(c, (enum side)(i % 2));
        if (gone)
            close_connection(c);
    }
    if (fds[0].revents != 0)
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

static bool
take_point(char *text)
{
    char *side = strchr(text, ':');
    char *number = side == NULL ? NULL : strchr(side + 1, ':');

    if (number == NULL)
        return false;
    *side++ = *number++ = '\0';
    options.armed = true;
    options.before = strcmp(text, "before") == 0;
    options.side = strcmp(side, "server") == 0 ? SERVER : CLIENT;
    options.at = strtoul(number, NULL, 10);
    return options.at > 0;
}

static void
take_options(char **argv)
{
    while (*++argv != NULL && strcmp(*argv, "--") != 0) {
        const char *name = *argv;
        char *value = *++argv;

        if (value == NULL)
            die(name, "lacks its value");
        if (strcmp(name, "--server") == 0)
            options.server = value;
        else if (strcmp(name, "--listen") == 0)
            options.listen = value;
        else if (strcmp(name, "--log") == 0)
            options.log_name = value;
        else if (strcmp(name, "--type") == 0)
            options.type = value[0];
        else if (strcmp(name, "--do") == 0)
            options.strike = strcmp(value, "kill") == 0  ? STRIKE_KILL
                             : strcmp(value, "run") == 0 ? STRIKE_RUN
                                                         : STRIKE_CUT;
        else if (strcmp(name, "--delay-client") == 0)
            options.delay_ms[CLIENT] = (int)strtol(value, NULL, 10);
        else if (strcmp(name, "--delay-server") == 0)
            options.delay_ms[SERVER] = (int)strtol(value, NULL, 10);
        else if (strcmp(name, "--at") != 0 || !take_point(value))
            die(name, "not understood");
    }
    if (*argv == NULL || argv[1] == NULL || options.server == NULL)
        die("usage", "proxy --server SOCKET|PORT [OPTION...] -- COMMAND...");
    options.command = argv + 1;
}

int
main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = on_child };
    int listener, status = 0;
    int64_t ended;

    (void)argc;
    take_options(argv);
    if (options.log_name != NULL) {
        log_file = fopen(options.log_name, "we");
        if (log_file == NULL)
            die(options.log_name, strerror(errno));
    }
    listener = start_listening(options.listen, CONNECTIONS);
    sigemptyset(&action.sa_mask);
    sigaction(SIGCHLD, &action, NULL);
    child = fork();
    if (child == 0) {
        point_here(options.listen);
        execvp(options.command[0], options.command);
        _exit(127);
    }
    while (child > 0 && waitpid(child, &status, WNOHANG) == 0)
        serve(listener);
    /*
     * What it sent with its last breath is still to be read.  Its end of a connection
     * is closed now, unless another process has it, too.
     */
    ended = now_ms();
    while (child > 0 && any_open() && now_ms() - ended < DRAIN_MS)
        serve(listener);
    stop_listening();
    if (log_file != NULL && fclose(log_file) != 0)
        die(options.log_name, strerror(errno));
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
