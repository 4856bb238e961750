/*
 * review.c: the commands that only look: status, plan, verify.
 *
 * Invariant: nothing is written, and SELECT on the ledger is all the right they need.
 */
#include "internal.h"

#include <stdlib.h>

/* Not to its end: left behind, or in the work of a runner. */
static bool
is_unfinished(const struct rung_migration *m)
{
    return m->state == RUNG_STATE_UNFINISHED && m->recorded;
}

static bool
has_unfinished(const struct rung_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (is_unfinished(&list->items[i]))
            return true;
    return false;
}

/* Somebody is at it: that is no problem of anybody's. */
static bool
name_runner(struct rung_list *list, const char *who, struct rung_error *err)
{
    const char *kept = plan_keep(list, who);

    for (size_t i = 0; i < list->n; i++) {
        struct rung_migration *m = &list->items[i];

        if (!is_unfinished(m))
            continue;
        list->problems -= m->problem != NULL;
        m->problem = m->hint = NULL;
        m->fatal = false;
        m->runner = kept;
    }
    return kept != NULL || err_memory(err);
}

/*
 * A runner holds the lock as long as it is at something.  Where nobody holds it, the
 * ledger is read once more: it may have been given back since we read it.
 */
static bool
find_runner(struct survey *s, int64_t version, struct rung_error *err)
{
    while (has_unfinished(&s->list) && !s->ledger.standby) {
        uint64_t before = ledger_rows_mark(&s->rows);
        char who[LOCK_HOLDER_BYTES], doing[LOCK_HOLDER_BYTES];

        switch (lock_holder(s, who, doing)) {
        case LOCK_HOLDER_THERE:
            return name_runner(&s->list, who, err);
        case LOCK_HOLDER_UNKNOWN:
            return true;
        case LOCK_HOLDER_NONE:
            break;
        }
        if (!survey_read_ledger(s, err) || !survey_plan(s, version, err))
            return false;
        if (ledger_rows_mark(&s->rows) == before)
            break;
    }
    return true;
}

static bool
look(const struct rung_options *options, bool offline, bool lenient, int64_t version,
    struct survey *s, struct rung_error *err)
{
    if (!survey_open(s, options, offline, err))
        return false;
    s->lenient = lenient;
    return survey_plan(s, version, err) && (offline || find_runner(s, version, err));
}

bool
rung_status(
    const struct rung_options *options, struct rung_list *list, struct rung_error *err)
{
    struct survey s;
    bool ok = look(options, false, true, RUNG_NO_VERSION, &s, err);

    *list = (struct rung_list){ 0 };
    if (ok)
        survey_give_list(&s, list);
    survey_close(&s);
    return ok;
}

/* Keep the items that have a step. */
static void
only_steps(struct rung_list *list)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].step != RUNG_STEP_NONE)
            list->items[n++] = list->items[i];
    list->n = n;
}

/* What `up` will do when that has ended, nobody knows. */
static bool
no_undo_runs(const struct rung_list *list, struct rung_error *err)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct rung_migration *m = &list->items[i];

        if (m->runner == NULL || m->undone < 0)
            continue;
        err_set(
            err, RUNG_LOCKED, "%s is being undone now by %s", m->filename, m->runner);
        return err_hint(err, "Try again later; `rung up` waits for it.");
    }
    return true;
}

bool
rung_plan(const struct rung_options *options, int64_t version, struct rung_list *list,
    struct rung_error *err)
{
    struct survey s;
    bool ok = look(options, false, false, version, &s, err);

    *list = (struct rung_list){ 0 };
    if (ok && version != RUNG_NO_VERSION && survey_file(&s, version) == NULL
        && survey_row(&s, version) == NULL)
        ok = err_set(err, RUNG_USAGE, "there is no migration %lld in %s",
            (long long)version, options->directory);
    ok = ok && no_undo_runs(&s.list, err) && plan_allows(&s.list, err)
         && (!options->one_transaction || run_check_together(&s, err));
    if (ok) {
        only_steps(&s.list);
        survey_give_list(&s, list);
    }
    survey_close(&s);
    return ok;
}

/* SHA256SUMS, where there is one. */
static bool
check_sums(struct survey *s, struct rung_error *err)
{
    struct sums sums = { 0 };
    struct sums_finding *findings = NULL;
    size_t n = 0;
    struct rung_error why;
    bool found = false, ok = true;

    if (!sums_read(&sums, &s->dir, &found, &why))
        ok = plan_add_bad_sums(&s->list, &why, err);
    else if (found)
        ok = sqldir_hash(&s->dir, true, err)
             && sums_compare(&sums, &s->dir, &findings, &n, err)
             && plan_add_sums(&s->list, findings, n, err);
    s->list.sums_checked = found;
    free(findings);
    sums_free(&sums);
    return ok;
}

/* What is pending is no finding of verify's, even where `up` would warn of it. */
static void
forgive_pending(struct rung_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i].state != RUNG_STATE_PENDING || list->items[i].fatal
            || list->items[i].problem == NULL)
            continue;
        list->items[i].problem = list->items[i].hint = NULL;
        list->problems--;
    }
}

bool
rung_verify(const struct rung_options *options, bool offline, bool no_pending,
    struct rung_list *list, struct rung_error *err)
{
    struct survey s;
    bool ok = look(options, offline, true, RUNG_NO_VERSION, &s, err);

    *list = (struct rung_list){ 0 };
    if (ok)
        forgive_pending(&s.list);
    ok = ok && check_sums(&s, err);
    if (ok) {
        s.list.ledger_checked = !offline;
        survey_give_list(&s, list);
    }
    survey_close(&s);
    if (!ok)
        return false;
    if (list->problems > 0)
        return err_set(err, RUNG_DRIFT, "%zu problem%s", list->problems,
            list->problems == 1 ? "" : "s");
    if (no_pending && list->pending > 0)
        return err_set(err, RUNG_PENDING, "%zu migration%s pending", list->pending,
            list->pending == 1 ? " is" : "s are");
    return true;
}
