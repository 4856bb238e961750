/*
 * oracle.c: what split.c makes of files, against what PostgreSQL's own code makes of
 * them.
 *
 *     oracle parser FILE...     libpg_query's grammar
 *     oracle scanner FILE...    psql's scanner
 *     oracle server FILE...     the server of $PGDATABASE, in transactions rolled back
 *     oracle whole FILE...      run the files there, each in as few Queries as can be;
 *     oracle single FILE...     or statement by statement: same tags, same database
 *
 * Prints each difference that README.md does not explain, and at the end how much was
 * compared.  Exit status 1 when there was one.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"

/* What we make of a file. */
struct ours {
    const char *path;
    char *text; /* as it is; psql commands are made semicolons where that is allowed */
    size_t n;
    char *bare; /* the same without COPY data, a mark and \restrict lines: blanks */
    struct statement *list;
    size_t count;
    bool failed, lexing;
    struct rung_error err;
};

static struct {
    size_t files, statements, refused, explained, left_out, differ;
} tally;

static void *
need(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

void
pieces_add(struct pieces *pieces, const char *p, size_t n)
{
    pieces->list = need(realloc(pieces->list, (pieces->n + 1) * sizeof(struct piece)));
    pieces->list[pieces->n++] = (struct piece){ p, n };
}

void
pieces_free(struct pieces *pieces)
{
    free(pieces->list);
    *pieces = (struct pieces){ 0 };
}

static void
differ(const struct ours *ours, size_t at, const char *what, const char *why)
{
    uint64_t line = at < ours->count ? ours->list[at].line : ours->err.line;

    printf("%s:%llu: %s: %s\n", ours->path, (unsigned long long)line, what, why);
    tally.differ++;
}

/* ---- what we make of it ---------------------------------------------------------- */

static bool
slurp(const char *path, struct ours *ours)
{
    FILE *file = fopen(path, "rb");
    size_t got;

    *ours = (struct ours){ .path = path };
    if (file == NULL) {
        perror(path);
        return false;
    }
    do {
        ours->text = need(realloc(ours->text, ours->n + 65537));
        got = fread(ours->text + ours->n, 1, 65536, file);
        ours->n += got;
    } while (got > 0);
    ours->text[ours->n] = '\0';
    fclose(file);
    return true;
}

static void
blank(char *text, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (text[i] != '\n')
            text[i] = ' ';
}

/* Blank what stands between statements and is no comment: \restrict, \. and a mark. */
static void
blank_gaps(struct ours *ours)
{
    size_t at = 0;

    if (ours->n >= 3 && memcmp(ours->bare, "\xef\xbb\xbf", 3) == 0)
        blank(ours->bare, 0, 3);
    for (size_t i = 0; i <= ours->count; i++) {
        size_t end = i < ours->count ? ours->list[i].offset : ours->n;
        struct str gap = { ours->bare, end };
        static const struct lexer lexer = { 0 };

        for (struct token token; at < end; at = token.end) {
            token = lex_next(&lexer, gap, at);
            if (token.type == TOKEN_BACKSLASH) {
                token.end = lex_line_comment(gap, token.start);
                blank(ours->bare, token.start, token.end);
            }
        }
        if (i < ours->count)
            at = ours->list[i].end;
    }
}

static bool
read_data(struct reader *r, struct ours *ours)
{
    struct str block;

    do {
        if (!sql_copy_data(r, &block, &ours->err))
            return false;
        blank(ours->bare, (size_t)(block.p - ours->text),
            (size_t)(block.p - ours->text) + block.n);
    } while (block.n > 0);
    return true;
}

static void
split(struct ours *ours)
{
    struct source src = {
        .path = ours->path, .bytes = ours->text, .fd = -1, .size = ours->n
    };
    struct reader r;
    bool found = true;

    free(ours->list);
    free(ours->bare);
    ours->list = NULL;
    ours->count = 0;
    ours->lexing = false;
    ours->bare = memcpy(need(malloc(ours->n + 1)), ours->text, ours->n + 1);
    if (!reader_open(&r, &src, READER_WINDOW, NULL, &ours->err))
        abort();
    do {
        ours->list =
            need(realloc(ours->list, (ours->count + 1) * sizeof(struct statement)));
        ours->failed = !sql_next(&r, &ours->list[ours->count], &found, &ours->err);
        if (ours->failed || !found)
            break;
        ours->lexing |= ours->list[ours->count].traits.lexing != SQL_LEXING_SAME;
        if (ours->list[ours->count++].traits.kind == SQL_COPY_IN)
            ours->failed = !read_data(&r, ours);
    } while (!ours->failed);
    reader_close(&r);
    blank_gaps(ours);
}

/* Make the psql command that was refused a semicolon; false when it was none. */
static bool
without_command(struct ours *ours)
{
    struct str text = { ours->text, ours->n };
    uint64_t line = 1;
    size_t at = 0;

    if (strncmp(ours->err.message, "psql command", 12) != 0)
        return false;
    for (; line < ours->err.line; line++)
        at = str_find(text, STR("\n"), at) + 1;
    at += utf8_offset(str_slice(text, at, ours->n), ours->err.column - 1);
    if (text.p[at] != '\\')
        return false;
    ours->text[at] = ';';
    blank(ours->text, at + 1, lex_line_comment(text, at));
    return true;
}

static bool
read_ours(const char *path, struct ours *ours)
{
    if (!slurp(path, ours))
        return false;
    do
        split(ours);
    while (ours->failed && without_command(ours));
    tally.files++;
    tally.statements += ours->count;
    return true;
}

static void
free_ours(struct ours *ours)
{
    free(ours->text);
    free(ours->bare);
    free(ours->list);
}

/* ---- libpg_query ----------------------------------------------------------------- */

/*
 * By itself, with its semicolon, each statement is one, or wrong in itself; but the
 * parser must not wait for more of it.
 */
static void
parse_alone(const struct ours *ours)
{
    for (size_t i = 0; i < ours->count; i++) {
        struct pieces pieces;
        PQExpBufferData text;

        initPQExpBuffer(&text);
        appendBinaryPQExpBuffer(&text, ours->list[i].text.p, ours->list[i].text.n);
        appendPQExpBufferChar(&text, ';');
        parser_split(text.data, &pieces);
        if (pieces.open)
            differ(ours, i, "by itself the parser finds it open", pieces.error);
        else if (pieces.error[0] == '\0' && pieces.n != 1)
            differ(ours, i, "by itself the parser finds it not one", text.data);
        pieces_free(&pieces);
        termPQExpBuffer(&text);
    }
}

static void
compare_parser(struct ours *ours)
{
    struct pieces pieces;
    size_t i = 0;

    if (ours->lexing) { /* it cannot be told of standard_conforming_strings */
        tally.left_out++;
        return;
    }
    parser_split(ours->bare, &pieces);
    if (pieces.error[0] != '\0') {
        tally.refused++;
        if (!ours->failed)
            parse_alone(ours);
    } else if (ours->failed) {
        differ(
            ours, ours->count, "the parser accepts it, we do not", ours->err.message);
    } else {
        for (; i < ours->count && i < pieces.n; i++) {
            size_t from = (size_t)(pieces.list[i].p - ours->bare);

            if (ours->list[i].offset < from
                || ours->list[i].end > from + pieces.list[i].n)
                break;
        }
        if (i < ours->count || i < pieces.n)
            differ(ours, i, "the parser cuts elsewhere",
                i < pieces.n ? pieces.list[i].p : "it finds fewer");
    }
    pieces_free(&pieces);
}

/* ---- psql's scanner -------------------------------------------------------------- */

/* What is in a piece but comments: no statement, or one. */
static struct str
trim(struct str text)
{
    static const struct lexer lexer = { 0 };
    struct token token;
    size_t at = 0, start = STR_NONE;

    if (text.n > 0 && text.p[text.n - 1] == ';')
        text.n--;
    while ((token = lex_next(&lexer, text, at)).type != TOKEN_END) {
        if (start == STR_NONE)
            start = token.start;
        if (token.type == TOKEN_OPEN) /* it was read with other strings */
            return str_slice(text, start, text.n);
        at = token.end;
    }
    return start == STR_NONE ? str_slice(text, 0, 0) : str_slice(text, start, at);
}

/*
 * psql counts the words BEGIN, CASE and END in CREATE FUNCTION and PROCEDURE, where the
 * grammar wants BEGIN ATOMIC.  Does it stumble over this statement?  As psqlscan.l
 * counts.
 */
static bool
psql_miscounts(struct str sql)
{
    static const struct lexer lexer = { 0 };
    struct token token = { .end = 0 };
    size_t depth = 0, begins = 0, words = 0;
    char initials[4] = { 0 };
    bool routine = false;

    while ((token = lex_next(&lexer, sql, token.end)).type != TOKEN_END
           && token.type != TOKEN_OPEN) {
        if (token_byte(sql, token, '('))
            depth++;
        else if (token_byte(sql, token, ')') && depth > 0)
            depth--;
        else if (token_byte(sql, token, ';') && depth == 0 && begins == 0)
            return true;
        if (token.type != TOKEN_WORD)
            continue;
        if (words < 4 && strchr("cCfFpPoOrR", sql.p[token.start]) != NULL)
            initials[words] = (char)(sql.p[token.start] | 0x20);
        words++;
        routine = initials[0] == 'c'
                  && (initials[1] == 'f' || initials[1] == 'p'
                      || (initials[1] == 'o' && initials[2] == 'r'
                          && (initials[3] == 'f' || initials[3] == 'p')));
        if (!routine || depth > 0)
            continue;
        if (token_is(sql, token, "BEGIN")
            || (begins > 0 && token_is(sql, token, "CASE")))
            begins++;
        else if (begins > 0 && token_is(sql, token, "END"))
            begins--;
    }
    return begins > 0;
}

/* The text, cut where standard_conforming_strings may change. */
static void
scan(const struct ours *ours, struct pieces *pieces)
{
    bool standard = true;
    size_t at = 0;

    for (size_t i = 0; i < ours->count && !pieces->open && !pieces->backslash; i++) {
        enum sql_lexing lexing = ours->list[i].traits.lexing;
        size_t end = i + 1 < ours->count ? ours->list[i + 1].offset : ours->n;

        if (lexing == SQL_LEXING_SAME)
            continue;
        scanner_split(ours->bare + at, end - at, standard, pieces);
        at = end;
        if (lexing == SQL_LEXING_BACKSLASH || lexing == SQL_LEXING_STANDARD)
            standard = lexing == SQL_LEXING_STANDARD;
    }
    if (!pieces->open && !pieces->backslash)
        scanner_split(ours->bare + at, ours->n - at, standard, pieces);
}

/* Were we stopped by COPY data, or for want of it?  The scanner knows none. */
static bool
about_copy_data(const struct ours *ours)
{
    return ours->failed && strstr(ours->err.message, "COPY") != NULL;
}

static void
compare_scanner(struct ours *ours)
{
    struct pieces pieces = { 0 };
    size_t i = 0;

    scan(ours, &pieces);
    for (size_t k = 0; k < pieces.n; k++) {
        struct str piece = trim((struct str){ pieces.list[k].p, pieces.list[k].n });

        if (piece.n == 0)
            continue;
        if (i == ours->count || !str_eq(piece, ours->list[i].text))
            break;
        i++;
    }
    if (i < ours->count ? psql_miscounts(ours->list[i].text) : about_copy_data(ours))
        tally.explained++;
    else if (i < ours->count)
        differ(
            ours, i, "psql cuts elsewhere", i < pieces.n ? pieces.list[i].p : "open");
    else if (ours->failed && !pieces.open && !pieces.backslash)
        differ(ours, i, "psql reads it to its end", ours->err.message);
    else if (!ours->failed && (pieces.open || pieces.backslash))
        differ(ours, i, "psql finds something open", "");
    pieces_free(&pieces);
}

/* ---- the server ------------------------------------------------------------------ */

static PGconn *conn;

/* What a Query did: its tags, and how it failed, with the byte of the text it says. */
struct deed {
    PQExpBuffer tags;
    bool failed;
    char sqlstate[6], message[256];
    size_t at; /* STR_NONE: it does not say */
};

/* The lines of COPY data of `data`, or of nothing. */
static void
send_data(struct str data)
{
    if (data.n > 0)
        PQputCopyData(conn, data.p, (int)data.n);
    PQputCopyEnd(conn, NULL);
}

static void
note_failure(struct deed *deed, const PGresult *res, struct str text)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
    const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    deed->failed = true;
    deed->at = position == NULL
                   ? STR_NONE
                   : utf8_offset(text, (size_t)strtoul(position, NULL, 10) - 1);
    snprintf(deed->sqlstate, sizeof deed->sqlstate, "%s", state == NULL ? "" : state);
    snprintf(deed->message, sizeof deed->message, "%s",
        message == NULL ? PQerrorMessage(conn) : message);
}

static void
run(struct deed *deed, struct str sql, struct str data)
{
    char *text = need(str_dup(sql));

    if (!PQsendQuery(conn, text))
        abort();
    for (PGresult *res; (res = PQgetResult(conn)) != NULL; PQclear(res)) {
        if (PQresultStatus(res) == PGRES_COPY_IN)
            send_data(data);
        else if (PQresultStatus(res) == PGRES_FATAL_ERROR)
            note_failure(deed, res, sql);
        else if (*PQcmdStatus(res) != '\0')
            appendPQExpBuffer(deed->tags, "%s\n", PQcmdStatus(res));
    }
    if (PQstatus(conn) != CONNECTION_OK)
        abort();
    free(text);
}

static void
run_plain(const char *sql)
{
    PQclear(PQexec(conn, sql));
}

static void
deed_begin(struct deed *deed)
{
    *deed = (struct deed){ .tags = createPQExpBuffer(), .at = STR_NONE };
    run_plain("BEGIN");
}

/* All that statements may have made in the schema public, without its OIDs. */
static const char fingerprint[] =
    "SELECT string_agg(x, E'\\n' ORDER BY x) FROM ("
    " SELECT pg_get_functiondef(oid) FROM pg_proc"
    "  WHERE pronamespace = 'public'::regnamespace AND prokind <> 'a'"
    " UNION ALL SELECT concat(relname, relkind, pg_get_viewdef(oid),"
    "  obj_description(oid, 'pg_class')) FROM pg_class"
    "  WHERE relnamespace = 'public'::regnamespace"
    " UNION ALL SELECT concat(attrelid::regclass, attname,"
    "  format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid))"
    "  FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
    "  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
    "  WHERE relnamespace = 'public'::regnamespace"
    " UNION ALL SELECT concat(e.enumtypid::regtype, enumlabel) FROM pg_enum e"
    " UNION ALL SELECT pg_get_ruledef(r.oid) FROM pg_rewrite r"
    "  JOIN pg_class c ON c.oid = ev_class WHERE relnamespace = 'public'::regnamespace"
    " UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
    " UNION ALL SELECT t.x FROM (SELECT t::text AS x FROM public.t) t"
    " UNION ALL SELECT name || setting FROM pg_settings WHERE source = 'session'"
    ") s(x)";

static void
deed_end(struct deed *deed)
{
    if (!deed->failed) {
        PGresult *res = PQexec(conn, fingerprint);

        if (PQresultStatus(res) != PGRES_TUPLES_OK) {
            fputs(PQerrorMessage(conn), stderr);
            abort();
        }
        appendPQExpBufferStr(deed->tags, PQgetvalue(res, 0, 0));
        PQclear(res);
    }
    run_plain("ROLLBACK");
}

/* Does it run in a transaction of ours, beside others? */
static bool
left_out(const struct statement *stmt)
{
    return stmt->traits.kind != SQL_ORDINARY && stmt->traits.kind != SQL_SET
           && stmt->traits.kind != SQL_CALL;
}

static void
run_singly(const struct ours *ours, struct deed *deed)
{
    for (size_t i = 0; i < ours->count && !deed->failed; i++) {
        const struct statement *stmt = &ours->list[i];

        if (left_out(stmt))
            continue;
        run(deed, stmt->text, STR(""));
        if (deed->failed && deed->at != STR_NONE)
            deed->at += stmt->offset;
    }
}

/*
 * The grammar refuses a whole Query before anything of it runs: the statement that its
 * error stands in has to fail by itself as it did.
 */
static bool
same_syntax_error(const struct ours *ours, const struct deed *whole)
{
    for (size_t i = 0; i < ours->count; i++) {
        const struct statement *stmt = &ours->list[i];
        struct deed deed;
        bool same;

        if (whole->at < stmt->offset || whole->at > stmt->end)
            continue;
        deed_begin(&deed);
        run(&deed, stmt->text, STR(""));
        same = deed.failed && deed.at + stmt->offset == whole->at
               && strcmp(deed.message, whole->message) == 0;
        run_plain("ROLLBACK");
        destroyPQExpBuffer(deed.tags);
        return same;
    }
    return false;
}

static void
compare_server(struct ours *ours)
{
    struct deed whole, single;

    if (ours->lexing || ours->failed) {
        tally.left_out++;
        return;
    }
    for (size_t i = 0; i < ours->count; i++)
        if (left_out(&ours->list[i]))
            blank(ours->bare, ours->list[i].offset, ours->list[i].end);
    deed_begin(&whole);
    run(&whole, (struct str){ ours->bare, ours->n }, STR(""));
    deed_end(&whole);
    deed_begin(&single);
    run_singly(ours, &single);
    deed_end(&single);

    tally.refused += whole.failed;
    if (whole.failed && strcmp(whole.sqlstate, "42601") == 0 && whole.tags->len == 0) {
        if (!same_syntax_error(ours, &whole))
            differ(ours, 0, "the server finds another syntax error", whole.message);
    } else if (strcmp(whole.tags->data, single.tags->data) != 0) {
        differ(ours, 0, "the server runs something else", whole.message);
    } else if (whole.failed != single.failed
               || strcmp(whole.sqlstate, single.sqlstate) != 0
               || strcmp(whole.message, single.message) != 0 || whole.at != single.at) {
        differ(ours, 0, "the server refuses it otherwise",
            whole.failed ? whole.message : single.message);
    }
    destroyPQExpBuffer(whole.tags);
    destroyPQExpBuffer(single.tags);
}

/* ---- running files for good ------------------------------------------------------ */

/* The bytes of COPY data behind statement `i`: what split() blanked. */
static struct str
data_of(const struct ours *ours, size_t i)
{
    size_t at = ours->list[i].end,
           end = i + 1 < ours->count ? ours->list[i + 1].offset : ours->n;
    struct str text = { ours->text, end };
    size_t from = str_find(text, STR("\n"), at), to;

    from = from == STR_NONE ? end : from + 1;
    if (from + 2 <= end && memcmp(text.p + from, "\\.", 2) == 0)
        return STR("");
    to = str_find(text, STR("\n\\."), from);
    return to == STR_NONE ? STR("") : str_slice(text, from, to + 1);
}

/* From `first` up to `end`, statements that may share a Query, as they stand. */
static void
run_stretch(struct deed *deed, const struct ours *ours, size_t first, size_t end)
{
    if (first < end)
        run(deed,
            (struct str){ ours->bare + ours->list[first].offset,
                ours->list[end - 1].end - ours->list[first].offset },
            STR(""));
}

static void
run_file(const struct ours *ours, bool whole)
{
    struct deed deed = { .tags = createPQExpBuffer() };
    size_t first = 0;

    for (size_t i = 0; i < ours->count && !deed.failed; i++) {
        const struct statement *stmt = &ours->list[i];

        if (whole && !left_out(stmt) && stmt->traits.lexing == SQL_LEXING_SAME)
            continue;
        if (whole)
            run_stretch(&deed, ours, first, i);
        if (!deed.failed)
            run(&deed, stmt->text,
                stmt->traits.kind == SQL_COPY_IN ? data_of(ours, i) : STR(""));
        first = i + 1;
    }
    if (whole && !deed.failed)
        run_stretch(&deed, ours, first, ours->count);
    printf("%s\n%s%s%s\n", ours->path, deed.tags->data, deed.sqlstate, deed.message);
    destroyPQExpBuffer(deed.tags);
    run_plain("ROLLBACK");
    run_plain("DISCARD ALL");
}

static void
run_whole(struct ours *ours)
{
    run_file(ours, true);
}

static void
run_single(struct ours *ours)
{
    run_file(ours, false);
}

/* ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*compare)(struct ours *ours);
    bool connects, quiet;
} oracles[] = {
    { "parser", compare_parser, false, false },
    { "scanner", compare_scanner, false, false },
    { "server", compare_server, true, false },
    { "whole", run_whole, true, true },
    { "single", run_single, true, true },
};

static void
drop_notice(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

int
main(int argc, char **argv)
{
    size_t k = 0;

    while (k < sizeof oracles / sizeof *oracles
           && (argc < 2 || strcmp(argv[1], oracles[k].name) != 0))
        k++;
    if (k == sizeof oracles / sizeof *oracles) {
        fputs("usage: oracle parser|scanner|server|whole|single FILE...\n", stderr);
        return 2;
    }
    if (oracles[k].connects) {
        conn = PQconnectdb("client_encoding=UTF8");
        if (PQstatus(conn) != CONNECTION_OK) {
            fputs(PQerrorMessage(conn), stderr);
            return 2;
        }
        PQsetNoticeReceiver(conn, drop_notice, NULL);
    }
    for (int i = 2; i < argc; i++) {
        struct ours ours;

        if (!read_ours(argv[i], &ours))
            return 2;
        oracles[k].compare(&ours);
        free_ours(&ours);
    }
    PQfinish(conn);
    if (!oracles[k].quiet)
        printf("%s: %zu files, %zu statements; refused %zu, explained %zu, left out "
               "%zu, different %zu\n",
            oracles[k].name, tally.files, tally.statements, tally.refused,
            tally.explained, tally.left_out, tally.differ);
    return tally.differ > 0;
}
