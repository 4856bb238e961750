/*
 * alter.c: what ALTER TABLE does to a table that is in use.
 *
 * Lint's rules for its actions, one by one: what rewrites the table, what reads all of
 * it, what takes a name away.
 *
 * Invariant: pure.  An action that is not recognised is harmless.
 *
 * Sources: gram.y, alter_table_cmd and columnDef; tablecmds.c and parse_utilcmd.c for
 * what is rewritten, read and skipped; tests/cli/lint.bats asks the server.
 */
#include "internal.h"

#include <string.h>

/* ---- expressions ----------------------------------------------------------------- */

/* Built-in functions that are not volatile, and whatever else may stand in front of a
 * parenthesis: what is not here may be volatile, as a function is that says nothing. */
static const char steady[] =
    "|abs|age|all|and|any|array|array_append|array_cat|array_fill|array_length|"
    "array_prepend|array_remove|array_to_string|ascii|between|bit|bool|boolean|bpchar|"
    "btrim|cardinality|case|cast|ceil|ceiling|char|char_length|character|"
    "character_length|chr|coalesce|concat|concat_ws|convert_from|convert_to|"
    "current_catalog|current_database|current_date|current_role|current_schema|"
    "current_setting|current_time|current_timestamp|current_user|date|date_bin|"
    "date_part|date_trunc|daterange|dec|decimal|decode|else|encode|enum_first|enum_last|"
    "enum_range|exp|extract|float|float4|float8|floor|format|from|gen_range|greatest|"
    "hashtext|in|inet_client_addr|inet_server_addr|initcap|int|int2|int4|int4range|int8|"
    "int8range|integer|interval|is|json_array|json_build_array|json_build_object|"
    "json_object|json_scalar|jsonb_build_array|jsonb_build_object|jsonb_object|"
    "jsonb_set|justify_days|justify_hours|justify_interval|least|left|length|like|ln|"
    "localtime|localtimestamp|log|lower|lpad|ltrim|make_date|make_interval|make_time|"
    "make_timestamp|make_timestamptz|md5|mod|name|national|nchar|normalize|not|now|"
    "nullif|numeric|numrange|octet_length|or|overlay|pg_backend_pid|pg_current_xact_id|"
    "pg_typeof|phraseto_tsquery|plainto_tsquery|point|position|power|precision|"
    "quote_ident|quote_literal|quote_nullable|regexp_replace|repeat|replace|reverse|"
    "right|round|row|row_to_json|rpad|rtrim|session_user|setweight|sha224|sha256|sha384|"
    "sha512|sign|smallint|some|split_part|sqrt|statement_timestamp|string_to_array|"
    "strpos|substr|substring|text|then|time|timestamp|timestamptz|timetz|timezone|"
    "to_char|to_date|to_hex|to_json|to_jsonb|to_number|to_timestamp|to_tsquery|"
    "to_tsvector|transaction_timestamp|translate|treat|trim|trunc|tsrange|tstzrange|"
    "txid_current|upper|user|using|values|varbit|varchar|varying|version|"
    "websearch_to_tsquery|when|width_bucket|xmlelement|xmlforest|xmlparse|zone|";

/* Functions that are known to be, in PostgreSQL and the extensions that make keys. */
static const char is_volatile[] =
    "|clock_timestamp|currval|gen_random_bytes|gen_random_uuid|gen_salt|lastval|nextval|"
    "random|random_normal|setval|timeofday|uuid_generate_v1|uuid_generate_v1mc|"
    "uuid_generate_v4|uuid_generate_v7|uuidv4|uuidv7|";

/* Is `name` one of |a|b|c|? */
static bool
in_list(const char *list, const char *name)
{
    size_t n = strlen(name);

    if (n == 0)
        return false;
    for (const char *hit = list + 1; (hit = strstr(hit, name)) != NULL; hit++)
        if (hit[-1] == '|' && hit[n] == '|')
            return true;
    return false;
}

/* Step over ::, which is two tokens. */
static bool
take_cast(struct cursor *c)
{
    struct cursor behind = *c;

    cursor_step(&behind);
    if (!cursor_is_byte(c, ':') || !cursor_take_byte(&behind, ':'))
        return false;
    *c = behind;
    return true;
}

/* Does the default value end here, because the next of the column's constraints begins?
 */
static bool
at_constraint(const struct cursor *c)
{
    return cursor_match(&(struct cursor){ c->lexer, c->sql, c->token },
        "NOT|NULL|CHECK|UNIQUE|PRIMARY|REFERENCES|CONSTRAINT|GENERATED|COLLATE|"
        "DEFERRABLE|INITIALLY");
}

/*
 * In the default value that begins at `c`: the first function that is, or may be,
 * volatile.  False: there is none.  Steps to the end of the value otherwise.
 */
static bool
find_volatile(struct cursor *c, struct table *function)
{
    size_t depth = 0;

    for (bool first = true; !cursor_ended(c); first = false) {
        struct cursor before = *c;

        if (depth == 0 && !first && at_constraint(c))
            return false;
        if (cursor_match(c, "AS") || take_cast(c)) {
            cursor_take_name(c); /* a type, maybe one such as numeric(10, 2) */
            cursor_take_group(c);
        } else if (rules_take_table(c, function)) {
            bool ours = function->schema[0] == '\0'
                        || strcmp(function->schema, "pg_catalog") == 0;

            if (!cursor_is_byte(c, '(') || (ours && in_list(steady, function->name)))
                continue;
            *c = before;
            return true;
        } else {
            depth += cursor_is_byte(c, '(') || cursor_is_byte(c, '[');
            depth -= depth > 0 && (cursor_is_byte(c, ')') || cursor_is_byte(c, ']'));
            cursor_step(c);
        }
    }
    return false;
}

/* ---- ALTER TABLE ----------------------------------------------------------------- */

static const char *
why_rewritten(const struct cursor *type)
{
    char name[NAME_BYTES];
    struct cursor behind = *type;

    if (type->token.type != TOKEN_WORD && type->token.type != TOKEN_NAME)
        return NULL;
    cursor_identifier(type, name);
    cursor_take_part(&behind);
    if (!cursor_is_byte(&behind, '.')
        && in_list("|serial|serial2|serial4|serial8|smallserial|bigserial|", name))
        return "a serial column";
    return NULL;
}

/* What of a new column's constraints was seen. */
struct column {
    const char *rewritten; /* why; NULL: it is not, or `function` says why */
    struct table function; /* that its default calls */
    struct cursor rewritten_at;
    bool has_default;
    struct cursor check, references, unique; /* where; ended: there is none */
    struct cursor *last;                     /* the one of them seen last, or NULL */
    const char *unique_word;
};

/* DEFAULT value */
static void
see_default(struct column *column, struct cursor *c)
{
    column->has_default = true; /* NULL is one, too: a FOREIGN KEY is checked then */
    if (find_volatile(c, &column->function)) {
        column->rewritten_at = *c;
        cursor_take_name(c);
    } else {
        column->function.name[0] = '\0';
    }
}

/* Look for a word of the column's constraints at `c`, and step over it. */
static void
see_column_constraint(struct column *column, struct cursor *c)
{
    struct cursor here = *c;

    if (cursor_match(c, "SET DEFAULT|NULL")) { /* of ON DELETE */
        return;
    } else if (column->last != NULL && cursor_match(c, "NOT ENFORCED")) {
        column->last->token.type = TOKEN_END;
    } else if (cursor_take(c, "DEFAULT")) {
        see_default(column, c);
    } else if (cursor_match(c, "GENERATED ALWAYS|BY [DEFAULT] AS IDENTITY")) {
        column->rewritten = "an identity column";
        column->rewritten_at = here;
    } else if (cursor_match(c, "GENERATED ALWAYS AS () STORED")) {
        column->rewritten = "a stored generated column";
        column->rewritten_at = here;
    } else if (cursor_match(c, "CHECK ()")) {
        column->check = here;
        column->last = &column->check;
    } else if (cursor_take(c, "REFERENCES")) {
        column->references = here;
        column->last = &column->references;
    } else if (cursor_match(c, "UNIQUE")) {
        column->unique = here;
        column->unique_word = "UNIQUE constraint";
    } else if (cursor_match(c, "PRIMARY KEY")) {
        column->unique = here;
        column->unique_word = "PRIMARY KEY";
    } else {
        cursor_skip(c);
    }
}

static void
report_column(struct rules *r, const struct table *table, const char *name,
    const struct column *column)
{
    const char *function = column->function.name;
    bool known = in_list(is_volatile, function);

    if (column->rewritten != NULL)
        rules_report(r, RULE_ADD_COLUMN, &column->rewritten_at,
            "adding \"%s\" to \"%s\" rewrites the table: %s", name, table->name,
            column->rewritten);
    else if (function[0] != '\0')
        rules_report(r, RULE_ADD_COLUMN, &column->rewritten_at,
            "adding \"%s\" to \"%s\" %s the table: its default calls %s(), which %s "
            "volatile",
            name, table->name, known ? "rewrites" : "may rewrite", function,
            known ? "is" : "may be");
    if (!cursor_ended(&column->check))
        rules_report(r, RULE_NOT_VALID, &column->check,
            "adding \"%s\" to \"%s\" with a CHECK reads the table", name, table->name);
    if (!cursor_ended(&column->references) && column->has_default)
        rules_report(r, RULE_NOT_VALID, &column->references,
            "adding \"%s\" to \"%s\" with a default and a FOREIGN KEY checks all rows",
            name, table->name);
    if (!cursor_ended(&column->unique))
        rules_report(r, RULE_USING_INDEX, &column->unique,
            "adding \"%s\" to \"%s\" with a %s builds its index", name, table->name,
            column->unique_word);
}

/* ADD [COLUMN] name type constraints */
static void
see_add_column(struct rules *r, const struct table *table, struct cursor *c)
{
    struct cursor none = { c->lexer, c->sql, { .type = TOKEN_END } };
    struct column column = { .check = none, .references = none, .unique = none };
    char name[NAME_BYTES];

    cursor_take(c, "COLUMN");
    rules_skip_if_exists(c);
    if (c->token.type != TOKEN_WORD && c->token.type != TOKEN_NAME)
        return;
    cursor_identifier(c, name);
    cursor_take_part(c);
    column.rewritten = why_rewritten(c);
    column.rewritten_at = *c;
    cursor_take_name(c);
    while (!cursor_ended(c))
        see_column_constraint(&column, c);
    report_column(r, table, name, &column);
}

/* Does the constraint end with NOT VALID, or NOT ENFORCED? */
static bool
is_not_checked(struct cursor c)
{
    for (; !cursor_ended(&c); cursor_skip(&c))
        if (cursor_match(&c, "NOT VALID|ENFORCED"))
            return true;
    return false;
}

/* ADD [CONSTRAINT name] constraint; `name` is empty where there is none. */
static void
see_add_constraint(struct rules *r, const struct table *table, const char *name,
    const struct cursor *start, struct cursor *c)
{
    bool check = cursor_is(c, "CHECK"), primary = cursor_is(c, "PRIMARY");
    bool not_null = cursor_match(c, "NOT NULL"); /* since PostgreSQL 18 */

    if (check || not_null || cursor_match(c, "FOREIGN KEY")) {
        if (is_not_checked(*c))
            rules_add_fact(r, FACT_NOT_VALID, table, name);
        else if (not_null)
            rules_report(r, RULE_NOT_NULL, start,
                "NOT NULL in \"%s\" reads the whole table", table->name);
        else
            rules_report(r, RULE_NOT_VALID, start,
                "adding a %s to \"%s\" without NOT VALID",
                check ? "CHECK" : "FOREIGN KEY", table->name);
    } else if (cursor_match(c, "UNIQUE") || cursor_match(c, "PRIMARY KEY")) {
        if (!cursor_match(c, "USING INDEX NAME"))
            rules_report(r, RULE_USING_INDEX, start,
                "adding a %s to \"%s\" without USING INDEX",
                primary ? "PRIMARY KEY" : "UNIQUE constraint", table->name);
    }
}

/* Is it a constraint of the table that is added, rather than a column? */
static bool
at_table_constraint(const struct cursor *c)
{
    struct cursor probe = *c;

    return cursor_match(&probe, "CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN")
           || cursor_match(&probe, "NOT NULL") || cursor_match(&probe, "EXCLUDE USING")
           || cursor_match(&probe, "EXCLUDE ()");
}

static void
see_add(struct rules *r, const struct table *table, const struct cursor *start,
    struct cursor *c)
{
    char name[NAME_BYTES] = "";

    if (!at_table_constraint(c)) {
        see_add_column(r, table, c);
        return;
    }
    if (cursor_take(c, "CONSTRAINT")) {
        if (c->token.type != TOKEN_WORD && c->token.type != TOKEN_NAME)
            return;
        cursor_identifier(c, name);
        cursor_take_part(c);
    }
    see_add_constraint(r, table, name, start, c);
}

/* ALTER [COLUMN] name ... */
static void
see_alter_column(struct rules *r, const struct table *table, const struct cursor *start,
    struct cursor *c)
{
    char name[NAME_BYTES];

    cursor_take(c, "COLUMN");
    if (c->token.type != TOKEN_WORD && c->token.type != TOKEN_NAME)
        return;
    cursor_identifier(c, name);
    cursor_take_part(c);
    if (cursor_match(c, "SET DATA TYPE") || cursor_match(c, "TYPE"))
        rules_report(r, RULE_COLUMN_TYPE, start,
            "changing the type of \"%s\" may rewrite \"%s\"", name, table->name);
    else if (cursor_match(c, "SET NOT NULL")
             && rules_find_fact(r, FACT_VALIDATED, table, "") == NULL)
        rules_report(r, RULE_NOT_NULL, start,
            "SET NOT NULL on \"%s\" reads all of \"%s\"", name, table->name);
}

/* VALIDATE CONSTRAINT name: to no use in the transaction that added it. */
static void
see_validate(struct rules *r, const struct table *table, const struct cursor *start,
    struct cursor *c)
{
    char name[NAME_BYTES];

    if (c->token.type != TOKEN_WORD && c->token.type != TOKEN_NAME)
        return;
    cursor_identifier(c, name);
    if (r->transaction && rules_find_fact(r, FACT_NOT_VALID, table, name) != NULL)
        rules_report(r, RULE_NOT_VALID, start,
            "VALIDATE CONSTRAINT \"%s\" in the transaction that added it", name);
    rules_add_fact(r, FACT_VALIDATED, table, "");
}

/* DROP [COLUMN] name, RENAME [COLUMN] name TO, RENAME TO */
static void
see_drop_or_rename(struct rules *r, const struct table *table,
    const struct cursor *start, struct cursor *c, const char *what)
{
    char name[NAME_BYTES];

    if (cursor_is(c, "CONSTRAINT"))
        return;
    if (cursor_is(c, "TO")) {
        rules_report(
            r, RULE_RENAME_DROP, start, "table \"%s\" is %s", table->name, what);
        return;
    }
    cursor_take(c, "COLUMN");
    rules_skip_if_exists(c);
    if (c->token.type != TOKEN_WORD && c->token.type != TOKEN_NAME)
        return;
    cursor_identifier(c, name);
    rules_report(r, RULE_RENAME_DROP, start, "column \"%s\" of \"%s\" is %s", name,
        table->name, what);
}

/* A table of the file's own goes by another name from here on. */
static void
follow(struct fact *fact, struct cursor *c)
{
    bool rename = cursor_match(c, "RENAME TO");

    if ((rename || cursor_match(c, "SET SCHEMA"))
        && (c->token.type == TOKEN_WORD || c->token.type == TOKEN_NAME))
        cursor_identifier(c, rename ? fact->table.name : fact->table.schema);
}

/* One action of ALTER TABLE; `c` ends where it ends. */
static void
see_action(struct rules *r, const struct table *table, struct cursor *c, bool foreign)
{
    struct cursor start = *c;

    if (cursor_take(c, "DROP"))
        see_drop_or_rename(r, table, &start, c, "dropped");
    else if (cursor_take(c, "RENAME"))
        see_drop_or_rename(r, table, &start, c, "renamed");
    else if (foreign) /* there is nothing here to be locked or read */
        return;
    else if (cursor_take(c, "ADD"))
        see_add(r, table, &start, c);
    else if (cursor_take(c, "ALTER"))
        see_alter_column(r, table, &start, c);
    else if (cursor_match(c, "VALIDATE CONSTRAINT"))
        see_validate(r, table, &start, c);
}

void
rules_see_alter(struct rules *r, struct cursor *c)
{
    bool foreign = cursor_match(c, "ALTER FOREIGN TABLE");
    struct table table;
    struct fact *own;

    if (!foreign && !cursor_match(c, "ALTER TABLE"))
        return;
    rules_skip_if_exists(c);
    if (!rules_take_relation(c, &table))
        return;
    own = rules_find_created(r, &table);
    if (own != NULL) {
        follow(own, c);
        return;
    }
    if (rules_is_own(r, &table))
        return;
    do {
        struct cursor action = *c;

        while (!cursor_ended(c) && !cursor_is_byte(c, ','))
            cursor_skip(c);
        action.sql = str_slice(c->sql, 0, c->token.start);
        see_action(r, &table, &action, foreign);
    } while (cursor_take_byte(c, ','));
}
