/*
 * text.c: the text of a file in the making, and memory that goes all at once.
 *
 * Invariant: bytes are taken over as they are; what is added is a line of ours, or a
 * semicolon behind a statement that lacks one.
 */
#include "import.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOM "\xEF\xBB\xBF"

/* ---- memory ---------------------------------------------------------------------- */

struct kept_block {
    struct kept_block *next;
    max_align_t room[];
};

void *
keep_room(struct keep *keep, size_t n)
{
    struct kept_block *block = calloc(1, sizeof *block + n);

    if (block == NULL) {
        keep->failed = true;
        return NULL;
    }
    block->next = keep->last;
    keep->last = block;
    return block->room;
}

const char *
keep_text(struct keep *keep, struct str text)
{
    char *copy = keep_room(keep, text.n + 1);

    if (copy == NULL)
        return "";
    if (text.n > 0)
        memcpy(copy, text.p, text.n);
    return copy;
}

const char *
keep_format(struct keep *keep, const char *fmt, ...)
{
    va_list ap, again;
    char *room;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    room = n < 0 ? NULL : keep_room(keep, (size_t)n + 1);
    if (room != NULL)
        (void)vsnprintf(room, (size_t)n + 1, fmt, again);
    va_end(again);
    return room == NULL ? "" : room;
}

void
keep_free(struct keep *keep)
{
    while (keep->last != NULL) {
        struct kept_block *next = keep->last->next;

        free(keep->last);
        keep->last = next;
    }
}

/* ---- text ------------------------------------------------------------------------ */

struct str
next_line(struct str text, size_t *at)
{
    size_t start = *at;
    const char *end =
        start == text.n ? NULL : memchr(text.p + start, '\n', text.n - start);

    *at = end == NULL ? text.n : (size_t)(end - text.p) + 1;
    return str_slice(text, start, *at);
}

struct str
str_trim(struct str s)
{
    static const char space[] = " \t\r\n\f\v";

    while (s.n > 0 && memchr(space, s.p[0], sizeof space - 1) != NULL)
        s = str_slice(s, 1, s.n);
    while (s.n > 0 && memchr(space, s.p[s.n - 1], sizeof space - 1) != NULL)
        s.n--;
    return s;
}

static const struct lexer plain_lexer = { .more = false, .backslash_quotes = false };

bool
has_statement(struct str sql)
{
    return lex_next(&plain_lexer, sql, 0).type != TOKEN_END;
}

/* Is what stands at *at a variable of psql's: :name, :'name', :"name", :{?name}? Within
 * brackets it may be the bound of a slice.  Steps *at over the token there. */
static bool
is_variable(struct str sql, size_t *at, int *depth)
{
    struct token token = lex_next(&plain_lexer, sql, *at), next;

    *at = token.type == TOKEN_OPEN ? sql.n : token.end;
    if (token.type == TOKEN_END)
        return false;
    *depth += token_byte(sql, token, '[') - token_byte(sql, token, ']');
    if (!token_byte(sql, token, ':') || *depth > 0
        || (token.start > 0 && sql.p[token.start - 1] == ':'))
        return false;
    if (token.end < sql.n && sql.p[token.end] == '{')
        return true;
    next = lex_next(&plain_lexer, sql, token.end);
    return next.start == token.end
           && (next.type == TOKEN_WORD || next.type == TOKEN_NAME
               || (next.type == TOKEN_STRING && sql.p[next.start] == '\''));
}

uint64_t
find_variable(struct str sql)
{
    struct source src = { .path = "", .bytes = sql.p, .fd = -1, .size = sql.n };
    struct rung_error ignored; /* the judge will say so */
    struct reader reader;
    struct statement stmt;
    bool found = true;
    uint64_t line = 0;
    bool ok = reader_open(&reader, &src, READER_WINDOW, NULL, &ignored);

    while (
        ok && line == 0 && (ok = sql_next(&reader, &stmt, &found, &ignored)) && found) {
        int depth = 0;

        for (size_t at = 0; line == 0 && at < stmt.text.n;)
            if (is_variable(stmt.text, &at, &depth)) {
                line = stmt.line;
                for (size_t i = 0; i < at; i++)
                    line += stmt.text.p[i] == '\n';
            }
    }
    reader_close(&reader);
    return line;
}

struct str
text_bytes(const struct text *text)
{
    return (struct str){ text->bytes.data, text->bytes.len };
}

void
text_open(struct text *text)
{
    *text = (struct text){ .no_transaction = false };
    initPQExpBuffer(&text->bytes);
    initPQExpBuffer(&text->lines);
}

void
text_close(struct text *text)
{
    termPQExpBuffer(&text->bytes);
    termPQExpBuffer(&text->lines);
}

bool
text_broken(const struct text *text)
{
    return PQExpBufferDataBroken(text->bytes) || PQExpBufferDataBroken(text->lines);
}

void
text_add(struct text *text, struct str line, uint64_t number)
{
    appendBinaryPQExpBuffer(&text->bytes, line.p, line.n);
    appendBinaryPQExpBuffer(&text->lines, (const char *)&number, sizeof number);
}

void
text_add_part(struct text *text, const struct text *from, size_t start, size_t end)
{
    struct str bytes = str_slice(text_bytes(from), start, end), line;
    uint64_t number = 1;

    for (size_t i = 0; i < start; i++)
        number += from->bytes.data[i] == '\n';
    for (size_t at = 0; (line = next_line(bytes, &at)).n > 0; number++)
        text_add(text, line, text_line(from, number));
}

void
text_end_line(struct text *text)
{
    if (text->bytes.len > 0 && text->bytes.data[text->bytes.len - 1] != '\n')
        appendPQExpBufferChar(&text->bytes, '\n');
}

/* The semicolon goes right behind the last token: there may be a comment. */
void
text_end_statement(struct text *text, size_t from)
{
    struct str sql;
    struct token token, last = { .type = TOKEN_END };
    PQExpBufferData rest;

    text_end_line(text);
    sql = text_bytes(text);
    for (size_t at = from;
         token = lex_next(&plain_lexer, sql, at), token.type != TOKEN_END;
         at = token.end) {
        if (token.type == TOKEN_OPEN)
            return; /* the judge will say so */
        last = token;
    }
    if (last.type == TOKEN_END || token_byte(sql, last, ';'))
        return;
    initPQExpBuffer(&rest);
    appendBinaryPQExpBuffer(&rest, sql.p + last.end, sql.n - last.end);
    if (!PQExpBufferDataBroken(rest)) {
        text->bytes.len = last.end;
        appendPQExpBufferChar(&text->bytes, ';');
        appendBinaryPQExpBuffer(&text->bytes, rest.data, rest.len);
    }
    termPQExpBuffer(&rest);
}

/* The directive above everything but a byte order mark. */
void
text_put_directive(struct text *text)
{
    struct text whole;
    struct str old = text_bytes(text);
    size_t mark = str_starts(old, STR(BOM)) ? 3 : 0;

    text_open(&whole);
    appendBinaryPQExpBuffer(&whole.bytes, old.p, mark);
    text_add(&whole, STR("-- rung: no-transaction\n"), 0);
    appendBinaryPQExpBuffer(&whole.bytes, old.p + mark, old.n - mark);
    appendBinaryPQExpBuffer(&whole.lines, text->lines.data, text->lines.len);
    whole.no_transaction = true;
    text_close(text);
    *text = whole;
}

/* Where in the file that was converted does this line stand? */
uint64_t
text_line(const struct text *text, uint64_t line)
{
    uint64_t number = 0;

    if (line > 0 && line <= text->lines.len / sizeof number)
        memcpy(&number, text->lines.data + (line - 1) * sizeof number, sizeof number);
    return number;
}
