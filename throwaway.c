/*
 * throwaway.c: a PostgreSQL server of our own, which is gone when we are.
 *
 * A process that we fork, the keeper, makes a private directory, runs initdb and the
 * server in it, and deletes all of it in the end.  It gives up root first: initdb and
 * the server refuse root, and who deletes a directory must not be able to delete more.
 * The server listens on a Unix socket in that directory and nowhere else.  It forgets
 * everything when the machine crashes: fsync is off.
 *
 * Invariant: the end of the pipe to the keeper is the end of the server.  Whatever ends
 * us, SIGKILL too, closes it.  Only a server that is to be kept outlives us, and then
 * its keeper does, too: ended by a signal, it cleans up as ever.
 *
 * Relies on POSIX.1-2008 and initgroups (BSD, GNU).  pg_ctl is not needed: the server
 * is the keeper's child, and postmaster.pid says when it is ready.
 * Source: PostgreSQL manual, initdb; Server Start-up; Shutting Down the Server.
 */
#define _DEFAULT_SOURCE /* initgroups */
#define _DARWIN_C_SOURCE
#include "cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <locale.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET_NAME ".s.PGSQL.5432"

/* ---- the programs ------------------------------------------------------------------
 */

static const char *const programs[] = { "initdb", "postgres", "pg_dump" };

/* The first that is not there; NULL: all are. */
static const char *
lacking(const char *bin)
{
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        char path[THROWAWAY_PATH + 16];

        (void)snprintf(path, sizeof path, "%s/%s", bin, programs[i]);
        if (access(path, X_OK) != 0)
            return programs[i];
    }
    return NULL;
}

/* Take a directory, if it has all of them.  `n` bytes of `path`. */
static bool
take_directory(struct throwaway *t, const char *path, size_t n)
{
    char given[THROWAWAY_PATH];
    char *real;
    bool ok;

    if (n == 0 || n >= sizeof given)
        return false;
    memcpy(given, path, n);
    given[n] = '\0';
    real = realpath(given, NULL);
    ok = real != NULL && strlen(real) < sizeof t->bin && lacking(real) == NULL;
    if (ok)
        memcpy(t->bin, real, strlen(real) + 1);
    free(real);
    return ok;
}

static bool
ask_pg_config(struct throwaway *t, int wake_fd)
{
    const char *const argv[] = { "pg_config", "--bindir", NULL };
    struct process_output output;
    struct rung_error ignored;
    bool found;

    if (!process_run(argv, NULL, wake_fd, &output, &ignored))
        return false;
    found =
        output.status == 0 && take_directory(t, output.out, strcspn(output.out, "\n"));
    process_free(&output);
    return found;
}

static bool
search_path(struct throwaway *t)
{
    const char *path = cli_environment("PATH");

    while (path != NULL && *path != '\0') {
        size_t n = strcspn(path, ":");

        if (take_directory(t, path, n))
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

/* Compare names, numbers in them as numbers: 9.6 before 15. */
static int
by_version(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;

    for (; *x != '\0' && *y != '\0'; x++, y++) {
        size_t m = strspn(x, "0123456789"), n = strspn(y, "0123456789");

        if (m != n && m > 0 && n > 0)
            return m < n ? -1 : 1;
        if (*x != *y)
            return *x < *y ? -1 : 1;
    }
    return (*x != '\0') - (*y != '\0');
}

/* Where distributions put a server, the newest first. */
static bool
search_places(struct throwaway *t)
{
    static const char *const places[] = {
        "/usr/lib/postgresql/*/bin",   /* Debian */
        "/usr/pgsql-*/bin",            /* PGDG's RPMs */
        "/usr/lib/postgresql*/bin",    /* SUSE */
        "/usr/lib64/postgresql-*/bin", /* Gentoo */
        "/usr/libexec/postgresql*",    /* Alpine */
        "/usr/local/pgsql/bin",        /* from source */
        "/opt/homebrew/opt/postgresql*/bin",
        "/usr/local/opt/postgresql*/bin",
        "/opt/local/lib/postgresql*/bin", /* MacPorts */
        "/Applications/Postgres.app/Contents/Versions/*/bin",
    };
    bool found = false;

    for (size_t i = 0; i < sizeof places / sizeof places[0] && !found; i++) {
        glob_t list;

        if (glob(places[i], GLOB_NOSORT, NULL, &list) != 0)
            continue;
        qsort(list.gl_pathv, list.gl_pathc, sizeof *list.gl_pathv, by_version);
        for (size_t n = list.gl_pathc; n-- > 0 && !found;)
            found = take_directory(t, list.gl_pathv[n], strlen(list.gl_pathv[n]));
        globfree(&list);
    }
    return found;
}

/* "15.16" of "postgres (PostgreSQL) 15.16 (Debian 15.16-1)". */
static void
read_version(struct throwaway *t, int wake_fd)
{
    char program[THROWAWAY_PATH + 16];
    const char *const argv[] = { program, "--version", NULL };
    struct process_output output;
    struct rung_error ignored;
    const char *number;

    (void)snprintf(program, sizeof program, "%s/postgres", t->bin);
    t->version[0] = '\0';
    if (!process_run(argv, NULL, wake_fd, &output, &ignored))
        return;
    number = strstr(output.out, ") ");
    if (number != NULL)
        (void)snprintf(t->version, sizeof t->version, "%.*s",
            (int)strcspn(number + 2, " \n"), number + 2);
    process_free(&output);
}

bool
throwaway_find(
    struct throwaway *t, const char *pg_bin, int wake_fd, struct rung_error *err)
{
    *t = (struct throwaway){ .control = -1 };
    if (pg_bin != NULL && !take_directory(t, pg_bin, strlen(pg_bin))) {
        const char *lacks = lacking(pg_bin);

        cli_fail(err, "no %s in %s", lacks == NULL ? programs[0] : lacks, pg_bin);
        return cli_hint(err, "--pg-bin is the directory with initdb, postgres and "
                             "pg_dump.");
    }
    if (pg_bin == NULL && !ask_pg_config(t, wake_fd) && !search_path(t)
        && !search_places(t)) {
        cli_fail(err, "no PostgreSQL server is installed here");
        return cli_hint(err,
            "Install it (Debian, Ubuntu, Alpine, Arch, Homebrew: postgresql; Fedora, "
            "RHEL: postgresql-server), or say with --pg-bin where initdb, postgres and "
            "pg_dump are.");
    }
    read_version(t, wake_fd);
    return true;
}

/* ---- the keeper: deleting ----------------------------------------------------------
 */

/* Delete what is in a directory, and close it.  Follows no link. */
static void
delete_inside(int fd)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *entry;

    if (dir == NULL) {
        (void)close(fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        int inside;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0
            || unlinkat(fd, entry->d_name, 0) == 0)
            continue;
        inside =
            openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inside < 0)
            continue;
        delete_inside(inside); /* as deep as initdb makes it */
        (void)unlinkat(fd, entry->d_name, AT_REMOVEDIR);
    }
    (void)closedir(dir);
}

/* A process that is about to end may still write there: look again. */
static bool
delete_directory(const char *path)
{
    for (int tries = 0; tries < 250; tries++) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd >= 0)
            delete_inside(fd);
        if (rmdir(path) == 0 || errno == ENOENT)
            return true;
        (void)poll(NULL, 0, 20);
    }
    return false;
}

/* ---- the keeper: its life ----------------------------------------------------------
 */

/* In the keeper, these numbers; and nothing else of what we had open. */
enum { CONTROL = 3, ANSWER = 4 };

struct keeper {
    const struct throwaway *t;
    char directory[THROWAWAY_PATH];
    bool watched; /* we can still tell it to stop, by the pipe */
    pid_t child;  /* 0: none */
};

static volatile sig_atomic_t asked_to_stop;

static void
on_stop(int number)
{
    (void)number;
    asked_to_stop = 1;
}

static void
on_child(int number)
{
    (void)number; /* it is enough that pselect returns */
}

/* All of them stay blocked but for the time that pselect waits. */
static void
keeper_signals(void)
{
    static const int stops[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    struct sigaction stop = { .sa_handler = on_stop };
    struct sigaction child = { .sa_handler = on_child };
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    sigemptyset(&stop.sa_mask);
    sigemptyset(&child.sa_mask);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        (void)sigaction(stops[i], &stop, NULL);
    (void)sigaction(SIGCHLD, &child, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

/* Keep two descriptors, under the numbers above, and close every other one: whoever
 * reads what we print waits for its end. */
static bool
keeper_descriptors(int control, int answer)
{
    int high_control = fcntl(control, F_DUPFD, 10);
    int high_answer = fcntl(answer, F_DUPFD, 10);
    int null = open("/dev/null", O_RDWR);
    DIR *dir;
    int most = 1024;

    if (high_control < 0 || high_answer < 0 || null < 0)
        return false;
    if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0
        || dup2(high_control, CONTROL) < 0 || dup2(high_answer, ANSWER) < 0)
        return false;
    dir = opendir("/proc/self/fd");
    if (dir == NULL)
        dir = opendir("/dev/fd");
    if (dir != NULL) {
        const struct dirent *entry;

        while ((entry = readdir(dir)) != NULL) {
            long fd = strtol(entry->d_name, NULL, 10);

            if (fd > most)
                most = (int)fd;
        }
        (void)closedir(dir);
    }
    for (int fd = ANSWER + 1; fd <= most; fd++)
        (void)close(fd);
    return fcntl(CONTROL, F_SETFD, FD_CLOEXEC) == 0
           && fcntl(ANSWER, F_SETFD, FD_CLOEXEC) == 0;
}

static bool
write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, bytes, n);

        if (written < 0 && errno != EINTR)
            return false;
        bytes += written < 0 ? 0 : written;
        n -= written < 0 ? 0 : (size_t)written;
    }
    return true;
}

/* Say how it went: "r" and the directory, or "e", a message and a detail; each with its
 * NUL. */
static void
answer(char kind, const char *text, const char *detail)
{
    (void)(write_all(ANSWER, &kind, 1) && write_all(ANSWER, text, strlen(text) + 1)
           && (detail == NULL || write_all(ANSWER, detail, strlen(detail) + 1)));
    (void)close(ANSWER);
}

/* What a socket's path may have. */
#define SOCKET_PATH sizeof((struct sockaddr_un *)NULL)->sun_path

/* In a URL, in a setting and in a shell, these mean themselves. */
#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-"

/* Make the private directory, where that has a plain name and a socket in it is not too
 * long a one. */
static bool
make_directory(struct keeper *k)
{
    const char *const bases[] = { cli_environment("TMPDIR"), "/tmp", "/var/tmp" };

    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        char *base = bases[i] == NULL ? NULL : realpath(bases[i], NULL);
        bool plain = base != NULL && base[strspn(base, PLAIN)] == '\0';
        int n = !plain ? -1
                       : snprintf(k->directory, sizeof k->directory,
                           "%s/rung-server-XXXXXX", base[1] == '\0' ? "" : base);

        free(base);
        if (n < 0 || (size_t)n + 1 + sizeof SOCKET_NAME > SOCKET_PATH
            || mkdtemp(k->directory) == NULL)
            continue;
        if (chdir(k->directory) == 0)
            return true;
        (void)rmdir(k->directory);
    }
    return false;
}

/* Start a program in a group of its own, what it says going into a file. */
static bool
start_child(struct keeper *k, const char *const *argv, const char *log)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    k->child = fd < 0 ? -1 : fork();
    if (k->child == 0) {
        struct sigaction usual = { .sa_handler = SIG_DFL };
        sigset_t none;

        (void)setpgid(0, 0);
        (void)sigaction(SIGPIPE, &usual, NULL);
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        if (dup2(fd, 1) >= 0 && dup2(fd, 2) >= 0) {
            process_exec(argv);
            (void)dprintf(2, "%s: %s\n", argv[0], strerror(errno));
        }
        _exit(127);
    }
    if (k->child > 0)
        (void)setpgid(k->child, k->child);
    if (fd >= 0)
        (void)close(fd);
    if (k->child < 0)
        k->child = 0;
    return k->child > 0;
}

enum news { CHILD_ENDED, STOP, NOTHING };

/* Wait until the child ends (its status in *status), we are asked to stop, or the time
 * (in milliseconds; -1: without limit) is over. */
static enum news
wait_for_news(struct keeper *k, int ms, int *status)
{
    struct timespec limit = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
    sigset_t none;

    sigemptyset(&none);
    for (;;) {
        fd_set set;
        char byte;
        int n;

        if (asked_to_stop)
            return STOP;
        if (k->child > 0 && waitpid(k->child, status, WNOHANG) == k->child) {
            k->child = 0;
            return CHILD_ENDED;
        }
        FD_ZERO(&set);
        if (k->watched)
            FD_SET(CONTROL, &set);
        n = pselect(CONTROL + 1, &set, NULL, NULL, ms < 0 ? NULL : &limit, &none);
        if (n == 0)
            return NOTHING;
        if (n < 0)
            continue;
        if (read(CONTROL, &byte, 1) <= 0)
            return STOP;
        k->watched = false; /* any byte: it is to be kept */
        (void)close(CONTROL);
    }
}

/* End the child: by `signal_number`, after ten seconds by SIGKILL. */
static void
end_child(struct keeper *k, pid_t whom, int signal_number)
{
    for (int i = 0; k->child > 0 && i <= 500; i++) {
        if (i == 0 || i == 500)
            (void)kill(whom, i == 0 ? signal_number : SIGKILL);
        if (waitpid(k->child, NULL, i == 500 ? 0 : WNOHANG) == k->child)
            k->child = 0;
        else
            (void)poll(NULL, 0, 20);
    }
}

/* The end of a file in our directory, from the beginning of a line. */
static void
read_tail(char *text, size_t size, const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *line;
    ssize_t n = -1;

    text[0] = '\0';
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0)
        n = pread(fd, text, size - 1,
            st.st_size < (off_t)size ? 0 : st.st_size - (off_t)size + 1);
    (void)close(fd);
    text[n < 0 ? 0 : n] = '\0';
    line = n < (ssize_t)size - 1 ? NULL : strchr(text, '\n');
    if (line != NULL)
        memmove(text, line + 1, strlen(line + 1) + 1);
    while ((n = (ssize_t)strlen(text)) > 0 && text[n - 1] == '\n')
        text[n - 1] = '\0';
}

/* Why a program did not do what it should, with the end of what it said. */
static void
complain(const char *message, const char *log)
{
    char tail[1000];

    read_tail(tail, sizeof tail, log);
    answer('e', message, tail);
}

static bool
run_initdb(struct keeper *k)
{
    char program[THROWAWAY_PATH + 16];
    locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    const char *const argv[] = { program, "-D", "data", "-U", THROWAWAY_USER, "-A",
        "trust", "-E", "UTF8",
        locale == (locale_t)0 ? "--locale=C" : "--locale=C.UTF-8", "--lc-messages=C",
        "--no-sync", NULL };
    int status = 1;
    enum news news;

    if (locale != (locale_t)0)
        freelocale(locale);
    (void)snprintf(program, sizeof program, "%s/initdb", k->t->bin);
    if (!start_child(k, argv, "initdb.log")) {
        complain("initdb cannot be started", "initdb.log");
        return false;
    }
    news = wait_for_news(k, -1, &status);
    if (news == CHILD_ENDED && status == 0)
        return true;
    if (news == CHILD_ENDED)
        complain("initdb failed", "initdb.log");
    end_child(k, -k->child, SIGTERM); /* it starts servers, too */
    return false;
}

static bool
start_server(struct keeper *k)
{
    char program[THROWAWAY_PATH + 16], sockets[THROWAWAY_PATH + 32];
    const char *const argv[] = { program, "-D", "data", "-c", sockets, "-c",
        "listen_addresses=", "-c", "port=5432", "-c", "fsync=off", "-c",
        "synchronous_commit=off", "-c", "full_page_writes=off", "-c",
        "wal_level=logical", "-c", "timezone=UTC", "-c", "log_timezone=UTC", NULL };

    (void)snprintf(program, sizeof program, "%s/postgres", k->t->bin);
    (void)snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", k->directory);
    if (start_child(k, argv, "server.log"))
        return true;
    complain("the server cannot be started", "server.log");
    return false;
}

/* The eighth line of postmaster.pid; Source: pg_ctl.c, wait_for_postmaster_start. */
static bool
is_ready(void)
{
    char text[2048];
    const char *line = text;
    int fd = open("data/postmaster.pid", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        (void)close(fd);
    text[n < 0 ? 0 : n] = '\0';
    for (int i = 1; i < 8 && line != NULL; i++) {
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return line != NULL && strncmp(line, "ready", 5) == 0;
}

/* From its start to its end. */
static void
mind_server(struct keeper *k)
{
    enum news news = NOTHING;
    int status;

    while (news == NOTHING && !is_ready())
        news = wait_for_news(k, 20, &status);
    if (news == CHILD_ENDED)
        complain("the server did not start", "server.log");
    if (news == NOTHING) {
        answer('r', k->directory, NULL);
        (void)wait_for_news(k, -1, &status);
    }
    end_child(k, k->child, SIGQUIT); /* at once: nobody needs the data any more */
}

/* The keeper's whole life. */
static void
keep_server(const struct throwaway *t, int control, int answer_fd)
{
    struct keeper k = { .t = t, .watched = true };

    keeper_signals();
    (void)setsid(); /* Ctrl-C on the terminal is not for the server */
    (void)umask(077);
    if (!keeper_descriptors(control, answer_fd))
        _exit(1);
    if (t->user != NULL
        && (initgroups(t->user, t->gid) != 0 || setgid(t->gid) != 0
            || setuid(t->uid) != 0)) {
        answer(
            'e', "root cannot be given up, and initdb refuses root", strerror(errno));
        _exit(1);
    }
    if (!make_directory(&k)) {
        answer('e', "no directory for a server can be made in TMPDIR or /tmp",
            strerror(errno));
        _exit(1);
    }
    if (run_initdb(&k) && start_server(&k))
        mind_server(&k);
    _exit(chdir("/") == 0 && delete_directory(k.directory) ? 0 : 1);
}

/* ---- ours --------------------------------------------------------------------------
 */

/* Whom the server runs as, where we are root. */
static bool
find_user(struct throwaway *t, struct rung_error *err)
{
    static const char *const names[] = { "postgres", "nobody" };

    t->user = NULL;
    if (geteuid() != 0)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct passwd *user = getpwnam(names[i]);

        if (user == NULL || user->pw_uid == 0)
            continue;
        t->user = names[i];
        t->uid = user->pw_uid;
        t->gid = user->pw_gid;
        return true;
    }
    cli_fail(err, "there is no user postgres or nobody to run the server as");
    return cli_hint(
        err, "PostgreSQL refuses to run as root: run rung as another user.");
}

/* Understand what the keeper answered; `n` bytes with a NUL behind them. */
static bool
read_answer(struct throwaway *t, const char *text, size_t n, struct rung_error *err)
{
    size_t length = n == 0 ? 0 : strlen(text + 1);

    if (n > 0 && text[0] == 'r' && length < sizeof t->directory) {
        memcpy(t->directory, text + 1, length + 1);
        (void)snprintf(t->url, sizeof t->url, "postgresql:///%s?host=%s&user=%s",
            THROWAWAY_USER, t->directory, THROWAWAY_USER);
        return true;
    }
    cli_fail(err, "%s", n == 0 ? "no server could be started" : text + 1);
    err->code = RUNG_FAILED;
    if (n > 0 && text[0] == 'e' && length + 2 < n)
        (void)snprintf(err->detail, sizeof err->detail, "%s", text + length + 2);
    return false;
}

/* Wait for the keeper's answer. */
static bool
await(struct throwaway *t, int answer_fd, int wake_fd, struct rung_error *err)
{
    char text[2 * THROWAWAY_PATH];
    size_t n = 0;

    for (;;) {
        struct pollfd fds[] = { { .fd = answer_fd, .events = POLLIN },
            { .fd = wake_fd, .events = POLLIN } };
        ssize_t got;

        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents != 0) {
            cli_fail(err, "cancelled");
            err->code = RUNG_CANCELLED;
            return false;
        }
        got = read(answer_fd, text + n, sizeof text - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    text[n] = '\0';
    return read_answer(t, text, n, err);
}

bool
throwaway_start(struct throwaway *t, int wake_fd, struct rung_error *err)
{
    int control[2] = { -1, -1 }, answers[2] = { -1, -1 };
    sigset_t all, before;
    bool ok;

    if (!find_user(t, err))
        return false;
    if (pipe(control) != 0 || pipe(answers) != 0
        || fcntl(control[1], F_SETFD, FD_CLOEXEC) != 0
        || fcntl(answers[0], F_SETFD, FD_CLOEXEC) != 0)
        return cli_fail(err, "no pipe can be made: %s", strerror(errno));
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    t->keeper = fork();
    if (t->keeper == 0)
        keep_server(t, control[0], answers[1]);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    (void)close(control[0]);
    (void)close(answers[1]);
    t->control = control[1];
    ok = t->keeper > 0 ? await(t, answers[0], wake_fd, err)
                       : cli_fail(err, "no process can be made: %s", strerror(errno));
    (void)close(answers[0]);
    if (!ok)
        throwaway_stop(t);
    return ok;
}

void
throwaway_keep(struct throwaway *t)
{
    (void)write_all(t->control, "k", 1);
    (void)close(t->control);
    t->control = -1;
}

void
throwaway_stop(struct throwaway *t)
{
    if (t->control < 0)
        return;
    (void)close(t->control);
    t->control = -1;
    while (t->keeper > 0 && waitpid(t->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
}
