/*
 * github.c: what GitHub Actions shows of a run: annotations at the files' lines, and
 * the job's summary.
 *
 * An annotation is a line on stdout; GitHub shows ten errors and ten warnings of a
 * step. The summary is a table in Markdown, gathered in memory and appended at the end
 * to the file that $GITHUB_STEP_SUMMARY names; GitHub drops one larger than 1 MiB as a
 * whole, so rows beyond that are only counted.
 *
 * Invariant: nothing that comes from outside ends a property, a line, a cell or a row,
 * or is anything but text in Markdown.
 *
 * Source: docs.github.com, "Workflow commands for GitHub Actions"; actions/toolkit,
 * command.ts (escapeData, escapeProperty); GitHub Flavored Markdown 6.2, 4.10.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUMMARY_MOST ((size_t)900 * 1024) /* of the 1024 KiB that a step has */

static const char *const level_words[] = {
    [LEVEL_ERROR] = "error", [LEVEL_WARNING] = "warning", [LEVEL_NOTICE] = "notice"
};

static bool
is_empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

/* ---- paths ----------------------------------------------------------------------- */

/*
 * A file as GitHub names it: from the repository's root on.  $GITHUB_WORKSPACE is where
 * that lies; the step may run below it (working-directory).  Elsewhere the path is
 * taken as it is, without "./".  The caller's to free(); NULL when memory is short.
 */
static char *
path_in_repository(const char *path)
{
    const char *root = cli_environment("GITHUB_WORKSPACE");
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    char *top = root == NULL ? NULL : realpath(root, NULL);
    char *parent = slash == NULL ? strdup(".") : strndup(path, (size_t)(name - path));
    char *real = parent == NULL ? NULL : realpath(parent, NULL);
    size_t n = top == NULL ? 0 : strlen(top);
    char *found = NULL;

    if (top != NULL && real != NULL && strncmp(real, top, n) == 0
        && (real[n] == '/' || real[n] == '\0')) {
        const char *below = real[n] == '/' ? real + n + 1 : "";
        size_t size = strlen(below) + strlen(name) + 2;

        found = malloc(size);
        if (found != NULL)
            (void)snprintf(
                found, size, "%s%s%s", below, below[0] == '\0' ? "" : "/", name);
    } else {
        while (strncmp(path, "./", 2) == 0)
            for (path += 2; *path == '/';)
                path++;
        found = strdup(path);
    }
    free(real);
    free(parent);
    free(top);
    return found;
}

/* ---- annotations ----------------------------------------------------------------- */

/* A value: of a property, or the message. */
static void
put_value(FILE *f, const char *text, bool property)
{
    struct glyph glyph;

    for (; (glyph = term_glyph(text)).n > 0; text += glyph.n) {
        char c = text[0];

        if (c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ',')))
            (void)fprintf(f, "%%%02X", (unsigned)c);
        else
            term_put_glyph(f, text, glyph);
    }
}

static void
put_line(FILE *f, const char *label, const char *text)
{
    if (is_empty(text))
        return;
    (void)fputs("%0A", f);
    (void)fputs(label, f);
    put_value(f, text, false);
}

static void
put_annotation(FILE *f, const struct annotation *a, const char *file)
{
    (void)fprintf(f, "::%s ", level_words[a->level]);
    if (!is_empty(file)) {
        (void)fputs("file=", f);
        put_value(f, file, true);
        if (a->line > 0)
            (void)fprintf(f, ",line=%llu", (unsigned long long)a->line);
        if (a->line > 0 && a->column > 0)
            (void)fprintf(f, ",col=%llu", (unsigned long long)a->column);
        (void)fputc(',', f);
    }
    (void)fputs("title=rung", f);
    if (!is_empty(a->title)) {
        (void)fputs("%3A ", f);
        put_value(f, a->title, true);
    }
    (void)fputs("::", f);
    put_value(f, is_empty(a->message) ? "" : a->message, false);
    put_line(f, "", a->detail);
    put_line(f, "hint: ", a->hint);
    put_line(f, "", a->outcome);
    (void)fputc('\n', f);
}

/* ---- the summary ----------------------------------------------------------------- */

/* Text in a cell: what Markdown, HTML or mathematics would take for theirs is written
 * as a number. */
static void
put_cell(FILE *f, const char *text)
{
    struct glyph glyph;

    for (; (glyph = term_glyph(text)).n > 0; text += glyph.n) {
        if (text[0] == '\n')
            (void)fputs("<br>", f);
        else if (strchr("&<>|`*_~[]\\#!@$", text[0]) != NULL)
            (void)fprintf(f, "&#%d;", text[0]);
        else
            term_put_glyph(f, text, glyph);
    }
}

/* May a row be written?  Opens the table for the first one. */
static bool
open_row(struct report *r)
{
    struct summary *s = &r->summary;

    if (r->format != FORMAT_GITHUB || cli_environment("GITHUB_STEP_SUMMARY") == NULL)
        return false;
    if (s->f == NULL) {
        s->f = open_memstream(&s->text, &s->n);
        if (s->f == NULL)
            return false;
        (void)fputs("| | file | |\n|---|---|---|\n", s->f);
    }
    if (fflush(s->f) == 0 && s->n < SUMMARY_MOST)
        return true;
    s->left++;
    return false;
}

void
github_row(struct report *r, const char *what, const char *name, const char *text)
{
    FILE *f;

    if (!open_row(r))
        return;
    f = r->summary.f;
    (void)fputs("| ", f);
    put_cell(f, what);
    (void)fputs(" | ", f);
    put_cell(f, name);
    (void)fputs(" | ", f);
    put_cell(f, text);
    (void)fputs(" |\n", f);
}

static void
put_part(FILE *f, const char *label, const char *text)
{
    if (is_empty(text))
        return;
    (void)fputs("<br>", f);
    (void)fputs(label, f);
    put_cell(f, text);
}

static void
put_annotation_row(struct report *r, const struct annotation *a, const char *file)
{
    FILE *f;

    if (!open_row(r))
        return;
    f = r->summary.f;
    (void)fprintf(f, "| **%s** | ", level_words[a->level]);
    put_cell(f, is_empty(file) ? "" : file);
    if (!is_empty(file) && a->line > 0)
        (void)fprintf(f, ":%llu", (unsigned long long)a->line);
    (void)fputs(" | ", f);
    put_cell(f, is_empty(a->message) ? "" : a->message);
    put_part(f, "", a->detail);
    put_part(f, "hint: ", a->hint);
    put_part(f, "", a->outcome);
    (void)fputs(" |\n", f);
}

void
github_annotate(struct report *r, const struct annotation *annotation)
{
    char *file =
        is_empty(annotation->path) ? NULL : path_in_repository(annotation->path);

    put_annotation(r->out, annotation, file);
    report_flush(r);
    put_annotation_row(r, annotation, file);
    free(file);
}

void
github_closing(struct report *r, const char *text)
{
    if (r->format == FORMAT_GITHUB)
        (void)snprintf(r->summary.closing, sizeof r->summary.closing, "%s", text);
}

/* All of it in one write, so that nothing of another step gets between. */
static bool
append(const char *path, const char *text, size_t n)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    bool ok = fd >= 0 && write(fd, text, n) == (ssize_t)n;
    int saved = errno;

    if (fd >= 0 && close(fd) != 0 && ok)
        return false;
    errno = saved;
    return ok;
}

static void
write_summary(struct report *r, const char *path)
{
    struct summary *s = &r->summary;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    bool ok = f != NULL;

    if (ok) {
        (void)fprintf(f, "### rung %s\n\n", r->command == NULL ? "" : r->command);
        if (s->text != NULL)
            (void)fprintf(f, "%s\n", s->text);
        if (s->left > 0)
            (void)fprintf(f, "and %zu more\n\n", s->left);
        if (s->closing[0] != '\0') {
            put_cell(f, s->closing);
            (void)fputs("\n\n", f);
        }
        ok = fclose(f) == 0 && append(path, text, n);
    }
    if (!ok)
        (void)fprintf(r->err,
            "rung: warning: GITHUB_STEP_SUMMARY could not be written: %s\n",
            strerror(errno));
    free(text);
}

void
github_finish(struct report *r)
{
    struct summary *s = &r->summary;
    const char *path = cli_environment("GITHUB_STEP_SUMMARY");

    if (s->f != NULL && fclose(s->f) != 0)
        s->closing[0] = '\0'; /* want of memory: what is there is told */
    s->f = NULL;
    if (path != NULL && (s->text != NULL || s->closing[0] != '\0'))
        write_summary(r, path);
    free(s->text);
    *s = (struct summary){ .f = NULL };
}
