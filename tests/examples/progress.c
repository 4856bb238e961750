/*
 * progress.c: show what happens while a directory is applied.
 *
 *     cc progress.c $(pkg-config --cflags --libs rung)
 *     DATABASE_URL=postgresql:///app ./a.out migrations
 */
#include <rung/runner.h>

#include <stdio.h>
#include <stdlib.h>

static void
show(void *arg, const struct rung_event *event)
{
    FILE *out = arg;

    switch (event->kind) {
    case RUNG_EVENT_START:
        fprintf(out, "%s begins\n", event->migration->filename);
        break;
    case RUNG_EVENT_PROGRESS:
        fprintf(out, "  statement %llu of %llu, %lld ms\n",
            (unsigned long long)event->statement, (unsigned long long)event->statements,
            (long long)event->elapsed_ms);
        break;
    case RUNG_EVENT_DONE:
        fprintf(out, "%s is applied\n", event->migration->filename);
        break;
    case RUNG_EVENT_NOTICE:
        fprintf(out, "  %s: %s\n", event->severity, event->message);
        break;
    case RUNG_EVENT_FINDING:
    case RUNG_EVENT_WARNING:
    case RUNG_EVENT_WAITING:
    case RUNG_EVENT_RETRY:
        break;
    }
}

int
main(int argc, char **argv)
{
    struct rung_options options = RUNG_OPTIONS;
    struct rung_result result;
    struct rung_error err;

    options.database = getenv("DATABASE_URL");
    options.directory = argc > 1 ? argv[1] : options.directory;
    options.on_event = show;
    options.arg = stdout;
    if (rung_up(&options, RUNG_NO_VERSION, &result, &err))
        return 0;
    fprintf(stderr, "%s\n", err.message);
    return (int)err.code;
}
