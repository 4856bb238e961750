/*
 * digest.c: the bytes of the files and their digests, each file read once.
 *
 * Small files stay in memory for whoever splits and sends them; of the others only the
 * digest stays.  Also: what an earlier scan learnt of files that nobody has touched,
 * and whether a digest differs only because of line endings.
 *
 * Invariant: a file that changes while it is read has no digest.
 *
 * Relies on POSIX.1-2008: fstatat, read.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_BYTES MIB(8)
#define LATER_BYTES MIB(4) /* what may be judged soon need not be hashed first */
#define TURN_BYTES MIB(1)  /* between two turns of somebody else's */
#define OPEN_BYTES KIB(16)
#define BOM "\xEF\xBB\xBF"

/* ---- reading and hashing ----------------------------------------------------------
 */

/* read() until `n` bytes are there or the file ends; true unless it failed. */
static bool
read_upto(int fd, char *buffer, size_t n, size_t *got)
{
    *got = 0;
    while (*got < n) {
        ssize_t r = read(fd, buffer + *got, n - *got);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return false;
        if (r == 0)
            break;
        *got += (size_t)r;
    }
    return true;
}

/* The digest and the buffer that reading a whole directory shares. */
struct hasher {
    struct checksum *sum;
    char *buffer;     /* READER_WINDOW bytes */
    uint64_t at_most; /* larger files are left for later */
    void (*meanwhile)(void *arg);
    void *arg;
    uint64_t work; /* bytes, since it was called */
};

/* Behind a file.  To open one takes as long as to read some more of it. */
static void
give_turn(struct hasher *h, uint64_t size)
{
    h->work += size + OPEN_BYTES;
    if (h->meanwhile == NULL || h->work < TURN_BYTES)
        return;
    h->work = 0;
    h->meanwhile(h->arg);
}

static void
hasher_free(struct hasher *h)
{
    checksum_free(h->sum);
    free(h->buffer);
}

static bool
hasher_init(struct hasher *h, struct rung_error *err)
{
    *h = (struct hasher){ .sum = checksum_new(err), .at_most = UINT64_MAX };
    if (h->sum == NULL)
        return false;
    h->buffer = malloc(READER_WINDOW);
    if (h->buffer != NULL)
        return true;
    hasher_free(h);
    return err_memory(err);
}

/*
 * A small file, in one read() as a rule: asking for one byte more than fstat promised
 * shows whether it grew.  *got is what was there, at most size + 1.
 */
static bool
hash_small(struct hasher *h, struct sqldir *dir, struct sqlfile *file, int fd,
    size_t size, uint64_t *total, struct rung_error *err)
{
    size_t got = 0;
    ssize_t r;

    file->bytes = malloc(size + 1);
    if (file->bytes == NULL)
        return err_memory(err);
    do
        r = read(fd, file->bytes, size + 1);
    while (r < 0 && errno == EINTR);
    if (r < 0
        || ((size_t)r < size
            && !read_upto(fd, file->bytes + r, size + 1 - (size_t)r, &got)))
        return source_failed(err, "read", dir, file->name);
    *total = (uint64_t)r + got;
    return *total > size
           || checksum_update(h->sum, (struct str){ file->bytes, (size_t)*total }, err);
}

static bool
hash_large(struct hasher *h, struct sqldir *dir, struct sqlfile *file, int fd,
    uint64_t size, uint64_t *total, struct rung_error *err)
{
    size_t got = 0;

    *total = 0;
    do {
        if (!read_upto(fd, h->buffer, READER_WINDOW, &got))
            return source_failed(err, "read", dir, file->name);
        if (!checksum_update(h->sum, (struct str){ h->buffer, got }, err))
            return false;
        *total += got;
    } while (got == READER_WINDOW && *total <= size);
    return true;
}

static struct file_stamp
stamp_of(const struct stat *st)
{
    return (struct file_stamp){ .dev = st->st_dev,
        .ino = st->st_ino,
        .size = st->st_size,
        .modified = st->st_mtim,
        .changed = st->st_ctim };
}

static bool
same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
same_stamp(struct file_stamp a, struct file_stamp b)
{
    return a.dev == b.dev && a.ino == b.ino && a.size == b.size
           && same_time(a.modified, b.modified) && same_time(a.changed, b.changed);
}

static void
drop_bytes(struct sqldir *dir, struct sqlfile *file)
{
    if (file->bytes != NULL && file->checksum[0] != '\0')
        dir->cached_bytes -= (size_t)file->size;
    free(file->bytes);
    file->bytes = NULL;
    file->checksum[0] = '\0';
}

/* Has nobody written to the open file since? */
static bool
is_as_before(int fd, const struct stat *before)
{
    struct stat st;

    return fstat(fd, &st) == 0 && same_stamp(stamp_of(before), stamp_of(&st));
}

/*
 * The stamp is that of before: what is written meanwhile shows when the file is looked
 * at again.  Where reading takes its time, that is at once.
 */
static bool
hash_file(
    struct hasher *h, struct sqldir *dir, struct sqlfile *file, struct rung_error *err)
{
    struct stat before;
    uint64_t total = 0, size;
    bool ok = false, small;
    int fd = source_open_at(dir, file->name, &before, err);

    drop_bytes(dir, file);
    if (fd < 0)
        return false;
    size = (uint64_t)before.st_size;
    small = size <= READER_WINDOW && dir->cached_bytes + size < CACHE_BYTES;
    file->size = size;
    file->stamp = stamp_of(&before);
    if (size > h->at_most) {
        close(fd);
        return true;
    }
    if (!checksum_reset(h->sum, err)
        || !(small ? hash_small(h, dir, file, fd, (size_t)size, &total, err)
                   : hash_large(h, dir, file, fd, size, &total, err)))
        goto out;
    if (total != size || (!small && !is_as_before(fd, &before))) {
        source_changed(err, dir, file->name);
        goto out;
    }
    ok = checksum_hex(h->sum, file->checksum, err);
    if (ok && small)
        dir->cached_bytes += (size_t)size;
out:
    close(fd);
    if (!ok) {
        file->checksum[0] = '\0';
        drop_bytes(dir, file);
    }
    return ok;
}

static bool
hash_files(struct sqldir *dir, bool downs, struct hasher *h, struct rung_error *err)
{
    bool ok = true;

    for (size_t i = 0; ok && i < dir->n; i++) {
        struct sqlfile *file = dir->files[i];

        if (file->checksum[0] != '\0'
            || !(file->type == SQLFILE_UP || (downs && file->type == SQLFILE_DOWN)))
            continue;
        ok = hash_file(h, dir, file, err);
        give_turn(h, file->size);
    }
    return ok;
}

bool
sqldir_hash(struct sqldir *dir, bool downs, struct rung_error *err)
{
    struct hasher h;
    bool ok;

    if (!hasher_init(&h, err))
        return false;
    ok = hash_files(dir, downs, &h, err);
    hasher_free(&h);
    return ok;
}

bool
sqldir_hash_small(
    struct sqldir *dir, void (*meanwhile)(void *arg), void *arg, struct rung_error *err)
{
    struct hasher h;
    bool ok;

    if (!hasher_init(&h, err))
        return false;
    h.at_most = LATER_BYTES;
    h.meanwhile = meanwhile;
    h.arg = arg;
    ok = hash_files(dir, false, &h, err);
    hasher_free(&h);
    return ok;
}

/* The file of `old` that has not been touched since; its links are followed. */
static bool
is_untouched(const struct sqldir *dir, const struct sqlfile *old)
{
    struct stat st;

    return fstatat(dir->fd, old->name, &st, 0) == 0
           && same_stamp(old->stamp, stamp_of(&st));
}

void
sqldir_adopt(struct sqldir *dir, struct sqldir *old)
{
    for (size_t i = 0, j = 0; i < dir->n && j < old->n;) {
        struct sqlfile *file = dir->files[i], *then = old->files[j];
        int order = sqlfile_order(file, then);

        i += order <= 0;
        j += order >= 0;
        if (order != 0 || then->checksum[0] == '\0' || !is_untouched(dir, then))
            continue;
        memcpy(file->checksum, then->checksum, sizeof file->checksum);
        file->size = then->size;
        file->stamp = then->stamp;
        file->verdict = then->verdict;
        file->bytes = then->bytes;
        if (then->bytes != NULL) {
            dir->cached_bytes += (size_t)then->size;
            old->cached_bytes -= (size_t)then->size;
        }
        then->bytes = NULL;
    }
}

bool
sqlfile_hash(struct sqldir *dir, struct sqlfile *file, struct rung_error *err)
{
    struct hasher h;
    bool ok;

    if (!hasher_init(&h, err))
        return false;
    ok = hash_file(&h, dir, file, err);
    hasher_free(&h);
    return ok;
}

/* ---- line endings ---------------------------------------------------------------- */

/* The four ways a file can have been written: LF or CRLF, without a BOM or with. */
enum { LF, LF_BOM, CRLF, CRLF_BOM, FORMS };

struct endings {
    struct checksum *sums[FORMS];
    char in[KIB(16)], lf[KIB(16) + 1], crlf[KIB(32) + 2];
    bool held; /* a CR whose next byte is not known yet */
};

/* Both forms of the next `n` bytes of endings->in go into their digests. */
static bool
endings_update(struct endings *e, const char *in, size_t n, struct rung_error *err)
{
    struct str lf = { e->lf, 0 }, crlf = { e->crlf, 0 };

    for (size_t i = 0; i < n; i++) {
        if (e->held && in[i] != '\n')
            e->lf[lf.n++] = e->crlf[crlf.n++] = '\r';
        e->held = in[i] == '\r';
        if (e->held)
            continue;
        if (in[i] == '\n')
            e->crlf[crlf.n++] = '\r';
        e->lf[lf.n++] = e->crlf[crlf.n++] = in[i];
    }
    return checksum_update(e->sums[LF], lf, err)
           && checksum_update(e->sums[LF_BOM], lf, err)
           && checksum_update(e->sums[CRLF], crlf, err)
           && checksum_update(e->sums[CRLF_BOM], crlf, err);
}

static bool
endings_read(struct endings *e, const struct source *src, struct rung_error *err)
{
    size_t got;

    for (int i = 0; i < FORMS; i++) {
        e->sums[i] = checksum_new(err);
        if (e->sums[i] == NULL
            || ((i == LF_BOM || i == CRLF_BOM)
                && !checksum_update(e->sums[i], STR(BOM), err)))
            return false;
    }
    for (uint64_t at = 0; at < src->size; at += got) {
        size_t skip = 0;

        if (!source_read(src, at, e->in, sizeof e->in, &got, err))
            return false;
        if (got == 0)
            break;
        if (at == 0 && got >= 3 && memcmp(e->in, BOM, 3) == 0)
            skip = 3;
        if (!endings_update(e, e->in + skip, got - skip, err))
            return false;
    }
    if (!e->held)
        return true;
    for (int i = 0; i < FORMS; i++)
        if (!checksum_update(e->sums[i], STR("\r"), err))
            return false;
    return true;
}

bool
sqlfile_line_endings_only(struct sqldir *dir, struct sqlfile *file,
    const char *checksum, struct rung_error *err)
{
    char hex[CHECKSUM_BYTES];
    struct source src;
    struct endings *e;
    bool ok;

    file->line_endings_only = false;
    if (!source_open(&src, dir, file, err))
        return false;
    e = calloc(1, sizeof *e);
    if (e == NULL) {
        source_close(&src);
        return err_memory(err);
    }
    ok = endings_read(e, &src, err);
    for (int i = 0; ok && i < FORMS; i++) {
        ok = checksum_hex(e->sums[i], hex, err);
        if (ok && str_eq_fold(str_of(hex), str_of(checksum)))
            file->line_endings_only = true;
    }
    for (int i = 0; i < FORMS; i++)
        checksum_free(e->sums[i]);
    free(e);
    source_close(&src);
    return ok;
}
