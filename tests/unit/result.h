/*
 * result.h: a PGresult drawn in words, for tests without a server.
 *
 * Columns are names separated by blanks (_ in a name stands for itself, + for a
 * blank), each followed by :OID where its type matters.  Rows are lines, their values
 * separated by |, and ~ is NULL.
 */
#ifndef TEST_RESULT_H
#define TEST_RESULT_H

#include <libpq-fe.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline void
draw_columns(PGresult *res, const char *columns)
{
    PGresAttDesc attributes[16] = { { 0 } };
    char names[16][64];
    int n = 0;

    for (const char *at = columns; *at != '\0'; n++) {
        size_t length = strcspn(at, " "), name = strcspn(at, " :");

        assert_true(n < 16 && name < sizeof names[n]);
        memcpy(names[n], at, name);
        names[n][name] = '\0';
        for (char *plus = names[n]; (plus = strchr(plus, '+')) != NULL;)
            *plus = ' ';
        attributes[n].name = names[n];
        if (name < length)
            attributes[n].typid = (Oid)strtoul(at + name + 1, NULL, 10);
        at += length + strspn(at + length, " ");
    }
    assert_true(PQsetResultAttrs(res, n, attributes));
}

/* PQclear it. */
static inline PGresult *
draw_result(const char *columns, const char *rows)
{
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    int row = 0, column = 0;

    assert_non_null(res);
    draw_columns(res, columns);
    while (*rows != '\0') {
        size_t n = strcspn(rows, "|\n");
        char value[256];

        assert_true(n < sizeof value && column < PQnfields(res));
        memcpy(value, rows, n);
        value[n] = '\0';
        assert_true(PQsetvalue(
            res, row, column++, value, strcmp(value, "~") == 0 ? -1 : (int)n));
        rows += n;
        if (*rows == '\0')
            break;
        if (*rows++ == '\n') {
            row++;
            column = 0;
        }
    }
    return res;
}

#endif
