/*
 * The connection, as far as it shows without a server: what is asked of TCP, and that
 * somebody who takes a connection and never answers does not hold us.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A socket of the loopback that takes connections into its queue and says nothing. */
static int
listen_in_silence(int *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* Begin to connect there, with more of a connection string. */
static void
begin(struct pg *pg, struct rung_options *options, int port, const char *more)
{
    static char database[200];
    struct rung_error err = { 0 };

    snprintf(database, sizeof database,
        "host=127.0.0.1 port=%d user=u dbname=d sslmode=disable %s", port, more);
    *options = RUNG_OPTIONS;
    options->database = database;
    assert_true(pg_connect_start(pg, options, &err));
}

static int
option(const struct pg *pg, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;

    assert_int_equal(getsockopt(PQsocket(pg->conn), level, name, &value, &size), 0);
    return value;
}

static void
a_connection_that_went_silent_is_noticed(void **state)
{
    struct rung_options options;
    struct pg pg;
    int port, fd = listen_in_silence(&port);

    (void)state;
    begin(&pg, &options, port, "");
    assert_int_equal(option(&pg, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(&pg, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    assert_int_equal(option(&pg, IPPROTO_TCP, TCP_KEEPINTVL), 10);
    assert_int_equal(option(&pg, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(option(&pg, IPPROTO_TCP, TCP_USER_TIMEOUT), 60000);
    pg_close(&pg);
    close(fd);
}

static void
the_connection_string_has_the_last_word_on_that(void **state)
{
    struct rung_options options;
    struct pg pg;
    int port, fd = listen_in_silence(&port);

    (void)state;
    begin(&pg, &options, port, "keepalives_idle=77 tcp_user_timeout=12345");
    assert_int_equal(option(&pg, IPPROTO_TCP, TCP_KEEPIDLE), 77);
    assert_int_equal(option(&pg, IPPROTO_TCP, TCP_KEEPINTVL), 10);
    assert_int_equal(option(&pg, IPPROTO_TCP, TCP_USER_TIMEOUT), 12345);
    pg_close(&pg);
    begin(&pg, &options, port, "keepalives=0");
    assert_int_equal(option(&pg, SOL_SOCKET, SO_KEEPALIVE), 0);
    pg_close(&pg);
    close(fd);
}

static void
nobody_who_is_silent_from_the_beginning_holds_us(void **state)
{
    struct rung_error err = { 0 };
    struct rung_options options;
    struct pg pg;
    int port, fd = listen_in_silence(&port);

    (void)state;
    begin(&pg, &options, port, "connect_timeout=1");
    assert_false(pg_connect_finish(&pg, &err));
    assert_int_equal(err.code, RUNG_UNREACHABLE);
    assert_string_equal(err.message, "the server did not answer within 1 s");
    pg_close(&pg);
    close(fd);
}

/* What the connection string does not say is said by us. */
static void
there_is_always_a_connect_timeout(void **state)
{
    struct rung_options options;
    struct pg pg;
    PQconninfoOption *all;
    int port, fd = listen_in_silence(&port);

    (void)state;
    unsetenv("PGCONNECT_TIMEOUT");
    begin(&pg, &options, port, "");
    all = PQconninfo(pg.conn);
    assert_non_null(all);
    for (const PQconninfoOption *o = all; o->keyword != NULL; o++)
        if (strcmp(o->keyword, "connect_timeout") == 0)
            assert_string_equal(o->val, "60");
    PQconninfoFree(all);
    pg_close(&pg);
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_that_went_silent_is_noticed),
        cmocka_unit_test(the_connection_string_has_the_last_word_on_that),
        cmocka_unit_test(nobody_who_is_silent_from_the_beginning_holds_us),
        cmocka_unit_test(there_is_always_a_connect_timeout),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
