/*
 * record.c: change what the ledger says, without running anything: stamp and repair.
 *
 * Invariant: only rows that the caller was shown are touched, all of them in one
 * transaction under the lock, and each keeps in its note why.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Who may not write the ledger is told what is missing; of two tables it is not known
 * which one it was. */
static bool
explain_denied(const struct survey *s, struct rung_error *err)
{
    if (strcmp(err->sqlstate, "42501") != 0)
        return false;
    err->code = RUNG_DRIFT;
    return s->kept.oid == 0 && ledger_denied(&s->ledger, err);
}

/* Send what was gathered as one transaction of ours. */
static bool
commit_rows(struct survey *s, PQExpBuffer rows, struct rung_error *err)
{
    PQExpBufferData sql;
    bool ok;

    initPQExpBuffer(&sql);
    appendPQExpBufferStr(&sql, "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE;\n"
                               "SET LOCAL ROLE NONE;\n");
    if (!PQExpBufferBroken(rows))
        appendPQExpBufferStr(&sql, rows->data);
    appendPQExpBufferStr(&sql, "COMMIT;\n");
    ok = PQExpBufferBroken(rows) || PQExpBufferDataBroken(sql)
             ? err_memory(err)
             : pg_query(&s->pg, sql.data, NULL, err);
    if (!ok)
        pg_roll_back(&s->pg);
    termPQExpBuffer(&sql);
    return ok || explain_denied(s, err);
}

/* What became of an unfinished file, or of an unfinished undo. */
static void
describe_unfinished(
    const struct rung_migration *m, bool completed, char *text, size_t size)
{
    bool undo = m->undone >= 0;
    long long done = undo ? m->undone : m->recorded_statements;
    unsigned long long running = chain_noted_statement(m->note);
    const char *command = undo ? "down" : "up";

    if (completed && running == 0)
        text_format(text, size, undo ? "all of it is undone" : "all of it is done");
    else if (completed)
        text_format(text, size, "statement %llu is done, `rung %s` goes on behind it",
            running, command);
    else if (running > 0)
        text_format(text, size,
            "statement %llu is not done, `rung %s` runs it (if it is done: --completed)",
            running, command);
    else
        text_format(text, size,
            "%lld of its statements %s done, `rung %s` goes on there (if all of it is "
            "done: --completed)",
            done > 0 ? done : 0, done == 1 ? "is" : "are", command);
}

static void
tell_each(const struct run *run, bool completed, struct rung_result *result)
{
    const struct rung_list *list = &run->survey.list;

    for (size_t i = 0; i < list->n; i++) {
        struct rung_event event = { .kind = RUNG_EVENT_DONE,
            .migration = &list->items[i],
            .path = list->items[i].filename };
        char text[160];

        if (list->items[i].step == RUNG_STEP_NONE)
            continue;
        if (list->items[i].state == RUNG_STATE_UNFINISHED) {
            describe_unfinished(&list->items[i], completed, text, sizeof text);
            event.message = text;
        }
        result->done++;
        event_send(run->options, &event);
    }
}

/* ---- stamp ---------------------------------------------------------------------- */

/* Every file up to the goal that has no row and is no draft becomes a step. */
static bool
plan_stamp(struct run *run, bool *work, struct rung_error *err)
{
    struct survey *s = &run->survey;
    struct rung_list *list = &s->list;

    *work = false;
    if (!survey_plan(s, RUNG_NO_VERSION, err))
        return false;
    if (run->goal.version != RUNG_NO_VERSION
        && survey_file(s, run->goal.version) == NULL)
        return err_set(err, RUNG_USAGE, "there is no migration %lld in %s",
            (long long)run->goal.version, run->options->directory);
    for (size_t i = 0; i < list->n; i++) {
        struct rung_migration *m = &list->items[i];

        /* What is stamped may well be out of order: it is not run. */
        if (m->fatal && m->state != RUNG_STATE_OUT_OF_ORDER)
            return plan_allows(list, err);
        m->step = RUNG_STEP_NONE;
        if ((m->state != RUNG_STATE_PENDING && m->state != RUNG_STATE_OUT_OF_ORDER)
            || (run->goal.version != RUNG_NO_VERSION && m->version > run->goal.version))
            continue;
        m->step = RUNG_STEP_RECORD;
        *work = true;
    }
    return true;
}

static bool
write_stamps(struct run *run, struct rung_error *err)
{
    struct survey *s = &run->survey;
    PQExpBufferData rows;
    bool ok = true;

    initPQExpBuffer(&rows);
    for (size_t i = 0; ok && i < s->list.n; i++) {
        struct sqlfile *file = survey_file(s, s->list.items[i].version);
        struct ledger_entry entry = { .version = s->list.items[i].version };

        if (s->list.items[i].step == RUNG_STEP_NONE || file == NULL)
            continue;
        entry.filename = file->name;
        entry.checksum = file->checksum;
        ledger_sql_stamp(
            &rows, &s->ledger, &entry, "stamped: recorded without running");
        ok = s->kept.oid == 0 || kept_sql_insert(&rows, &s->kept, &s->dir, file, err);
    }
    ok = ok && commit_rows(s, &rows, err);
    termPQExpBuffer(&rows);
    return ok;
}

static enum run_end
stamp_once(struct run *run, struct rung_error *err)
{
    struct rung_list *list = &run->survey.list;
    bool work, needless;

    if (!survey_open(&run->survey, run->options, false, err)
        || !plan_stamp(run, &work, err))
        return run_failed(run);
    if (work) {
        if (!run_lock(run, &needless, err) || !plan_stamp(run, &work, err)
            || !write_stamps(run, err))
            return run_failed(run);
        tell_each(run, false, run->result);
        for (size_t i = 0; i < list->n; i++)
            list->items[i].recorded |= list->items[i].step != RUNG_STEP_NONE;
    }
    run_find_newest(run);
    return RUN_DONE;
}

bool
rung_stamp(const struct rung_options *options, int64_t version,
    struct rung_result *result, struct rung_error *err)
{
    struct run run = {
        .options = options, .result = result, .goal = { .version = version }
    };

    return run_to_the_end(&run, stamp_once, err);
}

/* ---- repair --------------------------------------------------------------------- */

static bool
selected(const struct rung_repair *repair, int64_t version)
{
    for (size_t i = 0; i < repair->n; i++)
        if (repair->versions[i] == version)
            return true;
    return repair->n == 0;
}

/* A row above every file is forgotten only when it is named. */
static bool
repairable(const struct rung_migration *m, bool named)
{
    if (!m->recorded)
        return false;
    switch (m->state) {
    case RUNG_STATE_EDITED:
    case RUNG_STATE_MISSING:
    case RUNG_STATE_RENAMED:
    case RUNG_STATE_UNFINISHED:
        return true;
    case RUNG_STATE_APPLIED: /* its checksum was not recorded */
        return m->problem != NULL;
    case RUNG_STATE_NEWER:
        return named;
    case RUNG_STATE_PENDING:
    case RUNG_STATE_DRAFT:
    case RUNG_STATE_OUT_OF_ORDER:
    case RUNG_STATE_DUPLICATE:
    case RUNG_STATE_MISNAMED:
        break;
    }
    return false;
}

static bool
all_known(
    const struct survey *s, const struct rung_repair *repair, struct rung_error *err)
{
    for (size_t i = 0; i < repair->n; i++)
        if (survey_file(s, repair->versions[i]) == NULL
            && survey_row(s, repair->versions[i]) == NULL)
            return err_set(err, RUNG_USAGE,
                "there is no migration %lld in %s, nor in the ledger",
                (long long)repair->versions[i], s->options->directory);
    return true;
}

/* What was asked for and can be repaired becomes a step; what cannot is an error. */
static bool
plan_repair(struct survey *s, const struct rung_repair *repair, bool *work,
    struct rung_error *err)
{
    struct rung_list *list = &s->list;

    *work = false;
    if (!survey_plan(s, RUNG_NO_VERSION, err) || !all_known(s, repair, err))
        return false;
    for (size_t i = 0; i < list->n; i++) {
        struct rung_migration *m = &list->items[i];
        bool named = repair->n > 0;

        m->step = RUNG_STEP_NONE;
        if (!selected(repair, m->version) || m->version == RUNG_NO_VERSION)
            continue;
        if (repairable(m, named)) {
            m->step = RUNG_STEP_RECORD;
            *work = true;
        } else if (named) {
            return err_set(err, RUNG_USAGE, "%s is %s: there is nothing to repair",
                m->filename, rung_state_name(m->state));
        }
    }
    return true;
}

/* The digest of the file's first `n` statements, to the end of the last of them. */
static bool
prefix_checksum(struct survey *s, struct sqlfile *file, uint64_t n,
    char hex[CHECKSUM_BYTES], struct rung_error *err)
{
    struct source src = { .fd = -1 };
    struct reader reader = { 0 };
    struct statement stmt = { 0 };
    struct checksum *sum = checksum_new(err);
    bool found = true;
    bool ok = sum != NULL && source_open(&src, &s->dir, file, err)
              && reader_open(&reader, &src, READER_WINDOW, NULL, err);

    while (ok && found && stmt.number < n)
        ok = sql_next(&reader, &stmt, &found, err);
    if (ok && stmt.number < n)
        ok = err_set(err, RUNG_DRIFT, "%s has fewer than %llu statements", file->name,
            (unsigned long long)n);
    ok = ok && checksum_source(sum, &src, 0, n == 0 ? 0 : stmt.end, err)
         && checksum_hex(sum, hex, err);
    reader_close(&reader);
    source_close(&src);
    checksum_free(sum);
    return ok;
}

#define NOTE_BYTES 4096

/* A note of ours cannot be taken for one of chain.c's, whatever the reason says. */
static void
write_note(char note[NOTE_BYTES], const struct rung_repair *repair)
{
    text_format(note, NOTE_BYTES, "repaired: %s", repair->reason);
    note[utf8_valid(str_of(note), NULL)] = '\0'; /* where it was cut */
}

static bool
forget(const struct survey *s, struct rung_migration *m, PQExpBuffer rows)
{
    m->recorded = false;
    ledger_sql_delete(rows, &s->ledger, m->version);
    if (s->kept.oid != 0)
        kept_sql_delete(rows, &s->kept, m->version);
    return true;
}

/* A text that was kept is no longer what the ledger records. */
static bool
keep_text(
    struct survey *s, struct sqlfile *file, PQExpBuffer rows, struct rung_error *err)
{
    if (s->kept.oid == 0)
        return true;
    kept_sql_delete(rows, &s->kept, file->version);
    return !s->options->keep_source
           || kept_sql_insert(rows, &s->kept, &s->dir, file, err);
}

/*
 * Write the repair's note.  That a statement failed stays beside it: what it has left
 * behind, an INVALID index, is still to be cleared away.
 */
static void
replace_note(struct survey *s, const struct rung_repair *repair,
    const struct rung_migration *m, PQExpBuffer rows)
{
    char note[NOTE_BYTES], mark[NOTE_BYTES];

    write_note(note, repair);
    ledger_sql_note(rows, &s->ledger, m->version, note);
    if (repair->completed || chain_noted_statement(m->note) == 0)
        return;
    text_format(mark, sizeof mark, "%.*s", (int)strcspn(m->note, ";"), m->note);
    if (strstr(mark, " failed") != NULL)
        ledger_sql_mark(rows, &s->ledger, m->version, mark);
}

/*
 * An unfinished file.  Where a statement's outcome is unknown, `completed` says that it
 * did its work; otherwise that all of the file did, by hand.  Without it the row is
 * made to fit the file as it is, and `up` goes on behind the last recorded statement.
 */
static bool
repair_unfinished(struct survey *s, const struct rung_repair *repair,
    struct rung_migration *m, PQExpBuffer rows, struct rung_error *err)
{
    struct sqlfile *file = survey_file(s, m->version);
    char hex[CHECKSUM_BYTES];
    uint64_t running = chain_noted_statement(m->note);
    struct ledger_entry entry = { .version = m->version, .checksum = hex };
    char note[NOTE_BYTES];

    write_note(note, repair);
    if (m->undone >= 0) {
        if (repair->completed && running == 0)
            return forget(s, m, rows);
        ledger_sql_undone(rows, &s->ledger, m->version,
            repair->completed ? running : (uint64_t)m->undone, NULL);
        replace_note(s, repair, m, rows);
        return true;
    }
    if (file == NULL)
        return err_set(err, RUNG_BUG, "a file to settle is gone");
    entry.filename = file->name;
    if (repair->completed && running == 0) {
        entry.checksum = file->checksum;
        entry.statements = file->verdict.statements;
        ledger_sql_accept(rows, &s->ledger, &entry, note);
        return keep_text(s, file, rows, err);
    }
    entry.statements = repair->completed            ? running
                       : m->recorded_statements > 0 ? (uint64_t)m->recorded_statements
                                                    : 0;
    if (!prefix_checksum(s, file, entry.statements, hex, err))
        return false;
    ledger_sql_progress(rows, &s->ledger, &entry);
    replace_note(s, repair, m, rows);
    return true;
}

static bool
repair_row(struct survey *s, const struct rung_repair *repair, struct rung_migration *m,
    PQExpBuffer rows, struct rung_error *err)
{
    struct sqlfile *file = survey_file(s, m->version);
    struct ledger_entry entry = { .version = m->version };
    char note[NOTE_BYTES];

    if (m->state == RUNG_STATE_UNFINISHED)
        return repair_unfinished(s, repair, m, rows, err);
    if (m->state == RUNG_STATE_MISSING || m->state == RUNG_STATE_NEWER)
        return forget(s, m, rows);
    if (file == NULL)
        return err_set(err, RUNG_BUG, "a file to accept is gone");
    entry.filename = file->name;
    entry.checksum = file->checksum;
    entry.statements = (uint64_t)m->recorded_statements;
    write_note(note, repair);
    ledger_sql_accept(rows, &s->ledger, &entry, note);
    return keep_text(s, file, rows, err);
}

static bool
write_repairs(
    struct survey *s, const struct rung_repair *repair, struct rung_error *err)
{
    PQExpBufferData rows;
    bool ok = true;

    initPQExpBuffer(&rows);
    for (size_t i = 0; ok && i < s->list.n; i++)
        if (s->list.items[i].step != RUNG_STEP_NONE)
            ok = repair_row(s, repair, &s->list.items[i], &rows, err);
    ok = ok && commit_rows(s, &rows, err);
    termPQExpBuffer(&rows);
    return ok;
}

bool
rung_repair(const struct rung_options *options, const struct rung_repair *repair,
    struct rung_result *result, struct rung_error *err)
{
    struct run run = { .options = options, .result = result };
    struct survey *s = &run.survey;
    bool work, needless, ok;

    *result = (struct rung_result){ .version = RUNG_NO_VERSION };
    if (repair->reason == NULL)
        return err_set(err, RUNG_USAGE, "no reason was given");
    if (utf8_valid(str_of(repair->reason), NULL) != strlen(repair->reason))
        return err_set(err, RUNG_USAGE, "the reason is not UTF-8");
    ok = survey_open(s, options, false, err) && plan_repair(s, repair, &work, err);
    if (ok && work) {
        ok = run_lock(&run, &needless, err) && kept_look(s, err)
             && plan_repair(s, repair, &work, err);
        if (ok && work && repair->confirm != NULL
            && !repair->confirm(repair->arg, &s->list))
            ok = err_set(err, RUNG_FAILED, "nothing was repaired");
        ok = ok && write_repairs(s, repair, err);
        if (ok)
            tell_each(&run, repair->completed, result);
    }
    if (ok)
        run_find_newest(&run);
    survey_close(s);
    return ok;
}
