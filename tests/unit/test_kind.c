/*
 * test_kind.c: what a statement is, from its tokens.
 *
 * Sources: the server's answers that POSTGRES.md lists; gram.y for the spellings.
 */
#include "internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const struct {
    const char *sql;
    enum sql_kind kind;
    const char *label;
} kinds[] = {
    { "select 1", SQL_ORDINARY, "" },
    { "", SQL_ORDINARY, "" },
    { "nonsense", SQL_ORDINARY, "" },
    { "\"begin\"", SQL_ORDINARY, "" },
    { "'begin'", SQL_ORDINARY, "" },
    { "begins", SQL_ORDINARY, "" },

    { "begin", SQL_BEGIN, "BEGIN" },
    { "BEGIN WORK", SQL_BEGIN, "BEGIN" },
    { "begin /* x */ transaction -- y\n isolation level serializable", SQL_BEGIN,
        "BEGIN" },
    { "start transaction", SQL_BEGIN, "START TRANSACTION" },
    { "start", SQL_ORDINARY, "" },
    { "commit", SQL_COMMIT, "COMMIT" },
    { "commit work", SQL_COMMIT, "COMMIT" },
    { "end", SQL_COMMIT, "END" },
    { "END TRANSACTION", SQL_COMMIT, "END" },
    { "commit and no chain", SQL_COMMIT, "COMMIT" },
    { "commit and chain", SQL_COMMIT_CHAIN, "COMMIT AND CHAIN" },
    { "end work and chain", SQL_COMMIT_CHAIN, "COMMIT AND CHAIN" },
    { "rollback and chain", SQL_COMMIT_CHAIN, "ROLLBACK AND CHAIN" },
    { "rollback transaction and no chain", SQL_ROLLBACK, "ROLLBACK" },
    { "rollback", SQL_ROLLBACK, "ROLLBACK" },
    { "abort", SQL_ROLLBACK, "ABORT" },
    { "abort and chain", SQL_COMMIT_CHAIN, "ROLLBACK AND CHAIN" },
    { "rollback to a", SQL_SAVEPOINT, "ROLLBACK TO SAVEPOINT" },
    { "rollback work to savepoint a", SQL_SAVEPOINT, "ROLLBACK TO SAVEPOINT" },
    { "savepoint a", SQL_SAVEPOINT, "SAVEPOINT" },
    { "release a", SQL_SAVEPOINT, "RELEASE" },
    { "commit prepared 'x'", SQL_ALONE, "COMMIT PREPARED" },
    { "rollback prepared 'x'", SQL_ALONE, "ROLLBACK PREPARED" },
    { "prepare transaction 'x'", SQL_PREPARE_TRANSACTION, "PREPARE TRANSACTION" },
    { "prepare transaction as select 1", SQL_ORDINARY, "PREPARE" },
    { "commit nonsense", SQL_ORDINARY, "COMMIT" },

    { "set transaction isolation level serializable", SQL_SET_TRANSACTION,
        "SET TRANSACTION" },
    { "set local transaction read write", SQL_SET_TRANSACTION, "SET TRANSACTION" },
    { "set session transaction read write", SQL_SET_TRANSACTION, "SET TRANSACTION" },
    { "set transaction snapshot 'x'", SQL_SET_TRANSACTION, "SET TRANSACTION SNAPSHOT" },
    { "set session characteristics as transaction read only", SQL_SET,
        "SET SESSION CHARACTERISTICS" },
    { "set constraints all deferred", SQL_ORDINARY, "SET CONSTRAINTS" },
    { "set a = 1", SQL_SET, "SET" },
    { "set a.b to 'c', 'd'", SQL_SET, "SET" },
    { "set local a = 1", SQL_SET, "SET" },
    { "set role r", SQL_SET, "SET" },
    { "set session authorization default", SQL_SET, "SET" },
    { "set time zone 'UTC'", SQL_SET, "SET" },
    { "reset a", SQL_SET, "RESET" },
    { "reset all", SQL_SET, "RESET ALL" },
    { "reset role", SQL_SET, "RESET" },

    { "copy t from stdin", SQL_COPY_IN, "COPY FROM STDIN" },
    { "copy t to stdout", SQL_ORDINARY, "" },
    { "copy t from 'stdin'", SQL_ORDINARY, "" },
    { "copy t from program 'x'", SQL_ORDINARY, "" },
    { "copy (select * from stdin) to stdout", SQL_ORDINARY, "" },
    { "copy \"a\".b.c (d, e) from stdin (format csv)", SQL_COPY_IN, "COPY FROM STDIN" },
    { "copy U&\"a\" uescape '!' from stdin", SQL_COPY_IN, "COPY FROM STDIN" },
    { "copy \"from\" from stdout", SQL_COPY_IN, "COPY FROM STDIN" },
    { "call p()", SQL_CALL, "CALL" },
    { "do $$ begin end $$", SQL_CALL, "DO" },

    { "create index concurrently i on t (a)", SQL_ALONE, "CREATE INDEX CONCURRENTLY" },
    { "create unique index concurrently if not exists i on t (a)", SQL_ALONE,
        "CREATE INDEX CONCURRENTLY" },
    { "CREATE\nINDEX/**/CONCURRENTLY ON t (a)", SQL_ALONE,
        "CREATE INDEX CONCURRENTLY" },
    { "create index i on t (a)", SQL_ORDINARY, "" },
    { "create index \"concurrently\" on t (a)", SQL_ORDINARY, "" },
    { "create index /* concurrently */ i on t (a)", SQL_ORDINARY, "" },
    { "create function f() returns text as 'create index concurrently'", SQL_ORDINARY,
        "" },
    { "comment on table t is 'vacuum'", SQL_ORDINARY, "" },
    { "drop index concurrently i", SQL_ALONE, "DROP INDEX CONCURRENTLY" },
    { "drop index i", SQL_ORDINARY, "" },
    { "reindex table t", SQL_ORDINARY, "REINDEX" },
    { "reindex (verbose) index i", SQL_ORDINARY, "REINDEX" },
    { "reindex index concurrently i", SQL_ALONE, "REINDEX CONCURRENTLY" },
    { "reindex (verbose, concurrently) table t", SQL_ALONE, "REINDEX CONCURRENTLY" },
    { "reindex (concurrently off) table t", SQL_ORDINARY, "REINDEX" },
    { "reindex schema s", SQL_ALONE, "REINDEX SCHEMA" },
    { "reindex database d", SQL_ALONE, "REINDEX DATABASE" },
    { "reindex (verbose) system d", SQL_ALONE, "REINDEX SYSTEM" },
    { "vacuum", SQL_ALONE, "VACUUM" },
    { "vacuum (full) t", SQL_ALONE, "VACUUM" },
    { "analyze t", SQL_ORDINARY, "" },
    { "cluster", SQL_ALONE, "CLUSTER" },
    { "cluster verbose", SQL_ALONE, "CLUSTER" },
    { "cluster (verbose)", SQL_ALONE, "CLUSTER" },
    { "cluster t", SQL_ORDINARY, "" },
    { "cluster verbose t using i", SQL_ORDINARY, "" },
    { "cluster (verbose) t", SQL_ORDINARY, "" },
    { "create database d", SQL_ALONE, "CREATE DATABASE" },
    { "drop database if exists d", SQL_ALONE, "DROP DATABASE" },
    { "alter database d set tablespace t", SQL_ALONE, "ALTER DATABASE SET TABLESPACE" },
    { "alter database d with tablespace t", SQL_ALONE,
        "ALTER DATABASE SET TABLESPACE" },
    { "alter database d set work_mem = 1", SQL_ORDINARY, "" },
    { "alter database d rename to e", SQL_ORDINARY, "" },
    { "create tablespace t location 'x'", SQL_ALONE, "CREATE TABLESPACE" },
    { "drop tablespace t", SQL_ALONE, "DROP TABLESPACE" },
    { "alter tablespace t rename to u", SQL_ORDINARY, "" },
    { "alter system set a = 1", SQL_ALONE, "ALTER SYSTEM" },
    { "alter table t detach partition p concurrently", SQL_ALONE,
        "ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY" },
    { "alter table if exists only s.t detach partition s.p concurrently", SQL_ALONE,
        "ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY" },
    { "alter table only (t) detach partition p concurrently", SQL_ALONE,
        "ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY" },
    { "alter table t * detach partition p concurrently", SQL_ALONE,
        "ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY" },
    { "alter table t detach partition p", SQL_ORDINARY, "" },
    { "alter table t detach partition p finalize", SQL_ORDINARY, "" },
    { "alter table t add column concurrently int", SQL_ORDINARY, "" },
    { "alter type t add value 'x'", SQL_ORDINARY, "" },
    { "refresh materialized view concurrently v", SQL_ORDINARY, "" },
    { "create subscription s connection 'c' publication p", SQL_ALONE,
        "CREATE SUBSCRIPTION" },
    { "create subscription s connection 'c' publication p with (connect = false)",
        SQL_ORDINARY, "CREATE SUBSCRIPTION" },
    { "create subscription s connection 'c' publication p, q with (copy_data = false, "
      "create_slot = off)",
        SQL_ORDINARY, "CREATE SUBSCRIPTION" },
    { "create subscription s connection 'c' publication p with (create_slot = true)",
        SQL_ALONE, "CREATE SUBSCRIPTION" },
    { "create subscription s connection 'c' publication p with (create_slot)",
        SQL_ALONE, "CREATE SUBSCRIPTION" },
    { "alter subscription s refresh publication", SQL_ALONE, "ALTER SUBSCRIPTION" },
    { "alter subscription s set publication p", SQL_ALONE, "ALTER SUBSCRIPTION" },
    { "alter subscription s add publication p with (refresh = false)", SQL_ORDINARY,
        "ALTER SUBSCRIPTION" },
    { "alter subscription s drop publication p with (refresh)", SQL_ALONE,
        "ALTER SUBSCRIPTION" },
    { "alter subscription s set (slot_name = none)", SQL_ORDINARY,
        "ALTER SUBSCRIPTION" },
    { "alter subscription s set (failover = true)", SQL_ALONE, "ALTER SUBSCRIPTION" },
    { "alter subscription s enable", SQL_ORDINARY, "ALTER SUBSCRIPTION" },
    { "drop subscription s", SQL_ALONE, "DROP SUBSCRIPTION" },
    { "discard all", SQL_ALONE, "DISCARD ALL" },
    { "discard plans", SQL_ORDINARY, "DISCARD" },
    { "explain analyze create table t as select 1", SQL_ORDINARY, "" },
    { "checkpoint", SQL_ORDINARY, "" },
};

static const struct lexer standard = { false, false };

static void
kinds_are_decided_from_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct sql_traits traits = sql_traits(&standard, str_of(kinds[i].sql));

        if (traits.kind != kinds[i].kind)
            fail_msg("%s: kind %d, wanted %d", kinds[i].sql, (int)traits.kind,
                (int)kinds[i].kind);
        if (kinds[i].kind != SQL_ORDINARY)
            assert_string_equal(traits.label, kinds[i].label);
    }
}

static const struct {
    const char *sql;
    enum sql_session session;
} sessions[] = {
    { "select 1", SQL_SESSION_NONE },
    { "create table t (a int)", SQL_SESSION_NONE },
    { "create temp table t (a int)", SQL_SESSION_TEMPORARY },
    { "create local temporary table t (a int)", SQL_SESSION_TEMPORARY },
    { "create or replace temp view v as select 1", SQL_SESSION_TEMPORARY },
    { "create temporary sequence s", SQL_SESSION_TEMPORARY },
    { "create table pg_temp.t (a int)", SQL_SESSION_TEMPORARY },
    { "create function \"pg_temp\".f() returns int as 'select 1'",
        SQL_SESSION_TEMPORARY },
    { "create table pg_temp (a int)", SQL_SESSION_NONE },
    { "create table temp (a int)", SQL_SESSION_NONE },
    { "create function f() returns int as 'create temp table t()'", SQL_SESSION_NONE },
    { "select 1 into temp t", SQL_SESSION_TEMPORARY },
    { "with a as (select 1) select * into local temporary table t from a",
        SQL_SESSION_TEMPORARY },
    { "select 1 into t", SQL_SESSION_NONE },
    { "prepare p as select 1", SQL_SESSION_PREPARED },
    { "prepare transaction 'x'", SQL_SESSION_NONE },
    { "declare c cursor with hold for select 1", SQL_SESSION_PREPARED },
    { "declare c binary no scroll cursor with hold for select 1",
        SQL_SESSION_PREPARED },
    { "declare c cursor for select 1", SQL_SESSION_NONE },
    { "declare c cursor without hold for select 1", SQL_SESSION_NONE },
    { "listen a", SQL_SESSION_LISTEN },
    { "notify a", SQL_SESSION_NONE },
    { "load 'x'", SQL_SESSION_SET },
    { "set a = 1", SQL_SESSION_SET },
    { "set session a = 1", SQL_SESSION_SET },
    { "set local a = 1", SQL_SESSION_NONE },
    { "set role r", SQL_SESSION_SET },
    { "set local role r", SQL_SESSION_NONE },
    { "set session characteristics as transaction read write", SQL_SESSION_NONE },
    { "set constraints all immediate", SQL_SESSION_NONE },
    { "set transaction read write", SQL_SESSION_NONE },
    { "reset all", SQL_SESSION_SET },
    { "reset a", SQL_SESSION_SET },
    { "select pg_catalog.set_config('search_path', '', false)", SQL_SESSION_SET },
    { "(select set_config('a.b', 'c', true))", SQL_SESSION_SET },
    { "select 'set_config(1)'", SQL_SESSION_NONE },
    { "select set_config from t", SQL_SESSION_NONE },
};

static void
what_outlives_a_statement_is_seen(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sessions); i++) {
        struct sql_traits traits = sql_traits(&standard, str_of(sessions[i].sql));

        if (traits.session != sessions[i].session)
            fail_msg("%s: session %d, wanted %d", sessions[i].sql, (int)traits.session,
                (int)sessions[i].session);
    }
}

#define SCS "standard_conforming_strings"

static const struct {
    const char *sql;
    enum sql_lexing lexing, lexing_when_off;
} lexings[] = {
    { "select 1", SQL_LEXING_SAME, SQL_LEXING_SAME },
    { "set " SCS " = off", SQL_LEXING_BACKSLASH, SQL_LEXING_BACKSLASH },
    { "set " SCS " to 'off'", SQL_LEXING_BACKSLASH, SQL_LEXING_BACKSLASH },
    { "SET LOCAL Standard_Conforming_Strings = FALSE", SQL_LEXING_BACKSLASH,
        SQL_LEXING_BACKSLASH },
    { "set session \"" SCS "\" to $$no$$", SQL_LEXING_BACKSLASH, SQL_LEXING_BACKSLASH },
    { "set " SCS " = 0", SQL_LEXING_BACKSLASH, SQL_LEXING_BACKSLASH },
    { "set " SCS " = 1", SQL_LEXING_STANDARD, SQL_LEXING_STANDARD },
    { "set " SCS " = tr", SQL_LEXING_STANDARD, SQL_LEXING_STANDARD },
    { "set " SCS " = E'on'", SQL_LEXING_STANDARD, SQL_LEXING_STANDARD },
    { "set " SCS " = $a_1$off$a_1$", SQL_LEXING_BACKSLASH, SQL_LEXING_BACKSLASH },
    { "set " SCS " = o", SQL_LEXING_UNKNOWN, SQL_LEXING_UNKNOWN },
    { "set " SCS " to default", SQL_LEXING_STANDARD, SQL_LEXING_STANDARD },
    { "set local \"" SCS "\" = DEFAULT", SQL_LEXING_STANDARD, SQL_LEXING_STANDARD },
    { "set " SCS " to \"default\"", SQL_LEXING_UNKNOWN, SQL_LEXING_UNKNOWN },
    { "set " SCS " from current", SQL_LEXING_UNKNOWN, SQL_LEXING_UNKNOWN },
    { "reset " SCS, SQL_LEXING_STANDARD, SQL_LEXING_STANDARD },
    { "reset all", SQL_LEXING_SAME, SQL_LEXING_STANDARD },
    { "discard all", SQL_LEXING_SAME, SQL_LEXING_STANDARD },
    { "reset search_path", SQL_LEXING_SAME, SQL_LEXING_SAME },
    { "select set_config('" SCS "', 'off', false)", SQL_LEXING_BACKSLASH,
        SQL_LEXING_BACKSLASH },
    { "select 1, pg_catalog.set_config('" SCS "', 'on', true) from t",
        SQL_LEXING_STANDARD, SQL_LEXING_STANDARD },
    { "select set_config('" SCS "', 'o' || 'ff', true)", SQL_LEXING_UNKNOWN,
        SQL_LEXING_UNKNOWN },
    { "select set_config('" SCS
      "', 'off', false), set_config('search_path', '', false)",
        SQL_LEXING_BACKSLASH, SQL_LEXING_BACKSLASH },
    { "select 'set " SCS " = off'", SQL_LEXING_SAME, SQL_LEXING_SAME },
    { "alter role r set " SCS " = off", SQL_LEXING_SAME, SQL_LEXING_SAME },
    { "set backslash_quote = on", SQL_LEXING_OTHER, SQL_LEXING_OTHER },
    { "set client_encoding = utf8", SQL_LEXING_ENCODING_UTF8,
        SQL_LEXING_ENCODING_UTF8 },
    { "set client_encoding to 'UTF-8'", SQL_LEXING_ENCODING_UTF8,
        SQL_LEXING_ENCODING_UTF8 },
    { "set names 'unicode'", SQL_LEXING_ENCODING_UTF8, SQL_LEXING_ENCODING_UTF8 },
    { "set names 'latin1'", SQL_LEXING_ENCODING_OTHER, SQL_LEXING_ENCODING_OTHER },
    { "set names", SQL_LEXING_ENCODING_UTF8, SQL_LEXING_ENCODING_UTF8 },
    { "set names default", SQL_LEXING_ENCODING_UTF8, SQL_LEXING_ENCODING_UTF8 },
    { "set client_encoding to default", SQL_LEXING_ENCODING_UTF8,
        SQL_LEXING_ENCODING_UTF8 },
    { "set client_encoding = 'SQL_ASCII'", SQL_LEXING_ENCODING_OTHER,
        SQL_LEXING_ENCODING_OTHER },
    { "reset client_encoding", SQL_LEXING_ENCODING_UTF8, SQL_LEXING_ENCODING_UTF8 },
    { "select set_config('client_encoding', 'UTF8', false)", SQL_LEXING_ENCODING_UTF8,
        SQL_LEXING_ENCODING_UTF8 },
    { "select set_config('client_encoding', 'latin1', false)",
        SQL_LEXING_ENCODING_OTHER, SQL_LEXING_ENCODING_OTHER },
};

static void
what_changes_the_lexer_is_seen(void **state)
{
    static const struct lexer off = { false, true };

    (void)state;
    for (size_t i = 0; i < COUNT(lexings); i++) {
        struct str sql = str_of(lexings[i].sql);

        if (sql_traits(&standard, sql).lexing != lexings[i].lexing
            || sql_traits(&off, sql).lexing != lexings[i].lexing_when_off)
            fail_msg("%s: lexing %d and %d", lexings[i].sql,
                (int)sql_traits(&standard, sql).lexing,
                (int)sql_traits(&off, sql).lexing);
    }
}

static void
modes_are_handed_out_as_written(void **state)
{
    static const struct {
        const char *sql, *modes;
        bool read_only;
    } rows[] = {
        { "begin", "", false },
        { "begin work isolation level serializable , deferrable",
            "isolation level serializable , deferrable", false },
        { "start transaction read only", "read only", true },
        { "set transaction read /* x */ only, read write",
            "read /* x */ only, read write", false },
        { "begin read only", "read only", true },
        { "set transaction snapshot 'x'", "", false },
        { "set transaction_read_only = on", "", true },
        { "set local transaction_read_only to false", "", false },
        { "set default_transaction_read_only = on", "", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sql_traits traits = sql_traits(&standard, str_of(rows[i].sql));

        if (!str_eq(traits.modes, str_of(rows[i].modes))
            || traits.read_only != rows[i].read_only)
            fail_msg("%s: \"%.*s\", read only %d", rows[i].sql, (int)traits.modes.n,
                traits.modes.p, traits.read_only);
    }
}

static void
binary_copies_say_so(void **state)
{
    static const struct {
        const char *sql;
        bool binary;
    } rows[] = {
        { "copy t from stdin", false },
        { "copy binary t from stdin", true },
        { "copy t from stdin binary", true },
        { "copy t from stdin with binary", true },
        { "copy t from stdin (format binary)", true },
        { "copy t from stdin with (freeze, format 'BINARY')", true },
        { "copy t (\"binary\") from stdin", false },
        { "copy t from stdin (format csv, null 'binary')", false },
        { "copy t from stdin where a = 'binary'", false },
        { "copy binary t to stdout", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (sql_traits(&standard, str_of(rows[i].sql)).copy_binary != rows[i].binary)
            fail_msg("%s", rows[i].sql);
}

static void
the_concurrently_family_is_marked(void **state)
{
    (void)state;
    assert_true(
        sql_traits(&standard, STR("create index concurrently on t (a)")).concurrently);
    assert_true(
        sql_traits(&standard, STR("reindex table concurrently t")).concurrently);
    assert_true(sql_traits(&standard, STR("drop index concurrently i")).concurrently);
    assert_false(sql_traits(&standard, STR("vacuum")).concurrently);
    assert_false(sql_traits(&standard, STR("reindex schema s")).concurrently);
    assert_true(
        sql_traits(&standard, STR("reindex schema concurrently s")).concurrently);
    assert_true(sql_traits(&standard, STR("set local a = 1")).local);
    assert_false(sql_traits(&standard, STR("set a = 1")).local);
}

static void
a_verb_phrase_stops_at_the_name(void **state)
{
    static const struct {
        const char *sql, *verb;
    } rows[] = {
        { "create table t (a int)", "CREATE TABLE" },
        { "CREATE OR REPLACE FUNCTION f()", "CREATE FUNCTION" },
        { "create temporary table if not exists t (a int)", "CREATE TABLE" },
        { "create unique index concurrently i on t (a)", "CREATE INDEX CONCURRENTLY" },
        { "create materialized view v as select 1", "CREATE MATERIALIZED VIEW" },
        { "alter table t add column table_name text", "ALTER TABLE" },
        { "alter table \"table\" rename to t", "ALTER TABLE" },
        { "insert into t values (1)", "INSERT" },
        { "(select 1)", "SELECT" },
        { "refresh materialized view concurrently v", "REFRESH MATERIALIZED VIEW" },
        { "drop owned by r", "DROP OWNED" },
        { "commit prepared 'x'", "COMMIT PREPARED" },
        { "commit", "COMMIT" },
        { "start transaction", "START TRANSACTION" },
        { "comment on table t is 'x'", "COMMENT" },
        { "do $$ $$", "DO" },
        { "'x'", "" },
        { "", "" },
    };
    char verb[40];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_string_equal(
            sql_verb(verb, sizeof verb, str_of(rows[i].sql)), rows[i].verb);
    assert_string_equal(sql_verb(verb, 9, STR("create table t")), "CREATE T");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_decided_from_tokens),
        cmocka_unit_test(what_outlives_a_statement_is_seen),
        cmocka_unit_test(what_changes_the_lexer_is_seen),
        cmocka_unit_test(modes_are_handed_out_as_written),
        cmocka_unit_test(binary_copies_say_so),
        cmocka_unit_test(the_concurrently_family_is_marked),
        cmocka_unit_test(a_verb_phrase_stops_at_the_name),
    };

    return cmocka_run_group_tests_name("kind", tests, NULL, NULL);
}
