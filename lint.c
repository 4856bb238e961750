/*
 * lint.c: look through the files for what may hurt a database that is in use.
 *
 * Owns which files are looked at, what `-- rung: allow` silences, and the order of what
 * is told.  The rules are rules.c's and alter.c's.
 *
 * Invariant: an allow silences one rule, for the statement that it stands at; only one
 * that stands apart, above the first statement, does so for the whole file.  Nothing is
 * silenced without a reason.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct hit {
    struct rule_hit hit;
    uint64_t offset; /* in the file */
};

/* One file that is looked at. */
struct lint {
    const struct rung_lint *wanted;
    struct rung_lint_result *result;
    struct source src;
    struct reader reader;
    struct rules rules;

    /* Rules that are allowed, a bit each: in the whole file; at the statement that was
     * read last; at the next one, with the place of the first such comment. */
    unsigned in_file, at_last, at_next;
    uint64_t allow_at[RULES];

    /* The last statement: told once its line has been read, for the allow behind it. */
    uint64_t last_offset, last_end;
    struct hit *hits;
    size_t n, capacity;
};

/* ---- findings -------------------------------------------------------------------- */

static void
tell(const struct lint *l, const struct rung_rule *rule, const struct rung_error *err)
{
    struct rung_finding finding = { rule, err };

    if (l->wanted->each != NULL)
        l->wanted->each(l->wanted->arg, &finding);
}

/* Tell what was found in the last statement, but for what is allowed. */
static void
tell_last(struct lint *l)
{
    size_t rules;
    const struct rung_rule *all = rung_lint_rules(&rules);

    for (size_t i = 0; i < l->n; i++) {
        const struct rule_hit *hit = &l->hits[i].hit;
        const struct rung_rule *rule = &all[hit->rule];
        struct rung_error err;

        if (((l->in_file | l->at_last) >> hit->rule & 1) != 0) {
            l->result->allowed++;
            continue;
        }
        l->result->findings++;
        err_set(&err, RUNG_DRIFT, "%s", hit->message);
        text_format(err.detail, sizeof err.detail, "%s.  %s", rule->lock, rule->why);
        err_hint(&err, "%s", rule->instead);
        (void)source_place(&l->src, l->hits[i].offset, &err);
        tell(l, rule, &err);
    }
    l->n = 0;
}

/* For rules_look.  False: out of memory. */
static bool
keep_hit(void *arg, const struct rule_hit *hit)
{
    struct lint *l = arg;

    if (l->n == l->capacity) {
        size_t capacity = l->capacity == 0 ? 16 : 2 * l->capacity;
        struct hit *hits = realloc(l->hits, capacity * sizeof *hits);

        if (hits == NULL)
            return false;
        l->hits = hits;
        l->capacity = capacity;
    }
    l->hits[l->n++] = (struct hit){ *hit, l->last_offset + hit->at };
    return true;
}

static int
compare_hits(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;

    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* ---- allow ----------------------------------------------------------------------- */

#define GAP_BYTES 4096

/*
 * Are there lines between two places of the file: an end of line or, with `empty`, a
 * line with nothing in it?  What is too far apart to be seen is.
 */
static bool
is_apart(const struct lint *l, uint64_t from, uint64_t to, bool empty)
{
    char gap[GAP_BYTES];
    struct str text = { gap, 0 };
    struct rung_error ignored;

    if (to - from > sizeof gap
        || !source_read(&l->src, from, gap, (size_t)(to - from), &text.n, &ignored))
        return true;
    for (size_t at = 0, lines = 0; at < text.n; at++) {
        if (text.p[at] == '\n' && ++lines == (empty ? 2u : 1u))
            return true;
        if (lex_space(text, at) == at)
            lines = 0;
    }
    return false;
}

/* Refuse an allow; the message and hint are set. */
static bool
refuse_allow(const struct lint *l, uint64_t offset, struct rung_error *err)
{
    return source_place(&l->src, offset, err);
}

static bool
unknown_rule(
    const struct lint *l, struct str id, uint64_t offset, struct rung_error *err)
{
    size_t rules, n;
    const struct rung_rule *all = rung_lint_rules(&rules);
    char shown[64];

    if (id.n == 0)
        err_set(err, RUNG_FAILED, "the directive allow names no rule");
    else
        err_set(err, RUNG_FAILED, "there is no rule \"%s\"",
            text_escape(shown, sizeof shown, id));
    err_hint(err, "The rules are ");
    for (size_t i = 0; i < rules; i++) {
        n = strlen(err->hint);
        text_format(err->hint + n, sizeof err->hint - n, "%s%s", all[i].id,
            i + 1 == rules   ? "."
            : i + 2 == rules ? " and "
                             : ", ");
    }
    return refuse_allow(l, offset, err);
}

/* Called by the reader for every comment. */
static bool
take_comment(void *arg, struct str text, uint64_t offset, struct rung_error *err)
{
    struct lint *l = arg;
    struct str id;
    size_t rule;

    if (text.p[1] == '*' || !directive_read(&text)
        || !str_eq(directive_word(&text), STR("allow")))
        return true;
    id = directive_word(&text);
    rule = rules_find(id);
    if (rule == RULES)
        return unknown_rule(l, id, offset, err);
    if (text.n == 0) {
        err_set(err, RUNG_FAILED, "allowing %.*s needs a reason", (int)id.n, id.p);
        err_hint(err, "Write behind it why it does no harm here.");
        return refuse_allow(l, offset, err);
    }
    if (!l->reader.reading_statement && l->reader.number > 0
        && !is_apart(l, l->last_end, offset, false)) {
        l->at_last |= 1u << rule;
        return true;
    }
    if ((l->at_next >> rule & 1) == 0)
        l->allow_at[rule] = offset;
    l->at_next |= 1u << rule;
    return true;
}

/* A statement was read: to it belongs what was allowed since the last one. */
static void
take_allows(struct lint *l, const struct statement *stmt)
{
    for (size_t i = 0; i < RULES && stmt->number == 1; i++)
        if ((l->at_next >> i & 1) != 0 && l->allow_at[i] < stmt->offset
            && is_apart(l, l->allow_at[i], stmt->offset, true))
            l->in_file |= 1u << i;
    l->at_last = l->at_next;
    l->at_next = 0;
}

/* ---- files ----------------------------------------------------------------------- */

static bool
look_through(struct lint *l, struct rung_error *err)
{
    struct statement stmt;
    bool found;

    for (;;) {
        if (!sql_next(&l->reader, &stmt, &found, err))
            return false;
        tell_last(l);
        if (!found)
            return true;
        take_allows(l, &stmt);
        l->last_offset = stmt.offset;
        l->last_end = stmt.end;
        if (!rules_look(&l->rules, &l->reader.lexer, stmt.text, keep_hit, l, err))
            return false;
        if (l->n > 1)
            qsort(l->hits, l->n, sizeof *l->hits, compare_hits);
    }
}

bool
lint_file(const struct sqldir *dir, struct sqlfile *file,
    const struct rung_lint *wanted, struct rung_lint_result *result,
    struct rung_error *err)
{
    struct lint l = { .wanted = wanted, .result = result, .src.fd = -1 };
    struct rung_error why;
    bool ok = judge_file(dir, file, &why) && source_open(&l.src, dir, file, &why);

    rules_open(&l.rules, !file->verdict.no_transaction);
    ok = ok && reader_open(&l.reader, &l.src, READER_WINDOW, NULL, &why);
    l.reader.on_comment = take_comment;
    l.reader.comment_arg = &l;
    ok = ok && look_through(&l, &why);
    result->files++;
    if (!ok) {
        tell_last(&l);
        ok = why.line > 0; /* otherwise it is not the file that is wrong */
        if (ok) {
            result->refused++;
            tell(&l, NULL, &why);
        } else {
            *err = why;
        }
    }
    reader_close(&l.reader);
    source_close(&l.src);
    rules_close(&l.rules);
    free(l.hits);
    return ok;
}

/* Is the file among those that are asked for? */
static bool
is_wanted(const struct rung_lint *lint, const struct sqlfile *file)
{
    if (file->type != SQLFILE_UP || file->version < lint->from)
        return false;
    for (size_t i = 0; i < lint->n; i++)
        if (lint->versions[i] == file->version)
            return true;
    return lint->n == 0;
}

/* Has every version that is named a file? */
static bool
check_versions(
    const struct sqldir *dir, const struct rung_lint *lint, struct rung_error *err)
{
    for (size_t v = 0; v < lint->n; v++) {
        size_t i = 0;

        while (i < dir->n
               && (dir->files[i]->type != SQLFILE_UP
                   || dir->files[i]->version != lint->versions[v]))
            i++;
        if (i == dir->n)
            return err_set(err, RUNG_USAGE, "there is no migration %lld in %s",
                (long long)lint->versions[v], dir->path);
    }
    return true;
}

bool
rung_lint(const struct rung_options *options, const struct rung_lint *lint,
    struct rung_lint_result *result, struct rung_error *err)
{
    struct sqldir dir;
    bool ok;

    *result = (struct rung_lint_result){ 0 };
    ok = sqldir_open(&dir, options->directory, err) && check_versions(&dir, lint, err);
    for (size_t i = 0; ok && i < dir.n; i++)
        if (is_wanted(lint, dir.files[i]))
            ok = lint_file(&dir, dir.files[i], lint, result, err);
    sqldir_close(&dir);
    result->complete = ok;
    if (!ok)
        return false;
    if (result->refused > 0)
        return err_set(err, RUNG_FAILED, "%zu file%s refused", result->refused,
            result->refused == 1 ? " was" : "s were");
    return result->findings == 0
           || err_set(err, RUNG_DRIFT, "%zu finding%s", result->findings,
               result->findings == 1 ? "" : "s");
}
