/*
 * convert.c: another tool's directory as migrations of rung's.
 *
 * Owns what is the same for all tools: finding the files, putting up and down files
 * together, numbers and names, the judgement whether rung can run the result, and
 * writing it.  What a tool's names and markers mean is dialect.c's.
 *
 * Numbers: the tool's own are kept where all of them are whole numbers of at most 18
 * digits that rise in the order in which the tool runs its files.  Otherwise all files
 * are numbered from 001 on in that order, and the tool's version stands in front of the
 * name, where adopt.c finds it again.
 *
 * Invariant: the statements are the tool's, byte by byte; rung's judge has accepted
 * every file; all files are written or none, and none that exists is touched.
 *
 * Relies on POSIX.1-2008: openat, fdopendir, fstatat.
 */
#include "import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEEPEST 16 /* directories in one another */
#define KEPT_DIGITS 18
#define FIRST_WIDTH 3

/* ---- problems -------------------------------------------------------------------- */

__attribute__((format(printf, 5, 0))) static void
add_problem(struct conversion *c, const char *path, uint64_t line, bool warning,
    const char *fmt, va_list ap)
{
    struct problem *problem = keep_room(&c->keep, sizeof *problem);
    char shown[512], message[1024];

    if (problem == NULL)
        return;
    (void)vsnprintf(message, sizeof message, fmt, ap);
    *problem =
        (struct problem){ .path = keep_text(&c->keep,
                              str_of(sqldir_path(shown, sizeof shown, &c->dir, path))),
            .line = line,
            .message = keep_text(&c->keep, str_of(message)),
            .warning = warning };
    *c->last_problem = problem;
    c->last_problem = &problem->next;
    c->n_refused += !warning;
}

bool
conversion_refuse(
    struct conversion *c, const char *path, uint64_t line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_problem(c, path, line, false, fmt, ap);
    va_end(ap);
    return false;
}

void
conversion_warn(struct conversion *c, const char *path, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_problem(c, path, 0, true, fmt, ap);
    va_end(ap);
}

/* ---- the files of SOURCE --------------------------------------------------------- */

static int
compare_paths(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

struct walk {
    struct conversion *c;
    size_t room;
};

static bool
add_path(struct walk *walk, const char *path)
{
    struct conversion *c = walk->c;

    if (c->n_paths == walk->room) {
        size_t room = walk->room == 0 ? 256 : walk->room * 2;
        const char **paths = realloc(c->paths, room * sizeof *paths);

        if (paths == NULL) {
            c->keep.failed = true;
            return false;
        }
        c->paths = paths;
        walk->room = room;
    }
    c->paths[c->n_paths++] = path;
    return true;
}

static bool walk_directory(
    struct walk *walk, const char *path, int depth, struct rung_error *err);

static bool
walk_entry(struct walk *walk, const char *prefix, const char *name, int depth,
    struct rung_error *err)
{
    struct conversion *c = walk->c;
    struct stat st;
    const char *path =
        keep_format(&c->keep, "%s%s%s", prefix, prefix[0] == '\0' ? "" : "/", name);

    if (name[0] == '.')
        return true;
    if (fstatat(c->dir.fd, path, &st, 0) != 0)
        return errno == ENOENT || source_failed(err, "open", &c->dir, path);
    if (S_ISDIR(st.st_mode))
        return depth == DEEPEST || walk_directory(walk, path, depth + 1, err);
    return !S_ISREG(st.st_mode) || add_path(walk, path) || err_memory(err);
}

static bool
walk_directory(struct walk *walk, const char *path, int depth, struct rung_error *err)
{
    struct conversion *c = walk->c;
    int fd = openat(
        c->dir.fd, path[0] == '\0' ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    bool ok = true;

    if (stream == NULL) {
        source_failed(err, "open", &c->dir, path);
        if (fd >= 0)
            close(fd);
        return false;
    }
    while (ok && (errno = 0, entry = readdir(stream)) != NULL)
        ok = walk_entry(walk, path, entry->d_name, depth, err);
    if (ok && errno != 0)
        ok = source_failed(err, "read", &c->dir, path);
    closedir(stream);
    return ok;
}

bool
convert_is_sql(const char *path)
{
    struct str name = str_of(path);

    return name.n > 4 && str_eq_fold(str_from(name, name.n - 4), STR(".sql"));
}

bool
conversion_has(const struct conversion *c, const char *path)
{
    for (size_t i = 0; i < c->n_paths; i++)
        if (strcmp(c->paths[i], path) == 0)
            return true;
    return false;
}

bool
conversion_load(struct conversion *c, const char *path, struct str *text)
{
    struct rung_error err;
    struct stat st;
    int fd = source_open_at(&c->dir, path, &st, &err);
    char *room = fd < 0 ? NULL : keep_room(&c->keep, (size_t)st.st_size + 1);
    size_t n = 0;
    ssize_t got = 1;

    *text = (struct str){ "", 0 };
    while (room != NULL && got > 0 && n < (size_t)st.st_size) {
        got = read(fd, room + n, (size_t)st.st_size - n);
        if (got > 0)
            n += (size_t)got;
        else if (got < 0 && errno == EINTR)
            got = 1;
    }
    if (fd >= 0 && room != NULL && got < 0)
        source_failed(&err, "read", &c->dir, path);
    if (fd >= 0)
        close(fd);
    if (fd < 0 || got < 0)
        return conversion_refuse(c, path, 0, "%s", err.message);
    if (room != NULL)
        *text = (struct str){ room, n };
    return room != NULL;
}

/* ---- order ----------------------------------------------------------------------- */

/* A run of digits at *s as a number without zeros in front; *s is stepped over it. */
static struct str
take_number(struct str *s)
{
    size_t start = 0, end;

    while (start < s->n && s->p[start] == '0')
        start++;
    end = start;
    while (end < s->n && s->p[end] >= '0' && s->p[end] <= '9')
        end++;
    *s = str_slice((struct str){ s->p, s->n }, end, s->n);
    return (struct str){ s->p - (end - start), end - start };
}

int
convert_compare(const char *left, const char *right)
{
    struct str a = str_of(left), b = str_of(right);

    while (a.n > 0 || b.n > 0) {
        struct str x = take_number(&a), y = take_number(&b);
        int difference = x.n != y.n ? (x.n < y.n ? -1 : 1) : memcmp(x.p, y.p, x.n);

        if (difference != 0)
            return difference;
        if ((a.n > 0 && a.p[0] != '.') || (b.n > 0 && b.p[0] != '.'))
            return strcmp(left, right); /* not numbers at all */
        a = str_from(a, 1);
        b = str_from(b, 1);
    }
    return 0;
}

struct entry {
    const char *path, *key, *title;
    enum role role;
    enum tool_order order;
};

static int
compare_keys(const struct entry *a, const struct entry *b)
{
    return a->order == BY_NAME ? strcmp(a->key, b->key)
                               : convert_compare(a->key, b->key);
}

static int
compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int difference =
        a->order == BY_NAME ? strcmp(a->path, b->path) : compare_keys(a, b);

    if (difference == 0)
        difference = (int)a->role - (int)b->role;
    return difference != 0 ? difference : strcmp(a->path, b->path);
}

struct migration *
conversion_add(struct conversion *c, const char *key, const char *title)
{
    struct migration *m;

    if ((c->n & (c->n - 1)) == 0) { /* 0, 1, 2, 4, ...: it is full */
        size_t room = c->n == 0 ? 1 : c->n * 2;
        struct migration *list = realloc(c->migrations, room * sizeof *list);

        if (list == NULL) {
            c->keep.failed = true;
            return NULL;
        }
        c->migrations = list;
    }
    m = &c->migrations[c->n++];
    *m = (struct migration){ .key = key, .title = title };
    text_open(&m->up);
    text_open(&m->down);
    return m;
}

/* A down file: it belongs to the migration of its version, and of its name if there are
 * several. */
static void
add_down(struct conversion *c, size_t first, const struct entry *entry)
{
    struct migration *found = NULL;

    for (size_t i = first; i < c->n; i++)
        if (c->n - first == 1 || strcmp(c->migrations[i].title, entry->title) == 0)
            found = &c->migrations[i];
    if (found == NULL)
        conversion_refuse(c, entry->path, 0, "is a down file, and there is no up file");
    else if (found->down_path != NULL)
        conversion_refuse(
            c, entry->path, 0, "undoes what %s undoes already", found->down_path);
    else
        found->down_path = entry->path;
}

/* Up and down files of one version, which are neighbours, become one migration. */
static void
pair(struct conversion *c, const struct entry *entries, size_t n)
{
    size_t first = 0; /* of c->migrations: those of this version */

    for (size_t i = 0; i < n; i++) {
        const struct entry *e = &entries[i];
        struct migration *m;

        if (i == 0 || compare_keys(&entries[i - 1], e) != 0)
            first = c->n;
        if (e->role == ROLE_DOWN) {
            add_down(c, first, e);
            continue;
        }
        if (c->n > first && !c->tool->shared_versions) {
            conversion_refuse(c, e->path, 0, "has the version of %s",
                c->migrations[c->n - 1].up_path);
            continue;
        }
        m = conversion_add(c, e->key, e->title);
        if (m != NULL)
            m->up_path = e->path;
    }
}

static void
list_by_name(struct conversion *c)
{
    struct entry *entries = keep_room(&c->keep, (c->n_paths + 1) * sizeof *entries);
    size_t n = 0;

    for (size_t i = 0; entries != NULL && i < c->n_paths; i++) {
        struct entry e = { .path = c->paths[i], .order = c->tool->order };

        if (strchr(e.path, '/') != NULL && !c->tool->deep) {
            /* Not of all that lies below: SOURCE may be a whole project. */
            if (convert_is_sql(e.path) && strchr(e.path, '/') == strrchr(e.path, '/'))
                conversion_warn(c, e.path,
                    "is in a directory where %s does not look: left out",
                    c->tool->name);
            continue;
        }
        e.role = c->tool->role(c, e.path, &e.key, &e.title);
        if (e.role == ROLE_UP || e.role == ROLE_DOWN)
            entries[n++] = e;
    }
    if (entries == NULL)
        return;
    qsort(entries, n, sizeof *entries, compare_entries);
    pair(c, entries, n);
}

/* ---- names ----------------------------------------------------------------------- */

const char *
convert_title(char buffer[TITLE_ROOM], const char *title, size_t room)
{
    struct str rest = str_of(title);
    struct sqlfile file = { 0 };
    char name[TITLE_ROOM + 16];
    size_t n = 0;
    bool gap = false;

    while (rest.n > 0) {
        size_t length = utf8_valid(rest, NULL) == 0 ? 1 : utf8_offset(rest, 1);
        bool edge = strchr("_-. ", rest.p[0]) != NULL;

        text_format(name, sizeof name, "1_%.*s.sql", (int)length, rest.p);
        if (!edge && !sqlfile_name_ok(str_of(name))) {
            gap = true;
            rest = str_from(rest, length);
            continue;
        }
        if (n + length + 2 > room || n + length + 2 > TITLE_ROOM)
            break;
        if (gap && !edge && n > 0 && strchr("_-. ", buffer[n - 1]) == NULL)
            buffer[n++] = '_';
        gap = false;
        memcpy(buffer + n, rest.p, length);
        n += length;
        rest = str_from(rest, length);
    }
    while (n > 0 && (buffer[n - 1] == '.' || buffer[n - 1] == ' '))
        n--;
    buffer[n] = '\0';
    text_format(name, sizeof name, "1_%s.sql", buffer);
    sqlfile_name(&file, str_of(name));
    if (file.type == SQLFILE_UP && str_eq(sqlfile_title(str_of(name)), str_of(buffer)))
        return buffer;
    /* Empty, or it ends in a word that says down. */
    if (n + sizeof "_migration" <= room && n + sizeof "_migration" <= TITLE_ROOM)
        text_format(buffer + n, TITLE_ROOM - n, n == 0 ? "migration" : "_migration");
    return buffer;
}

/* Whole numbers that rise, of a size that rung takes? */
static bool
may_keep_numbers(const struct conversion *c)
{
    for (size_t i = 0; i < c->n; i++) {
        const char *key = c->migrations[i].key;
        size_t digits = strspn(key, "0123456789");

        if (digits == 0 || digits > KEPT_DIGITS || key[digits] != '\0')
            return false;
        if (i > 0 && convert_compare(c->migrations[i - 1].key, key) >= 0)
            return false;
    }
    return true;
}

static void
name_files(struct conversion *c)
{
    int width = snprintf(NULL, 0, "%zu", c->n);

    c->renumbered = !may_keep_numbers(c);
    if (width < FIRST_WIDTH)
        width = FIRST_WIDTH;
    for (size_t i = 0; i < c->n; i++) {
        struct migration *m = &c->migrations[i];
        char number[32], title[TITLE_ROOM];
        const char *wanted = m->title;

        if (c->renumbered) {
            m->version = (int64_t)i + 1;
            text_format(number, sizeof number, "%0*zu", width, i + 1);
            wanted = m->title[0] == '\0'
                         ? m->key
                         : keep_format(&c->keep, "%s_%s", m->key, m->title);
        } else {
            m->version = strtoll(m->key, NULL, 10);
            (void)snprintf(number, sizeof number, "%s", m->key);
        }
        convert_title(
            title, wanted, FILE_NAME_LIMIT - strlen(number) - sizeof "_.down.sql" + 1);
        text_format(m->up_name, sizeof m->up_name, "%s_%s.sql", number, title);
        text_format(m->down_name, sizeof m->down_name, "%s_%s.down.sql", number, title);
    }
}

/* ---- judgement ------------------------------------------------------------------- */

/* Can rung run it?  *runs, and *statements is how many it has; or *why not.  False: it
 * could not be told. */
static bool
judge_text(struct conversion *c, const struct text *text, const char *name, bool *runs,
    uint64_t *statements, struct rung_error *why, struct rung_error *err)
{
    struct str bytes = text_bytes(text);
    char copy[FILE_NAME_ROOM];
    struct sqlfile file = { .name = copy, .bytes = text->bytes.data, .size = bytes.n };
    struct checksum *sum = checksum_new(err);
    bool ok = sum != NULL && checksum_update(sum, bytes, err)
              && checksum_hex(sum, file.checksum, err);

    text_format(copy, sizeof copy, "%s", name);
    checksum_free(sum);
    if (!ok)
        return false;
    *runs = judge_file(&c->dir, &file, why);
    *statements = *runs ? file.verdict.statements : 0;
    return true;
}

/* The same; a file that cannot run is a problem.  One that cannot run in a transaction,
 * and that the tool put into none, is made one without. */
static bool
judge(struct conversion *c, struct text *text, const char *name, const char *path,
    uint64_t *statements, struct rung_error *err)
{
    struct rung_error why, still;
    struct text without;
    bool runs, ok = judge_text(c, text, name, &runs, statements, &why, err);

    if (ok && !runs && c->tool->bare && !text->no_transaction) {
        text_open(&without);
        text_add_part(&without, text, 0, text->bytes.len);
        text_put_directive(&without);
        ok = (!text_broken(&without) || err_memory(err))
             && judge_text(c, &without, name, &runs, statements, &still, err);
        if (ok && runs) {
            text_close(text);
            *text = without;
        } else {
            text_close(&without);
        }
    }
    if (ok && !runs)
        conversion_refuse(c, path, text_line(text, why.line), "%s", why.message);
    return ok;
}

bool
conversion_finish(struct conversion *c, struct rung_error *err)
{
    name_files(c);
    for (size_t i = 0; i < c->n; i++) {
        struct migration *m = &c->migrations[i];
        size_t before = c->n_refused;
        uint64_t up, down;

        if (m->refused)
            continue;
        if (m->up.no_transaction)
            text_put_directive(&m->up);
        if (m->down.no_transaction)
            text_put_directive(&m->down);
        if (c->keep.failed || text_broken(&m->up) || text_broken(&m->down))
            return err_memory(err);
        if (!judge(c, &m->up, m->up_name, m->up_path, &up, err)
            || !judge(c, &m->down, m->down_name,
                m->down_path == NULL ? m->up_path : m->down_path, &down, err))
            return false;
        /* Nothing can be undone with nothing, but where nothing was done, and where the
         * tool could have gone back. */
        m->has_down =
            down > 0 || (up == 0 && (m->down_path != NULL || c->tool->convert != NULL));
        m->refused = c->n_refused > before;
    }
    return !c->keep.failed || err_memory(err);
}

/* ---- all of it ------------------------------------------------------------------- */

static void
add_lines(struct text *text, struct str bytes)
{
    struct str line;
    uint64_t number = 0;

    for (size_t at = 0; (line = next_line(bytes, &at)).n > 0;)
        text_add(text, line, ++number);
}

static void
convert(struct conversion *c, struct migration *m)
{
    const struct tool *tool = c->tool;
    size_t before = c->n_refused;
    struct str down = { "", 0 };
    bool ok = conversion_load(c, m->up_path, &m->original);

    if (ok && m->down_path != NULL)
        ok = conversion_load(c, m->down_path, &down);
    if (ok && tool->convert != NULL && m->down_path == NULL) {
        tool->convert(c, m);
    } else if (ok) {
        add_lines(&m->up, m->original);
        add_lines(&m->down, down);
        if (tool->look != NULL)
            tool->look(c, m->up_path, m->original, &m->up);
        if (tool->look != NULL && m->down_path != NULL)
            tool->look(c, m->down_path, down, &m->down);
    }
    m->refused = c->n_refused > before;
}

bool
conversion_read(struct conversion *c, const struct tool *tool, const char *source,
    struct rung_error *err)
{
    struct walk walk = { .c = c };

    *c = (struct conversion){ .tool = tool, .dir = { .path = source } };
    c->last_problem = &c->problems;
    do
        c->dir.fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (c->dir.fd < 0 && errno == EINTR);
    if (c->dir.fd < 0) {
        int why = errno;
        char shown[512];

        return err_set(err, RUNG_USAGE, "cannot open directory \"%s\": %s",
            text_escape(shown, sizeof shown, str_of(source)), strerror(why));
    }
    if (!walk_directory(&walk, "", 0, err))
        return false;
    if (c->n_paths > 0)
        qsort(c->paths, c->n_paths, sizeof *c->paths, compare_paths);
    if (tool->list != NULL)
        tool->list(c);
    else
        list_by_name(c);
    if (c->keep.failed)
        return err_memory(err);
    for (size_t i = 0; i < c->n; i++)
        convert(c, &c->migrations[i]);
    return conversion_finish(c, err);
}

void
conversion_free(struct conversion *c)
{
    for (size_t i = 0; i < c->n; i++) {
        text_close(&c->migrations[i].up);
        text_close(&c->migrations[i].down);
    }
    free(c->migrations);
    free(c->paths);
    if (c->dir.fd > 0)
        close(c->dir.fd);
    keep_free(&c->keep);
}

/* ---- writing --------------------------------------------------------------------- */

struct writing {
    struct conversion *c;
    struct sqldir dir; /* where to; fd < 0: it is not there yet */
    const char **made; /* names of files that are ours, 2 * c->n at most */
    size_t n_made;
    bool looked; /* up_there and down_there are set */
};

/* 1: it holds these very bytes.  0: others.  -1: err. */
static int
same_bytes(const struct sqldir *dir, struct sqlfile *file, struct str bytes,
    struct rung_error *err)
{
    struct source src;
    char *room;
    size_t got = 0;
    bool ok, same;

    room = malloc(bytes.n + 1);
    if (room == NULL) {
        err_memory(err);
        return -1;
    }
    ok = source_open(&src, dir, file, err);
    if (ok) {
        ok = source_read(&src, 0, room, bytes.n, &got, err);
        source_close(&src);
    }
    same =
        ok && src.size == bytes.n && got == bytes.n && memcmp(room, bytes.p, got) == 0;
    free(room);
    return !ok ? -1 : same;
}

/* May a file of that name and version come into the directory?  *needed: it is not
 * there. */
static bool
look_for(struct writing *w, const char *name, int64_t version, struct str bytes,
    bool *needed, struct rung_error *err)
{
    struct sqlfile ours = { 0 };
    char path[512];

    *needed = true;
    sqlfile_name(&ours, str_of(name));
    for (size_t i = 0; i < w->dir.n; i++) {
        struct sqlfile *theirs = w->dir.files[i];
        int same;

        if (strcmp(theirs->name, name) == 0) {
            same = same_bytes(&w->dir, theirs, bytes, err);
            if (same < 0)
                return false;
            *needed = same == 0;
            if (same == 1)
                continue;
            err_set(err, RUNG_FAILED, "%s is there already, and it is another file",
                sqldir_path(path, sizeof path, &w->dir, name));
        } else if (theirs->version == version && theirs->type == ours.type) {
            err_set(err, RUNG_FAILED,
                "%s has the version of %s, which was to be written",
                sqldir_path(path, sizeof path, &w->dir, theirs->name), name);
        } else {
            continue;
        }
        return err_hint(err,
            "Nothing was written. Name another directory with -m, or move it away.");
    }
    return true;
}

/* Both files of a migration; `write` as in conversion_write. */
static bool
put_file(struct writing *w, struct migration *m, bool down, bool write, size_t *made,
    struct rung_error *err)
{
    const char *name = down ? m->down_name : m->up_name;
    struct str bytes = text_bytes(down ? &m->down : &m->up);
    char path[512];
    bool needed;

    if (!look_for(w, name, m->version, bytes, &needed, err))
        return false;
    if (!w->looked)
        *(down ? &m->down_there : &m->up_there) = !needed;
    if (!needed)
        return true;
    ++*made;
    if (!write)
        return true;
    switch (author_make_file(&w->dir, name, bytes, err)) {
    case MADE:
        w->made[w->n_made++] = name;
        return true;
    case MADE_NOT:
        return err_set(err, RUNG_FAILED, "%s has appeared meanwhile",
            sqldir_path(path, sizeof path, &w->dir, name));
    case MADE_FAILED:
        break;
    }
    return false;
}

static bool
put_all(struct writing *w, bool write, size_t *made, struct rung_error *err)
{
    bool ok = true;

    *made = 0;
    for (size_t i = 0; ok && i < w->c->n; i++) {
        struct migration *m = &w->c->migrations[i];

        if (m->refused)
            continue;
        ok = put_file(w, m, false, write, made, err)
             && (!m->has_down || put_file(w, m, true, write, made, err));
    }
    return ok;
}

static bool
is_ours(const void *arg, const char *name)
{
    const struct conversion *c = arg;

    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->migrations[i].up_name, name) == 0
            || strcmp(c->migrations[i].down_name, name) == 0)
            return true;
    return false;
}

/* SOURCE itself cannot be where the files go: rung would read both. */
static bool
check_apart(const struct writing *w, struct rung_error *err)
{
    struct stat a, b;

    if (w->c->dir.fd < 0) /* not a directory's files */
        return true;
    if (fstat(w->dir.fd, &a) != 0 || fstat(w->c->dir.fd, &b) != 0)
        return source_failed(err, "open", &w->dir, ".");
    if (a.st_dev != b.st_dev || a.st_ino != b.st_ino)
        return true;
    err_set(err, RUNG_USAGE, "the files cannot be written to where they come from");
    return err_hint(err, "Move them away first, or name another directory with -m.");
}

bool
conversion_write(struct conversion *c, const char *directory, bool write, size_t *made,
    struct rung_error *err)
{
    struct writing w = { .c = c, .dir = { .fd = -1 } };
    struct rung_options options = RUNG_OPTIONS;
    struct sums_care care = { .found = false };
    bool fresh = write && mkdir(directory, 0777) == 0;
    bool ok = true;

    options.directory = directory;
    w.made = keep_room(&c->keep, (2 * c->n + 1) * sizeof *w.made);
    if (w.made == NULL)
        return err_memory(err);
    if (write || access(directory, F_OK) == 0)
        ok = sqldir_open(&w.dir, directory, err) && check_apart(&w, err);
    ok = ok && put_all(&w, false, made, err);
    w.looked = true;
    if (ok && write) {
        ok = sums_care_look(&w.dir, &care, is_ours, c, err)
             && put_all(&w, true, made, err) && author_sync(&w.dir, err)
             && sums_care_keep(&options, &care, err);
        for (size_t i = 0; !ok && i < w.n_made; i++)
            unlinkat(w.dir.fd, w.made[i], 0);
    }
    sqldir_close(&w.dir);
    if (!ok && fresh)
        (void)rmdir(directory);
    return ok;
}
