/*
 * script.c: what `rung up` would do, as a script for psql.
 *
 * For an administrator who runs what others hand in.  Owns what the script begins with
 * (session, ledger, lock, the state it expects) and which files go into it; psql.c
 * writes these.
 *
 * Invariant: the ledger is looked for when the script runs, not when it is made, and
 * nothing is applied unless its rows are those that the script was made for.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define EQ " OPERATOR(pg_catalog.=) "
#define CONCAT " OPERATOR(pg_catalog.||) "

struct script {
    const struct rung_options *options;
    struct survey survey;
    struct ledger ledger; /* its name is a psql variable */
    struct psql out;
    int64_t from; /* RUNG_NO_VERSION: the ledger was read */
};

/* ---- the beginning --------------------------------------------------------------- */

static void
put_text(struct script *script, const char *text)
{
    appendPQExpBufferStr(&script->out.text, text);
}

/* \set NAME 'TEXT', a text of several lines as one. */
static void
put_variable(struct script *script, const char *name, const char *text)
{
    appendPQExpBuffer(&script->out.text, "\\set %s '", name);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            put_text(script, "'");
        appendPQExpBufferChar(&script->out.text, *text == '\n' ? ' ' : *text);
    }
    put_text(script, "'\n");
}

/* Stop unless the psql variable is true. */
static void
put_demand(struct script *script, const char *variable, const char *message)
{
    appendPQExpBuffer(&script->out.text,
        "\\if :%s\n\\else\nDO $rung$ BEGIN RAISE EXCEPTION USING MESSAGE = ", variable);
    ledger_sql_literal(&script->out.text, message);
    put_text(script, "; END $rung$;\n\\endif\n");
}

static void
put_head(struct script *script)
{
    char shown[512];

    put_text(script, "-- Made by rung " RUNG_VERSION
                     ": what `rung up` would do, for psql 10 or later:\n"
                     "--     psql -X -f SCRIPT CONNECTION\n");
    if (script->survey.connected) {
        appendPQExpBuffer(&script->out.text, "-- Made for database %s",
            text_escape(shown, sizeof shown, str_of(script->survey.ledger.database)));
        appendPQExpBuffer(&script->out.text, ", to be run as %s.\n",
            text_escape(shown, sizeof shown, str_of(script->survey.ledger.user)));
    }
    put_text(script, "\\set ON_ERROR_STOP on\n"
                     "\\set AUTOCOMMIT on\n"
                     "\\set ON_ERROR_ROLLBACK off\n"
                     "\\set SINGLELINE off\n"
                     "\\set FETCH_COUNT 0\n"
                     "\\set QUIET on\n"
                     "\\encoding UTF8\n");
}

/*
 * What puts a session right, and what makes it ours again, as variables.  Settings that
 * only newer servers have are added when the script runs: it may meet another server.
 */
static bool
put_session(struct script *script, struct rung_error *err)
{
    static const struct {
        const char *since, *setting;
    } newer[] = {
        { "140000", "idle_session_timeout" },
        { "170000", "transaction_timeout" },
    };
    struct pg oldest = { .conn = NULL }; /* its version is 0 */
    PQExpBufferData reset;
    bool ok;

    initPQExpBuffer(&reset);
    session_sql_reset(&reset, &oldest, NULL);
    appendPQExpBufferStr(&reset, "SET ROLE NONE;");
    ok = !PQExpBufferDataBroken(reset);
    if (ok)
        put_variable(script, "rung_reset", reset.data);
    termPQExpBuffer(&reset);
    for (size_t i = 0; i < sizeof newer / sizeof newer[0]; i++)
        appendPQExpBuffer(&script->out.text,
            "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4"
            " OPERATOR(pg_catalog.>=) %s AS rung_newer \\gset\n"
            "\\if :rung_newer\n\\set rung_reset :rung_reset ' SET %s = 0;'\n\\endif\n",
            newer[i].since, newer[i].setting);
    put_variable(script, "rung_ours",
        "SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL ROLE NONE;"
        " SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;");
    put_text(script, ":rung_reset\n");
    return ok || err_memory(err);
}

/* Which table, and the lock that goes with its name (ledger.c: settle_name). */
static void
put_find(struct script *script)
{
    struct ledger *ledger = &script->ledger;
    PQExpBuffer text = &script->out.text;

    put_text(script, "\n-- The ledger, and its lock\n"
                     "SELECT coalesce(n.nspname, ");
    if (ledger->wanted_schema[0] == '\0')
        put_text(script, "pg_catalog.current_schema()");
    else
        ledger_sql_literal(text, ledger->wanted_schema);
    put_text(script, ") AS rung_schema,\n    ");
    ledger_sql_literal(text, ledger->table);
    put_text(script, "::pg_catalog.text AS rung_table\n"
                     "FROM (SELECT pg_catalog.to_regclass(");
    ledger_sql_literal(text, ledger->given);
    put_text(script,
        ")::pg_catalog.oid AS oid) AS r\n"
        "LEFT JOIN pg_catalog.pg_class AS c ON c.oid" EQ "r.oid\n"
        "LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid" EQ "c.relnamespace \\gset\n"
        "SELECT pg_catalog.format('%I.%I', :'rung_schema', :'rung_table') AS rung_ledger,\n"
        "    ('x'" CONCAT "pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(\n"
        "        pg_catalog.convert_to('rung:'" CONCAT ":'rung_schema'" CONCAT
        "'.'" CONCAT ":'rung_table', 'UTF8')), 'hex'), 16))\n"
        "        ::pg_catalog.bit(64)::pg_catalog.int8 AS rung_key,\n"
        "    pg_catalog.now()" EQ
        "pg_catalog.statement_timestamp() AS rung_alone \\gset\n");
    put_demand(script, "rung_alone",
        "this script has transactions of its own: run it without --single-transaction");
    put_text(script,
        "SELECT pg_catalog.pg_try_advisory_lock(:rung_key) AS rung_locked \\gset\n");
    put_demand(script, "rung_locked", "another runner holds the lock: try again later");
}

/* A table of this name elsewhere, when there is none in the search_path. */
static void
put_elsewhere(struct script *script)
{
    put_text(script, "SELECT NOT EXISTS (");
    ledger_sql_elsewhere(&script->out.text, &script->ledger);
    while (script->out.text.len > 0
           && strchr(";\n", script->out.text.data[script->out.text.len - 1]) != NULL)
        script->out.text.data[--script->out.text.len] = '\0';
    put_text(script, ") AS rung_nowhere \\gset\n");
    put_demand(script, "rung_nowhere",
        "there is no such ledger in the search_path, but there is one in another schema");
}

/* The table is there, is a plain one of somebody trusted, and has all columns. */
static void
put_ledger(struct script *script)
{
    put_text(script, "SELECT pg_catalog.to_regclass(:'rung_ledger') IS NULL"
                     " AS rung_absent \\gset\n\\if :rung_absent\n");
    if (script->ledger.wanted_schema[0] == '\0')
        put_elsewhere(script);
    ledger_sql_create(&script->out.text, &script->ledger);
    put_text(script,
        "\\endif\n"
        "SELECT c.oid AS rung_oid,\n"
        "    c.relkind" EQ "'r' AND NOT c.relhasrules AND NOT c.relrowsecurity\n"
        "    AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid" EQ
        "c.oid AND NOT t.tgisinternal)\n"
        "    AND (pg_catalog.pg_has_role(session_user, c.relowner, 'MEMBER')\n"
        "        OR o.rolsuper OR d.datdba" EQ "c.relowner) AS rung_trusted,\n"
        "    5 OPERATOR(pg_catalog.>) (SELECT pg_catalog.count(*) FROM"
        " pg_catalog.pg_attribute AS a\n"
        "        WHERE a.attrelid" EQ "c.oid AND NOT a.attisdropped AND (a.attname" EQ
        "'applied_by'\n            OR a.attname" EQ "'duration_ms' OR a.attname" EQ
        "'statements' OR a.attname" EQ "'undone' OR a.attname" EQ "'note'))\n"
        "    OR EXISTS (SELECT FROM pg_catalog.pg_attribute AS a\n"
        "        WHERE a.attrelid" EQ "c.oid AND a.attnotnull AND a.attname" EQ
        "'applied_at') AS rung_narrow\n"
        "FROM pg_catalog.pg_class AS c\n"
        "JOIN pg_catalog.pg_roles AS o ON o.oid" EQ "c.relowner\n"
        "JOIN pg_catalog.pg_database AS d ON d.datname" EQ
        "pg_catalog.current_database()\n"
        "WHERE c.oid" EQ
        "pg_catalog.to_regclass(:'rung_ledger')::pg_catalog.oid \\gset\n");
    put_demand(script, "rung_trusted",
        "the ledger is no plain table of ours: rung writes only to such a one");
    put_text(script, "\\if :rung_narrow\n");
    ledger_sql_widen(&script->out.text, &script->ledger);
    put_text(script, "\\endif\n");
}

/* The last version in front of `from` that is not a draft; RUNG_NO_VERSION: none. */
static int64_t
version_before(const struct script *script)
{
    const struct rung_list *list = &script->survey.list;
    int64_t before = RUNG_NO_VERSION;

    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].recorded)
            before = list->items[i].version;
    return before;
}

/* Are the rows still those that the script was made from? */
static void
put_standing(struct script *script)
{
    const struct survey *s = &script->survey;
    const struct ledger_rows *rows = &s->rows;
    int64_t before = version_before(script);

    put_text(script,
        "SELECT NOT EXISTS (SELECT FROM :rung_ledger AS l WHERE l.applied_at"
        " IS NULL OR l.undone IS NOT NULL) AS rung_finished,\n    ");
    if (s->connected)
        appendPQExpBuffer(&script->out.text,
            "(SELECT pg_catalog.count(*)" EQ
            "%zu AND coalesce(pg_catalog.max(l.version),"
            " -1)" EQ "%" PRId64 " FROM :rung_ledger AS l)",
            rows->n, rows->n == 0 ? RUNG_NO_VERSION : rows->rows[rows->n - 1].version);
    else
        appendPQExpBuffer(&script->out.text,
            "(SELECT coalesce(pg_catalog.max(l.version), -1)" EQ "%" PRId64
            " FROM :rung_ledger AS l)",
            before);
    put_text(script, " AS rung_same \\gset\n");
    put_demand(script, "rung_finished",
        "a migration is unfinished: finish it with `rung up` or `rung down` first");
    put_demand(script, "rung_same",
        s->connected
            ? "the ledger has changed since this script was made: make it anew"
            : "the newest applied migration is not the one in front of this script's "
              "first");
}

/* ---- the whole ------------------------------------------------------------------- */

static bool
put_files(struct script *script, struct rung_error *err)
{
    const struct rung_list *list = &script->survey.list;
    bool together = script->options->one_transaction;
    size_t steps = 0, n = 0;

    for (size_t i = 0; i < list->n; i++)
        steps += list->items[i].step != RUNG_STEP_NONE;
    if (steps == 0)
        put_text(script, "\n-- Nothing is pending.\n");
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i].step == RUNG_STEP_NONE)
            continue;
        n++;
        if (!psql_file(&script->out, &script->survey.dir,
                survey_file(&script->survey, list->items[i].version),
                !together || n == 1, !together || n == steps, err))
            return false;
    }
    put_text(script,
        "\n\\unset QUIET\n"
        "SELECT pg_catalog.pg_advisory_unlock(:rung_key) AS rung_unlocked \\gset\n");
    return true;
}

static bool
put_script(struct script *script, struct rung_error *err)
{
    put_head(script);
    if (!put_session(script, err))
        return false;
    put_find(script);
    put_ledger(script);
    put_standing(script);
    return put_files(script, err) && psql_flush(&script->out, err);
}

/* ---- what goes into it ----------------------------------------------------------- */

/* Without a connection: the files in front of `from` count as applied. */
static bool
suppose_applied(struct survey *s, int64_t from, struct rung_error *err)
{
    if (!sqldir_hash(&s->dir, false, err))
        return false;
    s->rows.rows = calloc(s->dir.n + 1, sizeof *s->rows.rows);
    if (s->rows.rows == NULL)
        return err_memory(err);
    for (size_t i = 0; i < s->dir.n; i++) {
        const struct sqlfile *file = s->dir.files[i];
        struct ledger_row *row = &s->rows.rows[s->rows.n];

        if (file->type != SQLFILE_UP || file->version >= from
            || survey_row(s, file->version) != NULL)
            continue;
        *row = (struct ledger_row){ .version = file->version,
            .filename = str_dup(str_of(file->name)),
            .checksum = str_dup(str_of(file->checksum)),
            .duration_ms = -1,
            .statements = -1,
            .undone = -1 };
        s->rows.n++;
        if (row->filename == NULL || row->checksum == NULL)
            return err_memory(err);
    }
    return true;
}

/* What a script cannot do, said before a byte of it is written. */
static bool
check_plan(const struct script *script, struct rung_error *err)
{
    const struct rung_list *list = &script->survey.list;
    bool first = true;

    for (size_t i = 0; i < list->n; i++) {
        const struct rung_migration *m = &list->items[i];
        const struct sqlfile *file;

        if (m->step == RUNG_STEP_NONE)
            continue;
        if (m->step == RUNG_STEP_RESUME) {
            err_set(err, RUNG_FAILED, "%s is unfinished: a script cannot go on with it",
                m->filename);
            return err_hint(err, "`rung up %" PRId64 "` does.", m->version);
        }
        file = survey_file(&script->survey, m->version);
        if (script->options->one_transaction
            && (file->verdict.no_transaction
                || (!first && file->verdict.modes[0] != '\0')))
            return err_set(err, RUNG_FAILED,
                "%s needs a transaction of its own, or none: it cannot be part of "
                "--one-transaction",
                m->filename);
        first = false;
    }
    return true;
}

static bool
make_plan(struct script *script, int64_t version, struct rung_error *err)
{
    struct survey *s = &script->survey;
    bool offline = script->from != RUNG_NO_VERSION;

    if (script->options->keep_source) {
        err_set(err, RUNG_USAGE, "a script does not keep the text of files");
        return err_hint(err, "Leave --keep-source (RUNG_KEEP_SOURCE) out for it.");
    }
    if (!survey_open(s, script->options, offline, err)
        || (offline && !suppose_applied(s, script->from, err)))
        return false;
    for (int i = 0; i < 2; i++) {
        int64_t named = i == 0 ? version : script->from;

        if (named != RUNG_NO_VERSION && survey_file(s, named) == NULL
            && survey_row(s, named) == NULL)
            return err_set(err, RUNG_USAGE, "there is no migration %" PRId64 " in %s",
                named, script->options->directory);
    }
    return survey_plan(s, version, err) && plan_allows(&s->list, err)
           && check_plan(script, err);
}

/* The ledger as the script sees it: found when it runs. */
static void
name_ledger(struct script *script)
{
    struct ledger *ledger = &script->ledger;

    *ledger = script->survey.ledger;
    if (script->survey.connected) { /* where it was found, or would be created */
        memcpy(ledger->given, ledger->quoted, sizeof ledger->given);
        memcpy(ledger->wanted_schema, ledger->schema, sizeof ledger->wanted_schema);
    }
    ledger->oid = 0;
    text_format(ledger->quoted, sizeof ledger->quoted, ":rung_ledger");
}

bool
rung_plan_sql(const struct rung_options *options, int64_t version, int64_t from,
    bool (*put)(void *arg, const char *bytes, size_t n), void *arg,
    struct rung_error *err)
{
    struct script script = { .options = options,
        .from = from,
        .out = {
            .options = options, .ledger = &script.ledger, .put = put, .arg = arg } };
    bool ok;

    initPQExpBuffer(&script.out.text);
    ok = make_plan(&script, version, err);
    if (ok) {
        name_ledger(&script);
        ok = put_script(&script, err);
    }
    termPQExpBuffer(&script.out.text);
    survey_close(&script.survey);
    return ok;
}
