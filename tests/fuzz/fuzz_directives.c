/*
 * fuzz_directives.c: any file, judged: directives, transaction modes, kinds.
 *
 * A refusal has a place and leaves no verdict; what is accepted is accepted again, and
 * a verdict does not contradict itself.
 */
#include "fuzz.h"

#include <string.h>

/* Only words of PostgreSQL's may go from a file into our BEGIN. */
static bool
known_modes(const char *modes)
{
    static const char *const isolation[] = { "", "ISOLATION LEVEL SERIALIZABLE",
        "ISOLATION LEVEL REPEATABLE READ", "ISOLATION LEVEL READ COMMITTED",
        "ISOLATION LEVEL READ UNCOMMITTED" };
    static const char *const deferrable[] = { "", "DEFERRABLE", "NOT DEFERRABLE" };
    char text[128];

    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < 3; k++) {
            snprintf(text, sizeof text, "%s%s%s", isolation[i],
                *isolation[i] != '\0' && *deferrable[k] != '\0' ? ", " : "",
                deferrable[k]);
            if (strcmp(modes, text) == 0)
                return true;
        }
    return false;
}

static bool
judge(char *bytes, size_t size, struct verdict *verdict)
{
    struct sqldir dir = { .path = "migrations",
        .fd = -1,
        .ledger_schema = "public",
        .ledger_table = "t",
        .ledger_in_path = true };
    char name[] = "001_x.sql";
    struct sqlfile file = { .name = name, .size = size };
    struct rung_error err = { 0 };
    bool ok;

    file.bytes = bytes;
    ok = judge_file(&dir, &file, &err);

    CHECK(file.verdict.judged == ok);
    CHECK(ok == (err.message[0] == '\0'));
    CHECK(ok || (err.code == RUNG_FAILED && err.line > 0 && err.column > 0));
    CHECK(!ok || strlen(file.checksum) == 64);
    *verdict = file.verdict;
    return ok;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_text(data, size);
    struct verdict verdict, again;

    if (judge(bytes, size, &verdict)) {
        const struct directives *d = &verdict.directives;

        CHECK(known_modes(verdict.modes));
        CHECK(!verdict.blank || verdict.statements == 0);
        CHECK(!verdict.no_transaction || !verdict.wrapped);
        CHECK(!verdict.no_transaction || verdict.modes[0] == '\0');
        CHECK(!d->no_transaction || verdict.no_transaction);
        CHECK(!verdict.wrapped || verdict.statements >= 2);
        CHECK(d->lock_timeout_ms >= -1 && d->lock_timeout_ms <= INT32_MAX);
        CHECK(d->statement_timeout_ms >= -1 && d->statement_timeout_ms <= INT32_MAX);
        CHECK(judge(bytes, size, &again) && again.statements == verdict.statements);
    }
    free(bytes);
    return 0;
}
