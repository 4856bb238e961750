/*
 * test_split.c: a file's statements, over windows of every size.
 *
 * The cases are files, tests/cases/split/NAME.sql and what is wanted of it, NAME.want:
 * tests/cases/README.md says how to write one.  Each is read from memory and from a
 * descriptor, through windows down to 16 bytes, which must make no difference, and what
 * was hashed on the way must be the file.
 */
#include "cases.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define CASES "tests/cases/split/"

static const size_t windows[] = { 16, 17, 64, 4096, READER_WINDOW };

/* The words of the .want files. */
static const char *
kind_word(enum sql_kind kind)
{
    switch (kind) {
    case SQL_ORDINARY:
        return "ordinary";
    case SQL_BEGIN:
        return "begin";
    case SQL_COMMIT:
        return "commit";
    case SQL_COMMIT_CHAIN:
        return "commit-chain";
    case SQL_ROLLBACK:
        return "rollback";
    case SQL_SAVEPOINT:
        return "savepoint";
    case SQL_PREPARE_TRANSACTION:
        return "prepare-transaction";
    case SQL_SET_TRANSACTION:
        return "set-transaction";
    case SQL_SET:
        return "set";
    case SQL_COPY_IN:
        return "copy-in";
    case SQL_CALL:
        return "call";
    case SQL_ALONE:
        return "alone";
    }
    return "?";
}

/* Up to 100 bytes are shown whole, of more the first 60 and the last 20. */
static void
append_shown(PQExpBuffer out, struct str text)
{
    char shown[512];

    if (text.n <= 100) {
        appendPQExpBufferStr(out, text_escape(shown, sizeof shown, text));
        return;
    }
    appendPQExpBufferStr(out, text_escape(shown, sizeof shown, str_slice(text, 0, 60)));
    appendPQExpBufferStr(out, " ... ");
    appendPQExpBufferStr(
        out, text_escape(shown, sizeof shown, str_slice(text, text.n - 20, text.n)));
    appendPQExpBuffer(out, " (%zu bytes)", text.n);
}

static void
append_data(PQExpBuffer out, struct reader *r, bool *ok, struct rung_error *err)
{
    PQExpBuffer data = createPQExpBuffer();
    struct str block;

    do {
        *ok = sql_copy_data(r, &block, err);
        if (*ok)
            appendBinaryPQExpBuffer(data, block.p, block.n);
    } while (*ok && block.n > 0);
    if (data->len > 0) {
        appendPQExpBufferStr(out, "data ");
        append_shown(out, (struct str){ data->data, data->len });
        appendPQExpBufferChar(out, '\n');
    }
    destroyPQExpBuffer(data);
}

static void
append_statement(
    PQExpBuffer out, const struct source *src, const struct statement *stmt)
{
    struct rung_error place;

    assert_int_equal(stmt->end - stmt->offset, stmt->text.n);
    err_set(&place, RUNG_FAILED, "none");
    source_place(src, stmt->offset, &place);
    assert_int_equal(place.line, stmt->line);
    appendPQExpBuffer(out, "%llu:%llu %s ", (unsigned long long)place.line,
        (unsigned long long)place.column, kind_word(stmt->traits.kind));
    append_shown(out, stmt->text);
    appendPQExpBufferChar(out, '\n');
}

/*
 * Split `src` and write down what is found, as a .want file does.  True when it was
 * read to its end; `hex` is the hash of what was read then.
 */
static bool
render(const struct source *src, size_t window, PQExpBuffer out, char *hex)
{
    struct rung_error err;
    struct checksum *sum = checksum_new(&err);
    struct reader r;
    struct statement stmt;
    bool found = true, ok;

    assert_non_null(sum);
    assert_true(reader_open(&r, src, window, sum, &err));
    do {
        ok = sql_next(&r, &stmt, &found, &err);
        if (ok && found)
            append_statement(out, src, &stmt);
        if (ok && found && stmt.traits.kind == SQL_COPY_IN)
            append_data(out, &r, &ok, &err);
    } while (ok && found);
    if (ok)
        assert_true(checksum_hex(sum, hex, &err));
    else
        appendPQExpBuffer(out, "error %llu:%llu %s\n", (unsigned long long)err.line,
            (unsigned long long)err.column, err.message);
    reader_close(&r);
    checksum_free(sum);
    return ok;
}

static void
hash(struct str bytes, char *hex)
{
    struct rung_error err;
    struct checksum *sum = checksum_new(&err);

    assert_non_null(sum);
    assert_true(checksum_update(sum, bytes, &err) && checksum_hex(sum, hex, &err));
    checksum_free(sum);
}

/* One file, one window, one kind of source. */
static bool
check_case(const char *name, struct source *src, struct str sql, size_t window,
    const char *want)
{
    PQExpBuffer got = createPQExpBuffer();
    char read[CHECKSUM_BYTES], whole[CHECKSUM_BYTES];
    bool ok;

    if (render(src, window, got, read)) {
        hash(sql, whole);
        assert_string_equal(read, whole);
    }
    ok = strcmp(got->data, want) == 0;
    if (!ok)
        print_error("%s, window %zu, %s: wanted\n%s\ngot\n%s\n", name, window,
            src->bytes != NULL ? "memory" : "descriptor", want, got->data);
    destroyPQExpBuffer(got);
    return ok;
}

static bool
run_case(const struct sqldir *dir, const char *name)
{
    bool ok = true;
    char file[300];
    PQExpBuffer sql = createPQExpBuffer(), want = createPQExpBuffer();
    struct source memory = { .path = name, .fd = -1 };
    struct source descriptor = { .path = name };

    text_format(file, sizeof file, "%s.want", name);
    cases_slurp(dir->fd, file, want);
    text_format(file, sizeof file, "%s.sql", name);
    cases_slurp(dir->fd, file, sql);
    memory.bytes = sql->data;
    memory.size = descriptor.size = sql->len;
    descriptor.fd = openat(dir->fd, file, O_RDONLY | O_CLOEXEC);
    assert_true(descriptor.fd >= 0);
    for (size_t i = 0; i < COUNT(windows) && ok; i++) {
        struct str bytes = { sql->data, sql->len };

        ok = check_case(name, &memory, bytes, windows[i], want->data)
             && check_case(name, &descriptor, bytes, windows[i], want->data);
    }
    close(descriptor.fd);
    destroyPQExpBuffer(sql);
    destroyPQExpBuffer(want);
    return ok;
}

static void
every_case_splits_as_wanted_whatever_the_window(void **state)
{
    (void)state;
    cases_each(CASES, run_case, 150);
}

/* Read `sql` from memory with a limit for statements; the error's message, or how many
 * statements there were. */
static void
read_limited(const char *sql, size_t limit, size_t window, char *message, size_t size)
{
    struct source src = {
        .path = "x.sql", .bytes = sql, .fd = -1, .size = strlen(sql)
    };
    struct rung_error err;
    struct reader r;
    struct statement stmt;
    bool found = true;

    assert_true(reader_open(&r, &src, window, NULL, &err));
    r.limit = limit;
    while (found)
        if (!sql_next(&r, &stmt, &found, &err)) {
            text_format(message, size, "%llu:%llu %s", (unsigned long long)err.line,
                (unsigned long long)err.column, err.message);
            reader_close(&r);
            return;
        }
    text_format(message, size, "%llu", (unsigned long long)r.number);
    reader_close(&r);
}

static void
a_statement_of_the_limit_is_refused_and_one_byte_less_is_not(void **state)
{
    static const char sql[] = "select 1;\n select 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';";
    char message[256];

    (void)state;
    for (size_t i = 0; i < COUNT(windows); i++) {
        read_limited(sql, 43, windows[i], message, sizeof message);
        assert_string_equal(message, "2");
        read_limited(sql, 42, windows[i], message, sizeof message);
        assert_string_equal(message,
            "2:2 the statement is larger than PostgreSQL takes in one message");
    }
}

#define LEVELS 100000

static void
a_hundred_thousand_levels_need_no_stack(void **state)
{
    static const struct {
        const char *before, *open, *middle, *close, *after, *want;
    } rows[] = {
        { "select ", "(", "1;", ")", ";select 2", "2" },
        { "", "/*", " ; ", "*/", "select 2", "1" },
        { "select 1;\nselect ", "(", ";", "", "", "2:8 unclosed parenthesis" },
        { "select 1;\n ", "/*", ";", "*/", "/*", "2:2 unterminated /* comment" },
    };
    char message[256];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        PQExpBuffer sql = createPQExpBuffer();

        appendPQExpBufferStr(sql, rows[i].before);
        for (int k = 0; k < LEVELS; k++)
            appendPQExpBufferStr(sql, rows[i].open);
        appendPQExpBufferStr(sql, rows[i].middle);
        for (int k = i == 3 ? 1 : 0; k < LEVELS; k++)
            appendPQExpBufferStr(sql, rows[i].close);
        appendPQExpBufferStr(sql, rows[i].after);
        read_limited(sql->data, STATEMENT_LIMIT, 16, message, sizeof message);
        assert_string_equal(message, rows[i].want);
        destroyPQExpBuffer(sql);
    }
}

/* A descriptor of the bytes that `fill` writes. */
static struct source
big_source(void (*fill)(FILE *file))
{
    struct source src = { .path = "big.sql" };
    FILE *file = tmpfile();

    assert_non_null(file);
    fill(file);
    assert_int_equal(fflush(file), 0);
    src.size = (uint64_t)ftell(file);
    src.fd = dup(fileno(file));
    assert_true(src.fd >= 0);
    fclose(file);
    return src;
}

static void
fill_copy(FILE *file)
{
    fputs("copy t from stdin; -- rows\n", file);
    for (int i = 0; i < 300000; i++)
        fprintf(file, "%d\tsome row or other of a table\n", i);
    fputs("\\.\nselect 1;\n/*", file);
    for (int i = 0; i < 300000; i++)
        fputs(" a long comment; ", file);
    fputs("*/ select 2", file);
}

static void
neither_copy_data_nor_comments_make_the_window_grow(void **state)
{
    struct source src = big_source(fill_copy);
    struct rung_error err;
    struct reader r;
    struct statement stmt;
    bool found = true;

    (void)state;
    assert_true(reader_open(&r, &src, 4096, NULL, &err));
    while (found)
        assert_true(sql_next(&r, &stmt, &found, &err));
    assert_int_equal(r.number, 3);
    assert_int_equal(r.size, 4096);
    reader_close(&r);
    close(src.fd);
}

static void
fill_large(FILE *file)
{
    fputs("select 1;\n\ninsert into t values ('", file);
    for (int i = 0; i < 100 * 1024; i++)
        for (int k = 0; k < 64; k++)
            fputs("it''s; ---- \\ $$", file);
    fputs("'); select 2;", file);
}

static void
a_statement_of_a_hundred_megabytes_is_one_slice(void **state)
{
    struct source src = big_source(fill_large);
    struct rung_error err;
    struct reader r;
    struct statement stmt;
    bool found;

    (void)state;
    assert_true(reader_open(&r, &src, READER_WINDOW, NULL, &err));
    assert_true(sql_next(&r, &stmt, &found, &err) && found);
    assert_true(sql_next(&r, &stmt, &found, &err) && found);
    assert_int_equal(stmt.text.n, 100 * 1024 * 64 * 16 + 25);
    assert_int_equal(stmt.line, 3);
    assert_true(sql_next(&r, &stmt, &found, &err) && found);
    assert_true(str_eq(stmt.text, STR("select 2")));
    reader_close(&r);
    close(src.fd);
}

static bool
keep_comment(void *arg, struct str text, uint64_t offset, struct rung_error *err)
{
    (void)err;
    appendPQExpBuffer(arg, "%llu %.*s\n", (unsigned long long)offset,
        (int)(text.n > 20 ? 20 : text.n), text.p);
    return true;
}

static void
comments_are_shown_to_whoever_listens(void **state)
{
    static const char sql[] =
        "-- one\nselect 1 /* inside */ -- too\n; /* two */-- three";
    struct source src = { .path = "x", .bytes = sql, .fd = -1, .size = strlen(sql) };
    struct rung_error err;

    (void)state;
    for (size_t i = 0; i < COUNT(windows); i++) {
        PQExpBuffer got = createPQExpBuffer();
        struct reader r;
        struct statement stmt;
        bool found = true;

        assert_true(reader_open(&r, &src, windows[i], NULL, &err));
        r.on_comment = keep_comment;
        r.comment_arg = got;
        while (found)
            assert_true(sql_next(&r, &stmt, &found, &err));
        assert_string_equal(got->data,
            "0 -- one\n16 /* inside */\n29 -- too\n38 /* two */\n47 -- three\n");
        reader_close(&r);
        destroyPQExpBuffer(got);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_splits_as_wanted_whatever_the_window),
        cmocka_unit_test(a_statement_of_the_limit_is_refused_and_one_byte_less_is_not),
        cmocka_unit_test(a_hundred_thousand_levels_need_no_stack),
        cmocka_unit_test(neither_copy_data_nor_comments_make_the_window_grow),
        cmocka_unit_test(a_statement_of_a_hundred_megabytes_is_one_slice),
        cmocka_unit_test(comments_are_shown_to_whoever_listens),
    };

    return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
