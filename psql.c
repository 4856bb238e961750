/*
 * psql.c: a file as a script that psql runs to the same end as `rung up`.
 *
 * What apply.c and chain.c send, written out: script.c puts in front what is needed
 * once.  The ledger's name and OID, and what puts a session right, are psql variables.
 *
 * Invariant: the server gets the bytes of each statement as they stand in the file.
 * psql's own syntax is kept out of them: a colon that psql could take for a variable is
 * written \: , a semicolon within a statement \; , which psql sends without the
 * backslash.
 *
 * Sources: PostgreSQL manual, psql (Meta-Commands, SQL Interpolation);
 * src/fe_utils/psqlscan.l.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define EQ " OPERATOR(pg_catalog.=) "
#define PIECE KIB(64)
#define BEGIN "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"

/* ---- writing --------------------------------------------------------------------- */

bool
psql_flush(struct psql *out, struct rung_error *err)
{
    PQExpBuffer text = &out->text;

    if (PQExpBufferDataBroken(out->text))
        return err_memory(err);
    if (text->len > 0 && !out->put(out->arg, text->data, text->len))
        return err_set(err, RUNG_FAILED, "the script could not be written");
    resetPQExpBuffer(text);
    return true;
}

/* Large pieces go out at once. */
static bool
put_bytes(struct psql *out, struct str bytes, struct rung_error *err)
{
    if (bytes.n < PIECE) {
        appendBinaryPQExpBuffer(&out->text, bytes.p, bytes.n);
        return out->text.len < PIECE || psql_flush(out, err);
    }
    return psql_flush(out, err)
           && (out->put(out->arg, bytes.p, bytes.n)
               || err_set(err, RUNG_FAILED, "the script could not be written"));
}

static void
put_text(struct psql *out, const char *text)
{
    appendPQExpBufferStr(&out->text, text);
}

/* Replace the last `old` behind byte `from` of the text, which is written by us. */
static bool
replace_last(struct psql *out, size_t from, const char *old, const char *new,
    struct rung_error *err)
{
    PQExpBuffer text = &out->text;
    size_t at = STR_NONE, next = from;
    char *tail;

    if (PQExpBufferDataBroken(out->text))
        return err_memory(err);
    while ((next = str_find((struct str){ text->data, text->len }, str_of(old), next))
           != STR_NONE)
        at = next++;
    if (at == STR_NONE)
        return err_set(err, RUNG_BUG, "the ledger's SQL does not fit into a script");
    tail = str_dup(str_of(text->data + at + strlen(old)));
    if (tail == NULL)
        return err_memory(err);
    text->len = at;
    put_text(out, new);
    put_text(out, tail);
    free(tail);
    return true;
}

/*
 * ledger.c has written a statement that fails unless it hits one row, behind byte
 * `from`: the table's OID, which only the run of the script knows, is to be a variable,
 * and its answer is not to be shown.
 */
static bool
bind_statement(struct psql *out, size_t from, struct rung_error *err)
{
    return replace_last(
               out, from, "l.tableoid" EQ "0", "l.tableoid" EQ ":rung_oid", err)
           && replace_last(
               out, from, " FROM hit;\n", " AS rung_hit FROM hit \\gset\n", err);
}

/* ---- statements ------------------------------------------------------------------ */

/* Must psql be kept from seeing this byte?  *pair: it and the next one are a token. */
static bool
needs_backslash(struct str sql, struct token token, bool *pair)
{
    char next = token.end < sql.n ? sql.p[token.end] : ' ';

    *pair = false;
    if (token_byte(sql, token, ';'))
        return true;
    if (!token_byte(sql, token, ':'))
        return false;
    *pair = next == ':' || next == '='; /* a cast, a named argument: psql knows them */
    return !*pair && lex_space((struct str){ &next, 1 }, 0) == 0;
}

/*
 * A statement and its end.  psql takes any word BEGIN in a CREATE FUNCTION or PROCEDURE
 * for the start of a body, up to an END: there \g ends the statement, otherwise a
 * semicolon does.
 */
static bool
put_statement(struct psql *out, const struct lexer *lexer, const struct statement *stmt,
    struct rung_error *err)
{
    struct str sql = stmt->text;
    struct token token = lex_next(lexer, sql, 0);
    bool create = token_is(sql, token, "CREATE"), body = false, pair;
    size_t done = 0;

    while (token.type != TOKEN_END && token.type != TOKEN_OPEN) {
        bool escape = needs_backslash(sql, token, &pair);

        body |= escape || token_is(sql, token, "BEGIN");
        if (escape) {
            if (!put_bytes(out, str_slice(sql, done, token.start), err))
                return false;
            put_text(out, "\\");
            done = token.start;
        }
        token = lex_next(lexer, sql, token.end + pair);
    }
    if (!put_bytes(out, str_slice(sql, done, sql.n), err))
        return false;
    put_text(out, create && body ? "\n\\g\n" : ";\n");
    return true;
}

static bool
put_copy_data(struct psql *out, struct reader *reader, struct rung_error *err)
{
    struct str block;

    do {
        if (!sql_copy_data(reader, &block, err) || !put_bytes(out, block, err))
            return false;
    } while (block.n > 0);
    put_text(out, "\\.\n");
    return true;
}

/* ---- a file ---------------------------------------------------------------------- */

struct part {
    struct psql *out;
    const struct sqlfile *file;
    const struct source *src;
    struct reader reader;
    struct lexer lexer;      /* how the statement at hand is read */
    struct checksum *sum;    /* of the whole file */
    struct checksum *prefix; /* up to the last statement that is recorded */
    uint64_t prefix_end;
    bool own_settings; /* the file has SET something: leave its timeouts alone */
    bool first, last;  /* of the transaction */
};

static bool
next_statement(
    struct part *part, struct statement *stmt, bool *found, struct rung_error *err)
{
    part->lexer = part->reader.lexer;
    part->lexer.more = false;
    return sql_next(&part->reader, stmt, found, err);
}

static bool
put_next(struct part *part, const struct statement *stmt, struct rung_error *err)
{
    if (!put_statement(part->out, &part->lexer, stmt, err))
        return false;
    if (stmt->traits.to_default)
        session_sql_lexing(&part->out->text, false, NULL);
    return stmt->traits.kind != SQL_COPY_IN
           || put_copy_data(part->out, &part->reader, err);
}

/* Are the bytes that were just written the ones that were judged? */
static bool
same_bytes(struct part *part, struct rung_error *err)
{
    char hex[CHECKSUM_BYTES];

    if (!checksum_hex(part->sum, hex, err))
        return false;
    return strcmp(hex, part->file->checksum) == 0
           || err_set(
               err, RUNG_FAILED, "%s changed while it was read", part->src->path);
}

static struct ledger_entry
entry_of(const struct part *part)
{
    return (struct ledger_entry){ .version = part->file->version,
        .filename = part->file->name,
        .checksum = part->file->checksum,
        .statements = part->file->verdict.statements };
}

static bool
put_finish(struct part *part, struct rung_error *err)
{
    struct psql *out = part->out;
    struct ledger_entry entry = entry_of(part);
    size_t at;

    put_text(out, ":rung_ours\n");
    at = out->text.len;
    ledger_sql_finish(&out->text, out->ledger, &entry, -1);
    return bind_statement(out, at, err);
}

static void
put_role(struct psql *out, const char *set)
{
    if (out->options->role == NULL)
        return;
    put_text(out, set);
    ledger_sql_literal(&out->text, out->options->role);
    put_text(out, ";\n");
}

static void
put_timeout(struct psql *out, const char *setting, int64_t ms)
{
    appendPQExpBuffer(&out->text, "SET LOCAL %s = %" PRId64 ";\n", setting, ms);
}

/* ---- in one transaction ---------------------------------------------------------- */

static void
put_opening(struct part *part)
{
    struct psql *out = part->out;
    const struct verdict *verdict = &part->file->verdict;
    struct ledger_entry entry = entry_of(part);

    if (part->first)
        appendPQExpBuffer(&out->text, BEGIN "%s%s;\n",
            verdict->modes[0] == '\0' ? "" : ", ", verdict->modes);
    put_text(out, ":rung_reset\n");
    put_timeout(out, "lock_timeout",
        directives_lock_timeout_ms(&verdict->directives, out->options));
    put_timeout(out, "statement_timeout",
        directives_statement_timeout_ms(&verdict->directives, out->options));
    ledger_sql_insert(&out->text, out->ledger, &entry, true, NULL);
    put_role(out, "SET LOCAL ROLE ");
}

static bool
put_transaction(struct part *part, struct rung_error *err)
{
    struct statement stmt;
    bool found;

    put_opening(part);
    for (;;) {
        if (!next_statement(part, &stmt, &found, err))
            return false;
        if (!found)
            break;
        if (!verdict_skips(&part->file->verdict, &stmt) && !put_next(part, &stmt, err))
            return false;
    }
    if (!same_bytes(part, err))
        return false;
    if (part->last)
        put_text(part->out, "SET CONSTRAINTS ALL IMMEDIATE;\n");
    if (!put_finish(part, err))
        return false;
    if (part->last)
        put_text(part->out, "COMMIT;\n");
    return true;
}

/* ---- without a transaction: as chain.c does it ----------------------------------- */

/* `number` statements, up to byte `end`, are done. */
static bool
put_progress(struct part *part, uint64_t number, uint64_t end, struct rung_error *err)
{
    struct psql *out = part->out;
    struct ledger_entry entry = entry_of(part);
    char hex[CHECKSUM_BYTES];
    size_t at;

    if (!checksum_source(part->prefix, part->src, part->prefix_end, end, err)
        || !checksum_hex(part->prefix, hex, err))
        return false;
    part->prefix_end = end;
    entry.checksum = hex;
    entry.statements = number;
    put_text(out, ":rung_ours\n");
    at = out->text.len;
    ledger_sql_progress(&out->text, out->ledger, &entry);
    return bind_statement(out, at, err);
}

/* The progress in a transaction of its own. */
static bool
put_record(struct part *part, uint64_t number, uint64_t end, struct rung_error *err)
{
    put_text(part->out, BEGIN ";\n");
    if (!put_progress(part, number, end, err))
        return false;
    put_text(part->out, "COMMIT;\n");
    return true;
}

static bool
put_shared(struct part *part, const struct statement *stmt, struct rung_error *err)
{
    const struct directives *directives = &part->file->verdict.directives;
    uint64_t number = stmt->number, end = stmt->end;
    bool setting = stmt->traits.kind == SQL_SET;

    put_text(part->out, BEGIN ";\n");
    if (!part->own_settings)
        put_timeout(part->out, "lock_timeout",
            directives_lock_timeout_ms(directives, part->out->options));
    if (!put_next(part, stmt, err) || !put_progress(part, number, end, err))
        return false;
    part->own_settings |= setting;
    put_text(part->out, "COMMIT;\n");
    return true;
}

/* One that refuses a transaction, or may end it (CALL, DO). */
static bool
put_alone(struct part *part, const struct statement *stmt, struct rung_error *err)
{
    struct psql *out = part->out;
    char note[64];
    size_t at;

    text_format(note, sizeof note, "statement %" PRIu64 " running", stmt->number);
    put_text(out, BEGIN ";\n:rung_ours\n");
    at = out->text.len;
    ledger_sql_note(&out->text, out->ledger, part->file->version, note);
    if (!bind_statement(out, at, err))
        return false;
    put_text(out, "COMMIT;\n");
    return put_next(part, stmt, err) && put_record(part, stmt->number, stmt->end, err);
}

/* A BEGIN ... COMMIT of the file's own, and its progress in front of the COMMIT. */
static bool
put_group(struct part *part, struct statement *stmt, struct rung_error *err)
{
    bool read_only = false, found = true;

    for (;;) {
        read_only |= stmt->traits.read_only;
        if (stmt->traits.kind == SQL_COMMIT || stmt->traits.kind == SQL_ROLLBACK)
            break;
        if (!put_next(part, stmt, err) || !next_statement(part, stmt, &found, err))
            return false;
        if (!found)
            return err_set(err, RUNG_BUG, "a group without its end passed the judge");
    }
    if (stmt->traits.kind == SQL_ROLLBACK || read_only)
        return put_next(part, stmt, err)
               && put_record(part, stmt->number, stmt->end, err);
    put_text(part->out, "SET CONSTRAINTS ALL IMMEDIATE;\n");
    return put_progress(part, stmt->number, stmt->end, err)
           && put_next(part, stmt, err);
}

static bool
put_statements(struct part *part, struct rung_error *err)
{
    struct statement stmt;
    bool found, ok;

    for (;;) {
        if (!next_statement(part, &stmt, &found, err))
            return false;
        if (!found)
            return same_bytes(part, err);
        if (stmt.traits.kind == SQL_BEGIN)
            ok = put_group(part, &stmt, err);
        else if (stmt.traits.kind == SQL_ALONE || stmt.traits.kind == SQL_CALL)
            ok = put_alone(part, &stmt, err);
        else
            ok = put_shared(part, &stmt, err);
        if (!ok)
            return false;
    }
}

static bool
put_chain(struct part *part, struct rung_error *err)
{
    struct psql *out = part->out;
    struct ledger_entry entry = entry_of(part);
    char empty[CHECKSUM_BYTES];

    if (!checksum_hex(part->prefix, empty, err))
        return false;
    entry.checksum = empty;
    entry.statements = 0;
    put_text(out, BEGIN ";\n:rung_reset\n");
    ledger_sql_insert(&out->text, out->ledger, &entry, false, NULL);
    put_role(out, "SET ROLE ");
    put_text(out, "COMMIT;\n");
    if (!put_statements(part, err))
        return false;
    put_text(out, BEGIN ";\n");
    if (!put_finish(part, err))
        return false;
    put_text(out, "COMMIT;\n");
    return true;
}

/* ---- the whole ------------------------------------------------------------------ */

bool
psql_file(struct psql *out, const struct sqldir *dir, const struct sqlfile *file,
    bool first, bool last, struct rung_error *err)
{
    struct source src = { .fd = -1 };
    struct part part = { .out = out,
        .file = file,
        .src = &src,
        .sum = checksum_new(err),
        .first = first,
        .last = last };
    bool ok = part.sum != NULL && (part.prefix = checksum_new(err)) != NULL
              && source_open(&src, dir, file, err)
              && reader_open(&part.reader, &src, READER_WINDOW, part.sum, err);

    /* A name that got through the rule holds nothing that psql would obey. */
    appendPQExpBuffer(&out->text, "\n-- %s\n\\echo '%s'\n", file->name, file->name);
    ok = ok && (file->verdict.no_transaction ? put_chain : put_transaction)(&part, err);
    reader_close(&part.reader);
    source_close(&src);
    checksum_free(part.sum);
    checksum_free(part.prefix);
    return ok;
}
