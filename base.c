/*
 * base.c: slices of bytes, the error value, UTF-8, and the clock.
 *
 * Owns nothing of PostgreSQL's and nothing of a migration's: what is here would serve
 * any program.  Relies on libc alone.
 *
 * Invariant: no function writes past the size it was given, and none prints.
 */
#include "internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct str
str_of(const char *z)
{
    return (struct str){ z, z == NULL ? 0 : strlen(z) };
}

struct str
str_slice(struct str s, size_t start, size_t end)
{
    return (struct str){ s.p + start, end - start };
}

struct str
str_from(struct str s, size_t start)
{
    return str_slice(s, start > s.n ? s.n : start, s.n);
}

bool
str_starts(struct str s, struct str start)
{
    return s.n >= start.n && str_eq(str_slice(s, 0, start.n), start);
}

bool
str_ends(struct str s, struct str end)
{
    return s.n >= end.n && str_eq(str_slice(s, s.n - end.n, s.n), end);
}

bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

size_t
str_digits(struct str s)
{
    size_t n = 0;

    while (n < s.n && is_digit(s.p[n]))
        n++;
    return n;
}

size_t
str_find(struct str s, struct str needle, size_t from)
{
    const char *hit;

    if (needle.n == 0 || from > s.n)
        return from > s.n ? STR_NONE : from;
    for (size_t at = from; s.n - at >= needle.n; at = (size_t)(hit - s.p) + 1) {
        hit = memchr(s.p + at, needle.p[0], s.n - at - needle.n + 1);
        if (hit == NULL)
            return STR_NONE;
        if (memcmp(hit, needle.p, needle.n) == 0)
            return (size_t)(hit - s.p);
    }
    return STR_NONE;
}

bool
str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static char
fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool
str_eq_fold(struct str a, struct str b)
{
    if (a.n != b.n || str_eq(a, b))
        return a.n == b.n;
    for (size_t i = 0; i < a.n; i++)
        if (fold(a.p[i]) != fold(b.p[i]))
            return false;
    return true;
}

char *
str_dup(struct str s)
{
    char *copy = malloc(s.n + 1);

    if (copy == NULL)
        return NULL;
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return copy;
}

/* Take back an incomplete character that a cut at the buffer's end left behind. */
static void
mend_cut(char *buffer, size_t size, int wanted)
{
    size_t n;
    bool cut;

    if (wanted < 0 || (size_t)wanted < size)
        return;
    n = strlen(buffer);
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char lead = (unsigned char)buffer[n - back];

        if (lead < 0x80)
            return;
        if (lead >= 0xC0) {
            utf8_valid((struct str){ buffer + n - back, back }, &cut);
            if (cut)
                buffer[n - back] = '\0';
            return;
        }
    }
}

void
text_format(char *buffer, size_t size, const char *fmt, ...)
{
    va_list ap;
    int wanted;

    va_start(ap, fmt);
    wanted = vsnprintf(buffer, size, fmt, ap);
    va_end(ap);
    mend_cut(buffer, size, wanted);
}

bool
err_set(struct rung_error *err, enum rung_code code, const char *fmt, ...)
{
    va_list ap;
    int wanted;
    char message[sizeof err->message]; /* the arguments may point into *err */

    va_start(ap, fmt);
    wanted = vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    mend_cut(message, sizeof message, wanted);
    *err = (struct rung_error){ .code = code };
    memcpy(err->message, message, sizeof message);
    return false;
}

bool
err_hint(struct rung_error *err, const char *fmt, ...)
{
    va_list ap;
    int wanted;

    va_start(ap, fmt);
    wanted = vsnprintf(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    mend_cut(err->hint, sizeof err->hint, wanted);
    return false;
}

bool
err_memory(struct rung_error *err)
{
    return err_set(err, RUNG_FAILED, "out of memory");
}

/*
 * The length of the character that begins `p`, of which `n` bytes are there: 1 to 4, 0
 * when no character begins so, -1 when it may be one but is cut off.
 *
 * Source: RFC 3629, section 4: no overlong forms, no surrogates, nothing above
 * U+10FFFF.
 */
static int
utf8_length(const unsigned char *p, size_t n)
{
    unsigned char low = 0x80, high = 0xBF; /* what the second byte may be */
    int length;

    if (p[0] < 0x80)
        return p[0] == 0 ? 0 : 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    length = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] == 0xE0)
        low = 0xA0;
    else if (p[0] == 0xED)
        high = 0x9F;
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F;
    for (int i = 1; i < length; i++, low = 0x80, high = 0xBF) {
        if ((size_t)i == n)
            return -1;
        if (p[i] < low || p[i] > high)
            return 0;
    }
    return length;
}

/* Of these eight bytes, the high bit of one that is not ASCII, or is NUL; 0: of none.
 */
static uint64_t
not_plain(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return (word | (word - UINT64_C(0x0101010101010101)))
           & UINT64_C(0x8080808080808080);
}

size_t
utf8_valid(struct str s, bool *cut)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t at = 0;
    int length = 1;

    while (at < s.n) {
        while (s.n - at >= 32
               && (not_plain(s.p + at) | not_plain(s.p + at + 8)
                      | not_plain(s.p + at + 16) | not_plain(s.p + at + 24))
                      == 0)
            at += 32;
        while (s.n - at >= 8 && not_plain(s.p + at) == 0)
            at += 8;
        if (at == s.n)
            break;
        length = utf8_length(p + at, s.n - at);
        if (length <= 0)
            break;
        at += (size_t)length;
    }
    if (cut != NULL)
        *cut = length < 0;
    return at;
}

size_t
utf8_count(struct str s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.n; i++)
        count += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return count;
}

size_t
utf8_offset(struct str s, size_t n)
{
    size_t at = 0;

    for (; at < s.n; at++) {
        if (((unsigned char)s.p[at] & 0xC0) == 0x80)
            continue;
        if (n == 0)
            break;
        n--;
    }
    return at;
}

const char *
text_escape(char *buffer, size_t size, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    size_t out = 0;

    for (; out < s.n && out + 1 < size && s.p[out] >= ' ' && s.p[out] <= '~'; out++)
        buffer[out] = s.p[out]; /* most texts are nothing else */
    for (size_t at = out; at < s.n;) {
        const unsigned char *p = (const unsigned char *)s.p + at;
        int length = utf8_length(p, s.n - at);
        /* C0, DEL and C1: what a terminal would obey */
        bool control = length == 1 ? *p < 0x20 || *p == 0x7F
                                   : length == 2 && p[0] == 0xC2 && p[1] < 0xA0;

        if (length <= 0 || control) {
            if (out + 4 >= size)
                break;
            buffer[out++] = '\\';
            buffer[out++] = 'x';
            buffer[out++] = hex[*p >> 4];
            buffer[out++] = hex[*p & 15];
            at++;
            continue;
        }
        if (out + (size_t)length >= size)
            break;
        memcpy(buffer + out, p, (size_t)length);
        out += (size_t)length;
        at += (size_t)length;
    }
    buffer[out] = '\0';
    return buffer;
}

int64_t
clock_us(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return 0;
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
clock_ms(void)
{
    return clock_us() / 1000;
}
