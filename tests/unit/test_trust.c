/*
 * test_trust.c: a table that bears the ledger's name, and may not be trusted.
 *
 * The answers of the server are drawn (result.h): relkind, persistence, trigger, rules,
 * row security, owner, owner is trusted, unique, how many of the optional columns there
 * are, applied_at is NOT NULL.
 */
#include "internal.h"

#include "result.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const char inspected[] =
    "relkind persistence trigger rules security owner trusted unique columns not_null";
static const char listed[] = "attname type relkind owner";

static const struct ledger ledger = {
    .table = "schema_migrations", .schema = "public", .user = "App"
};

#define PLAIN "rung writes only to a plain table: remove it first."

static const struct {
    const char *why, *row;
    const char *message, *hint; /* NULL: it may be written to */
    bool widen;
} judged[] = {
    { "our own", "r|p|f|f|f|app|t|t|5|f", NULL, NULL, false },
    { "a simpler runner's", "r|p|f|f|f|app|t|t|0|f", NULL, NULL, true },
    { "a part of the columns", "r|p|f|f|f|app|t|t|4|f", NULL, NULL, true },
    { "applied_at NOT NULL", "r|p|f|f|f|app|t|t|5|t", NULL, NULL, true },
    { "gone meanwhile", "", "the ledger public.schema_migrations has vanished", "",
        false },
    { "a view", "v|p|f|f|f|app|t|t|5|f",
        "public.schema_migrations is a view, not a ledger",
        "Name another table with --table.", false },
    { "a materialized view", "m|p|f|f|f|app|t|t|5|f",
        "public.schema_migrations is a materialized view, not a ledger",
        "Name another table with --table.", false },
    { "a foreign table", "f|p|f|f|f|app|t|t|5|f",
        "public.schema_migrations is a foreign table, not a ledger",
        "Name another table with --table.", false },
    { "a partitioned table", "p|p|f|f|f|app|t|t|5|f",
        "public.schema_migrations is a partitioned table, not a ledger",
        "Name another table with --table.", false },
    { "a sequence", "S|p|f|f|f|app|t|t|5|f",
        "public.schema_migrations is a sequence, not a ledger",
        "Name another table with --table.", false },
    { "an index", "i|p|f|f|f|app|t|t|5|f",
        "public.schema_migrations is an index, not a ledger",
        "Name another table with --table.", false },
    { "a partitioned index", "I|p|f|f|f|app|t|t|5|f",
        "public.schema_migrations is an index, not a ledger",
        "Name another table with --table.", false },
    { "a composite type", "c|p|f|f|f|app|t|t|5|f",
        "public.schema_migrations is a type, not a ledger",
        "Name another table with --table.", false },
    { "a kind to come", "?|p|f|f|f|app|t|t|5|f",
        "public.schema_migrations is no ordinary table, not a ledger",
        "Name another table with --table.", false },
    { "temporary", "r|t|f|f|f|app|t|t|5|f",
        "the ledger public.schema_migrations is a temporary table", PLAIN, false },
    { "a trigger", "r|p|t|f|f|app|t|t|5|f",
        "the ledger public.schema_migrations has a trigger", PLAIN, false },
    { "a rule", "r|p|f|t|f|app|t|t|5|f",
        "the ledger public.schema_migrations has a rule", PLAIN, false },
    { "row security", "r|p|f|f|t|app|t|t|5|f",
        "the ledger public.schema_migrations has row security", PLAIN, false },
    { "somebody else's", "r|p|f|f|f|mallory|f|t|5|f",
        "the ledger public.schema_migrations belongs to \"mallory\", who is neither us "
        "nor a role of ours, nor the database's owner, nor a superuser",
        "ALTER TABLE public.schema_migrations OWNER TO \"App\";", false },
    { "an owner whose name would move the cursor", "r|p|f|f|f|\033[2J|f|t|5|f",
        "the ledger public.schema_migrations belongs to \"\\x1b[2J\", who is neither us "
        "nor a role of ours, nor the database's owner, nor a superuser",
        "ALTER TABLE public.schema_migrations OWNER TO \"App\";", false },
    { "not known whether its owner is trusted", "r|p|f|f|f|~|~|t|5|f",
        "the ledger public.schema_migrations belongs to \"\", who is neither us nor a "
        "role of ours, nor the database's owner, nor a superuser",
        "ALTER TABLE public.schema_migrations OWNER TO \"App\";", false },
    { "unlogged", "r|u|f|f|f|app|t|t|5|f",
        "the ledger public.schema_migrations is unlogged: a crash of the server empties "
        "it",
        "ALTER TABLE public.schema_migrations SET LOGGED;", false },
    { "unique only at the end", "r|p|f|f|f|app|t|d|5|f",
        "the ledger public.schema_migrations looks at its key on version only at the "
        "end of a transaction: it is DEFERRABLE",
        "CREATE UNIQUE INDEX ON public.schema_migrations (version);", false },
    { "no index at all", "r|p|f|f|f|app|t|~|5|f",
        "the ledger public.schema_migrations has no unique index on version",
        "ALTER TABLE public.schema_migrations ADD PRIMARY KEY (version);", false },
    { "version is not unique", "r|p|f|f|f|app|t|f|5|f",
        "the ledger public.schema_migrations has no unique index on version",
        "ALTER TABLE public.schema_migrations ADD PRIMARY KEY (version);", false },
};

static void
only_a_plain_table_of_ours_is_written_to(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(judged); i++) {
        struct rung_error err = { 0 };
        PGresult *res = draw_result(inspected, judged[i].row);
        bool widen = false, ok = ledger_judge(&ledger, res, &widen, &err);

        PQclear(res);
        if (ok != (judged[i].message == NULL))
            fail_msg("%s: %s", judged[i].why, ok ? "is accepted" : err.message);
        assert_int_equal(err.code, ok ? RUNG_OK : RUNG_DRIFT);
        assert_string_equal(err.message, ok ? "" : judged[i].message);
        assert_string_equal(err.hint, ok ? "" : judged[i].hint);
        if (widen != judged[i].widen)
            fail_msg("%s: widen is %d", judged[i].why, widen);
    }
}

/* Columns as the tools make them. */
#define BELONGS(tool)                                                                  \
    "the table public.schema_migrations is not rung's: by its columns it belongs to " tool
#define COME(files, history)                                                           \
    "Nothing was written to it. Come from there with `rung-import files --from " files \
    " SOURCE` and `rung-import history --from " history                                \
    "`, or give rung a table of its own: --table rung_migrations."
#define OF_ITS_OWN                                                                     \
    "Nothing was written to it. Give rung a table of its own: --table rung_migrations."
static const struct {
    const char *columns, *message, *hint;
} tables[] = {
    { "version", BELONGS("dbmate, Rails or a like tool"),
        COME("dbmate", "dbmate") }, /* tern, too */
    { "id version_id is_applied tstamp", BELONGS("goose"), COME("goose", "goose") },
    { "version dirty", BELONGS("golang-migrate"),
        COME("golang-migrate", "golang-migrate") },
    { "version description installed_on success checksum execution_time",
        BELONGS("sqlx"), COME("sqlx", "sqlx") },
    { "installed_rank version description type script checksum installed_by "
      "installed_on execution_time success",
        BELONGS("Flyway"), COME("flyway", "flyway") },
    { "version name applied_on checksum", BELONGS("refinery"),
        COME("refinery", "refinery") },
    { "id name run_on", BELONGS("node-pg-migrate"),
        COME("node-pg-migrate", "node-pg-migrate") },
    { "id name hash executed_at", BELONGS("postgres-migrations"),
        COME("postgres-migrations", "postgres-migrations") },
    { "hash previous_hash filename date", BELONGS("graphile-migrate"),
        COME("graphile-migrate", "graphile-migrate") },
    { "version run_on", BELONGS("diesel"), COME("diesel", "diesel") },
    { "version_num", BELONGS("Alembic"), COME("alembic", "alembic") },
    { "version inserted_at", BELONGS("Ecto"), COME("plain", "ecto") },
    { "version filename applied_at", BELONGS("a runner of your own"),
        COME("plain", "plain") },
    { "version filename checksum applied_at", BELONGS("a runner of your own"),
        COME("plain", "plain") },
    { "id name", "the table public.schema_migrations is not rung's ledger",
        OF_ITS_OWN },
    { "Version", "the table public.schema_migrations is not rung's ledger",
        OF_ITS_OWN },
    { "", "the table public.schema_migrations is not rung's ledger", OF_ITS_OWN },
};

/* One row for each word of `columns`. */
static void
draw_list(char *rows, size_t size, const char *columns, char relkind)
{
    size_t n = 0;

    rows[0] = '\0';
    for (const char *at = columns; *at != '\0';) {
        size_t length = strcspn(at, " ");

        n += (size_t)snprintf(
            rows + n, size - n, "%.*s|text|%c|ann\n", (int)length, at, relkind);
        at += length + (at[length] == ' ');
    }
    assert_true(n < size);
}

static void
another_tools_table_is_named_for_what_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(tables); i++) {
        struct rung_error err = { 0 };
        char rows[1024];
        PGresult *res;

        draw_list(rows, sizeof rows, tables[i].columns, 'r');
        res = draw_result(listed, rows);
        assert_false(ledger_foreign(&ledger, res, &err));
        PQclear(res);
        assert_int_equal(err.code, RUNG_DRIFT);
        assert_string_equal(err.message, tables[i].message);
        assert_string_equal(err.hint, tables[i].hint);
        assert_string_equal(
            err.detail, tables[i].columns[0] == '\0' ? "" : "its owner is \"ann\"");
    }
}

static void
what_is_no_table_is_named_for_what_it_is(void **state)
{
    struct rung_error err = { 0 };
    PGresult *res = draw_result(listed, "version|bigint|v|ann\ndirty|boolean|v|ann");

    (void)state;
    assert_false(ledger_foreign(&ledger, res, &err));
    assert_string_equal(
        err.message, "public.schema_migrations is a view, not a ledger");
    PQclear(res);

    /* without a column: the outer join gives NULLs */
    res = draw_result(listed, "~|~|r|a\"b");
    assert_false(ledger_foreign(&ledger, res, &err));
    assert_string_equal(
        err.message, "the table public.schema_migrations is not rung's ledger");
    assert_string_equal(err.detail, "its owner is \"a\"b\"");
    PQclear(res);
}

static void
a_ledger_is_shown_as_sql_would_write_it(void **state)
{
    char name[4 * NAME_BYTES + 8];
    struct ledger strange = { .schema = "My \"own\"", .table = "1st" };
    struct ledger longest = { 0 };

    (void)state;
    assert_string_equal(
        ledger_shown(&ledger, name, sizeof name), "public.schema_migrations");
    assert_string_equal(
        ledger_shown(&strange, name, sizeof name), "\"My \"\"own\"\"\".\"1st\"");
    strange.schema[0] = '\0';
    assert_string_equal(ledger_shown(&strange, name, sizeof name), "\"1st\"");

    /* as long as can be: every byte is doubled */
    memset(longest.schema, '"', NAME_BYTES - 1);
    memset(longest.table, '"', NAME_BYTES - 1);
    assert_int_equal(strlen(ledger_shown(&longest, name, sizeof name)),
        2 * (2 * (NAME_BYTES - 1) + 2) + 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_plain_table_of_ours_is_written_to),
        cmocka_unit_test(another_tools_table_is_named_for_what_it_is),
        cmocka_unit_test(what_is_no_table_is_named_for_what_it_is),
        cmocka_unit_test(a_ledger_is_shown_as_sql_would_write_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
