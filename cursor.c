/*
 * cursor.c: a walk over the tokens of one statement.
 *
 * Owns the small steps of which kind.c, rules.c and alter.c are made: is it this word,
 * step over a name, does a pattern match, and what an identifier is to the server.
 * Knows no statement.
 *
 * Invariant: pure, and a step that does not fit leaves the cursor where it was.
 */
#include "internal.h"

#include <string.h>

struct cursor
cursor_at(const struct lexer *lexer, struct str sql)
{
    struct cursor c = { lexer, sql, { .end = 0 } };

    cursor_step(&c);
    return c;
}

void
cursor_step(struct cursor *c)
{
    c->token = lex_next(c->lexer, c->sql, c->token.end);
}

bool
cursor_ended(const struct cursor *c)
{
    return c->token.type == TOKEN_END || c->token.type == TOKEN_OPEN;
}

bool
cursor_is(const struct cursor *c, const char *word)
{
    return token_is(c->sql, c->token, word);
}

bool
cursor_is_byte(const struct cursor *c, char byte)
{
    return token_byte(c->sql, c->token, byte);
}

bool
cursor_is_operator(const struct cursor *c, struct str operator)
{
    return c->token.type == TOKEN_OPERATOR
           && str_eq(str_slice(c->sql, c->token.start, c->token.end), operator);
}

bool
cursor_take(struct cursor *c, const char *word)
{
    if (!cursor_is(c, word))
        return false;
    cursor_step(c);
    return true;
}

bool
cursor_take_byte(struct cursor *c, char byte)
{
    if (!cursor_is_byte(c, byte))
        return false;
    cursor_step(c);
    return true;
}

bool
cursor_take_group(struct cursor *c)
{
    size_t depth = 0;

    if (!cursor_is_byte(c, '('))
        return false;
    while (!cursor_ended(c)) {
        if (cursor_is_byte(c, '('))
            depth++;
        else if (cursor_is_byte(c, ')') && --depth == 0)
            break;
        cursor_step(c);
    }
    cursor_step(c);
    return true;
}

void
cursor_skip(struct cursor *c)
{
    size_t depth = 0;

    do {
        if (cursor_is_byte(c, '(') || cursor_is_byte(c, '['))
            depth++;
        else if ((cursor_is_byte(c, ')') || cursor_is_byte(c, ']')) && depth > 0)
            depth--;
        cursor_step(c);
    } while (depth > 0 && !cursor_ended(c));
}

static bool
take_star(struct cursor *c)
{
    if (!cursor_is_operator(c, STR("*")))
        return false;
    cursor_step(c);
    return true;
}

bool
cursor_take_part(struct cursor *c)
{
    if (c->token.type != TOKEN_WORD && c->token.type != TOKEN_NAME)
        return false;
    cursor_step(c);
    if (cursor_take(c, "UESCAPE")) /* of U&"..." */
        cursor_step(c);
    return true;
}

bool
cursor_take_name(struct cursor *c)
{
    if (!cursor_take_part(c))
        return false;
    while (cursor_take_byte(c, '.'))
        cursor_take_part(c);
    return true;
}

bool
cursor_text(const struct cursor *c, struct str *text)
{
    struct str s = str_slice(c->sql, c->token.start, c->token.end);
    size_t from = 0, to = s.n;

    if (c->token.type == TOKEN_STRING && s.p[0] == '$') {
        while (s.p[++from] != '$')
            continue;
        from++;
        to = s.n - from;
    } else if (c->token.type == TOKEN_STRING || c->token.type == TOKEN_NAME) {
        if (s.p[0] == 'E' || s.p[0] == 'e')
            from = 1;
        if (s.p[from] != '\'' && s.p[from] != '"')
            return false;
        from++;
        to--;
        for (size_t i = from; i < to; i++)
            if (s.p[i] == '\\' || s.p[i] == '\'' || s.p[i] == '"')
                return false;
    } else if (c->token.type != TOKEN_WORD && c->token.type != TOKEN_NUMBER) {
        return false;
    }
    *text = str_slice(s, from, to);
    return true;
}

static bool
match_word(struct cursor *c, struct str part)
{
    struct str token = str_slice(c->sql, c->token.start, c->token.end);
    size_t from = 0;

    if (c->token.type != TOKEN_WORD)
        return false;
    for (size_t i = 0; i <= part.n; i++) {
        if (i < part.n && part.p[i] != '|')
            continue;
        if (str_eq_fold(token, str_slice(part, from, i))) {
            cursor_step(c);
            return true;
        }
        from = i + 1;
    }
    return false;
}

bool
cursor_match(struct cursor *c, const char *pattern)
{
    struct cursor probe = *c;

    while (*pattern != '\0') {
        size_t n = strcspn(pattern, " ");
        struct str part = { pattern, n };
        bool optional = part.p[0] == '[', taken;

        if (optional)
            part = str_slice(part, 1, n - 1);
        if (str_eq(part, STR("NAME")))
            taken = cursor_take_name(&probe);
        else if (str_eq(part, STR("()")))
            taken = cursor_take_group(&probe);
        else if (str_eq(part, STR("*")))
            taken = take_star(&probe);
        else if (str_eq(part, STR("$")))
            taken = cursor_ended(&probe);
        else
            taken = match_word(&probe, part);
        if (!taken && !optional)
            return false;
        pattern += n;
        pattern += *pattern == ' ';
    }
    *c = probe;
    return true;
}

struct str
cursor_name(const struct cursor *c)
{
    struct cursor behind = *c;
    size_t end = c->token.end;

    while (cursor_take_part(&behind)) {
        if (!cursor_is_byte(&behind, '.'))
            break;
        cursor_step(&behind);
        end = behind.token.end;
    }
    return str_slice(c->sql, c->token.start, end);
}

/* ---- identifiers ----------------------------------------------------------------- */

#define NAME_LIMIT (NAME_BYTES - 1)

/* A name that is being read: all its bytes are counted, the first ones kept. */
struct naming {
    char *text; /* NAME_BYTES */
    size_t n;
};

static void
naming_add(struct naming *naming, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++, naming->n++)
        if (naming->n < NAME_LIMIT)
            naming->text[naming->n] = bytes[i];
}

/* Cut it where the server does: at 63 bytes, not inside a character. */
static size_t
naming_end(struct naming *naming)
{
    size_t n = naming->n < NAME_LIMIT ? naming->n : NAME_LIMIT;
    bool cut;

    if (naming->n > NAME_LIMIT)
        n = utf8_valid((struct str){ naming->text, n }, &cut);
    naming->text[n] = '\0';
    return naming->n;
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character of \XXXX or \+XXXXXX at `text`.  Returns how many bytes of the text it
 * takes; 0: it is none. */
static size_t
read_escape(struct str text, uint32_t *code)
{
    size_t from = text.n > 1 && text.p[1] == '+' ? 2 : 1, n = from == 2 ? 6 : 4;

    *code = 0;
    if (text.n < from + n)
        return 0;
    for (size_t i = from; i < from + n; i++) {
        int digit = hex_value(text.p[i]);

        if (digit < 0)
            return 0;
        *code = *code * 16 + (uint32_t)digit;
    }
    return from + n;
}

static void
naming_add_code(struct naming *naming, uint32_t code)
{
    char bytes[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = { 0, 0, 0xC0, 0xE0, 0xF0 };

    for (size_t i = n; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3F));
    bytes[0] = (char)(leads[n] | code);
    naming_add(naming, bytes, n);
}

/* The character that stands for \ in U&"...": what UESCAPE behind it says. */
static char
escape_of(struct cursor c)
{
    struct str text;

    cursor_step(&c);
    if (!cursor_take(&c, "UESCAPE") || !cursor_text(&c, &text) || text.n != 1)
        return '\\';
    return text.p[0];
}

/* U&"...", between the quotes.  Source: PostgreSQL manual 4.1.1. */
static void
naming_add_escaped(struct naming *naming, struct str text, char escape)
{
    uint32_t code, high = 0;

    for (size_t at = 0; at < text.n;) {
        struct str rest = str_slice(text, at, text.n);
        size_t n = rest.p[0] == escape ? read_escape(rest, &code) : 0;

        if (n == 0) { /* as it is; a quote or the escape itself stands there twice */
            naming_add(naming, rest.p, 1);
            at += rest.p[0] == '"' || rest.p[0] == escape ? 2 : 1;
            continue;
        }
        at += n;
        if (code >= 0xD800 && code < 0xDC00) { /* the first of a surrogate pair */
            high = code - 0xD800;
            continue;
        }
        if (code >= 0xDC00 && code < 0xE000)
            code = 0x10000 + (high << 10) + (code - 0xDC00);
        naming_add_code(naming, code & 0x1FFFFF);
    }
}

size_t
cursor_identifier(const struct cursor *c, char name[NAME_BYTES])
{
    struct str text = str_slice(c->sql, c->token.start, c->token.end);
    struct naming naming = { name, 0 };

    name[0] = '\0';
    if (c->token.type == TOKEN_WORD) {
        for (size_t i = 0; i < text.n; i++) {
            char byte = text.p[i];

            if (byte >= 'A' && byte <= 'Z')
                byte = (char)(byte - 'A' + 'a');
            naming_add(&naming, &byte, 1);
        }
    } else if (text.p[0] == '"') {
        for (size_t i = 1; i + 1 < text.n; i += text.p[i] == '"' ? 2 : 1)
            naming_add(&naming, text.p + i, 1);
    } else if (text.n > 4) {
        naming_add_escaped(&naming, str_slice(text, 3, text.n - 1), escape_of(*c));
    }
    return naming_end(&naming);
}
