/*
 * base_revision.c: the migrations as a git revision has them, for `verify --base`.
 *
 * What is reviewed on a branch are changes, and to a file that others may have applied
 * already the only good change is none.  No ledger knows that before the merge; the
 * branch that is merged into does.
 *
 * git is asked for names and bytes only (ls-tree, cat-file, hash-object), without
 * filters, diff drivers, file system monitors, hooks and replacements: a pull request
 * brings files, and may bring a .gitattributes, that nobody has looked at yet.
 *
 * Invariant: nothing is written, and REV is never taken for an option.
 *
 * Source: git-ls-tree(1), git-cat-file(1), git-hash-object(1), git-merge-base(1),
 * gitrevisions(7).
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OID_BYTES 65 /* hex digits of SHA-256, and a NUL */

/* A file of the revision. */
struct base_file {
    const char *name; /* in the output of ls-tree */
    char oid[OID_BYTES];
    int64_t version;
    bool since; /* the revision got it after our branch had left it */
};

/* The files of a commit, sorted by name. */
struct tree {
    char *names; /* what ls-tree printed */
    struct base_file *files;
    size_t n;
};

struct comparison {
    struct report *report;
    const struct rung_list *list;
    const char *base; /* as the user calls it */
    int wake_fd;
    char commit[OID_BYTES];
    struct tree tree;               /* the revision's */
    const struct base_file *newest; /* NULL: the revision has none */
    char **oids;  /* of the list's files as they are now; NULL where there is no file */
    char *hashed; /* where they are */
    size_t *found;
};

static bool
out_of_memory(struct rung_error *err)
{
    cli_fail(err, "out of memory");
    err->code = RUNG_FAILED;
    return false;
}

/* ---- asking git ------------------------------------------------------------------ */

/* Where the caller's git works is not where ours does: a hook sets these. */
static void
forget_caller(void)
{
    static const char *const prefixes[] = { "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX",
        "GIT_PREFIX", "GIT_OBJECT", "GIT_ALTERNATE", "GIT_NAMESPACE", "GIT_EXTERNAL",
        "GIT_TRACE", "GIT_LITERAL", "GIT_GLOB", "GIT_NOGLOB", "GIT_ICASE" };

    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        process_forget_environment(prefixes[i]);
}

/* Run git in the directory with these arguments.  Its status may be any. */
static bool
git(const struct comparison *c, const char *const *arguments, const char *input,
    struct process_output *output, struct rung_error *err)
{
    const char *argv[PROCESS_ARGUMENTS] = { "git", "--no-pager", "--no-optional-locks",
        "--no-replace-objects", "--literal-pathspecs", "-c", "core.fsmonitor=false",
        "-c", "core.hooksPath=/dev/null", "-C", c->list->directory };
    size_t n = 11;

    while (*arguments != NULL && n + 1 < PROCESS_ARGUMENTS)
        argv[n++] = *arguments++;
    argv[n] = NULL;
    if (process_run(argv, input, c->wake_fd, output, err))
        return true;
    if (err->code != RUNG_CANCELLED)
        cli_hint(err, "verify --base needs git.");
    return false;
}

/* git's own reason for a failure, without the word that it begins with; and the command
 * that it has for a repository of somebody else. */
static bool
git_failed(struct process_output *output, struct rung_error *err)
{
    const char *why = output->complaint == NULL ? "" : output->complaint;
    const char *command = strstr(why, "git config --global --add safe.directory ");

    if (command != NULL)
        cli_hint(err, "If its owner is trusted: `%.*s`.", (int)strcspn(command, "\n"),
            command);
    if (strncmp(why, "fatal: ", 7) == 0)
        why += 7;
    (void)snprintf(err->detail, sizeof err->detail, "%s", why);
    err->detail[strcspn(err->detail, "\n")] = '\0';
    process_free(output);
    return false;
}

/* The same, where that must not happen. */
static bool
git_ran(const struct comparison *c, const char *const *arguments, const char *input,
    struct process_output *output, struct rung_error *err)
{
    if (!git(c, arguments, input, output, err))
        return false;
    if (output->status == 0)
        return true;
    cli_fail(err, "git %s failed in %s", arguments[0], c->list->directory);
    err->code = RUNG_FAILED;
    return git_failed(output, err);
}

static bool
copy_oid(char oid[OID_BYTES], const char *text)
{
    size_t n = strspn(text, "0123456789abcdef");

    if (n != 40 && n != 64)
        return false;
    (void)snprintf(oid, OID_BYTES, "%.*s", (int)n, text);
    return true;
}

/* ---- the revision ---------------------------------------------------------------- */

/* Why is there no such commit?  In a clone that has not all of them it may be missing.
 */
static bool
no_such_revision(const struct comparison *c, struct rung_error *err)
{
    static const char *const shallow[] = { "rev-parse", "--is-shallow-repository",
        NULL };
    struct process_output output;
    bool cut;

    if (!git(c, shallow, NULL, &output, err))
        return false;
    if (output.status != 0) {
        cli_fail(
            err, "%s is not in a git repository that can be read", c->list->directory);
        return git_failed(&output, err);
    }
    cut = strncmp(output.out, "true", 4) == 0;
    process_free(&output);
    cli_fail(err, "git has no revision \"%s\"", c->base);
    return cli_hint(err,
        cut ? "This is a shallow clone: `git fetch --unshallow`, or fetch that revision "
              "with `git fetch origin REV`; in GitHub Actions, `fetch-depth: 0`."
            : "A branch of the remote is called origin/NAME; `git fetch` gets it.");
}

static bool
find_commit(struct comparison *c, struct rung_error *err)
{
    char revision[512];
    const char *const parse[] = { "rev-parse", "--quiet", "--verify",
        "--end-of-options", revision, NULL };
    struct process_output output;
    bool known;

    for (const char *at = c->base; *at != '\0'; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f || at - c->base > 400)
            return cli_fail(err, "--base takes a git revision, such as origin/main");
    (void)snprintf(revision, sizeof revision, "%s^{commit}", c->base);
    if (!git(c, parse, NULL, &output, err))
        return false;
    known = output.status == 0 && copy_oid(c->commit, output.out);
    process_free(&output);
    return known || no_such_revision(c, err);
}

static int
compare_files(const void *left, const void *right)
{
    const struct base_file *a = left, *b = right;

    return strcmp(a->name, b->name);
}

/* "100644 blob OID\tNAME": an up file is taken; of a symbolic link only the name. */
static void
take_entry(struct tree *tree, char *entry)
{
    char *tab = strchr(entry, '\t');
    struct base_file *file = &tree->files[tree->n];
    const char *oid;
    bool down;

    if (tab == NULL || !rung_file_name(tab + 1, &file->version, &down) || down)
        return;
    *tab = '\0';
    oid = strrchr(entry, ' ');
    if (strncmp(entry, "100", 3) == 0 && (oid == NULL || !copy_oid(file->oid, oid + 1)))
        return;
    if (strncmp(entry, "100", 3) != 0 && strncmp(entry, "120", 3) != 0)
        return; /* a directory, a submodule */
    file->name = tab + 1;
    tree->n++;
}

static void
tree_free(struct tree *tree)
{
    free(tree->names);
    free(tree->files);
    *tree = (struct tree){ .n = 0 };
}

/* The migrations of a commit.  Free with tree_free, also after a failure. */
static bool
tree_list(const struct comparison *c, const char *commit, struct tree *tree,
    struct rung_error *err)
{
    const char *const arguments[] = { "ls-tree", "-z", commit, NULL };
    struct process_output output;
    size_t entries = 0;

    *tree = (struct tree){ .n = 0 };
    if (!git_ran(c, arguments, NULL, &output, err))
        return false;
    for (size_t i = 0; i < output.n; i++)
        entries += output.out[i] == '\0';
    tree->files = calloc(entries + 1, sizeof *tree->files);
    if (tree->files == NULL) {
        process_free(&output);
        return out_of_memory(err);
    }
    for (char *entry = output.out, *next; entry < output.out + output.n; entry = next) {
        next = entry + strlen(entry) + 1;
        take_entry(tree, entry);
    }
    tree->names = output.out;
    output.out = NULL;
    process_free(&output);
    if (tree->n > 0)
        qsort(tree->files, tree->n, sizeof *tree->files, compare_files);
    return true;
}

/* Its file of that name; NULL: it has none. */
static const struct base_file *
tree_find(const struct tree *tree, const char *name)
{
    struct base_file wanted = { .name = name };

    return tree->n == 0 ? NULL
                        : bsearch(&wanted, tree->files, tree->n, sizeof *tree->files,
                            compare_files);
}

static void
find_newest(struct comparison *c)
{
    for (size_t i = 0; i < c->tree.n; i++)
        if (c->newest == NULL || c->tree.files[i].version > c->newest->version)
            c->newest = &c->tree.files[i];
}

/*
 * Find what the revision has got since HEAD's branch left it: that is not deleted here,
 * it comes with the merge.  Where history does not go back so far (a shallow clone), or
 * there is none, nothing is known to have come since.
 */
static bool
mark_since(struct comparison *c, struct rung_error *err)
{
    const char *const fork[] = { "merge-base", "--end-of-options", "HEAD", c->commit,
        NULL };
    char oid[OID_BYTES];
    struct process_output output;
    struct tree then;
    bool known, ok;

    if (!git(c, fork, NULL, &output, err))
        return false;
    known = output.status == 0 && copy_oid(oid, output.out);
    process_free(&output);
    if (!known || strcmp(oid, c->commit) == 0)
        return true;
    ok = tree_list(c, oid, &then, err);
    for (size_t i = 0; ok && i < c->tree.n; i++)
        c->tree.files[i].since = tree_find(&then, c->tree.files[i].name) == NULL;
    tree_free(&then);
    return ok;
}

/* ---- the files now --------------------------------------------------------------- */

/* Is there a migration's file? */
static bool
is_file(const struct rung_migration *m)
{
    return m->checksum != NULL && m->version != RUNG_NO_VERSION;
}

/* Their paths, a line each, which hash-object reads from the work tree's root on; the
 * caller's to free().  NULL when memory is short, or that is no directory of ours. */
static char *
list_paths(const struct comparison *c)
{
    char *top = realpath(c->list->directory, NULL), *paths = NULL;
    size_t size = 1, at = 0;

    for (size_t i = 0; top != NULL && i < c->list->n; i++)
        if (is_file(&c->list->items[i]))
            size += strlen(top) + strlen(c->list->items[i].filename) + 2;
    if (top != NULL && strchr(top, '\n') == NULL)
        paths = malloc(size);
    if (paths != NULL)
        paths[0] = '\0';
    for (size_t i = 0; paths != NULL && i < c->list->n; i++)
        if (is_file(&c->list->items[i]))
            at += (size_t)snprintf(
                paths + at, size - at, "%s/%s\n", top, c->list->items[i].filename);
    free(top);
    return paths;
}

/* What git would call their bytes, as they are. */
static bool
hash_files(struct comparison *c, struct rung_error *err)
{
    static const char *const hash[] = { "hash-object", "--no-filters", "--stdin-paths",
        NULL };
    struct process_output output;
    char *paths = list_paths(c);
    bool ok;

    c->oids = calloc(c->list->n + 1, sizeof *c->oids);
    if (paths == NULL || c->oids == NULL) {
        free(paths);
        return out_of_memory(err);
    }
    ok = git_ran(c, hash, paths, &output, err);
    free(paths);
    if (!ok)
        return false;
    c->hashed = output.out;
    output.out = NULL;
    process_free(&output);
    for (size_t i = 0, next = 0; i < c->list->n; i++)
        if (is_file(&c->list->items[i])) {
            c->oids[i] = c->hashed + next;
            next += strcspn(c->hashed + next, "\n");
            if (c->hashed[next] == '\n')
                c->hashed[next++] = '\0';
        }
    return true;
}

/* The item of that file; NULL: it is gone. */
static const struct rung_migration *
now_named(const struct comparison *c, const char *name)
{
    for (size_t i = 0; i < c->list->n; i++)
        if (is_file(&c->list->items[i])
            && strcmp(c->list->items[i].filename, name) == 0)
            return &c->list->items[i];
    return NULL;
}

/* ---- telling --------------------------------------------------------------------- */

static void
tell(struct comparison *c, const struct rung_migration *m, const char *name,
    uint64_t line, const char *message, const char *hint)
{
    char path[PATH_BYTES];
    struct finding finding = { .level = LEVEL_ERROR,
        .migration = m,
        .path = path,
        .line = line,
        .message = message,
        .hint = hint };

    report_path_of(path, c->list->directory, name);
    report_finding(c->report, &finding, true);
    ++*c->found;
}

/* ---- edits ----------------------------------------------------------------------- */

/* The file is not what the revision has. */
static bool
look_at_edit(struct comparison *c, const struct rung_migration *m,
    const struct base_file *file, struct rung_error *err)
{
    const char *const cat[] = { "cat-file", "blob", file->oid, NULL };
    struct process_output then;
    char message[700], hint[PATH_BYTES + 700], path[PATH_BYTES];
    char *now;
    uint64_t line = 0;
    bool told = true;

    if (!git_ran(c, cat, NULL, &then, err))
        return false;
    now = diff_read_file(c->list->directory, m->filename);
    if (now != NULL && strlen(then.out) == then.n) {
        line = diff_first_line(then.out, now);
        /* Nothing ran of what held no statement: a draft may be filled. */
        told = line > 0 && !rung_same_sql(then.out, "");
    }
    if (told) {
        (void)snprintf(
            message, sizeof message, "edited: it is not what %s has", c->base);
        report_path_of(path, c->list->directory, m->filename);
        (void)snprintf(hint, sizeof hint,
            "Take the edit back with `git checkout %s -- '%s'`, and put the change into a "
            "new file.",
            c->base, path);
        tell(c, m, m->filename, line, message, hint);
    }
    free(now);
    process_free(&then);
    return true;
}

/* ---- what is gone, and what is new ------------------------------------------------
 */

/* Is there a file with those bytes that the revision does not have? */
static const struct rung_migration *
renamed_to(const struct comparison *c, const struct base_file *file)
{
    for (size_t i = 0; i < c->list->n; i++)
        if (c->oids[i] != NULL && strcmp(c->oids[i], file->oid) == 0
            && tree_find(&c->tree, c->list->items[i].filename) == NULL)
            return &c->list->items[i];
    return NULL;
}

/* Was it here once, under that name, and is no more? */
static bool
is_gone(const struct comparison *c, const struct base_file *file)
{
    return now_named(c, file->name) == NULL
           && (!file->since || renamed_to(c, file) != NULL);
}

static void
tell_gone(struct comparison *c, const struct base_file *file)
{
    const struct rung_migration *m = renamed_to(c, file);
    char message[700], hint[PATH_BYTES + 700], path[PATH_BYTES];

    if (m != NULL) {
        (void)snprintf(
            message, sizeof message, "renamed: %s has it as %s", c->base, file->name);
        (void)snprintf(hint, sizeof hint, "Give it that name back.");
        tell(c, m, m->filename, 0, message, hint);
        return;
    }
    (void)snprintf(message, sizeof message, "deleted: %s has it", c->base);
    report_path_of(path, c->list->directory, file->name);
    (void)snprintf(hint, sizeof hint,
        "Get it back with `git checkout %s -- '%s'`; what it did is undone by a new file.",
        c->base, path);
    tell(c, NULL, file->name, 0, message, hint);
}

/* Is this new file a renamed one, which was told? */
static bool
is_renamed(const struct comparison *c, const struct rung_migration *m)
{
    for (size_t i = 0; i < c->tree.n; i++)
        if (c->tree.files[i].oid[0] != '\0'
            && now_named(c, c->tree.files[i].name) == NULL
            && renamed_to(c, &c->tree.files[i]) == m)
            return true;
    return false;
}

static void
look_at_new(struct comparison *c, const struct rung_migration *m)
{
    char message[700], hint[1200];

    if (c->newest == NULL || m->version > c->newest->version || is_renamed(c, m))
        return;
    (void)snprintf(message, sizeof message, "new, but numbered %s the newest of %s, %s",
        m->version == c->newest->version ? "as" : "below", c->base, c->newest->name);
    (void)snprintf(hint, sizeof hint,
        "Give it, and its down file, a number above %" PRId64
        ": where %s is merged it may be applied already. `rung renumber --base %s` does.",
        c->newest->version, c->base, c->base);
    tell(c, m, m->filename, 0, message, hint);
}

/* ---- the whole ------------------------------------------------------------------- */

/* Was the directory moved, or is it the wrong one?  Or is this its first commit. */
static void
warn_of_nothing(const struct comparison *c)
{
    char message[700];
    struct finding finding = { .level = LEVEL_WARNING,
        .path = c->list->directory,
        .message = message,
        .hint = "If it was moved, compare with the revision that moved it." };

    (void)snprintf(message, sizeof message,
        "%s has no migration in this directory: there is nothing to compare with",
        c->base);
    report_finding(c->report, &finding, false);
}

static bool
compare(struct comparison *c, struct rung_error *err)
{
    find_newest(c);
    if (c->tree.n == 0)
        warn_of_nothing(c);
    for (size_t i = 0; i < c->tree.n; i++)
        if (is_gone(c, &c->tree.files[i]))
            tell_gone(c, &c->tree.files[i]);
    for (size_t i = 0; i < c->list->n; i++) {
        const struct rung_migration *m = &c->list->items[i];
        const struct base_file *file;

        if (c->oids[i] == NULL)
            continue;
        file = tree_find(&c->tree, m->filename);
        if (file == NULL)
            look_at_new(c, m);
        else if (file->oid[0] != '\0' && strcmp(file->oid, c->oids[i]) != 0
                 && !look_at_edit(c, m, file, err))
            return false;
    }
    return true;
}

bool
base_compare(struct report *report, const struct rung_list *list, const char *base,
    int wake_fd, size_t *found, struct rung_error *err)
{
    struct comparison c = {
        .report = report, .list = list, .base = base, .wake_fd = wake_fd, .found = found
    };
    bool ok;

    *found = 0;
    forget_caller();
    ok = find_commit(&c, err) && tree_list(&c, c.commit, &c.tree, err)
         && mark_since(&c, err) && hash_files(&c, err) && compare(&c, err);
    tree_free(&c.tree);
    free(c.oids);
    free(c.hashed);
    return ok;
}

bool
base_list(const char *directory, const char *base, int wake_fd,
    struct base_names *names, struct rung_error *err)
{
    const struct rung_list list = { .directory = directory };
    struct comparison c = { .list = &list, .base = base, .wake_fd = wake_fd };
    bool ok;

    *names = (struct base_names){ .names = NULL };
    forget_caller();
    ok = find_commit(&c, err) && tree_list(&c, c.commit, &c.tree, err);
    if (ok)
        names->names = calloc(c.tree.n + 1, sizeof *names->names);
    if (ok && names->names == NULL)
        ok = out_of_memory(err);
    for (size_t i = 0; ok && i < c.tree.n; i++)
        names->names[i] = c.tree.files[i].name;
    if (ok) {
        names->text = c.tree.names;
        c.tree.names = NULL;
    }
    tree_free(&c.tree);
    return ok;
}

void
base_free(struct base_names *names)
{
    free(names->names);
    free(names->text);
}
