/*
 * test_checksum.c: SHA-256 against published values, and SHA256SUMS against sha256sum.
 */
#include "internal.h"

#include "directory.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static struct rung_error err;

/* ---- digests ----------------------------------------------------------------------
 */

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Source: FIPS 180-2, appendix B. */
static const struct {
    const char *text, *hex;
} digests[] = {
    { "", EMPTY },
    { "abc", ABC },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};

static void
the_digest_is_what_sha256sum_prints(void **state)
{
    struct checksum *sum = checksum_new(&err);
    char hex[CHECKSUM_BYTES];

    (void)state;
    assert_non_null(sum);
    for (size_t i = 0; i < COUNT(digests); i++) {
        assert_true(checksum_reset(sum, &err));
        assert_true(checksum_update(sum, str_of(digests[i].text), &err));
        assert_true(checksum_hex(sum, hex, &err));
        assert_string_equal(hex, digests[i].hex);
    }
    checksum_free(sum);
    checksum_free(NULL);
}

static void
a_digest_may_be_taken_in_between_and_go_on(void **state)
{
    struct checksum *sum = checksum_new(&err);
    char hex[CHECKSUM_BYTES];

    (void)state;
    assert_non_null(sum);
    assert_true(checksum_hex(sum, hex, &err));
    assert_string_equal(hex, EMPTY);
    assert_true(checksum_update(sum, STR("a"), &err));
    assert_true(checksum_hex(sum, hex, &err));
    assert_true(checksum_update(sum, STR("bc"), &err));
    assert_true(checksum_update(sum, STR(""), &err));
    for (int twice = 0; twice < 2; twice++) {
        assert_true(checksum_hex(sum, hex, &err));
        assert_string_equal(hex, ABC);
    }
    checksum_free(sum);
}

static void
only_64_hex_digits_are_a_checksum(void **state)
{
    (void)state;
    assert_true(checksum_is_hex(STR(ABC)));
    assert_true(checksum_is_hex(
        STR("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD")));
    assert_false(checksum_is_hex(STR("")));
    assert_false(checksum_is_hex(STR(ABC "0")));
    assert_false(checksum_is_hex(str_slice(STR(ABC), 0, 63)));
    assert_false(checksum_is_hex(
        STR("ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")));
    assert_false(checksum_is_hex(
        STR("\x10"
            "a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")));
}

/* ---- lines of SHA256SUMS ----------------------------------------------------------
 */

#define FORM "not a line of SHA256SUMS: 64 hex digits, two spaces, a name"
#define PATH "a path instead of a file name: SHA256SUMS lists the files beside it only"

/* `names`: what comes out, each with a `|` behind it.  Or `line` and `message`. */
static const struct {
    const char *why, *text, *names;
    uint64_t line;
    const char *message;
} lines[] = {
    { "nothing", "", "", 0, NULL },
    { "text mode", ABC "  1_a.sql\n", "1_a.sql|", 0, NULL },
    { "binary mode", ABC " *1_a.sql\n", "1_a.sql|", 0, NULL },
    { "no newline at the end", ABC "  1_a.sql", "1_a.sql|", 0, NULL },
    { "CRLF", ABC "  1_a.sql\r\n" ABC "  2_b.sql\r\n", "1_a.sql|2_b.sql|", 0, NULL },
    { "sorted by bytes", ABC "  b\n" ABC "  B\n" ABC "  a\n", "B|a|b|", 0, NULL },
    { "spaces in a name", ABC "   a b \n", " a b |", 0, NULL },
    { "a comment", "# by rung\n" ABC "  a\n", "a|", 0, NULL },
    { "escapes", "\\" ABC "  a\\\\b\\nc\\rd\n", "a\\b\nc\rd|", 0, NULL },
    { "a backslash that escapes nothing", ABC "  a\\nb\n", "a\\nb|", 0, NULL },
    { "a bad escape", "\\" ABC "  a\\tb\n", NULL, 1,
        "an unknown escape in a file name" },
    { "a cut escape", "\\" ABC "  a\\\n", NULL, 1, "an unknown escape in a file name" },
    { "a path", ABC "  a\n" ABC "  ../b\n", NULL, 2, PATH },
    { "an absolute path", ABC "  /etc/passwd\n", NULL, 1, PATH },
    { "listed twice", ABC "  a\n" ABC "  b\n" EMPTY "  a\n", NULL, 3,
        "a file that is listed already" },
    { "no name", ABC "  \n", NULL, 1, FORM },
    { "one space", ABC " a\n", NULL, 1, FORM },
    { "a digit short", "# x\n0  a\n", NULL, 2, FORM },
    { "not hex", "zz7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a",
        NULL, 1, FORM },
    { "BSD format", "SHA256 (a) = " ABC "\n", NULL, 1, FORM },
    { "an empty line", ABC "  a\n\n", NULL, 2, FORM },
    { "a conflict's mark", "<<<<<<< HEAD\n", NULL, 1, FORM },
};

static void
lines_are_read_as_coreutils_writes_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct sums sums;
        char names[256] = "";
        bool ok;

        print_message("  %s\n", lines[i].why);
        ok = sums_parse(&sums, str_of(lines[i].text), "d/SHA256SUMS", &err);
        assert_int_equal(ok, lines[i].message == NULL);
        if (!ok) {
            assert_int_equal(err.code, RUNG_FAILED);
            assert_string_equal(err.message, lines[i].message);
            assert_string_equal(err.path, "d/SHA256SUMS");
            assert_int_equal(err.line, lines[i].line);
            assert_string_equal(err.hint, "Write the file anew with `rung sum`.");
            continue;
        }
        for (size_t j = 0; j < sums.n; j++) {
            assert_string_equal(sums.entries[j].checksum, ABC);
            strcat(names, sums.entries[j].name);
            strcat(names, "|");
        }
        assert_string_equal(names, lines[i].names);
        sums_free(&sums);
    }
}

static void
a_nul_byte_in_a_name_is_refused(void **state)
{
    struct sums sums;

    (void)state;
    assert_false(sums_parse(&sums, STR(ABC "  a\0b\n"), "S", &err));
    assert_string_equal(err.message, "a NUL byte in a file name");
}

static void
upper_case_digits_are_lowered(void **state)
{
    struct sums sums;

    (void)state;
    assert_true(sums_parse(&sums,
        STR("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD  a\n"),
        "S", &err));
    assert_string_equal(sums.entries[0].checksum, ABC);
    sums_free(&sums);
}

/* ---- a directory and its SHA256SUMS ------------------------------------------------
 */

static struct sqldir dir;

static void
open_directory(void)
{
    if (!sqldir_open(&dir, where, &err) || !sqldir_hash(&dir, true, &err))
        fail_msg("%s", err.message);
}

static int
shell(const char *format)
{
    char command[512];

    snprintf(command, sizeof command, "cd '%s' && %s", where, format);
    return system(command);
}

static void
put_sample(void)
{
    put("10_z.sql", "abc");
    put("9_a b.sql", "abc");
    put("9_a b.down.sql", "");
    put("2_caf\xc3\xa9.up.sql", "x");
    put("zoo.sql", "misnamed");
    put("V1__a.sql", "refused");
}

static void
what_is_written_is_sorted_and_holds_up_and_down_files(void **state)
{
    PQExpBufferData text;

    (void)state;
    put_sample();
    open_directory();
    initPQExpBuffer(&text);
    assert_true(sums_render(&text, &dir, &err));
    assert_string_equal(text.data,
        ABC "  10_z.sql\n"
            "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
            "  2_caf\xc3\xa9.up.sql\n" EMPTY "  9_a b.down.sql\n" ABC "  9_a b.sql\n");
    termPQExpBuffer(&text);
    sqldir_close(&dir);
}

static void
sha256sum_agrees_with_what_is_written(void **state)
{
    struct stat st;
    char path[512];
    mode_t before;

    (void)state;
    put_sample();
    put("SHA256SUMS", "old");
    open_directory();
    before = umask(027);
    assert_true(sums_write(&dir, &err));
    umask(before);
    assert_int_equal(shell("sha256sum --strict --quiet -c SHA256SUMS"), 0);
    assert_int_equal(shell("test \"$(ls -A | grep -c SHA256SUMS)\" = 1"), 0);
    assert_int_equal(shell("cut -c 67- SHA256SUMS | LC_ALL=C sort -c"), 0);
    snprintf(path, sizeof path, "%s/SHA256SUMS", where);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    sqldir_close(&dir);
}

static void
what_is_written_is_read_back_without_a_finding(void **state)
{
    struct sums_finding *findings;
    struct sums sums;
    bool found;
    size_t n;

    (void)state;
    put_sample();
    open_directory();
    assert_true(sums_read(&sums, &dir, &found, &err));
    assert_false(found);
    assert_true(sums_write(&dir, &err));
    assert_true(sums_read(&sums, &dir, &found, &err));
    assert_true(found);
    assert_int_equal(sums.n, 4);
    assert_true(sums_compare(&sums, &dir, &findings, &n, &err));
    assert_int_equal(n, 0);
    free(findings);
    sums_free(&sums);
    sqldir_close(&dir);
}

static void
every_difference_is_reported(void **state)
{
    static const struct sums_finding want[] = {
        { "1_a.sql", SUMS_DIFFERENT, 2, "not what SHA256SUMS says it is" },
        { "2_gone.sql", SUMS_GONE, 3,
            "listed in SHA256SUMS, but no migration in the directory" },
        { "3_new.sql", SUMS_NOT_LISTED, 0, "not listed in SHA256SUMS" },
        { "zoo.sql", SUMS_GONE, 4,
            "listed in SHA256SUMS, but no migration in the directory" },
    };
    struct sums_finding *findings;
    struct sums sums;
    size_t n;

    (void)state;
    put("0_same.sql", "abc");
    put("1_a.sql", "changed");
    put("3_new.sql", "abc");
    put("zoo.sql", "abc");
    open_directory();
    assert_true(sums_parse(&sums,
        STR(ABC "  0_same.sql\n" ABC "  1_a.sql\n" ABC "  2_gone.sql\n" ABC
                "  zoo.sql\n"),
        "S", &err));
    assert_true(sums_compare(&sums, &dir, &findings, &n, &err));
    assert_int_equal(n, COUNT(want));
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(findings[i].name, want[i].name);
        assert_int_equal(findings[i].kind, want[i].kind);
        assert_int_equal(findings[i].line, want[i].line);
        assert_string_equal(findings[i].problem, want[i].problem);
    }
    free(findings);
    sums_free(&sums);
    sqldir_close(&dir);
}

static void
what_cannot_be_replaced_is_said_and_nothing_is_left_behind(void **state)
{
    struct sums sums;
    char want[512];
    bool found;

    (void)state;
    put("1_a.sql", "abc");
    assert_int_equal(shell("mkdir SHA256SUMS && touch SHA256SUMS/x"), 0);
    open_directory();
    assert_false(sums_write(&dir, &err));
    snprintf(
        want, sizeof want, "cannot write \"%s/SHA256SUMS\": Is a directory", where);
    assert_string_equal(err.message, want);
    assert_int_equal(shell("test \"$(ls -A | wc -l)\" -eq 2"), 0);
    assert_false(sums_read(&sums, &dir, &found, &err));
    snprintf(want, sizeof want, "\"%s/SHA256SUMS\" is not a regular file", where);
    assert_string_equal(err.message, want);
    assert_int_equal(shell("rm -r SHA256SUMS && mkfifo SHA256SUMS"), 0);
    assert_false(sums_read(&sums, &dir, &found, &err));
    assert_string_equal(err.message, want);
    sqldir_close(&dir);
}

static void
an_error_in_the_file_says_its_path_and_line(void **state)
{
    struct sums sums;
    char want[512];
    bool found;

    (void)state;
    put("SHA256SUMS", ABC "  a\nrubbish\n");
    open_directory();
    assert_false(sums_read(&sums, &dir, &found, &err));
    snprintf(want, sizeof want, "%s/SHA256SUMS", where);
    assert_string_equal(err.path, want);
    assert_int_equal(err.line, 2);
    sqldir_close(&dir);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_digest_is_what_sha256sum_prints),
        cmocka_unit_test(a_digest_may_be_taken_in_between_and_go_on),
        cmocka_unit_test(only_64_hex_digits_are_a_checksum),
        cmocka_unit_test(lines_are_read_as_coreutils_writes_them),
        cmocka_unit_test(a_nul_byte_in_a_name_is_refused),
        cmocka_unit_test(upper_case_digits_are_lowered),
        TEST(what_is_written_is_sorted_and_holds_up_and_down_files),
        TEST(sha256sum_agrees_with_what_is_written),
        TEST(what_is_written_is_read_back_without_a_finding),
        TEST(every_difference_is_reported),
        TEST(what_cannot_be_replaced_is_said_and_nothing_is_left_behind),
        TEST(an_error_in_the_file_says_its_path_and_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
