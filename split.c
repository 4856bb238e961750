/*
 * split.c: a file's statements, one after another, over a window.
 *
 * Owns where a statement begins and ends, what lies between statements, and COPY data.
 * Does not know what a statement means beyond sql_traits, and sends nothing.
 *
 * Invariant: neither the size of the window nor where the bytes come from changes what
 * is found.
 *
 * Sources: PostgreSQL's src/bin/psql (psqlscan.l, mainloop.c, copy.c) for what ends a
 * statement in a file, gram.y for SQL-standard bodies.
 */
#include "internal.h"

#include <string.h>

#define COMMAND_BYTES 64 /* of a psql command, for a message */

/* ---- between statements ---------------------------------------------------------- */

static inline uint64_t
here(const struct reader *r)
{
    return r->base + r->at;
}

/* The beginning of something that may be longer than the window. */
struct excerpt {
    char text[COMMENT_BYTES];
    size_t n;
};

/* Step to window index `to`, remembering what lies between. */
static void
walk(struct reader *r, size_t to, struct excerpt *excerpt)
{
    size_t n = to - r->at, room = sizeof excerpt->text - excerpt->n;

    memcpy(excerpt->text + excerpt->n, r->window + r->at, n < room ? n : room);
    excerpt->n += n < room ? n : room;
    r->at = to;
}

/* Step over the rest of a line, up to its newline, into `excerpt`. */
static bool
walk_line(struct reader *r, struct excerpt *excerpt, struct rung_error *err)
{
    for (;;) {
        bool more;
        struct str s = window_view(r, &more);

        walk(r, lex_line_comment(s, r->at), excerpt);
        if (r->at < s.n || !more)
            return true;
        if (!window_fill(r, here(r), err))
            return false;
    }
}

/* Say that what begins at `start` does not end, by the file's or the COPY line's end.
 */
static bool
refuse_open(
    const struct reader *r, uint64_t start, const char *what, struct rung_error *err)
{
    if (r->line_end != 0) {
        err_set(err, RUNG_FAILED,
            "what begins on the line of a COPY ... FROM STDIN has to end on it");
        err_hint(err, "The data begins on the next line.  Write this below the data.");
    } else {
        err_set(err, RUNG_FAILED, "unterminated %s", what);
    }
    return source_place(r->src, start, err);
}

static bool
walk_block(struct reader *r, struct excerpt *excerpt, struct rung_error *err)
{
    uint64_t start = here(r);
    size_t depth = 1, to = r->at + 2;

    for (;;) {
        bool more;
        struct str s = window_view(r, &more);

        walk(r, lex_block_comment(s, to, &depth), excerpt);
        if (depth == 0)
            return true;
        if (!more)
            return refuse_open(r, start, "/* comment", err);
        if (!window_fill(r, here(r), err))
            return false;
        to = r->at;
    }
}

/* Step over a comment that begins with `opening` and show it to whoever listens. */
static bool
skip_comment(struct reader *r, bool block, struct rung_error *err)
{
    struct excerpt excerpt;
    uint64_t start = here(r);

    excerpt.n = 0;
    if (!(block ? walk_block(r, &excerpt, err) : walk_line(r, &excerpt, err)))
        return false;
    return r->on_comment == NULL
           || r->on_comment(
               r->comment_arg, (struct str){ excerpt.text, excerpt.n }, start, err);
}

/* Step over white space and comments.  *found: something else stands at `at`. */
static bool
skip_blank(struct reader *r, bool *found, struct rung_error *err)
{
    *found = false;
    for (;;) {
        bool more;
        struct str s = window_view(r, &more);
        char next;

        r->at = lex_space(s, r->at);
        if (s.n - r->at < 2 && more) {
            if (!window_fill(r, here(r), err))
                return false;
            continue;
        }
        if (r->at == s.n)
            return true;
        r->seen_text = true;
        next = s.n - r->at >= 2 ? s.p[r->at + 1] : '\0';
        if ((s.p[r->at] != '-' || next != '-') && (s.p[r->at] != '/' || next != '*')) {
            *found = true;
            return true;
        }
        if (!skip_comment(r, next == '*', err))
            return false;
    }
}

#define ONE_DATABASE                                                                   \
    "Take it out: rung applies files to one database.  pg_dump writes it for --create."
#define NO_INCLUDE                                                                      \
    "Put the text here, or into a file of its own: what it includes would not be part " \
    "of this one's checksum."
#define NO_VARIABLES                                                                   \
    "Take it out: rung stops at the first error by itself, and knows no variables."
#define NOTHING_SHOWN "Take it out: it changes what psql shows, not the database."

/* What to write instead of a psql command. */
static const char *
psql_remedy(struct str command)
{
    static const struct {
        const char *command, *remedy;
    } remedies[] = {
        { "\\c", ONE_DATABASE },
        { "\\connect", ONE_DATABASE },
        { "\\i", NO_INCLUDE },
        { "\\ir", NO_INCLUDE },
        { "\\include", NO_INCLUDE },
        { "\\include_relative", NO_INCLUDE },
        { "\\set", NO_VARIABLES },
        { "\\unset", NO_VARIABLES },
        { "\\echo", NOTHING_SHOWN },
        { "\\pset", NOTHING_SHOWN },
        { "\\timing", NOTHING_SHOWN },
        { "\\copy", "Write COPY ... FROM STDIN, the rows below it, and a line \\. at "
                    "their end." },
        { "\\gexec", "Write a DO block that runs each row with EXECUTE." },
    };

    for (size_t i = 0; i < sizeof remedies / sizeof *remedies; i++)
        if (str_eq(command, str_of(remedies[i].command)))
            return remedies[i].remedy;
    return "A migration is plain SQL; only \\restrict and \\unrestrict, which pg_dump "
           "writes, are skipped.";
}

/* A backslash outside quotes, `text` is what follows it on its line. */
static bool
refuse_psql(
    const struct reader *r, uint64_t offset, struct str text, struct rung_error *err)
{
    char name[4 * COMMAND_BYTES];
    size_t n = 1;

    while (n < text.n && n < COMMAND_BYTES && lex_space(text, n) == n)
        n++;
    text_escape(name, sizeof name, str_slice(text, 0, n));
    if (strcmp(name, "\\.") == 0) {
        err_set(err, RUNG_FAILED,
            "\\. ends the data of COPY ... FROM STDIN, "
            "but none is being read");
    } else {
        err_set(err, RUNG_FAILED, "psql command \"%s\" is not supported", name);
        err_hint(err, "%s", psql_remedy(str_slice(text, 0, n)));
    }
    return source_place(r->src, offset, err);
}

/* Is this line \restrict TOKEN or \unrestrict TOKEN? */
static bool
is_restrict(struct str line)
{
    static const char *const commands[] = { "\\restrict", "\\unrestrict" };

    for (size_t i = 0; i < 2; i++) {
        size_t at = strlen(commands[i]), end;

        if (line.n <= at || memcmp(line.p, commands[i], at) != 0)
            continue;
        end = lex_space(line, at);
        if (end == at)
            continue;
        for (at = end; at < line.n && lex_space(line, at) == at; at++)
            if (line.p[at] == '\\')
                return false;
        return at > end && lex_space(line, at) == line.n;
    }
    return false;
}

/* Step over a psql command that stands between statements, or refuse it. */
static bool
skip_psql(struct reader *r, struct rung_error *err)
{
    struct excerpt line;
    uint64_t start = here(r);

    line.n = 0;
    if (!walk_line(r, &line, err))
        return false;
    if (is_restrict((struct str){ line.text, line.n }))
        return true;
    return refuse_psql(r, start, (struct str){ line.text, line.n }, err);
}

/* A byte order mark at the file's beginning is none of its text. */
static bool
skip_mark(struct reader *r, struct rung_error *err)
{
    r->started = true;
    while (r->n < 3 && !r->eof && r->bad == NULL)
        if (!window_fill(r, 0, err))
            return false;
    if (r->n >= 3 && memcmp(r->window, "\xef\xbb\xbf", 3) == 0)
        r->at = 3;
    return true;
}

/* ---- a statement ----------------------------------------------------------------- */

/* How far a statement is; names what the last tokens were. */
enum phase {
    PHASE_START,
    PHASE_CREATE,
    PHASE_CREATE_OR,
    PHASE_CREATE_OR_REPLACE,
    PHASE_ROUTINE,   /* CREATE [OR REPLACE] FUNCTION or PROCEDURE ... */
    PHASE_BEGIN,     /* ... BEGIN: ATOMIC opens a body */
    PHASE_BODY,      /* within BEGIN ATOMIC ... END */
    PHASE_BODY_EDGE, /* directly behind ATOMIC or a semicolon: END closes the body */
    PHASE_PLAIN      /* nothing but a semicolon matters */
};

struct shape {
    enum phase phase;
    uint64_t depth;  /* of parentheses */
    uint64_t opened; /* file offset of the outermost open one */
};

static bool
is_routine(struct str sql, struct token token)
{
    return token_is(sql, token, "FUNCTION") || token_is(sql, token, "PROCEDURE");
}

/*
 * The phase behind `token`, which is outside parentheses.  A body opens only at BEGIN
 * directly followed by ATOMIC, and only its END can follow a semicolon: no statement of
 * a body begins so.  Within a body nothing nests: there BEGIN ATOMIC may be a column
 * and its alias.
 *
 * Source: gram.y, routine_body.
 */
static enum phase
phase_next(enum phase phase, struct str sql, struct token token)
{
    switch (phase) {
    case PHASE_START:
        return token_is(sql, token, "CREATE") ? PHASE_CREATE : PHASE_PLAIN;
    case PHASE_CREATE:
        if (token_is(sql, token, "OR"))
            return PHASE_CREATE_OR;
        return is_routine(sql, token) ? PHASE_ROUTINE : PHASE_PLAIN;
    case PHASE_CREATE_OR:
        return token_is(sql, token, "REPLACE") ? PHASE_CREATE_OR_REPLACE : PHASE_PLAIN;
    case PHASE_CREATE_OR_REPLACE:
        return is_routine(sql, token) ? PHASE_ROUTINE : PHASE_PLAIN;
    case PHASE_BEGIN:
        if (token_is(sql, token, "ATOMIC"))
            return PHASE_BODY_EDGE;
        return token_is(sql, token, "BEGIN") ? PHASE_BEGIN : PHASE_ROUTINE;
    case PHASE_ROUTINE:
        return token_is(sql, token, "BEGIN") ? PHASE_BEGIN : PHASE_ROUTINE;
    case PHASE_BODY_EDGE:
        if (token_is(sql, token, "END"))
            return PHASE_PLAIN;
        return token_byte(sql, token, ';') ? PHASE_BODY_EDGE : PHASE_BODY;
    case PHASE_BODY:
        return token_byte(sql, token, ';') ? PHASE_BODY_EDGE : PHASE_BODY;
    case PHASE_PLAIN:
        break;
    }
    return PHASE_PLAIN;
}

/* Take a token in.  True: it is the semicolon that ends the statement. */
static inline bool
shape_ends(
    struct shape *shape, struct str sql, const struct token *token, uint64_t base)
{
    if (token->type == TOKEN_PUNCTUATION) {
        char byte = sql.p[token->start];

        if (byte == '(' && shape->depth++ == 0)
            shape->opened = base + token->start;
        else if (byte == ')' && shape->depth > 0)
            shape->depth--;
        else if (byte == ';' && shape->depth == 0 && shape->phase != PHASE_BODY
                 && shape->phase != PHASE_BODY_EDGE)
            return true;
    }
    if (shape->phase != PHASE_PLAIN && shape->depth == 0)
        shape->phase = phase_next(shape->phase, sql, *token);
    return false;
}

/* A backslash within a statement: read its word for the message. */
static bool
refuse_backslash(struct reader *r, uint64_t offset, struct rung_error *err)
{
    struct excerpt line;

    line.n = 0;
    r->at = (size_t)(offset - r->base);
    return walk_line(r, &line, err)
           && refuse_psql(r, offset, (struct str){ line.text, line.n }, err);
}

static bool
refuse_large(const struct reader *r, uint64_t start, struct rung_error *err)
{
    err_set(err, RUNG_FAILED,
        "the statement is larger than PostgreSQL takes in one message");
    err_hint(err,
        "A statement has to be smaller than %zu bytes.  Split it up, or load "
        "the rows with COPY.",
        r->limit);
    return source_place(r->src, start, err);
}

/* The text ends within a statement.  Is that its end as well? */
static bool
ends_here(const struct reader *r, const struct shape *shape, uint64_t start,
    struct rung_error *err)
{
    if (r->line_end != 0)
        return refuse_open(r, start, "statement", err);
    if (shape->depth > 0) {
        err_set(err, RUNG_FAILED, "unclosed parenthesis");
        return source_place(r->src, shape->opened, err);
    }
    if (shape->phase == PHASE_BODY || shape->phase == PHASE_BODY_EDGE) {
        err_set(err, RUNG_FAILED, "BEGIN ATOMIC is not closed by END");
        return source_place(r->src, start, err);
    }
    return true;
}

/*
 * Where a quote is missing, all those behind it are taken for their opposites, and it
 * is the last one that is found open: say as well where its statement begins.
 */
static bool
hint_beginning(const struct reader *r, uint64_t start, struct rung_error *err)
{
    struct rung_error beginning = { .line = 0 };

    (void)source_place(r->src, start, &beginning);
    if (r->line_end == 0 && beginning.line < err->line)
        err_hint(err,
            "The statement begins on line %llu; what is missing may be missing anywhere "
            "from there on.",
            (unsigned long long)beginning.line);
    return false;
}

/* What stopped the walk over a statement's tokens, `token`, is not its semicolon. */
static bool
go_on(struct reader *r, const struct shape *shape, const struct token *token,
    uint64_t start, bool *ended, struct rung_error *err)
{
    if (token->type == TOKEN_BACKSLASH)
        return refuse_backslash(r, r->base + token->start, err);
    if (!r->lexer.more && token->type == TOKEN_OPEN)
        return refuse_open(r, r->base + token->start, token->what, err)
               || hint_beginning(r, start, err);
    r->at = token->start;
    if (!r->lexer.more) {
        *ended = true;
        return ends_here(r, shape, start, err);
    }
    if (r->base + r->n - start >= r->limit)
        return refuse_large(r, start, err);
    return window_fill(r, start, err);
}

/* Show the comments between window indexes `at` and `end`, where no token is. */
static bool
show_comments(const struct reader *r, size_t at, size_t end, struct rung_error *err)
{
    struct str s = { r->window, end };

    if (r->on_comment == NULL)
        return true;
    while ((at = lex_space(s, at)) < end) {
        size_t start = at, depth = 1, n;

        at = s.p[at] == '-' ? lex_line_comment(s, at)
                            : lex_block_comment(s, at + 2, &depth);
        n = at - start < COMMENT_BYTES ? at - start : COMMENT_BYTES;
        if (!r->on_comment(
                r->comment_arg, str_slice(s, start, start + n), r->base + start, err))
            return false;
    }
    return true;
}

/* Does the walk over a statement's tokens stop here, for want of text or for good? */
static inline bool
is_stop(enum token_type type)
{
    return type == TOKEN_END || type == TOKEN_OPEN || type == TOKEN_BACKSLASH;
}

/*
 * Walk from a statement's first byte, file offset `start`, to its end: `at` is behind
 * its semicolon then, and *end behind its last token.
 */
static bool
find_end(struct reader *r, uint64_t start, uint64_t *end, struct rung_error *err)
{
    struct shape shape = { PHASE_START, 0, 0 };
    bool ended = false;

    while (!ended) {
        struct str s = window_view(r, &r->lexer.more);
        size_t at = r->at;

        for (;;) {
            struct token token = lex_next(&r->lexer, s, at);

            if (token.start - at > 1 && !show_comments(r, at, token.start, err))
                return false;
            if (is_stop(token.type)) {
                if (at > r->at)
                    *end = r->base + at;
                r->at = at;
                if (!go_on(r, &shape, &token, start, &ended, err))
                    return false;
                break;
            }
            if (shape_ends(&shape, s, &token, r->base)) {
                if (at > r->at)
                    *end = r->base + at;
                r->at = token.end;
                return true;
            }
            at = token.end;
        }
    }
    return true;
}

/* Let a statement that will have run change how the following ones are read. */
static void
follow_lexing(struct reader *r, enum sql_lexing lexing)
{
    if (lexing == SQL_LEXING_BACKSLASH)
        r->lexer.backslash_quotes = true;
    else if (lexing == SQL_LEXING_STANDARD)
        r->lexer.backslash_quotes = false;
}

static bool
read_statement(struct reader *r, struct statement *stmt, struct rung_error *err)
{
    uint64_t start = here(r), end = start;

    r->reading_statement = true;
    if (!find_end(r, start, &end, err))
        return false;
    r->reading_statement = false;
    if (end - start >= r->limit)
        return refuse_large(r, start, err);
    window_count_lines(r, start);
    r->lexer.more = false;
    *stmt = (struct statement){ .number = ++r->number,
        .offset = start,
        .end = end,
        .line = r->line,
        .text = { r->window + (start - r->base), (size_t)(end - start) } };
    stmt->traits = sql_traits(&r->lexer, stmt->text);
    follow_lexing(r, stmt->traits.lexing);
    if (stmt->traits.kind == SQL_COPY_IN) {
        r->copying = true;
        r->copy_found = false;
        r->copy_start = start;
        r->copy_start_line = r->line;
    }
    return true;
}

static bool skip_copy_data(struct reader *r, struct rung_error *err);

bool
sql_next(struct reader *r, struct statement *stmt, bool *found, struct rung_error *err)
{
    *found = false;
    if (!r->started && !skip_mark(r, err))
        return false;
    if (r->copying && !skip_copy_data(r, err))
        return false;
    for (;;) {
        bool text;

        if (!skip_blank(r, &text, err))
            return false;
        if (!text) {
            if (r->line_end == 0)
                return true;
            r->line_end = 0;
            window_jump(r, r->copy_from, r->copy_from_line);
        } else if (r->window[r->at] == ';') {
            r->at++;
        } else if (r->window[r->at] == '\\') {
            if (!skip_psql(r, err))
                return false;
        } else {
            *found = true;
            return read_statement(r, stmt, err);
        }
    }
}

/* ---- COPY data ------------------------------------------------------------------- */

static bool
refuse_cut(const struct reader *r, struct rung_error *err)
{
    err_set(err, RUNG_FAILED,
        "the data of this COPY has no end: no line holds \\. and nothing else");
    err_hint(err, "Data in a file ends with a line \\. ; without it the file may have "
                  "been cut off.");
    return source_place(r->src, r->copy_start, err);
}

/*
 * Go from behind a COPY statement to its data, which begins on the next line.  Further
 * statements on this line are read after the data, by jumping back: psql does the same.
 */
static bool
find_copy_data(struct reader *r, struct rung_error *err)
{
    bool rest = false;

    if (r->line_end != 0) { /* the second COPY of a line */
        r->rest = here(r);
        window_jump(r, r->copy_from, r->copy_from_line);
        return true;
    }
    for (;;) {
        const char *newline = memchr(r->window + r->at, '\n', r->n - r->at);
        size_t end = newline == NULL ? r->n : (size_t)(newline - r->window);

        if (!rest) {
            r->at = lex_space((struct str){ r->window, end }, r->at);
            r->rest = here(r);
            rest = r->at < end;
        }
        r->at = end;
        if (newline != NULL)
            break;
        if (r->eof)
            return refuse_cut(r, err);
        if (!window_fill(r, here(r), err))
            return false;
    }
    if (rest)
        r->line_end = here(r);
    r->at++;
    return true;
}

/* The length of a \. line at `at` with its newline, 0 when this is none.  Four bytes
 * are there, or the file ends. */
static size_t
end_marker(const struct reader *r, size_t at)
{
    static const char *const markers[] = { "\\.\n", "\\.\r\n" };
    size_t left = r->n - at;

    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(markers[i]);

        if (left >= n && memcmp(r->window + at, markers[i], n) == 0)
            return n;
        if (left < n && left >= 2 && memcmp(r->window + at, markers[i], left) == 0)
            return left;
    }
    return 0;
}

/* The data has been read: go on behind it, or on the COPY's line. */
static void
end_copy_data(struct reader *r, size_t marker)
{
    r->at += marker;
    window_count_lines(r, here(r));
    r->copying = false;
    if (r->line_end == 0)
        return;
    r->copy_from = here(r);
    r->copy_from_line = r->line;
    window_jump(r, r->rest, r->copy_start_line);
}

/*
 * From `at`, the end of the whole lines of data that are in the window.  *marker: the
 * length of the \. line that follows them; *need: more text has to be seen.
 */
static size_t
whole_lines(const struct reader *r, size_t *marker, bool *need)
{
    size_t at = r->at;
    bool begins = !r->copy_mid_line;

    *marker = 0;
    *need = true;
    for (;;) {
        const char *newline;

        if (begins) {
            if (r->n - at < 4 && !r->eof)
                return at;
            *marker = end_marker(r, at);
            if (*marker > 0) {
                *need = false;
                return at;
            }
        }
        newline = at < r->n ? memchr(r->window + at, '\n', r->n - at) : NULL;
        if (newline == NULL)
            return at;
        at = (size_t)(newline - r->window) + 1;
        begins = true;
    }
}

/* Hand out the data up to window index `end`. */
static bool
give(struct reader *r, size_t end, bool mid_line, struct str *block)
{
    *block = (struct str){ r->window + r->at, end - r->at };
    r->copy_mid_line = mid_line;
    r->at = end;
    return true;
}

bool
sql_copy_data(struct reader *r, struct str *block, struct rung_error *err)
{
    *block = (struct str){ r->window, 0 };
    if (!r->copying)
        return true;
    if (!r->copy_found) {
        if (!find_copy_data(r, err))
            return false;
        r->copy_found = true;
        r->copy_mid_line = false;
    }
    for (;;) {
        size_t marker;
        bool need;
        size_t end = whole_lines(r, &marker, &need);

        if (end > r->at)
            return give(r, end, false, block);
        if (!need) {
            end_copy_data(r, marker);
            return true;
        }
        if (r->eof)
            return refuse_cut(r, err);
        /* A line longer than the window goes out in pieces. */
        if (r->n - r->at >= r->step - 3)
            return give(r, r->n, true, block);
        if (!window_fill(r, here(r), err))
            return false;
    }
}

static bool
skip_copy_data(struct reader *r, struct rung_error *err)
{
    struct str block;

    do {
        if (!sql_copy_data(r, &block, err))
            return false;
    } while (block.n > 0);
    return true;
}
