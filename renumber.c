/*
 * renumber.c: give files that cannot keep their number the next free one.
 *
 * What a merge is in other tools: two branches took one number, or a file arrives
 * below what is applied already.  Also files that were recorded while they were empty
 * and filled later.  Reads the ledger to know what is applied; runs and records
 * nothing.
 *
 * Invariant: a file that is applied keeps its name (of one recorded empty, an empty
 * file does), nothing is overwritten, and a failure takes back what was done.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One file that gets another number. */
struct move {
    const struct sqlfile *file;
    int64_t version; /* the new one */
    char to[FILE_NAME_ROOM];
    const struct sqlfile *down; /* NULL: none, or it stays */
    char down_to[FILE_NAME_ROOM];
    bool follows; /* `file` has its number: only its down file was left behind */

    bool refill; /* recorded empty: leave `kept` under the old name */
    char *kept;  /* what it held then; KEPT_MOST bytes, to be freed */
    size_t kept_n;
    struct stat stat; /* when did it come? */
    int done;         /* steps of carry_out */
};

struct moves {
    struct survey survey;
    int64_t newest_settled; /* of options->settled */
    struct move *list;
    size_t n;
};

/* ---- which ----------------------------------------------------------------------- */

static bool
add_move(struct moves *moves, const struct sqlfile *file, struct rung_error *err)
{
    struct move *move = &moves->list[moves->n];

    *move = (struct move){ .file = file, .down = file->down };
    if (fstatat(moves->survey.dir.fd, file->name, &move->stat, 0) != 0)
        return source_failed(err, "open", &moves->survey.dir, file->name);
    moves->n++;
    return true;
}

/* Who came first: by the time of the last change, then by name. */
static int
compare_moves(const void *left, const void *right)
{
    const struct move *a = left, *b = right;
    const struct timespec *s = &a->stat.st_mtim, *t = &b->stat.st_mtim;

    if (a->file->version != b->file->version)
        return a->file->version < b->file->version ? -1 : 1;
    if (s->tv_sec != t->tv_sec)
        return s->tv_sec < t->tv_sec ? -1 : 1;
    if (s->tv_nsec != t->tv_nsec)
        return s->tv_nsec < t->tv_nsec ? -1 : 1;
    return strcmp(a->file->name, b->file->name);
}

/* How surely is this file the one that the row is about? */
static int
likeness(const struct sqlfile *file, const struct ledger_row *row)
{
    const char *name = row->filename == NULL ? "" : row->filename;

    return 4 * (strcmp(file->name, name) == 0) + 2 * plan_same_name(file->name, name)
           + (row->checksum != NULL
               && str_eq_fold(str_of(file->checksum), str_of(row->checksum)));
}

/* The file of a row, among the ones of its version that stand in the list from `first`
 * on: it is taken out again. */
static bool
spare_applied(struct moves *moves, size_t first, const struct ledger_row *row,
    const char **applied, struct rung_error *err)
{
    size_t best = first;
    char recorded[FILE_NAME_ROOM];

    for (size_t i = first; i < moves->n; i++)
        if (likeness(moves->list[i].file, row) > likeness(moves->list[best].file, row))
            best = i;
    if (moves->n - first > 1 && likeness(moves->list[best].file, row) == 0) {
        err_set(err, RUNG_DRIFT, "which of %s and %s is applied? The ledger has %s",
            moves->list[first].file->name, moves->list[first + 1].file->name,
            text_escape(recorded, sizeof recorded,
                str_of(row->filename == NULL ? "" : row->filename)));
        return err_hint(err, "Give the one that is applied its recorded name back.");
    }
    *applied = moves->list[best].file->name;
    moves->list[best] = moves->list[--moves->n];
    return true;
}

static bool
is_settled(const struct moves *moves, const char *name)
{
    const char *const *at = moves->survey.options->settled;

    while (at != NULL && *at != NULL)
        if (strcmp(*at++, name) == 0)
            return true;
    return false;
}

/*
 * Of the files of one version, in the list from `first` on, those that another branch
 * has are taken out again.  False when one was, and another one is applied here.
 */
static bool
spare_settled(struct moves *moves, size_t first, const char *applied, bool *found,
    struct rung_error *err)
{
    size_t n = first;

    *found = applied != NULL && is_settled(moves, applied);
    for (size_t i = first; i < moves->n; i++) {
        const char *name = moves->list[i].file->name;

        if (!is_settled(moves, name)) {
            moves->list[n++] = moves->list[i];
            continue;
        }
        *found = true;
        if (applied == NULL)
            continue;
        err_set(err, RUNG_DRIFT, "%s is applied here, and %s keeps that number",
            applied, name);
        return err_hint(err, "Undo it with `rung down`, renumber, and apply it again.");
    }
    moves->n = n;
    return true;
}

/* Was it recorded while it held no statement, and is it another one now? */
static bool
is_filled_later(const struct sqlfile *file, const struct ledger_row *row)
{
    return row->statements == 0 && row->applied_at_us != RUNG_NO_TIME && row->undone < 0
           && row->checksum != NULL && checksum_is_hex(str_of(row->checksum))
           && !str_eq_fold(str_of(file->checksum), str_of(row->checksum));
}

/* The only file of an applied version. */
static bool
see_applied(struct moves *moves, struct sqlfile *file, const struct ledger_row *row,
    struct rung_error *err)
{
    if (!is_filled_later(file, row))
        return true;
    if (!sqlfile_line_endings_only(&moves->survey.dir, file, row->checksum, err))
        return false;
    if (file->line_endings_only)
        return true;
    if (!add_move(moves, file, err))
        return false;
    moves->list[moves->n - 1].refill = true;
    return true;
}

/* The up files [first, end) of one version: which of them must go?  Beside another
 * branch's files, what stands behind one of ours that goes may need it, and goes too.
 */
static bool
see_version(struct moves *moves, size_t first, size_t end, struct rung_error *err)
{
    struct sqlfile *const *files = moves->survey.dir.files;
    const struct ledger_rows *rows = &moves->survey.rows;
    const struct ledger_row *row = survey_row(&moves->survey, files[first]->version);
    bool late = (rows->n > 0 && files[first]->version < rows->rows[rows->n - 1].version)
                || files[first]->version <= moves->newest_settled
                || (moves->newest_settled != RUNG_NO_VERSION && moves->n > 0);
    size_t before = moves->n;
    struct sqlfile *only = NULL;
    const char *applied = NULL;
    bool settled;

    for (size_t i = first; i < end; i++) {
        if (files[i]->type != SQLFILE_UP)
            continue;
        only = files[i];
        if (!add_move(moves, files[i], err))
            return false;
    }
    if (moves->n == before)
        return true;
    if (moves->n == before + 1 && row != NULL) {
        moves->n--;
        return see_applied(moves, only, row, err);
    }
    if ((row != NULL && !spare_applied(moves, before, row, &applied, err))
        || !spare_settled(moves, before, applied, &settled, err))
        return false;
    if (moves->n == before)
        return true;
    qsort(moves->list + before, moves->n - before, sizeof *moves->list, compare_moves);
    if (row == NULL && !late && !settled) { /* the first one keeps the number */
        memmove(moves->list + before, moves->list + before + 1,
            (moves->n - before - 1) * sizeof *moves->list);
        moves->n--;
    }
    return true;
}

/* Does this down file belong to no file? */
static bool
is_left_behind(const struct sqldir *dir, const struct sqlfile *down)
{
    if (down->type != SQLFILE_DOWN || down->version == RUNG_NO_VERSION)
        return false;
    for (size_t i = 0; i < dir->n; i++)
        if (dir->files[i]->down == down)
            return false;
    return true;
}

/* May `down` be what a renumber that was killed left behind when it moved `up`? */
static bool
may_follow(const struct sqlfile *down, const struct sqlfile *up)
{
    return up->type == SQLFILE_UP && up->down == NULL && up->version > down->version
           && str_eq(
               sqlfile_title(str_of(up->name)), sqlfile_title(str_of(down->name)));
}

/* Down files without a file, where exactly one file of that name has none. */
static bool
find_followers(struct moves *moves, struct rung_error *err)
{
    const struct sqldir *dir = &moves->survey.dir;

    for (size_t i = 0; i < dir->n; i++) {
        const struct sqlfile *up = NULL;
        size_t n = 0;

        if (!is_left_behind(dir, dir->files[i]))
            continue;
        for (size_t j = 0; j < dir->n; j++)
            if (may_follow(dir->files[i], dir->files[j])) {
                up = dir->files[j];
                n++;
            }
        for (size_t j = 0; j < moves->n; j++)
            if (moves->list[j].file == up)
                n = 0; /* it moves itself, or has another one already */
        if (n != 1)
            continue;
        if (!add_move(moves, up, err))
            return false;
        moves->list[moves->n - 1].follows = true;
        moves->list[moves->n - 1].down = dir->files[i];
    }
    return true;
}

/* RUNG_NO_VERSION is below all. */
static int64_t
newest_of(const char *const *names)
{
    int64_t newest = RUNG_NO_VERSION, version;
    bool down;

    for (; names != NULL && *names != NULL; names++)
        if (rung_file_name(*names, &version, &down) && version > newest)
            newest = version;
    return newest;
}

static bool
find_moves(struct moves *moves, struct rung_error *err)
{
    const struct sqldir *dir = &moves->survey.dir;

    moves->newest_settled = newest_of(moves->survey.options->settled);
    moves->list = calloc(dir->n + 1, sizeof *moves->list);
    if (moves->list == NULL)
        return err_memory(err);
    for (size_t first = 0, end; first < dir->n; first = end) {
        for (end = first;
             end < dir->n && dir->files[end]->version == dir->files[first]->version;)
            end++;
        if (dir->files[first]->version == RUNG_NO_VERSION)
            break;
        if (!see_version(moves, first, end, err))
            return false;
    }
    return find_followers(moves, err);
}

/* ---- where to -------------------------------------------------------------------- */

/* `name` with another number in front, its `width` digits. */
static bool
rename_to(char to[FILE_NAME_ROOM], const char *name, size_t width, int64_t version,
    struct rung_error *err)
{
    char text[2 * FILE_NAME_ROOM];

    text_format(text, sizeof text, "%0*" PRId64 "%s", (int)width, version,
        name + strspn(name, "0123456789"));
    if (strlen(text) > FILE_NAME_LIMIT)
        return err_set(err, RUNG_FAILED,
            "with a longer number the name %s would be over %d bytes", name,
            FILE_NAME_LIMIT);
    memcpy(to, text, strlen(text) + 1);
    return true;
}

/* Does a file that stays (or one in front of it in the list) own this down file? */
static bool
is_shared(const struct moves *moves, size_t at)
{
    const struct sqldir *dir = &moves->survey.dir;
    const struct move *move = &moves->list[at];

    for (size_t i = 0; i < dir->n; i++)
        if (dir->files[i] != move->file && dir->files[i]->down == move->down)
            return true;
    return false;
}

#define KEPT_MOST KIB(64)

/*
 * What did the file hold when it was recorded without any statement?  All of it up to
 * the end of one of its lines, if the digest says so: the rest was added.
 */
static bool
match_kept(struct move *move, struct str bytes, const char *checksum, bool *found,
    struct rung_error *err)
{
    struct checksum *sum = checksum_new(err);
    char hex[CHECKSUM_BYTES];
    size_t at = 0;
    bool ok = sum != NULL && checksum_hex(sum, hex, err);

    *found = ok && str_eq_fold(str_of(hex), str_of(checksum));
    while (ok && !*found && at < bytes.n) {
        const char *newline = memchr(bytes.p + at, '\n', bytes.n - at);
        size_t end = newline == NULL ? bytes.n : (size_t)(newline - bytes.p) + 1;

        ok = checksum_update(sum, str_slice(bytes, at, end), err)
             && checksum_hex(sum, hex, err);
        *found = ok && str_eq_fold(str_of(hex), str_of(checksum));
        at = end;
    }
    move->kept_n = at;
    checksum_free(sum);
    return ok;
}

static bool
find_kept(struct moves *moves, struct move *move, struct rung_error *err)
{
    const struct ledger_row *row = survey_row(&moves->survey, move->file->version);
    struct source src;
    size_t got;
    bool found = false, ok;

    move->kept = malloc(KEPT_MOST);
    if (move->kept == NULL)
        return err_memory(err);
    if (!source_open(&src, &moves->survey.dir, move->file, err))
        return false;
    ok = source_read(&src, 0, move->kept, KEPT_MOST, &got, err)
         && match_kept(
             move, (struct str){ move->kept, got }, row->checksum, &found, err);
    source_close(&src);
    if (!ok || found)
        return ok;
    err_set(err, RUNG_DRIFT,
        "%s was recorded while it held no statement, but what it held then is not in it "
        "any more",
        move->file->name);
    return err_hint(err,
        "Move what was added into a file made by `rung new`, and accept the rest with "
        "`rung repair %" PRId64 " --reason TEXT`.",
        move->file->version);
}

static bool
plan_moves(struct moves *moves, struct rung_error *err)
{
    const struct survey *s = &moves->survey;
    struct numbering numbering = numbering_of(&s->dir);
    const char *const *settled = s->options->settled;
    int64_t version;
    bool down;

    for (; settled != NULL && *settled != NULL; settled++)
        if (rung_file_name(*settled, &version, &down))
            numbering_take(&numbering, version, *settled);
    for (size_t i = 0; i < s->rows.n; i++)
        numbering_take(&numbering, s->rows.rows[i].version, s->rows.rows[i].filename);
    for (size_t i = 0; i < moves->n; i++) {
        struct move *move = &moves->list[i];

        size_t width = numbering.width;

        if (move->refill && !find_kept(moves, move, err))
            return false;
        if (move->follows) {
            move->version = move->file->version;
            width = strspn(move->file->name, "0123456789");
        } else if (!numbering_next(&numbering, err)
                   || !rename_to(
                       move->to, move->file->name, width, numbering.highest, err)) {
            return false;
        } else {
            move->version = numbering.highest;
        }
        if (move->down != NULL && is_shared(moves, i))
            move->down = NULL;
        if (move->down != NULL
            && !rename_to(move->down_to, move->down->name, width, move->version, err))
            return false;
    }
    return true;
}

/* ---- doing it -------------------------------------------------------------------- */

/* Where there are no hard links: nothing must be there, and then it is renamed. */
static bool
rename_unlinked(const struct sqldir *dir, const char *from, const char *to)
{
    struct stat st;

    if (fstatat(dir->fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return false;
    }
    return errno == ENOENT && renameat(dir->fd, from, dir->fd, to) == 0;
}

/* Rename, but never over another file: a link fails where rename() would replace. */
static bool
rename_file(
    const struct sqldir *dir, const char *from, const char *to, struct rung_error *err)
{
    int why;

    if (linkat(dir->fd, from, dir->fd, to, 0) == 0) {
        if (unlinkat(dir->fd, from, 0) == 0)
            return true;
        why = errno;
        unlinkat(dir->fd, to, 0);
        errno = why;
    } else if (errno != EEXIST && errno != ENOENT && errno != EACCES && errno != EROFS
               && errno != ENOSPC && rename_unlinked(dir, from, to)) {
        return true;
    }
    return source_failed(err, "rename", dir, from);
}

/* Leave what was recorded under the old name. */
static bool
leave_kept(const struct sqldir *dir, const struct move *move, struct rung_error *err)
{
    const char *name = move->file->name;

    switch (
        author_make_file(dir, name, (struct str){ move->kept, move->kept_n }, err)) {
    case MADE:
        return true;
    case MADE_NOT:
        return err_set(err, RUNG_FAILED, "somebody else has made a new %s", name);
    case MADE_FAILED:
        break;
    }
    return false;
}

/*
 * The file, what is left under the old name, and the down file last: who is killed in
 * between leaves a down file without its file, which the next time follows it.
 */
static bool
carry_out(const struct sqldir *dir, struct move *move, struct rung_error *err)
{
    if (!move->follows && !rename_file(dir, move->file->name, move->to, err))
        return false;
    move->done = 1;
    if (move->refill && !leave_kept(dir, move, err))
        return false;
    move->done = 2;
    if (move->down != NULL && !rename_file(dir, move->down->name, move->down_to, err))
        return false;
    move->done = 3;
    return true;
}

/* Nothing can be said when this fails: the error that led here is told. */
static void
take_back(const struct sqldir *dir, const struct move *move)
{
    struct rung_error ignored;

    if (move->done >= 3 && move->down != NULL)
        rename_file(dir, move->down_to, move->down->name, &ignored);
    if (move->done >= 2 && move->refill)
        unlinkat(dir->fd, move->file->name, 0);
    if (move->done >= 1 && !move->follows)
        rename_file(dir, move->to, move->file->name, &ignored);
}

static bool
carry_out_all(struct moves *moves, struct rung_error *err)
{
    const struct sqldir *dir = &moves->survey.dir;
    size_t i = 0;

    while (i < moves->n && carry_out(dir, &moves->list[i], err))
        i++;
    if (i == moves->n && author_sync(dir, err))
        return true;
    for (i = i < moves->n ? i + 1 : i; i > 0; i--)
        take_back(dir, &moves->list[i - 1]);
    return false;
}

static void
tell_moves(const struct moves *moves, struct rung_result *result)
{
    for (size_t i = 0; i < moves->n; i++) {
        const struct move *move = &moves->list[i];
        const char *to = move->follows ? move->down_to : move->to;
        struct rung_migration migration = { .version = move->version,
            .state = RUNG_STATE_PENDING,
            .step = RUNG_STEP_NONE,
            .filename = to,
            .down = move->down == NULL ? NULL : move->down_to,
            .applied_at_us = RUNG_NO_TIME,
            .duration_ms = -1,
            .recorded_statements = -1,
            .undone = -1 };
        struct rung_event event = { .kind = RUNG_EVENT_DONE,
            .migration = &migration,
            .path = to,
            .message = move->follows ? move->down->name : move->file->name };

        result->done++;
        event_send(moves->survey.options, &event);
    }
}

/* ---- the whole ------------------------------------------------------------------- */

/* Is this one of the names that come or go? */
static bool
is_moved(const void *arg, const char *name)
{
    const struct moves *moves = arg;

    for (size_t i = 0; i < moves->n; i++)
        if (strcmp(name, moves->list[i].file->name) == 0
            || (moves->list[i].down != NULL
                && strcmp(name, moves->list[i].down->name) == 0))
            return true;
    return false;
}

bool
rung_renumber(const struct rung_options *options, bool offline,
    struct rung_result *result, struct rung_error *err)
{
    struct moves moves = { .n = 0 };
    struct survey *s = &moves.survey;
    struct sums_care care;
    bool ok = survey_open(s, options, offline, err) && sqldir_hash(&s->dir, false, err)
              && find_moves(&moves, err) && plan_moves(&moves, err);

    *result = (struct rung_result){ .version = RUNG_NO_VERSION };
    if (ok && s->rows.n > 0)
        result->version = s->rows.rows[s->rows.n - 1].version;
    if (ok && moves.n > 0) {
        ok = sums_care_look(&s->dir, &care, is_moved, &moves, err)
             && carry_out_all(&moves, err);
        if (ok)
            tell_moves(&moves, result);
        ok = ok && sums_care_keep(options, &care, err);
    }
    for (size_t i = 0; i < moves.n; i++)
        free(moves.list[i].kept);
    free(moves.list);
    survey_close(s);
    return ok;
}
