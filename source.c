/*
 * source.c: the bytes of one file, by offset, and the place of an offset.
 *
 * Owns how a file is opened in the directory, read at an offset (from memory where
 * sqlfile.c kept it), and how a byte offset becomes line, column and excerpt.
 *
 * Invariant: nothing but a regular file is opened, and opening it never hangs; memory
 * does not grow with the file.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_ROOM 200 /* in a path that is shown */
#define BOM "\xEF\xBB\xBF"

/* ---- opening -------------------------------------------------------------------- */

const char *
sqldir_path(char *buffer, size_t size, const struct sqldir *dir, const char *name)
{
    struct str path = str_of(dir->path);
    size_t room = size > 2 * NAME_ROOM ? size - NAME_ROOM - 2 : size / 2;
    size_t n = 0;

    while (path.n > 0 && path.p[path.n - 1] == '/')
        path.n--;
    if (path.n + 4 > room) { /* show the end of it: that is what differs */
        path = str_slice(path, path.n - (room - 4), path.n);
        while (path.n > 0 && ((unsigned char)path.p[0] & 0xC0) == 0x80)
            path = str_slice(path, 1, path.n);
        memcpy(buffer, "...", 3);
        n = 3;
    }
    text_escape(buffer + n, room - n, path);
    n = strlen(buffer);
    buffer[n++] = '/';
    text_escape(buffer + n, size - n, str_of(name));
    return buffer;
}

bool
source_failed(struct rung_error *err, const char *what, const struct sqldir *dir,
    const char *name)
{
    int why = errno;
    char path[512];

    return err_set(err, RUNG_FAILED, "cannot %s \"%s\": %s", what,
        sqldir_path(path, sizeof path, dir, name), strerror(why));
}

int
source_open_at(
    const struct sqldir *dir, const char *name, struct stat *st, struct rung_error *err)
{
    char path[512];
    int fd;

    do
        fd = openat(dir->fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        source_failed(err, "open", dir, name);
        return -1;
    }
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    close(fd);
    err_set(err, RUNG_FAILED, "\"%s\" is not a regular file",
        sqldir_path(path, sizeof path, dir, name));
    return -1;
}

bool
source_changed(struct rung_error *err, const struct sqldir *dir, const char *name)
{
    char path[512];

    err_set(err, RUNG_FAILED, "%s changed while it was read",
        sqldir_path(path, sizeof path, dir, name));
    return err_hint(err, "Try again when nobody writes to it.");
}

/* ---- reading -------------------------------------------------------------------- */

bool
source_open(struct source *src, const struct sqldir *dir, const struct sqlfile *file,
    struct rung_error *err)
{
    struct stat st;

    *src = (struct source){ .bytes = file->bytes, .fd = -1, .size = file->size };
    src->path = sqldir_path(src->path_text, sizeof src->path_text, dir, file->name);
    if (file->bytes != NULL)
        return true;
    src->fd = source_open_at(dir, file->name, &st, err);
    if (src->fd < 0)
        return false;
    src->size = (uint64_t)st.st_size;
    if (file->checksum[0] != '\0' && src->size != file->size) {
        source_close(src);
        return source_changed(err, dir, file->name);
    }
    return true;
}

void
source_close(struct source *src)
{
    if (src->fd >= 0)
        close(src->fd);
    src->fd = -1;
    src->bytes = NULL;
}

bool
source_read(const struct source *src, uint64_t offset, char *buffer, size_t n,
    size_t *got, struct rung_error *err)
{
    *got = 0;
    if (offset >= src->size)
        return true;
    if (n > src->size - offset) /* what is appended meanwhile is not this file */
        n = (size_t)(src->size - offset);
    if (src->fd < 0) {
        memcpy(buffer, src->bytes + offset, n);
        *got = n;
        return true;
    }
    while (*got < n) {
        ssize_t r = pread(src->fd, buffer + *got, n - *got, (off_t)(offset + *got));

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_set(
                err, RUNG_FAILED, "cannot read \"%s\": %s", src->path, strerror(errno));
        if (r == 0)
            break;
        *got += (size_t)r;
    }
    return true;
}

/* ---- places --------------------------------------------------------------------- */

/* Where a byte is: counted while the file goes by. */
struct place {
    uint64_t line, column; /* from 1 */
    uint64_t line_start;   /* byte offset of the line's first byte */
};

static void
place_step(struct place *place, uint64_t base, struct str bytes)
{
    const char *hit;

    if (base == 0 && bytes.n >= 3 && memcmp(bytes.p, BOM, 3) == 0) {
        bytes = str_slice(bytes, 3, bytes.n);
        base = place->line_start = 3;
    }
    while (bytes.n > 0 && (hit = memchr(bytes.p, '\n', bytes.n)) != NULL) {
        size_t past = (size_t)(hit - bytes.p) + 1;

        bytes = str_slice(bytes, past, bytes.n);
        base += past;
        *place = (struct place){ place->line + 1, 1, base };
    }
    place->column += utf8_count(bytes);
}

/*
 * Copy `line` (a part of one line, `at` a place in it) into err->excerpt.  One byte
 * stands for one byte, or for a character a terminal can show.
 */
static void
put_excerpt(struct rung_error *err, struct str line, size_t at, bool line_ends)
{
    size_t out = 0;
    bool cut;

    err->excerpt_at = STR_NONE;
    for (size_t i = 0; i < line.n && out + 4 < sizeof err->excerpt;) {
        unsigned char c = (unsigned char)line.p[i];
        size_t n = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        struct str one = str_slice(line, i, i + n > line.n ? line.n : i + n);
        bool bad = utf8_valid(one, &cut) != one.n;

        if (bad && cut && !line_ends)
            break; /* cut by our own window */
        if (err->excerpt_at == STR_NONE && i >= at)
            err->excerpt_at = out;
        if (bad || (c < 0x20 && c != '\t') || c == 0x7F
            || (c == 0xC2 && (unsigned char)line.p[i + 1] < 0xA0)) {
            err->excerpt[out++] = '?';
            i += bad ? 1 : n;
            continue;
        }
        memcpy(err->excerpt + out, one.p, one.n);
        out += one.n;
        i += one.n;
    }
    err->excerpt[out] = '\0';
    if (err->excerpt_at == STR_NONE)
        err->excerpt_at = out;
}

#define EXCERPT_BYTES 200  /* of a line that are shown at most */
#define EXCERPT_BEFORE 120 /* of them in front of the place, in a long line */

static void
find_excerpt(const struct source *src, uint64_t offset, uint64_t line_start,
    struct rung_error *err)
{
    char around[2 * EXCERPT_BYTES];
    struct rung_error ignored;
    size_t got, at, tail, end;
    uint64_t start =
        offset - line_start > EXCERPT_BYTES ? offset - EXCERPT_BYTES : line_start;
    const char *newline;
    bool line_ends;

    at = (size_t)(offset - start);
    if (!source_read(src, start, around, at + EXCERPT_BYTES, &got, &ignored)
        || got < at)
        return;
    newline = got == at ? NULL : memchr(around + at, '\n', got - at);
    line_ends = newline != NULL || got < at + EXCERPT_BYTES;
    end = newline != NULL ? (size_t)(newline - around) : got;
    if (line_ends && end > 0 && around[end - 1] == '\r')
        end--;
    if (at > end)
        at = end;
    tail = end - at;
    if (at + tail > EXCERPT_BYTES || start > line_start) {
        size_t before = tail > EXCERPT_BYTES - EXCERPT_BEFORE ? EXCERPT_BEFORE
                                                              : EXCERPT_BYTES - tail;
        size_t skip = at > before ? at - before : 0;

        while (skip > 0 && skip < at && ((unsigned char)around[skip] & 0xC0) == 0x80)
            skip++;
        if (end - skip > EXCERPT_BYTES) {
            end = skip + EXCERPT_BYTES;
            line_ends = false;
        }
        put_excerpt(
            err, (struct str){ around + skip, end - skip }, at - skip, line_ends);
        return;
    }
    put_excerpt(err, (struct str){ around, end }, at, line_ends);
}

bool
source_place(const struct source *src, uint64_t offset, struct rung_error *err)
{
    struct place place = { 1, 1, 0 };
    struct rung_error ignored;
    char block[KIB(16)];
    size_t got;

    if (offset > src->size)
        offset = src->size;
    text_format(err->path, sizeof err->path, "%s", src->path);
    for (uint64_t at = 0; at < offset; at += got) {
        size_t n = offset - at < sizeof block ? (size_t)(offset - at) : sizeof block;

        if (!source_read(src, at, block, n, &got, &ignored) || got == 0)
            return false; /* the message stands without its place */
        place_step(&place, at, (struct str){ block, got });
    }
    if (offset < 3 && source_read(src, 0, block, 3, &got, &ignored) && got == 3
        && memcmp(block, BOM, 3) == 0) { /* within the mark: that counts as nothing */
        place = (struct place){ 1, 1, 3 };
        offset = 3;
    }
    err->line = place.line;
    err->column = place.column;
    find_excerpt(src, offset, place.line_start, err);
    return false;
}

bool
checksum_source(struct checksum *sum, const struct source *src, uint64_t from,
    uint64_t to, struct rung_error *err)
{
    char buffer[16384];

    while (from < to) {
        size_t want = to - from < sizeof buffer ? (size_t)(to - from) : sizeof buffer;
        size_t got;

        if (!source_read(src, from, buffer, want, &got, err))
            return false;
        if (got == 0)
            return err_set(err, RUNG_FAILED, "%s changed while it was read", src->path);
        if (!checksum_update(sum, (struct str){ buffer, got }, err))
            return false;
        from += got;
    }
    return true;
}
