/*
 * pg.c: one connection: open it, wait on it, send, take results and notices apart.
 *
 * Owns every wait of the library: pg_wait polls the socket, the caller's wake-up
 * descriptor and a deadline, so that cancel and progress work wherever time passes.
 * Two calls of libpq's block outside it: the lookup of host names in PQconnectStart,
 * and PQcancel, which opens a connection of its own (libpq 17 has a version that does
 * not). Knows nothing of migrations.
 *
 * Invariant: after an error of the server's all results have been read, so the
 * connection can be used again; after a lost connection pg_lost() says so.
 *
 * Source: PostgreSQL manual 34.4, Asynchronous Command Processing.
 */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* How long a server may take to answer a cancel before we leave it. */
#define CANCEL_PATIENCE_MS 10000
/* How often somebody is told that we wait. */
#define TICK_MS 1000
/* How long a server may take to let us in, unless connect_timeout says otherwise. */
#define CONNECT_TIMEOUT "60"

void
event_send(const struct rung_options *options, const struct rung_event *event)
{
    if (options->on_event != NULL)
        options->on_event(options->arg, event);
}

/* ---- waiting -------------------------------------------------------------------- */

/* Tell the caller that what runs is still running; each second. */
static void
tick(struct pg *pg)
{
    struct rung_event event = { .kind = RUNG_EVENT_PROGRESS, .permille = -1 };
    int64_t now = clock_ms();

    if (pg->place == NULL || now - pg->started_ms < TICK_MS
        || now - pg->ticked_ms < TICK_MS)
        return;
    pg->ticked_ms = now;
    pg->place(pg->place_arg, &event);
    event.elapsed_ms = now - pg->started_ms;
    if (pg->watch != NULL)
        watch_tell(pg->watch, &event);
    event_send(pg->options, &event);
}

/* How long may a poll take until somebody wants a turn? */
static int
until_next_turn(struct pg *pg, int64_t deadline_ms, struct pollfd *watch)
{
    int64_t left = TICK_MS, turn;

    if (deadline_ms >= 0 && deadline_ms - clock_ms() < left)
        left = deadline_ms - clock_ms();
    if (pg->watch != NULL && pg->place != NULL) {
        turn = watch_turn(pg->watch, pg->conn, pg->asked_ms, watch);
        left = turn < left ? turn : left;
    }
    return left < 0 ? 0 : (int)left;
}

enum pg_wait
pg_wait(struct pg *pg, short events, int64_t deadline_ms)
{
    struct pollfd fds[3] = { { .fd = -1 }, { .fd = -1 }, { .fd = -1 } };

    for (;;) {
        int ready;

        tick(pg);
        if (events != 0) {
            fds[0] = (struct pollfd){ .fd = PQsocket(pg->conn), .events = events };
            if (fds[0].fd < 0)
                return PG_READY; /* lost: the next call of libpq's says so */
        }
        fds[1] = (struct pollfd){ .fd = pg->cancelled ? -1 : pg->options->wake_fd,
            .events = POLLIN };
        ready = poll(fds, 3, until_next_turn(pg, deadline_ms, &fds[2]));
        if (ready < 0 && errno != EINTR)
            return PG_READY;
        if (ready < 0)
            continue; /* revents were not filled */
        if (fds[1].revents != 0)
            return PG_WOKEN;
        if (fds[0].revents != 0)
            return PG_READY;
        if (deadline_ms >= 0 && clock_ms() >= deadline_ms)
            return PG_TIMEOUT;
    }
}

bool
pg_go_on(const struct pg *pg, struct rung_error *err)
{
    return !pg->cancelled || err_set(err, RUNG_CANCELLED, "cancelled");
}

bool
pg_sleep(struct pg *pg, int64_t ms, struct rung_error *err)
{
    if (pg_wait(pg, 0, clock_ms() + ms) == PG_WOKEN)
        pg->cancelled = true;
    return pg_go_on(pg, err);
}

void
pg_cancel(struct pg *pg)
{
    char ignored[256];
    PGcancel *request = PQgetCancel(pg->conn);

    pg->cancelled = true;
    pg->give_up_ms = clock_ms() + CANCEL_PATIENCE_MS;
    if (request != NULL)
        PQcancel(request, ignored, sizeof ignored);
    PQfreeCancel(request);
}

/* ---- connecting ----------------------------------------------------------------- */

/* Whatever libpq says of the connection, on one line each, without the last newline. */
static bool
connection_error(const struct pg *pg, struct rung_error *err)
{
    char text[sizeof err->message];
    size_t n;

    text_format(text, sizeof text, "%s",
        pg->conn == NULL ? "out of memory" : PQerrorMessage(pg->conn));
    for (n = strlen(text); n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' ');)
        text[--n] = '\0';
    return err_set(err, RUNG_UNREACHABLE, "%s", text);
}

/* "FATAL:  53300: sorry, ...": where the SQLSTATE begins; NULL: there is none. */
static char *
find_sqlstate(char *text)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (char *at = text; (at = strstr(at, ":  ")) != NULL;) {
        at += 3;
        if (strspn(at, digits) == 5 && at[5] == ':' && at[6] == ' ')
            return at;
    }
    return NULL;
}

/* May the server that refuses us with this be had a little later? */
static bool
is_passing(const char *sqlstate)
{
    static const char *const passing[] = { "53300", /* too many connections */
        "57P03", /* starting up, shutting down, in recovery */
        "57P01", "57P02" /* shut down while we came in */ };

    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (strcmp(sqlstate, passing[i]) == 0)
            return true;
    return false;
}

/*
 * Why we were not let in.  libpq has the SQLSTATE only within a verbose text: it is
 * taken out of there, with the lines that name the server's source.  Of several hosts'
 * refusals one that may pass counts.
 *
 * Source: PostgreSQL manual, PQsetErrorVerbosity; libpq's fe-protocol3.c.
 */
static bool
connect_error(const struct pg *pg, struct rung_error *err)
{
    char *at, *line;

    connection_error(pg, err);
    while ((at = find_sqlstate(err->message)) != NULL) {
        if (!is_passing(err->sqlstate))
            text_format(err->sqlstate, sizeof err->sqlstate, "%.5s", at);
        memmove(at, at + 7, strlen(at + 7) + 1);
    }
    for (line = err->message; (line = strchr(line, '\n')) != NULL;) {
        size_t n = strcspn(line + 1, "\n");
        const char *source = strstr(line + 1, ".c:");

        if (source == NULL || source > line + n
            || source + 3 + strspn(source + 3, "0123456789") != line + 1 + n)
            line++;
        else
            memmove(line, line + 1 + n, strlen(line + 1 + n) + 1);
    }
    return false;
}

static void receive_notice(void *arg, const PGresult *res);

/* libpq takes the last of two equal keywords: ours are defaults, the string wins. */
static const char *const keywords[] = { "fallback_application_name", "keepalives_idle",
    "keepalives_interval", "keepalives_count", "tcp_user_timeout", "connect_timeout",
    "dbname", "client_encoding", NULL };

#define KEYWORDS (sizeof keywords / sizeof *keywords)

static void
keyword_values(const struct pg *pg, const char *values[KEYWORDS])
{
    values[0] = "rung";
    values[1] = "30";
    values[2] = "10";
    values[3] = "3";
    values[4] = "60000";
    values[5] = getenv("PGCONNECT_TIMEOUT") == NULL ? CONNECT_TIMEOUT : NULL;
    values[6] = pg->conninfo;
    values[7] = "UTF8";
    values[8] = NULL;
}

bool
pg_connect_step(struct pg *pg)
{
    while (pg->polling != PGRES_POLLING_OK && PQstatus(pg->conn) != CONNECTION_BAD) {
        struct pollfd fd = { .fd = PQsocket(pg->conn),
            .events = pg->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT };

        if (poll(&fd, 1, 0) != 1)
            return false;
        pg->polling = PQconnectPoll(pg->conn);
    }
    return pg->polling == PGRES_POLLING_OK;
}

/* Begin.  Where the server is near, our first packet goes at once: it gets ready while
 * we read files. */
static bool
start(struct pg *pg, struct rung_error *err)
{
    const char *values[KEYWORDS];

    keyword_values(pg, values);
    pg->conn = PQconnectStartParams(keywords, values, 1);
    if (pg->conn == NULL)
        return err_memory(err);
    PQsetNoticeReceiver(pg->conn, receive_notice, pg);
    PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE); /* for connect_error alone */
    pg->polling = PGRES_POLLING_WRITING;
    (void)pg_connect_step(pg);
    return true;
}

bool
pg_connect_start(
    struct pg *pg, const struct rung_options *options, struct rung_error *err)
{
    *pg = (struct pg){ .options = options, .quiet = true };
    if (!conninfo_check(options->database, &pg->conninfo, err))
        return false;
    return start(pg, err);
}

/* connect_timeout in milliseconds, -1 for none; PQconnectPoll leaves it to us. */
static int64_t
connect_timeout_ms(const struct pg *pg)
{
    PQconninfoOption *options = PQconninfo(pg->conn);
    long seconds = 0;

    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
        if (strcmp(o->keyword, "connect_timeout") == 0 && o->val != NULL)
            seconds = strtol(o->val, NULL, 10);
    PQconninfoFree(options);
    return seconds <= 0 ? -1 : (int64_t)seconds * 1000;
}

/* Drive the handshake to its end. */
static bool
finish(struct pg *pg, struct rung_error *err)
{
    int64_t timeout = connect_timeout_ms(pg);
    int64_t deadline = timeout < 0 ? -1 : clock_ms() + timeout;

    pg->timed_out = false;
    while (pg->polling != PGRES_POLLING_OK) {
        if (PQstatus(pg->conn) == CONNECTION_BAD)
            return connect_error(pg, err);
        switch (pg_wait(
            pg, pg->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline)) {
        case PG_WOKEN:
            pg->cancelled = true;
            return pg_go_on(pg, err);
        case PG_TIMEOUT:
            pg->timed_out = true;
            return err_set(err, RUNG_UNREACHABLE,
                "the server did not answer within %lld s", (long long)timeout / 1000);
        case PG_READY:
            break;
        }
        pg->polling = PQconnectPoll(pg->conn);
    }
    PQsetErrorVerbosity(pg->conn, PQERRORS_DEFAULT);
    if (PQsetnonblocking(pg->conn, 1) != 0)
        return connection_error(pg, err);
    return true;
}

/* Are only servers good enough that, say, take changes?  One may become such a one. */
static bool
is_choosy(const struct pg *pg)
{
    PQconninfoOption *options = PQconninfo(pg->conn);
    bool choosy = false;

    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
        if (strcmp(o->keyword, "target_session_attrs") == 0 && o->val != NULL)
            choosy = strcmp(o->val, "any") != 0;
    PQconninfoFree(options);
    return choosy;
}

/*
 * Would another attempt make sense?  Not when the server answers and refuses us: a
 * wrong password stays wrong.  Where it has not said so itself, PQping asks without
 * logging in.
 */
static bool
not_there_yet(const struct pg *pg, const struct rung_error *why)
{
    const char *values[KEYWORDS];

    if (pg->timed_out || why->sqlstate[0] != '\0')
        return pg->timed_out || is_passing(why->sqlstate);
    keyword_values(pg, values);
    switch (PQpingParams(keywords, values, 1)) {
    case PQPING_REJECT:
    case PQPING_NO_RESPONSE:
        return true;
    case PQPING_OK:
        return is_choosy(pg);
    case PQPING_NO_ATTEMPT:
        break;
    }
    return false;
}

/* Until we are let in, or waiting makes no sense. */
static bool
keep_trying(struct pg *pg, struct rung_error *err)
{
    int64_t began = clock_ms();
    bool there = false; /* it was, when it was asked after the last failure */
    struct rung_event event = { .kind = RUNG_EVENT_WAITING };

    while (!finish(pg, err)) {
        event.elapsed_ms = clock_ms() - began;
        if (err->code != RUNG_UNREACHABLE || event.elapsed_ms >= pg->options->wait_ms)
            return is_passing(err->sqlstate) && pg->options->wait_ms == 0
                       ? err_hint(err, "Try again later, or wait for it with --wait "
                                       "TIME.")
                       : false;
        event.message = strcmp(err->sqlstate, "53300") == 0
                            ? "the server has no connection left for us yet"
                            : "the server does not accept connections yet";
        if (not_there_yet(pg, err)) {
            there = false;
            event_send(pg->options, &event);
            if (!pg_sleep(pg, 250, err))
                return false;
        } else if (there || err->sqlstate[0] != '\0') {
            return false;
        } else {
            there = true; /* it may have come between the two: once more, at once */
        }
        PQfinish(pg->conn);
        pg->conn = NULL;
        if (!start(pg, err))
            return false;
    }
    return true;
}

bool
pg_connect_finish(struct pg *pg, struct rung_error *err)
{
    if (keep_trying(pg, err))
        return true;
    return err->code == RUNG_UNREACHABLE
           && conninfo_tell_tried(
               pg->conn, pg->conninfo, pg->options->database_from, err);
}

void
pg_close(struct pg *pg)
{
    PQfinish(pg->conn);
    free(pg->conninfo);
    *pg = (struct pg){ .options = pg->options };
}

bool
pg_lost(const struct pg *pg)
{
    return PQstatus(pg->conn) == CONNECTION_BAD;
}

/* ---- results -------------------------------------------------------------------- */

static const char *
field(const PGresult *res, int code)
{
    return PQresultErrorField(res, code);
}

static void
receive_notice(void *arg, const PGresult *res)
{
    struct pg *pg = arg;
    struct rung_event event = { .kind = RUNG_EVENT_NOTICE };

    if (pg->place != NULL)
        pg->place(pg->place_arg, &event); /* decides whether it is heard */
    if (pg->quiet)
        return;
    event.severity = field(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    event.message = field(res, PG_DIAG_MESSAGE_PRIMARY);
    event.detail = field(res, PG_DIAG_MESSAGE_DETAIL);
    event.hint = field(res, PG_DIAG_MESSAGE_HINT);
    event.sqlstate = field(res, PG_DIAG_SQLSTATE);
    event.kind = RUNG_EVENT_NOTICE;
    event_send(pg->options, &event);
}

static void
copy_field(char *to, size_t size, const PGresult *res, int code)
{
    const char *text = field(res, code);

    text_format(to, size, "%s", text == NULL ? "" : text);
}

bool
pg_error(struct rung_error *err, const PGresult *res)
{
    const char *message = field(res, PG_DIAG_MESSAGE_PRIMARY);

    if (message == NULL) /* libpq's own: want of memory; it ends with a newline */
        err_set(err, RUNG_FAILED, "%.*s", (int)strcspn(PQresultErrorMessage(res), "\n"),
            PQresultErrorMessage(res));
    else
        err_set(err, RUNG_FAILED, "%s", message);
    copy_field(err->sqlstate, sizeof err->sqlstate, res, PG_DIAG_SQLSTATE);
    copy_field(err->detail, sizeof err->detail, res, PG_DIAG_MESSAGE_DETAIL);
    copy_field(err->hint, sizeof err->hint, res, PG_DIAG_MESSAGE_HINT);
    copy_field(err->context, sizeof err->context, res, PG_DIAG_CONTEXT);
    return false;
}

/* Take in what comes meanwhile, or both sides would wait for ever. */
bool
pg_flush(struct pg *pg, struct rung_error *err)
{
    int queued;

    while ((queued = PQflush(pg->conn)) > 0) {
        switch (pg_wait(pg, POLLIN | POLLOUT, pg->cancelled ? pg->give_up_ms : -1)) {
        case PG_WOKEN:
            pg_cancel(pg);
            break;
        case PG_TIMEOUT:
            return err_set(
                err, RUNG_UNREACHABLE, "the server does not answer a cancel");
        case PG_READY:
            break;
        }
        if (PQconsumeInput(pg->conn) == 0)
            return connection_error(pg, err);
    }
    return queued == 0 || connection_error(pg, err);
}

bool
pg_send(struct pg *pg, const char *sql, struct rung_error *err)
{
    pg->asked_ms = clock_ms();
    if (PQsendQuery(pg->conn, sql) == 0)
        return connection_error(pg, err);
    if (PQsetSingleRowMode(pg->conn) == 0)
        return err_set(err, RUNG_BUG, "libpq refuses single row mode");
    return pg_flush(pg, err);
}

bool
pg_next(struct pg *pg, PGresult **res, struct rung_error *err)
{
    *res = NULL;
    if (!pg_flush(pg, err))
        return false;
    while (PQisBusy(pg->conn)) {
        switch (pg_wait(pg, POLLIN, pg->cancelled ? pg->give_up_ms : -1)) {
        case PG_WOKEN:
            pg_cancel(pg);
            continue;
        case PG_TIMEOUT:
            return err_set(
                err, RUNG_UNREACHABLE, "the server does not answer a cancel");
        case PG_READY:
            break;
        }
        if (PQconsumeInput(pg->conn) == 0)
            return connection_error(pg, err);
    }
    *res = PQgetResult(pg->conn);
    pg->asked_ms = clock_ms();
    if (pg_lost(pg)) {
        PQclear(*res);
        *res = NULL;
        return connection_error(pg, err);
    }
    return true;
}

bool
pg_drain(struct pg *pg, struct rung_error *err)
{
    PGresult *res;

    do {
        if (!pg_next(pg, &res, err))
            return false;
        PQclear(res);
    } while (res != NULL);
    return true;
}

void
pg_tables_clear(struct pg_tables *tables)
{
    for (size_t i = 0; i < tables->n; i++)
        PQclear(tables->tables[i]);
    tables->n = 0;
}

static bool
query_results(struct pg *pg, struct pg_tables *tables, struct rung_error *err)
{
    bool ok = true;
    PGresult *res;

    while (pg_next(pg, &res, err)) {
        ExecStatusType status = PQresultStatus(res);

        if (res == NULL)
            return ok;
        if (status == PGRES_TUPLES_OK && tables != NULL && tables->n < PG_TABLES) {
            tables->tables[tables->n++] = res;
            continue;
        }
        if (status == PGRES_FATAL_ERROR && ok)
            ok = pg_error(err, res);
        PQclear(res);
    }
    return false;
}

bool
pg_ask(struct pg *pg, const char *sql, struct rung_error *err)
{
    return PQsendQuery(pg->conn, sql) != 0 || connection_error(pg, err);
}

bool
pg_answer(struct pg *pg, struct pg_tables *tables, struct rung_error *err)
{
    bool quiet = pg->quiet;
    bool ok;

    if (tables != NULL)
        tables->n = 0;
    pg->quiet = true;
    ok = query_results(pg, tables, err);
    pg->quiet = quiet;
    if (!ok && pg->cancelled && strcmp(err->sqlstate, "57014") == 0)
        return pg_go_on(pg, err);
    return ok;
}

bool
pg_query(
    struct pg *pg, const char *sql, struct pg_tables *tables, struct rung_error *err)
{
    if (tables != NULL)
        tables->n = 0;
    return pg_ask(pg, sql, err) && pg_answer(pg, tables, err);
}

void
pg_roll_back(struct pg *pg)
{
    struct rung_error ignored;

    if (!pg_lost(pg) && PQtransactionStatus(pg->conn) != PQTRANS_IDLE)
        pg_query(pg, "ROLLBACK", NULL, &ignored);
}
