/*
 * place.c: where in a statement did it go wrong, when the server gives no position?
 *
 * For much of DDL it gives none, and for code inside a DO block or a function it gives
 * one in a text of its own.  Pure: looks at the statement and at what the server said.
 *
 * Invariant: a guess is made only where it is the only one possible; otherwise the
 * statement's first byte is the answer.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* What the message names in quotes first: relation "x" does not exist. */
static struct str
quoted_name(const char *message)
{
    const char *open = strchr(message, '"');
    const char *close = open == NULL ? NULL : strchr(open + 1, '"');

    if (close == NULL)
        return (struct str){ 0 };
    return (struct str){ open + 1, (size_t)(close - open - 1) };
}

/* The one token of `sql` that is this name; STR_NONE when none or several are. */
static size_t
named_token(struct str sql, struct str name)
{
    struct lexer lexer = { 0 };
    struct token token;
    size_t found = STR_NONE;

    for (token = lex_next(&lexer, sql, 0);
         token.type != TOKEN_END && token.type != TOKEN_OPEN;
         token = lex_next(&lexer, sql, token.end)) {
        struct str text = str_slice(sql, token.start, token.end);
        bool quoted = token.type == TOKEN_NAME && text.n >= 2;

        if (!quoted && token.type != TOKEN_WORD)
            continue;
        if (quoted ? !str_eq(str_slice(text, 1, text.n - 1), name)
                   : !str_eq_fold(text, name))
            continue;
        if (found != STR_NONE)
            return STR_NONE;
        found = token.start;
    }
    return found;
}

/* Where `query`, which a function ran, stands in the statement, if only once. */
static size_t
internal_query(struct str sql, const char *query, const char *position)
{
    struct str text = str_of(query);
    unsigned long n = position == NULL ? 0 : strtoul(position, NULL, 10);
    size_t at;

    if (n == 0 || text.n == 0)
        return STR_NONE;
    at = str_find(sql, text, 0);
    if (at == STR_NONE || str_find(sql, text, at + 1) != STR_NONE)
        return STR_NONE;
    return at + utf8_offset(text, n - 1);
}

/* The first dollar-quoted string of a DO: its body. */
static struct str
do_body(struct str sql, size_t *start)
{
    struct lexer lexer = { 0 };
    struct token token = lex_next(&lexer, sql, 0);
    struct str tag;

    if (token.type != TOKEN_WORD
        || !str_eq_fold(str_slice(sql, token.start, token.end), STR("do")))
        return (struct str){ 0 };
    while (token.type != TOKEN_STRING && token.type != TOKEN_END
           && token.type != TOKEN_OPEN)
        token = lex_next(&lexer, sql, token.end);
    if (token.type != TOKEN_STRING || sql.p[token.start] != '$')
        return (struct str){ 0 };
    tag = str_slice(sql, token.start, token.end);
    tag.n = str_find(tag, STR("$"), 1) + 1;
    *start = token.start + tag.n;
    return str_slice(sql, *start, token.end - tag.n);
}

/*
 * The context says "inline_code_block line 3 at ...": lines of a DO's body count from
 * 1, and the first is what follows the opening tag.
 */
static size_t
inline_line(struct str sql, const char *context, struct str name)
{
    static const char frame[] = "inline_code_block line ";
    const char *hit = strstr(context, frame);
    unsigned long line = hit == NULL ? 0 : strtoul(hit + sizeof frame - 1, NULL, 10);
    size_t start = 0, at = 0, end, guess;
    struct str body = do_body(sql, &start);

    if (line == 0 || body.n == 0)
        return STR_NONE;
    while (--line > 0 && at != STR_NONE) {
        at = str_find(body, STR("\n"), at);
        at = at == STR_NONE ? at : at + 1;
    }
    if (at == STR_NONE)
        return STR_NONE;
    end = str_find(body, STR("\n"), at);
    if (end == STR_NONE)
        end = body.n;
    guess = name.n == 0 ? STR_NONE : named_token(str_slice(body, at, end), name);
    if (guess != STR_NONE)
        return start + at + guess;
    while (at < end && (body.p[at] == ' ' || body.p[at] == '\t'))
        at++;
    return start + at;
}

size_t
place_guess(struct str sql, const char *message, const char *context, const char *query,
    const char *position)
{
    struct str name = quoted_name(message);
    size_t at = internal_query(sql, query, position);

    if (at == STR_NONE)
        at = inline_line(sql, context, name);
    if (at == STR_NONE && name.n > 0)
        at = named_token(sql, name);
    return at == STR_NONE ? 0 : at;
}
