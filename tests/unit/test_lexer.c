/*
 * test_lexer.c: where PostgreSQL's tokens begin and end.
 *
 * A row draws the tokens of a text: between two `|` stands one, what is blank or a
 * comment is outside (| does not occur in the texts themselves).
 */
#include "internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* One letter a token: w word, n name, s string, # number, $ parameter, o operator,
 * p punctuation, b backslash, i invalid, ! open. */
static const struct {
    const char *why, *drawn, *types;
    bool backslash_quotes;
} drawings[] = {
    { "words", "|select| |a$1| |_b| |\xc3\xa9t\xc3\xa9|", "wwww", 0 },
    { "a word takes digits and dollars", "|x1$$y|", "w", 0 },
    { "white space", "\t|a|\v\f|b|\r\n", "ww", 0 },
    { "punctuation", "|a||.||b||(||c||,||d||)||[||1||]||;||:|", "wpwpwpwpp#ppp", 0 },
    { "a string", "|'a''b'| |'c'|", "ss", 0 },
    { "an empty string", "|''|", "s", 0 },
    { "a string after a word", "|date||'x'|", "ws", 0 },
    { "E string", "|E'\\''| |e'\\\\'|", "ss", 0 },
    { "a plain string has no escapes", "|'\\'| |x|", "sw", 0 },
    { "unless standard_conforming_strings is off", "|'\\' '| |x|", "sw", 1 },
    { "an N string follows that setting", "|N'\\' '|", "s", 1 },
    { "a bit string does not", "|B'\\'| |x|", "sw", 1 },
    { "nor does U&", "|U&'\\'| |x|", "sw", 1 },
    { "nor a name", "|\"\\\"| |x|", "nw", 1 },
    { "a continued string", "|'a'\n'b'| |c|", "sw", 0 },
    { "continued over comments", "|'a' -- x'\n --y\n'b'|", "s", 0 },
    { "not continued on one line", "|'a'| |'b'|", "ss", 0 },
    { "not continued over a block comment", "|'a'| /**/\n|'b'|", "ss", 0 },
    { "not continued by E", "|'a'|\n|E'b'|", "ss", 0 },
    { "a bit string is continued, too", "|X'a'\n'b'|", "s", 0 },
    { "two bit strings without a blank", "|B'1'||'0'|", "ss", 0 },
    { "a name", "|\"a\"\"b\"| |U&\"c\"|", "nn", 0 },
    { "U& alone", "|u||&||x|", "wow", 0 },
    { "dollar quotes", "|$$a$b$$| |$x$ $$ $x$|", "ss", 0 },
    { "a dollar quote at an operator and a digit", "|+||$$;$$||1||$a$;$a$|", "os#s",
        0 },
    { "the end of one dollar quote begins no other", "|$$a$$||b|", "sw", 0 },
    { "parameters", "|$1| |$23||$4|", "$$$", 0 },
    { "a lone dollar", "|$| |1| |$||a|", "i#iw", 0 },
    { "numbers", "|1| |1.5| |.5| |1.| |1e5| |1.5E-3| |1.e+2|", "#######", 0 },
    { "two dots end a number", "|1||.||.||z|", "#ppw", 0 },
    { "an exponent without digits is a word", "|1||e||+|", "#wo", 0 },
    { "a number and an E string", "|1||e'\\''|", "#s", 0 },
    { "operators", "|<>| |->>| |a||@>||b||-||1|", "oowowo#", 0 },
    { "an operator ends at a comment", "|+|--x\n|-|/*x*/|*|", "ooo", 0 },
    { "a minus and a slash begin no comment", "|-| |-| |/| |*|", "oooo", 0 },
    { "comments", "--a\n|b|/*c/*d*/e*/|f|--", "ww", 0 },
    { "a carriage return ends a line comment", "--a\r|b|", "w", 0 },
    { "three slashes and stars", "/*/*/ */*/|a|/***/", "w", 0 },
    { "a backslash", "|\\||d|", "bw", 0 },
    { "what begins nothing", "|{||\x01||}|", "iii", 0 },
    { "an open string", "|'a''|", "!", 0 },
    { "an open E string", "|E'a\\'|", "!", 0 },
    { "an open name", "|\"a|", "!", 0 },
    { "an open dollar quote", "|$a$ $b$|", "!", 0 },
    { "an open comment", "|/* /* */|", "!", 0 },
    { "an open comment that looks closed", "|/*/|", "!", 0 },
};

static const char letters[] = {
    [TOKEN_WORD] = 'w',
    [TOKEN_NAME] = 'n',
    [TOKEN_STRING] = 's',
    [TOKEN_NUMBER] = '#',
    [TOKEN_PARAMETER] = '$',
    [TOKEN_OPERATOR] = 'o',
    [TOKEN_PUNCTUATION] = 'p',
    [TOKEN_BACKSLASH] = 'b',
    [TOKEN_INVALID] = 'i',
    [TOKEN_OPEN] = '!',
};

/* Draw `sql` as its tokens are found; their types into `types`. */
static void
draw(const struct lexer *lexer, struct str sql, char *drawn, char *types)
{
    size_t at = 0;

    for (;;) {
        struct token token = lex_next(lexer, sql, at);

        if (token.type == TOKEN_END)
            break;
        drawn += sprintf(drawn, "%.*s|%.*s|", (int)(token.start - at), sql.p + at,
            (int)(token.end - token.start), sql.p + token.start);
        *types++ = letters[token.type];
        at = token.end;
        if (token.type == TOKEN_OPEN)
            break;
    }
    sprintf(drawn, "%s", sql.p + at);
    *types = '\0';
}

/* The text without the drawing. */
static void
undraw(const char *drawn, char *sql)
{
    for (; *drawn != '\0'; drawn++)
        if (*drawn != '|')
            *sql++ = *drawn;
    *sql = '\0';
}

static void
tokens_begin_and_end_where_the_server_has_them(void **state)
{
    char sql[256], drawn[512], types[64];

    (void)state;
    for (size_t i = 0; i < COUNT(drawings); i++) {
        struct lexer lexer = { .backslash_quotes = drawings[i].backslash_quotes };

        undraw(drawings[i].drawn, sql);
        draw(&lexer, str_of(sql), drawn, types);
        if (strcmp(drawn, drawings[i].drawn) != 0
            || strcmp(types, drawings[i].types) != 0)
            fail_msg("%s: wanted\n%s %s\ngot\n%s %s", drawings[i].why,
                drawings[i].drawn, drawings[i].types, drawn, types);
    }
}

/*
 * Cut off anywhere, a text gives the same tokens, as far as it gives any: with `more`
 * none is found that the rest of the text would change.
 */
static void
a_token_that_may_go_on_is_open(void **state)
{
    char sql[256];

    (void)state;
    for (size_t i = 0; i < COUNT(drawings); i++) {
        struct lexer whole = { .backslash_quotes = drawings[i].backslash_quotes };
        struct lexer cut = { true, drawings[i].backslash_quotes };

        undraw(drawings[i].drawn, sql);
        for (size_t n = 0; n < strlen(sql); n++) {
            struct str part = { sql, n };

            for (size_t at = 0;;) {
                struct token a = lex_next(&cut, part, at);
                struct token b = lex_next(&whole, str_of(sql), at);

                if (a.type == TOKEN_OPEN || a.type == TOKEN_END)
                    break;
                if (a.type != b.type || a.start != b.start || a.end != b.end)
                    fail_msg("%s: cut at %zu, the token at %zu is wrong",
                        drawings[i].why, n, a.start);
                at = a.end;
            }
        }
    }
}

static void
what_is_left_open_is_named(void **state)
{
    static const struct {
        const char *sql, *what;
    } rows[] = {
        { "'a", "quoted string" },
        { "E'a", "quoted string" },
        { "U&'a", "quoted string" },
        { "'a'\n'b", "quoted string" },
        { "B'1", "bit string literal" },
        { "X'1", "hexadecimal string literal" },
        { "\"a", "quoted identifier" },
        { "U&\"a", "quoted identifier" },
        { "$$a", "dollar-quoted string" },
        { "/* a", "/* comment" },
    };
    struct lexer lexer = { false, false };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct token token = lex_next(&lexer, str_of(rows[i].sql), 0);

        assert_int_equal(token.type, TOKEN_OPEN);
        assert_int_equal(token.start, 0);
        assert_string_equal(token.what, rows[i].what);
    }
}

static void
only_strings_with_escapes_say_so(void **state)
{
    struct lexer on = { false, false }, off = { false, true };

    (void)state;
    assert_true(lex_next(&on, STR("E'a'"), 0).escapes);
    assert_false(lex_next(&on, STR("'a'"), 0).escapes);
    assert_true(lex_next(&off, STR("'a'"), 0).escapes);
    assert_true(lex_next(&off, STR("n'a'"), 0).escapes);
    assert_false(lex_next(&off, STR("$$a$$"), 0).escapes);
    assert_false(lex_next(&off, STR("x'a'"), 0).escapes);
}

static void
keywords_are_compared_without_case_and_without_quotes(void **state)
{
    static const struct str sql = { "Begin \"BEGIN\" begins", 20 };
    struct lexer lexer = { false, false };
    struct token token = lex_next(&lexer, sql, 0);

    (void)state;
    assert_true(token_is(sql, token, "BEGIN"));
    assert_false(token_is(sql, token, "BEGI"));
    assert_false(token_is(sql, token, "BEGINS"));
    token = lex_next(&lexer, sql, token.end);
    assert_false(token_is(sql, token, "BEGIN"));
    token = lex_next(&lexer, sql, token.end);
    assert_false(token_is(sql, token, "BEGIN"));
}

static void
a_block_comment_goes_on_where_it_stopped(void **state)
{
    static const char sql[] = "/* a /* b *//* / * **/ /*/ */ */x";
    size_t want = strlen(sql) - 1;

    (void)state;
    for (size_t step = 1; step < sizeof sql; step++) {
        size_t depth = 1, at = 2;

        for (size_t n = 2; depth > 0 && n <= want + step; n += step)
            at =
                lex_block_comment((struct str){ sql, n < want ? n : want }, at, &depth);
        assert_int_equal(depth, 0);
        assert_int_equal(at, want);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_begin_and_end_where_the_server_has_them),
        cmocka_unit_test(a_token_that_may_go_on_is_open),
        cmocka_unit_test(what_is_left_open_is_named),
        cmocka_unit_test(only_strings_with_escapes_say_so),
        cmocka_unit_test(keywords_are_compared_without_case_and_without_quotes),
        cmocka_unit_test(a_block_comment_goes_on_where_it_stopped),
    };

    return cmocka_run_group_tests_name("lexer", tests, NULL, NULL);
}
