/*
 * adopt.c: the history that another tool has kept in its table, as rung's ledger.
 *
 * Reads it, lays it beside rung's files, and writes one row for each
 * file that the tool has applied: all in one transaction, under rung's advisory lock
 * and the tool's own, with the table locked against writers.
 *
 * Invariant: the old table is only read (and renamed, where that was asked for);
 * nothing is written unless every row of it has its file, or --skip was given.
 */
#include "import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file of rung's, and what the tool's table says of it. */
struct claim {
    struct sqlfile *file;
    const struct migration *migration; /* of SOURCE; NULL: it was not given */
    const char *key;                   /* the number in its name */
    const char *revision; /* Alembic's, which stands in the file; NULL: not read */
    struct str parents;   /* the revisions that it stands on */
    const char *title;
    bool applied, there;
    struct history_row row;
    const char *note;
};

struct state {
    const struct adoption *wish;
    struct sqldir dir;
    struct conversion source; /* tool NULL: not given */
    struct pg pg;
    struct ledger ledger;
    struct history history;
    struct keep keep;
    struct claim *claims; /* by version */
    size_t n;
    bool renumbered; /* the keys stand in the titles */
    size_t unknown;  /* rows without a file */
};

static bool
query(
    struct state *s, PQExpBuffer sql, struct pg_tables *tables, struct rung_error *err)
{
    return PQExpBufferBroken(sql) ? err_memory(err)
                                  : pg_query(&s->pg, sql->data, tables, err);
}

static void
say(const struct state *s, const char *message, const char *hint)
{
    s->wish->note(s->wish->arg, message, hint);
}

/* ---- the tool's table ------------------------------------------------------------ */

/* Where are the tool's table and the ledger?  As this session's search_path says. */
static bool
find_tables(struct state *s, struct rung_error *err)
{
    struct ledger named;
    struct pg_tables tables = { .n = 0 };
    PQExpBufferData sql;
    bool ok;

    if (s->wish->old_table != NULL && !ledger_name(&named, s->wish->old_table, err))
        return false;
    initPQExpBuffer(&sql);
    ledger_sql_find(&sql, &s->ledger);
    foreign_sql_tables(&sql, s->wish->from, s->wish->old_table == NULL ? NULL : &named);
    ok = query(s, &sql, &tables, err) && ledger_found(&s->ledger, tables.tables[0], err)
         && history_take(&s->history, s->wish, tables.tables[1], err);
    if (ok)
        text_format(s->history.database, NAME_BYTES, "%s", s->ledger.database);
    pg_tables_clear(&tables);
    termPQExpBuffer(&sql);
    return ok;
}

/* ---- the transaction ------------------------------------------------------------- */

#define TABLE_LOCK_TIMEOUT "3s"

#define TRY_AGAIN "Nothing was changed. Try again when it is done."

/* The transaction in which all is read and written; with the locks where it writes. */
static bool
begin(struct state *s, struct rung_error *err)
{
    const struct history_tool *tool = s->history.tool;
    int64_t key =
        tool->lock_key != NULL ? tool->lock_key(&s->keep, &s->history) : tool->lock;
    struct pg_tables tables = { .n = 0 };
    PQExpBufferData sql;
    bool ok;

    initPQExpBuffer(&sql);
    appendPQExpBuffer(&sql,
        "BEGIN ISOLATION LEVEL READ COMMITTED, %s;\nSET LOCAL ROLE NONE;\n"
        "SET LOCAL statement_timeout = 0;\nSET LOCAL search_path = pg_catalog;\n"
        "SET LOCAL lock_timeout = '" TABLE_LOCK_TIMEOUT "';\n",
        s->wish->write ? "READ WRITE" : "READ ONLY");
    for (int i = 0; s->wish->write && i < (key == 0 ? 1 : 2); i++)
        appendPQExpBuffer(&sql, "SELECT pg_try_advisory_xact_lock(%lld);\n",
            (long long)(i == 0 ? s->ledger.lock_key : key));
    ok = query(s, &sql, &tables, err);
    for (size_t i = 0; ok && i < tables.n; i++) {
        if (PQgetvalue(tables.tables[i], 0, 0)[0] == 't')
            continue;
        ok = err_set(err, RUNG_LOCKED, "%s is at work: it holds its advisory lock",
            i == 0 ? "another rung" : s->history.owner->name);
        err_hint(err, TRY_AGAIN);
    }
    pg_tables_clear(&tables);
    resetPQExpBuffer(&sql);
    if (ok && s->wish->write) {
        appendPQExpBuffer(
            &sql, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE;\n", s->history.quoted);
        ok = query(s, &sql, NULL, err);
        if (!ok && strcmp(err->sqlstate, "55P03") == 0) {
            err_set(err, RUNG_LOCKED, "%s is at work: its table is locked",
                s->history.owner->name);
            err_hint(err, TRY_AGAIN);
        }
    }
    termPQExpBuffer(&sql);
    return ok;
}

static bool
read_rows(struct state *s, struct pg_tables *tables, struct rung_error *err)
{
    const char *text = s->history.tool->query, *hole = strstr(text, "%s");
    PQExpBufferData sql;
    bool ok;

    initPQExpBuffer(&sql);
    appendPQExpBufferStr(&sql, "SELECT ");
    appendBinaryPQExpBuffer(&sql, text, (size_t)(hole - text));
    appendPQExpBuffer(&sql, "%s%s;\n", s->history.quoted, hole + 2);
    ok = query(s, &sql, tables, err);
    termPQExpBuffer(&sql);
    return ok;
}

static const char *
value(struct state *s, const PGresult *res, int row, int column)
{
    return PQgetisnull(res, row, column)
               ? NULL
               : keep_text(&s->keep, str_of(PQgetvalue(res, row, column)));
}

/* ---- files ----------------------------------------------------------------------- */

static bool
list_files(struct state *s, struct rung_error *err)
{
    if (!sqldir_open(&s->dir, s->wish->options->directory, err)) {
        if (err->code == RUNG_USAGE)
            err_hint(err,
                "Convert the tool's files first, `rung-import files --from TOOL SOURCE "
                "--write`, or say with -m where rung's are.");
        return false;
    }
    if (!sqldir_hash(&s->dir, false, err))
        return false;
    s->claims = keep_room(&s->keep, (s->dir.n + 1) * sizeof *s->claims);
    for (size_t i = 0; s->claims != NULL && i < s->dir.n; i++) {
        struct sqlfile *file = s->dir.files[i];
        struct claim *claim = &s->claims[s->n];

        if (file->type != SQLFILE_UP)
            continue;
        claim->file = file;
        claim->key = keep_format(
            &s->keep, "%.*s", (int)strspn(file->name, "0123456789"), file->name);
        claim->title = keep_text(&s->keep, sqlfile_title(str_of(file->name)));
        s->n++;
    }
    return !s->keep.failed || err_memory(err);
}

/* With SOURCE: each of our files must be what its file there converts to. */
static bool
compare_source(struct state *s, struct rung_error *err)
{
    for (size_t i = 0; i < s->n; i++) {
        struct claim *claim = &s->claims[i];

        for (size_t k = 0; k < s->source.n; k++) {
            const struct migration *m = &s->source.migrations[k];
            struct checksum *sum;
            char hex[CHECKSUM_BYTES];
            bool ok;

            if (m->refused || strcmp(m->up_name, claim->file->name) != 0)
                continue;
            sum = checksum_new(err);
            ok = sum != NULL && checksum_update(sum, text_bytes(&m->up), err)
                 && checksum_hex(sum, hex, err);
            checksum_free(sum);
            if (!ok)
                return false;
            if (strcmp(hex, claim->file->checksum) != 0) {
                err_set(err, RUNG_DRIFT, "%s is not what %s converts to",
                    claim->file->name, m->up_path);
                return err_hint(err, "Convert it anew with `rung-import files`.");
            }
            claim->migration = m;
        }
    }
    return true;
}

static bool
open_source(struct state *s, struct rung_error *err)
{
    const struct tool *tool = tool_find(s->history.owner->word);

    if (s->wish->source == NULL)
        return true;
    if (tool == NULL)
        return err_set(err, RUNG_USAGE, "files of %s are not read: leave SOURCE out",
            s->history.owner->name);
    return (tool->read != NULL
                   ? tool->read(&s->source, &s->wish->source, 1, err)
                   : conversion_read(&s->source, tool, s->wish->source, err))
           && compare_source(s, err);
}

/* ---- rows and files -------------------------------------------------------------- */

/* Is it the file of that row?  `whole`: nothing may stand behind the key in its title.
 */
static bool
fits(struct state *s, const struct claim *claim, bool renumbered, bool whole,
    const struct wanted *wanted)
{
    const char *rest = claim->title;
    bool hit;

    if (claim->revision != NULL)
        return strcmp(claim->revision, wanted->key) == 0;
    hit = renumbered ? title_begins(claim->title, wanted, &rest)
                     : wanted->number && convert_compare(claim->key, wanted->key) == 0;
    if (s->history.tool->bare_names)
        rest += strspn(rest, "0123456789._- ");
    return hit && (!whole || *rest == '\0') && title_is(&s->keep, rest, wanted->name);
}

/* The file of a row; NULL: there is none.  Several may have one name (a change that was
 * reworked): then the first that is not taken yet.  One whose title is the key is meant
 * rather than one whose title only begins with it. */
static struct claim *
find_claim(struct state *s, bool renumbered, const struct wanted *wanted)
{
    for (int whole = renumbered ? 1 : 0; whole >= 0; whole--)
        for (size_t i = 0; i < s->n; i++)
            if (!s->claims[i].applied
                && fits(s, &s->claims[i], renumbered, whole == 1, wanted))
                return &s->claims[i];
    return NULL;
}

/* "1.2" of 003_1.2_users.sql, or 3: what the tool calls the file's version. */
static const char *
key_of(struct state *s, const struct claim *claim)
{
    return s->renumbered ? title_key(&s->keep, claim->title) : claim->key;
}

/* Do the files look as if they had been numbered anew: 001, 002, ..., and in each title
 * a version, which rises? */
static bool
look_renumbered(struct state *s)
{
    int width = snprintf(NULL, 0, "%zu", s->n);

    for (size_t i = 0; i < s->n; i++) {
        const struct claim *claim = &s->claims[i];

        if (claim->file->version != (int64_t)i + 1
            || strlen(claim->key) != (size_t)(width < 3 ? 3 : width)
            || !is_digit(claim->title[0])
            || (i > 0
                && convert_compare(title_key(&s->keep, s->claims[i - 1].title),
                       title_key(&s->keep, claim->title))
                       >= 0))
            return false;
    }
    return s->n > 0;
}

/* Are the tool's versions the files' numbers, or do they stand in their titles?  The
 * rows tell; where none is a file's (a baseline alone), the files do. */
static void
find_out_numbering(struct state *s, const PGresult *res)
{
    size_t kept = 0, renumbered = 0;

    if (s->source.tool != NULL) {
        s->renumbered = s->source.renumbered;
        return;
    }
    for (int i = 0; i < PQntuples(res); i++) {
        struct wanted wanted = want(PQgetvalue(res, i, 0),
            PQgetisnull(res, i, 1) ? NULL : PQgetvalue(res, i, 1));

        if (!PQgetisnull(res, i, 6))
            continue;
        kept += find_claim(s, false, &wanted) != NULL;
        renumbered += find_claim(s, true, &wanted) != NULL;
    }
    s->renumbered = kept == 0 && renumbered == 0 ? look_renumbered(s)
                                                 : renumbered > 0 && renumbered >= kept;
}

/* The bytes that the tool had: rung's, without the directive that was put on top. */
static struct str
original_bytes(struct state *s, const struct claim *claim, struct str whole)
{
    static const struct str directive = { "-- rung: no-transaction\n", 24 };
    size_t mark = str_starts(whole, STR("\xEF\xBB\xBF")) ? 3 : 0;
    char *copy;

    if (claim->migration != NULL)
        return claim->migration->original;
    if (!str_starts(str_from(whole, mark), directive))
        return whole;
    copy = keep_room(&s->keep, whole.n + 1);
    if (copy == NULL)
        return whole;
    memcpy(copy, whole.p, mark);
    memcpy(copy + mark, whole.p + mark + directive.n, whole.n - mark - directive.n);
    return (struct str){ copy, whole.n - directive.n };
}

static bool
load_file(struct state *s, const struct claim *claim, struct str *whole,
    struct rung_error *err)
{
    char *room = keep_room(&s->keep, (size_t)claim->file->size + 1);
    struct source src;
    bool ok;

    *whole = (struct str){ room, 0 };
    if (room == NULL)
        return err_memory(err);
    if (!source_open(&src, &s->dir, claim->file, err))
        return false;
    ok = source_read(&src, 0, room, (size_t)claim->file->size, &whole->n, err);
    source_close(&src);
    return ok;
}

/* The same lines with other ends. */
static struct str
with_ends(struct keep *keep, struct str text, const char *end)
{
    char *copy = keep_room(keep, 2 * text.n + 1);
    size_t n = 0;

    for (size_t i = 0; copy != NULL && i < text.n; i++) {
        const char *from = text.p[i] == '\n' ? end : &text.p[i];
        size_t length = text.p[i] == '\n' ? strlen(end) : 1;

        if (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n')
            continue;
        memcpy(copy + n, from, length);
        n += length;
    }
    return (struct str){ copy, n };
}

/* Checksums that differ in line endings only are no difference to rung, either. */
static bool
check_sum(struct state *s, const struct claim *claim, const struct history_row *row,
    struct rung_error *err)
{
    static const char *const ends[] = { "", "\n", "\r\n" }; /* "": as it is */
    struct evidence evidence = { .file = claim->file };
    struct str whole;
    bool same = false;

    if (s->history.tool->sum == NULL || row->sum == NULL)
        return true;
    if (!load_file(s, claim, &whole, err))
        return false;
    whole = original_bytes(s, claim, whole);
    if (claim->migration != NULL)
        evidence.path = claim->migration->up_path;
    for (size_t i = 0; !same && i < sizeof ends / sizeof *ends; i++) {
        evidence.original =
            ends[i][0] == '\0' ? whole : with_ends(&s->keep, whole, ends[i]);
        same = s->history.tool->sum(&s->keep, row, &evidence);
    }
    if (s->keep.failed)
        return err_memory(err);
    if (same)
        return true;
    err_set(err, RUNG_DRIFT,
        "%s is not the file that %s has applied: its checksum differs",
        claim->file->name, s->history.owner->name);
    return err_hint(err, "Bring back the file that was applied, and convert it anew.");
}

static void
unknown_row(struct state *s, const struct history_row *row)
{
    char key[128], name[128];

    s->unknown++;
    say(s,
        keep_format(&s->keep, "%s has applied %s%s%s: no file is it%s",
            s->history.owner->name, text_escape(key, sizeof key, str_of(row->key)),
            row->name == NULL ? "" : " ",
            row->name == NULL ? "" : text_escape(name, sizeof name, str_of(row->name)),
            s->wish->skip ? "; left out" : ""),
        NULL);
}

/* The files whose version is not above the row's are applied, says one row.  How many?
 */
static size_t
claim_up_to(struct state *s, const struct history_row *row, const char *note)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++) {
        struct claim *claim = &s->claims[i];

        if (claim->applied || convert_compare(key_of(s, claim), row->key) > 0)
            continue;
        claim->applied = true;
        claim->row.applied = row->applied;
        claim->row.by = row->by;
        claim->row.ms = row->ms;
        claim->note = note;
        n++;
    }
    return n;
}

static const char *
note_for(struct state *s)
{
    static const char *const more[] = { [TIME_NONE] = ", which keeps no time",
        [TIME_LOCAL] = ", whose times have no zone",
        [TIME_ZONED] = "" };

    return keep_format(&s->keep, "adopted from %s%s", s->history.owner->name,
        more[s->history.tool->time]);
}

static bool
claim_row(struct state *s, const struct history_row *row, struct rung_error *err)
{
    struct wanted wanted = want(row->key, row->name);
    struct claim *claim;

    if (row->flag != NULL && strcmp(row->flag, "ignored") == 0)
        return true;
    if (row->flag != NULL && strcmp(row->flag, "baseline") == 0) {
        (void)claim_up_to(s, row,
            keep_format(&s->keep, "adopted from %s: not above its baseline %s",
                s->history.owner->name, row->key));
        return true;
    }
    if (row->flag != NULL) {
        const char *what = row->key[0] == '\0' && row->name != NULL
                               ? keep_format(&s->keep, "\"%s\"", row->name)
                               : keep_format(&s->keep, "version %s", row->key);

        err_set(err, RUNG_DRIFT, "%s has left %s %s", s->history.owner->name, what,
            row->flag);
        return err_hint(err, "Mend that with %s first.", s->history.owner->name);
    }
    claim = find_claim(s, s->renumbered, &wanted);
    if (claim == NULL)
        unknown_row(s, row);
    if (s->history.tool->reach == REACH_UP_TO
        && claim_up_to(s, row, note_for(s)) > (claim == NULL ? 0 : 1))
        say(s,
            keep_format(&s->keep,
                "%s records its newest version alone: what is below %s counts as applied",
                s->history.owner->name, claim == NULL ? row->key : claim->file->name),
            NULL);
    if (claim == NULL)
        return true;
    if (!check_sum(s, claim, row, err))
        return false;
    claim->applied = true;
    claim->row = *row;
    claim->note = note_for(s);
    return true;
}

/* Alembic's revisions, and what they stand on: their files say it. */
static bool
read_revisions(struct state *s, struct rung_error *err)
{
    for (size_t i = 0; i < s->n; i++) {
        struct claim *claim = &s->claims[i];
        const char *revision;
        struct str whole;

        if (!load_file(s, claim, &whole, err))
            return false;
        if (alembic_read_head(&s->keep, whole, &revision, &claim->parents))
            claim->revision = revision;
    }
    return true;
}

/* The file of a revision, whether it is claimed or not. */
static struct claim *
find_revision(struct state *s, const char *revision)
{
    struct wanted wanted = want(revision, NULL);

    for (size_t i = 0; i < s->n; i++)
        if (fits(s, &s->claims[i], s->renumbered, false, &wanted))
            return &s->claims[i];
    return NULL;
}

/* What a revision stands on: claimed, unless it was.  *more: some were. */
static void
claim_parents(struct state *s, struct claim *claim, bool *more)
{
    for (struct str word; (word = alembic_next(&claim->parents)).n > 0;) {
        struct history_row row = { .key = keep_text(&s->keep, word) };
        struct claim *parent = find_revision(s, row.key);

        if (parent == NULL) {
            unknown_row(s, &row);
        } else if (!parent->applied) {
            parent->applied = true;
            parent->note = note_for(s);
            *more = true;
        }
    }
}

/* The rows are heads: what they stand on is applied, too. */
static void
claim_ancestors(struct state *s)
{
    bool more = true;

    while (more) {
        more = false;
        for (size_t i = 0; i < s->n; i++)
            if (s->claims[i].applied)
                claim_parents(s, &s->claims[i], &more);
    }
}

static bool
claim_rows(struct state *s, struct rung_error *err)
{
    struct pg_tables tables = { .n = 0 };
    const PGresult *res;
    bool ok;

    if ((s->history.tool->reach == REACH_ANCESTORS && !read_revisions(s, err))
        || !read_rows(s, &tables, err)) {
        pg_tables_clear(&tables);
        return false;
    }
    res = tables.tables[0];
    find_out_numbering(s, res);
    ok = true;
    for (int i = 0; ok && i < PQntuples(res); i++) {
        struct history_row row = { .key = value(s, res, i, 0),
            .name = value(s, res, i, 1),
            .applied = value(s, res, i, 2),
            .sum = value(s, res, i, 3),
            .by = value(s, res, i, 4),
            .ms = value(s, res, i, 5),
            .flag = value(s, res, i, 6) };

        if (row.key == NULL)
            row.key = "";
        ok = claim_row(s, &row, err);
    }
    pg_tables_clear(&tables);
    if (ok && s->history.tool->reach == REACH_ANCESTORS)
        claim_ancestors(s);
    if (ok && s->unknown > 0 && !s->wish->skip) {
        ok = err_set(err, RUNG_DRIFT, "the history of %s has what the files have not",
            s->history.owner->name);
        err_hint(err,
            "Nothing was recorded. Convert its files with `rung-import files "
            "--from %s SOURCE --write`, or leave these out with --skip.",
            s->history.owner->word);
    }
    return ok && s->keep.failed ? err_memory(err) : ok;
}

/* ---- the ledger ------------------------------------------------------------------ */

/* Refuse a table of the ledger's name that is none: whose is it? */
static bool
check_columns(struct state *s, struct rung_error *err)
{
    struct pg_tables tables = { .n = 0 };
    struct ledger found = s->ledger;
    PQExpBufferData sql;
    size_t columns = 0;
    bool ok;

    text_format(found.given, sizeof found.given, "%s", found.quoted);
    initPQExpBuffer(&sql);
    ledger_sql_columns(&sql, &found);
    ok = query(s, &sql, &tables, err);
    for (int i = 0; ok && i < PQntuples(tables.tables[0]); i++)
        columns += foreign_listed(
            "version,filename,checksum,applied_at", PQgetvalue(tables.tables[0], i, 0));
    if (ok && columns < 4)
        ok = ledger_foreign(&found, tables.tables[0], err);
    pg_tables_clear(&tables);
    termPQExpBuffer(&sql);
    return ok;
}

/* A file that is in the ledger already is left as it is. */
static bool
compare_rows(struct state *s, const struct ledger_rows *rows, struct rung_error *err)
{
    for (size_t i = 0; i < rows->n; i++)
        for (size_t k = 0; k < s->n; k++) {
            struct claim *claim = &s->claims[k];

            if (claim->file->version != rows->rows[i].version)
                continue;
            claim->there = true;
            if (claim->applied
                && strcmp(claim->file->checksum, rows->rows[i].checksum) != 0)
                return err_set(err, RUNG_DRIFT,
                    "the ledger has another %s already: its checksum differs",
                    claim->file->name);
        }
    return true;
}

/* What the ledger has already, if there is one. */
static bool
read_ledger(struct state *s, struct rung_error *err)
{
    struct pg_tables tables = { .n = 0 };
    struct ledger_rows rows = { 0 };
    PQExpBufferData sql;
    bool widen = false, ok;

    if (s->ledger.oid == 0 || s->ledger.oid == s->history.oid)
        return true;
    if (!check_columns(s, err))
        return false;
    initPQExpBuffer(&sql);
    ledger_sql_inspect(&sql, &s->ledger);
    ledger_sql_rows(&sql, &s->ledger);
    ok = query(s, &sql, &tables, err)
         && ledger_judge(&s->ledger, tables.tables[0], &widen, err)
         && ledger_decode(&rows, tables.tables[1], err);
    pg_tables_clear(&tables);
    if (ok && widen && s->wish->write) {
        resetPQExpBuffer(&sql);
        ledger_sql_widen(&sql, &s->ledger);
        ok = query(s, &sql, NULL, err);
    }
    termPQExpBuffer(&sql);
    ok = ok && compare_rows(s, &rows, err);
    ledger_rows_free(&rows);
    return ok;
}

/* Is the tool's table where the ledger is to be?  What is to be done about that. */
static bool
make_room(struct state *s, PQExpBuffer sql, struct rung_error *err)
{
    char name[2 * NAME_BYTES + 3];
    struct ledger renamed = { 0 };

    if (s->ledger.oid == s->history.oid && !s->wish->replace) {
        err_set(err, RUNG_DRIFT, "%s is %s's own table", s->history.shown,
            s->history.owner->name);
        return err_hint(err,
            "Write beside it with --table NAME (and always give rung that "
            "name), or have it renamed to %s_%s with --replace.",
            s->history.table, s->history.owner->word);
    }
    if (s->ledger.oid == s->history.oid) {
        text_format(renamed.table, sizeof renamed.table, "%s_%s", s->history.table,
            s->history.owner->word);
        for (char *p = renamed.table; *p != '\0'; p++)
            *p = *p == '-' ? '_' : *p;
        appendPQExpBuffer(sql, "ALTER TABLE %s RENAME TO %s;\n", s->history.quoted,
            ledger_quote(name, sizeof name, renamed.table));
        s->ledger.oid = 0;
    }
    if (s->ledger.oid == 0 && s->ledger.schema[0] == '\0')
        return err_set(err, RUNG_DRIFT,
            "the search_path names no schema to create %s in", s->ledger.table);
    if (s->ledger.oid == 0)
        ledger_sql_create(sql, &s->ledger);
    return true;
}

static bool
write_rows(struct state *s, struct rung_error *err)
{
    PQExpBufferData sql;
    bool ok;

    initPQExpBuffer(&sql);
    ok = make_room(s, &sql, err);
    for (size_t i = 0; ok && i < s->n; i++) {
        const struct claim *claim = &s->claims[i];
        struct ledger_entry entry = { .version = claim->file->version,
            .filename = claim->file->name,
            .checksum = claim->file->checksum };

        if (claim->applied && !claim->there)
            ledger_sql_adopt(&sql, &s->ledger, &entry, claim->row.applied,
                claim->row.by,
                claim->row.ms == NULL ? -1 : strtoll(claim->row.ms, NULL, 10),
                claim->note);
    }
    appendPQExpBufferStr(&sql, "COMMIT;\n");
    ok = ok && query(s, &sql, NULL, err);
    termPQExpBuffer(&sql);
    return ok;
}

/* ---- the whole ------------------------------------------------------------------- */

static void
tell_all(const struct state *s)
{
    size_t applied = 0, there = 0;
    PQExpBufferData sql;

    for (size_t i = 0; i < s->n; i++) {
        const struct claim *claim = &s->claims[i];
        struct adopted adopted = { .filename = claim->file->name,
            .applied = claim->row.applied,
            .there = claim->there };

        applied += claim->applied;
        there += claim->applied && claim->there;
        if (claim->applied)
            s->wish->tell(s->wish->arg, &adopted);
    }
    initPQExpBuffer(&sql);
    appendPQExpBuffer(&sql, "%s has applied %zu of %zu files (%s in database %s)",
        s->history.owner->name, applied, s->n, s->history.shown, s->history.database);
    if (there > 0)
        appendPQExpBuffer(&sql, "; %zu are recorded already", there);
    if (!PQExpBufferDataBroken(sql))
        say(s, sql.data, NULL);
    termPQExpBuffer(&sql);
}

bool
adopt(const struct adoption *adoption, struct rung_error *err)
{
    struct state s = { .wish = adoption,
        .dir.fd = -1,
        .pg.options = adoption->options,
        .source.dir.fd = -1 };
    bool ok = ledger_name(&s.ledger, adoption->options->table, err)
              && pg_connect_start(&s.pg, adoption->options, err) && list_files(&s, err)
              && pg_connect_finish(&s.pg, err) && find_tables(&s, err)
              && open_source(&s, err) && begin(&s, err) && claim_rows(&s, err)
              && read_ledger(&s, err);

    if (ok && adoption->write)
        ok = write_rows(&s, err);
    if (ok)
        tell_all(&s);
    if (ok && !adoption->write && s.ledger.oid == s.history.oid && !adoption->replace)
        say(&s,
            keep_format(&s.keep, "%s is %s's own table", s.history.shown,
                s.history.owner->name),
            "With --yes, add --table NAME to write beside it, or --replace to rename it.");
    pg_close(&s.pg);
    conversion_free(&s.source);
    sqldir_close(&s.dir);
    keep_free(&s.keep);
    return ok;
}
