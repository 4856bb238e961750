/*
 * test_sqlfile.c: names, the directory, bytes, and places in a file.
 *
 * Every test has a directory of its own; none needs a server.
 */
#include "internal.h"

#include "directory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* ---- a directory for each test --------------------------------------------------- */

static void
put_bytes(const char *name, const char *bytes, size_t n)
{
    FILE *f = fopen(at(name), "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static struct sqldir dir;
static struct rung_error err;

static void
open_directory(void)
{
    err = (struct rung_error){ 0 };
    if (!sqldir_open(&dir, where, &err))
        fail_msg("%s", err.message);
}

static struct sqlfile *
find(const char *name)
{
    for (size_t i = 0; i < dir.n; i++)
        if (strcmp(dir.files[i]->name, name) == 0)
            return dir.files[i];
    fail_msg("%s is not listed", name);
    return NULL;
}

/* ---- names ----------------------------------------------------------------------- */

#define FIFTY "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
#define NO_NUMBER "does not begin with a number: rename it to NNN_name.sql"
#define NO_UNDERSCORE "has no underscore behind its number: rename it to NNN_name.sql"
#define NO_NAME "has no name: rename it to NNN_name.sql"
#define DOTS "has a version with dots: rename it to NNN_name.sql, NNN a whole number"
#define DIGITS "has a number of more than 18 digits: rename it to NNN_name.sql"
#define FLYWAY "is named as for Flyway: rename it to NNN_name.sql"
#define LOOKS_DOWN "looks like a down file: rename it to NNN_name.down.sql"
#define TWICE "says .up or .down twice, or not in lower case: rename it"
#define BAD "the name holds more than letters, digits, space and _ - . +: rename it"
#define LONG "the name is over 200 bytes: shorten it"
#define CASE "does not end in .sql in lower case: rename it"

static const struct {
    const char *name;
    enum sqlfile_type type;
    int64_t version;
    const char *title, *problem;
} names[] = {
    { "001_initial.sql", SQLFILE_UP, 1, "initial", NULL },
    { "1_a.sql", SQLFILE_UP, 1, "a", NULL }, { "0_a.sql", SQLFILE_UP, 0, "a", NULL },
    { "000_a.sql", SQLFILE_UP, 0, "a", NULL },
    { "004_20250101_feature.sql", SQLFILE_UP, 4, "20250101_feature", NULL },
    { "20250101120000_x.sql", SQLFILE_UP, 20250101120000, "x", NULL },
    { "999999999999999999_x.sql", SQLFILE_UP, 999999999999999999, "x", NULL },
    { "000000000000000001_x.sql", SQLFILE_UP, 1, "x", NULL },
    { "1_a.up.sql", SQLFILE_UP, 1, "a", NULL },
    { "1_a.down.sql", SQLFILE_DOWN, 1, "a", NULL },
    { "1_a b-c.d+e_F.sql", SQLFILE_UP, 1, "a b-c.d+e_F", NULL },
    { "1__a.sql", SQLFILE_UP, 1, "_a", NULL },
    { "1_caf\xc3\xa9_\xe6\x97\xa5\xe6\x9c\xac_\xf0\x9f\x90\x98.sql", SQLFILE_UP, 1,
        "caf\xc3\xa9_\xe6\x97\xa5\xe6\x9c\xac_\xf0\x9f\x90\x98", NULL },
    { "1_shutdown.sql", SQLFILE_UP, 1, "shutdown", NULL },
    { "1_x.upper.sql", SQLFILE_UP, 1, "x.upper", NULL },
    { "1_" FIFTY FIFTY FIFTY "123456789012345678901234567890123456789012.sql", /* 198 */
        SQLFILE_UP, 1, FIFTY FIFTY FIFTY "123456789012345678901234567890123456789012",
        NULL },
    { "1_" FIFTY FIFTY FIFTY FIFTY ".sql", SQLFILE_REFUSED, -1, NULL, LONG },

    { "foo.sql", SQLFILE_MISNAMED, -1, NULL, NO_NUMBER },
    { "_1.sql", SQLFILE_MISNAMED, -1, NULL, NO_NUMBER },
    { "-1_a.sql", SQLFILE_MISNAMED, -1, NULL, NO_NUMBER },
    { "01-name.sql", SQLFILE_MISNAMED, -1, NULL, NO_UNDERSCORE },
    { "001.sql", SQLFILE_MISNAMED, -1, NULL, NO_UNDERSCORE },
    { "001.down.sql", SQLFILE_MISNAMED, -1, NULL, NO_UNDERSCORE },
    { "001 a.sql", SQLFILE_MISNAMED, -1, NULL, NO_UNDERSCORE },
    { "2025-01-01_a.sql", SQLFILE_MISNAMED, -1, NULL, NO_UNDERSCORE },
    { "001_a.SQL", SQLFILE_MISNAMED, -1, NULL, CASE },

    { "001_.sql", SQLFILE_REFUSED, -1, NULL, NO_NAME },
    { "001_.down.sql", SQLFILE_REFUSED, -1, NULL, NO_NAME },
    { "001_a_down.sql", SQLFILE_REFUSED, -1, NULL, LOOKS_DOWN },
    { "001_down.sql", SQLFILE_REFUSED, -1, NULL, LOOKS_DOWN },
    { "001_a-Down.sql", SQLFILE_REFUSED, -1, NULL, LOOKS_DOWN },
    { "001_a.rollback.sql", SQLFILE_REFUSED, -1, NULL, LOOKS_DOWN },
    { "001_a.DOWN.sql", SQLFILE_REFUSED, -1, NULL, TWICE },
    { "001_a.down.up.sql", SQLFILE_REFUSED, -1, NULL, TWICE },
    { "001_a.up.down.sql", SQLFILE_REFUSED, -1, NULL, TWICE },
    { "V1__a.sql", SQLFILE_REFUSED, -1, NULL, FLYWAY },
    { "V1.2__a.sql", SQLFILE_REFUSED, -1, NULL, FLYWAY },
    { "U1__a.sql", SQLFILE_REFUSED, -1, NULL, FLYWAY },
    { "R__a.sql", SQLFILE_REFUSED, -1, NULL, FLYWAY },
    { "1.2_a.sql", SQLFILE_REFUSED, -1, NULL, DOTS },
    { "1.2.3_a.sql", SQLFILE_REFUSED, -1, NULL, DOTS },
    { "1234567890123456789_a.sql", SQLFILE_REFUSED, -1, NULL, DIGITS },
    { "0000000000000000001_a.sql", SQLFILE_REFUSED, -1, NULL, DIGITS },
    { "1_a\nb.sql", SQLFILE_REFUSED, -1, NULL, BAD },
    { "1_a\x1b[31m.sql", SQLFILE_REFUSED, -1, NULL, BAD },
    { "1_a'b.sql", SQLFILE_REFUSED, -1, NULL, BAD },
    { "1_a(copy).sql", SQLFILE_REFUSED, -1, NULL, BAD },
    { "1_a\xff.sql", SQLFILE_REFUSED, -1, NULL, BAD },
    { "1_a\xc2\x85.sql", SQLFILE_REFUSED, -1, NULL, BAD },     /* C1 */
    { "1_a\xe2\x80\xae.sql", SQLFILE_REFUSED, -1, NULL, BAD }, /* right to left */
    { "1_a\xef\xbb\xbf.sql", SQLFILE_REFUSED, -1, NULL, BAD }, /* BOM */
};

static void
a_name_says_what_a_file_is(void **state)
{
    char shown[512];

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct str name = str_of(names[i].name);
        struct sqlfile file = { .version = 77, .problem = "left over" };

        print_message("  %s\n", text_escape(shown, sizeof shown, name));
        sqlfile_name(&file, name);
        assert_int_equal(file.type, names[i].type);
        assert_int_equal(file.version, names[i].version);
        if (names[i].problem == NULL) {
            assert_null(file.problem);
            assert_true(str_eq(sqlfile_title(name), str_of(names[i].title)));
        } else {
            assert_string_equal(file.problem, names[i].problem);
        }
        assert_int_equal(sqlfile_name_ok(name), names[i].type == SQLFILE_UP);
    }
}

/* ---- the directory --------------------------------------------------------------- */

static void
files_are_listed_by_number_and_misnamed_ones_last(void **state)
{
    static const char *const in[] = { "010_j.sql", "9_i.sql", "zoo.sql", "1_a.sql",
        "001_b.sql", "9_i.down.sql", "V1__a.sql", ".hidden.sql", ".#001_a.sql",
        "README.md", "1_a.sql~", "1_a.sql.orig", "1_c.SQL", "100_k.up.sql" };
    static const char *const out[] = { "001_b.sql", "1_a.sql", "9_i.down.sql",
        "9_i.sql", "010_j.sql", "100_k.up.sql", "1_c.SQL", "V1__a.sql", "zoo.sql" };

    (void)state;
    for (size_t i = 0; i < COUNT(in); i++)
        put(in[i], "");
    assert_int_equal(mkdir(at("subdirectory"), 0755), 0);
    open_directory();
    assert_int_equal(dir.n, COUNT(out));
    for (size_t i = 0; i < COUNT(out); i++)
        assert_string_equal(dir.files[i]->name, out[i]);
    sqldir_close(&dir);
}

static void
a_down_file_belongs_to_the_up_file_of_its_number_and_name(void **state)
{
    static const struct {
        const char *up, *down;
    } pairs[] = {
        { "001_a.sql", "001_a.down.sql" }, { "002_b.up.sql", "2_b.down.sql" },
        { "003_c.sql", NULL },
        { "004_d.sql", "004_d.down.sql" }, /* written alike, not 4_d.down.sql */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++)
        put(pairs[i].up, "");
    put("001_a.down.sql", "");
    put("2_b.down.sql", "");
    put("003_other.down.sql", "");
    put("004_d.down.sql", "");
    put("4_d.down.sql", "");
    put("5_e.down.sql", "");
    open_directory();
    for (size_t i = 0; i < COUNT(pairs); i++) {
        struct sqlfile *up = find(pairs[i].up);

        if (pairs[i].down == NULL)
            assert_null(up->down);
        else
            assert_string_equal(up->down->name, pairs[i].down);
    }
    assert_int_equal(find("5_e.down.sql")->type, SQLFILE_DOWN);
    sqldir_close(&dir);
}

static void
make_socket(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_true(strlen(at(name)) < sizeof address.sun_path);
    memcpy(address.sun_path, at(name), strlen(at(name)));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

static void
what_is_no_regular_file_is_refused_without_hanging(void **state)
{
    static const struct {
        const char *name, *problem;
    } want[] = {
        { "1_directory.sql",
            "is a directory: rename it, so that it does not end in .sql" },
        { "2_fifo.sql", "is a FIFO, not a regular file: move it elsewhere" },
        { "3_socket.sql", "is a socket, not a regular file: move it elsewhere" },
        { "4_device.sql", "is a device, not a regular file: move it elsewhere" },
        { "5_dangling.sql",
            "is a symbolic link that leads to no file: mend or remove it" },
        { "6_loop.sql", "is a symbolic link that leads to no file: mend or remove it" },
    };

    (void)state;
    assert_int_equal(mkdir(at("1_directory.sql"), 0755), 0);
    assert_int_equal(mkfifo(at("2_fifo.sql"), 0600), 0);
    make_socket("3_socket.sql");
    assert_int_equal(symlink("/dev/null", at("4_device.sql")), 0);
    assert_int_equal(symlink("nowhere", at("5_dangling.sql")), 0);
    assert_int_equal(symlink("6_loop.sql", at("6_loop.sql")), 0);
    put("target", "select 1;");
    assert_int_equal(symlink("target", at("7_link.sql")), 0);
    open_directory();
    assert_int_equal(dir.n, COUNT(want) + 1);
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_int_equal(find(want[i].name)->type, SQLFILE_REFUSED);
        assert_string_equal(find(want[i].name)->problem, want[i].problem);
    }
    assert_int_equal(find("7_link.sql")->type, SQLFILE_UP);
    assert_true(sqldir_hash(&dir, true, &err));
    assert_string_equal(find("7_link.sql")->bytes == NULL ? "" : "read", "read");
    sqldir_close(&dir);
}

static void
a_file_that_became_a_fifo_is_not_waited_for(void **state)
{
    char want[1200];

    (void)state;
    put("1_a.sql", "select 1;");
    open_directory();
    assert_int_equal(unlink(at("1_a.sql")), 0);
    assert_int_equal(mkfifo(at("1_a.sql"), 0600), 0);
    assert_false(sqldir_hash(&dir, false, &err));
    snprintf(want, sizeof want, "\"%s\" is not a regular file", at("1_a.sql"));
    assert_string_equal(err.message, want);
    assert_int_equal(err.code, RUNG_FAILED);
    sqldir_close(&dir);
}

static void
no_directory_is_said_with_the_way_to_begin(void **state)
{
    (void)state;
    assert_false(sqldir_open(&dir, "/nonexistent/mi\ngrations", &err));
    assert_int_equal(err.code, RUNG_USAGE);
    assert_string_equal(
        err.message, "no such directory: \"/nonexistent/mi\\x0agrations\"");
    assert_string_equal(err.hint,
        "Begin with `mkdir -p DIR && rung new NAME --dir DIR`, or say with --dir where "
        "the migrations are.");
    sqldir_close(&dir);

    assert_false(sqldir_open(&dir, "/dev/null", &err));
    assert_int_equal(err.code, RUNG_USAGE);
    assert_string_equal(err.message, "not a directory: \"/dev/null\"");
    sqldir_close(&dir);
}

static void
an_unreadable_file_is_named_with_the_reason(void **state)
{
    char want[1200];

    (void)state;
    if (geteuid() == 0) {
        print_message("  root reads every file: the removed file stands in for it\n");
        put("1_a.sql", "select 1;");
        open_directory();
        unlink(at("1_a.sql"));
    } else {
        put("1_a.sql", "select 1;");
        chmod(at("1_a.sql"), 0);
        open_directory();
    }
    assert_false(sqldir_hash(&dir, false, &err));
    snprintf(want, sizeof want, "cannot open \"%s\": %s", at("1_a.sql"),
        strerror(geteuid() == 0 ? ENOENT : EACCES));
    assert_string_equal(err.message, want);
    assert_int_equal(err.code, RUNG_FAILED);
    sqldir_close(&dir);
}

static void
a_path_is_shown_as_typed_without_a_doubled_slash(void **state)
{
    static const struct {
        const char *directory, *name, *want;
    } paths[] = {
        { "migrations", "1_a.sql", "migrations/1_a.sql" },
        { "migrations//", "1_a.sql", "migrations/1_a.sql" },
        { "/", "1_a.sql", "/1_a.sql" },
        { ".", "1\x07.sql", "./1\\x07.sql" },
    };
    char buffer[512], deep[2000];
    struct sqldir d = { .path = deep };

    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        d.path = paths[i].directory;
        assert_string_equal(
            sqldir_path(buffer, sizeof buffer, &d, paths[i].name), paths[i].want);
    }
    memset(deep, 'x', sizeof deep);
    memcpy(deep + sizeof deep - 5, "/end", 5);
    d.path = deep;
    sqldir_path(buffer, sizeof buffer, &d, "1_a.sql");
    assert_memory_equal(buffer, "...xxx", 6);
    assert_string_equal(buffer + strlen(buffer) - 15, "xxx/end/1_a.sql");
}

/* ---- digests ----------------------------------------------------------------------
 */

#define SHA_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA_MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static void
files_are_hashed_once_and_small_ones_kept(void **state)
{
    char *million = malloc(1000000);

    (void)state;
    assert_non_null(million);
    memset(million, 'a', 1000000);
    put("1_a.sql", "abc");
    put("1_a.down.sql", "abc");
    put("2_empty.sql", "");
    put_bytes("3_large.sql", million, 1000000);
    free(million);
    open_directory();
    assert_true(sqldir_hash(&dir, false, &err));
    assert_string_equal(find("1_a.sql")->checksum, SHA_ABC);
    assert_int_equal(find("1_a.sql")->size, 3);
    assert_memory_equal(find("1_a.sql")->bytes, "abc", 3);
    assert_string_equal(find("1_a.down.sql")->checksum, "");
    assert_string_equal(find("2_empty.sql")->checksum, SHA_EMPTY);
    assert_non_null(find("2_empty.sql")->bytes);
    assert_string_equal(find("3_large.sql")->checksum, SHA_MILLION_A);
    assert_null(find("3_large.sql")->bytes);
    assert_int_equal(find("3_large.sql")->size, 1000000);
    assert_int_equal(dir.cached_bytes, 3);
    assert_true(sqldir_hash(&dir, true, &err));
    assert_string_equal(find("1_a.down.sql")->checksum, SHA_ABC);
    assert_int_equal(dir.cached_bytes, 6);
    sqldir_close(&dir);
}

static void
what_is_kept_stays_under_eight_megabytes(void **state)
{
    char *block = calloc(1, READER_WINDOW);
    size_t kept = 0;

    (void)state;
    assert_non_null(block);
    for (int i = 0; i < 40; i++) {
        char name[32];

        snprintf(name, sizeof name, "%d_a.sql", i);
        put_bytes(name, block, READER_WINDOW);
    }
    free(block);
    open_directory();
    assert_true(sqldir_hash(&dir, false, &err));
    for (size_t i = 0; i < dir.n; i++) {
        kept += dir.files[i]->bytes != NULL;
        assert_string_equal(dir.files[i]->checksum, dir.files[0]->checksum);
    }
    assert_int_equal(kept, 31); /* the 32nd would make it 8 MiB */
    assert_int_equal(dir.cached_bytes, 31 * READER_WINDOW);
    sqldir_close(&dir);
}

static void
count_turn(void *arg)
{
    ++*(int *)arg;
}

/* 200 small ones take three milliseconds or so. */
static void
somebody_else_gets_a_turn_while_many_files_are_read(void **state)
{
    int turns = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        char name[32];

        snprintf(name, sizeof name, "%d_a.sql", i);
        put(name, "SELECT 1;\n");
    }
    open_directory();
    assert_true(sqldir_hash_small(&dir, count_turn, &turns, &err));
    assert_int_equal(turns, 3);
    for (size_t i = 0; i < dir.n; i++)
        assert_int_equal(strlen(dir.files[i]->checksum), 64);
    assert_true(sqldir_hash_small(&dir, count_turn, &turns, &err));
    assert_int_equal(turns, 3); /* nothing is left to be read */
    sqldir_close(&dir);
}

/* A file whose size is not what fstat says: as one that grows while it is read. */
static void
a_file_that_changes_while_it_is_read_is_refused(void **state)
{
    (void)state;
    if (access("/proc/self/status", R_OK) != 0)
        skip();
    assert_int_equal(symlink("/proc/self/status", at("1_a.sql")), 0);
    open_directory();
    assert_false(sqldir_hash(&dir, false, &err));
    assert_int_equal(err.code, RUNG_FAILED);
    assert_non_null(strstr(err.message, "/1_a.sql changed while it was read"));
    assert_string_equal(find("1_a.sql")->checksum, "");
    assert_null(find("1_a.sql")->bytes);
    assert_int_equal(dir.cached_bytes, 0);
    sqldir_close(&dir);
}

static void
a_file_of_another_size_than_was_hashed_is_not_read_on(void **state)
{
    struct source src;
    char *block = calloc(1, READER_WINDOW + 1);

    (void)state;
    assert_non_null(block);
    put_bytes("1_a.sql", block, READER_WINDOW + 1);
    free(block);
    open_directory();
    assert_true(sqldir_hash(&dir, false, &err));
    put("1_a.sql", "short");
    assert_false(source_open(&src, &dir, find("1_a.sql"), &err));
    assert_non_null(strstr(err.message, "/1_a.sql changed while it was read"));
    source_close(&src);
    sqldir_close(&dir);
}

/* `recorded` is what was hashed then, `now` what is in the file. */
static const struct {
    const char *why, *recorded, *now;
    bool only;
} endings[] = {
    { "LF became CRLF", "a\nb\n", "a\r\nb\r\n", true },
    { "CRLF became LF", "a\r\nb\r\n", "a\nb\n", true },
    { "mixed became LF: the recorded form is neither", "a\r\nb\n", "a\nb\n", false },
    { "LF became mixed", "a\nb\n", "a\r\nb\n", true },
    { "a BOM came", "a\n",
        "\xEF\xBB\xBF"
        "a\n",
        true },
    { "a BOM went",
        "\xEF\xBB\xBF"
        "a\n",
        "a\n", true },
    { "a BOM came and CRLF", "a\nb",
        "\xEF\xBB\xBF"
        "a\r\nb",
        true },
    { "a BOM went and CRLF came",
        "\xEF\xBB\xBF"
        "a\nb",
        "a\r\nb", true },
    { "CR at the end", "a\r",
        "\xEF\xBB\xBF"
        "a\r",
        true },
    { "a lone CR is a byte like any other", "a\nb", "a\rb", false },
    { "CRLF was converted once more", "a\r\n", "a\r\r\n", true },
    { "a final newline came", "a", "a\n", false },
    { "a space came", "a\n", "a \r\n", false },
    { "nothing is left", "a\n", "", false },
};

static void
hash_text(const char *text, char hex[CHECKSUM_BYTES])
{
    struct checksum *sum = checksum_new(&err);

    assert_non_null(sum);
    assert_true(checksum_update(sum, str_of(text), &err));
    assert_true(checksum_hex(sum, hex, &err));
    checksum_free(sum);
}

static void
line_endings_and_a_bom_are_told_from_an_edit(void **state)
{
    char hex[CHECKSUM_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT(endings); i++) {
        print_message("  %s\n", endings[i].why);
        put("1_a.sql", endings[i].now);
        hash_text(endings[i].recorded, hex);
        open_directory();
        if (i % 2 == 0) /* from memory as from disk */
            assert_true(sqldir_hash(&dir, false, &err));
        assert_true(sqlfile_line_endings_only(&dir, dir.files[0], hex, &err));
        assert_int_equal(dir.files[0]->line_endings_only, endings[i].only);
        sqldir_close(&dir);
    }
}

static void
line_endings_of_a_large_file_are_compared_block_by_block(void **state)
{
    size_t lines = 200000, n = 0;
    char hex[CHECKSUM_BYTES], *text = malloc(lines * 4 + 1);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < lines; i++, n += 2)
        memcpy(text + n, "x\n", 2);
    text[n] = '\0';
    hash_text(text, hex);
    n = 0;
    for (size_t i = 0; i < lines; i++, n += 3) /* CR LF across every block's border */
        memcpy(text + n, "x\r\n", 3);
    put_bytes("1_a.sql", text, n);
    free(text);
    open_directory();
    assert_true(sqlfile_line_endings_only(&dir, dir.files[0], hex, &err));
    assert_true(dir.files[0]->line_endings_only);
    sqldir_close(&dir);
}

/* ---- places ------------------------------------------------------------------------
 */

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define E "\xc3\xa9"
#define E9 E E E E E E E E E
#define E40 E9 E9 E9 E9 E E E E
#define E100 E40 E40 E9 E9 E E

/* `^` stands in front of the place, in the file and in the excerpt. */
static const struct {
    const char *why, *file;
    uint64_t line, column;
    const char *excerpt;
} places[] = {
    { "the first byte", "^select 1;", 1, 1, "^select 1;" },
    { "an empty file", "^", 1, 1, "^" },
    { "in the line", "a\nselect ^1;\nb", 2, 8, "select ^1;" },
    { "the end of a line", "a\nbb^\nc", 2, 3, "bb^" },
    { "the file's end behind a newline", "a\nb\n^", 3, 1, "^" },
    { "CRLF is not shown", "a\r\nb^b\r\nc", 2, 2, "b^b" },
    { "the CR itself", "a\r\nbb^\r\nc", 2, 3, "bb^" },
    { "CR at the file's end", "a^b\r", 1, 2, "a^b" },
    { "columns count characters", "\xc3\xa9\xe6\x97\xa5\xf0\x9f\x90\x98^x", 1, 4,
        "\xc3\xa9\xe6\x97\xa5\xf0\x9f\x90\x98^x" },
    { "a BOM counts as nothing", "\xef\xbb\xbfselect ^1", 1, 8, "select ^1" },
    { "the BOM itself", "^\xef\xbb\xbfselect 1", 1, 1, "^select 1" },
    { "a BOM and the second line", "\xef\xbb\xbf\nx^y", 2, 2, "x^y" },
    { "tabs stay", "\tselect\t^1", 1, 9, "\tselect\t^1" },
    { "control characters are masked", "a\x01\x1b[31m^b\x7f\xc2\x85z", 1, 8,
        "a??[31m^b??z" },
    { "invalid bytes are masked",
        "ab^\xff"
        "c\xe6\x97",
        1, 3, "ab^?c??" },
    { "200 bytes are shown whole", HUNDRED "^" HUNDRED, 1, 101, HUNDRED "^" HUNDRED },
    { "a long line is cut in front", HUNDRED HUNDRED "^select", 1, 201,
        "6789" TEN TEN TEN TEN TEN TEN TEN TEN TEN HUNDRED "^select" },
    { "a long line is cut behind", "^" HUNDRED HUNDRED "x", 1, 1, "^" HUNDRED HUNDRED },
    { "a long line is cut on both sides", HUNDRED HUNDRED "^" HUNDRED HUNDRED, 1, 201,
        TEN TEN HUNDRED "^" TEN TEN TEN TEN TEN TEN TEN TEN },
    { "cut between characters", "x" E100 "y^" E100, 1, 103, E40 E9 E9 E "y^" E40 },
};

/* Put the text without its `^` into 1_a.sql; where the `^` was. */
static size_t
put_marked(const char *text)
{
    const char *mark = strchr(text, '^');
    size_t before = (size_t)(mark - text);
    char *plain = malloc(strlen(text));

    assert_non_null(plain);
    memcpy(plain, text, before);
    strcpy(plain + before, mark + 1);
    put("1_a.sql", plain);
    free(plain);
    return before;
}

static void
check_place(const char *want)
{
    char path[512], marked[sizeof err.excerpt + 1];

    snprintf(path, sizeof path, "%s", at("1_a.sql"));
    assert_string_equal(err.path, path);
    assert_string_equal(err.message, "message");
    snprintf(marked, sizeof marked, "%.*s^%s", (int)err.excerpt_at, err.excerpt,
        err.excerpt + err.excerpt_at);
    assert_string_equal(marked, want);
    assert_int_equal(utf8_valid(str_of(err.excerpt), NULL), strlen(err.excerpt));
}

static void
a_byte_offset_becomes_line_column_and_excerpt(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(places) * 2; i++) {
        size_t p = i / 2, offset = put_marked(places[p].file);
        struct source src;

        print_message("  %s\n", places[p].why);
        open_directory();
        if (i % 2 == 0) /* from memory as from disk */
            assert_true(sqldir_hash(&dir, false, &err));
        assert_true(source_open(&src, &dir, dir.files[0], &err));
        err_set(&err, RUNG_FAILED, "message");
        assert_false(source_place(&src, offset, &err));
        assert_int_equal(err.line, places[p].line);
        assert_int_equal(err.column, places[p].column);
        check_place(places[p].excerpt);
        source_close(&src);
        sqldir_close(&dir);
    }
}

static void
a_place_far_into_a_large_file_is_found(void **state)
{
    uint64_t offset = UINT64_C(5) << 30;
    struct source src;
    int fd;

    (void)state;
    if (getenv("RUNG_TEST_LARGE") == NULL) {
        print_message("  RUNG_TEST_LARGE is not set: 80 MiB must do\n");
        offset = MIB(80);
    }
    put("1_a.sql", "a\nb\n");
    fd = open(at("1_a.sql"), O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\nhere it is\n", 12, (off_t)offset), 12);
    close(fd);
    open_directory();
    assert_true(source_open(&src, &dir, dir.files[0], &err));
    assert_int_equal(src.size, offset + 12);
    err_set(&err, RUNG_FAILED, "message");
    source_place(&src, offset + 6, &err);
    assert_int_equal(err.line, 4);
    assert_int_equal(err.column, 6);
    check_place("here ^it is");
    source_close(&src);
    sqldir_close(&dir);
}

static void
reading_from_a_source_ends_where_the_file_ends(void **state)
{
    char buffer[16];
    struct source src;
    size_t got;

    (void)state;
    put("1_a.sql", "0123456789");
    for (int hashed = 0; hashed < 2; hashed++) {
        open_directory();
        if (hashed)
            assert_true(sqldir_hash(&dir, false, &err));
        assert_true(source_open(&src, &dir, dir.files[0], &err));
        assert_int_equal(src.fd >= 0, !hashed);
        assert_true(source_read(&src, 7, buffer, sizeof buffer, &got, &err));
        assert_int_equal(got, 3);
        assert_memory_equal(buffer, "789", 3);
        assert_true(source_read(&src, 10, buffer, sizeof buffer, &got, &err));
        assert_int_equal(got, 0);
        assert_true(source_read(&src, 99, buffer, sizeof buffer, &got, &err));
        assert_int_equal(got, 0);
        source_close(&src);
        sqldir_close(&dir);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_says_what_a_file_is),
        TEST(files_are_listed_by_number_and_misnamed_ones_last),
        TEST(a_down_file_belongs_to_the_up_file_of_its_number_and_name),
        TEST(what_is_no_regular_file_is_refused_without_hanging),
        TEST(a_file_that_became_a_fifo_is_not_waited_for),
        cmocka_unit_test(no_directory_is_said_with_the_way_to_begin),
        TEST(an_unreadable_file_is_named_with_the_reason),
        cmocka_unit_test(a_path_is_shown_as_typed_without_a_doubled_slash),
        TEST(files_are_hashed_once_and_small_ones_kept),
        TEST(what_is_kept_stays_under_eight_megabytes),
        TEST(somebody_else_gets_a_turn_while_many_files_are_read),
        TEST(a_file_that_changes_while_it_is_read_is_refused),
        TEST(a_file_of_another_size_than_was_hashed_is_not_read_on),
        TEST(line_endings_and_a_bom_are_told_from_an_edit),
        TEST(line_endings_of_a_large_file_are_compared_block_by_block),
        TEST(a_byte_offset_becomes_line_column_and_excerpt),
        TEST(a_place_far_into_a_large_file_is_found),
        TEST(reading_from_a_source_ends_where_the_file_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
