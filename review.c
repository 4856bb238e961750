/*
 * review.c: the commands that only look: status, plan, verify.
 *
 * Invariant: nothing is written, and SELECT on the ledger is all the right they need.
 */
#include "internal.h"

#include <stdlib.h>

static bool
look(const struct rung_options *options, bool offline, bool lenient, int64_t version,
    struct survey *s, struct rung_error *err)
{
    if (!survey_open(s, options, offline, err))
        return false;
    s->lenient = lenient;
    return survey_plan(s, version, err);
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
    ok = ok && plan_allows(&s.list, err)
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
