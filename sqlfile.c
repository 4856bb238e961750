/*
 * sqlfile.c: the directory of migrations, and the names in it.
 *
 * Owns what can be known of a file without reading it: which names are migrations, and
 * which down file belongs to which.  Knows no bytes (digest.c), no statement (split.c)
 * and no ledger (plan.c); opening and places are source.c's.
 *
 * Invariant: the directory is opened once and every file is looked for in it, never by
 * a path that could lead elsewhere meanwhile; nothing is opened to find out what it is.
 *
 * Relies on POSIX.1-2008: open, fstatat, fdopendir; and on d_type, where the system has
 * it, to look at no inode twice.
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

int
sqlfile_order(const struct sqlfile *a, const struct sqlfile *b)
{
    bool a_last = a->version == RUNG_NO_VERSION;
    bool b_last = b->version == RUNG_NO_VERSION;

    if (a_last != b_last)
        return a_last ? 1 : -1;
    if (a->version != b->version)
        return a->version < b->version ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int
compare_files(const void *left, const void *right)
{
    return sqlfile_order(
        *(struct sqlfile *const *)left, *(struct sqlfile *const *)right);
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
