/*
 * author.c: new files in the directory: their number, their name, their first lines.
 *
 * Owns how the next number is chosen and how SHA256SUMS is kept when files come or get
 * another name (renumber.c uses both).  Knows no database.
 *
 * Invariant: no existing file is overwritten.  SHA256SUMS is written anew only where it
 * fitted before, so that nobody's edit disappears from it unseen.
 *
 * Relies on POSIX.1-2008: openat with O_EXCL.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FIRST_WIDTH 3 /* 001_ */
#define VERSION_MOST INT64_C(999999999999999999)

/* ---- numbers --------------------------------------------------------------------- */

void
numbering_take(struct numbering *numbering, int64_t version, const char *name)
{
    size_t width = name == NULL ? 0 : strspn(name, "0123456789");

    if (version < numbering->highest)
        return;
    if (version > numbering->highest || width > numbering->width)
        numbering->width = width;
    numbering->highest = version;
}

struct numbering
numbering_of(const struct sqldir *dir)
{
    struct numbering numbering = { RUNG_NO_VERSION, 0 };

    for (size_t i = 0; i < dir->n; i++)
        if (dir->files[i]->version != RUNG_NO_VERSION)
            numbering_take(&numbering, dir->files[i]->version, dir->files[i]->name);
    return numbering;
}

/* Numbers that are a time in UTC: how many digits, the factor that completes them to
 * YYYYMMDDHHMMSS, and the seconds from one to the next. */
static const struct stamp {
    size_t width;
    int64_t factor, step_s;
} stamps[] = {
    { 14, 1, 1 },          /* YYYYMMDDHHMMSS */
    { 12, 100, 60 },       /* YYYYMMDDHHMM */
    { 8, 1000000, 86400 }, /* YYYYMMDD */
};

/* Days from 1970-01-01 to a date of the Gregorian calendar, from 1970 on. */
static int64_t
days_since_1970(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month > 2 ? year : year - 1; /* years that begin in March */
    int64_t m = (month + 9) % 12;

    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 719469;
}

/* Is YYYYMMDDHHMMSS a time?  *seconds since 1970. */
static bool
read_time(int64_t number, int64_t *seconds)
{
    int64_t second = number % 100, minute = number / 100 % 100;
    int64_t hour = number / 10000 % 100, day = number / 1000000 % 100;
    int64_t month = number / 100000000 % 100, year = number / INT64_C(10000000000);

    if (year < 1970 || year > 2999 || month < 1 || month > 12 || day < 1 || day > 31
        || hour > 23 || minute > 59 || second > 59)
        return false;
    *seconds =
        days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

static bool
write_time(int64_t seconds, int64_t *number)
{
    time_t when = (time_t)seconds;
    struct tm tm;

    if (gmtime_r(&when, &tm) == NULL)
        return false;
    *number = (((int64_t)tm.tm_year + 1900) * 100 + tm.tm_mon + 1) * 100 + tm.tm_mday;
    *number = ((*number * 100 + tm.tm_hour) * 100 + tm.tm_min) * 100 + tm.tm_sec;
    return true;
}

/* Where the highest number is a time: now, or the next one above it.  Else 0. */
static int64_t
next_stamp(const struct numbering *numbering)
{
    for (size_t i = 0; i < sizeof stamps / sizeof stamps[0]; i++) {
        const struct stamp *stamp = &stamps[i];
        int64_t last, now = (int64_t)time(NULL), number;

        if (stamp->width != numbering->width
            || !read_time(numbering->highest * stamp->factor, &last)
            || !write_time(
                now > last + stamp->step_s ? now : last + stamp->step_s, &number))
            continue;
        return number / stamp->factor;
    }
    return 0;
}

bool
numbering_next(struct numbering *numbering, struct rung_error *err)
{
    int64_t next = next_stamp(numbering);

    if (next <= numbering->highest)
        next = numbering->highest + 1;
    if (next > VERSION_MOST)
        return err_set(err, RUNG_FAILED,
            "no number of 18 digits is left above %" PRId64, numbering->highest);
    if (numbering->highest == RUNG_NO_VERSION)
        *numbering = (struct numbering){ 1, FIRST_WIDTH };
    else
        numbering->highest = next;
    return true;
}

/* ---- writing files --------------------------------------------------------------- */

static bool
write_all(int fd, struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t r = write(fd, bytes.p, bytes.n);

        if (r < 0 && errno != EINTR)
            return false;
        if (r > 0)
            bytes = str_slice(bytes, (size_t)r, bytes.n);
    }
    return true;
}

enum made
author_make_file(
    const struct sqldir *dir, const char *name, struct str text, struct rung_error *err)
{
    int fd, why;
    bool ok;

    do
        fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    if (fd < 0 && errno == EEXIST)
        return MADE_NOT;
    if (fd < 0) {
        source_failed(err, "create", dir, name);
        return MADE_FAILED;
    }
    ok = write_all(fd, text) && (fsync(fd) == 0 || errno == EINVAL);
    why = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        why = errno;
    }
    if (ok)
        return MADE;
    unlinkat(dir->fd, name, 0);
    errno = why;
    source_failed(err, "write", dir, name);
    return MADE_FAILED;
}

/* Some file systems cannot sync a directory, and say EINVAL. */
bool
author_sync(const struct sqldir *dir, struct rung_error *err)
{
    return fsync(dir->fd) == 0 || errno == EINVAL
           || source_failed(err, "write", dir, ".");
}

/* ---- SHA256SUMS ------------------------------------------------------------------ */

bool
sums_care_look(struct sqldir *dir, struct sums_care *care,
    bool (*ours)(const void *arg, const char *name), const void *arg,
    struct rung_error *err)
{
    struct sums sums = { 0 };
    struct sums_finding *findings = NULL;
    size_t n = 0;
    bool ok;

    *care = (struct sums_care){ .found = false };
    ok = sums_read(&sums, dir, &care->found, err);
    if (ok && care->found)
        ok =
            sqldir_hash(dir, true, err) && sums_compare(&sums, dir, &findings, &n, err);
    for (size_t i = 0; ok && i < n; i++) {
        if (ours(arg, findings[i].name))
            continue;
        text_escape(care->stranger, sizeof care->stranger, str_of(findings[i].name));
        care->problem = findings[i].problem;
        break;
    }
    free(findings);
    sums_free(&sums);
    return ok;
}

bool
sums_care_keep(const struct rung_options *options, const struct sums_care *care,
    struct rung_error *err)
{
    struct rung_event event = { .kind = RUNG_EVENT_WARNING };
    struct sqldir dir = { .fd = -1 };
    char message[512];
    bool ok;

    if (!care->found)
        return true;
    if (care->stranger[0] == '\0') {
        ok = sqldir_open(&dir, options->directory, err) && sqldir_hash(&dir, true, err)
             && sums_write(&dir, err);
        sqldir_close(&dir);
        return ok;
    }
    text_format(message, sizeof message, "SHA256SUMS is left as it is: %s is %s",
        care->stranger, care->problem);
    event.message = message;
    event.hint = "If that is as it should be, write SHA256SUMS anew with `rung sum`.";
    event_send(options, &event);
    return true;
}

bool
rung_sum(const struct rung_options *options, struct rung_error *err)
{
    struct sqldir dir = { .fd = -1 };
    bool ok = sqldir_open(&dir, options->directory, err) && sqldir_hash(&dir, true, err)
              && sums_write(&dir, err);

    sqldir_close(&dir);
    return ok;
}

/* ---- new: the name --------------------------------------------------------------- */

/* May this one character stand in a file name? */
static bool
is_fit(struct str character)
{
    char name[16];
    size_t n = 0;

    memcpy(name, "1_", 2);
    memcpy(name + 2, character.p, character.n);
    n = 2 + character.n;
    memcpy(name + n, ".sql", 4);
    return sqlfile_name_ok((struct str){ name, n + 4 });
}

static bool
is_edge(char c)
{
    return c == '_' || c == '-' || c == '.';
}

/*
 * What the user typed as a part of a file name: ASCII letters in lower case, whatever
 * may not stand there and white space as single underscores.  At most `size` - 1 bytes:
 * what is longer is cut, and found too long by the caller.
 */
static void
make_slug(char *slug, size_t size, struct str typed)
{
    size_t n = 0, start = 0;
    bool gap = false;

    if (typed.n >= 4
        && str_eq_fold(str_slice(typed, typed.n - 4, typed.n), STR(".sql")))
        typed.n -= 4;
    for (size_t at = 0, length; at < typed.n; at += length) {
        struct str rest = str_slice(typed, at, typed.n);
        char c = typed.p[at];

        length = utf8_offset(rest, 1);
        if (c == ' ' || c == '_' || !is_fit(str_slice(rest, 0, length))) {
            gap = true;
            continue;
        }
        if (n + 1 + length >= size)
            break;
        if (gap && n > 0)
            slug[n++] = '_';
        gap = false;
        memcpy(slug + n, rest.p, length);
        if (c >= 'A' && c <= 'Z')
            slug[n] = (char)(c - 'A' + 'a');
        n += length;
    }
    while (n > 0 && is_edge(slug[n - 1]))
        n--;
    while (start < n && is_edge(slug[start]))
        start++;
    memmove(slug, slug + start, n - start);
    slug[n - start] = '\0';
}

static bool
too_long(struct rung_error *err)
{
    err_set(err, RUNG_USAGE, "the name is too long: a file name has at most %d bytes",
        FILE_NAME_LIMIT);
    return err_hint(err, "Use fewer words.");
}

/* Is it a good name for a file?  Its number may still grow. */
static bool
check_slug(const char *slug, const char *typed, struct rung_error *err)
{
    struct sqlfile file = { 0 };
    char name[2 * FILE_NAME_ROOM + 8], shown[256];

    text_escape(shown, sizeof shown, str_of(typed));
    if (slug[0] == '\0') {
        err_set(err, RUNG_USAGE, "no file name can be made of \"%s\"", shown);
        return err_hint(
            err, "Say in a few words what changes: `rung new \"add orders\"`.");
    }
    text_format(name, sizeof name, "1_%s.sql", slug);
    sqlfile_name(&file, str_of(name));
    if (strlen(name) > FILE_NAME_LIMIT)
        return too_long(err);
    if (file.type == SQLFILE_UP && str_eq(sqlfile_title(str_of(name)), str_of(slug)))
        return true;
    err_set(err, RUNG_USAGE,
        "\"%s\" cannot be the name of a migration: what it ends in says up or down",
        shown);
    return err_hint(err,
        "Use another word. `rung new NAME --down` makes a file together "
        "with its down file.");
}

/* ---- new: the files -------------------------------------------------------------- */

struct order {
    const struct rung_options *options;
    const char *typed;
    char slug[2 * FILE_NAME_ROOM];
    bool down;
    char up_name[FILE_NAME_ROOM], down_name[FILE_NAME_ROOM];
};

static bool
name_files(struct order *order, const struct sqldir *dir, struct rung_error *err)
{
    struct numbering numbering = numbering_of(dir);
    char stem[3 * FILE_NAME_ROOM];

    if (!numbering_next(&numbering, err))
        return false;
    text_format(stem, sizeof stem, "%0*" PRId64 "_%s", (int)numbering.width,
        numbering.highest, order->slug);
    if (strlen(stem) + strlen(".down.sql") > FILE_NAME_LIMIT)
        return too_long(err);
    text_format(order->up_name, FILE_NAME_ROOM, "%s.sql", stem);
    text_format(order->down_name, FILE_NAME_ROOM, "%s.down.sql", stem);
    return true;
}

/* The comment that a file begins with.  Without a statement it stays a draft. */
static void
write_head(PQExpBuffer text, const char *name, const char *about, const char *what)
{
    time_t now = time(NULL);
    struct tm tm = { 0 };
    char date[32] = "", shown[2 * FILE_NAME_ROOM];

    if (gmtime_r(&now, &tm) != NULL)
        (void)strftime(date, sizeof date, "%Y-%m-%d", &tm);
    appendPQExpBuffer(text, "-- %s\n-- date: %s\n-- %s: %s\n\n", name, date, about,
        text_escape(shown, sizeof shown, str_of(what)));
}

static enum made
make_headed(const struct sqldir *dir, const char *name, const char *about,
    const char *what, struct rung_error *err)
{
    PQExpBufferData text;
    enum made made = MADE_FAILED;

    initPQExpBuffer(&text);
    write_head(&text, name, about, what);
    if (PQExpBufferBroken(&text))
        err_memory(err);
    else
        made = author_make_file(dir, name, (struct str){ text.data, text.len }, err);
    termPQExpBuffer(&text);
    return made;
}

/* Has the number been given to somebody else's file as well? */
static enum made
check_alone(const struct order *order, struct rung_error *err)
{
    struct sqlfile ours = { 0 };
    struct sqldir dir = { .fd = -1 };
    enum made made = MADE;

    sqlfile_name(&ours, str_of(order->up_name));
    if (!sqldir_open(&dir, order->options->directory, err))
        made = MADE_FAILED;
    for (size_t i = 0; i < dir.n; i++)
        if (dir.files[i]->version == ours.version
            && strcmp(dir.files[i]->name, order->up_name) != 0
            && strcmp(dir.files[i]->name, order->down_name) != 0)
            made = MADE_NOT;
    sqldir_close(&dir);
    return made;
}

/* One attempt.  Whoever sees a second file of his number takes his own back. */
static enum made
make_files(struct order *order, const struct sqldir *dir, struct rung_error *err)
{
    enum made made;

    if (!name_files(order, dir, err))
        return MADE_FAILED;
    made = make_headed(dir, order->up_name, "description", order->typed, err);
    if (made != MADE)
        return made;
    if (order->down)
        made = make_headed(dir, order->down_name, "undoes", order->up_name, err);
    if (made != MADE) {
        unlinkat(dir->fd, order->up_name, 0);
        return made;
    }
    made = check_alone(order, err);
    if (made == MADE && !author_sync(dir, err))
        made = MADE_FAILED;
    if (made != MADE) {
        unlinkat(dir->fd, order->up_name, 0);
        if (order->down)
            unlinkat(dir->fd, order->down_name, 0);
    }
    return made;
}

/* Let the other ones go first: 1 to 32 ms. */
static void
step_aside(void)
{
    struct timespec pause = { 0 };
    uint64_t dice = ((uint64_t)getpid() * UINT64_C(2654435761)) ^ (uint64_t)clock_ms();

    if (clock_gettime(CLOCK_REALTIME, &pause) == 0)
        dice ^= (uint64_t)pause.tv_nsec;
    pause = (struct timespec){ .tv_nsec = (long)(1000000 * (1 + dice % 32)) };
    (void)nanosleep(&pause, NULL);
}

static bool
no_one_is_touched(const void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return false;
}

#define TRIES 100

static bool
carry_out(struct order *order, struct rung_error *err)
{
    struct sums_care care;

    for (int i = 0; i < TRIES; i++) {
        struct sqldir dir = { .fd = -1 };
        enum made made = MADE_FAILED;

        if (sqldir_open(&dir, order->options->directory, err)
            && sums_care_look(&dir, &care, no_one_is_touched, NULL, err))
            made = make_files(order, &dir, err);
        sqldir_close(&dir);
        if (made != MADE_NOT)
            return made == MADE && sums_care_keep(order->options, &care, err);
        step_aside();
    }
    return err_set(err, RUNG_FAILED,
        "others take every number before us: gave up after %d attempts", TRIES);
}

/* "directory/name", as it can be opened; there is room. */
static void
write_path(const struct order *order, char *path, size_t size)
{
    struct str dir = str_of(order->options->directory);

    while (dir.n > 0 && dir.p[dir.n - 1] == '/')
        dir.n--;
    (void)snprintf(path, size, "%.*s/%s", (int)dir.n, dir.p, order->up_name);
}

bool
rung_new(const struct rung_options *options, const char *name, bool down, char *path,
    size_t size, struct rung_error *err)
{
    struct order order = { .options = options, .typed = name, .down = down };
    char shown[256];

    if (utf8_valid(str_of(name), NULL) != str_of(name).n)
        return err_set(err, RUNG_USAGE, "the name is not UTF-8: \"%s\"",
            text_escape(shown, sizeof shown, str_of(name)));
    if (str_of(options->directory).n + 1 + FILE_NAME_LIMIT >= size)
        return err_set(err, RUNG_USAGE, "the name of the directory is too long");
    make_slug(order.slug, sizeof order.slug, str_of(name));
    if (!check_slug(order.slug, name, err) || !carry_out(&order, err))
        return false;
    write_path(&order, path, size);
    return true;
}
