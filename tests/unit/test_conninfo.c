/*
 * test_conninfo.c: connection strings, and that no password is ever in a message.
 *
 * The password is `s3cr3t` everywhere.  What conninfo_check takes is also tried out:
 * libpq's own message about a server that is not there is looked through as well.
 */
#include "internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const char percent[] =
    "Characters such as @ / : # ? in a user name or password are written in a URL as "
    "%40 %2F %3A %23 %3F.";
static const char socket[] =
    "A URL has one / and the database's name behind the host; a socket's directory is "
    "given as postgresql:///DATABASE?host=DIRECTORY.";
static const char take_out[] = "Take it out of the URL that rung is given.";
static const char either[] = "It is either a URL or KEY=VALUE pairs; a value with "
                             "spaces stands in single quotes.";
static const char bare[] = "A URL begins with postgresql://. A database whose name "
                           "holds @ / or : is given as dbname=NAME.";

/* `want` is what libpq is given; NULL: the string as it is. */
static const struct {
    const char *why, *string, *want;
} accepted[] = {
    { "a URL", "postgresql://u:s3cr3t@h:5432/db", NULL },
    { "the short scheme is written out", "postgres://h/db", "postgresql://h/db" },
    { "a driver is taken out", "postgresql+asyncpg://h/db", "postgresql://h/db" },
    { "of either scheme", "postgres+psycopg2-binary.x_1://h", "postgresql://h" },
    { "an empty URL", "postgresql://", NULL },
    { "libpq's parameters", "postgresql://h/db?sslmode=require&connect_timeout=3",
        NULL },
    { "ssl=true, as JDBC writes it", "postgresql://h/db?ssl=true", NULL },
    { "a socket's directory", "postgresql:///db?host=/var/run/postgresql", NULL },
    { "the same in percents", "postgresql://%2Fvar%2Frun/db", NULL },
    { "IPv6", "postgresql://u:s3cr3t@[2001:db8::1]:5432/db", NULL },
    { "IPv6 with a scope", "host=fe80::1%eth0", NULL },
    { "several hosts", "postgresql://u:s3cr3t@h1:1,h2:2,[::1]:3/db", NULL },
    { "an escaped password", "postgresql://u:%40%2Fs3cr3t%3F@h/db", NULL },
    { "a colon in the password", "postgresql://u:s3:cr3t@h/db", NULL },
    { "a number sign in the password", "postgresql://u:s3#cr3t@h/db", NULL },
    { "a user as clouds name them", "postgresql://u%40tenant:s3cr3t@h/db", NULL },
    { "KEY=VALUE", "host=h user=u password=s3cr3t dbname=db", NULL },
    { "a quoted value", "host=h password='s3 cr3t' dbname='a b'", NULL },
    { "a service", "service=app", NULL },
    { "an abstract socket", "host=@abstract", NULL },
    { "the same in a URL", "postgresql://u:s3cr3t@%40abstract/db", NULL },
    { "a strange name, said to be one", "dbname='team/app@x'", NULL },
    { "a bare name", "app_production-2", NULL },
    { "nothing: libpq's defaults", "", NULL },
};

#define MALFORMED(what) "the " what " in the connection URL is malformed"
#define NO_PORT "the port in the connection string is not a number from 1 to 65535"
#define PARSE "the connection string cannot be parsed"
#define NOT_BARE                                                                       \
    "the connection string is neither a URL nor KEY=VALUE nor a database's name"
#define UNKNOWN "the connection URL has a parameter that libpq does not know"
#define SCHEME "the connection URL does not begin with postgresql:// or postgres://"

static const struct {
    const char *string, *message, *hint;
} refused[] = {
    /* a special character, not escaped */
    { "postgresql://u:s3cr3t@x@h/db", MALFORMED("host"), percent },
    { "postgresql://u:x@s3cr3t@h/db", MALFORMED("host"), percent },
    { "postgresql://u:@s3cr3t@h/db", MALFORMED("host"), percent },
    { "postgresql://u:x@@s3cr3t@h/db", MALFORMED("host"), percent },
    { "postgresql://u:x@@s3cr3t", MALFORMED("host"), percent },
    { "postgresql://u:x@@s3cr3t/db", MALFORMED("host"), percent },
    { "postgresql://u:x@/s3cr3t@h/db", MALFORMED("database"), percent },
    { "postgresql://u:x@h,s3cr3t@h/db", MALFORMED("host"), percent },
    { "postgresql://u:/s3cr3t@h/db", MALFORMED("database"), percent },
    { "postgresql://u:s3cr3t/x@h/db", NO_PORT, percent },
    { "postgresql://u:1/s3cr3t@h/db", MALFORMED("database"), percent },
    { "postgresql://u:s3cr3t?x@h/db", "the connection URL is malformed", percent },
    { "postgresql://u:x?s3cr3t=1@h/db", "the connection URL is malformed", percent },
    { "postgresql://u:x?s3cr3t@h/db", "the connection URL is malformed", percent },
    { "postgresql://u:s3cr3t%@h/db", PARSE, percent },
    { "postgresql://u:s3cr3t%zz@h/db", PARSE, percent },
    { "postgresql://u:s3cr3t%00@h/db", PARSE, percent },
    { "postgresql://u:%s3cr3t@h/db", PARSE, percent },
    { "postgresql://u%3As3cr3t@h/db", MALFORMED("user"), percent },

    /* something is missing, or out of place */
    { "postgresql://u:s3cr3t", NO_PORT, percent },
    { "postgresql://u:s3cr3t/db", NO_PORT, percent },
    { "postgresql:///u:s3cr3t@h/db", MALFORMED("database"), percent },
    { "postgresql:///u:s3cr3t", MALFORMED("database"), percent },
    { "postgresql://h/db/u:s3cr3t", MALFORMED("database"), percent },
    { "postgresql://u:s3cr3t@h:5432x/db", NO_PORT, percent },
    { "postgresql://u:s3cr3t@h:-1/db", NO_PORT, percent },
    { "postgresql://u:x@h:s3cr3t@/db", NO_PORT, percent },
    { "postgresql://u:s3cr3t@h1:1,h2:x/db", NO_PORT, percent },
    { "postgresql://u:s3cr3t@h:65536/db", NO_PORT, percent },
    { "postgresql://u:s3cr3t@h1:1,h2:0/db", NO_PORT, percent },
    { "postgresql://h:99999999999999999999/db", NO_PORT, percent },
    { "postgresql:////var/run/postgresql/db", MALFORMED("database"), socket },
    { "postgresql:///var/run/db", MALFORMED("database"), socket },
    { "postgresql://u:s3cr3t@[::1/db", PARSE, percent },
    { "postgresql://u:s3cr3t@[]/db", PARSE, percent },
    { "postgresql://u:s3cr3t@[::1]x/db", PARSE, percent },
    { "postgresql://[s3cr3t/db", PARSE, percent },
    { "postgresql://u:[s3cr3t]/db", NO_PORT, percent },
    { "postgresql://u%3As3cr3t/db", MALFORMED("host"), percent },

    /* parameters */
    { "postgresql://h/db?schema=app",
        "the connection URL has a parameter \"schema\" that libpq does not know",
        "Take ?schema= out; name the ledger's schema with --table "
        "SCHEMA.schema_migrations, and the files' with ?options=-csearch_path%3DSCHEMA." },
    { "postgresql://u:s3cr3t@h/db?sslmode=disable&pgbouncer=true",
        "the connection URL has a parameter \"pgbouncer\" that libpq does not know",
        take_out },
    { "postgresql://h/db?password=x&s3cr3t", UNKNOWN, take_out },
    { "postgresql://h/db?password=x&s3cr3t=y", UNKNOWN, take_out },
    { "postgresql://h/db?%70assword=x&s3cr3t=y", UNKNOWN, take_out },
    { "postgresql://h/db?sslpassword=x&s3cr3t=y", UNKNOWN, take_out },
    { "postgresql://h/db?s3cr3t", UNKNOWN, take_out },
    { "postgresql://h/db?pass-s3cr3t=x", UNKNOWN, take_out },
    { "postgresql://h/db?options=-c=s3cr3t", PARSE, percent },
    { "postgresql://h/db?password", PARSE, percent },
    { "postgresql://h/db?password=s3cr3t=", PARSE, percent },
    { "postgresql://h/db?port=s3cr3t", NO_PORT, percent },
    { "postgresql://h/db?sslmode=x&&password=s3cr3t", UNKNOWN, take_out },
    { "postgresql://h/db?ssl=s3cr3t", PARSE, percent },

    /* KEY=VALUE */
    { "host=h password=s3 cr3t s3cr3t", PARSE, either },
    { "host=h password=x s3cr3t=y", PARSE, either },
    { "host=h password='s3cr3t", PARSE, either },
    { "host=h password='s3cr3t\\", PARSE, either },
    { "host=h s3cr3t", PARSE, either },
    { "=s3cr3t", PARSE, either },
    { "host=u:s3cr3t@h", "the host in the connection string is malformed", percent },
    { "host=u:s3cr3t", "the host in the connection string is malformed", percent },
    { "host=h port=s3cr3t", NO_PORT, percent },
    { "user=u:s3cr3t", "the user in the connection string is malformed", percent },
    { "dbname=postgresql://u:s3cr3t@h/db",
        "the database in the connection string is malformed", percent },
    { "dbname='host=h password=s3cr3t'",
        "the database in the connection string is malformed", percent },
    { "dbname=u:s3cr3t@h/db", "the database in the connection string is malformed",
        percent },

    /* neither */
    { "mysql://u:s3cr3t@h/db", SCHEME, "" },
    { "mysql://u:s3cr3t@h/db?x=1", SCHEME, "" },
    { "Postgresql://u:s3cr3t@h/db", SCHEME, "" },
    { " postgresql://u:s3cr3t@h/db", SCHEME, "" },
    { "postgresqlx://u:s3cr3t@h/db", SCHEME, "" },
    { "postgresql+a b://u:s3cr3t@h/db", SCHEME, "" },
    { "jdbc:postgresql://h/db?user=u&password=s3cr3t", SCHEME, "" },
    { "key=x://h?password=s3cr3t", PARSE, either },
    { "//u:s3cr3t@h/db", NOT_BARE, bare },
    { "postgresql:/u:s3cr3t@h/db", NOT_BARE, bare },
    { "u:s3cr3t@h:5432/db", NOT_BARE, bare },
    { "u:s3cr3t", NOT_BARE, bare },
    { "u:s3cr3t@h/db?sslmode=require", PARSE, either },
};

/* Is no three bytes' part of the password anywhere in the error? */
static void
assert_secret(const char *string, const struct rung_error *err)
{
    static const char *const parts[] = { "s3c", "3cr", "cr3", "r3t" };
    const char *const texts[] = { err->message, err->hint, err->detail, err->context,
        err->excerpt, err->path, err->outcome };

    for (size_t t = 0; t < COUNT(texts); t++)
        for (size_t p = 0; p < COUNT(parts); p++)
            if (strstr(texts[t], parts[p]) != NULL)
                fail_msg("%s is told: %s", string, texts[t]);
}

static void
what_libpq_understands_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(accepted); i++) {
        struct rung_error err = { 0 };
        char *copy;

        if (!conninfo_check(accepted[i].string, &copy, &err))
            fail_msg("%s: %s", accepted[i].why, err.message);
        assert_string_equal(
            copy, accepted[i].want == NULL ? accepted[i].string : accepted[i].want);
        assert_int_equal(err.code, RUNG_OK);
        free(copy);
    }
}

static void
no_string_is_accepted_as_none(void **state)
{
    struct rung_error err = { 0 };
    char *copy = (char *)&err;

    (void)state;
    assert_true(conninfo_check(NULL, &copy, &err));
    assert_null(copy);
}

static void
what_is_wrong_is_said_without_the_password(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct rung_error err = { 0 };
        char *copy = NULL;

        if (conninfo_check(refused[i].string, &copy, &err))
            fail_msg("%s is accepted", refused[i].string);
        assert_null(copy);
        if (strcmp(err.message, refused[i].message) != 0
            || strcmp(err.hint, refused[i].hint) != 0)
            fail_msg("%s: %s\n%s", refused[i].string, err.message, err.hint);
        assert_int_equal(err.code, RUNG_USAGE);
        assert_secret(refused[i].string, &err);
    }
}

/* Connect, to nothing; no name is looked up, and nothing is asked of the network. */
static void
try_out(const char *string)
{
    struct rung_options options = RUNG_OPTIONS;
    struct rung_error err = { 0 };
    struct pg pg = { 0 };

    options.database = string;
    if (pg_connect_start(&pg, &options, &err) && pg_connect_finish(&pg, &err))
        fail_msg("%s: somebody answers", string);
    pg_close(&pg);
    assert_true(err.code == RUNG_UNREACHABLE || err.code == RUNG_USAGE);
    assert_true(err.message[0] != '\0');
    assert_true(err.message[strlen(err.message) - 1] != '\n');
    assert_secret(string, &err);
}

static void
a_failed_connection_does_not_tell_the_password_either(void **state)
{
    static const char *const strings[] = {
        "postgresql://u:s3cr3t@127.0.0.1:1/db",
        "postgresql://u:s3cr3t@127.0.0.1:1,[::1]:1/db",
        "postgresql://u:s3cr3t@127.0.0.1:99999/db",
        "postgresql://u:s3cr3t@127.0.0.1:1/db?sslmode=bogus",
        "postgresql://u:s3cr3t@127.0.0.1:1,127.0.0.1/db?port=1,2,3",
        "postgresql://u:s3cr3t@127.0.0.1:1/db?target_session_attrs=x",
        "postgresql://u:s3cr3t@127.0.0.1:1/db?hostaddr=x",
        "postgresql://u:s3:cr3t@127.0.0.1:1/db",
        "postgresql://u:s3#cr3t@127.0.0.1:1/db",
        "postgresql://u:%40s3cr3t%2F@127.0.0.1:1/db",
        "postgresql:///db?host=/nonexistent&password=s3cr3t",
        "host=/nonexistent user=u password=s3cr3t dbname=db",
        "host=127.0.0.1 port=1 user=u password='s3cr3t' dbname=db",
        "host=127.0.0.1 port=1 password=s3cr3t sslcert=/nonexistent sslmode=require",
        "service=nosuch password=s3cr3t",
        "service=nosuch",
    };

    (void)state;
    setenv("PGHOST", "/nonexistent", 1);
    setenv("PGPASSWORD", "s3cr3t", 1);
    unsetenv("PGSERVICE");
    for (size_t i = 0; i < COUNT(strings); i++)
        try_out(strings[i]);
    for (size_t i = 0; i < COUNT(refused); i++)
        try_out(refused[i].string);
    try_out("name");
    try_out(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_libpq_understands_is_accepted),
        cmocka_unit_test(no_string_is_accepted_as_none),
        cmocka_unit_test(what_is_wrong_is_said_without_the_password),
        cmocka_unit_test(a_failed_connection_does_not_tell_the_password_either),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
