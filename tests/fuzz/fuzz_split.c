/*
 * fuzz_split.c: any bytes, split over windows of every size.
 *
 * Statements are ordered, disjoint and within the file; between them there is nothing
 * but white space, comments, semicolons, COPY data, a byte order mark and \restrict
 * lines; one of them, split again, is itself; and neither the window's size nor where
 * the bytes come from changes anything.
 */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a reading found, in words; and where the text is that no statement took. */
struct reading {
    PQExpBuffer found;
    char *
        rest; /* the file with its statements and COPY data blanked; NULL: not wanted */
    size_t copies;
};

static void
blank(char *rest, struct str file, struct str taken)
{
    size_t at = (size_t)(taken.p - file.p);

    for (size_t i = 0; i < taken.n; i++)
        if (rest[at + i] != '\n')
            rest[at + i] = ' ';
}

static bool
read_data(struct reader *r, struct reading *reading, struct rung_error *err)
{
    struct str block;

    appendPQExpBufferStr(reading->found, "data ");
    reading->copies++;
    do {
        if (!sql_copy_data(r, &block, err))
            return false;
        appendBinaryPQExpBuffer(reading->found, block.p, block.n);
        if (reading->rest != NULL)
            blank(reading->rest, (struct str){ r->src->bytes, r->src->size }, block);
    } while (block.n > 0);
    return true;
}

/* Split one statement again, as the same lexer would read it. */
static void
check_alone(const struct statement *stmt, bool backslash_quotes)
{
    struct source src = {
        .path = "alone", .bytes = stmt->text.p, .fd = -1, .size = stmt->text.n
    };
    struct statement again;
    struct rung_error err;
    struct reader r;
    bool found;

    CHECK(reader_open(&r, &src, 16, NULL, &err));
    r.started = true; /* a mark inside the file is no mark */
    r.lexer.backslash_quotes = backslash_quotes;
    CHECK(sql_next(&r, &again, &found, &err) && found);
    CHECK(again.offset == 0 && again.end == stmt->text.n);
    CHECK(again.traits.kind == stmt->traits.kind);
    r.copying = false;
    CHECK(sql_next(&r, &again, &found, &err) && !found);
    reader_close(&r);
}

static bool
read_through(struct reader *r, struct reading *reading, struct rung_error *err)
{
    for (;;) {
        bool backslash_quotes = r->lexer.backslash_quotes, found;
        struct statement stmt;

        if (!sql_next(r, &stmt, &found, err))
            return false;
        if (!found)
            return true;
        backslash_quotes = stmt.traits.lexing == SQL_LEXING_SAME
                               ? r->lexer.backslash_quotes
                               : backslash_quotes;
        appendPQExpBuffer(reading->found, "%llu-%llu line %llu kind %d ",
            (unsigned long long)stmt.offset, (unsigned long long)stmt.end,
            (unsigned long long)stmt.line, (int)stmt.traits.kind);
        appendBinaryPQExpBuffer(reading->found, stmt.text.p, stmt.text.n);
        CHECK(stmt.end > stmt.offset && stmt.end <= r->src->size);
        CHECK(stmt.text.n == stmt.end - stmt.offset);
        if (reading->rest != NULL) {
            for (size_t i = stmt.offset; i < stmt.end; i++)
                CHECK(r->src->bytes[i] == stmt.text.p[i - stmt.offset]);
            CHECK(reading->rest[stmt.offset] == r->src->bytes[stmt.offset]);
            blank(
                reading->rest, (struct str){ r->src->bytes, r->src->size }, stmt.text);
            check_alone(&stmt, backslash_quotes);
        }
        if (stmt.traits.kind == SQL_COPY_IN && !read_data(r, reading, err))
            return false;
    }
}

/* Read `src` through and write down what was found.  True: to its end. */
static bool
read_file(const struct source *src, size_t window, struct reading *reading)
{
    struct rung_error err = { 0 };
    struct checksum *sum = checksum_new(&err);
    char hex[CHECKSUM_BYTES];
    struct reader r;
    bool ok;

    CHECK(sum != NULL && reader_open(&r, src, window, sum, &err));
    ok = read_through(&r, reading, &err);
    if (ok) {
        CHECK(err.message[0] == '\0');
        CHECK(checksum_hex(sum, hex, &err));
        appendPQExpBufferStr(reading->found, hex);
    } else {
        CHECK(err.line > 0 && err.column > 0 && err.message[0] != '\0');
        appendPQExpBuffer(reading->found, "%llu:%llu %s", (unsigned long long)err.line,
            (unsigned long long)err.column, err.message);
    }
    reader_close(&r);
    checksum_free(sum);
    return ok;
}

/* What no statement took is nothing that should have been sent. */
static void
check_rest(const char *rest, size_t size, size_t copies)
{
    static const struct lexer lexer = { .more = false, .backslash_quotes = false };
    struct str s = { rest, size };
    size_t at = size >= 3 && memcmp(rest, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    for (;;) {
        struct token token = lex_next(&lexer, s, at);

        at = token.end;
        if (token.type == TOKEN_END)
            break;
        if (token.type == TOKEN_BACKSLASH && at < size && rest[at] == '.') {
            CHECK(copies-- > 0);
            at++;
        } else if (token.type == TOKEN_BACKSLASH) {
            size_t end = lex_line_comment(s, at);

            CHECK((end - at > 8 && memcmp(rest + at, "restrict", 8) == 0)
                  || (end - at > 10 && memcmp(rest + at, "unrestrict", 10) == 0));
            at = end;
        } else {
            CHECK(token_byte(s, token, ';'));
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t windows[] = { 16, 17, 64, 4096, MIB(1) };
    static int fd = -1;
    char *bytes = fuzz_text(data, size);
    struct source memory = { .path = "m", .bytes = bytes, .fd = -1, .size = size };
    struct source descriptor = { .path = "d", .size = size };
    struct reading first = { createPQExpBuffer(), fuzz_text(data, size), 0 };
    bool ok;

    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, 0) == 0);
    CHECK(pwrite(fd, bytes, size, 0) == (ssize_t)size);
    descriptor.fd = fd;

    ok = read_file(&memory, READER_WINDOW, &first);
    if (ok)
        check_rest(first.rest, size, first.copies);
    /* A megabyte from memory only: to allocate one for each input is slow. */
    for (size_t i = 0; i < 2 * (sizeof windows / sizeof *windows) - 1; i++) {
        struct reading other = { createPQExpBuffer(), NULL, 0 };

        CHECK(read_file(i % 2 == 0 ? &memory : &descriptor, windows[i / 2], &other)
              == ok);
        /* Of a refused file, how much of COPY data came first depends on the window. */
        CHECK(!ok
              || (first.found->len == other.found->len
                  && memcmp(first.found->data, other.found->data, first.found->len)
                         == 0));
        destroyPQExpBuffer(other.found);
    }
    destroyPQExpBuffer(first.found);
    free(first.rest);
    free(bytes);
    return 0;
}
