/*
 * batch.c: statements on their way to the server in one simple Query, and what came
 * back.
 *
 * Owns the bookkeeping between the text that is sent and the file that it came from:
 * results are counted, so the failing statement is known, and the server's error
 * position is mapped back to a byte of the file.
 *
 * Invariant: after batch_run all results have been read, whatever happened.
 *
 * Source: PostgreSQL manual 55.2.2.1, Multiple Statements in a Simple Query.
 */
#include "internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* Blocks that are still fed to a COPY after the server said something unread. */
#define COPY_DEAF_BLOCKS 16
/* A statement of more bytes than that is warned of. */
#define LARGE_STATEMENT ((size_t)64000000)

bool
batch_open(struct batch *batch, struct pg *pg, struct rung_error *err)
{
    *batch = (struct batch){ .pg = pg };
    initPQExpBuffer(&batch->text);
    return !PQExpBufferDataBroken(batch->text) || err_memory(err);
}

void
batch_close(struct batch *batch)
{
    termPQExpBuffer(&batch->text);
    free(batch->items);
    *batch = (struct batch){ 0 };
}

static bool
add_item(struct batch *batch, struct batch_item item, struct rung_error *err)
{
    if (batch->n == batch->capacity) {
        size_t capacity = batch->capacity == 0 ? 64 : 2 * batch->capacity;
        struct batch_item *items =
            realloc(batch->items, capacity * sizeof *batch->items);

        if (items == NULL)
            return err_memory(err);
        batch->items = items;
        batch->capacity = capacity;
    }
    item.file = batch->file;
    batch->items[batch->n++] = item;
    return true;
}

bool
batch_ours(struct batch *batch, enum batch_part part, size_t at, size_t count,
    struct rung_error *err)
{
    struct batch_item item = { .part = part, .at = at, .n = batch->text.len - at };

    for (size_t i = 0; i < count; i++)
        if (!add_item(batch, item, err))
            return false;
    return true;
}

bool
batch_our_text(
    struct batch *batch, enum batch_part part, const char *sql, struct rung_error *err)
{
    size_t at = batch->text.len;

    appendPQExpBufferStr(&batch->text, sql);
    appendPQExpBufferStr(&batch->text, ";\n");
    return batch_ours(batch, part, at, 1, err);
}

bool
batch_as_ourselves(struct batch *batch, struct rung_error *err)
{
    static const char *const ours[] = { "SET LOCAL SESSION AUTHORIZATION DEFAULT",
        "SET LOCAL ROLE NONE", "SET LOCAL statement_timeout = 0",
        "SET LOCAL lock_timeout = 0" };

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!batch_our_text(batch, BATCH_CLOSING, ours[i], err))
            return false;
    return true;
}

/* It is one message, and the server holds it four times over. */
static void
warn_of_size(const struct batch *batch, const struct statement *stmt)
{
    char message[128];
    struct rung_event event = { .kind = RUNG_EVENT_WARNING,
        .migration = batch->file == NULL ? NULL : batch->file->migration,
        .path = batch->file == NULL ? NULL : batch->file->src.path,
        .line = stmt->line,
        .message = message,
        .hint = "Several smaller ones, or COPY, take less." };

    text_format(message, sizeof message,
        "a statement of %zu MB takes about %zu MB of the server's memory",
        stmt->text.n / 1000000, stmt->text.n / 250000);
    event_send(batch->pg->options, &event);
}

bool
batch_statement(
    struct batch *batch, const struct statement *stmt, struct rung_error *err)
{
    struct batch_item item = { .part = BATCH_STATEMENT,
        .at = batch->text.len,
        .n = stmt->text.n,
        .number = stmt->number,
        .offset = stmt->offset,
        .line = stmt->line };

    if (stmt->text.n > LARGE_STATEMENT)
        warn_of_size(batch, stmt);
    appendBinaryPQExpBuffer(&batch->text, stmt->text.p, stmt->text.n);
    appendPQExpBufferStr(&batch->text, ";\n");
    return add_item(batch, item, err);
}

/* ---- events --------------------------------------------------------------------- */

/* May the result of this statement come in several parts? */
static bool
comes_in_parts(const struct batch *batch, const struct batch_item *item)
{
    static const char *const verbs[] = { "SELECT", "WITH", "VALUES", "TABLE", "EXECUTE",
        "COPY" };
    char verb[64];

    sql_verb(verb, sizeof verb, (struct str){ batch->text.data + item->at, item->n });
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verb, verbs[i]) == 0)
            return true;
    return false;
}

/*
 * The item that a notice comes from.  libpq hands a notice over while the result in
 * front of it still waits to be taken: then it is the next item's.
 */
static size_t
noticing_item(const struct batch *batch)
{
    size_t i = batch->done;
    bool waits; /* PQsetSingleRowMode, on already, refuses when a result waits */

    if (i >= batch->n)
        return i;
    waits = PQsetSingleRowMode(batch->pg->conn) == 0;
    if (waits && (batch->rows || !comes_in_parts(batch, &batch->items[i])))
        i++;
    return i;
}

/* The last statement that may be running: results may still be on their way. */
static uint64_t
last_running(const struct batch *batch, size_t i)
{
    uint64_t number = batch->items[i].number;

    for (size_t j = i; j < batch->n && batch->items[j].file == batch->items[i].file;
         j++)
        if (batch->items[j].number > number)
            number = batch->items[j].number;
    return number;
}

/* What runs now: the first item that has not completed.  Notices of ours are muted. */
static void
tell_place(void *arg, struct rung_event *event)
{
    const struct batch *batch = arg;
    bool notice = event->kind == RUNG_EVENT_NOTICE;
    size_t i = notice ? noticing_item(batch) : batch->done;

    const struct batch_file *file = i < batch->n ? batch->items[i].file : batch->file;

    if (file != NULL) {
        event->migration = file->migration;
        event->statements = file->statements;
        event->path = file->src.path;
        event->total_bytes = file->src.size;
    }
    while (!notice && i + 1 < batch->n && batch->items[i].part < BATCH_STATEMENT)
        i++; /* our opening is over before anybody looks */
    if (i < batch->n) {
        event->line = batch->items[i].line;
        event->statement = batch->items[i].number;
        event->statement_to = last_running(batch, i);
        event->bytes = batch->items[i].offset;
        if (batch->copied > event->bytes)
            event->bytes = batch->copied;
    }
    if (notice)
        batch->pg->quiet = i >= batch->n
                           || (batch->items[i].part != BATCH_STATEMENT
                               && batch->items[i].part != BATCH_DEFERRED);
}

/* ---- errors --------------------------------------------------------------------- */

/* The item that holds byte `at` of the text, or NULL. */
static const struct batch_item *
item_at(const struct batch *batch, size_t at)
{
    for (size_t i = 0; i < batch->n; i++)
        if (at >= batch->items[i].at && at <= batch->items[i].at + batch->items[i].n)
            return &batch->items[i];
    return NULL;
}

/*
 * The byte of the text that the server points at; STR_NONE when it does not.  Its
 * position counts characters from 1.
 *
 * Source: PostgreSQL manual, PQresultErrorField, PG_DIAG_STATEMENT_POSITION.
 */
static size_t
error_position(const struct batch *batch, const PGresult *res)
{
    const char *field = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
    unsigned long position = field == NULL ? 0 : strtoul(field, NULL, 10);

    if (position == 0)
        return STR_NONE;
    return utf8_offset((struct str){ batch->text.data, batch->text.len }, position - 1);
}

/*
 * "character with byte sequence 0xe2 0x82 0xac in encoding ..." that the database's
 * encoding lacks: the whole text is converted before any of it is parsed, so there is
 * no position, but the first one of these characters is the one.  STR_NONE: it is not
 * that.
 */
static size_t
find_untranslatable(const struct batch *batch, const struct rung_error *err)
{
    const char *at = strstr(err->message, "0x");
    char bytes[8];
    size_t n = 0;

    if (strcmp(err->sqlstate, "22P05") != 0)
        return STR_NONE;
    while (at != NULL && strncmp(at, "0x", 2) == 0 && n < sizeof bytes) {
        char *end;

        bytes[n++] = (char)strtoul(at, &end, 16);
        at = *end == ' ' ? end + 1 : end;
    }
    return n == 0 ? STR_NONE
                  : str_find((struct str){ batch->text.data, batch->text.len },
                      (struct str){ bytes, n }, 0);
}

/* Where in the file did it go wrong, as well as it can be known? */
static bool
place_error(struct batch *batch, const PGresult *res, struct rung_error *err)
{
    const struct batch_item *item =
        batch->done < batch->n ? &batch->items[batch->done] : NULL;
    size_t at = error_position(batch, res);
    const struct batch_item *pointed = at == STR_NONE ? NULL : item_at(batch, at);
    struct str sql;

    if (at == STR_NONE && batch->done == 0) {
        at = find_untranslatable(batch, err);
        pointed = at == STR_NONE ? NULL : item_at(batch, at);
    }
    /* The whole text is parsed before any of it runs: then nothing has completed. */
    if (pointed != NULL && batch->done == 0)
        item = pointed;
    if (item == NULL) {
        batch->failed = BATCH_COMMIT;
        return false;
    }
    batch->failed = item->part;
    batch->failed_statement = item->number;
    if (item->part != BATCH_STATEMENT)
        return false;
    sql = (struct str){ batch->text.data + item->at, item->n };
    if (pointed == item) {
        at -= item->at;
        if (at
            >= item->n) /* the end of the statement, or the semicolon that we added */
            at = item->n;
    } else {
        at = place_guess(sql, err->message, err->context,
            PQresultErrorField(res, PG_DIAG_INTERNAL_QUERY),
            PQresultErrorField(res, PG_DIAG_INTERNAL_POSITION));
    }
    return source_place(&item->file->src, item->offset + at, err);
}

/* ---- running -------------------------------------------------------------------- */

static bool
copy_lost(const struct pg *pg, struct rung_error *err)
{
    return err_set(err, pg_lost(pg) ? RUNG_UNREACHABLE : RUNG_FAILED,
        "the connection was lost in a COPY");
}

/* Has the server spoken while we feed it?  A notice is taken; an error is left. */
static bool
server_spoke(struct pg *pg)
{
    struct pollfd fd = { .fd = PQsocket(pg->conn), .events = POLLIN };

    return poll(&fd, 1, 0) > 0 && PQconsumeInput(pg->conn) == 1;
}

/*
 * Feed the COPY that runs.  An error of the server's is seen by the caller, in the
 * results; false is an error of ours, of the file's or of the connection's.
 */
static bool
feed_copy(struct batch *batch, struct reader *reader, struct rung_error *err)
{
    struct pg *pg = batch->pg;
    const char *abort = NULL;
    bool read_ok = true;
    int deaf = 0;

    for (struct str block;;) {
        if (!sql_copy_data(reader, &block, err)) {
            abort = "the file cannot be read";
            read_ok = false;
            break;
        }
        if (block.n == 0)
            break;
        batch->copied = reader->base + reader->at;
        if (pg_wait(pg, POLLIN | POLLOUT, clock_ms()) == PG_WOKEN)
            pg_cancel(pg); /* also where the server is faster than we are */
        if (PQputCopyData(pg->conn, block.p, (int)block.n) < 0 || !pg_flush(pg, err))
            return copy_lost(pg, err);
        if (pg->cancelled)
            abort = "cancelled";
        if (server_spoke(pg) || deaf > 0)
            deaf++;
        if (abort != NULL || deaf > COPY_DEAF_BLOCKS)
            break;
    }
    if (PQputCopyEnd(pg->conn, abort) < 0)
        return copy_lost(pg, err);
    return pg_flush(pg, err) && read_ok;
}

/* Read what a COPY ... TO STDOUT sends, and drop it. */
static bool
drop_copy(struct pg *pg, struct rung_error *err)
{
    char *row;
    int n;

    while ((n = PQgetCopyData(pg->conn, &row, 1)) >= 0) {
        PQfreemem(row);
        if (n == 0) {
            if (pg_wait(pg, POLLIN, -1) == PG_WOKEN)
                pg_cancel(pg);
            if (PQconsumeInput(pg->conn) == 0)
                return copy_lost(pg, err);
        }
    }
    return true;
}

static void
count_done(struct batch *batch)
{
    if (batch->done < batch->n && batch->items[batch->done].part == BATCH_COMMIT)
        batch->committed++;
    batch->done++;
    batch->rows = false;
}

/* COPY data that goes one way or the other, or an error. */
static void
take_copy_or_error(struct batch *batch, struct reader *reader, PGresult *res, bool *ok,
    struct rung_error *err)
{
    ExecStatusType status = PQresultStatus(res);
    struct rung_error echo = { 0 }; /* the server repeats our own abort of a COPY */
    struct rung_error *e = *ok ? err : &echo;

    if (status == PGRES_COPY_IN && reader != NULL) {
        *ok &= feed_copy(batch, reader, e);
    } else if (status == PGRES_COPY_IN) {
        PQputCopyEnd(batch->pg->conn, "the file holds no data for it");
    } else if (status == PGRES_COPY_OUT) {
        *ok &= drop_copy(batch->pg, e);
    } else if (status == PGRES_FATAL_ERROR) {
        pg_error(e, res);
        if (*ok)
            place_error(batch, res, err);
        *ok = false;
    }
}

/* Sets *ok to false, and err, for the first thing that goes wrong. */
static void
take_result(struct batch *batch, struct reader *reader, PGresult *res, bool *ok,
    struct rung_error *err)
{
    ExecStatusType status = PQresultStatus(res);

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        /* a rule with two SELECTs gives a result without a tag first */
        if (PQcmdStatus(res)[0] != '\0')
            count_done(batch);
    } else if (status == PGRES_SINGLE_TUPLE) {
        batch->rows = true;
    } else {
        take_copy_or_error(batch, reader, res, ok, err);
    }
}

static bool
run(struct batch *batch, struct reader *reader, struct rung_error *err)
{
    bool ok = true;
    PGresult *res;

    if (!pg_send(batch->pg, batch->text.data, err))
        return false;
    while (pg_next(batch->pg, &res, err)) {
        if (res == NULL)
            return ok;
        take_result(batch, reader, res, &ok, err);
        PQclear(res);
    }
    return false;
}

bool
batch_run(struct batch *batch, struct reader *reader, struct rung_error *err)
{
    struct pg *pg = batch->pg;
    bool ok;

    if (PQExpBufferDataBroken(batch->text))
        return err_memory(err);
    batch->done = batch->committed = 0;
    batch->copied = 0;
    batch->failed_statement = 0;
    pg->place = tell_place;
    pg->place_arg = batch;
    batch->rows = false;
    ok = run(batch, reader, err);
    pg->place = NULL;
    pg->quiet = true;
    if (ok && batch->done != batch->n)
        ok = err_set(err, RUNG_BUG, "%zu statements were sent and %zu answered",
            batch->n, batch->done);
    batch->n = 0;
    resetPQExpBuffer(&batch->text);
    return ok;
}
