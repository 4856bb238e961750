/*
 * step.c: run one step of a plan, try it again where that is safe, and report it.
 *
 * What `up` and `down` share: the lock, the retries after a lock_timeout or a deadlock,
 * and the way back after a lost connection, which is always the same one: connect again
 * and read the ledger.
 *
 * Invariant: what is applied is known from the ledger alone.  Nothing here guesses what
 * became of a file whose answer did not arrive.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* How long a server may take to come back in the middle of a run. */
#define RECONNECT_WAIT_MS 60000
#define STANDBY_PAUSE_MS 500
/* A transaction that ran longer than this is not tried again by itself. */
#define RETRY_ATTEMPT_MS 30000
#define RETRY_FIRST_MS 100
#define RETRY_MOST_MS 5000
/* So many files share a Query at most, and so much text of ours goes with each. */
#define PACK_MOST 64
#define PACK_OWN_BYTES ((size_t)2560)
/* Their work may take so many round trips, and so many times more of them are tried. */
#define PACK_TRIPS 7
#define PACK_GROWTH 4
/* Connections that may be lost one after another without any progress. */
#define LOST_MOST 3
/* How often the ledger is read again that says the same each time. */
#define VAIN_MOST 3

/* ---- reporting ------------------------------------------------------------------ */

void
run_tell_done(struct run *run, struct rung_migration *migration, int64_t elapsed_ms)
{
    struct rung_event event = { .kind = RUNG_EVENT_DONE,
        .migration = migration,
        .path = migration->filename,
        .elapsed_ms = elapsed_ms,
        .statements = migration->statements };

    run->result->done++;
    run->lost = 0;
    run->in_flight = RUNG_NO_VERSION;
    event_send(run->options, &event);
    migration->recorded = migration->step != RUNG_STEP_UNDO;
    migration->state = migration->recorded ? RUNG_STATE_APPLIED : RUNG_STATE_PENDING;
}

void
run_find_newest(struct run *run)
{
    const struct rung_list *list = &run->survey.list;

    run->result->version = RUNG_NO_VERSION;
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].recorded && list->items[i].version > run->result->version)
            run->result->version = list->items[i].version;
}

/* The digits a file name begins with, as people know the version. */
static struct str
number_of(const char *filename)
{
    return (struct str){ filename, strspn(filename, "0123456789") };
}

/*
 * A full disk, too little memory, an I/O error: the file is not to blame.
 *
 * Source: PostgreSQL manual, appendix A, classes 53 and 58.
 */
static bool
is_servers_own(const char *sqlstate)
{
    return strncmp(sqlstate, "53", 2) == 0 || strncmp(sqlstate, "58", 2) == 0;
}

/* What to do then; of a ledger and a file that disagree the hint says it. */
static const char *
advice(const struct run *run, const struct rung_error *err)
{
    if (err->code == RUNG_DRIFT)
        return "";
    if (run->advice != NULL && run->result->done > 0)
        return run->advice;
    if (err->code == RUNG_CANCELLED || err->code == RUNG_LOCKED
        || err->code == RUNG_UNREACHABLE || is_servers_own(err->sqlstate))
        return run->goal.up ? " Run `rung up` again." : " Run `rung down` again.";
    return run->goal.up ? " Fix the file and run `rung up`."
                        : " Fix the down file and run `rung down`.";
}

static bool
is_standing(const struct rung_migration *m)
{
    return m->state == RUNG_STATE_APPLIED
           || (m->state != RUNG_STATE_UNFINISHED && m->recorded
               && m->applied_at_us != RUNG_NO_TIME);
}

/* "001-003, 005": what is applied, with its gaps.  Returns how many. */
static size_t
list_standing(const struct rung_list *list, char *text, size_t size)
{
    struct str first = { 0 }, last = { 0 };
    size_t n = 0, at = 0;

    for (size_t i = 0; i <= list->n; i++) {
        if (i < list->n && is_standing(&list->items[i])) {
            last = number_of(list->items[i].filename);
            if (first.n == 0)
                first = last;
            n++;
            continue;
        }
        if (first.n == 0)
            continue;
        if (size - at < 64) { /* no number has more than 18 digits */
            text_format(text + at, size - at, " and others");
            break;
        }
        text_format(text + at, size - at, "%s%.*s%s%.*s", at > 0 ? ", " : "",
            (int)first.n, first.p, first.p == last.p ? "" : "-",
            first.p == last.p ? 0 : (int)last.n, last.p);
        at += strlen(text + at);
        first.n = 0;
    }
    return n;
}

/* "; 001-005 are applied. Fix the file and run `rung up`." */
static void
tell_standing(const struct run *run, struct rung_error *err)
{
    char applied[400] = "nothing";
    size_t n = list_standing(&run->survey.list, applied, sizeof applied);
    size_t at = strlen(err->outcome);

    text_format(err->outcome + at, sizeof err->outcome - at, "%s%s %s applied%s.%s",
        at == 0 ? "" : "; ", applied, n < 2 ? "is" : "are",
        at > 0 && pg_lost(&run->survey.pg) ? " before it" : "", advice(run, err));
}

/* ---- one step ------------------------------------------------------------------- */

bool
run_check_pooled(const struct run *run, const struct rung_migration *migration,
    const struct sqlfile *file, struct rung_error *err)
{
    if (!run->pooled || !file->verdict.no_transaction)
        return true;
    err_set(err, RUNG_FAILED,
        "%s runs without a transaction, which is not safe through a connection pooler",
        migration->filename);
    return err_hint(err,
        "Give rung a direct connection to the server: -d, or DATABASE_URL for this "
        "command only.");
}

/*
 * A file that began without a transaction, and has been made one that runs in one.
 * Where nothing of it is done yet, its row makes way; else there is no way back.
 */
static bool
check_begun(const struct ledger_row *row, struct job *job, struct rung_error *err)
{
    int64_t done;

    if (row == NULL || (!job->undo && row->applied_at_us != RUNG_NO_TIME))
        return true;
    done = job->undo ? row->undone : row->statements;
    job->begun = !job->undo;
    if (done <= 0)
        return true;
    err_set(err, RUNG_DRIFT,
        "%s began without a transaction, %lld of its statements are done, and now it "
        "asks for one",
        job->file->name, (long long)done);
    return err_hint(err,
        "Let it go on as it began, with `-- rung: no-transaction`; if that changes what "
        "has run, then after `rung repair %lld --reason TEXT`.",
        (long long)job->migration->version);
}

static enum apply_end
run_once(struct run *run, struct job *job, size_t n, struct rung_error *err)
{
    if (job->file->verdict.no_transaction)
        return chain_file(job, survey_row(&run->survey, job->migration->version), err);
    for (size_t i = 0; i < n; i++)
        if (!check_begun(
                survey_row(&run->survey, job[i].migration->version), &job[i], err))
            return APPLY_FAILED;
    return apply_files(job, n, err);
}

/*
 * When is a second connection worth it?  Later than after two seconds nobody could say
 * who blocks a statement that gives up by then.
 */
static int64_t
patience_of(const struct run *run, const struct sqlfile *file)
{
    int64_t ms = directives_lock_timeout_ms(&file->verdict.directives, run->options);

    return ms == 0 || ms >= WATCH_PATIENCE_MS + 1000 ? WATCH_PATIENCE_MS
           : ms < 300                                ? 100
                                                     : ms / 3;
}

/* Run it once, with an eye on who blocks it; the error names him. */
static enum apply_end
run_watched(struct run *run, struct job *job, size_t n, struct rung_error *err)
{
    struct watch *watch = &run->watch;
    enum apply_end end;

    watch->blocker[0] = '\0';
    watch->patience_ms = patience_of(run, job->file);
    end = run_once(run, job, n, err);
    watch->patience_ms = WATCH_PATIENCE_MS;
    if (end == APPLY_RETRY && strcmp(err->sqlstate, "55P03") == 0
        && watch->blocker[0] != '\0' && err->detail[0] == '\0')
        text_format(err->detail, sizeof err->detail, "%s", watch->blocker);
    return end;
}

/* Name what stopped us, and wait a little. */
static bool
back_off(struct run *run, const struct rung_migration *migration, enum apply_end end,
    int64_t waited, int64_t *pause, const struct rung_error *why,
    struct rung_error *err)
{
    struct rung_event event = { .kind = end == APPLY_BUSY ? RUNG_EVENT_WAITING
                                                          : RUNG_EVENT_RETRY,
        .migration = migration,
        .path = migration->filename,
        .message = why->message,
        .detail = why->detail[0] == '\0' ? NULL : why->detail,
        .elapsed_ms = end == APPLY_BUSY ? waited : *pause };

    event_send(run->options, &event);
    if (!pg_sleep(&run->survey.pg, *pause, err))
        return false;
    if (*pause < RETRY_MOST_MS)
        *pause *= 2;
    return survey_read_ledger(&run->survey, err);
}

static enum apply_end
try_step(struct run *run, struct job *job, size_t n, struct rung_error *err)
{
    int64_t began = clock_ms(), pause = RETRY_FIRST_MS;
    enum apply_end end;

    while ((end = run_watched(run, job, n, err)) == APPLY_RETRY || end == APPLY_BUSY) {
        struct rung_error why = *err;
        int64_t patience = end == APPLY_BUSY ? run->options->lock_wait_ms
                                             : run->options->lock_retry_for_ms;

        if (job->advanced) { /* that is another statement's lock */
            began = clock_ms();
            pause = RETRY_FIRST_MS;
        }
        if (end == APPLY_RETRY && !job->file->verdict.no_transaction
            && job->duration_ms > RETRY_ATTEMPT_MS)
            break;
        if (patience >= 0 && clock_ms() - began >= patience)
            break;
        if (!back_off(run, job->migration, end, clock_ms() - began, &pause, &why, err))
            return pg_lost(job->pg) ? APPLY_REREAD : APPLY_FAILED;
    }
    return end;
}

/* The newest row that is numbered below `version`, as far as we know. */
static int64_t
find_below(const struct rung_list *list, int64_t version)
{
    int64_t below = RUNG_NO_VERSION;

    for (size_t i = 0; i < list->n && list->items[i].version < version; i++)
        if (list->items[i].recorded)
            below = list->items[i].version;
    return below;
}

static struct job
make_job(struct run *run, const struct rung_migration *migration, struct sqlfile *file)
{
    return (struct job){ .pg = &run->survey.pg,
        .ledger = &run->survey.ledger,
        .kept = run->survey.kept.oid != 0 ? &run->survey.kept : NULL,
        .options = run->options,
        .dir = &run->survey.dir,
        .file = file,
        .migration = migration,
        .undo = migration->step == RUNG_STEP_UNDO,
        .pooled = run->pooled,
        .below = run->pooled ? find_below(&run->survey.list, migration->version)
                             : RUNG_NO_VERSION };
}

/* One more that travels with the others, in order.  Returns how many there are. */
static size_t
add_job(struct run *run, struct job *jobs, size_t n,
    const struct rung_migration *migration, struct sqlfile *file)
{
    jobs[n] = make_job(run, migration, file);
    if (n > 0)
        jobs[n].below = jobs[n - 1].migration->version;
    return n + 1;
}

static void
tell_start(struct run *run, const struct rung_migration *migration, uint64_t statements)
{
    struct rung_event start = { .kind = RUNG_EVENT_START,
        .migration = migration,
        .path = migration->filename,
        .statements = statements };

    event_send(run->options, &start);
    if (run->in_flight == RUNG_NO_VERSION) {
        run->in_flight = migration->version;
        run->began_ms = clock_ms();
    }
    run->in_flight_to = migration->version;
}

enum run_end
run_step(struct run *run, struct rung_migration *migration, struct sqlfile *file,
    struct rung_error *err)
{
    struct job job = make_job(run, migration, file);

    tell_start(run, migration, file->verdict.statements);
    switch (try_step(run, &job, 1, err)) {
    case APPLY_DONE:
        run_tell_done(run, migration, job.duration_ms);
        return RUN_DONE;
    case APPLY_REREAD:
        if (!pg_lost(job.pg)) /* it was not us */
            run->in_flight = RUNG_NO_VERSION;
        return RUN_AGAIN;
    case APPLY_BUSY:
    case APPLY_RETRY:
    case APPLY_FAILED:
        break;
    }
    if (job.undo && file->verdict.no_transaction) /* half of it is gone */
        migration->state = RUNG_STATE_UNFINISHED;
    tell_standing(run, err);
    return RUN_FAILED;
}

/* ---- several steps in one Query ------------------------------------------------- */

/* The steps from item `i` on that may share a Query: at most `most`; jobs, and where.
 */
static size_t
gather_pack(struct run *run, size_t i, size_t most, struct job *jobs, size_t *items)
{
    const struct rung_list *list = &run->survey.list;
    size_t n = 0, bytes = 0;

    for (; i < list->n && n < most; i++) {
        const struct rung_migration *migration = &list->items[i];
        struct sqlfile *file;

        if (migration->step == RUNG_STEP_NONE)
            continue;
        file = survey_file(&run->survey, migration->version);
        bytes += PACK_OWN_BYTES + (size_t)file->size;
        if (!apply_fits_pack(file) || (n > 0 && bytes > BATCH_BYTES)
            || survey_row(&run->survey, migration->version) != NULL)
            break;
        items[n] = i;
        n = add_job(run, jobs, n, migration, file);
    }
    return n;
}

/*
 * How many go next, when `n` took so long: as many as keep the server busy for
 * PACK_TRIPS round trips, for what they are is told in one go, at their end.  Where
 * files are slow that is one; where the line is long it grows fast, but what comes is
 * not known to be like what came.
 */
static void
adapt_pack(struct run *run, size_t n, int64_t took_us)
{
    int64_t trip = run->survey.round_trip_us;
    int64_t work = took_us > trip ? took_us - trip : 1;
    int64_t fit = PACK_TRIPS * trip * (int64_t)n / work;
    size_t most = PACK_GROWTH * n > run->pack ? PACK_GROWTH * n : run->pack;

    if (most > PACK_MOST)
        most = PACK_MOST;
    run->pack = fit < 1 ? 1 : (uint64_t)fit > most ? most : (size_t)fit;
}

enum run_end
run_pack(struct run *run, size_t *i, struct rung_error *err)
{
    struct rung_list *list = &run->survey.list;
    struct job jobs[PACK_MOST];
    size_t items[PACK_MOST] = { 0 };
    size_t done = 0, n = gather_pack(run, *i, run->pack, jobs, items);
    int64_t began_us = clock_us();
    enum apply_end end;

    if (n < 2) {
        struct rung_migration *migration = &list->items[(*i)++];
        enum run_end alone = run_step(
            run, migration, survey_file(&run->survey, migration->version), err);

        adapt_pack(run, 1, clock_us() - began_us);
        return alone;
    }
    for (size_t k = 0; k < n; k++)
        tell_start(run, jobs[k].migration, jobs[k].file->verdict.statements);
    end = apply_pack(jobs, n, &done, err);
    for (size_t k = 0; k < done; k++)
        run_tell_done(
            run, &list->items[items[k]], jobs[0].duration_ms / (int64_t)(done + 1));
    run->in_flight = RUNG_NO_VERSION;
    if (end == APPLY_REREAD && pg_lost(&run->survey.pg) && done < n)
        run->in_flight = jobs[done].migration->version;
    if (end == APPLY_REREAD)
        return RUN_AGAIN;
    *i = done < n ? items[done] : items[n - 1] + 1;
    adapt_pack(run, n, clock_us() - began_us);
    if (end == APPLY_FAILED) {
        tell_standing(run, err);
        return RUN_FAILED;
    }
    if (end == APPLY_RETRY)
        run->pack = 1; /* and the one that stopped it by itself, which says why */
    return RUN_DONE;
}

/* ---- all of them in one transaction --------------------------------------------- */

/* What cannot be in one transaction with others is refused before anything runs. */
static bool
check_together(const struct rung_migration *migration, const struct sqlfile *file,
    bool first, struct rung_error *err)
{
    if (file->verdict.no_transaction) {
        err_set(err, RUNG_FAILED,
            "%s runs without a transaction: it cannot be part of --one-transaction",
            migration->filename);
        return err_hint(err, "Run `rung up VERSION` up to it first, or leave "
                             "--one-transaction out.");
    }
    if (!first && file->verdict.modes[0] != '\0')
        return err_set(err, RUNG_FAILED,
            "%s asks for a transaction of its own (%s): it cannot be part of "
            "--one-transaction",
            migration->filename, file->verdict.modes);
    return true;
}

bool
run_check_together(const struct survey *s, struct rung_error *err)
{
    bool first = true;

    for (size_t i = 0; i < s->list.n; i++) {
        const struct rung_migration *migration = &s->list.items[i];

        if (migration->step == RUNG_STEP_NONE)
            continue;
        if (!check_together(migration, survey_file(s, migration->version), first, err))
            return false;
        first = false;
    }
    return true;
}

enum run_end
run_together(struct run *run, struct rung_error *err)
{
    struct rung_list *list = &run->survey.list;
    struct job *jobs = calloc(list->n, sizeof *jobs);
    enum run_end end = RUN_FAILED;
    size_t n = 0;

    if (jobs == NULL) {
        err_memory(err);
        return RUN_FAILED;
    }
    if (!run_check_together(&run->survey, err)) {
        free(jobs);
        return RUN_FAILED;
    }
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].step != RUNG_STEP_NONE)
            n = add_job(run, jobs, n, &list->items[i],
                survey_file(&run->survey, list->items[i].version));
    for (size_t i = 0; i < n; i++)
        tell_start(run, jobs[i].migration, jobs[i].file->verdict.statements);
    switch (try_step(run, jobs, n, err)) {
    case APPLY_DONE:
        for (size_t i = 0; i < list->n; i++)
            if (list->items[i].step != RUNG_STEP_NONE)
                run_tell_done(run, &list->items[i], jobs[0].duration_ms);
        end = RUN_DONE;
        break;
    case APPLY_REREAD:
        if (!pg_lost(jobs[0].pg)) /* it was not us */
            run->in_flight = RUNG_NO_VERSION;
        end = RUN_AGAIN;
        break;
    case APPLY_BUSY:
    case APPLY_RETRY:
    case APPLY_FAILED:
        tell_standing(run, err);
        break;
    }
    free(jobs);
    return end;
}

/* ---- before and after ----------------------------------------------------------- */

bool
run_go_on(const struct run *run, struct rung_error *err)
{
    if (pg_go_on(&run->survey.pg, err))
        return true;
    tell_standing(run, err);
    return false;
}

/* Is the session ours?  Sets run->pooled, survey.shared and pg.check_interval. */
static bool
know_pooler(struct run *run, struct rung_error *err)
{
    struct survey *s = &run->survey;
    enum pooler pooler = pooler_detect(s, err);

    run->pooled =
        pooler == POOLER_TRANSACTION || (pooler == POOLER_SESSION && run->distrust);
    s->shared = pooler == POOLER_SESSION;
    if (s->shared)
        pooler_keep_settings(&s->pg);
    if (run->pooled && PQserverVersion(s->pg.conn) >= 140000) {
        struct rung_error ignored; /* not on this server's operating system */

        s->pg.check_interval = pg_query(&s->pg,
            "BEGIN; SET LOCAL client_connection_check_interval = '2s'; COMMIT", NULL,
            &ignored);
        if (!s->pg.check_interval)
            pg_roll_back(&s->pg);
    }
    return pooler != POOLER_FAILED;
}

/*
 * A standby takes no changes.  When we have lost our server, it may be about to become
 * the new one; what it lacks of our work the ledger says, which it has got with it.
 */
static bool
check_primary(struct run *run, struct rung_error *err)
{
    struct survey *s = &run->survey;
    bool again = run->options == &run->patient;
    int64_t began = clock_ms();
    struct rung_event event = { .kind = RUNG_EVENT_WAITING,
        .message = "the server is a standby, so far" };

    while (again && s->ledger.standby && event.elapsed_ms < RECONNECT_WAIT_MS) {
        event_send(run->options, &event);
        if (!pg_sleep(&s->pg, STANDBY_PAUSE_MS, err) || !survey_read_ledger(s, err))
            return false;
        event.elapsed_ms = clock_ms() - began;
    }
    if (!s->ledger.standby)
        return true;
    err_set(err, RUNG_FAILED, "the server is a standby: it takes no changes");
    return err_hint(err, "Connect to the primary (target_session_attrs=read-write).");
}

bool
run_lock(struct run *run, bool *needless, struct rung_error *err)
{
    struct survey *s = &run->survey;

    *needless = false;
    if (!check_primary(run, err))
        return false;
    if (!know_pooler(run, err)
        || (s->ledger.replica && !session_claim_origin(&s->pg, s->ledger.user, err)))
        return false;
    if (s->ledger.backend_pid == PQbackendPID(s->pg.conn)) { /* no pooler between */
        watch_open(&run->watch, s->ledger.backend_pid);
        s->pg.watch = &run->watch;
    }
    if (!run->pooled) {
        switch (lock_take(s, &run->goal, err)) {
        case LOCK_HELD:
            break;
        case LOCK_NEEDLESS:
            *needless = true;
            return true;
        case LOCK_FAILED:
            if (s->pg.cancelled)
                tell_standing(run, err);
            return false;
        }
    }
    /* What was not there is made at once, and that fails where somebody was first. */
    return (s->ledger.oid == 0 || survey_read_ledger(s, err))
           && lock_prepare_ledger(s, err)
           && (!run->options->keep_source || kept_prepare(s, err))
           && survey_read_files(s, err);
}

enum run_end
run_failed(const struct run *run)
{
    const struct survey *s = &run->survey;

    return s->connected && pg_lost(&s->pg) ? RUN_AGAIN : RUN_FAILED;
}

static void
tell_lost(const struct run *run, const struct rung_error *err)
{
    struct rung_event event = { .kind = RUNG_EVENT_WARNING, .message = err->message };

    if (err->code == RUNG_UNREACHABLE || err->code == RUNG_LOCKED)
        event_send(run->options, &event);
}

/* A cancel that hit a statement of ours is no error of anybody's. */
static void
say_cancelled(const struct run *run, struct rung_error *err)
{
    if (!run->survey.pg.cancelled || err->path[0] != '\0' || err->outcome[0] != '\0')
        return;
    err_set(err, RUNG_CANCELLED, "cancelled");
    if (run->survey.list.items != NULL)
        tell_standing(run, err);
}

/*
 * Was that once too often?  A lost connection counts; reading the ledger again, because
 * another runner was first, counts where it says just what it said the last time.
 */
static bool
in_vain(struct run *run)
{
    uint64_t mark = ledger_rows_mark(&run->survey.rows);
    bool moved = mark != run->ledger_mark;

    run->ledger_mark = mark;
    if (pg_lost(&run->survey.pg))
        return ++run->lost >= LOST_MOST;
    run->vain = moved ? 0 : run->vain + 1;
    return run->vain >= VAIN_MOST;
}

bool
run_to_the_end(struct run *run,
    enum run_end (*once)(struct run *run, struct rung_error *err),
    struct rung_error *err)
{
    struct rung_error last = { 0 }; /* what a later attempt makes good is not told */
    enum run_end end;

    *run->result = (struct rung_result){ .version = RUNG_NO_VERSION };
    run->in_flight = RUNG_NO_VERSION;
    run->patient = *run->options;
    if (run->patient.wait_ms < RECONNECT_WAIT_MS)
        run->patient.wait_ms = RECONNECT_WAIT_MS;
    /* The lock may be held by what we left behind ourselves. */
    if (run->patient.lock_wait_ms >= 0 && run->patient.lock_wait_ms < RECONNECT_WAIT_MS)
        run->patient.lock_wait_ms = RECONNECT_WAIT_MS;
    while ((end = once(run, &last)) == RUN_AGAIN) {
        if (in_vain(run)) {
            tell_standing(run, &last);
            break;
        }
        tell_lost(run, &last);
        run->distrust |= run->survey.shared && last.code == RUNG_LOCKED;
        watch_close(&run->watch);
        survey_close(&run->survey);
        run->options = &run->patient;
    }
    if (end == RUN_FAILED)
        say_cancelled(run, &last);
    watch_close(&run->watch);
    survey_close(&run->survey);
    if (end != RUN_DONE)
        *err = last;
    return end == RUN_DONE;
}
