/*
 * undo.c: take migrations back, newest first.
 *
 * Invariant: every down file that is needed has been found, read, split and judged
 * before the first of them runs.  What the ledger records decides what is undone; an
 * edited up file is in nobody's way.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* The down file of a version, with its up file or without. */
static struct sqlfile *
down_file(const struct survey *s, int64_t version)
{
    const struct sqlfile *up = survey_file(s, version);

    if (up != NULL && up->down != NULL)
        return up->down;
    for (size_t i = 0; i < s->dir.n; i++)
        if (s->dir.files[i]->type == SQLFILE_DOWN
            && s->dir.files[i]->version == version)
            return s->dir.files[i];
    for (size_t i = 0; i < s->n_borrowed; i++)
        if (s->borrowed[i]->version == version)
            return s->borrowed[i];
    return NULL;
}

/* Make a down file of the kept text, if there is one. */
static bool
borrow_down(
    struct survey *s, const struct rung_migration *migration, struct rung_error *err)
{
    struct sqlfile **more, *file;
    char *text;

    if (!kept_fetch(s, migration->version, true, &text, err))
        return false;
    if (text == NULL)
        return true;
    file = calloc(1, sizeof *file);
    more = realloc(s->borrowed, (s->n_borrowed + 1) * sizeof *more);
    if (more != NULL)
        s->borrowed = more;
    if (file != NULL)
        file->name = str_dup(str_of(migration->recorded_filename));
    if (file == NULL || more == NULL || file->name == NULL) {
        free(file);
        free(text);
        return err_memory(err);
    }
    file->type = SQLFILE_DOWN;
    file->version = migration->version;
    file->bytes = text;
    file->size = strlen(text);
    s->borrowed[s->n_borrowed++] = file;
    return true;
}

static bool
refuse_unfinished(const struct rung_migration *migration, struct rung_error *err)
{
    long long done =
        migration->recorded_statements > 0 ? migration->recorded_statements : 0;

    err_set(err, RUNG_DRIFT, "%s has not finished: %lld of its statements %s applied",
        migration->filename, done, done == 1 ? "is" : "are");
    return err_hint(err,
        "Finish it with `rung up`, or settle it with `rung repair %lld --reason TEXT`.",
        (long long)migration->version);
}

/* "So many of the newest" never means what came after it was said. */
static bool
refuse_later(const struct run *run, const struct rung_migration *migration,
    struct rung_error *err)
{
    err_set(err, RUNG_DRIFT, "%s was applied meanwhile, and was not meant to be undone",
        migration->filename);
    err_hint(err, "See `rung status`, and say it again.");
    if (run->result->done == 0)
        text_format(err->outcome, sizeof err->outcome, "nothing was undone");
    return false;
}

static bool
refuse_irreversible(const struct rung_migration *migration, struct rung_error *err)
{
    err_set(err, RUNG_FAILED, "%s says that it is irreversible", migration->filename);
    return err_hint(err, "Restore a backup, or write a new migration that goes on from "
                         "here.");
}

/* Find and judge what undoes `migration`. */
static bool
prepare(struct survey *s, struct rung_migration *migration, struct rung_error *err)
{
    struct sqlfile *up = survey_file(s, migration->version);
    struct sqlfile *down = down_file(s, migration->version);
    struct rung_error ignored;

    if (migration->applied_at_us == RUNG_NO_TIME && migration->undone < 0)
        return refuse_unfinished(migration, err);
    /* An up file that cannot be judged any more has no say. */
    if (up != NULL && (up->verdict.judged || judge_file(&s->dir, up, &ignored))
        && up->verdict.directives.irreversible)
        return refuse_irreversible(migration, err);
    if (down == NULL && s->options->from_ledger) {
        if (!borrow_down(s, migration, err))
            return false;
        down = down_file(s, migration->version);
    }
    if (down == NULL) {
        struct str stem = plan_stem(migration->filename);

        err_set(err, RUNG_FAILED, "%s has no down file", migration->filename);
        return err_hint(err, "Nothing was undone. Write %.*s.down.sql beside it.",
            (int)stem.n, stem.p);
    }
    if (!down->verdict.judged && !judge_file(&s->dir, down, err))
        return false;
    if (down->verdict.directives.irreversible)
        return refuse_irreversible(migration, err);
    migration->step = RUNG_STEP_UNDO;
    migration->statements = down->verdict.statements;
    return true;
}

/* Turn "so many" or "down to VERSION" into the version that is kept. */
static bool
find_keep(struct run *run, struct rung_error *err)
{
    const struct rung_list *list = &run->survey.list;
    size_t applied = 0;
    bool found = run->keep == RUNG_NO_VERSION;

    for (size_t i = list->n; i-- > 0;) {
        const struct rung_migration *m = &list->items[i];

        if (!m->recorded)
            continue;
        if (run->count > 0 && applied == run->count) {
            run->keep = m->version;
            run->count = 0;
            return true;
        }
        if (run->count > 0 && run->newest == RUNG_NO_VERSION)
            run->newest = m->version;
        applied++;
        found |= m->version == run->keep;
    }
    if (run->count > 0 && applied == 0)
        return err_set(err, RUNG_USAGE, "there is nothing to undo: nothing is applied");
    if (run->count > applied)
        return err_set(err, RUNG_USAGE,
            "%zu migrations cannot be undone: %zu %s applied", run->count, applied,
            applied == 1 ? "is" : "are");
    run->count = 0;
    if (found)
        return true;
    err_set(err, RUNG_USAGE, "version %lld is not applied", (long long)run->keep);
    return err_hint(err, "`rung status` says what is; --all undoes everything.");
}

/* Not to its end, so far: without the lock another runner may be at it. */
static bool
may_be_at_it(const struct rung_migration *migration, bool locked)
{
    return !locked && migration->applied_at_us == RUNG_NO_TIME && migration->undone < 0;
}

/* The undone part of a list, with every step prepared. */
static bool
plan(struct run *run, bool locked, bool *work, struct rung_error *err)
{
    struct survey *s = &run->survey;
    struct plan_options options = { .version = RUNG_NO_VERSION };
    struct rung_list *list = &s->list;

    *work = false;
    if (run->options->from_ledger && !kept_find(s, err))
        return false;
    rung_list_free(list);
    if (!plan_make(&s->dir, &s->rows, &options, list, err) || !find_keep(run, err))
        return false;
    for (size_t i = list->n; i-- > 0;) {
        struct rung_migration *m = &list->items[i];

        m->step = RUNG_STEP_NONE;
        if (run->in_flight != RUNG_NO_VERSION && m->version == run->in_flight
            && !m->recorded) {
            m->step = RUNG_STEP_UNDO; /* its COMMIT had arrived after all */
            run_tell_done(run, m, clock_ms() - run->began_ms);
            m->step = RUNG_STEP_NONE;
        }
        if (!m->recorded || m->version <= run->keep)
            continue;
        if (run->newest != RUNG_NO_VERSION && m->version > run->newest)
            return refuse_later(run, m, err);
        *work = true;
        if (!may_be_at_it(m, locked) && !prepare(s, m, err))
            return false;
    }
    run->in_flight = RUNG_NO_VERSION;
    return true;
}

/* A down file that nobody has filled yet undoes nothing but the row. */
static void
warn_of_nothing(const struct run *run, const struct sqlfile *down)
{
    char message[300];
    struct rung_event event = { .kind = RUNG_EVENT_WARNING, .message = message };

    if (down->verdict.statements > 0)
        return;
    text_format(message, sizeof message,
        "%s holds no statement: only the row is taken away", down->name);
    event_send(run->options, &event);
}

static enum run_end
run_steps(struct run *run, struct rung_error *err)
{
    struct survey *s = &run->survey;
    struct rung_list *list = &s->list;

    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].step == RUNG_STEP_UNDO
            && !run_check_pooled(
                run, &list->items[i], down_file(s, list->items[i].version), err))
            return RUN_FAILED;
    for (size_t i = list->n; i-- > 0;) {
        struct rung_migration *migration = &list->items[i];
        enum run_end end;

        if (migration->step != RUNG_STEP_UNDO)
            continue;
        if (!run_go_on(run, err))
            return RUN_FAILED;
        warn_of_nothing(run, down_file(s, migration->version));
        end = run_step(run, migration, down_file(s, migration->version), err);
        run_find_newest(run);
        if (end != RUN_DONE)
            return end;
    }
    run_find_newest(run);
    return RUN_DONE;
}

static enum run_end
undo_once(struct run *run, struct rung_error *err)
{
    bool work, needless;

    if (!survey_open(&run->survey, run->options, false, err)
        || !plan(run, false, &work, err))
        return run_failed(run);
    run_find_newest(run);
    if (!work)
        return RUN_DONE;
    /* What was kept of a file goes with its row. */
    if (!run_lock(run, &needless, err) || !kept_look(&run->survey, err)
        || !plan(run, true, &work, err))
        return run_failed(run);
    return run_steps(run, err);
}

bool
rung_down(const struct rung_options *options, size_t count, int64_t keep,
    struct rung_result *result, struct rung_error *err)
{
    struct run run = { .options = options,
        .result = result,
        .goal = { .version = RUNG_NO_VERSION },
        .count = count,
        .keep = keep,
        .newest = RUNG_NO_VERSION };

    return run_to_the_end(&run, undo_once, err);
}

/* The first half of a redo: when it stops, the way on is not another undo. */
static bool
undo_for_redo(const struct rung_options *options, size_t count, int64_t newest,
    struct rung_result *result, struct rung_error *err)
{
    struct run run = { .options = options,
        .result = result,
        .goal = { .version = RUNG_NO_VERSION },
        .count = count,
        .keep = RUNG_NO_VERSION,
        .newest = newest,
        .advice = " `rung up` applies again what was undone." };

    return run_to_the_end(&run, undo_once, err);
}

/* ---- redo ----------------------------------------------------------------------- */

/* The version from which on `count` rows are newer or equal; the lowest there is. */
static int64_t
find_lowest(const struct ledger_rows *rows, size_t count)
{
    return rows->n == 0 ? RUNG_NO_VERSION
                        : rows->rows[rows->n > count ? rows->n - count : 0].version;
}

/* What will be undone has no say in whether it can be applied again; its files have. */
static bool
check_again(struct survey *s, int64_t lowest, struct rung_error *err)
{
    for (size_t i = 0; i < s->list.n; i++) {
        struct rung_migration *m = &s->list.items[i];
        struct sqlfile *file = survey_file(s, m->version);

        if (!m->recorded || m->version < lowest || m->state == RUNG_STATE_DUPLICATE)
            continue;
        if (file == NULL)
            return err_set(err, RUNG_FAILED,
                "nothing was undone: version %lld has no file to apply again",
                (long long)m->version);
        if (!file->verdict.judged && !judge_file(&s->dir, file, err))
            return false;
        m->fatal = false;
    }
    return plan_allows(&s->list, err);
}

/* Can the newest `count` be applied again?  *newest is the highest of them. */
static bool
may_redo(const struct rung_options *options, size_t count, int64_t *newest,
    struct rung_error *err)
{
    struct survey s;
    bool ok =
        survey_open(&s, options, false, err) && survey_plan(&s, RUNG_NO_VERSION, err);

    *newest = RUNG_NO_VERSION;
    if (ok && s.rows.n > 0)
        *newest = s.rows.rows[s.rows.n - 1].version;
    ok = ok && check_again(&s, find_lowest(&s.rows, count), err);
    survey_close(&s);
    return ok;
}

bool
rung_redo(const struct rung_options *options, size_t count, struct rung_result *result,
    struct rung_error *err)
{
    int64_t newest;
    size_t undone;
    bool ok;

    *result = (struct rung_result){ .version = RUNG_NO_VERSION };
    if (count == 0) /* in an undo that stands for all */
        return err_set(err, RUNG_USAGE, "0 migrations cannot be redone");
    if (!may_redo(options, count, &newest, err)
        || !undo_for_redo(options, count, newest, result, err))
        return false;
    undone = result->done;
    ok = rung_up(options, newest, result, err);
    result->done += undone;
    return ok;
}
