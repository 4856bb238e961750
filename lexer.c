/*
 * lexer.c: PostgreSQL's tokens, as far as their borders go.
 *
 * Owns what a byte of SQL belongs to: a literal, a name, a comment, an operator.  Does
 * not know statements, files or windows, and decodes nothing.
 *
 * Invariant: pure, and each byte is looked at a bounded number of times, whatever is
 * left unclosed.  Relies on the text being UTF-8 without NUL (split.c checks that).
 *
 * Source: PostgreSQL's src/backend/parser/scan.l, 14 to 18, whose names (xq, xe, xdolq,
 * quotecontinue) stand in the comments.  The versions differ in what they refuse, and
 * in the vertical tab, white space since 16; not in where a token ends.
 */
#include "internal.h"

#include <string.h>

/* The three that a word may hold stand together: see is_word. */
enum byte_class {
    OTHER,
    SPACE,
    LETTER,
    DIGIT,
    DOLLAR,
    OPERATOR,
    PUNCTUATION,
    DOT,
    QUOTE,
    DOUBLE_QUOTE,
    BACKSLASH
};

#define X OTHER
#define S SPACE
#define L LETTER
#define N DIGIT
#define O OPERATOR
#define P PUNCTUATION
#define SIXTEEN_LETTERS L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L
/* clang-format off */
static const unsigned char class_of[256] = {
    X, X, X, X, X, X, X, X, X, S, S, S, S, S, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    S, O, DOUBLE_QUOTE, O, DOLLAR, O, O, QUOTE, P, P, O, O, P, O, DOT, O,
    N, N, N, N, N, N, N, N, N, N, P, P, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, P, BACKSLASH, P, O, L,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, X, O, X, O, X,
    SIXTEEN_LETTERS, SIXTEEN_LETTERS, SIXTEEN_LETTERS, SIXTEEN_LETTERS,
    SIXTEEN_LETTERS, SIXTEEN_LETTERS, SIXTEEN_LETTERS, SIXTEEN_LETTERS,
};
/* clang-format on */
#undef X
#undef S
#undef L
#undef N
#undef O
#undef P

static inline enum byte_class
class_at(struct str sql, size_t at)
{
    return (enum byte_class)class_of[(unsigned char)sql.p[at]];
}

/* ident_cont */
static inline bool
is_word(enum byte_class c)
{
    return c >= LETTER && c <= DOLLAR;
}

static inline bool
is_byte(struct str sql, size_t at, char byte)
{
    return at < sql.n && sql.p[at] == byte;
}

static inline bool
is_newline(char byte)
{
    return byte == '\n' || byte == '\r';
}

size_t
lex_space(struct str sql, size_t at)
{
    while (at < sql.n && class_at(sql, at) == SPACE)
        at++;
    return at;
}

size_t
lex_line_comment(struct str sql, size_t at)
{
    while (at < sql.n && !is_newline(sql.p[at]))
        at++;
    return at;
}

size_t
lex_block_comment(struct str sql, size_t at, size_t *depth)
{
    while (*depth > 0) {
        const char *slash = at < sql.n ? memchr(sql.p + at, '/', sql.n - at) : NULL;
        size_t hit;

        if (slash == NULL) /* a star at the end may be half of a close */
            return at < sql.n && sql.p[sql.n - 1] == '*' ? sql.n - 1 : sql.n;
        hit = (size_t)(slash - sql.p);
        if (hit > at && sql.p[hit - 1] == '*') {
            (*depth)--;
            at = hit + 1;
        } else if (is_byte(sql, hit + 1, '*')) {
            (*depth)++;
            at = hit + 2;
        } else if (hit + 1 == sql.n) {
            return hit; /* may be half of an opening */
        } else {
            at = hit + 1;
        }
    }
    return at;
}

/* A token from `start` to `end`; OPEN when it touches an end that is not the last. */
static inline struct token
token_make(const struct lexer *lexer, struct str sql, enum token_type type,
    size_t start, size_t end)
{
    return (struct token){ .type = end == sql.n && lexer->more ? TOKEN_OPEN : type,
        .start = start,
        .end = end };
}

static struct token
token_open(struct str sql, size_t start, const char *what)
{
    return (
        struct token){ .type = TOKEN_OPEN, .start = start, .end = sql.n, .what = what };
}

/*
 * Just past the quote that closes what was opened in front of `at`; STR_NONE when none
 * does.  With `doubles` two quotes are one in the text.
 */
static size_t
quoted_end(struct str sql, size_t at, char quote, bool doubles)
{
    for (;;) {
        const char *hit = at < sql.n ? memchr(sql.p + at, quote, sql.n - at) : NULL;

        if (hit == NULL)
            return STR_NONE;
        at = (size_t)(hit - sql.p) + 1;
        if (!doubles || !is_byte(sql, at, quote))
            return at;
        at++;
    }
}

/*
 * The same for a string in which a backslash escapes the byte behind it (xe).  The
 * quote found last is kept, so that a thousand backslashes do not look for it a
 * thousand times.
 */
static size_t
escaped_end(struct str sql, size_t at)
{
    const char *end = sql.p + sql.n, *p = sql.p + at, *quote = NULL;

    while (p < end) {
        const char *backslash;

        if (quote == NULL || quote < p) {
            quote = memchr(p, '\'', (size_t)(end - p));
            if (quote == NULL)
                return STR_NONE;
        }
        backslash = memchr(p, '\\', (size_t)(quote - p));
        if (backslash != NULL) {
            p = backslash + 2;
            continue;
        }
        p = quote + 1;
        if (p == end || *p != '\'')
            return (size_t)(p - sql.p);
        p++;
    }
    return STR_NONE;
}

/*
 * Does a string that closed in front of `at` go on (quotecontinue): white space with a
 * newline in it, -- comments allowed, then a quote?  Returns the byte behind that
 * quote; 0 when it does not; STR_NONE when that cannot be seen from here.
 */
static size_t
continued_at(const struct lexer *lexer, struct str sql, size_t at)
{
    bool newline = false;

    for (; at < sql.n; at++) {
        if (class_at(sql, at) == SPACE) {
            newline = newline || is_newline(sql.p[at]);
        } else if (sql.p[at] == '-') {
            if (at + 1 == sql.n)
                break;
            if (sql.p[at + 1] != '-')
                return 0;
            at = lex_line_comment(sql, at + 2);
            if (at == sql.n)
                break;
            newline = true;
        } else {
            return newline && sql.p[at] == '\'' ? at + 1 : 0;
        }
    }
    return lexer->more ? STR_NONE : 0;
}

enum string_type {
    STRING_PLAIN,   /* xq, xus */
    STRING_ESCAPES, /* xe */
    STRING_BITS,    /* xb, xh: two quotes are two strings */
    STRING_HEX
};

/* A string constant; `at` is just past its first quote. */
static struct token
lex_string(const struct lexer *lexer, struct str sql, size_t start, size_t at,
    enum string_type type)
{
    static const char *const names[] = {
        [STRING_PLAIN] = "quoted string",
        [STRING_ESCAPES] = "quoted string",
        [STRING_BITS] = "bit string literal",
        [STRING_HEX] = "hexadecimal string literal",
    };
    struct token token;
    size_t end;

    for (;;) {
        end = type == STRING_ESCAPES ? escaped_end(sql, at)
                                     : quoted_end(sql, at, '\'', type == STRING_PLAIN);
        if (end == STR_NONE)
            return token_open(sql, start, names[type]);
        /* Nearly always a comma or a parenthesis follows. */
        at = is_byte(sql, end, ',') || is_byte(sql, end, ')')
                 ? 0
                 : continued_at(lexer, sql, end);
        if (at == 0)
            break;
        if (at == STR_NONE)
            return token_open(sql, start, names[type]);
    }
    token = token_make(lexer, sql, TOKEN_STRING, start, end);
    token.what = names[type];
    token.escapes = type == STRING_ESCAPES;
    return token;
}

/* A quoted identifier (xd, xui); `at` is just past its first quote. */
static struct token
lex_name(const struct lexer *lexer, struct str sql, size_t start, size_t at)
{
    size_t end = quoted_end(sql, at, '"', true);
    struct token token;

    if (end == STR_NONE)
        return token_open(sql, start, "quoted identifier");
    token = token_make(lexer, sql, TOKEN_NAME, start, end);
    token.what = "quoted identifier";
    return token;
}

/*
 * $$...$$ or $tag$...$tag$, $1, or a '$' that begins nothing.  The tag is an identifier
 * without '$', so a closing tag cannot begin inside another one: a plain search finds
 * what xdolq finds.
 */
static struct token
lex_dollar(const struct lexer *lexer, struct str sql, size_t at)
{
    size_t end = at + 1;
    size_t close;

    if (end < sql.n && class_at(sql, end) == DIGIT) {
        while (end < sql.n && class_at(sql, end) == DIGIT)
            end++;
        return token_make(lexer, sql, TOKEN_PARAMETER, at, end);
    }
    while (end < sql.n && (class_at(sql, end) == LETTER || class_at(sql, end) == DIGIT))
        end++;
    if (end == sql.n && lexer->more)
        return token_open(sql, at, NULL);
    if (!is_byte(sql, end, '$'))
        return (struct token){ .type = TOKEN_INVALID, .start = at, .end = at + 1 };

    close = str_find(sql, str_slice(sql, at, end + 1), end + 1);
    if (close == STR_NONE)
        return token_open(sql, at, "dollar-quoted string");
    /* Complete whatever follows: a dollar quote is never continued. */
    return (struct token){ .type = TOKEN_STRING,
        .start = at,
        .end = close + (end + 1 - at),
        .what = "dollar-quoted string" };
}

static inline size_t
skip_digits(struct str sql, size_t at)
{
    while (at < sql.n && class_at(sql, at) == DIGIT)
        at++;
    return at;
}

/*
 * 1, 1.5, .5, 1., 1e-5; in 1..2 the number is 1 (decimalfail).  What 16 and later read
 * as one number, 0x1F and 1_000, is a number and a word here: the borders between
 * statements are the same.
 */
static struct token
lex_number(const struct lexer *lexer, struct str sql, size_t at)
{
    size_t end = skip_digits(sql, at), exponent;

    if (is_byte(sql, end, '.')) {
        if (end + 1 == sql.n && lexer->more)
            return token_open(sql, at, NULL);
        if (!is_byte(sql, end + 1, '.'))
            end = skip_digits(sql, end + 1);
    }
    if (is_byte(sql, end, 'e') || is_byte(sql, end, 'E')) {
        exponent = end + 1;
        if (is_byte(sql, exponent, '-') || is_byte(sql, exponent, '+'))
            exponent++;
        if (exponent == sql.n && lexer->more)
            return token_open(sql, at, NULL);
        if (exponent < sql.n && class_at(sql, exponent) == DIGIT)
            end = skip_digits(sql, exponent);
    }
    return token_make(lexer, sql, TOKEN_NUMBER, at, end);
}

/* An operator ends in front of a comment.  That it may not end in + or - either moves
 * no border that matters here. */
static struct token
lex_operator(const struct lexer *lexer, struct str sql, size_t at)
{
    size_t end = at;

    while (end < sql.n && class_at(sql, end) == OPERATOR) {
        if (end > at
            && ((sql.p[end] == '-' && is_byte(sql, end + 1, '-'))
                || (sql.p[end] == '/' && is_byte(sql, end + 1, '*'))))
            break;
        end++;
    }
    return token_make(lexer, sql, TOKEN_OPERATOR, at, end);
}

/* A word, or a constant that a letter introduces: E'', B'', X'', N'', U&'', U&"". */
static struct token
lex_word(const struct lexer *lexer, struct str sql, size_t at)
{
    size_t end = at + 1;

    if (is_byte(sql, end, '\''))
        switch (sql.p[at]) {
        case 'e':
        case 'E':
            return lex_string(lexer, sql, at, end + 1, STRING_ESCAPES);
        case 'b':
        case 'B':
            return lex_string(lexer, sql, at, end + 1, STRING_BITS);
        case 'x':
        case 'X':
            return lex_string(lexer, sql, at, end + 1, STRING_HEX);
        case 'n':
        case 'N':
            return lex_string(lexer, sql, at, end + 1,
                lexer->backslash_quotes ? STRING_ESCAPES : STRING_PLAIN);
        }
    if ((sql.p[at] == 'u' || sql.p[at] == 'U') && is_byte(sql, end, '&')) {
        if (is_byte(sql, end + 1, '\''))
            return lex_string(lexer, sql, at, end + 2, STRING_PLAIN);
        if (is_byte(sql, end + 1, '"'))
            return lex_name(lexer, sql, at, end + 2);
        if (end + 1 == sql.n && lexer->more)
            return token_open(sql, at, NULL);
    }
    while (end < sql.n && is_word(class_at(sql, end)))
        end++;
    return token_make(lexer, sql, TOKEN_WORD, at, end);
}

/* A byte that is a token whatever follows. */
static inline struct token
lex_byte(enum token_type type, size_t at)
{
    return (struct token){ .type = type, .start = at, .end = at + 1 };
}

/* The token at `at`, where neither white space nor a comment is.  Worth two copies:
 * most of the time that lex_next takes is calls. */
static inline __attribute__((always_inline)) struct token
lex_token(const struct lexer *lexer, struct str sql, size_t at)
{
    if (at == sql.n)
        return (struct token){ .type = TOKEN_END, .start = at, .end = at };

    switch (class_at(sql, at)) {
    case LETTER:
        return lex_word(lexer, sql, at);
    case DIGIT:
        return lex_number(lexer, sql, at);
    case PUNCTUATION:
        return lex_byte(TOKEN_PUNCTUATION, at);
    case QUOTE:
        return lex_string(lexer, sql, at, at + 1,
            lexer->backslash_quotes ? STRING_ESCAPES : STRING_PLAIN);
    case OPERATOR:
        return lex_operator(lexer, sql, at);
    case DOUBLE_QUOTE:
        return lex_name(lexer, sql, at, at + 1);
    case DOLLAR:
        return lex_dollar(lexer, sql, at);
    case DOT:
        if (at + 1 < sql.n && class_at(sql, at + 1) == DIGIT)
            return lex_number(lexer, sql, at);
        return token_make(lexer, sql, TOKEN_PUNCTUATION, at, at + 1);
    case BACKSLASH:
        return lex_byte(TOKEN_BACKSLASH, at);
    case OTHER:
    case SPACE: /* skip_blank leaves none */
        break;
    }
    return lex_byte(TOKEN_INVALID, at);
}

/* The same, behind any comments and white space that begin at `at`. */
static struct token
lex_behind_comments(const struct lexer *lexer, struct str sql, size_t at)
{
    for (;;) {
        size_t start = at, depth = 1;

        if (is_byte(sql, at, '-') && is_byte(sql, at + 1, '-')) {
            at = lex_line_comment(sql, at + 2);
            if (at == sql.n && lexer->more)
                return token_open(sql, start, "/* comment");
        } else if (is_byte(sql, at, '/') && is_byte(sql, at + 1, '*')) {
            at = lex_block_comment(sql, at + 2, &depth);
            if (depth > 0)
                return token_open(sql, start, "/* comment");
        } else {
            return lex_token(lexer, sql, at);
        }
        at = lex_space(sql, at);
    }
}

struct token
lex_next(const struct lexer *lexer, struct str sql, size_t at)
{
    at = lex_space(sql, at);
    /* Of those with comments, in a function of its own: this one needs no stack. */
    if (is_byte(sql, at, '-') || is_byte(sql, at, '/'))
        return lex_behind_comments(lexer, sql, at);
    return lex_token(lexer, sql, at);
}

bool
token_is(struct str sql, struct token token, const char *word)
{
    size_t i = 0;

    if (token.type != TOKEN_WORD)
        return false;
    for (; word[i] != '\0'; i++) {
        char c = token.start + i < token.end ? sql.p[token.start + i] : '\0';

        if ((c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c) != word[i])
            return false;
    }
    return token.start + i == token.end;
}

bool
token_byte(struct str sql, struct token token, char byte)
{
    return token.type == TOKEN_PUNCTUATION && sql.p[token.start] == byte;
}
