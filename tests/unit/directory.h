/*
 * directory.h: a directory of each test's own, for modules that look at files.
 */
#ifndef TEST_DIRECTORY_H
#define TEST_DIRECTORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char where[64];

static inline int
make_directory(void **state)
{
    (void)state;
    snprintf(where, sizeof where, "/tmp/rung-unit-XXXXXX");
    return mkdtemp(where) == NULL ? -1 : 0;
}

static inline int
remove_directory(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", where);
    return system(command);
}

/* A file's path in it; until the next call. */
static inline const char *
at(const char *name)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/%s", where, name);
    return path;
}

/* Write a file. */
static inline void
put(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

#endif
