/*
 * show.c: one version in full, and the rows of the ledger.
 *
 * Invariant: nothing is written, and what is wrong with other files does not hinder.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- history --------------------------------------------------------------------- */

/* A row is what happened; that no file was looked at is no problem of it. */
static void
only_rows(struct rung_list *list)
{
    list->problems = list->pending = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct rung_migration *m = &list->items[i];
        bool unfinished = m->applied_at_us == RUNG_NO_TIME || m->undone >= 0;

        m->state = unfinished ? RUNG_STATE_UNFINISHED : RUNG_STATE_APPLIED;
        m->step = RUNG_STEP_NONE;
        m->problem = m->hint = NULL;
        m->fatal = false;
    }
    for (size_t i = 0; i < list->n / 2; i++) { /* newest first */
        struct rung_migration m = list->items[i];

        list->items[i] = list->items[list->n - 1 - i];
        list->items[list->n - 1 - i] = m;
    }
}

bool
rung_history(
    const struct rung_options *options, struct rung_list *list, struct rung_error *err)
{
    struct survey s = { .options = options, .dir.fd = -1, .pg.options = options };
    bool ok;

    *list = (struct rung_list){ 0 };
    ok = ledger_name(&s.ledger, options->table, err)
         && pg_connect_start(&s.pg, options, err) && pg_connect_finish(&s.pg, err);
    s.connected = ok;
    ok = ok && survey_read_ledger(&s, err)
         && survey_plan(&s, RUNG_NO_VERSION, err); /* of no file */
    if (ok) {
        only_rows(&s.list);
        survey_give_list(&s, list);
    }
    survey_close(&s);
    return ok;
}

/* ---- show ------------------------------------------------------------------------ */

/* Look into the files as far as the state of this one depends on them. */
static bool
look_into(struct survey *s, int64_t version, struct rung_error *err)
{
    struct rung_error ignored;

    for (size_t i = 0; i < s->dir.n; i++) {
        struct sqlfile *file = s->dir.files[i];
        const struct ledger_row *row = survey_row(s, file->version);

        if (file->type != SQLFILE_UP)
            continue;
        if (file->version != version) {
            if (row == NULL)
                (void)judge_file(&s->dir, file, &ignored);
            continue;
        }
        if (!judge_file(&s->dir, file, err))
            return false;
        if (row != NULL && row->checksum != NULL
            && strcmp(row->checksum, file->checksum) != 0
            && !sqlfile_line_endings_only(&s->dir, file, row->checksum, err))
            return false;
    }
    return true;
}

static bool
only_version(struct survey *s, int64_t version, struct rung_error *err)
{
    struct rung_list *list = &s->list;
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].version == version)
            list->items[n++] = list->items[i];
    list->n = n;
    return n > 0
           || err_set(err, RUNG_USAGE, "there is no migration %" PRId64 " in %s%s",
               version, s->options->directory,
               s->connected ? ", nor in the ledger" : "");
}

/* How a statement runs, where that is not as one among others. */
static const char *
mode_of(const struct statement *stmt)
{
    if (stmt->traits.kind == SQL_ALONE)
        return "alone";
    return stmt->traits.kind == SQL_COPY_IN ? "COPY data" : "";
}

static bool
each_statement(const struct survey *s, const struct sqlfile *file,
    void (*each)(void *arg, const struct rung_statement *statement), void *arg,
    struct rung_error *err)
{
    struct source src;
    struct reader reader = { 0 };
    struct statement stmt;
    bool found = true, ok;

    if (!source_open(&src, &s->dir, file, err))
        return false;
    ok = reader_open(&reader, &src, READER_WINDOW, NULL, err);
    while (ok && (ok = sql_next(&reader, &stmt, &found, err)) && found) {
        char verb[128];
        struct rung_statement told = { .number = stmt.number,
            .line = stmt.line,
            .verb = sql_verb(verb, sizeof verb, stmt.text),
            .mode = mode_of(&stmt) };

        each(arg, &told);
    }
    reader_close(&reader);
    source_close(&src);
    return ok;
}

static bool
show_statements(const struct survey *s, int64_t version, bool down,
    void (*each)(void *arg, const struct rung_statement *statement), void *arg,
    struct rung_error *err)
{
    const struct sqlfile *file = survey_file(s, version);

    if (down && (file == NULL || file->down == NULL))
        return err_set(err, RUNG_USAGE, "migration %" PRId64 " has no down file in %s",
            version, s->options->directory);
    if (file == NULL || each == NULL)
        return true;
    return each_statement(s, down ? file->down : file, each, arg, err);
}

bool
rung_show(const struct rung_options *options, int64_t version, bool offline, bool down,
    void (*each)(void *arg, const struct rung_statement *statement), void *arg,
    struct rung_list *list, struct rung_error *err)
{
    struct survey s;
    bool ok = survey_open(&s, options, offline, err) && look_into(&s, version, err)
              && survey_plan(&s, RUNG_NO_VERSION, err) && only_version(&s, version, err)
              && show_statements(&s, version, down, each, arg, err);

    *list = (struct rung_list){ 0 };
    if (ok)
        survey_give_list(&s, list);
    survey_close(&s);
    return ok;
}
