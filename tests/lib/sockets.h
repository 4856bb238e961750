/*
 * sockets.h: how a program stands between another one and its PostgreSQL server: where
 * it listens, and how it reaches the server.  For tests/fault/proxy.c and
 * tests/bench/link.c, each of which is one file otherwise.
 *
 * An address is a port of 127.0.0.1 or the path of a Unix socket.  Who includes this
 * has a die(what, why), which does not return.
 */
#ifndef RUNG_TESTS_SOCKETS_H
#define RUNG_TESTS_SOCKETS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void die(const char *what, const char *why);

static char listening_port[16];  /* where we listen: */
static char listening_path[256]; /* empty: on TCP */

static bool
is_port(const char *address)
{
    return address[strspn(address, "0123456789")] == '\0';
}

/* Nonblocking, closed on exec, and on TCP without delay. */
static void
make_ready(int fd, bool tcp)
{
    int on = 1;

    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0
        || (tcp && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0))
        die("socket", strerror(errno));
}

/* A socket bound or connected to an address; -1: nobody is there. */
static int
make_socket(const char *address, bool serve)
{
    struct sockaddr_in tcp = { .sin_family = AF_INET,
        .sin_port = htons((uint16_t)strtol(address, NULL, 10)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    const struct sockaddr *sa = (const struct sockaddr *)&local;
    socklen_t size = sizeof local;
    int fd = socket(is_port(address) ? AF_INET : AF_UNIX, SOCK_STREAM, 0);

    if (fd < 0 || strlen(address) >= sizeof local.sun_path)
        die(address, "no socket");
    memcpy(local.sun_path, address, strlen(address));
    if (is_port(address)) {
        sa = (const struct sockaddr *)&tcp;
        size = sizeof tcp;
    }
    if ((serve ? bind(fd, sa, size) : connect(fd, sa, size)) == 0)
        return fd;
    if (serve)
        die(address, strerror(errno));
    close(fd);
    return -1;
}

/* Listen on a port (0: a free one) or in a directory. */
static int
start_listening(const char *where, int connections)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd;

    if (is_port(where)) {
        fd = make_socket(where, true);
        if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
            die("getsockname", strerror(errno));
        (void)snprintf(
            listening_port, sizeof listening_port, "%d", ntohs(address.sin_port));
    } else {
        (void)snprintf(listening_port, sizeof listening_port, "%d",
            1024 + (int)(getpid() % 60000));
        (void)snprintf(listening_path, sizeof listening_path, "%s/.s.PGSQL.%s", where,
            listening_port);
        (void)unlink(listening_path);
        fd = make_socket(listening_path, true);
    }
    if (listen(fd, connections) != 0)
        die("listen", strerror(errno));
    make_ready(fd, false);
    return fd;
}

/* In the child: its PostgreSQL server is we. */
static void
point_here(const char *where)
{
    setenv("PGHOST", listening_path[0] != '\0' ? where : "127.0.0.1", 1);
    setenv("PGPORT", listening_port, 1);
}

static void
stop_listening(void)
{
    if (listening_path[0] != '\0')
        (void)unlink(listening_path);
}

#endif
