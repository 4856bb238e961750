/*
 * apply.c: a file and its ledger row into one database, in one transaction.
 *
 * The transaction is an opening (modes, session reset, timeouts), the ledger row (whose
 * key is the lock of that version), the file, and a close (the row again, COMMIT).  All
 * of it streams: statements travel in batches, a large file never lies in memory.
 *
 * Invariant: COMMIT is sent only behind a statement that fails unless the ledger row is
 * there, and only after the bytes that were read have the checksum that it records.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* A file that shares a Query with others is no larger; together they fit a batch. */
#define PACK_FILE_BYTES KIB(16)
#define ROW_WAIT_MS 1000

/* Our own business with the ledger, as ourselves. */
static bool
is_ours(enum batch_part part)
{
    return part == BATCH_ROW || part == BATCH_GUARD || part == BATCH_CLOSING;
}

#define WITHOUT_TRANSACTION                                                            \
    "Write `-- rung: no-transaction` above the first statement, or give it a file of " \
    "its own that says so."

/*
 * What the server refuses because rung runs the file in one transaction, and only shows
 * when it runs (a DO that commits): say how the file can do without.
 */
static void
hint_transaction(struct rung_error *err)
{
    static const struct {
        const char *sqlstate, *hint;
    } hints[] = {
        { "25001", WITHOUT_TRANSACTION },
        { "2D000", WITHOUT_TRANSACTION },
        { "55P04", "Add the value in a file of its own, numbered below this one." },
    };
    size_t n = strlen(err->hint);

    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (strcmp(err->sqlstate, hints[i].sqlstate) == 0)
            text_format(err->hint + n, sizeof err->hint - n, "%s%s", n == 0 ? "" : "  ",
                hints[i].hint);
}

enum apply_end
apply_sort_error(
    const struct job *job, const struct batch *batch, struct rung_error *err)
{
    const char *state = err->sqlstate;

    if (pg_lost(job->pg)) {
        err->code = RUNG_UNREACHABLE;
        return APPLY_REREAD;
    }
    if (job->pg->cancelled) {
        err->code = RUNG_CANCELLED;
        return APPLY_FAILED;
    }
    if (batch->failed == BATCH_ROW
        && (strcmp(state, "23505") == 0 || strcmp(state, "22012") == 0)) {
        err->code = RUNG_DRIFT; /* should the row never be seen */
        return APPLY_REREAD;    /* another runner was first */
    }
    if (is_ours(batch->failed) && strcmp(state, "42501") == 0) {
        ledger_denied(job->ledger, err);
        return APPLY_FAILED;
    }
    if (batch->failed == BATCH_ROW
        && (strncmp(state, "42", 2) == 0 || strncmp(state, "22", 2) == 0
            || strncmp(state, "23", 2) == 0)) {
        err->code = RUNG_DRIFT; /* the ledger's own doing: another type, another name */
        return APPLY_FAILED;
    }
    if (batch->failed == BATCH_ROW && strcmp(state, "55P03") == 0) {
        err_set(err, RUNG_LOCKED, "another runner is at %s", job->migration->filename);
        return APPLY_BUSY;
    }
    if ((batch->failed == BATCH_OPENING || batch->failed == BATCH_GUARD)
        && strcmp(state, "22012") == 0) {
        err_set(err, RUNG_LOCKED,
            "the advisory lock was lost, so another runner may be at work: taking it and "
            "reading the ledger again");
        return APPLY_REREAD;
    }
    if (strcmp(state, "55P03") == 0 || strcmp(state, "40P01") == 0
        || strcmp(state, "40001") == 0) {
        err->code = RUNG_LOCKED;
        return APPLY_RETRY;
    }
    if ((batch->failed == BATCH_CLOSING || batch->failed == BATCH_GUARD)
        && (strcmp(state, "22012") == 0 || strncmp(state, "42", 2) == 0)) {
        char name[4 * NAME_BYTES + 8], path[sizeof err->path];

        ledger_shown(job->ledger, name, sizeof name);
        memcpy(path, err->path, sizeof path);
        err_set(err, RUNG_FAILED, "the file drops, replaces or empties the ledger %s",
            name);
        err_hint(err, "Take that statement out, or keep the ledger elsewhere: --table "
                      "SCHEMA.NAME.");
        memcpy(err->path, path, sizeof path);
        return APPLY_FAILED;
    }
    if (batch->failed == BATCH_DEFERRED && err->context[0] == '\0')
        text_format(err->context, sizeof err->context,
            "at the end of the file, where deferred constraints and triggers run");
    if (!job->file->verdict.no_transaction)
        hint_transaction(err);
    return APPLY_FAILED;
}

/* The timeouts of the file's transaction. */
static bool
add_timeouts(const struct job *job, struct batch *batch, struct rung_error *err)
{
    const struct directives *directives = &job->file->verdict.directives;
    size_t at = batch->text.len;

    appendPQExpBuffer(&batch->text,
        "SET LOCAL lock_timeout = %lld;\nSET LOCAL statement_timeout = %lld;\n",
        (long long)directives_lock_timeout_ms(directives, job->options),
        (long long)directives_statement_timeout_ms(directives, job->options));
    return batch_ours(batch, BATCH_OPENING, at, 2, err);
}

/*
 * How long to wait at a stretch for another runner that is at this very row: then
 * --lock-wait is looked at, whatever the file says of locks.
 */
static int64_t
row_wait_ms(const struct job *job)
{
    int64_t ms =
        directives_lock_timeout_ms(&job->file->verdict.directives, job->options);

    if (ms == 0 || ms > ROW_WAIT_MS)
        ms = ROW_WAIT_MS;
    if (job->options->lock_wait_ms >= 0 && job->options->lock_wait_ms < ms)
        ms = job->options->lock_wait_ms > 0 ? job->options->lock_wait_ms : 1;
    return ms;
}

/* The transaction, or between two files of one: nothing of the last one is left. */
static bool
add_opening(
    const struct job *job, struct batch *batch, bool first, struct rung_error *err)
{
    const struct verdict *verdict = &job->file->verdict;
    PQExpBuffer text = &batch->text;
    size_t at = text->len, n = 0;

    appendPQExpBuffer(text, "/* rung: %s */ ", job->file->name);
    if (first) {
        appendPQExpBuffer(text,
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE%s%s;\n",
            verdict->modes[0] == '\0' ? "" : ", ", verdict->modes);
        n++;
    }
    if (job->pooled) {
        session_sql_overrides(text, job->pg, true, &n);
    } else {
        session_sql_reset(text, job->pg, &n);
        ledger_sql_holds_lock(text, job->ledger);
        n++;
    }
    appendPQExpBuffer(text, "SET LOCAL ROLE NONE;\nSET LOCAL lock_timeout = %lld;\n",
        (long long)row_wait_ms(job));
    return batch_ours(batch, BATCH_OPENING, at, n + 2, err);
}

bool
apply_keep(const struct job *job, struct batch *batch, struct rung_error *err)
{
    size_t at = batch->text.len;

    if (job->kept == NULL)
        return true;
    if (job->undo)
        kept_sql_delete(&batch->text, job->kept, job->migration->version);
    else if (!kept_sql_insert(&batch->text, job->kept, job->dir, job->file, err))
        return false;
    return batch->text.len == at || batch_ours(batch, BATCH_OPENING, at, 1, err);
}

/*
 * Without the advisory lock `up` and `down` would pass each other: is the ledger still
 * as our plan wants it, and does it stay so?
 */
static bool
add_order(const struct job *job, struct batch *batch, struct rung_error *err)
{
    size_t at = batch->text.len;
    bool first = !job->undo && job->below == RUNG_NO_VERSION;

    ledger_sql_lock_table(&batch->text, job->ledger);
    if (job->undo)
        ledger_sql_is_newest(&batch->text, job->ledger, job->migration->version);
    else if (!first)
        ledger_sql_is_there(&batch->text, job->ledger, job->below);
    return batch_ours(batch, BATCH_ROW, at, first ? 1 : 2, err);
}

/* The row: an INSERT that nobody else can make, or the DELETE of an undo. */
static bool
add_row(const struct job *job, struct batch *batch, struct rung_error *err)
{
    struct ledger_entry entry = { .version = job->migration->version,
        .filename = job->file->name,
        .checksum = job->file->checksum,
        .statements = job->file->verdict.statements };
    size_t at;

    if (job->pooled && !add_order(job, batch, err))
        return false;
    at = batch->text.len;
    if (job->begun)
        ledger_sql_unchanged(&batch->text, job->ledger, entry.version, false, 0);
    if (job->undo || job->begun)
        ledger_sql_delete(&batch->text, job->ledger, entry.version);
    if (!job->undo)
        ledger_sql_insert(&batch->text, job->ledger, &entry, true, NULL);
    return batch_ours(batch, BATCH_ROW, at, job->begun ? 3 : 1, err)
           && apply_keep(job, batch, err);
}

static bool
add_role(const struct job *job, struct batch *batch, struct rung_error *err)
{
    size_t at = batch->text.len;

    if (job->options->role == NULL)
        return batch_our_text(batch, BATCH_OPENING, "SET LOCAL role TO DEFAULT", err);
    appendPQExpBufferStr(&batch->text, "SET LOCAL ROLE ");
    ledger_sql_literal(&batch->text, job->options->role);
    appendPQExpBufferStr(&batch->text, ";\n");
    return batch_ours(batch, BATCH_OPENING, at, 1, err);
}

/* Behind RESET ALL and the like: what it took from the session that was ours. */
static bool
add_lost(const struct job *job, struct batch *batch, const struct statement *stmt,
    struct rung_error *err)
{
    enum session_loss loss =
        stmt->traits.kind == SQL_SET ? session_loss(stmt->text) : SESSION_KEEPS;
    size_t at = batch->text.len, n = 0;

    if (loss == SESSION_LOSES_SETTINGS) {
        session_sql_overrides(&batch->text, job->pg, job->pooled, &n);
        return batch_ours(batch, BATCH_OPENING, at, n, err)
               && add_timeouts(job, batch, err);
    }
    if (stmt->traits.to_default) {
        session_sql_lexing(&batch->text, job->pooled, &n);
        return batch_ours(batch, BATCH_OPENING, at, n, err);
    }
    return loss == SESSION_KEEPS || job->options->role == NULL
           || add_role(job, batch, err);
}

/* Through a transaction pooler the session is somebody else's next: leave nothing. */
static bool
add_tidying(struct batch *batch, unsigned left_behind, struct rung_error *err)
{
    static const struct {
        enum sql_session what;
        const char *sql;
    } remedies[] = { { SQL_SESSION_TEMPORARY, "DISCARD TEMP" },
        { SQL_SESSION_PREPARED, "DEALLOCATE ALL" },
        { SQL_SESSION_LISTEN, "UNLISTEN *" } };

    for (size_t i = 0; i < sizeof remedies / sizeof *remedies; i++)
        if ((left_behind & 1u << remedies[i].what) != 0
            && !batch_our_text(batch, BATCH_CLOSING, remedies[i].sql, err))
            return false;
    return batch_our_text(batch, BATCH_CLOSING, "RESET SESSION AUTHORIZATION", err)
           && batch_our_text(batch, BATCH_CLOSING, "RESET ROLE", err)
           && batch_our_text(batch, BATCH_CLOSING, "RESET ALL", err);
}

/* Deferred constraints first: there the file's own role and search_path still hold. */
static bool
add_closing(const struct job *job, struct batch *batch, unsigned left_behind, bool last,
    struct rung_error *err)
{
    struct ledger_entry entry = { .version = job->migration->version,
        .filename = job->file->name,
        .checksum = job->file->checksum,
        .statements = job->file->verdict.statements };
    size_t at;

    if (last
        && !batch_our_text(batch, BATCH_DEFERRED, "SET CONSTRAINTS ALL IMMEDIATE", err))
        return false;
    if (job->pooled && !add_tidying(batch, left_behind, err))
        return false;
    if (!batch_as_ourselves(batch, err))
        return false;
    at = batch->text.len;
    if (job->undo)
        ledger_sql_absent(&batch->text, job->ledger, entry.version);
    else
        ledger_sql_finish(&batch->text, job->ledger, &entry, -1);
    if (!batch_ours(batch, BATCH_CLOSING, at, 1, err))
        return false;
    return !last || batch_our_text(batch, BATCH_COMMIT, "COMMIT", err);
}

/* Between two batches: the transaction must still be ours and open. */
static bool
run_part(const struct job *job, struct batch *batch, struct reader *reader,
    struct rung_error *err)
{
    if (!batch_run(batch, reader, err))
        return false;
    if (PQtransactionStatus(job->pg->conn) != PQTRANS_INTRANS) {
        err_set(err, RUNG_FAILED, "the file left the transaction that rung runs it in");
        return err_hint(err,
            "Something it calls ends transactions. Put `-- rung: no-transaction` at "
            "its top, if each of its statements may be committed by itself.");
    }
    return session_same_lexing(job->pg, reader, err) && pg_go_on(job->pg, err);
}

/*
 * Every statement of the file, in batches; what is left stays in `batch`.  *left_behind
 * gets a bit for each kind of session state (1 << SQL_SESSION_...) that it makes.
 */
static bool
send_statements(const struct job *job, struct batch *batch, struct reader *reader,
    unsigned *left_behind, struct rung_error *err)
{
    struct statement stmt;
    bool found;

    for (;;) {
        bool cut;

        if (!sql_next(reader, &stmt, &found, err))
            return false;
        if (!found)
            return true;
        if (verdict_skips(&job->file->verdict, &stmt))
            continue;
        *left_behind |= 1u << stmt.traits.session;
        cut = stmt.traits.kind == SQL_COPY_IN || stmt.traits.lexing != SQL_LEXING_SAME;
        if (!batch->whole && batch->n > 0
            && batch->text.len + stmt.text.n > BATCH_BYTES + KIB(64)
            && !run_part(job, batch, reader, err))
            return false;
        if (!batch_statement(batch, &stmt, err) || !add_lost(job, batch, &stmt, err))
            return false;
        if ((cut || (!batch->whole && batch->text.len >= BATCH_BYTES))
            && !run_part(job, batch, reader, err))
            return false;
    }
}

/* Are the bytes that were just read and sent the ones that will be recorded? */
static bool
same_bytes(const struct job *job, const struct checksum *sum, struct rung_error *err)
{
    char hex[CHECKSUM_BYTES];

    if (!checksum_hex(sum, hex, err))
        return false;
    return strcmp(hex, job->file->checksum) == 0
           || err_set(
               err, RUNG_FAILED, "%s changed while it was read", job->file->name);
}

/* One file of the transaction; the last one brings the COMMIT. */
static bool
add_file(const struct job *job, struct batch *batch, struct batch_file *file,
    bool first, bool last, struct rung_error *err)
{
    struct reader reader = { 0 };
    struct checksum *sum = checksum_new(err);
    unsigned left_behind = 0;
    bool ok = sum != NULL && source_open(&file->src, job->dir, job->file, err)
              && reader_open(&reader, &file->src, READER_WINDOW, sum, err);

    file->migration = job->migration;
    file->statements = job->file->verdict.statements;
    batch->file = file;
    ok = ok && add_opening(job, batch, first, err) && add_row(job, batch, err)
         && add_timeouts(job, batch, err) && add_role(job, batch, err)
         && send_statements(job, batch, &reader, &left_behind, err)
         && same_bytes(job, sum, err) && add_closing(job, batch, left_behind, last, err)
         && (last || run_part(job, batch, &reader, err));
    reader_close(&reader);
    checksum_free(sum);
    return ok;
}

static bool
run_file(const struct job *job, struct batch *batch, bool first, bool last,
    struct rung_error *err)
{
    struct batch_file file = { .src = { .fd = -1 } };
    bool ok = add_file(job, batch, &file, first, last, err)
              && (!last || batch_run(batch, NULL, err));

    if (!ok && err->path[0] == '\0' && file.src.path != NULL)
        text_format(err->path, sizeof err->path, "%s", file.src.path);
    batch->file = NULL;
    source_close(&file.src);
    return ok;
}

/* "006_x.sql was rolled back at statement 3 of 8" */
static void
tell_outcome(
    const struct job *job, size_t n, const struct batch *batch, struct rung_error *err)
{
    char files[300];

    text_format(files, sizeof files, n == 1 ? "%s was" : "%s and the others were",
        job->file->name);
    if (pg_lost(job->pg)) { /* its COMMIT may have arrived */
        text_format(err->outcome, sizeof err->outcome,
            "%s interrupted, and whether it is applied only the ledger knows", files);
        return;
    }
    if (batch->failed_statement > 0)
        text_format(err->outcome, sizeof err->outcome,
            "%s rolled back at statement %llu of %llu", files,
            (unsigned long long)batch->failed_statement,
            (unsigned long long)job->file->verdict.statements);
    else
        text_format(err->outcome, sizeof err->outcome, "%s rolled back", files);
}

enum apply_end
apply_files(struct job *jobs, size_t n, struct rung_error *err)
{
    struct pg *pg = jobs[0].pg;
    struct batch batch = { 0 };
    int64_t began = clock_ms();
    enum apply_end end = APPLY_DONE;
    size_t i = 0;
    bool ok = batch_open(&batch, pg, err) && session_mend(pg, err);

    pg->started_ms = began;
    while (ok && i < n) {
        ok = run_file(&jobs[i], &batch, i == 0, i + 1 == n, err);
        i += ok;
    }
    jobs[0].duration_ms = clock_ms() - began;
    if (!ok) {
        end = apply_sort_error(&jobs[i], &batch, err);
        tell_outcome(&jobs[i], n, &batch, err);
        pg_roll_back(pg);
    }
    batch_close(&batch);
    return end;
}

/* ---- several files in one Query ------------------------------------------------- */

bool
apply_fits_pack(const struct sqlfile *file)
{
    return file->bytes != NULL && file->size <= PACK_FILE_BYTES
           && !file->verdict.no_transaction && file->verdict.in_one_piece;
}

enum apply_end
apply_pack(struct job *jobs, size_t n, size_t *done, struct rung_error *err)
{
    struct pg *pg = jobs[0].pg;
    struct batch batch = { 0 };
    struct batch_file *files = calloc(n, sizeof *files);
    int64_t began = clock_ms();
    enum apply_end end = APPLY_DONE;
    bool ok = files != NULL ? batch_open(&batch, pg, err) && session_mend(pg, err)
                            : err_memory(err);

    pg->started_ms = began;
    batch.whole = true;
    for (size_t i = 0; files != NULL && i < n; i++)
        files[i].src.fd = -1;
    for (size_t i = 0; ok && i < n; i++)
        ok = add_file(&jobs[i], &batch, &files[i], true, true, err);
    ok = ok && batch_run(&batch, NULL, err);
    *done = batch.committed;
    jobs[0].duration_ms = clock_ms() - began;
    if (!ok) {
        end = apply_sort_error(&jobs[0], &batch, err);
        end = end == APPLY_REREAD || pg->cancelled ? end : APPLY_RETRY;
        if (end == APPLY_FAILED && *done < n)
            tell_outcome(&jobs[*done], 1, &batch, err);
        pg_roll_back(pg);
    }
    for (size_t i = 0; files != NULL && i < n; i++)
        source_close(&files[i].src);
    free(files);
    batch_close(&batch);
    return end;
}
