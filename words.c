/*
 * words.c: what was meant by a word that rung does not know: the nearest one that it
 * does, or what another tool calls it.
 */
#include "cli.h"

#include <string.h>

/* ---- of other tools -------------------------------------------------------------- */

/* What other tools call it, and what rung does. */
static const struct {
    const char *word, *ours;
} foreign[] = {
    { "add", "new NAME" },
    { "apply", "up" },
    { "check", "verify" },
    { "create", "new NAME" },
    { "deploy", "up" },
    { "downgrade", "down" },
    { "fix", "renumber" },
    { "force", "repair VERSION --reason TEXT" },
    { "generate", "new NAME" },
    { "goto", "up VERSION" },
    { "hash", "sum" },
    { "head", "current" },
    { "info", "status" },
    { "init", "new NAME" },
    { "latest", "up" },
    { "list", "status" },
    { "log", "history" },
    { "migrate", "up" },
    { "rebase", "renumber" },
    { "reset", "down --all" },
    { "resolve", "repair VERSION --reason TEXT" },
    { "revert", "down" },
    { "rollback", "down" },
    { "run", "up" },
    { "undo", "down" },
    { "upgrade", "up" },
    { "validate", "verify" },
    { "version", "--version`, or of the database `rung current" },
};

bool
words_translate(const char *name, struct rung_error *err)
{
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (strcmp(name, foreign[i].word) != 0)
            continue;
        cli_hint(err, "In rung that is `rung %s`.", foreign[i].ours);
        return true;
    }
    return false;
}

/* ---- the nearest ----------------------------------------------------------------- */

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * How many letters must be put in, left out, replaced or swapped with their neighbour
 * to make `b` of `a` (Damerau-Levenshtein, optimal string alignment).
 */
static size_t
distance(const char *a, const char *b)
{
    size_t d[NEAREST_MOST + 1][NEAREST_MOST + 1];
    size_t n = strlen(a), m = strlen(b);

    if (n > NEAREST_MOST || m > NEAREST_MOST)
        return SIZE_MAX;
    for (size_t i = 0; i <= n; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            d[i][j] = least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
                least(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[n][m];
}

void
words_consider(struct nearest *best, const char *typed, const char *candidate)
{
    size_t n = strlen(typed);
    size_t d = distance(typed, candidate);

    if (n >= 3 && strncmp(typed, candidate, n) == 0)
        d = 1; /* its beginning */
    if (d <= (n < 3   ? 1
              : n < 6 ? 2
                      : 3)
        && d < n && (best->word == NULL || d < best->distance))
        *best = (struct nearest){ candidate, d };
}
