/*
 * marks.c: files that hold both ways, and the comments that part them: dbmate, goose,
 * tern, node-pg-migrate.
 *
 * Invariant: each line goes where the tool would have sent it; the lines that are marks
 * go nowhere, but for node-pg-migrate's, which it sends along.
 *
 * Sources: dbmate pkg/dbmate/migration.go; goose internal/sqlparser/parser.go; tern
 * migrate/migrate.go; node-pg-migrate src/sqlMigration.ts.
 */
#include "import.h"

#include <string.h>

/* Does `s` begin so, whatever the case of its letters? */
static bool
starts_fold(struct str s, struct str start)
{
    return s.n >= start.n && str_eq_fold(str_slice(s, 0, start.n), start);
}

/* ---- sections -------------------------------------------------------------------- */

/* Lines of a file that go one way. */
struct section {
    size_t start, end;   /* bytes of the file */
    uint64_t first_line; /* from 1 */
    bool down, no_transaction;
};

#define SECTIONS_MOST 256

static void
add_section(struct text *text, struct str whole, const struct section *section)
{
    struct str bytes = str_slice(whole, section->start, section->end), line;
    uint64_t number = section->first_line;

    for (size_t at = 0; (line = next_line(bytes, &at)).n > 0;)
        text_add(text, line, number++);
}

/* -- migrate:up and what follows it; else false. */
static bool
is_dbmate(struct str line, const char *word, bool *no_transaction)
{
    struct str rest, option = STR("transaction:false");

    if (!str_starts(line, STR("--")))
        return false;
    rest = str_trim(str_from(line, 2));
    if (!str_starts(rest, str_of(word)))
        return false;
    rest = str_from(rest, strlen(word));
    if (rest.n > 0 && rest.p[0] != ' ' && rest.p[0] != '\t')
        return false;
    *no_transaction = false;
    for (rest = str_trim(rest); rest.n > 0; rest = str_trim(rest)) {
        size_t n = 0;

        while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != '\t')
            n++;
        *no_transaction |= str_eq(str_slice(rest, 0, n), option);
        rest = str_from(rest, n);
    }
    return true;
}

/*
 * Sections of one way, one after another.  dbmate runs each by itself; where one of
 * them does so without a transaction, BEGIN and COMMIT keep the others in theirs.
 */
static void
join_sections(struct text *text, struct str whole, const struct section *sections,
    size_t n, bool down)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        if (sections[i].down == down) {
            count++;
            text->no_transaction |= sections[i].no_transaction;
        }
    for (size_t i = 0; i < n; i++) {
        const struct section *s = &sections[i];
        bool group = count > 1 && text->no_transaction && !s->no_transaction
                     && has_statement(str_slice(whole, s->start, s->end));
        size_t from = text->bytes.len;

        if (s->down != down)
            continue;
        if (group)
            text_add(text, STR("BEGIN;\n"), 0);
        add_section(text, whole, s);
        if (count > 1)
            text_end_statement(text, from);
        if (group)
            text_add(text, STR("COMMIT;\n"), 0);
    }
}

void
convert_dbmate(struct conversion *c, struct migration *m)
{
    struct section sections[SECTIONS_MOST];
    struct str whole = m->original, line;
    size_t n = 0, head = 0; /* bytes above the first marker */
    uint64_t number = 0;

    for (size_t at = 0, start = 0; (line = next_line(whole, &at)).n > 0; start = at) {
        bool no_transaction, up = is_dbmate(line, "migrate:up", &no_transaction);

        number++;
        if (!up && !is_dbmate(line, "migrate:down", &no_transaction))
            continue;
        if (n == 0)
            head = start;
        else
            sections[n - 1].end = start;
        if (n == 0 && !up) {
            conversion_refuse(
                c, m->up_path, number, "has a down section before any up");
            return;
        }
        if (n == SECTIONS_MOST) {
            conversion_refuse(c, m->up_path, number, "has too many sections");
            return;
        }
        if (str_find(line, STR(" env:"), 0) != STR_NONE) {
            conversion_refuse(c, m->up_path, number,
                "puts environment variables into the SQL (env:)");
            return;
        }
        sections[n++] = (struct section){ .start = at,
            .end = whole.n,
            .first_line = number + 1,
            .down = !up,
            .no_transaction = no_transaction };
    }
    if (n == 0)
        conversion_refuse(c, m->up_path, 0, "has no \"-- migrate:up\"");
    else if (has_statement(str_slice(whole, 0, head)))
        conversion_refuse(
            c, m->up_path, 1, "has a statement above the first \"-- migrate:up\"");
    add_section(&m->up, whole, &(struct section){ .end = head, .first_line = 1 });
    join_sections(&m->up, whole, sections, n, false);
    join_sections(&m->down, whole, sections, n, true);
}

/* ---- goose ----------------------------------------------------------------------- */

enum goose {
    GOOSE_NONE,
    GOOSE_UP,
    GOOSE_DOWN,
    GOOSE_BEGIN,
    GOOSE_END,
    GOOSE_NO_TRANSACTION,
    GOOSE_ENVSUB,
    GOOSE_NOTHING,
    GOOSE_UNKNOWN
};

static const struct {
    const char *words;
    enum goose mark;
} goose_marks[] = {
    { "up", GOOSE_UP },
    { "down", GOOSE_DOWN },
    { "statementbegin", GOOSE_BEGIN },
    { "statementend", GOOSE_END },
    { "no transaction", GOOSE_NO_TRANSACTION },
    { "envsub on", GOOSE_ENVSUB },
    { "envsub off", GOOSE_NOTHING },
    { "envsubst on", GOOSE_ENVSUB }, /* its first name */
    { "envsubst off", GOOSE_NOTHING },
};

static enum goose
goose_mark(struct str line)
{
    struct str rest = str_trim(line);

    if (!str_starts(rest, STR("--")))
        return GOOSE_NONE;
    rest = str_trim(str_from(rest, 2));
    if (!str_starts(rest, STR("+goose")))
        return GOOSE_NONE;
    rest = str_trim(str_from(rest, 6));
    for (size_t i = 0; i < sizeof goose_marks / sizeof *goose_marks; i++)
        if (str_eq_fold(rest, str_of(goose_marks[i].words)))
            return goose_marks[i].mark;
    return GOOSE_UNKNOWN;
}

struct goose_file {
    struct conversion *c;
    struct migration *m;
    struct text *into; /* NULL: above "Up" */
    uint64_t number;   /* of the line */
    bool block;        /* between StatementBegin and StatementEnd */
    size_t block_at;   /* where it began in `into` */
};

/* False: the file is refused. */
static bool
goose_take_mark(struct goose_file *f, enum goose mark)
{
    const char *path = f->m->up_path;

    switch (mark) {
    case GOOSE_UP:
    case GOOSE_DOWN:
        if (f->block || (mark == GOOSE_UP) != (f->into == NULL)
            || f->into == &f->m->down)
            return conversion_refuse(f->c, path, f->number,
                "\"+goose %s\" is out of place", mark == GOOSE_UP ? "Up" : "Down");
        f->into = mark == GOOSE_UP ? &f->m->up : &f->m->down;
        return true;
    case GOOSE_BEGIN:
    case GOOSE_END:
        if (f->into == NULL || f->block == (mark == GOOSE_BEGIN))
            return conversion_refuse(f->c, path, f->number,
                "\"+goose Statement%s\" is out of place",
                mark == GOOSE_BEGIN ? "Begin" : "End");
        f->block = mark == GOOSE_BEGIN;
        if (f->block)
            f->block_at = f->into->bytes.len;
        else
            text_end_statement(f->into, f->block_at);
        return true;
    case GOOSE_NO_TRANSACTION:
        f->m->up.no_transaction = f->m->down.no_transaction = true;
        return true;
    case GOOSE_ENVSUB:
        return conversion_refuse(f->c, path, f->number,
            "puts environment variables into the SQL (+goose ENVSUB)");
    case GOOSE_UNKNOWN:
        return conversion_refuse(f->c, path, f->number, "has an unknown +goose mark");
    case GOOSE_NOTHING:
    case GOOSE_NONE:
        break;
    }
    return true;
}

void
convert_goose(struct conversion *c, struct migration *m)
{
    struct goose_file f = { .c = c, .m = m };
    struct str line;

    for (size_t at = 0; (line = next_line(m->original, &at)).n > 0;) {
        enum goose mark = goose_mark(line);

        f.number++;
        if (mark != GOOSE_NONE && !goose_take_mark(&f, mark))
            return;
        if (mark != GOOSE_NONE)
            continue;
        if (f.into == NULL && str_trim(line).n > 0
            && !str_starts(str_trim(line), STR("--"))) {
            conversion_refuse(c, m->up_path, f.number, "is SQL above \"-- +goose Up\"");
            return;
        }
        text_add(f.into == NULL ? &m->up : f.into, line, f.number);
    }
    if (f.into == NULL)
        conversion_refuse(c, m->up_path, 0, "has no \"-- +goose Up\"");
    else if (f.block)
        conversion_refuse(c, m->up_path, 0, "has no \"-- +goose StatementEnd\"");
}

/* ---- tern ------------------------------------------------------------------------ */

void
convert_tern(struct conversion *c, struct migration *m)
{
    static const struct str border = { "---- create above / drop below ----", 35 };
    struct str whole = m->original, line;
    struct text *into = &m->up;
    uint64_t number = 0;

    for (size_t at = 0; (line = next_line(whole, &at)).n > 0;) {
        size_t cut = into == &m->up ? str_find(line, border, 0) : STR_NONE;

        number++;
        if (str_find(line, STR("{{"), 0) != STR_NONE) {
            conversion_refuse(c, m->up_path, number, "is a template ({{ }})");
            return;
        }
        if (cut != STR_NONE) {
            if (str_trim(str_slice(line, 0, cut)).n > 0)
                text_add(into, str_slice(line, 0, cut), number);
            into = &m->down;
            line = str_from(line, cut + border.n);
            if (str_trim(line).n == 0)
                continue;
        }
        into->no_transaction |=
            str_eq(str_trim(line), STR("---- tern: disable-tx ----"));
        text_add(into, line, number);
    }
}

/* ---- node-pg-migrate ------------------------------------------------------------- */

/* "-- Up Migration", also "--up   migration and more". */
static bool
is_node_mark(struct str line, const char *way)
{
    struct str rest = str_trim(line);

    if (!str_starts(rest, STR("--")))
        return false;
    while (rest.n > 0 && strchr("- \t", rest.p[0]) != NULL)
        rest = str_from(rest, 1);
    if (!starts_fold(rest, str_of(way)))
        return false;
    rest = str_from(rest, strlen(way));
    return rest.n > 0 && strchr(" \t", rest.p[0]) != NULL
           && starts_fold(str_trim(rest), STR("migration"));
}

/* Its first Up and Down marks count, in either order; what is above both is not run. */
void
convert_node(struct conversion *c, struct migration *m)
{
    struct str whole = m->original, line;
    struct section up = { .start = SIZE_MAX }, down = { .start = SIZE_MAX };
    size_t first;
    uint64_t number = 0;

    for (size_t at = 0, start = 0; (line = next_line(whole, &at)).n > 0; start = at) {
        number++;
        if (up.start == SIZE_MAX && is_node_mark(line, "up"))
            up = (struct section){ .start = start, .first_line = number };
        if (down.start == SIZE_MAX && is_node_mark(line, "down"))
            down = (struct section){ .start = start, .first_line = number };
    }
    if (up.start == SIZE_MAX && down.start != SIZE_MAX) {
        conversion_refuse(c, m->up_path, down.first_line,
            "has a down part, and no \"-- Up Migration\" in front of it");
        return;
    }
    if (up.start == SIZE_MAX)
        up = (struct section){ .start = 0, .first_line = 1 };
    up.end = down.start < up.start || down.start == SIZE_MAX ? whole.n : down.start;
    down.end = up.start < down.start ? whole.n : up.start;
    first = up.start < down.start ? up.start : down.start;
    if (!has_statement(str_slice(whole, 0, first)))
        add_section(&m->up, whole, &(struct section){ .end = first, .first_line = 1 });
    add_section(&m->up, whole, &up);
    if (down.start != SIZE_MAX)
        add_section(&m->down, whole, &down);
}
