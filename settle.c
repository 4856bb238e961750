/*
 * settle.c: what became of a statement that nobody recorded?
 *
 * A statement that refuses a transaction cannot share one with its record.  When a
 * runner dies between the two, or while the statement runs, the catalog knows: the
 * index is there and valid, or INVALID, or an orphaned backend is still building it.
 *
 * Invariant: a statement is declared done only when the catalog shows its work; where
 * the catalog cannot tell, we stop and say so.
 *
 * Source: PostgreSQL manual, CREATE INDEX, Building Indexes Concurrently; ALTER TABLE,
 * DETACH PARTITION.
 */
#include "internal.h"

#include <string.h>

static struct cursor
start_of(struct str sql)
{
    static const struct lexer lexer = { .more = false };

    return cursor_at(&lexer, sql);
}

/* Step over a name of one or more parts: as it is written, empty when there is none. */
static struct str
take_name(struct cursor *c)
{
    struct str name = cursor_name(c);

    return cursor_take_name(c) ? name : (struct str){ name.p, 0 };
}

/* As ledger_sql_literal: reads the same whatever the file has set. */
static void
append_literal(PQExpBuffer sql, struct str text)
{
    bool escapes = str_find(text, STR("\\"), 0) != STR_NONE;

    appendPQExpBufferStr(sql, escapes ? " E'" : "'");
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\'' || text.p[i] == '\\')
            appendPQExpBufferChar(sql, text.p[i]);
        appendPQExpBufferChar(sql, text.p[i]);
    }
    appendPQExpBufferChar(sql, '\'');
}

/* The index i is none of those. */
static void
append_not_beside(PQExpBuffer sql, struct str beside)
{
    appendPQExpBuffer(sql,
        "i.indexrelid OPERATOR(pg_catalog.<>) ALL ('{%.*s}'::pg_catalog.oid[])",
        (int)beside.n, beside.p);
}

/* ---- questions to the catalog ---------------------------------------------------- */

/*
 * Run a query whose answer is at most one row.  *row is NULL when there is none; free
 * it with PQclear.
 */
static bool
ask(struct pg *pg, PQExpBuffer sql, PGresult **row, struct rung_error *err)
{
    struct pg_tables tables;
    bool ok;

    *row = NULL;
    if (PQExpBufferBroken(sql))
        return err_memory(err);
    ok = pg_query(pg, sql->data, &tables, err);
    if (ok && tables.n == 1 && PQntuples(tables.tables[0]) > 0) {
        *row = tables.tables[0];
        return true;
    }
    pg_tables_clear(&tables);
    return ok;
}

static bool
is_true(const PGresult *row, int column)
{
    return PQgetvalue(row, 0, column)[0] == 't';
}

/* CREATE [UNIQUE] INDEX CONCURRENTLY [IF NOT EXISTS] name ON [ONLY] table */
static bool
parse_create_index(struct str sql, struct str *index, struct str *table)
{
    struct cursor c = start_of(sql);

    if (!cursor_match(&c, "CREATE [UNIQUE] INDEX CONCURRENTLY"))
        return false;
    cursor_match(&c, "IF NOT EXISTS");
    *index = (struct str){ 0 };
    if (!cursor_take(&c, "ON")) { /* ON is reserved: no index has that name unquoted */
        *index = take_name(&c);
        if (!cursor_take(&c, "ON"))
            return false;
    }
    cursor_take(&c, "ONLY");
    *table = take_name(&c);
    return table->n > 0;
}

/*
 * Rows: is it valid, is somebody building it, how is it called.  The index of that
 * name; or where the statement leaves that to the server, what is there now `beside`
 * the indexes that were there before.
 */
static void
index_sql(PQExpBuffer sql, struct str index, struct str table, struct str beside)
{
    appendPQExpBufferStr(sql,
        "SELECT i.indisvalid, EXISTS (SELECT FROM"
        " pg_catalog.pg_stat_progress_create_index AS p WHERE p.index_relid"
        " OPERATOR(pg_catalog.=) c.oid AND p.pid OPERATOR(pg_catalog.<>)"
        " pg_catalog.pg_backend_pid()), pg_catalog.format('%I.%I', n.nspname, c.relname)"
        " FROM pg_catalog.pg_index AS i"
        " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=)"
        " c.relnamespace WHERE i.indrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(");
    append_literal(sql, table);
    appendPQExpBufferStr(sql, ")::pg_catalog.oid AND ");
    if (index.n == 0) {
        append_not_beside(sql, beside);
        appendPQExpBufferStr(
            sql, " AND c.relname::pg_catalog.text OPERATOR(pg_catalog.~) 'idx[0-9]*$'");
        return;
    }
    appendPQExpBufferStr(
        sql, "c.relname OPERATOR(pg_catalog.=) (pg_catalog.parse_ident(");
    append_literal(sql, index);
    appendPQExpBufferStr(sql, "))[1]::pg_catalog.name");
}

/*
 * Build it again, after whatever a dead runner's backend has left is gone.  *several:
 * nobody can tell which of some indexes is the one.
 */
static enum settled
settle_create_index(struct pg *pg, struct str index, struct str table,
    struct str beside, bool running, bool *several, struct rung_error *err)
{
    PQExpBufferData sql;
    enum settled settled = SETTLED_RUN;
    PGresult *row = NULL;

    initPQExpBuffer(&sql);
    index_sql(&sql, index, table, beside);
    if (index.n == 0 && !running) /* a failed one leaves an INVALID one, or nothing */
        appendPQExpBufferStr(&sql, " AND NOT i.indisvalid");
    while (ask(pg, &sql, &row, err)) {
        bool building = row != NULL && is_true(row, 1);

        if (row == NULL)
            goto out;
        *several = PQntuples(row) > 1;
        if (*several)
            goto out;
        if (!building)
            break;
        PQclear(row);
        row = NULL;
        if (!pg_sleep(pg, 500, err)) {
            settled = SETTLED_FAILED;
            goto out;
        }
    }
    if (row == NULL) {
        settled = SETTLED_FAILED;
    } else if (is_true(row, 0)) {
        settled = running ? SETTLED_DONE : SETTLED_RUN;
    } else {
        printfPQExpBuffer(&sql, "DROP INDEX CONCURRENTLY %s", PQgetvalue(row, 0, 2));
        if (PQExpBufferDataBroken(sql) ? !err_memory(err)
                                       : !pg_query(pg, sql.data, NULL, err))
            settled = SETTLED_FAILED;
    }
out:
    PQclear(row);
    termPQExpBuffer(&sql);
    return settled;
}

/* Is there a row for `query`?  "Yes" is what `when_there` says.  Ends the query. */
static enum settled
settle_by_row(struct pg *pg, PQExpBuffer query, enum settled when_there,
    enum settled otherwise, struct rung_error *err)
{
    PGresult *row;
    enum settled settled = SETTLED_FAILED;

    if (ask(pg, query, &row, err))
        settled = row != NULL ? when_there : otherwise;
    PQclear(row);
    termPQExpBuffer(query);
    return settled;
}

static enum settled
settle_drop_index(struct pg *pg, struct str index, struct rung_error *err)
{
    PQExpBufferData sql;

    initPQExpBuffer(&sql);
    appendPQExpBufferStr(&sql, "SELECT 1 WHERE pg_catalog.to_regclass(");
    append_literal(&sql, index);
    appendPQExpBufferStr(&sql, ") IS NOT NULL");
    return settle_by_row(pg, &sql, SETTLED_RUN, SETTLED_DONE, err);
}

/* Databases and tablespaces: there or not. */
static enum settled
settle_global(struct pg *pg, const char *catalog, const char *column, struct str name,
    bool create, struct rung_error *err)
{
    PQExpBufferData sql;

    initPQExpBuffer(&sql);
    appendPQExpBuffer(&sql,
        "SELECT 1 FROM pg_catalog.%s WHERE %s OPERATOR(pg_catalog.=)"
        " (pg_catalog.parse_ident(",
        catalog, column);
    append_literal(&sql, name);
    appendPQExpBufferStr(&sql, "))[1]::pg_catalog.name");
    return settle_by_row(pg, &sql, create ? SETTLED_DONE : SETTLED_RUN,
        create ? SETTLED_RUN : SETTLED_DONE, err);
}

/* ALTER TABLE parent DETACH PARTITION child CONCURRENTLY: two transactions inside. */
static enum settled
settle_detach(
    struct pg *pg, struct str parent, struct str child, struct rung_error *err)
{
    PQExpBufferData sql;
    enum settled settled = SETTLED_FAILED;
    PGresult *row;

    initPQExpBuffer(&sql);
    appendPQExpBufferStr(&sql,
        "SELECT i.inhdetachpending FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid"
        " OPERATOR(pg_catalog.=) pg_catalog.to_regclass(");
    append_literal(&sql, child);
    appendPQExpBufferStr(&sql, ")::pg_catalog.oid");
    if (ask(pg, &sql, &row, err)) {
        if (row == NULL) {
            settled = SETTLED_DONE;
        } else if (!is_true(row, 0)) {
            settled = SETTLED_RUN;
        } else {
            printfPQExpBuffer(&sql, "ALTER TABLE %.*s DETACH PARTITION %.*s FINALIZE",
                (int)parent.n, parent.p, (int)child.n, child.p);
            if (PQExpBufferDataBroken(sql))
                err_memory(err);
            else if (pg_query(pg, sql.data, NULL, err))
                settled = SETTLED_DONE;
        }
        PQclear(row);
    }
    termPQExpBuffer(&sql);
    return settled;
}

/* ---- REINDEX ... CONCURRENTLY ---------------------------------------------------- */

/* REINDEX [(...)] INDEX|TABLE|SCHEMA|DATABASE [CONCURRENTLY] name */
static bool
parse_reindex(struct str sql, const char **what, struct str *name)
{
    static const char *const objects[] = { "index", "table", "schema", "database" };
    struct cursor c = start_of(sql);

    if (!cursor_match(&c, "REINDEX [()]"))
        return false;
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        if (!cursor_match(&c, objects[i]))
            continue;
        cursor_take(&c, "CONCURRENTLY");
        *what = objects[i];
        *name = take_name(&c);
        return name->n > 0;
    }
    return false;
}

/* WITH: the tables that it rebuilds indexes of, `target`; their TOAST tables, too. */
static void
append_targets(PQExpBuffer sql, const char *what, struct str name)
{
    appendPQExpBufferStr(sql,
        "WITH named AS (SELECT c.oid, c.reltoastrelid FROM pg_catalog.pg_class AS c"
        " WHERE ");
    if (strcmp(what, "database") == 0) {
        appendPQExpBufferStr(sql, "true");
    } else if (strcmp(what, "schema") == 0) {
        appendPQExpBufferStr(
            sql, "c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.to_regnamespace(");
        append_literal(sql, name);
        appendPQExpBufferStr(sql, ")::pg_catalog.oid");
    } else {
        bool index = strcmp(what, "index") == 0;

        appendPQExpBufferStr(
            sql, index ? "c.oid OPERATOR(pg_catalog.=) ANY (SELECT x.indrelid"
                         " FROM pg_catalog.pg_index AS x WHERE x.indexrelid"
                       : "(c.oid");
        appendPQExpBufferStr(sql, " OPERATOR(pg_catalog.=) pg_catalog.to_regclass(");
        append_literal(sql, name);
        appendPQExpBuffer(
            sql, ")::pg_catalog.oid OR %s", index ? "x.indexrelid" : "c.oid");
        appendPQExpBufferStr(sql, " OPERATOR(pg_catalog.=) ANY (SELECT p.relid FROM"
                                  " pg_catalog.pg_partition_tree("
                                  "pg_catalog.to_regclass(");
        append_literal(sql, name);
        appendPQExpBufferStr(sql, ")) AS p))");
    }
    appendPQExpBufferStr(sql, "), target AS (SELECT n.oid FROM named AS n UNION ALL"
                              " SELECT n.reltoastrelid FROM named AS n) ");
}

/* FROM: the INVALID indexes that REINDEX leaves behind, as i with their class c. */
static void
append_leftovers(PQExpBuffer sql)
{
    appendPQExpBufferStr(sql,
        " FROM pg_catalog.pg_index AS i"
        " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=)"
        " c.relnamespace WHERE NOT i.indisvalid AND i.indrelid OPERATOR(pg_catalog.=)"
        " ANY (SELECT t.oid FROM target AS t)"
        " AND c.relname::pg_catalog.text OPERATOR(pg_catalog.~)"
        " '_cc(new|old)[0-9]*$'");
}

/* Wait for a dead runner's backend that is still at it. */
static bool
wait_for_reindex(
    struct pg *pg, const char *what, struct str name, struct rung_error *err)
{
    PQExpBufferData sql;
    PGresult *row;
    bool ok, there;

    initPQExpBuffer(&sql);
    append_targets(&sql, what, name);
    appendPQExpBufferStr(&sql,
        "SELECT 1 FROM pg_catalog.pg_stat_progress_create_index AS p WHERE p.pid"
        " OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid() AND p.relid"
        " OPERATOR(pg_catalog.=) ANY (SELECT t.oid FROM target AS t)");
    do {
        ok = ask(pg, &sql, &row, err);
        there = row != NULL;
        PQclear(row);
    } while (ok && there && pg_sleep(pg, 500, err));
    termPQExpBuffer(&sql);
    return ok && !there;
}

/*
 * It may simply run once more; but an index that it was building is in nobody's use,
 * and one that it has replaced, neither.
 *
 * Source: PostgreSQL manual, REINDEX, Rebuilding Indexes Concurrently.
 */
static enum settled
settle_reindex(struct pg *pg, const char *what, struct str name, struct str beside,
    struct rung_error *err)
{
    PQExpBufferData sql;
    PGresult *rows = NULL;
    bool ok = wait_for_reindex(pg, what, name, err);

    initPQExpBuffer(&sql);
    append_targets(&sql, what, name);
    appendPQExpBufferStr(
        &sql, "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)");
    append_leftovers(&sql);
    appendPQExpBufferStr(&sql, " AND ");
    append_not_beside(&sql, beside);
    ok = ok && ask(pg, &sql, &rows, err);
    for (int i = 0; ok && rows != NULL && i < PQntuples(rows); i++) {
        printfPQExpBuffer(
            &sql, "DROP INDEX CONCURRENTLY IF EXISTS %s", PQgetvalue(rows, i, 0));
        ok = PQExpBufferDataBroken(sql) ? err_memory(err)
                                        : pg_query(pg, sql.data, NULL, err);
    }
    PQclear(rows);
    termPQExpBuffer(&sql);
    return ok ? SETTLED_RUN : SETTLED_FAILED;
}

bool
settle_look_before(struct pg *pg, const struct statement *stmt, PQExpBuffer beside,
    struct rung_error *err)
{
    struct str name, table;
    const char *what;
    PQExpBufferData sql;
    PGresult *row;
    bool ok = true;

    initPQExpBuffer(&sql);
    if (stmt->traits.concurrently && parse_reindex(stmt->text, &what, &name)) {
        append_targets(&sql, what, name);
    } else if (!parse_create_index(stmt->text, &name, &table) || name.n > 0) {
        termPQExpBuffer(&sql);
        return true;
    } else {
        what = NULL;
    }
    appendPQExpBufferStr(&sql,
        "SELECT pg_catalog.concat_ws(',', '0'::pg_catalog.text,"
        " pg_catalog.string_agg(i.indexrelid::pg_catalog.text, ','"
        " ORDER BY i.indexrelid))");
    if (what != NULL) {
        append_leftovers(&sql);
    } else {
        appendPQExpBufferStr(&sql,
            " FROM pg_catalog.pg_index AS i WHERE i.indrelid OPERATOR(pg_catalog.=)"
            " pg_catalog.to_regclass(");
        append_literal(&sql, table);
        appendPQExpBufferStr(&sql, ")::pg_catalog.oid");
    }
    ok = ask(pg, &sql, &row, err);
    if (ok && row != NULL)
        appendPQExpBufferStr(beside, PQgetvalue(row, 0, 0));
    PQclear(row);
    termPQExpBuffer(&sql);
    /* A name that only the statement itself can say what is wrong with. */
    return ok || (!pg_lost(pg) && !pg->cancelled && err->sqlstate[0] != '\0');
}

/* ---- the statements -------------------------------------------------------------- */

/* Statements that may simply run once more. */
static bool
repeatable(struct str sql)
{
    struct cursor c = start_of(sql);

    return cursor_match(&c, "VACUUM|REINDEX|CLUSTER|DISCARD")
           || cursor_match(&c, "ALTER SYSTEM|DATABASE");
}

static enum settled
cannot_tell(const struct statement *stmt, const char *filename, struct rung_error *err)
{
    char verb[64];

    err_set(err, RUNG_DRIFT,
        "cannot tell whether statement %llu of %s (%s) was completed: its runner ended "
        "while it ran, and the catalog does not show it",
        (unsigned long long)stmt->number, filename,
        sql_verb(verb, sizeof verb, stmt->text));
    err_hint(err,
        "Look for its work. If it is done: `rung repair --completed --reason TEXT`; if "
        "not: `rung repair --reason TEXT`. Then `rung up`.");
    return SETTLED_FAILED;
}

/* The server has chosen the index's name, and more than one may be it. */
static enum settled
cannot_tell_index(const struct statement *stmt, const char *filename, struct str table,
    struct rung_error *err)
{
    cannot_tell(stmt, filename, err);
    err_hint(err,
        "It names no index: look which of those on %.*s is its own, and drop it if it is "
        "INVALID. If it is done: `rung repair --completed --reason TEXT`; if not: `rung "
        "repair --reason TEXT`. Then `rung up`.",
        (int)table.n, table.p);
    return SETTLED_FAILED;
}

enum settled
settle_statement(struct pg *pg, const struct statement *stmt, bool running,
    struct str beside, const char *filename, struct rung_error *err)
{
    static const struct {
        const char *pattern, *catalog, *column;
        bool create;
    } globals[] = {
        { "CREATE DATABASE", "pg_database", "datname", true },
        { "DROP DATABASE", "pg_database", "datname", false },
        { "CREATE TABLESPACE", "pg_tablespace", "spcname", true },
        { "DROP TABLESPACE", "pg_tablespace", "spcname", false },
    };
    struct str index, table;
    const char *what;
    struct cursor c;

    if (parse_create_index(stmt->text, &index, &table)) {
        bool several = index.n == 0 && beside.n == 0 && running;
        enum settled settled = SETTLED_RUN;

        if (!several && (index.n > 0 || beside.n > 0))
            settled =
                settle_create_index(pg, index, table, beside, running, &several, err);
        return several ? cannot_tell_index(stmt, filename, table, err) : settled;
    }
    if (beside.n > 0 && parse_reindex(stmt->text, &what, &index))
        return settle_reindex(pg, what, index, beside, err);
    if (!running || repeatable(stmt->text))
        return SETTLED_RUN;
    c = start_of(stmt->text);
    if (cursor_match(&c, "DROP INDEX CONCURRENTLY")) {
        cursor_match(&c, "IF EXISTS");
        return settle_drop_index(pg, take_name(&c), err);
    }
    if (cursor_match(&c, "ALTER TABLE")) {
        cursor_match(&c, "IF EXISTS");
        cursor_take(&c, "ONLY");
        table = take_name(&c);
        return cursor_match(&c, "DETACH PARTITION")
                   ? settle_detach(pg, table, take_name(&c), err)
                   : cannot_tell(stmt, filename, err);
    }
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        if (!cursor_match(&c, globals[i].pattern))
            continue;
        cursor_match(&c, "IF EXISTS");
        return settle_global(pg, globals[i].catalog, globals[i].column, take_name(&c),
            globals[i].create, err);
    }
    return cannot_tell(stmt, filename, err);
}

bool
settle_check_index(struct pg *pg, const struct statement *stmt, struct rung_error *err)
{
    struct str index, table;
    PQExpBufferData sql;
    PGresult *row;
    bool ok;

    if (!parse_create_index(stmt->text, &index, &table) || index.n == 0)
        return true;
    initPQExpBuffer(&sql);
    index_sql(&sql, index, table, (struct str){ 0 });
    ok = ask(pg, &sql, &row, err);
    if (ok && row != NULL && !is_true(row, 0)) {
        ok = err_set(err, RUNG_FAILED,
            "the index %s was there already, and it is INVALID: the statement did not "
            "build it",
            PQgetvalue(row, 0, 2));
        err_hint(err, "`rung up` will drop it CONCURRENTLY and build it.");
    }
    PQclear(row);
    termPQExpBuffer(&sql);
    return ok;
}
