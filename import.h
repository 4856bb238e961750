/*
 * import.h: what the files of rung-import share, lowest layer first.
 *
 * rung-import stands on librung.a: it splits SQL, hashes, judges and connects with the
 * library's own modules (internal.h), so that what it writes is what rung will accept.
 */
#ifndef RUNG_IMPORT_H
#define RUNG_IMPORT_H

#include "internal.h"

/* ---- text.c: memory, slices, the text of a file -----------------------------------
 */

/* Memory that goes all at once.  `failed`: some of it could not be had. */
struct keep {
    struct kept_block *last;
    bool failed;
};

/* `n` bytes, all zero; NULL when out of memory, and then keep->failed. */
void *keep_room(struct keep *keep, size_t n);

/* A NUL-terminated copy; "" when out of memory, so that it need not be looked at. */
const char *keep_text(struct keep *keep, struct str text);
const char *keep_format(struct keep *keep, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void keep_free(struct keep *keep);

/* A file in the making: lines of another one, and where they stand there. */
struct text {
    PQExpBufferData bytes;
    PQExpBufferData lines; /* a uint64_t for each line; 0: it is ours */
    bool no_transaction;
};

/* The line at *at, with its end, and step over it; empty behind the last. */
struct str next_line(struct str text, size_t *at);
struct str str_trim(struct str s); /* without white space at both ends */

/* Does any token stand in it, not only comments? */
bool has_statement(struct str sql);

/* The line, from 1, of the first variable that psql would replace; 0: there is none. */
uint64_t find_variable(struct str sql);

void text_add(struct text *text, struct str line, uint64_t number);

/* Bytes of another text, which begin and end with a line. */
void text_add_part(
    struct text *text, const struct text *from, size_t start, size_t end);

/*
 * Make sure that what follows begins a new line; and a new statement: a tool that sends
 * one section at a time does not miss the semicolon behind its last statement.  The
 * section begins at byte `from`.
 */
void text_end_line(struct text *text);
void text_end_statement(struct text *text, size_t from);

struct str text_bytes(const struct text *text);
void text_open(struct text *text);
void text_close(struct text *text);
bool text_broken(const struct text *text); /* out of memory */

/* "-- rung: no-transaction" above everything but a byte order mark. */
void text_put_directive(struct text *text);

/* Where in the file that was converted does this line stand?  0: it is ours. */
uint64_t text_line(const struct text *text, uint64_t line);

/* ---- convert.c: another tool's directory as migrations of rung's ------------------
 */

/* One migration, as the old tool knows it and as rung will. */
struct migration {
    const char *key;       /* the tool's version: "20200101120000", "1.2", a revision */
    const char *title;     /* its name without the version */
    const char *up_path;   /* in SOURCE; NULL: there is only a down file */
    const char *down_path; /* NULL: none, or in the same file */
    struct str original;   /* the bytes of up_path */
    struct text up, down;  /* what is to be run */
    bool has_down;
    bool refused;              /* a problem says why */
    bool up_there, down_there; /* conversion_write: the file is there already */
    int64_t version;
    char up_name[FILE_NAME_ROOM], down_name[FILE_NAME_ROOM];
};

/* Why a file cannot be converted; or, as a warning, that it was left out. */
struct problem {
    const char *path; /* as the user would type it */
    uint64_t line;    /* from 1; 0: the file as a whole */
    const char *message;
    bool warning;
    struct problem *next;
};

struct conversion {
    const struct tool *tool;
    struct sqldir dir; /* SOURCE, opened, not listed */
    struct keep keep;
    const char **paths; /* the files in it, sorted by their bytes */
    size_t n_paths;
    struct migration *migrations; /* in the tool's order, once they are converted */
    size_t n;
    bool renumbered; /* 001... in the tool's order; the key is in front of the title */
    struct problem *problems, **last_problem;
    size_t n_refused; /* problems that are no warnings */
};

/*
 * Read SOURCE and convert what is in it.  What cannot be converted is in c->problems;
 * this fails only where SOURCE cannot be read.  Free with conversion_free, also after a
 * failure.
 */
bool conversion_read(struct conversion *c, const struct tool *tool, const char *source,
    struct rung_error *err);
void conversion_free(struct conversion *c);

/* A problem of the file at `path` in SOURCE (printf), or a warning.  False. */
bool conversion_refuse(struct conversion *c, const char *path, uint64_t line,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void conversion_warn(struct conversion *c, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Whole file of SOURCE, kept; problems are refusals.  False: there is one. */
bool conversion_load(struct conversion *c, const char *path, struct str *text);

/* Does the name end in .sql, in capital letters or small ones? */
bool convert_is_sql(const char *path);

/* Is there a file of that name in SOURCE? */
bool conversion_has(const struct conversion *c, const char *path);

/* A new migration at the end of the list; NULL when out of memory. */
struct migration *conversion_add(
    struct conversion *c, const char *key, const char *title);

/* Number, name and judge what is in c->migrations, which is in the tool's order. */
bool conversion_finish(struct conversion *c, struct rung_error *err);

/*
 * Write the files into the directory, which is made if need be: all or none.  `write`
 * false: only look whether that could be done.  *made counts.  Existing files are never
 * touched; one that has these very bytes already is passed over.
 */
bool conversion_write(struct conversion *c, const char *directory, bool write,
    size_t *made, struct rung_error *err);

/* Versions with dots: 1.2 is 1.2.0, and 9 comes before 10. */
int convert_compare(const char *left, const char *right);

/*
 * `title` as a part of a file name of rung's: what may not stand there is replaced, at
 * most `room` bytes are kept.  Returns `buffer`.
 */
#define TITLE_ROOM 200
const char *convert_title(char buffer[TITLE_ROOM], const char *title, size_t room);

/* ---- match.c: what a row calls its file, and what a file is called ----------------
 */

struct wanted {
    const char *key, *name; /* name NULL: not recorded */
    bool number;            /* the key is digits alone */
    char fit[TITLE_ROOM];   /* the key as a title begins with it */
};

struct wanted want(const char *key, const char *name);

/* "1.2" of the title "1.2_users": what stands in front of the first underscore. */
const char *title_key(struct keep *keep, const char *title);

/* Does the title begin with the key?  Then *rest is what follows. */
bool title_begins(const char *title, const struct wanted *wanted, const char **rest);

/* Does the title say what the tool calls it?  Case, blanks, hyphens and underscores do
 * not matter; a NULL name is any. */
bool title_is(struct keep *keep, const char *title, const char *name);

/* ---- marks.c: files that hold both ways --------------------------------------------
 */

/* struct tool's `convert`, of the tool in its name. */
void convert_dbmate(struct conversion *c, struct migration *m);
void convert_goose(struct conversion *c, struct migration *m);
void convert_tern(struct conversion *c, struct migration *m);
void convert_node(struct conversion *c, struct migration *m);

/* ---- dialect.c: how each tool names its files, and what they say ------------------
 */

enum role {
    ROLE_NONE, /* the tool does not run it */
    ROLE_UP,   /* the up file, or the only one */
    ROLE_DOWN,
    ROLE_REFUSED /* a problem says why */
};

enum tool_order {
    BY_VERSION, /* numbers, also with dots */
    BY_NAME,    /* the bytes of the whole name */
    AS_LISTED   /* as `list` found them */
};

struct tool {
    const char *word; /* behind --from */
    const char *name; /* for people */
    enum tool_order order;
    bool deep;            /* subdirectories are searched */
    bool shared_versions; /* several files of one are no mistake: they go by name */
    bool bare;            /* it opens no transaction: the file does, or goes without */
    /* Instead of all that follows: read SOURCE, of which there may be several. */
    bool (*read)(struct conversion *c, const char *const *sources, size_t n,
        struct rung_error *err);
    /* What is this file?  Sets key and title (kept).  NULL: `list` knows. */
    enum role (*role)(
        struct conversion *c, const char *path, const char **key, const char **title);
    /* Fill c->migrations, with key, title and paths, where names are not enough.  What
     * is wrong is a problem. */
    void (*list)(struct conversion *c);
    /* Take m->original, which holds both ways, apart into m->up and m->down.  NULL: a
     * file is what is to be run. */
    void (*convert)(struct conversion *c, struct migration *m);
    /* Look at a file that is to be run: refuse what would have been something else in
     * the tool; sets text->no_transaction.  NULL: there is nothing to look for. */
    void (*look)(
        struct conversion *c, const char *path, struct str bytes, struct text *text);
};

/* The tool of that word; NULL when files of no such tool are known. */
const struct tool *tool_find(const char *word);

/* The table, for messages: NULL behind its end. */
const struct tool *tool_at(size_t i);

/* ---- alembic.c: what Alembic prints, as files -------------------------------------
 */

/*
 * What a file's first comments say: "-- Running upgrade A, B -> C", and "-- depends on:
 * D".  *revision is C, kept; *parents, on which it stands, a list for alembic_next,
 * kept.  False: they do not say it.
 */
bool alembic_read_head(
    struct keep *keep, struct str file, const char **revision, struct str *parents);
struct str alembic_next(struct str *list); /* empty at its end */

/*
 * conversion_read for Alembic: `sources` is its project's directory, where it is run,
 * or files with what it has printed.
 */
bool alembic_read(
    struct conversion *c, const char *const *sources, size_t n, struct rung_error *err);

/* ---- tables.c: what each tool's table says -----------------------------------------
 */

/* A row of the tool's table, as its query brings it.  NULL: not recorded. */
struct history_row {
    const char *key, *name;
    const char *applied; /* a timestamptz as text */
    const char *sum, *by, *ms;
    const char *flag; /* NULL: it was applied.  "ignored", "baseline"; anything else:
                         why the history cannot be taken over */
};

/* What is known of the file that belongs to a row. */
struct evidence {
    const struct sqlfile *file; /* rung's */
    struct str original;        /* the tool's bytes */
    const char *path;           /* the tool's name of it; NULL: not known */
};

/* The tool's table, once it was found. */
struct history {
    const struct foreign *owner;
    const struct history_tool *tool;
    char schema[NAME_BYTES], table[NAME_BYTES], database[NAME_BYTES];
    char quoted[4 * NAME_BYTES + 8]; /* for SQL */
    char shown[4 * NAME_BYTES + 8];  /* for people */
    uint32_t oid;
};

enum history_reach {
    REACH_EACH,     /* a row for each migration */
    REACH_UP_TO,    /* one row: all up to it are applied */
    REACH_ANCESTORS /* a row for each head: it and what it stands on are applied */
};

enum history_time {
    TIME_NONE,
    TIME_LOCAL, /* without a zone: read in the session's */
    TIME_ZONED
};

struct history_tool {
    const char *word;  /* foreign.c's */
    const char *query; /* behind SELECT; %s: the table */
    bool bare_names; /* digits, and what parts them, in front of a name do not count */
    enum history_reach reach;
    enum history_time time;
    /* Is the row's checksum that of the file?  NULL: nobody can tell. */
    bool (*sum)(
        struct keep *keep, const struct history_row *row, const struct evidence *file);
    int64_t lock; /* its advisory lock; 0: none, or see lock_key */
    int64_t (*lock_key)(struct keep *keep, const struct history *history);
};

const struct history_tool *history_tool_find(const char *word);

struct adoption;

/*
 * The table that is meant, of those that foreign_sql_tables has found; all but
 * `database`. False: there is none, or several.
 */
bool history_take(struct history *h, const struct adoption *wish, const PGresult *res,
    struct rung_error *err);

/* ---- adopt.c: the old table's history as rung's ledger ----------------------------
 */

struct adopted;

struct adoption {
    const struct rung_options *options; /* database, directory, table */
    const char *from;                   /* NULL: find out */
    const char *old_table;              /* NULL: as the tool calls it */
    const char *source;                 /* the tool's files; NULL: rung's are enough */
    bool write, replace, skip;
    /* Called for what is done, or would be; the strings are valid meanwhile. */
    void (*tell)(void *arg, const struct adopted *adopted);
    void (*note)(void *arg, const char *message, const char *hint);
    void *arg;
};

/* A row that goes, or would go, into the ledger. */
struct adopted {
    const char *filename;
    const char *applied; /* NULL: the time of adoption */
    bool there;          /* it is in the ledger already */
};

bool adopt(const struct adoption *adoption, struct rung_error *err);

#endif
