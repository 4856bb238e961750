/*
 * ledger.c: the SQL text of schema_migrations, and the decoding of its rows.
 *
 * Owns the table's shape and every statement that touches it.  Sends nothing: it writes
 * text and reads results, so it is tested without a server.  trust.c decides
 * whether a table found under this name may be trusted.
 *
 * Invariant: whatever a migration left in search_path, no statement here can be made to
 * call its functions: functions, operators and types are named with pg_catalog, the
 * table with its schema.
 */
#include "internal.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define EQ " OPERATOR(pg_catalog.=) "
#define TIMES " OPERATOR(pg_catalog.*) "
#define MINUS " OPERATOR(pg_catalog.-) "
#define NOT_EQUAL " OPERATOR(pg_catalog.<>) "

/*
 * What a note says besides marks of ours, which have served; the reason of a repair
 * stays.  "statement 2 running as 3f...", "statement 1 failed beside 0,16390" (chain.c:
 * write_mark), "down file " and a checksum; a note of somebody else's follows them
 * after "; ".
 */
#define OTHER_NOTE                                                                     \
    "pg_catalog.substring(pg_catalog.regexp_replace(l.note,"                           \
    " '^((statement [0-9]+ (running|failed)( as [0-9a-f]+)?( beside [0-9,]+)?"         \
    "|down file [0-9a-f]{64})(; |$))+', ''), '.+')"

/* ---- names ---------------------------------------------------------------------- */

/* One part of a name: quoted, or folded to lower case.  Returns what follows, or NULL.
 */
static const char *
name_part(const char *text, char part[NAME_BYTES])
{
    size_t n = 0;
    bool quoted = *text == '"';

    for (text += quoted; *text != '\0'; text++) {
        char c = *text;

        if (quoted && c == '"' && *++text != '"')
            return n > 0 ? text : NULL;
        if (!quoted) {
            bool digit = (c >= '0' && c <= '9') || c == '$';

            if (c >= 'A' && c <= 'Z')
                c = (char)(c - 'A' + 'a');
            if (!((c >= 'a' && c <= 'z') || c == '_' || (c & 0x80) || (digit && n > 0)))
                break;
        }
        if (n + 1 == NAME_BYTES)
            return NULL;
        part[n++] = c;
        part[n] = '\0';
    }
    return quoted || n == 0 ? NULL : text;
}

static void
quote_always(char *buffer, size_t size, const char *name)
{
    size_t n = 0;

    buffer[n++] = '"';
    for (; *name != '\0' && n + 4 < size; name++) {
        if (*name == '"')
            buffer[n++] = '"';
        buffer[n++] = *name;
    }
    buffer[n++] = '"';
    buffer[n] = '\0';
}

const char *
ledger_quote(char *buffer, size_t size, const char *name)
{
    bool plain = !(*name >= '0' && *name <= '9');

    for (const char *p = name; *p != '\0'; p++)
        plain &= (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_';
    if (plain)
        text_format(buffer, size, "%s", name);
    else
        quote_always(buffer, size, name);
    return buffer;
}

/* "schema"."table", or "table" alone. */
static void
quote_both(char *buffer, size_t size, const char *schema, const char *table)
{
    char a[2 * NAME_BYTES + 3], b[2 * NAME_BYTES + 3];

    quote_always(b, sizeof b, table);
    if (schema[0] == '\0') {
        text_format(buffer, size, "%s", b);
        return;
    }
    quote_always(a, sizeof a, schema);
    text_format(buffer, size, "%s.%s", a, b);
}

bool
ledger_name(struct ledger *ledger, const char *text, struct rung_error *err)
{
    char part[NAME_BYTES] = "", second[NAME_BYTES] = "";
    char shown[160];
    const char *rest;

    *ledger = (struct ledger){ 0 };
    if (text == NULL)
        return err_set(err, RUNG_USAGE, "no table was given");
    rest = name_part(text, part);
    if (rest != NULL && *rest == '.')
        rest = name_part(rest + 1, second);
    if (rest == NULL || *rest != '\0' || utf8_valid(str_of(text), NULL) != strlen(text))
        return err_set(err, RUNG_USAGE,
            "not a table's name: \"%s\" (at most schema.table, 63 bytes each)",
            text_escape(shown, sizeof shown, str_of(text)));
    memcpy(second[0] == '\0' ? ledger->table : ledger->wanted_schema, part, NAME_BYTES);
    if (second[0] != '\0')
        memcpy(ledger->table, second, NAME_BYTES);
    quote_both(
        ledger->given, sizeof ledger->given, ledger->wanted_schema, ledger->table);
    return true;
}

/* Now that the schema is known: the full name, and the lock that goes with it. */
static bool
settle_name(struct ledger *ledger, struct rung_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * NAME_BYTES + 8];
    uint64_t key = 0;

    quote_both(ledger->quoted, sizeof ledger->quoted, ledger->schema, ledger->table);
    text_format(text, sizeof text, "rung:%s.%s", ledger->schema, ledger->table);
    if (EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) != 1)
        return err_set(err, RUNG_FAILED, "libcrypto cannot compute SHA-256");
    for (int i = 0; i < 8; i++)
        key = key << 8 | digest[i];
    memcpy(&ledger->lock_key, &key, sizeof key);
    return true;
}

bool
ledger_requalify(struct ledger *ledger, struct rung_error *err)
{
    quote_both(
        ledger->given, sizeof ledger->given, ledger->wanted_schema, ledger->table);
    return settle_name(ledger, err);
}

/* ---- writing SQL ---------------------------------------------------------------- */

/*
 * A backslash makes it E'...', which reads the same whether or not
 * standard_conforming_strings is on: our first query is sent before we can set that.
 *
 * Source: PostgreSQL manual 4.1.2.2, and libpq's PQescapeLiteral.
 */
void
ledger_sql_literal(PQExpBuffer sql, const char *text)
{
    if (text == NULL) {
        appendPQExpBufferStr(sql, "NULL");
        return;
    }
    appendPQExpBufferStr(sql, strchr(text, '\\') == NULL ? "'" : " E'");
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            appendPQExpBufferChar(sql, *text);
        appendPQExpBufferChar(sql, *text);
    }
    appendPQExpBufferChar(sql, '\'');
}

static void
append_int(PQExpBuffer sql, int64_t n)
{
    appendPQExpBuffer(sql, "%lld", (long long)n);
}

/*
 * One row: who are we, where is the table.  The schema of a table that is not there is
 * the one that CREATE TABLE would use.  Joining pg_class and pg_namespace would say the
 * same, and cost a new backend, which knows no catalog yet, more than all the rest; for
 * the same reason what SQL has a word for is no function here.
 */
void
ledger_sql_find(PQExpBuffer sql, const struct ledger *ledger)
{
    appendPQExpBufferStr(sql,
        "SELECT pg_catalog.pg_backend_pid(), session_user, current_catalog,"
        " pg_catalog.pg_is_in_recovery(), r.oid,"
        " ((pg_catalog.pg_identify_object_as_address("
        "'pg_catalog.pg_class'::pg_catalog.regclass, r.oid, 0)).object_names)[1],"
        " current_schema, pg_catalog.current_setting('session_replication_role')"
        " FROM (SELECT pg_catalog.to_regclass(");
    ledger_sql_literal(sql, ledger->given);
    appendPQExpBufferStr(sql, ")::pg_catalog.oid AS oid) AS r;\n");
}

void
ledger_sql_oid(PQExpBuffer sql, const struct ledger *ledger)
{
    appendPQExpBufferStr(sql, "SELECT r.oid FROM (SELECT pg_catalog.to_regclass(");
    ledger_sql_literal(sql, ledger->quoted);
    appendPQExpBufferStr(
        sql, ")::pg_catalog.oid AS oid) AS r WHERE r.oid IS NOT NULL;\n");
}

/* `*`, because only the first four columns are certain to be there. */
void
ledger_sql_rows(PQExpBuffer sql, const struct ledger *ledger)
{
    appendPQExpBuffer(sql,
        "SELECT l.*, pg_catalog.date_part('epoch', l.applied_at) AS \"rung applied\""
        " FROM %s AS l ORDER BY l.version;\n",
        ledger->oid != 0 ? ledger->quoted : ledger->given);
}

/* Is there a table of this name that the search_path does not find? */
void
ledger_sql_namesakes(PQExpBuffer sql, const struct ledger *ledger)
{
    appendPQExpBufferStr(sql,
        "SELECT c.oid FROM pg_catalog.pg_class AS c WHERE c.relkind" EQ
        "'r' AND c.relname" EQ);
    ledger_sql_literal(sql, ledger->table);
    appendPQExpBufferStr(sql, " AND NOT pg_catalog.pg_table_is_visible(c.oid);\n");
}

/*
 * Tables of this name with a ledger's four columns, in schemas that are not searched
 * (in one that is, somebody has just created it).
 */
void
ledger_sql_elsewhere(PQExpBuffer sql, const struct ledger *ledger)
{
    appendPQExpBufferStr(sql,
        "SELECT n.nspname FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid" EQ "c.relnamespace"
        " WHERE c.relkind" EQ "'r' AND c.relname" EQ);
    ledger_sql_literal(sql, ledger->table);
    appendPQExpBufferStr(sql,
        " AND NOT pg_catalog.pg_table_is_visible(c.oid)"
        " AND 4" EQ "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a"
        " WHERE a.attrelid" EQ "c.oid AND NOT a.attisdropped AND (a.attname" EQ
        "'version' OR a.attname" EQ "'filename' OR a.attname" EQ
        "'checksum' OR a.attname" EQ "'applied_at')) ORDER BY 1;\n");
}

void
ledger_sql_inspect(PQExpBuffer sql, const struct ledger *ledger)
{
    appendPQExpBuffer(sql,
        "SELECT c.relkind, c.relpersistence,"
        " EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid" EQ
        "c.oid AND NOT t.tgisinternal),"
        " EXISTS (SELECT FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class" EQ
        "c.oid), c.relrowsecurity,"
        " o.rolname, pg_catalog.pg_has_role(session_user, c.relowner, 'MEMBER')"
        " OR o.rolsuper OR d.datdba" EQ "c.relowner,"
        " (SELECT pg_catalog.max(CASE WHEN i.indimmediate THEN 't' ELSE 'd' END)"
        " FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_attribute AS a"
        " ON a.attrelid" EQ "c.oid AND a.attnum" EQ "i.indkey[0] WHERE i.indrelid" EQ
        "c.oid AND i.indisunique AND i.indisvalid AND i.indnkeyatts" EQ
        "1 AND i.indpred IS NULL AND a.attname" EQ "'version'),"
        " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid" EQ
        "c.oid AND NOT a.attisdropped AND (a.attname" EQ "'applied_by' OR a.attname" EQ
        "'duration_ms' OR a.attname" EQ "'statements' OR a.attname" EQ
        "'undone' OR a.attname" EQ "'note')),"
        " EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid" EQ
        "c.oid AND NOT a.attisdropped AND a.attnotnull AND a.attname" EQ "'applied_at')"
        " FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_roles AS o ON o.oid" EQ "c.relowner"
        " JOIN pg_catalog.pg_database AS d ON d.datname" EQ
        "pg_catalog.current_database() WHERE c.oid" EQ "%u;\n",
        ledger->oid);
}

void
ledger_sql_columns(PQExpBuffer sql, const struct ledger *ledger)
{
    appendPQExpBufferStr(sql,
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), c.relkind,"
        " pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class AS c LEFT JOIN pg_catalog.pg_attribute AS a"
        " ON a.attrelid" EQ
        "c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped"
        " WHERE c.oid" EQ "pg_catalog.to_regclass(");
    ledger_sql_literal(sql, ledger->given);
    appendPQExpBufferStr(sql, ")::pg_catalog.oid ORDER BY a.attnum;\n");
}

void
ledger_sql_create(PQExpBuffer sql, const struct ledger *ledger)
{
    appendPQExpBuffer(sql,
        "CREATE TABLE %s (\n"
        "    version     pg_catalog.int8 PRIMARY KEY,\n"
        "    filename    pg_catalog.text NOT NULL,\n"
        "    checksum    pg_catalog.text NOT NULL,\n"
        "    applied_at  pg_catalog.timestamptz,\n"
        "    applied_by  pg_catalog.text,\n"
        "    duration_ms pg_catalog.int8,\n"
        "    statements  pg_catalog.int8,\n"
        "    undone      pg_catalog.int8,\n"
        "    note        pg_catalog.text\n"
        ");\n",
        ledger->quoted);
}

void
ledger_sql_widen(PQExpBuffer sql, const struct ledger *ledger)
{
    appendPQExpBuffer(sql,
        "ALTER TABLE %s ADD COLUMN IF NOT EXISTS applied_by pg_catalog.text,"
        " ADD COLUMN IF NOT EXISTS duration_ms pg_catalog.int8,"
        " ADD COLUMN IF NOT EXISTS statements pg_catalog.int8,"
        " ADD COLUMN IF NOT EXISTS undone pg_catalog.int8,"
        " ADD COLUMN IF NOT EXISTS note pg_catalog.text,"
        " ALTER COLUMN applied_at DROP NOT NULL;\n",
        ledger->quoted);
}

void
ledger_sql_try_lock(PQExpBuffer sql, const struct ledger *ledger)
{
    appendPQExpBufferStr(sql, "SELECT pg_catalog.pg_try_advisory_lock(");
    append_int(sql, ledger->lock_key);
    appendPQExpBufferStr(sql, ");\n");
}

/*
 * A division by zero (22012) unless our session has held the lock all along.  Its
 * transaction then holds it, too, so that it is nobody else's between the two calls
 * that look; and to its end, whatever the file releases.
 */
void
ledger_sql_holds_lock(PQExpBuffer sql, const struct ledger *ledger)
{
    long long key = (long long)ledger->lock_key;

    appendPQExpBuffer(sql,
        "SELECT 1 OPERATOR(pg_catalog./) CASE WHEN NOT"
        " pg_catalog.pg_try_advisory_xact_lock(%lld) THEN 0 WHEN NOT"
        " pg_catalog.pg_advisory_unlock(%lld) THEN 0 WHEN"
        " pg_catalog.pg_try_advisory_lock(%lld) THEN 1 ELSE 0 END;\n",
        key, key, key);
}

/* 22012 when somebody else has the lock; if nobody has, it is ours again. */
void
ledger_sql_retake_lock(PQExpBuffer sql, const struct ledger *ledger)
{
    appendPQExpBuffer(sql,
        "SELECT 1 OPERATOR(pg_catalog./) CASE WHEN"
        " pg_catalog.pg_try_advisory_lock(%lld) THEN 1 ELSE 0 END;\n",
        (long long)ledger->lock_key);
}

/* For the transaction: other runners wait, who only reads does not. */
void
ledger_sql_lock_table(PQExpBuffer sql, const struct ledger *ledger)
{
    appendPQExpBuffer(
        sql, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE;\n", ledger->quoted);
}

/* 22012 when there is a row above `version`. */
void
ledger_sql_is_newest(PQExpBuffer sql, const struct ledger *ledger, int64_t version)
{
    appendPQExpBuffer(sql,
        "SELECT 1 OPERATOR(pg_catalog./) CASE WHEN EXISTS (SELECT FROM %s AS l"
        " WHERE l.version OPERATOR(pg_catalog.>) ",
        ledger->quoted);
    append_int(sql, version);
    appendPQExpBufferStr(sql, ") THEN 0 ELSE 1 END;\n");
}

/* 22012 when there is no row of `version`. */
void
ledger_sql_is_there(PQExpBuffer sql, const struct ledger *ledger, int64_t version)
{
    appendPQExpBuffer(sql,
        "SELECT 1 OPERATOR(pg_catalog./) CASE WHEN EXISTS (SELECT FROM %s AS l"
        " WHERE l.version" EQ,
        ledger->quoted);
    append_int(sql, version);
    appendPQExpBufferStr(sql, ") THEN 1 ELSE 0 END;\n");
}

/*
 * Lock the row of an unfinished file, or of an undo; 22012 when it is no longer as we
 * left it, with `done` statements.  No row at all is for the next statement to notice.
 */
void
ledger_sql_unchanged(PQExpBuffer sql, const struct ledger *ledger, int64_t version,
    bool undo, uint64_t done)
{
    appendPQExpBufferStr(sql,
        "SELECT 1 OPERATOR(pg_catalog./) (1" MINUS "pg_catalog.count(*)) FROM (SELECT"
        " l.applied_at, l.statements, l.undone FROM ");
    appendPQExpBuffer(sql, "%s AS l WHERE l.version" EQ, ledger->quoted);
    append_int(sql, version);
    appendPQExpBufferStr(sql, " FOR UPDATE) AS r WHERE ");
    if (undo)
        appendPQExpBufferStr(sql, "coalesce(r.undone, 0)" NOT_EQUAL);
    else
        appendPQExpBufferStr(
            sql, "r.applied_at IS NOT NULL OR coalesce(r.statements, 0)" NOT_EQUAL);
    append_int(sql, (int64_t)done);
    appendPQExpBufferStr(sql, ";\n");
}

/*
 * Who holds the lock: pid, application, since, what it runs.
 *
 * Source: PostgreSQL manual 54.12, pg_locks: a bigint key has its high half in classid,
 * its low half in objid, and objsubid 1.
 */
void
ledger_sql_holder(PQExpBuffer sql, const struct ledger *ledger)
{
    uint64_t key;

    memcpy(&key, &ledger->lock_key, sizeof key);
    appendPQExpBuffer(sql,
        "SELECT l.pid, a.application_name, a.usename,"
        " pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()" MINUS
        "a.backend_start)::pg_catalog.int8, pg_catalog.left(a.query, 200)"
        " FROM pg_catalog.pg_locks AS l"
        " LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid" EQ "l.pid"
        " JOIN pg_catalog.pg_database AS d ON d.oid" EQ "l.database AND d.datname" EQ
        "pg_catalog.current_database()"
        " WHERE l.locktype" EQ "'advisory' AND l.granted AND l.objsubid" EQ
        "1 AND l.classid" EQ "%u AND l.objid" EQ "%u;\n",
        (unsigned)(key >> 32), (unsigned)(key & 0xFFFFFFFFu));
}

/* An INSERT as far as the checksum; `more` are the columns behind it. */
static void
append_insert(PQExpBuffer sql, const struct ledger *ledger,
    const struct ledger_entry *entry, const char *more)
{
    appendPQExpBuffer(sql, "INSERT INTO %s (version, filename, checksum, %s) VALUES (",
        ledger->quoted, more);
    append_int(sql, entry->version);
    appendPQExpBufferStr(sql, ", ");
    ledger_sql_literal(sql, entry->filename);
    appendPQExpBufferStr(sql, ", ");
    ledger_sql_literal(sql, entry->checksum);
}

void
ledger_sql_insert(PQExpBuffer sql, const struct ledger *ledger,
    const struct ledger_entry *entry, bool finished, const char *note)
{
    append_insert(
        sql, ledger, entry, "applied_at, applied_by, duration_ms, statements, note");
    appendPQExpBuffer(sql, ", %s, session_user, 0, ",
        finished ? "pg_catalog.clock_timestamp()" : "NULL");
    append_int(sql, (int64_t)entry->statements);
    appendPQExpBufferStr(sql, ", ");
    ledger_sql_literal(sql, note);
    appendPQExpBufferStr(sql, ");\n");
}

/* "... WHERE this very row of this very table", for an UPDATE or DELETE named l. */
static void
append_row(PQExpBuffer sql, const struct ledger *ledger, int64_t version)
{
    appendPQExpBufferStr(sql, " WHERE l.version" EQ);
    append_int(sql, version);
    appendPQExpBuffer(sql, " AND l.tableoid" EQ "%u", ledger->oid);
}

/* A row that is not hit is a division by zero: 22012, in front of any COMMIT. */
static void
begin_exactly_one(PQExpBuffer sql)
{
    appendPQExpBufferStr(sql, "WITH hit AS (");
}

static void
end_exactly_one(PQExpBuffer sql)
{
    appendPQExpBufferStr(sql,
        " RETURNING 1) SELECT 1 OPERATOR(pg_catalog./) pg_catalog.count(*) FROM hit;\n");
}

void
ledger_sql_finish(PQExpBuffer sql, const struct ledger *ledger,
    const struct ledger_entry *entry, int64_t duration_ms)
{
    begin_exactly_one(sql);
    appendPQExpBuffer(sql,
        "UPDATE %s AS l SET applied_at = pg_catalog.clock_timestamp(), duration_ms = ",
        ledger->quoted);
    if (duration_ms >= 0)
        append_int(sql, duration_ms);
    else
        appendPQExpBufferStr(sql,
            "(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()" MINUS
            "l.applied_at)" TIMES "1000)::pg_catalog.int8");
    appendPQExpBufferStr(sql, ", filename = ");
    ledger_sql_literal(sql, entry->filename);
    appendPQExpBufferStr(sql, ", checksum = ");
    ledger_sql_literal(sql, entry->checksum);
    appendPQExpBufferStr(sql, ", statements = ");
    append_int(sql, (int64_t)entry->statements);
    if (duration_ms >= 0)
        appendPQExpBufferStr(sql, ", note = " OTHER_NOTE);
    append_row(sql, ledger, entry->version);
    end_exactly_one(sql);
}

void
ledger_sql_progress(
    PQExpBuffer sql, const struct ledger *ledger, const struct ledger_entry *entry)
{
    begin_exactly_one(sql);
    appendPQExpBuffer(sql, "UPDATE %s AS l SET statements = ", ledger->quoted);
    append_int(sql, (int64_t)entry->statements);
    appendPQExpBufferStr(sql, ", checksum = ");
    ledger_sql_literal(sql, entry->checksum);
    appendPQExpBufferStr(sql, ", note = " OTHER_NOTE);
    append_row(sql, ledger, entry->version);
    appendPQExpBufferStr(sql, " AND l.applied_at IS NULL");
    end_exactly_one(sql);
}

void
ledger_sql_note(
    PQExpBuffer sql, const struct ledger *ledger, int64_t version, const char *note)
{
    begin_exactly_one(sql);
    appendPQExpBuffer(sql, "UPDATE %s AS l SET note = ", ledger->quoted);
    ledger_sql_literal(sql, note);
    append_row(sql, ledger, version);
    end_exactly_one(sql);
}

/* "; note = MARK and what else it says", where there is a mark. */
static void
append_mark(PQExpBuffer sql, const char *mark)
{
    if (mark == NULL) {
        appendPQExpBufferStr(sql, "note = " OTHER_NOTE);
        return;
    }
    appendPQExpBufferStr(sql, "note = pg_catalog.concat_ws('; ', ");
    ledger_sql_literal(sql, mark);
    appendPQExpBufferStr(sql, ", " OTHER_NOTE ")");
}

void
ledger_sql_mark(
    PQExpBuffer sql, const struct ledger *ledger, int64_t version, const char *mark)
{
    begin_exactly_one(sql);
    appendPQExpBuffer(sql, "UPDATE %s AS l SET ", ledger->quoted);
    append_mark(sql, mark);
    append_row(sql, ledger, version);
    end_exactly_one(sql);
}

void
ledger_sql_undone(PQExpBuffer sql, const struct ledger *ledger, int64_t version,
    uint64_t undone, const char *mark)
{
    begin_exactly_one(sql);
    appendPQExpBuffer(sql, "UPDATE %s AS l SET ", ledger->quoted);
    append_mark(sql, mark);
    appendPQExpBufferStr(sql, ", undone = ");
    append_int(sql, (int64_t)undone);
    append_row(sql, ledger, version);
    end_exactly_one(sql);
}

void
ledger_sql_delete(PQExpBuffer sql, const struct ledger *ledger, int64_t version)
{
    begin_exactly_one(sql);
    appendPQExpBuffer(sql, "DELETE FROM %s AS l", ledger->quoted);
    append_row(sql, ledger, version);
    end_exactly_one(sql);
}

void
ledger_sql_absent(PQExpBuffer sql, const struct ledger *ledger, int64_t version)
{
    appendPQExpBufferStr(sql,
        "SELECT 1 OPERATOR(pg_catalog./) (CASE WHEN pg_catalog.count(*)" EQ
        "0 AND pg_catalog.to_regclass(");
    ledger_sql_literal(sql, ledger->quoted);
    appendPQExpBuffer(sql, ")::pg_catalog.oid" EQ "%u THEN 1 ELSE 0 END) FROM %s AS l",
        ledger->oid, ledger->quoted);
    append_row(sql, ledger, version);
    appendPQExpBufferStr(sql, ";\n");
}

void
ledger_sql_stamp(PQExpBuffer sql, const struct ledger *ledger,
    const struct ledger_entry *entry, const char *note)
{
    append_insert(sql, ledger, entry, "applied_at, applied_by, note");
    appendPQExpBufferStr(sql, ", pg_catalog.clock_timestamp(), session_user, ");
    ledger_sql_literal(sql, note);
    appendPQExpBufferStr(sql, ");\n");
}

void
ledger_sql_adopt(PQExpBuffer sql, const struct ledger *ledger,
    const struct ledger_entry *entry, const char *applied_at, const char *applied_by,
    int64_t duration_ms, const char *note)
{
    append_insert(
        sql, ledger, entry, "applied_at, applied_by, duration_ms, statements, note");
    appendPQExpBufferStr(sql, ", ");
    if (applied_at == NULL)
        appendPQExpBufferStr(sql, "pg_catalog.clock_timestamp()");
    else
        ledger_sql_literal(sql, applied_at);
    appendPQExpBufferStr(sql, ", ");
    if (applied_by == NULL)
        appendPQExpBufferStr(sql, "session_user");
    else
        ledger_sql_literal(sql, applied_by);
    appendPQExpBufferStr(sql, ", ");
    if (duration_ms < 0)
        appendPQExpBufferStr(sql, "NULL");
    else
        append_int(sql, duration_ms);
    appendPQExpBufferStr(sql, ", 0, ");
    ledger_sql_literal(sql, note);
    appendPQExpBufferStr(sql, ");\n");
}

void
ledger_sql_accept(PQExpBuffer sql, const struct ledger *ledger,
    const struct ledger_entry *entry, const char *note)
{
    begin_exactly_one(sql);
    appendPQExpBuffer(sql, "UPDATE %s AS l SET filename = ", ledger->quoted);
    ledger_sql_literal(sql, entry->filename);
    appendPQExpBufferStr(sql, ", checksum = ");
    ledger_sql_literal(sql, entry->checksum);
    appendPQExpBufferStr(sql,
        ", applied_at = coalesce(l.applied_at, pg_catalog.clock_timestamp())"
        ", statements = ");
    if (entry->statements == UINT64_MAX)
        appendPQExpBufferStr(sql, "NULL");
    else
        append_int(sql, (int64_t)entry->statements);
    appendPQExpBufferStr(sql, ", note = ");
    ledger_sql_literal(sql, note);
    append_row(sql, ledger, entry->version);
    end_exactly_one(sql);
}

/* ---- reading results ------------------------------------------------------------ */

static void
copy_name(char to[NAME_BYTES], const char *from)
{
    text_format(to, NAME_BYTES, "%s", from);
}

bool
ledger_found(struct ledger *ledger, const PGresult *res, struct rung_error *err)
{
    if (PQntuples(res) != 1 || PQnfields(res) != 8)
        return err_set(err, RUNG_BUG, "the server's answer about the ledger is no row");
    ledger->backend_pid = (int)strtol(PQgetvalue(res, 0, 0), NULL, 10);
    copy_name(ledger->user, PQgetvalue(res, 0, 1));
    copy_name(ledger->database, PQgetvalue(res, 0, 2));
    ledger->standby = PQgetvalue(res, 0, 3)[0] == 't';
    ledger->replica = strcmp(PQgetvalue(res, 0, 7), "replica") == 0;
    ledger->oid = (uint32_t)strtoul(PQgetvalue(res, 0, 4), NULL, 10);
    if (ledger->oid != 0)
        copy_name(ledger->schema, PQgetvalue(res, 0, 5));
    else if (ledger->wanted_schema[0] != '\0')
        copy_name(ledger->schema, ledger->wanted_schema);
    else
        copy_name(ledger->schema, PQgetvalue(res, 0, 6)); /* "" when NULL */
    return settle_name(ledger, err);
}

static int64_t
get_int(const PGresult *res, int row, int column)
{
    if (column < 0 || PQgetisnull(res, row, column))
        return -1;
    return strtoll(PQgetvalue(res, row, column), NULL, 10);
}

/* A copy; "" for NULL.  NULL for want of memory, when *ok turns false. */
static char *
get_text(const PGresult *res, int row, int column, bool *ok)
{
    char *copy = str_dup((struct str){
        PQgetvalue(res, row, column), (size_t)PQgetlength(res, row, column) });

    *ok &= copy != NULL;
    return copy;
}

/* The same, but NULL for an absent column or NULL. */
static char *
get_optional(const PGresult *res, int row, int column, bool *ok)
{
    if (column < 0 || PQgetisnull(res, row, column))
        return NULL;
    return get_text(res, row, column, ok);
}

/*
 * Seconds since 1970 as the server prints a double; "infinity" is no time.  strtod gets
 * it without its point, for which it may want a comma: the locale is the program's.
 */
static int64_t
get_time_us(const PGresult *res, int row, int column)
{
    char digits[64];
    const char *text, *point;
    size_t places = 0; /* behind the point */
    double us;

    if (column < 0 || PQgetisnull(res, row, column))
        return RUNG_NO_TIME;
    text = PQgetvalue(res, row, column);
    point = strchr(text, '.');
    if (point != NULL)
        places = strspn(point + 1, "0123456789");
    text_format(digits, sizeof digits, "%.*s%s", (int)strcspn(text, "."), text,
        point == NULL ? "" : point + 1);
    us = strtod(digits, NULL);
    for (; places < 6; places++)
        us *= 10;
    for (; places > 6; places--)
        us /= 10;
    if (!(us > -1e18 && us < 1e18))
        return 0;
    return (int64_t)(us + (us < 0 ? -0.5 : 0.5));
}

/* pg_type.oid of int2, int4, int8, text, varchar and bpchar. */
static bool
is_integer(Oid type)
{
    return type == 20 || type == 21 || type == 23;
}

static bool
is_text(Oid type)
{
    return type == 25 || type == 1043 || type == 1042;
}

bool
ledger_decode(struct ledger_rows *rows, const PGresult *res, struct rung_error *err)
{
    int version = PQfnumber(res, "version"), filename = PQfnumber(res, "filename");
    int checksum = PQfnumber(res, "checksum"),
        when = PQfnumber(res, "\"rung applied\"");
    int by = PQfnumber(res, "applied_by"), took = PQfnumber(res, "duration_ms");
    int statements = PQfnumber(res, "statements"), undone = PQfnumber(res, "undone");
    int note = PQfnumber(res, "note");
    size_t n = (size_t)PQntuples(res);
    bool ok = true;

    *rows = (struct ledger_rows){ 0 };
    if (version < 0 || filename < 0 || checksum < 0 || when < 0
        || !is_integer(PQftype(res, version)) || !is_text(PQftype(res, filename))
        || !is_text(PQftype(res, checksum)))
        return err_set(err, RUNG_DRIFT, "the table is not a ledger of rung's");
    for (size_t i = 0; i < n; i++)
        if (PQgetisnull(res, (int)i, version))
            return err_set(err, RUNG_DRIFT, "a row of the ledger has no version");
    rows->rows = calloc(n == 0 ? 1 : n, sizeof *rows->rows);
    if (rows->rows == NULL)
        return err_memory(err);
    for (rows->n = 0; rows->n < n; rows->n++) {
        struct ledger_row *row = &rows->rows[rows->n];
        int i = (int)rows->n;

        row->version = get_int(res, i, version);
        row->filename = get_text(res, i, filename, &ok);
        row->checksum = get_text(res, i, checksum, &ok);
        row->applied_at_us = get_time_us(res, i, when);
        row->applied_by = get_optional(res, i, by, &ok);
        row->duration_ms = get_int(res, i, took);
        row->statements = get_int(res, i, statements);
        row->undone = get_int(res, i, undone);
        row->note = get_optional(res, i, note, &ok);
    }
    if (ok)
        return true;
    ledger_rows_free(rows);
    return err_memory(err);
}

void
ledger_rows_free(struct ledger_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        free(rows->rows[i].filename);
        free(rows->rows[i].checksum);
        free(rows->rows[i].applied_by);
        free(rows->rows[i].note);
    }
    free(rows->rows);
    *rows = (struct ledger_rows){ 0 };
}

uint64_t
ledger_rows_mark(const struct ledger_rows *rows)
{
    uint64_t mark = rows->n;

    for (size_t i = 0; i < rows->n; i++) {
        const struct ledger_row *row = &rows->rows[i];

        mark = mark * 31 + (uint64_t)row->version;
        mark = mark * 31 + (uint64_t)row->applied_at_us;
        mark = mark * 31 + (uint64_t)row->statements;
        mark = mark * 31 + (uint64_t)row->undone;
    }
    return mark;
}
