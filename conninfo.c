/*
 * conninfo.c: a connection string, checked before libpq sees it and never printed.
 *
 * libpq's own messages about a malformed string quote it, password and all, and a
 * password with an unescaped @, / or : turns into part of a host, port or database
 * name, which later messages quote.  So what cannot be right is refused here, in words
 * of our own.
 *
 * Source: PostgreSQL manual 34.1.1, Connection Strings.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static const char percent_hint[] =
    "Characters such as @ / : # ? in a user name or password are written in a URL as "
    "%%40 %%2F %%3A %%23 %%3F.";
static const char socket_hint[] =
    "A URL has one / and the database's name behind the host; a socket's directory is "
    "given as postgresql:///DATABASE?host=DIRECTORY.";

static bool
starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The length of "postgresql://", "postgres+psycopg2://", ...; 0: no URL. */
static size_t
scheme_length(const char *text)
{
    size_t n = starts_with(text, "postgresql") ? 10
               : starts_with(text, "postgres") ? 8
                                               : 0;

    if (n == 0)
        return 0;
    if (text[n] == '+')
        n += 1
             + strspn(text + n + 1,
                 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    return starts_with(text + n, "://") ? n + 3 : 0;
}

/* Does libpq know a parameter of this name?  "ssl" is known to its URLs alone. */
static bool
known_parameter(const PQconninfoOption *defaults, struct str name)
{
    if (str_eq(name, STR("ssl")))
        return true;
    for (const PQconninfoOption *o = defaults; o->keyword != NULL; o++)
        if (str_eq(str_of(o->keyword), name))
            return true;
    return false;
}

/*
 * Is this parameter's name fit to be shown?  Behind "password=" it may be the rest of a
 * password with an unescaped &, and what has no value is no parameter.
 */
static bool
fit_to_show(struct str key, bool behind_password)
{
    return !behind_password && key.p[key.n] == '=' && key.n > 0 && key.n <= 32
           && strspn(key.p,
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")
                  >= key.n;
}

/* Every key behind the '?' must be libpq's. */
static bool
check_parameters(const char *url, struct rung_error *err)
{
    const char *at = strchr(url, '?');
    PQconninfoOption *defaults;
    bool ok = true, behind_password = false;

    if (at == NULL)
        return true;
    if (strchr(at, '@') != NULL) {
        err_set(err, RUNG_USAGE, "the connection URL is malformed");
        return err_hint(err, percent_hint);
    }
    defaults = PQconndefaults();
    if (defaults == NULL)
        return err_memory(err);
    for (at++; ok && *at != '\0'; at += strcspn(at, "&"), at += *at == '&') {
        struct str key = { at, strcspn(at, "=&") };
        bool escaped = memchr(key.p, '%', key.n) != NULL;

        if (escaped || known_parameter(defaults, key)) {
            behind_password |= escaped || str_find(key, STR("pass"), 0) != STR_NONE;
            continue;
        }
        ok = false;
        if (fit_to_show(key, behind_password))
            err_set(err, RUNG_USAGE,
                "the connection URL has a parameter \"%.*s\" that libpq does not know",
                (int)key.n, key.p);
        else
            err_set(err, RUNG_USAGE,
                "the connection URL has a parameter that libpq does not know");
        if (str_eq(key, STR("schema")))
            err_hint(err, "Take ?schema= out; name the ledger's schema with --table "
                          "SCHEMA.schema_migrations, and the files' with "
                          "?options=-csearch_path%%3DSCHEMA.");
        else
            err_hint(err, "Take it out of the URL that rung is given.");
    }
    PQconninfoFree(defaults);
    return ok;
}

static const char *
option_value(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
        if (strcmp(o->keyword, keyword) == 0)
            return o->val;
    return NULL;
}

/* Can `host`, a list separated by commas, be looked up?  With colons it is IPv6. */
static bool
host_ok(const char *host)
{
    while (*host != '\0') {
        size_t n = strcspn(host, ",");
        bool path = *host == '/' || *host == '@'; /* of a socket; @: an abstract one */
        const char *bad = path ? strchr(host + 1, '@') : strpbrk(host, "@/?# ");
        size_t colon = strcspn(host, ":");

        if (bad != NULL && bad < host + n)
            return false;
        if (!path && colon < n && strspn(host, "0123456789abcdefABCDEF:.") < n
            && strcspn(host, "%") >= n)
            return false;
        host += n;
        host += *host == ',';
    }
    return true;
}

/*
 * Is it the name of a database, and not a connection string with a user and a password
 * in a place where libpq does not look for one?
 */
static bool
database_ok(const char *name, bool url)
{
    if (url)
        return strpbrk(name, "@/:") == NULL;
    return strstr(name, "://") == NULL && strchr(name, '=') == NULL
           && (strchr(name, '@') == NULL || strchr(name, ':') == NULL);
}

/* A list separated by commas of 1 to 65535; where nothing stands, libpq has a default.
 */
static bool
port_ok(const char *port)
{
    while (*port != '\0') {
        size_t n = strcspn(port, ",");
        long number = strtol(port, NULL, 10);

        if (strspn(port, "0123456789") != n
            || (n > 0 && (number < 1 || number > UINT16_MAX)))
            return false;
        port += n;
        port += *port == ',';
    }
    return true;
}

/* Has a piece of a password ended up where it does not belong? */
static bool
check_parts(const PQconninfoOption *options, bool url, struct rung_error *err)
{
    const char *host = option_value(options, "host");
    const char *port = option_value(options, "port");
    const char *user = option_value(options, "user");
    const char *dbname = option_value(options, "dbname");
    const char *what = NULL;

    if (port != NULL && !port_ok(port)) {
        err_set(err, RUNG_USAGE,
            "the port in the connection string is not a number from 1 to 65535");
        return err_hint(err, percent_hint);
    }
    if (host != NULL && !host_ok(host))
        what = "host";
    else if (user != NULL && strchr(user, ':') != NULL)
        what = "user";
    else if (dbname != NULL && !database_ok(dbname, url))
        what = "database";
    if (what == NULL)
        return true;
    err_set(err, RUNG_USAGE, "the %s in the connection %s is malformed", what,
        url ? "URL" : "string");
    if (url && strcmp(what, "database") == 0 && strpbrk(dbname, "@:") == NULL)
        return err_hint(err, socket_hint);
    return err_hint(err, percent_hint);
}

/* A host that begins with @ names a socket, and is written %40 in a URL: two of them
 * are a password that was not escaped. */
static bool
check_twice(const char *url, struct rung_error *err)
{
    if (strstr(url, "@@") == NULL)
        return true;
    err_set(err, RUNG_USAGE, "the host in the connection URL is malformed");
    return err_hint(err, percent_hint);
}

/* Neither a URL nor KEY=VALUE: a database's name, and not a URL that lost its head. */
static bool
check_bare(const char *name, struct rung_error *err)
{
    if (strpbrk(name, "@/:") == NULL)
        return true;
    err_set(err, RUNG_USAGE,
        "the connection string is neither a URL nor KEY=VALUE nor a database's name");
    return err_hint(err,
        "A URL begins with postgresql://. A database whose name holds @ / or : is given "
        "as dbname=NAME.");
}

/* "postgresql+driver://rest" as "postgresql://rest"; anything else as it is. */
static char *
without_driver(const char *database, size_t scheme)
{
    size_t rest = strlen(database + scheme);
    char *copy = malloc(sizeof "postgresql://" + rest);

    if (copy == NULL)
        return NULL;
    memcpy(copy, "postgresql://", 13);
    memcpy(copy + 13, database + scheme, rest + 1);
    return copy;
}

/* Does it begin as a URL does?  In KEY=VALUE a value may look like one. */
static bool
is_url(const char *database)
{
    const char *colon = strstr(database, "://");

    return colon != NULL && strcspn(database, "=") > (size_t)(colon - database);
}

bool
conninfo_check(const char *database, char **copy, struct rung_error *err)
{
    size_t scheme;
    PQconninfoOption *options = NULL;
    char *message = NULL; /* libpq's, which quotes the string: never passed on */
    bool ok = true;

    *copy = NULL;
    if (database == NULL)
        return true;
    scheme = scheme_length(database);
    if (scheme == 0 && is_url(database))
        return err_set(err, RUNG_USAGE,
            "the connection URL does not begin with postgresql:// or postgres://");
    *copy = scheme > 0 ? without_driver(database, scheme) : str_dup(str_of(database));
    if (*copy == NULL)
        return err_memory(err);
    if (scheme > 0)
        ok = check_parameters(*copy, err);
    else if (strchr(database, '=') == NULL)
        ok = check_bare(database, err);
    if (ok && (scheme > 0 || strchr(database, '=') != NULL)) {
        options = PQconninfoParse(*copy, &message);
        if (options == NULL) {
            ok = err_set(err, RUNG_USAGE, "the connection string cannot be parsed");
            err_hint(err, scheme > 0 ? percent_hint
                                     : "It is either a URL or KEY=VALUE pairs; a value "
                                       "with spaces stands in single quotes.");
        } else {
            ok = check_parts(options, scheme > 0, err)
                 && (scheme == 0 || check_twice(*copy, err));
        }
    }
    PQfreemem(message);
    PQconninfoFree(options);
    if (!ok) {
        free(*copy);
        *copy = NULL;
    }
    return ok;
}

/* ---- what was tried ------------------------------------------------------------- */

/* What a connection is found by, and libpq's variables for it. */
static const struct part {
    const char *keyword, *variable, *shown;
} parts[] = {
    { "host", "PGHOST", "host" }, { "hostaddr", "PGHOSTADDR", "address" },
    { "port", "PGPORT", "port" }, { "user", "PGUSER", "user" },
    { "dbname", "PGDATABASE", "database" }, /* by default the user's name */
};

/* All that libpq makes of it, and what of that the string says itself. */
struct tried {
    PQconninfoOption *all, *given;
    bool bare; /* the string is a database's name */
    const char *from, *service;
};

/* NULL when it is not there, or empty. */
static const char *
value_of(const PQconninfoOption *options, const char *keyword)
{
    const char *value = options == NULL ? NULL : option_value(options, keyword);

    return value == NULL || value[0] == '\0' ? NULL : value;
}

static const char *
variable_of(const char *name)
{
    const char *value = getenv(name);

    return value == NULL || value[0] == '\0' ? NULL : value;
}

static struct tried
look_at(PGconn *conn, const char *conninfo, const char *from)
{
    struct tried tried = { .all = conn == NULL ? NULL : PQconninfo(conn),
        .from = from == NULL ? "the connection string" : from };
    char *message = NULL;

    if (conninfo != NULL && conninfo[0] != '\0') {
        tried.bare = scheme_length(conninfo) == 0 && strchr(conninfo, '=') == NULL;
        tried.given = tried.bare ? NULL : PQconninfoParse(conninfo, &message);
    }
    tried.service = value_of(tried.given, "service");
    if (tried.service == NULL)
        tried.service = variable_of("PGSERVICE");
    PQfreemem(message);
    return tried;
}

/*
 * Where did libpq take this from?  From the string, else from a service file, else from
 * a variable, else it has a default.  What a service file says is not told apart from a
 * variable or a default that says the same.
 *
 * Source: PostgreSQL manual 34.15 and 34.17; libpq's conninfo_add_defaults.
 */
static void
describe_source(
    const struct tried *tried, const struct part *part, char *text, size_t size)
{
    const char *value = value_of(tried->all, part->keyword);
    const char *variable = variable_of(part->variable);
    bool host = strncmp(part->keyword, "host", 4) == 0; /* these have no default */
    char name[128];

    if (value_of(tried->given, part->keyword) != NULL
        || (tried->bare && strcmp(part->keyword, "dbname") == 0))
        text_format(text, size, "%s", tried->from);
    else if (variable != NULL && value != NULL
             && (tried->service == NULL || strcmp(variable, value) == 0))
        text_format(text, size, "%s", part->variable);
    else if (tried->service == NULL || value == NULL)
        text_format(text, size, "default");
    else
        text_format(text, size, "service \"%s\"%s",
            text_escape(name, sizeof name, str_of(tried->service)),
            host || variable != NULL ? "" : " or default");
}

/* Or could it be, or quote, a connection string? */
static bool
is_fit(const struct part *part, const char *value)
{
    if (strncmp(part->keyword, "host", 4) == 0)
        return host_ok(value);
    if (strcmp(part->keyword, "port") == 0)
        return strspn(value, "0123456789,") == strlen(value);
    return database_ok(value, false);
}

/* "host "db1" (PGHOST)"; false when that cannot be shown. */
static bool
tell_part(const struct tried *tried, const struct part *part, const char *value,
    struct rung_error *err)
{
    char source[160], shown[256];
    size_t at = strlen(err->detail);

    describe_source(tried, part, source, sizeof source);
    if (!is_fit(part, value)) {
        err_set(
            err, RUNG_UNREACHABLE, "the %s from %s is malformed", part->shown, source);
        return err_hint(err, "A connection string is given with -d or DATABASE_URL.");
    }
    text_format(err->detail + at, sizeof err->detail - at, "%s%s \"%s\" (%s)",
        at == 0 ? "tried " : ", ", part->shown,
        text_escape(shown, sizeof shown, str_of(value)), source);
    return true;
}

bool
conninfo_tell_tried(
    PGconn *conn, const char *conninfo, const char *from, struct rung_error *err)
{
    struct tried tried = look_at(conn, conninfo, from);
    bool fit = value_of(tried.all, "user") != NULL; /* else it did not come to a try */

    for (size_t i = 0; fit && i < sizeof parts / sizeof *parts; i++) {
        const char *value = value_of(tried.all, parts[i].keyword);

        if (value == NULL && strcmp(parts[i].keyword, "host") == 0)
            value = PQhost(conn); /* the default socket's directory, or empty */
        if (value != NULL && value[0] != '\0')
            fit = tell_part(&tried, &parts[i], value, err);
    }
    PQconninfoFree(tried.given);
    PQconninfoFree(tried.all);
    return false;
}
