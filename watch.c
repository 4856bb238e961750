/*
 * watch.c: a second connection that looks at what the first one waits for.
 *
 * Opened when an answer has not come for a while, to the very server that the first one
 * is connected to; then asked each second how far the statement is and who blocks it.
 * All of it is a courtesy: where it cannot be had (no connection left for our role, a
 * permission that was taken away, a view that this server does not have), the run goes
 * on without it and nobody is told.
 *
 * Invariant: nothing here waits, so a look can never hold the first connection up
 * (pg_wait polls both sockets), and between two looks no transaction is open, so no
 * snapshot of ours holds CREATE INDEX CONCURRENTLY up.
 *
 * Source: PostgreSQL manual, Progress Reporting; pg_blocking_pids in System Information
 * Functions; 34.4, Asynchronous Command Processing.
 */
#include "internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* Between the answer to one look and the next one. */
#define PAUSE_MS 1000
/* A connection or an answer that takes longer is given up. */
#define PATIENCE_MS 10000
/* Parameters of a connection: libpq 17 knows about 50. */
#define KEYWORDS 96

void
watch_open(struct watch *watch, int pid)
{
    watch_close(watch);
    watch->pid = pid;
    watch->patience_ms = WATCH_PATIENCE_MS;
}

void
watch_close(struct watch *watch)
{
    PQfinish(watch->conn);
    *watch = (struct watch){ .permille = -1 };
}

/* No more of it, for this run. */
static void
give_up(struct watch *watch)
{
    PQfinish(watch->conn);
    watch->conn = NULL;
    watch->state = WATCH_GIVEN_UP;
    watch->blocked = false;
    watch->phase[0] = '\0';
}

/* ---- connecting ----------------------------------------------------------------- */

/* What we say otherwise than the first connection did. */
static bool
is_replaced(const char *keyword)
{
    static const char *const replaced[] = { "host", "hostaddr", "port", "service",
        "servicefile", "sslpassword" };

    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++)
        if (strcmp(keyword, replaced[i]) == 0)
            return true;
    return false;
}

/* libpq itself would print it. */
static void
drop_notice(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

/*
 * Begin to connect as `watched` did, but to the server that it has found, by its
 * address: of several hosts only that one knows the process, and no name is looked up,
 * which would block.
 */
static void
start(struct watch *watch, PGconn *watched)
{
    PQconninfoOption *same = PQconninfo(watched);
    const char *keywords[KEYWORDS + 1] = { NULL }, *values[KEYWORDS + 1] = { NULL };
    const char *address = PQhostaddr(watched);
    size_t n = 0;

    /* Without a password for the client's key OpenSSL would ask for it at the terminal:
     * a wrong one fails instead, and one that is not needed is not looked at. */
    keywords[n] = "sslpassword";
    values[n++] = "-";
    keywords[n] = "host";
    values[n++] = PQhost(watched);
    keywords[n] = "port";
    values[n++] = PQport(watched);
    keywords[n] = "hostaddr";
    values[n] = address;
    n += address != NULL && address[0] != '\0';
    for (const PQconninfoOption *o = same; o != NULL && o->keyword != NULL; o++) {
        bool given = o->val != NULL && o->val[0] != '\0';

        if (given && strcmp(o->keyword, "sslpassword") == 0)
            values[0] = o->val;
        if (!given || is_replaced(o->keyword) || n == KEYWORDS)
            continue;
        keywords[n] = o->keyword;
        values[n++] = o->val;
    }
    keywords[n] = NULL;
    watch->conn = same == NULL ? NULL : PQconnectStartParams(keywords, values, 0);
    PQconninfoFree(same);
    watch->state = WATCH_CONNECTING;
    watch->polling = PGRES_POLLING_WRITING;
    watch->give_up_ms = clock_ms() + PATIENCE_MS;
    if (watch->conn == NULL || PQstatus(watch->conn) == CONNECTION_BAD)
        give_up(watch);
    else
        PQsetNoticeReceiver(watch->conn, drop_notice, NULL);
}

/* ---- what is asked -------------------------------------------------------------- */

/*
 * How far is the statement?  Only one of the views has a row for a process.  Behind the
 * phase come three pairs, done and total: which one counts depends on the phase.
 */
static const struct {
    int since; /* server_version_num */
    const char *sql;
} progress[] = {
    { 120000,
        "SELECT phase, blocks_done, blocks_total, tuples_done, tuples_total,"
        " lockers_done, lockers_total FROM pg_catalog.pg_stat_progress_create_index" },
    { 120000, "SELECT phase, heap_blks_scanned, heap_blks_total, 0, 0, 0, 0"
              " FROM pg_catalog.pg_stat_progress_cluster" },
    { 90600, "SELECT phase, heap_blks_scanned, heap_blks_total, heap_blks_vacuumed,"
             " heap_blks_total, 0, 0 FROM pg_catalog.pg_stat_progress_vacuum" },
    { 130000,
        "SELECT phase, sample_blks_scanned, sample_blks_total, ext_stats_computed,"
        " ext_stats_total, 0, 0 FROM pg_catalog.pg_stat_progress_analyze" },
    { 140000, "SELECT 'copying', bytes_processed, bytes_total, 0, 0, 0, 0"
              " FROM pg_catalog.pg_stat_progress_copy" },
};

/* The pair that says how far a phase is; the first line that fits.  NULL: is equal. */
static const struct {
    const char *part, *whole;
    int pair;
} measures[] = {
    { "waiting for", NULL, 2 },
    { "loading tuples", NULL, 1 },
    { "computing extended statistics", NULL, 1 },
    { NULL, "vacuuming heap", 1 },
    { "scanning", NULL, 0 },
    { NULL, "building index", 0 }, /* of a kind without phases of its own */
    { "acquiring", NULL, 0 },
    { NULL, "copying", 0 },
};

/*
 * Who blocks us: asked only while we wait for a lock, for the answer stops the lock
 * manager for a moment.  A prepared transaction has no process: then the pid is 0.
 */
static void
sql_blockers(PQExpBuffer sql, const struct watch *watch)
{
    appendPQExpBuffer(sql,
        "SELECT p.pid, a.application_name, a.usename, a.state,"
        " pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()"
        " OPERATOR(pg_catalog.-) a.xact_start)::pg_catalog.int8,"
        " pg_catalog.left(a.query, 100)"
        " FROM (SELECT pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS pid"
        " FROM pg_catalog.pg_stat_activity AS w WHERE w.pid OPERATOR(pg_catalog.=) %d"
        " AND w.wait_event_type OPERATOR(pg_catalog.=) 'Lock') AS p"
        " LEFT JOIN pg_catalog.pg_stat_activity AS a"
        " ON a.pid OPERATOR(pg_catalog.=) p.pid ORDER BY a.xact_start, p.pid;\n",
        watch->pid);
}

static void
sql_progress(PQExpBuffer sql, const struct watch *watch)
{
    int version = PQserverVersion(watch->conn);
    bool first = true;

    for (size_t i = 0; i < sizeof progress / sizeof *progress; i++) {
        if (version < progress[i].since)
            continue;
        appendPQExpBuffer(sql, "%s%s WHERE pid OPERATOR(pg_catalog.=) %d",
            first ? "" : " UNION ALL ", progress[i].sql, watch->pid);
        first = false;
    }
}

/* Send something of ours; the answer is read by and by. */
static void
ask(struct watch *watch, bool opening)
{
    PQExpBufferData sql;

    initPQExpBuffer(&sql);
    if (opening) {
        appendPQExpBufferStr(
            &sql, "SET ROLE NONE; SET statement_timeout = '2s'; SET lock_timeout = 0");
        if (PQserverVersion(watch->conn) >= 140000)
            appendPQExpBufferStr(&sql, "; SET idle_session_timeout = 0");
    } else {
        sql_blockers(&sql, watch);
        if (!watch->plain)
            sql_progress(&sql, watch);
    }
    watch->state = opening ? WATCH_OPENING : WATCH_ASKING;
    watch->tables = 0;
    watch->failed[0] = '\0';
    watch->give_up_ms = clock_ms() + PATIENCE_MS;
    if (PQExpBufferDataBroken(sql) || PQsendQuery(watch->conn, sql.data) == 0)
        give_up(watch);
    termPQExpBuffer(&sql);
}

/* ---- what is answered ----------------------------------------------------------- */

void
watch_describe_query(const char *query, char *text, size_t size)
{
    size_t n = 0;

    if (strncmp(query, OUR_QUERY, sizeof OUR_QUERY - 1) == 0) {
        query += sizeof OUR_QUERY - 1;
        text_format(text, size, "applying %.*s", (int)strcspn(query, "*") - 1, query);
        return;
    }
    for (; *query != '\0' && n + 1 < size; query++) {
        bool space =
            *query == '\n' || *query == '\t' || *query == '\r' || *query == ' ';

        if (!space || (n > 0 && text[n - 1] != ' '))
            text[n++] = space ? ' ' : *query;
    }
    text[n] = '\0';
}

/* ": SQL" in front of what may be missing: of others' sessions not all is shown to us.
 */
static void
describe_session(PQExpBuffer text, const PGresult *res)
{
    const char *name = PQgetvalue(res, 0, 1);

    appendPQExpBuffer(text, "blocked by pid %s (%s%suser %s", PQgetvalue(res, 0, 0),
        name, name[0] == '\0' ? "" : ", ", PQgetvalue(res, 0, 2));
    if (!PQgetisnull(res, 0, 3))
        appendPQExpBuffer(text, ", %s", PQgetvalue(res, 0, 3));
    if (!PQgetisnull(res, 0, 4))
        appendPQExpBuffer(text, ", transaction open for %s s", PQgetvalue(res, 0, 4));
    appendPQExpBufferStr(text, ")");
}

/*
 * "blocked by pid 4711 (psql, user ann, idle in transaction, transaction open for 40
 * s): SELECT 1", the oldest transaction of those that do.
 */
static void
take_blockers(struct watch *watch, const PGresult *res)
{
    PQExpBufferData text;
    char query[160];
    int n = PQntuples(res);

    watch->blocked = n > 0;
    if (n == 0)
        return;
    initPQExpBuffer(&text);
    if (strcmp(PQgetvalue(res, 0, 0), "0") == 0)
        appendPQExpBufferStr(
            &text, "blocked by a prepared transaction (pg_prepared_xacts)");
    else
        describe_session(&text, res);
    if (n > 1)
        appendPQExpBuffer(&text, ", and by %d more", n - 1);
    watch_describe_query(PQgetvalue(res, 0, 5), query, sizeof query);
    text_format(watch->blocker, sizeof watch->blocker, "%s%s%s",
        PQExpBufferDataBroken(text) ? "blocked" : text.data,
        query[0] == '\0' ? "" : ": ", query);
    termPQExpBuffer(&text);
}

/* How far is it, in thousandths?  -1: this phase does not say. */
static int
measure(const PGresult *res)
{
    const char *phase = PQgetvalue(res, 0, 0);

    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
        long long done, total;

        if (measures[i].whole != NULL ? strcmp(phase, measures[i].whole) != 0
                                      : strstr(phase, measures[i].part) == NULL)
            continue;
        done = strtoll(PQgetvalue(res, 0, 1 + 2 * measures[i].pair), NULL, 10);
        total = strtoll(PQgetvalue(res, 0, 2 + 2 * measures[i].pair), NULL, 10);
        if (total <= 0 || done < 0 || done > total)
            return -1;
        return (int)((double)done * 1000 / (double)total);
    }
    return -1;
}

static void
take_progress(struct watch *watch, const PGresult *res)
{
    watch->phase[0] = '\0';
    watch->permille = -1;
    if (PQntuples(res) != 1)
        return;
    text_format(watch->phase, sizeof watch->phase, "%s", PQgetvalue(res, 0, 0));
    watch->permille = measure(res);
}

/* The answer is there as a whole. */
static void
finish(struct watch *watch)
{
    bool opening = watch->state == WATCH_OPENING;

    watch->state = WATCH_RESTING;
    if (!opening) /* else it has been due all along */
        watch->due_ms = clock_ms() + PAUSE_MS;
    if (watch->failed[0] == '\0' || strcmp(watch->failed, "57014") == 0)
        return; /* answered, or too busy just now */
    if (opening || watch->plain)
        give_up(watch);
    watch->plain = true; /* without what this server may not have, or not show us */
}

/* Take what has come. */
static void
take(struct watch *watch)
{
    if (PQconsumeInput(watch->conn) == 0) {
        give_up(watch);
        return;
    }
    while (!PQisBusy(watch->conn)) {
        PGresult *res = PQgetResult(watch->conn);
        const char *sqlstate;

        if (res == NULL) {
            finish(watch);
            return;
        }
        sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
        if (sqlstate != NULL)
            text_format(watch->failed, sizeof watch->failed, "%s", sqlstate);
        if (PQresultStatus(res) == PGRES_TUPLES_OK && watch->tables++ == 0)
            take_blockers(watch, res);
        else if (PQresultStatus(res) == PGRES_TUPLES_OK)
            take_progress(watch, res);
        PQclear(res);
    }
}

/* ---- one turn ------------------------------------------------------------------- */

/* The handshake, as far as it goes without waiting. */
static void
shake_hands(struct watch *watch)
{
    watch->polling = PQconnectPoll(watch->conn);
    if (watch->polling == PGRES_POLLING_FAILED)
        give_up(watch);
    else if (watch->polling == PGRES_POLLING_OK
             && PQsetnonblocking(watch->conn, 1) != 0)
        give_up(watch);
    else if (watch->polling == PGRES_POLLING_OK)
        ask(watch, true);
}

/* Do what can be done now; `ready`: the socket is. */
static void
go_on(struct watch *watch, PGconn *watched, int64_t now, bool ready)
{
    bool late = !ready && now >= watch->give_up_ms;

    switch (watch->state) {
    case WATCH_CLOSED:
        if (now >= watch->due_ms)
            start(watch, watched);
        break;
    case WATCH_CONNECTING:
        if (ready)
            shake_hands(watch);
        else if (late)
            give_up(watch);
        break;
    case WATCH_OPENING:
    case WATCH_ASKING:
        if (ready)
            take(watch);
        else if (late)
            give_up(watch);
        break;
    case WATCH_RESTING:
        if (now >= watch->due_ms)
            ask(watch, false);
        break;
    case WATCH_GIVEN_UP:
        break;
    }
}

/* What the next thing to do needs the socket for. */
static struct pollfd
wanted(const struct watch *watch)
{
    struct pollfd fd = { .fd = -1 };

    switch (watch->state) {
    case WATCH_CONNECTING:
        fd.events = watch->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        break;
    case WATCH_OPENING:
    case WATCH_ASKING:
        fd.events = PQflush(watch->conn) > 0 ? POLLIN | POLLOUT : POLLIN;
        break;
    case WATCH_CLOSED:
    case WATCH_RESTING:
    case WATCH_GIVEN_UP:
        return fd;
    }
    fd.fd = PQsocket(watch->conn);
    return fd;
}

int64_t
watch_turn(struct watch *watch, PGconn *watched, int64_t asked_ms, struct pollfd *fd)
{
    int64_t now = clock_ms();

    if (watch->asked_ms != asked_ms) { /* another answer is waited for */
        watch->asked_ms = asked_ms;
        watch->due_ms = asked_ms + watch->patience_ms;
        watch->blocked = false;
        watch->phase[0] = '\0';
    }
    *fd = wanted(watch);
    go_on(watch, watched, now, fd->fd >= 0 && poll(fd, 1, 0) > 0);
    *fd = wanted(watch);
    switch (watch->state) {
    case WATCH_CLOSED:
    case WATCH_RESTING:
        return watch->due_ms - now;
    case WATCH_CONNECTING:
    case WATCH_OPENING:
    case WATCH_ASKING:
        return watch->give_up_ms - now;
    case WATCH_GIVEN_UP:
        break;
    }
    return INT64_MAX;
}

void
watch_tell(const struct watch *watch, struct rung_event *event)
{
    event->permille = -1;
    if (watch->phase[0] != '\0') {
        event->phase = watch->phase;
        event->permille = watch->permille;
    }
    if (watch->blocked)
        event->blocked_by = watch->blocker;
}
