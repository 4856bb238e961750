/*
 * apply.c: what an application does before it serves: bring its database up to date.
 *
 *     cc apply.c $(pkg-config --cflags --libs rung)
 *     DATABASE_URL=postgresql:///app ./a.out migrations
 */
#include <rung/runner.h>

#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
    struct rung_options options = RUNG_OPTIONS;
    struct rung_result result;
    struct rung_error err;

    options.database = getenv("DATABASE_URL");
    options.wait_ms = 60000; /* the database may be starting, too */
    if (argc > 1)
        options.directory = argv[1];
    if (!rung_up(&options, RUNG_NO_VERSION, &result, &err)) {
        fprintf(stderr, "%s:%llu: %s\n", err.path, (unsigned long long)err.line,
            err.message);
        if (err.hint[0] != '\0')
            fprintf(stderr, "hint: %s\n", err.hint);
        return (int)err.code;
    }
    printf(
        "%zu applied, now at version %lld\n", result.done, (long long)result.version);
    return 0;
}
