/*
 * lock.c: one runner at a time, and the ledger made ready under that lock.
 *
 * Invariant: nothing is held in the server between two polls, so a runner that waits
 * never stands in the way of the one that works.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_FIRST_MS 50
#define POLL_MOST_MS 500

/* Half of `ms` to the whole: runners that start together must not poll together. */
static int64_t
jitter(int64_t ms)
{
    static const uint64_t odd = UINT64_C(6364136223846793005);
    uint64_t x = ((uint64_t)clock_ms() * odd) ^ ((uint64_t)getpid() * odd);

    return ms / 2 + (int64_t)((x >> 33) % (uint64_t)(ms / 2 + 1));
}

/* What another runner does: a file's name, or the verb alone, for SQL may hold secrets.
 */
static void
describe_runner(const char *query, char *text, size_t size)
{
    if (strncmp(query, OUR_QUERY, sizeof OUR_QUERY - 1) == 0)
        watch_describe_query(query, text, size);
    else
        sql_verb(text, size, str_of(query));
}

/* The part of `res` that is not NULL, between two texts; for others' sessions some of
 * it is shown to a superuser only. */
static void
add_known(PQExpBuffer text, const PGresult *res, int column, const char *before,
    const char *after)
{
    if (!PQgetisnull(res, 0, column) && PQgetvalue(res, 0, column)[0] != '\0')
        appendPQExpBuffer(text, "%s%s%s", before, PQgetvalue(res, 0, column), after);
}

static void
describe_session(const PGresult *res, char *text, size_t size)
{
    PQExpBufferData who;

    initPQExpBuffer(&who);
    appendPQExpBuffer(&who, "pid %s (", PQgetvalue(res, 0, 0));
    add_known(&who, res, 1, "", ", ");
    appendPQExpBuffer(&who, "user %s", PQgetvalue(res, 0, 2));
    add_known(&who, res, 3, ", connected for ", " s");
    appendPQExpBufferChar(&who, ')');
    text_format(text, size, "%s", PQExpBufferDataBroken(who) ? "a runner" : who.data);
    termPQExpBuffer(&who);
}

enum lock_holder
lock_holder(
    struct survey *s, char who[LOCK_HOLDER_BYTES], char doing[LOCK_HOLDER_BYTES])
{
    PQExpBufferData sql;
    struct pg_tables tables = { .n = 0 };
    struct rung_error ignored;
    enum lock_holder holder = LOCK_HOLDER_UNKNOWN;

    who[0] = doing[0] = '\0';
    initPQExpBuffer(&sql);
    ledger_sql_holder(&sql, &s->ledger);
    if (!PQExpBufferDataBroken(sql) && pg_query(&s->pg, sql.data, &tables, &ignored)
        && tables.n == 1) {
        const PGresult *res = tables.tables[0];

        holder = PQntuples(res) > 0 ? LOCK_HOLDER_THERE : LOCK_HOLDER_NONE;
        if (holder == LOCK_HOLDER_THERE) {
            describe_session(res, who, LOCK_HOLDER_BYTES);
            describe_runner(PQgetvalue(res, 0, 4), doing, LOCK_HOLDER_BYTES);
        }
    }
    pg_tables_clear(&tables);
    termPQExpBuffer(&sql);
    return holder;
}

/* "another runner holds the lock: pid 4711 (rung, user app, connected for 12 s):
 * applying 004_x.sql" */
static void
describe_holder(struct survey *s, char *text, size_t size)
{
    char who[LOCK_HOLDER_BYTES], doing[LOCK_HOLDER_BYTES];

    (void)lock_holder(s, who, doing);
    text_format(text, size, "another runner holds the lock%s%s%s%s",
        who[0] == '\0' ? "" : ": ", who, doing[0] == '\0' ? "" : ": ", doing);
}

/* One poll.  The settings of our session go first: it is certainly ours from here on.
 */
static bool
try_lock(struct survey *s, bool *held, struct rung_error *err)
{
    PQExpBufferData sql;
    struct pg_tables tables = { .n = 0 };
    bool ok;

    initPQExpBuffer(&sql);
    session_sql_overrides(&sql, &s->pg, false, NULL);
    ledger_sql_try_lock(&sql, &s->ledger);
    ok = PQExpBufferDataBroken(sql) ? err_memory(err)
                                    : pg_query(&s->pg, sql.data, &tables, err);
    *held = ok && tables.n == 1 && PQgetvalue(tables.tables[0], 0, 0)[0] == 't';
    pg_tables_clear(&tables);
    termPQExpBuffer(&sql);
    if (!ok && s->pg.check_interval && strcmp(err->sqlstate, "22023") == 0) {
        s->pg.check_interval = false; /* not on this server's operating system */
        return try_lock(s, held, err);
    }
    return ok;
}

static bool
give_up(struct survey *s, int64_t waited, struct rung_error *err)
{
    char holder[2 * LOCK_HOLDER_BYTES + 64];

    describe_holder(s, holder, sizeof holder);
    err_set(err, RUNG_LOCKED, "%s", holder);
    if (s->options->lock_wait_ms == 0)
        return err_hint(err, "Try again later, or wait for it with --lock-wait TIME.");
    return err_hint(
        err, "Waited %lld s for it (--lock-wait).", (long long)waited / 1000);
}

/* Is there anything left for us to do? */
static bool
still_pending(struct survey *s, const struct lock_goal *goal, bool *pending,
    struct rung_error *err)
{
    *pending = true;
    if (!goal->up)
        return true;
    if (!survey_read_ledger(s, err) || !survey_plan(s, goal->version, err))
        return false;
    *pending = false;
    for (size_t i = 0; i < s->list.n; i++)
        *pending |= s->list.items[i].fatal || s->list.items[i].step != RUNG_STEP_NONE;
    return true;
}

enum lock_end
lock_take(struct survey *s, const struct lock_goal *goal, struct rung_error *err)
{
    int64_t began = clock_ms(), told = began, pause = POLL_FIRST_MS;
    bool held, pending;

    s->pg.check_interval = PQserverVersion(s->pg.conn) >= 140000;
    for (;;) {
        int64_t waited;

        if (!try_lock(s, &held, err))
            return LOCK_FAILED;
        if (held)
            return LOCK_HELD;
        waited = clock_ms() - began;
        if (s->options->lock_wait_ms >= 0 && waited >= s->options->lock_wait_ms) {
            give_up(s, waited, err);
            return LOCK_FAILED;
        }
        if (!pg_sleep(&s->pg, jitter(pause), err)
            || !still_pending(s, goal, &pending, err))
            return LOCK_FAILED;
        if (!pending)
            return LOCK_NEEDLESS;
        if (pause < POLL_MOST_MS)
            pause *= 2;
        if (clock_ms() - told >= 1000) {
            char holder[2 * LOCK_HOLDER_BYTES + 64];
            struct rung_event event = { .kind = RUNG_EVENT_WAITING, .message = holder };

            told = clock_ms();
            describe_holder(s, holder, sizeof holder);
            event.elapsed_ms = told - began;
            event_send(s->options, &event);
        }
    }
}

/* ---- the ledger under the lock -------------------------------------------------- */

/* A ledger that begins where another tool has kept its history: was that meant? */
static void
warn_of_tools(struct survey *s, const PGresult *res)
{
    for (int i = 0; i < PQntuples(res); i++) {
        const char *table = PQgetvalue(res, i, 2), *columns = PQgetvalue(res, i, 4);
        const struct foreign *tool = foreign_whose(table, foreign_listed, columns);
        struct rung_event event = { .kind = RUNG_EVENT_WARNING };
        char message[512], hint[512];

        if (tool == NULL || foreign_is_ledger(foreign_listed, columns)
            || (tool->schema == NULL && PQgetvalue(res, i, 3)[0] != 't'))
            continue;
        text_format(message, sizeof message,
            "there is %s%s%s: this database was migrated with %s, and rung begins anew",
            tool->schema == NULL ? "" : tool->schema, tool->schema == NULL ? "" : ".",
            table, tool->shared != NULL ? tool->shared : tool->name);
        text_format(hint, sizeof hint,
            "To come from there: `rung-import files --from %s SOURCE`, then `rung-import "
            "history --from %s`.",
            tool->files != NULL ? tool->files : tool->word, tool->word);
        event.message = message;
        event.hint = hint;
        event_send(s->options, &event);
    }
}

static bool
create_refused(
    const struct survey *s, const struct rung_error *refused, struct rung_error *err)
{
    char name[4 * NAME_BYTES + 8];

    *err = *refused;
    if (strcmp(refused->sqlstate, "42501") != 0
        && strcmp(refused->sqlstate, "3F000") != 0)
        return false;
    ledger_shown(&s->ledger, name, sizeof name);
    err->code = RUNG_DRIFT;
    return err_hint(err,
        "rung wanted to create its ledger %s. Grant CREATE on the schema, create "
        "the schema, or name another place with --table SCHEMA.NAME.",
        name);
}

/*
 * It was not there when it was read.  *created: by us, in this very moment, and
 * s->ledger knows it; otherwise somebody else has done it since, and it was read again.
 */
static bool
create_ledger(struct survey *s, bool *created, struct rung_error *err)
{
    PQExpBufferData sql;
    struct pg_tables tables = { .n = 0 };
    struct rung_error refused;

    if (s->ledger.schema[0] == '\0') {
        err_set(err, RUNG_DRIFT, "the search_path names no schema to create %s in",
            s->ledger.table);
        return err_hint(
            err, "Say where it belongs: --table SCHEMA.%s.", s->ledger.table);
    }
    initPQExpBuffer(&sql);
    appendPQExpBufferStr(&sql, "BEGIN READ WRITE;\nSET LOCAL ROLE NONE;\n");
    ledger_sql_create(&sql, &s->ledger);
    ledger_sql_oid(&sql, &s->ledger);
    foreign_sql_tables(&sql, NULL, NULL);
    appendPQExpBufferStr(&sql, "COMMIT;\n");
    *created = PQExpBufferDataBroken(sql)
                   ? err_memory(&refused)
                   : pg_query(&s->pg, sql.data, &tables, &refused);
    termPQExpBuffer(&sql);
    if (*created && tables.n == 2 && PQntuples(tables.tables[0]) == 1) {
        s->ledger.oid = (uint32_t)strtoul(PQgetvalue(tables.tables[0], 0, 0), NULL, 10);
        warn_of_tools(s, tables.tables[1]);
    }
    pg_tables_clear(&tables);
    if (*created)
        return true;
    pg_roll_back(&s->pg);
    if (!s->pg.cancelled && !survey_read_ledger(s, err))
        return false;
    return s->ledger.oid != 0 || create_refused(s, &refused, err);
}

static bool
inspect(struct survey *s, bool *widen, struct rung_error *err)
{
    PQExpBufferData sql;
    struct pg_tables tables = { .n = 0 };
    bool ok;

    initPQExpBuffer(&sql);
    ledger_sql_inspect(&sql, &s->ledger);
    ok = PQExpBufferDataBroken(sql) ? err_memory(err)
                                    : pg_query(&s->pg, sql.data, &tables, err);
    ok = ok && tables.n == 1 && ledger_judge(&s->ledger, tables.tables[0], widen, err);
    pg_tables_clear(&tables);
    termPQExpBuffer(&sql);
    return ok;
}

/* Whoever reads the ledger waits behind us as soon as we ask for its lock. */
static bool
try_widen(struct survey *s, struct rung_error *err)
{
    PQExpBufferData sql;
    bool ok;

    initPQExpBuffer(&sql);
    appendPQExpBuffer(&sql,
        "BEGIN READ WRITE;\nSET LOCAL ROLE NONE;\nSET LOCAL lock_timeout = %lld;\n",
        (long long)s->options->lock_timeout_ms);
    ledger_sql_widen(&sql, &s->ledger);
    appendPQExpBufferStr(&sql, "COMMIT;\n");
    ok = PQExpBufferDataBroken(sql) ? err_memory(err)
                                    : pg_query(&s->pg, sql.data, NULL, err);
    if (!ok)
        pg_roll_back(&s->pg);
    termPQExpBuffer(&sql);
    return ok;
}

static bool
widen_ledger(struct survey *s, struct rung_error *err)
{
    int64_t began = clock_ms();
    struct rung_event event = { .kind = RUNG_EVENT_WAITING,
        .message = "the ledger lacks columns, and another session has a lock on it" };

    while (!try_widen(s, err)) {
        if (strcmp(err->sqlstate, "55P03") != 0)
            return false;
        err->code = RUNG_LOCKED;
        event.elapsed_ms = clock_ms() - began;
        if (event.elapsed_ms >= s->options->lock_retry_for_ms)
            return err_hint(err, "The ledger lacks columns, and another session has a "
                                 "lock on it: try again later.");
        event_send(s->options, &event);
        if (!pg_sleep(&s->pg, jitter(2 * POLL_MOST_MS), err))
            return false;
    }
    return true;
}

bool
lock_prepare_ledger(struct survey *s, struct rung_error *err)
{
    bool created = false, widen = false;

    if (s->ledger.oid == 0 && !create_ledger(s, &created, err))
        return false;
    if (s->ledger.oid == 0)
        return err_set(err, RUNG_DRIFT, "the ledger was created and is not found");
    if (created) /* there is nothing to distrust */
        return true;
    return inspect(s, &widen, err) && (!widen || widen_ledger(s, err));
}
