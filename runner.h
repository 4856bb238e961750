/*
 * rung/runner.h: apply numbered .sql files to PostgreSQL, once each, in order.
 *
 * The library behind the program `rung`.  Fill a `struct rung_options` (start from
 * RUNG_OPTIONS), call one function, look at the error.  Every call opens its own
 * connection and closes it again; there is no global state, so several threads may
 * each migrate a database of their own.
 *
 *     cc start.c $(pkg-config --cflags --libs rung)
 *
 * The library prints nothing, never exits and installs no signal handler.  (libpq does
 * print: it warns on stderr of a password file that others can read.)  What it has to
 * tell while it works it tells through `on_event`.  Callbacks are called in the thread
 * that made the call, before it returns; what they are given is valid during the
 * callback only.  They must return, and may make other calls of the library.
 *
 * A function returns true when it succeeded.  Otherwise `*err` says why: `err->code` is
 * what `rung` exits with.  `*err` is untouched on success.  A `*result` is filled in
 * either case; a `*list` is empty after a failure, where nothing else is said.
 *
 * Pointers must not be NULL where nothing else is said, and belong to who made them.
 * Strings are NUL-terminated UTF-8; file names and messages about them are escaped.
 */
#ifndef RUNG_RUNNER_H
#define RUNG_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUNG_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* Why a call failed; the values are the exit statuses of `rung`. */
enum rung_code {
    RUNG_OK = 0,
    RUNG_FAILED = 1,      /* a migration failed, or a file was refused */
    RUNG_USAGE = 2,       /* an argument makes no sense; no such directory */
    RUNG_DRIFT = 3,       /* files and ledger disagree; a foreign or unusable ledger */
    RUNG_LOCKED = 4,      /* the lock, or lock_timeout: not had in time, try again */
    RUNG_UNREACHABLE = 5, /* no connection */
    RUNG_PENDING = 6,     /* something is pending, where that was asked */
    RUNG_BUG = 70,        /* ours: please report it */
    RUNG_CANCELLED = 71 /* `wake_fd` became readable; `rung` exits with 128 + signal */
};

/*
 * An error as a value.  Strings are empty when not known, and cut where they are too
 * long.  Messages begin in lower case and have no final stop; hints are sentences. What
 * the server or libpq says may have several lines.
 */
struct rung_error {
    enum rung_code code;
    char sqlstate[6];  /* the server's, PostgreSQL manual appendix A */
    char path[512];    /* the file, as the user would type it */
    uint64_t line;     /* from 1; 0: no place known */
    uint64_t column;   /* in characters, from 1; 0: no place known */
    char excerpt[256]; /* that line, or the part of it around the place */
    size_t excerpt_at; /* where in `excerpt` the place is: a byte offset from 0 */
    char message[1024];
    char detail[1024];
    char hint[1024];
    char context[1024];
    char
        outcome[1024]; /* what is applied and what not, and what to do; one paragraph */
};

/* What a version is, seen from the files and the ledger together. */
enum rung_state {
    RUNG_STATE_APPLIED,      /* recorded, and the file is what ran */
    RUNG_STATE_PENDING,      /* to be applied by the next `up` */
    RUNG_STATE_DRAFT,        /* a file without any statement yet */
    RUNG_STATE_EDITED,       /* recorded, but the file is no longer what ran */
    RUNG_STATE_MISSING,      /* recorded, no file, and there are higher files */
    RUNG_STATE_NEWER,        /* recorded, above every file: a release rolled back */
    RUNG_STATE_RENAMED,      /* recorded under another name with the same bytes */
    RUNG_STATE_OUT_OF_ORDER, /* pending, numbered below the newest applied one */
    RUNG_STATE_UNFINISHED,   /* a no-transaction file that began and has not finished */
    RUNG_STATE_DUPLICATE,    /* a second file of the same version */
    RUNG_STATE_MISNAMED      /* a .sql file whose name is no migration's */
};

/* What a plan does with a migration. */
enum rung_step {
    RUNG_STEP_NONE,
    RUNG_STEP_APPLY,  /* run the file in one transaction with its ledger row */
    RUNG_STEP_CHAIN,  /* run it without a transaction, statement by statement */
    RUNG_STEP_RESUME, /* go on with an unfinished no-transaction file */
    RUNG_STEP_RECORD, /* only the row: a file without statements, or a stamp */
    RUNG_STEP_UNDO    /* run the down file and delete the row */
};

#define RUNG_NO_VERSION INT64_C(-1)
#define RUNG_NO_TIME INT64_MIN

/* One version: its file, its row, or both.  Strings are NULL when not known. */
struct rung_migration {
    int64_t version; /* RUNG_NO_VERSION for a misnamed file */
    enum rung_state state;
    enum rung_step step;
    const char *filename; /* the file's name; the recorded one where there is no file */
    const char *name;     /* filename without its number and ending */
    const char *down;     /* the down file's name */
    const char *checksum; /* of the file now, 64 hex digits; NULL: no file */
    uint64_t statements;  /* in the file; 0 when it was not looked into */
    bool draft;           /* pending, and without a statement */
    bool irreversible;    /* pending, and it or (offline) its down file says so */
    bool line_endings_only; /* differs from what ran in line endings or a BOM only */

    bool recorded; /* there is a row; what follows is its content */
    const char *recorded_filename;
    const char *recorded_checksum;
    int64_t applied_at_us; /* microseconds since 1970-01-01 UTC; RUNG_NO_TIME: NULL */
    const char *applied_by;
    int64_t duration_ms;         /* -1: not recorded */
    int64_t recorded_statements; /* how many completed; -1: not recorded */
    int64_t undone;              /* -1: NULL */
    const char *note;

    /* What is wrong, and the way out.  NULL: nothing. */
    const char *problem;
    const char *hint;
    uint64_t line; /* of the problem in the file, from 1; 0: the file as a whole */
    bool fatal;    /* `up` refuses because of it; otherwise it only warns */

    /* Of an unfinished one, in status, plan and verify: who is at it now, "pid 4711
     * (rung, user app, connected for 12 s)"; then it is no problem.  NULL: nobody. */
    const char *runner;
};

/* Versions, as a call found them.  The list owns what is in it: rung_list_free. */
struct rung_list {
    struct rung_migration *items; /* by version, misnamed files last */
    size_t n;
    size_t applied, pending, drafts, problems; /* how many */
    bool ledger_exists;
    bool ledger_checked;   /* verify: false when only the files were looked at */
    bool sums_checked;     /* verify: there was a SHA256SUMS, and it was compared */
    const char *ledger;    /* schema.table, quoted where SQL needs it */
    const char *directory; /* as given */
    const char *database;  /* name; NULL when not connected */
    void *memory;          /* the library's */
};

enum rung_event_kind {
    RUNG_EVENT_FINDING,  /* `migration->problem`: a warning, or why `up` will refuse;
                             NULL: it is a draft, and left alone */
    RUNG_EVENT_WARNING,  /* `message`, `hint` */
    RUNG_EVENT_NOTICE,   /* the server's: `severity`, `message`..., `path`, `line` */
    RUNG_EVENT_WAITING,  /* still waiting: `message` says for what, `elapsed_ms` */
    RUNG_EVENT_RETRY,    /* a file is tried again: `message` says why */
    RUNG_EVENT_START,    /* `migration` begins, `migration->step` says how; small ones
                             may all begin before the first is done */
    RUNG_EVENT_PROGRESS, /* each second: `statement` of `statements`, `bytes` of
                             `total_bytes` */
    RUNG_EVENT_DONE      /* `migration` is applied, recorded or undone: committed.
                             Of an unfinished one that was repaired `message` says what
                             that made of it */
};

struct rung_event {
    enum rung_event_kind kind;
    const struct rung_migration *migration; /* NULL when about none */
    const char *path; /* NOTICE, WARNING, PROGRESS: of the file, as the user types it;
                         otherwise its name in the directory; NULL: about none */
    uint64_t line;    /* from 1; 0: not known */
    const char *severity, *message, *detail, *hint, *sqlstate; /* NULL when not known */
    uint64_t statement, statements; /* the one running, from 1; how many */
    uint64_t bytes, total_bytes;    /* how far in the file, of how many */
    int64_t elapsed_ms; /* since START, or since the waiting began; RETRY: until it */

    /* PROGRESS: of a statement that runs for longer, what the server says of it. */
    uint64_t statement_to;  /* the last one that may be running: some travel together */
    const char *phase;      /* "building index: scanning table"; NULL: nothing */
    int permille;           /* of the phase is done; -1: not known */
    const char *blocked_by; /* who holds the lock that it waits for; NULL: nobody */
};

/*
 * Everything a call needs to know; begin with RUNG_OPTIONS, for zero bytes mean
 * something else.  Times are in milliseconds, and 0 is none.
 */
struct rung_options {
    const char *database;      /* conninfo or URL; NULL: libpq's environment */
    const char *database_from; /* where that is from, for messages: "-d"; may be NULL */
    const char *directory;     /* of the migrations */
    const char *table;         /* the ledger, as SQL would read it */
    int64_t wait_ms;      /* how long to wait for a server that does not answer yet */
    int64_t lock_wait_ms; /* for another runner: 0 fails at once, -1 without limit */
    int64_t lock_timeout_ms;      /* of a statement in a transactional file */
    int64_t lock_retry_for_ms;    /* how long lock_timeout and deadlocks are retried */
    int64_t statement_timeout_ms; /* 0: none */
    bool allow_out_of_order; /* apply files numbered below the newest applied one */
    bool one_transaction;    /* all pending files in one */
    bool keep_source;        /* keep the text of files beside the ledger */
    bool from_ledger;        /* down: where a file is missing, take the kept text */
    /* renumber: names of files that keep their numbers, as another branch has them;
     * ends with NULL; NULL: none */
    const char *const *settled;
    const char *role; /* run the files as this role; NULL: as the user */
    int wake_fd; /* becomes readable (or is not open) to cancel the call, at any moment
                    and from any thread: a pipe, an eventfd.  Never read.  -1: none */
    void (*on_event)(void *arg, const struct rung_event *event); /* NULL: none */
    void *arg;
};

/* What `rung` does without options: the value that yours begin with. */
#ifdef __cplusplus
#define RUNG_OPTIONS (rung_default_options())
#else
#define RUNG_OPTIONS                                                                   \
    ((struct rung_options){ .directory = "migrations",                                 \
        .table = "schema_migrations",                                                  \
        .lock_wait_ms = -1,                                                            \
        .lock_timeout_ms = 3000,                                                       \
        .lock_retry_for_ms = 60000,                                                    \
        .wake_fd = -1 })
#endif

/* RUNG_OPTIONS for other languages. */
struct rung_options rung_default_options(void);

/* What a changing call did, as far as it came. */
struct rung_result {
    size_t done;     /* how many migrations were applied, recorded, undone, renamed */
    int64_t version; /* the newest applied one now; RUNG_NO_VERSION: none, not known */
    size_t drafts;   /* files left alone because they hold no statement yet */
};

/* Apply what is pending, up to and including `version` (RUNG_NO_VERSION: all). */
bool rung_up(const struct rung_options *options, int64_t version,
    struct rung_result *result, struct rung_error *err);

/*
 * Undo migrations, newest first: the newest `count` of them, or with count 0 all above
 * version `keep` (RUNG_NO_VERSION: all).  Runs the down files; edited up files do not
 * matter.  The newest `count` are those of the moment of the call: when another runner
 * applies one more before we have the lock, nothing is undone (RUNG_DRIFT).
 */
bool rung_down(const struct rung_options *options, size_t count, int64_t keep,
    struct rung_result *result, struct rung_error *err);

/* Undo the newest `count` (at least 1) migrations and apply them again: `done` counts
 * both. */
bool rung_redo(const struct rung_options *options, size_t count,
    struct rung_result *result, struct rung_error *err);

/*
 * Record every file up to and including `version` (RUNG_NO_VERSION: all) as applied,
 * without running it: for a database that has those tables already.
 */
bool rung_stamp(const struct rung_options *options, int64_t version,
    struct rung_result *result, struct rung_error *err);

/* What `rung_repair` is to make the ledger accept. */
struct rung_repair {
    const int64_t *versions; /* these; with n == 0 all that need it */
    size_t n;
    const char *reason; /* kept in the row's note */
    bool completed;     /* an unfinished one: it did its work, nobody recorded it */
    /* Shown the list (items with a step will change) under the lock; false: leave it,
     * and fail.  NULL: as if it were true. */
    bool (*confirm)(void *arg, const struct rung_list *list);
    void *arg;
};

/*
 * Make the ledger agree with the files: accept an edit, follow a rename, forget a
 * missing file, settle an unfinished one.  Runs nothing and touches no other row.
 */
bool rung_repair(const struct rung_options *options, const struct rung_repair *repair,
    struct rung_result *result, struct rung_error *err);

/* Every version with its state.  Writes nothing; SELECT on the ledger is enough. */
bool rung_status(
    const struct rung_options *options, struct rung_list *list, struct rung_error *err);

/*
 * What `rung_up` would do: the items with a step, in the order they would run.  Fails
 * as `rung_up` would fail before its first change.
 */
bool rung_plan(const struct rung_options *options, int64_t version,
    struct rung_list *list, struct rung_error *err);

/*
 * Prove that files and ledger agree.  With `offline` only the files are looked at.
 * `*list` is filled, with a `problem` on each item that has one, even when this returns
 * false with RUNG_DRIFT (a problem) or RUNG_PENDING (`no_pending`, and there is one).
 */
bool rung_verify(const struct rung_options *options, bool offline, bool no_pending,
    struct rung_list *list, struct rung_error *err);

void rung_list_free(struct rung_list *list);

/* The rows of the ledger, newest first; works without the directory (NULL will do). */
bool rung_history(
    const struct rung_options *options, struct rung_list *list, struct rung_error *err);

/* A statement of a file, for rung_show. */
struct rung_statement {
    uint64_t number;  /* from 1 */
    uint64_t line;    /* from 1 */
    const char *verb; /* "CREATE TABLE" */
    const char
        *mode; /* how it runs: "", "alone" (refuses a transaction), "COPY data" */
};

/*
 * One version: *list gets its item alone (with its row unless `offline`), and `each`
 * (may be NULL) is called for every statement of its file (its down file, when `down`).
 */
bool rung_show(const struct rung_options *options, int64_t version, bool offline,
    bool down, void (*each)(void *arg, const struct rung_statement *statement),
    void *arg, struct rung_list *list, struct rung_error *err);

/*
 * The script with which psql does what rung_up would do: lock, ledger, each file with
 * its row.  Written piece by piece through `put`, which returns false to stop (an error
 * of the writer's).  `from` other than RUNG_NO_VERSION: the files from that version on,
 * without a connection; those in front of it must be what the ledger has when the
 * script runs.  Fails as `rung_plan` does, and when a migration is unfinished, before
 * anything is written; a file that changes meanwhile leaves a script without its last
 * COMMIT.
 */
bool rung_plan_sql(const struct rung_options *options, int64_t version, int64_t from,
    bool (*put)(void *arg, const char *bytes, size_t n), void *arg,
    struct rung_error *err);

/*
 * Create the next file, as the directory's others are numbered, with a comment and no
 * statement; with `down` its down file too.  Never overwrites.  `path`, of `size`
 * bytes, gets its path: 202 more than options->directory has are enough.
 */
bool rung_new(const struct rung_options *options, const char *name, bool down,
    char *path, size_t size, struct rung_error *err);

/*
 * Give every unapplied file that collides with another or comes late the next free
 * number; its down file and SHA256SUMS go along.  An event RUNG_EVENT_DONE for each has
 * the old name in `message` and the new one in `path`.  `offline`: nothing is known to
 * be applied, so only collisions are settled: the file that came later is moved.  What
 * options->settled names stays; who has a number up to the newest of it comes late, and
 * takes the unapplied ones behind it along. One
 * that was recorded while it held no statement is moved, too, if it was filled since;
 * what it held then stays under the old name.  All are renamed or none.
 */
bool rung_renumber(const struct rung_options *options, bool offline,
    struct rung_result *result, struct rung_error *err);

/*
 * The text of a file as it ran, where --keep-source kept it: *text is the caller's to
 * free(), or NULL when there is none.
 */
bool rung_source(const struct rung_options *options, int64_t version, bool down,
    char **text, struct rung_error *err);

/* Do two texts differ at most in comments and white space? */
bool rung_same_sql(const char *a, const char *b);

/* Write SHA256SUMS anew, in place of the old one or not at all. */
bool rung_sum(const struct rung_options *options, struct rung_error *err);

/* ---- lint ------------------------------------------------------------------------ */

/* What lint looks for.  Strings are literals; sentences but for `id` and `lock`. */
struct rung_rule {
    const char *id;      /* "set-not-null": for `-- rung: allow ID REASON` */
    const char *title;   /* what it is about */
    const char *lock;    /* what the statement locks; "none" */
    const char *why;     /* what that does to a database in use */
    const char *instead; /* the safe form */
};

/* All rules, *n of them, in the order of docs/lint.md. */
const struct rung_rule *rung_lint_rules(size_t *n);

/*
 * One finding.  `error` has the place, the line and the message, in `detail` the lock
 * and why, and in `hint` what to write instead.  Without a `rule` the file is refused,
 * as rung_up would refuse it, or for an `allow` that makes no sense; it was looked at
 * no further.
 */
struct rung_finding {
    const struct rung_rule *rule;
    const struct rung_error *error;
};

struct rung_lint {
    const int64_t *versions; /* look at these; with n == 0 at all */
    size_t n;
    int64_t from; /* but at none below this one; RUNG_NO_VERSION: all */
    void (*each)(void *arg, const struct rung_finding *finding); /* NULL: only count */
    void *arg;
};

struct rung_lint_result {
    size_t files;    /* looked at */
    size_t findings; /* of a rule */
    size_t allowed;  /* findings that an `allow` silenced */
    size_t refused;  /* files */
    bool complete;   /* all that were asked for were looked at */
};

/*
 * Look for what may hurt a database that is in use, in the files alone: there is no
 * connection, and down files are not looked at.  `each` is called file by file and line
 * by line, and what it gets is valid during the call only.  Fails with RUNG_FAILED when
 * a file was refused, otherwise with RUNG_DRIFT when there is a finding; the result is
 * `complete` in both cases.  A version that has no file is RUNG_USAGE.
 */
bool rung_lint(const struct rung_options *options, const struct rung_lint *lint,
    struct rung_lint_result *result, struct rung_error *err);

/* Is that a migration's file name?  Sets its version, and whether it is a down file. */
bool rung_file_name(const char *name, int64_t *version, bool *down);

/* The word for a state, as `status` prints it: "applied", "pending", ...; a literal. */
const char *rung_state_name(enum rung_state state);

#ifdef __cplusplus
}
#endif

#endif
