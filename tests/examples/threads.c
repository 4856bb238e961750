/*
 * threads.c: several databases at once, a thread each, no state between them.  Built
 * with ThreadSanitizer by tests/cli/library.bats.
 *
 *     ./threads DIRECTORY DATABASE_URL...
 */
#include <rung/runner.h>

#include <pthread.h>
#include <stdio.h>

#define MOST 16

struct task {
    const char *directory, *database;
    size_t events;
    bool ok;
    struct rung_result result;
    struct rung_error err;
};

static void
count(void *arg, const struct rung_event *event)
{
    struct task *task = arg;

    task->events += event->kind == RUNG_EVENT_DONE;
}

static void *
migrate(void *arg)
{
    struct task *task = arg;
    struct rung_options options = RUNG_OPTIONS;

    options.directory = task->directory;
    options.database = task->database;
    options.on_event = count;
    options.arg = task;
    task->ok = rung_up(&options, RUNG_NO_VERSION, &task->result, &task->err);
    return NULL;
}

int
main(int argc, char **argv)
{
    static struct task tasks[MOST];
    pthread_t threads[MOST];
    int n = argc - 2, failed = 0;

    if (n < 1 || n > MOST)
        return 2;
    for (int i = 0; i < n; i++) {
        tasks[i] = (struct task){ .directory = argv[1], .database = argv[i + 2] };
        if (pthread_create(&threads[i], NULL, migrate, &tasks[i]) != 0)
            return 1;
    }
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        if (!tasks[i].ok)
            fprintf(stderr, "%d: %s\n", i, tasks[i].err.message);
        failed += !tasks[i].ok || tasks[i].events != tasks[i].result.done;
        printf("%zu applied\n", tasks[i].result.done);
    }
    return failed;
}
