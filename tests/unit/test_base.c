/*
 * test_base.c: slices, the error value, UTF-8 and what may be shown.
 */
#include "internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* ---- slices -----------------------------------------------------------------------
 */

static const struct {
    const char *in, *needle;
    size_t from, at;
} finds[] = {
    { "select", "sel", 0, 0 },
    { "select", "sel", 1, STR_NONE },
    { "select", "ect", 0, 3 },
    { "select", "ect", 3, 3 },
    { "select", "ects", 0, STR_NONE },
    { "aaab", "aab", 0, 1 },
    { "", "a", 0, STR_NONE },
    { "", "", 0, 0 },
    { "abc", "", 2, 2 },
    { "abc", "", 3, 3 },
    { "abc", "", 4, STR_NONE },
    { "abc", "c", 9, STR_NONE },
    { "abc", "abcd", 0, STR_NONE },
};

static void
a_slice_is_found_in_another(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(finds); i++)
        assert_int_equal(
            str_find(str_of(finds[i].in), str_of(finds[i].needle), finds[i].from),
            finds[i].at);
}

static void
slices_are_compared_by_their_bytes(void **state)
{
    (void)state;
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_false(str_eq(STR("a"), STR("ab")));
    assert_true(str_eq(STR(""), str_of(NULL)));
    assert_true(str_eq_fold(STR("Begin[@`{"), STR("bEGIN[@`{")));
    assert_false(str_eq_fold(STR("["), STR("{"))); /* 0x20 apart, but no letters */
    assert_false(str_eq_fold(STR("\xc3\x89"), STR("\xc3\xa9")));
    assert_true(str_eq(str_slice(STR("select 1"), 7, 8), STR("1")));
}

static void
a_copy_ends_in_a_nul(void **state)
{
    char *copy = str_dup(str_slice(STR("select 1"), 0, 6));

    (void)state;
    assert_string_equal(copy, "select");
    free(copy);
    copy = str_dup(str_of(NULL));
    assert_string_equal(copy, "");
    free(copy);
}

/* ---- errors ------------------------------------------------------------------------
 */

static void
an_error_is_set_whole(void **state)
{
    struct rung_error err;

    (void)state;
    memset(&err, 'x', sizeof err);
    assert_false(err_set(&err, RUNG_DRIFT, "no table \"%s\"", "a"));
    assert_int_equal(err.code, RUNG_DRIFT);
    assert_string_equal(err.message, "no table \"a\"");
    assert_string_equal(err.hint, "");
    assert_string_equal(err.path, "");
    assert_string_equal(err.sqlstate, "");
    assert_int_equal(err.line, 0);
    assert_false(err_hint(&err, "Try %d.", 2));
    assert_string_equal(err.hint, "Try 2.");
    assert_string_equal(err.message, "no table \"a\"");
    assert_false(err_set(&err, RUNG_FAILED, "again: %s", err.message));
    assert_string_equal(err.message, "again: no table \"a\"");
    assert_false(err_memory(&err));
    assert_string_equal(err.message, "out of memory");
}

/* ---- formatting --------------------------------------------------------------------
 */

#define E "\xc3\xa9"
#define DAY "\xe6\x97\xa5"
#define ELEPHANT "\xf0\x9f\x90\x98"

static const struct {
    const char *text;
    size_t size;
    const char *want;
} cuts[] = {
    { "abc", 4, "abc" },
    { "abc", 3, "ab" },
    { "a" E, 4, "a" E },
    { "a" E, 3, "a" },
    { "a" DAY, 5, "a" DAY },
    { "a" DAY, 4, "a" },
    { "a" DAY, 3, "a" },
    { "a" ELEPHANT, 5, "a" },
    { "a" ELEPHANT, 3, "a" },
    { E "b", 3, E },
    { E E, 4, E },
    { "", 1, "" },
    { "a", 1, "" },
};

static void
a_text_is_cut_between_characters(void **state)
{
    char buffer[16];

    (void)state;
    for (size_t i = 0; i < COUNT(cuts); i++) {
        memset(buffer, 'x', sizeof buffer);
        text_format(buffer, cuts[i].size, "%s", cuts[i].text);
        assert_string_equal(buffer, cuts[i].want);
        assert_int_equal(buffer[cuts[i].size], 'x');
    }
}

static const struct {
    const char *why, *in, *want;
} escapes[] = {
    { "plain", "001_a b.sql", "001_a b.sql" },
    { "UTF-8", E DAY ELEPHANT, E DAY ELEPHANT },
    { "control characters", "a\n\t\x1b[31m\x7f", "a\\x0a\\x09\\x1b[31m\\x7f" },
    { "C1", "\xc2\x85\xc2\x9b\xc2\xa0", "\\xc2\\x85\\xc2\\x9b\xc2\xa0" },
    { "not UTF-8", "a\xff\xc3(\x80", "a\\xff\\xc3(\\x80" },
    { "overlong", "\xc0\xaf", "\\xc0\\xaf" },
    { "a surrogate", "\xed\xa0\x80", "\\xed\\xa0\\x80" },
    { "cut off", "a\xe6\x97", "a\\xe6\\x97" },
};

static void
what_a_terminal_would_obey_is_escaped(void **state)
{
    char buffer[64];

    (void)state;
    for (size_t i = 0; i < COUNT(escapes); i++) {
        print_message("  %s\n", escapes[i].why);
        assert_string_equal(
            text_escape(buffer, sizeof buffer, str_of(escapes[i].in)), escapes[i].want);
    }
    assert_string_equal(text_escape(buffer, sizeof buffer, STR("a\0b")), "a\\x00b");
}

static void
escaping_stops_at_the_buffers_end(void **state)
{
    char buffer[16];

    (void)state;
    for (size_t size = 1; size < sizeof buffer; size++) {
        memset(buffer, 'x', sizeof buffer);
        text_escape(buffer, size, STR("a\n" E "b" ELEPHANT "\x01\x02"));
        assert_true(strlen(buffer) < size);
        assert_int_equal(buffer[size], 'x');
        assert_int_equal(utf8_valid(str_of(buffer), NULL), strlen(buffer));
    }
}

/* ---- UTF-8 --------------------------------------------------------------------------
 */

/* `n`: how many bytes are valid. */
static const struct {
    const char *why, *in;
    size_t n;
    bool cut;
} valid[] = {
    { "nothing", "", 0, false },
    { "ASCII", "select 1; -- a long line of it", 30, false },
    { "one to four bytes", "a" E DAY ELEPHANT, 10, false },
    { "the last of each length", "\x7f\xdf\xbf\xef\xbf\xbf\xf4\x8f\xbf\xbf", 10,
        false },
    { "the first of each length", "\x01\xc2\x80\xe0\xa0\x80\xf0\x90\x80\x80", 10,
        false },
    { "around the surrogates", "\xed\x9f\xbf\xee\x80\x80", 6, false },
    { "a continuation alone", "a\x80", 1, false },
    { "Latin-1", "caf\xe9!", 3, false },
    { "overlong, two bytes", "\xc1\xbf", 0, false },
    { "overlong, three bytes", "\xe0\x9f\xbf", 0, false },
    { "overlong, four bytes", "\xf0\x8f\xbf\xbf", 0, false },
    { "a surrogate", "\xed\xa0\x80", 0, false },
    { "above U+10FFFF", "\xf4\x90\x80\x80", 0, false },
    { "0xFF", "\xff", 0, false },
    { "two bytes cut", "a\xc3", 1, true },
    { "three bytes cut", "a\xe6\x97", 1, true },
    { "four bytes cut", "a\xf0\x9f\x90", 1, true },
    { "cut, but wrong already", "a\xe0\x80", 1, false },
    { "invalid behind eight plain bytes", "12345678\xff", 8, false },
    { "invalid as the eighth byte",
        "1234567\xff"
        "90",
        7, false },
};

static void
valid_utf8_is_told_from_what_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(valid); i++) {
        bool cut = !valid[i].cut;

        print_message("  %s\n", valid[i].why);
        assert_int_equal(utf8_valid(str_of(valid[i].in), &cut), valid[i].n);
        assert_int_equal(cut, valid[i].cut);
    }
}

static void
a_bad_byte_ends_what_is_valid_wherever_it_is(void **state)
{
    static const char bad[] = { '\0', '\x80', '\xFF' };
    char text[100];

    (void)state;
    for (size_t i = 0; i < sizeof bad; i++)
        for (size_t at = 0; at < sizeof text; at++) {
            memset(text, 'a', sizeof text);
            text[at] = bad[i];
            assert_int_equal(utf8_valid((struct str){ text, sizeof text }, NULL), at);
        }
}

static void
characters_are_counted_and_found(void **state)
{
    const struct str s = STR("a" E DAY ELEPHANT "z");
    const size_t offsets[] = { 0, 1, 3, 6, 10, 11, 11 };

    (void)state;
    assert_int_equal(utf8_count(s), 5);
    assert_int_equal(utf8_count(STR("")), 0);
    for (size_t n = 0; n < COUNT(offsets); n++) /* behind the last: the end */
        assert_int_equal(utf8_offset(s, n), offsets[n]);
}

static void
the_clock_goes_forward(void **state)
{
    int64_t before = clock_ms();

    (void)state;
    assert_true(before > 0);
    assert_true(clock_ms() >= before);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_is_found_in_another),
        cmocka_unit_test(slices_are_compared_by_their_bytes),
        cmocka_unit_test(a_copy_ends_in_a_nul),
        cmocka_unit_test(an_error_is_set_whole),
        cmocka_unit_test(a_text_is_cut_between_characters),
        cmocka_unit_test(what_a_terminal_would_obey_is_escaped),
        cmocka_unit_test(escaping_stops_at_the_buffers_end),
        cmocka_unit_test(valid_utf8_is_told_from_what_is_not),
        cmocka_unit_test(a_bad_byte_ends_what_is_valid_wherever_it_is),
        cmocka_unit_test(characters_are_counted_and_found),
        cmocka_unit_test(the_clock_goes_forward),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
