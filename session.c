/*
 * session.c: the state of our session, as SQL text.
 *
 * Role and database defaults may carry timeouts, a read-only mode or another isolation
 * level that would kill or change a run; a file may leave roles, settings, cursors and
 * temporary tables behind.  Here stands what puts both right.
 *
 * Source: PostgreSQL manual 20.11, Client Connection Defaults; DISCARD.
 */
#include "internal.h"

#include <string.h>

#define LEXING_OVERRIDES 2 /* the first ones: the lexer relies on them */

static const struct {
    int since; /* server_version_num */
    const char *setting;
} overrides[] = {
    { 0, "standard_conforming_strings = on" },
    { 0, "client_encoding = 'UTF8'" },
    { 0, "statement_timeout = 0" },
    { 0, "lock_timeout = 0" },
    { 0, "idle_in_transaction_session_timeout = 0" },
    { 0, "default_transaction_read_only = off" },
    { 0, "default_transaction_isolation = 'read committed'" },
    { 0, "default_transaction_deferrable = off" },
    { 140000, "idle_session_timeout = 0" },
    { 170000, "transaction_timeout = 0" },
};

static void
count(size_t *n, size_t more)
{
    if (n != NULL)
        *n += more;
}

static void
append_override(PQExpBuffer sql, const char *setting, bool local, size_t *n)
{
    appendPQExpBuffer(sql, "SET %s%s;\n", local ? "LOCAL " : "", setting);
    count(n, 1);
}

void
session_sql_lexing(PQExpBuffer sql, bool local, size_t *n)
{
    for (size_t i = 0; i < LEXING_OVERRIDES; i++)
        append_override(sql, overrides[i].setting, local, n);
}

void
session_sql_overrides(PQExpBuffer sql, const struct pg *pg, bool local, size_t *n)
{
    for (size_t i = 0; i < sizeof overrides / sizeof *overrides; i++)
        if (PQserverVersion(pg->conn) >= overrides[i].since)
            append_override(sql, overrides[i].setting, local, n);
    if (pg->check_interval) {
        appendPQExpBuffer(sql, "SET %sclient_connection_check_interval = '2s';\n",
            local ? "LOCAL " : "");
        count(n, 1);
    }
    if (pg->claim_origin) {
        appendPQExpBuffer(
            sql, "SET %ssession_replication_role = origin;\n", local ? "LOCAL " : "");
        count(n, 1);
    }
}

/* SET LOCAL: behind a pooler the session may be somebody else's. */
bool
session_claim_origin(struct pg *pg, const char *user, struct rung_error *err)
{
    struct rung_error refused;
    char quoted[2 * NAME_BYTES + 3];

    pg->claim_origin = pg_query(pg,
        "BEGIN; SET LOCAL session_replication_role = origin; COMMIT", NULL, &refused);
    if (pg->claim_origin)
        return true;
    pg_roll_back(pg);
    *err = refused;
    if (strcmp(refused.sqlstate, "42501") != 0)
        return false;
    ledger_quote(quoted, sizeof quoted, user);
    err_set(err, RUNG_FAILED,
        "triggers and foreign keys would not run: by a default of the role or database "
        "session_replication_role is replica, and %s may not change it",
        quoted);
    return err_hint(err,
        "Take the default away (ALTER ROLE %s RESET session_replication_role; or ALTER "
        "DATABASE), or connect as a superuser.",
        quoted);
}

enum session_loss
session_loss(struct str sql)
{
    static const struct {
        const char *pattern;
        enum session_loss loss;
    } losses[] = {
        { "RESET ALL $", SESSION_LOSES_SETTINGS },
        { "RESET ROLE $", SESSION_LOSES_ROLE },
        { "RESET SESSION AUTHORIZATION $", SESSION_LOSES_ROLE },
        { "SET SESSION AUTHORIZATION DEFAULT $", SESSION_LOSES_ROLE },
        { "DISCARD ALL $", SESSION_LOSES_BOTH },
    };
    static const struct lexer lexer = { .more = false };
    struct cursor c = cursor_at(&lexer, sql);

    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        if (cursor_match(&c, losses[i].pattern))
            return losses[i].loss;
    return SESSION_KEEPS;
}

void
session_sql_reset(PQExpBuffer sql, const struct pg *pg, size_t *n)
{
    appendPQExpBufferStr(
        sql, "RESET SESSION AUTHORIZATION;\nRESET ROLE;\nRESET ALL;\n");
    appendPQExpBufferStr(sql, pg->after_reset);
    count(n, 3 + pg->after_reset_n);
    session_sql_overrides(sql, pg, false, n);
    appendPQExpBufferStr(sql,
        "CLOSE ALL;\nUNLISTEN *;\nDEALLOCATE ALL;\nDISCARD TEMP;\nDISCARD SEQUENCES;\n");
    count(n, 5);
}

static bool
parameter_is(const struct pg *pg, const char *name, const char *value)
{
    const char *now = PQparameterStatus(pg->conn, name);

    return now != NULL && strcmp(now, value) == 0;
}

bool
session_mend(struct pg *pg, struct rung_error *err)
{
    if (parameter_is(pg, "standard_conforming_strings", "on")
        && parameter_is(pg, "client_encoding", "UTF8"))
        return true;
    return pg_query(pg,
        "SET standard_conforming_strings = on; SET client_encoding = 'UTF8'", NULL,
        err);
}

bool
session_same_lexing(
    const struct pg *pg, const struct reader *reader, struct rung_error *err)
{
    const char *strings = PQparameterStatus(pg->conn, "standard_conforming_strings");
    const char *encoding = PQparameterStatus(pg->conn, "client_encoding");
    bool backslash = strings != NULL && strcmp(strings, "off") == 0;

    if (backslash != reader->lexer.backslash_quotes)
        return err_set(err, RUNG_FAILED,
            "a function of the file switched standard_conforming_strings");
    if (encoding != NULL && strcmp(encoding, "UTF8") != 0)
        return err_set(
            err, RUNG_FAILED, "a function of the file switched client_encoding");
    return true;
}
