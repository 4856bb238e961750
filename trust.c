/*
 * trust.c: may a table that bears the ledger's name be believed and written to?
 *
 * Decodes the answers to ledger_sql_inspect and ledger_sql_columns.  A trigger, a rule
 * or a row security policy could run somebody else's code with our rights, or hide rows
 * from us; another tool's table must never be written to.
 *
 * Invariant: a refusal names what is wrong and the way out, and nothing was changed.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

const char *
ledger_shown(const struct ledger *ledger, char *buffer, size_t size)
{
    char schema[2 * NAME_BYTES + 3], table[2 * NAME_BYTES + 3];

    if (ledger->schema[0] == '\0')
        return ledger_quote(buffer, size, ledger->table);
    text_format(buffer, size, "%s.%s",
        ledger_quote(schema, sizeof schema, ledger->schema),
        ledger_quote(table, sizeof table, ledger->table));
    return buffer;
}

bool
ledger_denied(const struct ledger *ledger, struct rung_error *err)
{
    char name[4 * NAME_BYTES + 8], user[2 * NAME_BYTES + 3];

    err->code = RUNG_DRIFT;
    return err_hint(err, "GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s;",
        ledger_shown(ledger, name, sizeof name),
        ledger_quote(user, sizeof user, ledger->user));
}

static const char *
kind_name(char relkind)
{
    switch (relkind) {
    case 'v':
        return "a view";
    case 'm':
        return "a materialized view";
    case 'f':
        return "a foreign table";
    case 'p':
        return "a partitioned table";
    case 'S':
        return "a sequence";
    case 'i':
    case 'I':
        return "an index";
    case 'c':
        return "a type";
    default:
        return "no ordinary table";
    }
}

static bool
yes(const PGresult *res, int column)
{
    return PQgetvalue(res, 0, column)[0] == 't';
}

bool
ledger_judge(const struct ledger *ledger, const PGresult *res, bool *widen,
    struct rung_error *err)
{
    char name[4 * NAME_BYTES + 8];
    const char *reason = NULL;

    ledger_shown(ledger, name, sizeof name);
    if (PQntuples(res) != 1)
        return err_set(err, RUNG_DRIFT, "the ledger %s has vanished", name);
    if (PQgetvalue(res, 0, 0)[0] != 'r') {
        err_set(err, RUNG_DRIFT, "%s is %s, not a ledger", name,
            kind_name(PQgetvalue(res, 0, 0)[0]));
        return err_hint(err, "Name another table with --table.");
    }
    if (PQgetvalue(res, 0, 1)[0] == 'u') {
        err_set(err, RUNG_DRIFT,
            "the ledger %s is unlogged: a crash of the server empties it", name);
        return err_hint(err, "ALTER TABLE %s SET LOGGED;", name);
    }
    if (PQgetvalue(res, 0, 1)[0] == 't')
        reason = "is a temporary table";
    else if (yes(res, 2))
        reason = "has a trigger";
    else if (yes(res, 3))
        reason = "has a rule";
    else if (yes(res, 4))
        reason = "has row security";
    if (reason != NULL) {
        err_set(err, RUNG_DRIFT, "the ledger %s %s", name, reason);
        return err_hint(err, "rung writes only to a plain table: remove it first.");
    }
    if (!yes(res, 6)) {
        char owner[2 * NAME_BYTES], user[2 * NAME_BYTES + 3];

        err_set(err, RUNG_DRIFT,
            "the ledger %s belongs to \"%s\", who is neither us nor a role of ours, nor "
            "the database's owner, nor a superuser",
            name, text_escape(owner, sizeof owner, str_of(PQgetvalue(res, 0, 5))));
        return err_hint(err, "ALTER TABLE %s OWNER TO %s;", name,
            ledger_quote(user, sizeof user, ledger->user));
    }
    if (PQgetvalue(res, 0, 7)[0] == 'd') {
        err_set(err, RUNG_DRIFT,
            "the ledger %s looks at its key on version only at the end of a "
            "transaction: it is DEFERRABLE",
            name);
        return err_hint(err, "CREATE UNIQUE INDEX ON %s (version);", name);
    }
    if (!yes(res, 7)) {
        err_set(err, RUNG_DRIFT, "the ledger %s has no unique index on version", name);
        return err_hint(err, "ALTER TABLE %s ADD PRIMARY KEY (version);", name);
    }
    *widen = strcmp(PQgetvalue(res, 0, 8), "5") != 0 || yes(res, 9);
    return true;
}

static bool
has_column(const void *columns, const char *name)
{
    const PGresult *res = columns;

    for (int i = 0; i < PQntuples(res); i++)
        if (strcmp(PQgetvalue(res, i, 0), name) == 0)
            return true;
    return false;
}

bool
ledger_foreign(const struct ledger *ledger, const PGresult *res, struct rung_error *err)
{
    char name[4 * NAME_BYTES + 8];
    char kind = PQntuples(res) > 0 ? PQgetvalue(res, 0, 2)[0] : 'r';
    const struct foreign *theirs = foreign_whose(NULL, has_column, res);
    char owner[2 * NAME_BYTES];

    ledger_shown(ledger, name, sizeof name);
    if (kind != 'r')
        err_set(err, RUNG_DRIFT, "%s is %s, not a ledger", name, kind_name(kind));
    else if (theirs != NULL)
        err_set(err, RUNG_DRIFT,
            "the table %s is not rung's: by its columns it belongs to %s", name,
            theirs->shared != NULL ? theirs->shared : theirs->name);
    else
        err_set(err, RUNG_DRIFT, "the table %s is not rung's ledger", name);
    if (PQntuples(res) > 0)
        text_format(err->detail, sizeof err->detail, "its owner is \"%s\"",
            text_escape(owner, sizeof owner, str_of(PQgetvalue(res, 0, 3))));
    if (kind == 'r' && theirs != NULL)
        return err_hint(err,
            "Nothing was written to it. Come from there with `rung-import files --from %s "
            "SOURCE` and `rung-import history --from %s`, or give rung a table of its "
            "own: --table rung_migrations.",
            theirs->files != NULL ? theirs->files : theirs->word, theirs->word);
    return err_hint(err,
        "Nothing was written to it. Give rung a table of its own: --table "
        "rung_migrations.");
}
