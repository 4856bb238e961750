/*
 * chain.c: one file without a transaction around it, statement by statement.
 *
 * The ledger row is there from the beginning, with applied_at NULL, and counts the
 * statements that are done.  A statement that can share a transaction with that count
 * does, so it happens exactly once.  One that cannot (CREATE INDEX CONCURRENTLY,
 * VACUUM) runs alone between a note in the row, "statement N running", and the count;
 * what became of it after a crash is settled from the catalog (settle.c).  A BEGIN ...
 * COMMIT group of the file's own is one unit.
 *
 * Invariant: when this returns or dies, `statements` is the number of statements whose
 * work is committed, but for one that a note names.  Whoever changes the row has made
 * sure, in that transaction, that it is as he left it: so two runners that lost the
 * lock cannot both count the same statement.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chain {
    struct job *job;
    const struct batch_file *file;
    struct reader reader;
    struct batch batch;
    struct checksum *sum;    /* of the whole file, by the reader */
    struct checksum *prefix; /* of the bytes up to the last completed statement */
    uint64_t prefix_end;
    uint64_t done;    /* statements that the ledger counts */
    uint64_t already; /* those of them that an earlier run did */
    bool own_timeout; /* the file has SET lock_timeout: leave that alone */
    bool half_done;   /* what failed may have committed a part of its work */
    PQExpBufferData
        beside; /* what settle_look_before found for the running statement */
};

#define DOWN_MARK "down file " /* then the checksum of a down file's prefix */
#define DOWN_MARK_BYTES (sizeof DOWN_MARK + CHECKSUM_BYTES)

/* ---- the row -------------------------------------------------------------------- */

/* Let the prefix reach to `end`, reading what lies between again. */
static bool
extend_prefix(struct chain *chain, uint64_t end, struct rung_error *err)
{
    if (!checksum_source(chain->prefix, &chain->file->src, chain->prefix_end, end, err))
        return false;
    chain->prefix_end = end;
    return true;
}

/* Into the batch, as ourselves: the lock is ours, and the row as we left it. */
static bool
add_guard(struct chain *chain, struct rung_error *err)
{
    struct job *job = chain->job;
    size_t at = chain->batch.text.len;

    ledger_sql_retake_lock(&chain->batch.text, job->ledger);
    ledger_sql_unchanged(&chain->batch.text, job->ledger, job->migration->version,
        job->undo, chain->done);
    return batch_ours(&chain->batch, BATCH_GUARD, at, 2, err);
}

/* Into the batch: `number` statements, up to byte `end`, are done. */
static bool
add_progress(struct chain *chain, uint64_t number, uint64_t end, struct rung_error *err)
{
    struct job *job = chain->job;
    char hex[CHECKSUM_BYTES], mark[DOWN_MARK_BYTES];
    struct ledger_entry entry = { .version = job->migration->version,
        .filename = job->file->name,
        .checksum = hex,
        .statements = number };
    size_t at;

    if (!batch_as_ourselves(&chain->batch, err) || !add_guard(chain, err)
        || !extend_prefix(chain, end, err) || !checksum_hex(chain->prefix, hex, err))
        return false;
    text_format(mark, sizeof mark, DOWN_MARK "%s", hex);
    at = chain->batch.text.len;
    if (job->undo)
        ledger_sql_undone(&chain->batch.text, job->ledger, entry.version, number, mark);
    else
        ledger_sql_progress(&chain->batch.text, job->ledger, &entry);
    return batch_ours(&chain->batch, BATCH_CLOSING, at, 1, err);
}

static bool
add_begin(struct chain *chain, struct rung_error *err)
{
    size_t at = chain->batch.text.len;

    appendPQExpBuffer(&chain->batch.text,
        "/* rung: %s */ BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE;\n",
        chain->job->file->name);
    return batch_ours(&chain->batch, BATCH_OPENING, at, 1, err);
}

static bool
run_commit(struct chain *chain, struct reader *reader, struct rung_error *err)
{
    return batch_our_text(&chain->batch, BATCH_COMMIT, "COMMIT", err)
           && batch_run(&chain->batch, reader, err);
}

/* Record progress in a transaction of its own. */
static bool
record(struct chain *chain, uint64_t number, uint64_t end, struct rung_error *err)
{
    if (!add_begin(chain, err) || !add_progress(chain, number, end, err)
        || !run_commit(chain, NULL, err))
        return false;
    chain->done = number;
    return true;
}

#define TEXT_MARK_DIGITS 16 /* of the SHA-256 of a statement's text */

static bool
text_mark(
    const struct statement *stmt, char mark[CHECKSUM_BYTES], struct rung_error *err)
{
    struct checksum *sum = checksum_new(err);
    bool ok = sum != NULL && checksum_update(sum, stmt->text, err)
              && checksum_hex(sum, mark, err);

    checksum_free(sum);
    mark[TEXT_MARK_DIGITS] = '\0';
    return ok;
}

/*
 * Say in the row which statement runs, and as what, or which one failed; beside which
 * indexes; and of a down file what its completed statements were.
 */
static bool
write_mark(struct chain *chain, const struct statement *stmt, bool running,
    struct rung_error *err)
{
    const struct job *job = chain->job;
    PQExpBufferData mark;
    char hex[CHECKSUM_BYTES], text[CHECKSUM_BYTES];
    size_t at;
    bool ok = add_begin(chain, err) && batch_as_ourselves(&chain->batch, err)
              && add_guard(chain, err) && checksum_hex(chain->prefix, hex, err)
              && text_mark(stmt, text, err);

    initPQExpBuffer(&mark);
    appendPQExpBuffer(&mark, "statement %llu ", (unsigned long long)stmt->number);
    if (ok && running)
        appendPQExpBuffer(&mark, "running as %s", text);
    else
        appendPQExpBufferStr(&mark, "failed");
    if (chain->beside.len > 0)
        appendPQExpBuffer(&mark, " beside %s", chain->beside.data);
    if (ok && job->undo && chain->done > 0)
        appendPQExpBuffer(&mark, "; " DOWN_MARK "%s", hex);
    if (ok && (PQExpBufferDataBroken(mark) || PQExpBufferDataBroken(chain->beside)))
        ok = err_memory(err);
    at = chain->batch.text.len;
    if (ok)
        ledger_sql_mark(
            &chain->batch.text, job->ledger, job->migration->version, mark.data);
    termPQExpBuffer(&mark);
    return ok && batch_ours(&chain->batch, BATCH_CLOSING, at, 1, err)
           && run_commit(chain, NULL, err);
}

enum note {
    NOTE_NONE,
    NOTE_RUNNING, /* a runner ended while it ran */
    NOTE_FAILED
};

/* Step over `text`, if the note goes on with it. */
static bool
note_has(const char **note, const char *text)
{
    if (strncmp(*note, text, strlen(text)) != 0)
        return false;
    *note += strlen(text);
    return true;
}

uint64_t
chain_noted_statement(const char *note)
{
    return note != NULL && note_has(&note, "statement ") ? strtoull(note, NULL, 10) : 0;
}

/*
 * What does the row's note say of this statement?  *text: the mark of what ran, empty
 * where that is not there; *beside: as settle.c wants it.
 */
static enum note
noted(
    const struct ledger_row *row, uint64_t number, struct str *text, struct str *beside)
{
    const char *at = row == NULL || row->note == NULL ? "" : row->note;
    enum note note = NOTE_NONE;
    char *end;

    *text = *beside = (struct str){ at, 0 };
    if (!note_has(&at, "statement ") || strtoull(at, &end, 10) != number)
        return NOTE_NONE;
    at = end;
    if (note_has(&at, " running"))
        note = NOTE_RUNNING;
    else if (note_has(&at, " failed"))
        note = NOTE_FAILED;
    if (note_has(&at, " as ")) {
        *text = (struct str){ at, strspn(at, "0123456789abcdef") };
        at += text->n;
    }
    if (note_has(&at, " beside ")) {
        *beside = (struct str){ at, strspn(at, "0123456789,") };
        at += beside->n;
    }
    return *at == '\0' || note_has(&at, "; ") ? note : NOTE_NONE;
}

/* The checksum that it has of a down file's completed statements; NULL: none. */
static const char *
noted_prefix(const struct ledger_row *row)
{
    const char *at = row->note == NULL ? "" : row->note;

    if (strncmp(at, "statement ", 10) == 0) {
        at += strcspn(at, ";");
        note_has(&at, "; ");
    }
    return note_has(&at, DOWN_MARK)
                   && strspn(at, "0123456789abcdef") == CHECKSUM_BYTES - 1
               ? at
               : NULL;
}

/* ---- the beginning and the end --------------------------------------------------- */

/* The role that runs the file. */
static bool
add_role(struct chain *chain, struct rung_error *err)
{
    PQExpBuffer text = &chain->batch.text;
    const char *role = chain->job->options->role;
    size_t at = text->len;

    appendPQExpBufferStr(text, role == NULL ? "RESET ROLE" : "SET ROLE ");
    if (role != NULL)
        ledger_sql_literal(text, role);
    appendPQExpBufferStr(text, ";\n");
    return batch_ours(&chain->batch, BATCH_OPENING, at, 1, err);
}

static bool
add_statement_timeout(struct chain *chain, struct rung_error *err)
{
    const struct job *job = chain->job;
    char sql[64];

    text_format(sql, sizeof sql, "SET statement_timeout = %lld",
        (long long)directives_statement_timeout_ms(
            &job->file->verdict.directives, job->options));
    return batch_our_text(&chain->batch, BATCH_OPENING, sql, err);
}

/*
 * Behind DISCARD ALL, RESET ALL and the like: what it took from the session that was
 * ours.  The lock comes back with the record.
 */
static bool
add_lost(struct chain *chain, const struct statement *stmt, struct rung_error *err)
{
    bool may = stmt->traits.kind == SQL_SET || stmt->traits.kind == SQL_ALONE;
    enum session_loss loss = may ? session_loss(stmt->text) : SESSION_KEEPS;
    size_t at = chain->batch.text.len, n = 0;

    if (loss == SESSION_LOSES_SETTINGS || loss == SESSION_LOSES_BOTH) {
        chain->own_timeout = false;
        session_sql_overrides(&chain->batch.text, chain->job->pg, false, &n);
        if (!batch_ours(&chain->batch, BATCH_OPENING, at, n, err)
            || !add_statement_timeout(chain, err))
            return false;
    } else if (stmt->traits.to_default) {
        session_sql_lexing(&chain->batch.text, false, &n);
        if (!batch_ours(&chain->batch, BATCH_OPENING, at, n, err))
            return false;
    }
    return loss == SESSION_KEEPS || loss == SESSION_LOSES_SETTINGS
           || chain->job->options->role == NULL || add_role(chain, err);
}

static bool
begin(struct chain *chain, const struct ledger_row *row, struct rung_error *err)
{
    struct job *job = chain->job;
    struct batch *batch = &chain->batch;
    size_t at, n = 0;
    char empty[CHECKSUM_BYTES];
    struct ledger_entry entry = { .version = job->migration->version,
        .filename = job->file->name,
        .checksum = empty };

    if (!session_mend(job->pg, err) || !checksum_hex(chain->prefix, empty, err)
        || !add_begin(chain, err))
        return false;
    at = batch->text.len;
    session_sql_reset(&batch->text, job->pg, &n);
    ledger_sql_holds_lock(&batch->text, job->ledger);
    appendPQExpBufferStr(&batch->text, "SET ROLE NONE;\n");
    if (!batch_ours(batch, BATCH_OPENING, at, n + 2, err))
        return false;
    at = batch->text.len;
    if (row != NULL)
        ledger_sql_unchanged(
            &batch->text, job->ledger, entry.version, job->undo, chain->done);
    if (row != NULL && !batch_ours(batch, BATCH_GUARD, at, 1, err))
        return false;
    at = batch->text.len;
    if (job->undo && row->undone < 0)
        ledger_sql_undone(&batch->text, job->ledger, entry.version, 0, NULL);
    else if (!job->undo && row == NULL)
        ledger_sql_insert(&batch->text, job->ledger, &entry, false, NULL);
    if (batch->text.len > at && !batch_ours(batch, BATCH_ROW, at, 1, err))
        return false;
    if (!job->undo && row == NULL && !apply_keep(job, batch, err))
        return false;
    return add_role(chain, err) && add_statement_timeout(chain, err)
           && run_commit(chain, NULL, err);
}

static bool
finish(struct chain *chain, int64_t began, struct rung_error *err)
{
    struct job *job = chain->job;
    char hex[CHECKSUM_BYTES];
    struct ledger_entry entry = { .version = job->migration->version,
        .filename = job->file->name,
        .checksum = job->file->checksum,
        .statements = job->file->verdict.statements };
    size_t at;

    if (!checksum_hex(chain->sum, hex, err))
        return false;
    if (strcmp(hex, job->file->checksum) != 0)
        return err_set(
            err, RUNG_FAILED, "%s changed while it was read", job->file->name);
    if (!add_begin(chain, err) || !batch_as_ourselves(&chain->batch, err)
        || !add_guard(chain, err))
        return false;
    at = chain->batch.text.len;
    if (job->undo)
        ledger_sql_delete(&chain->batch.text, job->ledger, entry.version);
    else
        ledger_sql_finish(&chain->batch.text, job->ledger, &entry, clock_ms() - began);
    return batch_ours(&chain->batch, BATCH_CLOSING, at, 1, err)
           && (!job->undo || apply_keep(job, &chain->batch, err))
           && run_commit(chain, NULL, err);
}

/* ---- statements ------------------------------------------------------------------ */

static int64_t
lock_timeout_ms(const struct chain *chain)
{
    return directives_lock_timeout_ms(
        &chain->job->file->verdict.directives, chain->job->options);
}

/* For the transaction that has just begun, unless the file has its own idea of it. */
static bool
add_lock_timeout(struct chain *chain, struct rung_error *err)
{
    int64_t ms = lock_timeout_ms(chain);
    char sql[64];

    text_format(sql, sizeof sql, "SET LOCAL lock_timeout = %lld", (long long)ms);
    return chain->own_timeout || batch_our_text(&chain->batch, BATCH_OPENING, sql, err);
}

/* Does it set lock_timeout for the session? */
static bool
sets_lock_timeout(const struct statement *stmt)
{
    static const char name[] = "lock_timeout";
    size_t n = sizeof name - 1;

    for (size_t at = 0;
         stmt->traits.session == SQL_SESSION_SET && at + n <= stmt->text.n; at++)
        if (str_eq_fold(str_slice(stmt->text, at, at + n), str_of(name)))
            return true;
    return false;
}

/* One that can share a transaction with its count. */
static bool
run_shared(struct chain *chain, const struct statement *stmt, struct rung_error *err)
{
    bool copy = stmt->traits.kind == SQL_COPY_IN;
    uint64_t number = stmt->number, end = stmt->end;

    if (!add_begin(chain, err) || !add_lock_timeout(chain, err)
        || !batch_statement(&chain->batch, stmt, err) || !add_lost(chain, stmt, err))
        return false;
    chain->own_timeout |= sets_lock_timeout(stmt);
    if (copy && !batch_run(&chain->batch, &chain->reader, err))
        return false;
    if (!add_progress(chain, number, end, err) || !run_commit(chain, NULL, err))
        return false;
    chain->done = number;
    return true;
}

/*
 * Does everybody who reads or writes wait behind it, from when it asks for its lock?
 * What works CONCURRENTLY, and a plain VACUUM, keep nobody waiting.
 */
static bool
keeps_all_waiting(const struct statement *stmt)
{
    static const struct lexer lexer = { .more = false };
    struct cursor c = cursor_at(&lexer, stmt->text);

    if (stmt->traits.concurrently)
        return false;
    if (cursor_match(&c, "CLUSTER|REINDEX"))
        return true;
    if (!cursor_match(&c, "VACUUM"))
        return false;
    while (!cursor_ended(&c) && !cursor_is(&c, "FULL"))
        cursor_step(&c);
    return !cursor_ended(&c);
}

/* It refuses a transaction, so its lock_timeout is the session's while it runs. */
static bool
add_session_lock_timeout(struct chain *chain, int64_t ms, struct rung_error *err)
{
    char sql[64];

    text_format(sql, sizeof sql, "SET lock_timeout = %lld", (long long)ms);
    return batch_our_text(&chain->batch, BATCH_OPENING, sql, err);
}

/* Our cancel may come too late for the statement, and hit its record. */
static bool
record_surely(struct chain *chain, const struct statement *stmt, struct rung_error *err)
{
    struct rung_error first;

    if (record(chain, stmt->number, stmt->end, &first))
        return true;
    if (chain->job->pg->cancelled && strcmp(first.sqlstate, "57014") == 0
        && pg_query(chain->job->pg, "ROLLBACK", NULL, err))
        return record(chain, stmt->number, stmt->end, err);
    *err = first;
    return false;
}

/*
 * Its runner ended while a statement ran; is this still that one?  Nobody can find in
 * the catalog what became of a text that is gone.
 */
static bool
check_same_text(struct chain *chain, const struct statement *stmt,
    struct str noted_text, struct rung_error *err)
{
    char mark[CHECKSUM_BYTES];

    if (!text_mark(stmt, mark, err))
        return false;
    if (noted_text.n == 0 || str_eq(noted_text, str_of(mark)))
        return true;
    err_set(err, RUNG_DRIFT,
        "statement %llu of %s was edited, and whether it had been completed as it was "
        "before is not known: its runner ended while it ran",
        (unsigned long long)stmt->number, chain->job->file->name);
    err_hint(err,
        "Put it back as it was and run `rung up`. Or look for its work and take away "
        "what is left of it; then `rung repair %lld --reason TEXT`, or, where the edited "
        "one need not run, the same with --completed.",
        (long long)chain->job->migration->version);
    return source_place(&chain->file->src, stmt->offset, err);
}

/* One that refuses a transaction. */
static bool
run_alone(struct chain *chain, const struct statement *stmt,
    const struct ledger_row *row, struct rung_error *err)
{
    struct batch *batch = &chain->batch;
    struct str text, beside;
    enum note note = noted(row, stmt->number, &text, &beside);
    bool limited = !chain->own_timeout && keeps_all_waiting(stmt);
    bool ok;

    resetPQExpBuffer(&chain->beside);
    if (note == NOTE_RUNNING && !check_same_text(chain, stmt, text, err))
        return false;
    if (note != NOTE_NONE) {
        switch (settle_statement(chain->job->pg, stmt, note == NOTE_RUNNING, beside,
            chain->job->file->name, err)) {
        case SETTLED_DONE:
            return record_surely(chain, stmt, err);
        case SETTLED_FAILED:
            return false;
        case SETTLED_RUN:
            break;
        }
    }
    if (!settle_look_before(chain->job->pg, stmt, &chain->beside, err)
        || !write_mark(chain, stmt, true, err)
        || (limited
            && !(add_session_lock_timeout(chain, lock_timeout_ms(chain), err)
                 && batch_run(batch, NULL, err)))
        || !batch_statement(batch, stmt, err))
        return false;
    ok = batch_run(batch, NULL, err);
    if (ok && !settle_check_index(chain->job->pg, stmt, err)) {
        /* It ran: the note stays, and the next run settles what became of it. */
        batch->failed_statement = stmt->number;
        batch->failed = BATCH_STATEMENT;
        return source_place(&chain->file->src, stmt->offset, err);
    }
    if (!ok) {
        uint64_t failed = batch->failed_statement;
        struct rung_error ignored;

        /* Only what the server itself refused, or cancelled, is known to have failed.
         */
        if (!pg_lost(chain->job->pg) && err->sqlstate[0] != '\0')
            write_mark(chain, stmt, false, &ignored);
        batch->failed_statement = failed > 0 ? failed : stmt->number;
        batch->failed = BATCH_STATEMENT;
        return false;
    }
    return (!limited || add_session_lock_timeout(chain, 0, err))
           && add_lost(chain, stmt, err)
           && (batch->n == 0 || batch_run(batch, NULL, err))
           && record_surely(chain, stmt, err);
}

/*
 * CALL and DO may commit by themselves, and a REINDEX or CLUSTER of a partitioned table
 * refuses a transaction, which its text does not show.  Tried together with their count
 * first: then they happen exactly once.  The server refuses the ones that must run
 * alone (2D000, 25001) before anything of theirs stays.
 */
static bool
run_tried(struct chain *chain, const struct statement *stmt,
    const struct ledger_row *row, struct rung_error *err)
{
    struct rung_error first = { 0 };
    struct str text, beside;

    if (noted(row, stmt->number, &text, &beside) != NOTE_RUNNING) {
        if (run_shared(chain, stmt, &first))
            return true;
        if ((strcmp(first.sqlstate, "2D000") != 0
                && strcmp(first.sqlstate, "25001") != 0)
            || chain->batch.failed_statement != stmt->number || pg_lost(chain->job->pg)
            || !pg_query(chain->job->pg, "ROLLBACK", NULL, &first)) {
            *err = first;
            return false;
        }
    }
    if (run_alone(chain, stmt, row, err))
        return true;
    chain->half_done = stmt->traits.kind == SQL_CALL;
    return false;
}

/*
 * A BEGIN ... COMMIT of the file's own: the count goes in front of its COMMIT.  Where
 * it ends in ROLLBACK or may not write, the count follows it: running it twice does no
 * harm.
 */
static bool
run_group(struct chain *chain, struct statement *stmt, struct rung_error *err)
{
    struct batch *batch = &chain->batch;
    bool read_only = stmt->traits.read_only;
    bool found = true;

    while (
        found && stmt->traits.kind != SQL_COMMIT && stmt->traits.kind != SQL_ROLLBACK) {
        bool copy = stmt->traits.kind == SQL_COPY_IN;

        read_only |= stmt->traits.read_only;
        if (!batch_statement(batch, stmt, err) || !add_lost(chain, stmt, err)
            || (stmt->traits.kind == SQL_BEGIN && !add_lock_timeout(chain, err)))
            return false;
        chain->own_timeout |= sets_lock_timeout(stmt);
        if ((copy || stmt->traits.lexing != SQL_LEXING_SAME
                || batch->text.len >= BATCH_BYTES)
            && (!batch_run(batch, &chain->reader, err)
                || !session_same_lexing(chain->job->pg, &chain->reader, err)))
            return false;
        if (!sql_next(&chain->reader, stmt, &found, err))
            return false;
    }
    if (!found)
        return err_set(err, RUNG_BUG, "a group without its end passed the judge");
    if (stmt->traits.kind == SQL_ROLLBACK || read_only)
        return batch_statement(batch, stmt, err) && batch_run(batch, NULL, err)
               && record(chain, stmt->number, stmt->end, err);
    if (!batch_our_text(batch, BATCH_DEFERRED, "SET CONSTRAINTS ALL IMMEDIATE", err)
        || !add_progress(chain, stmt->number, stmt->end, err)
        || !batch_statement(batch, stmt, err) || !batch_run(batch, NULL, err))
        return false;
    chain->done = stmt->number;
    return true;
}

/*
 * A statement that an earlier run completed: only its settings are needed again, or
 * that a DISCARD ALL took them back.
 */
static bool
replay(struct chain *chain, const struct statement *stmt, struct rung_error *err)
{
    bool discard = stmt->traits.kind == SQL_ALONE
                   && session_loss(stmt->text) == SESSION_LOSES_BOTH;
    size_t at = chain->batch.text.len, n = 0;

    if (discard) {
        session_sql_reset(&chain->batch.text, chain->job->pg, &n);
        return batch_ours(&chain->batch, BATCH_OPENING, at, n, err)
               && add_lost(chain, stmt, err) && batch_run(&chain->batch, NULL, err);
    }
    if (stmt->traits.session != SQL_SESSION_SET)
        return true;
    chain->own_timeout |= sets_lock_timeout(stmt);
    return batch_statement(&chain->batch, stmt, err) && add_lost(chain, stmt, err)
           && batch_run(&chain->batch, NULL, err);
}

static bool
run_statements(
    struct chain *chain, const struct ledger_row *row, struct rung_error *err)
{
    struct statement stmt;
    bool found, ok;

    for (;;) {
        if (!pg_go_on(chain->job->pg, err)
            || !sql_next(&chain->reader, &stmt, &found, err))
            return false;
        if (!found)
            return true;
        if (stmt.number <= chain->already)
            ok = replay(chain, &stmt, err);
        else if (stmt.traits.kind == SQL_BEGIN)
            ok = run_group(chain, &stmt, err);
        else if (stmt.traits.kind == SQL_ALONE)
            ok = run_alone(chain, &stmt, row, err);
        else if (stmt.traits.kind == SQL_CALL || stmt.traits.kind == SQL_ORDINARY)
            ok = run_tried(chain, &stmt, row, err);
        else
            ok = run_shared(chain, &stmt, err);
        if (!ok)
            return false;
        if (stmt.number < chain->job->file->verdict.statements
            && !session_same_lexing(chain->job->pg, &chain->reader, err))
            return false;
    }
}

/* ---- resuming -------------------------------------------------------------------- */

static bool
cannot_resume(const struct chain *chain, const struct statement *stmt, const char *what,
    struct rung_error *err)
{
    err_set(err, RUNG_DRIFT, "%s cannot be resumed: this %s was lost with its session",
        chain->job->file->name, what);
    err_hint(err,
        "Do by hand what is left of the file, from statement %llu on; then `rung repair "
        "%lld --completed --reason TEXT`.",
        (unsigned long long)chain->done + 1, (long long)chain->job->migration->version);
    return source_place(&chain->file->src, stmt->offset, err);
}

/* Are the first `done` statements the ones that ran?  And can the rest do with them? */
static bool
check_prefix(struct chain *chain, const struct ledger_row *row, struct rung_error *err)
{
    struct statement stmt = { 0 };
    struct reader reader = { 0 };
    const char *recorded = chain->job->undo ? noted_prefix(row) : row->checksum;
    char hex[CHECKSUM_BYTES];
    bool found, ok;

    ok = reader_open(&reader, &chain->file->src, READER_WINDOW, NULL, err);
    while (ok && stmt.number < chain->done) {
        ok = sql_next(&reader, &stmt, &found, err);
        if (!ok || !found)
            break;
        if (stmt.traits.session == SQL_SESSION_TEMPORARY)
            ok = cannot_resume(chain, &stmt, "temporary table", err);
        else if (stmt.traits.session == SQL_SESSION_PREPARED)
            ok = cannot_resume(chain, &stmt, "prepared statement", err);
        else if (stmt.traits.session == SQL_SESSION_LISTEN)
            ok = cannot_resume(chain, &stmt, "LISTEN", err);
    }
    ok = ok && extend_prefix(chain, chain->done == 0 ? 0 : stmt.end, err)
         && checksum_hex(chain->prefix, hex, err);
    reader_close(&reader);
    /* An undo of which nothing is done, or that was repaired, has none. */
    if (!ok || recorded == NULL || strncmp(hex, recorded, CHECKSUM_BYTES - 1) == 0)
        return ok;
    err_set(err, RUNG_DRIFT,
        "%s was edited where it has already run, up to statement %llu",
        chain->job->file->name, (unsigned long long)chain->done);
    return err_hint(err,
        "Put them back as they were; what follows them may be changed. Or settle it with "
        "`rung repair %lld --reason TEXT`.",
        (long long)chain->job->migration->version);
}

/* ---- the whole ------------------------------------------------------------------- */

static void
tell_outcome(const struct chain *chain, struct rung_error *err)
{
    unsigned long long stopped = chain->batch.failed_statement;
    int n;

    if (chain->done == chain->job->file->verdict.statements) {
        text_format(err->outcome, sizeof err->outcome,
            "every statement of %s is done, but not its end recorded",
            chain->job->file->name);
        return;
    }
    n = snprintf(err->outcome, sizeof err->outcome,
        "%s stopped at statement %llu of %llu", chain->job->file->name,
        stopped > 0 ? stopped : (unsigned long long)chain->done + 1,
        (unsigned long long)chain->job->file->verdict.statements);
    if (n > 0 && (size_t)n < sizeof err->outcome && chain->done > 0)
        text_format(err->outcome + n, sizeof err->outcome - (size_t)n,
            "; the %llu before %s done and recorded", (unsigned long long)chain->done,
            chain->done == 1 ? "is" : "are");
}

static bool
run(struct chain *chain, const struct ledger_row *row, struct rung_error *err)
{
    struct job *job = chain->job;
    int64_t began = clock_ms();

    chain->sum = checksum_new(err);
    if (chain->sum == NULL)
        return false;
    chain->prefix = checksum_new(err);
    if (chain->prefix == NULL)
        return false;
    if (row != NULL)
        chain->done = job->undo ? (row->undone > 0 ? (uint64_t)row->undone : 0)
                                : (row->statements > 0 ? (uint64_t)row->statements : 0);
    chain->already = chain->done;
    chain->batch.file = chain->file;
    return reader_open(
               &chain->reader, &chain->file->src, READER_WINDOW, chain->sum, err)
           && begin(chain, row, err) && (row == NULL || check_prefix(chain, row, err))
           && run_statements(chain, row, err) && finish(chain, began, err);
}

/* What has committed a part of its work runs again only when somebody wants it to. */
static enum apply_end
refuse_retry(struct rung_error *err)
{
    err->code = RUNG_FAILED;
    if (err->hint[0] == '\0')
        err_hint(err, "What it committed before that stays, and it will run from its "
                      "beginning: see that it can.");
    return APPLY_FAILED;
}

enum apply_end
chain_file(struct job *job, const struct ledger_row *row, struct rung_error *err)
{
    struct batch_file file = { .src = { .fd = -1 },
        .migration = job->migration,
        .statements = job->file->verdict.statements };
    struct chain chain = { .job = job, .file = &file };
    int64_t began = clock_ms();
    enum apply_end end = APPLY_DONE;
    bool ok;

    initPQExpBuffer(&chain.beside);
    job->pg->started_ms = began;
    ok = batch_open(&chain.batch, job->pg, err)
         && source_open(&file.src, job->dir, job->file, err) && run(&chain, row, err);
    job->duration_ms = clock_ms() - began;
    job->advanced = chain.done > chain.already;
    if (!ok && err->code == RUNG_DRIFT) {
        end = APPLY_FAILED;
    } else if (!ok) {
        end = apply_sort_error(job, &chain.batch, err);
        if (end == APPLY_RETRY && chain.half_done)
            end = refuse_retry(err);
        if (err->path[0] == '\0' && file.src.path != NULL)
            text_format(err->path, sizeof err->path, "%s", file.src.path);
        tell_outcome(&chain, err);
    }
    if (!ok)
        pg_roll_back(job->pg);
    batch_close(&chain.batch);
    reader_close(&chain.reader);
    source_close(&file.src);
    checksum_free(chain.sum);
    checksum_free(chain.prefix);
    termPQExpBuffer(&chain.beside);
    return end;
}
