/*
 * alembic.c: what `alembic upgrade --sql` and `alembic downgrade --sql` print, as
 * files.
 *
 * Alembic's migrations are Python; what they do to PostgreSQL is what it prints.  That
 * text is read statement by statement (split.c) and cut at the comments that stand in
 * front of each revision.  Dropped are its own bookkeeping and the outer BEGIN and
 * COMMIT; a COMMIT within a revision begins an autocommit block, and makes its file one
 * without a transaction, in which BEGIN and COMMIT keep the rest together.
 *
 * Invariant: every statement that is printed goes into the file of its revision, or is
 * Alembic's own; any other is a problem.
 *
 * Source: Alembic 1.8, runtime/migration.py (the comments, the version table), and what
 * it prints.
 */
#include "import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UPGRADE "-- Running upgrade "
#define DOWNGRADE "-- Running downgrade "
#define DEPENDS "-- depends on: "

/* ---- revisions ------------------------------------------------------------------- */

struct str
alembic_next(struct str *list)
{
    size_t n = 0;
    struct str word;

    while (list->n > 0 && strchr(", \t\r\n", list->p[0]) != NULL)
        *list = str_from(*list, 1);
    while (n < list->n && strchr(", \t\r\n", list->p[n]) == NULL)
        n++;
    word = str_slice(*list, 0, n);
    *list = str_from(*list, n);
    return word;
}

bool
alembic_read_head(
    struct keep *keep, struct str file, const char **revision, struct str *parents)
{
    struct str line, first = { "", 0 }, more = { "", 0 }, own = { "", 0 };

    for (size_t at = 0; (line = next_line(file, &at)).n > 0 && !has_statement(line);) {
        size_t arrow = str_find(line, STR(" -> "), 0);

        if (own.n == 0 && str_starts(line, STR(UPGRADE)) && arrow != STR_NONE) {
            own = str_from(line, arrow + 4);
            own = alembic_next(&own);
            first = str_slice(line, sizeof UPGRADE - 1,
                arrow < sizeof UPGRADE - 1 ? sizeof UPGRADE - 1 : arrow);
        } else if (more.n == 0 && str_starts(line, STR(DEPENDS))) {
            more = str_from(line, sizeof DEPENDS - 1);
        }
    }
    *revision = keep_text(keep, own);
    *parents = str_of(
        keep_format(keep, "%.*s, %.*s", (int)first.n, first.p, (int)more.n, more.p));
    return own.n > 0;
}

static struct migration *
find_revision(struct conversion *c, struct str revision)
{
    for (size_t i = 0; i < c->n; i++)
        if (str_eq(str_of(c->migrations[i].key), revision))
            return &c->migrations[i];
    return NULL;
}

/* ---- what was printed ------------------------------------------------------------ */

struct printed {
    struct conversion *c;
    const char *path; /* of the text, for messages */
    struct str text;
    bool down;
    char table[NAME_BYTES]; /* Alembic's own */
    struct source src;
    struct reader reader;
    struct text *into;     /* of the revision at hand; NULL: none yet */
    bool in_transaction;   /* BEGIN was printed, and no COMMIT since */
    bool uses_transaction; /* BEGIN was printed at all */
    size_t cursor;         /* what is behind it was not taken yet */
    size_t group;          /* of `into`: where statements within BEGIN began */
    size_t grouped;        /* so many of them */
};

/* Statements in one transaction, in a file without one: put BEGIN and COMMIT around. */
static void
close_group(struct printed *p)
{
    struct text *text = p->into, whole;

    if (text != NULL && p->grouped > 1) {
        text_open(&whole);
        text_add_part(&whole, text, 0, p->group);
        text_add(&whole, STR("BEGIN;\n"), 0);
        text_add_part(&whole, text, p->group, text->bytes.len);
        text_add(&whole, STR("COMMIT;\n"), 0);
        whole.no_transaction = text->no_transaction;
        text_close(text);
        *text = whole;
    }
    p->grouped = 0;
}

/* A revision is over: only now it is known whether it left its transaction. */
static void
close_revision(struct printed *p)
{
    if (p->into != NULL && p->into->no_transaction)
        close_group(p);
    p->grouped = 0;
    p->into = NULL;
}

static uint64_t
line_of(const struct printed *p, size_t offset)
{
    uint64_t line = 1;

    for (size_t i = 0; i < offset; i++)
        line += p->text.p[i] == '\n';
    return line;
}

/* "-- Running upgrade A, B -> C": what follows is C's. */
static bool
take_comment(void *arg, struct str comment, uint64_t offset, struct rung_error *err)
{
    struct printed *p = arg;
    struct str mark = p->down ? STR(DOWNGRADE) : STR(UPGRADE), rest;
    size_t arrow, start = (size_t)offset, end = start;
    struct migration *m;

    (void)err;
    if (p->reader.reading_statement || !str_starts(comment, mark))
        return true;
    arrow = str_find(comment, STR("->"), 0);
    if (arrow == STR_NONE)
        return true;
    rest = p->down ? str_slice(comment, mark.n, arrow) : str_from(comment, arrow + 2);
    rest = alembic_next(&rest);
    close_revision(p);
    m = find_revision(p->c, rest);
    if (m == NULL && p->down) {
        conversion_refuse(p->c, p->path, line_of(p, start),
            "undoes a revision whose upgrade was not printed");
        return true;
    }
    if (m == NULL) {
        m = conversion_add(p->c, keep_text(&p->c->keep, rest), "");
        if (m == NULL)
            return true;
        m->up_path = p->path;
    }
    if (p->down)
        m->down_path = p->path;
    p->into = p->down ? &m->down : &m->up;
    (void)next_line(p->text, &end);
    text_add(p->into, str_slice(p->text, start, end), line_of(p, start));
    p->cursor = end;
    return true;
}

/* The name behind CREATE TABLE, INSERT INTO, ...: its last part, without quotes. */
static struct str
table_of(struct str sql)
{
    static const char *const words[] = { "CREATE", "DROP", "TABLE", "IF", "NOT",
        "EXISTS", "INSERT", "INTO", "UPDATE", "DELETE", "FROM" };
    static const struct lexer lexer = { .more = false, .backslash_quotes = false };
    struct token token = lex_next(&lexer, sql, 0);
    struct str name = { "", 0 };
    bool dot = true;

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (token_is(sql, token, words[i]))
            token = lex_next(&lexer, sql, token.end);
    for (; dot && (token.type == TOKEN_WORD || token.type == TOKEN_NAME);
         token = lex_next(&lexer, sql, token.end)) {
        name = str_slice(sql, token.start, token.end);
        if (token.type == TOKEN_NAME && name.n > 1)
            name = str_slice(name, 1, name.n - 1);
        token = lex_next(&lexer, sql, token.end);
        dot = token.type != TOKEN_END && token_byte(sql, token, '.');
        if (!dot)
            break;
    }
    return name;
}

/* Is the statement Alembic's own?  The first one creates its table, whatever its name.
 */
static bool
is_bookkeeping(struct printed *p, struct str sql)
{
    static const char *const verbs[] = { "CREATE TABLE", "DROP TABLE", "INSERT",
        "UPDATE", "DELETE" };
    char verb[64];
    struct str table;
    bool fits = false;

    sql_verb(verb, sizeof verb, sql);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        fits |= str_starts(str_of(verb), str_of(verbs[i]));
    if (!fits)
        return false;
    table = table_of(sql);
    if (p->into == NULL && !p->down && str_starts(str_of(verb), STR("CREATE TABLE"))
        && str_find(sql, STR("version_num"), 0) != STR_NONE)
        text_format(p->table, sizeof p->table, "%.*s", (int)table.n, table.p);
    return str_eq(table, str_of(p->table));
}

/* The statement, and what stands in front of it since the last one. */
static void
take_statement(struct printed *p, size_t end)
{
    struct str bytes, line;
    uint64_t number;

    while (p->cursor < end && strchr("\r\n", p->text.p[p->cursor]) != NULL)
        p->cursor++;
    number = line_of(p, p->cursor);
    if (p->uses_transaction && !p->in_transaction)
        p->into->no_transaction = true;
    if (!p->in_transaction)
        close_group(p);
    text_add(p->into, STR("\n"), 0);
    if (p->in_transaction && p->grouped++ == 0)
        p->group = p->into->bytes.len;
    bytes = str_slice(p->text, p->cursor, end);
    for (size_t at = 0; (line = next_line(bytes, &at)).n > 0;)
        text_add(p->into, line, number++);
    text_end_line(p->into);
}

static bool
take(struct printed *p, const struct statement *stmt)
{
    size_t end = (size_t)stmt->end;

    while (end < p->text.n && p->text.p[end] != ';')
        end++;
    end += end < p->text.n;
    if (stmt->traits.kind == SQL_BEGIN) {
        p->in_transaction = p->uses_transaction = true;
    } else if (stmt->traits.kind == SQL_COMMIT) {
        /* Whether an autocommit block follows is seen at the next statement. */
        p->in_transaction = false;
    } else if (!is_bookkeeping(p, stmt->text)) {
        if (p->into == NULL)
            return conversion_refuse(
                p->c, p->path, stmt->line, "is a statement of no revision");
        take_statement(p, end);
    }
    p->cursor = end;
    return true;
}

static void
read_printed(struct printed *p)
{
    struct rung_error err;
    struct statement stmt;
    bool found = true;
    bool ok;

    p->src = (struct source){
        .path = p->path, .bytes = p->text.p, .fd = -1, .size = p->text.n
    };
    ok = reader_open(&p->reader, &p->src, READER_WINDOW, NULL, &err);
    p->reader.on_comment = take_comment;
    p->reader.comment_arg = p;
    while (ok && found) {
        ok = sql_next(&p->reader, &stmt, &found, &err);
        if (ok && found)
            (void)take(p, &stmt);
    }
    close_revision(p);
    if (!ok)
        conversion_refuse(p->c, p->path, err.line, "%s", err.message);
    reader_close(&p->reader);
}

/* ---- percent signs -----------------------------------------------------------------
 */

/* Do percent signs stand in pairs only?  *any: there are some. */
static bool
in_pairs(struct str text, bool *any)
{
    for (size_t i = 0, n; i < text.n; i += n + 1) {
        for (n = 0; i + n < text.n && text.p[i + n] == '%';)
            n++;
        if (n % 2 != 0)
            return false;
        *any |= n > 0;
    }
    return true;
}

/*
 * Most drivers want each % of a statement doubled, and take one away again.  What
 * Alembic prints has them doubled, too, unless its env.py says which style of
 * parameters is meant: then format('%I') has become format('%%I').
 */
static void
refuse_pairs(struct conversion *c, const char *path, bool down)
{
    for (size_t i = 0; i < c->n; i++) {
        struct migration *m = &c->migrations[i];
        const struct text *text = down ? &m->down : &m->up;
        size_t at = str_find(text_bytes(text), STR("%%"), 0);
        uint64_t line = 1;

        if (at == STR_NONE)
            continue;
        for (size_t k = 0; k < at; k++)
            line += text->bytes.data[k] == '\n';
        m->refused = !conversion_refuse(c, path, text_line(text, line),
            "each %% was doubled: give context.configure() in env.py"
            " dialect_opts={\"paramstyle\": \"named\"}");
    }
}

/* Without a connection SQLAlchemy doubles the backslashes of values that it writes into
 * a statement (bulk_insert), and not those of SQL that it was given: nobody can tell.
 */
static void
warn_of_backslashes(struct conversion *c, const char *path)
{
    for (size_t i = 0; i < c->n; i++)
        if (str_find(text_bytes(&c->migrations[i].up), STR("\\\\"), 0) != STR_NONE)
            conversion_warn(c, path,
                "%s has two backslashes in a row: Alembic doubles those of values "
                "(bulk_insert); see whether both are meant",
                c->migrations[i].key);
}

/* ---- names ----------------------------------------------------------------------- */

/* "Add a column" as add_a_column. */
static const char *
slug_of(struct keep *keep, struct str message)
{
    char *slug = keep_room(keep, message.n + 1);
    size_t n = 0;

    for (size_t i = 0; slug != NULL && i < message.n; i++) {
        char c = message.p[i];
        bool letter =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c & 0x80) != 0;

        if (c >= 'A' && c <= 'Z')
            slug[n++] = (char)(c | 0x20);
        else if (letter)
            slug[n++] = c;
        else if (n > 0 && slug[n - 1] != '_')
            slug[n++] = '_';
    }
    while (n > 0 && slug[n - 1] == '_')
        slug[--n] = '\0';
    return slug == NULL ? "" : slug;
}

/* The message of a revision, the first time that one is told. */
static void
name_revision(struct conversion *c, struct str revision, struct str message)
{
    struct migration *m = find_revision(c, revision);

    if (m != NULL && m->title[0] == '\0')
        m->title = slug_of(&c->keep, message);
}

/* A revision that may be abbreviated, as depends_on has it; NULL: it is none. */
static const char *
whole_revision(const struct conversion *c, struct str word)
{
    const char *found = NULL;

    for (size_t i = 0; i < c->n; i++) {
        struct str key = str_of(c->migrations[i].key);

        if (str_eq(key, word))
            return key.p;
        if (!str_starts(key, word))
            continue;
        if (found != NULL)
            return NULL;
        found = key.p;
    }
    return found;
}

/* "-- depends on: A" below the first line: rung-import history looks for it. */
static void
add_depends(struct conversion *c, struct str revision, struct str list)
{
    struct migration *m = find_revision(c, revision);
    const char *depends = "";
    struct text whole;
    struct str head;
    size_t end = 0;

    if (m == NULL)
        return;
    for (struct str word; (word = alembic_next(&list)).n > 0;) {
        const char *on = whole_revision(c, word);

        if (on == NULL)
            conversion_warn(c, m->up_path,
                "%s depends on %.*s, which is no revision: not followed", m->key,
                (int)word.n, word.p);
        else
            depends = keep_format(
                &c->keep, "%s%s%s", depends, depends[0] == '\0' ? "" : ", ", on);
    }
    if (depends[0] == '\0')
        return;
    head = next_line(text_bytes(&m->up), &end);
    text_open(&whole);
    text_add_part(&whole, &m->up, 0, head.n);
    text_add(&whole, str_of(keep_format(&c->keep, DEPENDS "%s\n", depends)), 0);
    text_add_part(&whole, &m->up, head.n, m->up.bytes.len);
    text_close(&m->up);
    m->up.bytes = whole.bytes;
    m->up.lines = whole.lines;
}

/* `alembic history`: "A -> B (head), message"; with --verbose a paragraph each. */
static void
read_history(struct conversion *c, struct str text)
{
    struct str line, revision = { "", 0 };

    for (size_t at = 0; (line = next_line(text, &at)).n > 0;) {
        size_t arrow = str_find(line, STR(" -> "), 0);
        struct str rest = str_trim(line);

        if (str_starts(line, STR("Rev: "))) {
            rest = str_from(line, 5);
            revision = alembic_next(&rest);
        } else if (str_starts(line, STR("Also depends on: "))) {
            add_depends(c, revision, str_trim(str_from(line, 17)));
        } else if (str_starts(line, STR("    ")) && rest.n > 0) {
            name_revision(c, revision, rest);
        } else if (arrow != STR_NONE && line.p[0] != ' ') {
            size_t comma = str_find(line, STR(", "), arrow);

            rest = str_from(line, arrow + 4);
            revision = alembic_next(&rest);
            if (comma != STR_NONE)
                name_revision(c, revision, str_trim(str_from(line, comma + 2)));
        }
    }
}

/* ---- running Alembic ------------------------------------------------------------- */

static bool
read_stream(struct conversion *c, FILE *f, struct str *text)
{
    PQExpBufferData bytes;
    char block[8192];
    size_t n;
    bool ok;

    initPQExpBuffer(&bytes);
    rewind(f);
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        appendBinaryPQExpBuffer(&bytes, block, n);
    ok = ferror(f) == 0 && !PQExpBufferDataBroken(bytes);
    if (ok)
        *text =
            (struct str){ keep_text(&c->keep, (struct str){ bytes.data, bytes.len }),
                bytes.len };
    termPQExpBuffer(&bytes);
    return ok && !c->keep.failed;
}

/* The last line that says something. */
static struct str
last_line(struct str text)
{
    size_t start;

    text = str_trim(text);
    start = text.n;
    while (start > 0 && text.p[start - 1] != '\n')
        start--;
    return str_from(text, start);
}

/* Run `alembic ARGUMENT...` in the directory; what it prints is *out. */
static bool
run_alembic(struct conversion *c, const char *directory, const char *const arguments[],
    struct str *out, struct rung_error *err)
{
    FILE *printed = tmpfile(), *said = tmpfile();
    struct str why = { "", 0 };
    char shown[512];
    int status = -1;
    pid_t child = printed == NULL || said == NULL ? -1 : fork();
    bool ok;

    if (child == 0) {
        char *argv[8] = { NULL };

        for (size_t i = 0; i < 7 && arguments[i] != NULL; i++)
            memcpy(&argv[i], &arguments[i], sizeof argv[i]);
        if (chdir(directory) == 0 && dup2(fileno(printed), STDOUT_FILENO) >= 0
            && dup2(fileno(said), STDERR_FILENO) >= 0)
            (void)execvp(argv[0], argv);
        (void)dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    ok = child > 0 && status == 0 && read_stream(c, printed, out);
    if (!ok && said != NULL)
        (void)read_stream(c, said, &why);
    if (printed != NULL)
        (void)fclose(printed);
    if (said != NULL)
        (void)fclose(said);
    if (ok)
        return true;
    err_set(err, RUNG_FAILED, "`%s %s` failed: %s", arguments[0], arguments[1],
        text_escape(shown, sizeof shown, last_line(why)));
    return err_hint(err,
        "Run it where it works, and give rung-import what it prints: the "
        "files of `alembic upgrade base:heads --sql`, `alembic downgrade "
        "heads:base --sql` and `alembic history --verbose`.");
}

static bool
ask_alembic(struct conversion *c, const char *directory, struct str texts[3],
    struct rung_error *err)
{
    static const char *const up[] = { "alembic", "upgrade", "base:heads", "--sql",
        NULL };
    static const char *const down[] = { "alembic", "downgrade", "heads:base", "--sql",
        NULL };
    static const char *const history[] = { "alembic", "history", "--verbose", NULL };
    struct rung_error ignored;

    if (!run_alembic(c, directory, up, &texts[0], err))
        return false;
    if (!run_alembic(c, directory, down, &texts[1], &ignored))
        conversion_warn(c, "alembic", "no down files: %s", ignored.message);
    return run_alembic(c, directory, history, &texts[2], err);
}

/* ---- all of it ------------------------------------------------------------------- */

/* A file: upgrade, downgrade or history, as it reads. */
static bool
take_file(struct conversion *c, const char *path, struct str texts[3],
    const char *names[3], struct rung_error *err)
{
    FILE *f = fopen(path, "r");
    struct str text = { "", 0 };
    char shown[512];
    bool ok = f != NULL && read_stream(c, f, &text);
    int which = str_find(text, STR(DOWNGRADE), 0) != STR_NONE ? 1
                : str_find(text, STR(UPGRADE), 0) != STR_NONE ? 0
                                                              : 2;

    if (!ok)
        err_set(err, RUNG_USAGE, "cannot read \"%s\": %s",
            text_escape(shown, sizeof shown, str_of(path)), strerror(errno));
    else if (texts[which].n > 0)
        ok = err_set(err, RUNG_USAGE, "\"%s\" is the second text of its kind",
            text_escape(shown, sizeof shown, str_of(path)));
    else
        texts[which] = text;
    names[which] = path;
    if (f != NULL)
        (void)fclose(f);
    return ok;
}

bool
alembic_read(
    struct conversion *c, const char *const *sources, size_t n, struct rung_error *err)
{
    const char *names[3] = { "upgrade --sql", "downgrade --sql", "" };
    struct str texts[3] = { { "", 0 }, { "", 0 }, { "", 0 } };
    struct printed p = { .c = c, .table = "alembic_version" };
    struct stat st;
    bool ok = true, percents = false;

    *c = (struct conversion){ .tool = tool_find("alembic"),
        .dir = { .path = n == 0 ? "" : sources[0], .fd = -1 } };
    c->last_problem = &c->problems;
    if (n == 1 && stat(sources[0], &st) == 0 && S_ISDIR(st.st_mode))
        ok = ask_alembic(c, sources[0], texts, err);
    else
        c->dir.path = "."; /* names of files are shown as they were given */
    for (size_t i = 0; ok && c->dir.path != sources[0] && i < n; i++)
        ok = take_file(c, sources[i], texts, names, err);
    if (!ok)
        return false;
    for (int i = 0; i < 2; i++) {
        p.path = names[i];
        p.text = texts[i];
        p.down = i == 1;
        p.in_transaction = p.uses_transaction = false;
        p.cursor = 0;
        read_printed(&p);
    }
    if (in_pairs(texts[0], &percents) && in_pairs(texts[1], &percents) && percents)
        for (int i = 0; i < 2; i++)
            refuse_pairs(c, names[i], i == 1);
    warn_of_backslashes(c, names[0]);
    read_history(c, texts[2]);
    return conversion_finish(c, err);
}
