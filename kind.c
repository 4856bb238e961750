/*
 * kind.c: what a statement is, from its tokens.
 *
 * Owns the knowledge of which statements control transactions, which ones PostgreSQL
 * refuses inside one, and what outlives a statement in the session or the lexer.  Never
 * searches text: what stands in a comment, a string or a name is nothing.
 *
 * Invariant: pure.  A statement that is not recognised is SQL_ORDINARY: the server says
 * what it thinks of it.
 *
 * Sources: gram.y; PreventInTransactionBlock's callers, as POSTGRES.md lists them.
 */
#include "internal.h"

#include <string.h>

/* ---- the verb phrase ------------------------------------------------------------- */

/* What may stand between a verb and its object without being worth a word. */
static const char modifiers[] =
    "OR|REPLACE|LOCAL|GLOBAL|TEMP|TEMPORARY|UNLOGGED|UNIQUE|"
    "RECURSIVE|TRUSTED|PROCEDURAL|CONSTRAINT";
static const char objects[] =
    "ACCESS|AGGREGATE|CAST|COLLATION|COLUMN|CONVERSION|DATA|DATABASE|DEFAULT|DOMAIN|"
    "EVENT|EXTENSION|FOREIGN|FUNCTION|GROUP|INDEX|LANGUAGE|LARGE|MATERIALIZED|METHOD|"
    "OBJECT|OPERATOR|OWNED|POLICY|PRIVILEGES|PROCEDURE|PUBLICATION|ROLE|ROUTINE|RULE|"
    "SCHEMA|SEQUENCE|SERVER|STATISTICS|SUBSCRIPTION|SYSTEM|TABLE|TABLESPACE|TEXT|"
    "TRANSFORM|TRIGGER|TYPE|USER|VIEW|WRAPPER|MAPPING|SEARCH|PARSER|DICTIONARY|TEMPLATE|"
    "CONFIGURATION|CLASS|FAMILY|CONCURRENTLY";

/* The verbs whose object belongs to the phrase, and those that are a phrase. */
static const char with_object[] =
    "CREATE|ALTER|DROP|REFRESH|REINDEX|COMMENT|IMPORT|SECURITY|TRUNCATE|LOCK|REASSIGN";
static const char with_two_words[] = "ROLLBACK|COMMIT|PREPARE|START";

static void
verb_add(char *buffer, size_t size, const struct cursor *c)
{
    size_t n = strlen(buffer);

    if (n > 0 && n + 1 < size)
        buffer[n++] = ' ';
    for (size_t i = c->token.start; i < c->token.end && n + 1 < size; i++) {
        char byte = c->sql.p[i];

        buffer[n++] = byte >= 'a' && byte <= 'z' ? (char)(byte - 'a' + 'A') : byte;
    }
    buffer[n] = '\0';
}

const char *
sql_verb(char *buffer, size_t size, struct str sql)
{
    static const struct lexer lexer = { .more = false, .backslash_quotes = false };
    struct cursor c = cursor_at(&lexer, sql);
    struct cursor verb, next;

    buffer[0] = '\0';
    while (cursor_take_byte(&c, '('))
        continue;
    if (c.token.type != TOKEN_WORD)
        return buffer;
    verb = c;
    verb_add(buffer, size, &c);
    if (cursor_match(&verb, with_two_words)) {
        if (cursor_match(&(struct cursor){ c.lexer, c.sql, verb.token },
                "PREPARED|TRANSACTION|TO"))
            verb_add(buffer, size, &verb);
        return buffer;
    }
    if (!cursor_match(&verb, with_object))
        return buffer;
    for (int words = 1; words < 3;) {
        next = verb;
        if (cursor_match(&verb, objects)) {
            verb_add(buffer, size, &next);
            words++;
        } else if (words > 1 || !cursor_match(&verb, modifiers)) {
            break;
        }
    }
    return buffer;
}

/* ---- transactions ---------------------------------------------------------------- */

static void
see_modes(struct cursor *c, struct sql_traits *t)
{
    size_t start = c->token.start, end = start;

    while (!cursor_ended(c)) {
        end = c->token.end;
        if (cursor_take(c, "READ")) {
            if (cursor_is(c, "ONLY"))
                t->read_only = true;
            else if (cursor_is(c, "WRITE"))
                t->read_only = false;
            continue;
        }
        cursor_step(c);
    }
    t->modes = str_slice(c->sql, start, end);
}

/*
 * COMMIT or ROLLBACK: AND CHAIN, but not AND NO CHAIN, opens another transaction.  With
 * anything else behind it, it is a mistake that the server has to see.
 */
static void
see_end(struct cursor *c, struct sql_traits *t)
{
    if (cursor_match(c, "AND CHAIN")) {
        t->label = t->kind == SQL_COMMIT ? "COMMIT AND CHAIN" : "ROLLBACK AND CHAIN";
        t->kind = SQL_COMMIT_CHAIN;
    } else {
        cursor_match(c, "AND NO CHAIN");
    }
    if (!cursor_ended(c))
        t->kind = SQL_ORDINARY;
}

static void
see_rollback(struct cursor *c, struct sql_traits *t)
{
    if (cursor_is(c, "TO")) {
        t->kind = SQL_SAVEPOINT;
        t->label = "ROLLBACK TO SAVEPOINT";
    } else {
        see_end(c, t);
    }
}

/* ---- what outlives the statement in the session ---------------------------------- */

/* PREPARE TRANSACTION 'id'; with anything else behind it, `transaction` is a name. */
static void
see_prepare(struct cursor *c, struct sql_traits *t)
{
    if (cursor_take(c, "TRANSACTION") && c->token.type == TOKEN_STRING) {
        t->kind = SQL_PREPARE_TRANSACTION;
        t->label = "PREPARE TRANSACTION";
    } else {
        t->session = SQL_SESSION_PREPARED;
    }
}

/* DECLARE name ... CURSOR [WITH HOLD] FOR query */
static void
see_declare(struct cursor *c, struct sql_traits *t)
{
    if (!cursor_take_part(c))
        return;
    while (!cursor_ended(c) && !cursor_take(c, "CURSOR"))
        cursor_step(c);
    if (cursor_match(c, "WITH HOLD"))
        t->session = SQL_SESSION_PREPARED;
}

/* A library is loaded into the session, and may be loaded twice. */
static void
see_load(struct cursor *c, struct sql_traits *t)
{
    (void)c;
    t->session = SQL_SESSION_SET;
}

static void
see_listen(struct cursor *c, struct sql_traits *t)
{
    (void)c;
    t->session = SQL_SESSION_LISTEN;
}

/* A temporary object says so, or is created in pg_temp. */
static void
see_create(struct cursor *c, struct sql_traits *t)
{
    cursor_match(c, "[OR] [REPLACE] [LOCAL|GLOBAL]");
    if (cursor_match(c, "TEMP|TEMPORARY")) {
        t->session = SQL_SESSION_TEMPORARY;
        return;
    }
    if (cursor_match(c, "[UNLOGGED] TABLE") && !cursor_is(c, "IF"))
        t->table = cursor_name(c);
    while (!cursor_ended(c)) {
        struct str name;
        bool temporary = (c->token.type == TOKEN_WORD || c->token.type == TOKEN_NAME)
                         && cursor_text(c, &name) && str_eq_fold(name, STR("pg_temp"));

        cursor_step(c);
        if (temporary && cursor_is_byte(c, '.')) {
            t->session = SQL_SESSION_TEMPORARY;
            return;
        }
    }
}

/* ---- settings -------------------------------------------------------------------- */

/* How PostgreSQL reads a boolean: 1 true, 0 false, -1 neither.  Source: parse_bool. */
static int
read_bool(struct str text)
{
    static const struct {
        const char *word;
        size_t shortest;
        int value;
    } words[] = {
        { "true", 1, 1 },
        { "false", 1, 0 },
        { "yes", 1, 1 },
        { "no", 1, 0 },
        { "on", 2, 1 },
        { "off", 2, 0 },
        { "1", 1, 1 },
        { "0", 1, 0 },
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct str word = str_of(words[i].word);

        if (text.n >= words[i].shortest && text.n <= word.n
            && str_eq_fold(text, str_slice(word, 0, text.n)))
            return words[i].value;
    }
    return -1;
}

/* Is it a name of UTF-8?  Only letters and digits count.  Source: pg_char_to_encoding.
 */
static bool
is_utf8_name(struct str text)
{
    char letters[8];
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if ((c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z'))
            continue;
        if (n == sizeof letters)
            return false;
        letters[n++] = c;
    }
    return str_eq_fold((struct str){ letters, n }, STR("utf8"))
           || str_eq_fold((struct str){ letters, n }, STR("unicode"));
}

/* RESET, or SET ... TO DEFAULT: back to what rung's session began with. */
static void
see_default(struct sql_traits *t, struct str setting)
{
    if (str_eq_fold(setting, STR("standard_conforming_strings")))
        t->lexing = SQL_LEXING_STANDARD;
    else if (str_eq_fold(setting, STR("client_encoding")))
        t->lexing = SQL_LEXING_ENCODING_UTF8;
    else if (str_eq_fold(setting, STR("backslash_quote")))
        t->lexing = SQL_LEXING_OTHER;
    t->to_default =
        t->lexing == SQL_LEXING_STANDARD || t->lexing == SQL_LEXING_ENCODING_UTF8;
}

/*
 * `setting` becomes the value that is looked at, which is a literal when the statement
 * ends behind it or `comma` follows.
 */
static void
see_value(struct cursor *c, struct sql_traits *t, struct str setting, bool comma)
{
    struct str value = { "", 0 };
    bool literal = cursor_text(c, &value);
    int on;

    if (!comma && cursor_is(c, "DEFAULT"))
        see_default(t, setting);
    if (t->to_default)
        return;
    if (literal) {
        cursor_step(c);
        literal = comma ? cursor_is_byte(c, ',') : cursor_ended(c);
    }
    on = literal ? read_bool(value) : -1;
    if (str_eq_fold(setting, STR("standard_conforming_strings")))
        t->lexing = on == 1   ? SQL_LEXING_STANDARD
                    : on == 0 ? SQL_LEXING_BACKSLASH
                              : SQL_LEXING_UNKNOWN;
    else if (str_eq_fold(setting, STR("client_encoding")))
        t->lexing = literal && is_utf8_name(value) ? SQL_LEXING_ENCODING_UTF8
                                                   : SQL_LEXING_ENCODING_OTHER;
    else if (str_eq_fold(setting, STR("backslash_quote")))
        t->lexing = SQL_LEXING_OTHER;
    else if (str_eq_fold(setting, STR("transaction_read_only")))
        t->read_only = on != 0;
}

/* SET [SESSION|LOCAL] name TO|= value, SET NAMES value, and the others. */
static void
see_set(struct cursor *c, struct sql_traits *t)
{
    struct cursor after = *c;
    struct str setting;

    /* `session` and `local` may be a setting's name, too. */
    cursor_step(&after);
    if (!cursor_is(&after, "TO") && !cursor_is_operator(&after, STR("="))) {
        t->local = cursor_take(c, "LOCAL");
        if (!t->local)
            cursor_take(c, "SESSION");
    }
    t->session = t->local ? SQL_SESSION_NONE : SQL_SESSION_SET;
    if (cursor_take(c, "NAMES")) {
        if (cursor_ended(c))
            see_default(t, STR("client_encoding"));
        else
            see_value(c, t, STR("client_encoding"), false);
        return;
    }
    if (!cursor_text(c, &setting))
        return;
    cursor_step(c);
    if (!cursor_is(c, "TO") && !cursor_is_operator(c, STR("="))
        && !cursor_is(c, "FROM"))
        return;
    cursor_step(c);
    see_value(c, t, setting, false);
}

/* RESET name */
static void
see_reset(struct cursor *c, struct sql_traits *t)
{
    struct str setting;

    t->session = SQL_SESSION_SET;
    if (cursor_text(c, &setting))
        see_default(t, setting);
}

static void
see_reset_all(struct cursor *c, struct sql_traits *t)
{
    if (t->kind == SQL_SET)
        t->session = SQL_SESSION_SET;
    if (c->lexer->backslash_quotes)
        t->lexing = SQL_LEXING_STANDARD;
    t->to_default = true;
}

/* Behind set_config: ('setting', 'value', ...). */
static void
see_set_config(struct cursor *c, struct sql_traits *t)
{
    enum sql_lexing before = t->lexing;
    struct str setting;

    if (!cursor_take_byte(c, '('))
        return;
    t->session = SQL_SESSION_SET;
    if (c->token.type != TOKEN_STRING || !cursor_text(c, &setting))
        return;
    do
        cursor_step(c);
    while (!cursor_ended(c) && !cursor_is_byte(c, ',') && !cursor_is_byte(c, ')'));
    cursor_step(c);
    see_value(c, t, setting, true);
    if (t->lexing == SQL_LEXING_SAME)
        t->lexing = before;
}

/* A query may call set_config, or make a temporary table (SELECT ... INTO). */
static void
see_query(struct cursor *c, struct sql_traits *t)
{
    while (!cursor_ended(c)) {
        if (cursor_match(c, "INTO [LOCAL|GLOBAL] TEMP|TEMPORARY")) {
            t->session = SQL_SESSION_TEMPORARY;
        } else if (c->token.type == TOKEN_WORD || c->token.type == TOKEN_NAME) {
            struct str name;
            bool config = cursor_text(c, &name) && str_eq_fold(name, STR("set_config"));

            cursor_step(c);
            if (config && t->session != SQL_SESSION_TEMPORARY)
                see_set_config(c, t);
        } else {
            cursor_step(c);
        }
    }
}

/* ---- COPY ------------------------------------------------------------------------ */

/* Does the group in parentheses that opens here hold FORMAT binary? */
static bool
group_is_binary(const struct cursor *at)
{
    struct cursor c = *at, end = *at;

    cursor_take_group(&end);
    while (!cursor_ended(&c) && c.token.start < end.token.start) {
        struct str format;

        if (cursor_take(&c, "FORMAT") && cursor_text(&c, &format)
            && str_eq_fold(format, STR("binary")))
            return true;
        cursor_step(&c);
    }
    return false;
}

/*
 * COPY [BINARY] table [(columns)] FROM STDIN [options].  The grammar takes STDOUT for
 * STDIN there.  Source: gram.y, CopyStmt.
 */
static void
see_copy(struct cursor *c, struct sql_traits *t)
{
    struct str table;

    t->copy_binary = cursor_take(c, "BINARY");
    table = cursor_name(c);
    if (!cursor_take_name(c)) {
        t->copy_binary = false;
        return;
    }
    cursor_take_group(c);
    if (!cursor_match(c, "FROM STDIN|STDOUT")) {
        t->copy_binary = false;
        return;
    }
    t->kind = SQL_COPY_IN;
    t->label = "COPY FROM STDIN";
    t->table = table;
    while (!cursor_ended(c) && !cursor_is(c, "WHERE")) {
        if (cursor_is(c, "BINARY") || (cursor_is_byte(c, '(') && group_is_binary(c)))
            t->copy_binary = true;
        if (!cursor_take_group(c))
            cursor_step(c);
    }
}

/* ---- what refuses a transaction by its options ----------------------------------- */

/*
 * In the group in parentheses that opens here, the value of a boolean option: `missing`
 * when it is not named there, true when it has no value.  Steps behind the group.
 */
static bool
group_option(struct cursor *c, const char *option, bool missing)
{
    size_t depth = 0;
    bool value = missing;

    while (!cursor_ended(c)) {
        struct str text;

        if (cursor_is_byte(c, '('))
            depth++;
        else if (cursor_is_byte(c, ')') && --depth == 0)
            break;
        if (!cursor_take(c, option)) {
            cursor_step(c);
            continue;
        }
        if (cursor_is_operator(c, STR("=")))
            cursor_step(c);
        value = !cursor_text(c, &text) || read_bool(text) != 0;
    }
    cursor_step(c);
    return value;
}

static void
see_reindex(struct cursor *c, struct sql_traits *t)
{
    if (cursor_is_byte(c, '(') && group_option(c, "CONCURRENTLY", false))
        t->concurrently = true;
    if (cursor_is(c, "SCHEMA") || cursor_is(c, "DATABASE") || cursor_is(c, "SYSTEM")) {
        t->kind = SQL_ALONE;
        t->label = cursor_is(c, "SCHEMA")     ? "REINDEX SCHEMA"
                   : cursor_is(c, "DATABASE") ? "REINDEX DATABASE"
                                              : "REINDEX SYSTEM";
    }
    cursor_step(c);
    if (cursor_is(c, "CONCURRENTLY"))
        t->concurrently = true;
    if (t->concurrently) {
        t->kind = SQL_ALONE;
        t->label = "REINDEX CONCURRENTLY";
    }
}

/* CREATE SUBSCRIPTION makes a slot unless connect or create_slot is false. */
static void
see_create_subscription(struct cursor *c, struct sql_traits *t)
{
    struct cursor again;

    while (!cursor_ended(c) && !cursor_is_byte(c, '('))
        cursor_step(c);
    again = *c;
    if (!cursor_ended(c)
        && (!group_option(c, "CONNECT", true)
            || !group_option(&again, "CREATE_SLOT", true)))
        t->kind = SQL_ORDINARY;
}

/*
 * REFRESH does, changing publications does unless refresh is false, and so do some of
 * SET's options.
 */
static void
see_alter_subscription(struct cursor *c, struct sql_traits *t)
{
    bool refresh = cursor_is(c, "REFRESH");

    if (cursor_match(c, "SET|ADD|DROP PUBLICATION")) {
        refresh = true;
        while (!cursor_ended(c)) {
            if (cursor_is_byte(c, '('))
                refresh = group_option(c, "REFRESH", true);
            else
                cursor_step(c);
        }
    } else if (cursor_take(c, "SET") && cursor_is_byte(c, '(')) {
        for (; !cursor_ended(c); cursor_step(c))
            refresh = refresh || cursor_is(c, "FAILOVER") || cursor_is(c, "TWO_PHASE");
    }
    if (refresh)
        t->kind = SQL_ALONE;
}

/* ---- the kinds ------------------------------------------------------------------- */

/* One line per statement that is not ordinary through and through.  The first that
 * matches decides.  A pattern begins with a word. */
static const struct rule {
    const char *pattern;
    enum sql_kind kind;
    const char *label;
    void (*see)(struct cursor *c, struct sql_traits *t); /* looks behind it */
    bool concurrently;
} rules[] = {
    { "SELECT", SQL_ORDINARY, "set_config", see_query, 0 },
    { "WITH", SQL_ORDINARY, "set_config", see_query, 0 },
    { "TABLE", SQL_ORDINARY, "set_config", see_query, 0 },
    { "VALUES", SQL_ORDINARY, "set_config", see_query, 0 },

    { "BEGIN [WORK|TRANSACTION]", SQL_BEGIN, "BEGIN", see_modes, 0 },
    { "START TRANSACTION", SQL_BEGIN, "START TRANSACTION", see_modes, 0 },
    { "COMMIT PREPARED", SQL_ALONE, "COMMIT PREPARED", NULL, 0 },
    { "COMMIT [WORK|TRANSACTION]", SQL_COMMIT, "COMMIT", see_end, 0 },
    { "END [WORK|TRANSACTION]", SQL_COMMIT, "END", see_end, 0 },
    { "ROLLBACK PREPARED", SQL_ALONE, "ROLLBACK PREPARED", NULL, 0 },
    { "ROLLBACK [WORK|TRANSACTION]", SQL_ROLLBACK, "ROLLBACK", see_rollback, 0 },
    { "ABORT [WORK|TRANSACTION]", SQL_ROLLBACK, "ABORT", see_end, 0 },
    { "SAVEPOINT", SQL_SAVEPOINT, "SAVEPOINT", NULL, 0 },
    { "RELEASE", SQL_SAVEPOINT, "RELEASE", NULL, 0 },
    { "PREPARE", SQL_ORDINARY, "PREPARE", see_prepare, 0 },

    { "SET CONSTRAINTS", SQL_ORDINARY, "SET CONSTRAINTS", NULL, 0 },
    { "SET SESSION CHARACTERISTICS", SQL_SET, "SET SESSION CHARACTERISTICS", NULL, 0 },
    { "SET [SESSION|LOCAL] TRANSACTION SNAPSHOT", SQL_SET_TRANSACTION,
        "SET TRANSACTION SNAPSHOT", NULL, 0 },
    { "SET [SESSION|LOCAL] TRANSACTION", SQL_SET_TRANSACTION, "SET TRANSACTION",
        see_modes, 0 },
    { "SET", SQL_SET, "SET", see_set, 0 },
    { "RESET ALL", SQL_SET, "RESET ALL", see_reset_all, 0 },
    { "RESET", SQL_SET, "RESET", see_reset, 0 },
    { "LOAD", SQL_ORDINARY, "LOAD", see_load, 0 },
    { "LISTEN", SQL_ORDINARY, "LISTEN", see_listen, 0 },
    { "DECLARE", SQL_ORDINARY, "DECLARE", see_declare, 0 },
    { "COPY", SQL_ORDINARY, "COPY", see_copy, 0 },
    { "CALL", SQL_CALL, "CALL", NULL, 0 },
    { "DO", SQL_CALL, "DO", NULL, 0 },

    { "CREATE [UNIQUE] INDEX CONCURRENTLY", SQL_ALONE, "CREATE INDEX CONCURRENTLY",
        NULL, true },
    { "DROP INDEX CONCURRENTLY", SQL_ALONE, "DROP INDEX CONCURRENTLY", NULL, true },
    { "REINDEX", SQL_ORDINARY, "REINDEX", see_reindex, 0 },
    { "VACUUM", SQL_ALONE, "VACUUM", NULL, 0 },
    { "CLUSTER [()] [VERBOSE] $", SQL_ALONE, "CLUSTER", NULL, 0 },
    { "CREATE DATABASE", SQL_ALONE, "CREATE DATABASE", NULL, 0 },
    { "DROP DATABASE", SQL_ALONE, "DROP DATABASE", NULL, 0 },
    { "ALTER DATABASE NAME SET TABLESPACE", SQL_ALONE, "ALTER DATABASE SET TABLESPACE",
        NULL, 0 },
    { "ALTER DATABASE NAME [WITH] TABLESPACE", SQL_ALONE,
        "ALTER DATABASE SET TABLESPACE", NULL, 0 },
    { "CREATE TABLESPACE", SQL_ALONE, "CREATE TABLESPACE", NULL, 0 },
    { "DROP TABLESPACE", SQL_ALONE, "DROP TABLESPACE", NULL, 0 },
    { "ALTER SYSTEM", SQL_ALONE, "ALTER SYSTEM", NULL, 0 },
    { "ALTER TABLE [IF] [EXISTS] [ONLY] NAME [*] DETACH PARTITION NAME CONCURRENTLY",
        SQL_ALONE, "ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY", NULL, true },
    { "ALTER TABLE [IF] [EXISTS] ONLY () DETACH PARTITION NAME CONCURRENTLY", SQL_ALONE,
        "ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY", NULL, true },
    { "CREATE SUBSCRIPTION", SQL_ALONE, "CREATE SUBSCRIPTION", see_create_subscription,
        0 },
    { "ALTER SUBSCRIPTION NAME", SQL_ORDINARY, "ALTER SUBSCRIPTION",
        see_alter_subscription, 0 },
    { "DROP SUBSCRIPTION", SQL_ALONE, "DROP SUBSCRIPTION", NULL, 0 },
    { "DISCARD ALL", SQL_ALONE, "DISCARD ALL", see_reset_all, 0 },
    { "DISCARD", SQL_ORDINARY, "DISCARD", NULL, 0 },
    { "CREATE", SQL_ORDINARY, NULL, see_create, 0 },
};

struct sql_traits
sql_traits(const struct lexer *lexer, struct str sql)
{
    struct lexer whole = { .more = false, .backslash_quotes = lexer->backslash_quotes };
    struct sql_traits traits = { .kind = SQL_ORDINARY, .label = "" };
    struct cursor c = cursor_at(&whole, sql);
    char initial;

    if (cursor_is(&c, "INSERT")) /* of these there are millions */
        return traits;
    while (cursor_take_byte(&c, '(')) /* only a query begins so */
        continue;
    if (c.token.type != TOKEN_WORD)
        return traits;
    initial = sql.p[c.token.start];
    if (initial >= 'a' && initial <= 'z')
        initial = (char)(initial - 'a' + 'A');
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct rule *rule = &rules[i];

        if (rule->pattern[0] != initial || !cursor_match(&c, rule->pattern))
            continue;
        traits.kind = rule->kind;
        traits.label = rule->label == NULL ? "" : rule->label;
        traits.concurrently = rule->concurrently;
        if (rule->see != NULL)
            rule->see(&c, &traits);
        break;
    }
    return traits;
}
