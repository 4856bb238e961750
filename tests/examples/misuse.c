/*
 * misuse.c: what a caller may get wrong is an error, or does nothing, and never worse;
 * and a result is true also where a call failed.  tests/cli/library.bats has what it
 * must print.
 *
 *     ./misuse DIRECTORY        the database: libpq's environment
 */
#include <rung/runner.h>

#include <stdio.h>

static struct rung_error err;

static void
tell(const char *what, bool ok)
{
    printf("%s: %s", what, ok ? "ok\n" : "");
    if (!ok)
        printf("%d %s\n", (int)err.code, err.message);
}

/* Each call with the same options. */
static void
call(const struct rung_options *options)
{
    struct rung_repair repair = { .reason = "why" };
    struct rung_lint lint = { .from = RUNG_NO_VERSION };
    struct rung_lint_result linted;
    struct rung_result result;
    struct rung_list list;
    char path[512], *text;

    tell("up", rung_up(options, RUNG_NO_VERSION, &result, &err));
    tell("down", rung_down(options, 1, RUNG_NO_VERSION, &result, &err));
    tell("redo", rung_redo(options, 1, &result, &err));
    tell("stamp", rung_stamp(options, RUNG_NO_VERSION, &result, &err));
    tell("repair", rung_repair(options, &repair, &result, &err));
    tell("status", rung_status(options, &list, &err));
    rung_list_free(&list);
    tell("plan", rung_plan(options, RUNG_NO_VERSION, &list, &err));
    rung_list_free(&list);
    tell("verify", rung_verify(options, true, false, &list, &err));
    rung_list_free(&list);
    tell("history", rung_history(options, &list, &err));
    rung_list_free(&list);
    tell("show", rung_show(options, 1, true, false, NULL, NULL, &list, &err));
    rung_list_free(&list);
    tell("source", rung_source(options, 1, false, &text, &err));
    tell("new", rung_new(options, "name", false, path, sizeof path, &err));
    tell("renumber", rung_renumber(options, true, &result, &err));
    tell("sum", rung_sum(options, &err));
    tell("lint", rung_lint(options, &lint, &linted, &err));
}

int
main(int argc, char **argv)
{
    struct rung_options options = RUNG_OPTIONS;
    struct rung_repair repair = { .reason = NULL };
    struct rung_result result;

    if (argc != 2)
        return 2;
    options.directory = argv[1];
    tell("up", rung_up(&options, RUNG_NO_VERSION, &result, &err));
    tell("redo of none", rung_redo(&options, 0, &result, &err));
    printf("%zu done\n", result.done);
    tell("redo that stops between", rung_redo(&options, 1, &result, &err));
    printf("%zu done, now at %lld\n", result.done, (long long)result.version);
    tell("redo of too many", rung_redo(&options, (size_t)-1, &result, &err));
    tell("repair for no reason", rung_repair(&options, &repair, &result, &err));
    rung_list_free(NULL);

    puts("no directory");
    options.directory = NULL;
    call(&options);

    puts("no table");
    options.directory = argv[1];
    options.table = NULL;
    call(&options);
    return 0;
}
