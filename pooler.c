/*
 * pooler.c: what stands between us and the server?
 *
 * A pooler hands out cancel keys of its own, so PQbackendPID() is not what
 * pg_backend_pid() says.  In session mode the server's session is ours until we go, and
 * all is as without a pooler; in transaction mode every transaction may run in another
 * one, so a lock or a setting of ours would land in somebody else's.
 *
 * Invariant: session mode is believed only when a second connection has shown it; where
 * that shows nothing, it is transaction mode.  Even then each file looks whether its
 * session still holds our lock (ledger_sql_holds_lock): two poolers behind one address
 * would deceive us here, but not there.
 *
 * Source: PgBouncer manual, pool_mode; by experiment, POSTGRES.md.
 */
#include "internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* How long the second connection may wait for a session of the server's. */
#define OTHER_PATIENCE_MS 1000

/* Which backend answers on this connection? */
static bool
ask_pid(struct pg *pg, int *pid, struct rung_error *err)
{
    struct pg_tables tables = { .n = 0 };
    bool ok = pg_query(pg, "SELECT pg_catalog.pg_backend_pid()", &tables, err);

    *pid = 0;
    if (ok && tables.n == 1 && PQntuples(tables.tables[0]) == 1)
        *pid = (int)strtol(PQgetvalue(tables.tables[0], 0, 0), NULL, 10);
    pg_tables_clear(&tables);
    return ok;
}

/*
 * The other connection has asked and waits in the pooler's queue.  With transactions
 * being pooled we would queue behind it; when we are answered in front of it, our
 * session is our own.
 */
static enum pooler
overtake(struct survey *s, struct pg *other, struct rung_error *err)
{
    for (int i = 0; i < 3; i++) {
        int pid;

        if (!ask_pid(&s->pg, &pid, err))
            return POOLER_FAILED;
        if (pid != s->ledger.backend_pid)
            return POOLER_TRANSACTION;
    }
    return pg_wait(other, POLLIN, clock_ms()) == PG_TIMEOUT ? POOLER_SESSION
                                                            : POOLER_TRANSACTION;
}

/*
 * While one is idle, the other is given its session, or the next one in turn: two that
 * always meet the same two sessions, in an order without a rhythm, own them.
 */
static enum pooler
compare(struct survey *s, struct pg *other, int others, struct rung_error *err)
{
    static const char order[] = "ooaoaaoaooao"; /* a: ours, o: the other's */
    int pid;

    if (others == s->ledger.backend_pid)
        return POOLER_TRANSACTION;
    for (const char *who = order; *who != '\0'; who++) {
        struct rung_error ignored;

        if (*who == 'o' && !ask_pid(other, &pid, &ignored))
            return POOLER_TRANSACTION;
        if (*who == 'a' && !ask_pid(&s->pg, &pid, err))
            return POOLER_FAILED;
        if (pid != (*who == 'o' ? others : s->ledger.backend_pid))
            return POOLER_TRANSACTION;
    }
    return POOLER_SESSION;
}

enum pooler
pooler_detect(struct survey *s, struct rung_error *err)
{
    struct rung_options quick = *s->options;
    struct rung_error ignored;
    struct pg other;
    enum pooler pooler = POOLER_TRANSACTION;
    int pid;

    if (s->ledger.backend_pid == PQbackendPID(s->pg.conn))
        return POOLER_NONE;
    quick.wait_ms = 0;
    quick.on_event = NULL;
    if (pg_connect_start(&other, &quick, &ignored)
        && pg_connect_finish(&other, &ignored)
        && PQsendQuery(other.conn, "SELECT 1") == 1 && pg_flush(&other, &ignored)) {
        if (pg_wait(&other, POLLIN, clock_ms() + OTHER_PATIENCE_MS) == PG_TIMEOUT)
            pooler = overtake(s, &other, err);
        else if (pg_drain(&other, &ignored) && ask_pid(&other, &pid, &ignored))
            pooler = compare(s, &other, pid, err);
    }
    pg_close(&other);
    return pooler;
}

void
pooler_keep_settings(struct pg *pg)
{
    static const char *const names[] = { "application_name", "DateStyle", "TimeZone" };
    PQExpBufferData sql;
    size_t n = 0;

    initPQExpBuffer(&sql);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = PQparameterStatus(pg->conn, names[i]);

        if (value == NULL)
            continue;
        appendPQExpBuffer(&sql, "SET %s = ", names[i]);
        ledger_sql_literal(&sql, value);
        appendPQExpBufferStr(&sql, ";\n");
        n++;
    }
    if (!PQExpBufferDataBroken(sql) && sql.len < sizeof pg->after_reset) {
        memcpy(pg->after_reset, sql.data, sql.len + 1);
        pg->after_reset_n = n;
    }
    termPQExpBuffer(&sql);
}
