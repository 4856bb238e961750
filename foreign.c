/*
 * foreign.c: the tables in which other migration tools keep their histories.
 *
 * One row for each tool: what its table is called, and by which columns one knows it.
 * What rung says when it meets one (trust.c, lock.c) and what rung-import takes over
 * (tables.c) stand on this list, so they cannot disagree.
 *
 * Invariant: the more telling tools come first, so that a table is the first one's
 * whose columns it has.
 */
#include "internal.h"

#include <string.h>

static const struct foreign tools[] = {
    { .word = "flyway",
        .name = "Flyway",
        .table = "flyway_schema_history",
        .columns = { "installed_rank", "version", "script", "checksum" } },
    { .word = "goose",
        .name = "goose",
        .table = "goose_db_version",
        .columns = { "id", "version_id", "is_applied", "tstamp" } },
    { .word = "golang-migrate",
        .name = "golang-migrate",
        .table = "schema_migrations",
        .columns = { "version", "dirty" } },
    { .word = "sqlx",
        .name = "sqlx",
        .table = "_sqlx_migrations",
        .columns = { "version", "description", "checksum", "execution_time" } },
    { .word = "refinery",
        .name = "refinery",
        .table = "refinery_schema_history",
        .columns = { "version", "name", "applied_on", "checksum" } },
    { .word = "graphile-migrate",
        .name = "graphile-migrate",
        .schema = "graphile_migrate",
        .table = "migrations",
        .columns = { "hash", "previous_hash", "filename", "date" } },
    { .word = "postgres-migrations",
        .name = "postgres-migrations",
        .table = "migrations",
        .columns = { "id", "name", "hash", "executed_at" } },
    { .word = "node-pg-migrate",
        .name = "node-pg-migrate",
        .table = "pgmigrations",
        .columns = { "id", "name", "run_on" } },
    { .word = "diesel",
        .name = "diesel",
        .table = "__diesel_schema_migrations",
        .columns = { "version", "run_on" } },
    { .word = "alembic",
        .name = "Alembic",
        .table = "alembic_version",
        .columns = { "version_num" } },
    { .word = "yoyo",
        .name = "yoyo",
        .table = "_yoyo_migration",
        .columns = { "migration_hash", "migration_id", "applied_at_utc" } },
    { .word = "sqitch",
        .name = "Sqitch",
        .schema = "sqitch",
        .table = "changes",
        .columns = { "change_id", "script_hash", "change", "committed_at" } },
    { .word = "ecto",
        .files = "plain",
        .name = "Ecto",
        .table = "schema_migrations",
        .columns = { "version", "inserted_at" } },
    { .word = "plain",
        .name = "a runner of your own",
        .table = "schema_migrations",
        .columns = { "version", "filename", "applied_at" } },
    { .word = "dbmate",
        .name = "dbmate",
        .shared = "dbmate, Rails or a like tool",
        .table = "schema_migrations",
        .columns = { "version" } },
    { .word = "tern",
        .name = "tern",
        .table = "schema_version",
        .columns = { "version" } },
    { .word = "rails", /* only when it is said: its table looks like dbmate's */
        .name = "Rails",
        .table = "schema_migrations",
        .columns = { "version" } },
};

const struct foreign *
foreign_at(size_t i)
{
    return i < sizeof tools / sizeof *tools ? &tools[i] : NULL;
}

const struct foreign *
foreign_find(const char *word)
{
    for (size_t i = 0; foreign_at(i) != NULL; i++)
        if (strcmp(tools[i].word, word) == 0)
            return &tools[i];
    return NULL;
}

/* ---- by columns ------------------------------------------------------------------ */

bool
foreign_listed(const void *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = list; *at != '\0'; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return true;
    return false;
}

bool
foreign_fits(const struct foreign *tool, foreign_has *has, const void *columns)
{
    for (size_t i = 0; i < 4 && tool->columns[i] != NULL; i++)
        if (!has(columns, tool->columns[i]))
            return false;
    return true;
}

const struct foreign *
foreign_whose(const char *table, foreign_has *has, const void *columns)
{
    for (size_t i = 0; foreign_at(i) != NULL; i++)
        if ((table == NULL || strcmp(tools[i].table, table) == 0)
            && foreign_fits(&tools[i], has, columns))
            return &tools[i];
    return NULL;
}

bool
foreign_is_ledger(foreign_has *has, const void *columns)
{
    return has(columns, "version") && has(columns, "filename")
           && has(columns, "checksum") && has(columns, "applied_at");
}

/* ---- in the catalog -------------------------------------------------------------- */

void
foreign_sql_tables(PQExpBuffer sql, const char *word, const struct ledger *named)
{
    appendPQExpBufferStr(sql,
        "SELECT c.oid, n.nspname, c.relname, pg_catalog.pg_table_is_visible(c.oid),"
        " pg_catalog.array_to_string(ARRAY(SELECT a.attname::pg_catalog.text FROM"
        " pg_catalog.pg_attribute AS a WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND"
        " a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped), ',')"
        " FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n"
        " ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
        " WHERE c.relkind OPERATOR(pg_catalog.=) 'r' AND c.relpersistence"
        " OPERATOR(pg_catalog.<>) 't' AND (false");
    for (size_t i = 0; foreign_at(i) != NULL; i++) {
        const char *schema = tools[i].schema;

        if (word != NULL && strcmp(word, tools[i].word) != 0)
            continue;
        if (named != NULL)
            schema = named->wanted_schema[0] == '\0' ? NULL : named->wanted_schema;
        appendPQExpBufferStr(sql, " OR c.relname OPERATOR(pg_catalog.=) ");
        ledger_sql_literal(sql, named != NULL ? named->table : tools[i].table);
        if (schema != NULL) {
            appendPQExpBufferStr(sql, " AND n.nspname OPERATOR(pg_catalog.=) ");
            ledger_sql_literal(sql, schema);
        }
    }
    appendPQExpBufferStr(sql, ") ORDER BY 4 DESC, 2, 3;\n");
}
