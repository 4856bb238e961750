/*
 * internal.h: what the modules of rung offer each other, lowest layer first.
 *
 * A module uses only what stands above it here.  main.c and report.c do not include
 * this file: they live on runner.h alone.
 */
#ifndef RUNG_INTERNAL_H
#define RUNG_INTERNAL_H

#include "runner.h"

#include <sys/types.h>
#include <time.h>

#include <libpq-fe.h>

/* pqexpbuffer.h is libpq's, exported, but expects this of PostgreSQL's own c.h. */
#ifndef pg_attribute_printf
#define pg_attribute_printf(format_at, first_at)                                       \
    __attribute__((format(printf, format_at, first_at)))
#endif
#include <pqexpbuffer.h>

#define KIB(n) ((size_t)(n)*1024)
#define MIB(n) KIB((size_t)(n)*1024)

/* ---- base.c: slices, the error value, UTF-8, time ------------------------------- */

/* Bytes somewhere else.  Not NUL-terminated; owned by whoever made them. */
struct str {
    const char *p;
    size_t n;
};

#define STR_NONE SIZE_MAX
#define STR(literal) ((struct str){ literal, sizeof(literal) - 1 })

struct str str_of(const char *z);
struct str str_slice(struct str s, size_t start, size_t end);
struct str str_from(struct str s, size_t start); /* up to the end */
bool str_starts(struct str s, struct str start);
bool str_ends(struct str s, struct str end);

/* 0 to 9; how many of them `s` begins with. */
bool is_digit(char c);
size_t str_digits(struct str s);

/* Where `needle` begins in `s` at or after `from`; STR_NONE when nowhere. */
size_t str_find(struct str s, struct str needle, size_t from);
bool str_eq(struct str a, struct str b);

/* Equal but for the case of ASCII letters: how SQL compares keywords. */
bool str_eq_fold(struct str a, struct str b);

/* A NUL-terminated copy, the caller's to free; NULL when out of memory. */
char *str_dup(struct str s);

/* Set `err` to a code and a message (printf); every other field is emptied.  False. */
bool err_set(struct rung_error *err, enum rung_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, with a hint: a sentence that says the way out. */
bool err_hint(struct rung_error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

bool err_memory(struct rung_error *err);

/* snprintf that cuts at a character's border, never inside one. */
void text_format(char *buffer, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * How many bytes of `s` are valid UTF-8 without a NUL byte.  Stops in front of the
 * first byte that is not; a character cut off by the end of `s` is left out as well,
 * and *cut (may be NULL) says that this is why it stopped.
 */
size_t utf8_valid(struct str s, bool *cut);

/* How many characters `s`, valid UTF-8, holds; and where character `n` (from 0) begins.
 */
size_t utf8_count(struct str s);
size_t utf8_offset(struct str s, size_t n);

/*
 * `s` fit to be shown on one line: control characters and invalid UTF-8
 * as \xNN.  Writes at most `size` bytes with the NUL.  Returns `buffer`.
 */
const char *text_escape(char *buffer, size_t size, struct str s);

/* Of a clock that only goes forward. */
int64_t clock_ms(void);
int64_t clock_us(void);

/* ---- checksum.c: SHA-256 and SHA256SUMS ----------------------------------------- */

#define CHECKSUM_BYTES 65 /* 64 lowercase hex digits and a NUL */

/* A running SHA-256.  Opaque: OpenSSL's EVP_MD_CTX. */
struct checksum;

struct checksum *checksum_new(struct rung_error *err); /* NULL: err says why */
void checksum_free(struct checksum *sum);
bool checksum_reset(struct checksum *sum, struct rung_error *err);
bool checksum_update(struct checksum *sum, struct str bytes, struct rung_error *err);

/* The digest of what went in so far; more may follow. */
bool checksum_hex(
    const struct checksum *sum, char hex[CHECKSUM_BYTES], struct rung_error *err);

/* Is this a SHA-256 in text, 64 hex digits of either case? */
bool checksum_is_hex(struct str text);

/* ---- sqlfile.c: the directory, and names ----------------------------------------- */

enum sqlfile_type {
    SQLFILE_UP,
    SQLFILE_DOWN,
    SQLFILE_MISNAMED, /* looks like a typo: `up` warns */
    SQLFILE_REFUSED   /* recognisably something else, or nothing that can be read */
};

/* One directive's value, or what is used without it. */
struct directives {
    bool no_transaction, irreversible;
    int64_t lock_timeout_ms, statement_timeout_ms; /* -1: not given */
};

/* What judge.c found out by reading a file through. */
struct verdict {
    bool judged;
    uint64_t statements; /* 0: a draft or a no-op */
    bool blank;          /* not even a comment */
    bool no_transaction; /* run statement by statement */
    bool wrapped;        /* one outer BEGIN; ... COMMIT; */
    bool in_one_piece; /* no COPY data, and nothing that changes how strings are read */
    char modes[128];   /* what the file asks for: "ISOLATION LEVEL SERIALIZABLE,
                          DEFERRABLE";     empty: nothing */
    struct directives directives;
};

/* By which one sees that a file was not touched since it was read. */
struct file_stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec modified, changed;
};

struct sqlfile {
    char *name; /* in the directory, any bytes */
    enum sqlfile_type type;
    int64_t version;      /* RUNG_NO_VERSION when it has none */
    const char *problem;  /* why the name is MISNAMED or REFUSED: a literal */
    struct sqlfile *down; /* of an UP file: its down file, or NULL; owned by the list */
    uint64_t size;        /* 0 until it was read */
    char checksum[CHECKSUM_BYTES]; /* empty until then */
    char *bytes;             /* the whole file where it is small; NULL: read it again */
    char *refusal;           /* why it cannot run, where that is a finding; or NULL */
    uint64_t refusal_line;   /* and where */
    bool line_endings_only;  /* see sqlfile_line_endings_only */
    struct file_stamp stamp; /* when it was read */
    struct verdict verdict;
};

/* A directory, opened once; files are opened in it. */
struct sqldir {
    const char *path; /* as given, for messages */
    int fd;
    struct sqlfile *
        *files; /* by version, then name; up and down files, misnamed last */
    size_t n;
    size_t cached_bytes;

    /* The ledger, which is no file's to create: judge.c.  NULL: not known. */
    const char *ledger_schema, *ledger_table;
    bool ledger_in_path; /* a name without a schema may mean it */
};

/*
 * Open the directory and list it: every name that ends in .sql, judged by the rules of
 * DESIGN.md, Files.  Reads no file.  Fails with RUNG_USAGE when there is no such
 * directory or it cannot be read.  Free with sqldir_close, also after a failure.
 */
bool sqldir_open(struct sqldir *dir, const char *path, struct rung_error *err);
void sqldir_close(struct sqldir *dir);

/*
 * What is in a name?  Fills type, version and problem; `name` is the bytes of a
 * directory entry that ends in .sql.  Pure.
 */
void sqlfile_name(struct sqlfile *file, struct str name);

/* May a filename that was read from a ledger be shown and opened?  The same rule. */
bool sqlfile_name_ok(struct str name);

/* "name" of 007_name.up.sql: the part between number and ending.  Points into `name`.
 */
struct str sqlfile_title(struct str name);

/* How a directory's list is ordered: by version, then name; what has no version last.
 */
int sqlfile_order(const struct sqlfile *a, const struct sqlfile *b);

/* ---- source.c: the bytes of a file ----------------------------------------------- */

/*
 * "directory/name" fit to be shown: escaped, no doubled slash; of a very long directory
 * only the end.  `size` is 512, or more.  Returns `buffer`.
 */
const char *sqldir_path(
    char *buffer, size_t size, const struct sqldir *dir, const char *name);

/* Where the bytes come from: memory, or a descriptor (fd >= 0) read with pread. */
struct source {
    const char *path; /* for messages: directory/name, escaped */
    const char *bytes;
    int fd;
    uint64_t size;
    char path_text[512];
};

/*
 * Open a regular file of the directory; the caller closes the descriptor.  -1 with
 * `err` set.  Never hangs.
 */
struct stat;
int source_open_at(const struct sqldir *dir, const char *name, struct stat *st,
    struct rung_error *err);

/* cannot WHAT "directory/name": the reason in errno.  False, as is the next. */
bool source_failed(struct rung_error *err, const char *what, const struct sqldir *dir,
    const char *name);
bool source_changed(struct rung_error *err, const struct sqldir *dir, const char *name);

/* Open a file for reading.  O_NONBLOCK | O_CLOEXEC and fstat: never hangs. */
bool source_open(struct source *src, const struct sqldir *dir,
    const struct sqlfile *file, struct rung_error *err);
void source_close(struct source *src);

/* Up to `n` bytes from `offset`; fewer only at the file's end. */
bool source_read(const struct source *src, uint64_t offset, char *buffer, size_t n,
    size_t *got, struct rung_error *err);

/* Take the bytes from `from` up to `to` into a running checksum. */
bool checksum_source(struct checksum *sum, const struct source *src, uint64_t from,
    uint64_t to, struct rung_error *err);

/*
 * Put path, line, column and excerpt of byte `offset` into `err`, whose message is
 * already set.  Reads the file up to there.  Always returns false.
 */
bool source_place(const struct source *src, uint64_t offset, struct rung_error *err);

/* ---- digest.c: the bytes of the files, read once -----------------------------------
 */

/*
 * Read every up file (and, with `downs`, down file) once and fill size, checksum and,
 * for small ones while they add up to less than 8 MiB, bytes.
 */
bool sqldir_hash(struct sqldir *dir, bool downs, struct rung_error *err);

/*
 * The same for up files of at most 4 MiB; larger ones keep an empty checksum for now.
 * `meanwhile`, if not NULL, is called now and then, each millisecond or so.
 */
bool sqldir_hash_small(struct sqldir *dir, void (*meanwhile)(void *arg), void *arg,
    struct rung_error *err);

/*
 * Take over what an earlier scan of the same directory learnt about files that have not
 * been touched since: checksum, bytes, verdict.  `old` is left without those bytes.
 */
void sqldir_adopt(struct sqldir *dir, struct sqldir *old);

bool sqlfile_hash(struct sqldir *dir, struct sqlfile *file, struct rung_error *err);

/*
 * Does the file differ from the bytes of `checksum` only in its line endings (LF or
 * CRLF throughout) or a byte order mark?  Reads the file; sets line_endings_only.
 */
bool sqlfile_line_endings_only(struct sqldir *dir, struct sqlfile *file,
    const char *checksum, struct rung_error *err);

/* ---- checksum.c: SHA256SUMS, the digests of a directory ------------------------- */

#define SUMS_NAME "SHA256SUMS"

struct sums_entry {
    char *name;
    char checksum[CHECKSUM_BYTES];
    uint64_t line; /* in SHA256SUMS, from 1 */
};

struct sums {
    struct sums_entry *entries; /* sorted by the bytes of their names */
    size_t n;
};

enum sums_kind {
    SUMS_DIFFERENT,  /* listed with another digest than the file has */
    SUMS_NOT_LISTED, /* an up or down file that SHA256SUMS does not have */
    SUMS_GONE        /* listed, but no up or down file of the directory */
};

struct sums_finding {
    const char *name; /* any bytes; points into the sums or the directory */
    enum sums_kind kind;
    uint64_t line;       /* in SHA256SUMS; 0: not there */
    const char *problem; /* a literal */
};

/*
 * Read lines as sha256sum writes them: "HEX  name", "HEX *name", and with a backslash
 * in front where the name holds a backslash, \n or \r.  Comments (#) are stepped over.
 * Fails with `path` and the line on any other, on a name with a slash, on a name that
 * comes twice. `path` is for messages, fit to be shown.  Free with sums_free; nothing
 * after a failure.
 */
bool sums_parse(
    struct sums *sums, struct str text, const char *path, struct rung_error *err);
void sums_free(struct sums *sums);

/* The directory's SHA256SUMS; *found is false, and this true, when there is none. */
bool sums_read(
    struct sums *sums, const struct sqldir *dir, bool *found, struct rung_error *err);

/*
 * Where do they disagree?  The directory was hashed, down files too.  *findings, sorted
 * by name, is the caller's to free() and points into `sums` and `dir`.
 */
bool sums_compare(const struct sums *sums, const struct sqldir *dir,
    struct sums_finding **findings, size_t *n, struct rung_error *err);

/* What SHA256SUMS should say of the directory, hashed with its down files. */
bool sums_render(PQExpBuffer out, const struct sqldir *dir, struct rung_error *err);

/* Write that, in place of the old one or not at all, and have it on disk. */
bool sums_write(const struct sqldir *dir, struct rung_error *err);

/* ---- lexer.c: PostgreSQL's tokens ------------------------------------------------ */

enum token_type {
    TOKEN_END,    /* nothing but white space and comments up to the end */
    TOKEN_WORD,   /* keyword or plain identifier */
    TOKEN_NAME,   /* "quoted", also U&"..." */
    TOKEN_STRING, /* '...', E'', B'', X'', N'', U&'', $$...$$; with continuations */
    TOKEN_NUMBER,
    TOKEN_PARAMETER, /* $1 */
    TOKEN_OPERATOR,
    TOKEN_PUNCTUATION, /* one byte: ( ) [ ] , ; : . */
    TOKEN_BACKSLASH,   /* a psql command, or a mistake */
    TOKEN_INVALID,     /* one byte that begins no token */
    TOKEN_OPEN /* does not end within `sql`: read more, or complain at `start` */
};

struct token {
    enum token_type type;
    size_t start, end; /* byte offsets from 0 in the text */
    const char *what;  /* of a string, a name, TOKEN_OPEN: "quoted string", "quoted
                          identifier", ...; NULL: nothing that could be left unclosed */
    bool escapes;      /* a string in which a backslash escapes */
};

struct lexer {
    bool more;             /* the text goes on behind the slice */
    bool backslash_quotes; /* standard_conforming_strings is off */
};

/*
 * The token at or behind byte `at`, after white space and comments.  Pure.  With
 * lexer.more a token that touches the end of `sql` and may go on is TOKEN_OPEN, and
 * TOKEN_END says that white space reaches the end of the slice.
 */
struct token lex_next(const struct lexer *lexer, struct str sql, size_t at);

/* Just past the white space at `at`. */
size_t lex_space(struct str sql, size_t at);

/* Where the line comment that holds `at` ends: at its newline, or at sql.n. */
size_t lex_line_comment(struct str sql, size_t at);

/*
 * Go on in a block comment of *depth levels at `at`.  Returns the byte behind its end,
 * with *depth 0; otherwise where to go on once more text is there.
 */
size_t lex_block_comment(struct str sql, size_t at, size_t *depth);

/* Is the token this keyword (given in upper case), not quoted?  This one byte? */
bool token_is(struct str sql, struct token token, const char *word);
bool token_byte(struct str sql, struct token token, char byte);

/* ---- cursor.c: a walk over a statement's tokens ---------------------------------- */

struct cursor {
    const struct lexer *lexer;
    struct str sql;
    struct token token; /* the one being looked at */
};

/* At the first token. */
struct cursor cursor_at(const struct lexer *lexer, struct str sql);
void cursor_step(struct cursor *c);
bool cursor_ended(const struct cursor *c);

/* Does this keyword (given in upper case), this byte, this operator stand here? */
bool cursor_is(const struct cursor *c, const char *word);
bool cursor_is_byte(const struct cursor *c, char byte);
bool cursor_is_operator(const struct cursor *c, struct str operator);

/* Step over it, if it stands here: a keyword, a byte, ( ... ), one part of a name, a
 * whole name (parts with dots between). */
bool cursor_take(struct cursor *c, const char *word);
bool cursor_take_byte(struct cursor *c, char byte);
bool cursor_take_group(struct cursor *c);
bool cursor_take_part(struct cursor *c);
bool cursor_take_name(struct cursor *c);

/* Step over one token, or over the whole ( ... ) or [ ... ] that opens here. */
void cursor_skip(struct cursor *c);

#define NAME_BYTES 64 /* NAMEDATALEN */

/*
 * The identifier that stands here (a TOKEN_WORD or TOKEN_NAME), as the server knows it:
 * folded or unquoted, decoded, and cut.  Returns how many bytes it had.
 */
size_t cursor_identifier(const struct cursor *c, char name[NAME_BYTES]);

/* The possibly qualified name that begins here, as written. */
struct str cursor_name(const struct cursor *c);

/* The text of a word, a quoted name or a string constant, without its quotes.  False
 * when that would need decoding. */
bool cursor_text(const struct cursor *c, struct str *text);

/*
 * Step over `pattern`, if all of it stands here.  A pattern is made of parts with
 * spaces between: WORD is a keyword, A|B one of some, [A] may be missing, NAME is a
 * possibly qualified name, () a group in parentheses, * that operator, $ the end.
 */
bool cursor_match(struct cursor *c, const char *pattern);

/* ---- kind.c: what a statement is, from its tokens -------------------------------- */

enum sql_kind {
    SQL_ORDINARY,     /* runs anywhere */
    SQL_BEGIN,        /* BEGIN, START TRANSACTION */
    SQL_COMMIT,       /* COMMIT, END */
    SQL_COMMIT_CHAIN, /* COMMIT / ROLLBACK ... AND CHAIN */
    SQL_ROLLBACK,     /* ROLLBACK, ABORT */
    SQL_SAVEPOINT,    /* SAVEPOINT, RELEASE, ROLLBACK TO: harmless inside */
    SQL_PREPARE_TRANSACTION,
    SQL_SET_TRANSACTION, /* SET [LOCAL] TRANSACTION modes */
    SQL_SET,             /* SET, RESET, SET SESSION CHARACTERISTICS, SET ROLE, ... */
    SQL_COPY_IN,         /* COPY ... FROM STDIN */
    SQL_CALL,            /* CALL and DO: may commit */
    SQL_ALONE            /* refused inside a transaction block */
};

/* What a later resume must know of a completed statement. */
enum sql_session {
    SQL_SESSION_NONE,
    SQL_SESSION_SET,       /* to be replayed */
    SQL_SESSION_TEMPORARY, /* lost with the session: no resume behind it */
    SQL_SESSION_PREPARED,
    SQL_SESSION_LISTEN
};

/* What a statement does to the lexing of what follows. */
enum sql_lexing {
    SQL_LEXING_SAME,
    SQL_LEXING_STANDARD,  /* standard_conforming_strings on */
    SQL_LEXING_BACKSLASH, /* standard_conforming_strings off */
    SQL_LEXING_UNKNOWN,   /* standard_conforming_strings set to something not literal */
    SQL_LEXING_OTHER, /* backslash_quote: nothing changes for us, but cut the batch */
    SQL_LEXING_ENCODING_UTF8,
    SQL_LEXING_ENCODING_OTHER /* client_encoding is set to anything else */
};

struct sql_traits {
    enum sql_kind kind;
    const char
        *label; /* "CREATE INDEX CONCURRENTLY", "BEGIN": a literal, for messages */
    enum sql_session session;
    enum sql_lexing lexing;
    bool copy_binary;  /* SQL_COPY_IN: binary, which no text file can hold */
    bool read_only;    /* asks for a transaction that is READ ONLY */
    bool local;        /* SQL_SET: SET LOCAL, undone at the transaction's end */
    bool to_default;   /* SQL_SET, DISCARD ALL: what lexing depends on becomes the
                          server's default, where rung needs its own */
    struct str modes;  /* SQL_BEGIN, SQL_SET_TRANSACTION: the modes, as written */
    bool concurrently; /* SQL_ALONE: of the CONCURRENTLY family (lock_timeout 0) */
    struct str table;  /* CREATE TABLE, SQL_COPY_IN: the table's name, as written */
};

/* What is this statement?  `sql` is one whole statement, without its semicolon.  Pure.
 */
struct sql_traits sql_traits(const struct lexer *lexer, struct str sql);

/*
 * The statement's verb phrase for people: "CREATE TABLE", "INSERT", "ALTER TABLE".  Up
 * to three words, upper case, cut at the object's name.  Pure.  `buffer` is returned.
 */
const char *sql_verb(char *buffer, size_t size, struct str sql);

/* ---- window.c: the bytes of a file, as far as they are in memory ---------------- */

/*
 * A reader.  Bytes come into the window once, at its end (the frontier): there they are
 * checked and hashed.  `at` walks behind.
 */
struct reader {
    const struct source *src;
    struct lexer lexer;
    struct checksum
        *hash;          /* NULL, or: every byte of the file goes in, once, in order */
    uint64_t checked;   /* the frontier: so far the file is UTF-8, and hashed */
    const char *bad;    /* why the byte at `checked` cannot be read; NULL */
    bool eof;           /* the window reaches the file's end */
    const char *window; /* `buffer`, or the source's own bytes */
    char *buffer;       /* NULL for a source in memory */
    size_t size;        /* of the buffer */
    size_t step;        /* the first size */
    size_t limit;       /* a statement of so many bytes is refused */
    uint64_t base;      /* file offset of window[0] */
    size_t n;           /* bytes in it */
    size_t at;          /* where the next statement is looked for */
    uint64_t number;    /* statements so far */
    uint64_t line, line_at; /* the line of file offset line_at */
    bool started;           /* a byte order mark was looked for */
    bool seen_text;         /* anything but white space so far */
    bool reading_statement;

    bool copying;       /* the last statement's COPY data is not read yet */
    bool copy_found;    /* and `at` is in it */
    bool copy_mid_line; /* and not at the beginning of a line */
    uint64_t copy_start, copy_start_line; /* the COPY statement */
    uint64_t line_end;  /* end of a COPY's line that holds further statements; or 0 */
    uint64_t rest;      /* where they begin */
    uint64_t copy_from; /* where the next COPY data, or the file, goes on behind it */
    uint64_t copy_from_line;

    /* Called for each comment, with its first COMMENT_BYTES, when it is found between
     * or (reading_statement) within statements; NULL: nobody listens.  Set after
     * reader_open. */
    bool (*on_comment)(
        void *arg, struct str text, uint64_t offset, struct rung_error *err);
    void *comment_arg;
};

#define COMMENT_BYTES 1024
#define READER_WINDOW KIB(256)
#define STATEMENT_LIMIT ((size_t)1000000000)

/*
 * Begin reading.  `window` is the first size, in bytes, at least 16; READER_WINDOW
 * outside tests.  `hash` may be NULL; it is the caller's.  The source must outlive the
 * reader.  Free with reader_close, also after a failure.
 */
bool reader_open(struct reader *r, const struct source *src, size_t window,
    struct checksum *hash, struct rung_error *err);
void reader_close(struct reader *r);

/*
 * Bring at least one more character in, or find the file's end (r->eof).  Bytes in
 * front of file offset `keep` may go.  Fails on a byte that no text holds: only here,
 * so it matters only once somebody asks for it.
 */
bool window_fill(struct reader *r, uint64_t keep, struct rung_error *err);

/*
 * What can be seen now: the window, or the part of it up to the end of a COPY's line.
 * *more: there is more to see, by window_fill.
 */
struct str window_view(const struct reader *r, bool *more);

/* Count the lines up to file offset `offset`, which is in the window. */
void window_count_lines(struct reader *r, uint64_t offset);

/* Go to another place of the file, behind the frontier or at it. */
void window_jump(struct reader *r, uint64_t offset, uint64_t line);

/* ---- split.c: a file's statements, one after another, over a window -------------- */

struct statement {
    uint64_t number; /* from 1 */
    uint64_t offset; /* of its first byte in the file */
    uint64_t end;    /* just past its last byte, in front of the semicolon */
    uint64_t line;   /* of `offset`, from 1 */
    struct str text; /* those bytes; valid until the next call with this reader */
    struct sql_traits traits;
};

/*
 * The next statement.  *found is false at the file's end.  COPY data that the caller
 * did not read is stepped over (and must end).  Fails, with the place in the file, on
 * whatever could not be sent as it stands: an unclosed quote, comment or parenthesis, a
 * psql command, bytes that are not UTF-8, COPY data without its end.
 */
bool sql_next(
    struct reader *r, struct statement *stmt, bool *found, struct rung_error *err);

/*
 * After a SQL_COPY_IN: the next block of its data, whole lines where they fit the
 * window, without the final \. line.  An empty block is the end.
 */
bool sql_copy_data(struct reader *r, struct str *block, struct rung_error *err);

/* ---- judge.c: can this file run, and how ----------------------------------------- */

/*
 * Is this statement not to be sent, because rung's own BEGIN and COMMIT stand for it?
 * In a transactional file these are the outer BEGIN and COMMIT of a wrapped one, and
 * the SET TRANSACTIONs at its beginning, whose modes are in verdict.modes.  They count
 * as statements all the same.
 */
bool verdict_skips(const struct verdict *verdict, const struct statement *stmt);

/*
 * Read a file through, from its first byte to its last, and fill file->verdict: how
 * many statements, which directives, in a transaction or without.  Refuses, with the
 * place, what rung cannot run (DESIGN.md, How up runs, 4 to 6).  Checks that the bytes
 * have file->checksum.
 */
bool judge_file(const struct sqldir *dir, struct sqlfile *file, struct rung_error *err);

/* The timeouts of a file, in milliseconds: what its directives say, or else the
 * options.
 */
int64_t directives_lock_timeout_ms(
    const struct directives *directives, const struct rung_options *options);
int64_t directives_statement_timeout_ms(
    const struct directives *directives, const struct rung_options *options);

/* Is the comment a directive?  *text becomes what stands behind `rung:`. */
bool directive_read(struct str *text);

/* Cut the first word off `text`, and the white space around it. */
struct str directive_word(struct str *text);

/* ---- rules.c, alter.c: what in a statement may hurt a database in use ------------ */

/* Lint's rules, in the order of rung_lint_rules. */
enum lint_rule {
    RULE_INDEX,
    RULE_IF_NOT_EXISTS,
    RULE_ADD_COLUMN,
    RULE_COLUMN_TYPE,
    RULE_NOT_NULL,
    RULE_NOT_VALID,
    RULE_USING_INDEX,
    RULE_RENAME_DROP,
    RULE_WHERE,
    RULE_IDENTIFIER,
    RULES /* how many */
};

/* Which rule has that id?  RULES: none. */
size_t rules_find(struct str id);

struct rule_hit {
    enum lint_rule rule;
    size_t at; /* byte of the statement, from 0 */
    char message[256];
};

/* A table's name; `schema` is empty where none is given. */
struct table {
    char schema[NAME_BYTES], name[NAME_BYTES];
};

enum fact_kind {
    FACT_CREATED,   /* a table */
    FACT_NOT_VALID, /* a table's constraint, added so */
    FACT_VALIDATED, /* a table, one of whose constraints was validated */
    FACT_TOLD       /* a name that is too long, and was reported */
};

/* Something that an earlier statement of the file did. */
struct fact {
    enum fact_kind kind;
    struct table table;    /* with its schema */
    char part[NAME_BYTES]; /* the constraint's name; or empty */
};

/* One file, statement by statement. */
struct rules {
    bool transaction;             /* it runs in one */
    char search_path[NAME_BYTES]; /* the schema of names without one */
    struct fact *facts;
    size_t n, capacity;
    bool (*found)(void *arg, const struct rule_hit *hit); /* false: out of memory */
    void *arg;
    bool out_of_memory;
};

void rules_open(struct rules *r, bool transaction);
void rules_close(struct rules *r);

/* Look at the next statement of the file: call `found` for all that may hurt. */
bool rules_look(struct rules *r, const struct lexer *lexer, struct str sql,
    bool (*found)(void *arg, const struct rule_hit *hit), void *arg,
    struct rung_error *err);

/* What alter.c needs of it.  Report what stands at the cursor (printf). */
void rules_report(struct rules *r, enum lint_rule rule, const struct cursor *c,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Step over a possibly qualified name; a database in front of it is dropped. */
bool rules_take_table(struct cursor *c, struct table *table);

/* [ONLY] name [*], ONLY (name). */
bool rules_take_relation(struct cursor *c, struct table *table);
void rules_skip_if_exists(struct cursor *c);

/* Facts belong to `r`; a later rules_add_fact moves them. */
struct fact *rules_find_fact(const struct rules *r, enum fact_kind kind,
    const struct table *table, const char *part);
void rules_add_fact(
    struct rules *r, enum fact_kind kind, const struct table *table, const char *part);

/* The fact that the file created the table itself.  A temporary one comes before others
 * of its name. */
struct fact *rules_find_created(const struct rules *r, const struct table *table);

/* Is it a table that nobody else has seen? */
bool rules_is_own(const struct rules *r, const struct table *table);

/* ALTER [FOREIGN] TABLE, and nothing else that begins with ALTER. */
void rules_see_alter(struct rules *r, struct cursor *c);

/* ---- lint.c: rung_lint -- one file of it ----------------------------------------- */

/*
 * Look at a file, whatever its name.  What it is refused for, with a place in it, is
 * told like a finding; fails for want of memory, or when the file cannot be read.
 */
bool lint_file(const struct sqldir *dir, struct sqlfile *file,
    const struct rung_lint *wanted, struct rung_lint_result *result,
    struct rung_error *err);

/* ---- conninfo.c: connection strings, checked and never printed ------------------ */

/*
 * What libpq is to be given for `database` (a URL, a conninfo string, a name, or NULL).
 * Accepts postgresql+driver://; names a URL parameter that libpq does not know. Returns
 * a copy, the caller's to free, or NULL with err set (RUNG_USAGE): no part of the
 * string that could belong to a password is in it.  *copy is NULL for NULL.
 */
bool conninfo_check(const char *database, char **copy, struct rung_error *err);

/*
 * The connection `conn` was not had, and `err` says why: put into its detail which
 * host, port, database and user were tried and where each came from.  `conninfo` is
 * what libpq was given (or NULL), `from` where that came from.  Where one of them looks
 * like a piece of a connection string with a password, `err` names its source instead,
 * and nothing that quotes it is left.  Always returns false.
 */
bool conninfo_tell_tried(
    PGconn *conn, const char *conninfo, const char *from, struct rung_error *err);

/* ---- watch.c: a second connection that looks on --------------------------------- */

/* A statement that runs longer than this is worth a second connection. */
#define WATCH_PATIENCE_MS 2000

enum watch_state {
    WATCH_CLOSED,
    WATCH_CONNECTING,
    WATCH_OPENING, /* our settings are on their way */
    WATCH_ASKING,
    WATCH_RESTING, /* until the next look */
    WATCH_GIVEN_UP /* it cannot be had: nothing more is tried */
};

struct watch {
    enum watch_state state;
    PGconn *conn;
    PostgresPollingStatusType polling; /* while connecting */
    int pid;                           /* of the process that is looked at */
    int64_t patience_ms; /* after so long without an answer it is looked at */
    int64_t asked_ms;    /* the answer that was waited for in the last turn */
    int64_t due_ms;      /* the next look */
    int64_t give_up_ms;  /* when what is under way has taken too long */
    int tables;          /* of the answer, so far */
    char failed[6];      /* its SQLSTATE, or empty */
    bool plain;          /* how far it is cannot be asked here */

    /* What was seen. */
    char phase[96]; /* empty: the server says nothing */
    int permille;   /* of the phase; -1: not known */
    bool blocked;
    char blocker[512]; /* who did, when somebody last looked; the caller empties it */
};

/* Be ready to look at process `pid`.  Nothing is connected yet.  `watch` was zeroed or
 * opened before; free with watch_close, also after it gave up. */
void watch_open(struct watch *watch, int pid);
void watch_close(struct watch *watch);

/*
 * One turn, before each poll of a wait: `watched` waits since `asked_ms` for the same
 * answer.  Connects, asks, takes answers, as far as that goes without waiting.  *fd is
 * what is to be polled too (.fd -1: nothing).  Returns in how many milliseconds the
 * next turn is due; may be past or far.
 */
struct pollfd;
int64_t watch_turn(
    struct watch *watch, PGconn *watched, int64_t asked_ms, struct pollfd *fd);

/* Fill phase, permille and blocked_by. */
void watch_tell(const struct watch *watch, struct rung_event *event);

/* How our transactions begin, before the file's name. */
#define OUR_QUERY "/* rung: "

/* What a backend runs, on one line; of our own transactions only the file's name. */
void watch_describe_query(const char *query, char *text, size_t size);

/* ---- pg.c: the connection ------------------------------------------------------- */

struct pg {
    PGconn *conn;
    const struct rung_options *options; /* wake_fd, wait_ms, on_event */
    char *conninfo;                     /* checked; NULL: libpq's environment */
    bool cancelled;                     /* wake_fd became readable: drain, then stop */
    PostgresPollingStatusType polling;  /* while connecting */
    bool timed_out;      /* the last attempt to connect: nobody answered */
    int64_t give_up_ms;  /* when a server that ignores our cancel is left; 0: not yet */
    bool check_interval; /* the server takes client_connection_check_interval */
    bool claim_origin;   /* session_replication_role is not origin by itself */
    bool quiet;          /* our own statements run: drop their notices */
    int64_t started_ms;  /* of what is being waited for, for elapsed_ms */
    int64_t asked_ms;    /* when the answer that is due was asked for */
    int64_t ticked_ms;   /* when it was last told that it takes time */
    char
        after_reset[512]; /* SQL: what RESET ALL takes away behind a pooler; or empty */
    size_t after_reset_n; /* its statements */

    /* Who is at work, for notices and progress; NULL: nobody. */
    void (*place)(void *arg, struct rung_event *event);
    void *place_arg;

    struct watch *watch; /* looks on while a file's statement runs; NULL: nobody */
};

enum pg_wait {
    PG_READY,
    PG_TIMEOUT,
    PG_WOKEN /* wake_fd is readable */
};

/*
 * Begin to connect (PQconnectStartParams), so that the directory can be read meanwhile.
 * Looks host names up, which blocks.  Free with pg_close, also after a failure.
 */
bool pg_connect_start(
    struct pg *pg, const struct rung_options *options, struct rung_error *err);

/* Go on with that as far as it goes without waiting.  True: nothing is left but to call
 * pg_connect_finish. */
bool pg_connect_step(struct pg *pg);

/* Wait for the connection; for a server that is not there yet up to options->wait_ms.
 */
bool pg_connect_finish(struct pg *pg, struct rung_error *err);
void pg_close(struct pg *pg);

/* Is the connection gone?  Then what the last statements did is not known. */
bool pg_lost(const struct pg *pg);

/* Wait for the socket (POLLIN, POLLOUT; 0: for none), at most until `deadline_ms`, -1:
 * for ever.  Every wait of the library is in here. */
enum pg_wait pg_wait(struct pg *pg, short events, int64_t deadline_ms);

/* Sleep `ms`, but wake for wake_fd: then false with RUNG_CANCELLED. */
bool pg_sleep(struct pg *pg, int64_t ms, struct rung_error *err);

/* Ask the server to stop what it runs.  Whether it did is seen in the results. */
void pg_cancel(struct pg *pg);

/* Push out what is queued, however long that takes. */
bool pg_flush(struct pg *pg, struct rung_error *err);

/* Send one simple Query and push it out.  Rows come one by one (single row mode). */
bool pg_send(struct pg *pg, const char *sql, struct rung_error *err);

/*
 * The next result of what was sent; *res is NULL at the end.  The caller clears it.
 * False: the connection is lost (RUNG_UNREACHABLE), or a cancel got no answer.
 */
bool pg_next(struct pg *pg, PGresult **res, struct rung_error *err);

/* Read and drop what is left of the results. */
bool pg_drain(struct pg *pg, struct rung_error *err);

#define PG_TABLES 4
struct pg_tables {
    PGresult *tables[PG_TABLES]; /* of the statements that return rows, in order */
    size_t n;
};

/*
 * Run our own SQL, one Query of some statements, and keep their rows.  An error of the
 * server's is err, with its SQLSTATE, but for the answer to a cancel of ours, which is
 * RUNG_CANCELLED; what came before it is in `tables` all the same.
 */
bool pg_query(struct pg *pg, const char *sql,
    struct pg_tables *tables, /* may be NULL */
    struct rung_error *err);
void pg_tables_clear(struct pg_tables *tables);

/* The same in two: send it, and wait for what came of it. */
bool pg_ask(struct pg *pg, const char *sql, struct rung_error *err);
bool pg_answer(struct pg *pg, struct pg_tables *tables, struct rung_error *err);

/* Take back what is open.  Nothing to say when that fails: then it is lost as well. */
void pg_roll_back(struct pg *pg);

/* The server's refusal as an error, without a place.  False. */
bool pg_error(struct rung_error *err, const PGresult *res);

/* RUNG_CANCELLED when the user asked to stop; otherwise true. */
bool pg_go_on(const struct pg *pg, struct rung_error *err);

/* Send `event` to the caller's callback, if there is one. */
void event_send(const struct rung_options *options, const struct rung_event *event);

/* ---- ledger.c: the SQL of schema_migrations, and its rows ----------------------- */

struct ledger_row {
    int64_t version;
    char *filename, *checksum;
    int64_t applied_at_us;                   /* RUNG_NO_TIME: NULL */
    char *applied_by;                        /* NULL when not recorded, as below */
    int64_t duration_ms, statements, undone; /* -1: NULL */
    char *note;
};

struct ledger_rows {
    struct ledger_row *rows; /* by version */
    size_t n;
};

void ledger_rows_free(struct ledger_rows *rows);

/* A number that changes with whatever a runner does to the ledger. */
uint64_t ledger_rows_mark(const struct ledger_rows *rows);

/* The table: how it was asked for, and where it was found. */
struct ledger {
    char
        given[2 * NAME_BYTES * 2 + 8]; /* quoted, as given: the schema may be missing */
    char wanted_schema[NAME_BYTES];    /* empty: by search_path */
    char table[NAME_BYTES];
    char schema[NAME_BYTES];             /* where it is, or is to be created */
    char quoted[2 * NAME_BYTES * 2 + 8]; /* "schema"."table", for SQL and messages */
    uint32_t oid;                        /* 0: there is none */
    int64_t lock_key;
    char database[NAME_BYTES], user[NAME_BYTES]; /* session_user */
    int backend_pid;                             /* as SQL says it */
    bool standby;
    bool replica; /* session_replication_role: triggers and foreign keys do not run */
};

/* Read `--table` as SQL reads a name.  RUNG_USAGE when it is none. */
bool ledger_name(struct ledger *ledger, const char *text, struct rung_error *err);

/* `quoted` and `given` anew, after schema, wanted_schema or table were changed. */
bool ledger_requalify(struct ledger *ledger, struct rung_error *err);

/* An identifier in double quotes where SQL needs them; 2 * NAME_BYTES + 3 suffice. */
const char *ledger_quote(char *buffer, size_t size, const char *name);

/*
 * SQL text.  Everything is appended to `sql`; identifiers and literals are quoted, all
 * functions, operators and types are named with pg_catalog.
 */
void ledger_sql_find(PQExpBuffer sql, const struct ledger *ledger);
void ledger_sql_oid(PQExpBuffer sql, const struct ledger *ledger); /* a row, or none */
void ledger_sql_rows(PQExpBuffer sql, const struct ledger *ledger);
void ledger_sql_namesakes(PQExpBuffer sql, const struct ledger *ledger);
void ledger_sql_elsewhere(PQExpBuffer sql, const struct ledger *ledger);
void ledger_sql_inspect(PQExpBuffer sql, const struct ledger *ledger);
void ledger_sql_columns(PQExpBuffer sql, const struct ledger *ledger);
void ledger_sql_create(PQExpBuffer sql, const struct ledger *ledger);
void ledger_sql_widen(PQExpBuffer sql, const struct ledger *ledger);
void ledger_sql_try_lock(PQExpBuffer sql, const struct ledger *ledger);
void ledger_sql_holds_lock(PQExpBuffer sql, const struct ledger *ledger);
void ledger_sql_retake_lock(PQExpBuffer sql, const struct ledger *ledger);
void ledger_sql_lock_table(PQExpBuffer sql, const struct ledger *ledger);
void ledger_sql_is_newest(
    PQExpBuffer sql, const struct ledger *ledger, int64_t version);
void ledger_sql_is_there(PQExpBuffer sql, const struct ledger *ledger, int64_t version);
void ledger_sql_unchanged(PQExpBuffer sql, const struct ledger *ledger, int64_t version,
    bool undo, uint64_t done);
void ledger_sql_holder(PQExpBuffer sql, const struct ledger *ledger);

/* A row as it is written; times and durations are the server's. */
struct ledger_entry {
    int64_t version;
    const char *filename, *checksum;
    uint64_t statements;
};

/* The row of a file that begins; `finished`: applied_at is set, otherwise NULL. */
void ledger_sql_insert(PQExpBuffer sql, const struct ledger *ledger,
    const struct ledger_entry *entry, bool finished, const char *note);

/*
 * The end of it.  Fails with 22012 unless exactly one row of this very table is hit.
 * duration_ms -1: since the row was made, in this very transaction.
 */
void ledger_sql_finish(PQExpBuffer sql, const struct ledger *ledger,
    const struct ledger_entry *entry, int64_t duration_ms);

/* `statements` of an unfinished file are done, their bytes have `checksum`. */
void ledger_sql_progress(
    PQExpBuffer sql, const struct ledger *ledger, const struct ledger_entry *entry);

/* Write a note into the row of an unfinished file or undo; NULL: take it out. */
void ledger_sql_note(
    PQExpBuffer sql, const struct ledger *ledger, int64_t version, const char *note);

/* The same with a mark of ours, in front of what else the note says. */
void ledger_sql_mark(
    PQExpBuffer sql, const struct ledger *ledger, int64_t version, const char *mark);

/*
 * How many statements of a down file that runs without a transaction are done.  `mark`
 * (NULL: none) has the checksum of their bytes, for which there is no column.
 */
void ledger_sql_undone(PQExpBuffer sql, const struct ledger *ledger, int64_t version,
    uint64_t undone, const char *mark);
void ledger_sql_delete(PQExpBuffer sql, const struct ledger *ledger, int64_t version);

/* Fails with 22012 when the row is there again, or the table is another one. */
void ledger_sql_absent(PQExpBuffer sql, const struct ledger *ledger, int64_t version);

/* Record without running. */
void ledger_sql_stamp(PQExpBuffer sql, const struct ledger *ledger,
    const struct ledger_entry *entry, const char *note);

/*
 * Record what another tool has applied.  NULL: at this moment, by who is connected;
 * duration_ms -1: not known.
 */
void ledger_sql_adopt(PQExpBuffer sql, const struct ledger *ledger,
    const struct ledger_entry *entry, const char *applied_at, const char *applied_by,
    int64_t duration_ms, const char *note);

/* Take a file as it is for what was applied; the time of applying stays, if known. */
void ledger_sql_accept(PQExpBuffer sql, const struct ledger *ledger,
    const struct ledger_entry *entry, const char *note);

void ledger_sql_literal(PQExpBuffer sql, const char *text);

/* Decode the answer to ledger_sql_find: schema, oid, pid, ... */
bool ledger_found(struct ledger *ledger, const PGresult *res, struct rung_error *err);

/* Decode the answer to ledger_sql_rows.  RUNG_DRIFT when it is no ledger of ours. */
bool ledger_decode(
    struct ledger_rows *rows, const PGresult *res, struct rung_error *err);

/* ---- foreign.c: the tables of other migration tools ------------------------------
 */

struct foreign {
    const char *word;  /* rung-import history --from WORD */
    const char *files; /* rung-import files --from ...; NULL: the same word */
    const char *name;  /* for people */
    const char
        *shared; /* whose a table of these columns may be; NULL: only the tool's */
    const char *schema; /* NULL: wherever it is found */
    const char *table;
    const char *columns[4]; /* by which it is known */
};

/* Has the table such a column? */
typedef bool foreign_has(const void *columns, const char *name);

/* A foreign_has of names that commas separate, as foreign_sql_tables yields them. */
bool foreign_listed(const void *list, const char *name);

const struct foreign *foreign_at(size_t i); /* NULL behind the last */
const struct foreign *foreign_find(const char *word);

/* Has it the columns of the tool's table? */
bool foreign_fits(const struct foreign *tool, foreign_has *has, const void *columns);

/* Whose is a table of that name (NULL: of any) and these columns?  NULL: nobody's. */
const struct foreign *foreign_whose(
    const char *table, foreign_has *has, const void *columns);

/* Has it the columns of a ledger of rung's? */
bool foreign_is_ledger(foreign_has *has, const void *columns);

/*
 * Tables that have the name of a tool's, in any schema: oid, schema, name, whether the
 * search_path finds it ('t'), its columns.  `word`: of that tool alone.  `named`: of
 * this name instead.
 */
void foreign_sql_tables(PQExpBuffer sql, const char *word, const struct ledger *named);

/* ---- trust.c: may the table be believed and written to? ------------------------- */

/* schema.table for people, quoted only where SQL needs it.  Returns `buffer`. */
const char *ledger_shown(const struct ledger *ledger, char *buffer, size_t size);

/* The answer to ledger_sql_inspect: may it be written to?  *widen: columns are missing.
 */
bool ledger_judge(const struct ledger *ledger, const PGresult *res, bool *widen,
    struct rung_error *err);

/* The server refused us to write to it: say which right is missing.  False. */
bool ledger_denied(const struct ledger *ledger, struct rung_error *err);

/* The answer to ledger_sql_columns: say whose table it is.  False, RUNG_DRIFT. */
bool ledger_foreign(
    const struct ledger *ledger, const PGresult *res, struct rung_error *err);

/* ---- session.c: the state of our session ---------------------------------------- */

/*
 * The settings that no role or database default may choose for us, as SET or SET LOCAL
 * statements that end in ";\n"; *n (may be NULL) grows by how many.
 */
void session_sql_overrides(PQExpBuffer sql, const struct pg *pg, bool local, size_t *n);

/* Those of them that the lexer relies on. */
void session_sql_lexing(PQExpBuffer sql, bool local, size_t *n);

/*
 * Triggers and foreign keys do not run for us, by a default of the role or database:
 * have the overrides put that right, or refuse where `user` may not.
 */
bool session_claim_origin(struct pg *pg, const char *user, struct rung_error *err);

/* What a statement takes from the session that we had put there. */
enum session_loss {
    SESSION_KEEPS,
    SESSION_LOSES_SETTINGS,
    SESSION_LOSES_ROLE,
    SESSION_LOSES_BOTH
};

/* RESET ALL, RESET ROLE, DISCARD ALL and their like.  Pure. */
enum session_loss session_loss(struct str sql);

/* Undo what an earlier file left in the session, then the overrides again. */
void session_sql_reset(PQExpBuffer sql, const struct pg *pg, size_t *n);

/* Before any text of ours is sent: strings are standard, the encoding is UTF-8. */
bool session_mend(struct pg *pg, struct rung_error *err);

/* Does the server still read strings as the splitter does? */
bool session_same_lexing(
    const struct pg *pg, const struct reader *reader, struct rung_error *err);

/* ---- place.c: where in a statement, when the server does not say ---------------- */

/*
 * The byte of `sql` (one statement) that a refusal is best shown at.  `query` and
 * `position` (characters from 1, as text) are those of a query inside a function, or
 * NULL; `context` may be empty.
 *
 * Source: PostgreSQL manual, PQresultErrorField, PG_DIAG_INTERNAL_POSITION.
 */
size_t place_guess(struct str sql, const char *message, const char *context,
    const char *query, const char *position);

/* ---- batch.c: statements on their way to the server, and what came back --------- */

enum batch_part {
    BATCH_OPENING,
    BATCH_ROW, /* our INSERT: its key is the lock of that version */
    BATCH_STATEMENT,
    BATCH_DEFERRED, /* what the file left to the end of its transaction */
    BATCH_GUARD,    /* are lock and row still as we left them? */
    BATCH_CLOSING,
    BATCH_COMMIT
};

struct batch_item {
    enum batch_part part;
    size_t at, n;          /* its bytes in `text` */
    uint64_t number;       /* BATCH_STATEMENT: of the statement in the file, from 1 */
    uint64_t offset, line; /* and where it stands there */
    const struct batch_file *file;
};

/* One Query that is being put together, run, and taken apart again. */
/* The file that statements come from. */
struct batch_file {
    struct source src;
    const struct rung_migration *migration; /* for events */
    uint64_t statements;                    /* in the file */
};

struct batch {
    struct pg *pg;
    const struct batch_file *file; /* of what is added next; NULL: none yet */
    PQExpBufferData text;
    struct batch_item *items;
    size_t n, capacity;
    size_t done;               /* items that have completed */
    size_t committed;          /* BATCH_COMMITs among them */
    bool whole;                /* several files: not to be sent before it is complete */
    bool rows;                 /* of the next one, a row has come */
    uint64_t copied;           /* so far in the file its COPY data was sent; 0: none */
    enum batch_part failed;    /* where an error struck */
    uint64_t failed_statement; /* its number; 0: none of the file's */
};

#define BATCH_BYTES KIB(128)

bool batch_open(struct batch *batch, struct pg *pg, struct rung_error *err);
void batch_close(struct batch *batch);

/* Mark what was appended to batch->text since `at` as `count` statements of ours. */
bool batch_ours(struct batch *batch, enum batch_part part, size_t at, size_t count,
    struct rung_error *err);
bool batch_our_text(
    struct batch *batch, enum batch_part part, const char *sql, struct rung_error *err);
/* Become session_user again, without timeouts, for the rest of the transaction. */
bool batch_as_ourselves(struct batch *batch, struct rung_error *err);
bool batch_statement(
    struct batch *batch, const struct statement *stmt, struct rung_error *err);

/*
 * Send it, read every result, stream COPY data from `reader` (which stands right behind
 * the batch's last statement; NULL when there is no COPY), and empty it.  On failure
 * `err` has the place in the file, and `failed` says in which part.
 */
bool batch_run(struct batch *batch, struct reader *reader, struct rung_error *err);

/* ---- settle.c: a statement that ran, or did not, and nobody recorded it --------- */

enum settled {
    SETTLED_RUN,    /* it did not happen, or may happen again */
    SETTLED_DONE,   /* it did happen */
    SETTLED_FAILED, /* err: nobody can tell, or looking failed */
};

/*
 * Before it runs: the indexes without which what it leaves would not be known for its
 * own.  Appends their OIDs, "0,16390", or nothing where that is not needed.
 */
bool settle_look_before(struct pg *pg, const struct statement *stmt, PQExpBuffer beside,
    struct rung_error *err);

/*
 * Look in the catalog what became of a statement that refuses a transaction: it was
 * `running` when the last runner ended, or is known to have failed.  Cleans up what it
 * left half done: an INVALID index is dropped, a pending DETACH finalised.  `beside` is
 * what settle_look_before found, or empty.
 */
enum settled settle_statement(struct pg *pg, const struct statement *stmt, bool running,
    struct str beside, const char *filename, struct rung_error *err);

/* CREATE INDEX CONCURRENTLY IF NOT EXISTS succeeds over an INVALID index.  Did it? */
bool settle_check_index(
    struct pg *pg, const struct statement *stmt, struct rung_error *err);

/* ---- kept.c: the SQL of the texts that are kept --------------------------------- */

/* Append nothing for a file of more than 1 MiB. */
bool kept_sql_insert(PQExpBuffer sql, const struct ledger *kept,
    const struct sqldir *dir, struct sqlfile *file, struct rung_error *err);
void kept_sql_delete(PQExpBuffer sql, const struct ledger *kept, int64_t version);

/* ---- apply.c, chain.c: one file into one database ------------------------------- */

enum apply_end {
    APPLY_DONE,
    APPLY_FAILED, /* rolled back, or stopped at a statement: err says where */
    APPLY_RETRY,  /* a lock or a deadlock: nothing happened, another attempt may succeed
                   */
    APPLY_BUSY,   /* another runner is at this very file: wait for it */
    APPLY_REREAD /* what happened is in the ledger: connection lost, or somebody else */
};

struct job {
    struct pg *pg;
    const struct ledger *ledger;
    const struct ledger *kept; /* NULL: texts are not kept */
    const struct rung_options *options;
    const struct sqldir *dir;
    struct sqlfile *file; /* to be run: the down file of an undo */
    const struct rung_migration *migration;
    bool undo;
    bool begun;          /* up: an unfinished row is to make way for ours */
    bool pooled;         /* a transaction pooler is between: no session state */
    int64_t below;       /* the row in front of it in our plan; RUNG_NO_VERSION: none */
    int64_t duration_ms; /* of the last attempt */
    bool advanced;       /* it completed statements that stay */
};

/* Files with their ledger rows in one transaction; `n` is 1 but for --one-transaction.
 */
enum apply_end apply_files(struct job *jobs, size_t n, struct rung_error *err);

/* Small enough to share a Query with others, and nothing in it forbids that. */
bool apply_fits_pack(const struct sqlfile *file);

/*
 * Files in one Query, each in a transaction of its own: one round trip for all.  *done
 * are committed.  What stopped the others is only known well when the first of them is
 * run by itself: APPLY_RETRY says so, without waiting.
 */
enum apply_end apply_pack(
    struct job *jobs, size_t n, size_t *done, struct rung_error *err);

/* The file statement by statement, from the beginning or from where it stopped. */
enum apply_end chain_file(
    struct job *job, const struct ledger_row *row, struct rung_error *err);

/* The statement that the note of an unfinished file or undo names as running or failed;
 * 0: none, or the note is NULL or somebody else's. */
uint64_t chain_noted_statement(const char *note);

/* Into the batch: the file's text beside its row, or out again; where that is asked
 * for. */
bool apply_keep(const struct job *job, struct batch *batch, struct rung_error *err);

/* Sort an error that stopped a file into the ends above.  Sets nothing but the code. */
enum apply_end apply_sort_error(
    const struct job *job, const struct batch *batch, struct rung_error *err);

/* ---- plan.c: files and rows to steps -------------------------------------------- */

struct plan_options {
    int64_t version; /* go no further than this; RUNG_NO_VERSION: all */
    bool allow_out_of_order;
};

/*
 * Lay files and rows side by side.  Every version becomes one item with its state, its
 * problem and its step; the items are by version, misnamed files last.  Files without
 * a row have been judged (judge_file) unless they are misnamed; where recorded and
 * present checksum differ, line_endings_only has been looked up.  `list` keeps copies:
 * it points into neither `dir` nor `rows`.  Free it with rung_list_free, also after a
 * failure.  Fails for want of memory only: whether something forbids an `up` is in the
 * items (`fatal`), and then no item has a step.
 */
bool plan_make(const struct sqldir *dir, const struct ledger_rows *rows,
    const struct plan_options *options, struct rung_list *list, struct rung_error *err);

/*
 * May `up` go on?  True, or the error that stands for all fatal problems of the list:
 * RUNG_FAILED for refused names and duplicates, RUNG_DRIFT for the others.
 */
bool plan_allows(const struct rung_list *list, struct rung_error *err);

/*
 * A copy of `text` that lives as long as the list (which plan_make has filled): for its
 * ledger, directory and database.  NULL when out of memory.
 */
const char *plan_keep(struct rung_list *list, const char *text);

/*
 * verify: put what sums_compare found into the list, as problems of the items it is
 * about, and as new items where there is none.  Counts them.
 */
bool plan_add_sums(struct rung_list *list, const struct sums_finding *findings,
    size_t n, struct rung_error *err);

/* The same for a SHA256SUMS that cannot be read: `why`, as an item of its own. */
bool plan_add_bad_sums(
    struct rung_list *list, const struct rung_error *why, struct rung_error *err);

/* A file's name without .sql, and without .up in front of it. */
struct str plan_stem(const char *name);

/* Are two names one file's: does `a` equal `b` but for `.up`? */
bool plan_same_name(const char *a, const char *b);

/* ---- survey.c: the directory and the ledger, read together ---------------------- */

struct survey {
    const struct rung_options *options;
    struct sqldir dir;
    struct pg pg;
    struct ledger ledger;
    struct ledger_rows rows;
    struct rung_list list;
    struct ledger kept;        /* kept.c's table; oid 0: there is none, or not looked */
    bool shared;               /* a session pooler gives our session to others later */
    struct sqlfile **borrowed; /* down files made of kept texts */
    size_t n_borrowed;
    bool lenient;          /* a file that cannot run is a finding, not the end */
    int64_t round_trip_us; /* what a query for the ledger took, at best; or 0 */
    bool connected;
    bool asked; /* for the ledger; the answer is to be read */
};

/*
 * Read the directory while the connection is made and asked for the ledger.  With
 * `offline` there is no connection and no row.  Free with survey_close, also after a
 * failure.
 */
bool survey_open(struct survey *s, const struct rung_options *options, bool offline,
    struct rung_error *err);
void survey_close(struct survey *s);

/* Read the ledger again, on the same connection. */
bool survey_read_ledger(struct survey *s, struct rung_error *err);

/* Read the directory again. */
bool survey_read_files(struct survey *s, struct rung_error *err);

/* Judge what has no row, look closer at what differs, and plan.  Fills s->list. */
bool survey_plan(struct survey *s, int64_t version, struct rung_error *err);

struct sqlfile *survey_file(const struct survey *s, int64_t version); /* NULL: none */
const struct ledger_row *survey_row(const struct survey *s, int64_t version);

/* Give the list to the caller, who frees it; the survey may be closed. */
void survey_give_list(struct survey *s, struct rung_list *list);

/* ---- kept.c: their table, beside the ledger -------------------------------------- */

/* Look for the table: s->kept.oid is 0 when it is not there. */
bool kept_find(struct survey *s, struct rung_error *err);

/* The same for who will write to it: refuses one that cannot be trusted. */
bool kept_look(struct survey *s, struct rung_error *err);

/* Under the lock: create it, or refuse it. */
bool kept_prepare(struct survey *s, struct rung_error *err);

/* *text is the caller's to free; NULL: not kept.  RUNG_DRIFT: not what was applied. */
bool kept_fetch(
    struct survey *s, int64_t version, bool down, char **text, struct rung_error *err);

/* ---- lock.c: one runner at a time ----------------------------------------------- */

/* What the lock is wanted for: while we wait, somebody else may do it. */
struct lock_goal {
    bool up;         /* then it is needless as soon as nothing is pending any more */
    int64_t version; /* up to this one; RUNG_NO_VERSION: all */
};

enum lock_end {
    LOCK_HELD,
    LOCK_NEEDLESS, /* while waiting: another runner did what was pending */
    LOCK_FAILED
};

/*
 * Poll for the advisory lock up to options->lock_wait_ms, never blocking in the server:
 * a session that waits inside pg_advisory_lock() holds a snapshot, for which CREATE
 * INDEX CONCURRENTLY waits in turn.  Says who holds it.
 */
enum lock_end lock_take(
    struct survey *s, const struct lock_goal *goal, struct rung_error *err);

enum lock_holder {
    LOCK_HOLDER_NONE,
    LOCK_HOLDER_THERE,
    LOCK_HOLDER_UNKNOWN /* the server did not say */
};

#define LOCK_HOLDER_BYTES 256

/*
 * Who holds the lock just now?  `who` gets "pid 4711 (rung, user app, connected for 12
 * s)", and `doing` what it runs, or "" where that is not shown to us.  Takes nothing,
 * and every role may ask.
 */
enum lock_holder lock_holder(
    struct survey *s, char who[LOCK_HOLDER_BYTES], char doing[LOCK_HOLDER_BYTES]);

/* Create or widen the ledger, or refuse it.  Under the lock. */
bool lock_prepare_ledger(struct survey *s, struct rung_error *err);

/* ---- pooler.c: what stands between us and the server? --------------------------- */

enum pooler {
    POOLER_NONE,
    POOLER_SESSION,     /* the session is ours alone, from beginning to end */
    POOLER_TRANSACTION, /* each transaction may get another one; or it is not known */
    POOLER_FAILED       /* our own connection did not answer: err */
};

/* Which kind of pooler is it, if any?  May open a second connection for a moment. */
enum pooler pooler_detect(struct survey *s, struct rung_error *err);

/*
 * Behind a session pooler: keep in mind what it has set for us.  The server did not get
 * that at its start-up, so RESET ALL would forget it.
 */
void pooler_keep_settings(struct pg *pg);

/* ---- step.c: run one step of a plan --------------------------------------------- */

enum run_end {
    RUN_DONE,
    RUN_FAILED,
    RUN_AGAIN /* the connection was lost, or the ledger changed under us: from the top
               */
};

/* One call of rung_up or rung_down, over as many connections as it takes. */
struct run {
    const struct rung_options *options;
    struct rung_options patient; /* the same, but waiting for a server that restarts */
    struct rung_result *result;
    struct survey survey;
    struct lock_goal goal;
    int64_t keep;         /* undo: what is above this is undone; RUNG_NO_VERSION: all */
    size_t count;         /* undo: or so many of the newest, until `keep` is known */
    int64_t newest;       /* undo of so many: the newest one of them */
    const char *advice;   /* what to do when it stops behind some, or NULL: the usual */
    bool told;            /* the findings were reported */
    bool told_unfinished; /* and, under the lock, what an earlier run left behind */
    bool pooled;          /* a transaction pooler is between */
    bool distrust;        /* what looked like a session pooler lost our lock */
    struct watch watch;   /* what do we wait for? */
    int64_t in_flight; /* the version whose answer did not arrive; or RUNG_NO_VERSION */
    int64_t in_flight_to; /* the last one, where several are on their way */
    int64_t began_ms;     /* their run */
    size_t pack;          /* files that go together in one Query */
    int lost;             /* connections, since the last progress */
    int vain;             /* times that the ledger was read again, and was the same */
    uint64_t ledger_mark; /* what it was then */
};

/*
 * Call `once`, which surveys, locks and runs steps, until it does not answer RUN_AGAIN,
 * or three connections were lost without any progress between them, or the ledger was
 * to be read again and again and does not change.
 */
bool run_to_the_end(struct run *run,
    enum run_end (*once)(struct run *run, struct rung_error *err),
    struct rung_error *err);

/* False, with what is applied, when the user asked to stop. */
bool run_go_on(const struct run *run, struct rung_error *err);

/* RUN_AGAIN when the connection is gone, else RUN_FAILED. */
enum run_end run_failed(const struct run *run);

/* Take the lock, make the ledger ready, survey again.  *needless as LOCK_NEEDLESS. */
bool run_lock(struct run *run, bool *needless, struct rung_error *err);

/* The planned step of `migration`: its file, or its down file. */
enum run_end run_step(struct run *run, struct rung_migration *migration,
    struct sqlfile *file, struct rung_error *err);

/*
 * The next planned steps, from item `*i` on, as one Query while that pays: where the
 * round trip takes longer than the work.  Moves *i behind what is done.
 */
enum run_end run_pack(struct run *run, size_t *i, struct rung_error *err);

/* All planned steps of the list in one transaction. */
enum run_end run_together(struct run *run, struct rung_error *err);

/* Can the steps of the list be one transaction? */
bool run_check_together(const struct survey *s, struct rung_error *err);

/* Refuse, before anything runs, what a transaction pooler makes unsafe. */
bool run_check_pooled(const struct run *run, const struct rung_migration *migration,
    const struct sqlfile *file, struct rung_error *err);

/* Set result->version from the list. */
void run_find_newest(struct run *run);

/* `migration`, of run->survey.list, is committed: say so, and keep it in mind. */
void run_tell_done(
    struct run *run, struct rung_migration *migration, int64_t elapsed_ms);

/* ---- author.c: new files in the directory, and SHA256SUMS kept in step ---------- */

#define FILE_NAME_LIMIT 200 /* bytes of a migration's file name */
#define FILE_NAME_ROOM 256  /* for one with its NUL, in a buffer */

/* The highest version there is, and how it is written. */
struct numbering {
    int64_t highest; /* RUNG_NO_VERSION: none */
    size_t width;    /* its digits */
};

struct numbering numbering_of(const struct sqldir *dir);

/* Count in one more version, written as in `name` (NULL: not known). */
void numbering_take(struct numbering *numbering, int64_t version, const char *name);

/* Take the next free number: numbering->highest, in numbering->width digits. */
bool numbering_next(struct numbering *numbering, struct rung_error *err);

enum made {
    MADE,
    MADE_NOT, /* somebody else has that name or number; `err` is untouched */
    MADE_FAILED
};

/* Create a file that is not there yet, whole and on disk, or not at all. */
enum made author_make_file(const struct sqldir *dir, const char *name, struct str text,
    struct rung_error *err);

/* Have the names in the directory on disk. */
bool author_sync(const struct sqldir *dir, struct rung_error *err);

/* What is to be done about SHA256SUMS when files have changed. */
struct sums_care {
    bool found;
    char stranger[FILE_NAME_ROOM]; /* a file it did not fit before; empty: none */
    const char *problem;
};

/*
 * Look at SHA256SUMS beforehand (and hash the directory, if there is one).  `ours`
 * knows the files that will be touched: whether these fit does not matter.
 */
bool sums_care_look(struct sqldir *dir, struct sums_care *care,
    bool (*ours)(const void *arg, const char *name), const void *arg,
    struct rung_error *err);

/* And afterwards: write it anew; or warn that it is left alone, where it did not fit.
 */
bool sums_care_keep(const struct rung_options *options, const struct sums_care *care,
    struct rung_error *err);

/* ---- psql.c: a file as a script for psql ---------------------------------------- */

struct psql {
    const struct rung_options *options;
    const struct ledger *ledger; /* oid 0; `quoted` may be a psql variable */
    PQExpBufferData text;        /* not handed over yet */
    bool (*put)(void *arg, const char *bytes, size_t n);
    void *arg;
};

/*
 * What brings the judged file, its row and, between `first` and `last`, the
 * transaction. The script has set the variables rung_oid (the ledger's), rung_reset and
 * rung_ours (SQL: a session as at its beginning; a transaction that is ours again).
 */
bool psql_file(struct psql *out, const struct sqldir *dir, const struct sqlfile *file,
    bool first, bool last, struct rung_error *err);

/* Hand over what was written. */
bool psql_flush(struct psql *out, struct rung_error *err);

#endif
