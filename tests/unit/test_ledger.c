/*
 * test_ledger.c: names, the SQL that we send, and the rows that come back.
 *
 * The SQL is not compared with a copy of itself: a checker walks its tokens and accepts
 * no function, operator, type or table that a search_path could have captured.
 */
#include "internal.h"

#include "result.h"

#include <locale.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

#define LETTERS_63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define E_31 /* 62 bytes */                                                            \
    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9" \
    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9" \
    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9" \
    "\xc3\xa9"

/* ---- names ---------------------------------------------------------------------- */

static const struct {
    const char *why, *text, *schema, *table, *given;
} names[] = {
    { "a table", "schema_migrations", "", "schema_migrations",
        "\"schema_migrations\"" },
    { "a schema and a table", "app.ledger", "app", "ledger", "\"app\".\"ledger\"" },
    { "folded to lower case", "App.LEDGER", "app", "ledger", "\"app\".\"ledger\"" },
    { "quoted: left as it is", "\"App\".LEDGER", "App", "ledger",
        "\"App\".\"ledger\"" },
    { "quotes in quotes", "\"a\"\"b\"", "", "a\"b", "\"a\"\"b\"" },
    { "a quote alone", "\"\"\"\"", "", "\"", "\"\"\"\"" },
    { "a dot in quotes", "\"a.b\".\"c.d\"", "a.b", "c.d", "\"a.b\".\"c.d\"" },
    { "digits and $ behind the first", "t1$", "", "t1$", "\"t1$\"" },
    { "in quotes even first", "\"1$ t\"", "", "1$ t", "\"1$ t\"" },
    { "letters of several bytes", "\xc3\x84pfel", "", "\xc3\x84pfel",
        "\"\xc3\x84pfel\"" },
    { "63 bytes", LETTERS_63, "", LETTERS_63, "\"" LETTERS_63 "\"" },
    { "twice", LETTERS_63 "." LETTERS_63, LETTERS_63, LETTERS_63,
        "\"" LETTERS_63 "\".\"" LETTERS_63 "\"" },
    { "63 bytes, quoted", "\"" LETTERS_63 "\"", "", LETTERS_63, "\"" LETTERS_63 "\"" },
    { "63 bytes of 32 characters", E_31 "x", "", E_31 "x", "\"" E_31 "x\"" },
    { "a keyword", "user", "", "user", "\"user\"" },
    { "a semicolon, quoted", "\"x; drop\"", "", "x; drop", "\"x; drop\"" },
};

/* NOLINTBEGIN(bugprone-suspicious-missing-comma): some are put together of macros */
static const char *const no_names[] = { "", ".", "a.", ".a", "a.b.c", "a..b", "a b",
    " a", "a ", "1a", "$a", "a-b", "a;b", "a\"b", "\"a\"b", "\"a", "\"a\"\"", "\"\"",
    "\"\".a", "a.\"\"", "a.\"b\".c", "\"", "a'b", "a\nb", "(a)", LETTERS_63 "x",
    "a." LETTERS_63 "x", "\"" LETTERS_63 "x\"", E_31 "\xc3\xa9", "\xff", "\"a\xc3\"",
    "\xed\xa0\x80" };
/* NOLINTEND(bugprone-suspicious-missing-comma) */

static void
a_table_is_named_as_in_sql(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct rung_error err = { 0 };
        struct ledger ledger;

        if (!ledger_name(&ledger, names[i].text, &err))
            fail_msg("%s: %s", names[i].why, err.message);
        assert_string_equal(ledger.wanted_schema, names[i].schema);
        assert_string_equal(ledger.table, names[i].table);
        assert_string_equal(ledger.given, names[i].given);
        assert_int_equal(ledger.oid, 0);
    }
}

static void
what_is_no_tables_name_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(no_names); i++) {
        struct rung_error err = { 0 };
        struct ledger ledger;
        char want[512], shown[160];

        if (ledger_name(&ledger, no_names[i], &err))
            fail_msg("%s is accepted", no_names[i]);
        snprintf(want, sizeof want,
            "not a table's name: \"%s\" (at most schema.table, 63 bytes each)",
            text_escape(shown, sizeof shown, str_of(no_names[i])));
        assert_string_equal(err.message, want);
        assert_int_equal(err.code, RUNG_USAGE);
    }
}

static void
names_are_quoted_where_sql_needs_it(void **state)
{
    static const char *const quoted[][2] = { { "a_1", "a_1" }, { "A", "\"A\"" },
        { "1a", "\"1a\"" }, { "a b", "\"a b\"" }, { "a\"b", "\"a\"\"b\"" },
        { "\xc3\xa9", "\"\xc3\xa9\"" }, { "a$", "\"a$\"" } };
    char buffer[2 * NAME_BYTES + 3];

    (void)state;
    for (size_t i = 0; i < COUNT(quoted); i++)
        assert_string_equal(
            ledger_quote(buffer, sizeof buffer, quoted[i][0]), quoted[i][1]);
}

/* ---- where it is ----------------------------------------------------------------- */

static const char found_columns[] =
    "pg_backend_pid session_user current_database pg_is_in_recovery oid nspname "
    "current_schema replica";

/* The keys are the first 16 digits of `printf rung:SCHEMA.TABLE | sha256sum`. */
static const struct {
    const char *why, *given, *row, *schema, *quoted;
    uint64_t lock_key;
} found[] = {
    { "in the search_path", "schema_migrations", "7|u|d|f|16384|public|app|origin",
        "public", "\"public\".\"schema_migrations\"", UINT64_C(0x42b30a45a0cfaeb8) },
    { "not there: where CREATE TABLE would put it", "schema_migrations",
        "7|u|d|f|~|~|public|origin", "public", "\"public\".\"schema_migrations\"",
        UINT64_C(0x42b30a45a0cfaeb8) },
    { "not there: where it was asked for", "\"My \"\"own\"\"\".\"1st\"",
        "7|u|d|f|~|~|public|origin", "My \"own\"", "\"My \"\"own\"\"\".\"1st\"",
        UINT64_C(0x3c28e92e255f8928) },
    { "nowhere to put it", "t", "7|u|d|f|~|~|~|origin", "", "\"t\"",
        UINT64_C(0x11991d38fa81f903) },
};

static void
the_table_is_known_by_its_schema_from_then_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(found); i++) {
        struct rung_error err = { 0 };
        struct ledger ledger;
        PGresult *res = draw_result(found_columns, found[i].row);
        uint64_t key;

        assert_true(ledger_name(&ledger, found[i].given, &err));
        assert_true(ledger_found(&ledger, res, &err));
        PQclear(res);
        assert_string_equal(ledger.schema, found[i].schema);
        assert_string_equal(ledger.quoted, found[i].quoted);
        memcpy(&key, &ledger.lock_key, sizeof key);
        if (key != found[i].lock_key)
            fail_msg("%s: the key is %016llx", found[i].why, (unsigned long long)key);
        assert_int_equal(ledger.backend_pid, 7);
        assert_string_equal(ledger.user, "u");
        assert_string_equal(ledger.database, "d");
        assert_false(ledger.standby || ledger.replica);
    }
}

static void
a_strange_answer_about_the_table_is_a_bug(void **state)
{
    static const char *const rows[] = { "",
        "1|u|d|f|1|s|s|origin\n1|u|d|f|1|s|s|local" };
    struct rung_error err = { 0 };
    struct ledger ledger = { .table = "t" };
    PGresult *res;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        res = draw_result(found_columns, rows[i]);
        assert_false(ledger_found(&ledger, res, &err));
        assert_int_equal(err.code, RUNG_BUG);
        PQclear(res);
    }
    res = draw_result("a b", "1|2");
    assert_false(ledger_found(&ledger, res, &err));
    assert_string_equal(err.message, "the server's answer about the ledger is no row");
    PQclear(res);
    res = draw_result(
        found_columns, "1|u|d|t|4294967295|s|~|replica"); /* the highest oid */
    assert_true(ledger_found(&ledger, res, &err));
    assert_true(ledger.oid == UINT32_MAX && ledger.standby && ledger.replica);
    PQclear(res);
}

/* ---- the checker ------------------------------------------------------------------
 */

/* The last four tokens, the newest first. */
struct trail {
    struct str sql;
    struct token token[4];
};

static bool
was(const struct trail *trail, int back, const char *word)
{
    struct token token = trail->token[back];

    return (token.type == TOKEN_WORD || token.type == TOKEN_PUNCTUATION
               || token.type == TOKEN_OPERATOR)
           && str_eq_fold(str_slice(trail->sql, token.start, token.end), str_of(word));
}

static bool
was_any(const struct trail *trail, int back, const char *const *words)
{
    for (; *words != NULL; words++)
        if (was(trail, back, *words))
            return true;
    return false;
}

/* pg_catalog . THIS */
static bool
is_qualified(const struct trail *trail, int back)
{
    return was(trail, back + 1, ".") && was(trail, back + 2, "pg_catalog");
}

/* An opening parenthesis came: behind a name it is a call. */
static const char *
check_call(const struct trail *trail)
{
    static const char *const keywords[] = { "operator", "exists", "and", "or", "as",
        "from", "values", "coalesce", "case", "where", "select", "not", "when", "then",
        NULL };

    if (trail->token[1].type == TOKEN_NAME)
        return was(trail, 2, ".") || was(trail, 2, "table") || was(trail, 2, "into")
                   ? NULL
                   : "a quoted name is called";
    if (trail->token[1].type != TOKEN_WORD || was_any(trail, 1, keywords))
        return NULL;
    return is_qualified(trail, 1) ? NULL : "a function is not pg_catalog's";
}

/* An operator came.  Allowed: OPERATOR(pg_catalog.=), t.*, f(*), and SET column =. */
static const char *
check_operator(const struct trail *trail)
{
    if (was(trail, 1, ".") && was(trail, 2, "pg_catalog") && was(trail, 3, "("))
        return NULL;
    if (was(trail, 0, "*") && (was(trail, 1, ".") || was(trail, 1, "(")))
        return NULL;
    if (was(trail, 0, "=") && trail->token[1].type == TOKEN_WORD
        && (was(trail, 2, "set") || was(trail, 2, ",") || was(trail, 2, "local")))
        return NULL;
    if (was(trail, 0, "::") || was(trail, 0, ":"))
        return NULL; /* the type behind it is looked at */
    return "an operator is not pg_catalog's";
}

/* A word came. */
static const char *
check_word(const struct trail *trail)
{
    static const char *const types[] = { "int8", "int4", "text", "timestamptz",
        "bigint", "integer", "boolean", "name", "regclass", "numeric", NULL };

    if (was(trail, 1, "::") || (was(trail, 1, ":") && was(trail, 2, ":")))
        return was(trail, 0, "pg_catalog") ? NULL : "a cast is not to pg_catalog's";
    if (was_any(trail, 0, types) && !is_qualified(trail, 0))
        return "a type is not pg_catalog's";
    if ((was(trail, 1, "from") || was(trail, 1, "join")) && !was(trail, 0, "pg_catalog")
        && !was(trail, 0, "hit"))
        return "a table is not pg_catalog's";
    if (was(trail, 1, "into") || was(trail, 1, "update")
        || (was(trail, 1, "table") && !was(trail, 2, "drop")))
        return "a table's name is not quoted";
    return NULL;
}

/* What is wrong with this SQL?  NULL: nothing. */
static const char *
complaint(struct str sql)
{
    struct lexer lexer = { 0 };
    struct trail trail = { .sql = sql };
    const char *wrong = NULL;
    int depth = 0;

    for (size_t at = 0; wrong == NULL; at = trail.token[0].end) {
        memmove(trail.token + 1, trail.token, 3 * sizeof *trail.token);
        trail.token[0] = lex_next(&lexer, sql, at);
        if (trail.token[0].type == TOKEN_END)
            break;
        if (was(&trail, 0, "("))
            depth++, wrong = check_call(&trail);
        else if (was(&trail, 0, ")"))
            wrong = depth-- > 0 ? NULL : "a parenthesis too many";
        else if (trail.token[0].type == TOKEN_OPERATOR)
            wrong = check_operator(&trail);
        else if (trail.token[0].type == TOKEN_WORD)
            wrong = check_word(&trail);
        else if (trail.token[0].type == TOKEN_OPEN
                 || trail.token[0].type == TOKEN_INVALID
                 || trail.token[0].type == TOKEN_BACKSLASH)
            wrong = "it is no SQL";
    }
    if (wrong == NULL && depth != 0)
        wrong = "a parenthesis is open";
    if (wrong == NULL && !was(&trail, 1, ";"))
        wrong = "it does not end with a semicolon";
    return wrong;
}

static void
the_checker_sees_what_a_search_path_could_capture(void **state)
{
    static const char *const bad[] = { "SELECT now();", "SELECT public.now();",
        "SELECT \"now\"();", "SELECT a.x = 1;", "SELECT 1 + 1;", "SELECT x::int8;",
        "SELECT x::public.thing;", "SELECT 1 OPERATOR(public.+) 1;",
        "SELECT 1 OPERATOR(+) 1;", "SELECT 1 FROM pg_class;", "SELECT 1 FROM t;",
        "SELECT 1 FROM pg_catalog.pg_class AS c JOIN t ON true;",
        "INSERT INTO t (a) VALUES (1);", "UPDATE t SET a = 1;",
        "CREATE TABLE t (a pg_catalog.text);", "CREATE TABLE \"t\" (a text);",
        "SELECT (1;", "SELECT 1);", "SELECT 1", "SELECT 'x;", "SELECT a <> b;" };
    static const char *const good[] = { "SELECT pg_catalog.now();",
        "SELECT x::pg_catalog.int8, l.*, pg_catalog.count(*) FROM \"s\".\"t\" AS l;",
        "SELECT 1 OPERATOR(pg_catalog.=) 1;", "UPDATE \"t\" SET a = 1, b = 'now()';",
        "INSERT INTO \"s\".\"t\" (a) VALUES (1);" };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (complaint(str_of(bad[i])) == NULL)
            fail_msg("nothing is wrong with %s", bad[i]);
    for (size_t i = 0; i < COUNT(good); i++)
        if (complaint(str_of(good[i])) != NULL)
            fail_msg("%s: %s", good[i], complaint(str_of(good[i])));
}

/* ---- the SQL -----------------------------------------------------------------------
 */

/* What stands in for every file: names and notes may hold anything. */
static const struct ledger_entry hostile = { 42, "001_it's \\ \"a\" $$.sql",
    "'; DROP TABLE x; --\\", UINT64_C(9223372036854775807) };
static const char hostile_note[] = "because 'I' said so \\' /* ";

static void
entry_finish(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_finish(sql, l, &hostile, -1);
}

static void
entry_finish_timed(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_finish(sql, l, &hostile, 1234);
}

static void
entry_insert(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_insert(sql, l, &hostile, true, hostile_note);
}

static void
entry_begin(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_insert(sql, l, &hostile, false, NULL);
}

static void
entry_progress(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_progress(sql, l, &hostile);
}

static void
row_note(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_note(sql, l, 42, hostile_note);
}

static void
row_note_out(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_note(sql, l, 42, NULL);
}

static void
row_undone(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_undone(sql, l, 42, 3, NULL);
}

static void
row_undone_marked(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_undone(sql, l, 42, 3, hostile_note);
}

static void
row_mark(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_mark(sql, l, 42, hostile_note);
}

static void
row_delete(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_delete(sql, l, 42);
}

static void
row_absent(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_absent(sql, l, 42);
}

static void
row_is_newest(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_is_newest(sql, l, 42);
}

static void
row_is_there(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_is_there(sql, l, 42);
}

static void
row_unchanged(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_unchanged(sql, l, 42, false, 3);
}

static void
entry_stamp(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_stamp(sql, l, &hostile, hostile_note);
}

static void
entry_accept(PQExpBuffer sql, const struct ledger *l)
{
    ledger_sql_accept(sql, l, &hostile, hostile_note);
}

static void
entry_accept_uncounted(PQExpBuffer sql, const struct ledger *l)
{
    struct ledger_entry entry = hostile;

    entry.statements = UINT64_MAX;
    ledger_sql_accept(sql, l, &entry, NULL);
}

static const struct {
    const char *name;
    void (*write)(PQExpBuffer sql, const struct ledger *ledger);
    bool one_row; /* fails unless exactly one row of the very table is hit */
} texts[] = {
    { "find", ledger_sql_find, false },
    { "oid", ledger_sql_oid, false },
    { "rows", ledger_sql_rows, false },
    { "namesakes", ledger_sql_namesakes, false },
    { "elsewhere", ledger_sql_elsewhere, false },
    { "inspect", ledger_sql_inspect, false },
    { "columns", ledger_sql_columns, false },
    { "create", ledger_sql_create, false },
    { "widen", ledger_sql_widen, false },
    { "try_lock", ledger_sql_try_lock, false },
    { "holder", ledger_sql_holder, false },
    { "holds_lock", ledger_sql_holds_lock, false },
    { "retake_lock", ledger_sql_retake_lock, false },
    { "lock_table", ledger_sql_lock_table, false },
    { "is_newest", row_is_newest, false },
    { "is_there", row_is_there, false },
    { "unchanged", row_unchanged, false },
    { "insert", entry_insert, false },
    { "insert, unfinished", entry_begin, false },
    { "finish", entry_finish, true },
    { "finish, timed", entry_finish_timed, true },
    { "progress", entry_progress, true },
    { "note", row_note, true },
    { "note, taken out", row_note_out, true },
    { "mark", row_mark, true },
    { "undone", row_undone, true },
    { "undone, marked", row_undone_marked, true },
    { "delete", row_delete, true },
    { "absent", row_absent, false },
    { "stamp", entry_stamp, false },
    { "accept", entry_accept, true },
    { "accept, not counted", entry_accept_uncounted, true },
};

/* A ledger with a hostile name; found, or not. */
static void
make_ledger(struct ledger *ledger, bool there)
{
    struct rung_error err = { 0 };
    PGresult *res = draw_result(found_columns,
        there ? "7|u|d|f|4711|My \"own\" it's|s|origin" : "7|u|d|f|~|~|s|origin");

    assert_true(ledger_name(ledger, "\"My \"\"own\"\" it's\".\"a\\'; drop\"", &err));
    assert_true(ledger_found(ledger, res, &err));
    PQclear(res);
}

static void
no_search_path_can_capture_what_we_send(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * COUNT(texts); i++) {
        struct ledger ledger;
        PQExpBufferData sql;
        const char *wrong;
        size_t t = i / 2;

        make_ledger(&ledger, i % 2 == 0);
        initPQExpBuffer(&sql);
        texts[t].write(&sql, &ledger);
        wrong = complaint((struct str){ sql.data, sql.len });
        if (wrong != NULL)
            fail_msg("%s: %s: %s", texts[t].name, wrong, sql.data);
        assert_string_equal(sql.data + sql.len - 2, ";\n");
        if (texts[t].one_row
            && (strncmp(sql.data, "WITH hit AS (", 13) != 0
                || strstr(sql.data, " RETURNING 1) SELECT 1 OPERATOR(pg_catalog./) "
                                    "pg_catalog.count(*) FROM hit;\n")
                       == NULL
                || strstr(sql.data, " WHERE l.version OPERATOR(pg_catalog.=) 42 AND "
                                    "l.tableoid OPERATOR(pg_catalog.=) ")
                       == NULL))
            fail_msg("%s does not insist on one row: %s", texts[t].name, sql.data);
        termPQExpBuffer(&sql);
    }
}

/* `one` must stand as one token, whatever the server's strings are. */
static void
every_text_is_one_statement_whatever_strings_mean(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * COUNT(texts); i++) {
        struct lexer lexer = { .backslash_quotes = i % 2 == 1 };
        struct ledger ledger;
        struct token token = { 0 };
        PQExpBufferData sql;
        struct str text;
        size_t semicolons = 0;

        make_ledger(&ledger, true);
        initPQExpBuffer(&sql);
        texts[i / 2].write(&sql, &ledger);
        text = (struct str){ sql.data, sql.len };
        while ((token = lex_next(&lexer, text, token.end)).type != TOKEN_END) {
            if (token.type == TOKEN_OPEN)
                fail_msg("%s: %s", texts[i / 2].name, sql.data);
            semicolons += token_byte(text, token, ';');
        }
        assert_int_equal(semicolons, 1);
        termPQExpBuffer(&sql);
    }
}

static void
values_are_written_as_literals(void **state)
{
    static const char *const literals[][2] = { { "", "''" }, { "a", "'a'" },
        { "it's", "'it''s'" }, { "a\\", " E'a\\\\'" }, { "\\'", " E'\\\\'''" },
        { "'; DROP", "'''; DROP'" }, { NULL, "NULL" },
        { "\xc3\xa9\n", "'\xc3\xa9\n'" } };

    (void)state;
    for (size_t i = 0; i < COUNT(literals); i++) {
        PQExpBufferData sql;

        initPQExpBuffer(&sql);
        ledger_sql_literal(&sql, literals[i][0]);
        assert_string_equal(sql.data, literals[i][1]);
        termPQExpBuffer(&sql);
    }
}

static void
writing_into_a_broken_buffer_is_harmless(void **state)
{
    struct ledger ledger;

    (void)state;
    make_ledger(&ledger, true);
    for (size_t i = 0; i < COUNT(texts); i++) {
        PQExpBufferData sql;

        initPQExpBuffer(&sql);
        termPQExpBuffer(&sql); /* leaves it broken, as want of memory does */
        assert_true(PQExpBufferDataBroken(sql));
        texts[i].write(&sql, &ledger);
        assert_true(PQExpBufferDataBroken(sql));
    }
}

static void
the_lock_is_looked_for_by_both_halves_of_its_key(void **state)
{
    struct ledger ledger = { .lock_key = -2 }; /* 0xffffffff fffffffe */
    PQExpBufferData sql;

    (void)state;
    initPQExpBuffer(&sql);
    ledger_sql_holder(&sql, &ledger);
    assert_non_null(strstr(sql.data, "l.classid OPERATOR(pg_catalog.=) 4294967295 "));
    assert_non_null(strstr(sql.data, "l.objid OPERATOR(pg_catalog.=) 4294967294;"));
    resetPQExpBuffer(&sql);
    ledger_sql_try_lock(&sql, &ledger);
    assert_string_equal(sql.data, "SELECT pg_catalog.pg_try_advisory_lock(-2);\n");
    termPQExpBuffer(&sql);
}

/* ---- rows -------------------------------------------------------------------------
 */

#define FOUR "version:20 filename:25 checksum:25 applied_at:1184 "
#define REST "applied_by:25 duration_ms:20 statements:20 undone:20 note:25 "
#define EPOCH "rung+applied:701"

static void
a_full_row_is_decoded(void **state)
{
    struct rung_error err = { 0 };
    struct ledger_rows rows;
    PGresult *res = draw_result(FOUR REST EPOCH,
        "1|001_a.sql|abc|x|app|12|3|~|~|1700000000.123456\n"
        "20|020_b.sql|def|~|~|~|0|2|why|~");

    (void)state;
    assert_true(ledger_decode(&rows, res, &err));
    PQclear(res);
    assert_int_equal(rows.n, 2);
    assert_int_equal(rows.rows[0].version, 1);
    assert_string_equal(rows.rows[0].filename, "001_a.sql");
    assert_string_equal(rows.rows[0].checksum, "abc");
    assert_int_equal(rows.rows[0].applied_at_us, INT64_C(1700000000123456));
    assert_string_equal(rows.rows[0].applied_by, "app");
    assert_int_equal(rows.rows[0].duration_ms, 12);
    assert_int_equal(rows.rows[0].statements, 3);
    assert_int_equal(rows.rows[0].undone, -1);
    assert_null(rows.rows[0].note);
    assert_int_equal(rows.rows[1].version, 20);
    assert_int_equal(rows.rows[1].applied_at_us, RUNG_NO_TIME);
    assert_null(rows.rows[1].applied_by);
    assert_int_equal(rows.rows[1].duration_ms, -1);
    assert_int_equal(rows.rows[1].statements, 0);
    assert_int_equal(rows.rows[1].undone, 2);
    assert_string_equal(rows.rows[1].note, "why");
    ledger_rows_free(&rows);
    assert_int_equal(rows.n, 0);
}

static const struct {
    const char *why, *columns, *rows;
    size_t n;
} decoded[] = {
    { "no row", FOUR REST EPOCH, "", 0 },
    { "a simpler runner's four columns", FOUR EPOCH, "1|a|b|x|0", 1 },
    { "in another order, with more",
        "note:25 x:99 checksum:25 version:20 filename:25 "
        "applied_at:1114 " EPOCH,
        "n|?|b|1|a|x|0", 1 },
    { "a smaller version", "version:23 filename:25 checksum:25 applied_at:1184 " EPOCH,
        "1|a|b|x|0", 1 },
    { "the smallest", "version:21 filename:1043 checksum:1042 applied_at:1184 " EPOCH,
        "1|a|b|x|0", 1 },
    { "NULL where we would not write it", FOUR EPOCH, "1|~|~|~|~", 1 },
};

static void
tables_of_older_and_simpler_runners_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(decoded); i++) {
        struct rung_error err = { 0 };
        struct ledger_rows rows;
        PGresult *res = draw_result(decoded[i].columns, decoded[i].rows);

        if (!ledger_decode(&rows, res, &err))
            fail_msg("%s: %s", decoded[i].why, err.message);
        PQclear(res);
        assert_int_equal(rows.n, decoded[i].n);
        for (size_t r = 0; r < rows.n; r++) {
            assert_int_equal(rows.rows[r].version, 1);
            assert_non_null(rows.rows[r].filename); /* "" for NULL */
            assert_non_null(rows.rows[r].checksum);
            assert_int_equal(rows.rows[r].statements, -1);
        }
        ledger_rows_free(&rows);
    }
}

static const struct {
    const char *columns, *rows, *message;
} foreign[] = {
    { "version:1043", "1", "the table is not a ledger of rung's" },
    { "version:20 dirty:16", "1|f", "the table is not a ledger of rung's" },
    { "version:1043 filename:25 checksum:25 applied_at:1184 " EPOCH, "1|a|b|x|0",
        "the table is not a ledger of rung's" },
    { "version:1700 filename:25 checksum:25 applied_at:1184 " EPOCH, "1|a|b|x|0",
        "the table is not a ledger of rung's" },
    { "version:20 filename:20 checksum:25 applied_at:1184 " EPOCH, "1|1|b|x|0",
        "the table is not a ledger of rung's" },
    { "version:20 filename:25 checksum:17 applied_at:1184 " EPOCH, "1|a|b|x|0",
        "the table is not a ledger of rung's" },
    { "version:20 filename:25 checksum:25 applied_at:1184", "1|a|b|x",
        "the table is not a ledger of rung's" },
    { "version:20 checksum:25 applied_at:1184 " EPOCH, "1|b|x|0",
        "the table is not a ledger of rung's" },
    { FOUR EPOCH, "1|a|b|x|0\n~|a|b|x|0", "a row of the ledger has no version" },
};

static void
what_is_no_ledger_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(foreign); i++) {
        struct rung_error err = { 0 };
        struct ledger_rows rows;
        PGresult *res = draw_result(foreign[i].columns, foreign[i].rows);

        assert_false(ledger_decode(&rows, res, &err));
        PQclear(res);
        assert_int_equal(err.code, RUNG_DRIFT);
        assert_string_equal(err.message, foreign[i].message);
        assert_int_equal(rows.n, 0);
        assert_null(rows.rows);
    }
}

/* What the server prints for date_part('epoch', ...), a double. */
static const struct {
    const char *text;
    int64_t us;
} times[] = {
    { "~", RUNG_NO_TIME },
    { "0", 0 },
    { "1700000000", INT64_C(1700000000000000) },
    { "1700000000.5", INT64_C(1700000000500000) },
    { "1700000000.000001", INT64_C(1700000000000001) },
    { "-1.5", -1500000 },
    { "-0.0000004", 0 },
    { "1.7e+09", INT64_C(1700000000000000) },
    { "253402300799", INT64_C(253402300799000000) }, /* the end of the year 9999 */
    { "Infinity", 0 },                               /* applied, nobody knows when */
    { "-Infinity", 0 },
    { "9224318015999.999", 0 }, /* the year 294276 */
    { "NaN", 0 },
};

static void
times_are_microseconds_and_infinity_is_none(void **state)
{
    (void)state;
    /* Where it is installed: numbers with a comma are nothing to a server. */
    (void)setlocale(LC_NUMERIC, "de_DE.UTF-8");
    for (size_t i = 0; i < COUNT(times); i++) {
        struct rung_error err = { 0 };
        struct ledger_rows rows;
        char row[64];
        PGresult *res;

        snprintf(row, sizeof row, "1|a|b|x|%s", times[i].text);
        res = draw_result(FOUR EPOCH, row);
        assert_true(ledger_decode(&rows, res, &err));
        PQclear(res);
        if (rows.rows[0].applied_at_us != times[i].us)
            fail_msg(
                "%s is %lld", times[i].text, (long long)rows.rows[0].applied_at_us);
        ledger_rows_free(&rows);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_named_as_in_sql),
        cmocka_unit_test(what_is_no_tables_name_is_refused),
        cmocka_unit_test(names_are_quoted_where_sql_needs_it),
        cmocka_unit_test(the_table_is_known_by_its_schema_from_then_on),
        cmocka_unit_test(a_strange_answer_about_the_table_is_a_bug),
        cmocka_unit_test(the_checker_sees_what_a_search_path_could_capture),
        cmocka_unit_test(no_search_path_can_capture_what_we_send),
        cmocka_unit_test(every_text_is_one_statement_whatever_strings_mean),
        cmocka_unit_test(values_are_written_as_literals),
        cmocka_unit_test(writing_into_a_broken_buffer_is_harmless),
        cmocka_unit_test(the_lock_is_looked_for_by_both_halves_of_its_key),
        cmocka_unit_test(a_full_row_is_decoded),
        cmocka_unit_test(tables_of_older_and_simpler_runners_are_read),
        cmocka_unit_test(what_is_no_ledger_is_refused),
        cmocka_unit_test(times_are_microseconds_and_infinity_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
