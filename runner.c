/*
 * runner.c: bring a database up to date.
 *
 * The journey of a run: survey; nothing pending ends it; lock; survey again; each step
 * in order (step.c); and after a lost connection all of it once more, from what the
 * ledger says.
 *
 * Invariant: every pending file has been read, split and judged before the first runs.
 */
#include "internal.h"

/*
 * Without the lock a file that began and has not finished, or an undo, may be in the
 * work of another runner: only with it do we know, and say, that it was left behind.
 * Is there one, and nothing else in the way?
 */
static bool
may_be_at_work(const struct rung_list *list)
{
    bool unfinished = false;

    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i].fatal && list->items[i].state != RUNG_STATE_UNFINISHED)
            return false;
        unfinished |= list->items[i].fatal || list->items[i].step == RUNG_STEP_RESUME;
    }
    return unfinished;
}

static void
tell_findings(struct run *run, bool locked)
{
    const struct rung_list *list = &run->survey.list;
    bool unknown = !locked && may_be_at_work(list);

    for (size_t i = 0; i < list->n; i++) {
        struct rung_event event = { .kind = RUNG_EVENT_FINDING,
            .migration = &list->items[i],
            .path = list->items[i].filename,
            .line = list->items[i].line };
        bool unfinished = list->items[i].state == RUNG_STATE_UNFINISHED;

        if (unfinished ? unknown || run->told_unfinished : run->told)
            continue;
        if (list->items[i].problem != NULL || list->items[i].state == RUNG_STATE_DRAFT)
            event_send(run->options, &event);
    }
    run->told = true;
    run->told_unfinished |= !unknown;
}

static bool
is_applied(const struct rung_migration *migration)
{
    return migration->recorded && migration->applied_at_us != RUNG_NO_TIME;
}

/* The answers to their COMMITs did not arrive: does the ledger have them? */
static void
settle_in_flight(struct run *run)
{
    struct rung_list *list = &run->survey.list;
    int64_t from = run->in_flight, to = run->in_flight_to;

    for (size_t i = 0; i < list->n && from != RUNG_NO_VERSION; i++)
        if (list->items[i].version >= from && list->items[i].version <= to
            && is_applied(&list->items[i]) && list->items[i].step == RUNG_STEP_NONE)
            run_tell_done(run, &list->items[i], clock_ms() - run->began_ms);
    run->in_flight = RUNG_NO_VERSION;
}

static bool
known_version(const struct rung_list *list, int64_t version)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].version == version)
            return true;
    return false;
}

/* Plan, and say what was found.  *work: there is something to do. */
static bool
plan(struct run *run, bool locked, bool *work, struct rung_error *err)
{
    struct rung_list *list = &run->survey.list;
    int64_t version = run->goal.version;

    if (!survey_plan(&run->survey, version, err))
        return false;
    if (version != RUNG_NO_VERSION && !known_version(list, version))
        return err_set(err, RUNG_USAGE, "there is no migration %lld in %s",
            (long long)version, run->options->directory);
    tell_findings(run, locked);
    settle_in_flight(run);
    run->result->drafts = list->drafts;
    *work = false;
    for (size_t i = 0; i < list->n; i++) {
        if (is_applied(&list->items[i])
            && list->items[i].version > run->result->version)
            run->result->version = list->items[i].version;
        *work |= list->items[i].step != RUNG_STEP_NONE;
    }
    if (!locked && may_be_at_work(list)) {
        *work = true;
        return true;
    }
    return plan_allows(list, err);
}

/* Every step of the plan, in order. */
static enum run_end
run_steps(struct run *run, struct rung_error *err)
{
    struct survey *s = &run->survey;
    struct rung_list *list = &s->list;

    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].step != RUNG_STEP_NONE
            && !run_check_pooled(
                run, &list->items[i], survey_file(s, list->items[i].version), err))
            return RUN_FAILED;
    if (run->options->one_transaction)
        return run_together(run, err);
    run->pack = 1;
    for (size_t i = 0; i < list->n;) {
        enum run_end end;

        if (list->items[i].step == RUNG_STEP_NONE) {
            i++;
            continue;
        }
        if (!run_go_on(run, err))
            return RUN_FAILED;
        end = run_pack(run, &i, err);
        if (end != RUN_DONE)
            return end;
    }
    return RUN_DONE;
}

static enum run_end
up_once(struct run *run, struct rung_error *err)
{
    bool work, needless;
    enum run_end end;

    if (!survey_open(&run->survey, run->options, false, err)
        || !plan(run, false, &work, err))
        return run_failed(run);
    if (!work)
        return RUN_DONE;
    if (run->options->one_transaction && !run_check_together(&run->survey, err))
        return RUN_FAILED;
    if (!run_lock(run, &needless, err) || (!needless && !plan(run, true, &work, err)))
        return run_failed(run);
    end = needless || !work ? RUN_DONE : run_steps(run, err);
    run_find_newest(run);
    return end;
}

struct rung_options
rung_default_options(void)
{
    return RUNG_OPTIONS;
}

bool
rung_up(const struct rung_options *options, int64_t version, struct rung_result *result,
    struct rung_error *err)
{
    struct run run = {
        .options = options, .result = result, .goal = { .up = true, .version = version }
    };

    return run_to_the_end(&run, up_once, err);
}
