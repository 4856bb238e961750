/*
 * cli.h: what the files of the program share, lowest layer first.
 *
 * These files stand on runner.h alone, as any other program that uses the library
 * would.
 */
#ifndef RUNG_CLI_H
#define RUNG_CLI_H

#include "runner.h"

#include <stdio.h>
#include <sys/types.h>

struct cli;
struct report;

/* ---- terminal.c: characters, colours, numbers and times ---------------------------
 */

/* What is drawn for the character at some place. */
struct glyph {
    size_t n;     /* its bytes; 0 at the end of the text */
    int width;    /* in columns; of a tab: 1 */
    bool escaped; /* its bytes are shown as \xNN */
};

struct glyph term_glyph(const char *text);

/* The character at some place that is not the end, and how many bytes it has;
 * TERM_INVALID for one byte that is no UTF-8. */
#define TERM_INVALID UINT32_MAX
uint32_t term_decode(const char *text, size_t *n);
int term_width(const char *text);
void term_put_glyph(FILE *f, const char *text, struct glyph glyph);

/* Text on one line. */
void term_text(FILE *f, const char *text);

/* What may have several lines: those behind the first are indented. */
void term_lines(FILE *f, const char *text);

/* A line of somebody else's, with what stands in front of it on the line. */
void term_line(FILE *f, const char *text);

/* The lines of a file, as they are but for what a terminal would obey. */
void term_file(FILE *f, const char *text);
void term_spaces(FILE *f, int n);

/* Select Graphic Rendition codes (ECMA-48). */
#define BOLD "1"
#define DIM "2"
#define RED "1;31"
#define GREEN "32"
#define YELLOW "33"
#define CYAN "36"

void term_paint(FILE *f, bool color, const char *sgr);
void term_unpaint(FILE *f, bool color);
void term_painted(FILE *f, bool color, const char *sgr, const char *text);

/* "no statements", "1 statement", "7 statements". */
void format_count(char *text, size_t size, uint64_t n, const char *noun);

/* "12 ms", "3.4 s", "12 s", "2 min 5 s", "1 h 3 min". */
void format_duration(char *text, size_t size, int64_t ms);

/* The same in whole seconds, for what still goes on. */
void format_elapsed(char *text, size_t size, int64_t ms);

/* "2026-01-31 12:00:00Z", or on a terminal "3 min ago"; empty for RUNG_NO_TIME. */
void format_time(const struct report *r, char *text, size_t size, int64_t us);

/* ---- process.c: other programs ------------------------------------------------------
 */

#define PROCESS_ARGUMENTS 64 /* at most; a vector ends with NULL */

struct process_output {
    char *out; /* what it printed; a NUL follows its `n` bytes */
    size_t n;
    char *complaint; /* what it said on stderr */
    int status;      /* its exit status, or 128 + the signal that ended it */
};

/*
 * Run a program to its end: argv[0] is its path, or a name that is looked for in PATH;
 * `input` (NULL: nothing) is its stdin.  False when it cannot be run, or (with
 * RUNG_CANCELLED) `wake_fd` became readable: then it has been ended.  Whatever its
 * status is, this succeeds.  Free with process_free; nothing after a failure.
 */
bool process_run(const char *const *argv, const char *input, int wake_fd,
    struct process_output *output, struct rung_error *err);
void process_free(struct process_output *output);

/* Become the program of the path argv[0].  Returns only if that fails, with errno. */
void process_exec(const char *const *argv);

/* Unset every variable whose name begins so: for us, and for what we run. */
void process_forget_environment(const char *prefix);

/* ---- throwaway.c: a server of our own -----------------------------------------------
 */

#define THROWAWAY_PATH 1024
#define THROWAWAY_USER "postgres" /* a superuser, and the name of a database */

struct throwaway {
    char bin[THROWAWAY_PATH];       /* the directory of its programs */
    char version[32];               /* "15.16"; empty when not known */
    char directory[THROWAWAY_PATH]; /* all it has */
    char url[THROWAWAY_PATH + 64];  /* where it is reached; fit for a shell */
    const char *user;               /* whom it runs as; NULL: as us */
    uid_t uid;
    gid_t gid;
    pid_t keeper; /* the process that minds it */
    int control;  /* closed, the server ends */
};

/*
 * Find the programs: in `pg_bin`, or, where that is NULL, where pg_config says, in
 * PATH, where distributions put them.  RUNG_USAGE when they are not there.
 */
bool throwaway_find(
    struct throwaway *t, const char *pg_bin, int wake_fd, struct rung_error *err);

/*
 * Boot an empty server and wait until it answers.  It ends, and is deleted, when this
 * process does, however that happens.  Several may run at once.
 */
bool throwaway_start(struct throwaway *t, int wake_fd, struct rung_error *err);

/* Let it live on: from now on `kill` of t->keeper ends and deletes it. */
void throwaway_keep(struct throwaway *t);

/* End and delete it, if it runs and is not to be kept; nothing is left when this
 * returns. */
void throwaway_stop(struct throwaway *t);

/* ---- base_revision.c: the files as a git revision has them
 * ------------------------------
 */

struct report;

/*
 * Compare the migrations of `list` with those of git's revision `base`: what is there
 * must not be edited, renamed or deleted, and what is new must be numbered above it.
 * Each finding is told as one of verify's; *found counts them.  RUNG_USAGE when there
 * is no such revision, RUNG_FAILED when git cannot tell.
 */
bool base_compare(struct report *report, const struct rung_list *list, const char *base,
    int wake_fd, size_t *found, struct rung_error *err);

/* The names of its migrations; the last is followed by NULL. */
struct base_names {
    const char **names;
    char *text; /* where they are */
};

/* The same errors.  Free with base_free, also after a failure. */
bool base_list(const char *directory, const char *base, int wake_fd,
    struct base_names *names, struct rung_error *err);
void base_free(struct base_names *names);

/* ---- diff.c: what differs between two texts ----------------------------------------
 */

/* A text, which ends with NUL, and what a diff calls it. */
struct diff_side {
    const char *label, *text;
};

/*
 * The unified diff of two texts, as `diff -u` makes it.  *diff is the caller's to
 * free(), and empty when they do not differ.  False when there is no diff program, or
 * nowhere to put the texts.
 */
bool diff_texts(const struct diff_side *before, const struct diff_side *after,
    char **diff, struct rung_error *err);

/*
 * The line of `after`, from 1, where it begins to differ from `before`; its last one
 * where it only lacks what follows.  0: they differ in line endings or a byte order
 * mark at most.
 */
uint64_t diff_first_line(const char *before, const char *after);

/* A file's text, the caller's to free(); NULL when it cannot be had, holds NUL bytes,
 * or is larger than 16 MiB. */
char *diff_read_file(const char *directory, const char *name);

/* ---- a report: where it goes, and how -----------------------------------------------
 */

/* The job's summary of GitHub Actions, as far as it is written. */
struct summary {
    FILE *f; /* into `text`; NULL: nothing yet */
    char *text;
    size_t n;
    size_t left; /* rows that found no room */
    char closing[512];
};

enum format {
    FORMAT_TEXT,  /* for people */
    FORMAT_JSON,  /* an object a line, all on `out`: docs/json.md */
    FORMAT_GITHUB /* text, and beside it what GitHub Actions shows: docs/ci.md */
};

struct report {
    FILE *out;                          /* results */
    FILE *err;                          /* everything else */
    enum format format;                 /* each function below minds it */
    const char *command;                /* that is reported on; NULL: none */
    const char *directory;              /* of the migrations, as given */
    const struct rung_options *library; /* for a look on the side; NULL: none */
    bool quiet, verbose;
    bool out_color, err_color;
    bool relative_times; /* "3 min ago" */
    bool redraw;         /* `err` is a terminal: progress is drawn on one line of it */
    int64_t now_us;      /* since 1970-01-01 UTC, for relative times */

    /* The report's own; begins as zeros. */
    bool drawn;                /* a line of progress stands there */
    bool waiting;              /* it was said that we wait */
    int64_t waiting_told_ms;   /* its elapsed_ms when it was */
    int64_t progress_told_ms;  /* the same of a file that takes long */
    bool blocked_told;         /* it was said who blocks it */
    unsigned looks;            /* on the side, so far */
    int out_errno;             /* why writing to `out` failed; 0: it did not */
    struct rung_error refusal; /* the first fatal finding, as rung_up sums it up */
    struct summary summary;    /* github.c's */
};

/* ---- progress.c: what takes long ---------------------------------------------------
 */

/* Take the line of progress away before anything else is written. */
void report_clear(struct report *report);

/* Tell that we wait, and what for; how far a file is. */
void progress_waiting(struct report *report, const struct rung_event *event);
void progress_lasting(struct report *report, const struct rung_event *event);

/* ---- report.c: what the library tells, as text -------------------------------------
 */

/* How bad it is. */
enum level { LEVEL_ERROR, LEVEL_WARNING, LEVEL_NOTICE };

/* Something found in a file.  Strings are NULL where there is nothing to say. */
struct finding {
    enum level level;
    const struct rung_migration *migration; /* NULL: about none */
    const char *path;                       /* as the user would type it */
    uint64_t line, column;                  /* from 1; 0: not known */
    const char *rule;                       /* the id of the rule that is broken */
    const char *message, *detail, *hint;
};

/* Tell it: an answer (on `out`), or beside the answer (on `err`). */
void report_finding(struct report *report, const struct finding *finding, bool answer);

/* The path of a migration's file; cut where it is longer than any path can be. */
#define PATH_BYTES 8192
void report_path_of(char path[PATH_BYTES], const char *directory, const char *filename);

/* For rung_options.on_event; `report` is its `arg`. */
void report_event(void *report, const struct rung_event *event);

/* Does it warn?  The server's notices of other severities do not. */
bool report_is_warning(const struct rung_event *event);

/* An error with its place, its excerpt and the way out, as DESIGN.md shows it. */
void report_error(struct report *report, const struct rung_error *err);

/* A migration's problem and its hint on `out`; `error`: it is more than a warning. */
void report_problem(struct report *report, const char *directory,
    const struct rung_migration *migration, bool error);

/* That a runner is at it, on `out`. */
void report_running(struct report *report, const char *directory,
    const struct rung_migration *migration, const char *message);

/* A finding of lint, on `out`; for rung_lint.each, `report` is a struct report. */
void report_lint(void *report, const struct rung_finding *finding);

/* And how many there were; `code`: what the command will exit with. */
void report_lint_result(
    struct report *report, enum rung_code code, const struct rung_lint_result *result);

/*
 * After a command that changes.  Text only says that there was nothing to do, in the
 * words of `nothing` (NULL: which version is the newest), and only where it is `asked`
 * for.
 */
void report_result(struct report *report, const struct rung_result *result,
    const char *nothing, bool asked);

/* A file that was written; text has `before` in front of it (NULL: text has nothing).
 */
void report_written(struct report *report, const char *before, const char *path);

/* The newest applied migration; NULL: nothing is applied. */
void report_current(struct report *report, const struct rung_migration *migration);

/* The text that ran: to a file as it is, to a terminal without what it would obey. */
void report_source(struct report *report, int64_t version, bool down, const char *text);

/* Push out what was written, and keep in mind why that failed. */
void report_flush(struct report *report);

/* The same at the end.  False, told on `err`, when stdout could not be written.
 */
bool report_finish(struct report *report);

/* "apply"; or "applied" when it is done. */
const char *step_verb(enum rung_step step, bool done);

/* What a repair does to a migration of that state: "accept the edit", or "accepted the
 * edit" when it is done. */
const char *repair_verb(enum rung_state state, bool done);

/* ---- json.c: the same for programs -------------------------------------------------
 *
 * An object is one line: json_open, its keys, json_close.  The keys of every type are
 * docs/json.md's, which a test compares.
 */

/* `{"format":1,"type":TYPE`, and its end. */
void json_open(struct report *r, const char *type);
void json_close(struct report *r);

void json_text(struct report *r, const char *key, const char *text); /* NULL: null */
void json_bool(struct report *r, const char *key, bool yes);
void json_number(struct report *r, const char *key, int64_t n);  /* below 0: null */
void json_place(struct report *r, const char *key, uint64_t at); /* 0: null */

/* A version: a string, since it may have more digits than JavaScript's numbers. */
void json_version(struct report *r, const char *key, int64_t version);

/* RFC 3339, in UTC. */
void json_time(struct report *r, const char *key, int64_t us);

/* The object that ends a command, begun: its own keys are to follow. */
void json_open_result(struct report *r, enum rung_code code);

/* What the functions of report.c and listing.c say. */
void json_event(struct report *r, const struct rung_event *event);
void json_error(struct report *r, const struct rung_error *err);
void json_finding(struct report *r, const struct finding *finding);
void json_migration(struct report *r, const struct rung_migration *m);
void json_statement(struct report *r, const struct rung_statement *statement);
void json_result(struct report *r, const struct rung_result *result);

/* ---- github.c: what GitHub Actions makes of it -------------------------------------
 */

/* An annotation.  `title` and what follows may be NULL. */
struct annotation {
    enum level level;
    const char *title;
    const char *path;
    uint64_t line, column; /* 0: not known */
    const char *message, *detail, *hint, *outcome;
};

/* Show it at the file's line, and keep it for the job's summary. */
void github_annotate(struct report *r, const struct annotation *annotation);

/* A row of the job's summary, and the line below its table. */
void github_row(struct report *r, const char *what, const char *name, const char *text);
void github_closing(struct report *r, const char *text);

/* Append the summary to the file that $GITHUB_STEP_SUMMARY names.  A failure is a
 * warning on `err`. */
void github_finish(struct report *r);

/* ---- listing.c: answers that are lists ---------------------------------------------
 */

/* `code`: what the command will exit with. */
void report_status(
    struct report *report, const struct rung_list *list, enum rung_code code);
void report_verify(struct report *report, const struct rung_list *list,
    const char *base, enum rung_code code);
void report_plan(struct report *report, const struct rung_list *list);

/* The newest `most` rows; 0: all. */
void report_history(struct report *report, const struct rung_list *list, uint64_t most);

/* One migration, with its row. */
void report_show(struct report *report, const struct rung_list *list);

/* A statement of it, for rung_show; `report` is a struct report. */
void report_statement(void *report, const struct rung_statement *statement);

/* Behind them. */
void report_shown(struct report *report);

/* ---- compare.c: what is recorded beside what is on disk ----------------------------
 */

/* What diff_texts made, on `f`, its lines in the usual colours. */
void report_diff(FILE *f, bool color, const char *diff);

/*
 * How the edited files of a list differ from the texts that were kept, as far as they
 * were: on `out`, and each gets the `line` where that begins.  Nothing when that cannot
 * be known: whoever may not read the kept text is not to fail.  Each look takes a
 * connection, so only the first dozen edits of a run get one.
 */
void report_edits(struct report *report, struct rung_list *list);

/* As report_event, but an edit that is found gets its line, in the same way. */
void report_event_placed(void *report, const struct rung_event *event);

/* What `repair` will change (the items with a step), on `err`. */
void report_repairs(struct report *report, const struct rung_list *list);

/* ---- words.c: what was meant ------------------------------------------------------
 */

#define NEAREST_MOST 24 /* longer words are not compared */

/* The best of the candidates seen so far; begins as zeros. */
struct nearest {
    const char *word;
    size_t distance;
};

/* Is this candidate near to what was typed, and nearer than the others? */
void words_consider(struct nearest *best, const char *typed, const char *candidate);

/* What `rung NAME` of another tool is here: a hint.  False: none that we know. */
bool words_translate(const char *name, struct rung_error *err);

/* ---- options.c: the command line --------------------------------------------------
 */

/* A command's bit, for the options that it takes. */
enum {
    FOR_UP = 1,
    FOR_DOWN = 2,
    FOR_REDO = 4,
    FOR_STATUS = 8,
    FOR_PLAN = 16,
    FOR_VERIFY = 32,
    FOR_NEW = 64,
    FOR_CURRENT = 128,
    FOR_HISTORY = 256,
    FOR_SHOW = 512,
    FOR_STAMP = 1024,
    FOR_REPAIR = 2048,
    FOR_RENUMBER = 4096,
    FOR_SUM = 8192,
    FOR_HELP = 16384,
    FOR_LINT = 32768,
    FOR_TEST = 65536,
    FOR_ALL = -1
};

/* One command.  A table of them ends with one that has no name. */
struct command {
    const char *name;
    int bit;
    const char *argument; /* "NAME", "[VERSION]" where it may be left out,
                             "[VERSION]..." for several; NULL: it takes none */
    const char *summary;  /* its line in --help; NULL: another name of the one above */
    const char *help; /* more, for `rung help COMMAND`; lines of at most 80 columns */
    int (*run)(const struct cli *cli, struct report *report); /* the exit status */
};

enum color_when { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/* A command line, read. */
struct cli {
    struct rung_options library;
    const struct command *commands; /* the table */
    const struct command *command;  /* NULL: none was named */
    const char *argument;           /* the command's first; NULL: none was given */
    char **arguments;               /* all of them, `n_arguments` */
    size_t n_arguments;
    enum color_when color;
    enum format format;
    bool dry_run, offline, no_pending, exit_code;
    bool all, yes, completed, down, applied, sql;
    const char *to, *from; /* versions */
    const char *base;      /* a git revision */
    const char *limit;     /* a count */
    const char *reason;
    const char *pg_bin; /* test: where the server's programs are */
    bool keep;          /* test: leave the server running */
    bool quiet, verbose, help, version;
    uint64_t given; /* a bit for each row of the option table that was used */
    char *secret;   /* what library.database points to, if it came from argv */
};

/*
 * Read argv (which ends with NULL) and the environment: RUNG_DIR and so on; variables
 * that are empty count as not set.  `cli` points into both, and argv's pointers are
 * moved; but for the connection string: that is copied and overwritten in argv, where
 * every user of the machine could read it.  Fails with RUNG_USAGE; no value that may
 * hold a password is in the message.  Free with cli_free, also after a failure.
 */
bool cli_parse(struct cli *cli, const struct command *commands, char **argv,
    struct rung_error *err);
void cli_free(struct cli *cli);

/* The value of an environment variable; NULL when it is not set, or empty. */
const char *cli_environment(const char *name);

/* Read VERSION: one to eighteen digits.  NULL: RUNG_NO_VERSION. */
bool cli_read_version(const char *text, int64_t *version, struct rung_error *err);

/* Read how many: from 1 on, without zeros in front.  NULL: `initial`. */
bool cli_read_count(
    const char *text, size_t initial, size_t *count, struct rung_error *err);

/* The command of that name; NULL, with the nearest one as a hint, when there is none.
 */
const struct command *cli_find_command(
    const struct command *commands, const char *name, struct rung_error *err);

/* Set a usage error (printf).  False. */
bool cli_fail(struct rung_error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Give it a hint: a sentence that says the way out.  False. */
bool cli_hint(struct rung_error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- help.c -----------------------------------------------------------------------
 */

/* Groups of options in --help. */
enum help_group { WHERE, WAITS, WORK, OUTPUT };

/* An option as help shows it. */
struct option_help {
    const char *name;
    char letter; /* '\0': long form only */
    const char *arg;
    const char *initial; /* shown as the default; NULL: nothing to be said */
    const char *help;    /* NULL: another name of the option above */
    int commands;        /* that take it */
    enum help_group group;
};

/* The option at some place of the table; false behind its end. */
bool cli_option_help(size_t at, struct option_help *option);

/* The whole help; that of one command; what bare `rung` says. */
void cli_print_help(FILE *out, const struct command *commands);
void cli_print_command_help(FILE *out, const struct command *command);
void cli_print_short_help(FILE *out, const struct command *commands);

/* ---- testing.c --------------------------------------------------------------------
 */

/* What `rung test` does: the exit status, an enum rung_code. */
int testing_run(const struct cli *cli, struct report *report);

/* ---- commands.c -------------------------------------------------------------------
 */

/* What rung can do: `run` returns an enum rung_code. */
extern const struct command cli_commands[];

#endif
