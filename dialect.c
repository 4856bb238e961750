/*
 * dialect.c: how each tool names its migrations, and what its markers in them say.
 *
 * One row of the table at the end for each tool; what they share is convert.c's.
 * Knows files, not tables (adopt.c).
 *
 * Invariant: what a tool would have replaced before it ran the SQL (placeholders,
 * templates, the environment) is refused; what it would not have run is left out.
 *
 * Sources: the tools' own readers: dbmate pkg/dbmate/migration.go; goose
 * internal/sqlparser; golang-migrate source/parse.go; sqlx-core migrate/source.rs; tern
 * migrate/migrate.go; node-pg-migrate sqlMigration.ts; postgres-migrations
 * file-name-parser; refinery_core util.rs; graphile-migrate migration.ts; diesel
 * migrations_internals; yoyo migrations.py; the manuals of Flyway and Sqitch.
 */
#include "import.h"

#include <stdlib.h>
#include <string.h>

/* ---- names ----------------------------------------------------------------------- */

static struct str
base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return str_of(slash == NULL ? path : slash + 1);
}

/* Take an ending off. */
static bool
strip(struct str *s, const char *end)
{
    struct str tail = str_of(end);

    if (!str_ends(*s, tail))
        return false;
    s->n -= tail.n;
    return true;
}

/* The same for .sql, also in capital letters. */
static bool
strip_sql(struct str *s)
{
    bool sql = s->n >= 4 && str_eq_fold(str_from(*s, s->n - 4), STR(".sql"));

    s->n -= sql ? 4 : 0;
    return sql;
}

/* How a tool names its files: a number, and then? */
struct naming {
    const char *separators; /* one of these characters */
    bool may_lack;          /* or nothing */
    bool pairs;             /* NNN_name.up.sql, NNN_name.down.sql */
    bool any_case;          /* .SQL is .sql */
    const char *code[6];    /* endings of migrations that are no SQL */
};

/* What the tool passes over; it is worth a word where it is SQL. */
static enum role
not_its_name(struct conversion *c, const char *path)
{
    if (convert_is_sql(path))
        conversion_warn(
            c, path, "is not named as %s names its files: left out", c->tool->name);
    return ROLE_NONE;
}

static enum role
refuse_code(struct conversion *c, const char *path)
{
    conversion_refuse(c, path, 0, "is not SQL, and rung runs nothing else");
    return ROLE_REFUSED;
}

static enum role
numbered(struct conversion *c, const char *path, const struct naming *naming,
    const char **key, const char **title)
{
    struct str stem = base_name(path);
    size_t digits = str_digits(stem), at = digits;
    enum role role = ROLE_UP;

    if (digits > 0)
        for (size_t i = 0; i < 6 && naming->code[i] != NULL; i++)
            if (str_ends(stem, str_of(naming->code[i])))
                return refuse_code(c, path);
    if (naming->any_case ? !strip_sql(&stem) : !strip(&stem, ".sql"))
        return not_its_name(c, path);
    if (naming->pairs && strip(&stem, ".down"))
        role = ROLE_DOWN;
    else if (naming->pairs)
        (void)strip(&stem, ".up");
    if (at < stem.n && strchr(naming->separators, stem.p[at]) != NULL)
        at++;
    else if (!naming->may_lack)
        return not_its_name(c, path);
    if (digits == 0)
        return not_its_name(c, path);
    *key = keep_text(&c->keep, str_slice(stem, 0, digits));
    *title = keep_text(&c->keep, str_from(stem, at));
    return role;
}

/* ---- goose ----------------------------------------------------------------------- */

static enum role
role_goose(struct conversion *c, const char *path, const char **key, const char **title)
{
    static const struct naming naming = { .separators = "_", .code = { ".go" } };

    if (str_ends(str_of(path), STR("_test.go")))
        return ROLE_NONE;
    return numbered(c, path, &naming, key, title);
}

/* ---- tern, node-pg-migrate --------------------------------------------------------
 */

static enum role
role_tern(struct conversion *c, const char *path, const char **key, const char **title)
{
    static const struct naming naming = { .separators = "_" };

    return numbered(c, path, &naming, key, title);
}

static enum role
role_node(struct conversion *c, const char *path, const char **key, const char **title)
{
    static const struct naming naming = { .separators = "_-",
        .may_lack = true,
        .pairs = true,
        .any_case = true,
        .code = { ".js", ".ts", ".mjs", ".cjs", ".mts", ".cts" } };

    return numbered(c, path, &naming, key, title);
}

/* ---- dbmate, golang-migrate, sqlx, postgres-migrations --------------------------- */

static enum role
role_dbmate(
    struct conversion *c, const char *path, const char **key, const char **title)
{
    static const struct naming naming = { .separators = "_-. ", .may_lack = true };

    return numbered(c, path, &naming, key, title);
}

/* NNN_name.up.sql, NNN_name.down.sql; whatever ending it has is run, the last .up. or
 * .down. counts. */
static enum role
role_golang_migrate(
    struct conversion *c, const char *path, const char **key, const char **title)
{
    struct str name = base_name(path);
    size_t digits = str_digits(name), at = name.n;
    bool up = false, down = false;

    if (digits == 0 || digits == name.n || name.p[digits] != '_')
        return not_its_name(c, path);
    while (!up && !down && at-- > digits) {
        up = str_starts(str_from(name, at), STR(".up."));
        down = str_starts(str_from(name, at), STR(".down."));
    }
    if (!up && !down)
        return not_its_name(c, path);
    *key = keep_text(&c->keep, str_slice(name, 0, digits));
    *title = keep_text(&c->keep, str_slice(name, digits + 1, at));
    return up ? ROLE_UP : ROLE_DOWN;
}

static enum role
role_sqlx(struct conversion *c, const char *path, const char **key, const char **title)
{
    static const struct naming naming = { .separators = "_", .pairs = true };

    return numbered(c, path, &naming, key, title);
}

static void
look_sqlx(struct conversion *c, const char *path, struct str bytes, struct text *text)
{
    (void)c;
    (void)path;
    text->no_transaction = str_starts(bytes, STR("-- no-transaction"));
}

static enum role
role_postgres_migrations(
    struct conversion *c, const char *path, const char **key, const char **title)
{
    static const struct naming naming = {
        .separators = "-_", .may_lack = true, .any_case = true, .code = { ".js" }
    };

    return numbered(c, path, &naming, key, title);
}

static void
look_postgres_migrations(
    struct conversion *c, const char *path, struct str bytes, struct text *text)
{
    (void)c;
    (void)path;
    text->no_transaction =
        str_find(bytes, STR("-- postgres-migrations disable-transaction"), 0)
        != STR_NONE;
}

/* ---- Flyway, refinery ------------------------------------------------------------ */

/* V1__name, V1.2__name: its letter, what stands up to "__", and the rest.  `bare`: a
 * version alone will do. */
static bool
take_lettered(
    struct str stem, bool bare, char *letter, struct str *version, struct str *title)
{
    size_t gap = str_find(stem, STR("__"), 1);

    if (stem.n == 0 || (gap == STR_NONE && !bare))
        return false;
    *letter = stem.p[0];
    *version = str_slice(stem, 1, gap == STR_NONE ? stem.n : gap);
    *title = gap == STR_NONE ? STR("") : str_from(stem, gap + 2);
    for (size_t i = 0; i < version->n; i++) {
        bool digit = is_digit(version->p[i]);
        bool border = i == 0 || i + 1 == version->n;

        if (!digit && (border || strchr("._", version->p[i]) == NULL))
            return false;
    }
    return true;
}

static enum role
role_flyway(
    struct conversion *c, const char *path, const char **key, const char **title)
{
    struct str stem = base_name(path), version, name;
    char letter = '\0', *dot;
    bool sql = strip(&stem, ".sql");
    bool code = !sql
                && (strip(&stem, ".java") || strip(&stem, ".kt")
                    || strip(&stem, ".class") || strip(&stem, ".groovy"));

    if (!sql && !code)
        return not_its_name(c, path);
    if (!take_lettered(stem, true, &letter, &version, &name)
        || strchr("VURB", letter) == NULL || (letter == 'R') != (version.n == 0)) {
        if (code)
            return ROLE_NONE;
        if (str_starts(stem, STR("before")) || str_starts(stem, STR("after"))) {
            conversion_refuse(c, path, 0, "is a callback of Flyway's");
            return ROLE_REFUSED;
        }
        return not_its_name(c, path);
    }
    if (code)
        return refuse_code(c, path);
    if (letter == 'R' || letter == 'B') {
        conversion_refuse(c, path, 0, "%s",
            letter == 'R'
                ? "is repeatable: rung has no such files, make it a numbered one"
                : "is a baseline (B): make it the first numbered file, if it is");
        return ROLE_REFUSED;
    }
    *title = keep_text(&c->keep, name);
    *key = dot = (char *)keep_room(&c->keep, version.n + 1);
    if (dot == NULL)
        return ROLE_NONE;
    memcpy(dot, version.p, version.n);
    for (; *dot != '\0'; dot++)
        if (*dot == '_')
            *dot = '.';
    return letter == 'U' ? ROLE_DOWN : ROLE_UP;
}

/* The last `key = value` among the lines of a configuration file; empty: there is none.
 * A remark may follow the value. */
static struct str
setting(struct conversion *c, const char *path, const char *key)
{
    struct str text, line, value = { "", 0 };

    if (!conversion_has(c, path) || !conversion_load(c, path, &text))
        return value;
    for (size_t at = 0; (line = next_line(text, &at)).n > 0;) {
        size_t equals = str_find(line, STR("="), 0), remark;

        if (equals == STR_NONE
            || !str_eq(str_trim(str_slice(line, 0, equals)), str_of(key)))
            continue;
        value = str_from(line, equals + 1);
        remark = str_find(value, STR("#"), 0);
        value = str_trim(str_slice(value, 0, remark == STR_NONE ? value.n : remark));
    }
    return value;
}

static bool
has_setting(struct conversion *c, const char *path, const char *key, const char *value)
{
    return str_eq_fold(setting(c, path, key), str_of(value));
}

static void
look_flyway(struct conversion *c, const char *path, struct str bytes, struct text *text)
{
    const char *conf = keep_format(&c->keep, "%s.conf", path);
    struct str line;
    uint64_t number = 0;

    text->no_transaction = has_setting(c, conf, "executeInTransaction", "false");
    if (has_setting(c, conf, "placeholderReplacement", "false"))
        return;
    for (size_t at = 0; (line = next_line(bytes, &at)).n > 0;) {
        size_t open = str_find(line, STR("${"), 0);

        number++;
        if (open == STR_NONE || str_find(line, STR("}"), open) == STR_NONE)
            continue;
        conversion_refuse(c, path, number, "has a placeholder (${ })");
        return;
    }
}

static enum role
role_refinery(
    struct conversion *c, const char *path, const char **key, const char **title)
{
    struct str stem = base_name(path), version, name;
    char letter;
    bool sql = strip(&stem, ".sql");

    if (!sql && !strip(&stem, ".rs"))
        return not_its_name(c, path);
    if (!take_lettered(stem, false, &letter, &version, &name) || version.n == 0
        || (letter != 'V' && letter != 'U'))
        return not_its_name(c, path);
    if (!sql)
        return refuse_code(c, path);
    *key = keep_text(&c->keep, version);
    *title = keep_text(&c->keep, name);
    return ROLE_UP; /* U: unversioned, which may come late; not an undo */
}

/* A comment that holds nothing but "refinery:noTransaction". */
static void
look_refinery(
    struct conversion *c, const char *path, struct str bytes, struct text *text)
{
    struct str line;

    (void)c;
    (void)path;
    for (size_t at = 0; (line = next_line(bytes, &at)).n > 0;) {
        if (!str_starts(line, STR("--")))
            continue;
        while (line.n > 0 && line.p[0] == '-')
            line = str_from(line, 1);
        text->no_transaction |= str_eq(str_trim(line), STR("refinery:noTransaction"));
    }
}

/* ---- graphile-migrate ------------------------------------------------------------ */

static enum role
role_graphile(
    struct conversion *c, const char *path, const char **key, const char **title)
{
    static const struct naming naming = { .separators = "-", .may_lack = true };
    bool committed = str_starts(str_of(path), STR("committed/"));

    if (committed ? strchr(path + 10, '/') != NULL : strchr(path, '/') != NULL)
        return ROLE_NONE;
    if (!committed && strcmp(path, "current.sql") == 0) {
        conversion_warn(c, path, "is not committed: left out");
        return ROLE_NONE;
    }
    return numbered(c, path, &naming, key, title);
}

/* :NAME, where no letter, digit or colon stands in front. */
static bool
has_placeholder(struct str line)
{
    for (size_t at = 0; (at = str_find(line, STR(":"), at)) != STR_NONE; at++) {
        char before = at == 0 ? ' ' : line.p[at - 1];
        char after = at + 1 < line.n ? line.p[at + 1] : ' ';
        char next = at + 2 < line.n ? line.p[at + 2] : ' ';

        if (after >= 'A' && after <= 'Z'
            && ((next >= 'A' && next <= 'Z') || next == '_' || is_digit(next))
            && before != ':' && !is_digit(before)
            && !((before | 0x20) >= 'a' && (before | 0x20) <= 'z'))
            return true;
    }
    return false;
}

static void
look_graphile(
    struct conversion *c, const char *path, struct str bytes, struct text *text)
{
    struct str line;
    uint64_t number = 0;
    bool head = true; /* "--! Key: value" and the blank line behind them */

    for (size_t at = 0; (line = next_line(bytes, &at)).n > 0;) {
        struct str rest = str_trim(str_from(line, 3));
        bool mark = str_starts(line, STR("--!"));

        number++;
        if (mark && str_starts(rest, STR("include ")))
            conversion_refuse(c, path, number, "includes another file (--!include)");
        else if (has_placeholder(line) && !(head && mark))
            conversion_refuse(c, path, number, "has a placeholder (:NAME)");
        if (head && mark && str_starts(rest, STR("no-transaction")))
            text->no_transaction = true;
        head = head && (mark || str_trim(line).n == 0);
    }
}

/* ---- diesel ---------------------------------------------------------------------- */

/* A directory is one: VERSION_name/up.sql, and perhaps down.sql. */
static void
add_diesel(struct conversion *c, const char *up_path)
{
    struct str name = str_of(up_path), key;
    size_t gap, n = 0;
    struct migration *m;
    char *version;

    (void)strip(&name, "/up.sql");
    gap = str_find(name, STR("_"), 0);
    key = str_slice(name, 0, gap == STR_NONE ? name.n : gap);
    version = keep_room(&c->keep, key.n + 1);
    for (size_t i = 0; version != NULL && i < key.n; i++)
        if (key.p[i] != '-')
            version[n++] = key.p[i];
    m = version == NULL ? NULL
                        : conversion_add(c, version,
                            keep_text(&c->keep,
                                gap == STR_NONE ? STR("") : str_from(name, gap + 1)));
    if (m == NULL)
        return;
    m->up_path = up_path;
    m->down_path = keep_format(&c->keep, "%.*s/down.sql", (int)name.n, name.p);
    if (!conversion_has(c, m->down_path))
        m->down_path = NULL;
}

/* By their versions as texts, without dashes. */
static int
compare_diesel(const void *left, const void *right)
{
    const struct migration *a = left, *b = right;

    return strcmp(a->key, b->key);
}

/* In that order, and each version once. */
static void
drop_twins(struct conversion *c)
{
    size_t n = 0;

    if (c->n > 0)
        qsort(c->migrations, c->n, sizeof *c->migrations, compare_diesel);
    for (size_t i = 0; i < c->n; i++) {
        struct migration *m = &c->migrations[i];

        if (n == 0 || compare_diesel(&c->migrations[n - 1], m) != 0) {
            c->migrations[n++] = *m;
            continue;
        }
        conversion_refuse(
            c, m->up_path, 0, "has the version of %s", c->migrations[n - 1].up_path);
        text_close(&m->up);
        text_close(&m->down);
    }
    c->n = n;
}

static void
list_diesel(struct conversion *c)
{
    for (size_t i = 0; i < c->n_paths; i++) {
        const char *slash = strchr(c->paths[i], '/');
        bool down = slash != NULL && strcmp(slash, "/down.sql") == 0;

        if (slash != NULL && strcmp(slash, "/up.sql") == 0)
            add_diesel(c, c->paths[i]);
        else if (!down)
            (void)not_its_name(c, c->paths[i]);
        else if (!conversion_has(c, keep_format(&c->keep, "%.*s/up.sql",
                                        (int)(slash - c->paths[i]), c->paths[i])))
            conversion_refuse(
                c, c->paths[i], 0, "is a down file, and there is no up file");
    }
    drop_twins(c);
}

static void
look_diesel(struct conversion *c, const char *path, struct str bytes, struct text *text)
{
    const char *slash = strrchr(path, '/');

    (void)bytes;
    text->no_transaction = has_setting(c,
        keep_format(&c->keep, "%.*s/metadata.toml", (int)(slash - path), path),
        "run_in_transaction", "false");
}

/* ---- yoyo ------------------------------------------------------------------------ */

/* The value of "-- key: value" above the first statement; empty: there is none. */
static struct str
head_value(struct str text, const char *key)
{
    struct str line;

    for (size_t at = 0; (line = str_trim(next_line(text, &at))).n > 0 || at < text.n;) {
        if (line.n == 0)
            continue;
        if (!str_starts(line, STR("--")))
            break;
        line = str_trim(str_from(line, 2));
        if (!str_starts(line, str_of(key)))
            continue;
        line = str_trim(str_from(line, strlen(key)));
        if (line.n > 0 && line.p[0] == ':')
            return str_trim(str_from(line, 1));
    }
    return STR("");
}

static struct str
next_word(struct str *text)
{
    size_t n = 0;
    struct str word;

    *text = str_trim(*text);
    while (n < text->n && strchr(" \t", text->p[n]) == NULL)
        n++;
    word = str_slice(*text, 0, n);
    *text = str_from(*text, n);
    return word;
}

/* Is everything it depends on in the list? */
static bool
is_ready(struct conversion *c, struct str depends)
{
    for (struct str word; (word = next_word(&depends)).n > 0;) {
        bool found = false;

        for (size_t i = 0; i < c->n; i++)
            found |= str_eq(str_of(c->migrations[i].key), word);
        if (!found)
            return false;
    }
    return true;
}

/* By name, but behind what they depend on. */
static void
list_yoyo(struct conversion *c)
{
    bool *done = keep_room(&c->keep, c->n_paths + 1), again = done != NULL;

    while (again) {
        again = false;
        for (size_t i = 0; !again && i < c->n_paths; i++) {
            struct str id = str_of(c->paths[i]), text;
            struct migration *m;

            if (done[i])
                continue;
            done[i] = true;
            if (strip(&id, ".py") && strchr(c->paths[i], '/') == NULL)
                refuse_code(c, c->paths[i]);
            if (!strip(&id, ".sql") || str_ends(id, STR(".rollback"))
                || strchr(c->paths[i], '/') != NULL)
                continue;
            if (str_starts(id, STR("post-apply"))) {
                conversion_refuse(c, c->paths[i], 0, "is run after every apply");
                continue;
            }
            if (!conversion_load(c, c->paths[i], &text))
                continue;
            if (!is_ready(c, head_value(text, "depends"))) {
                done[i] = false;
                continue;
            }
            m = conversion_add(c, keep_text(&c->keep, id), "");
            if (m == NULL)
                return;
            m->up_path = c->paths[i];
            m->down_path = keep_format(&c->keep, "%s.rollback.sql", m->key);
            if (!conversion_has(c, m->down_path))
                m->down_path = NULL;
            again = true;
        }
    }
    for (size_t i = 0; done != NULL && i < c->n_paths; i++)
        if (!done[i])
            conversion_refuse(
                c, c->paths[i], 0, "depends on a migration that is not here");
}

static void
look_yoyo(struct conversion *c, const char *path, struct str bytes, struct text *text)
{
    (void)c;
    (void)path;
    text->no_transaction =
        str_eq_fold(head_value(bytes, "transactional"), STR("false"));
}

/* ---- Sqitch ---------------------------------------------------------------------- */

/* What is run by psql: its variables are replaced there, and nowhere else. */
static void
look_psql(struct conversion *c, const char *path, struct str bytes, struct text *text)
{
    uint64_t line = find_variable(bytes);

    (void)text;
    if (line > 0)
        conversion_refuse(c, path, line, "has a variable of psql's (:name)");
}

/* A change: it stands in deploy/NAME.sql below `top`; once it was reworked, in
 * deploy/NAME@TAG.sql, TAG being the next one behind it in the plan. */
static void
sqitch_change(struct conversion *c, const char *top, struct str name, struct str rest)
{
    struct str later = rest, line, tag = { "", 0 };
    bool reworked = false;
    const char *file;
    struct migration *m;

    for (size_t at = 0; !reworked && (line = next_line(later, &at)).n > 0;) {
        struct str word = next_word(&line);

        if (tag.n == 0 && str_starts(word, STR("@")))
            tag = str_trim(word);
        reworked = str_eq(str_trim(word), name);
    }
    file = keep_format(&c->keep, "%.*s%.*s.sql", (int)name.n, name.p,
        reworked ? (int)tag.n : 0, tag.p);
    m = conversion_add(c, keep_text(&c->keep, name), "");
    if (m == NULL)
        return;
    m->up_path = keep_format(&c->keep, "%sdeploy/%s", top, file);
    m->down_path = keep_format(&c->keep, "%srevert/%s", top, file);
    if (!conversion_has(c, m->down_path))
        m->down_path = NULL;
}

static void
list_sqitch(struct conversion *c)
{
    struct str top_dir = setting(c, "sqitch.conf", "top_dir"), plan, line;
    uint64_t number = 0;
    const char *top, *path;

    while (str_starts(top_dir, STR("./")))
        top_dir = str_from(top_dir, 2);
    if (str_eq(top_dir, STR(".")))
        top_dir = STR("");
    top = keep_format(&c->keep, "%.*s%s", (int)top_dir.n, top_dir.p,
        top_dir.n == 0 || top_dir.p[top_dir.n - 1] == '/' ? "" : "/");
    path = keep_format(&c->keep, "%ssqitch.plan", top);
    if (!conversion_load(c, path, &plan))
        return;
    for (size_t at = 0; (line = next_line(plan, &at)).n > 0;) {
        struct str rest = str_trim(line), name;

        number++;
        if (rest.n == 0 || strchr("%#@", rest.p[0]) != NULL)
            continue;
        if (rest.p[0] == '-') {
            conversion_refuse(c, path, number, "takes a change back");
            continue;
        }
        if (rest.p[0] == '+')
            rest = str_from(rest, 1);
        name = next_word(&rest);
        sqitch_change(c, top, name, str_from(plan, at));
    }
}

/* ---- plain numbered files -------------------------------------------------------- */

/* What says in a name, in front of .sql, which way a file goes. */
static const struct {
    const char *end;
    bool down;
} ways[] = {
    { ".up", false },
    { "_up", false },
    { "-up", false },
    { ".do", false },
    { ".down", true },
    { "_down", true },
    { "-down", true },
    { ".undo", true },
    { "_undo", true },
    { "-undo", true },
    { ".rollback", true },
    { "_rollback", true },
    { "-rollback", true },
    { ".revert", true },
    { "_revert", true },
    { "-revert", true },
};

/* 2020-01-31: digits that are a date, with what separates them.  0: it is none. */
static size_t
date_length(struct str s)
{
    bool date = s.n >= 10 && str_digits(s) == 4 && str_digits(str_from(s, 5)) == 2
                && str_digits(str_from(s, 8)) >= 2 && s.p[4] == s.p[7]
                && strchr("-_.", s.p[4]) != NULL;

    return date ? 8 + str_digits(str_from(s, 8)) : 0;
}

/* 1-name, 001.name, v1_name, V1.2.3 name, 2020-01-31-name, 001. */
static enum role
role_plain(struct conversion *c, const char *path, const char **key, const char **title)
{
    struct str stem = str_of(path);
    size_t at = 0, n = 0;
    enum role role = ROLE_UP;
    char *version;

    if (!strip_sql(&stem))
        return ROLE_NONE;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strip(&stem, ways[i].end)) {
            role = ways[i].down ? ROLE_DOWN : ROLE_UP;
            break;
        }
    if (stem.n > 0 && (stem.p[0] | 0x20) == 'v')
        stem = str_from(stem, 1);
    at = date_length(stem);
    while (at < stem.n
           && (is_digit(stem.p[at])
               || (stem.p[at] == '.' && at > 0 && at + 1 < stem.n
                   && is_digit(stem.p[at + 1]) && is_digit(stem.p[at - 1]))))
        at++;
    if (at == 0)
        return not_its_name(c, path);
    version = keep_room(&c->keep, at + 1);
    for (size_t i = 0; version != NULL && i < at; i++)
        if (is_digit(stem.p[i]) || (stem.p[i] == '.' && date_length(stem) == 0))
            version[n++] = stem.p[i];
    *key = version;
    while (at < stem.n && strchr("_-. ", stem.p[at]) != NULL)
        at++;
    *title = keep_text(&c->keep, str_from(stem, at));
    return version == NULL ? ROLE_NONE : role;
}

/* ---- the table ------------------------------------------------------------------- */

static const struct tool tools[] = {
    { .word = "alembic", .name = "Alembic", .read = alembic_read },
    { .word = "dbmate",
        .name = "dbmate",
        .order = BY_NAME,
        .role = role_dbmate,
        .convert = convert_dbmate },
    { .word = "diesel", .name = "diesel", .list = list_diesel, .look = look_diesel },
    { .word = "flyway",
        .name = "Flyway",
        .deep = true,
        .role = role_flyway,
        .look = look_flyway },
    { .word = "golang-migrate",
        .name = "golang-migrate",
        .bare = true,
        .role = role_golang_migrate },
    { .word = "goose", .name = "goose", .role = role_goose, .convert = convert_goose },
    { .word = "graphile-migrate",
        .name = "graphile-migrate",
        .deep = true,
        .role = role_graphile,
        .look = look_graphile },
    { .word = "node-pg-migrate",
        .name = "node-pg-migrate",
        .shared_versions = true,
        .role = role_node,
        .convert = convert_node },
    { .word = "plain",
        .name = "a plain runner",
        .shared_versions = true,
        .role = role_plain,
        .look = look_psql },
    { .word = "postgres-migrations",
        .name = "postgres-migrations",
        .role = role_postgres_migrations,
        .look = look_postgres_migrations },
    { .word = "refinery",
        .name = "refinery",
        .deep = true,
        .role = role_refinery,
        .look = look_refinery },
    { .word = "sqitch",
        .name = "Sqitch",
        .bare = true,
        .list = list_sqitch,
        .look = look_psql },
    { .word = "sqlx", .name = "sqlx", .role = role_sqlx, .look = look_sqlx },
    { .word = "tern", .name = "tern", .role = role_tern, .convert = convert_tern },
    { .word = "yoyo", .name = "yoyo", .list = list_yoyo, .look = look_yoyo },
};

const struct tool *
tool_at(size_t i)
{
    return i < sizeof tools / sizeof *tools ? &tools[i] : NULL;
}

const struct tool *
tool_find(const char *word)
{
    for (size_t i = 0; tool_at(i) != NULL; i++)
        if (strcmp(tools[i].word, word) == 0)
            return &tools[i];
    return NULL;
}
