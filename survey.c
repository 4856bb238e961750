/*
 * survey.c: the directory and the ledger, read together.
 *
 * What every command begins with: while the directory is read and hashed the connection
 * is made, and one query brings the ledger.  Writes nothing.
 *
 * Invariant: the first query leaves no setting behind (SET LOCAL): it may have gone
 * through a pooler to a connection that is not ours.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- the ledger ------------------------------------------------------------------ */

static void
note_round_trip(struct survey *s, int64_t took_us)
{
    if (s->round_trip_us == 0 || took_us < s->round_trip_us)
        s->round_trip_us = took_us;
}

/* One query about the ledger; its rows are in `tables`, to be cleared. */
static bool
ask(struct survey *s, void (*write)(PQExpBuffer sql, const struct ledger *ledger),
    struct pg_tables *tables, struct rung_error *err)
{
    PQExpBufferData sql;
    int64_t began_us = clock_us();
    bool ok;

    initPQExpBuffer(&sql);
    write(&sql, &s->ledger);
    ok = PQExpBufferDataBroken(sql) ? err_memory(err)
                                    : pg_query(&s->pg, sql.data, tables, err);
    note_round_trip(s, clock_us() - began_us);
    termPQExpBuffer(&sql);
    return ok;
}

/* Whose table is it, if the rows could not be read as ours? */
static bool
explain_foreign(struct survey *s, struct rung_error *err)
{
    struct pg_tables tables = { .n = 0 };
    bool ok = ask(s, ledger_sql_columns, &tables, err);

    if (ok && tables.n == 1)
        ok = ledger_foreign(&s->ledger, tables.tables[0], err);
    pg_tables_clear(&tables);
    return ok;
}

static bool
explain_permission(struct survey *s, struct rung_error *err)
{
    char name[4 * NAME_BYTES + 8], user[2 * NAME_BYTES + 3];

    ledger_shown(&s->ledger, name, sizeof name);
    err->code = RUNG_DRIFT;
    return err_hint(err, "GRANT SELECT ON %s TO %s; (and USAGE on its schema)", name,
        ledger_quote(user, sizeof user, s->ledger.user));
}

static bool
has_rows(const struct pg_tables *tables)
{
    return tables->n == 1 && PQntuples(tables->tables[0]) > 0;
}

/*
 * There is no ledger where we look.  Is there one elsewhere?  A changed search_path
 * must not make us apply everything twice.  As a rule nothing has its name, and a new
 * backend knows that soonest by asking for nothing else.
 */
static bool
look_elsewhere(struct survey *s, struct rung_error *err)
{
    struct pg_tables tables = { .n = 0 };
    bool ok;

    if (s->ledger.wanted_schema[0] != '\0')
        return true;
    ok = ask(s, ledger_sql_namesakes, &tables, err);
    if (ok && has_rows(&tables)) {
        pg_tables_clear(&tables);
        ok = ask(s, ledger_sql_elsewhere, &tables, err);
    }
    if (ok && has_rows(&tables)) {
        char schema[2 * NAME_BYTES + 3], table[2 * NAME_BYTES + 3];

        ledger_quote(schema, sizeof schema, PQgetvalue(tables.tables[0], 0, 0));
        ledger_quote(table, sizeof table, s->ledger.table);
        ok = err_set(err, RUNG_DRIFT,
            "there is no %s in the search_path, but there is a ledger %s.%s", table,
            schema, table);
        err_hint(err,
            "If it is this application's: --table %s.%s. If not, say where the new one "
            "belongs: --table SCHEMA.%s.",
            schema, table, table);
    }
    pg_tables_clear(&tables);
    return ok;
}

/* What reading a table that is no ledger fails with: a syntax error or an access rule,
 * a foreign data wrapper's, a materialized view without its rows. */
static bool
is_unreadable(const char *state)
{
    return strncmp(state, "42", 2) == 0 || strncmp(state, "HV", 2) == 0
           || strcmp(state, "55000") == 0;
}

/* A default lock_timeout, and somebody has locked the whole table. */
static void
explain_locked(const struct survey *s, struct rung_error *err)
{
    char name[4 * NAME_BYTES + 8];

    ledger_shown(&s->ledger, name, sizeof name);
    err->code = RUNG_LOCKED;
    err_hint(
        err, "Another session holds a lock on the ledger %s: try again later.", name);
}

/* Take the answers apart: the second one is missing when there is no ledger. */
static bool
take_answers(struct survey *s, const struct pg_tables *tables, bool query_ok,
    struct rung_error *err)
{
    struct rung_error found_err;
    bool found =
        tables->n > 0 && ledger_found(&s->ledger, tables->tables[0], &found_err);

    if (tables->n > 0 && !found) {
        *err = found_err;
        return false;
    }
    if (query_ok) {
        if (tables->n == 2 && ledger_decode(&s->rows, tables->tables[1], err))
            return true;
        return err->code != RUNG_DRIFT ? false : explain_foreign(s, err);
    }
    if (pg_lost(&s->pg) || s->pg.cancelled)
        return false;
    if (strcmp(err->sqlstate, "42501") == 0)
        return explain_permission(s, err);
    if (!found)
        return false;
    if (s->ledger.oid == 0
        && (strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0))
        return look_elsewhere(s, err);
    if (s->ledger.oid != 0 && is_unreadable(err->sqlstate))
        return explain_foreign(s, err);
    return false;
}

/* Send the query for the ledger; survey_read_ledger waits for the answer. */
static bool
ask_for_ledger(struct survey *s, struct rung_error *err)
{
    PQExpBufferData sql;

    initPQExpBuffer(&sql);
    ledger_rows_free(&s->rows);
    appendPQExpBufferStr(&sql,
        /* A default of SERIALIZABLE, DEFERRABLE would wait for the writes of others. */
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;\n"
        "SET LOCAL ROLE NONE;\nSET LOCAL statement_timeout = 0;\n"
        "SET LOCAL extra_float_digits = 1;\n");
    ledger_sql_find(&sql, &s->ledger);
    ledger_sql_rows(&sql, &s->ledger);
    s->asked =
        PQExpBufferDataBroken(sql) ? err_memory(err) : pg_ask(&s->pg, sql.data, err);
    termPQExpBuffer(&sql);
    return s->asked;
}

bool
survey_read_ledger(struct survey *s, struct rung_error *err)
{
    struct pg_tables tables = { .n = 0 };
    struct rung_error why; /* that there is no ledger yet is no failure */
    int64_t began_us = clock_us();
    bool timed = !s->asked; /* else it came while we did something else */
    bool ok;

    err_set(&why, RUNG_BUG, "the server's answer about the ledger is incomplete");
    ok = (s->asked || ask_for_ledger(s, &why)) && pg_answer(&s->pg, &tables, &why);
    s->asked = false;
    if (timed)
        note_round_trip(s, clock_us() - began_us);
    ok = take_answers(s, &tables, ok, &why);
    pg_tables_clear(&tables);
    if (!ok && s->pg.cancelled)
        why.code = RUNG_CANCELLED;
    else if (!ok && pg_lost(&s->pg))
        why.code = RUNG_UNREACHABLE;
    else if (!ok && strcmp(why.sqlstate, "55P03") == 0)
        explain_locked(s, &why);
    if (!ok)
        *err = why;
    return ok;
}

/* ---- both ------------------------------------------------------------------------ */

bool
survey_read_files(struct survey *s, struct rung_error *err)
{
    struct sqldir old = s->dir;
    bool ok = sqldir_open(&s->dir, s->options->directory, err);

    if (ok)
        sqldir_adopt(&s->dir, &old);
    sqldir_close(&old);
    return ok && sqldir_hash_small(&s->dir, NULL, NULL, err);
}

/* While files are read: connect, ask for the ledger, take in what comes of it.  What
 * goes wrong is told behind the files, when it goes wrong again. */
static void
go_on_asking(void *arg)
{
    struct survey *s = arg;
    struct rung_error ignored;

    if (s->asked)
        (void)PQconsumeInput(s->pg.conn);
    else if (pg_connect_step(&s->pg) && pg_connect_finish(&s->pg, &ignored))
        (void)ask_for_ledger(s, &ignored);
}

bool
survey_open(struct survey *s, const struct rung_options *options, bool offline,
    struct rung_error *err)
{
    *s = (struct survey){ .options = options, .dir.fd = -1, .pg.options = options };
    if (!ledger_name(&s->ledger, options->table, err)
        || !sqldir_open(&s->dir, options->directory, err))
        return false;
    if (!offline && !pg_connect_start(&s->pg, options, err))
        return false;
    if (!sqldir_hash_small(&s->dir, offline ? NULL : go_on_asking, s, err))
        return false;
    if (offline)
        return true;
    if (!s->asked && !pg_connect_finish(&s->pg, err))
        return false;
    s->connected = true;
    return survey_read_ledger(s, err);
}

void
survey_close(struct survey *s)
{
    for (size_t i = 0; i < s->n_borrowed; i++) {
        free(s->borrowed[i]->name);
        free(s->borrowed[i]->bytes);
        free(s->borrowed[i]);
    }
    free(s->borrowed);
    /* Whether the pooler resets what it gives to others is its own setting. */
    if (s->shared && s->connected && !pg_lost(&s->pg)) {
        struct rung_error ignored;

        pg_query(&s->pg, "DISCARD ALL", NULL, &ignored);
    }
    rung_list_free(&s->list);
    ledger_rows_free(&s->rows);
    pg_close(&s->pg);
    sqldir_close(&s->dir);
}

struct sqlfile *
survey_file(const struct survey *s, int64_t version)
{
    struct sqlfile *const *files = s->dir.files;
    size_t low = 0, high = s->dir.n;

    /* Several may have that version; those without any stand behind. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (files[middle]->version != RUNG_NO_VERSION
            && files[middle]->version < version)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < s->dir.n && files[low]->version == version; low++)
        if (files[low]->type == SQLFILE_UP)
            return files[low];
    return NULL;
}

const struct ledger_row *
survey_row(const struct survey *s, int64_t version)
{
    size_t low = 0, high = s->rows.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s->rows.rows[middle].version == version)
            return &s->rows.rows[middle];
        if (s->rows.rows[middle].version < version)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Can it run?  To who only looks, that it cannot is one finding among others. */
static bool
judge(struct survey *s, struct sqlfile *file, struct rung_error *err)
{
    struct rung_error why;

    if (file->verdict.judged || judge_file(&s->dir, file, &why))
        return true;
    if (!s->lenient || why.line == 0) {
        *err = why;
        return false;
    }
    free(file->refusal);
    file->refusal = str_dup(str_of(why.message));
    file->refusal_line = why.line;
    return file->refusal != NULL || err_memory(err);
}

/* What plan_make wants to know beforehand of one file. */
static bool
look_closer(struct survey *s, struct sqlfile *file, struct rung_error *err)
{
    const struct ledger_row *row = survey_row(s, file->version);
    struct rung_error ignored;

    if (file->type != SQLFILE_UP)
        return true;
    if (!s->connected && file->down != NULL) /* may it be undone? */
        (void)judge_file(&s->dir, file->down, &ignored);
    if (row == NULL || row->applied_at_us == RUNG_NO_TIME)
        return judge(s, file, err);
    if (file->checksum[0] == '\0' && !sqlfile_hash(&s->dir, file, err))
        return false;
    if (strcmp(row->checksum, file->checksum) == 0)
        return true;
    return sqlfile_line_endings_only(&s->dir, file, row->checksum, err);
}

bool
survey_plan(struct survey *s, int64_t version, struct rung_error *err)
{
    struct plan_options plan = { .version = version,
        .allow_out_of_order = s->options->allow_out_of_order };
    char name[4 * NAME_BYTES + 8];

    rung_list_free(&s->list);
    s->dir.ledger_schema = s->ledger.schema[0] == '\0' ? NULL : s->ledger.schema;
    s->dir.ledger_table = s->ledger.table;
    s->dir.ledger_in_path = s->ledger.wanted_schema[0] == '\0';
    for (size_t i = 0; i < s->dir.n; i++)
        if (!look_closer(s, s->dir.files[i], err))
            return false;
    if (!plan_make(&s->dir, &s->rows, &plan, &s->list, err))
        return false;
    ledger_shown(&s->ledger, name, sizeof name);
    s->list.ledger = plan_keep(&s->list, name);
    s->list.directory = plan_keep(&s->list, s->options->directory);
    s->list.database = s->connected ? plan_keep(&s->list, s->ledger.database) : NULL;
    s->list.ledger_exists = s->ledger.oid != 0;
    if (s->list.ledger == NULL || s->list.directory == NULL
        || (s->connected && s->list.database == NULL))
        return err_memory(err);
    return true;
}

void
survey_give_list(struct survey *s, struct rung_list *list)
{
    *list = s->list;
    s->list = (struct rung_list){ 0 };
}
