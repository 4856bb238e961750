/*
 * rules.c: what in a statement may hurt a database that is in use.
 *
 * Owns lint's rules, and what a file's earlier statements say of a later one: which
 * tables it created itself, and to which no rule but the last applies.  Looks at tokens
 * alone: what stands in a comment, a string or a function's body is nothing.  Which
 * files are looked at, and what is allowed, is lint.c's.
 *
 * Invariant: pure, and exact rather than complete: what cannot be known from the file
 * is reported only where PostgreSQL's own default makes it likely.
 *
 * Sources: POSTGRES.md, Locks that common DDL takes; gram.y; tablecmds.c for what reads
 * or rewrites a table.
 */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the rules ------------------------------------------------------------------- */

static const struct rung_rule rules[] = {
    [RULE_INDEX] = { "index-without-concurrently",
        "An index is built without CONCURRENTLY", "SHARE on the table",
        "Reads go on, but every INSERT, UPDATE and DELETE waits until the index is "
        "built and the file is committed.",
        "Write CONCURRENTLY, in a file of its own: rung runs that without a "
        "transaction." },
    [RULE_IF_NOT_EXISTS] = { "concurrently-if-not-exists",
        "CREATE INDEX CONCURRENTLY with IF NOT EXISTS",
        "SHARE UPDATE EXCLUSIVE on the table",
        "An attempt that failed leaves an INVALID index behind, which IF NOT EXISTS "
        "takes for the index.",
        "Leave IF NOT EXISTS out: rung drops an INVALID index that its last attempt "
        "left, and builds it anew." },
    [RULE_ADD_COLUMN] = { "add-column-rewrite",
        "A column is added whose value differs from row to row",
        "ACCESS EXCLUSIVE on the table",
        "The whole table is written anew, and nobody can even read it until the file "
        "is committed.",
        "Add the column without it, SET DEFAULT for new rows, and fill the old ones in "
        "batches." },
    [RULE_COLUMN_TYPE] = { "alter-column-type", "A column's type is changed",
        "ACCESS EXCLUSIVE on the table",
        "Most changes write the whole table and its indexes anew, and nobody can even "
        "read it until the file is committed.",
        "Add a column of the new type, fill it in batches, and switch over.  A longer "
        "varchar, or text instead of varchar, writes nothing: allow it, and say so." },
    [RULE_NOT_NULL] = { "set-not-null", "A column becomes NOT NULL",
        "ACCESS EXCLUSIVE on the table",
        "The whole table is read, and nobody else can until the file is committed.",
        "ADD CONSTRAINT ... CHECK (... IS NOT NULL) NOT VALID; in a later file "
        "VALIDATE CONSTRAINT, and then SET NOT NULL, which reads nothing any more." },
    [RULE_NOT_VALID] = { "constraint-without-not-valid",
        "A CHECK or FOREIGN KEY is added without NOT VALID",
        "ACCESS EXCLUSIVE on the table (CHECK), SHARE ROW EXCLUSIVE on both tables "
        "(FOREIGN KEY)",
        "All existing rows are checked while writes, for a CHECK reads too, wait until "
        "the file is committed.",
        "ADD CONSTRAINT ... NOT VALID, and VALIDATE CONSTRAINT in a later file." },
    [RULE_USING_INDEX] = { "unique-without-using-index",
        "A UNIQUE or PRIMARY KEY is added without USING INDEX",
        "ACCESS EXCLUSIVE on the table",
        "Its index is built while nobody can even read the table.",
        "CREATE UNIQUE INDEX CONCURRENTLY in a file of its own, then ADD CONSTRAINT "
        "... UNIQUE (or PRIMARY KEY) USING INDEX." },
    [RULE_RENAME_DROP] = { "rename-or-drop", "A table or column is renamed or dropped",
        "ACCESS EXCLUSIVE on the table, for a moment",
        "The release that still runs knows the old name: its queries fail, and what "
        "is dropped is gone.",
        "Deploy a release that does not use it first; then allow it, and say so." },
    [RULE_WHERE] = { "update-or-delete-without-where", "UPDATE or DELETE without WHERE",
        "ROW EXCLUSIVE on the table, and every row of it",
        "Either the WHERE was forgotten, or every row is written and locked until the "
        "file is committed.",
        "Add the WHERE, or write in batches; where all rows are meant, say WHERE "
        "true." },
    [RULE_IDENTIFIER] = { "identifier-too-long",
        "A name is longer than PostgreSQL's 63 bytes", "none",
        "The server cuts it and says so in a NOTICE only: the name is not what the "
        "file says, and two names may become one.",
        "Choose a shorter name." },
};
_Static_assert(sizeof rules / sizeof *rules == RULES, "each has its line");

const struct rung_rule *
rung_lint_rules(size_t *n)
{
    *n = RULES;
    return rules;
}

size_t
rules_find(struct str id)
{
    size_t i = 0;

    while (i < RULES && !str_eq(id, str_of(rules[i].id)))
        i++;
    return i;
}

/* ---- names ----------------------------------------------------------------------- */

bool
rules_take_table(struct cursor *c, struct table *table)
{
    *table = (struct table){ .schema = "" };
    for (bool more = true; more; more = cursor_take_byte(c, '.')) {
        if (c->token.type != TOKEN_WORD && c->token.type != TOKEN_NAME)
            return false;
        memcpy(table->schema, table->name, NAME_BYTES);
        cursor_identifier(c, table->name);
        cursor_take_part(c);
    }
    return true;
}

bool
rules_take_relation(struct cursor *c, struct table *table)
{
    bool group;

    cursor_take(c, "ONLY");
    group = cursor_take_byte(c, '(');
    if (!rules_take_table(c, table))
        return false;
    cursor_match(c, "*");
    return !group || cursor_take_byte(c, ')');
}

void
rules_skip_if_exists(struct cursor *c)
{
    if (!cursor_match(c, "IF NOT EXISTS"))
        cursor_match(c, "IF EXISTS");
}

/* ---- what the file did so far ---------------------------------------------------- */

void
rules_open(struct rules *r, bool transaction)
{
    *r = (struct rules){ .transaction = transaction, .search_path = "public" };
}

void
rules_close(struct rules *r)
{
    free(r->facts);
    *r = (struct rules){ .facts = NULL };
}

/* The table with its schema: where SQL will look for it, as far as the file says. */
static struct table
qualified(const struct rules *r, const struct table *table)
{
    struct table full = *table;

    if (full.schema[0] == '\0')
        memcpy(full.schema, r->search_path, NAME_BYTES);
    return full;
}

struct fact *
rules_find_fact(const struct rules *r, enum fact_kind kind, const struct table *table,
    const char *part)
{
    struct table full = qualified(r, table);

    for (size_t i = 0; i < r->n; i++) {
        struct fact *fact = &r->facts[i];

        if (fact->kind == kind && strcmp(fact->table.name, full.name) == 0
            && strcmp(fact->table.schema, full.schema) == 0
            && strcmp(fact->part, part) == 0)
            return fact;
    }
    return NULL;
}

void
rules_add_fact(
    struct rules *r, enum fact_kind kind, const struct table *table, const char *part)
{
    if (r->n == r->capacity) {
        size_t capacity = r->capacity == 0 ? 16 : 2 * r->capacity;
        struct fact *facts = realloc(r->facts, capacity * sizeof *facts);

        if (facts == NULL) {
            r->out_of_memory = true;
            return;
        }
        r->facts = facts;
        r->capacity = capacity;
    }
    r->facts[r->n] = (struct fact){ .kind = kind, .table = qualified(r, table) };
    memcpy(r->facts[r->n++].part, part, strlen(part) + 1);
}

struct fact *
rules_find_created(const struct rules *r, const struct table *table)
{
    struct table temporary = { .schema = "pg_temp" };
    struct fact *fact = NULL;

    memcpy(temporary.name, table->name, NAME_BYTES);
    if (table->schema[0] == '\0')
        fact = rules_find_fact(r, FACT_CREATED, &temporary, "");
    return fact != NULL ? fact : rules_find_fact(r, FACT_CREATED, table, "");
}

bool
rules_is_own(const struct rules *r, const struct table *table)
{
    return strcmp(table->schema, "pg_temp") == 0
           || rules_find_created(r, table) != NULL;
}

static void
create_table(struct rules *r, struct table *table, bool temporary)
{
    if (temporary)
        memcpy(table->schema, "pg_temp", sizeof "pg_temp");
    rules_add_fact(r, FACT_CREATED, table, "");
}

void
rules_report(
    struct rules *r, enum lint_rule rule, const struct cursor *c, const char *fmt, ...)
{
    struct rule_hit hit = { .rule = rule, .at = c->token.start };
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(hit.message, sizeof hit.message, fmt, ap);
    va_end(ap);
    if (!r->found(r->arg, &hit))
        r->out_of_memory = true;
}

/* ---- queries --------------------------------------------------------------------- */

/* Does the query that goes on at `c` have a WHERE of its own? */
static bool
has_where(struct cursor c)
{
    while (!cursor_ended(&c) && !cursor_is_byte(&c, ')')) {
        if (cursor_is(&c, "WHERE"))
            return true;
        cursor_skip(&c);
    }
    return false;
}

/* UPDATE or DELETE, maybe with a WITH of its own in front. */
static void
see_write(struct rules *r, const struct cursor *start)
{
    struct cursor c = *start;
    bool update = cursor_match(&c, "UPDATE");
    struct table table;

    if ((!update && !cursor_match(&c, "DELETE FROM"))
        || !rules_take_relation(&c, &table) || rules_is_own(r, &table) || has_where(c))
        return;
    rules_report(r, RULE_WHERE, start, "%s \"%s\" without WHERE",
        update ? "UPDATE" : "DELETE FROM", table.name);
}

static void
skip_behind(struct cursor *c, const char *pattern)
{
    while (!cursor_ended(c) && !cursor_match(c, pattern))
        cursor_step(c);
}

/*
 * Step over WITH and its queries, to the statement they belong to.  With `look` they
 * are looked at: the server takes none that write in a deeper WITH.
 */
static void
take_with(struct rules *r, struct cursor *c, bool look)
{
    if (!cursor_take(c, "WITH"))
        return;
    cursor_take(c, "RECURSIVE");
    for (bool more = true; more && !cursor_ended(c);) {
        struct cursor query;

        if (!cursor_match(c, "NAME [()] AS [NOT] [MATERIALIZED]")
            || !cursor_is_byte(c, '('))
            return;
        query = *c;
        cursor_step(&query);
        if (look) {
            take_with(r, &query, false);
            see_write(r, &query);
        }
        cursor_take_group(c);
        if (cursor_take(c, "SEARCH"))
            skip_behind(c, "SET NAME");
        if (cursor_take(c, "CYCLE"))
            skip_behind(c, "USING NAME");
        more = cursor_take_byte(c, ',');
    }
}

/* SELECT ... INTO creates a table. */
static void
see_into(struct rules *r, struct cursor *c)
{
    struct table table;

    for (; !cursor_ended(c); cursor_skip(c)) {
        bool temporary;

        if (!cursor_take(c, "INTO"))
            continue;
        temporary = cursor_match(c, "[LOCAL|GLOBAL] TEMP|TEMPORARY");
        cursor_take(c, "UNLOGGED");
        cursor_take(c, "TABLE");
        if (rules_take_table(c, &table))
            create_table(r, &table, temporary);
        return;
    }
}

/* The schema that the first name of a search_path stands for; "$user" is stepped over.
 */
static void
set_search_path(struct rules *r, struct cursor *c)
{
    do {
        struct str text;

        if (c->token.type == TOKEN_WORD || c->token.type == TOKEN_NAME) {
            cursor_identifier(c, r->search_path);
        } else if (cursor_text(c, &text) && text.n < NAME_BYTES) {
            memcpy(r->search_path, text.p, text.n);
            r->search_path[text.n] = '\0';
        }
        cursor_step(c);
    } while (strcmp(r->search_path, "$user") == 0 && cursor_take_byte(c, ','));
    if (strcmp(r->search_path, "$user") == 0 || strcmp(r->search_path, "default") == 0)
        memcpy(r->search_path, "public", sizeof "public");
}

/* set_config('search_path', 'a, b', false): the string is a list of names by itself. */
static void
see_set_config(struct rules *r, struct cursor *c)
{
    struct str text;
    struct cursor list;

    for (; !cursor_ended(c); cursor_step(c)) {
        if (!cursor_take(c, "SET_CONFIG") || !cursor_take_byte(c, '(')
            || !cursor_text(c, &text) || !str_eq_fold(text, STR("search_path")))
            continue;
        cursor_step(c);
        if (!cursor_take_byte(c, ',') || !cursor_text(c, &text))
            continue;
        list = cursor_at(c->lexer, text);
        if (cursor_ended(&list))
            r->search_path[0] = '\0';
        else
            set_search_path(r, &list);
    }
}

/* SELECT, WITH, UPDATE, ...: whatever is no DDL. */
static void
see_query(struct rules *r, struct cursor *c)
{
    struct cursor all = *c;

    take_with(r, c, true);
    see_write(r, c);
    if (cursor_is(c, "SELECT")) {
        see_into(r, c);
        see_set_config(r, &all);
    }
}

static void
see_set(struct rules *r, struct cursor *c)
{
    struct cursor at = *c;

    if (cursor_match(&at, "SET [SESSION|LOCAL] SCHEMA")) {
        set_search_path(r, &at);
        return;
    }
    if (!cursor_match(c, "SET [SESSION|LOCAL] SEARCH_PATH"))
        return;
    if (cursor_take(c, "TO") || cursor_is_operator(c, STR("="))) {
        if (cursor_is_operator(c, STR("=")))
            cursor_step(c);
        set_search_path(r, c);
    }
}

static void
see_reset(struct rules *r, struct cursor *c)
{
    if (cursor_match(c, "RESET|DISCARD SEARCH_PATH|ALL"))
        memcpy(r->search_path, "public", sizeof "public");
}

/* ---- CREATE and DROP ------------------------------------------------------------- */

static void
see_create_index(struct rules *r, const struct cursor *start, struct cursor *c)
{
    bool concurrently = cursor_take(c, "CONCURRENTLY");
    bool if_not_exists = cursor_match(c, "IF NOT EXISTS"), only;
    struct table table;

    if (!cursor_is(c, "ON"))
        cursor_take_name(c);
    if (!cursor_take(c, "ON"))
        return;
    only = cursor_is(c, "ONLY"); /* of a partitioned table: builds nothing */
    if (!rules_take_relation(c, &table) || rules_is_own(r, &table))
        return;
    if (concurrently && if_not_exists)
        rules_report(r, RULE_IF_NOT_EXISTS, start,
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS on \"%s\"", table.name);
    else if (!concurrently && !only)
        rules_report(r, RULE_INDEX, start,
            "CREATE INDEX on \"%s\" without CONCURRENTLY", table.name);
}

/* REINDEX [(options)] TABLE | INDEX [CONCURRENTLY] name.  Of an index the table is not
 * known. */
static void
see_reindex(struct rules *r, struct cursor *c)
{
    struct cursor start = *c, options;
    struct table table;
    bool concurrently = false, index;

    cursor_step(c);
    options = *c;
    if (cursor_take_group(c))
        for (; options.token.start < c->token.start; cursor_step(&options))
            concurrently = concurrently || cursor_is(&options, "CONCURRENTLY");
    index = cursor_is(c, "INDEX");
    if (!cursor_match(c, "INDEX|TABLE"))
        return;
    concurrently = cursor_take(c, "CONCURRENTLY") || concurrently;
    if (!rules_take_table(c, &table) || concurrently
        || (!index && rules_is_own(r, &table)))
        return;
    rules_report(
        r, RULE_INDEX, &start, "REINDEX of \"%s\" without CONCURRENTLY", table.name);
}

/* CREATE SCHEMA name CREATE TABLE ...: what it holds is its own. */
static void
see_create_schema(struct rules *r, struct cursor *c)
{
    struct table schema, table;

    rules_skip_if_exists(c);
    if (cursor_is(c, "AUTHORIZATION"))
        cursor_step(c);
    if (!rules_take_table(c, &schema))
        return;
    for (; !cursor_ended(c); cursor_skip(c))
        while (cursor_match(c, "CREATE [UNLOGGED] TABLE")) {
            rules_skip_if_exists(c);
            if (!rules_take_table(c, &table))
                return;
            if (table.schema[0] == '\0')
                memcpy(table.schema, schema.name, NAME_BYTES);
            create_table(r, &table, false);
        }
}

static void
see_create(struct rules *r, struct cursor *c)
{
    struct cursor start = *c;
    struct table table;
    bool temporary;

    cursor_step(c);
    if (cursor_take(c, "SCHEMA")) {
        see_create_schema(r, c);
        return;
    }
    if (cursor_match(c, "[UNIQUE] INDEX")) {
        see_create_index(r, &start, c);
        return;
    }
    temporary = cursor_match(c, "[LOCAL|GLOBAL] TEMP|TEMPORARY");
    if (!cursor_match(c, "[UNLOGGED|FOREIGN] TABLE")
        && !cursor_match(c, "MATERIALIZED VIEW"))
        return;
    rules_skip_if_exists(c);
    if (!rules_take_table(c, &table))
        return;
    create_table(r, &table, temporary);
    for (; !cursor_ended(c); cursor_skip(c))
        if (cursor_take(c, "AS")) {
            see_query(r, c);
            return;
        }
}

/* DROP TABLE a, b */
static void
see_drop(struct rules *r, struct cursor *c)
{
    struct table table;

    if (!cursor_match(c, "DROP [FOREIGN] TABLE"))
        return;
    rules_skip_if_exists(c);
    do {
        struct cursor name = *c;
        struct fact *fact;

        if (!rules_take_table(c, &table))
            return;
        fact = rules_find_created(r, &table);
        if (fact != NULL)
            *fact = r->facts[--r->n];
        else if (!rules_is_own(r, &table))
            rules_report(
                r, RULE_RENAME_DROP, &name, "table \"%s\" is dropped", table.name);
    } while (cursor_take_byte(c, ','));
}

/* ---- the statement --------------------------------------------------------------- */

/* Every name of the statement, each once in a file. */
static void
see_names(struct rules *r, struct cursor c)
{
    for (; !cursor_ended(&c); cursor_step(&c)) {
        struct table name = { .schema = "" };
        size_t n;

        if ((c.token.type != TOKEN_WORD && c.token.type != TOKEN_NAME)
            || c.token.end - c.token.start <= (NAME_BYTES - 1))
            continue;
        n = cursor_identifier(&c, name.name);
        if (n <= (NAME_BYTES - 1) || rules_find_fact(r, FACT_TOLD, &name, "") != NULL)
            continue;
        rules_report(r, RULE_IDENTIFIER, &c, "a name of %zu bytes is cut to \"%s\"", n,
            name.name);
        rules_add_fact(r, FACT_TOLD, &name, "");
    }
}

bool
rules_look(struct rules *r, const struct lexer *lexer, struct str sql,
    bool (*found)(void *arg, const struct rule_hit *hit), void *arg,
    struct rung_error *err)
{
    static const struct {
        const char *word;
        void (*see)(struct rules *r, struct cursor *c);
    } verbs[] = {
        { "CREATE", see_create },
        { "ALTER", rules_see_alter },
        { "DROP", see_drop },
        { "REINDEX", see_reindex },
        { "SET", see_set },
        { "RESET", see_reset },
        { "DISCARD", see_reset },
    };
    struct lexer whole = { .more = false, .backslash_quotes = lexer->backslash_quotes };
    struct cursor c = cursor_at(&whole, sql);
    size_t i = 0;

    r->found = found;
    r->arg = arg;
    see_names(r, c);
    while (i < sizeof verbs / sizeof *verbs && !cursor_is(&c, verbs[i].word))
        i++;
    if (i < sizeof verbs / sizeof *verbs)
        verbs[i].see(r, &c);
    else
        see_query(r, &c);
    return !r->out_of_memory || err_memory(err);
}
