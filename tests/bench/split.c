/*
 * split.c: how fast is a file split?  `make bench-split` runs it.
 *
 * Reads 256 MB from memory, without a hash, in three shapes: rows as pg_dump --inserts
 * writes them, INSERTs with long texts, and DDL.  Prints MB/s of the best of five.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char rows[] =
    "INSERT INTO public.orders VALUES (1234567, 'Johanna Doe', '17 Some Street, Some Town', "
    "'2024-02-03 04:05:06+00', 42.50, NULL, true);\n";
static const char texts[] =
    "INSERT INTO public.pages (id, title, body) VALUES (1234567, 'A title', 'Lorem ipsum "
    "dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut "
    "labore et dolore magna aliqua.  Ut enim ad minim veniam, quis nostrud exercitation "
    "ullamco laboris nisi ut aliquip ex ea commodo consequat.  It''s so.  Duis aute "
    "irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla "
    "pariatur.  Excepteur sint occaecat cupidatat non proident, sunt in culpa qui "
    "officia deserunt mollit anim id est laborum, f\xc3\xbcr immer.');\n";
static const char ddl[] =
    "CREATE TABLE public.t1 (\n    id bigint NOT NULL, -- the key\n    name text "
    "DEFAULT ''::text NOT NULL,\n    total numeric(10,2) CHECK (total >= 0)\n);\n\n"
    "ALTER TABLE ONLY public.t OWNER TO joe;\n\n";

static const struct {
    const char *name, *line;
} shapes[] = { { "rows", rows }, { "texts", texts }, { "ddl", ddl } };

#define BYTES MIB(256)

static void
fill(char *text, size_t size, struct str line)
{
    size_t at = 0;

    for (; at + line.n <= size; at += line.n)
        memcpy(text + at, line.p, line.n);
    memset(text + at, '\n', size - at);
}

static bool
split(const char *text, size_t size, uint64_t *statements)
{
    struct source src = { .path = "bench", .bytes = text, .fd = -1, .size = size };
    struct rung_error err;
    struct reader r;
    struct statement stmt;
    bool found = true, ok;

    ok = reader_open(&r, &src, READER_WINDOW, NULL, &err);
    while (ok && found)
        ok = sql_next(&r, &stmt, &found, &err);
    *statements = r.number;
    reader_close(&r);
    return ok;
}

int
main(void)
{
    char *text = malloc(BYTES);

    if (text == NULL)
        return 1;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        double best = 1e9; /* seconds of this process: others may be at work */
        uint64_t statements = 0;

        fill(text, BYTES, str_of(shapes[i].line));
        for (int round = 0; round < 5; round++) {
            clock_t began = clock();
            double took;

            if (!split(text, BYTES, &statements))
                return 1;
            took = (double)(clock() - began) / CLOCKS_PER_SEC;
            best = took < best ? took : best;
        }
        printf("%-6s %9llu statements %6.0f MB/s\n", shapes[i].name,
            (unsigned long long)statements, (double)BYTES / 1e6 / best);
    }
    free(text);
    return 0;
}
