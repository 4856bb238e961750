/*
 * tables.c: what each tool's table says: its rows, its lock, its checksums; and where
 * it is.  How the tables are recognised is foreign.c's.
 *
 * One row of the table below for each tool.  Its query has the columns that adopt.c
 * reads; it runs with search_path = pg_catalog, so that no function of the user's is
 * called.
 *
 * Sources: the tools' own code; docs/adopt.md names what was taken from where.
 */
#include "import.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- checksums ------------------------------------------------------------------- */

/* Source: RFC 1952, 8: the CRC-32 of ISO 3309, bit by bit. */
static uint32_t
crc32_update(uint32_t crc, struct str bytes)
{
    crc = ~crc;
    for (size_t i = 0; i < bytes.n; i++) {
        crc ^= (unsigned char)bytes.p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xEDB88320) : 0);
    }
    return ~crc;
}

static const char *
hex_digest(struct keep *keep, const EVP_MD *md, const struct str *parts, size_t n)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    unsigned int size = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, md, NULL) == 1;

    for (size_t i = 0; ok && i < n; i++)
        ok = EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1;
    ok = ok && EVP_DigestFinal_ex(ctx, digest, &size) == 1;
    EVP_MD_CTX_free(ctx);
    for (unsigned int i = 0; ok && i < size; i++)
        (void)snprintf(hex + 2 * i, sizeof hex - 2 * i, "%02x", digest[i]);
    keep->failed |= !ok;
    return keep_text(keep, str_of(hex));
}

static bool
sum_sqlx(struct keep *keep, const struct history_row *row, const struct evidence *file)
{
    return strcmp(row->sum, hex_digest(keep, EVP_sha384(), &file->original, 1)) == 0;
}

/* Over the lines without their ends (LF, CR, CRLF) and without a byte order mark. */
static bool
sum_flyway(
    struct keep *keep, const struct history_row *row, const struct evidence *file)
{
    struct str rest = file->original;
    uint32_t crc = 0;
    int32_t sum;

    if (str_starts(rest, STR("\xEF\xBB\xBF")))
        rest = str_from(rest, 3);
    while (rest.n > 0) {
        size_t n = 0;

        while (n < rest.n && rest.p[n] != '\n' && rest.p[n] != '\r')
            n++;
        crc = crc32_update(crc, str_slice(rest, 0, n));
        rest = str_from(rest, n + 1);
    }
    memcpy(&sum, &crc, sizeof sum);
    return strcmp(row->sum, keep_format(keep, "%ld", (long)sum)) == 0;
}

/* SHA-1 of the file's name and its bytes; the name may have had another separator, and
 * another ending. */
static bool
sum_postgres_migrations(
    struct keep *keep, const struct history_row *row, const struct evidence *file)
{
    static const char *const separators[] = { "_", "-", "" };
    static const char *const ends[] = { ".sql", ".SQL" };
    size_t digits = strspn(file->file->name, "0123456789");

    for (size_t i = 0; i < 6; i++) {
        const char *name =
            file->path != NULL
                ? file->path
                : keep_format(keep, "%.*s%s%s%s", (int)digits, file->file->name,
                    separators[i / 2], row->name, ends[i % 2]);
        struct str parts[2] = { str_of(name), file->original };

        if (strcmp(row->sum, hex_digest(keep, EVP_sha1(), parts, 2)) == 0)
            return true;
    }
    return false;
}

static bool
sum_sqitch(
    struct keep *keep, const struct history_row *row, const struct evidence *file)
{
    return strcmp(row->sum, hex_digest(keep, EVP_sha1(), &file->original, 1)) == 0;
}

/* A chain: over the digest before, a line feed, and the body, which is trimmed. */
static bool
sum_graphile(
    struct keep *keep, const struct history_row *row, const struct evidence *file)
{
    struct str previous = { "", 0 }, body = { "", 0 }, line;
    const char *hash;
    bool allowed = false;

    for (size_t at = 0, start = 0; (line = next_line(file->original, &at)).n > 0;
         start = at) {
        struct str value = str_trim(line);

        body = str_from(file->original, start);
        if (str_starts(value, STR("--! Previous:")))
            previous = str_trim(str_from(value, 13));
        else if (str_starts(value, STR("--! AllowInvalidHash")))
            allowed = true;
        else if (!str_starts(value, STR("--! ")) || value.n < 5 || value.p[4] < 'A'
                 || value.p[4] > 'Z')
            break;
    }
    if (str_eq(previous, STR("-")))
        previous.n = 0;
    {
        struct str parts[4] = { previous, STR("\n"), str_trim(body), STR("\n") };
        bool first = previous.n == 0; /* the line feed in front is trimmed, too */

        hash = hex_digest(keep, EVP_sha1(), first ? parts + 2 : parts, first ? 2 : 4);
    }
    return allowed || strcmp(row->sum, keep_format(keep, "sha1:%s", hash)) == 0;
}

/* ---- locks that are made of names ------------------------------------------------ */

static int64_t
lock_golang_migrate(struct keep *keep, const struct history *history)
{
    uint32_t crc = crc32_update(0, str_of(history->schema));

    (void)keep;
    crc = crc32_update(crc, (struct str){ "", 1 });
    crc = crc32_update(crc, str_of(history->table));
    crc = crc32_update(crc, (struct str){ "", 1 });
    crc = crc32_update(crc, str_of(history->database));
    return (int64_t)(uint32_t)(crc * UINT32_C(1486364155));
}

static int64_t
lock_sqlx(struct keep *keep, const struct history *history)
{
    (void)keep;
    return INT64_C(0x3d32ad9e) * crc32_update(0, str_of(history->database));
}

static int64_t
lock_rails(struct keep *keep, const struct history *history)
{
    (void)keep;
    return INT64_C(2053462845) * crc32_update(0, str_of(history->database));
}

/* "Flyway" in ASCII, but for its l, and Java's hash of the quoted name.  (That hash is
 * of UTF-16; names are taken to be ASCII.) */
static int64_t
lock_flyway(struct keep *keep, const struct history *history)
{
    const char *name =
        keep_format(keep, "\"%s\".\"%s\"", history->schema, history->table);
    uint32_t hash = 0;
    int32_t discriminator;

    for (; *name != '\0'; name++)
        hash = 31 * hash + (unsigned char)*name;
    memcpy(&discriminator, &hash, sizeof discriminator);
    return (INT64_C(0x46) << 40) + (INT64_C(0x6C) << 32) + (INT64_C(0x79) << 24)
           + (INT64_C(0x77) << 16) + (INT64_C(0x61) << 8) + INT64_C(0x79)
           + discriminator;
}

/* ---- the table ------------------------------------------------------------------- */

#define KEY " AS key, "
#define NO_NAME "NULL AS name, "
#define NO_WHEN "NULL AS applied, "
#define NO_SUM "NULL AS sum, "
#define NO_BY "NULL AS by, "
#define NO_MS "NULL AS ms, "
#define NO_FLAG "NULL AS flag "
#define LOCAL(column) column "::timestamptz::text AS applied, "
#define UTC(column) "(" column " AT TIME ZONE 'UTC')::text AS applied, "

static const struct history_tool tools[] = {
    { .word = "flyway",
        /* The newest row of a version decides: it may have been undone, or deleted. */
        .query = "version::text" KEY "description::text AS name, " LOCAL(
            "installed_on") "checksum::text AS sum, installed_by::text AS by, execution_time::text AS ms,"
                            " CASE WHEN NOT success THEN 'failed'"
                            " WHEN version IS NULL OR type = 'SCHEMA' THEN 'ignored'"
                            " WHEN type LIKE '%BASELINE' THEN 'baseline' END AS flag"
                            " FROM (SELECT DISTINCT ON (coalesce(version, script)) * FROM %s"
                            " ORDER BY coalesce(version, script), installed_rank DESC) AS newest"
                            " WHERE NOT success OR NOT (type LIKE 'UNDO%' OR type = 'DELETE')"
                            " ORDER BY installed_rank",
        .time = TIME_LOCAL,
        .sum = sum_flyway,
        .lock_key = lock_flyway },
    { .word = "goose",
        .query =
            "version_id::text" KEY NO_NAME LOCAL("tstamp") NO_SUM NO_BY NO_MS NO_FLAG
        "FROM (SELECT DISTINCT ON (version_id) * FROM %s ORDER BY version_id,"
        " id DESC) AS newest WHERE is_applied AND version_id <> 0 ORDER BY"
        " version_id",
        .time = TIME_LOCAL,
        .lock = INT64_C(4097083626) },
    { .word = "golang-migrate",
        .query = "version::text" KEY NO_NAME NO_WHEN NO_SUM NO_BY NO_MS
                 "CASE WHEN dirty THEN 'dirty' END AS flag FROM %s",
        .reach = REACH_UP_TO,
        .lock_key = lock_golang_migrate },
    { .word = "sqlx",
        .query =
            "version::text" KEY "description::text AS name,"
            " installed_on::timestamptz::text AS applied,"
            " encode(checksum, 'hex') AS sum, " NO_BY
            "CASE WHEN execution_time >= 0 THEN (execution_time / 1000000)::text END"
            " AS ms, CASE WHEN NOT success THEN 'failed' END AS flag"
            " FROM %s ORDER BY version",
        .time = TIME_ZONED,
        .sum = sum_sqlx,
        .lock_key = lock_sqlx },
    { .word = "refinery",
        .query =
            "version::text" KEY "name::text AS name,"
            " applied_on::timestamptz::text AS applied, " NO_SUM NO_BY NO_MS NO_FLAG
            "FROM %s ORDER BY version",
        .time = TIME_ZONED },
    { .word = "graphile-migrate",
        .query = "split_part(split_part(filename, '.', 1), '-', 1)" KEY NO_NAME
                 "date::timestamptz::text AS applied, hash::text AS sum, " NO_BY NO_MS
                     NO_FLAG "FROM %s ORDER BY filename",
        .time = TIME_ZONED,
        .sum = sum_graphile,
        .lock = INT64_C(4727445306447283) },
    { .word = "postgres-migrations",
        /* A file without a name is called by its file's. */
        .query = "id::text" KEY "CASE WHEN name ~* '^-?\\d+[-_]?\\.(sql|js)$' THEN ''"
                 " ELSE name END AS name, " LOCAL(
                     "executed_at") "hash::text AS sum, " NO_BY NO_MS NO_FLAG
                                    "FROM %s WHERE id <> 0 ORDER BY id",
        .time = TIME_LOCAL,
        .sum = sum_postgres_migrations,
        .lock = INT64_C(-8525285245963000605) },
    { .word = "node-pg-migrate",
        .query = "substring(name, '^\\d*')" KEY
                 "substring(name, '^\\d*[-_]?(.*)$') AS name, " LOCAL("run_on")
                     NO_SUM NO_BY NO_MS NO_FLAG "FROM %s ORDER BY id",
        .time = TIME_LOCAL,
        .lock = INT64_C(7241865325823964) },
    { .word = "tern",
        .query = "version::text" KEY NO_NAME NO_WHEN NO_SUM NO_BY NO_MS NO_FLAG
                 "FROM %s WHERE version > 0",
        .reach = REACH_UP_TO,
        .lock = INT64_C(9628173550095224) },
    { .word = "diesel",
        .query = "version::text" KEY NO_NAME LOCAL("run_on") NO_SUM NO_BY NO_MS NO_FLAG
        "FROM %s ORDER BY version",
        .time = TIME_LOCAL },
    { .word = "alembic",
        .query = "version_num::text" KEY NO_NAME NO_WHEN NO_SUM NO_BY NO_MS NO_FLAG
                 "FROM %s ORDER BY version_num",
        .reach = REACH_ANCESTORS },
    { .word = "yoyo",
        .query = "migration_id::text" KEY NO_NAME UTC("applied_at_utc")
            NO_SUM NO_BY NO_MS NO_FLAG "FROM %s ORDER BY applied_at_utc",
        .time = TIME_ZONED },
    { .word = "sqitch",
        .query =
            "change::text" KEY NO_NAME "committed_at::timestamptz::text AS applied,"
            " script_hash::text AS sum, committer_name::text AS by, " NO_MS NO_FLAG
            "FROM %s ORDER BY committed_at",
        .time = TIME_ZONED,
        .sum = sum_sqitch,
        .lock = INT64_C(75474063) },
    { .word = "ecto",
        .query = "version::text" KEY NO_NAME UTC("inserted_at")
            NO_SUM NO_BY NO_MS NO_FLAG "FROM %s ORDER BY version",
        .time = TIME_ZONED },
    { .word = "plain",
        /* How the number is written there is the runner's own matter. */
        .query =
            "version::text" KEY
            "regexp_replace(filename, '^(.*/)?[vV]?[0-9._ -]*|(\\.up|\\.do)?\\.sql$',"
            " '', 'gi') AS name, "
            "applied_at::timestamptz::text AS applied, " NO_SUM NO_BY NO_MS
            "CASE WHEN applied_at IS NULL THEN 'unfinished' END AS flag"
            " FROM %s ORDER BY version",
        .bare_names = true,
        .time = TIME_ZONED },
    { .word = "dbmate",
        .query = "version::text" KEY NO_NAME NO_WHEN NO_SUM NO_BY NO_MS NO_FLAG
                 "FROM %s ORDER BY version" },
    { .word = "rails",
        .query = "version::text" KEY NO_NAME NO_WHEN NO_SUM NO_BY NO_MS NO_FLAG
                 "FROM %s ORDER BY version",
        .lock_key = lock_rails },
};

const struct history_tool *
history_tool_find(const char *word)
{
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
        if (strcmp(tools[i].word, word) == 0)
            return &tools[i];
    return NULL;
}

/* ---- finding it ------------------------------------------------------------------ */

/* Whose table is it?  One with a ledger's columns is rung's; where they may be several
 * tools', its name decides. */
static const struct foreign *
whose(const struct adoption *wish, const char *table, const char *columns)
{
    const struct foreign *tool;

    if (wish->from != NULL) {
        tool = foreign_find(wish->from);
        return foreign_fits(tool, foreign_listed, columns) ? tool : NULL;
    }
    if (foreign_is_ledger(foreign_listed, columns))
        return NULL;
    tool = foreign_whose(NULL, foreign_listed, columns);
    return wish->old_table != NULL && (tool == NULL || tool->shared == NULL)
               ? tool
               : foreign_whose(table, foreign_listed, columns);
}

static bool
no_table(const struct adoption *wish, int found, struct rung_error *err)
{
    const struct foreign *tool = wish->from == NULL ? NULL : foreign_find(wish->from);

    if (tool != NULL)
        err_set(err, RUNG_DRIFT, "there is no %s of %s's",
            wish->old_table != NULL ? wish->old_table : tool->table, tool->name);
    else if (wish->old_table != NULL && found > 0)
        err_set(err, RUNG_DRIFT, "%s is no table by which one knows a tool",
            wish->old_table);
    else
        err_set(err, RUNG_DRIFT, "there is no table of a tool that rung-import knows");
    if (tool == NULL && wish->old_table != NULL && found > 0)
        return err_hint(err, "Say with --from TOOL whose it is.");
    return err_hint(err,
        "Is it this database?  Say with --old-table SCHEMA.TABLE where "
        "the tool keeps its history.");
}

bool
history_take(struct history *h, const struct adoption *wish, const PGresult *res,
    struct rung_error *err)
{
    struct ledger name = { 0 };
    bool visible = false;

    *h = (struct history){ .tool = NULL };
    for (int i = 0; i < PQntuples(res); i++) {
        const char *table = PQgetvalue(res, i, 2);
        const struct foreign *tool = whose(wish, table, PQgetvalue(res, i, 4));

        if (tool == NULL)
            continue;
        if (h->owner != NULL && visible && PQgetvalue(res, i, 3)[0] != 't')
            break; /* the search_path decides */
        if (h->owner != NULL) {
            err_set(err, RUNG_DRIFT, "there are several: %s.%s of %s's, %s.%s of %s's",
                h->schema, h->table, h->owner->name, PQgetvalue(res, i, 1), table,
                tool->name);
            return err_hint(
                err, "Say which with --from TOOL or --old-table SCHEMA.TABLE.");
        }
        h->owner = tool;
        h->oid = (uint32_t)strtoul(PQgetvalue(res, i, 0), NULL, 10);
        text_format(h->schema, sizeof h->schema, "%s", PQgetvalue(res, i, 1));
        text_format(h->table, sizeof h->table, "%s", table);
        visible = PQgetvalue(res, i, 3)[0] == 't';
    }
    if (h->owner == NULL)
        return no_table(wish, PQntuples(res), err);
    h->tool = history_tool_find(h->owner->word);
    text_format(name.schema, sizeof name.schema, "%s", h->schema);
    text_format(name.table, sizeof name.table, "%s", h->table);
    if (!ledger_requalify(&name, err))
        return false;
    text_format(h->quoted, sizeof h->quoted, "%s", name.quoted);
    ledger_shown(&name, h->shown, sizeof h->shown);
    return true;
}
