/*
 * cases.h: what the modules whose cases are files (tests/cases/README.md) share: a
 * directory of NAME.sql, each with what is wanted of it, NAME.want.
 */
#ifndef TEST_CASES_H
#define TEST_CASES_H

#include "internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A directory of cases; close its descriptor. */
static inline struct sqldir
cases_open(const char *path)
{
    struct sqldir dir = { .path = path,
        .fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };

    if (dir.fd < 0)
        fail_msg("%s is not there; unit tests run from the repository's root", path);
    return dir;
}

/* The whole of a file. */
static inline void
cases_slurp(int dir, const char *name, PQExpBuffer out)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    char block[4096];
    ssize_t n;

    if (fd < 0)
        fail_msg("%s cannot be read; unit tests run from the repository's root", name);
    while ((n = read(fd, block, sizeof block)) > 0)
        appendBinaryPQExpBuffer(out, block, (size_t)n);
    close(fd);
}

/* Run every case; all must be as wanted, and there must be `least` of them. */
static inline void
cases_each(const char *path, bool (*run)(const struct sqldir *dir, const char *name),
    size_t least)
{
    struct sqldir dir = cases_open(path);
    DIR *names = opendir(path);
    size_t cases = 0, failed = 0;

    assert_non_null(names);
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
        char name[256];
        size_t n = strlen(entry->d_name);

        if (n < 4 || strcmp(entry->d_name + n - 4, ".sql") != 0)
            continue;
        text_format(name, sizeof name, "%.*s", (int)(n - 4), entry->d_name);
        failed += !run(&dir, name);
        cases++;
    }
    closedir(names);
    close(dir.fd);
    assert_int_equal(failed, 0);
    assert_true(cases >= least);
}

/* Does `render` write of NAME.sql, from the disk and from memory, what is wanted? */
static inline bool
cases_compare(const struct sqldir *dir, const char *name,
    void (*render)(const struct sqldir *dir, struct sqlfile *file, PQExpBuffer out))
{
    char sql_name[300], want_name[300];
    PQExpBuffer want = createPQExpBuffer(), sql = createPQExpBuffer();
    bool ok = true;

    text_format(sql_name, sizeof sql_name, "%s.sql", name);
    text_format(want_name, sizeof want_name, "%s.want", name);
    cases_slurp(dir->fd, want_name, want);
    cases_slurp(dir->fd, sql_name, sql);
    for (int memory = 0; memory < 2; memory++) {
        struct sqlfile file = {
            .name = sql_name, .size = sql->len, .bytes = memory ? sql->data : NULL
        };
        PQExpBuffer got = createPQExpBuffer();

        render(dir, &file, got);
        if (strcmp(got->data, want->data) != 0) {
            print_error("%s: wanted\n%s\ngot\n%s\n", name, want->data, got->data);
            ok = false;
        }
        destroyPQExpBuffer(got);
    }
    destroyPQExpBuffer(want);
    destroyPQExpBuffer(sql);
    return ok;
}

#endif
