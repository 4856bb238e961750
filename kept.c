/*
 * kept.c: the text of files, kept in a table beside the ledger (--keep-source).
 *
 * The table is <ledger>_source: version, up, down.  It is ours alone: PUBLIC has no
 * right on it, since SQL may hold secrets, and nothing is written to it unless it
 * passes the ledger's own inspection.
 *
 * Invariant: a text is used only if its up part has the checksum that the ledger
 * records.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_BYTES MIB(1)
#define SUFFIX "_source"

/* A ledger whose name is longer cannot have such a table. */
static bool
name_fits(const struct survey *s)
{
    return strlen(s->ledger.table) + strlen(SUFFIX) < NAME_BYTES;
}

/* The table's name, from the ledger's; it lives in the same schema. */
static bool
name_table(struct survey *s, struct rung_error *err)
{
    struct ledger *kept = &s->kept;

    *kept = s->ledger;
    text_format(kept->table, sizeof kept->table, "%s%s", s->ledger.table, SUFFIX);
    text_format(
        kept->wanted_schema, sizeof kept->wanted_schema, "%s", s->ledger.schema);
    return ledger_requalify(kept, err);
}

/* Run one query of ours and keep its one table, if it brings one. */
static bool
ask(struct survey *s, PQExpBuffer sql, struct pg_tables *tables, struct rung_error *err)
{
    return PQExpBufferDataBroken(*sql) ? err_memory(err)
                                       : pg_query(&s->pg, sql->data, tables, err);
}

bool
kept_find(struct survey *s, struct rung_error *err)
{
    PQExpBufferData sql;
    struct pg_tables tables = { .n = 0 };
    bool ok;

    s->kept.oid = 0;
    if (!name_fits(s))
        return true;
    if (!name_table(s, err))
        return false;
    initPQExpBuffer(&sql);
    ledger_sql_oid(&sql, &s->kept);
    ok = ask(s, &sql, &tables, err);
    s->kept.oid = 0;
    if (ok && tables.n == 1 && PQntuples(tables.tables[0]) == 1)
        s->kept.oid = (uint32_t)strtoul(PQgetvalue(tables.tables[0], 0, 0), NULL, 10);
    pg_tables_clear(&tables);
    termPQExpBuffer(&sql);
    return ok;
}

static bool
create_table(struct survey *s, struct rung_error *err)
{
    PQExpBufferData sql;
    bool ok;

    initPQExpBuffer(&sql);
    appendPQExpBuffer(&sql,
        "BEGIN READ WRITE;\nSET LOCAL ROLE NONE;\nCREATE TABLE %s (\n"
        "    version pg_catalog.int8 PRIMARY KEY,\n"
        "    up      pg_catalog.text NOT NULL,\n"
        "    down    pg_catalog.text\n);\nREVOKE ALL ON %s FROM PUBLIC;\nCOMMIT;\n",
        s->kept.quoted, s->kept.quoted);
    ok = ask(s, &sql, NULL, err);
    if (!ok)
        pg_roll_back(&s->pg);
    termPQExpBuffer(&sql);
    return ok && kept_find(s, err);
}

/* May it be written to, if it is there? */
static bool
inspect(struct survey *s, struct rung_error *err)
{
    PQExpBufferData sql;
    struct pg_tables tables = { .n = 0 };
    bool widen, ok;

    if (s->kept.oid == 0)
        return true;
    initPQExpBuffer(&sql);
    ledger_sql_inspect(&sql, &s->kept);
    ok = ask(s, &sql, &tables, err) && tables.n == 1
         && ledger_judge(&s->kept, tables.tables[0], &widen, err);
    pg_tables_clear(&tables);
    termPQExpBuffer(&sql);
    return ok;
}

bool
kept_look(struct survey *s, struct rung_error *err)
{
    return kept_find(s, err) && inspect(s, err);
}

bool
kept_prepare(struct survey *s, struct rung_error *err)
{
    const char *encoding = PQparameterStatus(s->pg.conn, "server_encoding");
    char shown[4 * NAME_BYTES + 8];

    if (encoding != NULL && strcmp(encoding, "UTF8") != 0) {
        err_set(err, RUNG_FAILED, "--keep-source needs a database in UTF8, not %s",
            encoding);
        return err_hint(err, "Leave --keep-source (RUNG_KEEP_SOURCE) out.");
    }
    if (!name_fits(s))
        return err_set(err, RUNG_USAGE,
            "the ledger's name %s is too long for --keep-source: %s would not fit 63 bytes",
            ledger_shown(&s->ledger, shown, sizeof shown), SUFFIX);
    return kept_find(s, err) && (s->kept.oid != 0 || create_table(s, err))
           && inspect(s, err);
}

/* The whole of a file as text; *text stays NULL when it is too large or no UTF-8. */
static bool
read_text(
    const struct sqldir *dir, struct sqlfile *file, char **text, struct rung_error *err)
{
    struct source src;
    size_t got = 0;
    bool ok = source_open(&src, dir, file, err);

    *text = NULL;
    if (ok && src.size <= KEPT_BYTES) {
        *text = malloc((size_t)src.size + 1);
        ok = *text != NULL ? source_read(&src, 0, *text, (size_t)src.size, &got, err)
                           : err_memory(err);
    }
    source_close(&src);
    if (*text != NULL)
        (*text)[got] = '\0';
    if (!ok || (*text != NULL && utf8_valid((struct str){ *text, got }, NULL) != got)) {
        free(*text);
        *text = NULL;
    }
    return ok;
}

bool
kept_sql_insert(PQExpBuffer sql, const struct ledger *kept, const struct sqldir *dir,
    struct sqlfile *file, struct rung_error *err)
{
    char *up = NULL, *down = NULL;
    bool ok = read_text(dir, file, &up, err)
              && (file->down == NULL || read_text(dir, file->down, &down, err));

    if (ok && up != NULL) {
        appendPQExpBuffer(sql, "INSERT INTO %s AS k (version, up, down) VALUES (%lld, ",
            kept->quoted, (long long)file->version);
        ledger_sql_literal(sql, up);
        appendPQExpBufferStr(sql, ", ");
        ledger_sql_literal(sql, down);
        appendPQExpBufferStr(sql,
            ") ON CONFLICT (version) DO UPDATE SET up = EXCLUDED.up, down ="
            " EXCLUDED.down;\n");
    }
    free(up);
    free(down);
    return ok;
}

void
kept_sql_delete(PQExpBuffer sql, const struct ledger *kept, int64_t version)
{
    appendPQExpBuffer(sql,
        "DELETE FROM %s AS k WHERE k.version OPERATOR(pg_catalog.=) %lld;\n",
        kept->quoted, (long long)version);
}

/* Is this the text of what the ledger says ran? */
static bool
belongs(const struct survey *s, int64_t version, const char *up, struct rung_error *err)
{
    const struct ledger_row *row = survey_row(s, version);
    struct checksum *sum = checksum_new(err);
    char hex[CHECKSUM_BYTES];
    bool ok = sum != NULL && checksum_update(sum, str_of(up), err)
              && checksum_hex(sum, hex, err);

    checksum_free(sum);
    if (ok && row != NULL && row->applied_at_us != RUNG_NO_TIME
        && strcmp(row->checksum, hex) != 0)
        ok = err_set(err, RUNG_DRIFT,
            "the kept text of version %lld is not what the ledger records",
            (long long)version);
    return ok;
}

bool
kept_fetch(
    struct survey *s, int64_t version, bool down, char **text, struct rung_error *err)
{
    PQExpBufferData sql;
    struct pg_tables tables = { .n = 0 };
    bool ok;

    *text = NULL;
    if (s->kept.oid == 0)
        return true;
    initPQExpBuffer(&sql);
    appendPQExpBuffer(&sql,
        "SET LOCAL ROLE NONE;\nSELECT k.up, k.down FROM %s AS k WHERE k.version OPERATOR(pg_catalog.=) %lld",
        s->kept.quoted, (long long)version);
    ok = ask(s, &sql, &tables, err);
    if (ok && tables.n == 1 && PQntuples(tables.tables[0]) == 1) {
        const PGresult *res = tables.tables[0];

        ok = belongs(s, version, PQgetvalue(res, 0, 0), err);
        if (ok && !PQgetisnull(res, 0, down)) {
            *text = str_dup(str_of(PQgetvalue(res, 0, down)));
            ok = *text != NULL || err_memory(err);
        }
    }
    pg_tables_clear(&tables);
    termPQExpBuffer(&sql);
    return ok;
}

/* ---- for the library's users ---------------------------------------------------- */

bool
rung_source(const struct rung_options *options, int64_t version, bool down, char **text,
    struct rung_error *err)
{
    struct survey s;
    bool ok = survey_open(&s, options, false, err) && kept_find(&s, err)
              && kept_fetch(&s, version, down, text, err);

    if (!ok)
        *text = NULL;
    survey_close(&s);
    return ok;
}

/* The next token of either text; what a comment or white space says does not count. */
bool
rung_same_sql(const char *a, const char *b)
{
    struct lexer lexer = { 0 };
    struct str sa = str_of(a), sb = str_of(b);
    struct token ta = { 0 }, tb = { 0 };

    do {
        ta = lex_next(&lexer, sa, ta.end);
        tb = lex_next(&lexer, sb, tb.end);
        if (ta.type != tb.type
            || !str_eq(
                str_slice(sa, ta.start, ta.end), str_slice(sb, tb.start, tb.end)))
            return false;
    } while (ta.type != TOKEN_END && ta.type != TOKEN_OPEN);
    return true;
}
