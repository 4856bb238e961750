/*
 * plan.c: decide what to do, from the files on disk and the rows in the ledger.
 *
 * Pure: no file, no connection, no clock.  `rung plan` prints the steps and `rung up`
 * executes them, so the two cannot disagree.
 *
 * Invariant: items are ordered by version, and a refusal stands alone: a plan in which
 * anything is fatal contains no step.  A list owns all its strings, and every name that
 * came from outside is in it escaped, fit to be shown.
 *
 * Source: DESIGN.md, Files; How up runs, 2.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list's memory ----------------------------------------------------------- */

#define BLOCK_BYTES KIB(16)

/* What the strings of a list live in; freed as a whole. */
struct block {
    struct block *next;
    size_t used, size;
    char bytes[];
};

static char *
keep_bytes(struct rung_list *list, struct str text)
{
    struct block *block = list->memory;
    char *copy;

    if (block == NULL || block->size - block->used <= text.n) {
        size_t size = text.n + 1 > BLOCK_BYTES ? text.n + 1 : BLOCK_BYTES;

        block = malloc(sizeof *block + size);
        if (block == NULL)
            return NULL;
        *block = (struct block){ .next = list->memory, .size = size };
        list->memory = block;
    }
    copy = block->bytes + block->used;
    if (text.n > 0)
        memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    block->used += text.n + 1;
    return copy;
}

const char *
plan_keep(struct rung_list *list, const char *text)
{
    return keep_bytes(list, str_of(text));
}

void
rung_list_free(struct rung_list *list)
{
    struct block *next;

    if (list == NULL)
        return;
    for (struct block *block = list->memory; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    free(list->items);
    *list = (struct rung_list){ 0 };
}

/* ---- names ----------------------------------------------------------------------- */

const char *
rung_state_name(enum rung_state state)
{
    static const char *const names[] = {
        [RUNG_STATE_APPLIED] = "applied",
        [RUNG_STATE_PENDING] = "pending",
        [RUNG_STATE_DRAFT] = "draft",
        [RUNG_STATE_EDITED] = "edited",
        [RUNG_STATE_MISSING] = "missing",
        [RUNG_STATE_NEWER] = "newer",
        [RUNG_STATE_RENAMED] = "renamed",
        [RUNG_STATE_OUT_OF_ORDER] = "out of order",
        [RUNG_STATE_UNFINISHED] = "unfinished",
        [RUNG_STATE_DUPLICATE] = "duplicate",
        [RUNG_STATE_MISNAMED] = "misnamed",
    };

    return names[state];
}

struct str
plan_stem(const char *name)
{
    struct str s = str_of(name);

    if (s.n >= 4 && str_eq(str_slice(s, s.n - 4, s.n), STR(".sql")))
        s.n -= 4;
    if (s.n >= 3 && str_eq(str_slice(s, s.n - 3, s.n), STR(".up")))
        s.n -= 3;
    return s;
}

bool
plan_same_name(const char *a, const char *b)
{
    return str_eq(plan_stem(a), plan_stem(b));
}

/* ---- laying files and rows side by side ------------------------------------------ */

struct maker {
    const struct sqldir *dir;
    const struct plan_options *options;
    struct rung_list *list;
    int64_t highest_file; /* the newest version there is a file of */
    int64_t newest_row;   /* the newest version that is recorded */
    int64_t last_content; /* the newest file that is recorded or has statements */
    bool broken;          /* out of memory: plan_make looks at it once, at the end */
};

/* A copy in the list, escaped; NULL stays NULL. */
static const char *
keep(struct maker *m, const char *text)
{
    struct str s = str_of(text);
    const char *copy = NULL;
    char *shown;

    if (text == NULL)
        return NULL;
    shown = malloc(s.n * 4 + 1);
    if (shown != NULL)
        copy = plan_keep(m->list, text_escape(shown, s.n * 4 + 1, s));
    free(shown);
    m->broken = m->broken || copy == NULL;
    return copy;
}

static const char *keep_format(struct maker *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static const char *
keep_format(struct maker *m, const char *fmt, ...)
{
    char text[1024];
    const char *copy;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    text[utf8_valid(str_of(text), NULL)] = '\0'; /* where it was cut */
    copy = plan_keep(m->list, text);
    m->broken = m->broken || copy == NULL;
    return copy;
}

/* What both give, a problem and its hint being strings that live long enough. */
static void
set_problem(
    struct rung_migration *item, bool fatal, const char *problem, const char *hint)
{
    item->problem = problem;
    item->hint = hint;
    item->fatal = fatal;
}

/* A hint that ends in `rung repair VERSION`. */
static const char *
repair_hint(struct maker *m, const struct rung_migration *item, const char *before)
{
    return keep_format(
        m, "%s `rung repair %" PRId64 " --reason TEXT`.", before, item->version);
}

static struct rung_migration *
new_item(struct maker *m, int64_t version, enum rung_state state)
{
    struct rung_migration *item = &m->list->items[m->list->n++];

    *item = (struct rung_migration){
        .version = version,
        .state = state,
        .step = RUNG_STEP_NONE,
        .applied_at_us = RUNG_NO_TIME,
        .duration_ms = -1,
        .recorded_statements = -1,
        .undone = -1,
    };
    return item;
}

static const char *
keep_title(struct maker *m, const char *name)
{
    struct str title = sqlfile_title(str_of(name));
    char *copy = str_dup(title);
    const char *kept = NULL;

    m->broken = m->broken || copy == NULL;
    if (copy != NULL)
        kept = keep(m, copy);
    free(copy);
    return kept;
}

static void
put_file(struct maker *m, struct rung_migration *item, const struct sqlfile *file)
{
    item->filename = keep(m, file->name);
    item->name = keep_title(m, file->name);
    if (file->down != NULL)
        item->down = keep(m, file->down->name);
    if (file->checksum[0] != '\0')
        item->checksum = keep(m, file->checksum);
    if (file->verdict.judged)
        item->statements = file->verdict.statements;
    item->irreversible = (file->verdict.judged && file->verdict.directives.irreversible)
                         || (file->down != NULL && file->down->verdict.judged
                             && file->down->verdict.directives.irreversible);
}

static void
put_row(struct maker *m, struct rung_migration *item, const struct ledger_row *row)
{
    item->recorded = true;
    item->recorded_filename = keep(m, row->filename == NULL ? "" : row->filename);
    item->recorded_checksum = keep(m, row->checksum == NULL ? "" : row->checksum);
    item->applied_at_us = row->applied_at_us;
    item->applied_by = keep(m, row->applied_by);
    item->duration_ms = row->duration_ms;
    item->recorded_statements = row->statements;
    item->undone = row->undone;
    item->note = keep(m, row->note);
    if (item->filename == NULL) {
        item->filename = item->recorded_filename;
        item->name = keep_title(m, row->filename == NULL ? "" : row->filename);
    }
}

/* Is a file empty as far as anybody looked?  Who was not judged counts as full. */
static bool
is_empty(const struct sqlfile *file)
{
    return file->verdict.judged && file->verdict.statements == 0;
}

static bool
within(const struct maker *m, int64_t version)
{
    return m->options->version == RUNG_NO_VERSION || version <= m->options->version;
}

/* ---- one version ----------------------------------------------------------------- */

/* A file without a row. */
static void
judge_pending(struct maker *m, struct rung_migration *item, const struct sqlfile *file)
{
    item->state = RUNG_STATE_PENDING;
    item->draft = is_empty(file);
    if (file->refusal != NULL) {
        set_problem(item, true, keep_format(m, "%s", file->refusal), NULL);
        item->line = file->refusal_line;
        return;
    }
    if (item->version < m->newest_row) {
        item->state = RUNG_STATE_OUT_OF_ORDER;
        set_problem(item, !m->options->allow_out_of_order,
            keep_format(m,
                "not applied, but numbered below %" PRId64 ", the newest applied one",
                m->newest_row),
            "Give it the next free number with `rung renumber`, or apply it as it is "
            "with --allow-out-of-order.");
    } else if (is_empty(file) && item->version > m->last_content) {
        item->state = RUNG_STATE_DRAFT;
        return;
    } else if (is_empty(file) && file->verdict.blank) {
        set_problem(item, false, "blank file is recorded as a no-op",
            "If something is to come into it, do that before `rung up`, or remove it.");
    }
    if (within(m, item->version))
        item->step = is_empty(file)                 ? RUNG_STEP_RECORD
                     : file->verdict.no_transaction ? RUNG_STEP_CHAIN
                                                    : RUNG_STEP_APPLY;
}

static void
judge_bytes(struct maker *m, struct rung_migration *item, const struct sqlfile *file,
    const struct ledger_row *row)
{
    struct str now = str_of(file->checksum);
    struct str then = str_of(row->checksum);
    bool same = now.n > 0 && str_eq_fold(now, then);
    bool is_hex = same || checksum_is_hex(then);
    bool known = is_hex && now.n > 0;

    item->line_endings_only = known && !same && file->line_endings_only;
    if (known && !same && !item->line_endings_only) {
        item->state = RUNG_STATE_EDITED;
        set_problem(item, true,
            keep_format(m,
                "edited after it was applied: recorded %.12s..., the file is now "
                "%.12s...",
                then.p, now.p),
            row->statements == 0
                ? "It was recorded while it was empty: give it the next free number with "
                  "`rung renumber`."
                : repair_hint(m, item,
                    "Undo the edit and put the change into a new file, or accept it "
                    "with"));
    } else if (!plan_same_name(file->name, row->filename)) {
        item->state = RUNG_STATE_RENAMED;
        set_problem(item, false,
            keep_format(m, "recorded as %s, renamed since", item->recorded_filename),
            repair_hint(
                m, item, "Give it its old name back, or record the new one with"));
    } else if (!is_hex) {
        set_problem(item, false, "no checksum recorded",
            repair_hint(m, item, "Record the file's checksum with"));
    }
}

/* A row without a file.  Where it is not done to its end, its file is needed for that.
 */
static void
judge_missing(
    struct maker *m, struct rung_migration *item, const struct ledger_row *row)
{
    bool half = row->applied_at_us == RUNG_NO_TIME;
    const char *stands =
        !half ? "recorded"
              : keep_format(m, "began, and is done up to statement %" PRId64,
                  row->statements > 0 ? row->statements : 0);

    if (item->version > m->highest_file) {
        item->state = RUNG_STATE_NEWER;
        set_problem(item, false,
            keep_format(m, "%s, but newer than every file here", stands),
            half ? "Bring the file back: `rung up` goes on with it."
                 : "A release was rolled back, or this directory is not up to date.");
        return;
    }
    item->state = RUNG_STATE_MISSING;
    set_problem(item, true, keep_format(m, "%s, but there is no such file", stands),
        repair_hint(m, item, "Bring the file back, or forget it with"));
}

static void
judge_recorded(struct maker *m, struct rung_migration *item, const struct sqlfile *file,
    const struct ledger_row *row)
{
    item->state = RUNG_STATE_APPLIED;
    if (row->undone >= 0) {
        item->state = RUNG_STATE_UNFINISHED;
        set_problem(item, true,
            keep_format(m, "its undo stopped behind statement %" PRId64, row->undone),
            "Finish that with `rung down`.");
    } else if (row->filename == NULL || !sqlfile_name_ok(str_of(row->filename))) {
        item->state = file != NULL                      ? RUNG_STATE_RENAMED
                      : item->version > m->highest_file ? RUNG_STATE_NEWER
                                                        : RUNG_STATE_MISSING;
        set_problem(item, true,
            keep_format(m,
                "the ledger has a file name that no migration can have: \"%s\"",
                item->recorded_filename),
            repair_hint(
                m, item, "See who wrote that into the ledger, and correct it with"));
    } else if (file == NULL) {
        judge_missing(m, item, row);
    } else if (row->applied_at_us == RUNG_NO_TIME) {
        item->state = RUNG_STATE_UNFINISHED;
        set_problem(item, false,
            row->statements > 0 ? keep_format(
                m, "began, and is done up to statement %" PRId64, row->statements)
                                : "began, and stopped in its first statement",
            "`rung up` goes on with it.");
        if (within(m, item->version))
            item->step = RUNG_STEP_RESUME;
    } else {
        judge_bytes(m, item, file, row);
    }
}

/* One of several files of one version; `other` is another of them. */
static void
judge_duplicate(
    struct maker *m, struct rung_migration *item, const struct sqlfile *other)
{
    item->state = RUNG_STATE_DUPLICATE;
    set_problem(item, true, keep_format(m, "has the same number as %s", other->name),
        "Give the one that is not applied another number with `rung renumber`.");
}

/* A down file that undoes nothing. */
static void
put_orphan(struct maker *m, const struct sqlfile *file)
{
    struct rung_migration *item = new_item(m, RUNG_NO_VERSION, RUNG_STATE_MISNAMED);
    struct str name = str_of(file->name);

    put_file(m, item, file);
    set_problem(item, false,
        keep_format(m,
            "undoes nothing: there is no %.*s.sql, or it has another down file",
            (int)(name.n - strlen(".down.sql")), name.p),
        "Rename it after the file that it undoes, or remove it.");
}

static void
put_misnamed(struct maker *m, const struct sqlfile *file)
{
    struct rung_migration *item = new_item(m, RUNG_NO_VERSION, RUNG_STATE_MISNAMED);

    item->filename = keep(m, file->name);
    set_problem(item, file->type == SQLFILE_REFUSED, file->problem, NULL);
}

/* The files [first, end) of one version, with the row of it, or NULL. */
static void
put_version(struct maker *m, size_t first, size_t end, const struct ledger_row *row)
{
    struct sqlfile *const *files = m->dir->files;
    const struct sqlfile *ups[2] = { NULL, NULL }, *holder;

    for (size_t i = first; i < end; i++)
        if (files[i]->type == SQLFILE_UP)
            ups[ups[0] != NULL] = files[i]; /* the first, and the last */
    holder = ups[0];
    for (size_t i = first; row != NULL && ups[1] != NULL && i < end; i++)
        if (files[i]->type == SQLFILE_UP && row->filename != NULL
            && plan_same_name(files[i]->name, row->filename))
            holder = files[i];
    for (size_t i = first; i < end; i++) {
        struct rung_migration *item;

        if (files[i]->type != SQLFILE_UP)
            continue;
        item = new_item(m, files[i]->version, RUNG_STATE_PENDING);
        put_file(m, item, files[i]);
        if (row != NULL && files[i] == holder)
            put_row(m, item, row);
        if (ups[1] != NULL)
            judge_duplicate(m, item, files[i] == ups[0] ? ups[1] : ups[0]);
        else if (row != NULL)
            judge_recorded(m, item, files[i], row);
        else
            judge_pending(m, item, files[i]);
    }
}

/* ---- the whole ------------------------------------------------------------------- */

static const struct ledger_row *
find_row(const struct ledger_rows *rows, int64_t version)
{
    size_t low = 0, high = rows->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (rows->rows[middle].version < version)
            low = middle + 1;
        else
            high = middle;
    }
    return low < rows->n && rows->rows[low].version == version ? &rows->rows[low]
                                                               : NULL;
}

static void
look_ahead(struct maker *m, const struct ledger_rows *rows)
{
    m->newest_row = rows->n == 0 ? RUNG_NO_VERSION : rows->rows[rows->n - 1].version;
    m->highest_file = m->last_content = RUNG_NO_VERSION;
    for (size_t i = 0; i < m->dir->n; i++) {
        const struct sqlfile *file = m->dir->files[i];

        if (file->type != SQLFILE_UP)
            continue;
        m->highest_file = file->version;
        if (!is_empty(file) || find_row(rows, file->version) != NULL)
            m->last_content = file->version;
    }
}

static bool
is_linked(
    const struct sqldir *dir, size_t first, size_t end, const struct sqlfile *down)
{
    for (size_t i = first; i < end; i++)
        if (dir->files[i]->down == down)
            return true;
    return false;
}

static void
merge(struct maker *m, const struct ledger_rows *rows)
{
    const struct sqldir *dir = m->dir;
    size_t f = 0, r = 0, end;

    while ((f < dir->n && dir->files[f]->type < SQLFILE_MISNAMED) || r < rows->n) {
        bool have = f < dir->n && dir->files[f]->type < SQLFILE_MISNAMED;
        int64_t version = have ? dir->files[f]->version : INT64_MAX;
        const struct ledger_row *row = NULL;
        size_t items = m->list->n;

        if (r < rows->n && rows->rows[r].version <= version) {
            row = &rows->rows[r++];
            version = row->version;
        }
        for (end = f; end < dir->n && dir->files[end]->version == version
                      && dir->files[end]->type < SQLFILE_MISNAMED;)
            end++;
        put_version(m, f, end, row);
        if (m->list->n == items && row != NULL) {
            struct rung_migration *item = new_item(m, version, RUNG_STATE_MISSING);

            put_row(m, item, row);
            judge_recorded(m, item, NULL, row);
        }
        f = end;
    }
    for (size_t i = 0, first = 0; i < f; i++) {
        if (dir->files[i]->version != dir->files[first]->version)
            first = i;
        for (end = i; end < f && dir->files[end]->version == dir->files[i]->version;)
            end++;
        if (dir->files[i]->type == SQLFILE_DOWN
            && !is_linked(dir, first, end, dir->files[i]))
            put_orphan(m, dir->files[i]);
    }
    for (; f < dir->n; f++)
        put_misnamed(m, dir->files[f]);
}

/* The counters; and a refusal stands alone. */
static void
finish(struct rung_list *list)
{
    bool fatal = false;

    list->applied = list->pending = list->drafts = list->problems = 0;
    for (size_t i = 0; i < list->n; i++) {
        const struct rung_migration *item = &list->items[i];
        bool begun = item->recorded && item->applied_at_us == RUNG_NO_TIME;

        list->applied += item->recorded && !begun;
        list->pending += item->state == RUNG_STATE_PENDING
                         || item->state == RUNG_STATE_OUT_OF_ORDER
                         || (item->state == RUNG_STATE_UNFINISHED && begun);
        list->drafts += item->state == RUNG_STATE_DRAFT;
        list->problems += item->problem != NULL;
        fatal = fatal || item->fatal;
    }
    for (size_t i = 0; fatal && i < list->n; i++)
        list->items[i].step = RUNG_STEP_NONE;
}

bool
plan_make(const struct sqldir *dir, const struct ledger_rows *rows,
    const struct plan_options *options, struct rung_list *list, struct rung_error *err)
{
    struct maker m = { .dir = dir, .options = options, .list = list };

    *list = (struct rung_list){ 0 };
    list->items = malloc((dir->n + rows->n + 1) * sizeof *list->items);
    if (list->items == NULL)
        return err_memory(err);
    look_ahead(&m, rows);
    merge(&m, rows);
    finish(list);
    return !m.broken || err_memory(err);
}

/* ---- what stands in the way ------------------------------------------------------ */

#define NAMED_AT_MOST 5 /* problems that the one message names */

bool
plan_allows(const struct rung_list *list, struct rung_error *err)
{
    const struct rung_migration *first = NULL;
    enum rung_code code = RUNG_FAILED;
    char names[900];
    size_t fatal = 0, at = 0;

    names[0] = '\0';
    for (size_t i = 0; i < list->n; i++) {
        const struct rung_migration *item = &list->items[i];

        if (!item->fatal)
            continue;
        if (item->state != RUNG_STATE_DUPLICATE && item->state != RUNG_STATE_MISNAMED)
            code = RUNG_DRIFT;
        if (first == NULL)
            first = item;
        if (fatal++ < NAMED_AT_MOST) {
            text_format(names + at, sizeof names - at, "%s%s %s", at > 0 ? ", " : "",
                item->filename, rung_state_name(item->state));
            at = strlen(names);
        }
    }
    if (first == NULL)
        return true;
    if (fatal == 1) {
        err_set(err, code, "%s: %s", first->filename, first->problem);
        return first->hint == NULL ? false : err_hint(err, "%s", first->hint);
    }
    if (fatal <= NAMED_AT_MOST)
        err_set(err, code, "%zu problems: %s", fatal, names);
    else
        err_set(err, code, "%zu problems: %s and %zu more", fatal, names,
            fatal - NAMED_AT_MOST);
    return err_hint(err, "`rung status` says of each what to do.");
}

/* ---- SHA256SUMS ------------------------------------------------------------------ */

/* The item that a file of this name, up or down, belongs to; NULL: none. */
static struct rung_migration *
find_named(struct rung_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++) {
        struct rung_migration *item = &list->items[i];

        if ((item->checksum != NULL && strcmp(item->filename, name) == 0)
            || (item->down != NULL && strcmp(item->down, name) == 0))
            return item;
    }
    return NULL;
}

/* `item` has a problem already, or gets this one. */
static bool
add_sum(struct rung_list *list, struct rung_migration *item, const char *name,
    const struct sums_finding *finding)
{
    char text[512];
    const char *kept;

    if (item->problem != NULL)
        return true;
    if (strcmp(item->filename, name) == 0)
        text_format(text, sizeof text, "%s", finding->problem);
    else
        text_format(text, sizeof text, "%s is %s", name, finding->problem);
    kept = plan_keep(list, text);
    set_problem(item, false, kept,
        "If that is as it should be, write SHA256SUMS anew with `rung sum`.");
    return kept != NULL;
}

/* Room for `n` more items, and their maker. */
static bool
open_maker(struct maker *m, struct rung_list *list, size_t n, struct rung_error *err)
{
    struct rung_migration *items =
        realloc(list->items, (list->n + n + 1) * sizeof *items);

    *m = (struct maker){ .list = list };
    if (items == NULL)
        return err_memory(err);
    list->items = items;
    return true;
}

bool
plan_add_sums(struct rung_list *list, const struct sums_finding *findings, size_t n,
    struct rung_error *err)
{
    struct maker m;
    bool ok = true;

    if (!open_maker(&m, list, n, err))
        return false;
    for (size_t i = 0; ok && i < n; i++) {
        const char *name = keep(&m, findings[i].name);
        struct rung_migration *item;

        if (name == NULL)
            return err_memory(err);
        item = findings[i].kind == SUMS_GONE ? NULL : find_named(list, name);
        if (item == NULL) {
            item = new_item(&m, RUNG_NO_VERSION, RUNG_STATE_MISSING);
            item->filename = name;
        }
        ok = add_sum(list, item, name, &findings[i]);
    }
    finish(list);
    return ok || err_memory(err);
}

bool
plan_add_bad_sums(
    struct rung_list *list, const struct rung_error *why, struct rung_error *err)
{
    struct rung_migration *item;
    const char *problem, *hint;
    struct maker m;

    if (!open_maker(&m, list, 1, err))
        return false;
    item = new_item(&m, RUNG_NO_VERSION, RUNG_STATE_MISNAMED);
    item->filename = SUMS_NAME;
    problem = plan_keep(list, why->message);
    hint = why->hint[0] == '\0' ? NULL : plan_keep(list, why->hint);
    if (problem == NULL || (hint == NULL && why->hint[0] != '\0'))
        return err_memory(err);
    set_problem(item, false, problem, hint);
    item->line = why->line;
    finish(list);
    return true;
}
