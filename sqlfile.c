/*
 * sqlfile.c: the directory of migrations, the names in it, and the bytes of a file.
 *
 * Owns what can be known of a file without reading SQL: which names are migrations,
 * which down file belongs to which, and the digest of the bytes.  Knows no statement
 * (split.c) and no ledger (plan.c); opening and places are source.c's.
 *
 * Invariant: the directory is opened once and every file is opened in it, never by a
 * path that could lead elsewhere meanwhile; nothing but a regular file is read, and no
 * open can hang.
 *
 * Relies on POSIX.1-2008: openat, fstatat, fdopendir, pread; and on d_type, where the
 * system has it, to look at no inode twice.
 */
#define _DEFAULT_SOURCE /* d_type */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_LIMIT 200
#define VERSION_DIGITS 18
#define CACHE_BYTES MIB(8)
#define LATER_BYTES MIB(4) /* what may be judged soon need not be hashed first */
#define TURN_BYTES MIB(1)  /* between two turns of somebody else's */
#define OPEN_BYTES KIB(16)
#define BOM "\xEF\xBB\xBF"

/* ---- names ---------------------------------------------------------------------- */

static bool
ends_with_fold(struct str s, struct str end)
{
    return s.n >= end.n && str_eq_fold(str_slice(s, s.n - end.n, s.n), end);
}

/* `s` without its last `n` bytes. */
static struct str
less(struct str s, size_t n)
{
    return str_slice(s, 0, s.n - n);
}

/* Control characters and what reorders or hides its neighbours on a screen. */
static bool
is_unfit(uint32_t c)
{
    return c <= 0xA0 || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069)
           || c == 0xFEFF || c >= 0xE0000;
}

/* Does `name` hold UTF-8 letters, digits, space and _ - . + only? */
static bool
allowed_characters(struct str name)
{
    const unsigned char *p = (const unsigned char *)name.p;

    if (utf8_valid(name, NULL) != name.n)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        uint32_t c = p[i];

        if (c < 0x80) {
            if (!is_digit((char)c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
                && strchr(" _-.+", (int)c) == NULL)
                return false;
            continue;
        }
        c &= c < 0xE0 ? 0x1F : c < 0xF0 ? 0x0F : 0x07;
        while (i + 1 < name.n && (p[i + 1] & 0xC0) == 0x80)
            c = c << 6 | (p[++i] & 0x3F);
        if (is_unfit(c))
            return false;
    }
    return true;
}

/* V1__x, V1.2__x, U1__x, B1__x, R__x: Flyway's names. */
static bool
is_flyway(struct str stem)
{
    char kind = stem.n < 3 ? '\0' : (char)(stem.p[0] & ~0x20);

    if (kind == 'R')
        return stem.p[1] == '_' && stem.p[2] == '_';
    return (kind == 'V' || kind == 'U' || kind == 'B') && is_digit(stem.p[1])
           && str_find(stem, STR("__"), 2) != STR_NONE;
}

/* 1.2_x: a number with dots in front of the underscore. */
static bool
is_dotted(struct str stem)
{
    size_t at = str_digits(stem);

    if (at == 0 || at + 1 >= stem.n || stem.p[at] != '.' || !is_digit(stem.p[at + 1]))
        return false;
    while (at < stem.n && (is_digit(stem.p[at]) || stem.p[at] == '.'))
        at++;
    return at < stem.n && stem.p[at] == '_';
}

/*
 * What a name ends in, .sql, .up and .down being taken off, that says that the file is
 * no migration to run: as one, it would undo what others did.
 */
static const struct {
    struct str end;
    const char *problem;
} suspects[] = {
#define DOWN_NAME "looks like a down file: rename it to NNN_name.down.sql"
#define MARK_TWICE "says .up or .down twice, or not in lower case: rename it"
    { { "_down", 5 }, DOWN_NAME },
    { { "-down", 5 }, DOWN_NAME },
    { { " down", 5 }, DOWN_NAME },
    { { ".undo", 5 }, DOWN_NAME },
    { { ".rollback", 9 }, DOWN_NAME },
    { { ".revert", 7 }, DOWN_NAME },
    { { ".down", 5 }, MARK_TWICE },
    { { ".up", 3 }, MARK_TWICE },
};

/* The part of `stem` (a name without .sql) in front of .up or .down. */
static struct str
strip_mark(struct str stem, bool *down)
{
    *down = str_ends(stem, STR(".down"));
    if (*down)
        return less(stem, 5);
    return str_ends(stem, STR(".up")) ? less(stem, 3) : stem;
}

static void
set_unfit(struct sqlfile *file, enum sqlfile_type type, const char *problem)
{
    file->type = type;
    file->version = RUNG_NO_VERSION;
    file->problem = problem;
}

/* Behind NNN_, which are `prefix` bytes: sets type, and problem where refused. */
static void
judge_title(struct sqlfile *file, struct str stem, size_t prefix)
{
    bool down;

    stem = strip_mark(stem, &down);
    file->type = down ? SQLFILE_DOWN : SQLFILE_UP;
    if (stem.n == prefix)
        set_unfit(file, SQLFILE_REFUSED, "has no name: rename it to NNN_name.sql");
    for (size_t i = 0; i < sizeof suspects / sizeof suspects[0]; i++)
        if (ends_with_fold(stem, suspects[i].end)) {
            set_unfit(file, SQLFILE_REFUSED, suspects[i].problem);
            return;
        }
}

void
sqlfile_name(struct sqlfile *file, struct str name)
{
    struct str stem = name.n < 4 ? name : less(name, 4);
    size_t digits = str_digits(stem);

    file->problem = NULL;
    file->version = RUNG_NO_VERSION;
    if (name.n > NAME_LIMIT) {
        set_unfit(file, SQLFILE_REFUSED, "the name is over 200 bytes: shorten it");
    } else if (!allowed_characters(name)) {
        set_unfit(file, SQLFILE_REFUSED,
            "the name holds more than letters, digits, space and _ - . +: rename it");
    } else if (!str_ends(name, STR(".sql"))) {
        set_unfit(
            file, SQLFILE_MISNAMED, "does not end in .sql in lower case: rename it");
    } else if (is_flyway(stem)) {
        set_unfit(
            file, SQLFILE_REFUSED, "is named as for Flyway: rename it to NNN_name.sql");
    } else if (is_dotted(stem)) {
        set_unfit(file, SQLFILE_REFUSED,
            "has a version with dots: rename it to NNN_name.sql, NNN a whole number");
    } else if (digits > VERSION_DIGITS) {
        set_unfit(file, SQLFILE_REFUSED,
            "has a number of more than 18 digits: rename it to NNN_name.sql");
    } else if (digits == 0) {
        set_unfit(file, SQLFILE_MISNAMED,
            "does not begin with a number: rename it to NNN_name.sql");
    } else if (digits == stem.n || stem.p[digits] != '_') {
        set_unfit(file, SQLFILE_MISNAMED,
            "has no underscore behind its number: rename it to NNN_name.sql");
    } else {
        file->version = 0;
        for (size_t i = 0; i < digits; i++)
            file->version = file->version * 10 + (stem.p[i] - '0');
        judge_title(file, stem, digits + 1);
    }
}

bool
sqlfile_name_ok(struct str name)
{
    struct sqlfile file = { 0 };

    sqlfile_name(&file, name);
    return file.type == SQLFILE_UP;
}

bool
rung_file_name(const char *name, int64_t *version, bool *down)
{
    struct sqlfile file = { 0 };

    sqlfile_name(&file, str_of(name));
    *version = file.version;
    *down = file.type == SQLFILE_DOWN;
    return file.type == SQLFILE_UP || file.type == SQLFILE_DOWN;
}

struct str
sqlfile_title(struct str name)
{
    struct str stem = str_ends(name, STR(".sql")) ? less(name, 4) : name;
    size_t digits = str_digits(stem);
    bool down;

    if (digits > 0 && digits < stem.n && stem.p[digits] == '_')
        stem = str_slice(stem, digits + 1, stem.n);
    return strip_mark(stem, &down);
}

/* ---- the directory -------------------------------------------------------------- */

/* A command to be copied; only for a name that no shell reads otherwise. */
static bool
hint_beginning(struct rung_error *err, const char *path)
{
    bool plain = path[0] != '-' && strlen(path) < 200
                 && path[strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
                                      "WXYZ0123456789_./-")]
                        == '\0';
    const char *dir = plain ? path : "DIR";

    if (strcmp(dir, "migrations") == 0)
        return err_hint(err, "Begin with `mkdir migrations && rung new NAME`, or say "
                             "with --dir where the migrations are.");
    return err_hint(err,
        "Begin with `mkdir -p %s && rung new NAME --dir %s`, or say with --dir where the "
        "migrations are.",
        dir, dir);
}

static bool
dir_failed(struct rung_error *err, const char *path)
{
    int why = errno;
    char shown[512];

    text_escape(shown, sizeof shown, str_of(path));
    if (why == ENOENT) {
        err_set(err, RUNG_USAGE, "no such directory: \"%s\"", shown);
        return hint_beginning(err, path);
    }
    if (why == ENOTDIR) {
        err_set(err, RUNG_USAGE, "not a directory: \"%s\"", shown);
        return err_hint(err, "--dir names the directory that holds the files.");
    }
    return err_set(
        err, RUNG_USAGE, "cannot read directory \"%s\": %s", shown, strerror(why));
}

/* Does the directory itself say so?  Not every file system does, and no link's. */
static bool
is_known_regular(const struct dirent *entry)
{
#ifdef DT_REG
    return entry->d_type == DT_REG;
#else
    (void)entry;
    return false;
#endif
}

/*
 * Is the directory's entry one to list?  What is no regular file is refused here, by
 * its inode, so that nobody opens a FIFO to find out.
 */
static bool
look_at(struct sqldir *dir, struct sqlfile *file, bool *listed, struct rung_error *err)
{
    struct stat st;

    *listed = true;
    if (fstatat(dir->fd, file->name, &st, 0) != 0) {
        if (errno != ENOENT && errno != ELOOP)
            return source_failed(err, "open", dir, file->name);
        if (fstatat(dir->fd, file->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            *listed = false; /* removed since it was listed */
        else
            set_unfit(file, SQLFILE_REFUSED,
                "is a symbolic link that leads to no file: mend or remove it");
        return true;
    }
    if (S_ISREG(st.st_mode))
        return true;
    *listed = str_ends(str_of(file->name), STR(".sql"));
    set_unfit(file, SQLFILE_REFUSED,
        S_ISDIR(st.st_mode)
            ? "is a directory: rename it, so that it does not end in .sql"
        : S_ISFIFO(st.st_mode) ? "is a FIFO, not a regular file: move it elsewhere"
        : S_ISSOCK(st.st_mode) ? "is a socket, not a regular file: move it elsewhere"
                               : "is a device, not a regular file: move it elsewhere");
    return true;
}

static void
free_file(struct sqlfile *file)
{
    free(file->name);
    free(file->bytes);
    free(file->refusal);
    free(file);
}

static bool
add_entry(struct sqldir *dir, size_t *room, const struct dirent *entry,
    struct rung_error *err)
{
    const char *name = entry->d_name;
    struct sqlfile *file;
    bool listed = true;

    if (name[0] == '.' || !ends_with_fold(str_of(name), STR(".sql")))
        return true;
    if (dir->n == *room) {
        size_t more = *room == 0 ? 64 : *room * 2;
        struct sqlfile **files = realloc(dir->files, more * sizeof *files);

        if (files == NULL)
            return err_memory(err);
        dir->files = files;
        *room = more;
    }
    file = calloc(1, sizeof *file);
    if (file == NULL)
        return err_memory(err);
    dir->files[dir->n++] = file;
    file->name = str_dup(str_of(name));
    if (file->name == NULL)
        return err_memory(err);
    sqlfile_name(file, str_of(name));
    if (!is_known_regular(entry) && !look_at(dir, file, &listed, err))
        return false;
    if (!listed)
        free_file(dir->files[--dir->n]);
    return true;
}

static int
compare_files(const void *left, const void *right)
{
    const struct sqlfile *a = *(struct sqlfile *const *)left;
    const struct sqlfile *b = *(struct sqlfile *const *)right;
    bool a_last = a->version == RUNG_NO_VERSION;
    bool b_last = b->version == RUNG_NO_VERSION;

    if (a_last != b_last)
        return a_last ? 1 : -1;
    if (a->version != b->version)
        return a->version < b->version ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* How well does `down` fit `up`?  0: not; 2: even the number is written alike. */
static int
fits(const struct sqlfile *up, const struct sqlfile *down)
{
    struct str a = str_of(up->name), b = str_of(down->name);

    if (up->type != SQLFILE_UP || down->type != SQLFILE_DOWN
        || !str_eq(sqlfile_title(a), sqlfile_title(b)))
        return 0;
    return str_digits(a) == str_digits(b) ? 2 : 1;
}

/* Give every up file its down file.  Files of one version are neighbours. */
static void
link_downs(struct sqldir *dir)
{
    for (size_t i = 0, first = 0; i < dir->n; i++) {
        struct sqlfile *up = dir->files[i];

        if (up->version == RUNG_NO_VERSION)
            break;
        if (up->version != dir->files[first]->version)
            first = i;
        for (size_t j = first; j < dir->n; j++) {
            struct sqlfile *down = dir->files[j];

            if (down->version != up->version)
                break;
            if (fits(up, down) > (up->down == NULL ? 0 : fits(up, up->down)))
                up->down = down;
        }
    }
}

static bool
list_entries(struct sqldir *dir, DIR *stream, struct rung_error *err)
{
    size_t room = 0;
    struct dirent *entry;

    while (errno = 0, (entry = readdir(stream)) != NULL)
        if (!add_entry(dir, &room, entry, err))
            return false;
    return errno == 0 || dir_failed(err, dir->path);
}

bool
sqldir_open(struct sqldir *dir, const char *path, struct rung_error *err)
{
    DIR *stream = NULL;
    int copy;
    bool ok;

    *dir = (struct sqldir){ .path = path, .fd = -1 };
    if (path == NULL)
        return err_set(err, RUNG_USAGE, "no directory was given");
    do
        dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (dir->fd < 0 && errno == EINTR);
    if (dir->fd < 0)
        return dir_failed(err, path);
    copy = fcntl(dir->fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0 || (stream = fdopendir(copy)) == NULL) {
        dir_failed(err, path);
        if (copy >= 0)
            close(copy);
        return false;
    }
    ok = list_entries(dir, stream, err);
    closedir(stream);
    if (!ok)
        return false;
    if (dir->n > 0)
        qsort(dir->files, dir->n, sizeof *dir->files, compare_files);
    link_downs(dir);
    return true;
}

void
sqldir_close(struct sqldir *dir)
{
    for (size_t i = 0; i < dir->n; i++)
        free_file(dir->files[i]);
    free(dir->files);
    if (dir->fd >= 0)
        close(dir->fd);
    *dir = (struct sqldir){ .fd = -1 };
}

/* ---- bytes ---------------------------------------------------------------------- */

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
        int order = compare_files(&dir->files[i], &old->files[j]);

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
