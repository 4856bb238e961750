/*
 * judge.c: can this file run, and how.
 *
 * Reads a file through before anything of it runs: counts its statements, takes its
 * directives, and decides whether it runs in one transaction or statement by statement.
 * Refuses, with the place, what rung cannot run.  Knows no database: whether a
 * statement works is the server's to say.
 *
 * Invariant: what is judged is what was hashed: the bytes of file->checksum.
 *
 * Sources: DESIGN.md, Files and How up runs; POSTGRES.md, Transactions.
 */
#include "internal.h"

#include <string.h>

/* Something that stands against running the file in a transaction. */
struct complaint {
    bool made;
    uint64_t offset;
    struct rung_error error;
};

/* What the statements asked for and for what the verdict has no place. */
struct judge {
    const struct sqldir *dir;
    struct source src;
    struct reader reader;
    struct verdict *verdict;
    unsigned given; /* directives, a bit each */

    /* Of a file without a directive, until it is known how it runs. */
    uint64_t alone_at; /* the first statement that refuses a transaction */
    const char *alone; /* its label; NULL: there is none */
    bool others;       /* a statement that can be in one, and is no SET */
    struct complaint complaint;

    /* The outer BEGIN and COMMIT, or the group of a file without a transaction. */
    const char *begin, *commit; /* as written; NULL: not seen */
    uint64_t begin_at, commit_at;
    bool settings_only; /* nothing but SET and the outer BEGIN so far */

    const char *group; /* the BEGIN that may be pg_dump's around a large object; NULL */
    uint64_t group_at;

    const char *isolation; /* NULL: not asked for */
    int deferrable;        /* -1: not asked for */
    bool lexing_changed;   /* standard_conforming_strings was set, in this group */
    bool set;              /* a setting: search_path may have changed */
};

bool
verdict_skips(const struct verdict *verdict, const struct statement *stmt)
{
    enum sql_kind kind = stmt->traits.kind;

    if (verdict->no_transaction)
        return false;
    return kind == SQL_SET_TRANSACTION || kind == SQL_BEGIN || kind == SQL_COMMIT;
}

/* ---- directives ------------------------------------------------------------------ */

#define KNOWN                                                                          \
    "Known are no-transaction, lock-timeout TIME, statement-timeout TIME, "            \
    "irreversible, and allow RULE REASON."

enum directive_value { VALUE_NONE, VALUE_DURATION };

static const struct directive {
    const char *name;
    enum directive_value value;
    size_t field; /* in struct directives: a bool, or milliseconds */
} known_directives[] = {
    { "no-transaction", VALUE_NONE, offsetof(struct directives, no_transaction) },
    { "irreversible", VALUE_NONE, offsetof(struct directives, irreversible) },
    { "lock-timeout", VALUE_DURATION, offsetof(struct directives, lock_timeout_ms) },
    { "statement-timeout", VALUE_DURATION,
        offsetof(struct directives, statement_timeout_ms) },
};

struct str
directive_word(struct str *text)
{
    size_t start = lex_space(*text, 0), end = start;
    struct str word;

    while (end < text->n && lex_space(*text, end) == end)
        end++;
    word = str_slice(*text, start, end);
    *text = str_slice(*text, lex_space(*text, end), text->n);
    return word;
}

/* 500ms, 10s, 5min, 1h, 2d or 0, in milliseconds; at most what an int of them holds,
 * as PostgreSQL's settings do. */
static bool
read_duration(struct str text, int64_t *ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {
        { "ms", 1 },
        { "s", 1000 },
        { "min", 60000 },
        { "h", 3600000 },
        { "d", 86400000 },
    };
    int64_t n = 0;
    size_t at = 0;

    for (; at < text.n && text.p[at] >= '0' && text.p[at] <= '9'; at++) {
        n = n * 10 + (text.p[at] - '0');
        if (n > INT32_MAX)
            return false;
    }
    if (at == 0)
        return false;
    *ms = 0;
    if (at == text.n)
        return n == 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (str_eq(str_slice(text, at, text.n), str_of(units[i].name))) {
            *ms = n * units[i].ms;
            return *ms <= INT32_MAX;
        }
    return false;
}

/* Refuse a directive that stands at `offset`; the message and hint are set. */
static bool
refuse_directive(const struct judge *j, uint64_t offset, struct rung_error *err)
{
    return source_place(&j->src, offset, err);
}

static bool
set_directive(struct judge *j, const struct directive *directive, struct str value,
    uint64_t offset, struct rung_error *err)
{
    char *field = (char *)&j->verdict->directives + directive->field;
    unsigned bit = 1u << (directive - known_directives);
    char shown[64];
    int64_t ms;
    bool on = true;

    if (j->given & bit) {
        err_set(err, RUNG_FAILED, "the directive %s is given twice", directive->name);
        return refuse_directive(j, offset, err);
    }
    j->given |= bit;
    switch (directive->value) {
    case VALUE_NONE:
        if (value.n > 0) {
            err_set(err, RUNG_FAILED,
                "the directive %s takes no value, but \"%s\" follows", directive->name,
                text_escape(shown, sizeof shown, value));
            err_hint(err, "Each directive has a line of its own.");
            return refuse_directive(j, offset, err);
        }
        memcpy(field, &on, sizeof on);
        return true;
    case VALUE_DURATION:
        break;
    }
    if (!read_duration(value, &ms)) {
        err_set(err, RUNG_FAILED, "\"%s\" is no time that %s could be",
            text_escape(shown, sizeof shown, value), directive->name);
        err_hint(err,
            "Write it like 500ms, 10s, 5min, 1h, or 0 for none; it is at most "
            "24 days.");
        return refuse_directive(j, offset, err);
    }
    memcpy(field, &ms, sizeof ms);
    return true;
}

bool
directive_read(struct str *text)
{
    size_t at = lex_space(*text, 2);

    if (text->n - at < 4 || !str_eq_fold(str_slice(*text, at, at + 4), STR("rung")))
        return false;
    at = lex_space(*text, at + 4);
    if (at == text->n || text->p[at] != ':')
        return false;
    *text = str_slice(*text, at + 1, text->n);
    return true;
}

/* Called by the reader for every comment. */
static bool
take_comment(void *arg, struct str text, uint64_t offset, struct rung_error *err)
{
    struct judge *j = arg;
    bool block = text.p[1] == '*';
    char shown[64];
    struct str name;

    if (!directive_read(&text))
        return true;
    if (block) {
        err_set(err, RUNG_FAILED, "a directive inside /* */ is not read");
        err_hint(err, "Write it as a comment of its own line: `-- rung: ...`.");
        return refuse_directive(j, offset, err);
    }
    name = directive_word(&text);
    if (str_eq(name, STR("allow"))) /* lint's, and about a statement */
        return true;
    if (j->reader.number > 0 || j->reader.reading_statement) {
        err_set(err, RUNG_FAILED, "a directive below the first statement is not read");
        err_hint(
            err, "Directives stand above the first statement and hold for the file.");
        return refuse_directive(j, offset, err);
    }
    for (size_t i = 0; i < sizeof known_directives / sizeof *known_directives; i++)
        if (str_eq(name, str_of(known_directives[i].name))) {
            while (text.n > 0 && lex_space(text, text.n - 1) == text.n)
                text.n--;
            return set_directive(j, &known_directives[i], text, offset, err);
        }
    err_set(err, RUNG_FAILED, "unknown directive \"%s\"",
        text_escape(shown, sizeof shown, name));
    err_hint(err, KNOWN);
    return refuse_directive(j, offset, err);
}

/* ---- transaction modes ----------------------------------------------------------- */

/* The modes that PostgreSQL knows.  Source: gram.y, transaction_mode_item. */
static const struct mode {
    const char *words;     /* as they are written, in upper case */
    const char *isolation; /* what they mean; or else */
    int deferrable;        /* 0 or 1; -1: neither */
} modes[] = {
    { "ISOLATION LEVEL SERIALIZABLE", "SERIALIZABLE", -1 },
    { "ISOLATION LEVEL REPEATABLE READ", "REPEATABLE READ", -1 },
    { "ISOLATION LEVEL READ COMMITTED", "READ COMMITTED", -1 },
    { "ISOLATION LEVEL READ UNCOMMITTED", "READ UNCOMMITTED", -1 },
    { "READ WRITE", NULL, -1 },
    { "READ ONLY", NULL, -1 }, /* refused elsewhere */
    { "DEFERRABLE", NULL, 1 },
    { "NOT DEFERRABLE", NULL, 0 },
};

/* Does `text` go on at `at` with these words?  Returns where they end, else `at`. */
static size_t
mode_end(struct str text, size_t at, const char *words)
{
    static const struct lexer lexer = { .more = false, .backslash_quotes = false };
    size_t start = at;

    while (*words != '\0') {
        size_t n = strcspn(words, " ");
        struct token token = lex_next(&lexer, text, at);

        if (token.type != TOKEN_WORD
            || !str_eq_fold(
                str_slice(text, token.start, token.end), (struct str){ words, n }))
            return start;
        at = token.end;
        words += n;
        words += *words == ' ';
    }
    return at;
}

/* Take the modes in that BEGIN or SET TRANSACTION names.  False: they are none. */
static bool
take_modes(struct judge *j, struct str text)
{
    static const struct lexer lexer = { .more = false, .backslash_quotes = false };
    size_t at = 0;

    for (bool first = true; lex_next(&lexer, text, at).type != TOKEN_END;
         first = false) {
        size_t start = at, i = 0;
        struct token comma = lex_next(&lexer, text, at);

        if (!first && token_byte(text, comma, ','))
            at = start = comma.end;
        for (; i < sizeof modes / sizeof *modes && at == start; i++)
            at = mode_end(text, at, modes[i].words);
        if (at == start)
            return false;
        if (modes[i - 1].isolation != NULL)
            j->isolation = modes[i - 1].isolation;
        if (modes[i - 1].deferrable >= 0)
            j->deferrable = modes[i - 1].deferrable;
    }
    return true;
}

/* Write down for the runner's BEGIN what was asked for. */
static void
write_modes(const struct judge *j)
{
    const char *deferrable = j->deferrable < 0    ? ""
                             : j->deferrable == 0 ? "NOT DEFERRABLE"
                                                  : "DEFERRABLE";

    text_format(j->verdict->modes, sizeof j->verdict->modes, "%s%s%s%s",
        j->isolation == NULL ? "" : "ISOLATION LEVEL ",
        j->isolation == NULL ? "" : j->isolation,
        j->isolation != NULL && *deferrable != '\0' ? ", " : "", deferrable);
}

/* ---- in one transaction ---------------------------------------------------------- */

#define NO_TRANSACTION "`-- rung: no-transaction` above the first statement"

/* Keep the first thing that stands against it: the file may yet turn out to run
 * without a transaction. */
static void
complain(struct judge *j, uint64_t offset, const char *label, const char *what,
    const char *hint)
{
    if (j->complaint.made)
        return;
    j->complaint.made = true;
    j->complaint.offset = offset;
    err_set(&j->complaint.error, RUNG_FAILED, "%s%s", label, what);
    err_hint(&j->complaint.error, "%s", hint);
}

#define OWN_TRANSACTION                                                                                \
    "rung runs the file and its ledger row in one transaction.  Take it out, or write " NO_TRANSACTION \
    "."

static void
complain_read_only(struct judge *j, uint64_t offset)
{
    complain(j, offset, "READ ONLY", ": the file's ledger row could not be written",
        "Take it out: rung writes the row in the same transaction.");
}

static void
complain_middle(struct judge *j, uint64_t offset, const char *label)
{
    complain(j, offset, label, " in the middle of a file that runs in a transaction",
        OWN_TRANSACTION);
}

/*
 * Does pg_dump write such a statement for the bytes of a large object?  It puts a
 * transaction around them, without which lo_open has no effect; ours does as well.
 *
 * Source: pg_backup_archiver.c and pg_backup_null.c, StartRestoreLO and EndRestoreLO.
 */
static bool
is_large_object(const struct statement *stmt)
{
    static const struct lexer lexer = { .more = false, .backslash_quotes = false };
    static const char *const functions[] = { "LO_OPEN", "LOWRITE", "LO_CLOSE" };
    struct token token = lex_next(&lexer, stmt->text, 0);

    if (!token_is(stmt->text, token, "SELECT"))
        return false;
    token = lex_next(&lexer, stmt->text, token.end);
    if (!token_is(stmt->text, token, "PG_CATALOG"))
        return false;
    token = lex_next(&lexer, stmt->text, token.end);
    token = lex_next(&lexer, stmt->text, token.end);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (token_is(stmt->text, token, functions[i]))
            return true;
    return false;
}

/* Within what may be pg_dump's group for a large object.  False: it is none. */
static bool
see_in_group(struct judge *j, const struct statement *stmt)
{
    if (is_large_object(stmt))
        return true;
    if (stmt->traits.kind != SQL_COMMIT)
        complain_middle(j, j->group_at, j->group);
    j->group = NULL;
    return stmt->traits.kind == SQL_COMMIT;
}

/* BEGIN: the outer one when nothing but settings came before it. */
static void
see_begin(struct judge *j, const struct statement *stmt)
{
    const struct sql_traits *traits = &stmt->traits;

    if (j->begin == NULL && !j->settings_only && traits->modes.n == 0) {
        j->group = traits->label;
        j->group_at = stmt->offset;
        return;
    }
    if (j->begin != NULL || !j->settings_only) {
        complain_middle(j, stmt->offset, traits->label);
        return;
    }
    j->begin = traits->label;
    j->begin_at = stmt->offset;
    if (traits->read_only)
        complain_read_only(j, stmt->offset);
    if (!take_modes(j, traits->modes))
        complain(j, stmt->offset, traits->label,
            " names something that is no transaction mode", "");
}

static void
see_set_transaction(struct judge *j, const struct statement *stmt)
{
    const struct sql_traits *traits = &stmt->traits;

    if (!j->settings_only)
        complain(j, stmt->offset, traits->label, " has to be the first statement",
            "PostgreSQL refuses it once a transaction has done something.");
    else if (traits->read_only)
        complain_read_only(j, stmt->offset);
    else if (traits->modes.n == 0)
        complain(
            j, stmt->offset, traits->label, " cannot be used here", OWN_TRANSACTION);
    else if (!take_modes(j, traits->modes))
        complain(j, stmt->offset, traits->label,
            " names something that is no transaction mode", "");
}

static void
see_commit(struct judge *j, const struct statement *stmt)
{
    if (j->begin == NULL || j->commit != NULL) {
        complain(j, stmt->offset, stmt->traits.label,
            " of a transaction that this file did not begin", OWN_TRANSACTION);
        return;
    }
    j->commit = stmt->traits.label;
    j->commit_at = stmt->offset;
}

/* How a statement would do in the transaction that rung runs a file in. */
static void
see_in_transaction(struct judge *j, const struct statement *stmt)
{
    const struct sql_traits *traits = &stmt->traits;

    if (j->group != NULL && see_in_group(j, stmt))
        return;
    if (j->commit != NULL && traits->kind != SQL_SET)
        complain_middle(j, j->commit_at, j->commit);
    switch (traits->kind) {
    case SQL_BEGIN:
        see_begin(j, stmt);
        return;
    case SQL_SET_TRANSACTION:
        see_set_transaction(j, stmt);
        return;
    case SQL_COMMIT:
        see_commit(j, stmt);
        break;
    case SQL_COMMIT_CHAIN:
    case SQL_ROLLBACK:
    case SQL_PREPARE_TRANSACTION:
        complain(j, stmt->offset, traits->label,
            " in a file that runs in a transaction", OWN_TRANSACTION);
        break;
    case SQL_SET:
        if (traits->read_only)
            complain_read_only(j, stmt->offset);
        return;
    case SQL_ORDINARY:
    case SQL_SAVEPOINT:
    case SQL_COPY_IN:
    case SQL_CALL:
    case SQL_ALONE:
        break;
    }
    j->settings_only = false;
}

/* ---- without a transaction ------------------------------------------------------- */

/* Refuse a statement: what it is, and what is wrong with it. */
static bool
refuse(const struct judge *j, const struct statement *stmt, const char *label,
    const char *what, const char *hint, struct rung_error *err)
{
    err_set(err, RUNG_FAILED, "%s%s", label, what);
    err_hint(err, "%s", hint);
    return source_place(&j->src, stmt->offset, err);
}

static bool
see_without(struct judge *j, const struct statement *stmt, struct rung_error *err)
{
    const struct sql_traits *traits = &stmt->traits;
    bool group = j->begin != NULL;

    switch (traits->kind) {
    case SQL_BEGIN:
        if (group)
            return refuse(
                j, stmt, stmt->traits.label, " inside a transaction", "", err);
        j->begin = traits->label;
        j->begin_at = stmt->offset;
        j->lexing_changed = false;
        return true;
    case SQL_ROLLBACK:
    case SQL_COMMIT:
        if (group && j->lexing_changed && traits->kind == SQL_ROLLBACK)
            return refuse(j, stmt, stmt->traits.label,
                " takes standard_conforming_strings back", "", err);
        if (!group)
            return refuse(j, stmt, stmt->traits.label, " without BEGIN", "", err);
        j->begin = NULL;
        return true;
    case SQL_COMMIT_CHAIN:
    case SQL_PREPARE_TRANSACTION:
        return refuse(j, stmt, stmt->traits.label, " is not supported",
            "Its outcome could not be recorded.  End the group with COMMIT.", err);
    case SQL_SAVEPOINT:
        return group || refuse(j, stmt, stmt->traits.label, " without BEGIN", "", err);
    case SQL_ALONE:
        return !group
               || refuse(j, stmt, stmt->traits.label,
                   " cannot run inside a transaction",
                   "Move it out of BEGIN ... COMMIT.", err);
    case SQL_ORDINARY:
    case SQL_SET:
    case SQL_SET_TRANSACTION:
    case SQL_COPY_IN:
    case SQL_CALL:
        break;
    }
    return true;
}

/* ---- the file -------------------------------------------------------------------- */

/* Statements that change how the following text is to be read. */
static bool
see_lexing(struct judge *j, const struct statement *stmt, struct rung_error *err)
{
    bool no_transaction = j->verdict->directives.no_transaction;

    switch (stmt->traits.lexing) {
    case SQL_LEXING_STANDARD:
    case SQL_LEXING_BACKSLASH:
        if (stmt->traits.local && no_transaction)
            return refuse(j, stmt, stmt->traits.label,
                " LOCAL standard_conforming_strings: where it ends cannot be known",
                "Use SET instead.", err);
        j->lexing_changed = true;
        break;
    case SQL_LEXING_UNKNOWN:
        return refuse(j, stmt, stmt->traits.label,
            " makes standard_conforming_strings unpredictable",
            "How the text behind it is read depends on it.  Set it to on or off.", err);
    case SQL_LEXING_ENCODING_OTHER:
        return refuse(j, stmt, "client_encoding", " has to stay UTF8",
            "rung reads and sends files as UTF-8 only.", err);
    case SQL_LEXING_SAME:
    case SQL_LEXING_OTHER:
    case SQL_LEXING_ENCODING_UTF8:
        break;
    }
    if (stmt->traits.kind == SQL_SAVEPOINT && j->lexing_changed
        && str_eq(str_of(stmt->traits.label), STR("ROLLBACK TO SAVEPOINT")))
        return refuse(j, stmt, stmt->traits.label,
            " may take standard_conforming_strings back",
            "Set it outside of what is rolled back.", err);
    return true;
}

/* Is the name's part, a token, this one?  Folded as SQL folds it. */
static bool
is_part(struct str name, struct token token, const char *part)
{
    struct str text = str_slice(name, token.start, token.end);
    size_t n = 0;

    if (token.type == TOKEN_WORD) {
        for (; n < text.n && part[n] != '\0'; n++) {
            char c = text.p[n];

            if ((c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c) != part[n])
                return false;
        }
        return n == text.n && part[n] == '\0';
    }
    if (token.type != TOKEN_NAME || text.p[0] != '"')
        return false;
    for (size_t i = 1; i + 1 < text.n; i++, n++) {
        if (part[n] == '\0' || part[n] != text.p[i])
            return false;
        i += text.p[i] == '"'; /* doubled */
    }
    return part[n] == '\0';
}

/* Is it the ledger that is named here? */
static bool
is_ledger(const struct judge *j, struct str name)
{
    static const struct lexer lexer = { .more = false, .backslash_quotes = false };
    const struct sqldir *dir = j->dir;
    struct token first, dot, second;

    if (dir->ledger_table == NULL || name.n == 0)
        return false;
    first = lex_next(&lexer, name, 0);
    dot = lex_next(&lexer, name, first.end);
    if (dot.type == TOKEN_END)
        return dir->ledger_in_path && !j->set
               && is_part(name, first, dir->ledger_table);
    second = lex_next(&lexer, name, dot.end);
    if (lex_next(&lexer, name, second.end).type != TOKEN_END)
        return false; /* database.schema.table */
    return dir->ledger_schema != NULL && is_part(name, first, dir->ledger_schema)
           && is_part(name, second, dir->ledger_table);
}

/* A dump of a database that rung has migrated before brings its ledger along. */
static bool
refuse_ledger(
    const struct judge *j, const struct statement *stmt, struct rung_error *err)
{
    err_set(err, RUNG_FAILED, "the file %s \"%s\", rung's own ledger",
        stmt->traits.kind == SQL_COPY_IN ? "fills" : "creates", j->dir->ledger_table);
    err_hint(err,
        "rung makes that table itself.  Dump the database without it "
        "(pg_dump -T '%s'), or delete the statements about it here; or, where the "
        "table is another tool's, keep the ledger elsewhere: --table SCHEMA.NAME.",
        j->dir->ledger_table);
    return source_place(&j->src, stmt->offset, err);
}

static bool
see_statement(struct judge *j, const struct statement *stmt, struct rung_error *err)
{
    if (!see_lexing(j, stmt, err))
        return false;
    if (is_ledger(j, stmt->traits.table))
        return refuse_ledger(j, stmt, err);
    j->set |= stmt->traits.session == SQL_SESSION_SET || stmt->traits.local;
    j->verdict->in_one_piece &=
        stmt->traits.kind != SQL_COPY_IN && stmt->traits.lexing == SQL_LEXING_SAME;
    if (stmt->traits.copy_binary)
        return refuse(j, stmt, stmt->traits.label,
            " in binary format: a text file cannot hold its data",
            "Dump the rows in text format.", err);
    if (j->verdict->directives.no_transaction)
        return see_without(j, stmt, err);
    if (stmt->traits.kind == SQL_ALONE && j->alone == NULL) {
        j->alone = stmt->traits.label;
        j->alone_at = stmt->offset;
    }
    j->others |= stmt->traits.kind != SQL_ALONE && stmt->traits.kind != SQL_SET;
    see_in_transaction(j, stmt);
    return true;
}

/* All statements have been seen: decide. */
static bool
decide(struct judge *j, struct rung_error *err)
{
    struct verdict *verdict = j->verdict;

    if (verdict->directives.no_transaction) {
        verdict->no_transaction = true;
        if (j->begin == NULL)
            return true;
        err_set(err, RUNG_FAILED, "%s is not ended by COMMIT", j->begin);
        return source_place(&j->src, j->begin_at, err);
    }
    if (j->alone != NULL && j->others) {
        err_set(err, RUNG_FAILED,
            "%s cannot run in a transaction, but other statements of this file do",
            j->alone);
        err_hint(err, "Give it a file of its own, or write " NO_TRANSACTION ".");
        return source_place(&j->src, j->alone_at, err);
    }
    if (j->alone != NULL) {
        verdict->no_transaction = true;
        return true;
    }
    if (j->group != NULL)
        complain_middle(j, j->group_at, j->group);
    if (j->begin != NULL && j->commit == NULL)
        complain(j, j->begin_at, j->begin, " is not ended by COMMIT", "");
    if (j->complaint.made) {
        *err = j->complaint.error;
        return source_place(&j->src, j->complaint.offset, err);
    }
    verdict->wrapped = j->begin != NULL;
    write_modes(j);
    return true;
}

/* Read the statements, the file's end included. */
static bool
read_through(struct judge *j, struct rung_error *err)
{
    struct statement stmt;
    bool found;

    for (;;) {
        if (!sql_next(&j->reader, &stmt, &found, err))
            return false;
        if (!found)
            break;
        if (!see_statement(j, &stmt, err))
            return false;
    }
    j->verdict->statements = j->reader.number;
    j->verdict->blank = !j->reader.seen_text;
    return decide(j, err);
}

/* Is what was read what file->checksum stands for? */
static bool
same_checksum(struct sqlfile *file, const struct source *src,
    const struct checksum *sum, struct rung_error *err)
{
    char hex[CHECKSUM_BYTES];

    if (!checksum_hex(sum, hex, err))
        return false;
    if (file->checksum[0] == '\0') {
        memcpy(file->checksum, hex, sizeof hex);
        file->size = src->size;
    }
    return strcmp(file->checksum, hex) == 0
           || err_set(err, RUNG_FAILED, "%s changed while it was read", file->name);
}

bool
judge_file(const struct sqldir *dir, struct sqlfile *file, struct rung_error *err)
{
    struct verdict verdict = { .in_one_piece = true,
        .directives = { .lock_timeout_ms = -1, .statement_timeout_ms = -1 } };
    struct judge j = {
        .dir = dir, .verdict = &verdict, .settings_only = true, .deferrable = -1
    };
    struct checksum *sum;
    bool ok = false;

    if (!source_open(&j.src, dir, file, err))
        return false;
    sum = checksum_new(err);
    if (sum == NULL || !reader_open(&j.reader, &j.src, READER_WINDOW, sum, err))
        goto out;
    j.reader.on_comment = take_comment;
    j.reader.comment_arg = &j;
    ok = read_through(&j, err) && same_checksum(file, &j.src, sum, err);
    if (ok) {
        verdict.judged = true;
        file->verdict = verdict;
    }
out:
    reader_close(&j.reader);
    checksum_free(sum);
    source_close(&j.src);
    return ok;
}

/* ---- what directives come to ----------------------------------------------------- */

int64_t
directives_lock_timeout_ms(
    const struct directives *directives, const struct rung_options *options)
{
    return directives->lock_timeout_ms >= 0 ? directives->lock_timeout_ms
                                            : options->lock_timeout_ms;
}

int64_t
directives_statement_timeout_ms(
    const struct directives *directives, const struct rung_options *options)
{
    return directives->statement_timeout_ms >= 0 ? directives->statement_timeout_ms
                                                 : options->statement_timeout_ms;
}
