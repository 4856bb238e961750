/*
 * fuzz_lint.c: any file, looked through by lint.
 *
 * A finding has a place, and they come in the file's order; what is refused is refused
 * last, and nothing is seen twice in two ways.
 */
#include "fuzz.h"

#include <string.h>

struct seen {
    struct rung_lint_result told;
    uint64_t line, column; /* of the last one */
    bool refused;
};

static void
see(void *arg, const struct rung_finding *finding)
{
    struct seen *seen = arg;
    const struct rung_error *err = finding->error;

    CHECK(!seen->refused && err->message[0] != '\0');
    CHECK(err->line > 0 && err->column > 0);
    if (finding->rule == NULL) {
        seen->refused = true;
        return;
    }
    CHECK(err->line > seen->line
          || (err->line == seen->line && err->column >= seen->column));
    CHECK(utf8_valid(str_of(err->message), NULL) == strlen(err->message));
    seen->line = err->line;
    seen->column = err->column;
    seen->told.findings++;
}

static struct rung_lint_result
look(char *bytes, size_t size)
{
    struct sqldir dir = { .path = "migrations", .fd = -1 };
    char name[] = "001_x.sql";
    struct sqlfile file = { .name = name, .size = size };
    struct seen seen = { .refused = false };
    struct rung_lint lint = { .each = see, .arg = &seen };
    struct rung_lint_result result = { 0 };
    struct rung_error err;

    file.bytes = bytes;
    CHECK(lint_file(&dir, &file, &lint, &result, &err));
    CHECK(result.files == 1 && result.findings == seen.told.findings);
    CHECK(result.refused == (seen.refused ? 1 : 0));
    return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_text(data, size);
    struct rung_lint_result once = look(bytes, size), again = look(bytes, size);

    CHECK(once.findings == again.findings && once.allowed == again.allowed);
    free(bytes);
    return 0;
}
