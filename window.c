/*
 * window.c: the bytes of a file, as far as they are in memory.
 *
 * Owns the buffer that slides over a file, and what every byte goes through when it
 * comes in: the check that it is text, and the hash.  Does not know SQL.
 *
 * Invariant: every byte passes the frontier once, in order, is checked as UTF-8 and
 * goes into the hash, whatever it belongs to.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_GROWTH MIB(32) /* doubling stops there: memory follows the statement */

bool
reader_open(struct reader *r, const struct source *src, size_t window,
    struct checksum *hash, struct rung_error *err)
{
    *r = (struct reader){ .src = src,
        .hash = hash,
        .window = src->bytes,
        .step = window < 16 ? 16 : window,
        .limit = STATEMENT_LIMIT,
        .line = 1 };
    if (src->bytes != NULL)
        return true;
    r->size = r->step;
    r->buffer = malloc(r->size);
    r->window = r->buffer;
    return r->buffer != NULL || err_memory(err);
}

void
reader_close(struct reader *r)
{
    free(r->buffer);
    r->buffer = NULL;
    r->window = NULL;
    r->n = 0;
}

void
window_count_lines(struct reader *r, uint64_t offset)
{
    const char *p, *end;

    if (offset <= r->line_at)
        return;
    p = r->window + (r->line_at - r->base);
    end = r->window + (offset - r->base);
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        r->line++;
        p++;
    }
    r->line_at = offset;
}

/* What is wrong with the bytes at file offset `at`, `tail`? */
static const char *
bad_bytes(uint64_t at, struct str tail)
{
    if (at == 0 && tail.n >= 2
        && (memcmp(tail.p, "\xff\xfe", 2) == 0 || memcmp(tail.p, "\xfe\xff", 2) == 0))
        return "the file is UTF-16, not UTF-8";
    return tail.p[0] == '\0' ? "NUL byte" : "invalid UTF-8";
}

/*
 * Let `got` bytes that stand behind the window in: check and hash those beyond the
 * frontier.  A character cut off is left for the next time.
 */
static bool
admit(struct reader *r, size_t got, bool eof, struct rung_error *err)
{
    size_t end = r->n + got;
    size_t from = r->checked - r->base < end ? (size_t)(r->checked - r->base) : end;
    struct str fresh = { r->window + from, end - from };
    bool cut;
    size_t valid = utf8_valid(fresh, &cut);

    if (r->hash != NULL && valid > 0
        && !checksum_update(r->hash, str_slice(fresh, 0, valid), err))
        return false;
    if (valid < fresh.n && (!cut || eof))
        r->bad = bad_bytes(r->checked + valid, str_slice(fresh, valid, fresh.n));
    r->checked += valid;
    r->n = from + valid;
    r->eof = eof && r->bad == NULL;
    return true;
}

/* The source's own bytes serve as the window: show more of them. */
static bool
fill_from_memory(struct reader *r, size_t kept, struct rung_error *err)
{
    size_t left = (size_t)r->src->size - r->n;
    size_t step = r->step > kept ? r->step : kept;

    return admit(r, step < left ? step : left, step >= left, err);
}

/* Make room behind the window's bytes: move them down, or enlarge the buffer. */
static bool
make_room(struct reader *r, size_t keep, struct rung_error *err)
{
    size_t size;
    char *buffer;

    if (keep > 0) {
        window_count_lines(r, r->base + keep);
        memmove(r->buffer, r->buffer + keep, r->n - keep);
        r->base += keep;
        r->n -= keep;
        r->at -= keep;
    }
    if (r->size - r->n >= 4) /* the longest character fits */
        return true;
    size = r->size + (r->size < WINDOW_GROWTH ? r->size : WINDOW_GROWTH);
    buffer = realloc(r->buffer, size);
    if (buffer == NULL)
        return err_memory(err);
    r->buffer = buffer;
    r->window = buffer;
    r->size = size;
    return true;
}

bool
window_fill(struct reader *r, uint64_t keep, struct rung_error *err)
{
    size_t got;

    if (r->bad != NULL) {
        err_set(err, RUNG_FAILED, "%s", r->bad);
        err_hint(err, "rung reads UTF-8 text only; save the file as UTF-8.");
        return source_place(r->src, r->checked, err);
    }
    if (r->buffer == NULL)
        return fill_from_memory(r, (size_t)(r->base + r->n - keep), err);
    if (!make_room(r, (size_t)(keep - r->base), err)
        || !source_read(
            r->src, r->base + r->n, r->buffer + r->n, r->size - r->n, &got, err))
        return false;
    if (got < r->size - r->n && r->base + r->n + got < r->src->size) /* cut meanwhile */
        return err_set(err, RUNG_FAILED, "%s changed while it was read", r->src->path);
    return admit(r, got, got < r->size - r->n, err);
}

struct str
window_view(const struct reader *r, bool *more)
{
    uint64_t end = r->base + r->n;

    *more = !r->eof;
    if (r->line_end != 0) {
        *more = end < r->line_end;
        if (end > r->line_end)
            end = r->line_end;
    }
    return (struct str){ r->window, (size_t)(end - r->base) };
}

void
window_jump(struct reader *r, uint64_t offset, uint64_t line)
{
    if (offset < r->base || offset > r->base + r->n) {
        r->base = offset;
        r->n = 0;
        r->eof = false;
        r->bad = NULL;
    }
    r->at = (size_t)(offset - r->base);
    r->line = line;
    r->line_at = offset;
}
